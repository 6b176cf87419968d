"""Tests which items count as the same sound: copies by hash, near copies by their waveforms, and nothing else."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavegan.audio import duplicates
from wavegan.audio.corpus import Corpus, load_corpus
from wavegan.audio.duplicates import clusters
from wavegan.audio.splits import halves, hold_out, keeps_groups

RATE = 16000


def hit(number: int, seconds: float = 0.5) -> np.ndarray:
    """Makes a decaying tone with noise, another for each number."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(number).normal(size=time.size)
    return 0.5 * (np.sin(2 * np.pi * (150 + 47 * number) * time) + 0.3 * noise) * np.exp(-6 * time) / 1.6


def as_mp3(sound: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    soundfile.write(file, sound, RATE, format="MP3")
    file.seek(0)
    return soundfile.read(file)[0]


NEAR = {
    "quieter": lambda sound: 0.1 * sound,
    "upside down": lambda sound: -sound,
    "later": lambda sound: np.concatenate([np.zeros(3000), sound]),
    "with hiss": lambda sound: sound + np.random.default_rng(9).normal(scale=2e-3, size=len(sound)),
    "mp3": as_mp3,
}


def corpus_of(folder: Path, **sounds: np.ndarray) -> Corpus:
    folder.mkdir(exist_ok=True)
    for name, sound in sounds.items():
        soundfile.write(folder / f"{name}.wav", sound, RATE, subtype="FLOAT")
    return load_corpus(str(folder), RATE, 1)


def test_copies_belong_to_the_first_of_them(tmp_path: Path):
    corpus = corpus_of(tmp_path / "a", a=hit(0), b=hit(1), c=hit(0), d=hit(1), e=hit(2))
    assert clusters(corpus, near=False).tolist() == [0, 1, 0, 1, 4]


@pytest.mark.parametrize("kind", NEAR)
def test_near_copies_are_found_and_other_sounds_are_not(tmp_path: Path, kind: str):
    sounds = {f"s{number:02d}": hit(number) for number in range(20)}
    corpus = corpus_of(tmp_path / "a", **sounds, zz=NEAR[kind](hit(7)))
    assert corpus.names[-1] == "zz.wav"
    expected = [*range(20), 7]
    assert clusters(corpus).tolist() == expected
    assert clusters(corpus).tolist() == expected, "from the cache"


def test_pairs_are_kept_and_taken_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sounds = {f"s{number:02d}": hit(number) for number in range(20)}
    corpus = corpus_of(tmp_path / "a", **sounds, zz=0.1 * hit(7))
    first = clusters(corpus).tolist()
    monkeypatch.setattr(duplicates, "_near_pairs", None)
    assert clusters(corpus).tolist() == first


def test_a_large_family_of_alike_sounds_is_not_one_sound(tmp_path: Path):
    alike = {f"v{number:02d}": hit(0) + 0.02 * hit(number + 1) for number in range(10)}
    corpus = corpus_of(tmp_path / "a", **alike, **{f"w{number}": hit(number + 20) for number in range(5)})
    assert len(list(duplicates._near_pairs(corpus, np.arange(15)))) > 5
    assert clusters(corpus).tolist() == list(range(15))


def test_more_items_than_can_be_compared_are_compared_by_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(duplicates, "MOST_ITEMS", 3)
    corpus = corpus_of(tmp_path / "a", a=hit(0), b=0.1 * hit(1), c=hit(2), d=hit(1), e=hit(3))
    assert clusters(corpus).tolist()[:3] == [0, 1, 2]


def test_copies_and_near_copies_fall_on_one_side_of_the_split(tmp_path: Path):
    sounds = {f"s{number:02d}": hit(number) for number in range(60)}
    copies = {f"copy{number:02d}": hit(number) for number in range(20)}
    near = {f"near{number:02d}": 0.2 * hit(number) + 1e-4 * hit(99) for number in range(20, 40)}
    corpus = corpus_of(tmp_path / "a", **sounds, **copies, **near)
    kept, held = hold_out(corpus, 0.3)
    assert len(held.names) > 5 and len(kept.names) > 30
    held_numbers = {name[-6:-4] for name in held.names}
    assert not held_numbers & {name[-6:-4] for name in kept.names}


def test_whole_groups_are_held_out_if_there_are_enough(tmp_path: Path):
    folder = tmp_path / "a"
    corpus_of(folder, **{f"s{number:02d}": hit(number) for number in range(36)})
    rows = "".join(f"s{number:02d}.wav,speaker{number % 12}\n" for number in range(36))
    (folder / "metadata.csv").write_text("file_name,group\n" + rows)
    corpus = load_corpus(str(folder), RATE, 1)
    assert keeps_groups(corpus)
    kept, held = hold_out(corpus, 0.3)
    assert held.names and not set(kept.groups) & set(held.groups)
    few = corpus.select(np.arange(36) % 12 < 9)
    assert not keeps_groups(few)


def test_copies_fall_into_one_half_of_what_is_held_out(tmp_path: Path):
    sounds = {f"s{number:02d}": hit(number) for number in range(40)}
    corpus = corpus_of(tmp_path / "a", **sounds, **{f"copy{number:02d}": hit(number) for number in range(40)})
    first, second = halves(corpus)
    assert len(first.names) == len(second.names) == 40
    both = {name[-6:-4] for name in first.names} & {name[-6:-4] for name in second.names}
    assert len(both) <= 1
