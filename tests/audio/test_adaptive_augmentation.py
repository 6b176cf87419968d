"""Tests augmentations that can be undone: in closed form, in distribution, and by the certainty."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from wavegan.audio.adaptive_augmentation import CHANGES, Adaptive, Filter

RATE, SAMPLES = 16000, 256
NOTHING = {"shift_ms": 0.0, "gain_db": 0.0, "equalizer_db": 0.0}
DRAWS = 40_000
SURE = 5 / math.sqrt(DRAWS)  # deviations of a mean of numbers up to 1


def clips(count: int = 3, channels: int = 2, samples: int = SAMPLES) -> Tensor:
    return torch.rand(count, channels, samples, generator=torch.Generator().manual_seed(1)).double() * 2 - 1


def changed(seed: int, sound: Tensor, **settings: Any) -> Tensor:
    torch.manual_seed(seed)
    return Adaptive(RATE, probability=0.8, **settings)(sound)


def responses(*, count: int = DRAWS, probability: float = 0.8, **settings: Any) -> Tensor:
    torch.manual_seed(0)
    augment = Adaptive(RATE, probability=0.0, **{**NOTHING, **settings})
    augment.probability.fill_(probability)
    return augment.responses(count, torch.zeros(1, 1, SAMPLES, dtype=torch.float64))


@pytest.mark.parametrize("samples", [SAMPLES, 255])
def test_with_a_probability_of_zero_clips_stay_as_they_are(samples):
    sound = clips(samples=samples)
    torch.testing.assert_close(Adaptive(RATE)(sound), sound, rtol=0, atol=1e-13)


@pytest.mark.parametrize("samples", [SAMPLES, 255])
def test_a_change_is_a_circular_filter_of_each_clip(samples, monkeypatch):
    """Compares with numpy's convolution with the impulse response, which is the same for both channels of a clip."""
    augment, sound, held = Adaptive(RATE, probability=0.8), clips(samples=samples), []
    draw = augment.responses
    monkeypatch.setattr(augment, "responses", lambda *given: held.append(draw(*given)) or held[-1])
    torch.manual_seed(3)
    result = augment(sound).numpy()
    for clip, response in enumerate(held[0].numpy()):
        impulse = np.fft.irfft(response, samples)
        for channel in range(2):
            whole = np.convolve(sound[clip, channel].numpy(), np.tile(impulse, 2))[samples : 2 * samples]
            np.testing.assert_allclose(result[clip, channel], whole, atol=1e-12)


def test_shifts_are_delays_by_the_milliseconds_asked_for():
    """Measures delays by the phase of a slow sine: their deviation, and the share of clips that are delayed."""
    omega = 2 * math.pi * 3 / SAMPLES
    delays = responses(shift_ms=0.25)[:, 2:4]
    moved = torch.angle(delays[:, 1] * delays[:, 0].conj()) / (-2 * math.pi / SAMPLES)
    assert omega * 4 < 1
    assert moved.abs().gt(1e-9).double().mean().item() == pytest.approx(0.8, abs=SURE)
    assert moved[moved.abs() > 1e-9].std().item() == pytest.approx(0.25 * RATE / 1000, rel=0.02)


def test_levels_and_colours_are_in_decibels():
    for name in ("gain_db", "equalizer_db"):
        decibels = 20 * responses(count=DRAWS, probability=0.8, **{name: 2.0}).abs().log10()
        touched = decibels[decibels.abs().amax(1) > 1e-9]
        assert len(touched) / DRAWS == pytest.approx(0.8, abs=SURE)
        flat = touched.std(dim=1) < 1e-9
        assert flat.all() == (name == "gain_db")
        middle = touched[:, 5:-5].std().item() if name == "equalizer_db" else touched[:, 0].std().item()
        assert middle == pytest.approx(2.0, rel=0.1)


def test_no_property_of_the_clips_is_lost_in_the_mean():
    """Checks that each change can be undone in distribution: the mean of every character stays above 1 - p.

    There are characters of the polarity, the phase, the place and the level; each is measured on the part of the
    response that no other change touches. At a probability of 1 they vanish, and what they tell of the clips is
    lost.
    """
    for probability, least in ((0.8, 0.2), (1.0, 0.0)):
        response = responses(probability=probability, shift_ms=0.25, gain_db=6.0)
        unit = response / response.abs()
        polarity = unit[:, 0].real
        place = unit[:, 2:-1] * unit[:, 1:2].conj()  # by 1 to 126 times the angle of a delay
        level = torch.exp(1j * torch.outer(response[:, 0].abs().log(), torch.linspace(0.5, 6, 12).double()))
        assert polarity.mean().item() == pytest.approx(least, abs=SURE)
        still = responses(probability=probability)
        turned = (still / still.abs())[:, 1] ** 2  # the square does not know the polarity
        assert turned.mean().abs().item() == pytest.approx(least, abs=SURE)
        for characters in (place, level):
            assert characters.mean(0).real.min().item() > least - SURE
            assert characters.mean(0).imag.abs().max() < SURE


def test_all_changes_are_made_independently():
    """Counts the clips without a change: about one or two of a thousand, with five changes of probability 0.8."""
    response = responses(gain_db=3.0, shift_ms=0.5, equalizer_db=3.0)
    untouched = ((response - 1).abs().amax(1) < 1e-12).double().mean().item()
    # Each clip is left alone by a change with 0.2, and by the polarity also where it is drawn and keeps the sign.
    assert untouched == pytest.approx(0.2 ** (len(CHANGES) - 1) * 0.6, abs=5 * math.sqrt(0.001 / DRAWS))


def test_the_derivative_is_exact_twice():
    sound = clips(2, 1, 16).requires_grad_()
    response = torch.randn(2, 1, 9, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    response[..., 0] = response[..., 0].real
    response[..., -1] = response[..., -1].real
    assert torch.autograd.gradcheck(lambda x: Filter.apply(x, response), sound)
    assert torch.autograd.gradgradcheck(lambda x: Filter.apply(x, response), sound)


def test_what_was_changed_can_be_changed_back():
    sound, response = clips(), responses(count=3, shift_ms=1.0, gain_db=6.0, equalizer_db=6.0)[:, None]
    torch.testing.assert_close(Filter.apply(Filter.apply(sound, response), 1 / response), sound, rtol=0, atol=1e-12)


def test_polarity_and_phase_keep_the_spectrum():
    sound = clips()
    levels = torch.fft.rfft(changed(0, sound, **NOTHING)).abs()
    torch.testing.assert_close(levels, torch.fft.rfft(sound).abs(), rtol=1e-9, atol=1e-9)


def test_half_precision_is_computed_in_single(monkeypatch):
    with torch.autocast("cpu", torch.bfloat16):
        result = changed(0, clips().bfloat16())
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, changed(0, clips().bfloat16().float()))


def test_the_certainty_is_that_of_pairs():
    real, fake = torch.tensor([3.0, 1.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 2.0, 0.0])
    stats = Adaptive(RATE, probability=0.25).statistics(real + 100, fake + 100)
    assert {name: value.item() for name, value in stats.items()} == {"certainty": 0.25, "augmented": 0.25}


def test_the_probability_follows_the_certainty():
    augment = Adaptive(RATE, ramp_clips=100)
    augment(torch.zeros(10, 1, SAMPLES))

    def followed(certainty: float, updates: int) -> float:
        for _ in range(updates):
            augment.after_update({"certainty": torch.tensor(certainty)})
        return augment.probability.item()

    assert followed(1.0, 33) == 0, "half is forgotten in 256 clips, so 0.6 takes 339"
    assert followed(1.0, 5) == pytest.approx(0.4, abs=0.11)
    assert followed(1.0, 20) == pytest.approx(0.8)
    other = Adaptive(RATE, ramp_clips=100)
    other.load_state_dict(augment.state_dict())
    assert other.probability.item() == pytest.approx(0.8) and torch.equal(other.certainty, augment.certainty)
    assert followed(0.0, 100) == 0
    fixed = Adaptive(RATE, probability=0.5, ramp_clips=0)
    fixed.after_update({"certainty": torch.tensor(1.0)})
    assert fixed.probability.item() == 0.5
