"""Tests `generator.labels: auto`: it takes the number of labels that the sound has, and says so."""

import shutil
from pathlib import Path

import pytest

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.commands.evaluation_data import model_candidate

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
