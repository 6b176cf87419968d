"""Defines the spectral views: logarithms of magnitudes, of all bins or in mel bands, and real and imaginary parts."""

import math
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

from wavegan import settings
from wavegan.dsp.frames import parted
from wavegan.dsp.mel import mel_filters, mel_scale
from wavegan.dsp.prediction import power_of, residual_power
from wavegan.dsp.spectral_view import SpectralView

LEAST_LOG_DEVIATION = 0.3  # 2.6 dB: steady noise varies by 5.6 dB in a bin; empty bins must not dominate
LEAST_POWER_DEVIATION = 0.015


class LogMagnitude(SpectralView):
    """Shows natural logarithms of magnitudes, (N, C, window / 2 bins, ceil(T / hop) frames).

    Silence gives exactly the floor. 20 dB above it values are within 0.6 dB of the true level, 40 dB above within 0.06.
    Before they are scaled they lie between ln(f / √2) and ln(2 + f). No sample moves a value by more than 4 / (√2 · f ·
    window · deviation) times its own change: by 28 for 1,024 samples, -80 dB and a deviation of 1. Silence comes as
    close to that as any sound. power_beside: adds the magnitudes to this power as further channels with statistics of
    their own, (N, 2C, bins, frames): logarithms show silence and decays, powers show loudness. residual_beside: adds
    the logarithms of what two frames do not predict of the next (`prediction`), so 2C or 3C channels. They show how
    unsteady partials are; no sample moves one by more than 28 / (f · window · deviation) times its own change. Raises
    ValueError for a window, hop or floor that does not fit.
    """

    tone: Tensor

    def __init__(
        self,
        window: settings.Window = 512,
        hop: settings.Hop = 128,
        *,
        floor_db: settings.FloorDecibels = -80.0,
        power_beside: settings.PowerBeside = 0.0,
        residual_beside: settings.ResidualBeside = False,
        differences_beside: settings.DifferencesBeside = False,
        coordinate: settings.Coordinate = False,
        channels: int = 1,
    ):
        least = LEAST_POWER_DEVIATION if power_beside else LEAST_LOG_DEVIATION
        maps = 1 + (power_beside > 0) + residual_beside
        further = {"coordinate": coordinate, "channels": channels, "differences_beside": differences_beside}
        super().__init__(window, hop, window // 2, floor_db, least, maps=maps, **further)
        self.power_beside, self.residual_beside = power_beside, residual_beside
        self.register_buffer("tone", floor_tone(torch.full((window // 2,), self.floor**2 / 2)), persistent=False)

    def _values(self, clips: Tensor) -> Tensor:
        # A smooth function of |X| alone would have no gradient at X = 0. So a fixed tone o stands in every bin:
        #     y = ½ ln(|X + o|² + f²/2) with |o|² = f²/2,   ∂y/∂X = (X + o) / (|X + o|² + f²/2).
        # For silence y = ln f, and the gradient has the length |o| / f² = 1 / (√2 · f), which is also the most that
        # a / (a² + f²/2) can be for any a. It is zero at X = -o alone: a point that no sound stays at.
        # One sample moves X by 2 · w / Σw, so by 4 / window at the most.
        spectra = self._spectra(clips)
        power = power_of(spectra + self.tone.to(clips.dtype)) + self.floor**2 / 2
        maps = [power.log() / 2]
        if self.power_beside:
            maps.append(power ** (self.power_beside / 2))
        if self.residual_beside:
            maps.append((residual_power(spectra, self.floor) + self.floor**2).log() / 2)
        return torch.cat(maps, dim=-1) if len(maps) > 1 else maps[0]


class LogMel(SpectralView):
    """Shows natural logarithms of magnitudes in mel bands, (N, C, bands, ceil(T / hop) frames).

    A band's triangle has 1 at its peak, so a full-scale sine there has 0 to 1.8 dB where bands are wider than bins.
    Silence gives exactly the floor. Values lie between ln f - 0.35 and ln(2 · √W + 1.3 · f) before they are scaled,
    where W is the sum of a band's weights over bins. No sample moves a value by more than 4 · √W / (√2 · f · window ·
    deviation) times its own change. Raises ValueError for a window, hop or floor that does not fit, and for more bands
    than the window can resolve.
    """

    tone: Tensor
    filters: Tensor
    softness: Tensor

    def __init__(
        self,
        sample_rate: int,
        window: settings.Window = 1024,
        hop: settings.Hop = 256,
        *,
        bands: settings.Bands = 80,
        floor_db: settings.FloorDecibels = -80.0,
        differences_beside: settings.DifferencesBeside = False,
        coordinate: settings.Coordinate = False,
        channels: int = 1,
    ):
        further = {"coordinate": coordinate, "channels": channels, "differences_beside": differences_beside}
        super().__init__(window, hop, bands, floor_db, LEAST_LOG_DEVIATION, **further)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # empty bands are refused below
            filters = mel_filters(sample_rate, window, bands, has_unit_area=False)[:-1].t()  # (bands, bins)
        widths = filters.sum(1)
        if not widths.all():
            # A triangle is as wide as two steps of the scale, 200 / 3 Hz each at its low end; wider than a bin, it
            # holds one.
            most = math.ceil(2 * mel_scale(sample_rate / 2) * 200 / 3 * window / sample_rate) - 2
            raise ValueError(
                f"bands is {bands}; with a window of {window} samples at {sample_rate} Hz, {(widths == 0).sum()} of "
                f"them would hold no bin; try bands={most} or a longer window"
            )
        # The tone's power in a bin falls with the width of the bands around, so that it has about f²/2 in each band
        # and never more. The rest of f² is the softness.
        around = (widths[:, None] * filters).sum(0) / filters.sum(0).clamp(min=1e-9)
        power = torch.where(filters.sum(0) > 0, 1 / around.clamp(min=1e-9), 0)
        power *= self.floor**2 / 2 / (filters * power).sum(1).max()
        self.register_buffer("tone", floor_tone(power), persistent=False)
        self.register_buffer("filters", filters.contiguous(), persistent=False)
        self.register_buffer("softness", self.floor**2 - (filters * power).sum(1), persistent=False)

    def _values(self, clips: Tensor) -> Tensor:
        # With M a band's weights, P = Σ M · |X + o|² and s the softness, y = ½ ln(P + s) and
        #     ∂y/∂X = M · (X + o) / (P + s),
        # whose effect on one sample is at most 4 / window · Σ M · |X + o| / (P + s) <= 4 / window · √W · √P / (P + s),
        # and √P / (P + s) is at most 1 / (2 · √s) <= 1 / (√2 · f). For silence P + s = f².
        power = F.linear(power_of(self._spectra(clips) + self.tone.to(clips.dtype)), self.filters.to(clips.dtype))
        return (power + self.softness.to(clips.dtype)).log() / 2


class ComplexSpectrum(SpectralView):
    """Shows compressed real, then imaginary parts, (N, 2C, window / 2 bins, ceil(T / hop) frames).

    A magnitude m becomes m · (m² + f²)^((power - 1) / 2), so m^power above the floor, and the phase stays. Phases are
    those at the middle of a frame, so that the bins that a sine or a click reaches agree in sign: counted from its
    start, every other one would be negated. Silence gives 0 before values are centred. They lie within ±2^power before
    they are scaled. No sample moves a value by more than 4 · f^(power - 1) / (window · deviation) times its own change:
    by 2.5 for 1,024 samples, -80 dB, a power of 0.3 and a deviation of 1. Real and imaginary parts share their bin's
    statistics, lest phases be bent. Raises ValueError for a window, hop, power or floor that does not fit.
    """

    signs: Tensor

    def __init__(
        self,
        window: settings.Window = 512,
        hop: settings.Hop = 128,
        *,
        power: settings.Power = 0.3,
        floor_db: settings.FloorDecibels = -80.0,
        coordinate: settings.Coordinate = False,
    ):
        if not 0 < power <= 1:
            raise ValueError(f"power is {power}; it must be above 0 and at most 1; try 0.3")
        # A bin that never rises to the floor is not scaled up beyond what the floor itself would be.
        super().__init__(window, hop, window // 2, floor_db, 10 ** (floor_db / 20 * power), coordinate=coordinate)
        self.power = power
        signs = 1.0 - 2.0 * (torch.arange(window // 2) % 2)  # half a window later, bin k has turned by π k
        self.register_buffer("signs", signs, persistent=False)

    def shape(self, channels: int, clip_samples: int) -> tuple[int, ...]:
        """Returns (2 · channels, bins, frames), the shape of one clip's view; any length will do."""
        return super().shape(2 * channels, clip_samples)

    def _values(self, clips: Tensor) -> Tensor:
        # This is an odd function of X, so its gradient at X = 0 is f^(power - 1), its greatest value, without any tone.
        # In the direction of X it is (m² + f²)^((power - 1) / 2) · (power · m² + f²) / (m² + f²), so never zero.
        real, imaginary = parted(self._spectra(clips))
        gain = (real * real + imaginary * imaginary + self.floor**2) ** ((self.power - 1) / 2)
        return torch.cat([real * gain, imaginary * gain], dim=1) * self.signs.to(clips.dtype)


def floor_tone(power: Tensor) -> Tensor:
    """Spreads the power of each bin (bins,) over the middle half of a frame: real and imaginary parts (bins, 2).

    With equal phases it would be a click, and for silence all gradients would fall on one sample. A phase that falls
    quadratically, -π k² / 2K in bin k of K (after Schroeder 1970), delays bin k by k / 2K of a frame; -π k / 2 more
    delays all of them by a quarter. So the tone sweeps from low to high between a quarter and three quarters of the
    frame, where a Hann window is at least a half.
    """
    bins = torch.arange(len(power), device=power.device)
    phase = -math.pi * (bins.square() / (2 * len(power)) + bins / 2)
    parts = torch.stack([phase.cos(), phase.sin()], dim=1)
    return power.sqrt()[:, None] * parts
