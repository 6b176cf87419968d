"""Tests evaluation as a whole, on plucked tones: each planted fault moves its metrics, and only the clips matter."""

import numpy as np
import pytest
import torch
from torch import Tensor

from wavegan.errors import DataError
from wavegan.evaluation.evaluate import Reference, score_record
from wavegan.evaluation.features import white_noise
from wavegan.evaluation.metrics import AS_REAL, HIGHER, LOWER, METRICS

RATE, SAMPLES, COUNT = 16000, 4096, 200
OF_LABELS = {name for name, metric in METRICS.items() if metric.features in ("classifier", "probabilities")}
OF_EMBEDDING = {name for name, metric in METRICS.items() if metric.features == "embedding"}
OF_STEREO = {"kad_stereo"}  # most clips here are mono
OF_COPIES = {name for name, metric in METRICS.items() if metric.features == "to_training"}


def plucks(seed: int, count: int = COUNT) -> Tensor:
    """Makes three decaying tones a clip, of random start, pitch, length and level, over a little noise.

    Half of the clips are an octave up.
    """
    generator = torch.Generator().manual_seed(seed)
    start, pitch, decay, level = torch.rand(4, count, 3, 1, generator=generator)
    seconds = (torch.arange(SAMPLES) / RATE - 0.01 - 0.05 * start).clamp(min=0)
    frequency = (1 + torch.arange(count)[:, None, None] % 2) * (800 + 800 * pitch)
    tones = level * torch.sin(2 * torch.pi * frequency * seconds) * torch.exp(-seconds * (30 + 60 * decay))
    return tones.mean(dim=1, keepdim=True) + 0.0005 * torch.randn(count, 1, SAMPLES, generator=generator)


def jittered(clips: Tensor, seed: int) -> Tensor:
    """Moves each clip by up to 3 ms and its level by up to 1 dB, and adds noise 80 dB below full scale."""
    random = np.random.default_rng(seed)
    moved = [clip.roll(int(shift), -1) for clip, shift in zip(clips, random.integers(-48, 49, len(clips)), strict=True)]
    gains = 10 ** (torch.from_numpy(random.uniform(-1, 1, (len(clips), 1, 1))).float() / 20)
    return gains * torch.stack(moved) + white_noise(len(clips), 1, SAMPLES, rms=0.0001, seed=seed)


def low_passed(clips: Tensor) -> Tensor:
    spectrum = torch.fft.rfft(clips)
    spectrum[..., SAMPLES * 1300 // RATE :] = 0
    return torch.fft.irfft(spectrum)


def power(clips: Tensor) -> float:
    return float(clips.square().mean())


def embedding(clips: Tensor, sample_rate: int) -> Tensor:
    """Returns the features of `Ear`, as a function."""
    return torch.from_numpy(Ear().extract(clips, sample_rate)[0])


def clicked(clips: Tensor) -> Tensor:
    """Adds a click of a millisecond in the middle of each clip."""
    clips = clips.clone()
    clips[..., 2500:2516] += white_noise(len(clips), 1, 16, rms=0.3, seed=4)
    return clips


class Ear:
    """Describes a listener that tells low from high tones by their mean frequency in kHz, or by a made-up one."""

    def __init__(self, heard: float | None = None):
        self.heard = heard

    def extract(self, clips: Tensor, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
        powers = torch.fft.rfft(clips[:, 0]).abs().double().square().numpy() + 1e-9
        pitch = powers @ np.linspace(0, sample_rate / 2000, powers.shape[1]) / powers.sum(axis=1)
        if self.heard is not None:
            pitch = self.heard + 0.1 * pitch
        high = 1 / (1 + np.exp(10 * (1.8 - pitch)))
        return np.stack([pitch, np.sqrt(pitch)], axis=1), np.stack([1 - high, high], axis=1)


@pytest.fixture(scope="module")
def candidates() -> dict[str, Tensor]:
    real = plucks(1)
    comb = torch.tensor([3.0, -1, -1, -1]).repeat(SAMPLES // 4) / 3**0.5
    hiss = white_noise(COUNT, 1, SAMPLES, rms=1, seed=1)
    return {
        "real": real,
        "hiss": real + 0.1 * power(real) ** 0.5 * hiss,
        "comb": real + 0.03 * power(real) ** 0.5 * comb,
        "low-passed": low_passed(real),
        "high only": plucks(1, 2 * COUNT)[1::2],
        "repeated": real[:20].repeat(COUNT // 20, 1, 1),
        "backwards": real.flip(-1),
        "clicks": clicked(real),
        "copies": jittered(plucks(3), 0),
        "echoed": real + 0.5 * torch.nn.functional.pad(real, (301, 0))[..., :SAMPLES],
        "with a tone": real + 0.01 * torch.sin(2 * torch.pi * 301 / 2048 * torch.arange(SAMPLES)),
        "noise": white_noise(COUNT, 1, SAMPLES, rms=power(real) ** 0.5, seed=0),
    }


@pytest.fixture(scope="module")
def reference() -> Reference:
    parts = plucks(2).split(64)
    return Reference(parts, RATE, training=plucks(3).split(64), classifier=Ear(), embedding=embedding)


@pytest.fixture(scope="module")
def scores(reference, candidates):
    by_set = {}
    for name, clips in candidates.items():
        seen = reference.extract(clips.split(64))
        by_set[name] = {key: score_record(values, COUNT) for key, values in reference.estimates(seen, count=40).items()}
    return by_set


def test_real_clips_are_at_rest_in_every_metric(scores):
    values = {name: result["value"] for name, result in scores["real"].items()}
    assert values.keys() == METRICS.keys() - OF_STEREO
    assert abs(values["kad_l"]) < 1 and scores["real"]["kad_l"]["low"] < 0 < scores["real"]["kad_l"]["high"]
    assert scores["real"]["fad_l"]["low"] > 0, "fad is biased, and says so beside the real clips"
    assert all(values[name] > 0.85 for name in ("precision", "recall", "density", "coverage"))
    assert all(abs(values[name]) < 1 for name in ("kad_order", "kad_partials", "kad_attack"))
    assert values["artefact_share"] <= 0.03
    assert values["duplicate_share"] < 0.04 and values["copy_share"] < 0.04 and abs(values["copy_z"]) < 3
    assert values["comb_db"] < 3 and values["spectrum_error_db"] < 2
    assert -67 < values["noise_floor_db"] < -65
    assert 1.5 < values["inception_score"] < 2 < values["mis"]


RISES = {
    "hiss": ("kad_l", "fad_l", "spectrum_error_db", "noise_floor_db"),
    "comb": ("comb_db", "kad_l", "fad_l"),
    "low-passed": ("kad_l", "kad_c", "fad_l", "fad_c", "spectrum_error_db"),
    "high only": ("kad_l", "kad_c", "fad_l", "fad_c", "am"),
    "repeated": ("duplicate_share",),
    "copies": ("copy_share",),
    "backwards": ("kad_order", "kad_attack"),
    "clicks": ("artefact_share", "kad_attack"),
    "echoed": ("ripple_db",),
    "with a tone": ("line_db",),
    "noise": (
        *("kad_l", "kad_c", "fad_l", "fad_c", "spectrum_error_db", "noise_floor_db"),
        *("kad_partials", "partial_jitter_hz", "kad_e", "fad_e"),
    ),
}
FALLS = {
    "hiss": ("precision", "recall", "coverage", "density"),
    "high only": ("recall", "coverage", "inception_score", "mis"),
    "repeated": ("recall", "coverage"),
    "copies": ("copy_z",),
    "noise": (
        *("precision", "recall", "coverage", "density", "inception_score"),
        *("precision_e", "recall_e", "coverage_e", "density_e"),
    ),
}
STAYS = {
    "high only": ("precision", "copy_share"),
    "backwards": ("kad_l", "kad_c", "noise_floor_db", "spectrum_error_db"),
    "copies": ("kad_l", "precision", "recall", "coverage", "duplicate_share", "am"),
}


@pytest.mark.parametrize("fault", RISES)
def test_a_planted_fault_moves_what_it_should(scores, fault):
    real, faulty = scores["real"], scores[fault]
    for name in RISES[fault]:
        assert faulty[name]["low"] > real[name]["high"], name
    for name in FALLS.get(fault, ()):
        assert faulty[name]["high"] < real[name]["low"], name
    for name in STAYS.get(fault, ()):
        assert faulty[name]["low"] <= real[name]["high"] and faulty[name]["high"] >= real[name]["low"], name
    assert (faulty["comb_db"]["value"] < 3) == (fault != "comb")


def test_every_metric_is_moved_by_some_fault_and_away_from_what_it_calls_better():
    rises, falls = ({name for moved in table.values() for name in moved} for table in (RISES, FALLS))
    assert rises | falls == METRICS.keys() - OF_STEREO and not rises & falls
    for name in rises | falls:
        assert METRICS[name].better in ((LOWER, AS_REAL) if name in rises else (HIGHER, AS_REAL)), name


def test_the_image_of_stereo_clips_is_heard_by_its_own_metric_alone():
    """Channels are notes on the left, and softer on the right with notes of their own; swapped, L stays as it was."""

    def stereo(seed: int) -> Tensor:
        left, others = plucks(seed, 60), plucks(seed + 10, 60)
        return torch.cat([left, 0.5 * left + 0.2 * others], dim=1)

    reference = Reference([stereo(1)], RATE)
    figures = [
        {name: values[0] for name, values in reference.estimates(reference.extract([clips]), count=2).items()}
        for clips in (stereo(2), stereo(2).flip(1))
    ]
    assert abs(figures[0]["kad_stereo"]) < 5 and figures[1]["kad_stereo"] > 50
    assert figures[1]["kad_l"] == pytest.approx(figures[0]["kad_l"], abs=1e-6)


def test_the_ends_of_each_scale(scores):
    assert scores["copies"]["copy_share"]["value"] > 0.9 and scores["copies"]["copy_z"]["value"] < -10
    assert scores["repeated"]["duplicate_share"]["value"] == 1 and scores["repeated"]["recall"]["value"] < 0.1
    assert 0.4 < scores["high only"]["recall"]["value"] < 0.6 and 0.4 < scores["high only"]["coverage"]["value"] < 0.6
    assert scores["comb"]["comb_db"]["value"] > 20
    assert scores["noise"]["precision"]["value"] == scores["noise"]["recall"]["value"] == 0


@pytest.mark.parametrize("count", [100, 300, 1000])
def test_kad_of_real_clips_holds_zero_at_every_number_and_fad_never_does(count):
    clips = plucks(count, 2 * count)
    reference = Reference(clips[:count].split(500), RATE)
    seen = reference.extract(clips[count:].split(500))
    kad = score_record(reference.estimates(seen, only=["kad_l"])["kad_l"], count)
    fad = score_record(reference.estimates(seen, only=["fad_l"], count=20)["fad_l"], count)
    assert kad["low"] < 0 < kad["high"] and abs(kad["value"]) < 100 / count
    assert fad["low"] > 0 and 1000 < fad["value"] * count < 3000, (
        "it falls as the number rises, and that is all it tells"
    )


def test_scores_have_value_interval_count_and_the_combs_stages(reference, candidates):
    seen = reference.extract([candidates["comb"][:50]])
    results = reference.scores(seen, reference.estimates(seen, count=10))
    assert results.keys() == METRICS.keys() - OF_STEREO
    for name, result in results.items():
        assert result["low"] <= result["value"] <= result["high"] and result["n"] == 50, name
    stages = results["comb_db"]["stages"]
    assert list(stages) == ["4,000 Hz", "1,000 Hz", "250 Hz", "62.5 Hz"]
    assert max(stages.values()) == stages["4,000 Hz"] == pytest.approx(results["comb_db"]["value"])


def test_without_a_classifier_or_training_clips_their_metrics_are_left_out():
    plain = Reference([plucks(2, 20)], RATE)
    estimates = plain.estimates(plain.extract([plucks(1, 20)]), count=2)
    left_out = METRICS.keys() - estimates.keys()
    assert OF_LABELS and OF_COPIES and left_out == OF_LABELS | OF_COPIES | OF_EMBEDDING | OF_STEREO
    assert plain.nearest(plain.extract([plucks(1, 5)]), 3) == []


def test_features_are_in_units_of_the_real_ones_deviations_however_small(reference):
    for name in ("log_mel", "classifier"):
        np.testing.assert_allclose(reference.features[name].mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(reference.features["classifier"].std(axis=0), 1)
    deviations = reference.extract([plucks(2)])["log_mel"].std(axis=0)
    assert deviations.max() == pytest.approx(1) and deviations.min() > 0.1, "1 dB at least, and most vary by more"


def test_what_a_listener_makes_up_moves_its_own_metrics_alone(candidates):
    real, clips = plucks(2, 40), candidates["real"][:40]
    reference = Reference([real], RATE, training=[plucks(3, 40)], classifier=Ear())
    told = reference.estimates(reference.extract([clips]), count=2)
    reference.classifier = Ear(4)
    made_up = reference.estimates(reference.extract([clips]), count=2)
    assert {name for name in told if told[name][0] != made_up[name][0]} == OF_LABELS


def test_the_same_clips_and_seed_give_the_same_numbers(candidates):
    def figures(seed: int) -> dict[str, dict]:
        reference = Reference([plucks(2, 60)], RATE, training=[plucks(3, 60)], classifier=Ear(), seed=seed)
        return reference.scores(reference.extract([candidates["low-passed"][:60]]))

    first = figures(0)
    assert figures(0) == first
    other = figures(1)
    for name in ("kad_l", "fad_c", "spectrum_error_db"):
        assert other[name]["value"] == first[name]["value"] and other[name]["low"] != first[name]["low"]


def test_neither_the_order_of_clips_nor_their_batches_matter(candidates):
    real, clips, training = plucks(2, 60), candidates["low-passed"][:60], plucks(3, 60)
    orders = [torch.randperm(60, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    first = Reference([real], RATE, training=[training], classifier=Ear())
    other = Reference(real[orders[0]].split(7), RATE, training=training[orders[1]].split(9), classifier=Ear())
    figures = first.estimates(first.extract([clips]), count=20)
    others = other.estimates(other.extract(clips[orders[2]].split(11)), count=20)
    for name, values in figures.items():
        np.testing.assert_allclose(others[name], values, rtol=1e-3, atol=1e-6, err_msg=name)


def test_the_clips_nearest_to_training_come_first_with_their_numbers(reference):
    clips = plucks(9, 6)
    clips[4] = jittered(plucks(3)[7:8], 0)[0]
    clips[1] = plucks(3)[33]
    clips[2] = plucks(2)[5]
    seen = reference.extract([clips])
    likenesses = reference.nearest(seen, 4)
    assert [(likeness.number, likeness.training) for likeness in likenesses[:2]] == [(1, 33), (4, 7)]
    assert likenesses[0].training_distance <= likenesses[1].training_distance < 0.02 < likenesses[2].training_distance
    [copy_of_real] = [likeness for likeness in reference.nearest(seen, 6) if likeness.number == 2]
    assert copy_of_real.real == 5 and copy_of_real.real_distance < 0.01 < copy_of_real.training_distance
    assert len(likenesses) == 4 and len(reference.nearest(seen, 99)) == 6


@pytest.mark.parametrize("shape", [(1, SAMPLES * 2), (2, SAMPLES), (1, SAMPLES - 4)])
def test_clips_of_another_length_or_channel_count_are_refused_wherever_they_come(shape):
    channels, samples = shape
    fine, other = plucks(2, 4), torch.zeros(4, *shape)
    told = f"clips of {samples:,} samples, channels: {channels}, .* 4,096, channels: 1; only equal .*; cut, pad or mix"
    for real, training in (([fine, other], None), ([fine], [other])):
        with pytest.raises(DataError, match=told):
            Reference(real, RATE, training=training)
    with pytest.raises(DataError, match=told):
        Reference([fine], RATE).extract([fine, other])


def test_nan_one_clip_and_none_have_clear_answers(reference):
    broken = plucks(1, 3)
    broken[1, 0, 7] = torch.nan
    with pytest.raises(DataError, match="1 of 3 clips hold NaN"):
        reference.extract([broken])
    with pytest.raises(DataError, match=f"1 clips against {COUNT}; .* 2 or more"):
        reference.scores(reference.extract([plucks(1, 1)]))
    with pytest.raises(DataError, match="0 clips; .* 2 or more"):
        reference.extract([])


def test_silence_has_an_answer_in_every_metric(reference):
    silence = torch.zeros(COUNT, 1, SAMPLES)
    by_metric = reference.estimates(reference.extract([silence]), count=10)
    assert all(np.isfinite(values).all() for values in by_metric.values())
    values = {name: estimates[0] for name, estimates in by_metric.items()}
    assert values["precision"] == values["recall"] == values["comb_db"] == 0 and values["duplicate_share"] == 1
    assert values["noise_floor_db"] == pytest.approx(-100) and values["spectrum_error_db"] > 20
    mute = Reference([silence[:9]], RATE, training=[silence[:9]])
    by_metric = mute.estimates(mute.extract([silence[:9]]), count=10)
    assert all(np.isfinite(values).all() for values in by_metric.values())
    assert (
        by_metric["kad_l"][0] == by_metric["fad_l"][0] == 0
        and by_metric["precision"][0] == by_metric["copy_share"][0] == 1
    )
