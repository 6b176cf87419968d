"""Describes a sound by numbers such as its brightness: as librosa measures them, and as functions with a gradient."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wavegan.dsp.frames import framed, real_transform
from wavegan.dsp.librosa_door import librosa

WINDOW, HOP = 1024, 256
SHORT_WINDOW, SHORT_HOP = 256, 64  # so that an end is not smeared
LEAST = 1e-10
SILENT = 1e-7  # magnitude that silence counts as
QUIET_DB = 40  # below a clip's peak, where it counts as silent
EDGE_DB = 4  # within which a frame turns from silent to heard, so that length has a gradient


def brightness(clip: np.ndarray, sample_rate: int) -> float:
    """Returns the logarithm of a clip's (T,) mean spectral centroid in Hz, weighted by power."""
    spectrum = np.abs(librosa().stft(clip, n_fft=WINDOW, hop_length=HOP))
    centroids = librosa().feature.spectral_centroid(S=spectrum + LEAST, sr=sample_rate, n_fft=WINDOW)[0]
    return math.log(np.average(centroids, weights=np.square(spectrum).sum(0) + LEAST) + 1)


def length(clip: np.ndarray, sample_rate: int) -> float:
    """Returns the logarithm of the seconds in which a clip (T,) is less than 40 dB below its peak."""
    return math.log((len(_trimmed(clip)) + 1) / sample_rate)


def noisiness(clip: np.ndarray, sample_rate: int) -> float:
    """Returns the logarithm of a clip's (T,) spectral flatness, weighted by power."""
    spectrum = np.abs(librosa().stft(clip, n_fft=WINDOW, hop_length=HOP))
    flatness = librosa().feature.spectral_flatness(S=spectrum, amin=LEAST)[0]
    return math.log(np.average(flatness, weights=np.square(spectrum).sum(0) + LEAST) + LEAST)


def level(clip: np.ndarray, sample_rate: int) -> float:
    """Returns the logarithm of a clip's (T,) root mean square, silence at its ends left out."""
    return 0.5 * math.log(float(np.mean(np.square(_trimmed(clip)))) + LEAST)


def _smooth_brightness(clips: Tensor) -> Tensor:
    """Computes the brightness (N,) of clips (N, T) as `brightness` does, but in bins, not in Hz."""
    magnitudes = _magnitudes(clips, WINDOW, HOP)
    places = torch.arange(magnitudes.shape[-1], device=clips.device) + 1.0
    return _averaged((magnitudes * places).sum(-1) / magnitudes.sum(-1), magnitudes).log()


def _smooth_length(clips: Tensor) -> Tensor:
    """Computes the logarithm of the number of heard frames of clips (N, T); those at the edge count in part."""
    return _heard(clips)[0].sum(1).log()


def _smooth_noisiness(clips: Tensor) -> Tensor:
    magnitudes = _magnitudes(clips, WINDOW, HOP)
    powers = magnitudes.square()
    return _averaged(powers.log().mean(-1).exp() / powers.mean(-1), magnitudes).log()


def _smooth_level(clips: Tensor) -> Tensor:
    heard, powers = _heard(clips)
    heard = heard.detach()
    return 0.5 * ((heard * powers).sum(1) / heard.sum(1)).log()


def _trimmed(clip: np.ndarray) -> np.ndarray:
    return librosa().effects.trim(clip, top_db=QUIET_DB, frame_length=SHORT_WINDOW, hop_length=SHORT_HOP)[0]


def _magnitudes(clips: Tensor, window: int, hop: int) -> Tensor:
    hann = torch.hann_window(window, device=clips.device)
    clips = F.pad(clips, (window // 2, window // 2))
    pairs = real_transform(framed(clips, window=window, hop=hop) * hann)
    return (pairs.square().sum(-1) + SILENT**2).sqrt()  # abs() of denormal numbers has a gradient of nan


def _averaged(values: Tensor, magnitudes: Tensor) -> Tensor:
    """Averages values (N, frames) by the power of the frames."""
    powers = magnitudes.square().sum(-1)
    return (values * powers).sum(1) / powers.sum(1)


def _heard(clips: Tensor) -> tuple[Tensor, Tensor]:
    """Returns how much of each frame (N, frames) is heard, 0 to 1, and the frames' powers."""
    powers = framed(clips, window=SHORT_WINDOW, hop=SHORT_HOP).square().mean(-1) + LEAST
    decibels = 10 * powers.log10()
    below = decibels - decibels.amax(1, keepdim=True)
    return torch.sigmoid((below + QUIET_DB) / EDGE_DB), powers


@dataclass(frozen=True)
class Descriptor:
    """Describes a sound by a number: as it is measured, and as a function of clips (N, T) that has a gradient."""

    measure: Callable[[np.ndarray, int], float]
    smooth: Callable[[Tensor], Tensor]


DESCRIPTORS: Mapping[str, Descriptor] = {
    "brightness": Descriptor(brightness, _smooth_brightness),
    "length": Descriptor(length, _smooth_length),
    "noisiness": Descriptor(noisiness, _smooth_noisiness),
    "level": Descriptor(level, _smooth_level),
}
