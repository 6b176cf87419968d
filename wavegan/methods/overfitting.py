"""Measures how far discriminators know their training clips by heart."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from wavegan.methods.adversary import Adversary
from wavegan.methods.base import Batch
from wavegan.models.evaluation_mode import evaluation_mode

CLEAR = 0.5  # four standard errors of a mean over 64 clips


def overfitting(
    adversaries: Mapping[str, Adversary],
    training: Sequence[Batch],
    held_out: Sequence[Batch],
    generated: Sequence[Batch],
) -> dict[str, float]:
    """Returns where held-out clips lie, by a discriminator's mean scores, on the way from training to generated clips.

    0: they are judged as training clips are. 1: as generated ones, so it teaches nothing but the training clips
    themselves. It is r_v of Karras et al. (2020, arXiv:2006.06676, section 3). A discriminator that hardly tells
    generated clips from training clips, by less than CLEAR of their spread, is left out. No clip is augmented.
    """
    figures = {}
    for name, adversary in adversaries.items():
        heard, unheard, fake = (_scores(adversary, batches) for batches in (training, held_out, generated))
        distance = (heard.mean() - fake.mean()).item()
        if distance > CLEAR * heard.std().item():
            figures[name] = (heard.mean() - unheard.mean()).item() / distance
    return figures


@torch.no_grad()
def _scores(adversary: Adversary, batches: Sequence[Batch]) -> Tensor:
    with evaluation_mode(adversary.discriminator):
        return torch.cat([adversary.scores(batch.x, batch.labels) for batch in batches]).float()
