"""Measures the stereo image: where between left and right the sound of each band lies, and how wide it is."""

import numpy as np
import torch
from torch import Tensor

from wavegan.dsp.mel import mel_filters
from wavegan.dsp.stft import spectra

BANDS = 8
WINDOW_SECONDS = 0.016  # short, as a drop of rain has its own place
MOST_DECIBELS = 40.0  # that one level is above another; the mean of a mono clip is so far above its difference
LEAST_ALONE = 1e-4  # the least share of power that the channels do not have in common, -40 dB
LEAST_POWER = 1e-12
DECIMALS = 2  # in dB: clips of two equal channels have equal numbers
SAMPLES_AT_ONCE = 1 << 20


@torch.no_grad()
def stereo_image(clips: Tensor, sample_rate: int) -> np.ndarray:
    """Measures the image of stereo clips (N, 2, T): (N, 40) in dB, five numbers for each of 8 mel bands.

    Level of the difference of both channels (side) above that of their mean (mid), which is the width; level of the
    left channel above that of the right one, which is the place; of each the mean over time and the deviation, which
    says how far places of single sounds differ. Last the share of power that is not common to both channels, however
    delayed: 1 - |coherence|². Frames count by their level.
    """
    size = max(1, SAMPLES_AT_ONCE // clips[0].numel())
    rows = torch.cat([_stereo_image(part, sample_rate) for part in clips.split(size)]).double().cpu().numpy()
    return rows.round(DECIMALS)


def _stereo_image(clips: Tensor, sample_rate: int) -> Tensor:
    window = 2 * round(WINDOW_SECONDS * sample_rate / 2)
    bins = spectra(clips, window=window, hop=window // 2, before=window // 2, after=window // 2)
    left, right = bins.unbind(dim=1)  # (N, bins, frames)
    filters = mel_filters(sample_rate, window, BANDS, has_unit_area=False, device=clips.device).t()
    side, mid, of_left, of_right = (
        filters @ part.abs().square() for part in ((left - right) / 2, (left + right) / 2, left, right)
    )
    level = (of_left + of_right).sqrt()
    weights = level / level.sum(dim=2, keepdim=True).clamp(min=LEAST_POWER)

    def spread(above: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
        ratio = 10 * ((above + LEAST_POWER) / (below + LEAST_POWER)).log10()
        ratio = ratio.clamp(-MOST_DECIBELS, MOST_DECIBELS)
        mean = (weights * ratio).sum(dim=2)
        return mean, (weights * (ratio - mean[..., None]).square()).sum(dim=2).sqrt()

    power = [part.abs().square().sum(dim=2) for part in (left, right)]
    common = (left * right.conj()).sum(dim=2).abs().square() / (power[0] * power[1]).clamp(min=LEAST_POWER**2)
    both = power[0] + power[1] + LEAST_POWER
    alone = 1 - (common * both) @ filters.t() / (both @ filters.t())
    return torch.cat([*spread(side, mid), *spread(of_left, of_right), 10 * alone.clamp(LEAST_ALONE, 1).log10()], dim=1)
