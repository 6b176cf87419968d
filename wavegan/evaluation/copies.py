"""Searches for copies: compares pictures of clips, which ignore level and a little hiss, at every shift in time."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from wavegan.dsp.mel import BANDS, log_mel, window_samples
from wavegan.evaluation.distances import squared_distances

PICTURE_BANDS = 16
RANGE_DECIBELS = 40.0  # below a clip's loudest place: pictures do not show softer sound, such as hiss
MOST_FRAMES = 8  # that one clip may be later than another: 128 ms at 16 kHz
LIKELY = 16  # clips that each one is compared with: those whose statistics are nearest
ROWS_AT_ONCE = 64
LEAST_DEVIATION = 0.01
LEAST_SHARE = 0.5  # of two sounds' energy must overlap
ROUNDING = 1e-6  # of a squared distance


@torch.no_grad()
def pictures(clips: Tensor, sample_rate: int) -> np.ndarray:
    """Gives log-mel pictures of clips (N, C, T), 0 at 40 dB below the loudest place and 1 there: (N, 16, frames).

    The clip's own sound decides where frames begin: its centre of squared energy is moved to the start of a frame. So a
    clip that is later by any number of samples has the same picture, moved by whole frames.
    """
    hop = window_samples(sample_rate) // 4
    level = log_mel(_on_grid(clips, hop), sample_rate, hop=hop)
    level = avg_pool2d(level, (BANDS // PICTURE_BANDS, 1))
    picture = 1 + (level - level.amax(dim=(1, 2), keepdim=True)) / RANGE_DECIBELS
    return picture.clamp(min=0).cpu().numpy().astype(np.float16)


def _on_grid(clips: Tensor, hop: int) -> Tensor:
    """Moves each clip later, by less than a hop, so that the centre of its squared energy is a multiple of one."""
    weights = clips.double().square().sum(dim=1).square()  # (N, T)
    time = torch.arange(clips.shape[2], dtype=weights.dtype, device=clips.device)
    centre = (weights @ time / weights.sum(dim=1).clamp(min=1e-30)).round().long()
    start = hop - (-centre) % hop  # of the clip in one that has a hop of silence before it
    places = start[:, None] + torch.arange(clips.shape[2], device=clips.device)
    return pad(clips, (hop, 0)).gather(2, places[:, None].expand_as(clips))


def nearest_copies(rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds for each picture (N, 16, frames) its distance to the most similar of the others, and that one's number.

    Returns distances and numbers, (N,) each. A distance is the root of the share of their squared levels that two
    pictures do not have in common, at the best of all shifts of up to 8 frames. So it is 0 for the same sound at
    another moment, and 1 for sounds with nothing in common.
    """
    distances, numbers = np.empty(len(rows)), np.empty(len(rows), np.int64)
    theirs = _statistics(others)
    scale = theirs.std(axis=0).clip(min=LEAST_DEVIATION)
    for part, squares in squared_distances(_statistics(rows) / scale, theirs / scale):
        likely = squares.topk(min(LIKELY, len(others)), dim=1, largest=False).indices
        for first in range(0, len(likely), ROWS_AT_ONCE):
            candidates = likely[first : first + ROWS_AT_ONCE]
            place = slice(part.start + first, part.start + first + len(candidates))
            values, best = _aligned_distances(_float(rows[place]), _float(others[candidates.numpy()])).min(dim=1)
            distances[place], numbers[place] = values.numpy(), candidates.gather(1, best[:, None])[:, 0].numpy()
    return distances, numbers


def _aligned_distances(a: Tensor, b: Tensor) -> Tensor:
    """Computes distances of pictures (n, bands, frames) to k others each (n, k, bands, frames), best shift: (n, k)."""
    frames = a.shape[-1]
    shifts = torch.arange(-min(MOST_FRAMES, frames - 1), min(MOST_FRAMES, frames - 1) + 1)
    size = 2 * frames
    spectra = torch.einsum("nbf,nkbf->nkf", torch.fft.rfft(a, size).conj(), torch.fft.rfft(b, size))
    products = torch.fft.irfft(spectra, size)[..., shifts % size]  # (n, k, shifts): Σ a[t] b[t + shift]
    start, end = (-shifts).clamp(min=0), frames - shifts.clamp(min=0)  # of what overlaps, in a
    mine, theirs = _energies(a)[:, None], _energies(b)
    both = mine[..., end] - mine[..., start] + theirs[..., end + shifts] - theirs[..., start + shifts]
    whole = (mine[..., -1] + theirs[..., -1])[..., None]
    squares = (both - 2 * products) / both.clamp(min=ROUNDING)
    squares = squares.masked_fill((both < LEAST_SHARE * whole) & (shifts != 0), 1)
    return squares.masked_fill(squares < ROUNDING, 0).amin(dim=2).sqrt()


def _energies(pictures: Tensor) -> Tensor:
    """Sums up the squares of the first 0, 1 … frames: (…, 1 + frames)."""
    return pad(pictures.square().sum(dim=-2).cumsum(dim=-1), (1, 0))


def _statistics(pictures: np.ndarray) -> np.ndarray:
    """Computes mean and deviation of each band over time, which no shift changes much: (N, 32)."""
    return np.concatenate([pictures.mean(axis=2, dtype=np.float64), pictures.std(axis=2, dtype=np.float64)], axis=1)


def _float(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures.astype(np.float32))
