"""Runs commands in forks of one prepared process, and kills a command at its n-th file operation.

Started as a program, it reads one job a line from stdin, as JSON: words of the command line, folder, environment,
dataset (what `fetch sc09` fetches) and kill (0 for never). It answers each on stdout with the exit code, the operations
counted, and what was said. An operation is whatever changes a file below the folder: opening it to write, writing,
flushing it to the disk, cutting it, renaming, removing, making and removing folders. A command that is killed in a
write has written half of it.
"""

import builtins
import io
import json
import os
import pathlib
import signal
import sys
import tempfile
import warnings
from collections import Counter
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
EVENTS = {"os.rename": 1, "os.remove": 0, "os.mkdir": 0, "os.rmdir": 0, "os.truncate": 0, "os.link": 1}  # place of path


class File(io.FileIO):
    """Is a file whose writes the shim counts, in place of io.FileIO."""

    shim: "Shim | None" = None

    def write(self, data: Any) -> int:
        if File.shim and File.shim._is_inside(self.fileno()):
            return File.shim.torn(data, super().write)
        return super().write(data)


class Shim:
    """Counts this process's file operations below a folder by kind, and kills it at the n-th."""

    def __init__(self, folder: str, kill: int):
        self.folder, self.kill = folder, kill
        self.counts: Counter[str] = Counter()
        self.open, self.fsync, self.write = io.open, os.fsync, os.write

    def install(self) -> None:
        sys.addaudithook(self._on_event)
        File.shim = self
        builtins.open = io.open = self._open  # type: ignore[assignment]
        tempfile._io.open = self._open  # type: ignore[attr-defined]
        os.fsync, os.write = self._fsync, self._write  # type: ignore[assignment]
        import soundfile

        usual = soundfile.SoundFile.write  # libsndfile writes by itself

        def write(sound: Any, data: Any) -> None:
            usual(sound, data)
            sound.flush()
            self.tick("write")

        soundfile.SoundFile.write = write  # pyright: ignore

    def tick(self, kind: str) -> None:
        self.counts[kind] += 1
        if self.is_time:
            os.kill(os.getpid(), signal.SIGKILL)

    @property
    def is_time(self) -> bool:
        return self.counts.total() == self.kill

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITES and self._is_inside(path):
                self.tick("open")
        elif event in EVENTS and self._is_inside(arguments[EVENTS[event]]):
            self.tick(event.removeprefix("os."))

    def _is_inside(self, path: Any) -> bool:
        name = os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else os.fsdecode(path)
        return name.startswith(self.folder) or (not os.path.isabs(name) and os.getcwd().startswith(self.folder))

    def _fsync(self, file: Any) -> None:
        self.fsync(file)
        if self._is_inside(file if isinstance(file, int) else file.fileno()):
            self.tick("fsync")

    def _write(self, file: int, data: Any) -> int:
        if not self._is_inside(file):
            return self.write(file, data)
        return self.torn(data, lambda part: self.write(file, part))

    def torn(self, data: Any, write: Any) -> int:
        """Writes the data, or half of it if the process is to be killed in this operation."""
        if self.counts.total() + 1 == self.kill:
            write(memoryview(data).cast("B")[: memoryview(data).nbytes // 2])
        else:
            written = write(data)
        self.tick("write")
        return written

    def _open(self, file: Any, mode: str = "r", buffering: int = -1, *text: Any, **settings: Any) -> Any:
        if not set(mode) & set("wax+") or not self._is_inside(file):
            return self.open(file, mode, buffering, *text, **settings)
        raw_settings = {name: settings.pop(name) for name in ("closefd", "opener") if name in settings}
        raw = File(file, mode.replace("b", "").replace("t", ""), **raw_settings)
        if buffering == 0:
            return raw
        buffer = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffer if "b" in mode else io.TextIOWrapper(buffer, *text, **settings)


def work(job: dict[str, Any], answer: int) -> None:
    """Runs one command in this fork, and sends what it did."""
    os.chdir(job["folder"])
    os.environ.update(job["environment"])
    said = f"{job['folder']}.said"
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  it lives as long as the process
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    if job["dataset"]:
        public_datasets.DATASETS["sc09"] = public_datasets.Dataset(**job["dataset"])
    sys.argv = ["wavegan", *job["words"]]
    shim = Shim(job["folder"], job["kill"])
    shim.install()
    try:
        if job["words"][0] == "corpus":
            corpus.load_corpus(job["words"][1], 16000, 1)
            sys.exit(0)
        cli.main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    shim.write(answer, json.dumps([code, shim.counts]).encode())


def serve() -> None:
    """Forks for each job, and answers when the fork has ended."""
    for line in sys.stdin:
        job = json.loads(line)
        reader, writer = os.pipe()
        if not (child := os.fork()):
            os.close(reader)
            try:
                work(job, writer)
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader, "rb") as answers:
            answer = answers.read()
        _, status = os.waitpid(child, 0)
        code, counts = json.loads(answer) if answer else (os.waitstatus_to_exitcode(status), {})
        said = pathlib.Path(f"{job['folder']}.said").read_text(errors="replace")
        print(json.dumps({"code": code, "counts": counts, "said": said}), flush=True)


if __name__ == "__main__":
    io.FileIO = File  # type: ignore[misc]  before wavegan derives from it
    import matplotlib.image
    import matplotlib.pyplot  # noqa: F401
    import scipy.signal  # noqa: F401
    import soxr  # noqa: F401
    import torch
    import torch._dynamo

    from wavegan import cli
    from wavegan.audio import corpus, download, public_datasets
    from wavegan.commands import classify, compare, doctor, evaluate, generate, train, translate  # noqa: F401
    from wavegan.evaluation import classifier_training
    from wavegan.evaluation.evaluate import Reference

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    download.CHUNK_BYTES = 4000
    classifier_training.FEWEST_STEPS = classifier_training.MOST_STEPS = 3
    Reference.estimates.__kwdefaults__.update(count=2)  # pyright: ignore  resamples; no figure need mean anything
    print("ready", flush=True)
    serve()
