"""Faults to plant in real clips, so that it can be seen which metrics react: each a function that gives clips.

Each takes a split and random numbers and gives (N, C, T); clips may exceed 1 a little.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from scipy.signal import butter, sosfilt
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips (N, C, T), and for each the number of its label and the name of its group, (N,)."""

    audio: Tensor
    labels: np.ndarray
    groups: np.ndarray

    def select(self, keep: np.ndarray) -> "Clips":
        """Some of them, by mask or indices."""
        return Clips(self.audio[torch.from_numpy(keep)], self.labels[keep], self.groups[keep])


class Split(NamedTuple):
    """What is learned from, what is judged by, what faults are planted in; the labels and groups of a narrow model."""

    training: Clips
    reference: Clips
    candidates: Clips
    sample_rate: int
    labels: list[int]
    groups: list[str]


def none(split: Split, random: Generator) -> Tensor:
    """Candidates as they are."""
    return split.candidates.audio


def noise(split: Split, random: Generator) -> Tensor:
    """White noise 30 dB below each clip's mean power, in the silence after it as well."""
    return _with_noise(split.candidates.audio, -30, random)


def comb(split: Split, random: Generator) -> Tensor:
    """A pulse every 4 samples, 30 dB below each clip's mean power: tones at fs/4 and fs/2."""
    return _with_pulses(split.candidates.audio, -30)


def faint_comb(split: Split, random: Generator) -> Tensor:
    """The same, 50 dB below."""
    return _with_pulses(split.candidates.audio, -50)


def low_pass(split: Split, random: Generator) -> Tensor:
    """Nothing above 1.5 kHz (Butterworth, order 8)."""
    sections = butter(8, 1500, fs=split.sample_rate, output="sos")
    return torch.from_numpy(np.asarray(sosfilt(sections, split.candidates.audio.numpy()), np.float32))


def backwards(split: Split, random: Generator) -> Tensor:
    """Each clip's sound backwards, the silence after it left in its place."""
    clips = split.candidates.audio.clone()
    for clip in clips:
        heard = np.flatnonzero(clip.any(dim=0).numpy())
        if len(heard):
            clip[:, : heard[-1] + 1] = clip[:, : heard[-1] + 1].flip(-1)
    return clips


def few_labels(split: Split, random: Generator) -> Tensor:
    """The candidates of some labels alone."""
    return split.candidates.select(np.isin(split.candidates.labels, split.labels)).audio


def few_groups(split: Split, random: Generator) -> Tensor:
    """The candidates of some groups alone."""
    return split.candidates.select(np.isin(split.candidates.groups, split.groups)).audio


def repeats(split: Split, random: Generator) -> Tensor:
    """A twentieth of the candidates, twenty times and a little more where 20 does not divide their number."""
    clips = split.candidates.audio
    return clips[torch.arange(len(clips)) % max(1, len(clips) // 20)]


def copies(split: Split, random: Generator) -> Tensor:
    """Training clips, each up to 3 ms later, up to 1 dB louder or softer, with noise 60 dB below its mean power.

    None is earlier: that would cut its onset, and the click is another fault.
    """
    return _jittered(split, -60, random)


def hissing_copies(split: Split, random: Generator) -> Tensor:
    """The same with noise 50 dB below."""
    return _jittered(split, -50, random)


def _jittered(split: Split, decibels: float, random: Generator) -> Tensor:
    clips = split.training.audio
    later = random.integers(round(0.003 * split.sample_rate), size=len(clips), endpoint=True).tolist()
    gains = 10 ** (torch.from_numpy(random.uniform(-1, 1, (len(clips), 1, 1))).float() / 20)
    moved = [pad(clip, (shift, -shift)) for clip, shift in zip(clips, later, strict=True)]
    return _with_noise(gains * torch.stack(moved), decibels, random)


def _with_noise(clips: Tensor, decibels: float, random: Generator) -> Tensor:
    normal = torch.from_numpy(random.standard_normal(clips.shape, np.float32))
    return clips + 10 ** (decibels / 20) * _level(clips) * normal


def _with_pulses(clips: Tensor, decibels: float) -> Tensor:
    pulses = torch.tensor([3.0, -1, -1, -1]).repeat(-(-clips.shape[-1] // 4))[: clips.shape[-1]] / 3**0.5
    return clips + 10 ** (decibels / 20) * _level(clips) * pulses


def _level(clips: Tensor) -> Tensor:
    return clips.square().mean(dim=(1, 2), keepdim=True).sqrt()


CORRUPTIONS: dict[str, Callable[[Split, Generator], Tensor]] = {
    "none: other real clips": none,
    "white noise, 30 dB below": noise,
    "fs/4 comb, 30 dB below": comb,
    "fs/4 comb, 50 dB below": faint_comb,
    "low-pass, 1.5 kHz": low_pass,
    "played backwards": backwards,
    "few labels": few_labels,
    "few groups": few_groups,
    "a twentieth, repeated": repeats,
    "training clips with jitter": copies,
    "the same under hiss, 50 dB below": hissing_copies,
}
