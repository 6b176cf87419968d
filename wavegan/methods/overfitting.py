"""Measures how far discriminators know their training clips by heart."""

import math
from collections.abc import Mapping, Sequence

import torch

from wavegan.methods.adversary import Adversary
from wavegan.methods.base import Batch
from wavegan.models.evaluation_mode import evaluation_mode


def overfitting(
    adversaries: Mapping[str, Adversary],
    training: Sequence[Batch],
    held_out: Sequence[Batch],
    generated: Sequence[Batch],
) -> dict[str, float]:
    """Returns where held-out clips lie, by a discriminator's mean scores, on the way from training to generated clips.

    0: they are judged as training clips are. 1: as generated ones, so it teaches nothing but the training clips
    themselves. It is r_v of Karras et al. (2020, arXiv:2006.06676, section 3). A discriminator that judges generated
    clips to be no worse than training clips is left out. No clip is augmented.
    """
    figures = {}
    for name, adversary in adversaries.items():
        heard, unheard, made = (mean_score(adversary, batches) for batches in (training, held_out, generated))
        if heard > made:
            figures[name] = (heard - unheard) / (heard - made)
    return {name: figure for name, figure in figures.items() if math.isfinite(figure)}


@torch.no_grad()
def mean_score(adversary: Adversary, batches: Sequence[Batch]) -> float:
    """Returns the mean score of encoded clips; each batch holds whole groups of clips that are compared."""
    with evaluation_mode(adversary.discriminator):
        return torch.cat([adversary.scores(batch.x, batch.labels) for batch in batches]).float().mean().item()
