"""Records which items a run learns from and which it holds out, and finds them again in a corpus.

Items are known by the hashes of their samples; their names and folders do not count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from wavegan.audio.corpus import Corpus
from wavegan.audio.splits import held_out_by_name


@dataclass(frozen=True)
class SplitRecord:
    """Holds the hashes of the items learned from and held out, (items,) uint64 each; None in runs of older versions."""

    training: np.ndarray | None
    held_out: np.ndarray | None

    @classmethod
    def of(cls, training: Corpus, held_out: Corpus | None) -> "SplitRecord":
        """Returns the record of a corpus that is split into these two parts."""
        return cls(training.hashes, held_out.hashes if held_out else np.zeros(0, np.uint64))

    @classmethod
    def from_state(cls, state: Mapping[str, Any], suffix: str = "") -> "SplitRecord":
        """Reads the record of a checkpoint; suffix: "_b" for the second source of a translation."""
        hashes = [state.get(f"{part}_items{suffix}") for part in ("training", "held_out")]
        return cls(*(part.numpy().view(np.uint64) if isinstance(part, torch.Tensor) else None for part in hashes))

    def state(self, suffix: str = "") -> dict[str, torch.Tensor]:
        """Returns the record as a checkpoint holds it: int64 tensors."""
        parts = {"training": self.training, "held_out": self.held_out}
        return {
            f"{name}_items{suffix}": torch.from_numpy(part.view(np.int64).copy())
            for name, part in parts.items()
            if part is not None
        }

    def is_held_out(self, corpus: Corpus, share: float) -> np.ndarray | None:
        """Says which items of a corpus are held out, (items,) bool: those of the record, and new ones by their names.

        Returns None if `splits.hold_out` must choose: for a single item, which is cut in two, and where the record
        knows no training item or no held-out item of this corpus.
        """
        if self.training is None or self.held_out is None:
            return held_out_by_name(corpus, share)  # as runs without a record did
        is_held, is_learned = np.isin(corpus.hashes, self.held_out), np.isin(corpus.hashes, self.training)
        if len(corpus.names) == 1 or not is_held.any() or not is_learned.any():
            return None
        return is_held | (held_out_by_name(corpus, share) & ~is_learned)

    def is_known(self, *corpora: Corpus | None) -> np.ndarray | None:
        """Says of each item of some corpora whether the run has learned from it or held it out, (items,) bool.

        None for a run that has no record.
        """
        if self.training is None or self.held_out is None:
            return None
        recorded = np.concatenate([self.training, self.held_out])
        return np.concatenate([np.isin(corpus.hashes, recorded) for corpus in corpora if corpus])
