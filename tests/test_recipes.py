"""Every recipe that we ship: it says what it is, asks for what its authors used, and trains."""

import re
from itertools import takewhile
from pathlib import Path

import pytest

from wavegan import assemble, generation
from wavegan import recipe as recipes
from wavegan.jobs.models import load_model
from wavegan.jobs.train import train
from wavegan.recipe_schema import CLIP_SAMPLES

FOLDER = Path(__file__).parents[1] / "recipes"
RECIPES = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}
FAITHFUL = ("sc09", "drums", "piano")
AUTHORS = {  # Donahue, McAuley, Puckette 2018, and their second release
    "data.sample_rate": 16000,
    "data.channels": 1,
    "data.normalize": True,
    "model.name": "wavegan",
    "model.clip_samples": 16384,
    "model.dim": 64,
    "model.kernel_size": 25,
    "model.latent_dim": 100,
    "model.latent": "uniform",
    "model.batch_norm": False,
    "model.discriminator_batch_norm": False,
    "model.upsample": "transposed",
    "model.post_filter": 0,
    "model.phase_shuffle.radius": 2,
    "model.phase_shuffle.shared": True,
    "method.name": "gan",
    "method.objective": "wasserstein",
    "method.penalty": "gradient_penalty",
    "method.penalty_weight": 10.0,
    "method.discriminator_steps": 5,
    "optimizers.generator.name": "adam",
    "optimizers.generator.lr": 1e-4,
    "optimizers.generator.betas": [0.5, 0.9],
    "optimizers.discriminator.name": "adam",
    "optimizers.discriminator.lr": 1e-4,
    "optimizers.discriminator.betas": [0.5, 0.9],
    "training.batch_size": 64,
    "training.steps": 200_000,
    "training.gradient_clip": None,
    "training.lr_decay": "none",
}
SHRUNK = ("data.test=null", "model.dim=1", "training.batch_size=2", "training.steps=2", "training.precision=fp32")


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(FOLDER.parent)


def value_at(recipe: recipes.Recipe, key: str):
    value = recipes.as_dict(recipe)
    for name in key.split("."):
        value = value[name]
    return value


def test_the_recipes_are_these():
    assert sorted(RECIPES) == ["digits", "digits_8k", "drums", "drums_cpu", "piano", "quickstart", "sc09"]


def test_nothing_else_in_the_folder_passes_for_a_recipe():
    """What lies deeper or ends otherwise is there to be included, and is itself included by a recipe."""
    others = {path for path in FOLDER.rglob("*") if path.is_file()} - set(RECIPES.values())
    assert others == {FOLDER / "base" / "wavegan.yaml"}
    with pytest.raises(recipes.RecipeError, match="data.source is missing"):
        recipes.load(FOLDER / "base" / "wavegan.yaml")


@pytest.mark.parametrize("name", RECIPES)
def test_begins_with_what_it_is_and_its_command(name):
    lines = RECIPES[name].read_text().splitlines()
    comment = list(takewhile(lambda line: line.startswith("#"), lines))
    assert len(comment) >= 3 and re.search(r"For a (GPU|CPU)\b", "\n".join(comment))
    assert [line for line in comment if re.match(rf"#   wavegan train recipes/{name}\.yaml( |$)", line)]


@pytest.mark.parametrize("name", FAITHFUL)
@pytest.mark.parametrize("key", AUTHORS)
def test_keeps_the_authors_settings(name, key):
    assert value_at(recipes.load(RECIPES[name]), key) == AUTHORS[key]


@pytest.mark.parametrize(
    ("name", "source", "test", "windows"),
    [
        ("sc09", ["sc09"], ["sc09/test"], "first"),
        ("drums", ["data/drums"], None, "first"),
        ("piano", ["data/piano"], None, "random"),
        ("quickstart", ["drum_machine"], ["drum_machine/test"], "first"),
        ("digits", ["data/digits/train"], ["data/digits/test"], "first"),
        ("digits_8k", ["data/digits/train"], None, "first"),
        ("drums_cpu", ["data/drums"], None, "first"),
    ],
)
def test_what_it_learns_from(name, source, test, windows):
    data = recipes.as_dict(recipes.load(RECIPES[name]))["data"]
    assert (data["source"], data["test"], data["windows"]) == (source, test, windows)


def test_the_authors_networks_have_their_size(command):
    outcome = command("train", RECIPES["sc09"], "--dry-run")
    assert "# generator: 19,065,345 parameters\n# discriminator: 17,427,969 parameters\n" in outcome.out


@pytest.mark.parametrize("name", ["quickstart", "digits"])
def test_a_small_recipe_has_its_sound_at_hand(name):
    """Neither needs a download: the source is built in or bundled."""
    for source in recipes.load(RECIPES[name]).data.source:
        assert source.startswith("drum_machine") or any(Path(source).rglob("*.ogg"))


@pytest.mark.parametrize("name", RECIPES)
def test_trains_when_shrunk(name, sounds, tmp_path):
    source = sounds(4, seconds=1.2 if name == "piano" else 0.3)
    whole = recipes.load(RECIPES[name])
    recipe = recipes.load(RECIPES[name], [f"data.source={source}", "monitor.preview_count=1", *SHRUNK])
    assert recipe.name == name and recipe.model.clip_samples == whole.model.clip_samples in CLIP_SAMPLES
    shrunk = {line.partition(":")[0] for line in recipes.differences(whole, recipe)}
    assert shrunk <= {
        "data.source",
        "data.test",
        "model.dim",
        "training.batch_size",
        "training.precision",
        "training.steps",
    }

    result = train(recipe, tmp_path / "run", device="cpu")

    assert result.step == 2 and result.checkpoint.is_file()
    loaded, model = load_model(tmp_path / "run", assemble.device("cpu"))
    assert loaded == recipe and model.step == 2
    assert recipes.load(tmp_path / "run" / "recipe.yaml") == recipe
    [clips] = generation.generate(model, 2)
    assert clips.shape == (2, 1, recipe.model.clip_samples) and clips.isfinite().all()
