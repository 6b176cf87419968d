"""Tests one session of training: signals, non-finite numbers, collapses, and exact continuation."""

import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from wavegan import distributed
from wavegan.errors import RunError, TrainingError, UserError
from wavegan.seeding import derive
from wavegan.torch_files import ContentError
from wavegan.training import checkpoint, checkpoint_manager, grace, session, watchdog
from wavegan.training.checkpoint_manager import PeriodicEvaluation
from wavegan.training.follower import follow_session
from wavegan.training.monitor import Monitor
from wavegan.training.session import run_session
from wavegan.training.signals import SIGNALS, StopRequest
from wavegan.training.watchdog import ROLLBACK, WARN, CollapsePolicy, Watchdog


def sit(
    training,
    batches,
    folder: Path,
    *,
    steps: int,
    checkpoint_every: int = 100,
    keep_last: int = 9,
    log_every=1,
    **settings,
):
    """Runs one session of a training, from the step it has."""
    folder.mkdir(exist_ok=True)
    monitor = Monitor(folder / "log.jsonl", step=training.step, steps=steps, log_every=log_every)
    others: dict[str, Any] = {"stop": StopRequest()} | settings
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
        **others,
    )


def saved(folder: Path) -> list[int]:
    return list(checkpoint.steps(folder / "checkpoints"))


def logged(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]


def at_draw(batches, when: int, act):
    """Returns the same batches, with an act in the middle of a step."""
    return lambda draw: (act() if draw == when else None, batches(draw))[1]


def same_weights(first, second) -> bool:
    a, b = (training.state()["networks"] for training in (first, second))
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


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_finishes_the_step_saves_and_can_be_gone_on_from(training, batches, tmp_path, number):
    """The signal comes in the middle of step 3; with one discriminator update, a step makes two draws."""
    handlers = {each: signal.getsignal(each) for each in SIGNALS}
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
    """The signal may end this step or the next, but that step is saved."""
    prune, made = checkpoint.prune, training()

    def struck(*arguments, **settings):
        prune(*arguments, **settings)
        if made.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(checkpoint, "prune", struck)
    assert sit(made, batches, tmp_path, steps=9, checkpoint_every=2) == signal.SIGTERM
    assert made.step < 5 and saved(tmp_path)[-1] == made.step


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("repeat_seconds", [0.0, 1000.0])
def test_a_later_sigint_stops_at_once_and_a_repetition_or_sigterm_does_not(
    training, batches, tmp_path, number, repeat_seconds
):
    def twice():
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)

    made, stop = training(), StopRequest(repeat_seconds=repeat_seconds)
    if number == signal.SIGINT and not repeat_seconds:
        with pytest.raises(KeyboardInterrupt):
            sit(made, at_draw(batches, 2, twice), tmp_path, steps=5, stop=stop)
        assert made.step == 1 and saved(tmp_path) == []
    else:
        assert sit(made, at_draw(batches, 2, twice), tmp_path, steps=5, stop=stop) == number
        assert saved(tmp_path) == [2]


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
    assert text.startswith("waveform/wasserstein became nan in step 6, phase discriminators; ")
    assert f"the last good checkpoint is {good}; try a lower optimizers.*.lr, training.gradient_clip=1 or" in text
    assert saved(tmp_path) == [2, 4]
    networks = checkpoint.load(good)["networks"].values()
    assert all(tensor.isfinite().all() for network in networks for tensor in network.values())


def test_nan_before_the_first_checkpoint(training, batches, tmp_path):
    made = training()
    with pytest.raises(TrainingError, match="in step 1, phase discriminators; there is no checkpoint yet; try"):
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


# Watched: training 0 has two draws a step, so that of step k begins with draw 2 (k - 1).


@pytest.fixture
def no_grace(monkeypatch):
    """Judges from the fourth line and the first clips on, so that few steps are enough."""
    monkeypatch.setattr(watchdog, "GRACE_STEPS", 0)
    monkeypatch.setattr(watchdog, "GRACE_LINES", 3)


def watched(training, on_collapse: str = ROLLBACK, **settings) -> CollapsePolicy:
    """Returns a watch over the clips of eight latents."""
    z = torch.rand(8, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def clips():
        with torch.no_grad():
            return training.method.networks["generator"](z)

    return CollapsePolicy(Watchdog(), clips, on_collapse, **settings)


def log_of(folder: Path, key: str) -> list[dict]:
    """Returns the log lines that hold a key."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if key in line]


def newest(folder: Path) -> dict:
    return checkpoint.load_newest(folder / "checkpoints") or {}


def hush(training) -> None:
    with torch.no_grad():
        for parameter in training.method.networks["generator"].parameters():
            parameter.zero_()


def repeat(training) -> None:
    """Makes all latents give one clip, a loud one."""
    generator = training.method.networks["generator"]
    with torch.no_grad():
        generator.dense.weight.zero_()
        generator.dense.bias.uniform_(-1, 1, generator=torch.Generator().manual_seed(0))


def explode(training) -> None:
    with torch.no_grad():
        for parameter in training.method.networks["discriminators.waveform"].parameters():
            parameter.mul_(30)


def once(batches, when: int, act):
    """Returns the same batches, with an act in the middle of a step, the first time only."""
    acts = [act]
    return at_draw(batches, when, lambda: acts.pop()() if acts else None)


COLLAPSES = [
    (hush, "100% of clips are silent"),
    (repeat, "100% of clips sound like another clip"),
    (explode, "discriminators/waveform/wasserstein is "),
    (lambda training: spoil(training), "waveform/wasserstein became nan in step 7"),
]


@pytest.mark.usefixtures("no_grace")
@pytest.mark.parametrize(("collapse", "reason"), COLLAPSES, ids=["silent", "alike", "explosion", "nan"])
def test_a_collapse_goes_back_to_the_healthy_checkpoint_with_another_seed(
    training, batches, tmp_path, capsys, collapse, reason, console
):
    """Continues exactly as a training with the new seed does from that checkpoint, bit for bit."""
    made, expected = training(seed=5, ema=0.9), training(seed=5, ema=0.9)
    sick = once(batches, 12, lambda: collapse(made))
    sit(made, sick, tmp_path / "run", steps=13, checkpoint_every=5, watch=watched(made))
    (rollback,) = log_of(tmp_path / "run", "rollback")
    assert rollback["step"] == 5 and rollback["rollback"].startswith(reason)
    assert rollback["rollback"].endswith("; back to step 5 with another seed, time 1 of at most 3")
    told = capsys.readouterr().err
    assert f"warning: {rollback['rollback']}\n" in told and told.count("warning") == 1
    assert not log_of(tmp_path / "run", "alarm")
    assert logged(tmp_path / "run") == [1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert saved(tmp_path / "run") == [0, 5, 10, 13] and newest(tmp_path / "run")["rollbacks"] == 1
    assert made.seed == 5, "the training's own, when the session is over"

    sit(expected, batches, tmp_path / "expected", steps=5)
    expected.seed = derive(5, 1, "rollback")
    sit(expected, batches, tmp_path / "expected", steps=13)
    assert same_weights(made, expected)
    average, other = made.averages["generator"].state_dict(), expected.averages["generator"].state_dict()
    assert all(torch.equal(average[name], other[name]) for name in average)


@pytest.mark.usefixtures("no_grace")
@pytest.mark.parametrize("on_collapse", [WARN, ROLLBACK])
def test_a_watch_changes_nothing_of_a_healthy_training(training, batches, tmp_path, capsys, on_collapse, console):
    plain, made = training(), training()
    sit(plain, batches, tmp_path / "plain", steps=12, checkpoint_every=4)
    sit(made, batches, tmp_path / "run", steps=12, checkpoint_every=4, watch=watched(made, on_collapse))
    assert same_weights(plain, made) and logged(tmp_path / "run") == list(range(1, 13))
    assert saved(tmp_path / "run") == [*([0] if on_collapse == ROLLBACK else []), 4, 8, 12]
    assert "warning" not in capsys.readouterr().err


@pytest.mark.usefixtures("no_grace")
def test_a_warning_comes_once_and_the_healthy_checkpoint_is_kept(training, batches, tmp_path, capsys, console):
    made = training()
    watch = watched(made, WARN)
    sick = at_draw(batches, 9, lambda: hush(made))
    sit(made, sick, tmp_path, steps=14, checkpoint_every=2, keep_last=2, watch=watch)
    (alarm,) = log_of(tmp_path, "alarm")
    assert alarm["step"] == 6 and "silent" in alarm["alarm"] and "last within the limit at step 4" in alarm["alarm"]
    assert capsys.readouterr().err.count(f"warning: {alarm['alarm']}\n") == 1
    assert saved(tmp_path) == [4, 12, 14] and not log_of(tmp_path, "rollback")
    assert {newest(tmp_path)[key] for key in ("healthy_step", "rollbacks")} == {4, 0}


def test_nan_ends_a_training_that_only_warns(training, batches, tmp_path):
    made = training()
    with pytest.raises(TrainingError, match="nan in step 4, phase discriminators; the last good .*00002.pt; try"):
        sit(
            made,
            at_draw(batches, 6, lambda: spoil(made)),
            tmp_path,
            steps=8,
            checkpoint_every=2,
            watch=watched(made, WARN),
        )


def test_silence_is_seen_between_checkpoints(training, batches, tmp_path, monkeypatch):
    monkeypatch.setattr(watchdog, "GRACE_STEPS", 0)
    monkeypatch.setattr(checkpoint_manager, "CHECK_CLIPS_EVERY", 2)
    made, watch = training(), Watchdog()
    noise = torch.rand(8, 1, 2048, generator=torch.Generator().manual_seed(0)) - 0.5
    policy = CollapsePolicy(watch, clips=lambda: noise * (made.step < 5))
    sit(made, batches, tmp_path, steps=7, log_every=5, watch=policy)
    assert watch.healthy_steps["silent"] == 4
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "alarm" not in line] == [5, 7], "and no log line comes earlier"
    (alarm,) = (line for line in lines if "alarm" in line)
    assert alarm["step"] == 6 and alarm["alarm"].startswith("100% of clips are silent")


def test_a_collapse_before_the_first_checkpoint_goes_back_to_the_start(training, batches, tmp_path):
    made, expected = training(seed=1), training(seed=derive(1, 1, "rollback"))
    sick = once(batches, 2, lambda: spoil(made))
    sit(made, sick, tmp_path / "run", steps=5, keep_last=1, watch=watched(made))
    sit(expected, batches, tmp_path / "expected", steps=5)
    assert same_weights(made, expected) and log_of(tmp_path / "run", "rollback")[0]["step"] == 0


def test_weights_spoilt_at_the_last_step_are_taken_back(training, batches, tmp_path):
    made = training()
    strikes = [4]
    made.optimizers["generator"].register_step_post_hook(
        lambda *_: spoil(made) if made.step + 1 in strikes and not strikes.clear() else None
    )
    sit(made, batches, tmp_path, steps=4, checkpoint_every=2, watch=watched(made))
    assert log_of(tmp_path, "rollback")[0]["rollback"].startswith("weights became infinite or nan by step 4")
    assert saved(tmp_path) == [0, 2, 4] and not made.spoilt_networks()


@pytest.mark.usefixtures("no_grace")
@pytest.mark.parametrize("fault", ["damaged", "of other content"])
def test_it_does_not_go_back_to_a_checkpoint_that_cannot_be_used(training, batches, tmp_path, fault):
    made = training()

    def spoil_all() -> None:
        hush(made)
        if fault == "damaged":
            healthy = checkpoint.path_of(tmp_path / "checkpoints", 5)
            healthy.write_bytes(healthy.read_bytes()[:-200])

    def check(content) -> None:
        if fault == "of other content":
            raise ContentError(f"step {content['step']} holds something else")

    with pytest.raises(RunError) as failure:
        sick = once(batches, 14, spoil_all)
        sit(made, sick, tmp_path, steps=10, checkpoint_every=5, watch=watched(made), check=check)
    assert str(failure.value).startswith("100% of clips are silent")
    assert "step-00000005.pt cannot be " in str(failure.value) and "run the same command" in str(failure.value)
    assert saved(tmp_path) == [0, 5] and not log_of(tmp_path, "rollback")


def test_it_goes_back_a_stated_number_of_times(training, batches, tmp_path):
    made = training()
    ever = at_draw(batches, 7, lambda: spoil(made))
    good = tmp_path / "checkpoints" / "step-00000003.pt"
    with pytest.raises(TrainingError) as caught:
        sit(made, ever, tmp_path, steps=9, checkpoint_every=3, watch=watched(made, max_rollbacks=2))
    text = str(caught.value)
    assert text.startswith(
        "loss became nan in step 4, phase generator; the training went back 2 times already, and trai"
    )
    assert f"the last good checkpoint is {good}; try a lower optimizers" in text
    assert [line["rollback"][-19:] for line in log_of(tmp_path, "rollback")] == [
        f" time {number} of at most 2"[-19:] for number in (1, 2)
    ]
    resumed = training()
    resumed.restore(newest(tmp_path))
    with pytest.raises(TrainingError, match="went back 2 times already"):
        ever = at_draw(batches, 7, lambda: spoil(resumed))
        watch = watched(resumed, max_rollbacks=2)
        sit(resumed, ever, tmp_path, steps=9, checkpoint_every=3, watch=watch, resumed=newest(tmp_path))


@pytest.mark.usefixtures("no_grace")
def test_a_run_that_went_back_resumes_as_if_it_had_not_stopped(training, batches, tmp_path):
    whole, cut, resumed = training(seed=3), training(seed=3), training(seed=3, start=1)
    sick = once(batches, 9, lambda: repeat(whole))
    sit(whole, sick, tmp_path / "whole", steps=12, checkpoint_every=3, watch=watched(whole))

    sick = once(batches, 9, lambda: repeat(cut))
    struck = at_draw(sick, 15, lambda: os.kill(os.getpid(), signal.SIGTERM))
    stopped = sit(cut, struck, tmp_path / "cut", steps=12, checkpoint_every=3, watch=watched(cut))
    assert stopped == signal.SIGTERM and saved(tmp_path / "cut") == [0, 3, 6, 8]
    state = newest(tmp_path / "cut")
    resumed.restore(state)
    sit(resumed, batches, tmp_path / "cut", steps=12, checkpoint_every=3, watch=watched(resumed), resumed=state)
    assert same_weights(resumed, whole)
    cut_state, whole_state = newest(tmp_path / "cut"), newest(tmp_path / "whole")
    assert cut_state["rollbacks"] == whole_state["rollbacks"] == 1 and cut_state["watchdog"] == whole_state["watchdog"]
    assert cut_state["healthy_step"] == whole_state["healthy_step"] == 12
    assert len(log_of(tmp_path / "cut", "rollback")) == 1


def test_the_seed_stays_where_a_run_goes_on_unwatched(training, batches, tmp_path):
    watch, plain = training(), training()
    sit(
        watch,
        once(batches, 7, lambda: spoil(watch)),
        tmp_path / "run",
        steps=6,
        checkpoint_every=3,
        watch=watched(watch),
    )
    for made, watches in ((watch, watched(watch)), (plain, None)):
        state = checkpoint.load(tmp_path / "run" / "checkpoints" / "step-00000006.pt")
        made.restore(state)
        sit(made, batches, tmp_path / "run", steps=8, resumed=state, watch=watches)
        assert newest(tmp_path / "run")["rollbacks"] == 1
    assert same_weights(watch, plain)


def test_a_kill_right_after_going_back_forgets_nothing(training, batches, tmp_path):
    """Before the kill, a checkpoint after the healthy one is deleted; a session that only warned leaves such a one."""
    made, draws = training(), []
    sit(made, batches, tmp_path, steps=4, checkpoint_every=2, watch=watched(made))
    state = newest(tmp_path)
    checkpoint.save(tmp_path / "checkpoints", {**state, "step": 6})

    def strike():
        draws.append(made.seed)
        spoil(made) if len(draws) == 1 else {}["killed"]

    with pytest.raises(KeyError):
        sit(made, at_draw(batches, 8, strike), tmp_path, steps=9, watch=watched(made), resumed=state)
    assert draws == [0, derive(0, 1, "rollback")]
    assert saved(tmp_path) == [0, 2, 4] and newest(tmp_path)["rollbacks"] == 1


@pytest.mark.usefixtures("no_grace")
def test_a_signal_does_not_save_a_collapse(training, batches, tmp_path):
    made = training()

    def both():
        hush(made)
        os.kill(os.getpid(), signal.SIGTERM)

    assert sit(made, at_draw(batches, 8, both), tmp_path, steps=9, checkpoint_every=3, watch=watched(made))
    assert saved(tmp_path) == [0, 3] and newest(tmp_path)["rollbacks"] == 1 and made.step == 3


@pytest.mark.usefixtures("no_grace")
def test_a_collapse_that_only_warned_is_taken_back_when_that_is_wished(training, batches, tmp_path):
    made = training()
    sick = at_draw(batches, 9, lambda: repeat(made))
    sit(made, sick, tmp_path, steps=8, checkpoint_every=2, watch=watched(made, WARN))
    state = newest(tmp_path)
    assert state["step"] == 8 and state["healthy_step"] == 4
    sit(made, batches, tmp_path, steps=9, checkpoint_every=2, watch=watched(made), resumed=state)
    (rollback,) = log_of(tmp_path, "rollback")
    assert rollback["step"] == 4 and "sound like another clip" in rollback["rollback"]


@pytest.mark.usefixtures("no_grace")
def test_no_figures_are_made_of_a_collapse(training, batches, tmp_path):
    made, judged = training(), []

    def figures() -> dict[str, float]:
        judged.append(made.step)
        return {"fad": 1.0 / made.step}

    sick = once(batches, 9, lambda: repeat(made))
    evaluation = PeriodicEvaluation(every=3, headline="fad", figures=figures)
    sit(made, sick, tmp_path, steps=9, checkpoint_every=4, watch=watched(made), evaluation=evaluation)
    assert judged == [3, 6, 9] and log_of(tmp_path, "rollback")[0]["step"] == 4
    best = checkpoint.load(tmp_path / "checkpoints" / "best.pt")
    assert best["step"] == 9 and best["rollbacks"] == 1


def test_the_other_processes_go_back_too(training, batches, tmp_path, monkeypatch):
    """Replays to them, in order, the values that the main process shares and that all agree on."""
    main, other = training(seed=2), training(seed=2)
    agree, share, said = distributed.max_over_ranks, distributed.broadcast, []

    def noted(act):
        def record(value=None):
            path = tmp_path / "shared.pt"
            torch.save(act(value), path)
            said.append((act.__name__, torch.load(path)))
            return value

        return record

    monkeypatch.setattr(distributed, "max_over_ranks", noted(agree))
    monkeypatch.setattr(distributed, "broadcast", noted(share))
    sit(main, once(batches, 7, lambda: spoil(main)), tmp_path, steps=6, checkpoint_every=3, watch=watched(main))
    sit(main, batches, tmp_path, steps=8, resumed=newest(tmp_path))

    def heard(name):
        def repeat(value=None):
            kind, answer = said.pop(0)
            assert kind == name, "the other one waits for something else"
            return answer

        return repeat

    monkeypatch.setattr(distributed, "max_over_ranks", heard("max_over_ranks"))
    monkeypatch.setattr(distributed, "broadcast", heard("broadcast"))
    for steps in (6, 8):
        assert follow_session(other, batches, steps=steps) is None
        other.seed = 2  # as a process that has just been started
    assert said == [] and other.step == 8 and same_weights(main, other)


def test_forgetting_what_came_later_leaves_the_step_itself(tmp_path):
    for step in (2, 4, 6, 8):
        checkpoint.save(tmp_path, {"step": step})
    checkpoint.forget_later(tmp_path, 4)
    assert list(checkpoint.steps(tmp_path)) == [2, 4]


# Work that follows a checkpoint is done after a kill.


class Killed(BaseException):
    """Stands for a kill: no orderly end follows."""


@pytest.mark.parametrize("place", ["figures", "save", "tell"])
@pytest.mark.parametrize(("step", "steps"), [(4, 4), (2, 4)])
def test_a_step_whose_evaluation_was_cut_off_is_evaluated_when_the_run_goes_on(
    training, batches, tmp_path, monkeypatch, place, step, steps
):
    """The kill comes while the step is judged, before best.pt is saved, or before the log tells of it."""
    made, judged = training(), []

    def evaluation(training) -> PeriodicEvaluation:
        def figures() -> dict[str, float]:
            judged.append(training.step)
            if place == "figures" and judged.count(step) == 1 and training.step == step:
                raise Killed
            return {"fad": 1.0 / training.step}

        return PeriodicEvaluation(every=2, headline="fad", figures=figures)

    def killing(owner, name: str, strikes) -> None:
        original = getattr(owner, name)

        def struck(*arguments, **settings):
            if strikes(*arguments, **settings):
                raise Killed
            return original(*arguments, **settings)

        monkeypatch.setattr(owner, name, struck)

    with monkeypatch.context() as patched:
        monkeypatch = patched
        if place == "save":
            killing(checkpoint, "save", lambda folder, content, is_best=False: is_best and content["step"] == step)
        if place == "tell":
            killing(Monitor, "tell", lambda monitor, figures: monitor.step == step)
        with pytest.raises(Killed):
            sit(made, batches, tmp_path, steps=steps, checkpoint_every=2, evaluation=evaluation(made))
    again = training()
    state = newest(tmp_path)
    again.restore(state)
    assert again.step == step
    sit(again, batches, tmp_path, steps=steps, checkpoint_every=2, evaluation=evaluation(again), resumed=state)
    assert [line["step"] for line in log_of(tmp_path, "evaluation/fad")] == [2, 4]
    best = checkpoint.load(tmp_path / "checkpoints" / "best.pt")
    assert (best["step"], best["evaluation"]) == (4, {"fad": 0.25})


def test_an_evaluation_that_is_complete_is_not_repeated(training, batches, tmp_path):
    made, judged = training(), []
    figures = PeriodicEvaluation(
        every=2, headline="fad", figures=lambda: {"fad": float(len(judged.append(1) or judged))}
    )
    sit(made, batches, tmp_path, steps=4, evaluation=figures)
    for _ in range(2):
        sit(made, batches, tmp_path, steps=4, evaluation=figures, resumed=newest(tmp_path))
    assert len(judged) == 2 and len(log_of(tmp_path, "evaluation/fad")) == 2


def test_a_stopped_training_leaves_the_evaluation_of_its_last_step_to_the_next_session(training, batches, tmp_path):
    """It was saved before, and an evaluation may take longer than a signal leaves time for."""
    made, judged = training(), []
    evaluation = PeriodicEvaluation(
        every=2, headline="fad", figures=lambda: judged.append(made.step) or {"fad": 1.0 / made.step}
    )
    struck = at_draw(batches, 6, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    assert sit(made, struck, tmp_path, steps=6, evaluation=evaluation) == signal.SIGUSR1
    assert saved(tmp_path) == [2, 4] and judged == [2], "an evaluated step is saved first"
    sit(made, batches, tmp_path, steps=6, evaluation=evaluation, resumed=newest(tmp_path))
    assert judged == [2, 4, 6] and len(log_of(tmp_path, "evaluation/fad")) == 3


# Time.


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """Returns the time that passes for the session, in seconds, as a list of one number."""
    now = [1000.0]
    for module in (session, grace):
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def passing(clock: list[float], batches, seconds: float):
    """Returns the same batches, each of which takes some seconds; a step makes two draws."""

    def make(draw: int):
        clock[0] += seconds
        return batches(draw)

    return make


def test_a_checkpoint_also_comes_when_the_last_one_is_old(training, batches, tmp_path, clock):
    slow = passing(clock, batches, 20)
    sit(training(), slow, tmp_path, steps=8, checkpoint_every=5, checkpoint_seconds=100)
    assert saved(tmp_path) == [3, 5, 8], "three steps take 120 s"


@pytest.mark.parametrize(
    ("variables", "limit"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "1"}, 30),
        ({"TORCHELASTIC_RUN_ID": "x", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "45"}, 45),
        ({"WAVEGAN_GRACE_SECONDS": "49"}, 49),
        ({"SLURM_JOB_ID": "1", "WAVEGAN_GRACE_SECONDS": "300"}, None),
    ],
)
def test_a_late_answer_to_a_signal_is_foreseen(
    training, batches, tmp_path, clock, monkeypatch, caplog, variables, limit
):
    """Steps take 40 s after a first one of 400 s, the save 12 s."""
    for name in (*grace.VARIABLES, *grace.SENDERS):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    usual = checkpoint.save

    def save(*arguments, **settings):
        clock[0] += 12
        return usual(*arguments, **settings)

    monkeypatch.setattr(checkpoint, "save", save)
    slow = at_draw(passing(clock, batches, 20), 0, lambda: clock.__setitem__(0, clock[0] + 360))
    sit(training(), slow, tmp_path, steps=4, checkpoint_every=3)
    told = [record.message for record in caplog.records if "a signal may be answered only after" in record.message]
    if limit is None:
        assert told == []
        return
    assert len(told) == 1 and f"a kill is expected after {limit} s" in told[0]
    parts = "40 s (a step 40 s)" if limit == 30 else "52 s (a step 40 s, a checkpoint 12 s)"
    assert parts in told[0] and "training.checkpoint_minutes" in told[0]


def test_a_grace_period_is_a_number(monkeypatch):
    monkeypatch.setenv("WAVEGAN_GRACE_SECONDS", "2m")
    with pytest.raises(UserError, match="WAVEGAN_GRACE_SECONDS is '2m'; it must be a whole number of seconds; try 120"):
        grace.grace_seconds()
