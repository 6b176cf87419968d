"""Checks clips that Python code passes as arrays, tensors or lists."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wavegan.audio import files
from wavegan.audio.decoding import SILENCE_PEAK
from wavegan.audio.single_sound import FULL_PEAK
from wavegan.commands.model_loading import LoadedModel
from wavegan.errors import UserError

logger = logging.getLogger(__name__)

MOST_CHANNELS = 8  # as of a recipe; more are samples in the wrong place


@dataclass(frozen=True)
class ClipArray:
    """Holds clips in memory. clips: float32 (N, channels, samples) in [-1, 1]; sample_rate: in Hz."""

    clips: np.ndarray
    sample_rate: int


def checked_clips(clips: Any) -> np.ndarray:
    """Returns clips as float32 (n, channels, samples); raises UserError for anything else, and for integers."""
    array = array_of(clips)
    if array.dtype.kind == "O":
        rule = "they must be floats, (n, channels, samples)"
        raise UserError(f"the clips are of the type {type(clips).__name__}", rule, "give the path of a model or folder")
    if array.ndim != 3 or 0 in array.shape or array.shape[1] > MOST_CHANNELS:
        is_turned = array.ndim == 3 and array.shape[2] <= MOST_CHANNELS < array.shape[1]
        rule = f"it must be (n, channels, samples), with {MOST_CHANNELS} channels at most"
        remedy = "try np.swapaxes(clips, 1, 2)" if is_turned else "bring them into this form"
        remedy = f"try {_as_array(clips, 'clips')}[:, None]" if array.ndim == 2 else remedy
        raise UserError(f"the clips have the shape {array.shape}", rule, remedy)
    if array.dtype.kind != "f":
        remedy = "divide them by their full scale, 16-bit ones as clips / 32768"
        raise UserError(f"the clips are {array.dtype}", "samples are floats in [-1, 1]", remedy)
    peak = max(array.max(), -array.min())
    if not np.isfinite(peak):
        raise UserError("the clips hold NaN or infinity", "samples lie in [-1, 1]", "leave those clips out")
    if peak > files.LOUDEST:
        remedy = "divide them by their full scale, that of 16 bits as clips / 32768"
        raise UserError(f"the clips have a peak of {peak:.6g}", "samples lie in [-1, 1]", remedy)
    return np.ascontiguousarray(array, np.float32)


def checked_clip(clip: Any, loaded: LoadedModel) -> Tensor:
    """Returns a clip, float32 (channels, samples), in the form of a model; raises UserError for others and for silence.

    Where the model has learned from sound of a peak of 1, or without an offset, the clip gets that, too. A clip beyond
    full scale is made softer as a whole. A line says so.
    """
    model = loaded.model
    array, form = array_of(clip), (model.channels, model.clip_samples)
    if array.dtype.kind == "O":
        rule = f"it must be floats, {form} at {model.sample_rate:,} Hz"
        raise UserError(f"the clip is of the type {type(clip).__name__}", rule, "pass an array, or name a file")
    if array.shape != form:
        others = {"[None]": array[None], ".T": array.T, "[0]": array[0] if array.ndim > 2 and len(array) else array}
        fitting = [f"try {_as_array(clip, 'clip')}{change}" for change, other in others.items() if other.shape == form]
        raise UserError(
            f"the clip has the shape {array.shape}",
            f"it must be {form} at {model.sample_rate:,} Hz",
            *fitting or ["cut or fill it up, or name a file, which is converted"],
        )
    sound = checked_clips(array[None])[0]
    if loaded.conversion.remove_dc:
        sound = sound - sound.mean(axis=1, keepdims=True)
    peak = float(np.abs(sound).max())
    if peak < SILENCE_PEAK:
        raise UserError("the clip is silence", "the nearest sound of silence is none", "pass a sound that is heard")
    if peak > 1 or (loaded.conversion.normalize and peak < FULL_PEAK):
        logger.info(f"the clip's peak of {peak:.3g} is {'raised' if peak < 1 else 'lowered'} to 1")
        sound = sound / peak
    return torch.tensor(sound)


def array_of(clips: Any) -> np.ndarray:
    """Returns an array of clips, of a tensor or of nested lists; raises UserError for what is none."""
    if isinstance(clips, Tensor):
        clips = clips.detach().cpu()
        clips = clips.float() if clips.dtype == torch.bfloat16 else clips  # which NumPy does not know
    try:
        return np.asarray(clips)
    except (ValueError, TypeError, RuntimeError) as error:
        rule = "they must be one, (n, channels, samples)"
        raise UserError("the clips make no array", rule, "bring all of them to one length") from error


def _as_array(value: Any, name: str) -> str:
    """Returns the name of a value, as an array where it is a list, which takes no index such as [:, None]."""
    return name if hasattr(value, "shape") else f"np.asarray({name})"
