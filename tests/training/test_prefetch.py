"""Tests batches prefetched before their step: the same ones, in any order that is asked for."""

import threading

import pytest
import torch

from wavegan.methods.base import Batch
from wavegan.training.prefetch import Prefetcher

CPU = torch.device("cpu")


def test_the_same_batches_in_any_order():
    ahead = Prefetcher(lambda draw: Batch(torch.full((2, 1, 4), float(draw)), torch.full((2, 3), -float(draw))), CPU)
    for draw in (0, 1, 2, 7, 8, 3, 3, 4):
        batch = ahead(draw)
        assert batch.labels is not None and batch.other is None
        assert batch.x.unique().tolist() == [draw] and batch.labels.unique().tolist() == [-draw]


def test_the_next_one_is_made_meanwhile():
    made, is_made = [], threading.Event()

    def make(draw: int) -> Batch:
        made.append((draw, threading.current_thread().name))
        if draw == 6:
            is_made.set()
        return Batch(torch.zeros(1))

    ahead = Prefetcher(make, CPU)
    ahead(5)
    assert is_made.wait(600), "nobody asked for draw 6 yet, and it is there"
    ahead(6)
    assert [draw for draw, _ in made[:2]] == [5, 6] and all(name.startswith("batches") for _, name in made)


def test_an_error_comes_to_the_one_who_asks():
    def make(draw: int) -> Batch:
        if draw == 1:
            raise OSError("the disk is gone")
        return Batch(torch.zeros(1))

    ahead = Prefetcher(make, CPU)
    ahead(0)
    with pytest.raises(OSError, match="the disk is gone"):
        ahead(1)
