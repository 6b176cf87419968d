"""Tests what is measured beside a training: by which clips, and where nothing can be."""

from pathlib import Path

import pytest
import torch

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.assemble.overfitting import measured_overfitting
from wavegan.audio.windows import Windows
from wavegan.methods.gan import GAN

CPU = torch.device("cpu")
NETWORKS = "generator: {dim: 1, labels: auto}\ndiscriminators: {first: {name: wavegan, dim: 1}}\n"
SPECGAN = "generator: {name: specgan, dim: 1}\ndiscriminators: {first: {name: specgan, dim: 1}}\n"
VAE = "generator: {dim: 1, latent: normal, latent_dim: 5}\nencoder: {dim: 1}\nmethod: {name: vae}\n"


@pytest.fixture
def measuring(tmp_path):
    """measuring(source, test, networks) returns the function of a recipe, or None, and its method."""

    def make(source: Path, test: Path, networks: str = NETWORKS):
        path = tmp_path / "a.yaml"
        path.write_text(f"data: {{source: {source}, test: {test}, clip_samples: 4096}}\n{networks}")
        recipe = recipes.load(path, ["training.precision=fp32"])
        parts = assemble.corpora(recipe)
        recipe, _ = assemble.with_labels(recipe, parts.training)
        training = assemble.training(recipe, CPU, assemble.training_clips(recipe, parts))
        return measured_overfitting(recipe, parts, training), training.method, parts

    return make


@pytest.mark.parametrize("networks", [NETWORKS, SPECGAN])
def test_each_discriminator_is_measured_by_clips_it_learns_and_others(measuring, sounds, networks, monkeypatch):
    labels = ("a", "b") if networks is NETWORKS else ()
    source, test = (sounds(20, name=f"{size}", labels=labels, seconds=size) for size in (0.15, 0.2))
    measured, method, parts = measuring(source, test, networks)
    assert isinstance(method, GAN) and measured
    given = []
    with monkeypatch.context() as changed:
        changed.setattr(method, "overfitting", lambda *sets: given.append(sets) or {"first": 0.25})
        assert measured() == {"discriminators/first/overfitting": 0.25}
    [(heard, unheard)] = given
    for batches, corpus in ((heard, parts.training), (unheard, parts.held_out)):
        clips = Windows(corpus, 4096, "first")
        assert torch.equal(torch.cat([batch.x for batch in batches]), clips.batch(0, 16))
        rows = [batch.labels for batch in batches]
        if labels:
            assert torch.equal(torch.cat(rows).argmax(1), clips.labels(0, 16))
        else:
            assert rows == [None, None]
    method.overfitting(heard, unheard)  # the networks take such batches


def test_few_clips_other_labels_and_other_methods_are_not_measured(measuring, sounds):
    source = sounds(20, name="source", labels=("a", "b"), seconds=0.3)
    few = sounds(12, name="few", labels=("a", "b"), seconds=0.35)
    others = sounds(20, name="others", labels=("a", "c"), seconds=0.35)
    plain, other = (sounds(20, name=f"plain {size}", seconds=size) for size in (0.35, 0.4))
    for test in (few, others, plain):
        assert measuring(source, test)[0] is None, test
    assert measuring(plain, other, VAE)[0] is None
