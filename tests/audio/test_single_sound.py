"""Tests reading one sound: of channels that cancel or nearly do, the first is taken."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavegan.audio.decoding import Conversion
from wavegan.audio.single_sound import read_clip, read_whole
from wavegan.errors import DataError

SOUND = 0.5 * np.random.default_rng(0).uniform(-1, 1, 4000)


@pytest.mark.parametrize("other", [-1.0, -0.98])
def test_of_channels_that_work_against_each_other_the_first_is_taken(tmp_path: Path, other: float):
    path = tmp_path / "wide.wav"
    soundfile.write(path, np.stack([SOUND, other * SOUND], 1), 16000)
    told = ["its channels lose much of the sound when they are mixed", "channel 1 of 2 is taken"]
    clip, notes = read_clip(path, Conversion(16000, 1, normalize=False), 4000)
    assert notes == told
    np.testing.assert_allclose(clip[0], SOUND, atol=1e-4)
    whole, notes = read_whole(path, Conversion(16000, 1))
    assert notes == told
    np.testing.assert_allclose(whole[0], SOUND, atol=1e-4)


def test_channels_that_agree_are_mixed_and_a_channel_that_was_chosen_stays(tmp_path: Path):
    soundfile.write(tmp_path / "near.wav", np.stack([SOUND, 0.5 * SOUND], 1), 16000)
    clip, notes = read_clip(tmp_path / "near.wav", Conversion(16000, 1, normalize=False), 4000)
    assert notes == ["its channels (2) are mixed to mono"]
    np.testing.assert_allclose(clip[0], 0.75 * SOUND, atol=1e-4)
    soundfile.write(tmp_path / "wide.wav", np.stack([SOUND, -SOUND], 1), 16000)
    clip, notes = read_clip(tmp_path / "wide.wav", Conversion(16000, 1, normalize=False, channel=2), 4000)
    assert notes == ["channel 2 of 2 is taken"]
    np.testing.assert_allclose(clip[0], -SOUND, atol=1e-4)


@pytest.mark.parametrize(
    ("conversion", "reason"),
    [
        (Conversion(16000, 2), "has 3 channels where data.channels is 2; only mono files are spread to several"),
        (Conversion(16000, 1, channel=4), "has 3 channels where data.channel is 4"),
    ],
)
def test_channels_that_a_model_cannot_take_are_refused_with_what_helps(tmp_path: Path, conversion, reason):
    path = tmp_path / "wide.wav"
    soundfile.write(path, np.stack([SOUND] * 3, 1), 16000)
    with pytest.raises(DataError) as caught:
        read_whole(path, conversion)
    assert str(caught.value) == f"{path} {reason}; save it as mono"
    soundfile.write(path, SOUND, 16000)
    assert read_whole(path, conversion)[0].shape == (conversion.channels, 4000)
