"""Defines a classifier: a small network that recognises the labels of sounds, for the metrics on its features.

A classifier is kept in a file of its own.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from wavegan.atomic_write import atomic_write
from wavegan.dsp.mel import BANDS, LEAST_POWER, RANGE_DECIBELS, log_mel, window_samples
from wavegan.errors import DataError
from wavegan.evaluation.resampling import wilson_interval
from wavegan.models.without_memory import WithoutMemory
from wavegan.torch_files import ContentError, Fields, read, refuse_other_form

CLASSIFIER_FORMAT = 2  # raised when the same file is read differently, or the same sounds are learned differently
PLAIN = ("label_names", "sample_rate", "clip_samples", "seed", "source", "split", "clips")  # stored as they are
FEATURES = 48
DIM = 16
SILENCE_DECIBELS = 10 * math.log10(LEAST_POWER) + 0.01
MOST_HERTZ = 1_000_000
LEAST_PEAK = 10 ** (-60 / 20)  # quieter clips are not raised any further


@dataclass(frozen=True)
class Accuracy:
    """Counts the clips that are recognised: `right` of `clips`."""

    right: int
    clips: int

    @property
    def value(self) -> float:
        """Returns the share of recognised clips, from 0 to 1."""
        return self.right / self.clips

    @property
    def interval(self) -> tuple[float, float]:
        """Returns the 95 % interval of Wilson (1927): low, high."""
        return wilson_interval(self.right, self.clips)

    def __str__(self) -> str:
        value, low, high = (f"{100 * share:.1f} %" for share in (self.value, *self.interval))
        return f"{value} of {self.clips:,} clips, 95 % interval {low} to {high}"


class Network(nn.Module):
    """Recognises labels in a picture of mel bands and time.

    Convolutions run over the picture. Then the maximum and the mean over time give features, and features give labels.
    Pictures have any length; the silence around a sound does not count.
    """

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.picture = nn.Sequential(
            *_layer(1, DIM, 5, stride=(2, 2)),
            *_layer(DIM, 2 * DIM, 3, stride=(2, 2)),
            *_layer(2 * DIM, 4 * DIM, 3, stride=(2, 1)),
            *_layer(4 * DIM, 4 * DIM, 3, stride=(2, 1)),
        )
        self.picture.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  twice as fast on a CPU
        self.moments = nn.Conv1d(4 * DIM * BANDS // 16, 4 * DIM, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(4 * DIM)
        self.features = nn.Linear(8 * DIM, FEATURES)
        self.labels = nn.Linear(FEATURES, labels)

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Returns features (N, 48) and label scores (N, K) of `levels`, (N, 64, frames)."""
        picture = self.picture(levels[:, None])  # (N, 4·DIM, 4, frames / 4)
        moments = self.norm(self.moments(picture.flatten(1, 2))).relu()  # (N, 4·DIM, frames / 4)
        sounds = functional.max_pool1d(levels.amax(dim=1, keepdim=True), 4, ceil_mode=True) > 0  # (N, 1, frames / 4)
        heard = moments * sounds
        mean = heard.sum(dim=2) / sounds.sum(dim=2).clamp(min=1)
        features = functional.silu(self.features(torch.cat([heard.amax(dim=2), mean], dim=1)))
        return features, self.labels(features)


def _layer(inputs: int, outputs: int, size: int, *, stride: tuple[int, int]) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def levels(clips: Tensor, sample_rate: int) -> Tensor:
    """Computes log-mel pictures: 1 is the loudest place, 0 is silence or 80 dB below that place.

    clips: (N, C, T). Returns (N, 64, frames), the same for a clip at any level above -60 dBFS.
    """
    peak = clips.abs().amax(dim=(1, 2), keepdim=True)
    window = window_samples(sample_rate) // 2  # short, so that pitch shows as moments and not as lines
    level = log_mel(clips / peak.clamp(min=LEAST_PEAK), sample_rate, window=window)
    picture = 1 + (level - level.amax(dim=(1, 2), keepdim=True)) / RANGE_DECIBELS
    return picture.masked_fill(level <= SILENCE_DECIBELS, 0)  # in a faint clip it is not 80 dB below the peak


@dataclass(frozen=True)
class Classifier:
    """Holds a trained network, its labels, its clip format and its accuracy.

    A label's number is its place in label_names. source: the sound that it has learned from, split: how the held-out
    part was chosen, both in words. clips: the number of clips that it has learned from.
    """

    network: Network
    label_names: tuple[str, ...]
    sample_rate: int
    clip_samples: int
    seed: int
    source: str
    split: str
    clips: int
    held_out: Accuracy = Accuracy(0, 0)
    test: Accuracy | None = None

    @cached_property
    def identity(self) -> str:
        """Returns a short hash of weights, labels and sample rate: classifiers with equal hashes recognise alike."""
        digest = hashlib.blake2b(
            json.dumps([CLASSIFIER_FORMAT, self.label_names, self.sample_rate]).encode(), digest_size=6
        )
        for name, weights in self.network.state_dict().items():
            digest.update(name.encode() + weights.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @property
    def name(self) -> str:
        """Returns the name that reports show."""
        share = f"{100 * self.held_out.value:.1f} % of {self.held_out.clips:,} held-out clips"
        return f"{self.source} classifier {self.identity[:6]} ({share})"

    @torch.no_grad()
    def extract(self, clips: Tensor, sample_rate: int, *, batch: int = 64) -> tuple[np.ndarray, np.ndarray]:
        """Gives features (N, 48) and label probabilities (N, K) of clips (N, C, T) in [-1, 1] of any length: float64.

        Raises DataError for another sample rate than it was trained at, and for samples that are not finite.
        """
        if sample_rate != self.sample_rate:
            raise DataError(
                f"clips of {sample_rate:,} Hz are given to a classifier of {self.sample_rate:,} Hz",
                "the rates must be equal",
                "train one at that rate with wavegan classifier train --sample-rate, or use `classifier=none`",
            )
        unusable = len(clips) - int(clips.isfinite().all(dim=2).all(dim=1).sum())
        if unusable:
            raise DataError(f"{unusable} of {len(clips)} clips hold NaN or infinite samples", "", "remove those clips")
        on = next(self.network.parameters()).device
        parts = [self.network(levels(part.to(on), sample_rate)) for part in clips.split(batch)]
        features, scores = (torch.cat(rows).cpu().double() for rows in zip(*parts, strict=True))
        if not (features.isfinite().all() and scores.isfinite().all()):
            raise DataError(
                f"the {self.source} classifier gives numbers that are not finite",
                "",
                "train it again: wavegan classifier train",
            )
        return features.numpy(), scores.softmax(dim=1).numpy()


def save(classifier: Classifier, path: Path) -> None:
    """Writes a classifier as tensors and plain values; its file appears only when it is complete."""
    content = {name: getattr(classifier, name) for name in PLAIN}
    content |= {"file": path.stem, "held_out": asdict(classifier.held_out)}
    content |= {"test": classifier.test and asdict(classifier.test)}
    weights = {name: values.cpu() for name, values in classifier.network.state_dict().items()}
    with atomic_write(path, is_durable=True) as file:
        torch.save({"wavegan classifier": CLASSIFIER_FORMAT, **content, "network": weights}, file)


class _Counts(BaseModel):
    model_config = Fields.model_config
    right: int = Field(ge=0)
    clips: int = Field(ge=1)

    @model_validator(mode="after")
    def _check(self) -> "_Counts":
        if self.right > self.clips:
            raise ValueError("more are right than there are")
        return self


class _Content(Fields):
    """Lists the fields of a classifier's file; `file` is the name that it was written under."""

    label_names: list[str] | tuple[str, ...] = Field(min_length=1)
    sample_rate: int = Field(ge=1, le=MOST_HERTZ)
    clip_samples: int = Field(ge=1)
    seed: int
    source: str
    split: str
    clips: int = Field(ge=0)
    held_out: _Counts
    test: _Counts | None
    file: str = ""
    network: dict[str, Tensor]


def load(path: Path, on: torch.device | None = None, *, is_kept: bool = False) -> Classifier:
    """Reads the classifier in a file. Raises DataError for a file that is damaged, missing or of other content.

    is_kept: whether the name says what it has learned from, so that a file of another name is refused as well.
    """
    try:
        content = read(path)
        if not isinstance(content, dict) or content.get("wavegan classifier") != CLASSIFIER_FORMAT:
            raise DataError(
                f"{path} is no wavegan classifier of format {CLASSIFIER_FORMAT}",
                "something else or another version wrote it",
                "train one: wavegan classifier train",
            )
        _Content.check(content)
        if is_kept and content.get("file") != path.stem:
            raise ContentError("it was written under another name")
        with WithoutMemory():
            refuse_other_form(Network(len(content["label_names"])).state_dict(), content["network"], "network")
        if any((values < 0).any() for name, values in content["network"].items() if name.endswith("running_var")):
            raise ContentError("network: a variance is below zero")
    except (OSError, ContentError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(
            f"{path} cannot be read ({reason})", "it is damaged or no classifier", "train one: wavegan classifier train"
        ) from error
    with torch.random.fork_rng([]):  # the first weights, which are replaced, are drawn from the process's generator
        network = Network(len(content["label_names"]))
    network.load_state_dict(content["network"])
    counts = {name: content[name] and Accuracy(**content[name]) for name in ("held_out", "test")}
    plain: dict[str, Any] = {name: content[name] for name in PLAIN}
    return Classifier(network.eval().to(on or "cpu"), **counts, **plain)
