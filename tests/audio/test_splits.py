"""Tests the choice of the held-out part of a corpus, and how that part is halved."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from wavegan.audio.corpus import Corpus
from wavegan.audio.splits import halves, hold_out, hold_out_ends
from wavegan.audio.windows import Windows

RATE = 16000


def corpus_of(*names: str, frames: int = 1000) -> Corpus:
    """Makes silent items of equal length, for tests that look at names and places only."""
    count = len(names)
    return Corpus(
        samples=torch.zeros(count * frames, 1, dtype=torch.int16),
        starts=np.arange(count) * frames,
        lengths=np.full(count, frames),
        labels=np.arange(count),
        names=names,
        label_names=names,
        skipped={},
        sample_rate=RATE,
    )


def sound(corpus: Corpus, name: str) -> np.ndarray:
    """Returns an item's int16 steps, (frames, channels)."""
    index = corpus.names.index(name)
    return corpus.samples.numpy()[corpus.starts[index] :][: corpus.lengths[index]]


NAMES = tuple(f"{index}.wav" for index in range(1000))


def place_of(name: str) -> float:
    """Returns a name's place from 0 to 1, by an independent calculation."""
    return int(hashlib.blake2b(f"0/0/{name}/0".encode(), digest_size=8).hexdigest(), 16) / 2**64


def test_the_names_alone_decide_who_is_held_out():
    kept, held = hold_out(corpus_of(*NAMES), 0.2)
    assert held.names == tuple(name for name in NAMES if place_of(name) < 0.2)
    assert kept.names == tuple(name for name in NAMES if place_of(name) >= 0.2)
    assert abs(len(held.names) - 200) < 4 * np.sqrt(1000 * 0.2 * 0.8)


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(4, 0.1, 1), (5, 0.2, 1), (8, 0.2, 2), (28, 0.2, 6), (99, 0.1, 10), (3, 0.9, 2)]
)
def test_of_few_as_many_are_held_out_as_the_share_says(count, share, expected):
    for first in range(0, 900, count):
        _, held = hold_out(corpus_of(*NAMES[first : first + count]), share)
        assert set(held.names) == set(sorted(NAMES[first : first + count], key=place_of)[:expected])


def test_items_keep_their_sound_and_label_on_either_side():
    whole = corpus_of(*NAMES[:50])
    for part in hold_out(whole, 0.3):
        assert [whole.label_names[label] for label in part.labels] == list(part.names)
        assert part.starts.tolist() == [1000 * whole.names.index(name) for name in part.names]


def test_nobody_changes_sides_when_others_come():
    few, many = hold_out(corpus_of(*NAMES[::-3]), 0.2), hold_out(corpus_of(*NAMES), 0.2)
    for before, after in zip(few, many, strict=True):
        assert set(before.names) <= set(after.names)


@pytest.mark.parametrize("share", [1e-9, 0.5, 1 - 1e-9])
@pytest.mark.parametrize("count", [2, 3, 10])
def test_of_several_at_least_one_is_on_either_side(count: int, share: float):
    for first in range(0, 100, count):
        kept, held = hold_out(corpus_of(*NAMES[first : first + count]), share)
        assert kept.names and held.names
        assert sorted(kept.names + held.names) == sorted(NAMES[first : first + count])


def test_a_single_file_is_cut_in_time():
    samples = torch.arange(1, 1001, dtype=torch.int16)[:, None]
    whole = replace(corpus_of("long.wav"), samples=torch.cat([samples, torch.zeros(100, 1, dtype=torch.int16)]))
    kept, held = hold_out(whole, 0.1)
    assert (sound(kept, "long.wav")[:, 0] == np.arange(1, 901)).all()
    assert (sound(held, "long.wav")[:, 0] == np.arange(901, 1001)).all()
    heard = Windows(kept, 64, "random").batch(0, 2000) * 32767
    assert heard.max().round() == 900, "no window reaches into what is held out"


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_single_file_of_two_samples_is_still_cut(share: float):
    kept, held = hold_out(corpus_of("tiny.wav", frames=2), share)
    assert (kept.starts[0], kept.lengths[0], held.starts[0], held.lengths[0]) == (0, 1, 1, 1)


def of_lengths(*lengths: int, hashes: tuple[int, ...] = ()) -> Corpus:
    """Makes items whose samples count on from 1."""
    whole = corpus_of(*NAMES[: len(lengths)])
    samples = torch.arange(1, sum(lengths) + 1, dtype=torch.int16)[:, None]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return replace(
        whole, samples=samples, starts=starts, lengths=np.array(lengths), hashes=np.array(hashes, dtype=np.uint64)
    )


def test_the_end_of_each_long_item_is_held_out():
    """Of 249 samples a fifth is no clip of 50; all others lose a fifth, and no sample is on both sides."""
    whole = of_lengths(250, 249, 1000)
    kept, held = hold_out_ends(whole, 0.2, 50)
    assert kept.names == whole.names and held.names == (NAMES[0], NAMES[2])
    assert (kept.starts == whole.starts).all() and kept.lengths.tolist() == [200, 249, 800]
    assert sound(held, NAMES[0])[:, 0].tolist() == list(range(201, 251))
    assert sound(held, NAMES[2])[:, 0].tolist() == list(range(1300, 1500))
    assert held.labels.tolist() == [0, 2] and whole.lengths.tolist() == [250, 249, 1000]


def test_of_items_that_sound_the_same_no_part_is_on_both_sides():
    """Copies of one length are cut at the same place; of copies that differ in length nothing is held out."""
    kept, held = hold_out_ends(of_lengths(500, 500, 600, 700, hashes=(1, 1, 2, 3)), 0.2, 50)
    assert kept.lengths.tolist() == [400, 400, 480, 560] and len(held.names) == 4
    kept, held = hold_out_ends(of_lengths(500, 600, 700, hashes=(1, 1, 2)), 0.2, 50)
    assert kept.lengths.tolist() == [500, 600, 560] and held.names == (NAMES[2],)


def test_where_no_item_is_long_nothing_is_held_out():
    kept, held = hold_out_ends(of_lengths(100, 200), 0.1, 50)
    assert kept.lengths.tolist() == [100, 200] and held.names == ()


@pytest.mark.parametrize(("count", "is_cut"), [(2, True), (49, True), (50, False)])
def test_few_long_items_are_halved_in_time(count: int, is_cut: bool):
    whole = of_lengths(*[200] * count)
    first, second = halves(whole, 100)
    if is_cut:
        assert first.names == second.names == whole.names
        assert sound(first, NAMES[1])[:, 0].tolist() == list(range(201, 301))
        assert sound(second, NAMES[1])[:, 0].tolist() == list(range(301, 401))
    else:
        assert len(first.names) == len(second.names) == count / 2


@pytest.mark.parametrize(("least", "lengths"), [(None, (200, 200)), (100, (199, 200))])
def test_short_items_are_never_halved_in_time(least: int | None, lengths: tuple[int, ...]):
    first, second = halves(of_lengths(*lengths), least)
    assert len(first.names) == len(second.names) == 1 and first.names != second.names


@pytest.mark.parametrize("kind", ["first", "random", "all"])
def test_only_clips_from_anywhere_are_halved_in_time(kind: str):
    first, second = Windows(of_lengths(128, 128), 64, kind).halves()
    assert (first.corpus.names == second.corpus.names) == (kind != "first")


@pytest.mark.parametrize("count", [2, 3, 10, 11])
def test_halves_are_apart_and_of_equal_number(count: int):
    first, second = halves(corpus_of(*NAMES[:count]))
    assert sorted(first.names + second.names) == sorted(NAMES[:count])
    assert len(second.names) - len(first.names) == count % 2


def test_halves_of_what_was_held_out_are_neither_empty_nor_in_order_of_the_first_hash():
    _, held = hold_out(corpus_of(*NAMES), 0.1)
    first, second = halves(held)
    places = [np.mean([place_of(name) for name in half.names]) for half in (first, second)]
    assert len(first.names) > 30 and abs(places[0] - places[1]) < 0.02  # a second cut of the same hash would give 0.05


def test_the_order_of_items_does_not_decide_their_half():
    first, _ = halves(corpus_of(*NAMES[:100]))
    again, _ = halves(corpus_of(*NAMES[99::-1]))
    assert sorted(first.names) == sorted(again.names)


def test_a_single_file_is_halved_in_time():
    first, second = halves(corpus_of("long.wav", frames=101))
    assert (first.starts[0], first.lengths[0], second.starts[0], second.lengths[0]) == (0, 51, 51, 50)


def test_a_corpus_may_know_nothing_of_groups():
    assert corpus_of("a", "b").select(np.array([1])).groups == ()
