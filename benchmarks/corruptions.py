"""Defines faults to plant in real clips, to see which metrics react.

Each fault is a function of a split and a random generator that returns clips (N, C, T); they may slightly exceed 1.
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

from wavegan.dsp.griffin_lim import griffin_lim
from wavegan.dsp.stft import stft


@dataclass(frozen=True, eq=False)
class Clips:
    """Holds clips (N, C, T), and for each the index of its label and the name of its group, (N,)."""

    audio: Tensor
    labels: np.ndarray
    groups: np.ndarray

    def select(self, keep: np.ndarray) -> "Clips":
        """Returns some of the clips, chosen by a mask or by indices."""
        return Clips(self.audio[torch.from_numpy(keep)], self.labels[keep], self.groups[keep])


class Split(NamedTuple):
    """Holds training clips, reference clips and candidates for faults.

    labels, groups: the ones that a narrow model makes.
    """

    training: Clips
    reference: Clips
    candidates: Clips
    sample_rate: int
    labels: list[int]
    groups: list[str]


def none(split: Split, random: Generator) -> Tensor:
    """Returns the candidates unchanged."""
    return split.candidates.audio


def noise(split: Split, random: Generator) -> Tensor:
    """Adds white noise 30 dB below each clip's mean power, also in the silence after the sound."""
    return _with_noise(split.candidates.audio, -30, random)


def comb(split: Split, random: Generator) -> Tensor:
    """Adds a pulse every 4 samples, 30 dB below each clip's mean power: tones at fs/4 and fs/2."""
    return _with_pulses(split.candidates.audio, -30)


def faint_comb(split: Split, random: Generator) -> Tensor:
    """Adds the same pulses 50 dB below each clip's mean power."""
    return _with_pulses(split.candidates.audio, -50)


def echo(split: Split, random: Generator) -> Tensor:
    """Adds each clip to itself 32 ms later, 6 dB below, as what a generator's frames repeat."""
    delay = round(0.032 * split.sample_rate)
    return split.candidates.audio + 0.5 * pad(split.candidates.audio, (delay, 0))[..., :-delay]


def constant_tone(split: Split, random: Generator) -> Tensor:
    """Adds one tone at 2,345 Hz, 40 dB below each clip, as generators that end in an inverse transform may leave."""
    clips = split.candidates.audio
    tone = torch.sin(2 * torch.pi * 2345 / split.sample_rate * torch.arange(clips.shape[-1]).double())
    return clips + 10 ** (-40 / 20) * _level(clips) * 2**0.5 * tone.to(clips)


def low_pass(split: Split, random: Generator) -> Tensor:
    """Removes frequencies above 1.5 kHz (Butterworth, order 8)."""
    sections = butter(8, 1500, fs=split.sample_rate, output="sos")
    return torch.from_numpy(np.asarray(sosfilt(sections, split.candidates.audio.numpy()), np.float32))


def backwards(split: Split, random: Generator) -> Tensor:
    """Reverses each clip's sound; the silence after it stays in its place."""
    clips = split.candidates.audio.clone()
    for clip in clips:
        sounding = np.flatnonzero(clip.any(dim=0).numpy())
        if len(sounding):
            clip[:, : sounding[-1] + 1] = clip[:, : sounding[-1] + 1].flip(-1)
    return clips


def halves(split: Split, random: Generator) -> Tensor:
    """Moves the second half of each clip's sound before the first; the silence after it stays in its place."""
    clips = split.candidates.audio.clone()
    for clip in clips:
        sounding = np.flatnonzero(clip.any(dim=0).numpy())
        if len(sounding):
            clip[:, : sounding[-1] + 1] = clip[:, : sounding[-1] + 1].roll(-(sounding[-1] + 1) // 2, -1)
    return clips


def late(split: Split, random: Generator) -> Tensor:
    """Delays each clip by 30 to 80 ms."""
    clips = split.candidates.audio
    return _later(clips, _draw(random, 0.03, 0.08, len(clips)), split.sample_rate)


def blunt(split: Split, random: Generator) -> Tensor:
    """Fades in the first 40 ms of each clip's sound, counted from the first sample above 1 % of its peak."""
    clips = split.candidates.audio.clone()
    for clip in clips:
        sounding = np.flatnonzero((clip.abs().amax(dim=0) > 0.01 * clip.abs().max()).numpy())
        if len(sounding):
            attack = clip[:, sounding[0] : sounding[0] + round(0.04 * split.sample_rate)]
            attack *= torch.linspace(0, 1, attack.shape[1])
    return clips


def lost_phases(split: Split, random: Generator) -> Tensor:
    """Replaces phases by those that Griffin and Lim's algorithm estimates from the magnitudes in 16 iterations."""
    clips = split.candidates.audio
    estimate = griffin_lim(stft(clips, window=1024, hop=256).abs(), 16, window=1024, hop=256)
    return estimate[..., : clips.shape[-1]]


def smeared(split: Split, random: Generator) -> Tensor:
    """Delays high frequencies more than low ones, by 20 ms at half the sample rate; magnitudes stay (an all-pass)."""
    clips = split.candidates.audio
    samples = 2 * clips.shape[-1]
    spectrum = torch.fft.rfft(clips, samples)
    place = torch.linspace(0, 1, spectrum.shape[-1], dtype=torch.float64)  # frequency, relative to half the sample rate
    turn = -torch.pi * 0.02 * split.sample_rate * place.square() / 2
    return torch.fft.irfft(spectrum * torch.polar(torch.ones_like(turn), turn), samples)[..., : clips.shape[-1]].float()


def wobble(split: Split, random: Generator) -> Tensor:
    """Changes each clip's speed at random, so that partials wobble.

    The speed is interpolated linearly between 40 random values a second, with a standard deviation of 40 cents.
    """
    clips = split.candidates.audio
    samples = clips.shape[-1]
    knots = torch.from_numpy(random.standard_normal((len(clips), 1, round(40 * samples / split.sample_rate) + 3)))
    drift = torch.nn.functional.interpolate(knots, size=samples, mode="linear", align_corners=True)[:, 0]
    place = torch.arange(samples) + ((2 ** (40 / 1200) - 1) * drift).cumsum(dim=1)  # (N, T)
    whole = place.floor().long()
    moved = torch.zeros_like(clips)
    for step in range(-7, 9):  # interpolates by a windowed sinc
        distance = (place - whole - step).float()
        weight = torch.sinc(distance) * (0.5 + 0.5 * torch.cos(torch.pi * (distance / 8).clamp(-1, 1)))
        is_there = (whole + step >= 0) & (whole + step < samples)
        source = (whole + step).clamp(0, samples - 1)[:, None].expand_as(clips)
        moved += clips.gather(2, source) * (weight * is_there)[:, None]
    return moved


def clicks(split: Split, random: Generator) -> Tensor:
    """Adds a click of 1 ms of noise, 16 dB below each clip's peak, at a random place in its middle 80 %."""
    return _with_bursts(split, 0.001, -16, random)


def bursts(split: Split, random: Generator) -> Tensor:
    """Adds a burst of 60 ms of noise, 10 dB below each clip's peak, at a random place in its middle 80 %."""
    return _with_bursts(split, 0.06, -10, random)


def _with_bursts(split: Split, seconds: float, decibels: float, random: Generator) -> Tensor:
    clips = split.candidates.audio.clone()
    samples, length = clips.shape[-1], round(seconds * split.sample_rate)
    peaks = clips.abs().amax(dim=(1, 2)).tolist()
    for clip, peak, place in zip(clips, peaks, random.uniform(0.1, 0.9, len(clips)), strict=True):
        part = clip[:, round(place * samples) : round(place * samples) + length]
        part += 10 ** (decibels / 20) * peak * torch.from_numpy(random.standard_normal(part.shape, np.float32))
    return clips


def second_hits(split: Split, random: Generator) -> Tensor:
    """Adds each clip to itself, 6 dB softer and later by 15 to 60 % of its length (150 to 600 ms in 1 s)."""
    clips = split.candidates.audio
    duration = clips.shape[-1] / split.sample_rate  # in seconds
    return clips + 0.5 * _later(clips, _draw(random, 0.15 * duration, 0.6 * duration, len(clips)), split.sample_rate)


def swells(split: Split, random: Generator) -> Tensor:
    """Adds 100 ms of noise that rises and falls, 30 dB below each clip's peak at most, in its second half."""
    clips = split.candidates.audio.clone()
    samples, length = clips.shape[-1], round(0.1 * split.sample_rate)
    shape = torch.hann_window(length, periodic=False)
    peaks = clips.abs().amax(dim=(1, 2)).tolist()
    for clip, peak, place in zip(clips, peaks, random.uniform(0.5, 0.9, len(clips)), strict=True):
        part = clip[:, round(place * samples) :][:, :length]
        noise = torch.from_numpy(random.standard_normal(part.shape, np.float32))
        part += 10 ** (-30 / 20) * peak * shape[: part.shape[1]] * noise
    return clips


def clamped(split: Split, random: Generator) -> Tensor:
    """Amplifies each clip by 6 dB and clamps it."""
    return (2 * split.candidates.audio).clamp(-1, 1)


def few_labels(split: Split, random: Generator) -> Tensor:
    """Returns only the candidates of some labels."""
    return split.candidates.select(np.isin(split.candidates.labels, split.labels)).audio


def few_groups(split: Split, random: Generator) -> Tensor:
    """Returns only the candidates of some groups."""
    return split.candidates.select(np.isin(split.candidates.groups, split.groups)).audio


def repeats(split: Split, random: Generator) -> Tensor:
    """Repeats a twentieth of the candidates until there are as many clips as candidates."""
    clips = split.candidates.audio
    return clips[torch.arange(len(clips)) % max(1, len(clips) // 20)]


def copies(split: Split, random: Generator) -> Tensor:
    """Returns training clips, each up to 3 ms later and up to 1 dB louder or softer, with noise 60 dB below.

    The noise is 60 dB below the mean power of the copy. No clip is moved earlier: that would cut its onset and make a
    click, which is another fault.
    """
    return _jittered(split, -60, random)


def hissing_copies(split: Split, random: Generator) -> Tensor:
    """Returns such copies with noise 50 dB below their mean power."""
    return _jittered(split, -50, random)


def moved_copies(split: Split, random: Generator) -> Tensor:
    """Returns training clips, each up to a tenth of a clip later and up to 20 dB softer, with noise 50 dB below.

    The noise is 50 dB below the mean power of the moved clip. A long sound loses its end.
    """
    clips = split.training.audio
    moved = _later(clips, _draw(random, 0, 0.1 * clips.shape[-1] / split.sample_rate, len(clips)), split.sample_rate)
    gains = 10 ** (torch.from_numpy(random.uniform(-20, 0, (len(clips), 1, 1))).float() / 20)
    return _with_noise(gains * moved, -50, random)


def _draw(random: Generator, least: float, most: float, count: int) -> np.ndarray:
    return random.uniform(least, most, count)


def _later(clips: Tensor, seconds: np.ndarray, sample_rate: int) -> Tensor:
    shifts = np.round(seconds * sample_rate).astype(int).tolist()
    return torch.stack([pad(clip, (shift, -shift)) for clip, shift in zip(clips, shifts, strict=True)])


def _jittered(split: Split, decibels: float, random: Generator) -> Tensor:
    clips = split.training.audio
    moved = _later(clips, _draw(random, 0, 0.003, len(clips)), split.sample_rate)
    gains = 10 ** (torch.from_numpy(random.uniform(-1, 1, (len(clips), 1, 1))).float() / 20)
    return _with_noise(gains * moved, decibels, random)


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
    "halves swapped": halves,
    "30 to 80 ms later": late,
    "attacks faded in over 40 ms": blunt,
    "phases by Griffin-Lim": lost_phases,
    "attacks smeared, 20 ms": smeared,
    "partials wobble, 40 cents": wobble,
    "a click in each": clicks,
    "a burst in each": bursts,
    "a second hit in each": second_hits,
    "clamped, 6 dB": clamped,
    "few labels": few_labels,
    "few groups": few_groups,
    "a twentieth, repeated": repeats,
    "training clips with jitter": copies,
    "the same under hiss, 50 dB below": hissing_copies,
    "the same, later and softer": moved_copies,
    "repeated after 32 ms": echo,
    "a constant tone, 40 dB below": constant_tone,
    "a swell in each": swells,
}
