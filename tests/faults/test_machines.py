"""Trains on two machines that come and go: network namespaces with a cable between them, an agent of torchrun in each.

It needs root on Linux, for the namespaces.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ranks import PATIENCE_SECONDS

from wavegan import recipe as recipes
from wavegan.commands.train import train
from wavegan.training import checkpoint

RECIPE = """\
data: {{source: {source}, holdout: 0.4, windows: random, clip_samples: 4096}}
generator: {{dim: 1, latent_dim: 4}}
discriminators: {{waveform: {{name: wavegan, dim: 1}}}}
method: {{discriminator_steps: 1}}
training: {{steps: 100000, batch_size: 7, checkpoint_every: 5, keep_every: 1, precision: fp32}}
monitor: {{log_every: 1, preview_every: 0, tensorboard: false}}
"""
ADDRESSES = ("10.199.7.1", "10.199.7.2")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def machines() -> Iterator[list[str]]:
    """Makes two namespaces with a cable between them; returns their names."""
    names = [f"wavegan{os.getpid()}{end}" for end in "ab"]
    if sys.platform != "linux" or os.getuid() or not shutil.which("ip"):
        pytest.skip("it needs root on Linux, and ip")
    try:
        for name in names:
            ip("netns", "add", name)
        cable = [word for name in names for word in ("name", "cable", "netns", name)]
        ip("link", "add", *cable[:4], "type", "veth", "peer", *cable[4:])
        for name, address in zip(names, ADDRESSES, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            for link in ("lo", "cable"):
                ip("-n", name, "link", "set", link, "up")
        yield names
    finally:
        for name in names:
            running = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split()
            for pid in map(int, running):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@pytest.fixture
def start(machines, tmp_path, cache) -> Iterator[Callable[[int, Path], Any]]:
    """start(number, recipe) starts an agent with one process on a machine; both see the same disk."""
    agents = []

    def begin(number: int, recipe: Path) -> "subprocess.Popen[bytes]":
        launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes=1:2", "--nproc-per-node=1"]
        launch += ["--max-restarts=9", "--rdzv-backend=c10d", f"--rdzv-endpoint={ADDRESSES[0]}:29500"]
        launch += [f"--local-addr={ADDRESSES[number]}", f"--rdzv-conf=last_call_timeout=1,is_host={1 - number}"]
        words = ["ip", "netns", "exec", machines[number], *launch, "-m", "wavegan", "train", str(recipe)]
        settings = os.environ | {"WAVEGAN_CACHE": str(cache), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "cable"}
        settings |= {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "WAVEGAN_STEP_TIMEOUT": "20"}
        with (tmp_path / f"agent-{number}.log").open("wb") as file:
            tail = ["--run-dir", "run", "--device", "cpu"]
            agents.append(subprocess.Popen([*words, *tail], stdout=file, stderr=file, env=settings))
        return agents[-1]

    yield begin
    for agent in agents:
        agent.kill()  # one without a cable may wait in torch; `machines` ends its processes
        agent.wait()


def starts() -> list[int]:
    """Returns the numbers of processes with which sessions of the run began, in order."""
    return [line["start"]["processes"] for line in log_lines() if "start" in line]


def log_lines() -> list[dict[str, Any]]:
    path = Path("run/log.jsonl")
    texts = path.read_text().splitlines() if path.exists() else []
    lines = []
    for text in texts:
        with contextlib.suppress(ValueError):  # it is being written
            lines.append(json.loads(text))
    return lines


def wait_until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        logs = "\n".join(path.read_text()[-2000:] for path in Path().glob("agent-*.log"))
        assert time.monotonic() < end, f"this did not come: {what}\n{logs}"
        time.sleep(0.1)


def steps_since_last_start() -> int:
    lines = log_lines()
    last = max(place for place, line in enumerate(lines) if "start" in line)
    return len([line for line in lines[last:] if "generator/loss" in line])


@pytest.mark.long
def test_a_machine_comes_and_its_cable_is_cut(sounds, tmp_path, monkeypatch, machines, start):
    """The first machine trains alone, then with the second, then alone again; the run is that of one process."""
    monkeypatch.chdir(tmp_path)
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE.format(source=sounds(6, seconds=0.3)))
    first = start(0, recipe)
    wait_until(lambda: starts() == [1] and steps_since_last_start() > 2, "steps of one machine")
    start(1, recipe)
    wait_until(lambda: starts() == [1, 2] and steps_since_last_start() > 7, "steps of two machines")
    ip("-n", machines[1], "link", "set", "cable", "down")
    wait_until(lambda: starts() == [1, 2, 1] and steps_since_last_start() > 7, "steps of one machine again")
    first.send_signal(signal.SIGTERM)
    first.wait(PATIENCE_SECONDS)

    step = max(checkpoint.steps(Path("run/checkpoints")))
    train(recipes.load(recipe, [f"training.steps={step}"]), Path("whole"), device="cpu")
    weights = [
        checkpoint.load(checkpoint.newest_path(Path(run, "checkpoints")))["networks"] for run in ("run", "whole")
    ]
    for network, tensors in weights[0].items():
        for name, tensor in tensors.items():
            assert (tensor - weights[1][network][name]).abs().max() < 1e-4, name
    assert [line["step"] for line in log_lines() if "generator/loss" in line] == list(range(1, step + 1))
