"""Which clip of the corpus a step sees, as a pure function of the seed and the clips drawn before."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

import numpy as np
import torch
from torch import Tensor

from wavegan.audio import splits
from wavegan.audio.corpus import Corpus
from wavegan.audio.files import FULL_SCALE
from wavegan.seeding import numpy_generator


@dataclass(frozen=True)
class Windows:
    """Clips of `clip_samples` from a corpus, a `ClipSource`.

    kind: "first" takes the start of every item, padded with silence; "all" tiles each item, the last tile
    padded; "random" draws an item in proportion to its length and then any of its positions alike, so long
    and short items are heard equally often per second. "first" and "all" go through every clip once, in a new
    order each time, before one comes again.
    """

    corpus: Corpus
    clip_samples: int
    kind: str
    seed: int = 0

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the corpus's labels."""
        return self.corpus.label_names

    @property
    def bytes(self) -> int:
        """Memory that the corpus's samples take."""
        return self.corpus.samples.numel() * self.corpus.samples.element_size()

    def to(self, device: torch.device) -> Self:
        """The same clips, cut on a device."""
        return replace(self, corpus=self.corpus.to(device))

    def hold_out(self, share: float) -> tuple[Self, Self]:
        """Clips to learn from and clips to judge by, see `splits.hold_out`."""
        training, held_out = splits.hold_out(self.corpus, share)
        return replace(self, corpus=training), replace(self, corpus=held_out)

    def halves(self) -> tuple[Self, Self]:
        """Two parts of equally many items, see `splits.halves`."""
        first, second = splits.halves(self.corpus)
        return replace(self, corpus=first), replace(self, corpus=second)

    def unlabelled(self) -> list[str]:
        """The names of the items that have no label."""
        return [name for name, label in zip(self.corpus.names, self.corpus.labels, strict=True) if label < 0]

    def __len__(self) -> int:
        """Different clips; for random windows, the clips that would fit side by side."""
        tiles = len(self.corpus.lengths) if self.kind == "first" else self._tiles_per_item.sum()
        return int(tiles)

    def batch(self, draw: int, count: int, part: slice = slice(None)) -> Tensor:
        """Clips number draw · count and the `count` - 1 after it: (count, channels, clip_samples), [-1, 1].

        part: only these of them, as one of several processes needs.
        """
        starts, lengths = self.random_places(draw, count) if self.kind == "random" else self.places_in_turn(draw, count)
        return gather(self.corpus.samples, starts[part], lengths[part], self.clip_samples)

    def labels(self, draw: int, count: int, part: slice = slice(None)) -> Tensor:
        """The labels of the same clips as `batch`: (count,) indices into the corpus's label_names, -1 for none."""
        starts, _ = self.random_places(draw, count) if self.kind == "random" else self.places_in_turn(draw, count)
        order = np.argsort(self.corpus.starts)
        item = order[np.searchsorted(self.corpus.starts, starts[part], side="right", sorter=order) - 1]
        return torch.from_numpy(self.corpus.labels[item].astype(np.int64))

    def random_places(self, draw: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Starts in the corpus and frames of sound from there, of clips anywhere: two arrays (count,)."""
        random = numpy_generator(self.seed, draw, "windows")
        ends = np.cumsum(self.corpus.lengths)
        item = np.searchsorted(ends, random.integers(ends[-1], size=count), side="right")
        slack = np.maximum(self.corpus.lengths[item] - self.clip_samples, 0)
        offset = random.integers(slack, endpoint=True)  # the last position included
        return self.corpus.starts[item] + offset, self.corpus.lengths[item] - offset

    def places_in_turn(self, draw: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Starts and frames as `random_places`, of the `count` clips whose turn it is."""
        turn = np.arange(draw * count, (draw + 1) * count)
        epoch, place = np.divmod(turn, len(self))
        tile = np.concatenate([_order(self.seed, int(e), len(self))[place[epoch == e]] for e in np.unique(epoch)])
        if self.kind == "first":
            return self.corpus.starts[tile], self.corpus.lengths[tile]
        ends = np.cumsum(self._tiles_per_item)
        item = np.searchsorted(ends, tile, side="right")
        offset = (tile - (ends - self._tiles_per_item)[item]) * self.clip_samples
        return self.corpus.starts[item] + offset, self.corpus.lengths[item] - offset

    @property
    def _tiles_per_item(self) -> np.ndarray:
        return -(-self.corpus.lengths // self.clip_samples)


def gather(samples: Tensor, starts: np.ndarray, lengths: np.ndarray, clip_samples: int) -> Tensor:
    """Clips cut from (frames, channels) int16 samples, silent after `lengths`: (N, channels, clip_samples)
    float32.

    Works where the samples lie, on the host or the accelerator, in one indexed copy.
    """
    device = samples.device
    rows = samples.unfold(0, clip_samples, 1)  # a view: (frames - clip_samples + 1, channels, clip_samples)
    clips = rows[torch.from_numpy(starts).to(device, non_blocking=True)].float() / FULL_SCALE
    lengths_there = torch.from_numpy(lengths).to(device, non_blocking=True)
    silent = torch.arange(clip_samples, device=device) >= lengths_there[:, None]
    return clips.masked_fill_(silent[:, None], 0)  # zero, where a product with a mask leaves many -0.0


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, clips: int) -> np.ndarray:
    return numpy_generator(seed, epoch, "order of clips").permutation(clips)
