"""Tests checkpoints: round trips, damage of every kind, and which ones stay."""

import itertools
import os
import random
import re
import threading
import warnings
from pathlib import Path

import pytest
import torch

from wavegan.errors import RunError
from wavegan.training import checkpoint
from wavegan.training.loop import train


def make(folder: Path, *steps: int) -> list[Path]:
    return [checkpoint.save(folder, {"step": step, "weight": torch.arange(1000.0) + step}) for step in steps]


def newest_step(folder: Path) -> int:
    content = checkpoint.load_newest(folder)
    assert content is not None
    return content["step"]


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_training_comes_back_whole_without_any_code(training, batches, tmp_path):
    made = training(ema=0.9, batch_norm=True)
    train(made, batches, 1, after_step=lambda stats: True)
    extra = {"recipe": {"model": {"dim": 1}, "rates": [1e-4, 2]}, "label_names": ["one", "zwei – ü"], "seconds": 1.5}
    path = checkpoint.save(tmp_path / "checkpoints", {**extra, **made.state()})
    assert path == tmp_path / "checkpoints" / "step-00000001.pt"
    content = checkpoint.load(path)
    assert {name: content[name] for name in extra} == extra
    for kind in ("networks", "averages"):
        for name, tensors in made.state()[kind].items():
            assert all(torch.equal(content[kind][name][key], value) for key, value in tensors.items())
    loaded = torch.load(path, weights_only=True)  # tensors and plain values only
    assert loaded["step"] == 1 and loaded["format"] == checkpoint.CHECKPOINT_FORMAT


def test_it_is_written_aside_flushed_and_renamed(tmp_path, monkeypatch):
    """At the moment of the flush the final name must not exist yet, and the old file must be whole."""
    (old,) = make(tmp_path, 7)
    before, seen = old.read_bytes(), []
    flush = os.fsync

    def watch(descriptor: int) -> None:
        seen.append((len(list(tmp_path.iterdir())), old.read_bytes() == before))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    checkpoint.save(tmp_path, {"step": 7, "weight": torch.zeros(3)})
    assert seen == [(2, True), (1, False)], "first the file is flushed, then the folder with its name"
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000007.pt"]
    assert not checkpoint.load(old)["weight"].any()


def test_a_write_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    (old,) = make(tmp_path, 7)

    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        make(tmp_path, 8)
    assert newest_step(tmp_path) == 7
    assert checkpoint.steps(tmp_path) == {7: old}


def test_a_run_folder_that_was_moved_is_not_made_again(tmp_path):
    """A second folder in its place would split the run in two."""
    with pytest.raises(FileNotFoundError, match="moved/checkpoints"):
        make(tmp_path / "moved" / "checkpoints", 8)
    assert list(tmp_path.iterdir()) == []


def test_the_newest_is_that_of_the_highest_step(tmp_path):
    make(tmp_path, 20, 3, 123456789)
    (tmp_path / "step-best.pt").write_text("of another kind")
    assert list(checkpoint.steps(tmp_path)) == [3, 20, 123456789]
    assert checkpoint.newest_path(tmp_path).name == "step-123456789.pt"
    assert newest_step(tmp_path) == 123456789


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoint.load_newest(tmp_path) is None
    assert checkpoint.load_newest(tmp_path / "missing") is None


def test_a_damaged_newest_gives_way_to_the_one_before_with_a_warning(tmp_path, caplog):
    *_, newest = make(tmp_path, 1, 2, 3)
    halve(newest)
    assert newest_step(tmp_path) == 2
    [warning] = caplog.records
    assert warning.levelname == "WARNING"
    assert re.search(r"step-00000003.pt cannot be read .*; it is damaged or not a checkpoint;", warning.getMessage())


def test_all_damaged_is_an_error_that_says_what_to_do(tmp_path, caplog):
    for path in make(tmp_path, 1, 2):
        halve(path)
    rule = f"none of the 2 checkpoints in {tmp_path} can be read; start again with `fresh=True`"
    with pytest.raises(RunError, match=rule):
        checkpoint.load_newest(tmp_path)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 2 and all("cannot be read" in warning for warning in warnings)


def test_damage_of_any_kind_is_a_run_error_or_harmless(tmp_path):
    """torch.load alone raises ten kinds of errors here, and takes nine flipped bits of ten for weights."""
    (path,) = make(tmp_path, 1)
    whole, chance = path.read_bytes(), random.Random(0)
    expected = checkpoint.load(path)["weight"]
    damaged = [b"", b"hello\n", b"PK\x03\x04", *(whole[: chance.randrange(len(whole))] for _ in range(20))]
    damaged += [b"\x80\x02" + chance.randbytes(50) for _ in range(50)]
    for _ in range(300):
        flipped = bytearray(whole)
        flipped[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        damaged.append(bytes(flipped))
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            assert torch.equal(checkpoint.load(path)["weight"], expected), "damage went unnoticed"
        except RunError:
            refused += 1
    assert refused > 300


@pytest.mark.parametrize("content", [{"weights": 1}, [1, 2], {"format": 999, "step": 1}])
def test_a_foreign_file_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(RunError, match="is not a checkpoint of this version of wavegan; only those can be read"):
        checkpoint.load(tmp_path / "other.pt")


def test_code_is_never_run(tmp_path):
    torch.save({"format": checkpoint.CHECKPOINT_FORMAT, "step": 1, "bad": Path("x")}, tmp_path / "code.pt")
    with pytest.raises(RunError, match="cannot be read"):
        checkpoint.load(tmp_path / "code.pt")


def test_a_missing_file_is_a_run_error(tmp_path):
    with pytest.raises(RunError, match="cannot be read"):
        checkpoint.load(tmp_path / "missing.pt")


def test_torn_writes_are_ignored_and_cleared_away(tmp_path):
    make(tmp_path, 1)
    for torn in ("step-00000002.pt.partial", "step-00000003.pt.0123456789ab.partial"):  # of earlier versions, and now
        (tmp_path / torn).write_bytes(b"half")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert newest_step(tmp_path) == 1
    assert checkpoint.newest_path(tmp_path).name == "step-00000001.pt"
    checkpoint.prune(tmp_path, keep_last=1, keep_every=0)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.pt"]


@pytest.mark.parametrize(
    ("keep_last", "keep_every", "kept"),
    [
        (1, 0, [60]),
        (3, 0, [40, 50, 60]),
        (9, 0, [10, 20, 30, 40, 50, 60]),
        (1, 20, [20, 40, 60]),
        (2, 30, [30, 50, 60]),
    ],
)
def test_which_ones_stay(tmp_path, keep_last, keep_every, kept):
    make(tmp_path, *range(10, 70, 10))
    checkpoint.prune(tmp_path, keep_last=keep_last, keep_every=keep_every)
    assert list(checkpoint.steps(tmp_path)) == kept


def test_a_checkpoint_that_is_pruned_while_it_is_read_gives_way_to_the_newer_one(tmp_path, caplog):
    """A training beside saves and prunes all the time; it keeps one checkpoint."""
    make(tmp_path, 1)
    has_read_enough = threading.Event()

    def train_on() -> None:
        for step in itertools.count(2):
            make(tmp_path, step)
            checkpoint.prune(tmp_path, keep_last=1, keep_every=0)
            if has_read_enough.is_set():
                return

    trainer = threading.Thread(target=train_on)
    trainer.start()
    seen: list[int] = []
    try:
        while len(set(seen)) < 100:
            seen.append(newest_step(tmp_path))
    finally:
        has_read_enough.set()
        trainer.join()
    assert seen == sorted(seen) and not caplog.records


def test_a_checkpoint_that_vanishes_after_it_was_listed_is_no_damage(tmp_path, monkeypatch, caplog):
    """The moment between the two, made to happen."""
    make(tmp_path, 1)
    listed = checkpoint.steps

    def list_then_prune(folder: Path) -> dict[int, Path]:
        paths = listed(folder)
        if list(paths) == [1]:
            make(folder, 2)
            paths[1].unlink()
        return paths

    monkeypatch.setattr(checkpoint, "steps", list_then_prune)
    assert newest_step(tmp_path) == 2 and not caplog.records
    with pytest.raises(RunError, match="`checkpoint` is 1; .*; this run has 2"):
        checkpoint.load_chosen(tmp_path, "1")


@pytest.mark.parametrize("step", ["x", None, 3, -2])
def test_a_step_unlike_that_of_the_name_is_refused(tmp_path, step, caplog):
    make(tmp_path, 1)
    torch.save({"format": checkpoint.CHECKPOINT_FORMAT, "step": step}, tmp_path / "step-00000002.pt")
    assert newest_step(tmp_path) == 1
    assert "step-00000002.pt cannot be used (step: " in caplog.text
