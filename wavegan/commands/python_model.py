"""Defines the model that `wavegan.load` returns: it makes clips as arrays, and their neighbours."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from wavegan import generation
from wavegan.commands.arguments import (
    Labels,
    amounts_by_name,
    label_texts,
    number,
    seed_of,
    seeds_of,
    whole_number,
)
from wavegan.commands.clip_arrays import checked_clip
from wavegan.commands.directions import directions_of, moves_of
from wavegan.commands.export import card_of
from wavegan.commands.generate import batch_size_of, chosen_labels, refuse_short_walk, refuse_truncation
from wavegan.commands.invert import read_sound
from wavegan.commands.model_loading import LoadedModel
from wavegan.commands.sound_length import can_loop, makes_any_length, of_seconds
from wavegan.commands.sound_pitch import at_pitch, draws_pitches
from wavegan.commands.sound_points import of_sound, point_in
from wavegan.errors import UserError
from wavegan.steering import points
from wavegan.steering.directions import steered
from wavegan.steering.inversion import Inversion, Inverter
from wavegan.steering.points import Point

Sound = str | os.PathLike[str] | np.ndarray | torch.Tensor


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
    def makes_any_length(self) -> bool:
        """Returns whether `generate` takes `seconds`."""
        return makes_any_length(self.loaded.model)

    @property
    def makes_loops(self) -> bool:
        """Returns whether `generate` takes `loop`."""
        return can_loop(self.loaded.model)

    @property
    def draws_pitches(self) -> bool:
        """Returns whether `generate` takes `pitch`."""
        return draws_pitches(self.loaded.model)

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
        loop: bool = False,
        pitch: str | float | None = None,
    ) -> np.ndarray:
        """Returns clips 0 to n - 1 of a seed, float32 (n, channels, samples) in [-1, 1], as `wavegan generate` makes.

        The same seed and number give the same clip, within float tolerance, whatever n is. label: one of `labels`, or
        several that take turns, or a mix by weights, {"kick": 0.7, "snare": 0.3}; where None each clip draws its own,
        as frequent as in the training sound. truncation: above 0 and at most 1; below 1 clips are more typical and vary
        less. directions: amounts from -1 to 1 by name, as {"brightness": 0.5}, see `directions`. seconds: their length,
        if the model makes any. loop: their end goes on at their start. pitch: of all, a note such as "A4" or Hz, if the
        model draws pitches. Raises UserError for others.
        """
        n, seed = whole_number("n", n, least=1, advised=16), seed_of(seed)
        asked, labels = at_pitch(of_seconds(self.loaded, seconds, loop=loop), pitch, self._checked(label, truncation))
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
        if isinstance(sound, Inversion):
            raise UserError("the sound is an inversion", "it must be a file, a clip or a point", "pass its .point")
        is_path = isinstance(sound, str | os.PathLike)
        return point_in(self.loaded, Path(sound)) if is_path else self.invert(sound).point

    def _clips(self, chosen: Sequence[Point]) -> np.ndarray:
        return torch.stack([points.clip_of(self.loaded.model, point) for point in chosen]).numpy()

    def _checked(self, label: Labels, truncation: float) -> tuple[str, ...]:
        refuse_truncation(number("truncation", truncation, advised=0.7))
        return chosen_labels(self.loaded.model, label_texts(label), "label")
