"""Tests of the comments beside the keys of a recipe."""

import pytest

from wavegan import recipe as recipes
from wavegan import shipped


@pytest.mark.parametrize("name", shipped.recipe_names())
def test_an_explained_recipe_is_the_same_recipe(name, tmp_path):
    recipe = recipes.load(name)
    file = tmp_path / "explained.yaml"
    file.write_text(recipes.explained(recipe))
    assert recipes.load(file) == recipe


@pytest.mark.parametrize(
    ("line", "comment"),
    [
        ("name: quickstart", "name of the run folder; by default the name of the file (text)"),
        ("generator:", "Turns latents (N, latent_dim) and noise into clips (N, channels, clip_samples), of any length"),
        ("  name: inverse_stft", "wavegan, specgan, mlp, translator or inverse_stft"),
        ("  hop: 128", "samples from one frame to the next (a whole number at least 1 and at most 65536)"),
        ("discriminators:", "discriminators by names of your own"),
        ("  fine:", "Maps spectra (N, channels, rows, frames) to one unbounded number each, (N,)"),
        (
            "    optimizer: null",
            "null: optimizers.discriminator (null, or a section with the name adam, adamw, muon, rmsprop or sgd)",
        ),
        ("      name: log_mel", "period, log_magnitude, log_mel or complex"),
        ("      factor: 8", "downsampling factor (a whole number at least 2 and at most 1024)"),
        ("  penalty: r1_r2", "penalty added to the objective (none, gradient_penalty, one_sided, r1, r2 or r1_r2)"),
        (
            "  threads: auto",
            "threads of a CPU; auto: the fastest number by a trial, where OMP_NUM_THREADS is not set (auto or a whole "
            "number at least 1 and at most 4096)",
        ),
    ],
)
def test_each_key_has_its_own_comment(line, comment):
    lines = [each.partition("  # ") for each in recipes.explained(recipes.load("quickstart")).splitlines()]
    comments = {text for key, _, text in lines if key.rstrip() == line}
    assert comments == {comment}


def test_values_of_several_lines_and_long_lists_are_written(tmp_path):
    file = tmp_path / "explained.yaml"
    sources = [f"a/folder/of/sounds/with/a/long/name/{number:03d}" for number in range(400)]
    for source in (sources, ["one\nother"], ["one\u2028other"]):
        recipe = recipes.load("quickstart", {"data.source": source, "name": "explained"})
        file.write_text(recipes.explained(recipe))
        assert recipes.load(file) == recipe
    assert "# folders of sound" in recipes.explained(recipes.load("quickstart", {"data.source": sources}))


def test_every_key_is_explained():
    assert all(line.partition("  # ")[2] for line in recipes.explained(recipes.load("quickstart")).splitlines())
