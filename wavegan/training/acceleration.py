"""Tries compiled passes and captured graphs at the start; keeps them if they give the same gradients and are faster."""

import copy
import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from wavegan.methods.base import Batch, Method, Phase, Stats
from wavegan.training.loop import Training
from wavegan.training.precision import autocast
from wavegan.training.trial import Backward, groups, learning, run_trial

logger = logging.getLogger(__name__)

BACKEND = "inductor"
REPETITIONS = 3
LEAST_AGREEMENT = 0.99  # cosine of the gradients; with another order of summation in bf16 it stays above 0.999
WARM_UPS = 3  # before a capture, so that libraries have chosen their algorithms

Work = Callable[[], Stats]
Record = Callable[[Sequence[Work]], list[tuple[Callable[[], None], Stats]]]
"""record(works) returns, for each work, a function that replays it, and its statistics, which each replay overwrites.

A work may read tensors that the one before has left; works are replayed in their order.
"""


def settle_compilation(training: Training, batch: Batch, choice: str | bool) -> str:
    """Compiles the method if `choice` is True, or "auto" and compiled steps are faster; returns a line that reports it.

    On a CPU "auto" does not compile: it took a minute and made steps slower (docs/performance.md). If compiling fails
    or changes the gradients, the method stays as it is.
    """
    if choice is False or (choice == "auto" and training.device.type == "cpu"):
        return ""

    logger.info(f"training.compile {str(choice).lower()}: compiling a step to try it, which may take minutes")

    def compiled(method: Method) -> Mapping[str, Backward]:
        method.compile(BACKEND)
        return {}

    line, is_kept = _tried(training, batch, compiled, must_gain=choice == "auto")
    if is_kept:
        training.method.compile(BACKEND)
        training.is_compiled = True
    return f"training.compile {str(choice).lower()}: {line}"


def settle_graphs(training: Training, batch: Batch, record: Record | None = None) -> str:
    """Replays each phase as one CUDA graph if that is faster; returns a line that reports it, empty elsewhere.

    The launch of a small kernel takes longer than the kernel; a graph is launched as a whole.
    """
    if training.device.type != "cuda" and record is None:
        return ""

    def recorded(method: Method) -> Mapping[str, Backward]:
        records = Records(method, batch, training, record or cuda_graph)
        records.add_form()
        return records.backwards

    line, is_kept = _tried(training, batch, recorded, must_gain=True)
    if is_kept:
        try:
            training.backwards.update(recorded(training.method))
        except Exception as error:  # memory may suffice only for the trial
            line = _failed(error)
    return f"CUDA graphs: {line}"


class Records:
    """Records the phases of a method; `backwards` holds the functions that replay them, by the phases' names.

    A new form is recorded at its first step. If that fails, the steps of this form run without a graph.
    """

    def __init__(self, method: Method, batch: Batch, training: Training, record: Record):
        self.method, self.batch, self.training, self.record = method, batch, training, record
        self.forms: dict[Hashable, Mapping[str, Backward]] = {}
        self.backwards = {phase.name: partial(self._replay, phase) for phase in method.phases}

    def add_form(self) -> None:
        """Records all phases in the method's present form; weights, buffers and random states stay as they are."""
        device, forms = self.training.device, {}
        buffers = [buffer for network in self.method.networks.values() for buffer in network.buffers()]
        before = [buffer.clone() for buffer in buffers]
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                for phases in groups(self.method):
                    updates = [
                        (partial(self._backward, phase), partial(learning, self.method, phase)) for phase in phases
                    ]
                    captured = capture(updates, self.batch, self.record)
                    forms |= {phase.name: replay for phase, replay in zip(phases, captured, strict=True)}
        finally:
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)  # warming up changes the statistics of a batch norm
        self.forms[self.method.form] = forms

    def _backward(self, phase: Phase, batch: Batch) -> Stats:
        with autocast(self.training.precision, self.training.device):
            return phase.backward(batch)

    def _replay(self, phase: Phase, batch: Batch) -> Stats:
        if self.method.form not in self.forms:
            try:
                self.add_form()
            except Exception as error:  # as at the start: without a graph everything still works
                self.forms[self.method.form] = {}
                logger.warning(f"CUDA graphs of some steps: {_failed(error)}")
            learning(self.method, phase)
        return self.forms[self.method.form].get(phase.name, phase.backward)(batch)


class Captured:
    """Replays a phase's recorded `backward`: called with a batch, it leaves gradients in `.grad` as that does.

    own: the tensors from which the record reads the batch. The record always writes gradients and statistics to the
    same tensors. Random numbers follow from the generators' seeds at each replay.
    """

    def __init__(self, own: Batch, parameters: list[Tensor], replay: Callable[[], None], stats: Stats):
        self.batch, self.parameters, self.replay, self.stats = own, parameters, replay, stats
        self.gradients = [parameter.grad for parameter in parameters]

    def __call__(self, batch: Batch) -> Stats:
        for own, new in zip(self.batch, batch, strict=True):
            if own is not None and new is not None:
                own.copy_(new)
        self.replay()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        return {name: value.clone() for name, value in self.stats.items()}


def capture(
    updates: Sequence[tuple[Backward, Callable[[], list[Tensor]]]], batch: Batch, record: Record
) -> list[Captured]:
    """Records the updates of one batch.

    updates: for each its backward, and a function that prepares its parameters for learning and returns them.
    """
    own = batch.map(torch.clone)

    def update(backward: Backward, prepare: Callable[[], list[Tensor]]) -> Stats:
        for parameter in prepare():
            parameter.grad = None  # so that the record makes gradients of its own
        return backward(own)

    records = record([partial(update, backward, prepare) for backward, prepare in updates])
    return [
        Captured(own, prepare(), replay, stats) for (_, prepare), (replay, stats) in zip(updates, records, strict=True)
    ]


def cuda_graph(works: Sequence[Work]) -> list[tuple[Callable[[], None], Stats]]:
    """Records works as CUDA graphs that share memory, so that one may read what another wrote; a `Record`."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UPS):
            for work in works:
                work()
    torch.cuda.current_stream().wait_stream(aside)
    pool, records = torch.cuda.graph_pool_handle(), []
    for work in works:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool, capture_error_mode="thread_local"):  # another thread copies at the same time
            stats = work()
        records.append((graph.replay, stats))
    return records


def _tried(
    training: Training, batch: Batch, prepare: Callable[[Method], Mapping[str, Backward]], *, must_gain: bool
) -> tuple[str, bool]:
    """Measures a prepared copy of the method; returns the result in words, and whether to keep the preparation."""
    try:
        seconds, gradients = _measured(training, batch, lambda method: {})
        prepared_seconds, prepared_gradients = _measured(training, batch, prepare)
    except Exception as error:  # of any kind, from a compiler or a driver: without them everything still works
        return _failed(error), False
    if not torch.cosine_similarity(gradients, prepared_gradients, dim=0).item() >= LEAST_AGREEMENT:
        return "not used, its gradients differ from those of the step as it is written", False
    if must_gain and prepared_seconds >= seconds:
        return f"not used, a step would take {prepared_seconds / seconds:.2f} times as long", False
    return f"used, a step takes {prepared_seconds / seconds:.2f} of the time without", True


def _failed(error: Exception) -> str:
    reason = str(error).strip().partition("\n")[0][:200]
    return f"not used, it failed ({type(error).__name__}: {reason})"


def _measured(
    training: Training, batch: Batch, prepare: Callable[[Method], Mapping[str, Backward]]
) -> tuple[float, Tensor]:
    """Runs a copy of the method; returns the seconds of one step's phases, and all their gradients as one row."""
    method = copy.deepcopy(training.method)
    if training.is_compiled:  # a copy of a compiled network is not compiled
        method.compile(BACKEND)
    backwards = prepare(method)
    with autocast(training.precision, training.device):
        seconds, gradients = run_trial(method, batch, backwards, seed=training.seed, repetitions=REPETITIONS)
    return seconds, torch.cat(list(gradients.values()))
