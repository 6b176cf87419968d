"""What metrics see of clips: for each view an array with one row for each clip."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from torch import Tensor

from wavegan.errors import DataError
from wavegan.evaluation import artefacts
from wavegan.evaluation.features import log_mel_statistics

Views = dict[str, np.ndarray]


class Listener(Protocol):
    """A trained network that gives features (N, F) and label probabilities (N, K) of clips (N, C, T)."""

    def look(self, clips: Tensor, sample_rate: int) -> tuple[np.ndarray, np.ndarray]: ...


def views(batches: Iterable[Tensor], sample_rate: int, classifier: Listener | None = None) -> Views:
    """Every view of clips that come in batches (N, C, T); no batch is kept.

    log_mel (N, 128), comb (N, stages), third_octaves (N, bands), noise_floor (N,), spectrum (N, bins), and with a
    classifier classifier (N, F) and probabilities (N, K). Raises DataError for samples that are not finite.
    """
    seen = [_views(clips, sample_rate, classifier) for clips in batches]
    if not seen:
        raise DataError("there are 0 clips; a comparison needs 2 or more on each side; give more clips")
    whole = {name: np.concatenate([part[name] for part in seen]) for name in seen[0]}
    unusable = int(np.isnan(whole["log_mel"]).any(axis=1).sum())
    if unusable:
        raise DataError(
            f"{unusable} of {len(whole['log_mel'])} clips hold NaN or infinite samples; a comparison needs finite "
            "ones; remove those files or evaluate an earlier checkpoint"
        )
    return whole


def mean_levels(seen: Views) -> np.ndarray:
    """The clips' mean power per bin in dB, at least -120: (bins,)."""
    return 10 * np.log10(seen["spectrum"].mean(axis=0).clip(min=1e-12))


def _views(clips: Tensor, sample_rate: int, classifier: Listener | None) -> Views:
    spectra = artefacts.frame_spectra(clips)
    found = {
        "log_mel": log_mel_statistics(clips, sample_rate),
        "comb": artefacts.comb(spectra),
        "third_octaves": artefacts.third_octaves(spectra, sample_rate),
        "noise_floor": artefacts.noise_floor(clips, sample_rate),
        "spectrum": spectra.mean(dim=2).numpy(),
    }
    if classifier:
        found["classifier"], found["probabilities"] = classifier.look(clips, sample_rate)
    return found
