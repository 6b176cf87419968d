"""Compares resampling of blocks with soxr on the whole sound."""

import numpy as np
import pytest
import soxr

from wavegan.dsp.resampling import resampled

NOISE = 0.1 * np.random.default_rng(0).standard_normal((5000, 2)).astype(np.float32)


@pytest.mark.parametrize(("rate", "new_rate"), [(44100, 16000), (8000, 16000)])
@pytest.mark.parametrize("block", [5000, 700])
def test_blocks_give_what_the_whole_gives(rate, new_rate, block):
    blocks = (NOISE[start : start + block] for start in range(0, len(NOISE), block))
    sound = np.concatenate(list(resampled(blocks, rate, new_rate, 2)))
    expected = soxr.resample(NOISE, rate, new_rate, quality="HQ")
    assert sound.shape == expected.shape and sound.dtype == np.float32
    np.testing.assert_allclose(sound, expected, rtol=0, atol=1e-6)


def test_blocks_of_the_same_rate_pass_as_they_are():
    blocks = [NOISE[:10], NOISE[10:]]
    passed = list(resampled(iter(blocks), 16000, 16000, 2))
    assert all(block is given for block, given in zip(passed, blocks, strict=True))
