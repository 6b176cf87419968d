"""Measures events that a clip should not have: clamped samples, clicks, second hits, growth, swells. Per clip.

Each event is a number that grows with it. Real clips decide how much is too much: see `excess`.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, max_pool1d, pad

from wavegan.evaluation.fine_structure import at_full_level, frames_of

QUANTILE = 0.01  # of real clips may exceed a bound, all kinds together
CLAMPED_SHARE = 0.9995  # of the clip's peak, where that is half of full scale or more
CLICK_SECONDS, CLICK_NEAR, CLICK_FAR = 0.002, 2, 8  # frames: nearer ones may belong to the click itself
HIT_SECONDS, HIT_FRAMES, ATTACK_DECIBELS = 0.008, 6, 20
GROWTH_FRAMES = 12
FLOOR_DECIBELS = -45.0  # below the loudest frame: rises from silence begin there
CLICK_FLOOR_DECIBELS = -80.0
SWELL_FRAMES, SWELL_NEAR_DECIBELS, SWELL_FLOOR_DECIBELS = 3, -40, -80.0  # of 8 ms; below the loudest


def clamped(clips: Tensor, sample_rate: int) -> Tensor:
    """Counts the samples at the clip's peak that directly follow another such sample: (N,)."""
    peak = clips.abs().amax(dim=(1, 2), keepdim=True)
    is_top = (clips.abs() >= CLAMPED_SHARE * peak) & (peak >= 0.5)
    return (is_top[..., 1:] & is_top[..., :-1]).sum(dim=(1, 2)).to(clips)


def click(clips: Tensor, sample_rate: int) -> Tensor:
    """Gives the dB by which a frame of 2 ms stands above all frames 4 to 16 ms before and after it: (N,).

    Levels are those of the clip's second difference, in which short, wide-band sounds are loud.
    """
    curve = pad(at_full_level(clips), (1, 1)).diff(dim=2, n=2)
    level = (frames_of(curve, round(CLICK_SECONDS * sample_rate)).square().mean(dim=(1, 3)) + 1e-8).log10() * 10
    around = max_pool1d(pad(level, (CLICK_FAR, CLICK_FAR), value=CLICK_FLOOR_DECIBELS), CLICK_FAR - CLICK_NEAR + 1, 1)
    frames = level.shape[1]
    before, after = around[:, :frames], around[:, CLICK_FAR + CLICK_NEAR :][:, :frames]
    return (level - before.maximum(after)).amax(dim=1)


def second_hit(clips: Tensor, sample_rate: int) -> Tensor:
    """Gives the steepest rise, in dB within 48 ms, that begins 48 ms or more after the attack: (N,)."""
    level = _levels(clips, sample_rate).log10() * 10
    frames = level.shape[1]
    attack = (level > -ATTACK_DECIBELS).to(level).argmax(dim=1, keepdim=True)
    lowest = -max_pool1d(pad(-level, (HIT_FRAMES, 0), value=-FLOOR_DECIBELS), HIT_FRAMES, 1)[:, :frames]
    is_late = torch.arange(frames) > attack + HIT_FRAMES
    return torch.where(is_late, level - lowest, 0).amax(dim=1)


def growth(clips: Tensor, sample_rate: int) -> Tensor:
    """Gives the dB by which the level of 96 ms rises above any earlier one: (N,)."""
    power = _levels(clips, sample_rate)
    width = min(GROWTH_FRAMES, power.shape[1])
    level = 10 * avg_pool1d(power, width, max(1, width // 2)).log10()
    return (level - level.cummin(dim=1).values).amax(dim=1)


def swell(clips: Tensor, sample_rate: int) -> Tensor:
    """Gives the dB by which the level of 24 ms rises again after the loudest, up to within 40 dB of it: (N,)."""
    power = _levels(clips, sample_rate, SWELL_FLOOR_DECIBELS)
    level = 10 * avg_pool1d(power, min(SWELL_FRAMES, power.shape[1]), 1).log10()
    is_after = torch.arange(level.shape[1]) > level.argmax(dim=1, keepdim=True)
    lowest = level.masked_fill(~is_after, 0).cummin(dim=1).values
    return torch.where(is_after & (level > SWELL_NEAR_DECIBELS), level - lowest, 0).amax(dim=1)


# By name, the function and its margin above the real clips: in samples for clamped, in dB for the others.
EVENTS = {
    "clamped": (clamped, 2.0),
    "click": (click, 3.0),
    "second hit": (second_hit, 3.0),
    "growth": (growth, 3.0),
    "swell": (swell, 6.0),
}


@torch.no_grad()
def events(clips: Tensor, sample_rate: int) -> np.ndarray:
    """Gives the number of each kind of event of clips (N, C, T): (N, kinds), in the order of `EVENTS`."""
    rows = [function(clips, sample_rate) for function, _ in EVENTS.values()]
    return torch.stack(rows, dim=1).double().cpu().numpy()


def excess(rows: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Computes how far events exceed those of real clips: above 0 if a clip has one that real clips do not have.

    rows, real: what `events` gave, (N, kinds) and (M, kinds). The bound of each kind is what 0.2 % of real
    clips exceed, plus a margin.
    """
    margins = np.array([margin for _, margin in EVENTS.values()])
    return rows - np.quantile(real, 1 - QUANTILE / len(EVENTS), axis=0) - margins


def event_counts(rows: np.ndarray, sample_rate: int) -> dict[str, float]:
    """Gives the number of clips with each kind of event, from what `excess` gave."""
    return dict(zip(EVENTS, (rows > 0).sum(axis=0).tolist(), strict=True))


def _levels(clips: Tensor, sample_rate: int, floor_decibels: float = FLOOR_DECIBELS) -> Tensor:
    """Computes the power of frames of 8 ms over the loudest one's, plus a floor: (N, frames)."""
    power = frames_of(at_full_level(clips), round(HIT_SECONDS * sample_rate)).square().mean(dim=(1, 3))
    return power / power.amax(dim=1, keepdim=True).clamp(min=1e-9) + 10 ** (floor_decibels / 10)
