"""Tries compiled updates and captured graphs at the start; keeps what gives the same gradients and is faster."""

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from wavegan.methods.base import Batch, Phase, Stats
from wavegan.training.loop import Training
from wavegan.training.precision import autocast
from wavegan.training.tracing import Work, compiled
from wavegan.training.trial import Backward, groups, learning, run_trial, unchanged

logger = logging.getLogger(__name__)

REPETITIONS = 3
LEAST_AGREEMENT = 0.99  # cosine of the gradients; another order of summation in bf16 left 0.998 at least
WARM_UPS = 3  # before a capture, so that libraries have chosen their algorithms
LEAST_MINUTES = 15  # of the steps that are left, as they are written: compiling takes one or two

Transform = Callable[[Sequence[Work]], Sequence[Work]]


def settle_acceleration(training: Training, batch: Batch, choice: str | bool, steps: int) -> list[str]:
    """Compiles the updates and captures them as CUDA graphs, each if it gains; returns lines that report it.

    choice: False tries neither, True compiles even if that gains nothing. "auto" does not compile on a CPU, where it
    takes minutes and gains little or nothing (docs/performance.md), nor for a short rest of a training of `steps`. If
    compiling fails or changes the gradients, the updates stay as they are written.
    """
    if choice is False or (choice == "auto" and training.device.type == "cpu"):
        return []
    said = f"training.compile {str(choice).lower()}"
    lines, trial = [], _Trial(training, batch)
    minutes = (steps - training.step) * trial.seconds / 60
    if choice is True or minutes >= LEAST_MINUTES:
        logger.info(f"{said}: compiling a step to try it, which may take minutes")
        lines.append(f"{said}: {trial.of(compiled, must_gain=choice == 'auto')}")
    else:
        lines.append(f"{said}: not tried, as the steps that are left take {minutes:.1f} minutes without")
    if training.device.type == "cuda":
        lines.append(f"CUDA graphs: {trial.of(cuda_graphs, must_gain=True)}")
    training.backwards.update(trial.records.backwards)
    return lines


class _Trial:
    """Measures a step's phases as they are; `of` adds a transform to `records` if that is no worse."""

    def __init__(self, training: Training, batch: Batch):
        self.training, self.batch = training, batch
        self.records = Records(training, batch, [])
        self.seconds, self.gradients = self._measured(self.records)

    def of(self, transform: Transform, *, must_gain: bool) -> str:
        """Says in words what the transform gave, and whether it is used."""
        try:
            records = self.records.then(transform)
            seconds, gradients = self._measured(records)
        except Exception as error:  # of any kind, from a compiler or a driver: without them everything still works
            return f"not used, {_failed(error)}"
        agreement = torch.cosine_similarity(self.gradients, gradients, dim=0).item()
        if not agreement >= LEAST_AGREEMENT:
            return (
                f"not used, its gradients differ from those of the step as it is written (cosine {agreement:.3f}, "
                f"at least {LEAST_AGREEMENT})"
            )
        share = seconds / self.seconds
        if must_gain and share >= 1:
            return f"not used, a step would take {share:.2f} times as long"
        self.records, self.seconds = records, seconds
        return f"used, a step takes {share:.2f} of the time without"

    def _measured(self, records: "Records") -> tuple[float, Tensor]:
        """Returns the seconds of one step's phases, and all their gradients as one row."""
        training = self.training
        with unchanged(training.method, training.device), autocast(training.precision, training.device):
            seconds, gradients = run_trial(
                training.method, self.batch, records.backwards, seed=training.seed, repetitions=REPETITIONS
            )
        return seconds, torch.cat(list(gradients.values()))


class Records:
    """Holds the updates of a training as `transforms` make them, one after the other, for each form of a step.

    `backwards` holds functions in place of the phases' own, by their names. A new form is made at its first step. If
    that fails, the steps of this form run as they are written.
    """

    def __init__(self, training: Training, batch: Batch, transforms: Sequence[Transform]):
        self.training, self.method, self.batch, self.transforms = training, training.method, batch, [*transforms]
        self.forms: dict[Hashable, list[Group]] = {}
        phases = self.method.phases if transforms else []
        self.backwards: Mapping[str, Backward] = {phase.name: partial(self._backward, phase) for phase in phases}

    def then(self, transform: Transform) -> "Records":
        """Returns records with one more transform, of the forms that these have and of the present one."""
        more = Records(self.training, self.batch, [*self.transforms, transform])
        with self._unchanged():
            more.forms = {form: [group.then(transform) for group in prepared] for form, prepared in self.forms.items()}
        if self.method.form not in more.forms:
            more.add_form()
        return more

    def add_form(self) -> None:
        """Makes the updates of the method's present form."""
        with self._unchanged():
            prepared = [self._written(phases) for phases in groups(self.method)]
            for transform in self.transforms:
                prepared = [group.then(transform) for group in prepared]
        self.forms[self.method.form] = prepared

    def _written(self, phases: Sequence[Phase]) -> "Group":
        own, works = self.batch.map(torch.clone), {}
        for phase in phases:
            works[phase.name] = Written(partial(self._compute, phase), partial(learning, self.method, phase), own)
        return Group(own, works)

    def _compute(self, phase: Phase, batch: Batch) -> Stats:
        with autocast(self.training.precision, self.training.device):
            return phase.backward(batch)

    def _backward(self, phase: Phase, batch: Batch) -> Stats:
        form = self.method.form
        if form not in self.forms:
            try:
                if compiled in self.transforms:
                    logger.info("compiling another kind of step, which may take minutes")
                self.add_form()
            except Exception as error:  # as at the start
                self.forms[form] = []
                logger.warning(f"some steps run as they are written: {_failed(error)}")
            learning(self.method, phase)
        return self.group(phase).backward(phase.name, batch) if self.forms[form] else phase.backward(batch)

    def group(self, phase: Phase) -> "Group":
        """Returns the group of a phase, in the method's present form."""
        return next(group for group in self.forms[self.method.form] if phase.name in group.works)

    def _unchanged(self) -> AbstractContextManager[None]:
        return unchanged(self.method, self.training.device)


@dataclass(frozen=True)
class Written:
    """Does an update as it is written, on a batch of its own; a `Work`.

    Autocast keeps weights that it has cast until its outermost context is left. A graph recorded with them would read
    the weights of that moment at every replay, so an update begins and ends without any.
    """

    compute: Backward
    prepare: Callable[[], Sequence[Tensor]]
    batch: Batch

    def __call__(self) -> Stats:
        for parameter in self.prepare():
            parameter.grad = None
        torch.clear_autocast_cache()
        stats = self.compute(self.batch)
        torch.clear_autocast_cache()
        return stats


@dataclass(frozen=True)
class Group:
    """Holds the works of the phases that share a batch, by the phases' names, and the tensors they read it from."""

    own: Batch
    works: Mapping[str, Work]

    def then(self, transform: Transform) -> "Group":
        works = transform(list(self.works.values()))
        return Group(self.own, dict(zip(self.works, works, strict=True)))

    def backward(self, name: str, batch: Batch) -> Stats:
        """Does the work of a phase on another batch of the same shape."""
        for own, new in zip(self.own, batch, strict=True):
            if own is not None and new is not None:
                own.copy_(new)
        return self.works[name]()


@dataclass(frozen=True)
class _Replayed:
    """Replays a recorded work: it leaves gradients and statistics in the tensors where the record put them."""

    prepare: Callable[[], Sequence[Tensor]]
    replay: Callable[[], None]
    parameters: Sequence[Tensor]
    gradients: Sequence[Tensor | None]
    stats: Stats

    def __call__(self) -> Stats:
        self.replay()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        return {name: value.clone() for name, value in self.stats.items()}


def cuda_graphs(works: Sequence[Work]) -> Sequence[Work]:
    """Records works as CUDA graphs: the launch of a small kernel takes longer than the kernel, a graph is launched as a
    whole.

    They share memory, so that one may read what another wrote. Random numbers follow from the generators' seeds at each
    replay.
    """
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UPS):
            for work in works:
                work()
    torch.cuda.current_stream().wait_stream(aside)
    pool, replayed = torch.cuda.graph_pool_handle(), []
    for work in works:
        graph, parameters = torch.cuda.CUDAGraph(), work.prepare()
        for parameter in parameters:
            parameter.grad = None  # so that the record makes gradients of its own
        with torch.cuda.graph(graph, pool, capture_error_mode="thread_local"):  # another thread copies at the same time
            stats = work()
        gradients = [parameter.grad for parameter in parameters]
        replayed.append(_Replayed(work.prepare, graph.replay, parameters, gradients, stats))
    return replayed


def _failed(error: Exception) -> str:
    reason = str(error).strip().partition("\n")[0][:200]
    return f"it failed ({type(error).__name__}: {reason})"
