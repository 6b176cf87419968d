"""Compiled passes and captured graphs: tried once at the start, kept where they give the same and are faster."""

import copy
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from wavegan.methods.base import Batch, Method, Phase, Stats
from wavegan.seeding import seed_torch
from wavegan.training.loop import Training
from wavegan.training.precision import autocast

BACKEND = "inductor"
REPETITIONS = 3
LEAST_AGREEMENT = 0.99  # cosine of the gradients; other orders of adding in bf16 stay above 0.999
WARM_UPS = 3  # before a capture, so that libraries have chosen their algorithms

Backward = Callable[[Batch], Stats]
Record = Callable[[Callable[[], Stats]], tuple[Callable[[], None], Stats]]
"""record(work) gives what replays work, and what work returned: tensors that each replay fills anew."""


def settle_compilation(training: Training, batch: Batch, choice: str | bool) -> str:
    """Compiles the method where `choice` is True, or "auto" and faster on this accelerator; a line that tells.

    On a CPU auto leaves it: compiling took a minute and made steps slower (docs/performance.md). What cannot be
    compiled, or then gives other gradients, stays as it is.
    """
    if choice is False or (choice == "auto" and training.device.type == "cpu"):
        return ""

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

    def captured(method: Method) -> Mapping[str, Backward]:
        return {phase.name: _captured(method, phase, batch, training, record or cuda_graph) for phase in method.phases}

    line, is_kept = _tried(training, batch, captured, must_gain=True)
    if is_kept:
        buffers = [one for network in training.method.networks.values() for one in network.buffers()]
        before = [one.clone() for one in buffers]
        try:
            training.backwards.update(captured(training.method))
        except Exception as fault:  # memory may suffice for the trial alone
            line = _failed(fault)
        for one, value in zip(buffers, before, strict=True):
            one.copy_(value)  # warming up moves the statistics of a batch norm
    return f"CUDA graphs: {line}"


class Captured:
    """A phase's `backward` as a recorded one: Captured(…)(batch) leaves gradients in `.grad`, as that does.

    A batch is copied to where the record reads it; gradients and statistics lie where it writes them. Random
    numbers follow from the generators' seeds at each replay.
    """

    def __init__(self, backward: Backward, parameters: list[Tensor], batch: Batch, record: Record):
        self.parameters = parameters
        self.batch = batch.map(torch.clone)

        def work() -> Stats:
            for parameter in parameters:
                parameter.grad = None  # so that the record makes gradients of its own
            return backward(self.batch)

        self.replay, self.stats = record(work)
        self.gradients = [parameter.grad for parameter in parameters]

    def __call__(self, batch: Batch) -> Stats:
        for own, new in zip(self.batch, batch, strict=True):
            if own is not None and new is not None:
                own.copy_(new)
        self.replay()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        return {name: value.clone() for name, value in self.stats.items()}


def cuda_graph(work: Callable[[], Stats]) -> tuple[Callable[[], None], Stats]:
    """A `Record` as a CUDA graph."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UPS):
            work()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # another thread copies batches meanwhile
        stats = work()
    return graph.replay, stats


def _captured(method: Method, phase: Phase, batch: Batch, training: Training, record: Record) -> Captured:
    def backward(batch: Batch) -> Stats:
        with autocast(training.precision, training.device):
            return phase.backward(batch)

    return Captured(backward, _learning(method, phase), batch, record)


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
        for phase in method.phases:
            learning = _learning(method, phase)
            times = []
            for repetition in range(REPETITIONS + 1):  # the first one compiles and warms up
                for parameter in learning:
                    parameter.grad = None
                seed_torch(training.seed, repetition, "trial")  # a record that repeats itself would show
                start = time.perf_counter()
                stats = backwards.get(phase.name, phase.backward)(batch)
                sum(stats.values()).item()  # type: ignore[union-attr]  # waits for the device
                times.append(time.perf_counter() - start)
            seconds += phase.times * min(times)
            gradients += [one.grad.flatten().float() for one in learning if one.grad is not None]
    return seconds, torch.cat(gradients)


def _learning(method: Method, phase: Phase) -> list[Tensor]:
    """The parameters that a phase trains; all others are made to stand still."""
    for name, network in method.networks.items():
        network.requires_grad_(name in phase.networks)
    return [one for name in phase.networks for one in method.networks[name].parameters()]
