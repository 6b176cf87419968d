"""The generator's input: drawn in one place for training, previews and generation alike."""

import torch
from torch import Tensor

LATENTS = ("uniform", "normal")


def draw(
    latent: str,
    count: int,
    latent_dim: int,
    *,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Latents (count, latent_dim), uniform on [-1, 1] as the original's or standard normal.

    Drawn on `device` from its global generator, or from the one given.
    """
    assert latent in LATENTS, f"latent is {latent!r}, one of {LATENTS}"
    if latent == "normal":
        return torch.randn(count, latent_dim, device=device, generator=generator)
    return torch.rand(count, latent_dim, device=device, generator=generator) * 2 - 1
