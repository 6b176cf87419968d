"""Finds the points of sounds in one model: from their receipts, or by inversion."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.signal import correlate

from wavegan.audio import files
from wavegan.commands import receipts
from wavegan.commands.folders import refuse_no_sound
from wavegan.commands.generate import refuse_translation
from wavegan.commands.invert import inverted
from wavegan.commands.model_loading import LoadedModel, load_model
from wavegan.commands.receipt_models import maker_model, of_receipt
from wavegan.commands.receipts import ClipReceipt, PointReceipt, WalkReceipt
from wavegan.commands.regenerate import clips_of
from wavegan.commands.sound_length import is_loop
from wavegan.errors import DataError, RunError
from wavegan.generation import Model
from wavegan.steering.points import Point

logger = logging.getLogger(__name__)

SAME = 0.85  # correlation, at the best place, of a sound that may have been cut, faded or encoded
KEPT = 0.9  # of its power, at least what lies there


def points_of(sounds: Sequence[Path], model: Path | None, on: torch.device) -> tuple[LoadedModel, list[Point]]:
    """Returns the model of the first sound that has a receipt, or the given one, and the point of each sound in it.

    A sound that another model made, or none, is inverted, and a line says so. Raises DataError for a sound that cannot
    be used, and where no sound has a receipt and no model is named.
    """
    loaded = _model(sounds, model, on)
    refuse_translation(loaded)
    return loaded, [point_in(loaded, path) for path in sounds]


def of_sound(loaded: LoadedModel, sound: Any) -> LoadedModel:
    """Returns the model for the length, loop and pitch of a sound file that it made; unchanged for any other sound."""
    receipt = _receipt(Path(sound)) if isinstance(sound, str | os.PathLike) else None
    if not receipt or receipt.weights != loaded.model.weights_hash:
        return loaded
    like = of_receipt(loaded, receipt)
    return like if like is loaded or _is_as_made(like.model, receipt, Path(sound)) else loaded


def point_in(loaded: LoadedModel, sound: Path) -> Point:
    """Returns the point of a sound file in a model: that of its receipt if the model made it, else by inversion.

    Raises DataError for a sound of another length or pitch than the model makes, which the model has made.
    """
    receipt = _receipt(sound)
    if receipt and receipt.weights == loaded.model.weights_hash:
        _refuse_other_form(loaded.model, receipt, sound)
        if _is_as_made(loaded.model, receipt, sound):
            return receipts.point_of(loaded.model, receipt)
        maker = "sounds otherwise than its receipt says"
    else:
        maker = f"was made by {receipt.model}, step {receipt.step:,}" if receipt else "has no receipt"
    logger.info(f"{sound} {maker}; the sound of {loaded.model.name} that is nearest to it is taken")
    return inverted(loaded, sound).point


def _refuse_other_form(model: Model, receipt: ClipReceipt | PointReceipt, sound: Path) -> None:
    if receipt.pitch != model.pitch:
        own, wanted = (f"{pitch:.9g} Hz" if pitch else "a drawn pitch" for pitch in (receipt.pitch, model.pitch))
        remedy = f"generate it again {f'with `pitch={model.pitch:.9g}`' if model.pitch else 'without `pitch`'}"
        raise DataError(f"{sound} has {own}", f"a sound of {wanted} is needed here", remedy)
    if bool(receipt.loop) != is_loop(model):
        own, wanted, remedy = ("a loop", "no loop", "without") if receipt.loop else ("no loop", "a loop", "with")
        raise DataError(f"{sound} is {own}", f"{wanted} is needed here", f"generate it again {remedy} `loop`")
    if receipt.clip_samples in (None, model.clip_samples):
        return
    length, wanted = (samples / model.sample_rate for samples in (receipt.clip_samples, model.clip_samples))
    raise DataError(
        f"{sound} lasts {length:.2f} s",
        f"a sound of {wanted:.2f} s is needed here",
        f"generate it again with `seconds={wanted:.6g}`",
    )


def _is_as_made(model: Model, receipt: ClipReceipt | PointReceipt, sound: Path) -> bool:
    """Says whether a file still holds the clip of its receipt, at any level and place."""
    [clip] = clips_of(model, receipt)
    original = clip.mean(0).double().numpy()
    heard = np.concatenate([*files.decode(sound, model.sample_rate, 1)])[:, 0].astype(np.float64)
    products = np.abs(correlate(original, heard, method="fft"))
    begin = int(products.argmax()) - len(heard) + 1  # of what is heard, in the original
    both = original[max(begin, 0) : begin + len(heard)], heard[max(-begin, 0) :][: len(original) - max(begin, 0)]
    of_original, of_heard = (float(np.square(part).sum()) for part in both)
    power = float(np.square(heard).sum())
    return of_heard >= KEPT * power and float(products.max()) >= SAME * (of_original * of_heard) ** 0.5


def _receipt(sound: Path) -> ClipReceipt | PointReceipt | None:
    refuse_no_sound(sound)
    receipt = receipts.read(sound)
    if isinstance(receipt, WalkReceipt):
        raise DataError(f"{sound} walks through many sounds", "one sound is needed", "name a clip")
    return receipt


def _model(sounds: Sequence[Path], model: Path | None, on: torch.device) -> LoadedModel:
    """Loads the model of the first receipt, in the state that made it; else the given one."""
    with_receipts = ((receipt, path) for path in sounds if (receipt := _receipt(path)))
    receipt, path = next(with_receipts, (None, sounds[0]))
    if receipt:
        try:
            return maker_model(receipt, path, on, model=model)
        except RunError:
            if model is None:
                raise
    if model is None:
        raise DataError(
            f"{path} has no receipt", "so the model to look for its nearest sound in must be named", "add `model=MODEL`"
        )
    return load_model(model, on)
