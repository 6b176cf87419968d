"""Tests the classifier: intervals worked by hand, what pictures and features may depend on, learning, and its file."""

import math
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from wavegan.dsp.mel import band_at
from wavegan.errors import DataError
from wavegan.evaluation import classifier_training as training
from wavegan.evaluation.classifier import CLASSIFIER_FORMAT, Accuracy, Classifier, Network, levels, load, save
from wavegan.evaluation.classifier_training import augment, learn, steps_for

RATE, SAMPLES = 16000, 4096
LABELS = ("hiss", "high", "low")


def sounds(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Makes fading noise, high and low tones of random pitch, level, length and start, with their labels in turn."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    pitch, start, length, level = torch.rand(4, count, 1, generator=random)
    time = torch.arange(SAMPLES) / RATE - 0.05 * start
    frequency = torch.where(labels[:, None] == 1, 3000 + 500 * pitch, 300 + 50 * pitch)
    tone = torch.sin(2 * math.pi * frequency * time)
    noise = torch.randn(count, SAMPLES, generator=random)
    sound = torch.where(labels[:, None] == 0, noise / 4, tone) * torch.exp(-time * (20 + 40 * length)) * (time >= 0)
    return (sound * 10 ** (-level)).unsqueeze(1), labels


def taught(seed: int = 0, steps: int = 40) -> Network:
    clips, labels = sounds(60, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "steps_for", lambda _: steps)
        return learn(levels(clips, RATE), labels, 3, seed=seed)


def made(network: Network, **others) -> Classifier:
    facts = {"sample_rate": RATE, "clip_samples": SAMPLES, "seed": 0, "source": "tones", "split": "by hand"}
    return Classifier(network, LABELS, clips=60, held_out=Accuracy(97, 100), **(facts | others))


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return made(taught())


def weights(network: Network) -> Tensor:
    return torch.cat([tensor.flatten().double() for tensor in network.state_dict().values()])


# Accuracy


@pytest.mark.parametrize(
    ("right", "clips", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 2, 0.0945, 0.9055)],
)
def test_wilson_intervals_worked_by_hand(right, clips, low, high):
    assert Accuracy(right, clips).interval == pytest.approx((low, high), abs=5e-5)


def test_the_ends_of_an_interval_are_1_96_deviations_away():
    """Checks the definition: for a true share at either end, the measured share is just within 1.96 deviations."""
    accuracy = Accuracy(383, 400)
    for end in accuracy.interval:
        assert (accuracy.value - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / 400)
    assert str(accuracy) == "95.8 % of 400 clips, 95 % interval 93.3 % to 97.3 %"


# Pictures


def test_a_picture_reaches_from_silence_to_the_loudest_place():
    seconds = torch.arange(SAMPLES) / RATE
    clip = torch.sin(2 * math.pi * 1000 * seconds) * (seconds < 0.1)
    picture = levels(clip[None, None], RATE)[0]
    assert picture.shape == (64, SAMPLES // 128 + 1)
    assert picture.max() == 1 and picture.min() == 0
    assert int(picture[:, 5].argmax()) == round(band_at(1000, RATE))
    assert not picture[:, 16:].any(), "after 0.1 s and the half of a window of 32 ms"


def test_80_decibels_are_the_whole_range():
    seconds = torch.arange(SAMPLES) / RATE
    clip = torch.sin(2 * math.pi * 1000 * seconds) * torch.where(seconds < 0.128, 1, 0.1)
    picture = levels(clip[None, None], RATE)[0, round(band_at(1000, RATE))]
    assert float(picture[8] - picture[24]) == pytest.approx(20 / 80, abs=1e-3)


@pytest.mark.parametrize("gain", [2e-3, 0.1, 30])
def test_level_does_not_matter_until_it_is_silence(gain):
    clips, _ = sounds(6, seed=2)
    clips = clips / clips.abs().amax(dim=2, keepdim=True)
    torch.testing.assert_close(levels(gain * clips, RATE), levels(clips, RATE), atol=1e-4, rtol=0)


def test_silence_is_nothing():
    silence = torch.zeros(2, 1, SAMPLES)
    assert not levels(silence, RATE).any()


def test_what_is_nearly_silent_is_not_raised_to_full_level():
    """Puts a hiss at -120 dBFS under a tone at -60.

    If it were raised, the hiss would be heard where the tone has ended.
    """
    seconds = torch.arange(SAMPLES) / RATE
    hiss = torch.randn(SAMPLES, generator=torch.Generator().manual_seed(0))
    tone = torch.sin(2 * math.pi * 1000 * seconds) * (seconds < 0.1)
    quiet = (1e-3 * tone + 1e-6 * hiss)[None, None]
    assert levels(quiet, RATE)[0, :, 20:].mean() > 0.03
    assert levels(quiet / 1000, RATE)[0, :, 20:].mean() < 0.001


@pytest.mark.parametrize("rate", [1000, 4000, 7999, 8000, 22050, 31999, 44100, 96000])
def test_every_rate_fills_every_band(rate):
    noise = torch.randn(1, 1, rate, generator=torch.Generator().manual_seed(0))
    assert levels(noise, rate)[0].mean(dim=1).min() > 0.5


# Bending


@pytest.fixture
def straight(monkeypatch):
    """Switches off every augmentation except those that the test sets."""
    for name in ("STRETCH", "SHIFT", "MEL_STRETCH", "TRANSPOSE", "TILT", "NOISE", "MASK"):
        monkeypatch.setattr(training, name, 0.0)
    return monkeypatch


def pictures(count: int = 400) -> Tensor:
    """Makes a spot of bands 30 to 33 and frames 40 to 43 of 100, at half the range."""
    spot = torch.zeros(count, 64, 100)
    spot[:, 30:34, 40:44] = 0.5
    return spot


def bend(given: Tensor, seed: int = 0) -> Tensor:
    return augment(given, torch.Generator().manual_seed(seed))


def middle(images: Tensor, dim: int) -> Tensor:
    """Returns the place of the spot along bands (1) or frames (2)."""
    weight = images.sum(dim=3 - dim)
    return (weight * torch.arange(weight.shape[1])).sum(dim=1) / weight.sum(dim=1)


def test_nothing_is_bent_where_nothing_is_asked(straight):
    torch.testing.assert_close(bend(pictures()), pictures(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("name", "dim", "still", "places"), [("SHIFT", 2, 1, 20.0), ("TRANSPOSE", 1, 2, 12.8)])
def test_spots_move_by_up_to_a_part_of_the_picture_either_way(straight, name, dim, still, places):
    straight.setattr(training, name, 0.2)
    bent = bend(pictures())
    moved, rest = middle(bent, dim) - middle(pictures(), dim), middle(bent, still) - middle(pictures(), still)
    assert places * 0.9 < moved.max() < places + 0.01 and -places - 0.01 < moved.min() < -places * 0.9
    assert moved.abs().median() == pytest.approx(places / 8, rel=0.3), (
        "half of all draws are nearer to 0 than 1 / 2, cubed"
    )
    assert rest.abs().max() < 0.01


@pytest.mark.parametrize(("name", "dim"), [("STRETCH", 2), ("MEL_STRETCH", 1)])
def test_stretching_leaves_the_start_where_it_is(straight, name, dim):
    straight.setattr(training, name, 0.2)
    place = middle(pictures(), dim) + 0.5
    factor = (middle(bend(pictures()), dim) + 0.5) / place
    assert math.exp(0.18) < factor.max() < math.exp(0.2) + 0.01
    assert math.exp(-0.2) - 0.01 < factor.min() < math.exp(-0.18)


def test_tilt_raises_one_end_and_lowers_the_other_and_never_silence(straight):
    straight.setattr(training, "TILT", 0.2)
    half = torch.full((400, 64, 100), 0.5)
    bent = bend(half)
    torch.testing.assert_close(bent[:, 0] + bent[:, -1], torch.ones(400, 100))
    assert 0.68 < bent[:, -1].max() <= 0.7 and 0.3 <= bent[:, -1].min() < 0.32
    assert not bend(torch.zeros_like(half)).any()


def test_noise_leaves_what_stands_out(straight):
    straight.setattr(training, "NOISE", 0.4)
    bent = bend(torch.full((400, 64, 100), 0.5))
    noise = (0.5 - bent) / (1 - bent)  # the other way round
    assert -1e-4 < noise.min() < 0.01 and 0.38 < noise.max() < 0.4 + 1e-4
    assert float(bend(torch.ones(9, 64, 100)).min()) == pytest.approx(1)
    assert not bend(torch.zeros(9, 64, 100)).any()


def test_gaps_are_of_time_and_of_bands(straight):
    straight.setattr(training, "MASK", 0.25)
    gaps = bend(torch.full((1000, 64, 100), 0.5)) == 0
    frames, bands = gaps.all(dim=1).sum(dim=1), gaps.all(dim=2).sum(dim=1)
    assert frames.max() == 25 and bands.max() == 16
    assert frames.float().mean() == pytest.approx(12.5, abs=1) and bands.float().mean() == pytest.approx(8, abs=1)
    covered = gaps.all(dim=1).float().mean(dim=0)
    assert 0 < covered[0] < 0.1 and 0 < covered[-1] < 0.1, "the ends are least often in a gap"
    assert covered[25:75].min() > 0.1


def test_each_picture_is_bent_otherwise_and_each_seed_alike():
    clips, _ = sounds(1, seed=0)
    same = levels(clips, RATE).repeat(2, 1, 1)
    first = bend(same)
    assert not torch.equal(first[0], first[1])
    assert torch.equal(first, bend(same)) and not torch.equal(first, bend(same, seed=1))


# Learning


@pytest.mark.parametrize(("clips", "steps"), [(10, 1000), (1600, 1500), (100_000, 4000)])
def test_every_clip_is_heard_thirty_times_within_limits(clips, steps):
    assert steps_for(clips) == steps


def test_it_recognises_sounds_that_it_has_not_heard(classifier):
    clips, labels = sounds(90, seed=7)
    features, probabilities = classifier.extract(clips, RATE)
    assert (probabilities.argmax(axis=1) == labels.numpy()).mean() > 0.95
    assert features.shape == (90, 48) and probabilities.shape == (90, 3)
    assert features.dtype == probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)


def test_the_same_seed_teaches_the_same_and_leaves_other_randomness_alone():
    torch.manual_seed(5)
    first, again, other = taught(steps=3), taught(steps=3), taught(seed=1, steps=3)
    assert torch.equal(weights(first), weights(again))
    assert not torch.allclose(weights(first), weights(other))
    assert torch.initial_seed() == 5 and torch.equal(torch.rand(3), _first_three(5))


def _first_three(seed: int) -> Tensor:
    return torch.rand(3, generator=torch.Generator().manual_seed(seed))


def test_the_seed_decides_start_weights_and_order(monkeypatch):
    """Trains for one step, which moves no weight by more than a thousandth."""
    first, other = weights(taught(steps=1)), weights(taught(seed=1, steps=1))
    assert (first - other).abs().max() > 0.1
    orders = []
    monkeypatch.setattr(training, "steps_for", lambda _: 1)
    monkeypatch.setattr(training, "augment", lambda given, _: (orders.append(given[:, 0, 0].tolist()), given)[1])
    for seed in (0, 1):
        learn(torch.arange(70.0)[:, None, None].expand(70, 64, 8), torch.arange(70) % 2, 2, seed=seed)
    assert orders[0] != orders[1]


def test_every_clip_comes_once_before_one_comes_again(monkeypatch):
    """Takes 70 clips, each of its own level, for a little over two rounds of 32 at a time."""
    seen = []
    monkeypatch.setattr(training, "steps_for", lambda _: 5)
    monkeypatch.setattr(training, "augment", lambda given, _: (seen.extend(given[:, 0, 0].tolist()), given)[1])
    marked = torch.arange(70.0)[:, None, None].expand(70, 64, 8)
    learn(marked, torch.arange(70) % 2, 2)
    assert len(seen) == 160
    for first in (0, 70):
        assert sorted(seen[first : first + 70]) == list(range(70))
    assert seen[:70] != seen[70:140]


def test_two_clips_are_enough_to_learn_from(monkeypatch):
    monkeypatch.setattr(training, "steps_for", lambda _: 2)
    clips, labels = sounds(2, seed=0)
    assert weights(learn(levels(clips, RATE), labels, 2)).isfinite().all()


# What features depend on


def test_the_batch_size_does_not_matter(classifier):
    clips, _ = sounds(7, seed=3)
    for together, in_pairs in zip(
        classifier.extract(clips, RATE), classifier.extract(clips, RATE, batch=2), strict=True
    ):
        np.testing.assert_allclose(together, in_pairs, atol=1e-5)


def test_silence_behind_hardly_matters(classifier):
    clips, _ = sounds(30, seed=4)
    clips[..., 3000:] = 0
    longer = torch.cat([clips, torch.zeros(30, 1, 3 * SAMPLES)], dim=2)
    features, padded = (classifier.extract(sound, RATE)[0] for sound in (clips, longer))
    assert np.abs(features - padded).max() < 0.08 * features.std()


@pytest.mark.parametrize("samples", [1, 100, 20000])
def test_any_length_is_heard(classifier, samples):
    features, probabilities = classifier.extract(torch.ones(2, 2, samples) / 2, RATE)
    assert np.isfinite(features).all() and np.isfinite(probabilities).all() and len(features) == 2


def test_features_are_many_different_numbers(classifier):
    """Guards the Fréchet distance: features that are mostly zero or copies of each other would say little."""
    features, _ = classifier.extract(sounds(300, seed=5)[0], RATE)
    assert (features == 0).mean() < 0.01
    assert features.std(axis=0).min() > 1e-3
    assert np.linalg.matrix_rank(np.cov(features, rowvar=False)) == 48


def test_channels_are_heard_together(classifier):
    clips, _ = sounds(4, seed=6)
    for mono, stereo in zip(
        classifier.extract(clips, RATE), classifier.extract(clips.repeat(1, 2, 1), RATE), strict=True
    ):
        np.testing.assert_allclose(mono, stereo, atol=1e-5)


def test_another_rate_is_refused(classifier):
    with pytest.raises(DataError, match=r"clips of 22,050 Hz .* classifier of 16,000 Hz; .*--sample-rate"):
        classifier.extract(torch.zeros(1, 1, SAMPLES), 22050)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_samples_that_are_no_numbers_are_refused(classifier, value):
    clips = torch.zeros(3, 2, SAMPLES)
    clips[1, 1, 7] = value
    with pytest.raises(DataError, match="1 of 3 clips hold NaN or infinite samples"):
        classifier.extract(clips, RATE)


# Names and files


def test_the_identity_is_that_of_weights_labels_and_rate(classifier):
    same = made(deepcopy(classifier.network))
    assert classifier.identity == same.identity == replace(same, held_out=Accuracy(1, 9), source="x").identity
    turned = made(deepcopy(classifier.network))
    turned.network.labels.bias.data[0] += 1e-3
    others = [turned, replace(same, label_names=("hiss", "low", "high")), replace(same, sample_rate=8000)]
    assert len({listener.identity for listener in [same, *others]}) == 4
    assert classifier.name == f"tones classifier {classifier.identity[:6]} (97.0 % of 100 held-out clips)"


def test_what_was_saved_is_loaded(classifier, tmp_path: Path):
    path = tmp_path / "ears.pt"
    save(replace(classifier, test=Accuracy(2, 3)), path)
    again = load(path)
    assert again.test == Accuracy(2, 3)
    assert replace(again, test=None, network=classifier.network) == classifier
    assert again.identity == classifier.identity and not again.network.training
    clips, _ = sounds(5, seed=8)
    for before, loaded in zip(classifier.extract(clips, RATE), again.extract(clips, RATE), strict=True):
        assert np.array_equal(before, loaded)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_leaves_the_old_one(classifier, tmp_path: Path, monkeypatch):
    path = tmp_path / "ears.pt"
    save(classifier, path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="No space"):
        save(classifier, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_file_is_refused(classifier, tmp_path: Path, damage):
    path = tmp_path / "ears.pt"
    save(classifier, path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 4
    path.write_bytes({"cut": whole[:-1000], "flipped": bytes(flipped), "empty": b"", "text": b"no network"}[damage])
    with pytest.raises(DataError, match=r"ears\.pt cannot be read \(.*; it is damaged or no classifier; train one"):
        load(path)


def test_a_foreign_file_is_refused(tmp_path: Path):
    for content in ({"format": 2}, [1, 2], {"wavegan classifier": 99}):
        torch.save(content, tmp_path / "other.pt")
        with pytest.raises(DataError, match=f"is no wavegan classifier of format {CLASSIFIER_FORMAT}"):
            load(tmp_path / "other.pt")
    with pytest.raises(DataError, match="nowhere.pt cannot be read"):
        load(tmp_path / "nowhere.pt")
