"""Writes into a sound file how a model made the sound, and reads it: a receipt, from which it can be made again.

A receipt is one line of JSON in the file's comment. It names no folder.
"""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from torch import Tensor

from wavegan import __version__, generation
from wavegan.audio import comments, writing
from wavegan.commands.folders import refuse_no_sound
from wavegan.commands.sound_length import is_loop, makes_any_length
from wavegan.errors import DataError
from wavegan.generation import Model
from wavegan.steering.directions import NO_MOVES, Moves, label_offset
from wavegan.steering.points import Point, maker, numbered_point

MOST_CLIPS = 1024  # of a batch; more have been written by nobody
START = '{"wavegan"'  # of a receipt's text


class Maker(BaseModel):
    """Names the model that made a sound: its weights by their hash, its arithmetic, and the version of wavegan.

    clip_samples: the length of the sound, None where the model makes one length only. loop: whether it is a loop.
    pitch: the one that was asked for, in Hz; None where each sound has its own.
    """

    model_config = ConfigDict(frozen=True)

    wavegan: str
    model: str
    step: int
    weights: str
    precision: Literal["fp32", "bf16"]
    clip_samples: int | None = Field(default=None, ge=1)
    loop: bool | None = None
    pitch: float | None = Field(default=None, gt=0)


class KeptPart(BaseModel):
    """Describes what a kit keeps of a clip, as `export.sampler_kit.Cut` does."""

    start: int = Field(ge=0)
    length: int = Field(ge=1)
    fade: int = Field(ge=0)
    gain: float


class ClipReceipt(Maker):
    """Describes a clip by its seed and number. labels: those that take turns; label: that of this clip.

    batch: the first number and the size of the batch that the clip was made in; its last bits depend on that. cut: what
    the file holds of it, None for all. directions: amounts by name; offset: what they added to the mapped latent,
    float32 in base64.
    """

    made_by: Literal["generate"] = "generate"
    seed: int
    number: int = Field(ge=0)
    label: str | None = None
    labels: tuple[str, ...]
    truncation: float
    batch: tuple[int, int]
    cut: KeptPart | None = None
    directions: dict[str, float] | None = None
    offset: str | None = None

    @model_validator(mode="after")
    def _is_in_its_batch(self) -> Self:
        first, size = self.batch
        if not (0 <= self.number - first < size <= MOST_CLIPS):
            raise ValueError(f"clip {self.number} is not in its batch")
        return self


class WalkReceipt(Maker):
    """Describes a file that walks between the latents of clips 0 to stations - 1."""

    made_by: Literal["interpolate"] = "interpolate"
    seed: int
    stations: int = Field(ge=2)
    labels: tuple[str, ...]
    truncation: float


class PointReceipt(Maker):
    """Describes a sound that has no number. latent: float32 in base64; shares: of labels by name.

    noise: seed, number and weight of each draw of the generator's noise inputs, which are added up. directions, offset:
    as those of a clip. code: by which the page of an instrument finds its sound again.
    """

    made_by: Literal["vary", "morph", "invert", "instrument"]
    code: str | None = None
    latent: str
    shares: dict[str, float] | None = None
    noise: tuple[tuple[int, int, float], ...] = Field(min_length=1)
    directions: dict[str, float] | None = None
    offset: str | None = None


Receipt = ClipReceipt | WalkReceipt | PointReceipt
PARSED: TypeAdapter[Receipt] = TypeAdapter(Annotated[Receipt, Field(discriminator="made_by")])


def of_file(path: Path) -> Receipt:
    """Returns the receipt of a sound file; raises DataError as `read`, and for a path without one."""
    refuse_no_sound(path)
    receipt = read(path)
    if receipt is None:
        raise DataError(
            f"{path} has no receipt",
            "wavegan writes one into each sound that it makes, and another program may have removed it",
            "search for the nearest clip of a model: wavegan invert MODEL FILE",
        )
    return receipt


def maker_of(model: Model) -> dict[str, Any]:
    """Returns the fields of a receipt that name the model."""
    return {
        "wavegan": __version__,
        "model": model.name,
        "step": model.step,
        "weights": model.weights_hash,
        "precision": model.precision,
        "clip_samples": model.clip_samples if makes_any_length(model) else None,
        "loop": is_loop(model) or None,
        "pitch": model.pitch,
    }


def of_clip(
    model: Model,
    maker: Mapping[str, Any],
    number: int,
    *,
    seed: int,
    truncation: float,
    labels: Sequence[str],
    batch: tuple[int, int],
    moves: Moves = NO_MOVES,
) -> ClipReceipt:
    """Returns the receipt of a numbered clip; maker: as `maker_of` returns it."""
    rows = generation.numbered_labels(model, [number], seed=seed, only=labels)
    return ClipReceipt(
        **maker,
        seed=seed,
        number=number,
        label=None if rows is None else label_text(_shares(model, rows[0])),
        labels=tuple(labels),
        truncation=truncation,
        batch=batch,
        directions=dict(moves.amounts) or None,
        offset=None if moves.rows is None else _encoded(label_offset(moves.rows, rows)[0]),
    )


def of_point(
    model: Model, maker: Mapping[str, Any], point: Point, made_by: Literal["vary", "morph", "invert"]
) -> PointReceipt:
    """Returns the receipt of a point; maker: as `maker_of` returns it."""
    return PointReceipt(
        **maker,
        made_by=made_by,
        latent=_encoded(point.latent),
        shares=None if point.labels is None else _shares(model, point.labels),
        noise=point.noise,
        offset=None if point.offset is None else _encoded(point.offset),
    )


def point_of(model: Model, receipt: ClipReceipt | PointReceipt) -> Point:
    """Returns the point of a receipt. Raises DataError for one that does not fit the model."""
    if isinstance(receipt, ClipReceipt):
        return numbered_point(
            model,
            receipt.number,
            seed=receipt.seed,
            truncation=receipt.truncation,
            labels=receipt.labels,
            offset=offset_of(model, receipt),
        )
    latent = _decoded(receipt.latent, model.inputs[0].shape)
    labels = None if receipt.shares is None else generation.label_row(model, receipt.shares)
    return Point(latent, labels, receipt.noise, offset_of(model, receipt), maker(model))


def offset_of(model: Model, receipt: ClipReceipt | PointReceipt) -> Tensor | None:
    """Returns what a receipt adds to the mapped latent, (mapped,), None for nothing.

    Raises DataError for an offset that does not fit the model.
    """
    mapped = getattr(model.generator, "mapped", 0)
    return None if receipt.offset is None else _decoded(receipt.offset, (mapped,))


def label_text(shares: Mapping[str, float]) -> str:
    """Returns a label, or a mix of labels as `generate` takes it: kick:0.7,snare:0.3."""
    return next(iter(shares)) if len(shares) == 1 else ",".join(f"{name}:{share:.3g}" for name, share in shares.items())


def text_of(receipt: Receipt) -> str:
    """Returns a receipt as the text that a file's comment holds: ASCII, for every format's tags."""
    return json.dumps(receipt.model_dump(exclude_none=True), separators=(",", ":"))


def write(path: Path, clip: Tensor, sample_rate: int, receipt: Receipt) -> None:
    """Writes a clip (channels, samples) with its receipt; a WAV of a loop says that it is one."""
    writing.write(path, clip.numpy(), sample_rate, text_of(receipt), loops=bool(receipt.loop))


def read(path: Path) -> Receipt | None:
    """Returns the receipt of a sound file, None if it has none.

    Raises DataError for what cannot be read as sound, and for a receipt that is cut off or changed.
    """
    text = comments.read(path)
    if not text.startswith(START):
        return None
    try:
        return PARSED.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "JSON"
        raise DataError(
            f"the receipt in {path} is cut off or changed ({place}: {first['msg']})",
            "a sound can be made again only from a whole one",
            "take an untouched copy of the file",
        ) from error


def _shares(model: Model, row: Tensor) -> dict[str, float]:
    return {name: share for name, share in zip(model.label_names, row.tolist(), strict=True) if share}


def _encoded(numbers: Tensor) -> str:
    return base64.b64encode(numbers.numpy().astype("<f4").tobytes()).decode()


def _decoded(text: str, shape: tuple[int, ...]) -> Tensor:
    try:
        numbers = np.frombuffer(base64.b64decode(text, validate=True), "<f4")
    except ValueError as error:
        raise DataError(
            f"the receipt's numbers are cut off or changed ({error})", "", "take an untouched copy"
        ) from error
    count = math.prod(shape)
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise DataError(
            f"the receipt holds {len(numbers)} numbers", f"its model takes {count}", "take an untouched copy"
        )
    return torch.from_numpy(numbers.astype(np.float32)).view(shape)
