"""A hub of models on this machine: it speaks as much of Hugging Face's protocol as its client uses, in memory."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_test"


class Hub(BaseHTTPRequestHandler):
    """Answers requests; a repository is a list of commits, each the files by their names."""

    repositories: dict[str, list[dict[str, bytes]]]
    private: set[str]
    requests: list[str]
    broken: int = 0  # the status of every answer, if set
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        self.requests.append(f"{self.command} {self.path}")

    def do_POST(self) -> None:
        body, parts = self.rfile.read(int(self.headers["Content-Length"])), self._parts()
        if self.broken:
            return self._refuse(self.broken)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._refuse(401)
        if parts == ["api", "repos", "create"]:
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            is_new = name not in self.repositories
            self.repositories.setdefault(name, [{}])
            if is_new and (
                asked.get("private") or asked.get("visibility") == "private"
            ):  # the earlier key, the newer one
                self.private.add(name)
            return self._send({"url": f"{self._address}/{name}"}, 200 if is_new else 409)
        if parts == ["api", "validate-yaml"]:
            return self._send({"errors": [], "warnings": []})
        name, action = "/".join(parts[2:4]), parts[4]
        if action == "preupload":
            asked = json.loads(body)["files"]
            files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in asked]
            return self._send({"files": files})
        assert action == "commit", f"the hub knows no {self.path}"
        lines = [json.loads(line) for line in body.splitlines()]
        added = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"
        }
        self.repositories[name].append(self.repositories[name][-1] | added)
        commit = f"{self._address}/{name}/commit/{self._hash(name, -1)}"
        return self._send({"commitUrl": commit, "commitOid": self._hash(name, -1)})

    def do_GET(self) -> None:
        parts = self._parts()
        if self.broken:
            return self._refuse(self.broken)
        is_call = parts[:2] == ["api", "models"]
        name, *rest = ["/".join(parts[2:4]), *parts[4:]] if is_call else ["/".join(parts[:2]), *parts[2:]]
        is_known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if name not in self.repositories or (name in self.private and not is_known):
            return self._refuse(404, "RepoNotFound")
        action, revision, *path = rest or ["info", "main"]
        hashes = [self._hash(name, place) for place in range(len(self.repositories[name]))]
        place = -1 if revision == "main" else hashes.index(revision) if revision in hashes else None
        if place is None:
            return self._refuse(404, "RevisionNotFound")
        files = self.repositories[name][place]
        if action == "resolve":
            if "/".join(path) not in files:
                return self._refuse(404, "EntryNotFound")
            content = files["/".join(path)]
            return self._answer(content, 200, {"ETag": f'"{_digest(content)}"', "X-Repo-Commit": hashes[place]})
        if action == "tree":
            listed = [
                {"type": "file", "path": path, "size": len(content), "oid": _digest(content)}
                for path, content in files.items()
            ]
            return self._send(listed)
        return self._send({"id": name, "sha": hashes[place], "siblings": [{"rfilename": path} for path in files]})

    do_HEAD = do_GET

    @property
    def _address(self) -> str:
        return f"http://{self.headers['Host']}"

    def _parts(self) -> list[str]:
        return [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]

    def _hash(self, name: str, place: int) -> str:
        files = self.repositories[name][place]
        text = "".join(f"{path} {_digest(content)}" for path, content in sorted(files.items()))
        return _digest(f"{name} {text}".encode())

    def _send(self, value: Any, status: int = 200) -> None:
        self._answer(json.dumps(value).encode(), status, {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str = "") -> None:
        self._answer(b"{}", status, {"X-Error-Code": code} if code else {})

    def _answer(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextmanager
def model_hub() -> Iterator[tuple[str, type[Hub]]]:
    """Yields the address of a hub that runs, and the hub."""

    class Own(Hub):
        repositories, private, requests = {}, set(), []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", Own
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
