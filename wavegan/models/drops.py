"""Makes the spectra of hiss, and of drops: noise that comes in bursts, as that of rain, fire or running water does."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.dsp.frames import framed, real_transform
from wavegan.models.spectral_head import LOUDNESS_GAIN

SPARSEST = 3.0  # the highest exponent
START = -0.5  # times LOUDNESS_GAIN, where exponents begin: at 0.36
BURST = 8  # as a part of a hop, how long a burst is: 1 ms at 16 kHz and a hop of 128
LOG_RMS = -0.4654, 0.5688, -0.1214, 0.0112  # of k, k², k³ and k⁴: ln √E|g|^2k of a normal g, within 0.016 up to 4
LEAST = 1e-6  # a smaller loudness counts as this


def noise_spectra(frames: Tensor) -> Tensor:
    """Transforms frames of noise (..., window) into spectra (..., bins, 2); with a power of 1, a bin has 2."""
    return real_transform(frames) * (2 / frames.shape[-1]) ** 0.5


class Drops(nn.Module):
    """Turns bursts, see `bursts`, and exponents (N, frames) into spectra (N, C, frames, bins, 2) of drops.

    A sample is multiplied by |g|^k at the same mean power, where g is the mean of the noise around it at unit power,
    and k, 0 to SPARSEST, is the exponent of its frame: 0 is white noise, and the higher it is, the fewer bursts have
    most of the power. Textures such as rain are sums of single events (McDermott and Simoncelli 2011). mix:
    orthonormal, (maps, channels), see `channel_mix`; a burst has its place between left and right.
    """

    mix: Tensor

    def __init__(self, dim: int, mix: Tensor, *, window: int, hop: int):
        super().__init__()
        self.window, self.hop, self.span = window, hop, max(1, hop // BURST)
        self.exponent = nn.Linear(dim, 1)
        self.register_buffer("mix", mix, persistent=False)

    @torch.no_grad()
    def begin(self) -> None:
        """Sets the layer to start from: drops are hardly sparse."""
        self.exponent.weight.mul_(0.5)
        self.exponent.bias.fill_(START)

    def exponents(self, x: Tensor) -> Tensor:
        """Computes the exponents (N, frames) of features (N, frames, dim)."""
        return SPARSEST * torch.sigmoid(LOUDNESS_GAIN * self.exponent(x)[..., 0].float())

    def bursts(self, white: Tensor) -> Tensor:
        """Returns noise and the logarithm of its loudness (2, N, C, samples), of channels, for a white noise of maps.

        Every second sample changes its sign, so that in no bin drops are in phase with a hiss of the same noise.
        """
        noise = self.mix.t() @ white if white.shape[1] > 1 else white
        padded = F.pad(noise, (self.span // 2, self.span - 1 - self.span // 2))
        around = F.avg_pool1d(padded, self.span, stride=1) * self.span**0.5
        signs = 1 - 2 * (torch.arange(white.shape[-1], device=white.device) % 2)
        return torch.stack([signs * noise, around.abs().clamp(min=LEAST).log()])

    def forward(self, bursts: Tensor, exponents: Tensor) -> Tensor:
        noise, loudness = framed(bursts, window=self.window, hop=self.hop)
        exponents = exponents[:, None, :, None]
        log_rms = sum(factor * exponents**power for power, factor in enumerate(LOG_RMS, 1))
        log_rms = log_rms + torch.log1p(exponents * (2 / self.span)) / 2  # as the noise is a part of its loudness
        frames = noise * (exponents * loudness - log_rms).exp()
        return noise_spectra(torch.einsum("mc,ncfw->nmfw", self.mix, frames) if frames.shape[1] > 1 else frames)
