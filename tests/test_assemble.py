"""From recipes to objects: what of a recipe reaches which network, batch and optimiser."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.dsp.representation import LogSpectrogram, Waveform
from wavegan.errors import DataError
from wavegan.recipe import Recipe

CPU = torch.device("cpu")
SMALL = ["data.holdout=0", "model.clip_samples=4096", "model.dim=1", "training.batch_size=6", "training.precision=fp32"]
SPECGAN = ["representation.name=log_spectrogram", "model.name=specgan", "model.kernel_size=5"]


@pytest.fixture
def recipe(tmp_path):
    """recipe(source, "key=value", …) of small networks."""

    def make(source: Path, *settings: str) -> Recipe:
        path = tmp_path / "a.yaml"
        path.write_text(f"data: {{source: {source}}}\n")
        return recipes.load(path, [*SMALL, *settings])

    return make


@pytest.mark.parametrize("kind", ["first", "random", "all"])
def test_every_clip_comes_with_its_own_label(recipe, sounds, kind):
    """Fault 17: class names in one order and indices in another. A tone's pitch tells which file a clip is of."""
    source = sounds(6, labels=("zebra", "ant", "cow"), seconds=0.6)
    asked = recipe(source, "model.classes=3", f"data.windows={kind}")
    corpus = assemble.corpora(asked).training
    assert corpus.label_names == ("ant", "cow", "zebra")
    batches = assemble.batches(asked, corpus, CPU)
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
            pitch = min(of_pitch, key=lambda one: abs(one - spectrum.argmax()))
            assert corpus.label_names[int(row.argmax())] == of_pitch[pitch]
            seen.add(pitch)
    assert len(seen) == 6


def test_a_part_of_a_batch_has_its_own_labels(recipe, sounds):
    asked = recipe(sounds(6, labels=("a", "b", "c")), "model.classes=3")
    windows = assemble.windows(asked, assemble.corpora(asked).training, seed=1)
    assert torch.equal(windows.labels(3, 6, slice(2, 5)), windows.labels(3, 6)[2:5])


def test_another_number_of_labels_is_refused(recipe, sounds):
    source = sounds(4, labels=("a", "b"))
    asked = recipe(source, "model.classes=3")
    with pytest.raises(DataError, match=r"model.classes is 3; .*: 2 \(a, b\); try model.classes=2"):
        assemble.knowledge(asked, assemble.corpora(asked).training)
    plain = recipe(sounds(4, name="plain"), "model.classes=3")
    with pytest.raises(DataError, match="labels that the sound has: none; put the files into a folder for each label"):
        assemble.knowledge(plain, assemble.corpora(plain).training)


def test_files_without_a_label_are_refused(recipe, sounds):
    source = sounds(4, labels=("a", "b"))
    (source / "a" / "tone-000.wav").rename(source / "stray.wav")
    asked = recipe(source, "model.classes=2")
    with pytest.raises(DataError, match="1 files have no label, the first is stray.wav; .* try model.classes=0"):
        assemble.knowledge(asked, assemble.corpora(asked).training)


def test_spectrograms_have_the_statistics_of_what_is_learned_from(recipe, sounds):
    """Of the corpus itself where it is small: encoded, each bin that varies has mean 0 and a third for deviation."""
    asked = recipe(sounds(6), *SPECGAN)
    corpus = assemble.corpora(asked).training
    known = assemble.knowledge(asked, corpus)
    assert isinstance(known.representation, LogSpectrogram)
    x = assemble.batches(asked, corpus, CPU, known)(0).x
    assert x.shape == (6, 1, 128, 32) and x.abs().max() <= 1
    unclipped = LogSpectrogram.restored(known.representation.state(), clip_deviations=100).encode(
        assemble.windows(asked, corpus, seed=0).batch(0, 6)
    )
    torch.testing.assert_close(100 * unclipped.mean((0, 1, 3)), torch.zeros(128), atol=0.01, rtol=0)
    torch.testing.assert_close(100 * unclipped.std((0, 1, 3), correction=0), torch.ones(128), atol=0.01, rtol=0)


def test_what_is_known_survives_a_checkpoint(recipe, sounds):
    asked = recipe(sounds(4, labels=("a", "b")), *SPECGAN, "representation.clip_deviations=2")
    corpus = assemble.corpora(asked).training
    known = assemble.knowledge(asked, corpus)
    again = assemble.restored_knowledge(asked, assemble.describe(asked, corpus, known))
    clips = assemble.windows(asked, corpus, seed=0).batch(0, 3)
    assert again.label_names == ("a", "b")
    assert torch.equal(again.representation.encode(clips), known.representation.encode(clips))
    plain = recipe(sounds(3, name="plain"))
    known = assemble.knowledge(plain, assemble.corpora(plain).training)
    assert isinstance(assemble.restored_knowledge(plain, known.state()).representation, Waveform)


OPTIMIZERS = {
    "adam": (torch.optim.Adam, ["betas=[0.1, 0.8]", "eps=1e-5"], {"betas": (0.1, 0.8), "eps": 1e-5}),
    "adamw": (
        torch.optim.AdamW,
        ["betas=[0.1, 0.8]", "eps=1e-5", "weight_decay=0.2"],
        {"betas": (0.1, 0.8), "eps": 1e-5, "weight_decay": 0.2},
    ),
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
    keys = [f"optimizers.discriminator.{one}" for one in (f"name={name}", "lr=0.25", *settings)]
    made = assemble.training(recipe(sounds(3), *keys), CPU)
    judge = made.optimizers["discriminator"]
    assert type(judge) is kind and type(made.optimizers["generator"]) is torch.optim.Adam
    (group,) = judge.param_groups
    assert group["lr"] == 0.25 and {key: group[key] for key in expected} == expected
    assert made.optimizers["generator"].param_groups[0]["lr"] == 1e-4
    assert {id(one) for one in group["params"]} == {
        id(one) for one in made.method.networks["discriminator"].parameters()
    }


def test_every_other_network_learns_as_the_generator_does(recipe, sounds):
    settings = ["method.name=vae", "model.latent=normal", "optimizers.generator.lr=0.5"]
    made = assemble.training(recipe(sounds(3), *settings), CPU)
    assert {name: one.param_groups[0]["lr"] for name, one in made.optimizers.items()} == {
        "generator": 0.5, "encoder": 0.5,
    }  # fmt: skip


def test_a_translation_sees_clips_of_both_sources(recipe, sounds):
    one, other = sounds(4), sounds(4, name="others")
    keys = [
        "method.name=translation",
        "model.name=translator",
        f"data.source_b={other}",
        "optimizers.discriminator.lr=1",
    ]
    asked = recipe(one, *keys)
    batch = assemble.batches(asked, assemble.corpora(asked).training, CPU)(0)
    assert batch.other is not None and batch.other.shape == batch.x.shape == (6, 1, 4096)
    made = assemble.training(asked, CPU)
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in made.optimizers.items()}
    assert rates == {"a_to_b": 1e-4, "b_to_a": 1e-4, "discriminator_a": 1, "discriminator_b": 1}
    different = [
        not torch.equal(a, b)
        for a, b in zip(
            made.method.networks["a_to_b"].parameters(), made.method.networks["b_to_a"].parameters(), strict=True
        )
    ]
    assert any(different), "the two translators start alike"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ([], False),
        (["model.dropout=0.1"], True),
        (["model.dropout=0.1", "method.penalty=none", "method.weight_clip=0.01"], False),
        (SPECGAN, False),
        (["model.name=mlp"], False),
    ],
)
def test_a_slower_step_is_told_of_once(recipe, sounds, settings, told):
    asked = recipe(sounds(3), *settings, "training.compile=false")
    corpus = assemble.corpora(asked).training
    lines = assemble.autotune(asked, assemble.training(asked, CPU), assemble.batches(asked, corpus, CPU)(0))
    assert [line for line in lines if "double backward" in line] == lines[: int(told)]


def test_an_encoder_sees_clips_as_they_are(recipe, sounds):
    networks = assemble.networks(recipe(sounds(3), "method.name=vae", "model.latent=normal", "model.latent_dim=5"))
    clips = torch.randn(2, 1, 4096)
    encoder = networks["encoder"]
    assert encoder(clips).shape == (2, 10) and torch.equal(encoder(clips), encoder(clips))
    assert isinstance(encoder, nn.Module) and set(networks) == {"generator", "encoder"}


def test_the_two_sources_of_a_translation_do_not_come_in_pairs(recipe, sounds):
    """Two kits that play the same hits in the same order of files: a batch shows other hits of each."""
    one, other = sounds(12), sounds(12, name="others")
    asked = recipe(one, "method.name=translation", "model.name=translator", f"data.source_b={other}")
    batches = assemble.batches(asked, assemble.corpora(asked).training, CPU)
    same = []
    for batch in map(batches, range(4)):
        assert batch.other is not None, "there are two sources"
        same += [torch.equal(a, b) for a, b in zip(batch.x, batch.other, strict=True)]
    assert len(same) == 24 and sum(same) < 10, "by chance it is two"


def test_every_clip_is_measured_once(recipe, sounds, monkeypatch):
    """Statistics of spectrograms: of 70 clips in batches of 64 the last batch holds six."""
    seen = []
    original = LogSpectrogram.of
    monkeypatch.setattr(LogSpectrogram, "of", lambda clips, **settings: original(map(noted(seen), clips), **settings))
    asked = recipe(sounds(70, seconds=0.1), *SPECGAN)
    assemble.knowledge(asked, assemble.corpora(asked).training)
    assert seen == [64, 6]


def noted(seen: list[int]):
    return lambda clips: (seen.append(len(clips)), clips)[1]
