"""Tests the clips that a step sees, and their content: by a slow loop over frames, counts and chi-square bounds."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from wavegan.audio.corpus import LONGEST_CLIP, Corpus
from wavegan.audio.windows import Windows, gather

KINDS = ("first", "random", "all")


def corpus_of(*lengths: int, channels: int = 1) -> Corpus:
    """Makes items of these lengths whose samples are all different noise, followed by as much silence as on disk."""
    noise = np.random.default_rng(0).integers(-32767, 32768, (sum(lengths), channels), dtype=np.int16)
    samples = np.concatenate([noise, np.zeros((LONGEST_CLIP, channels), np.int16)])
    return Corpus(
        samples=torch.from_numpy(samples),
        starts=np.cumsum([0, *lengths[:-1]]),
        lengths=np.array(lengths),
        labels=np.full(len(lengths), -1),
        names=tuple(f"{index}" for index in range(len(lengths))),
        label_names=(),
        skipped={},
        sample_rate=16000,
    )


def slowly(corpus: Corpus, item: int, offset: int, clip_samples: int) -> np.ndarray:
    """Returns one clip (channels, clip_samples), sample by sample, as the definition says."""
    samples = corpus.samples.numpy()
    clip = np.zeros((corpus.channels, clip_samples), np.float32)
    for channel in range(corpus.channels):
        for position in range(clip_samples):
            if offset + position < corpus.lengths[item]:
                step = samples[corpus.starts[item] + offset + position, channel]
                clip[channel, position] = np.float32(step) / np.float32(32767)
    return clip


def drawn(windows: Windows, batches: int, count: int) -> np.ndarray:
    return torch.cat([windows.batch(draw, count) for draw in range(batches)]).numpy()


def offsets(windows: Windows, count: int) -> np.ndarray:
    """Returns the starts of `count` random clips, counted from the first sample of the corpus."""
    return windows.random_places(0, count)[0]


# How often a label comes


@pytest.mark.parametrize(("kind", "counts"), [("first", [1, 1]), ("all", [3, 5]), ("random", [5, 9])])
def test_labels_are_counted_as_they_are_drawn(kind: str, counts: list[int]):
    corpus = replace(corpus_of(16, 24, 8, 64), labels=np.array([0, 0, 1, 1]), label_names=("a", "b"))
    windows = Windows(corpus, 16, kind)
    some = replace(corpus, labels=np.array([-1, 0, -1, 2]), label_names=("a", "b", "c"))
    lengths = {"first": [1, 0, 1], "all": [1, 0, 2], "random": [3, 0, 8]}
    assert Windows(some, 16, kind).label_counts == lengths[kind], "nothing is drawn of the second"
    assert windows.label_counts == counts
    assert windows.labels(0, 4000).double().mean() == pytest.approx(counts[1] / sum(counts), abs=0.03)
    assert Windows(corpus_of(16), 16, kind).label_counts == []


# What a clip holds


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["first", "all"])
def test_one_epoch_is_every_clip_once_sample_by_sample(kind: str, channels: int):
    corpus = corpus_of(5, 16, 17, 0, 40, channels=channels)
    places = {
        "first": [(item, 0) for item in range(5)],
        "all": [(0, 0), (1, 0), (2, 0), (2, 16), (4, 0), (4, 16), (4, 32)],
    }[kind]
    windows = Windows(corpus, 16, kind)
    assert len(windows) == len(places)
    clips = drawn(windows, 1, len(places))
    assert clips.shape == (len(places), channels, 16)
    expected = [slowly(corpus, item, offset, 16) for item, offset in places]
    assert Counter(clip.tobytes() for clip in clips) == Counter(clip.tobytes() for clip in expected)


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_random_clips_are_pieces_of_items_sample_by_sample(channels: int):
    corpus = corpus_of(5, 16, 17, 40, channels=channels)
    pieces = {
        slowly(corpus, item, offset, 16).tobytes(): (item, offset)
        for item, length in enumerate(corpus.lengths)
        for offset in range(max(length - 16, 0) + 1)
    }
    counts = Counter(pieces[clip.tobytes()] for clip in drawn(Windows(corpus, 16, "random"), 10, 50))
    assert counts.keys() == set(pieces.values()), "every position of every item occurs"


def test_a_long_clip_at_the_very_end_is_padded_with_silence():
    corpus = corpus_of(10, 3)
    for kind in KINDS:
        for clip in Windows(corpus, LONGEST_CLIP, kind).batch(0, 8):
            assert clip.shape == (1, LONGEST_CLIP)
            assert torch.count_nonzero(clip[0, 10:]) == 0
            assert torch.count_nonzero(clip[0, :3]) == 3


def test_padding_hides_the_next_item():
    loud = corpus_of(4, 100)
    loud.samples[:] = 32767
    clips = gather(loud.samples, np.array([0, 90]), np.array([4, 14]), 16)
    assert clips.sum(dim=-1).tolist() == [[4], [14]]
    assert clips[0, 0].tolist() == [1] * 4 + [0] * 12


def test_every_int16_step_becomes_its_share_of_32767():
    steps = np.arange(-32767, 32768)
    samples = torch.from_numpy(steps.astype(np.int16))[:, None]
    clip = gather(samples, np.array([0]), np.array([len(steps)]), len(steps))[0, 0].numpy()
    assert np.array_equal(clip, (steps / 32767).astype(np.float32))
    assert (clip[0], clip[32767], clip[-1]) == (-1, 0, 1)


# Random windows


@pytest.mark.parametrize(("slack", "expected"), [(0, {0}), (1, {0, 1}), (5, {0, 1, 2, 3, 4, 5})])
def test_every_offset_occurs_the_last_included(slack: int, expected: set[int]):
    seen = Counter(offsets(Windows(corpus_of(16 + slack), 16, "random"), 1200).tolist())
    assert set(seen) == expected
    assert max(seen.values()) - min(seen.values()) < 5 * np.sqrt(1200)


def test_a_short_item_is_heard_from_its_start():
    starts, lengths = Windows(corpus_of(3), 16, "random").random_places(0, 50)
    assert set(starts) == {0}
    assert set(lengths) == {3}


def test_items_are_drawn_in_proportion_to_their_length():
    windows = Windows(corpus_of(300, 0, 900, 1800, 1), 100, "random", seed=1)
    places = np.searchsorted([300, 1200, 3000], offsets(windows, 30000), side="right")
    seen = np.bincount(places, minlength=4)
    assert chisquare(seen, 30000 * np.array([300, 900, 1800, 1]) / 3001).pvalue > 1e-3


def test_every_sample_of_the_corpus_is_equally_likely():
    starts, lengths = Windows(corpus_of(0, 1, 1, 0, 2), 1, "random").random_places(0, 4000)
    assert chisquare(np.bincount(starts, minlength=4)).pvalue > 1e-3
    assert lengths.min() == 1, "an item without samples is never drawn"


def test_positions_within_an_item_are_drawn_alike():
    seen = np.bincount(offsets(Windows(corpus_of(1099), 100, "random"), 50000), minlength=1000)
    assert len(seen) == 1000
    assert chisquare(seen).pvalue > 1e-3


# Clips in turn


@pytest.mark.parametrize("kind", ["first", "all"])
def test_each_clip_comes_once_before_one_comes_again(kind: str):
    corpus = corpus_of(*[16] * 10)
    starts = np.concatenate([Windows(corpus, 16, kind).places_in_turn(draw, 4)[0] for draw in range(10)])
    epochs = starts.reshape(4, 10)
    assert [sorted(epoch) for epoch in epochs.tolist()] == [list(range(0, 160, 16))] * 4
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 4, "in a new order each time"


@pytest.mark.parametrize("kind", ["first", "all"])
def test_the_order_does_not_depend_on_the_batch(kind: str):
    windows = Windows(corpus_of(20, 50, 7), 16, kind)
    assert np.array_equal(drawn(windows, 1, 24), drawn(windows, 8, 3))


@pytest.mark.parametrize(("lengths", "tiles"), [([16], 1), ([17], 2), ([1], 1), ([32, 33, 0], 5)])
def test_length_counts_different_clips(lengths: list[int], tiles: int):
    corpus = corpus_of(*lengths)
    assert [len(Windows(corpus, 16, kind)) for kind in KINDS] == [len(lengths), tiles, tiles]


# All kinds


@pytest.mark.parametrize("kind", KINDS)
def test_one_clip_fills_a_batch_of_64(kind: str):
    corpus = corpus_of(16)
    clips = drawn(Windows(corpus, 16, kind), 2, 64)
    assert np.array_equal(clips, np.tile(slowly(corpus, 0, 0, 16), (128, 1, 1)))


@pytest.mark.parametrize("kind", KINDS)
def test_clips_are_a_function_of_seed_and_draw(kind: str):
    corpus = corpus_of(*range(20, 60))
    forwards = [Windows(corpus, 16, kind, seed=5).batch(draw, 8).numpy() for draw in range(6)]
    other_order = Windows(corpus, 16, kind, seed=5)
    backwards = [other_order.batch(draw, 8).numpy() for draw in reversed(range(6))]
    assert np.array_equal(forwards, backwards[::-1])
    assert len({clips.tobytes() for clips in forwards}) == 6, "another draw gives other clips"
    assert not np.array_equal(forwards[0], Windows(corpus, 16, kind, seed=6).batch(0, 8)), "another seed as well"


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_selected_items_are_heard(kind: str):
    whole = corpus_of(20, 30, 40)
    part = whole.select(np.array([False, True, False]))
    heard = {clip.tobytes() for clip in drawn(Windows(part, 16, kind), 4, 16)}
    allowed = {slowly(whole, 1, offset, 16).tobytes() for offset in range(30)}
    assert heard <= allowed


# Speeds


def tone_of(*lengths: int, hertz: float = 1000.0) -> Corpus:
    """Makes items of these lengths, all parts of one sine at 16 kHz."""
    corpus = corpus_of(*lengths)
    sine = torch.sin(2 * torch.pi * hertz / 16000 * torch.arange(sum(lengths)))
    corpus.samples[: sum(lengths), 0] = (20000 * sine).to(torch.int16)
    return corpus


def pitches(clips: torch.Tensor) -> np.ndarray:
    """Returns the frequency of the loudest bin of each clip, in Hz."""
    return torch.fft.rfft(clips[:, 0], 16000).abs().argmax(dim=1).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_each_clip_is_played_at_a_speed_of_its_own(kind: str):
    windows = Windows(tone_of(20000, 8000, 30000), 4096, kind, seed=2, vary_speed=0.25)
    clips = windows.batch(0, 64)
    octaves = np.log2(pitches(clips) / 1000)
    assert clips.shape == (64, 1, 4096)
    assert abs(octaves).max() < 0.26 and octaves.min() < -0.2 and octaves.max() > 0.2
    assert abs(np.median(octaves)) < 0.1, "slower and faster ones are as frequent"
    assert torch.equal(clips[5:9], windows.batch(0, 64, slice(5, 9)))
    assert not windows.batch(0, 64, slice(9, 9)).numel(), "a process without a share of the batch"
    assert not np.array_equal(octaves, np.log2(pitches(windows.batch(1, 64)) / 1000)), "another draw, other speeds"


@pytest.mark.parametrize("kind", KINDS)
def test_a_faster_clip_holds_sound_to_its_end(kind: str):
    clips = Windows(tone_of(9000), 4096, kind, vary_speed=0.5).batch(0, 64)
    loud = clips[torch.from_numpy(pitches(clips) > 1100)][:, 0, -64:].abs().amax(dim=1)
    whole = loud > 0.5
    assert whole.all() if kind != "all" else whole.any(), "the last tile has less sound"


def test_a_short_item_lasts_as_long_as_its_speed_says():
    clips = Windows(tone_of(2048), 4096, "first", vary_speed=0.5).batch(0, 32)
    ends = (clips[:, 0].abs() > 0.05).long() * torch.arange(4096)
    assert np.allclose(ends.amax(dim=1).numpy() * pitches(clips) / 1000, 2048, rtol=0.02)


def test_a_clip_keeps_its_peak_at_any_speed():
    corpus = corpus_of(3000, 3000)
    corpus.samples[:6000] = (corpus.samples[:6000].float() / 2).to(torch.int16)
    corpus.samples[[100, 3100]] = 32767
    peaks = Windows(corpus, 4096, "first", vary_speed=0.3).batch(0, 32).abs().amax(dim=(1, 2))
    torch.testing.assert_close(peaks, torch.ones(32))
    corpus.samples.zero_()
    assert not Windows(corpus, 4096, "first", vary_speed=0.3).batch(0, 8).any()


def test_slow_clips_come_from_all_places_of_an_item():
    windows = Windows(corpus_of(4500), 4096, "random", vary_speed=0.15)
    starts = offsets(windows, 500)
    assert starts.max() > 700, "a clip at 0.9 of its speed takes 3,700 samples"
    assert len(set(starts.tolist())) > 100


def test_a_variation_of_nearly_nothing_leaves_the_sound_as_it_is():
    corpus = corpus_of(20, 50, 7)
    assert torch.equal(Windows(corpus, 16, "all", vary_speed=1e-3).batch(0, 8), Windows(corpus, 16, "all").batch(0, 8))
