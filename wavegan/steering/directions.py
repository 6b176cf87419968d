"""Finds directions in which a generator's sounds change alike, without labels, and names them by what they change.

They are the principal components of the mapped latent, carried back to latents by regression (Härkönen et al. 2020,
GANSpace). Each is named after the descriptor of sound that it moves most surely.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import librosa
import numpy as np
import torch
from torch import Tensor

from wavegan import generation, progress
from wavegan.generation import Model
from wavegan.models.heads import LatentLayer

COMPONENTS = 8  # of the mapped latent that are tried
SOUNDS = 20  # that are moved along each
FURTHEST = 3.0  # standard deviations of a latent
POSITIONS = np.linspace(-FURTHEST, FURTHEST, 5)
SUREST = 0.8  # the least correlation of the way moved with a descriptor
LATENTS = 4096
WINDOW, HOP = 1024, 256
LEAST = 1e-10
QUIET_DB = 40  # below a clip's peak, where it counts as silent


@dataclass(frozen=True)
class Direction:
    """Holds a direction of latents, (latent_dim,) of length 1, and the descriptor that rises along it.

    correlation: of the way moved with the descriptor's change, over sounds that were moved.
    """

    name: str
    vector: Tensor
    correlation: float


def brightness(clip: np.ndarray, sample_rate: int) -> float:
    """Returns the logarithm of a clip's (T,) mean spectral centroid in Hz, weighted by power."""
    spectrum = np.abs(librosa.stft(clip, n_fft=WINDOW, hop_length=HOP))
    centroids = librosa.feature.spectral_centroid(S=spectrum + LEAST, sr=sample_rate, n_fft=WINDOW)[0]
    return math.log(np.average(centroids, weights=np.square(spectrum).sum(0) + LEAST) + 1)


def length(clip: np.ndarray, sample_rate: int) -> float:
    """Returns the logarithm of the seconds in which a clip (T,) is less than 40 dB below its peak."""
    return math.log((len(_trimmed(clip)) + 1) / sample_rate)


def noisiness(clip: np.ndarray, sample_rate: int) -> float:
    """Returns the logarithm of a clip's (T,) spectral flatness, weighted by power."""
    spectrum = np.abs(librosa.stft(clip, n_fft=WINDOW, hop_length=HOP))
    flatness = librosa.feature.spectral_flatness(S=spectrum, amin=LEAST)[0]
    return math.log(np.average(flatness, weights=np.square(spectrum).sum(0) + LEAST) + LEAST)


def level(clip: np.ndarray, sample_rate: int) -> float:
    """Returns the logarithm of a clip's (T,) root mean square, silence at its ends left out."""
    return 0.5 * math.log(float(np.mean(np.square(_trimmed(clip)))) + LEAST)


def pitch(clip: np.ndarray, sample_rate: int) -> float:
    """Returns the logarithm of a clip's (T,) median pitch in Hz, by YIN, of its louder frames."""
    highest = min(2000.0, sample_rate / 4)
    pitches = librosa.yin(clip, fmin=50, fmax=highest, sr=sample_rate, frame_length=WINDOW, hop_length=HOP)
    loudness = librosa.feature.rms(y=clip, frame_length=WINDOW, hop_length=HOP)[0][: len(pitches)]
    return math.log(float(np.median(pitches[loudness >= 0.1 * loudness.max()])))


DESCRIPTORS: Mapping[str, Callable[[np.ndarray, int], float]] = {
    "brightness": brightness,
    "length": length,
    "noisiness": noisiness,
    "level": level,
    "pitch": pitch,
}


def find_directions(model: Model) -> list[Direction]:
    """Returns the directions whose descriptor follows surely, the surest first; one for each descriptor at most."""
    best: dict[str, Direction] = {}
    for vector in progress.track(_components(model), COMPONENTS, "directions"):
        correlations = _correlations(model, vector)
        name = max(correlations, key=lambda name: abs(correlations[name]))
        direction = Direction(name, vector * math.copysign(1, correlations[name]), abs(correlations[name]))
        if direction.correlation >= SUREST and direction.correlation > getattr(best.get(name), "correlation", 0):
            best[name] = direction
    return sorted(best.values(), key=lambda direction: -direction.correlation)


def moved(latents: Tensor, vector: Tensor, way: float) -> Tensor:
    """Moves latents (N, latent_dim) along a direction; they keep their length, so that clips stay as typical."""
    ahead = latents + way * vector
    return ahead * (latents.norm(dim=1, keepdim=True) / ahead.norm(dim=1, keepdim=True).clamp(min=1e-9))


def _trimmed(clip: np.ndarray) -> np.ndarray:
    short = WINDOW // 4  # so that an end is not smeared
    return librosa.effects.trim(clip, top_db=QUIET_DB, frame_length=short, hop_length=short // 4)[0]


@torch.no_grad()
def _components(model: Model) -> list[Tensor]:
    """Returns the latents' directions that move the mapped latent along its principal components."""
    latents, labels = _drawn(model, LATENTS)
    first = next(layer for layer in model.generator.modules() if isinstance(layer, LatentLayer))
    features = first(latents, labels)
    if isinstance(mapping := getattr(model.generator, "mapping", None), torch.nn.Module):
        features = mapping(features)
    if labels is not None:  # what a label alone changes is no direction
        features = features - labels @ (labels.t() @ features / labels.sum(0)[:, None])
    coordinates = torch.linalg.svd(features - features.mean(0), full_matrices=False).U[:, :COMPONENTS]
    directions = latents.t() @ coordinates  # whitened latents: a product is the regression
    return list((directions / directions.norm(dim=0)).t())


def _correlations(model: Model, vector: Tensor) -> dict[str, float]:
    """Returns the correlation of the way moved along a direction with the change of each descriptor."""
    latents, labels = _drawn(model, SOUNDS)
    noise = generation.numbered_noise(model, range(SOUNDS))
    values = []
    for way in POSITIONS:
        clips = generation.synthesize(model, moved(latents, vector, float(way)), labels, noise).mean(1).numpy()
        values.append([[read(clip, model.sample_rate) for read in DESCRIPTORS.values()] for clip in clips])
    changes = np.array(values) - np.mean(values, axis=0)  # (positions, sounds, descriptors)
    ways = np.repeat(POSITIONS, SOUNDS)
    columns = changes.reshape(len(ways), -1).T
    return {
        name: float(np.corrcoef(ways, column)[0, 1]) if column.std() > LEAST else 0.0
        for name, column in zip(DESCRIPTORS, columns, strict=True)
    }


def _drawn(model: Model, count: int) -> tuple[Tensor, Tensor | None]:
    latents = generation.numbered_latents(model, range(count))
    labels = generation.numbered_labels(model, range(count), only=model.label_names if model.labels else ())
    return latents, labels
