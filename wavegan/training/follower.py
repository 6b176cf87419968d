"""Takes the steps of a session in every process but the main one."""

from wavegan import distributed
from wavegan.methods.base import Stats
from wavegan.seeding import derive
from wavegan.training.loop import Batches, Training, train
from wavegan.training.signals import Stop, listening, stop_number, stop_reason

GO_BACK = 1 << 16  # the number on which processes agree to go back; above every signal and ASKED


def seed_after(seed: int, rollbacks: int) -> int:
    """Returns the seed of a training after some rollbacks."""
    return derive(seed, rollbacks, "rollback") if rollbacks else seed


def follow_session(training: Training, batches: Batches, *, steps: int, stop: Stop | None = None) -> int | None:
    """Takes the same steps as `run_session`, in every process but the main one; reports and writes nothing.

    Returns what ended it before `steps`: a signal, ASKED, or None if nothing did.
    """
    stopped_by = None
    seed = training.seed
    training.seed = seed_after(seed, distributed.broadcast())

    def after_step(_: Stats) -> bool:
        nonlocal stopped_by
        stop_code = distributed.max_over_ranks(stop_number(stop))
        if stop_code == GO_BACK:
            rollbacks, state = distributed.broadcast()
            training.restore(state)
            training.seed = seed_after(seed, rollbacks)
            return True
        stopped_by = stop_reason(stop_code)
        return not stopped_by

    with listening(stop):
        train(training, batches, steps, after_step=after_step)
    return stopped_by
