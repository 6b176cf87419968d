"""Checks that a model with labels learns them: its clips have the labels asked for, by the toolkit's own classifier."""

import pytest
import torch

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.audio import drum_machine, writing
from wavegan.evaluation import classifier_training
from wavegan.evaluation.classifier import Classifier, levels
from wavegan.generation import generate
from wavegan.training.loop import train

RATE = 16000
VOICES = ("clap", "kick")  # in the order of the corpus
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def drums(tmp_path_factory):
    """Makes a folder of forty kicks and forty claps."""
    folder = tmp_path_factory.mktemp("drums")
    indices = [index for index in range(2000) if drum_machine.label(index) in VOICES][:80]
    for index in indices:
        place = folder / drum_machine.label(index)
        place.mkdir(exist_ok=True)
        writing.write(place / f"{index}.wav", drum_machine.render(index, RATE)[None], RATE)
    return folder


def test_clips_are_recognised_as_what_they_were_asked_to_be(drums, tmp_path, monkeypatch):
    path = tmp_path / "a.yaml"
    path.write_text(f"data: {{source: {drums}, holdout: 0}}\n")
    rates = [f"optimizers.{player}.lr=1e-3" for player in ("generator", "discriminator")]
    networks = ["data.clip_samples=4096", "generator.dim=4", "generator.upsample=nearest", "generator.labels=2"]
    networks += ["discriminators.waveform.name=wavegan", "discriminators.waveform.dim=4"]
    steps = ["training.steps=80", "training.batch_size=8", "training.precision=fp32", "training.ema=0.9"]
    recipe = recipes.load(path, [*networks, *rates, *steps])
    corpus = assemble.corpora(recipe).training
    made = assemble.training(recipe, CPU)

    monkeypatch.setattr(classifier_training, "steps_for", lambda clips: 120)
    windows = assemble.windows(recipe, corpus, seed=0)
    network = classifier_training.learn(levels(windows.batch(0, 80), RATE), windows.labels(0, 80), 2)
    judge = Classifier(network, VOICES, RATE, 4096, 0, "drums", "none", 80)

    def obeyed() -> float:
        """Returns the share of thirty clips of each label that the classifier recognises as that label."""
        model = assemble.generating_model(recipe, made, windows.label_names, windows.label_counts)
        model.generator.eval()
        shares = []
        for place, label in enumerate(VOICES):
            clips = torch.cat(list(generate(model, 30, labels=(label,))))
            shares.append((judge.extract(clips, RATE)[1].argmax(axis=1) == place).mean())
        model.generator.train()
        return sum(shares) / 2

    real = judge.extract(windows.batch(0, 80), RATE)[1].argmax(axis=1)
    assert (real == windows.labels(0, 80).numpy()).mean() > 0.9
    assert obeyed() == pytest.approx(0.5, abs=0.2), "an untrained one knows nothing"
    batches = assemble.batches(recipe, assemble.windows(recipe, corpus, seed=recipe.training.seed), CPU)
    train(made, batches, recipe.training.steps, after_step=lambda stats: True)
    assert obeyed() > 0.85
