"""Combinations that cannot work are refused with the reason, and those beside them are not."""

import re
from pathlib import Path
from typing import get_args

import pytest

from wavegan import recipe as recipes
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES
from wavegan.recipe.constraints import COUNTS_FOR, METHODS_OF_MODEL, value_at
from wavegan.recipe.validation import FIELDS

SPECGAN = "representation.name=log_spectrogram model.name=specgan model.kernel_size=5"
TRANSLATION = "method.name=translation model.name=translator data.source_b=b"
VAE = "method.name=vae model.latent=normal"
FREE = "method.penalty=none method.objective=hinge"


@pytest.fixture
def faults(tmp_path: Path):
    """faults("key=value …") of a recipe that names its source: the sentences, without their places."""
    path = tmp_path / "a.yaml"
    path.write_text("data: {source: a}\n")

    def found(settings: str) -> list[str]:
        try:
            recipes.load(path, settings.split())
        except recipes.RecipeError as fault:
            return [re.sub(r"^(command line: [^ ]+|[^ ]+): ", "", line) for line in str(fault).splitlines()]
        return []

    return found


@pytest.mark.parametrize(
    "settings",
    [
        "",
        SPECGAN,
        f"{SPECGAN} model.classes=3 model.kernel_size=9",
        TRANSLATION,
        f"{TRANSLATION} data.test=c data.test_b=d method.cycle_weight=1",
        VAE,
        f"{VAE} {SPECGAN} model.kernel_size=3",
        f"{VAE} method.reconstruction=multi_resolution_stft method.kl_weight=1 method.kl_warmup_steps=9",
        "model.name=mlp model.dropout=0.3",
        "method.penalty=none method.weight_clip=0.01",
        f"{FREE} model.discriminator_batch_norm=true",
        f"{FREE} optimizers.generator.name=sgd optimizers.generator.momentum=0.9",
        "method.objective=minimax method.label_smoothing=0.1 method.instance_noise=0.1",
    ],
)
def test_what_goes_together(faults, settings):
    assert faults(settings) == []


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            "model.discriminator_batch_norm=true method.penalty=r1",
            "model.discriminator_batch_norm is true; it mixes the clips of a batch, but method.penalty: r1 needs each "
            "clip's own gradient; try false",
        ),
        (
            "method.objective=non_saturating method.penalty=none method.weight_clip=0.01",
            "method.weight_clip is 0.01; clipping keeps a Wasserstein distance finite, and method.objective: "
            "non_saturating is so by itself; try null",
        ),
        (
            "method.weight_clip=0.01",
            "method.weight_clip is 0.01; method.penalty: gradient_penalty bounds the discriminator already, and the "
            "two work against each other; try method.penalty: none",
        ),
        (
            "method.penalty=none",
            "method.objective is wasserstein; its discriminator's scores grow without end unless a penalty or "
            "method.weight_clip bounds its slope; try method.penalty: gradient_penalty with a weight of 10",
        ),
        (
            "method.label_smoothing=0.1",
            "method.label_smoothing is 0.1; method.objective: wasserstein has no target to smooth, as minimax, "
            "non_saturating and least_squares have; try 0",
        ),
        (
            "model.name=specgan model.kernel_size=5",
            "representation.name is waveform; model.name: specgan works on the representation log_spectrogram; try "
            "log_spectrogram",
        ),
        (
            "representation.name=log_spectrogram",
            "representation.name is log_spectrogram; model.name: wavegan works on the representation waveform; try "
            "waveform",
        ),
        (
            f"{SPECGAN} model.kernel_size=25",
            "model.kernel_size is 25; a SpecGAN's kernels are square and at most 9 wide; try 5",
        ),
        ("model.kernel_size=3", "model.kernel_size is 3; it must be at least 5 where clips are waveforms; try 25"),
        ("method.name=vae", "model.latent is uniform; a VAE's latents follow a normal distribution; try normal"),
        (
            "method.name=translation data.source_b=b",
            "model.name is wavegan; method.name: translation is for translator; try translator",
        ),
        (
            "model.name=translator",
            "model.name is translator; method.name: gan is for wavegan, specgan or mlp; try wavegan",
        ),
        (
            "method.name=translation model.name=translator",
            "data.source_b is missing; a translation needs sound to translate to; add source_b: FOLDER below data:",
        ),
        (
            f"{TRANSLATION} data.test=c",
            "data.test is [c], and data.test_b is null; the two sources are parted in the same way; name data.test_b "
            "too, or set data.test: null",
        ),
        (
            f"{TRANSLATION} model.classes=2",
            "model.classes is 2; a translation goes by its two sources and knows no labels; try 0",
        ),
        (
            f"{VAE} {SPECGAN} method.reconstruction=multi_resolution_stft",
            "method.reconstruction is multi_resolution_stft; it is a distance of waveforms, and representation.name is "
            "log_spectrogram; try l1",
        ),
        (
            "optimizers.discriminator.momentum=0.9",
            "optimizers.discriminator.momentum is 0.9; optimizers.discriminator.name is adam, which makes no use of "
            "it; leave it out, or take optimizers.discriminator.name: rmsprop or sgd",
        ),
        (
            "data.source_b=b",
            "data.source_b is [b]; method.name is gan, which makes no use of it; leave it out, or take method.name: "
            "translation",
        ),
    ],
)
def test_what_does_not(faults, settings, sentence):
    assert faults(settings) == [sentence]


def test_every_objective_goes_with_every_penalty(faults):
    assert [(one, other) for one in OBJECTIVES for other in PENALTIES
            if faults(f"method.objective={one} method.penalty={other}")] == []  # fmt: skip


@pytest.mark.parametrize("key", COUNTS_FOR)
def test_a_key_of_which_nothing_makes_use_is_told_of(faults, key):
    """Every line of the table names keys that there are, and values that the deciding key can have."""
    decider, names = COUNTS_FOR[key]
    assert {key, decider} <= set(FIELDS) and names
    field = FIELDS[key]
    value = {
        bool: "true", float: 0.25, int: 7, float | None: 0.5,
    }.get(field.annotation, "[0.1, 0.2]" if key.endswith("betas") else "x")  # fmt: skip
    value = {"method.objective": "hinge", "method.reconstruction": "multi_resolution_stft"}.get(key, value)
    unused = next(one for one in get_args(FIELDS[decider].annotation) if one not in names)
    told = faults(f"{decider}={unused} {key}={value}".replace(", ", ","))
    assert any(
        line.startswith(f"{key} is ") and f"{decider} is {unused}, which makes no use of it" in line for line in told
    )


def test_models_and_methods_are_all_named():
    assert set(METHODS_OF_MODEL) == set(get_args(FIELDS["model.name"].annotation))
    assert {one for methods in METHODS_OF_MODEL.values() for one in methods} == set(
        get_args(FIELDS["method.name"].annotation)
    )


def test_a_value_by_its_key(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("data: {source: a}\noptimizers: {generator: {lr: 0.5}}\n")
    assert value_at(recipes.load(path), "optimizers.generator.lr") == 0.5
