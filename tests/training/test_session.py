"""One sitting of training: signals, non-finite numbers, and going on as if nothing had happened."""

import json
import math
import os
import signal
from pathlib import Path

import pytest
import torch

from wavegan.errors import TrainingError
from wavegan.training import checkpoint
from wavegan.training.monitor import Monitor
from wavegan.training.session import run_session


def sit(training, batches, folder: Path, *, steps: int, checkpoint_every: int = 100, keep_last: int = 9, log_every=1):
    """One session of a training, from the step it has."""
    folder.mkdir(exist_ok=True)
    monitor = Monitor(folder / "log.jsonl", step=training.step, steps=steps, log_every=log_every)
    return run_session(
        training,
        batches,
        monitor,
        checkpoints=folder / "checkpoints",
        steps=steps,
        checkpoint_every=checkpoint_every,
        keep_last=keep_last,
        keep_every=0,
        description={"recipe": {"name": "a test"}},
    )


def saved(folder: Path) -> list[int]:
    return list(checkpoint.steps(folder / "checkpoints"))


def logged(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]


def at_draw(batches, when: int, act):
    """The same batches, with something happening in the midst of a step."""
    return lambda draw: (act() if draw == when else None, batches(draw))[1]


def same_weights(one, other) -> bool:
    a, b = (training.state()["networks"] for training in (one, other))
    return all(torch.equal(a[name][key], b[name][key]) for name in a for key in a[name])


def test_checkpoints_come_at_their_interval_and_at_the_end(training, batches, tmp_path):
    assert sit(training(), batches, tmp_path, steps=7, checkpoint_every=3) is None
    assert saved(tmp_path) == [3, 6, 7]
    assert logged(tmp_path) == list(range(1, 8))
    content = checkpoint.load(checkpoint.newest_path(tmp_path / "checkpoints"))
    assert content["recipe"] == {"name": "a test"} and content["step"] == 7 and content["seconds"] > 0


def test_old_checkpoints_go(training, batches, tmp_path):
    sit(training(), batches, tmp_path, steps=6, checkpoint_every=1, keep_last=2)
    assert saved(tmp_path) == [5, 6]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_step_saves_and_can_be_gone_on_from(training, batches, tmp_path, number):
    """The signal comes in the midst of step 3; with one discriminator update, a step makes two draws."""
    handlers = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    whole, stopped, resumed = training(), training(), training(start=1)
    sit(whole, batches, tmp_path / "whole", steps=5)

    struck = at_draw(batches, 4, lambda: os.kill(os.getpid(), number))
    assert sit(stopped, struck, tmp_path / "cut", steps=5, log_every=10) == number
    assert stopped.step == 3 and saved(tmp_path / "cut") == [3] and logged(tmp_path / "cut") == [3]
    assert {each: signal.getsignal(each) for each in handlers} == handlers

    resumed.restore(checkpoint.load_newest(tmp_path / "cut" / "checkpoints") or {})
    assert sit(resumed, batches, tmp_path / "cut", steps=5, log_every=10) is None
    assert saved(tmp_path / "cut") == [3, 5] and logged(tmp_path / "cut") == [3, 5]
    assert same_weights(resumed, whole)


def test_a_signal_during_a_save_is_not_lost(training, batches, tmp_path, monkeypatch):
    """It may end this step or the next, but what it ends is saved."""
    prune, made = checkpoint.prune, training()

    def struck(*arguments, **settings):
        prune(*arguments, **settings)
        if made.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(checkpoint, "prune", struck)
    assert sit(made, batches, tmp_path, steps=9, checkpoint_every=2) == signal.SIGTERM
    assert made.step < 5 and saved(tmp_path)[-1] == made.step


def test_a_second_interrupt_stops_at_once_and_a_second_sigterm_does_not(training, batches, tmp_path):
    def twice(number):
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)

    made = training()
    with pytest.raises(KeyboardInterrupt):
        sit(made, at_draw(batches, 2, lambda: twice(signal.SIGINT)), tmp_path / "int", steps=5)
    assert made.step == 1 and saved(tmp_path / "int") == []
    made = training()
    patient = at_draw(batches, 2, lambda: twice(signal.SIGTERM))
    assert sit(made, patient, tmp_path / "term", steps=5) == signal.SIGTERM
    assert saved(tmp_path / "term") == [2]


def spoil(training) -> None:
    with torch.no_grad():
        training.method.networks["generator"].dense.weight[0, 0] = math.nan


@pytest.mark.parametrize("log_every", [1, 100])
def test_nan_is_never_saved_and_the_error_names_the_last_good_checkpoint(training, batches, tmp_path, log_every):
    made = training()
    with pytest.raises(TrainingError) as caught:
        sit(
            made,
            at_draw(batches, 10, lambda: spoil(made)),
            tmp_path,
            steps=8,
            checkpoint_every=2,
            log_every=log_every,
        )
    good = tmp_path / "checkpoints" / "step-00000004.pt"
    text = str(caught.value)
    assert text.startswith("wasserstein became nan in step 6, phase discriminator; ")
    assert f"the last good checkpoint is {good}; try a lower optimizers.*.lr, training.gradient_clip=1 or" in text
    assert saved(tmp_path) == [2, 4]
    networks = checkpoint.load(good)["networks"].values()
    assert all(tensor.isfinite().all() for network in networks for tensor in network.values())


def test_nan_before_the_first_checkpoint(training, batches, tmp_path):
    made = training()
    with pytest.raises(TrainingError, match="in step 1, phase discriminator; there is no checkpoint yet; try"):
        sit(made, at_draw(batches, 0, lambda: spoil(made)), tmp_path, steps=8)
    assert saved(tmp_path) == []


def test_weights_spoilt_behind_finite_losses_are_not_saved(training, batches, tmp_path):
    """The loss of a step is that of its weights before the update; a gradient may have overflowed in it."""
    made = training()
    optimizer = made.optimizers["generator"]
    optimizer.register_step_post_hook(lambda *_: spoil(made) if made.step == 3 else None)
    with pytest.raises(TrainingError, match="weights .* by step 4, network generator; the last good .*00002.pt; try"):
        sit(made, batches, tmp_path, steps=8, checkpoint_every=2)
    assert saved(tmp_path) == [2]


def test_an_error_gives_signals_and_the_progress_line_back(training, batches, tmp_path):
    before = signal.getsignal(signal.SIGINT)

    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sit(training(), at_draw(batches, 2, fail), tmp_path, steps=8)
    assert signal.getsignal(signal.SIGINT) is before
