"""Checks that the plain baseline step computes the same update as ours, written with torch's own layers."""

import pytest
import torch
from torch import Tensor, nn

from wavegan.bench import baseline_step
from wavegan.methods.adversary import Adversary
from wavegan.methods.base import Batch
from wavegan.methods.gan import GAN
from wavegan.models.conv1d import Convolution, NearestUpsampling, TransposedConvolution
from wavegan.models.inputs import Input
from wavegan.models.phase_shuffle import PhaseShuffle
from wavegan.models.wavegan import STRIDES, Discriminator, Generator
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import gradient_penalty
from wavegan.settings import PhaseShuffleSettings, Upsample
from wavegan.training.loop import Training, take_step

CLOSE = 1e-10
DOUBLE = torch.float64
CLIPS, LATENT_DIM, DIM = 3, 5, 2
UPDATES = 2  # of the discriminator: Adam's first step tells no more of a gradient than its sign
RATE, BETAS, PENALTY_WEIGHT = 1e-3, (0.5, 0.9), 10.0

CASES: dict[
    str, tuple[int, int, int, Upsample, int, bool]
] = {  # clip samples, channels, kernel, upsampling, radius, shared
    "as published": (16384, 1, 25, "transposed", 2, True),
    "a stride of 2": (8192, 1, 9, "transposed", 2, True),
    "a stride of 2, nearest": (8192, 2, 25, "nearest", 2, False),
    "two channels": (4096, 2, 25, "transposed", 2, False),
    "nearest": (4096, 1, 25, "nearest", 2, True),
    "far shifts": (4096, 1, 5, "transposed", 7, False),
    "no shifts": (4096, 2, 9, "nearest", 0, True),
    "long": (32768, 1, 9, "transposed", 2, False),
}


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


class Draws:
    """Holds everything random in one step, set by hand: clips, latents, shares, and shifts by layer and call."""

    def __init__(self, samples: int, channels: int, radius: int, *, shared: bool):
        generator = torch.Generator().manual_seed(0)
        self.shared = shared
        self.real = [normal(CLIPS, channels, samples, seed=seed) / 4 for seed in range(UPDATES)]
        self.z = [normal(CLIPS, LATENT_DIM, seed=10 + seed) for seed in range(UPDATES + 1)]
        self.shares = torch.rand(UPDATES, CLIPS, 1, 1, dtype=DOUBLE, generator=generator)
        size = (4, 3 * UPDATES + 1, 1 if shared else CLIPS)  # calls: real, fake, points, …, and the generator's
        self.shifts = torch.randint(-radius, radius + 1, size, generator=generator)

    def shift(self, call: int) -> baseline_step.Shift:
        """Returns the shifts of one call of the plain discriminator."""
        return lambda layer, examples: self.shifts[layer, call]

    def install(self, discriminator: Discriminator, monkeypatch: pytest.MonkeyPatch) -> None:
        """Makes our training draw these values from now on, in its own order."""
        shuffles = [layer for layer in discriminator.blocks if isinstance(layer, PhaseShuffle)]
        calls, z, shares = dict.fromkeys(shuffles, 0), iter(self.z), iter(self.shares)

        def draw(layer: PhaseShuffle, batches: int, examples: int, device: torch.device) -> Tensor:
            first = calls[layer]
            calls[layer] += batches
            drawn = self.shifts[shuffles.index(layer), first : first + batches]
            return drawn.expand(batches, examples).flatten()

        monkeypatch.setattr(PhaseShuffle, "draw", draw)
        monkeypatch.setattr(Input, "draw", lambda *a, **k: next(z))
        monkeypatch.setattr(torch, "rand", lambda *a, **k: next(shares))


def kernels(network: nn.Module) -> list[Convolution | TransposedConvolution | NearestUpsampling]:
    kinds = (Convolution, TransposedConvolution, NearestUpsampling)
    return [layer for layer in network.modules() if isinstance(layer, kinds)]


def house_networks(case: str) -> tuple[Generator, Discriminator]:
    """Makes our networks with biases that are not zero, so that a lost one would show."""
    samples, channels, kernel, upsample, radius, shared = CASES[case]
    torch.manual_seed(0)
    made = Generator(samples, channels, dim=DIM, kernel_size=kernel, latent_dim=LATENT_DIM, upsample=upsample)
    shuffle = PhaseShuffleSettings(radius=radius, shared=shared)
    judge = Discriminator((channels, samples), dim=DIM, kernel_size=kernel, phase_shuffle=shuffle)
    for network in (made, judge):
        for name, parameter in network.double().named_parameters():
            if name.endswith("bias"):
                nn.init.normal_(parameter, std=0.1)
    return made, judge


def plain_networks(
    made: Generator, judge: Discriminator, case: str
) -> tuple[baseline_step.Generator, baseline_step.Discriminator]:
    """Makes the same networks as a textbook has them, with the same weights."""
    samples, channels, kernel, upsample, radius, _ = CASES[case]
    widths = [channels, *(layer.channels_out for layer in kernels(judge))]
    generator = baseline_step.Generator(
        STRIDES[samples], widths[::-1], kernel, LATENT_DIM, upsample == "nearest"
    ).double()
    discriminator = baseline_step.Discriminator(STRIDES[samples], widths, kernel, radius).double()
    for ours, theirs in ((made, generator), (judge, discriminator)):
        for (name, here), there in zip(pairs(ours), theirs.parameters(), strict=True):
            assert here.shape == there.shape, name
            there.data = here.detach().clone(memory_format=torch.contiguous_format)
    return generator, discriminator


def pairs(network: Generator | Discriminator, held: dict[Tensor, Tensor] | None = None) -> list[tuple[str, Tensor]]:
    """Returns weights, or a held value for each, by name.

    Axes are in torch's order, and parameters in the plain networks' order.
    """

    def taken(parameter: Tensor) -> Tensor:
        return parameter if held is None else held[parameter]

    kind = type(network).__name__
    dense = [(f"{kind}: dense weight", taken(network.dense.weight)), (f"{kind}: dense bias", taken(network.dense.bias))]
    layers = []
    for number, layer in enumerate(kernels(network)):
        layers.append((f"{kind}: kernel {number}", taken(layer.weight).transpose(1, 2)))
        layers.append((f"{kind}: bias {number}", taken(layer.bias)))
    return [*dense, *layers] if isinstance(network, Generator) else [*layers, *dense]


def gradients_of(optimizer: torch.optim.Optimizer) -> dict[Tensor, Tensor]:
    """Returns the gradients before they are freed."""
    return {parameter: parameter.grad for parameter in optimizer.param_groups[0]["params"]}


@pytest.mark.parametrize("case", CASES)
def test_one_step_of_each_leaves_the_same_weights(case, monkeypatch):
    """Makes two updates of the discriminator and one of the generator, by Adam, from the same draws.

    Where a gradient is zero but for rounding, Adam divides its 1e-16 by 1e-8: weights agree to some 1e-12 only.
    """
    made, judge = house_networks(case)
    generator, discriminator = plain_networks(made, judge, case)
    start = [weight.clone() for network in (made, judge) for _, weight in pairs(network)]
    samples, channels, *_, radius, shared = CASES[case]
    draws = Draws(samples, channels, radius, shared=shared)

    step = baseline_step.PlainStep(
        generator, discriminator, rates=(RATE, RATE / 2), betas=BETAS, penalty_weight=PENALTY_WEIGHT
    )
    for update in range(UPDATES):
        shifts = draws.shift(3 * update), draws.shift(3 * update + 1), draws.shift(3 * update + 2)
        step.update_discriminator(draws.real[update], draws.z[update], draws.shares[update], shifts)
    step.update_generator(draws.z[UPDATES], draws.shift(3 * UPDATES))

    draws.install(judge, monkeypatch)
    training, gradients = house_training(made, judge), {}
    for optimizer in training.optimizers.values():
        optimizer.register_step_pre_hook(lambda *_, own=optimizer: gradients.update(gradients_of(own)))
    take_step(training, lambda draw: Batch(draws.real[min(draw, UPDATES - 1)]))

    for ours, theirs in ((made, generator), (judge, discriminator)):
        for (name, gradient), other in zip(pairs(ours, gradients), theirs.parameters(), strict=True):
            assert other.grad is not None
            torch.testing.assert_close(gradient, other.grad, rtol=CLOSE, atol=CLOSE, msg=lambda m, n=name: f"{n}: {m}")
        for (name, weight), other in zip(pairs(ours), theirs.parameters(), strict=True):
            torch.testing.assert_close(weight, other.data, rtol=0, atol=CLOSE, msg=lambda m, n=name: f"{n}: {m}")
    now = [(name, weight) for network in (made, judge) for name, weight in pairs(network)]
    moved = {name: (weight - before).abs().max().item() for (name, weight), before in zip(now, start, strict=True)}
    assert (
        moved.pop("Discriminator: dense bias") < 1e-6
    )  # a constant in every score is no part of a Wasserstein distance
    assert min(moved.values()) > RATE / 4


def house_training(made: Generator, judge: Discriminator) -> Training:
    adversary = Adversary(
        judge, objective=OBJECTIVES["wasserstein"], penalty=gradient_penalty, penalty_weight=PENALTY_WEIGHT
    )
    gan = GAN(
        made,
        {"waveform": adversary},
        discriminator_steps=UPDATES,
    )
    optimizers = {
        name: torch.optim.Adam(network.parameters(), lr=rate, betas=BETAS, fused=True)
        for (name, network), rate in zip(gan.networks.items(), (RATE, RATE / 2), strict=True)
    }
    return Training(gan, optimizers, torch.device("cpu"))


def test_the_generator_learns_nothing_from_a_discriminators_update():
    made, judge = house_networks("two channels")
    generator, discriminator = plain_networks(made, judge, "two channels")
    draws = Draws(4096, 2, 2, shared=False)
    step = baseline_step.PlainStep(
        generator, discriminator, rates=(RATE, RATE), betas=BETAS, penalty_weight=PENALTY_WEIGHT
    )
    before = [parameter.detach().clone() for parameter in generator.parameters()]
    step.update_discriminator(
        draws.real[0], draws.z[0], draws.shares[0], (draws.shift(0), draws.shift(1), draws.shift(2))
    )
    assert all(torch.equal(parameter, was) for parameter, was in zip(generator.parameters(), before, strict=True))
    assert all(parameter.grad is None for parameter in generator.parameters())
    judged = [parameter.detach().clone() for parameter in discriminator.parameters()]
    step.update_generator(draws.z[1], draws.shift(3))
    assert all(torch.equal(parameter, was) for parameter, was in zip(discriminator.parameters(), judged, strict=True))
    assert all(parameter.requires_grad for parameter in discriminator.parameters())


SHIFTED = {-2: "234543", -1: "123454", 0: "012345", 1: "101234", 2: "210123"}  # 012345, moved right


def test_the_yardsticks_phase_shuffle_by_hand():
    shifts = torch.tensor(list(SHIFTED))
    x = torch.arange(6.0).expand(5, 2, 6)
    expected = torch.tensor([[float(digit) for digit in row] for row in SHIFTED.values()])
    assert torch.equal(baseline_step.phase_shuffle(x, shifts, 2), expected[:, None].expand(5, 2, 6))
    for by, row in zip(shifts, expected, strict=True):
        assert torch.equal(baseline_step.phase_shuffle(x, by[None], 2), row.expand(5, 2, 6)), by
