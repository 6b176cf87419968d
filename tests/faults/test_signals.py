"""Sends the signals of the places where commands run: each ends the command in order, and none loses a step."""

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ranks import PATIENCE_SECONDS, PRELOADED, as_rank, command_line
from torch.distributed import TCPStore  # pyright: ignore

from wavegan.errors import Interrupted
from wavegan.training import checkpoint, signals
from wavegan.training.signals import SIGNALS, StopRequest, interrupting

RECIPE = """\
data: {{source: {source}, holdout: 0.4, clip_samples: 4096}}
generator: {{dim: 1, latent_dim: 4}}
discriminators: {{waveform: {{name: wavegan, dim: 1}}}}
method: {{discriminator_steps: 1}}
training: {{steps: 100000, batch_size: 2, checkpoint_every: 50000, precision: fp32}}
monitor: {{log_every: 1, preview_every: 0, tensorboard: false}}
"""
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "wavegan"]


@pytest.fixture
def mouse(sounds, tmp_path, monkeypatch) -> Path:
    """Writes a recipe of an almost endless training of short steps, in a folder of its own."""
    path = tmp_path / "mouse.yaml"
    path.write_text(RECIPE.format(source=sounds(6, seconds=0.3)))
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def start(tmp_path, cache) -> Iterator[Callable[..., Any]]:
    """start("train", …) runs the command line in another process; its messages are in NAME.err and NAME.out."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    started = []

    def begin(*words: Any, act: Callable[..., None] = command_line, name: str = "said", **environment: str) -> Any:
        settings = {"WAVEGAN_CACHE": str(cache), "OMP_NUM_THREADS": "1"} | environment
        arguments = (act, settings, str(tmp_path), str(tmp_path / name), *map(str, words))
        process = context.Process(target=as_rank, args=arguments)
        process.start()
        started.append(process)
        return process

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.join()


def wait_until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def code_of(process: Any) -> int:
    process.join(PATIENCE_SECONDS)
    assert process.exitcode is not None, "the process did not end in time"
    return process.exitcode


def logged(run: str = "run") -> list[int]:
    path = Path(run, "log.jsonl")
    texts = path.read_text().splitlines(keepends=True) if path.exists() else []
    lines = [json.loads(text) for text in texts if text.endswith("\n")]
    return [line["step"] for line in lines if not {"start", "end"} & set(line)]


def saved(run: str = "run") -> list[int]:
    return list(checkpoint.steps(Path(run, "checkpoints")))


def unheard_command_line(*words: str) -> None:
    """Runs the command line with nobody at the other end of stdout and stderr after the first step."""
    ends = [os.pipe(), os.pipe()]
    for number, (_, writer) in zip((1, 2), ends, strict=True):
        os.dup2(writer, number)
        os.close(writer)
    os.set_inheritable(1, False)
    from wavegan.training import loop

    usual = loop.take_step

    def take_step(*arguments: Any) -> Any:
        while ends:
            os.close(ends.pop()[0])
        return usual(*arguments)

    loop.take_step = take_step
    command_line(*words)


@pytest.mark.parametrize("act", [command_line, unheard_command_line])
@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_saves_the_step_although_nobody_may_listen(mouse, start, number, act):
    process = start("train", mouse, "--run-dir", "run", "--device", "cpu", act=act)
    wait_until(lambda: len(logged()) > 2 or not process.is_alive())
    os.kill(process.pid, number)
    os.kill(process.pid, number)  # delivered twice
    assert code_of(process) == 128 + number
    [step] = saved()
    assert logged()[-1] == step and not Path("run/lock.holder").exists()
    if act is command_line:
        told = Path("said.err").read_text().splitlines()[-1]
        assert told.startswith(f"stopped at step {step:,} and saved; go on with: wavegan train ")


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_before_the_first_step_is_told_in_a_sentence(mouse, start, number):
    process = start("train", mouse, "--run-dir", "run", "--device", "cpu", act=command_line_that_waits)
    wait_until(lambda: Path("waits").exists())
    os.kill(process.pid, number)
    os.kill(process.pid, number)
    assert code_of(process) == 128 + number
    by = "" if number == signal.SIGINT else f" by {number.name}"
    assert Path("said.err").read_text().lstrip() == f"interrupted{by}; the same command goes on where it can\n"
    assert not Path("run/lock.holder").exists()


def command_line_that_waits(*words: str) -> None:
    """Runs the command line, which waits for ever where it would read the sound."""
    from wavegan import assemble

    def wait(*_: Any) -> None:
        Path("waits").touch()
        for _turn in range(40 * PATIENCE_SECONDS):  # a signal just before one long sleep would be heard after it
            time.sleep(0.05)

    assemble.corpora = wait  # type: ignore[assignment]
    command_line(*words)


def test_a_signal_that_was_ignored_stays_so_as_nohup_needs_it():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupting(), StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop() is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_are_given_back_and_the_first_signal_interrupts(monkeypatch):
    before = [signal.getsignal(number) for number in SIGNALS]
    with interrupting():
        pass
    assert [signal.getsignal(number) for number in SIGNALS] == before
    try:
        with pytest.raises(Interrupted, match="SIGUSR1") as end, interrupting():
            os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)  # a repetition while the process ends
        assert end.value.exit_code == 128 + signal.SIGUSR1
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)
        monkeypatch.setattr(signals, "_heard_at", None)


# Several processes.


def test_a_rank_that_waits_for_another_in_vain_tells_so(mouse, start):
    """Rank 1 was killed before it came; torchrun then sends SIGTERM to rank 0, which waits inside torch."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # torchrun's part
    ranks = {"WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
    ranks |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"}
    words = ("train", mouse, "--run-dir", "run", "--device", "cpu")
    processes = [start(*words, name=f"said-{k}", RANK=str(k), LOCAL_RANK=str(k), **ranks) for k in (0, 1)]
    wait_until(lambda: store.num_keys() > 3)  # the store's own, and: rank 1 has asked, rank 0 has answered
    for process in processes:
        os.kill(process.pid, signal.SIGTERM)
    assert [code_of(process) for process in processes] == [143, 143]
    told = "".join(Path(f"said-{k}.err").read_text() for k in (0, 1))
    assert told.count("\n") == 1 and "was ended by SIGTERM while it waited for the others to start" in told


def torchrun(mouse: Path, cache: Path, *words: str) -> "subprocess.Popen[str]":
    settings = os.environ | {"WAVEGAN_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    command = [*TORCHRUN, "train", str(mouse), "--run-dir", "run", "--device", "cpu", *words]
    file = Path("said.err").open("w")  # noqa: SIM115  a pipe would wait for orphans
    with file:
        return subprocess.Popen(command, stdout=file, stderr=file, text=True, env=settings)


def ranks_of(agent: "subprocess.Popen[str]") -> list[int]:
    children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"wavegan" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="it looks for processes in /proc")
def test_ranks_whose_torchrun_was_killed_save_and_end(mouse, cache):
    agent = torchrun(mouse, cache)
    wait_until(lambda: len(logged()) > 3 or agent.poll() is not None)
    ranks = ranks_of(agent)
    assert len(ranks) == 2
    agent.kill()
    agent.wait()
    wait_until(lambda: not any(map(is_alive, ranks)))
    told = Path("said.err").read_text()
    [step] = saved()
    assert f"warning: torchrun (process {agent.pid}) has died" in told and "Traceback" not in told
    assert f"stopped at step {step:,} and saved; go on with: wavegan train" in told


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="it looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_torchrun_and_its_ranks_alike_counts_once(mouse, cache, number):
    agent = torchrun(mouse, cache)
    wait_until(lambda: len(logged()) > 3 or agent.poll() is not None)
    for pid in (agent.pid, *ranks_of(agent)):
        os.kill(pid, number)
    agent.wait(PATIENCE_SECONDS)
    [step] = saved()
    assert f"stopped at step {step:,} and saved; go on with: wavegan train" in Path("said.err").read_text()
