"""Trains a classifier with pictures of sounds, augmented a little each time, and their labels."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional

from wavegan.evaluation.classifier import Network
from wavegan.seeding import derive, seed_torch

BATCH_SIZE = 32
EPOCHS, FEWEST_STEPS, MOST_STEPS = 30, 1000, 4000
RATE, WEIGHT_DECAY = 3e-3, 0.02

# Limits of the changes that augmentation draws anew each time: the ear still hears the same kind of sound.
STRETCH, SHIFT = 0.15, 0.15  # in time: natural logarithm of the factor, and part of the clip's length
MEL_STRETCH, TRANSPOSE = 0.1, 0.08  # the same along the mel bands: another throat or drum, another pitch
TILT = 0.15  # at the highest band, less at the lowest, of RANGE_DECIBELS: another microphone
NOISE = 0.5  # at most, of RANGE_DECIBELS: removes what a room's noise would mask
MASK = 0.15  # of time and of bands, at most


def steps_for(clips: int) -> int:
    """Returns the number of steps for so many clips: enough to see each thirty times, within limits."""
    return min(max(EPOCHS * clips // BATCH_SIZE, FEWEST_STEPS), MOST_STEPS)


def learn(
    pictures: Tensor,
    labels: Tensor,
    count: int,
    *,
    seed: int = 0,
    on: torch.device | None = None,
    progress: Callable[[range], Iterable[int]] = iter,
) -> Network:
    """Trains a network to tell `count` labels apart; on one CPU the same seed gives the same network.

    pictures: `levels` of the clips, (N, 64, frames); labels: (N,) from 0 to count - 1. progress: wraps the range of
    steps, to show a bar.
    """
    on = on or torch.device("cpu")
    with torch.random.fork_rng([]):
        seed_torch(seed, 0, "classifier weights")
        network = Network(count)
    network.to(on).train()
    pictures, labels, steps = pictures.to(on), labels.to(on), steps_for(len(pictures))
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    random = torch.Generator().manual_seed(derive(seed, 0, "classifier clips"))
    order = torch.empty(0, dtype=torch.int64)
    size = min(BATCH_SIZE, len(pictures))
    for _ in progress(range(steps)):
        if len(order) < size:
            order = torch.cat([order, torch.randperm(len(pictures), generator=random)])
        chosen, order = order[:size].to(on), order[size:]
        _, scores = network(augment(pictures[chosen], random))
        optimizer.zero_grad()
        functional.cross_entropy(scores, labels[chosen]).backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def augment(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Changes each sound a little at random: its length, time, pitch, brightness and noise; and adds gaps.

    pictures: `levels`, (N, 64, frames). There is no change of level: pictures do not show it.
    """
    count, bands, frames = pictures.shape
    draws = _uniform(10, count, random).to(pictures)  # (10, N) in [-1, 1)
    stretch, shift, mel_stretch, transpose, tilt, noise = (
        draws[:6] ** 3
    )  # mostly small: pitch and colour tell drums apart
    gaps = draws[6:]
    # The new picture at x takes the value of the old one at a · x + b, with x from -1 to 1 over the frames (row 0) and
    # over the bands (row 1). The start stays in place, a · (-1) + b = -1, if b = a - 1. The whole length is 2, so a
    # part s of it is 2 · s.
    affine = torch.zeros(count, 2, 3, dtype=pictures.dtype, device=pictures.device)
    affine[:, 0, 0], affine[:, 1, 1] = (STRETCH * stretch).exp(), (MEL_STRETCH * mel_stretch).exp()
    affine[:, 0, 2] = affine[:, 0, 0] - 1 + 2 * SHIFT * shift
    affine[:, 1, 2] = affine[:, 1, 1] - 1 + 2 * TRANSPOSE * transpose
    grid = functional.affine_grid(affine, [count, 1, bands, frames], align_corners=False)  # (N, 64, frames, 2)
    moved = functional.grid_sample(pictures[:, None], grid, align_corners=False)[:, 0]  # zeros from beyond the edges
    # Values are levels from 0, silent, to 1, the loudest. A microphone adds a slope over the bands, but no sound to
    # silence. Noise at level n masks what is softer: 0 to n become 0, and n to 1 are spread over 0 to 1.
    slope = torch.linspace(-1, 1, bands).to(moved)[:, None] * TILT * tilt[:, None, None]  # (N, 64, 1)
    noise_level = NOISE * noise.abs()[:, None, None]  # (N, 1, 1)
    heard = ((moved + slope * (moved > 0) - noise_level) / (1 - noise_level)).clamp(min=0)
    is_gap = _gaps(frames, *gaps[:2])[:, None, :] | _gaps(bands, *gaps[2:])[:, :, None]  # (N, 64, frames)
    return heard.masked_fill(is_gap, 0)


def _uniform(rows: int, count: int, random: torch.Generator) -> Tensor:
    """Draws numbers in [-1, 1), (rows, count), on the host, so that every device learns from the same ones."""
    return 2 * torch.rand(rows, count, generator=random) - 1


def _gaps(length: int, width: Tensor, start: Tensor) -> Tensor:
    """Marks a stretch of up to MASK of a length, anywhere in it: (N, length), from two numbers (N,) in [-1, 1]."""
    wide = MASK * length * (width + 1) / 2
    first = (length - wide) * (start + 1) / 2
    place = torch.arange(length, device=width.device) + 0.5
    return (place >= first[:, None]) & (place < (first + wide)[:, None])
