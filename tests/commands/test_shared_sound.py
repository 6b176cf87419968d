"""Tests that machines without a common disk train from sound that the first one has, each from its own cache."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from ranks import command_line

from wavegan import assemble, distributed
from wavegan import recipe as recipes
from wavegan.audio.corpus import load_corpus
from wavegan.commands import shared_sound
from wavegan.commands.train import train
from wavegan.errors import DataError
from wavegan.training import checkpoint

RECIPE = """\
data: {source: mine, clip_samples: 4096, holdout: 0.4, windows: random}
generator: {dim: 1, latent_dim: 4, labels: auto}
discriminators: {waveform: {name: wavegan, dim: 1}}
training: {steps: 3, batch_size: 4, checkpoint_every: 1, precision: fp32}
monitor: {log_every: 1, preview_every: 0, tensorboard: false}
"""
FIELDS = ("starts", "lengths", "labels", "hashes")


@pytest.fixture
def recipe(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mouse.yaml").write_text(RECIPE)
    return tmp_path / "mouse.yaml"


def weights(run: Path) -> dict[str, torch.Tensor]:
    content = checkpoint.load(checkpoint.newest_path(run / "checkpoints"))
    return {f"{name}.{key}": value for name, part in content["networks"].items() for key, value in part.items()}


def test_a_machine_without_the_sound_gets_it_once_and_trains_the_same(recipe, start, sounds, tmp_path):
    sounds(20, seconds=0.3, labels=("a", "b"), name="mine")
    train(recipes.load(recipe), tmp_path / "alone", device="cpu")
    sounds(20, seconds=0.3, labels=("a", "b"), name="ranks-0/machine-0/mine")
    words = ("train", recipe, "--run-dir", "run", "--device", "cpu")
    ranks = start(2, command_line, *words, apart=True)
    assert ranks.codes == [0, 0], ranks.said("err")
    first, second = ranks.said("err")
    assert first.count("sending 0 MB of decoded sound") == 1
    assert "mine does not exist" in second and second.count("is copied to") == 1
    for name, value in weights(tmp_path / "alone").items():
        torch.testing.assert_close(weights(ranks.place / "machine-0/run")[name], value, rtol=0, atol=1e-5)
    here = ranks.place / "cache-1"
    assert not (here / "corpora").exists() and len(list(here.glob("received/*/0.i16"))) == 1

    (tmp_path / "ranks-1").mkdir()
    for name in ("machine-0", "machine-1", "cache-0", "cache-1"):  # the same machines, later
        (ranks.place / name).rename(tmp_path / "ranks-1" / name)
    again = start(2, command_line, *words, "training.steps=4", apart=True)
    assert again.codes == [0, 0], again.said("err")
    assert "decoded sound" not in "".join(again.said("err")), "it is there"


def exchange(folder: str, pieces: str, has_sound: str) -> None:
    """Exchanges two corpora; the second process reports what it has got."""
    shared_sound.PIECE_FRAMES = int(pieces)
    loaded = [load_corpus(f"{folder}/{name}", 16000, 1) for name in "ab"]
    sound = tuple(assemble.Corpora(corpus, None, "whole") for corpus in loaded)

    def load() -> shared_sound.Sound:
        if has_sound == "another":
            return sound[1], sound[0]
        raise DataError("it is not here")

    with distributed.processes(str):
        if distributed.is_main():
            shared_sound.offer(*sound)  # pyright: ignore
            return
        got = shared_sound.received(load)
    report = {}
    for name, parts in zip("ab", got, strict=True):
        report[name] = {key: torch.from_numpy(getattr(parts.training, key).astype(np.int64)) for key in FIELDS}
        report[name] |= {"samples": parts.training.samples.clone(), "names": list(parts.training.names)}
    torch.save(report, Path(folder, f"got-{os.environ['RANK']}.pt"))


@pytest.mark.parametrize("pieces", [1000, 1 << 20])
def test_two_corpora_come_whole_in_pieces_of_any_size(start, sounds, tmp_path, pieces):
    """Two processes of three share a cache that lacks them: one of them writes."""
    folders = sounds(3, name="a"), sounds(5, seconds=0.2, labels=("x", "y"), name="b")
    ranks = start(3, exchange, tmp_path, pieces, "none")
    assert ranks.codes == [0, 0, 0], ranks.said("err")
    for rank in (1, 2):
        got = torch.load(tmp_path / f"got-{rank}.pt")
        for name, folder in zip("ab", folders, strict=True):
            corpus = load_corpus(str(folder), 16000, 1)
            assert torch.equal(got[name]["samples"], corpus.samples) and tuple(got[name]["names"]) == corpus.names
            for key in FIELDS:
                assert torch.equal(got[name][key], torch.from_numpy(getattr(corpus, key).astype(np.int64))), key


def test_other_sound_here_is_refused_not_replaced(start, sounds, tmp_path):
    for name, count in (("a", 3), ("b", 5)):
        sounds(count, name=name)
    ranks = start(2, exchange, tmp_path, 1000, "another")
    assert ranks.codes[1] == 1 and "all must learn from the same" in ranks.said("err")[1]
    assert not (tmp_path / "got-1.pt").exists()


@pytest.mark.parametrize("damage", ["shorter", "missing"])
def test_a_copy_that_is_not_whole_counts_as_none(sounds, tmp_path, damage):
    corpus = load_corpus(str(sounds(3)), 16000, 1)
    torch.save(shared_sound._description(corpus) | {"is_more": False}, tmp_path / "0.pt")
    (tmp_path / "0.i16").write_bytes(corpus.samples.numpy().tobytes())
    assert shared_sound._kept(tmp_path) is not None
    if damage == "missing":
        (tmp_path / "0.i16").unlink()
    else:
        (tmp_path / "0.i16").write_bytes(corpus.samples.numpy().tobytes()[:-2])
    assert shared_sound._kept(tmp_path) is None
