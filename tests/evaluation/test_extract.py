"""Tests features: their shapes, one row for each clip whatever the batches, and clips that cannot be extracted."""

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from wavegan.dsp.mel import log_mel
from wavegan.dsp.stft import power_spectrum
from wavegan.errors import DataError
from wavegan.evaluation import artefacts
from wavegan.evaluation.copies import pictures
from wavegan.evaluation.events import events
from wavegan.evaluation.features import (
    extract,
    log_mel_statistics,
    mean_levels,
    spectrum_frequencies,
    white_noise,
)
from wavegan.evaluation.fine_structure import attack, order, partials

CLIPS = white_noise(7, 1, 4096, rms=0.1, seed=0) * torch.linspace(0.1, 1, 7)[:, None, None]


class Ear:
    """Records its calls; the feature is a clip's first sample, the labels are that sample's sign."""

    def __init__(self):
        self.heard: list[tuple[int, int]] = []

    def extract(self, clips: Tensor, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
        self.heard.append((len(clips), sample_rate))
        first = clips[:, 0, :1].double().numpy()
        return first, np.concatenate([first < 0, first >= 0], axis=1).astype(float)


@pytest.mark.parametrize(
    ("rate", "channels", "samples", "bands"), [(8000, 1, 4096, 19), (16000, 2, 16384, 22), (44100, 1, 65536, 26)]
)
def test_every_form_of_clip_has_its_views(rate, channels, samples, bands):
    """At 44.1 kHz bins are 21.5 Hz wide, and none of them lies from 50 to 63 Hz."""
    seen = extract([white_noise(3, channels, samples, rms=0.1, seed=0)], rate)
    shapes = {name: rows.shape[1:] for name, rows in seen.items()}
    assert shapes == {
        "log_mel": (128,),
        "order": (256,),
        "partials": (4,),
        "jitter": (),
        "attack": (8,),
        "events": (5,),
        "comb": (4,),
        "ripple": (704,),
        "lines": (1025,),
        "third_octaves": (bands,),
        "noise_floor": (),
        "spectrum": (1025,),
        "swing": (),
    } | ({"stereo": (40,)} if channels == 2 else {})
    assert all(np.isfinite(rows).all() for rows in seen.values())
    assert {name: len(rows) for name, rows in seen.items()} == dict.fromkeys(seen, 3) | {"spectrum": 1}


def test_each_view_is_what_its_function_gives():
    seen = extract([CLIPS], 16000)
    spectra, whole = artefacts.frame_spectra(CLIPS), power_spectrum(CLIPS, 2048)
    np.testing.assert_array_equal(seen["log_mel"], log_mel_statistics(CLIPS, 16000))
    np.testing.assert_array_equal(seen["comb"], artefacts.comb(whole))
    np.testing.assert_array_equal(seen["ripple"], artefacts.ripple(whole))
    np.testing.assert_array_equal(seen["lines"], artefacts.lines(whole))
    np.testing.assert_array_equal(seen["third_octaves"], artefacts.third_octaves(spectra, 16000))
    np.testing.assert_array_equal(seen["noise_floor"], artefacts.noise_floor(CLIPS, 16000))
    mean = artefacts.mean_spectrum(spectra).double().mean(dim=0, keepdim=True)
    np.testing.assert_allclose(seen["spectrum"], mean, rtol=1e-5)
    np.testing.assert_allclose(seen["order"], order(log_mel(CLIPS, 16000)), rtol=1e-5)
    np.testing.assert_array_equal(seen["partials"], partials(CLIPS, 16000))
    np.testing.assert_array_equal(seen["jitter"], partials(CLIPS, 16000)[:, 0])
    np.testing.assert_array_equal(seen["attack"], attack(CLIPS, 16000))
    np.testing.assert_array_equal(seen["events"], events(CLIPS, 16000))
    with_pictures = extract([CLIPS], 16000, with_pictures=True)
    np.testing.assert_array_equal(with_pictures["pictures"], pictures(CLIPS, 16000))


@pytest.mark.parametrize("size", [1, 2, 7])
def test_rows_do_not_depend_on_the_batches(size):
    """Compares decibels and powers to about four digits."""
    seen, whole = extract(CLIPS.split(size), 16000, Ear()), extract([CLIPS], 16000, Ear())
    assert seen.keys() == whole.keys()
    for name, rows in whole.items():
        np.testing.assert_allclose(seen[name], rows, rtol=1e-4, atol=1e-4 if rows.min() < 0 else 0, err_msg=name)


def test_an_embedding_is_heard_once_for_each_clip_and_what_is_no_row_for_each_is_refused():
    def level(clips: Tensor, sample_rate: int) -> Tensor:
        return torch.stack([clips.abs().mean(dim=(1, 2)), torch.full((len(clips),), sample_rate)], dim=1)

    rows = extract(CLIPS.split(3), 8000, embedding=level)["embedding"]
    np.testing.assert_allclose(rows[:, 0], CLIPS.abs().mean(dim=(1, 2)), rtol=1e-6)
    assert (rows[:, 1] == 8000).all() and rows.dtype == np.float64
    for wrong in (
        lambda clips, _: clips.mean(dim=(1, 2)),
        lambda clips, _: clips[:1, 0],
        lambda clips, _: clips[:, 0] / 0,
    ):
        with pytest.raises(DataError, match="the embedding gave .* numbers for 7 clips; each clip has one row"):
            extract([CLIPS], 8000, embedding=wrong)


def test_an_embedding_keeps_nothing_for_gradients():
    layer, heard = torch.nn.Linear(CLIPS.shape[2], 4), []
    extract([CLIPS], 8000, embedding=lambda clips, _: heard.append(layer(clips[:, 0])) or heard[-1])
    assert not heard[0].requires_grad


def test_a_listener_hears_every_clip_once_in_order():
    ear = Ear()
    seen = extract(CLIPS.split(3), 8000, ear)
    assert ear.heard == [(3, 8000), (3, 8000), (1, 8000)]
    np.testing.assert_array_equal(seen["classifier"], CLIPS[:, 0, :1].double())
    np.testing.assert_array_equal(seen["probabilities"].argmax(axis=1), CLIPS[:, 0, 0] >= 0)


def test_no_batch_is_kept():
    """When a batch is asked for, only the last one before it may still be held."""
    alive: list[weakref.ref] = []

    def batches() -> Iterator[Tensor]:
        for number in range(6):
            assert sum(reference() is not None for reference in alive) <= 1
            batch = white_noise(2, 1, 4096, rms=0.1, seed=number)
            alive.append(weakref.ref(batch))
            yield batch
            del batch

    assert len(extract(batches(), 16000)["log_mel"]) == 12


@pytest.mark.parametrize("sample", [torch.nan, torch.inf, -torch.inf])
def test_samples_that_are_not_finite_are_refused(sample):
    clips = CLIPS.clone()
    clips[1, 0, 100] = clips[6, 0, -1] = sample
    with pytest.raises(DataError, match="2 of 7 clips hold NaN or infinite samples; .*; remove"):
        extract(clips.split(3), 16000)


def test_no_clips_at_all_are_refused():
    with pytest.raises(DataError, match="0 clips; a comparison needs 2 or more on each side; give more"):
        extract([], 16000)


def test_silence_is_finite_throughout():
    seen = extract([torch.zeros(2, 1, 4096)], 16000)
    assert (seen["log_mel"] == np.repeat([-100.0, 0.0], 64)).all()
    assert (seen["noise_floor"] == pytest.approx(-100)) and not any(seen[name].any() for name in ("comb", "spectrum"))
    assert not seen["third_octaves"].any()


def test_a_tone_stands_at_its_frequency_in_the_spectrum():
    tone = 0.5 * torch.sin(2 * torch.pi * 1000 * torch.arange(4096) / 16000)
    features = extract([tone.expand(2, 1, 4096)], 16000)
    frequencies, levels = spectrum_frequencies(features, 16000), mean_levels(features)
    assert frequencies.shape == levels.shape and (frequencies[0], frequencies[-1]) == (0, 8000)
    assert frequencies[levels.argmax()] == 1000
