"""Tests building objects from recipes: which values reach which network, batch and optimiser."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.audio.windows import Windows
from wavegan.dsp.representation import LogSpectrogram
from wavegan.errors import DataError
from wavegan.methods.gan import GAN
from wavegan.recipe import Recipe
from wavegan.training.loop import Batches, Training
from wavegan.training.muon import Muon
from wavegan.training.threads import threads_kept

CPU = torch.device("cpu")
SMALL = ["data.holdout=0", "data.clip_samples=4096", "training.batch_size=6", "training.precision=fp32"]
WAVEGAN = "generator: {dim: 1}\ndiscriminators: {waveform: {name: wavegan, dim: 1}}\n"
SPECGAN = "generator: {name: specgan, dim: 1}\ndiscriminators: {spectrogram: {name: specgan, dim: 1}}\n"
MLP = "generator: {name: mlp, dim: 1}\ndiscriminators: {waveform: {name: mlp, dim: 1}}\n"
VAE = "generator: {dim: 1, latent: normal, latent_dim: 5}\nencoder: {dim: 1}\nmethod: {name: vae}\n"
TRANSLATION = (
    "generator: {name: translator, dim: 1}\ndiscriminators: {waveform: {name: wavegan, dim: 1}}\n"
    "method: {name: translation}\n"
)


@pytest.fixture
def recipe(tmp_path):
    """recipe(source, "key=value", …, networks=WAVEGAN) loads a recipe of small networks."""

    def make(source: Path, *settings: str, networks: str = WAVEGAN) -> Recipe:
        path = tmp_path / "a.yaml"
        path.write_text(f"data: {{source: {source}}}\n{networks}")
        return recipes.load(path, [*SMALL, *settings])

    return make


def clips_of(asked: Recipe) -> Windows:
    return assemble.training_clips(asked, assemble.corpora(asked))


def batches_of(asked: Recipe) -> Batches:
    others = assemble.target_clips(asked, assemble.target_corpora(asked))
    return assemble.batches(asked, clips_of(asked), CPU, others)


@pytest.mark.parametrize("kind", ["first", "random", "all"])
def test_every_clip_comes_with_its_own_label(recipe, sounds, kind):
    """Guards against class names in one order and indices in another.

    A tone's pitch tells which file a clip is of.
    """
    source = sounds(6, labels=("zebra", "ant", "cow"), seconds=0.6)
    asked = recipe(source, "generator.labels=3", f"data.windows={kind}")
    corpus = assemble.corpora(asked).training
    assert corpus.label_names == ("ant", "cow", "zebra")
    batches = batches_of(asked)
    of_pitch = {200: "zebra", 300: "ant", 400: "cow", 500: "zebra", 600: "ant", 700: "cow"}
    seen = set()
    for draw in range(4):
        batch = batches(draw)
        assert batch.labels is not None and batch.labels.shape == (6, 3) and batch.other is None
        assert (batch.labels.sum(1) == 1).all()
        for clip, row in zip(batch.x, batch.labels, strict=True):
            if clip.abs().max() < 0.01:
                continue  # the end of a tone, padded
            spectrum = np.abs(np.fft.rfft(clip[0].numpy(), 16000))
            pitch = min(of_pitch, key=lambda candidate: abs(candidate - spectrum.argmax()))
            assert corpus.label_names[int(row.argmax())] == of_pitch[pitch]
            seen.add(pitch)
    assert len(seen) == 6


def test_a_part_of_a_batch_has_its_own_labels(recipe, sounds):
    asked = recipe(sounds(6, labels=("a", "b", "c")), "generator.labels=3")
    windows = assemble.windows(asked, assemble.corpora(asked).training, seed=1)
    assert torch.equal(windows.labels(3, 6, slice(2, 5)), windows.labels(3, 6)[2:5])


def test_what_is_learned_from_has_speeds_and_what_is_translated_has_none(recipe, sounds):
    source, other = sounds(6, name="a"), sounds(6, name="b")
    asked = recipe(source, f"data.source_b={other}", "data.vary_speed=0.3", networks=TRANSLATION)
    plain = recipe(source, f"data.source_b={other}", networks=TRANSLATION)
    batch, as_it_is = batches_of(asked)(0), batches_of(plain)(0)
    assert batch.x.shape == as_it_is.x.shape and not torch.equal(batch.x, as_it_is.x)
    assert batch.other is not None and as_it_is.other is not None and not torch.equal(batch.other, as_it_is.other)
    translated, unchanged = (assemble.source_clips(each, assemble.corpora(each)) for each in (asked, plain))
    assert translated and unchanged and torch.equal(translated(range(4)), unchanged(range(4)))


def test_another_number_of_labels_is_refused(recipe, sounds):
    source = sounds(4, labels=("a", "b"))
    asked = recipe(source, "generator.labels=3")
    with pytest.raises(DataError, match=r"generator.labels is 3; .*: 2 \(a, b\); try generator.labels=2"):
        batches_of(asked)
    plain = recipe(sounds(4, name="plain"), "generator.labels=3")
    with pytest.raises(DataError, match="labels that the sound has: none; put the files into a folder for each label"):
        batches_of(plain)


def test_files_without_a_label_are_refused(recipe, sounds):
    source = sounds(4, labels=("a", "b"))
    (source / "a" / "tone-000.wav").rename(source / "stray.wav")
    asked = recipe(source, "generator.labels=2")
    with pytest.raises(DataError, match="1 files have no label, the first is stray.wav; .* try generator.labels=0"):
        batches_of(asked)


def test_spectrograms_have_the_statistics_of_what_is_learned_from(recipe, sounds):
    """Measures a small corpus itself: encoded, each varying bin has mean 0 and a third for deviation."""
    asked = recipe(sounds(6), networks=SPECGAN)
    clips = clips_of(asked)
    output = assemble.training(asked, CPU, clips).method.networks["generator"].output
    assert isinstance(output, LogSpectrogram)
    x = output.encode(batches_of(asked)(0).x)
    assert x.shape == (6, 1, 128, 32) and x.abs().max() <= 1
    output.clip_deviations = 100
    unclipped = output.encode(clips.batch(0, 6))
    torch.testing.assert_close(100 * unclipped.mean((0, 1, 3)), torch.zeros(128), atol=0.01, rtol=0)
    torch.testing.assert_close(100 * unclipped.std((0, 1, 3), correction=0), torch.ones(128), atol=0.01, rtol=0)


VIEWS = "waveform: {name: wavegan, dim: 1}, mel: {name: spectrogram, dim: 1, view: {name: log_mel, bands: 8}}"


def spectra_of(made: Training, kind: str) -> Any:
    """Returns the output of the generator's running average, or a discriminator's view."""
    if kind == "output":
        return made.averages["generator"].output
    assert isinstance(made.method, GAN)
    return made.method.adversaries["mel"].view


@pytest.mark.parametrize(
    ("kind", "networks"),
    [("output", SPECGAN), ("view", f"generator: {{dim: 1}}\ndiscriminators: {{{VIEWS}}}\n")],
)
def test_statistics_travel_with_the_state_of_a_training(recipe, sounds, kind, networks):
    asked = recipe(sounds(4), networks=networks)
    learned, fresh = assemble.training(asked, CPU, clips_of(asked)), assemble.training(asked, CPU)
    means = spectra_of(learned, kind).means.clone()
    assert not torch.equal(means, spectra_of(fresh, kind).means)
    fresh.restore(learned.state())
    assert torch.equal(means, spectra_of(fresh, kind).means)


OPTIMIZERS = {
    "adam": (torch.optim.Adam, ["betas=[0.1, 0.8]", "eps=1e-5"], {"betas": (0.1, 0.8), "eps": 1e-5}),
    "adamw": (
        torch.optim.AdamW,
        ["betas=[0.1, 0.8]", "eps=1e-5", "weight_decay=0.2"],
        {"betas": (0.1, 0.8), "eps": 1e-5, "weight_decay": 0.2},
    ),
    "muon": (Muon, ["betas=[0.1, 0.8]", "momentum=0.3"], {"betas": (0.1, 0.8), "eps": 1e-8, "momentum": 0.3}),
    "rmsprop": (
        torch.optim.RMSprop,
        ["decay=0.7", "momentum=0.3", "eps=1e-10"],
        {"alpha": 0.7, "momentum": 0.3, "eps": 1e-10},
    ),
    "sgd": (torch.optim.SGD, ["momentum=0.3", "weight_decay=0.2"], {"momentum": 0.3, "weight_decay": 0.2}),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimiser_gets_its_settings(recipe, sounds, name):
    kind, settings, expected = OPTIMIZERS[name]
    keys = [f"optimizers.discriminator.{setting}" for setting in (f"name={name}", "lr=0.25", *settings)]
    made = assemble.training(recipe(sounds(3), *keys), CPU)
    judge = made.optimizers["discriminators.waveform"]
    assert type(judge) is kind and type(made.optimizers["generator"]) is torch.optim.Adam
    (group,) = judge.param_groups
    assert group["lr"] == 0.25 and {key: group[key] for key in expected} == expected
    assert made.optimizers["generator"].param_groups[0]["lr"] == 1e-4
    assert {id(parameter) for parameter in group["params"]} == {
        id(parameter) for parameter in made.method.networks["discriminators.waveform"].parameters()
    }


@pytest.mark.parametrize("name", [name for name, (_, _, settings) in OPTIMIZERS.items() if "eps" in settings])
def test_the_term_that_keeps_a_division_from_zero_is_the_papers(recipe, sounds, name):
    """1e-8 is what Kingma and Ba 2015 (algorithm 1) and PyTorch take."""
    keys = [f"optimizers.{network}.name={name}" for network in ("generator", "discriminator")]
    built = assemble.training(recipe(sounds(3), *keys), CPU).optimizers
    assert len(built) == 2
    for optimizer in built.values():
        assert [group["eps"] for group in optimizer.param_groups] == [1e-8]


def test_every_other_network_learns_as_the_generator_does(recipe, sounds):
    made = assemble.training(recipe(sounds(3), "optimizers.generator.lr=0.5", networks=VAE), CPU)
    assert {name: optimizer.param_groups[0]["lr"] for name, optimizer in made.optimizers.items()} == {
        "generator": 0.5, "encoder": 0.5,
    }  # fmt: skip


def test_a_translation_sees_clips_of_both_sources(recipe, sounds):
    source, source_b = sounds(4), sounds(4, name="others")
    asked = recipe(source, f"data.source_b={source_b}", "optimizers.discriminator.lr=1", networks=TRANSLATION)
    batch = batches_of(asked)(0)
    assert batch.other is not None and batch.other.shape == batch.x.shape == (6, 1, 4096)
    made = assemble.training(asked, CPU)
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in made.optimizers.items()}
    assert rates == {"a_to_b": 1e-4, "b_to_a": 1e-4, "discriminators_a.waveform": 1, "discriminators_b.waveform": 1}
    different = [
        not torch.equal(a, b)
        for a, b in zip(
            made.method.networks["a_to_b"].parameters(), made.method.networks["b_to_a"].parameters(), strict=True
        )
    ]
    assert any(different), "the two translators start alike"


@pytest.mark.parametrize(
    ("networks", "settings", "told"),
    [
        (WAVEGAN, [], False),
        (WAVEGAN, ["discriminators.waveform.dropout=0.1"], True),
        (WAVEGAN, ["discriminators.*.dropout=0.1", "method.penalty=none", "method.weight_clip=0.01"], False),
        (SPECGAN, [], False),
        (MLP, [], False),
    ],
)
def test_a_slower_step_is_told_of_once(recipe, sounds, networks, settings, told):
    asked = recipe(sounds(3), *settings, "training.compile=false", networks=networks)
    lines = assemble.autotune(asked, assemble.training(asked, CPU), batches_of(asked)(0))
    assert [line for line in lines if "double backward" in line] == lines[: int(told)]


def test_precisions_are_tried_by_one_thread_and_the_others_come_back(recipe, sounds, monkeypatch):
    asked = recipe(sounds(3), "training.precision=auto", "training.threads=2", "training.compile=false")
    threads = []

    def tried(*_: object) -> tuple[str, str]:
        threads.append(torch.get_num_threads())
        return "bf16", "it was tried"

    monkeypatch.setattr(sys.modules[assemble.autotune.__module__], "chosen_precision", tried)
    made = assemble.training(asked, CPU)
    with threads_kept():
        torch.set_num_threads(2)
        assert "training.precision auto: it was tried" in assemble.autotune(asked, made, batches_of(asked)(0))
        assert threads == [1] and torch.get_num_threads() == 2 and made.precision == "bf16"


def test_an_encoder_sees_clips_as_they_are(recipe, sounds):
    networks = assemble.method(recipe(sounds(3), networks=VAE), CPU).networks
    clips = torch.randn(2, 1, 4096)
    encoder = networks["encoder"]
    assert encoder(clips).shape == (2, 10) and torch.equal(encoder(clips), encoder(clips))
    assert isinstance(encoder, nn.Module) and set(networks) == {"generator", "encoder"}


def test_the_two_sources_of_a_translation_do_not_come_in_pairs(recipe, sounds):
    """Uses two kits that play the same hits in the same order of files: a batch shows other hits of each."""
    source, source_b = sounds(12), sounds(12, name="others")
    batches = batches_of(recipe(source, f"data.source_b={source_b}", networks=TRANSLATION))
    same = []
    for batch in map(batches, range(4)):
        assert batch.other is not None, "there are two sources"
        same += [torch.equal(a, b) for a, b in zip(batch.x, batch.other, strict=True)]
    assert len(same) == 24 and sum(same) < 10, "by chance it is two"


def test_every_clip_is_measured_once(recipe, sounds, monkeypatch):
    """Measures statistics of spectrograms in batches of 64: of 70 clips the last batch holds six."""
    seen = []
    original = LogSpectrogram.measure
    monkeypatch.setattr(LogSpectrogram, "measure", lambda self, clips: original(self, map(noted(seen), clips)))
    asked = recipe(sounds(70, seconds=0.1), networks=SPECGAN)
    assemble.training(asked, CPU, clips_of(asked))
    assert seen == [64, 6]


def noted(seen: list[int]):
    return lambda clips: (seen.append(len(clips)), clips)[1]
