"""Extracts the features of clips that metrics compare: for each kind an array with one row for each clip."""

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from wavegan.dsp.mel import BANDS, RANGE_DECIBELS, log_mel
from wavegan.errors import DataError, UserError
from wavegan.evaluation import artefacts, copies, fine_structure
from wavegan.evaluation.events import events
from wavegan.evaluation.stereo_image import stereo_image

# The least deviation to divide by: 1 dB, about the smallest step in level that can be heard. Without it a band in
# which all real clips agree (above a low-pass, say) would outweigh all the others.
LEAST_DEVIATION_DECIBELS = 1.0
CLIPS_AT_ONCE = 64
IDENTITY = f"log-mel statistics 1: mean and deviation of {BANDS} bands, {RANGE_DECIBELS:g} dB below the peak"
OF_CLASSIFIER = ("classifier", "probabilities")  # the kinds of features that a classifier gives

Features = dict[str, np.ndarray]  # by kind: "log_mel" (N, 128), "comb" (N, stages), …
Embedding = Callable[[Tensor, int], Tensor | np.ndarray]  # of clips (N, C, T) and their sample rate: (N, F)


def refuse_no_function(embedding: object) -> None:
    """Raises UserError for an embedding, which may be None, that cannot be called, such as a network's name."""
    if embedding is not None and not callable(embedding):
        rule = "it must be a function of clips (N, C, T) and their sample rate that gives (N, F)"
        remedy = "pass one that calls the network that you mean"
        raise UserError(f"`embedding` is {embedding!r}", rule, remedy)


class ClipClassifier(Protocol):
    """Describes a trained network that metrics take features and label probabilities from."""

    def extract(self, clips: Tensor, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns features (N, F) and label probabilities (N, K) of clips (N, C, T)."""
        ...


def extract(
    batches: Iterable[Tensor],
    sample_rate: int,
    classifier: ClipClassifier | None = None,
    embedding: Embedding | None = None,
    *,
    with_pictures: bool = False,
) -> Features:
    """Extracts every kind of feature from clips that come in batches (N, C, T); no batch is kept.

    log_mel (N, 128), order (N, 256), partials (N, 4), jitter (N,), attack (N, 8), events (N, kinds), comb (N, stages),
    ripple (N, delays), lines (N, bins), third_octaves (N, bands), noise_floor (N,), spectrum (1, bins), the mean of all
    clips, swing (N,), half of the way from a clip's lowest sample to its highest; of two channels stereo (N, 40); with
    a classifier classifier (N, F) and probabilities (N, K); with an embedding embedding (N, F); with_pictures: pictures
    (N, 16, frames), for the search for copies. Raises DataError for samples that are not finite.
    """

    def features(clips: Tensor) -> Features:
        of_batch = _features(clips, sample_rate)
        if clips.shape[1] == 2:
            of_batch["stereo"] = stereo_image(clips, sample_rate)
        if classifier:
            of_batch["classifier"], of_batch["probabilities"] = classifier.extract(clips, sample_rate)
        if embedding:
            of_batch["embedding"] = _embedded(embedding, clips, sample_rate)
        if with_pictures:
            of_batch["pictures"] = copies.pictures(clips, sample_rate)
        return of_batch

    return _extract(batches, features)


def extract_training(batches: Iterable[Tensor], sample_rate: int) -> Features:
    """Extracts the events and pictures of clips that were learned from, as `extract` does."""

    def features(clips: Tensor) -> Features:
        return {"events": events(clips, sample_rate), "pictures": copies.pictures(clips, sample_rate)}

    return _extract(batches, features)


def _extract(batches: Iterable[Tensor], features: Callable[[Tensor], Features]) -> Features:
    """Joins the features that a function gives for each batch. Raises DataError for samples that are not finite."""
    parts, unusable = [], 0
    for clips in batches:
        is_usable = clips.isfinite().all(dim=2).all(dim=1)
        unusable += int((~is_usable).sum())
        parts.append(features(clips if is_usable.all() else clips.masked_fill(~is_usable[:, None, None], 0)))
    if not parts:
        raise DataError("there are 0 clips; a comparison needs 2 or more on each side; give more clips")
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if "spectrum" in rows:
        rows["spectrum"] = rows["spectrum"].sum(axis=0, keepdims=True) / len(rows["log_mel"])
    if unusable:
        count = len(next(iter(rows.values())))
        raise DataError(
            f"{unusable} of {count} clips hold NaN or infinite samples; a comparison needs finite "
            "ones; remove those files or evaluate an earlier checkpoint"
        )
    return rows


@torch.no_grad()  # which a large network would remember its layers for
def _embedded(embedding: Embedding, clips: Tensor, sample_rate: int) -> np.ndarray:
    rows = torch.as_tensor(embedding(clips, sample_rate)).detach().cpu().double().numpy()
    if rows.ndim != 2 or len(rows) != len(clips) or not np.isfinite(rows).all():
        raise DataError(
            f"the embedding gave {'x'.join(map(str, rows.shape))} numbers for {len(clips)} clips",
            "each clip has one row, (N, F), all finite",
            "take the mean of its frames, for example",
        )
    return rows


def mean_levels(features: Features) -> np.ndarray:
    """Gives the clips' mean power per bin in dB, at least -120: (bins,)."""
    return 10 * np.log10(features["spectrum"].mean(axis=0).clip(min=1e-12))


def spectrum_frequencies(features: Features, sample_rate: int) -> np.ndarray:
    """Gives the frequency in Hz of each bin of a spectrum: (bins,)."""
    return np.linspace(0, sample_rate / 2, features["spectrum"].shape[1])


@torch.no_grad()
def _features(clips: Tensor, sample_rate: int) -> Features:
    spectra = artefacts.frame_spectra(clips)
    whole = artefacts.whole_frames(spectra)
    levels = [log_mel(part, sample_rate) for part in clips.split(CLIPS_AT_ONCE)]
    partials = fine_structure.partials(clips, sample_rate)
    return {
        "log_mel": np.concatenate([_statistics(part) for part in levels]),
        "order": np.concatenate([fine_structure.order(part).cpu().numpy() for part in levels]),
        "partials": partials,
        "jitter": partials[:, fine_structure.JITTER],
        "attack": fine_structure.attack(clips, sample_rate),
        "events": events(clips, sample_rate),
        "comb": artefacts.comb(whole),
        "ripple": artefacts.ripple(whole),
        "lines": artefacts.lines(whole),
        "third_octaves": artefacts.third_octaves(spectra, sample_rate),
        "noise_floor": artefacts.noise_floor(clips, sample_rate),
        "spectrum": artefacts.mean_spectrum(spectra).sum(dim=0, keepdim=True).double().numpy(),  # of the batch
        "swing": ((clips.amax(dim=2) - clips.amin(dim=2)).amax(dim=1) / 2).cpu().numpy(),
    }


@torch.no_grad()
def log_mel_statistics(clips: Tensor, sample_rate: int, *, batch: int = CLIPS_AT_ONCE) -> np.ndarray:
    """Computes mean and standard deviation over time of 64 log-mel bands, in dB, of the channels' mean power.

    clips: (N, C, T) in [-1, 1]. Returns (N, 128) float64, the 64 means first; NaN where samples are not finite.
    """
    return np.concatenate([_statistics(log_mel(part, sample_rate)) for part in clips.split(batch)])


def _statistics(levels: Tensor) -> np.ndarray:
    level = levels.double()  # (N, 64, frames)
    return torch.cat([level.mean(dim=2), level.std(dim=2, correction=0)], dim=1).cpu().numpy()  # (N, 128)


def standardize(features: np.ndarray, reference: np.ndarray, least: float = LEAST_DEVIATION_DECIBELS) -> np.ndarray:
    """Subtracts the reference's mean and divides by its standard deviation, or by `least` if that is larger."""
    return (features - reference.mean(axis=0)) / reference.std(axis=0).clip(min=least)


def white_noise(count: int, channels: int, samples: int, *, rms: float, seed: int) -> Tensor:
    """Makes Gaussian noise at a level, which every generator should beat: (count, channels, samples)."""
    noise = torch.randn(count, channels, samples, generator=torch.Generator().manual_seed(seed))
    return (rms * noise).clamp(-1, 1)
