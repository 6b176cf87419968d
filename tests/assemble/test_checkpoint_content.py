"""Tests that a checkpoint whose file is whole and whose content is wrong is refused in a sentence, before any work."""

from pathlib import Path
from typing import Any

import pytest
import torch

from wavegan import recipe as recipes
from wavegan.assemble import check_model, check_training
from wavegan.commands.train import train
from wavegan.torch_files import ContentError
from wavegan.training import checkpoint

RECIPE = """\
data: {{source: {source}, clip_samples: 4096}}
generator: {{dim: 1, latent_dim: 4}}
discriminators: {{waveform: {{name: wavegan, dim: 1}}}}
optimizers: {{generator: {{name: {optimizer}, lr: 1e-3}}}}
training: {{steps: {steps}, batch_size: 2, checkpoint_every: 1, precision: fp32, ema: 0.9}}
monitor: {{log_every: 1, preview_every: 0, tensorboard: false}}
"""


def trained(sounds, steps: int = 2, optimizer: str = "adam") -> dict[str, Any]:
    Path("recipe.yaml").write_text(RECIPE.format(source=sounds(4, seconds=0.3), steps=steps, optimizer=optimizer))
    return checkpoint.load(train(recipes.load("recipe.yaml"), Path("run"), device="cpu").checkpoint)


@pytest.fixture
def content(sounds, tmp_path, monkeypatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    return trained(sounds)


def first(content: dict[str, Any], *keys: str) -> tuple[dict[str, Any], str]:
    """Returns the mapping at some keys and its first name."""
    for key in keys:
        content = content[key]
    return content, next(iter(content))


def spoil(content: dict[str, Any], *keys: str) -> None:
    holder, name = first(content, *keys)
    holder[name].flatten()[0] = float("nan")


def misshape(content: dict[str, Any], *keys: str) -> None:
    holder, name = first(content, *keys)
    holder[name] = holder[name][None]


MODEL = {
    "a missing key": (lambda content: content.pop("averages"), "averages: Field required"),
    "a step in words": (lambda content: content.update(step="x"), "step: "),
    "a step below 0": (lambda content: content.update(step=-1), "step: "),
    "a huge step": (lambda content: content.update(step=10**30), "step: "),
    "labels that are no texts": (lambda content: content.update(label_names=[1]), "label_names.0: "),
    "a label that occurs less than never": (lambda content: content.update(label_counts=[-1]), "label_counts.0: "),
    "a foreign recipe": (lambda content: content["recipe"].update(other=1), "stored recipe: "),
    "a larger network in the recipe": (lambda content: content["recipe"]["generator"].update(dim=10**4), " must be "),
    "tensors in the recipe": (lambda content: content["recipe"].update(name=torch.zeros(1)), "plain values"),
    "nan in the weights": (lambda content: spoil(content, "networks", "generator"), "not finite"),
    "nan in the averages": (lambda content: spoil(content, "averages", "generator"), "not finite"),
    "another shape": (lambda content: misshape(content, "averages", "generator"), " must be float32"),
    "items of another kind": (lambda content: content.update(training_items=torch.zeros(3)), "training_items: "),
}
TRAINING = {
    "a rate in words": (lambda content: group(content).update(lr="x"), "lr is 'x'"),
    "other betas": (lambda content: group(content).update(betas=(0.1, 0.2)), "betas is"),
    "no memory of squares": (lambda content: memory(content).pop("exp_avg_sq"), "lacks exp_avg_sq"),
    "nan in the optimiser": (lambda content: memory(content)["exp_avg"].fill_(float("inf")), "not finite"),
    "too few tensors": (lambda content: group(content)["params"].pop(), "another number of tensors"),
    "another discriminator": (lambda content: content["networks"].popitem(), "networks lacks"),
    "a watchdog without memory": (lambda content: content["watchdog"].pop("histories"), "watchdog.histories"),
    "an unknown precision": (lambda content: content.update(precision="fp8"), "precision: "),
}


def group(content: dict[str, Any]) -> dict[str, Any]:
    return content["optimizers"]["generator"]["param_groups"][0]


def memory(content: dict[str, Any]) -> dict[str, Any]:
    return content["optimizers"]["generator"]["state"][0]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "muon", "rmsprop", "sgd"])
def test_what_a_training_writes_is_accepted(sounds, tmp_path, monkeypatch, optimizer):
    monkeypatch.chdir(tmp_path)
    check_training(trained(sounds, optimizer=optimizer))


def test_wrong_content_is_refused_with_its_place(content):
    for checks, cases in (((check_model, check_training), MODEL), ((check_training,), TRAINING)):
        for name, (change, text) in cases.items():
            wrong = torch.load(Path("run/checkpoints/step-00000002.pt"), weights_only=True)
            change(wrong)
            for check in checks:
                with pytest.raises(ContentError) as refused:
                    check(wrong)
                assert text in str(refused.value), name
    check_training(content)


def test_training_falls_back_to_the_checkpoint_before(sounds, content, caplog):
    spoil(content, "networks", "generator")
    checkpoint.save(Path("run/checkpoints"), content)
    again = trained(sounds)
    assert "step-00000002.pt cannot be used (networks.generator" in caplog.text
    assert again["step"] == 2 and all(values.isfinite().all() for values in again["networks"]["generator"].values())


def test_a_training_from_before_labels_had_pitches_goes_on(sounds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = sounds(20, labels=("low", "high"), seconds=0.3)
    generator = "{name: inverse_stft, dim: 2, latent_dim: 4, labels: 2, pulses: true, drawn_pitch: true}"
    text = RECIPE.format(source=source, steps=2, optimizer="adam").replace("{dim: 1, latent_dim: 4}", generator)
    Path("recipe.yaml").write_text(text)
    path = train(
        recipes.load("recipe.yaml", ["training.steps=1", "training.lr_decay=none"]), Path("run"), device="cpu"
    ).checkpoint
    content = checkpoint.load(path)
    for kind in ("networks", "averages"):
        assert content[kind]["generator"].pop("drawn_pitches.of_labels").shape == (2, 65)
    checkpoint.save(path.parent, content)
    check_model(content)
    check_training(content)
    path = train(recipes.load("recipe.yaml", ["training.lr_decay=none"]), Path("run"), device="cpu").checkpoint
    assert checkpoint.load(path)["step"] == 2
