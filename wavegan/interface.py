"""Gives Python what `import wavegan` offers: a model that makes clips as arrays, figures for clips, a training."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from wavegan import assemble, generation
from wavegan.commands import evaluate as judging
from wavegan.commands import train as training
from wavegan.commands.arguments import (
    RATES,
    Labels,
    amounts_by_name,
    label_texts,
    number,
    seed_of,
    seeds_of,
    whole_number,
)
from wavegan.commands.clip_arrays import ClipArray, checked_clip, checked_clips
from wavegan.commands.directions import directions_of, moves_of
from wavegan.commands.evaluation_data import rate_of_reference
from wavegan.commands.export import card_of
from wavegan.commands.generate import (
    batch_size_of,
    chosen_labels,
    refuse_short_walk,
    refuse_translation,
    refuse_truncation,
)
from wavegan.commands.invert import read_sound
from wavegan.commands.judging_options import JudgingOptions
from wavegan.commands.model_loading import LoadedModel, load_model
from wavegan.commands.named_run import recipe_and_folder
from wavegan.commands.sound_length import of_seconds
from wavegan.commands.sound_pitch import at_pitch
from wavegan.commands.sound_points import of_sound, point_in
from wavegan.errors import UserError
from wavegan.evaluation.features import Embedding
from wavegan.steering import points
from wavegan.steering.directions import steered
from wavegan.steering.inversion import Inversion, Inverter
from wavegan.steering.points import Point

Sound = str | os.PathLike[str] | np.ndarray | torch.Tensor
Device = str | torch.device
Overrides = Mapping[str, Any] | Sequence[str]


@dataclass(frozen=True)
class Model:
    """Makes clips with a trained generator. `load` gives one; it may be used in any thread."""

    loaded: LoadedModel

    @property
    def sample_rate(self) -> int:
        """Returns the rate of the clips in Hz."""
        return self.loaded.model.sample_rate

    @property
    def channels(self) -> int:
        """Returns the number of channels of a clip."""
        return self.loaded.model.channels

    @property
    def clip_samples(self) -> int:
        """Returns the length of a clip in samples of one channel."""
        return self.loaded.model.clip_samples

    @property
    def labels(self) -> tuple[str, ...]:
        """Returns the labels that can be asked for; none if the model knows none."""
        return tuple(self.loaded.model.label_names) if self.loaded.model.labels else ()

    @property
    def card(self) -> str:
        """Returns what is known of the model, as Markdown: its training, figures and limits."""
        return card_of(self.loaded, str(self.loaded.path))

    @property
    def step(self) -> int:
        """Returns how many steps the model was trained."""
        return self.loaded.model.step

    @property
    def directions(self) -> dict[str, float]:
        """Returns how surely sounds follow each direction, a correlation by name; `generate` takes those from 0.8 on.

        For a model that is not shipped the first call takes a minute or more. Raises UserError for other generators.
        """
        return {direction.name: direction.correlation for direction in directions_of(self.loaded)}

    def generate(
        self,
        n: int = 16,
        *,
        seed: int = 0,
        label: Labels = None,
        truncation: float = 1.0,
        directions: Mapping[str, float] | None = None,
        seconds: float | None = None,
        pitch: str | float | None = None,
    ) -> np.ndarray:
        """Returns clips 0 to n - 1 of a seed, float32 (n, channels, samples) in [-1, 1], as `wavegan generate` makes.

        The same seed and number give the same clip, within float tolerance, whatever n is. label: one of `labels`, or
        several that take turns, or a mix by weights, {"kick": 0.7, "snare": 0.3}; where None each clip draws its own,
        so that each label is as frequent as in the training sound. truncation: above 0 and at most 1; below 1 clips are
        more typical and vary less. directions: amounts from -1 to 1 by name, such as {"brightness": 0.5}, of
        `directions`. seconds: the length of the clips, if the model makes any. pitch: of all clips, a note such as "A4"
        or Hz, if the model draws pitches. Raises UserError for arguments that are none of these.
        """
        n, seed = whole_number("n", n, least=1, advised=16), seed_of(seed)
        asked, labels = at_pitch(of_seconds(self.loaded, seconds), pitch, self._checked(label, truncation))
        given = {"seed": seed, "truncation": truncation, "labels": labels, "batch_size": batch_size_of(asked.model)}
        moved = steered(asked.model, moves_of(self.loaded, amounts_by_name(directions)).rows)
        return torch.cat(list(generation.generate(moved, n, **given))).numpy()

    def interpolate(
        self, seeds: Sequence[int], *, steps: int = 8, label: Labels = None, truncation: float = 1.0
    ) -> np.ndarray:
        """Returns a walk of clips from clip 0 of the first seed to clip 0 of each next one, `steps` clips apart.

        float32 ((len(seeds) - 1) · steps + 1, channels, samples) in [-1, 1]. label: one of `labels`, or one for each
        seed in turn, mixed on the way; each seed has its own where None. The generator's noise, where it takes some, is
        that of the first seed all the way. Errors as `generate`.
        """
        seeds, steps = seeds_of(seeds), whole_number("steps", steps, least=1, advised=8)
        labels = self._checked(label, truncation)
        refuse_short_walk(f"`seeds` holds {len(seeds)}", len(seeds), labels, f"name {len(labels)} seeds")
        batches = generation.interpolate_seeds(
            self.loaded.model, seeds, clips_between=steps - 1, truncation=truncation, labels=labels
        )
        return torch.cat(list(batches)).numpy()

    def vary(self, sound: Sound | Point, n: int = 16, *, amount: float = 0.3, seed: int = 0) -> np.ndarray:
        """Returns neighbours of a sound, float32 (n, channels, samples), as `wavegan vary` makes.

        sound: a file, by its receipt or else by inversion, or a clip (channels, samples) of this model's form, by
        inversion; or the point of an `invert`. amount: above 0, the same sound, up to 1, any other of its label. Raises
        UserError for other amounts and for points of other models, DataError for a file that cannot be used.
        """
        n, seed = whole_number("n", n, least=1, advised=16), seed_of(seed)
        amount = number("amount", amount, advised=0.3)
        own = Model(of_sound(self.loaded, sound))
        return own._clips(points.vary(own.loaded.model, own._point(sound), n, amount=amount, seed=seed))

    def morph(self, first: Sound | Point, last: Sound | Point, *, steps: int = 8) -> np.ndarray:
        """Returns the steps between two sounds, both included, float32 (steps, channels, samples).

        first, last: as the sound of `vary`. Raises UserError for fewer than 2 steps, DataError as `vary`.
        """
        steps = whole_number("steps", steps, least=2, advised=8)
        own = Model(of_sound(self.loaded, first))
        return own._clips(points.morph(own.loaded.model, own._point(first), own._point(last), steps))

    def invert(self, sound: Sound, *, label: Labels = None) -> Inversion:
        """Returns the clip that is nearest to a sound, its `point`, and how far both are apart, `distance` in dB.

        sound: a file, converted as the model's training sound, or a clip (channels, samples) of this model's form.
        label: those to search among; the best mix of all where None. Takes about 20 s on one core.
        """
        labels = self._checked(label, 1.0)
        is_path = isinstance(sound, str | os.PathLike)
        clip = read_sound(self.loaded, Path(sound)) if is_path else checked_clip(sound, self.loaded)
        return Inverter(self.loaded.model, labels=labels).nearest(clip)

    def _point(self, sound: Sound | Point) -> Point:
        if isinstance(sound, Point):
            return points.checked(self.loaded.model, sound)
        is_path = isinstance(sound, str | os.PathLike)
        return point_in(self.loaded, Path(sound)) if is_path else self.invert(sound).point

    def _clips(self, chosen: Sequence[Point]) -> np.ndarray:
        return torch.stack([points.clip_of(self.loaded.model, point) for point in chosen]).numpy()

    def _checked(self, label: Labels, truncation: float) -> tuple[str, ...]:
        refuse_truncation(number("truncation", truncation, advised=0.7))
        return chosen_labels(self.loaded.model, label_texts(label), "label")


def load(
    model: str | os.PathLike[str],
    *,
    device: Device = "auto",
    checkpoint: str | int = "newest",
    raw: bool = False,
    precision: str = "fp32",
) -> Model:
    """Returns the model of a run folder, a checkpoint file, an exported folder or a name, ready to make clips.

    A name is that of a shipped model, or hub:USER/NAME[@REVISION], which is downloaded by Hugging Face's client.
    device: auto, cpu, cuda, cuda:N or mps. checkpoint: newest, best or a step of a run. raw: the weights that learn, in
    place of their running average. precision: fp32, or bf16, which is faster on some machines and adds noise. Raises
    RunError for what is no model, UserError for a translation, which makes sound from sound.
    """
    loaded = load_model(Path(model), assemble.device(device), raw=raw, precision=precision, checkpoint=str(checkpoint))
    refuse_translation(loaded)
    return Model(loaded)


def evaluate(
    clips: Sound,
    reference: str | os.PathLike[str] | None = None,
    *,
    sample_rate: int | None = None,
    training: str | os.PathLike[str] | None = None,
    classifier: str | None = None,
    count: int | None = None,
    seed: int = 0,
    device: Device = "auto",
    out: str | os.PathLike[str] | None = None,
    embedding: Embedding | None = None,
) -> dict[str, Any]:
    """Returns the figures of `wavegan evaluate --json` for clips, a folder of sound, or a model.

    clips: float32 (n, channels, samples) in [-1, 1], or a path. reference: a folder of real sound, of which a model has
    its own. sample_rate: of the array in Hz; that of the reference where None. training: a folder to look for copies
    in. classifier: a file, "none", or None for one that is trained where the reference has labels. count: clips of each
    set at most, drawn by the seed. out: the folder for the page and the pictures; where None, the command's, and for an
    array none. embedding: a function of clips, a tensor (N, C, T), and their rate that gives (N, F).

    `metrics` of the result maps each metric to value, low, high (its 95 % interval) and n; `reference` holds the same
    for other real clips. Raises DataError or RunError for what cannot be judged, UserError for an array without clips.
    """
    rate = sample_rate if sample_rate is None else whole_number("sample_rate", sample_rate, **RATES)
    options = JudgingOptions(
        data=_path(reference),
        training=_path(training),
        classifier=classifier,
        count=None if count is None else whole_number("count", count, least=2, advised=200),
        seed=seed_of(seed),
        device=str(device),
    )
    if isinstance(clips, str | os.PathLike):
        if rate is not None:
            raise UserError(f"`sample_rate` is {rate}", f"an array needs it, and {clips} has its own", "leave it out")
        return judging.as_json(judging.evaluate(Path(clips), options, out=_path(out), embedding=embedding))
    array = ClipArray(checked_clips(clips), rate_of_reference(_path(reference)) if rate is None else rate)
    with TemporaryDirectory() as folder:
        result = judging.evaluate(array, options, out=_path(out) or Path(folder), embedding=embedding)
    return judging.as_json(result) | ({} if out else {"report": None, "spectrograms": None})


def train(
    recipe: str | os.PathLike[str],
    overrides: Overrides = (),
    *,
    run_dir: str | os.PathLike[str] | None = None,
    on_step: training.OnStep | None = None,
    device: Device = "auto",
    fresh: bool = False,
) -> training.TrainingResult:
    """Trains a recipe, or goes on where its run folder ended, as `wavegan train` does; any thread may do so.

    Two trainings at once in one process draw from the same generator of torch, so neither can be repeated exactly.

    recipe: a file, the name of a shipped recipe, or the folder or address of a run that is to go on. overrides: a
    mapping such as {"training.steps": 100}, or words "training.steps=100". run_dir: where None, that folder or
    runs/<recipe name>. on_step: called after each step with the number of steps taken; if it returns True the training
    is saved and ends. What it raises ends the training too and is raised here; the next call goes on from the newest
    checkpoint. fresh: an earlier run is first moved aside.

    The result has run (the folder, for `load`), step, seconds, steps_per_second, checkpoint and is_stopped. Raises
    RecipeError for a wrong recipe, RunError for a run of another recipe or one that is being trained, DataError for
    sound that cannot be used, TrainingError where training breaks down.
    """
    settings, folder = recipe_and_folder(Path(recipe), overrides, _path(run_dir))
    return training.train(settings, folder, device=str(device), fresh=fresh, on_step=on_step)


def _path(path: str | os.PathLike[str] | None) -> Path | None:
    return None if path is None else Path(path)
