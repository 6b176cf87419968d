"""Finds the points of sounds in one model: from their receipts, or by inversion."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from wavegan.commands import receipts
from wavegan.commands.folder_record import weights_hash
from wavegan.commands.generate import refuse_translation
from wavegan.commands.invert import inverted
from wavegan.commands.models import LoadedModel, load_model
from wavegan.commands.receipt_models import maker_model
from wavegan.commands.receipts import Receipt, WalkReceipt
from wavegan.errors import DataError, RunError
from wavegan.steering.points import Point

logger = logging.getLogger(__name__)


def points_of(sounds: Sequence[Path], model: Path | None, on: torch.device) -> tuple[LoadedModel, list[Point]]:
    """Returns the model of the first sound that has a receipt, or the given one, and the point of each sound in it.

    A sound that another model made, or none, is inverted, and a line says so. Raises DataError for a sound that cannot
    be used, and where no sound has a receipt and no model is named.
    """
    chosen = [receipts.read(path) for path in sounds]
    for receipt, path in zip(chosen, sounds, strict=True):
        if isinstance(receipt, WalkReceipt):
            raise DataError(f"{path} walks through many sounds", "one sound is needed", "name a clip")
    loaded = _model(chosen, sounds, model, on)
    refuse_translation(loaded)
    weights = weights_hash(loaded.model.generator)
    points: list[Point] = []
    for receipt, path in zip(chosen, sounds, strict=True):
        if receipt and receipt.weights == weights and not isinstance(receipt, WalkReceipt):
            points.append(receipts.point_of(loaded.model, receipt))
            continue
        maker = f"was made by {receipt.model}, step {receipt.step:,}" if receipt else "has no receipt"
        logger.info(f"{path} {maker}; {loaded.model.name} is brought as near to it as it comes")
        points.append(inverted(loaded, path).point)
    return loaded, points


def _model(
    chosen: Sequence[Receipt | None], sounds: Sequence[Path], model: Path | None, on: torch.device
) -> LoadedModel:
    receipt, path = next((pair for pair in zip(chosen, sounds, strict=True) if pair[0]), (None, sounds[0]))
    if receipt:
        try:
            return maker_model(receipt, path, on, model=model)
        except RunError:
            if model is None:
                raise
    if model is None:
        raise DataError(
            f"{path} has no receipt", "then a model must be named that can be brought near to it", "add `model=MODEL`"
        )
    return load_model(model, on)
