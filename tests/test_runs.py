"""Tests that runs stay exact when they are stopped, killed, damaged, doubled, changed or spoilt."""

import contextlib
import errno
import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from matplotlib.image import imread

import wavegan
from wavegan import assemble, cli, generation
from wavegan import recipe as recipes
from wavegan.commands.model_loading import load_model
from wavegan.commands.train import TrainingResult, train
from wavegan.errors import RunError, TrainingError
from wavegan.objectives.penalties import PENALTIES, Penalty, gradient_penalty
from wavegan.training import checkpoint, threads
from wavegan.training.run_folder import RunFolder
from wavegan.training.signals import REPEAT_SECONDS, StopRequest

CLIP_SAMPLES = 4096
PATIENCE_SECONDS = 600  # for what will come, on a machine that does much else
RECIPE = """\
data: {{source: {source}, holdout: 0.4, clip_samples: 4096}}
generator: {{dim: 1, latent_dim: 4}}
discriminators: {{waveform: {{name: wavegan, dim: 1, phase_shuffle: {{radius: 2}}}}}}
method: {{discriminator_steps: 2}}
optimizers: {{generator: {{lr: 1e-3}}, discriminator: {{lr: 1e-3}}}}
training: {{steps: 6, batch_size: 2, checkpoint_every: 1, keep_last: 3, precision: fp32, ema: 0.9}}
monitor: {{log_every: 1, preview_every: 0, preview_count: 3, tensorboard: false}}
"""


@pytest.fixture
def mouse(sounds, tmp_path, monkeypatch) -> Path:
    """Writes a recipe that trains in a tenth of a second, in a folder of its own."""
    path = tmp_path / "mouse.yaml"
    path.write_text(RECIPE.format(source=sounds(6, seconds=0.3)))
    monkeypatch.chdir(tmp_path)
    return path


def trained(recipe: Path, run: str | Path, *overrides: str, fresh: bool = False) -> TrainingResult:
    return train(recipes.load(recipe, overrides), Path(run), device="cpu", fresh=fresh, stop=StopRequest())


def differing(first: Any, second: Any, path: str = "") -> list[str]:
    """Returns the paths at which two checkpoints are not the same, bit for bit, except the clock's seconds."""
    if path == "/seconds":
        return []
    if type(first) is not type(second):
        return [path]
    if isinstance(first, torch.Tensor):
        return [] if first.dtype == second.dtype and torch.equal(first, second) else [path]
    if isinstance(first, dict):
        if list(first) != list(second):
            return [path]
        return [difference for key in first for difference in differing(first[key], second[key], f"{path}/{key}")]
    if isinstance(first, list | tuple):
        if len(first) != len(second):
            return [path]
        pairs = enumerate(zip(first, second, strict=True))
        return [difference for key, pair in pairs for difference in differing(*pair, f"{path}/{key}")]
    return [] if first == second else [path]


def log_of(run: str | Path) -> list[dict[str, float]]:
    """Returns the lines of a log without those of starts and ends, and without the clock's seconds."""
    lines = [json.loads(line) for line in Path(run, "log.jsonl").read_text().splitlines()]
    lines = [line for line in lines if not {"start", "end"} & set(line)]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def newest(run: str | Path) -> dict[str, Any]:
    return checkpoint.load(checkpoint.newest_path(Path(run, "checkpoints")))


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Processes of their own. The fork server has torch already, so that each starts at once.


def command_line(words: list[str], environment: dict[str, str], messages: str) -> None:
    """Runs the command line in this process, its stdout and stderr in a file."""
    os.environ.update(environment)
    torch.set_num_threads(1)
    warnings.simplefilter("default")
    file = os.open(messages, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  it lives as long as the process
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = ["wavegan", *words]
    cli.main()


def command_line_with_endless_step(words: list[str], environment: dict[str, str], messages: str) -> None:
    """Runs it like `command_line`, but a step writes the file `inside` into the run folder and never ends.

    For signals there is no time but a before and an after, which begins with the file `later`. Each leaves a file.
    """
    from wavegan.training import loop, signals

    run, numbers = Path(words[words.index("--run-dir") + 1]), itertools.count(1)

    def endless(*_: object) -> None:
        (run / "inside").touch()
        for _turn in range(40 * PATIENCE_SECONDS):  # a signal just before one long sleep would be heard after it
            time.sleep(0.05)

    class Clock:
        @staticmethod
        def monotonic() -> float:
            (run / f"heard-{next(numbers)}").touch()
            return REPEAT_SECONDS if (run / "later").exists() else 0.0

    loop.take_step = endless  # type: ignore[assignment]
    signals.time = Clock  # type: ignore[assignment]
    command_line(words, environment, messages)


@pytest.fixture
def start(tmp_path, cache) -> Iterator[Callable[..., Any]]:
    """start("train", …) runs the command line in another process, whose messages go into `messages.txt`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torch._dynamo", "wavegan.commands.train", "wavegan.cli", "pytest", "matplotlib.image"]
    )
    started = []

    def begin(*words: str | Path, target: Callable[..., None] = command_line) -> Any:
        settings = {"WAVEGAN_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
        arguments = ([*map(str, words)], settings, str(tmp_path / "messages.txt"))
        process = context.Process(target=target, args=arguments)
        process.start()
        started.append(process)
        return process

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.join()


def wait_until(process: Any, condition: Callable[[], Any], *, pause_seconds: float = 0.005) -> None:
    """Waits for an event that a living process will cause."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        assert process.is_alive(), f"the process has ended with {process.exitcode}"
        time.sleep(pause_seconds)


def exit_code(process: Any) -> int:
    process.join(PATIENCE_SECONDS)
    assert process.exitcode is not None, "the process did not end in time"
    return process.exitcode


def steps_of(run: Path) -> list[int]:
    return list(checkpoint.steps(run / "checkpoints"))


# Going on.


@pytest.mark.parametrize("stops", [(3,), (1, 2, 5)])
def test_going_on_is_as_if_never_stopped(mouse, stops, capsys, console):
    trained(mouse, "whole")
    for stop in stops:
        trained(mouse, "parts", f"training.steps={stop}")
    result = trained(mouse, "parts")
    assert result.step == 6 and f"going on from step {stops[-1]} of parts" in capsys.readouterr().err
    assert differing(newest("whole"), newest("parts")) == []
    assert log_of("whole") == log_of("parts") and [line["step"] for line in log_of("parts")] == [1, 2, 3, 4, 5, 6]
    assert newest("parts")["seconds"] > 0


def test_going_on_takes_the_threads_that_a_trial_had_chosen(mouse, monkeypatch):
    """Trains where the trial would now choose otherwise; torch has as many threads as before when a training ends."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "tried", lambda step, most: {3: 0.2, 2: 0.1})
    with threads.threads_kept():
        torch.set_num_threads(3)
        trained(mouse, "whole")
        trained(mouse, "parts", "training.steps=3")
        monkeypatch.setattr(threads, "tried", lambda step, most: {3: 0.1, 2: 0.2})
        trained(mouse, "parts")
        trained(mouse, "other")
        assert torch.get_num_threads() == 3
    assert newest("parts")["threads"] == 2 and newest("other")["threads"] == 3
    assert differing(newest("whole"), newest("parts")) == []


def test_what_makes_two_runs_differ_is_seen(mouse):
    """Checks that the comparison of the other tests sees another seed and another step everywhere."""
    trained(mouse, "one", "training.steps=2")
    trained(mouse, "two", "training.steps=2", "training.seed=1")
    paths = differing(newest("one"), newest("two"))
    for part in ("networks/generator", "networks/discriminator", "averages/generator", "optimizers/discriminator"):
        assert [path for path in paths if path.startswith(f"/{part}")], part
    assert log_of("one") != log_of("two")


def test_a_decaying_rate_and_normal_latents_go_on_as_well(mouse):
    """Stops by signal, as the steps may not change under a decay."""
    extra = ("training.lr_decay=linear", "generator.latent=normal", "training.gradient_clip=0.5", "data.windows=random")
    trained(mouse, "whole", *extra)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wavegan.training.monitor.Monitor.after_step", stopping_after(3))
        stopped = trained(mouse, "parts", *extra)
    assert (stopped.step, stopped.signal) == (3, signal.SIGTERM)
    trained(mouse, "parts", *extra)
    assert differing(newest("whole"), newest("parts")) == []
    rates = [group["lr"] for group in newest("parts")["optimizers"]["generator"]["param_groups"]]
    assert rates == [pytest.approx(1e-3 / 6)]


def stopping_after(last: int) -> Callable[..., None]:
    """Returns a Monitor.after_step that asks for a stop when `last` is complete."""
    from wavegan.training.monitor import Monitor

    usual = Monitor.after_step

    def after_step(self: Monitor, step: int, stats: Any) -> None:
        usual(self, step, stats)
        if step == last:
            os.kill(os.getpid(), signal.SIGTERM)

    return after_step


def test_kills_while_checkpoints_are_written_lose_nothing(mouse, start, tmp_path):
    """Kills a run that saves every step at random moments by kill -9; its result equals an undisturbed run's.

    Every other time the kill comes as soon as a file appears, so into the writing of a checkpoint.
    """
    run, moments = tmp_path / "killed", random.Random(2)
    for number in range(6):
        before = len(steps_of(run)) and steps_of(run)[-1]
        process = start("train", mouse, "training.steps=100000", "--run-dir", run, "--device", "cpu")
        wait_until(process, lambda before=before: steps_of(run) and steps_of(run)[-1] > before)
        time.sleep(moments.uniform(0, 0.1))
        if number % 2:
            known = set(os.listdir(run / "checkpoints"))
            wait_until(process, lambda known=known: set(os.listdir(run / "checkpoints")) - known, pause_seconds=1e-4)
        process.kill()
        assert exit_code(process) == -signal.SIGKILL
        for path in checkpoint.steps(run / "checkpoints").values():
            checkpoint.load(path)  # each that is there is whole
        assert 0 < len(steps_of(run)) <= 4
    reached = steps_of(run)[-1]
    with Path(run, "log.jsonl").open("a") as log:  # as a kill may leave it
        log.write('{"step": 9')

    last = reached + 2
    trained(mouse, run, f"training.steps={last}")
    trained(mouse, "whole", f"training.steps={last}")
    assert differing(newest("whole"), newest(run)) == []
    assert [line["step"] for line in log_of(run)] == list(range(1, last + 1))
    assert log_of(run) == log_of("whole")
    assert list(run.glob("**/*.partial")) == [], "what a kill has torn is cleared away"


def test_a_torn_recipe_does_not_end_a_run(mouse):
    """The recipe in the run folder is only for people to read; a kill may tear it."""
    trained(mouse, "run", "training.steps=2")
    kept = Path("run/recipe.yaml").read_text()
    Path("run/recipe.yaml").write_text(kept[:100])
    assert trained(mouse, "run", "training.steps=3").step == 3
    assert recipes.load("run/recipe.yaml") == recipes.load(mouse, ["training.steps=3"])


# Signals and a second training.


def test_a_second_training_is_refused_and_sigterm_saves(mouse, start, command, tmp_path):
    run, messages = tmp_path / "my run", tmp_path / "messages.txt"
    words = (
        "train",
        mouse,
        "training.steps=100000",
        "training.checkpoint_every=50000",
        "--run-dir",
        run,
        "--device",
        "cpu",
    )
    process = start(*words)
    wait_until(process, lambda: (run / "log.jsonl").exists() and log_of_living(run))

    for more in ((), ("--fresh",)):
        outcome = command("train", mouse, "--run-dir", run, *more)
        assert outcome.code == 2
        assert f"error: {run} is being trained by process {process.pid} on " in outcome.err
        assert outcome.err.count("\n") == 1 and "--run-dir" in outcome.err
    assert process.is_alive() and not (tmp_path / "my run.1").exists()
    reached = log_of_living(run)[-1]["step"]
    wait_until(process, lambda: log_of_living(run)[-1]["step"] > reached)

    assert not (run / "checkpoints").exists()
    os.kill(process.pid, signal.SIGTERM)
    assert exit_code(process) == 128 + signal.SIGTERM
    [step] = steps_of(run)
    assert [line["step"] for line in log_of(run)] == list(range(1, step + 1)), "the second did not disturb it"
    told = messages.read_text().splitlines()
    assert told[-1] == (
        f"stopped at step {step:,} and saved; go on with: wavegan train {mouse} training.steps=100000 "
        f"training.checkpoint_every=50000 --run-dir '{run}' --device cpu"
    )
    assert not (run / "lock.holder").exists()
    trained(mouse, "whole", f"training.steps={step + 1}")
    trained(mouse, run, f"training.steps={step + 1}", "training.checkpoint_every=50000")
    assert differing(newest("whole")["networks"], newest(run)["networks"]) == []


def log_of_living(run: Path) -> list[dict[str, float]]:
    """Returns the log of a training that may be writing its last line just now."""
    while True:
        with contextlib.suppress(ValueError):
            return log_of(run)


def test_sigint_saves(mouse, start, tmp_path):
    run = tmp_path / "run"
    process = start(
        "train", mouse, "training.steps=100000", "training.checkpoint_every=50000", "--run-dir", run, "--fresh"
    )
    wait_until(process, lambda: (run / "log.jsonl").exists() and log_of_living(run))
    os.kill(process.pid, signal.SIGINT)
    assert exit_code(process) == 128 + signal.SIGINT
    [step] = steps_of(run)
    last = (tmp_path / "messages.txt").read_text().splitlines()[-1]
    assert last.startswith(f"stopped at step {step:,} and saved; go on with: wavegan train ")
    assert "--fresh" not in last, "going on is not starting again"


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_sigint_stops_at_once(mouse, start, tmp_path, first):
    run = tmp_path / "run"
    process = start("train", mouse, "--run-dir", run, target=command_line_with_endless_step)
    wait_until(process, (run / "inside").exists)
    for number, each in enumerate((first, signal.SIGINT), 1):
        os.kill(process.pid, each)
        wait_until(process, (run / f"heard-{number}").exists)
    (run / "later").touch()
    assert process.is_alive(), "the first, and its repetition, let the step go on"
    os.kill(process.pid, signal.SIGINT)
    assert exit_code(process) == 130
    told = (tmp_path / "messages.txt").read_text()
    assert "Traceback" not in told and "interrupted" in told.splitlines()[-1]
    assert steps_of(run) == [] and not (run / "lock.holder").exists()


def test_handlers_and_random_numbers_are_left_as_found(mouse):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    trained(mouse, "run", "training.steps=1", "monitor.preview_every=1")
    assert torch.equal(torch.rand(3), expected)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_too_little_to_judge_by_is_told_once(mouse, capsys, console):
    for steps, told in ((1, 1), (2, 0)):
        trained(mouse, "run", f"training.steps={steps}", "data.holdout=0.1")
        assert capsys.readouterr().err.count("wavegan evaluate needs 2 in each") == told


# Changed, done, fresh, damaged.


def test_fresh_moves_aside_and_deletes_nothing(mouse, capsys, console):
    for number in range(3):
        trained(mouse, "runs/mouse", "training.steps=1", f"training.seed={number}", fresh=True)
    assert capsys.readouterr().err.count("moved the earlier run to runs/mouse.") == 2
    for name, seed in {"mouse.1": 0, "mouse.2": 1, "mouse": 2}.items():
        assert recipes.load(f"runs/{name}/recipe.yaml").training.seed == seed
        assert newest(f"runs/{name}")["recipe"]["training"]["seed"] == seed


def test_fresh_of_an_earlier_run_keeps_every_file(mouse):
    trained(mouse, "run", "training.steps=2", "monitor.preview_every=1")
    before = files_of(Path("run"))
    trained(mouse, "run", "training.steps=1", fresh=True)
    assert files_of(Path("run.1")) == before and len(before) > 6
    assert newest("run")["step"] == 1


def test_fresh_moves_what_a_link_names_and_keeps_the_link(mouse):
    Path("disk/drums").mkdir(parents=True)
    Path("run").symlink_to("disk/drums")
    for steps in (1, 2):
        trained(mouse, "run", f"training.steps={steps}", fresh=True)
    assert Path("run").is_symlink() and newest("run")["step"] == newest("disk/drums")["step"] == 2
    assert newest("disk/drums.1")["step"] == 1 and not Path("run.1").exists()


def test_fresh_with_sound_that_is_not_there_moves_nothing(mouse, command):
    trained(mouse, "run", "training.steps=1")
    before = sorted(Path().rglob("*"))
    outcome = command("train", mouse, "--run-dir", "run", "--fresh", "data.source=nowhere")
    assert outcome.code == 2 and "nowhere does not exist" in outcome.err
    assert sorted(Path().rglob("*")) == before


def test_fresh_refuses_a_run_that_is_in_use_before_it_decodes_sound(mouse, monkeypatch):
    trained(mouse, "run", "training.steps=1")
    monkeypatch.setattr("wavegan.commands.train.sound_of", lambda *_: pytest.fail("sound is decoded"))
    with RunFolder(Path("run")).locked(), pytest.raises(RunError, match="is being trained by process"):
        trained(mouse, "run", "training.steps=1", fresh=True)


def test_a_run_that_cannot_be_moved_stays(mouse, monkeypatch):
    trained(mouse, "run", "training.steps=1")
    monkeypatch.setattr(
        Path, "rename", lambda *_: (_ for _ in ()).throw(OSError(errno.EBUSY, "Device or resource busy"))
    )
    with pytest.raises(RunError, match="run cannot be moved aside .Device or resource busy.; name another with"):
        trained(mouse, "run", "training.steps=1", fresh=True)


def test_a_run_folder_that_goes_while_it_is_waited_for_is_told(mouse, monkeypatch):
    monkeypatch.setattr("wavegan.training.run_folder.acquire", lambda *_, **__: Path("run/gone").read_text())
    with pytest.raises(RunError, match="the run folder run was removed meanwhile; run the command again"):
        trained(mouse, "run", "training.steps=1")


def test_fresh_with_a_wrong_device_moves_nothing(mouse, command):
    trained(mouse, "run", "training.steps=1")
    before = files_of(Path("run"))
    assert command("train", mouse, "--run-dir", "run", "--fresh", "--device", "gpu").code == 2
    assert files_of(Path("run")) == before and not Path("run.1").exists()


def test_the_folder_of_a_run_names_what_goes_on(mouse, command):
    trained(mouse, "run", "training.steps=2")
    assert command("train", "run", "training.steps=3").code == 0
    assert newest("run")["step"] == 3 and not Path("runs").exists()
    wavegan.train("run", {"training.steps": 4})
    assert newest("run")["step"] == 4
    assert command("train", "run", "training.steps=1", "--run-dir", "other").code == 0
    assert newest("other")["step"] == 1 and newest("run")["step"] == 4
    assert command("train", "run", "training.steps=2", "--fresh").code == 0
    assert newest("run")["step"] == 2 and newest("run.1")["step"] == 4


def test_a_folder_with_a_recipe_of_the_users_own_is_no_run(mouse, command):
    Path("mine").mkdir()
    shutil.copy(mouse, "mine/recipe.yaml")
    outcome = command("train", "mine")
    assert outcome.code == 2 and "a recipe is a file" in outcome.err and "mine/recipe.yaml" in outcome.err
    for words in (["train", mouse], ["train", "mine/recipe.yaml"], ["train", mouse, "--fresh"]):
        outcome = command(*words, "--run-dir", "mine")
        assert outcome.code == 2 and "mine holds recipe.yaml but no run" in outcome.err and "--run-dir" in outcome.err
    assert files_of(Path("mine")) == {"recipe.yaml": Path(mouse).read_bytes()}


def test_a_changed_recipe_is_refused_with_its_keys(mouse, command):
    trained(mouse, "run", "training.steps=2")
    before = files_of(Path("run"))
    words = ("training.steps=3", "generator.dim=2", "optimizers.generator.lr=1e-2", "monitor.log_every=2", "name=rat")
    outcome = command("train", mouse, "--run-dir", "run", *words)
    assert outcome.code == 2 and outcome.err.startswith("error: run was started with another recipe;")
    assert outcome.err.splitlines()[1:] == ["  generator.dim: 1 → 2", "  optimizers.generator.lr: 0.001 → 0.01"]
    assert "--run-dir" in outcome.err and "--fresh" in outcome.err
    assert files_of(Path("run")) == before


@pytest.mark.parametrize("schedule", ["training.lr_decay=linear", "method.penalty_floor=0.1"])
def test_a_run_with_a_schedule_says_why_it_cannot_be_longer(mouse, command, schedule):
    trained(mouse, "run", "training.steps=2", schedule)
    shown = schedule.replace("=", ": ")
    done = command("train", mouse, "--run-dir", "run", "training.steps=2", schedule)
    assert done.code == 0 and "raise training.steps" not in done.err
    assert f"its schedule ({shown}) ends there, so a longer training is a new run" in done.err
    longer = command("train", mouse, "--run-dir", "run", "training.steps=3", schedule)
    assert longer.code == 2 and f"its schedule ({shown}) spans training.steps" in longer.err
    assert "with more or fewer it is another run" in longer.err and "training.steps: 2 → 3" in longer.err
    other = command("train", mouse, "--run-dir", "run", "training.steps=2", schedule, "generator.dim=2")
    assert other.code == 2 and "schedule" not in other.err


def test_sound_added_between_two_sittings_is_told(mouse, sounds, capsys, console):
    trained(mouse, "run", "training.steps=2")
    trained(mouse, "run", "training.steps=3")
    assert "the sound has changed" not in capsys.readouterr().err
    sounds(9, seconds=0.3)
    trained(mouse, "run", "training.steps=4")
    assert (
        "the sound has changed since: of 6 items 0 are gone, 0 sound different and 3 are new" in capsys.readouterr().err
    )


def test_more_steps_and_other_monitoring_are_no_change(mouse):
    trained(mouse, "run", "training.steps=2")
    more = ("training.steps=4", "training.checkpoint_every=2", "training.keep_last=1", "monitor.preview_every=3")
    assert trained(mouse, "run", *more, "name=rat", "evaluation.count=5").step == 4
    assert steps_of(Path("run")) == [4] and recipes.load("run/recipe.yaml").training.steps == 4
    trained(mouse, "whole", "training.steps=4")
    assert differing(newest("whole")["networks"], newest("run")["networks"]) == []


def test_a_done_run_says_so_without_decoding(mouse, command, monkeypatch):
    trained(mouse, "run")
    before = files_of(Path("run"))
    for name in ("corpora", "training", "batches", "networks"):
        monkeypatch.setattr(assemble, name, None)
    outcome = command("train", mouse, "--run-dir", "run", "--json")
    assert (outcome.code, outcome.err) == (0, "run has taken its 6 steps; raise training.steps to go on\n")
    values = json.loads(outcome.out)
    assert values["step"] == 6 and values["checkpoint"] == "run/checkpoints/step-00000006.pt"
    assert values["seconds"] > 0 and values["steps_per_second"] == 0
    assert files_of(Path("run")) == before


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(mouse, damage, caplog):
    trained(mouse, "run", "training.steps=4")
    path = checkpoint.newest_path(Path("run/checkpoints"))
    content = path.read_bytes()
    third = len(content) // 3
    flipped = content[:third] + bytes([content[third] ^ 255]) + content[third + 1 :]
    path.write_bytes({"cut": content[:third], "flipped": flipped, "empty": b"", "text": b"no weights"}[damage])
    assert trained(mouse, "run").step == 6
    warnings = {record.getMessage() for record in caplog.records if record.levelname == "WARNING"}
    few_held_out, damaged = sorted(warnings)
    assert "step-00000004.pt cannot be read" in damaged and "wavegan evaluate needs" in few_held_out
    trained(mouse, "whole")
    assert differing(newest("whole"), newest("run")) == []
    assert log_of("run") == log_of("whole")


def test_old_checkpoints_make_room_and_some_stay(mouse):
    trained(mouse, "run", "training.steps=8", "training.keep_last=2", "training.keep_every=3")
    assert steps_of(Path("run")) == [3, 6, 7, 8]
    trained(mouse, "sparse", "training.steps=5", "training.checkpoint_every=3")
    assert steps_of(Path("sparse")) == [3, 5], "the last step is saved, whatever the interval"


# What a run tells.


def test_previews_are_the_same_latents_each_time(mouse):
    """Each preview holds clips 0, 1, 2 of seed 0, as `wavegan generate` makes them at that step."""
    trained(mouse, "run", "training.steps=2", "monitor.preview_every=2")
    trained(mouse, "run", "training.steps=5", "monitor.preview_every=2", "training.keep_last=9")
    previews = sorted(path.name for path in Path("run/previews").iterdir())
    assert previews == [f"step-0000000{step}.{kind}" for step in (2, 4, 5) for kind in ("png", "wav")]
    pause = 8000
    for step in (2, 4, 5):
        sound, rate = soundfile.read(f"run/previews/step-0000000{step}.wav")
        assert rate == 16000 and sound.shape == (3 * (CLIP_SAMPLES + pause),)
        heard = sound.reshape(3, -1)
        assert not heard[:, CLIP_SAMPLES:].any()
        path = Path(f"run/checkpoints/step-0000000{step}.pt")
        model = load_model(path, torch.device("cpu")).model
        [clips] = generation.generate(model, 3)
        assert np.abs(heard[:, :CLIP_SAMPLES] - clips[:, 0].numpy()).max() < 1e-4
        picture = imread(f"run/previews/step-0000000{step}.png")
        assert picture.ndim == 3 and min(picture.shape[:2]) > 100 and picture[..., :3].std() > 0.05
    first, last = (soundfile.read(f"run/previews/step-0000000{step}.wav")[0] for step in (2, 5))
    assert np.abs(first - last).max() > 1e-4, "the generator has moved"


def test_previews_do_not_change_the_training(mouse):
    plain = (
        "generator.batch_norm=true",
        "training.ema=0",
        "training.steps=3",
    )  # so that it is the learning one that plays
    trained(mouse, "with", "monitor.preview_every=1", "monitor.preview_count=1", *plain)
    trained(mouse, "without", *plain)
    assert differing(newest("with")["networks"], newest("without")["networks"]) == []


def test_the_corpus_report_names_what_was_skipped(mouse, sounds, tmp_path, capsys, console):
    source = sounds(20, seconds=0.1, name="many", labels=("kick", "snare"))
    (source / "kick" / "broken.wav").write_text("no sound")
    test = sounds(22, seconds=0.1, name="test")
    for tone in sorted(test.glob("*.wav"))[:20]:  # those of the source
        tone.unlink()
    (test / "empty.wav").touch()
    settings = (f"data.source={source}", f"data.test={test}", "data.max_bad_fraction=0.5", "training.steps=1")
    trained(mouse, "run", *settings)
    report = json.loads(Path("run/corpus.json").read_text())
    assert (report["files"], report["seconds"], report["label_names"]) == (20, 2.0, ["kick", "snare"])
    assert report["held_out_files"] == ["tone-020.wav", "tone-021.wav"] and report["split"] == f"data.test: {test}"
    assert set(report["skipped"]) == {"kick/broken.wav", "empty.wav"}
    told = capsys.readouterr().err
    for name, reason in report["skipped"].items():
        assert reason.startswith(("cannot be decoded", "is empty")) and f"{name}: {reason}" in told
    assert newest("run")["label_names"] == ["kick", "snare"]


def test_the_log_and_its_means(mouse):
    """Expects a line every `log_every` steps with the means since the one before, and one at the end."""
    trained(mouse, "each")
    trained(mouse, "fourth", "monitor.log_every=4", "training.checkpoint_every=100")
    each, fourth = log_of("each"), log_of("fourth")
    assert [line["step"] for line in fourth] == [4, 6]
    for line, part in zip(fourth, (each[:4], each[4:]), strict=True):
        for key in set(line) - {"step"}:
            assert line[key] == pytest.approx(np.mean([update[key] for update in part]), rel=1e-6)
    assert set(each[0]) == {
        "step", "discriminators/waveform/wasserstein", "discriminators/waveform/penalty",
        "discriminators/waveform/loss", "generator/loss",
    }  # fmt: skip


# Spoilt.


def spoiling_penalty(*, after_calls: int, spoil: Callable[[torch.Tensor], torch.Tensor]) -> Penalty:
    """Returns the usual penalty, spoilt after `after_calls` calls."""
    calls = 0

    def spoilt_value(gradient: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        value = gradient_penalty.value(gradient)
        return spoil(value) if calls > after_calls else value

    return gradient_penalty._replace(value=spoilt_value)


SPOILING = {
    "a NaN": lambda value: value * torch.nan,
    "an infinity": lambda value: value + torch.inf,
    "a NaN slope of a finite value": lambda value: value + (value - value.detach()).abs().sqrt(),
}


@pytest.mark.usefixtures("on_a_cpu")
@pytest.mark.parametrize("spoil", SPOILING)
@pytest.mark.parametrize("often", [(), ("monitor.log_every=100", "monitor.preview_every=4")])
def test_what_is_not_finite_stops_with_a_way_out(mouse, command, monkeypatch, spoil, often):
    """The penalty is called twice a step, so the third step is spoilt; on a GPU the trials would call it too.

    Nothing of that step is saved, shown or logged.
    """
    penalty = spoiling_penalty(after_calls=4, spoil=SPOILING[spoil])
    monkeypatch.setitem(PENALTIES, "gradient_penalty", penalty)
    outcome = command("train", mouse, "--run-dir", "run", "training.checkpoint_every=2", *often)
    assert outcome.code == 2 and "Traceback" not in outcome.err
    message = outcome.err[outcome.err.index("error: ") :]
    assert "step 3, phase discriminator" in message or "step 3, phase generator" in message
    assert "the last good checkpoint is run/checkpoints/step-00000002.pt" in message
    assert "try a lower optimizers.*.lr" in message
    assert steps_of(Path("run")) == [2] and newest("run")["step"] == 2
    assert all(tensor.isfinite().all() for tensor in newest("run")["networks"]["generator"].values())
    assert max(line["step"] for line in log_of("run")) == 2
    assert not list(Path("run").glob("previews/*"))

    monkeypatch.undo()
    os.chdir(mouse.parent)
    trained(mouse, "run", "training.checkpoint_every=2", *often)
    assert newest("run")["step"] == 6, "and it can be gone on with"


def test_a_huge_rate_stops_before_any_checkpoint(mouse, command):
    settings = ("optimizers.discriminator.lr=1", "method.penalty_weight=1e39", "training.steps=50")
    outcome = command("train", mouse, "--run-dir", "run", "training.checkpoint_every=50", *settings)
    assert outcome.code == 2, outcome.err
    message = outcome.err[outcome.err.index("error: ") :]
    assert "phase discriminator" in message and "there is no checkpoint yet" in message
    assert steps_of(Path("run")) == []


def test_a_spoilt_generator_is_not_saved(mouse, monkeypatch):
    """The last update of a step may spoil weights after every loss was finite."""
    usual = torch.optim.Adam.step

    def step(self: torch.optim.Adam, *arguments: Any) -> Any:
        done = usual(self, *arguments)
        with torch.no_grad():
            next(iter(self.param_groups[0]["params"])).fill_(torch.nan)
        return done

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    with pytest.raises(TrainingError):
        trained(mouse, "run", "training.steps=1", "method.discriminator_steps=1")
    assert steps_of(Path("run")) == []
