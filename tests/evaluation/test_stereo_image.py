"""Tests the measure of the stereo image with sounds whose width and place follow from how they were mixed."""

import numpy as np
import pytest
import torch

from wavegan.evaluation.metric_functions import kernel_distance
from wavegan.evaluation.stereo_image import BANDS, MOST_DECIBELS, SAMPLES_AT_ONCE, stereo_image

RATE = 16000


def noise(count: int, channels: int = 1, samples: int = RATE, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(count, channels, samples, generator=torch.Generator().manual_seed(seed))


def image(left: torch.Tensor, right: torch.Tensor) -> tuple[np.ndarray, ...]:
    """Returns width, its deviation, place, its deviation and what is not common of each band, of the mean clip."""
    return tuple(stereo_image(torch.cat([left, right], dim=1), RATE).mean(axis=0).reshape(5, BANDS))


def test_equal_channels_have_no_width_and_lie_in_the_middle():
    width, moves, place, wanders, alone = image(noise(2), noise(2))
    assert width == pytest.approx(-MOST_DECIBELS) and alone == pytest.approx(-40, abs=0.1)
    assert not place.any() and not wanders.any() and (moves < 1e-3).all()


def test_channels_in_opposite_phase_are_all_width():
    width, _, place, _, alone = image(noise(2), -noise(2))
    assert width == pytest.approx(MOST_DECIBELS) and not place.any() and (alone < -39).all(), (
        "delays and signs are common"
    )


def test_independent_channels_are_as_wide_as_they_are_common():
    width, _, place, _, alone = image(noise(8), noise(8, seed=1))
    assert np.abs(width).max() < 0.5 and np.abs(place).max() < 0.5 and (alone > -0.5).all()


def test_a_louder_left_channel_shows_in_the_place():
    width, _, place, wanders, _ = image(2 * noise(4), noise(4))
    np.testing.assert_allclose(place, 20 * np.log10(2), atol=0.01)
    np.testing.assert_allclose(width, 20 * np.log10(1 / 3), atol=0.01)
    assert (wanders < 0.01).all()


def test_a_sound_that_moves_has_places_that_differ():
    fade = torch.linspace(0.1, 1, RATE)
    *_, wanders, _ = image(fade * noise(4), fade.flip(0) * noise(4))
    still = image(noise(4), noise(4))[3]
    assert (wanders > 4).all() and (still < 0.01).all()


def test_each_band_has_its_own_image():
    low, high = (torch.sin(2 * torch.pi * hertz / RATE * torch.arange(RATE)) for hertz in (300, 6000))
    width, _, place, _, _ = image((low + high)[None, None], (low - 0.5 * high)[None, None])
    assert width[0] == pytest.approx(-MOST_DECIBELS) and place[0] == pytest.approx(0, abs=0.05), (
        "300 Hz is in the middle"
    )
    assert width[-1] == pytest.approx(20 * np.log10(3), abs=0.05) and place[-1] == pytest.approx(6.02, abs=0.05)


def test_silence_and_one_silent_channel_give_finite_numbers():
    silent = torch.zeros(1, 1, RATE)
    assert np.isfinite(stereo_image(torch.cat([silent, silent], dim=1), RATE)).all()
    _, _, place, _, _ = image(noise(1), silent)
    assert place == pytest.approx(MOST_DECIBELS)


def test_many_clips_are_measured_a_part_at_a_time():
    clips = noise(5, 2, samples=SAMPLES_AT_ONCE // 4)
    np.testing.assert_allclose(stereo_image(clips, RATE)[3], stereo_image(clips[3:4], RATE)[0], rtol=1e-5, atol=1e-5)


FAULTS = {
    "folded to mono": lambda clips: clips.mean(dim=1, keepdim=True).expand(-1, 2, -1),
    "channels swapped": lambda clips: clips.flip(1),
    "in opposite phase": lambda clips: clips * torch.tensor([1.0, -1.0])[:, None],
    "right a millisecond late": lambda clips: torch.stack([clips[:, 0], clips[:, 1].roll(16, dims=-1)], dim=1),
    "a different right channel": lambda clips: torch.stack([clips[:, 0], clips[:, 1].roll(1, dims=0)], dim=1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_image_is_far_from_real_clips(fault):
    """Real clips are a noise in the middle, less loud on the right, with a little of its own in each channel."""

    def real(seed: int) -> torch.Tensor:
        common, own = noise(40, seed=seed), noise(40, 2, seed=seed + 100)
        return common * torch.tensor([1.0, 0.7])[:, None] + 0.3 * own

    def distance(clips: torch.Tensor) -> float:
        mine, reference = stereo_image(clips, RATE), stereo_image(real(1), RATE)
        return kernel_distance(mine, reference, np.ones((1, 40)), np.ones((1, 40))).item()

    assert abs(distance(real(2))) < 3 and distance(FAULTS[fault](real(2))) > 50


def test_what_nobody_hears_is_no_distance_from_equal_channels():
    """Real clips of two equal channels have one image, so a distance in units of their spread would be rounding."""
    left = noise(40)

    def distance(side: float) -> float:
        mine, reference = (
            stereo_image(torch.cat([left, left + side * noise(40, seed=1)], dim=1), RATE),
            stereo_image(torch.cat([noise(40, seed=2)] * 2, dim=1), RATE),
        )
        return kernel_distance(mine, reference, np.ones((1, 40)), np.ones((1, 40))).item()

    assert abs(distance(0)) < 1e-6 and abs(distance(1e-4)) < 1e-6 and distance(0.3) > 90
