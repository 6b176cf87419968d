"""Checks that faults planted in clips are what they are called: levels, frequencies and places worked out by hand."""

import corruptions
import numpy as np
import pytest
import torch
from corruptions import CORRUPTIONS, Clips, Split

RATE, SAMPLES = 16000, 4096
TIME = torch.arange(SAMPLES) / RATE


def random() -> np.random.Generator:
    return np.random.default_rng(7)


def clips_of(audio: torch.Tensor) -> Clips:
    """Makes clips with labels 0, 1, 2, 0, … and groups a, b, a, …"""
    numbers = np.arange(len(audio))
    return Clips(audio, numbers % 3, np.array(["a", "b"])[numbers % 2])


def split_of(candidates: torch.Tensor, training: torch.Tensor | None = None) -> Split:
    own = clips_of(candidates)
    return Split(own if training is None else clips_of(training), own, own, RATE, [1, 2], ["b"])


def tones(*frequencies: float) -> torch.Tensor:
    """Makes sines of amplitude 0.5 over half of a clip, with silence after them."""
    heard = torch.stack([0.5 * torch.sin(2 * torch.pi * frequency * TIME) for frequency in frequencies])[:, None]
    return heard * (TIME < 0.128)


@pytest.mark.parametrize(
    ("plant", "decibels"),
    [(corruptions.noise, -30), (corruptions.comb, -30), (corruptions.faint_comb, -50)],
    ids=["30", "30", "50"],
)
def test_what_is_added_lies_so_far_below_each_clip(plant, decibels):
    clips = torch.cat([tones(500, 1000), 0.1 * tones(700)])
    added = plant(split_of(clips), random()) - clips
    ratio = 10 * (added.square().mean(dim=(1, 2)) / clips.square().mean(dim=(1, 2))).log10()
    torch.testing.assert_close(ratio, torch.full((3,), float(decibels)), atol=0.2, rtol=0)
    assert added[..., SAMPLES // 2 :].square().mean() > 0, "in the silence as well"


def test_noise_is_white_and_of_its_own_in_each_clip():
    added = corruptions.noise(split_of(tones(500, 500)), random()) - tones(500, 500)
    power = torch.fft.rfft(added[0, 0]).abs().square()
    quarters = torch.stack([part.mean() for part in power[:2048].split(512)])
    assert quarters.min() / quarters.max() > 0.8
    assert abs(float(torch.corrcoef(added[:, 0])[0, 1])) < 0.1


def test_a_comb_has_tones_at_a_quarter_and_half_of_the_rate_alone():
    power = torch.fft.rfft((corruptions.comb(split_of(tones(500)), random()) - tones(500))[0, 0]).abs().square()
    assert set(power.topk(2).indices.tolist()) == {SAMPLES // 4, SAMPLES // 2}
    assert power.topk(2).values.sum() > (1 - 1e-6) * power.sum()


def test_a_low_pass_keeps_what_is_low_and_takes_what_is_high():
    kept = corruptions.low_pass(split_of(tones(500, 1500, 3000)), random()).square().mean(dim=(1, 2))
    low, corner, high = (10 * (kept / tones(500, 1500, 3000).square().mean(dim=(1, 2))).log10()).tolist()
    assert low == pytest.approx(0, abs=0.1) and corner == pytest.approx(-3, abs=0.3) and high < -25
    assert kept.dtype == torch.float32


def test_sound_is_turned_around_and_silence_is_not():
    clips = torch.zeros(4, 1, 6)
    clips[0, 0] = torch.tensor([1.0, 2, 0, 3, 0, 0])
    clips[1, 0] = torch.arange(1.0, 7)
    clips[3, 0, 5] = 1
    turned = corruptions.backwards(split_of(clips), random())[:, 0].tolist()
    assert turned == [[3, 0, 2, 1, 0, 0], [6, 5, 4, 3, 2, 1], [0] * 6, [1, 0, 0, 0, 0, 0]]
    assert clips[0, 0, 0] == 1, "what was given is left alone"


def test_labels_and_groups_are_kept_by_name():
    clips = torch.arange(1.0, 8)[:, None, None].expand(7, 1, 4)
    assert corruptions.few_labels(split_of(clips), random())[:, 0, 0].tolist() == [2, 3, 5, 6]
    assert corruptions.few_groups(split_of(clips), random())[:, 0, 0].tolist() == [2, 4, 6]
    assert corruptions.none(split_of(clips), random()) is clips


@pytest.mark.parametrize(("count", "different"), [(60, 3), (70, 3), (5, 1)])
def test_a_twentieth_is_repeated(count, different):
    values = corruptions.repeats(split_of(torch.arange(float(count))[:, None, None]), random()).flatten()
    assert len(values) == count and sorted(set(values.tolist())) == list(range(different))


def test_copies_are_training_clips_a_little_later_and_louder_or_softer():
    training = torch.zeros(200, 1, SAMPLES)
    training[..., 100] = 1
    made = corruptions.copies(split_of(tones(500), training), random())
    places = made.abs().argmax(dim=2).flatten() - 100
    assert len(made) == 200 and places.min() == 0 and places.max() == 48  # 3 ms
    decibels = 20 * made.abs().amax(dim=(1, 2)).log10()
    assert -1.01 < decibels.min() < -0.9 and 0.9 < decibels.max() < 1.01


@pytest.mark.parametrize(("plant", "decibels"), [(corruptions.copies, -60), (corruptions.hissing_copies, -50)])
def test_copies_hiss_below_their_own_power(plant, decibels):
    made = plant(split_of(tones(500), tones(500, 900)), random())
    hiss, power = made[..., 3000:].square().mean(dim=(1, 2)), made.square().mean(dim=(1, 2))
    torch.testing.assert_close(10 * (hiss / power).log10(), torch.full((2,), float(decibels)), atol=0.4, rtol=0)


def test_every_fault_keeps_the_form_of_clips_and_the_same_draws_give_the_same():
    clips = torch.cat([tones(*range(300, 2300, 100))] * 2)
    for plant in CORRUPTIONS.values():
        made = plant(split_of(clips), random())
        assert made.shape[1:] == clips.shape[1:] and made.dtype == torch.float32 and made.isfinite().all()
        assert torch.equal(made, plant(split_of(clips), random()))
