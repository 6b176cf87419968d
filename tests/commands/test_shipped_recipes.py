"""Tests `wavegan recipes`: every shipped recipe is listed, shown, and copied so that it loads anywhere."""

import json
from pathlib import Path

import pytest

from wavegan import recipe as recipes
from wavegan import shipped
from wavegan.commands.recipes import copy_recipe, shipped_recipes, text_of

FOLDER = Path(__file__).parents[2] / "recipes"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_every_recipe_is_listed_on_a_line_with_its_hardware(command):
    outcome = command("recipes")
    lines = outcome.out.splitlines()
    assert outcome.code == 0 and len(NAMES) > 20 and [line.split()[0] for line in lines] == NAMES
    [quickstart] = [line for line in lines if line.startswith("quickstart ")]
    assert "Drums from the built-in drum machine" in quickstart
    assert quickstart.endswith("(CPU: five to eight minutes on two cores with AMX)")
    listed = json.loads(command("recipes", "--json").out)["recipes"]
    assert [recipe["name"] for recipe in listed] == NAMES
    assert all(recipe["trains"] and recipe["sized_for"].startswith(("CPU", "GPU")) for recipe in listed)
    assert len({recipe.trains for recipe in shipped_recipes()}) == len(NAMES), "no two say the same"


def test_a_recipe_is_shown_as_it_is(command):
    assert command("recipes", "--show", "vae").out == (FOLDER / "vae.yaml").read_text()
    assert text_of("base/modern") == text_of("base/modern.yaml") == (FOLDER / "base" / "modern.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--show", "quikstart"],
            "quikstart is not the name of a shipped recipe; did you mean quickstart or quickstart_",
        ),
        (["--copy", "../recipes/vae"], "../recipes/vae is not the name of a shipped recipe; did you mean vae?"),
        (["--show", "xyzzy"], "xyzzy is not the name of a shipped recipe; wavegan recipes lists them"),
        (["vae"], "FILE is vae; only --copy writes one; write --copy NAME vae"),
        (["--show", "vae", "--copy", "vae"], "--show and --copy are both given"),
    ],
)
def test_what_cannot_be_shown_or_copied(command, words, message):
    outcome = command("recipes", *words)
    assert outcome.code == 2 and message in outcome.err and list(Path().iterdir()) == []


def test_copies_of_all_recipes_in_one_folder_load_as_the_originals(tmp_path):
    """Each copy includes the shipped files, not its neighbours, and says how it is trained."""
    for name in NAMES:
        assert copy_recipe(name) == Path(f"{name}.yaml")
        (tmp_path / "neighbour.yaml").write_text("generator: {dim: 3}")
    for name in NAMES:
        path = copy_recipe(name, Path(f"my-{name}.yaml"))
        assert (
            recipes.load(path, [f"name={name}"]) == recipes.load(f"{name}.yaml") == recipes.load(FOLDER / path.name[3:])
        )
        assert f"#   wavegan train my-{name}.yaml" in path.read_text()
    Path("quickstart_wavegan.yaml").write_text("generator: {dim: 3}")
    assert recipes.load("digits.yaml") == recipes.load(FOLDER / "digits.yaml")


def test_a_copy_is_not_written_over_an_existing_file(command):
    assert command("recipes", "--copy", "digits_modern").out == "digits_modern.yaml\n"
    Path("digits_modern.yaml").write_text("mine")
    outcome = command("recipes", "--copy", "digits_modern")
    assert outcome.code == 2 and "digits_modern.yaml exists" in outcome.err and "--force" in outcome.err
    assert Path("digits_modern.yaml").read_text() == "mine"
    assert command("recipes", "--copy", "digits_modern", "--force").code == 0
    assert recipes.load("digits_modern.yaml").data.source == ("spoken_digits",)


def test_a_copy_may_go_into_a_folder():
    Path("mine").mkdir()
    assert copy_recipe("objectives/hinge", Path("mine")) == Path("mine/hinge.yaml")
    assert Path("mine/hinge.yaml").is_file()
    assert copy_recipe("piano_modern", Path("new/sub/x.yaml")) == Path("new/sub/x.yaml"), "the folder is made"
    assert recipes.load("new/sub/x.yaml", ["name=piano_modern"]) == recipes.load("piano_modern.yaml")


def test_a_shipped_file_is_found_in_a_wheel_before_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "_INSTALLED", tmp_path / "_shipped")
    assert shipped.folder("recipes") == FOLDER
    (tmp_path / "_shipped" / "recipes" / "base").mkdir(parents=True)
    for name in ("mine", "base/deep"):
        (tmp_path / "_shipped" / "recipes" / f"{name}.yaml").touch()
    assert shipped.recipe_names() == ["mine"] and shipped.shipped_recipe("base/deep") is not None
    assert shipped.recipe_file("vae") == Path("vae"), "as it stands"
