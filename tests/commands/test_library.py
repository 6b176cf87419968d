"""Tests the commands as functions: silent, without exits, signals or switches, in any thread; Python's errors."""

import logging
import pickle
import re
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from wavegan import progress
from wavegan import recipe as recipes
from wavegan.cli.console import OPTIONS, in_options
from wavegan.commands import memory
from wavegan.commands.evaluate import Evaluation, evaluate
from wavegan.commands.generate import GenerateResult, generate
from wavegan.commands.judging_options import JudgingOptions
from wavegan.commands.model_loading import load_model, model_path, run_folder_of
from wavegan.commands.train import TrainingResult, train
from wavegan.errors import DataError, RunError, UserError
from wavegan.training import checkpoint
from wavegan.training.signals import ASKED, StopRequest, listening, stop_number, stop_reason

RECIPE = """\
data: {{source: {source}, holdout: 0.4, clip_samples: 4096}}
generator: {{dim: 1, latent_dim: 4}}
discriminators: {{waveform: {{name: wavegan, dim: 1}}}}
training: {{steps: 4, batch_size: 2, checkpoint_every: 2, precision: fp32}}
monitor: {{log_every: 1, preview_every: 0, tensorboard: false}}
"""
SIGNALS = [number for number in signal.Signals if number not in (signal.SIGKILL, signal.SIGSTOP)]


@pytest.fixture
def mouse(sounds, tmp_path, monkeypatch) -> Path:
    """Writes a recipe that trains in a tenth of a second, in a folder of its own."""
    path = tmp_path / "mouse.yaml"
    path.write_text(RECIPE.format(source=sounds(16, seconds=0.3)))
    monkeypatch.chdir(tmp_path)
    return path


def switches() -> dict[str, Any]:
    """Returns all process settings that a library must not change."""
    return {
        "handlers": [signal.getsignal(number) for number in SIGNALS],
        "tf32": (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32),
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "dtype": torch.get_default_dtype(),
        "generator": torch.get_rng_state().tolist(),
        "log level": logging.getLogger("wavegan").level,
        "folder": Path.cwd(),
    }


def in_a_thread(work: Any) -> Any:
    """Returns the result of work() in a thread that is not the main one; its errors are raised here."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def act() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  the main thread raises it
            errors.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def test_a_notebook_can_train_generate_and_evaluate(mouse, capfd, monkeypatch):
    """Nothing is printed, no signal handler and no switch changed, and each command returns its dataclass."""
    asked: list[str] = []
    monkeypatch.setattr(memory, "_of_glibc", lambda function, *_: asked.append(function) or 0)
    recipe, run = recipes.load(mouse), Path("run")
    before = switches()

    trained = in_a_thread(lambda: train(recipe, run, device="cpu"))
    clips = in_a_thread(lambda: generate(run, 3, out=Path("clips"), device="cpu"))
    judged = in_a_thread(lambda: evaluate(run, JudgingOptions(count=2, classifier="none", device="cpu")))

    assert capfd.readouterr() == ("", "")
    assert switches() == before
    assert "mallopt" not in asked
    assert isinstance(trained, TrainingResult) and (trained.step, trained.is_stopped, trained.signal) == (
        4,
        False,
        None,
    )
    assert trained.checkpoint == run / "checkpoints" / "step-00000004.pt" and trained.checkpoint.is_file()
    assert isinstance(clips, GenerateResult) and clips.sample_rate == 16000 and clips.clip_samples == 4096
    assert clips.files == tuple(Path(f"clips/clip-00000{number}.wav") for number in range(3))
    assert all(path.is_file() for path in clips.files)
    assert isinstance(judged, Evaluation) and judged.report.is_file()
    assert {"generated", "real", "noise"} <= set(judged.scores)


def test_what_is_reported_goes_to_the_logs(mouse, caplog):
    with caplog.at_level(logging.INFO, "wavegan"):
        train(recipes.load(mouse), Path("run"), device="cpu")
    texts = {record.getMessage(): record for record in caplog.records}
    [learning] = [text for text in texts if text.startswith("learning from 10 files")]
    assert texts[learning].name == "wavegan.commands.corpus_report" and texts[learning].levelno == logging.INFO
    lines = [record for text, record in texts.items() if text.startswith("step ")]
    assert [line.progress for line in lines] == ["more", "more", "more", "last"]  # type: ignore[attr-defined]
    assert not [text for text in texts if text.startswith("warning")]


@pytest.mark.parametrize("is_main", [True, False])
def test_a_stop_that_is_asked_for_saves_and_is_told(mouse, is_main):
    """Sets the event after the second step, in any thread; the continued run equals one without the stop."""
    event, recipe = threading.Event(), recipes.load(mouse, ["training.checkpoint_every=100"])
    steps = 0

    def stop() -> bool:
        nonlocal steps
        steps += 1
        if steps == 2:
            event.set()
        return event.is_set()

    def work() -> TrainingResult:
        return train(recipe, Path("run"), device="cpu", stop=stop)

    result = work() if is_main else in_a_thread(work)
    assert (result.step, result.is_stopped, result.signal) == (2, True, None)
    assert list(checkpoint.steps(Path("run/checkpoints"))) == [2]
    assert train(recipe, Path("run"), device="cpu").step == 4


def test_a_stop_request_handles_signals_in_the_main_thread_alone():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def handlers() -> list[Any]:
        with StopRequest():
            return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    assert in_a_thread(handlers) == before
    assert all(inside != outside for inside, outside in zip(handlers(), before, strict=True))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_reason_to_stop_is_a_number_for_the_other_processes():
    assert [stop_number(stop) for stop in (None, lambda: False, lambda: None)] == [0, 0, 0]
    assert stop_number(lambda: True) == ASKED and stop_number(lambda: signal.SIGTERM) == 15
    assert [stop_reason(number) for number in (0, ASKED)] == [None, ASKED]
    assert stop_reason(15) is signal.SIGTERM
    with listening(lambda: True), listening(None):  # neither needs to be entered
        pass


# One read of a MODEL.


def test_a_model_is_read_once(mouse, monkeypatch):
    train(recipes.load(mouse), Path("run"), device="cpu")
    reads, load = [], checkpoint.load
    monkeypatch.setattr(checkpoint, "load", lambda path, check: reads.append(path) or load(path, check))
    loaded = load_model(Path("run"), torch.device("cpu"))
    assert reads == [Path("run/checkpoints/step-00000004.pt")]
    assert loaded.recipe == recipes.load(mouse) and loaded.model.step == 4 and not loaded.is_translation
    assert loaded.result_folder("generated") == Path("run/generated") and list(loaded.models) == ["generator"]


def test_the_folder_of_what_comes_of_a_model(tmp_path, monkeypatch):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    assert run_folder_of(run) == run_folder_of(run / "checkpoints" / "step-00000001.pt") == run
    assert run_folder_of(tmp_path / "lone.pt") == tmp_path
    assert run_folder_of(run / "checkpoints") == model_path(run / "checkpoints") == model_path(run) == run
    monkeypatch.chdir(run / "checkpoints")
    assert model_path(Path()) == run and model_path(tmp_path) == tmp_path


# Errors.


def test_an_error_keeps_its_parts_and_is_one_sentence():
    error = RunError("x is 3", "it must be 4", "try 4")
    assert (error.value, error.rule, error.remedy) == ("x is 3", "it must be 4", "try 4")
    assert str(error) == "x is 3; it must be 4; try 4"
    assert str(UserError("x is 3", "", "try 4")) == "x is 3; try 4" and str(UserError("all; in; one")) == "all; in; one"
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is RunError and str(again) == str(error) and again.remedy == "try 4"


def existing(run: Path) -> Any:
    """Generates clips of two seeds into one folder."""
    generate(run, 1, out=Path("clips"), seed=1, device="cpu")
    return lambda: generate(run, 1, out=Path("clips"), device="cpu")


ERRORS = {
    "a file exists": (
        existing,
        DataError,
        "name another folder with `out` or add `force=True`",
        ("generate", "run", "-n", "1", "--out", "clips"),
        "name another folder with --out or add --force",
    ),
    "labels of a model without": (
        lambda run: lambda: generate(run, 1, labels=["kick"], device="cpu"),
        UserError,
        "`labels` is kick, and mouse knows no labels",
        ("generate", "run", "--label", "kick"),
        "--label is kick, and mouse knows no labels",
    ),
    "an unknown device": (
        lambda run: lambda: generate(run, 1, device="gpu"),
        UserError,
        "try `device=auto`",
        ("generate", "run", "--device", "gpu"),
        "try --device auto",
    ),
    "a checkpoint that is not there": (
        lambda run: lambda: generate(run, 1, checkpoint="7", device="cpu"),
        RunError,
        "`checkpoint` is 7; it must be newest, best or the step of a kept checkpoint",
        ("generate", "run", "--checkpoint", "7"),
        "--checkpoint is 7; it must be newest, best or the step of a kept checkpoint",
    ),
    "another recipe": (
        lambda run: lambda: train(recipes.load("mouse.yaml", ["generator.dim=2"]), run, device="cpu"),
        RunError,
        "name another folder with `run_dir`, or start again with `fresh=True`",
        ("train", "mouse.yaml", "generator.dim=2", "--run-dir", "run"),
        "name another folder with --run-dir, or start again with --fresh",
    ),
    "a walk to nowhere": (
        lambda run: lambda: generate(run, 1, interpolate=True, device="cpu"),
        UserError,
        "`count` is 1; `interpolate` walks between two latents or more; try `count=8`",
        ("generate", "run", "-n", "1", "--interpolate"),
        "-n is 1; --interpolate walks between two latents or more; try -n 8",
    ),
    "a folder without data": (
        lambda run: lambda: evaluate(Path("sounds"), JudgingOptions(device="cpu")),
        DataError,
        "add `reference=DIR`",
        ("evaluate", "sounds"),
        "add --data DIR",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_speaks_of_arguments_in_python_and_of_options_on_the_command_line(mouse, command, case):
    prepare, kind, python, words, shell = ERRORS[case]
    run = Path("run")
    train(recipes.load(mouse), run, device="cpu")
    act = prepare(run)
    with pytest.raises(kind) as caught:
        act()
    assert python in str(caught.value) and "--" not in str(caught.value)
    outcome = command(*words)
    assert outcome.code == 2 and shell in outcome.err and "`" not in outcome.err
    assert outcome.err.splitlines()[-1 if case != "another recipe" else 0].startswith("error: ")


def test_only_known_arguments_become_options():
    text = "with `out` or `force=True`, `device=cuda:1`; `weights` stay, `to=x y`"
    assert in_options(text) == "with --out or --force, --device cuda:1; `weights` stay, --to x y"
    assert OPTIONS["run_dir"] == "--run-dir"


# Progress.


def test_bars_are_shown_only_to_those_who_ask(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress.track(range(3), 3, "clips")) == [0, 1, 2]
    with progress.bar(3, "files") as silent:
        silent.update(3)
    assert capsys.readouterr() == ("", "")
    with progress.shown():
        assert list(progress.track(range(3), 3, "clips")) == [0, 1, 2]
        assert " clips" in capsys.readouterr().err
        in_a_thread(lambda: list(progress.track(range(3), 3, "clips")))
        assert capsys.readouterr().err == "", "another thread has not asked"
    list(progress.track(range(3), 3, "clips"))
    assert capsys.readouterr().err == ""


# What the docs say.


def test_the_examples_of_the_docs_run(mouse, sounds, capsys, monkeypatch):
    """Runs the blocks of docs/python.md one after another, as a reader would, with a small recipe."""
    folder = sounds(60, seconds=0.3, labels=("kick", "snare"), name="enough")
    mouse.write_text(RECIPE.format(source=folder).replace("latent_dim: 4", "latent_dim: 4, labels: auto"))
    text = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
    example = "".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    for written, small in {
        '"quickstart"': '"mouse.yaml"',
        "steps=200": "steps=2",
        "step >= 150": "step >= 3",
        "my/drums": str(folder),
    }.items():
        assert written in example
        example = example.replace(written, small)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    exec(compile(example, "docs/python.md", "exec"), {})  # noqa: S102
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("16000 kick (17, 1, 4096) ") and float(first.split()[-1]) > 0
    step, path, score = second.split()
    assert step == "2" and path == "clips/clip-000000.wav" and float(score) > 0
    assert third.count("'value': ") == 2, "kad_e of generated and of real clips"
    assert list(checkpoint.steps(Path("runs/first/checkpoints"))) == [2, 3], "it was stopped"
