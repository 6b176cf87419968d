"""Trains under torchrun through kills, a machine that comes and goes and a full disk; compares with undisturbed runs.

    python benchmarks/survival.py --out runs/survival

trains 2,000 small steps undisturbed in one process, half of them in two, and all under elastic torchrun. There, twenty
random ranks are killed, a second agent with a process of its own comes and is killed with it, and the disk of the run
is full for some seconds. Nothing else is done: torchrun starts the processes again, and they go on from the newest
checkpoint. It prints what happened, and the three curves side by side. Up to the first change of the number of
processes the curve must be that of two, bit for bit. A disk that is full needs root, who may mount a small one; for
others that part is left out.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
RECIPE = """\
data: {{source: {sounds}, holdout: 0.4, windows: random, clip_samples: 4096}}
generator: {{dim: 1, latent_dim: 4}}
discriminators: {{waveform: {{name: wavegan, dim: 1}}}}
method: {{discriminator_steps: 1}}
training: {{steps: {steps}, batch_size: 7, checkpoint_every: 10, precision: fp32}}
monitor: {{log_every: 1, preview_every: 0, tensorboard: false}}
"""
DISK = "16m"
PATIENCE_SECONDS = 600  # within which a run must take another step
FULL = "No space left on device"


@dataclass
class Elastic:
    """Holds a training under torchrun: its agents, its run folder, and the file with all their messages."""

    recipe: Path
    run: Path
    log: Path
    agents: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    port: int = 0

    def start_agent(self, processes: int) -> None:
        """Starts an agent of torchrun, as on another machine; all of them meet at one port."""
        if not self.port:
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", 0))
                self.port = listener.getsockname()[1]
        launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes=1:2", f"--nproc-per-node={processes}"]
        launch += ["--max-restarts=200", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{self.port}"]
        launch += ["--rdzv-conf=last_call_timeout=1", "-m", "wavegan", "train", str(self.recipe)]
        settings = os.environ | {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
        with self.log.open("ab") as file:
            words = [*launch, "--run-dir", str(self.run), "--device", "cpu"]
            self.agents.append(subprocess.Popen(words, stdout=file, stderr=file, env=settings))

    def ranks(self, agent: "subprocess.Popen[bytes]") -> list[int]:
        """Lists the processes that an agent has started and that still run."""
        pids = []
        with suppress(OSError):
            for pid in Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split():
                with suppress(OSError):
                    if b"\0RANK=" in Path(f"/proc/{pid}/environ").read_bytes():
                        pids.append(int(pid))
        return pids

    def wait_for_step(self, step: int, processes: int = 0) -> None:
        """Waits until the run has taken a step, if asked for with so many processes since their last start."""
        reached, moved = -1, time.monotonic()
        while reached < step or (processes and processes != running_processes(self.run)):
            if self.agents[0].poll() is not None:
                raise SystemExit(f"torchrun has ended with code {self.agents[0].returncode}; see {self.log}")
            time.sleep(0.2)
            now = newest_step(self.run)
            if now != reached:
                reached, moved = now, time.monotonic()
            if time.monotonic() - moved > PATIENCE_SECONDS:
                raise SystemExit(f"no step after {reached} within {PATIENCE_SECONDS} s; see {self.log}")


def lines_of(run: Path) -> list[dict[str, float]]:
    """Reads the lines of a log that may be written just now."""
    texts = (run / "log.jsonl").read_text().splitlines() if (run / "log.jsonl").exists() else []
    lines = []
    for text in texts:
        with suppress(ValueError):
            lines.append(json.loads(text))
    return lines


def curve(run: Path) -> dict[int, dict[str, float]]:
    """Returns the statistics of each step."""
    return {line["step"]: line for line in lines_of(run) if "generator/loss" in line}


def newest_step(run: Path) -> int:
    """Returns the last step of a log that begins a session or reports one."""
    return max((line["step"] for line in lines_of(run)), default=-1)


def running_processes(run: Path) -> int:
    """Returns the number of processes of the last start of a session that the log tells of."""
    return next((line["start"]["processes"] for line in reversed(lines_of(run)) if "start" in line), 0)


def main() -> None:
    """Parses the words of the command line, and runs both trainings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/survival"))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True)
    recipe = out / "small.yaml"
    recipe.write_text(RECIPE.format(sounds=tones(out / "sounds"), steps=arguments.steps))
    os.environ |= {"OMP_NUM_THREADS": "1", "WAVEGAN_CACHE": str(out / "cache")}
    undisturbed = {1: out / "one", 2: out / "two"}
    for processes, run in undisturbed.items():
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
        words = [*launch, "wavegan", "train", str(recipe), "--run-dir", str(run), "--device", "cpu"]
        words.append(f"training.steps={arguments.steps // processes}")  # two are needed up to the first change
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    disk = small_disk(out / "disk")
    elastic = Elastic(recipe, (disk or out) / "elastic", out / "torchrun.log")
    try:
        changed = disturb(elastic, disk, arguments.steps, arguments.kills, random.Random(arguments.seed))
        compare([*map(curve, (*undisturbed.values(), elastic.run))], arguments.steps, changed)
    finally:
        for agent in elastic.agents:
            with suppress(ProcessLookupError):
                agent.send_signal(signal.SIGTERM)
            agent.wait()
        if disk:
            subprocess.run(["cp", "-r", str(elastic.run), str(out / "elastic")], check=True)
            subprocess.run(["umount", "-l", str(disk)], check=True)


def tones(folder: Path) -> Path:
    """Writes eight decaying tones."""
    folder.mkdir()
    seconds = np.arange(4800) / RATE
    for number in range(8):
        tone = 0.5 * np.sin(2 * np.pi * (200 + 100 * number) * seconds) * np.exp(-5 * seconds)
        soundfile.write(folder / f"tone-{number}.wav", tone, RATE)
    return folder


def small_disk(folder: Path) -> Path | None:
    """Mounts a small file system of its own; None where this user may not."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        print("this user may not mount a disk of its own, so none is full", flush=True)
        return None
    return folder


def disturb(elastic: Elastic, disk: Path | None, steps: int, kills: int, draws: random.Random) -> int:
    """Lets a run meet all that may happen to it, at steps that are drawn before it begins, and waits for its end.

    Returns the step up to which the number of processes did not change.
    """
    events = [(step, "kill") for step in draws.sample(range(steps // 50, steps - steps // 50), kills)]
    events += [(steps * 2 // 5, "come"), (steps * 3 // 5, "go"), *([(steps * 4 // 5, "fill")] if disk else [])]
    changed = 0
    elastic.start_agent(2)
    for step, event in sorted(events):
        elastic.wait_for_step(step)
        reached, processes = newest_step(elastic.run), running_processes(elastic.run)
        if event == "kill":
            while not (choice := [pid for agent in elastic.agents for pid in elastic.ranks(agent)]):
                time.sleep(0.2)  # they are just being started again
            victim = draws.choice(choice)
            os.kill(victim, signal.SIGKILL)
            text = f"killed process {victim}, one of {len(choice)}"
            wait_until_gone(victim)
        elif event == "come":
            changed = reached
            elastic.start_agent(1)
            elastic.wait_for_step(0, processes=3)
            text = f"a second agent came, so {processes} processes became 3"
        elif event == "go":
            agent = elastic.agents.pop()
            ranks = elastic.ranks(agent)
            for pid in (agent.pid, *ranks):
                os.kill(pid, signal.SIGKILL)
            agent.wait()
            elastic.wait_for_step(0, processes=2)
            text = f"the second agent and its process were killed, so {processes} processes became 2"
        else:
            text = f"the disk was full for {fill(elastic, disk)} s"
        print(f"step {reached:5}: {text}", flush=True)
    elastic.wait_for_step(steps)
    if code := elastic.agents[0].wait(PATIENCE_SECONDS):
        raise SystemExit(f"torchrun has ended with code {code}; see {elastic.log}")
    return changed


def wait_until_gone(pid: int) -> None:
    """Waits until a process that was killed has been collected by its agent."""
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.05)


def fill(elastic: Elastic, disk: Path | None) -> int:
    """Fills a disk until the run has met it and some seconds more; returns the seconds."""
    assert disk, "only a disk of its own is filled"
    heard, began = elastic.log.read_bytes().count(FULL.encode()), time.monotonic()
    with suppress(OSError), (disk / "other").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 12))
    while elastic.log.read_bytes().count(FULL.encode()) == heard:
        time.sleep(0.2)
    time.sleep(10)
    (disk / "other").unlink()
    return round(time.monotonic() - began)


def compare(curves: list[dict[int, dict[str, float]]], steps: int, changed: int) -> None:
    """Prints the curves of one process, of two and of the disturbed run side by side, and how far they are apart."""
    for taken, each in zip((steps, steps // 2, steps), curves, strict=True):
        assert list(each) == list(range(1, taken + 1)), "each step is in each log once"
    names = [name for name in curves[0][1] if "/" in name]

    def apart(a: int, b: int, last: int) -> float:
        """Returns the largest difference of any statistic of two curves up to a step."""
        return max(abs(curves[a][step][name] - curves[b][step][name]) for step in range(1, last + 1) for name in names)

    print(f"\nup to step {changed}, with two processes: {apart(1, 2, changed):.1e} from two undisturbed processes")
    print(f"{'':8}generator/loss of            largest difference so far of any statistic of")
    print(f"{'step':>6} {'one':>10} {'two':>10} {'disturbed':>10}   two from one   disturbed from one")
    for step in sorted({1, 10, 30, 100, *range(steps // 8, steps + 1, steps // 8)}):
        losses = "".join(f" {each[step]['generator/loss']:10.5f}" if step in each else f"{'':11}" for each in curves)
        two = f"{apart(0, 1, step):14.1e}" if step in curves[1] else f"{'':14}"
        print(f"{step:6}{losses} {two} {apart(0, 2, step):20.1e}")
    assert apart(1, 2, changed) == 0, "a kill changes no number"


if __name__ == "__main__":
    main()
