"""Reads one sound file, as a clip or whole, converted as the items of a corpus are."""

import io
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from wavegan.audio.checks import AGAINST
from wavegan.audio.decoding import CANCEL, SILENCE_PEAK, Conversion, Decoded, append, decode_item
from wavegan.audio.files import FULL_SCALE, open_sound
from wavegan.audio.items import Item
from wavegan.errors import DataError

FULL_PEAK = 0.99  # of a sound that counts as one with a peak of 1


def read_clip(path: Path, conversion: Conversion, clip_samples: int) -> tuple[np.ndarray, list[str]]:
    """Returns the start of a sound, float32 (channels, clip_samples), and what was converted, a sentence each.

    A shorter sound is filled up with silence. Raises DataError for a file that cannot be used, and for silence.
    """
    samples = io.BytesIO()
    decoded, conversion = _decoded(path, conversion)
    facts = append(samples, decoded, conversion)
    sound = np.frombuffer(samples.getvalue(), np.int16).reshape(-1, conversion.channels).T
    clip = np.zeros((conversion.channels, clip_samples), np.float32)
    clip[:, : sound.shape[1]] = sound[:, :clip_samples].astype(np.float32) / FULL_SCALE
    if np.abs(clip).max() < SILENCE_PEAK:
        part = (
            "is" if sound.shape[1] <= clip_samples else f"begins with {clip_samples / conversion.sample_rate:.2f} s of"
        )
        raise DataError(f"{path} {part} silence; name a sound that is heard, or cut off what is before it")
    return clip, _notes(facts, sound.shape[1], conversion, clip_samples)


def read_whole(path: Path, conversion: Conversion) -> tuple[np.ndarray, list[str]]:
    """Returns a whole sound, float32 (channels, frames), at its own level, and what was converted, a sentence each.

    The silence at its ends stays. Raises DataError for a file that cannot be used.
    """
    decoded, conversion = _decoded(path, conversion)
    assert decoded.spool, "a file that cannot be used was refused"
    with decoded.spool as spool:
        sound = np.frombuffer(spool.read(), np.float32).reshape(-1, conversion.channels)
    return np.ascontiguousarray((sound - decoded.offset.astype(np.float32)).T), _converted(decoded.measured, conversion)


def _decoded(path: Path, conversion: Conversion) -> tuple[Decoded, Conversion]:
    """Decodes a sound and says how: of channels that lose much of the sound as they are mixed, the first is taken."""
    item = Item(path.name, None, (), lambda *_: open_sound(path))
    decoded = decode_item(item, conversion, Path(tempfile.gettempdir()))
    is_lost = decoded.reason.startswith(CANCEL) or (decoded.measured.get("correlation") or 0) < AGAINST
    if is_lost and conversion.channels == 1 and conversion.channel is None:
        if decoded.spool:
            decoded.spool.close()
        conversion = replace(conversion, channel=1)
        decoded = decode_item(item, conversion, Path(tempfile.gettempdir()))
        remarks = decoded.measured.get("remarks", ())
        decoded.measured["remarks"] = [*remarks, "its channels lose much of the sound when they are mixed"]
    if decoded.spool is None:
        reason, is_of_recipe, _ = decoded.reason.partition("; set data.")  # a MODEL keeps its recipe
        raise DataError(f"{path} {reason}", "", "save it as mono" if is_of_recipe else "")
    return decoded, conversion


def _converted(facts: dict[str, Any], conversion: Conversion) -> list[str]:
    rate, channels = facts["file_rate"], facts["file_channels"]
    notes = list(facts.get("remarks", ()))
    if rate != conversion.sample_rate:
        notes.append(f"it is resampled from {rate:,} Hz to {conversion.sample_rate:,} Hz")
    if conversion.channel and channels > 1:
        notes.append(f"channel {conversion.channel} of {channels} is taken")
        channels = 1
    if channels != conversion.channels:
        conversion_of_channels = "mixed to mono" if conversion.channels == 1 else f"repeated to {conversion.channels}"
        notes.append(f"its channels ({channels}) are {conversion_of_channels}")
    return notes


def _notes(facts: dict[str, Any], length: int, conversion: Conversion, clip_samples: int) -> list[str]:
    notes, clip_seconds = _converted(facts, conversion), clip_samples / conversion.sample_rate
    if length > clip_samples:
        notes.append(f"of its {length / conversion.sample_rate:.2f} s only the first {clip_seconds:.2f} s are used")
    elif length < clip_samples:
        notes.append(f"its {length / conversion.sample_rate:.2f} s are filled up with silence to {clip_seconds:.2f} s")
    if conversion.normalize and facts["peak"] < FULL_PEAK:
        notes.append(f"its peak of {facts['peak']:.3g} is raised to 1")
    elif not conversion.normalize and facts["peak"] > 1:
        notes.append(f"its peaks of up to {facts['peak']:.3g} are cut off at 1")
    return notes
