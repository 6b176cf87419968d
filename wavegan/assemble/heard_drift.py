"""Measures for a generator of sounds of any length how far the sound that it learns from drifts."""

import logging

import torch

from wavegan import progress
from wavegan.audio.windows import Windows
from wavegan.dsp.mel import log_mel
from wavegan.errors import some_of
from wavegan.models.drift import PIECE, UNITS, measured_drift
from wavegan.models.inverse_stft import Generator
from wavegan.models.stages import STOP_HOPS

logger = logging.getLogger(__name__)

PIECES, FEWEST = 256, 64  # heard of all sound, of each label at least
AT_ONCE = 16
NAMED = 10  # labels


@torch.no_grad()
def measure_drift(generator: Generator, clips: Windows, sample_rate: int, on: torch.device) -> None:
    """Measures the drift of each label, or of all sound where there are no labels, and sets it.

    It is measured in sounds that last for one piece or longer. A label without such a sound gets the mean of the
    others; if there is none at all, nothing changes.
    """
    assert generator.drift is not None, "it makes sounds of any length"
    part = STOP_HOPS * generator.hop // UNITS
    is_long = clips.corpus.lengths >= PIECE * part
    drifts = torch.full((len(generator.drift),), torch.nan)
    draws = max(FEWEST, PIECES // len(drifts)) // AT_ONCE
    with progress.bar(draws * len(drifts), "batches", desc="listening for drift", leave=False) as bar:
        for label in range(len(drifts)):
            chosen = is_long & (clips.corpus.labels == label) if generator.labels else is_long
            if not chosen.any():
                continue
            pieces = Windows(clips.corpus.select(chosen), PIECE * part, "random", clips.seed)
            levels = []
            for draw in range(draws):
                levels.append(_levels(pieces.batch(draw, AT_ONCE).to(on), sample_rate))
                bar.update(1)
            drifts[label] = measured_drift(torch.cat(levels))
    generator.drift.copy_(drifts.nan_to_num(drifts.nanmean().nan_to_num(1.0).item()))
    names = clips.label_names if generator.labels else ("all",)
    of_names = [f"{name} {drift:.2f}" for name, drift in zip(names, generator.drift.tolist(), strict=True)]
    logger.info(f"long sounds will drift as the sound does, from 0, not at all, to 1: {some_of(of_names, NAMED)}")
    if guessed := [name for name, drift in zip(names, drifts, strict=True) if drift.isnan()]:
        seconds = PIECE * part / sample_rate
        logger.info(f"no sound of {some_of(guessed, NAMED)} lasts the {seconds:.1f} s in which drift is heard")


def _levels(pieces: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Returns the mean log spectra (N, PIECE, bands) of the parts of pieces (N, C, T)."""
    levels = log_mel(pieces, sample_rate)
    frames = levels.shape[-1] // PIECE
    return levels[..., : frames * PIECE].unflatten(-1, (PIECE, frames)).mean(-1).transpose(1, 2)
