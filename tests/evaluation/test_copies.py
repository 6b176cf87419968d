"""Tests the search for copies: it aligns in time, ignores level and a little hiss, and equals a loop over shifts."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from wavegan.audio.drum_machine import render
from wavegan.evaluation.copies import nearest_copies, pictures
from wavegan.evaluation.features import white_noise

RATE, SAMPLES = 16000, 16384


def drums(first: int, count: int) -> Tensor:
    clips = torch.zeros(count, 1, SAMPLES)
    for number in range(count):
        sound = torch.from_numpy(render(first + number, RATE)[: SAMPLES - 2000])
        clips[number, 0, : len(sound)] = sound / sound.abs().max()
    return clips


LEARNED = drums(0, 60)


def hissing(clips: Tensor, decibels: float) -> Tensor:
    level = clips.square().mean(dim=(1, 2), keepdim=True).sqrt()
    return clips + 10 ** (decibels / 20) * level * white_noise(len(clips), 1, SAMPLES, rms=1, seed=5)


COPIES = {
    "same": lambda clips: clips,
    "quieter": lambda clips: clips / 30,
    "later by samples": lambda clips: pad(clips, (37, -37)),
    "later by 100 ms": lambda clips: pad(clips, (1601, -1601)),
    "hissing": lambda clips: hissing(clips, -50),
    "all of it": lambda clips: hissing(pad(clips, (777, -777)) / 10, -50),
}


@pytest.mark.parametrize("change", COPIES)
def test_copies_are_found_and_other_clips_of_the_same_machine_are_farther_away(change):
    learned = pictures(LEARNED, RATE)
    others, _ = nearest_copies(pictures(drums(60, 60), RATE), learned)
    distances, numbers = nearest_copies(pictures(COPIES[change](LEARNED), RATE), learned)
    np.testing.assert_array_equal(numbers, np.arange(60))
    assert np.quantile(distances, 0.9) < 0.02 < np.quantile(others, 0.05)


@pytest.mark.parametrize("shift", [0, 1, 100, 255, 1000])
def test_a_later_clip_has_the_same_picture_moved_by_whole_frames(shift):
    early, late = pictures(LEARNED[:8], RATE), pictures(pad(LEARNED[:8], (shift, -shift)), RATE)
    for early_picture, late_picture in zip(early, late, strict=True):
        moved = [np.abs(early_picture[:, : 65 - by] - late_picture[:, by:]).max() for by in range(6)]
        assert min(moved) < 0.02


def test_distances_equal_a_loop_over_shifts():
    random = np.random.default_rng(0)
    rows, others = (random.uniform(size=(count, 16, 12)).astype(np.float16) for count in (5, 7))

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        shares, whole = [], (a**2).sum() + (b**2).sum()
        for shift in range(-8, 9):
            left, right = a[:, max(0, -shift) : 12 - max(0, shift)], b[:, max(0, shift) : 12 - max(0, -shift)]
            both = (left**2).sum() + (right**2).sum()
            if both >= whole / 2:
                shares.append(((left - right) ** 2).sum() / both)
        return min(shares) ** 0.5

    every = [[distance(a, b) for b in others.astype(float)] for a in rows.astype(float)]
    distances, numbers = nearest_copies(rows, others)
    np.testing.assert_array_equal(numbers, np.argmin(every, axis=1))
    np.testing.assert_allclose(distances, np.min(every, axis=1), rtol=1e-4)


def test_silence_equals_silence_and_nothing_else():
    silence, sound = pictures(torch.zeros(2, 1, SAMPLES), RATE), pictures(LEARNED[:3], RATE)
    assert (nearest_copies(silence, silence)[0] == 0).all() and (nearest_copies(sound, sound)[0] == 0).all()
    assert silence.shape == (2, 16, 65) and (sound >= 0).all() and (sound <= 1).all()


@pytest.mark.parametrize(("rate", "channels", "samples"), [(8000, 1, 4096), (44100, 2, 65536), (16000, 1, 1024)])
def test_any_format_has_pictures(rate, channels, samples):
    shown = pictures(white_noise(2, channels, samples, rms=0.1, seed=0), rate)
    assert shown.shape[:2] == (2, 16) and np.isfinite(shown).all()
