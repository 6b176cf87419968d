"""Tests every recipe that we ship: it says what it is, asks for its authors' settings, and trains."""

import re
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from wavegan import assemble, generation
from wavegan import recipe as recipes
from wavegan.commands.model_loading import load_model
from wavegan.commands.train import train
from wavegan.objectives.adversarial import OBJECTIVES

FOLDER = Path(__file__).parents[1] / "recipes"
RECIPES = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}
FAITHFUL = ("sc09", "drums", "piano", "sc09_specgan", "sc09_conditional", "piano_4s")
SPECGAN = {"generator.name": "specgan", "generator.kernel_size": 5}
SPECGAN |= {"discriminators.spectrogram.name": "specgan", "discriminators.spectrogram.kernel_size": 5}
DEPARTURES = {
    "sc09_specgan": SPECGAN,
    "piano_4s": {"data.clip_samples": 65536},
}  # what is a faithful recipe's very point
OBJECTIVE_FILES = {path.stem: path for path in sorted((FOLDER / "objectives").glob("*.yaml"))}
AUTHORS_OF = {  # objective, penalty, clip; optimiser, rates, betas, momentum of the generator and the discriminator
    "wasserstein": ("wasserstein", "gradient_penalty", None, "adam", 1e-4, 1e-4, (0.5, 0.9)),
    "weight_clipping": ("wasserstein", "none", 0.01, "rmsprop", 5e-5, 5e-5, None),
    "minimax": ("minimax", "none", None, "adam", 2e-4, 2e-4, (0.5, 0.999)),
    "non_saturating": ("non_saturating", "none", None, "adam", 2e-4, 2e-4, (0.5, 0.999)),
    "least_squares": ("least_squares", "none", None, "rmsprop", 1e-4, 1e-4, None),
    "hinge": ("hinge", "one_sided", None, "adam", 1e-4, 4e-4, (0, 0.9)),
    "r1": ("non_saturating", "r1", None, "rmsprop", 1e-4, 1e-4, None),
    "r2": ("non_saturating", "r2", None, "rmsprop", 1e-4, 1e-4, None),
    "relativistic": ("relativistic", "r1_r2", None, "adam", 2e-4, 2e-4, (0, 0.99)),
}
AUTHORS = {  # Donahue, McAuley, Puckette 2018, and their second release
    "data.sample_rate": 16000,
    "data.channels": 1,
    "data.normalize": True,
    "data.clip_samples": 16384,
    "generator.name": "wavegan",
    "generator.dim": 64,
    "generator.kernel_size": 25,
    "generator.latent_dim": 100,
    "generator.latent": "uniform",
    "generator.batch_norm": False,
    "generator.upsample": "transposed",
    "generator.post_filter": 0,
    "discriminators.*.name": "wavegan",
    "discriminators.*.dim": 64,
    "discriminators.*.kernel_size": 25,
    "discriminators.*.batch_norm": False,
    "discriminators.*.dropout": 0.0,
    "discriminators.*.phase_shuffle": {"radius": 2, "shared": True},
    "discriminators.*.weight": 1.0,
    "discriminators.*.objective": None,
    "discriminators.*.penalty": None,
    "discriminators.*.penalty_weight": None,
    "discriminators.*.augment": None,
    "discriminators.*.optimizer": None,
    "method.name": "gan",
    "method.objective": "wasserstein",
    "method.penalty": "gradient_penalty",
    "method.penalty_weight": 10.0,
    "method.discriminator_steps": 5,
    "method.augment": None,
    "method.weight_clip": None,
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
SHRUNK = ("data.test=null", "generator.dim=1", "training.batch_size=2", "training.steps=2", "training.precision=fp32")


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(FOLDER.parent)


def value_at(recipe: recipes.Recipe, key: str):
    """Returns the value of a key; * is the name of the only discriminator."""
    value = recipes.as_dict(recipe)
    for name in key.split("."):
        if name == "*":
            (name,) = value
        value = value[name]
    return value


def test_the_docs_table_names_every_recipe_once():
    page = (FOLDER.parent / "docs" / "recipes.md").read_text()
    rows = re.findall(r"^\| (`.*?`) \|.*\| a (?:CPU|GPU)\b.*\|$", page, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert len(RECIPES) > 0 and sorted(named) == sorted(RECIPES)


def test_nothing_else_in_the_folder_passes_for_a_recipe():
    """Other and deeper files are there to be included; a base is itself included by a recipe."""
    others = {path for path in FOLDER.rglob("*") if path.is_file()} - set(RECIPES.values())
    bases = set((FOLDER / "base").glob("*.yaml"))
    models = set((FOLDER / "models").glob("*.yaml"))  # which the shipped models were trained by
    assert others == bases | models | set(OBJECTIVE_FILES.values()) and len(bases) > 0
    texts = "\n".join(path.read_text() for path in RECIPES.values())
    assert [path for path in bases if not re.search(rf"^include: .*\bbase/{path.name}\b", texts, re.MULTILINE)] == []
    with pytest.raises(recipes.RecipeError, match="data.source is missing"):
        recipes.load(FOLDER / "base" / "wavegan.yaml")


@pytest.mark.parametrize("name", RECIPES)
def test_begins_with_what_it_is_and_its_command(name):
    lines = RECIPES[name].read_text().splitlines()
    comment = list(takewhile(lambda line: line.startswith("#"), lines))
    assert len(comment) >= 3 and re.search(r"For a (GPU|CPU)\b", "\n".join(comment))
    assert [line for line in comment if re.match(rf"#   wavegan train {name}( |$)", line)]


@pytest.mark.parametrize("name", FAITHFUL)
@pytest.mark.parametrize("key", AUTHORS)
def test_keeps_the_authors_settings(name, key):
    departures = DEPARTURES.get(name, {})
    recipe = recipes.load(RECIPES[name])
    (entry,) = recipe.discriminators
    section, _, last = key.rpartition(".")
    kind = recipe.generator if section == "generator" else recipe.discriminators[entry]
    if section in ("generator", "discriminators.*") and last not in type(kind).model_fields:
        assert name == "sc09_specgan" and last in ("post_filter", "phase_shuffle"), "it is a SpecGAN, which has none"
        return
    assert value_at(recipe, key) == departures.get(key.replace("*", entry), AUTHORS[key])


def test_every_objective_has_its_authors_settings_at_hand():
    included = {yaml.safe_load(path.read_text())["method"]["objective"] for path in OBJECTIVE_FILES.values()}
    assert included == set(OBJECTIVES) and set(AUTHORS_OF) <= set(OBJECTIVE_FILES)


@pytest.mark.parametrize("name", AUTHORS_OF)
def test_an_objectives_settings_are_one_include_away(name, tmp_path):
    """Includes them over other settings: the quickstart's rates and objective give way."""
    path = tmp_path / "mine.yaml"
    path.write_text(f"include: [{RECIPES['quickstart_wavegan']}, {OBJECTIVE_FILES[name]}]\n")
    recipe = recipes.load(path)
    made, judge = recipe.optimizers.generator, recipe.optimizers.discriminator
    objective, penalty, clip, optimizer, *rates, betas = AUTHORS_OF[name]
    assert (recipe.method.objective, recipe.method.penalty, recipe.method.weight_clip) == (objective, penalty, clip)
    assert (made.name, judge.name, made.lr, judge.lr) == (optimizer, optimizer, *rates)
    assert betas is None or made.betas == judge.betas == betas


@pytest.mark.parametrize("name", OBJECTIVE_FILES)
def test_an_objectives_file_says_what_it_is(name):
    text = OBJECTIVE_FILES[name].read_text().partition("\nmethod:")[0]
    assert text.startswith("#") and "to be included" in text


@pytest.mark.parametrize(
    ("name", "source", "test", "windows"),
    [
        ("sc09", ["sc09"], ["sc09/test"], "first"),
        ("drums", ["data/drums"], None, "first"),
        ("piano", ["piano_pieces"], ["piano_pieces/test"], "random"),
        ("quickstart", ["drum_machine"], ["drum_machine/test"], "first"),
        ("quickstart_wavegan", ["drum_machine"], ["drum_machine/test"], "first"),
        ("synth", ["synth"], ["synth/test"], "first"),
        ("drums_modern", ["data/drums"], None, "first"),
        ("digits_modern", ["spoken_digits"], ["spoken_digits/test"], "first"),
        ("piano_modern", ["piano_pieces"], ["piano_pieces/test"], "random"),
        ("sc09_modern", ["sc09"], ["sc09/test"], "first"),
        ("digits", ["spoken_digits"], ["spoken_digits/test"], "first"),
        ("digits_8k", ["spoken_digits"], None, "first"),
        ("drums_cpu", ["data/drums"], None, "first"),
        ("sc09_specgan", ["sc09"], ["sc09/test"], "first"),
        ("sc09_conditional", ["sc09"], ["sc09/test"], "first"),
        ("drums_specgan", ["drum_machine"], ["drum_machine/test"], "first"),
        ("drums_conditional", ["drum_machine"], ["drum_machine/test"], "first"),
        ("mlp_gan", ["drum_machine"], ["drum_machine/test"], "first"),
        ("dcgan", ["drum_machine"], ["drum_machine/test"], "first"),
        ("vae", ["drum_machine"], ["drum_machine/test"], "first"),
        ("translate_drums", ["drum_machine/room"], ["drum_machine/room/test"], "first"),
        ("stereo", ["drum_machine"], ["drum_machine/test"], "first"),
        ("piano_4s", ["piano_pieces"], ["piano_pieces/test"], "random"),
    ],
)
def test_what_it_learns_from(name, source, test, windows):
    data = recipes.as_dict(recipes.load(RECIPES[name]))["data"]
    assert (data["source"], data["test"], data["windows"]) == (source, test, windows)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("drums_modern", ""),
        ("piano_modern", "discriminators: {short: null, texture: {view: {window: 2816, hop: 704}}}\n"),
        ("sc09_modern", "generator: {window: 704}\n"),
        ("synth", "discriminators: {texture: {view: {window: 2816, hop: 704}}}\n"),
        ("digits_modern", "generator: {window: 704}\ndiscriminators: {low: null}\n"),
    ],
)
def test_the_whole_band_goes_over_the_recipes_that_the_docs_name(name, more, tmp_path):
    path = tmp_path / "wide.yaml"
    path.write_text(f"include: [{name}, base/full_band]\n{more}")
    recipe = recipes.load(path)
    assert recipe.data.sample_rate == 44100 and recipe.discriminators["fine"].view.window == 704
    assert "texture" not in recipe.discriminators or recipe.discriminators["texture"].view.window == 2816


def test_the_authors_networks_have_their_size(command):
    outcome = command("train", RECIPES["sc09"], "--dry-run")
    assert "# generator: 19,065,345 parameters\n# discriminators.waveform: 17,427,969 parameters\n" in outcome.out


IN_THE_HOUSE = (
    "quickstart",
    "quickstart_wavegan",
    "synth",
    "digits_modern",
    "digits",
    "drums_specgan",
    "drums_conditional",
    "mlp_gan",
    "dcgan",
    "vae",
    "translate_drums",
    "piano_modern",
    "piano",
)


@pytest.mark.parametrize("name", [*IN_THE_HOUSE, "stereo"])
def test_a_small_recipe_has_its_sound_at_hand(name):
    """Neither needs a download: the source is built in or bundled."""
    for source in recipes.load(RECIPES[name]).data.source:
        assert source.startswith(("drum_machine", "spoken_digits", "synth", "piano_pieces"))


@pytest.mark.parametrize("name", RECIPES)
def test_trains_when_shrunk(name, sounds, tmp_path):
    whole = recipes.load(RECIPES[name])
    count = getattr(whole.generator, "labels", 0)
    labels = tuple("ab" if count == "auto" else "abcdefghij"[:count])
    source = sounds(14 if labels else 4, seconds=1.2 if name.startswith("piano") else 0.3, labels=labels)
    settings = [f"data.source={source}", "monitor.preview_count=1", *SHRUNK]
    settings += ["encoder.dim=1"] if whole.encoder else ["discriminators.*.dim=1"]
    if whole.data.source_b:
        settings += [f"data.source_b={sounds(4, name='others')}", "data.test_b=null"]
    recipe = recipes.load(RECIPES[name], settings)
    assert recipe.name == name and recipe.data.clip_samples == whole.data.clip_samples
    shrunk = {line.partition(":")[0] for line in recipes.differences(whole, recipe)}
    assert shrunk <= {
        "data.source",
        "data.test",
        "data.source_b",
        "data.test_b",
        "encoder.dim",
        "generator.dim",
        *(f"discriminators.{entry}.dim" for entry in whole.discriminators),
        "training.batch_size",
        "training.precision",
        "training.steps",
    }

    result = train(recipe, tmp_path / "run", device="cpu")

    assert result.step == 2 and result.checkpoint.is_file()
    loaded = load_model(tmp_path / "run", assemble.device("cpu"))
    model, (recipe, _) = loaded.model, assemble.with_labels(recipe, assemble.corpora(recipe).training)
    assert assemble.label_count(recipe) == len(labels)
    assert loaded.recipe == recipe and model.step == 2
    assert recipes.load(tmp_path / "run" / "recipe.yaml") == recipe
    if recipe.method.name == "translation":
        model = replace(model, source_clips=assemble.source_clips(recipe, assemble.corpora(recipe)))
    [clips] = generation.generate(model, 2)
    assert clips.shape == (2, recipe.data.channels, recipe.data.clip_samples) and clips.isfinite().all()
