"""Drives Chromium or Chrome without a window through its debugging pipe, and notes all that a page complains of."""

import json
import os
import select
import shutil
import subprocess
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
# A snap sees neither the temporary folder nor the pipe.
BROWSER = next((path for path in map(shutil.which, NAMES) if path and "snap" not in str(Path(path).resolve())), None)
REASON = "needs Chromium or Chrome"
PATIENCE = 600  # seconds, on a machine that does much else
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe")


class Browser:
    """Shows a page. `complaints` lists the errors that it did not catch, and its console's errors and warnings."""

    def __init__(self, folder: Path, *options: str):
        to_browser, self._requests = os.pipe()
        self._answers, from_browser = os.pipe()
        words = [str(BROWSER), *OPTIONS, *options, f"--user-data-dir={folder / 'profile'}"]
        # The browser reads from descriptor 3 and writes to 4.
        shell = ["bash", "-c", f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}', *words]
        self._process = subprocess.Popen(
            shell, pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        self._count, self._unread, self._session = 0, b"", {}
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        os.close(self._requests)
        os.close(self._answers)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Calls a method of the DevTools protocol and returns its result."""
        self._count += 1
        request = {"id": self._count, "method": method, "params": params, **self._session}
        os.write(self._requests, json.dumps(request).encode() + b"\0")
        while (message := self._message()).get("id") != self._count:
            self._note(message)
        assert "error" not in message, f"{method}: {message['error']}"
        return message["result"]

    def evaluate(self, expression: str) -> Any:
        """Returns the value of an expression in the page, awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Returns as soon as an expression in the page is true; fails as soon as the page complains."""
        end = time.monotonic() + PATIENCE
        while not self.evaluate(expression):
            assert not self.complaints, self.complaints
            assert time.monotonic() < end, f"{expression} has not become true"
            time.sleep(0.02)

    def open(self, path: Path) -> None:
        """Opens a file as a reader would, from disk."""
        self.call("Page.navigate", url=path.as_uri())

    def press(self, code: str, key: str = "") -> None:
        """Presses and releases a key, as a person does: the browser then lets sound out."""
        key = key or code[-1].lower()
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        number = {"Enter": 13, "Tab": 9, "ArrowRight": 39, "ArrowDown": 40, " ": 32}.get(key, ord(key[0].upper()))
        for kind in ("keyDown", "keyUp"):
            rest = text if kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, code=code, key=key, windowsVirtualKeyCode=number, **rest)

    def screenshot(self, path: Path, width: int, *, height: int = 900, is_dark: bool = False) -> None:
        """Writes a picture of the whole page at a width in pixels."""
        colours = [{"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=colours)
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        time.sleep(0.5)
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(b64decode(picture["data"]))

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._answers], [], [], PATIENCE)
            assert ready, "the browser does not answer"
            chunk = os.read(self._answers, 1 << 20)
            assert chunk, "the browser has ended"
            self._unread += chunk
        text, _, self._unread = self._unread.partition(b"\0")
        return json.loads(text)

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif message.get("method") == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(params["args"]))
        elif message.get("method") == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
