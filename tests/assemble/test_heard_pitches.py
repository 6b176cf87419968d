"""Tests which clips a generator hears to draw its pitches, and what it is told of labels."""

from pathlib import Path
from typing import cast

import pytest
import torch

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.assemble import heard_pitches
from wavegan.assemble.models import untrained_model
from wavegan.audio.windows import Windows
from wavegan.models.inverse_stft import Generator

RECIPES = Path(__file__).parents[2] / "recipes"
RATE = 8000


class Notes:
    """Holds steady tones with labels, as `Windows` does; a label is a whole tone above the one before."""

    def __init__(self, labels: list[int], mute: int = -1, cycles: float = 4):
        self.of_clips = torch.tensor(labels)
        self.label_names = tuple(f"note-{label}" for label in range(max(labels) + 1))
        pitches = cycles * 2 ** (self.of_clips / 6)[:, None, None] * (self.of_clips != mute)[:, None, None]
        self.clips = (2 * torch.pi * pitches * torch.arange(2048) / 512).sin() / 2

    def __len__(self) -> int:
        return len(self.of_clips)

    def batch(self, draw: int, count: int, part: slice = slice(None)) -> torch.Tensor:
        return self.clips[draw * count :][:count][part]

    def labels(self, draw: int, count: int, part: slice = slice(None)) -> torch.Tensor:
        return self.of_clips[draw * count :][:count][part]


def generator_of(labels: int, **settings: bool) -> Generator:
    return Generator(2048, dim=2, labels=labels, pulses=True, drawn_pitch=True, **settings)


def hear(generator: Generator, source: Notes) -> None:
    heard_pitches.measure_pitches(generator, cast(Windows, source), RATE, torch.device("cpu"))


@pytest.fixture
def few_are_heard(monkeypatch):
    monkeypatch.setattr(heard_pitches, "HEARD", 30)


def test_a_rare_label_is_heard_after_all_others(few_are_heard, caplog):
    source, generator = Notes([0, 1] * 50 + [2] * 8), generator_of(3)
    hear(generator, source)
    assert generator.drawn_pitches
    middles = (generator.drawn_pitches.own + generator.drawn_pitches.of_labels)[:, 32]
    torch.testing.assert_close(middles, 2 + torch.arange(3) / 6, rtol=0, atol=0.02)
    assert not caplog.text


def test_a_label_without_a_pitch_is_named(few_are_heard, caplog):
    generator = generator_of(3)
    hear(generator, Notes([0, 1, 2] * 10, mute=1))
    assert (
        "of 1 of the 3 labels fewer than 3 heard clips have a pitch from 31.2 to 500.0 Hz, so their pitches are drawn "
        "as those of all: note-1; leave" in caplog.text
    )


def test_notes_are_heard_from_33_hz_on_and_voices_from_62_hz_on(few_are_heard, caplog):
    bass = Notes([0, 1] * 15, cycles=1.2)
    voice, notes = generator_of(2), generator_of(2, glottal_pulses=False)
    for generator in (voice, notes):
        hear(generator, bass)
    assert "of 30 clips 0 have a pitch" in caplog.text and caplog.text.count("have a pitch") == 1
    assert notes.drawn_pitches and notes.pulses
    low, high = (2 ** (notes.drawn_pitches.own + notes.drawn_pitches.of_labels))[:, 32].tolist()
    assert (low, high) == pytest.approx((1.2, 1.2 * 2 ** (1 / 6)), rel=0.01)
    drawn = notes.drawn_pitches(torch.zeros(8, notes.drawn_pitches.count), torch.eye(2)[[0] * 8])
    cycles = 512 * notes.pulses.frequencies(torch.zeros_like(drawn), drawn)
    torch.testing.assert_close(cycles, torch.full_like(cycles, 1.2), rtol=0.02, atol=0)


def test_without_labels_clips_are_heard_until_there_are_enough(few_are_heard, monkeypatch):
    heard = []
    pitched = [torch.full((9,), 4.0)] * 64
    monkeypatch.setattr(heard_pitches, "pitches_of", lambda clips, *_: heard.extend(clips) or pitched[: len(clips)])
    hear(generator_of(0), Notes([0, 1] * 50 + [2] * 8))
    assert len(heard) == 30


def test_an_untrained_model_has_the_pitches_that_were_measured():
    recipe = recipes.load(RECIPES / "synth.yaml", ["generator.dim=2", "generator.labels=3", "data.clip_samples=4096"])
    method = assemble.method(recipe, torch.device("cpu"))
    trained = assemble.model(recipe, method.networks["generator"], ["a", "b", "c"], [1, 1, 1], step=9)
    assert isinstance(trained.generator, Generator) and trained.generator.drawn_pitches
    trained.generator.drawn_pitches.own.fill_(3.5)
    untrained = untrained_model(recipe, trained).generator
    assert isinstance(untrained, Generator) and untrained.drawn_pitches
    assert untrained.drawn_pitches.own.unique().tolist() == [3.5]


def test_five_clips_of_each_of_many_labels_are_heard(few_are_heard):
    labels = [label for label in range(40) for _ in range(7)]
    heard = []
    generator = generator_of(40)
    generator.measure_pitches = lambda pitches, labels: heard.extend(labels) or []  # type: ignore[method-assign]
    hear(generator, Notes(labels))
    assert {heard.count(label) for label in range(6, 40)} == {5}, "after the first thirty clips"


def test_of_stereo_the_middle_is_heard(few_are_heard):
    source = Notes([0] * 40)
    source.clips = torch.cat([torch.zeros_like(source.clips), source.clips], dim=1)  # the right channel alone sounds
    generator = Generator(2048, 2, dim=2, pulses=True, drawn_pitch=True)
    hear(generator, source)
    assert generator.drawn_pitches and generator.drawn_pitches.own.std() < 0.01


def test_high_notes_are_heard_as_high_as_they_are(few_are_heard):
    notes = generator_of(2, glottal_pulses=False)
    hear(notes, Notes([0, 1] * 15, cycles=50))
    assert notes.drawn_pitches
    middles = (2 ** (notes.drawn_pitches.own + notes.drawn_pitches.of_labels))[:, 32].tolist()
    assert middles == pytest.approx([50, 50 * 2 ** (1 / 6)], rel=0.01)
