"""Times the textbook training step of `baseline_step` with the sizes of any recipe.

It computes in fp32; on CUDA, matrix products and convolutions may use TF32.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from wavegan.bench.baseline_step import Discriminator, Generator, PlainStep
from wavegan.bench.measure import PeakMemory, timed
from wavegan.models.inputs import Input
from wavegan.models.wavegan import STRIDES, widths


@dataclass(frozen=True)
class BaselineSettings:
    """Holds the textbook step's settings, named as in the recipe; each outer pair is (generator, discriminator)."""

    clip_samples: int
    channels: int
    dims: tuple[int, int]
    kernel_sizes: tuple[int, int]
    latent_dim: int
    latent: str
    nearest: bool
    shuffle_radius: int
    shuffle_shared: bool
    penalty_weight: float
    discriminator_steps: int
    batch_size: int
    rates: tuple[float, float]
    betas: tuple[tuple[float, float], tuple[float, float]]


def plain_networks(settings: BaselineSettings) -> tuple[Generator, Discriminator]:
    """Makes a generator and a discriminator of torch's own layers."""
    strides, kernels = STRIDES[settings.clip_samples], settings.kernel_sizes
    generator_widths, discriminator_widths = (widths(settings.clip_samples, dim) for dim in settings.dims)
    outwards = [*reversed(generator_widths), settings.channels]
    inwards = [settings.channels, *discriminator_widths]
    generator = Generator(strides, outwards, kernels[0], settings.latent_dim, settings.nearest)
    return generator, Discriminator(strides, inwards, kernels[1], settings.shuffle_radius)


class BaselineTiming:
    """Runs the textbook step on a device; its real clips are noise, made in advance."""

    def __init__(self, settings: BaselineSettings, device: str, threads: int):
        torch.set_num_threads(threads)
        self.settings, self.device = settings, torch.device(device)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
            torch.backends.cuda.matmul.allow_tf32 = True
        self.memory = PeakMemory(self.device)
        generator, discriminator = plain_networks(settings)
        self.plain = PlainStep(
            generator.to(self.device),
            discriminator.to(self.device),
            rates=settings.rates,
            betas=settings.betas[0],
            penalty_weight=settings.penalty_weight,
        )
        self.plain.discriminator_optimizer.param_groups[0]["betas"] = settings.betas[1]
        size = (settings.batch_size, settings.channels, settings.clip_samples)
        self.real = torch.rand(size, device=self.device) * 2 - 1

    def steps(self, count: int) -> float:
        """Runs `count` steps and returns the seconds they took."""
        return timed(self.step, count, self.device)

    def peak_memory(self) -> int:
        """Returns the peak memory in bytes, less what was in use before the networks were made."""
        return self.memory.bytes

    def generations(self, clips: int, count: int) -> float:
        """Generates `count` batches of `clips` clips, copied to the host, and returns the seconds that took."""
        z = self._latents(clips)
        with torch.inference_mode():
            return timed(lambda: self.plain.generator(z).cpu(), count, self.device)

    def step(self) -> None:
        """Makes the discriminator updates and the generator update; every update draws new latents and phase shifts."""
        for _ in range(self.settings.discriminator_steps):
            self.update_discriminator()
        self.update_generator()

    def update_discriminator(self) -> None:
        """Updates the discriminator once, with the clips `real`."""
        share = torch.rand(len(self.real), 1, 1, device=self.device)
        shifts = (self._shift, self._shift, self._shift)
        self.plain.update_discriminator(self.real, self._latents(len(self.real)), share, shifts)

    def update_generator(self) -> None:
        """Updates the generator once."""
        self.plain.update_generator(self._latents(len(self.real)), self._shift)

    def _latents(self, count: int) -> Tensor:
        return Input(self.settings.latent, (self.settings.latent_dim,)).draw(count, device=self.device)

    def _shift(self, layer: int, examples: int) -> Tensor:
        radius, shared = self.settings.shuffle_radius, self.settings.shuffle_shared or not self.settings.shuffle_radius
        # A shared shift is used as slice bounds. Drawn on the CPU, it needs no synchronisation with the GPU.
        device = torch.device("cpu") if shared else self.device
        return torch.randint(-radius, radius + 1, (1 if shared else examples,), device=device)
