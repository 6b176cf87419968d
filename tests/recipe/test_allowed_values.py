"""Tests the remedies for numbers that people write in other ways than a recipe does."""

from pathlib import Path

import pytest

from wavegan import recipe as recipes
from wavegan.errors import RecipeError

JUDGE = "discriminators: {waveform: {name: wavegan}}\n"
STEPS = "a whole number at least 1 and at most 1000000000"
RATE = "a whole number at least 1000 and at most 192000"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Makes every test work in an empty folder, so that messages have short paths."""
    monkeypatch.chdir(tmp_path)


def load(text: str, *overrides: str) -> recipes.Recipe:
    Path("a.yaml").write_text(JUDGE + text)
    return recipes.load("a.yaml", ["data.source=drums", *overrides])


def problem(text: str, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load(text, *overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "written", "rule", "remedy"),
    [
        ("training.steps", "5.000", STEPS, "5000 or 5"),
        ("training.steps", "1.500", STEPS, "1500"),
        ("training.steps", "5k", STEPS, "5000"),
        ("training.steps", "2.5 K", STEPS, "2500"),
        ("training.steps", "5'000", STEPS, "5000"),
        ("training.steps", "200 000", STEPS, "200000"),
        ("training.steps", "1.000.000", STEPS, "1000000"),
        ("training.steps", "k", STEPS, "200000"),
        ("training.threads", "8.000", "auto or a whole number at least 1 and at most 4096", "8"),
        ("training.batch_size", "100k", "a whole number at least 1 and at most 65536", "65536"),
        ("data.sample_rate", "44.1", RATE, "44100"),
        ("data.sample_rate", "22.050", RATE, "22050"),
        ("data.sample_rate", "48", RATE, "48000"),
        ("data.sample_rate", "44.1 kHz", RATE, "44100"),
        ("data.sample_rate", "16000Hz", RATE, "16000"),
        ("data.sample_rate", "0.5", RATE, "1000"),
    ],
)
def test_numbers_as_people_write_them(key, written, rule, remedy):
    told = f"{key} is {written}; it must be {rule}; try {remedy}"
    assert problem("", f"{key}={written}") == f"command line: {key}={written}: {told}"
    section, _, name = key.partition(".")
    assert problem(f"{section}:\n  {name}: {written}\n") == f"a.yaml:3:3: {told}"


@pytest.mark.parametrize(
    ("key", "written", "remedy"),
    [("training.steps", "5,000", "5000"), ("data.sample_rate", "44,1", "44100"), ("training.ema", "0,999", "0.999")],
)
def test_numbers_with_a_comma(key, written, remedy):
    told = problem("", f"{key}={written}")
    assert f" {key} is '{written}'; " in told and told.endswith(f"; try {remedy}")
    section, _, name = key.partition(".")
    for text in (f"{section}:\n  {name}: {written}\n", f"{section}: {{{name}: {written}, }}\n"):
        assert problem(text).partition(" ")[2] == told.partition(f"={written}: ")[2]


def test_numbers_with_commas_between_braces():
    text = "{steps: 1,000,000, seed: 3, checkpoint_minutes: 1,5e1}"
    assert problem(f"training: {text}").count("; try ") == 2
    assert "training.steps is '1,000,000'; " in problem(f"training: {text}")
    assert "unknown key training.000" in problem("training: {steps: 5, '000': }")
    assert "unknown key training.000" in problem("training: {seed: null, 000: }")


def test_a_point_and_three_zeros_are_fine_where_a_number_need_not_be_whole():
    words = ["training.checkpoint_minutes=5.000", "optimizers.generator.lr=1.000", "training.steps=5.0"]
    recipe = load("training:\n  gradient_clip: 2.000\n", *words)
    assert (recipe.training.gradient_clip, recipe.training.checkpoint_minutes) == (2, 5)
    assert (recipe.optimizers.generator.lr, recipe.training.steps) == (1, 5)
    assert "gradient_clip: 2.0\n" in recipes.dump(recipe)
