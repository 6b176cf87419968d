"""Evaluation as a whole: the order of candidates, and that nothing but their clips matters."""

import pytest
import torch

from wavegan.errors import DataError
from wavegan.evaluation.evaluate import evaluate
from wavegan.evaluation.features import white_noise

RATE, SAMPLES, COUNT = 16000, 4096, 40


def plucks(seed: int) -> torch.Tensor:
    """Decaying tones of random pitch, length and level over a little noise."""
    generator = torch.Generator().manual_seed(seed)
    pitch, decay, level = torch.rand(3, COUNT, 1, 1, generator=generator)
    seconds = torch.arange(SAMPLES) / RATE
    tone = torch.sin(2 * torch.pi * (200 + 2000 * pitch) * seconds) * torch.exp(-seconds * (5 + 40 * decay))
    return (0.2 + 0.7 * level) * (tone + 0.01 * torch.randn(COUNT, 1, SAMPLES, generator=generator))


def low_passed(clips: torch.Tensor) -> torch.Tensor:
    spectrum = torch.fft.rfft(clips)
    spectrum[..., SAMPLES * 4000 // RATE :] = 0
    return torch.fft.irfft(spectrum)


@pytest.fixture(scope="module")
def candidates():
    real = plucks(1)
    rms = float(real.square().mean().sqrt())
    noise = white_noise(COUNT, 1, SAMPLES, rms=rms, seed=0)
    return {"real": real, "low-passed": low_passed(real), "noise": noise}


@pytest.fixture(scope="module")
def scores(candidates):
    return evaluate(candidates, plucks(2), RATE, resamples=20)


def test_real_is_nearer_than_low_passed_and_noise_is_farthest(scores):
    real, low_passed, noise = (scores[name]["fad_l"] for name in ("real", "low-passed", "noise"))
    assert 3 * real["value"] < low_passed["value"] < noise["value"]
    assert real["high"] < low_passed["low"] and low_passed["high"] < noise["low"]


def test_every_score_has_its_interval_and_count(scores):
    for score in scores.values():
        assert score["fad_l"]["low"] < score["fad_l"]["value"] < score["fad_l"]["high"]
        assert score["fad_l"]["n"] == COUNT


def test_the_same_clips_and_seed_give_the_same_numbers(candidates, scores):
    assert evaluate(candidates, plucks(2), RATE, resamples=20) == scores


def test_neither_the_order_of_clips_nor_other_candidates_matter(candidates, scores):
    flipped = evaluate({"real": candidates["real"].flip(0)}, plucks(2).flip(0), RATE, resamples=20)
    assert flipped["real"]["fad_l"] == pytest.approx(scores["real"]["fad_l"], rel=1e-3)


def test_one_clip_is_refused(candidates):
    with pytest.raises(DataError, match="1 clips against 40"):
        evaluate({"generated": candidates["real"][:1]}, plucks(2), RATE)
