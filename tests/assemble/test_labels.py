"""Tests `generator.labels: auto`: it takes the number of labels that the sound has, and says so."""

import shutil
from pathlib import Path

import pytest

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.commands.evaluation_data import model_candidate
from wavegan.errors import DataError

BASE = Path(__file__).parents[2] / "recipes" / "base" / "modern.yaml"
SMALL = ("generator.dim=2", "discriminators.*.dim=2", "data.clip_samples=4096", "training.batch_size=4")


def load(folder: Path, *overrides: str) -> recipes.Recipe:
    return recipes.load(BASE, [f"data.source={folder}", "data.holdout=0", *SMALL, *overrides])


def with_labels(recipe: recipes.Recipe) -> tuple[recipes.Recipe, str]:
    return assemble.with_labels(recipe, assemble.corpora(recipe).training)


@pytest.mark.parametrize(
    ("labels", "count", "told"),
    [
        (("low", "high"), 2, "the sound's labels"),
        ((), 0, "the sound has no labels"),
        (("only",), 0, "the sound has no labels"),
        (("a", "b", "c", "d"), 0, "4 labels have 2.5 files each, and 5 are needed"),
    ],
)
def test_it_is_what_the_sound_has(sounds, labels, count, told):
    recipe, line = with_labels(load(sounds(10, labels=labels)))
    assert recipe.generator.labels == count == assemble.label_count(recipe)
    assert line == f"generator.labels auto: {count}, {told}"


@pytest.mark.parametrize(("windows", "seconds", "count"), [("first", 10, 0), ("random", 10, 2), ("all", 0.5, 0)])
def test_clips_count_where_they_come_from_anywhere(sounds, windows, seconds, count):
    """Two files give two starts, and of ten seconds each 2 x 40 clips of 4,096 samples; of half a second 2 x 2."""
    folder = sounds(2, seconds=seconds, labels=("rain", "wind"))
    recipe, line = with_labels(load(folder, f"data.windows={windows}"))
    assert recipe.generator.labels == count
    if not count:
        each = "1.0 files" if windows == "first" else "2.0 clips"
        assert line.endswith(f"0, 2 labels have {each} each, and 5 are needed")


def test_a_label_whose_files_are_all_held_out_is_told(sounds):
    folder = sounds(2, seconds=10, labels=("rain", "wind"))
    recipe = load(folder, "data.windows=random", "data.holdout=0.4")
    parts = assemble.corpora(recipe)
    assert parts.held_out and parts.held_out.names
    heard = {parts.training.label_names[label] for label in parts.training.labels}
    line = assemble.with_labels(recipe, parts.training)[1]
    assert heard == {"rain"}, "the names of these files have it so"
    remedy = "add files, or with long files set data.holdout_ends=true"
    assert line.endswith(f"; not learned are wind, of which all files are held out: {remedy}")
    ends = load(folder, "data.windows=random", "data.holdout=0.4", "data.holdout_ends=true")
    recipe, line = assemble.with_labels(ends, assemble.corpora(ends).training)
    assert (recipe.generator.labels, line) == (2, "generator.labels auto: 2, the sound's labels")


def test_files_without_an_end_to_hold_out_are_refused(sounds):
    """A fifth of a file of 1.2 s is no clip of 4,096 samples, one of 1.3 s is."""
    settings = ("data.windows=random", "data.holdout=0.2", "data.holdout_ends=true")
    with pytest.raises(DataError, match="no file has an end .* must last 1.28 s, so that 0.2 of it is a clip"):
        assemble.corpora(load(sounds(2, seconds=1.2, name="short"), *settings))
    parts = assemble.corpora(load(sounds(2, seconds=1.3, name="long"), *settings))
    assert parts.held_out and parts.held_out.seconds == pytest.approx(0.2 * 2.6, abs=1e-3)


def test_a_file_without_a_label_leaves_all_without(sounds):
    folder = sounds(12, labels=("low", "high"))
    shutil.move(folder / "low" / "tone-000.wav", folder / "tone-000.wav")
    recipe, line = with_labels(load(folder))
    assert recipe.generator.labels == 0 and line.endswith("1 of 12 files have no label")


def test_a_number_stays_and_auto_takes_one_that_is_given(sounds):
    folder = sounds(10, labels=("low", "high"))
    assert with_labels(load(folder, "generator.labels=3")) == (load(folder, "generator.labels=3"), "")
    assert assemble.with_label_count(load(folder), 7) == load(folder, "generator.labels=7")
    assert assemble.with_label_count(load(folder, "generator.labels=3"), 7).generator.labels == 3


def test_a_run_is_continued_and_holds_the_number(sounds, tmp_path, command):
    folder = sounds(12, labels=("low", "high"))
    run = (BASE, f"data.source={folder}", "data.holdout=0.1", *SMALL, "--run-dir", tmp_path / "run")
    steps = ("training.lr_decay=none", "training.lr_floor=0", "method.penalty_floor=1")
    for count in (1, 2):
        outcome = command("train", *run, *steps, f"training.steps={count}")
        assert outcome.code == 0, outcome.err
    assert recipes.load(tmp_path / "run" / "recipe.yaml").generator.labels == 2
    assert model_candidate(tmp_path / "run").facts["weights"] == "running average"  # by half-life
    assert command("generate", tmp_path / "run", "-n", 1, "--label", "low", "--out", tmp_path / "out").code == 0
