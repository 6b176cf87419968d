"""Checks that recipes of earlier versions are refused with the lines to write instead, and that those say the same."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from wavegan import recipe as recipes
from wavegan.errors import RecipeError
from wavegan.recipe.migration import migrated
from wavegan.recipe.yaml_text import write

RECIPES = Path(__file__).parents[2] / "recipes"
STORED = json.loads((Path(__file__).parents[1] / "results" / "earlier_recipes.json").read_text())
QUICKSTART = RECIPES / "quickstart_wavegan.yaml"


def earlier(name: str) -> dict[str, Any]:
    """Returns a shipped recipe in the earlier form: one is stored whole, of the others the differing values."""
    values = json.loads(json.dumps(STORED["sc09"]))
    for key, value in STORED[name].items() if name != "sc09" else ():
        *above, last = key.split(".")
        section = values
        for part in above:
            section = section[part]
        section[last] = value
    return values


def faults(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        recipes.load(path, overrides)
    return str(caught.value).split("\n")


@pytest.mark.parametrize("name", STORED)
def test_a_stored_recipe_says_the_same_as_the_shipped_one_of_today(name):
    assert recipes.from_dict(migrated(earlier(name))) == recipes.load(RECIPES / f"{name}.yaml")


@pytest.mark.parametrize("name", STORED)
def test_the_lines_that_a_refusal_gives_load_and_say_the_same(name, tmp_path):
    values, path = earlier(name), tmp_path / "old.yaml"
    path.write_text(write(values))
    told = faults(path)
    sections = [re.search(r": (\w+) (?:is a section|has keys) of earlier versions", line) for line in told]
    assert [match and match[1] for match in sections] == ["representation", "model", "method", "optimizers"]
    lines = "\n".join(told)
    (length,) = re.findall(r"; write below data: (clip_samples: \d+)$", lines, re.MULTILINE)
    instead = [
        part
        for text in re.findall(r"; write instead (.*?)(?:; write below.*)?$", lines, re.MULTILINE)
        for part in parts(text)
    ]
    rest = {
        key: value for key, value in values.items() if key not in ("model", "representation", "method", "optimizers")
    }
    path.write_text(write(rest).replace("data:\n", f"data:\n  {length}\n") + "\n".join(instead))
    assert recipes.load(path) == recipes.load(RECIPES / f"{name}.yaml")


def parts(text: str) -> list[str]:
    """Splits `a: {…}, b: {…}` into lines."""
    return re.split(r", (?=\w+: \{)(?=(?:generator|discriminators|encoder))", text)


def old(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    return path


def test_sections_of_a_file_each_with_its_place(tmp_path):
    text = f"include: {QUICKSTART}\nmodel: {{dim: 16, classes: 3, clip_samples: 8192}}\n"
    text += "representation:\n  clip_deviations: 2\n"
    path = old(tmp_path, text + "method: {instance_noise: 0.1, instance_noise_steps: 9}\ntraining: {steps: 0}\n")
    assert faults(path) == [
        f"{path}:2:1: model is a section of earlier versions; write instead generator: {{dim: 16, labels: 3}}, "
        "discriminators: {waveform: {dim: 16}}; write below data: clip_samples: 8192",
        f"{path}:3:1: representation is a section of earlier versions; the lines to write instead of model hold its "
        "keys; leave it out",
        f"{path}:5:1: method has keys of earlier versions, or of other kinds than its own; write instead method: "
        "{name: gan, objective: wasserstein, penalty: gradient_penalty, penalty_weight: 10, discriminator_steps: 5, "
        "augment: {name: noise, deviation: 0.1, fade_steps: 9}}",
        f"{path}:6:12: training.steps is 0; it must be a whole number at least 1 and at most 1000000000; try 1",
    ]


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (["model.dim=4"], "generator: {dim: 4}, discriminators: {waveform: {dim: 4}}"),
        (["model.discriminator_batch_norm=true"], "discriminators: {waveform: {batch_norm: true}}"),
        (["model.batch_norm=true"], "generator: {batch_norm: true}"),
        (
            ["model.name=mlp", "model.dim=4"],
            "generator: {name: mlp, dim: 4}, discriminators: {waveform: {name: mlp, dim: 4}}",
        ),
        (
            ["model.name=specgan", "model.kernel_size=5"],
            "generator: {name: specgan, kernel_size: 5}, discriminators: {waveform: null, spectrogram: {name: specgan, "
            "kernel_size: 5}}",
        ),
        (
            ["model.latent=normal", "method.name=vae"],
            "generator: {latent: normal}, encoder: {name: wavegan}, discriminators: null",
        ),
    ],
)
def test_overrides(overrides, lines):
    (told,) = [line for line in faults(QUICKSTART, *overrides) if " model is a section" in line]
    assert told.endswith(f": model is a section of earlier versions; write instead {lines}")
    assert told.startswith("command line: model.")


def test_the_representation_alone():
    (told,) = faults(QUICKSTART, "representation.name=log_spectrogram")
    assert told.endswith(
        "representation is a section of earlier versions; write instead generator: {name: specgan}, discriminators: "
        "{waveform: null, spectrogram: {name: specgan}}"
    )


def test_the_keys_of_a_representation_are_the_generators():
    (told,) = faults(RECIPES / "drums_specgan.yaml", "representation.griffin_lim_iterations=4")
    assert told.endswith("; write instead generator: {griffin_lim_iterations: 4}")


@pytest.mark.parametrize("key", ["instance_noise", "instance_noise_steps"])
def test_noise_alone_makes_a_recipe_an_earlier_one(key):
    (told,) = faults(QUICKSTART, f"method.{key}=1")
    augment = ", augment: {name: noise, deviation: 1}" if key == "instance_noise" else ""
    assert told.endswith(f"penalty_weight: 10, discriminator_steps: 5{augment}}}")


@pytest.mark.parametrize(("text", "section"), [("model: 5", "model"), ("representation: waveform", "representation")])
def test_an_old_section_that_is_none(tmp_path, text, section):
    told = faults(old(tmp_path, f"data: {{source: a}}\n{text}\n"))
    assert told == [f"{tmp_path / 'a.yaml'}:2:1: {section} is a section of earlier versions"]


def test_what_stands_in_the_new_form_beside_the_old_is_checked_too(tmp_path):
    text = (
        f"include: {QUICKSTART}\nmodel: {{dim: 16}}\ngenerator: {{dmi: 4}}\ndiscriminators: {{waveform: {{dim: 0}}}}\n"
    )
    assert [line.split("yaml:")[1].split(";")[0] for line in faults(old(tmp_path, text))] == [
        "2:1: model is a section of earlier versions",
        "3:13: unknown key generator.dmi",
        "4:29: discriminators.waveform.dim is 0",
    ]
