"""What metrics see of clips: for each kind of feature an array with one row for each clip."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from wavegan.dsp.mel import BANDS, RANGE_DECIBELS, log_mel
from wavegan.errors import DataError
from wavegan.evaluation import artefacts

# The least deviation to divide by: 1 dB, about the smallest step in level that can be heard. Without it a band in
# which all real clips agree (above a low-pass, say) would outweigh all the others.
LEAST_DEVIATION_DECIBELS = 1.0
IDENTITY = f"log-mel statistics 1: mean and deviation of {BANDS} bands, {RANGE_DECIBELS:g} dB below the peak"

Features = dict[str, np.ndarray]  # by kind: "log_mel" (N, 128), "comb" (N, stages), …


class ClipClassifier(Protocol):
    """A trained network that gives features (N, F) and label probabilities (N, K) of clips (N, C, T)."""

    def extract(self, clips: Tensor, sample_rate: int) -> tuple[np.ndarray, np.ndarray]: ...


def extract(batches: Iterable[Tensor], sample_rate: int, classifier: ClipClassifier | None = None) -> Features:
    """Extracts every kind of feature from clips that come in batches (N, C, T); no batch is kept.

    log_mel (N, 128), comb (N, stages), third_octaves (N, bands), noise_floor (N,), spectrum (N, bins), and with a
    classifier classifier (N, F) and probabilities (N, K). Raises DataError for samples that are not finite.
    """
    parts = [_features(clips, sample_rate, classifier) for clips in batches]
    if not parts:
        raise DataError("there are 0 clips; a comparison needs 2 or more on each side; give more clips")
    features = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    unusable = int(np.isnan(features["log_mel"]).any(axis=1).sum())
    if unusable:
        raise DataError(
            f"{unusable} of {len(features['log_mel'])} clips hold NaN or infinite samples; a comparison needs finite "
            "ones; remove those files or evaluate an earlier checkpoint"
        )
    return features


def mean_levels(features: Features) -> np.ndarray:
    """Gives the clips' mean power per bin in dB, at least -120: (bins,)."""
    return 10 * np.log10(features["spectrum"].mean(axis=0).clip(min=1e-12))


def spectrum_frequencies(features: Features, sample_rate: int) -> np.ndarray:
    """Gives the frequency in Hz of each bin of a spectrum: (bins,)."""
    return np.linspace(0, sample_rate / 2, features["spectrum"].shape[1])


def _features(clips: Tensor, sample_rate: int, classifier: ClipClassifier | None) -> Features:
    spectra = artefacts.frame_spectra(clips)
    features = {
        "log_mel": log_mel_statistics(clips, sample_rate),
        "comb": artefacts.comb(spectra),
        "third_octaves": artefacts.third_octaves(spectra, sample_rate),
        "noise_floor": artefacts.noise_floor(clips, sample_rate),
        "spectrum": spectra.mean(dim=2).numpy(),
    }
    if classifier:
        features["classifier"], features["probabilities"] = classifier.extract(clips, sample_rate)
    return features


def log_mel_statistics(clips: Tensor, sample_rate: int, *, batch: int = 64) -> np.ndarray:
    """Mean and standard deviation over time of 64 log-mel bands, in dB, of the channels' mean power.

    clips: (N, C, T) in [-1, 1]. Returns (N, 128) float64, the 64 means first; NaN where samples are not finite.
    """
    return torch.cat([_statistics(part, sample_rate) for part in clips.split(batch)]).cpu().numpy()


@torch.no_grad()
def _statistics(clips: Tensor, sample_rate: int) -> Tensor:
    level = log_mel(clips, sample_rate).double()  # (N, 64, frames)
    return torch.cat([level.mean(dim=2), level.std(dim=2, correction=0)], dim=1)  # (N, 128)


def standardize(features: np.ndarray, reference: np.ndarray, least: float = LEAST_DEVIATION_DECIBELS) -> np.ndarray:
    """Features less the reference's mean, in units of its standard deviation, or of `least` where that is smaller."""
    return (features - reference.mean(axis=0)) / reference.std(axis=0).clip(min=least)


def white_noise(count: int, channels: int, samples: int, *, rms: float, seed: int) -> Tensor:
    """Gaussian noise at a level, the floor that every generator should beat: (count, channels, samples)."""
    noise = torch.randn(count, channels, samples, generator=torch.Generator().manual_seed(seed))
    return (rms * noise).clamp(-1, 1)
