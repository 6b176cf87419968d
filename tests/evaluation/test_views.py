"""Views: their shapes, one row for each clip whatever the batches, and what cannot be looked at."""

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from wavegan.dsp.stft import power_spectrum
from wavegan.errors import DataError
from wavegan.evaluation import artefacts
from wavegan.evaluation.features import log_mel_statistics, white_noise
from wavegan.evaluation.views import views

CLIPS = white_noise(7, 1, 4096, rms=0.1, seed=0) * torch.linspace(0.1, 1, 7)[:, None, None]


class Ear:
    """A listener whose feature is a clip's first sample, and whose labels are its sign; it keeps what it heard."""

    def __init__(self):
        self.heard: list[tuple[int, int]] = []

    def look(self, clips: Tensor, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
        self.heard.append((len(clips), sample_rate))
        first = clips[:, 0, :1].double().numpy()
        return first, np.concatenate([first < 0, first >= 0], axis=1).astype(float)


@pytest.mark.parametrize(
    ("rate", "channels", "samples", "bands"), [(8000, 1, 4096, 19), (16000, 2, 16384, 22), (44100, 1, 65536, 26)]
)
def test_every_form_of_clip_has_its_views(rate, channels, samples, bands):
    """At 44.1 kHz bins are 21.5 Hz wide, and none of them lies from 50 to 63 Hz."""
    seen = views([white_noise(3, channels, samples, rms=0.1, seed=0)], rate)
    shapes = {name: rows.shape[1:] for name, rows in seen.items()}
    assert shapes == {
        "log_mel": (128,),
        "comb": (4,),
        "third_octaves": (bands,),
        "noise_floor": (),
        "spectrum": (1025,),
    }
    assert all(len(rows) == 3 and np.isfinite(rows).all() for rows in seen.values())


def test_each_view_is_what_its_function_gives():
    seen = views([CLIPS], 16000)
    spectra = power_spectrum(CLIPS, 2048)
    np.testing.assert_array_equal(seen["log_mel"], log_mel_statistics(CLIPS, 16000))
    np.testing.assert_array_equal(seen["comb"], artefacts.comb(spectra))
    np.testing.assert_array_equal(seen["third_octaves"], artefacts.third_octaves(spectra, 16000))
    np.testing.assert_array_equal(seen["noise_floor"], artefacts.noise_floor(CLIPS, 16000))
    np.testing.assert_array_equal(seen["spectrum"], spectra.mean(dim=2))


@pytest.mark.parametrize("size", [1, 2, 7])
def test_rows_do_not_depend_on_the_batches(size):
    """Six decimals of decibels, and of each power."""
    seen, whole = views(CLIPS.split(size), 16000, Ear()), views([CLIPS], 16000, Ear())
    assert seen.keys() == whole.keys()
    for name, rows in whole.items():
        np.testing.assert_allclose(seen[name], rows, rtol=1e-4, atol=1e-4 if rows.min() < 0 else 0, err_msg=name)


def test_a_listener_hears_every_clip_once_in_order():
    ear = Ear()
    seen = views(CLIPS.split(3), 8000, ear)
    assert ear.heard == [(3, 8000), (3, 8000), (1, 8000)]
    np.testing.assert_array_equal(seen["classifier"], CLIPS[:, 0, :1].double())
    np.testing.assert_array_equal(seen["probabilities"].argmax(axis=1), CLIPS[:, 0, 0] >= 0)


def test_no_batch_is_kept():
    """When a batch is asked for, of those before it the last may still be held, and no other."""
    alive: list[weakref.ref] = []

    def batches() -> Iterator[Tensor]:
        for number in range(6):
            assert sum(one() is not None for one in alive) <= 1
            batch = white_noise(2, 1, 4096, rms=0.1, seed=number)
            alive.append(weakref.ref(batch))
            yield batch
            del batch

    assert len(views(batches(), 16000)["log_mel"]) == 12


@pytest.mark.parametrize("sample", [torch.nan, torch.inf, -torch.inf])
def test_samples_that_are_not_finite_are_refused(sample):
    clips = CLIPS.clone()
    clips[1, 0, 100] = clips[6, 0, -1] = sample
    with pytest.raises(DataError, match="2 of 7 clips hold NaN or infinite samples; .*; remove"):
        views(clips.split(3), 16000)


def test_no_clips_at_all_are_refused():
    with pytest.raises(DataError, match="0 clips; a comparison needs 2 or more on each side; give more"):
        views([], 16000)


def test_silence_is_finite_throughout():
    seen = views([torch.zeros(2, 1, 4096)], 16000)
    assert (seen["log_mel"] == np.repeat([-100.0, 0.0], 64)).all()
    assert (seen["noise_floor"] == pytest.approx(-100)) and not any(seen[name].any() for name in ("comb", "spectrum"))
    assert not seen["third_octaves"].any()
