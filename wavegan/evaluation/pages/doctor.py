"""Writes the page of `wavegan doctor`: what a source holds, and examples of what is wrong with it, to see and hear."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wavegan.audio.files import FULL_SCALE
from wavegan.evaluation.pages.html_page import write_page
from wavegan.evaluation.pages.page_components import WIDEST, cells, spectrogram_values

TEMPLATE = Path(__file__).with_name("doctor.html.j2")
LEAST_SAMPLES = 1024  # a picture of fewer would hold a single frame


@dataclass(frozen=True, eq=False)
class Example:
    """Holds an item to see and hear: its name and its sound (channels, samples) in [-1, 1]."""

    name: str
    sound: Tensor


@dataclass(frozen=True, eq=False)
class Section:
    """Holds a finding in words, its remedy, and examples; is_mended: the advised recipe takes care of it."""

    text: str
    remedy: str
    is_fatal: bool
    is_mended: bool
    examples: Sequence[Example]


def write_doctor_page(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    sections: Sequence[Section],
    typical: Sequence[Example],
    recipe: str,
    sample_rate: int,
) -> None:
    """Writes one HTML file, without scripts or links.

    typical: a few items as they are mostly. recipe: the advised recipe as text, empty if there is none. All sounds of
    a row are shown as long as the longest of them.
    """
    rows = [section.examples for section in sections if section.examples] + [typical] * bool(typical)
    batches = [_batch(examples) for examples in rows]
    drawn = iter(cells(batches, [WIDEST] * len(batches), sample_rate)) if batches else iter(())
    marks = spectrogram_values(LEAST_SAMPLES, sample_rate)
    seconds = iter([spectrogram_values(batch.shape[-1], sample_rate)["seconds"] for batch in batches])

    def row(examples: Sequence[Example]) -> dict:
        if not examples:
            return {"cells": [], "seconds": []}
        return {"cells": list(zip(examples, next(drawn), strict=True)), "seconds": next(seconds)}

    rows = [(section, row(section.examples)) for section in sections]
    write_page(
        path,
        TEMPLATE,
        title=title,
        facts=facts,
        yours=[(section, shown) for section, shown in rows if not section.is_mended],
        mended=[(section, shown) for section, shown in rows if section.is_mended],
        typical=row(typical),
        recipe=recipe,
        **marks,
    )


def _batch(examples: Sequence[Example]) -> Tensor:
    longest = max(LEAST_SAMPLES, *(example.sound.shape[-1] for example in examples))
    return torch.stack(
        [torch.nn.functional.pad(example.sound, (0, longest - example.sound.shape[-1])) for example in examples]
    )


def example(name: str, frames: np.ndarray) -> Example:
    """Makes an example of int16 frames (samples, channels)."""
    return Example(name, torch.from_numpy(frames.astype(np.float32).T / FULL_SCALE))
