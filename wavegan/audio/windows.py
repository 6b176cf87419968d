"""Cuts clips from a corpus; the clips of a step depend only on the seed and on how many were drawn before."""

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from wavegan.audio import splits
from wavegan.audio.corpus import Corpus
from wavegan.audio.files import FULL_SCALE
from wavegan.dsp.torchaudio_door import torchaudio
from wavegan.seeding import numpy_generator

SPEED_PARTS = 128  # speeds are whole numbers of this part of the sound's own; beside it neighbours are 13 cents apart
LOBES = 16  # of the sinc that resamples, each way
Speeds = TypeVar("Speeds", int, np.ndarray)


@dataclass(frozen=True)
class Windows:
    """Cuts clips of `clip_samples` from a corpus, in an order set by a seed.

    kind: "first" takes the start of every item and pads it with silence. "all" cuts each item into tiles and pads the
    last one. "random" draws an item in proportion to its length, then a uniform position in it, so a second of a long
    item is drawn as often as one of a short item. "first" and "all" use every clip once per epoch, in a new order.
    vary_speed: in octaves; each time a clip is drawn it is played slower or faster, and so lower or higher, by at most
    so much, all with even chances. A faster clip has more of the sound in it; its peak stays. Speeds are multiples of
    1/128 of the sound's own, so less than 0.006 octaves change nothing.
    """

    corpus: Corpus
    clip_samples: int
    kind: str
    seed: int = 0
    vary_speed: float = 0.0

    @property
    def label_names(self) -> tuple[str, ...]:
        """Returns the names of the corpus's labels."""
        return self.corpus.label_names

    @property
    def label_counts(self) -> list[int]:
        """Returns how often each label is drawn, as the smallest whole numbers that have these shares."""
        corpus = self.corpus
        weights = corpus.lengths if self.kind == "random" else clips_per_item(corpus, self.clip_samples, self.kind)
        labelled = corpus.labels >= 0
        counts = np.bincount(corpus.labels[labelled], weights[labelled], minlength=len(self.label_names)).astype(int)
        divisor = math.gcd(*counts.tolist()) or 1
        return (counts // divisor).tolist()

    @property
    def bytes(self) -> int:
        """Returns the size of the corpus's samples in bytes."""
        return self.corpus.samples.numel() * self.corpus.samples.element_size()

    def to(self, device: torch.device) -> Self:
        """Returns the same clips, cut on another device."""
        return replace(self, corpus=self.corpus.to(device))

    def halves(self) -> tuple[Self, Self]:
        """Splits into two parts as `splits.halves` does; few items are cut unless clips are starts of items."""
        first, second = splits.halves(self.corpus, None if self.kind == "first" else self.clip_samples)
        return replace(self, corpus=first), replace(self, corpus=second)

    def unlabelled(self) -> list[str]:
        """Returns the names of the items that have no label."""
        return [name for name, label in zip(self.corpus.names, self.corpus.labels, strict=True) if label < 0]

    def __len__(self) -> int:
        """Returns the number of different clips; for random clips, how many fit side by side."""
        return int(clips_per_item(self.corpus, self.clip_samples, self.kind).sum())

    def batch(self, draw: int, count: int, part: slice = slice(None)) -> Tensor:
        """Returns `count` clips from clip number draw · count on: (count, channels, clip_samples) in [-1, 1].

        part: the rows to return, if a process needs only some of them.
        """
        starts, lengths = self.random_places(draw, count) if self.kind == "random" else self.places_in_turn(draw, count)
        if not self.vary_speed:
            return gather(self.corpus.samples, starts[part], lengths[part], self.clip_samples)
        speeds = self._speeds(draw, count)[part]
        longest = _needed(self.clip_samples, speeds).max(initial=self.clip_samples)
        sounds = gather(self.corpus.samples, starts[part], lengths[part], int(longest))
        played = (_played(sound, int(speed), self.clip_samples) for sound, speed in zip(sounds, speeds, strict=True))
        return torch.stack(list(played)) if len(speeds) else sounds

    def labels(self, draw: int, count: int, part: slice = slice(None)) -> Tensor:
        """Returns the labels of the same clips as `batch`: (count,) indices into label_names, -1 for none."""
        starts, _ = self.random_places(draw, count) if self.kind == "random" else self.places_in_turn(draw, count)
        item = self._order[np.searchsorted(self.corpus.starts, starts[part], side="right", sorter=self._order) - 1]
        return torch.from_numpy(self.corpus.labels[item].astype(np.int64))

    def random_places(self, draw: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws random clips: their start frames in the corpus and the frames of sound from there, each (count,)."""
        random = numpy_generator(self.seed, draw, "windows")
        ends = np.cumsum(self.corpus.lengths)
        item = np.searchsorted(ends, random.integers(ends[-1], size=count), side="right")
        needed = _needed(self.clip_samples, self._speeds(draw, count))
        slack = np.maximum(self.corpus.lengths[item] - needed, 0)
        offset = random.integers(slack, endpoint=True)  # includes the last position
        return self.corpus.starts[item] + offset, self.corpus.lengths[item] - offset

    def places_in_turn(self, draw: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns start frames and lengths, as `random_places` does, of the next `count` clips in the epochs' order."""
        turn = np.arange(draw * count, (draw + 1) * count)
        epoch, place = np.divmod(turn, len(self))
        clip = np.concatenate([clip_order(self.seed, int(e), len(self))[place[epoch == e]] for e in np.unique(epoch)])
        return self._clips.starts[clip], self._clips.lengths[clip]

    def _speeds(self, draw: int, count: int) -> np.ndarray:
        """Draws the speeds (count,) of the clips of a draw, in SPEED_PARTS."""
        octaves = self.vary_speed * numpy_generator(self.seed, draw, "speeds").uniform(-1, 1, size=count)
        return np.round(SPEED_PARTS * 2.0**octaves).astype(int)

    @cached_property
    def _order(self) -> np.ndarray:
        """Returns the items in the order of their starts, (items,)."""
        return np.argsort(self.corpus.starts)

    @cached_property
    def _clips(self) -> Corpus:
        return side_by_side(self.corpus, self.clip_samples, self.kind)


def clips_per_item(corpus: Corpus, clip_samples: int, kind: str) -> np.ndarray:
    """Returns how many different clips each item gives, (items,): one if clips are starts, else as many as it fills."""
    return np.ones_like(corpus.lengths) if kind == "first" else -(-corpus.lengths // clip_samples)


def side_by_side(corpus: Corpus, clip_samples: int, kind: str) -> Corpus:
    """Returns a corpus with an item for each clip, which goes on to the end of its sound; the samples are shared.

    kind: as in `Windows`; random clips are those that fit side by side.
    """
    if kind == "first":
        return corpus
    counts = clips_per_item(corpus, clip_samples, kind)
    item = np.repeat(np.arange(len(counts)), counts)
    offset = (np.arange(len(item)) - (np.cumsum(counts) - counts)[item]) * clip_samples
    clips = corpus.select(item)
    return replace(clips, starts=clips.starts + offset, lengths=clips.lengths - offset)


def gather(samples: Tensor, starts: np.ndarray, lengths: np.ndarray, clip_samples: int) -> Tensor:
    """Cuts clips from (frames, channels) int16 samples: (N, channels, clip_samples) float32, silent after `lengths`.

    Works on the samples' own device.
    """
    device = samples.device
    is_cuda = device.type == "cuda"  # MPS may read a host's tensor after it is freed
    starts_on_device = torch.from_numpy(starts).to(device, non_blocking=is_cuda)
    lengths_on_device = torch.from_numpy(lengths).to(device, non_blocking=is_cuda)
    places = torch.arange(clip_samples, device=device)
    if starts.max(initial=0) + clip_samples <= len(samples):
        clips = samples.unfold(0, clip_samples, 1)[
            starts_on_device
        ].float()  # rows of a view: (N, channels, clip_samples)
    else:  # a clip goes on beyond the silence at the end of the samples
        rows = samples[(starts_on_device[:, None] + places).clamp_(max=len(samples) - 1)]  # (N, clip_samples, channels)
        clips = rows.movedim(2, 1).to(torch.float32, memory_format=torch.contiguous_format)
    is_silent = places >= lengths_on_device[:, None]
    return (clips / FULL_SCALE).masked_fill_(is_silent[:, None], 0)  # a product with a mask would leave many -0.0


def _played(sound: Tensor, speed: int, clip_samples: int) -> Tensor:
    """Returns sound (channels, T) at a speed of so many SPEED_PARTS, with its peak: (channels, clip_samples)."""
    sound = sound[:, : _needed(clip_samples, speed)]
    played = _resampler(speed, sound.device)(sound)[:, :clip_samples]
    return played * (sound.abs().max() / played.abs().max().clamp(min=1e-9))


@lru_cache(maxsize=2 * SPEED_PARTS)
def _resampler(speed: int, device: torch.device) -> torch.nn.Module:
    """Makes what plays sound at a speed of so many SPEED_PARTS; torchaudio takes a millisecond to do so."""
    return torchaudio().transforms.Resample(speed, SPEED_PARTS, lowpass_filter_width=LOBES).to(device)


def _needed(clip_samples: int, speed: Speeds) -> Speeds:
    """Returns how many samples become a clip at a speed of so many SPEED_PARTS, or at each of several."""
    return -(-clip_samples * speed // SPEED_PARTS)


@lru_cache(maxsize=4)
def clip_order(seed: int, epoch: int, clips: int) -> np.ndarray:
    """Returns the order in which an epoch uses so many clips: (clips,) numbers from 0."""
    return numpy_generator(seed, epoch, "order of clips").permutation(clips)
