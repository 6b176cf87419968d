"""Defines a training step as a textbook would write it: the baseline of every speed-up, in fp32 by default.

It computes what `wavegan.methods.gan` computes, but with the layers of `torch.nn`, three calls of the discriminator, a
gradient penalty by double backward and torch's Adam. It imports nothing from this package.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Shift = Callable[[int, int], Tensor]
"""shift(layer, examples) returns the phase shift of each example at a layer: (examples,), or (1,) for all."""


class Generator(nn.Module):
    """Maps latents (N, K) to clips (N, C, T)."""

    def __init__(self, strides: Iterable[int], widths: list[int], kernel_size: int, latent_dim: int, nearest: bool):
        super().__init__()
        self.dense = nn.Linear(latent_dim, 16 * widths[0])
        self.nearest = nearest
        self.strides = list(strides)
        layers = []
        for stride, width_in, width_out in zip(self.strides, widths, widths[1:], strict=False):
            if nearest:
                layers.append(nn.Conv1d(width_in, width_out, kernel_size, padding="same"))
            else:
                pad = (kernel_size - stride) // 2
                layers.append(nn.ConvTranspose1d(width_in, width_out, kernel_size, stride, padding=pad))
        self.layers = nn.ModuleList(layers)

    def forward(self, z: Tensor) -> Tensor:
        x = self.dense(z).view(len(z), 16, -1).transpose(1, 2)
        for layer, stride in zip(self.layers, self.strides, strict=True):
            x, samples = F.relu(x), x.shape[2] * stride
            x = layer(F.interpolate(x, scale_factor=stride)) if self.nearest else layer(x)[..., :samples]
        return torch.tanh(x)


class Discriminator(nn.Module):
    """Maps clips (N, C, T) to scores (N,); radius: the largest phase shift in samples."""

    def __init__(self, strides: Iterable[int], widths: list[int], kernel_size: int, radius: int):
        super().__init__()
        self.strides = list(strides)
        self.kernel_size = kernel_size
        self.radius = radius
        self.layers = nn.ModuleList(
            nn.Conv1d(width_in, width_out, kernel_size, stride)
            for stride, width_in, width_out in zip(self.strides, widths, widths[1:], strict=False)
        )
        self.dense = nn.Linear(16 * widths[-1], 1)

    def forward(self, x: Tensor, shift: Shift) -> Tensor:
        for index, (layer, stride) in enumerate(zip(self.layers, self.strides, strict=True)):
            pad = self.kernel_size - stride
            x = F.leaky_relu(layer(F.pad(x, (pad // 2, pad - pad // 2))), 0.2)
            if index < min(4, len(self.layers) - 1):
                x = phase_shuffle(x, shift(index, len(x)), self.radius)
        return self.dense(x.transpose(1, 2).flatten(1)).squeeze(1)


def phase_shuffle(x: Tensor, shifts: Tensor, radius: int) -> Tensor:
    """Moves every example right by its shift, at most `radius`, with reflection at the ends; one shift moves all."""
    samples = x.shape[2]
    padded = F.pad(x, (radius, radius), mode="reflect") if radius else x
    if len(shifts) == 1:
        start = radius - int(shifts)
        return padded[..., start : start + samples]
    starts = radius - shifts[:, None] + torch.arange(samples, device=x.device)
    return padded.gather(2, starts[:, None].expand_as(x))


class PlainStep:
    """Updates two networks by Adam, whose other settings are torch's defaults.

    rates: of the generator and of the discriminator. betas: Adam's two, for both networks.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        *,
        rates: tuple[float, float],
        betas: tuple[float, float],
        penalty_weight: float,
    ):
        self.generator, self.discriminator = generator, discriminator
        self.generator_optimizer = torch.optim.Adam(generator.parameters(), lr=rates[0], betas=betas)
        self.discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), lr=rates[1], betas=betas)
        self.penalty_weight = penalty_weight

    def update_discriminator(self, real: Tensor, z: Tensor, share: Tensor, shifts: tuple[Shift, Shift, Shift]) -> None:
        """Updates the discriminator once.

        share: (N, 1, 1) in [0, 1], the position of each penalty point between real and fake. shifts: of the calls for
        real clips, generated clips and penalty points.
        """
        with torch.no_grad():
            fake = self.generator(z)
        loss = self.discriminator(fake, shifts[1]).mean() - self.discriminator(real, shifts[0]).mean()
        if self.penalty_weight:
            points = (real + share * (fake - real)).requires_grad_()
            (slope,) = torch.autograd.grad(self.discriminator(points, shifts[2]).sum(), points, create_graph=True)
            loss = loss + self.penalty_weight * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
        self.discriminator_optimizer.zero_grad()
        loss.backward()
        self.discriminator_optimizer.step()

    def update_generator(self, z: Tensor, shift: Shift) -> None:
        """Updates the generator once; the discriminator is fixed and its weights get no gradients."""
        self.discriminator.requires_grad_(False)
        loss = -self.discriminator(self.generator(z), shift).mean()
        self.generator_optimizer.zero_grad()
        loss.backward()
        self.generator_optimizer.step()
        self.discriminator.requires_grad_(True)
