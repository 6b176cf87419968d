"""Runs the training loop for any method: phases, optimisers and averages."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from wavegan import distributed
from wavegan.methods.base import Batch, Method, Phase, Stats, draws_per_step
from wavegan.seeding import seed_torch
from wavegan.training.ema import averaged_copy, half_life_decay, update_average
from wavegan.training.precision import autocast

DECAYS: Mapping[str, Callable[[float], float]] = {
    "linear": lambda done: 1 - done,
    "cosine": lambda done: 0.5 + 0.5 * math.cos(math.pi * done),
}
"""Maps names to functions from the finished share of a training to the factor of its learning rates."""

Batches = Callable[[int], Batch]
"""batches(draw) returns a batch on the training's device, the same for the same draw."""


@dataclass
class Training:
    """Holds everything that a step changes, and its settings.

    optimizers: one per network of the method, by the same name. ema: decay of the averages per step; 0 for no averages.
    ema_half_life: replaces `ema` by the steps within which the average loses half of the old weights, see
    `half_life_decay`. gradient_clip: largest total gradient norm; None for no limit. decay_steps: the step at which the
    decay of the learning rates, one of `DECAYS`, reaches zero; None for no decay. lr_floor: the least factor of the
    learning rates. backwards: by phase name, a function that replaces the phase's own. threads: of a CPU, with which
    its sums are added up; None if that is not known.
    """

    method: Method
    optimizers: Mapping[str, Optimizer]
    device: torch.device
    seed: int = 0
    precision: str = "fp32"
    ema: float = 0.0
    ema_half_life: float | None = None
    gradient_clip: float | None = None
    decay_steps: int | None = None
    decay: str = "linear"
    lr_floor: float = 0.0
    step: int = 0
    averages: dict[str, nn.Module] = field(default_factory=dict)
    learning_rates: dict[str, float] = field(default_factory=dict)
    backwards: dict[str, Callable[[Batch], Stats]] = field(default_factory=dict)
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.ema or self.ema_half_life:
            self.averages = {name: averaged_copy(self.method.networks[name]) for name in self.method.averaged}
        self.learning_rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in self.optimizers.items()}

    @property
    def average_decay(self) -> float:
        """Returns the decay of the averages in this step."""
        return half_life_decay(self.ema_half_life, self.step) if self.ema_half_life else self.ema

    def state(self) -> dict[str, Any]:
        """Returns all that a step depends on, as tensors and plain values."""
        return {
            "step": self.step,
            "precision": self.precision,
            "threads": self.threads,
            "networks": {name: network.state_dict() for name, network in self.method.networks.items()},
            "averages": {name: network.state_dict() for name, network in self.averages.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "method": self.method.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restores what `state` returned; the steps from there are the same, bit for bit on one CPU."""
        self.step = state["step"]
        self.precision = state["precision"]
        self.threads = state.get("threads")  # earlier versions did not keep it
        for name, network in self.method.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, average in self.averages.items():
            average.load_state_dict(state["averages"][name])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.method.restore(state["method"])

    def spoilt_networks(self) -> list[str]:
        """Returns the names of the networks that hold a number which is not finite."""
        tensors = {name: network.state_dict().values() for name, network in self.method.networks.items()}
        return [name for name, held in tensors.items() if not all(tensor.isfinite().all() for tensor in held)]


def train(
    training: Training,
    batches: Batches,
    steps: int,
    *,
    after_step: Callable[[Stats], bool],
) -> None:
    """Takes steps until the training has taken `steps` in all, or until after_step(stats) returns False.

    after_step is called when a step is complete and counted, so it may save. Torch's global generators
    keep their state.
    """
    with torch.random.fork_rng([training.device] if training.device.type == "cuda" else []):
        while training.step < steps:
            stats = take_step(training, batches)
            training.step += 1
            if not after_step(stats):
                return


def take_step(training: Training, batches: Batches) -> Stats:
    """Runs all phases once; returns the statistics of the last update of each phase, still on the device.

    With several processes, each has its own clips; gradients and statistics are means over all. Where gradients are
    clipped, a network's `gradient_norm` is the total norm before that.
    """
    method, stats, norms = training.method, {}, {}
    draw = training.step * draws_per_step(method.phases)
    batch: Batch | None = None
    _decay_learning_rates(training)
    method.advance(training.step)
    for phase in method.phases:
        for name, network in method.networks.items():
            network.requires_grad_(name in phase.networks)
        for repeat in range(phase.times):
            if batch is None or not phase.keeps_batch:
                batch = batches(draw)
                draw += 1
            seed_torch(training.seed, training.step, f"{phase.random_stream or phase.name} {repeat}")
            with autocast(training.precision, training.device):
                phase_stats = training.backwards.get(phase.name, phase.backward)(batch)
            distributed.average_over_ranks([*_gradients(method, phase), *phase_stats.values()])
            for name in phase.networks:
                if training.gradient_clip is not None:
                    norm = nn.utils.clip_grad_norm_(method.networks[name].parameters(), training.gradient_clip)
                    norms[f"{name.replace('.', '/')}/gradient_norm"] = norm
                with autocast(training.precision, training.device):  # for an optimiser that multiplies matrices
                    training.optimizers[name].step()
                training.optimizers[name].zero_grad()  # at once, so that the next update can use their memory
            if phase.after_update:
                phase.after_update(phase_stats)
        stats |= {f"{phase.name}/{name}": value for name, value in phase_stats.items()}
    for name, average in training.averages.items():
        update_average(average, method.networks[name], decay=training.average_decay, step=training.step)
    return stats | norms  # which come last, as a line of progress shows the first of each network


def _gradients(method: Method, phase: Phase) -> list[Tensor]:
    parameters = [parameter for name in phase.networks for parameter in method.networks[name].parameters()]
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _decay_learning_rates(training: Training) -> None:
    if training.decay_steps is None:
        return
    share = max(training.lr_floor, DECAYS[training.decay](min(1.0, training.step / training.decay_steps)))
    for name, optimizer in training.optimizers.items():
        for group in optimizer.param_groups:
            group["lr"] = training.learning_rates[name] * share
