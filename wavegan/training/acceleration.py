"""Compiled passes and captured graphs: tried once at the start, kept where they give the same and are faster."""

import copy
import logging
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from wavegan.methods.base import Batch, Method, Phase, Stats
from wavegan.seeding import seed_torch
from wavegan.training.loop import Training
from wavegan.training.precision import autocast

logger = logging.getLogger(__name__)

BACKEND = "inductor"
REPETITIONS = 3
LEAST_AGREEMENT = 0.99  # cosine of the gradients; other orders of adding in bf16 stay above 0.999
WARM_UPS = 3  # before a capture, so that libraries have chosen their algorithms

Backward = Callable[[Batch], Stats]
Work = Callable[[], Stats]
Record = Callable[[Sequence[Work]], list[tuple[Callable[[], None], Stats]]]
"""record(works) gives of each what replays it, and what it returned: tensors that each replay fills anew.

A work may read what the one before has left; they are replayed in their order.
"""


def settle_compilation(training: Training, batch: Batch, choice: str | bool) -> str:
    """Compiles the method where `choice` is True, or "auto" and faster on this accelerator; a line that tells.

    On a CPU auto leaves it: compiling took a minute and made steps slower (docs/performance.md). What cannot be
    compiled, or then gives other gradients, stays as it is.
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
    """On CUDA, replays each phase as one graph where that is faster; a line that tells.

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
        except Exception as fault:  # memory may suffice for the trial alone
            line = _failed(fault)
    return f"CUDA graphs: {line}"


class Records:
    """The phases of a method, recorded; `backwards` are what replays them, by the phases' names.

    Steps of another form are recorded when the first of them comes; where that fails, they are taken as written.
    """

    def __init__(self, method: Method, batch: Batch, training: Training, record: Record):
        self.method, self.batch, self.training, self.record = method, batch, training, record
        self.forms: dict[Hashable, Mapping[str, Backward]] = {}
        self.backwards = {phase.name: partial(self._replay, phase) for phase in method.phases}

    def add_form(self) -> None:
        """Records all phases as they are now. Networks and random numbers stay as they are."""
        device, forms = self.training.device, {}
        buffers = [one for network in self.method.networks.values() for one in network.buffers()]
        before = [one.clone() for one in buffers]
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                for phases in _groups(self.method):
                    works = [
                        (partial(self._backward, phase), partial(_learning, self.method, phase)) for phase in phases
                    ]
                    captured = capture(works, self.batch, self.record)
                    forms |= {phase.name: one for phase, one in zip(phases, captured, strict=True)}
        finally:
            for one, value in zip(buffers, before, strict=True):
                one.copy_(value)  # warming up moves the statistics of a batch norm
        self.forms[self.method.form] = forms

    def _backward(self, phase: Phase, batch: Batch) -> Stats:
        with autocast(self.training.precision, self.training.device):
            return phase.backward(batch)

    def _replay(self, phase: Phase, batch: Batch) -> Stats:
        if self.method.form not in self.forms:
            try:
                self.add_form()
            except Exception as fault:  # as at the start: without a graph everything still works
                self.forms[self.method.form] = {}
                logger.warning(f"CUDA graphs for some of the steps: {_failed(fault)}")
            _learning(self.method, phase)
        return self.forms[self.method.form].get(phase.name, phase.backward)(batch)


class Captured:
    """A phase's `backward` as a recorded one: called with a batch it leaves gradients in `.grad`, as that does.

    own: where the record reads the batch. Gradients and statistics lie where it writes them. Random numbers follow
    from the generators' seeds at each replay.
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
    works: Sequence[tuple[Backward, Callable[[], list[Tensor]]]], batch: Batch, record: Record
) -> list[Captured]:
    """Records the updates of one batch: of each its backward, and what makes its parameters ready and gives them."""
    own = batch.map(torch.clone)

    def work(backward: Backward, learning: Callable[[], list[Tensor]]) -> Stats:
        for parameter in learning():
            parameter.grad = None  # so that the record makes gradients of its own
        return backward(own)

    records = record([partial(work, *one) for one in works])
    return [Captured(own, learning(), *one) for (_, learning), one in zip(works, records, strict=True)]


def cuda_graph(works: Sequence[Work]) -> list[tuple[Callable[[], None], Stats]]:
    """A `Record` as CUDA graphs, with memory in common, so that one may read what another wrote."""
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
        with torch.cuda.graph(graph, pool, capture_error_mode="thread_local"):  # another thread copies meanwhile
            stats = work()
        records.append((graph.replay, stats))
    return records


def _groups(method: Method) -> list[list[Phase]]:
    """The phases, those together that go on with the batch of the one before."""
    groups: list[list[Phase]] = []
    for phase in method.phases:
        groups[-1:] = [[*groups[-1], phase]] if phase.keeps_batch else [*groups[-1:], [phase]]
    return groups


def _tried(
    training: Training, batch: Batch, prepare: Callable[[Method], Mapping[str, Backward]], *, must_gain: bool
) -> tuple[str, bool]:
    """What came of preparing a copy of the method, as words, and whether that is worth keeping."""
    try:
        seconds, gradients = _measured(training, batch, lambda method: {})
        prepared_seconds, prepared_gradients = _measured(training, batch, prepare)
    except Exception as fault:  # whatever a compiler or a driver can fail with: without them everything still works
        return _failed(fault), False
    if not torch.cosine_similarity(gradients, prepared_gradients, dim=0).item() >= LEAST_AGREEMENT:
        return "not used, its gradients differ from those of the step as it is written", False
    if must_gain and prepared_seconds >= seconds:
        return f"not used, a step would take {prepared_seconds / seconds:.2f} times as long", False
    return f"used, a step takes {prepared_seconds / seconds:.2f} of the time without", True


def _failed(fault: Exception) -> str:
    reason = str(fault).strip().partition("\n")[0][:200]
    return f"not used, it failed ({type(fault).__name__}: {reason})"


def _measured(
    training: Training, batch: Batch, prepare: Callable[[Method], Mapping[str, Backward]]
) -> tuple[float, Tensor]:
    """Seconds of one step's phases, and all their gradients as one row; a copy of the method runs."""
    method = copy.deepcopy(training.method)
    if training.is_compiled:  # a copy of a compiled network is none
        method.compile(BACKEND)
    backwards = prepare(method)
    seconds, gradients = 0.0, []
    devices = [training.device] if training.device.type == "cuda" else []
    with torch.random.fork_rng(devices), autocast(training.precision, training.device):
        for phases in _groups(method):
            times = {phase.name: [] for phase in phases}
            for repetition in range(REPETITIONS + 1):  # the first one compiles and warms up
                for phase in phases:
                    for parameter in _learning(method, phase):
                        parameter.grad = None
                    seed_torch(training.seed, repetition, "trial")  # a record that repeats itself would show
                    start = time.perf_counter()
                    stats = backwards.get(phase.name, phase.backward)(batch)
                    sum(stats.values()).item()  # type: ignore[union-attr]  # waits for the device
                    times[phase.name].append(time.perf_counter() - start)
            for phase in phases:
                seconds += phase.times * min(times[phase.name])
                learnt = _learning(method, phase)
                gradients += [one.grad.flatten().float() for one in learnt if one.grad is not None]
    return seconds, torch.cat(gradients)


def _learning(method: Method, phase: Phase) -> list[Tensor]:
    """The parameters that a phase trains; all others are made to stand still."""
    for name, network in method.networks.items():
        network.requires_grad_(name in phase.networks)
    return [one for name in phase.networks for one in method.networks[name].parameters()]
