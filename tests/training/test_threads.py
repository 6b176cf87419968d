"""Tests the choice of threads by steps whose time is known, and that a run keeps its number."""

import pytest
import torch

from wavegan.training import threads
from wavegan.training.threads import settle_threads, threads_kept, tried


@pytest.fixture(autouse=True)
def four(monkeypatch):
    """Gives torch four threads, which no variable asks for."""
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with threads_kept():
        torch.set_num_threads(4)
        yield


class Machine:
    """Has a clock that a step moves on by the seconds for torch's number of threads, in turn."""

    def __init__(self, **seconds: list[float]):
        self.seconds, self.now, self.steps = {int(name[1:]): list(each) for name, each in seconds.items()}, 0.0, []

    def step(self) -> None:
        count = torch.get_num_threads()
        self.steps.append(count)
        times = self.seconds[count]
        self.now += times.pop(0) if len(times) > 1 else times[0]

    def tried(self) -> dict[int, float]:
        return tried(self.step, 4, lambda: self.now)


def test_means_over_blocks_that_take_turns():
    machine = Machine(n4=[9.0, 0.5, 9.0, 0.1, 0.1, 0.1, 9.0, 0.9], n2=[0.4], n1=[0.6])
    assert machine.tried() == pytest.approx({4: (0.5 + 0.1 + 0.9) / 3, 2: 0.4, 1: 0.6})
    assert machine.steps == [4, 4, 2, 2, 1, 1, 4, 4, 4, 4, 2, 2, 1, 1, 4, 4, 2, 2, 1, 1], "the first of a block is lost"
    assert torch.get_num_threads() == 4


def test_numbers_below_a_hopeless_one_are_not_tried():
    assert Machine(n4=[0.4], n2=[0.53], n1=[0.01]).tried() == pytest.approx({4: 0.4, 2: 0.53})
    assert Machine(n4=[0.4], n2=[0.51], n1=[0.7]).tried().keys() == {4, 2, 1}


@pytest.mark.parametrize(("seconds", "steps"), [(5.0, 2), (0.9, 6)])
def test_a_number_whose_steps_take_seconds_is_not_tried_again(seconds, steps):
    machine = Machine(n4=[seconds], n2=[0.25], n1=[0.3])
    assert machine.tried() == pytest.approx({4: seconds, 2: 0.25, 1: 0.3})
    assert machine.steps.count(4) == steps and machine.steps.count(2) == 9


@pytest.mark.parametrize(
    ("seconds", "number"),
    [({4: 0.2, 2: 0.1, 1: 0.3}, 2), ({4: 0.1, 2: 0.2}, 4), ({4: 0.104, 2: 0.1}, 4), ({4: 0.106, 2: 0.1, 1: 0.1}, 1)],
)
def test_the_fastest_number_is_chosen_and_told(training, batches, monkeypatch, seconds, number):
    monkeypatch.setattr(threads, "tried", lambda step, most: seconds)
    made = training()
    line = settle_threads(made, batches(0), "auto")
    assert made.threads == torch.get_num_threads() == number
    assert line.startswith(f"training.threads auto: {number} of 4 (a step with 4: {seconds[4] * 1e3:.0f} ms, 2: ")


def test_a_trial_takes_real_steps_and_changes_nothing(training, batches, monkeypatch):
    monkeypatch.setattr(threads, "BLOCK_SECONDS", 0.0)
    monkeypatch.setattr(threads, "LONG_STEP_SECONDS", 0.0)  # so fewer clips are tried, but never none
    made, same = training(), training()
    before = torch.get_rng_state()
    assert "a step with 4: " in settle_threads(made, batches(0), "auto")
    assert torch.equal(before, torch.get_rng_state()) and made.threads in (1, 2, 4)
    for name, network in same.method.networks.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, made.method.networks[name].state_dict()[key])


@pytest.fixture
def no_trial(monkeypatch):
    monkeypatch.setattr(threads, "tried", lambda *_: pytest.fail("nothing is left to try"))


@pytest.mark.usefixtures("no_trial")
def test_what_someone_has_set_is_kept(training, batches, monkeypatch):
    made = training()
    assert settle_threads(made, batches(0), 3) == "" and made.threads == torch.get_num_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    made = training()
    assert settle_threads(made, batches(0), "auto") == "" and made.threads == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    torch.set_num_threads(1)
    made = training()
    assert settle_threads(made, batches(0), "auto") == "" and made.threads == 1
    torch.set_num_threads(4)
    monkeypatch.setattr(threads.distributed, "world_size", lambda: 2)
    made = training()
    assert settle_threads(made, batches(0), "auto") == "" and made.threads is None and torch.get_num_threads() == 4


@pytest.mark.usefixtures("no_trial")
def test_a_run_goes_on_with_the_number_it_began_with(training, batches, monkeypatch):
    begun = training()
    settle_threads(begun, batches(0), 2)
    torch.set_num_threads(4)
    resumed = training()
    resumed.restore(begun.state())
    assert settle_threads(resumed, batches(0), "auto") == "training.threads auto: 2, as this run began"
    assert torch.get_num_threads() == resumed.state()["threads"] == 2
    torch.set_num_threads(4)
    line = settle_threads(resumed, batches(0), 3)
    assert line == "training.threads: 3, and the run began with 2; they agree to rounding only"
    torch.set_num_threads(1)
    assert "1, and the run began with 3" in settle_threads(resumed, batches(0), "auto"), "this machine has fewer cores"


@pytest.mark.usefixtures("no_trial")
def test_a_checkpoint_of_an_earlier_version_has_no_number(training, batches):
    state = training().state()
    del state["threads"]
    made = training()
    made.restore(state)
    assert made.threads is None
