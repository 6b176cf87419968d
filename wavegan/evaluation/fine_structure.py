"""Measures what log-mel statistics miss: order in time, the steadiness of partials, crests, attacks. Arrays per clip.

Nothing here is learned. A clip's level counts for its order alone: for all else each clip is raised to a peak of 1
first, and silence stays silence.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from wavegan.dsp.mel import window_samples
from wavegan.dsp.stft import spectra

CELLS = 16  # of a picture, in time and in frequency
PARTIALS = 5  # the strongest ones of a frame
WEAKEST_PARTIAL = 1e-5  # of the strongest bin's power in a clip: 50 dB below
STEADY_RADIANS = 0.08  # a partial is steady if its phase turns so evenly: within 1.6 Hz from hop to hop at 16 kHz
JITTER, STEADY = 0, 2  # columns of `partials`: in Hz, and a share
CREST_SECONDS = (0.004, 0.016, 0.064)
SLOPE_CREST_SECONDS = (0.016, 0.064)
RISE_SECONDS = (0.002, 0.008)
LEAST_POWER = 1e-9
RISE_FLOOR = 1e-4  # of the loudest frame's power: rises begin 40 dB below it
LEAST_PEAK = 1e-3  # quieter clips are not raised any further
SAMPLES_AT_ONCE = 1 << 20


def order(levels: Tensor) -> Tensor:
    """Averages log-mel levels (N, bands, frames) in 16 × 16 cells of time and frequency, in dB: (N, 256)."""
    return adaptive_avg_pool2d(levels[:, None], CELLS).flatten(1)


def principal_directions(reference: np.ndarray, count: int) -> np.ndarray:
    """Gives the directions in which a reference (N, F) varies most, as columns: (F, count), fewer if it has fewer."""
    _, _, directions = np.linalg.svd(reference - reference.mean(axis=0), full_matrices=False)
    return directions[: min(count, len(reference) - 1)].T


@torch.no_grad()
def partials(clips: Tensor, sample_rate: int) -> np.ndarray:
    """Measures how steady the five strongest partials of each frame are: (N, 4), of clips (N, C, T).

    The first three columns are means over frames, partials and channels, weighted by amplitude. The first says by how
    much a partial's frequency changes from one hop of 8 ms to the next, in Hz; it follows from the second difference of
    its phase (Bello et al. 2004, eq. 7). The second is the second difference of its level, in dB, 0 if it decays
    evenly. The third is the share of partials that are steady. The fourth is the level of all partials relative to that
    of the clip, in dB: near 0 for tones, far below for noise.
    """
    size = max(1, SAMPLES_AT_ONCE // clips[0].numel())
    return torch.cat([_partials(part, sample_rate) for part in clips.split(size)]).double().cpu().numpy()


def _partials(clips: Tensor, sample_rate: int) -> Tensor:
    window = window_samples(sample_rate)
    hop = window // 8
    bins = spectra(at_full_level(clips), window=window, hop=hop, before=window // 2, after=window // 2)
    power = bins.abs().square()
    loudest = power.amax(dim=(1, 2, 3), keepdim=True)
    middle = power[:, :, 1:-1, 1:-1]
    is_peak = (middle > power[:, :, :-2, 1:-1]) & (middle >= power[:, :, 2:, 1:-1])
    is_peak &= middle > WEAKEST_PARTIAL * loudest
    strongest, places = (middle * is_peak).topk(min(PARTIALS, middle.shape[2]), dim=2)  # (N, C, partials, frames)
    before, now, after = (bins[:, :, 1:-1, step : step + middle.shape[3]].gather(2, places) for step in range(3))
    turn = torch.angle(after * now.conj() ** 2 * before).abs()
    ratio = (after.abs() * before.abs() / now.abs().square().clamp(min=1e-20)).clamp(1e-2, 1e2)
    amplitude = strongest.sqrt()

    def mean(values: Tensor) -> Tensor:
        return (values * amplitude).sum(dim=(1, 2, 3)) / amplitude.sum(dim=(1, 2, 3)).clamp(min=1e-9)

    jitter = mean(turn) * sample_rate / (2 * math.pi * hop)
    tonal = strongest.sum(dim=(1, 2, 3)) / power.sum(dim=(1, 2, 3)).clamp(min=LEAST_POWER)
    steady = mean((turn < STEADY_RADIANS).to(turn))
    return torch.stack([jitter, mean(20 * ratio.log10().abs()), steady, _decibels(tonal.clamp(min=1e-4))], dim=1)


@torch.no_grad()
def attack(clips: Tensor, sample_rate: int) -> np.ndarray:
    """Measures how sharp each clip is in time, which phases decide: (N, 8) in dB, of clips (N, C, T).

    Six columns are crest factors, peak over RMS: of frames of 4, 16 and 64 ms, of the slope's frames of 16 and 64 ms
    (all weighted by their RMS) and of the whole clip. Two are the steepest rises from one frame to the next, for frames
    of 2 and of 8 ms. A rise begins at a floor 40 dB below the loudest frame, and there is silence before the clip.
    """
    clips = at_full_level(clips)
    slope = clips.diff(dim=2)
    crests = [_crest(clips, round(seconds * sample_rate)) for seconds in CREST_SECONDS]
    crests += [_crest(slope, round(seconds * sample_rate)) for seconds in SLOPE_CREST_SECONDS]
    crests += [_crest(clips, clips.shape[2])]
    rises = [_steepest_rise(clips, round(seconds * sample_rate)) for seconds in RISE_SECONDS]
    return torch.stack(crests + rises, dim=1).double().cpu().numpy()


def at_full_level(clips: Tensor) -> Tensor:
    """Raises clips (N, C, T) to a peak of 1, those below -60 dBFS by 60 dB."""
    return clips / clips.abs().amax(dim=(1, 2), keepdim=True).clamp(min=LEAST_PEAK)


def frames_of(clips: Tensor, samples: int) -> Tensor:
    """Cuts clips (N, C, T) into whole frames: (N, C, frames, samples); one frame where the clip is no longer."""
    samples = min(max(1, samples), clips.shape[2])
    count = clips.shape[2] // samples
    return clips[..., : count * samples].unflatten(2, (count, samples))


def _crest(clips: Tensor, samples: int) -> Tensor:
    frames = frames_of(clips, samples)
    power = frames.square().mean(dim=3)
    crest = _decibels((frames.square().amax(dim=3) + LEAST_POWER) / (power + LEAST_POWER))
    rms = power.sqrt()
    return (crest * rms).sum(dim=(1, 2)) / rms.sum(dim=(1, 2)).clamp(min=LEAST_POWER)


def _steepest_rise(clips: Tensor, samples: int) -> Tensor:
    power = pad(frames_of(clips, samples).square().mean(dim=(1, 3)), (1, 0))  # (N, 1 + frames)
    floor = RISE_FLOOR * power.amax(dim=1, keepdim=True) + LEAST_POWER
    return _decibels(power + floor).diff(dim=1).amax(dim=1)


def _decibels(power: Tensor) -> Tensor:
    return 10 * power.log10()
