"""Tests what is found wrong with a corpus: sound that is silent, late, shifted, clipped, copied or never reached."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavegan.audio.checks import Cutting, Finding, findings, reached_seconds
from wavegan.audio.corpus import Corpus, Reading, load_corpus

RATE = 16000
FIRST = Cutting(16384, "first")


def tone(hertz: float, seconds: float = 0.5, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def corpus_of(folder: Path, *sounds: np.ndarray, channels: int = 1, rate: int = RATE) -> Corpus:
    """Writes sounds, (frames,) or (frames, channels), as float WAVs and loads them."""
    folder.mkdir(exist_ok=True)
    for number, sound in enumerate(sounds):
        soundfile.write(folder / f"{number}.wav", sound, rate, subtype="FLOAT")
    return load_corpus(str(folder), RATE, channels)


def by_kind(corpus: Corpus, cutting: Cutting = FIRST) -> dict[str, Finding]:
    return {finding.kind: finding for finding in findings(corpus, cutting)}


def test_ordinary_sound_has_no_fault(tmp_path: Path):
    assert findings(corpus_of(tmp_path / "a", *(tone(200 + 50 * number) for number in range(6))), FIRST) == []


def test_silence_is_told_and_nothing_but_silence_is_fatal(tmp_path: Path):
    some = by_kind(corpus_of(tmp_path / "a", tone(200), np.zeros(100), tone(300)))
    assert some["silent"].names == ("1.wav",) and not some["silent"].is_fatal
    assert str(some["silent"]).startswith("1 of 3 files hold nothing but silence (below -60 dBFS) (1.wav)")
    every = findings(corpus_of(tmp_path / "b", np.zeros(100), np.full(50, 5e-4)), FIRST)
    assert every[0].kind == "silent" and every[0].is_fatal and every[0].text.startswith("all files")


def test_a_file_of_nothing_but_a_shift_is_silent_and_noise_on_a_shift_is_quiet(tmp_path: Path):
    noise = 2e-3 * np.sin(np.arange(8000)) + 0.3
    for remove_dc in (False, True):
        folder = tmp_path / str(remove_dc)
        corpus_of(folder, tone(200), np.full(8000, 0.3), noise, noise * 3)
        told = by_kind(load_corpus(str(folder), RATE, 1, reading=Reading(remove_dc=remove_dc)))
        assert told["silent"].names == ("1.wav",) and told["quiet"].names == ("2.wav", "3.wav")


def test_what_is_cut_off_at_full_scale_is_told_unless_it_is_scaled(tmp_path: Path):
    corpus_of(tmp_path / "a", tone(200), tone(300, level=2.5))
    cut = by_kind(load_corpus(str(tmp_path / "a"), RATE, 1, normalize=False))["cut_off"]
    assert cut.names == ("1.wav",) and "beyond full scale, up to 2.5" in cut.text
    assert "cut_off" not in by_kind(load_corpus(str(tmp_path / "a"), RATE, 1))


def test_sound_behind_the_clip_is_late_and_only_for_first_windows(tmp_path: Path):
    late = np.concatenate([np.zeros(20000), tone(200)])
    delayed = np.concatenate([np.zeros(4000), tone(300)])
    corpus = corpus_of(tmp_path / "a", late, delayed, tone(400))
    told = by_kind(corpus)
    assert told["late"].names == ("0.wav",) and "data.trim_silence=true" in told["late"].remedy
    assert told["delayed"].names == ("1.wav",) and "0.25 s" in told["delayed"].text
    assert not {"late", "delayed"} & by_kind(corpus, Cutting(16384, "random")).keys()
    assert by_kind(corpus_of(tmp_path / "b", late))["late"].is_fatal


def test_the_share_that_windows_reach_is_told(tmp_path: Path):
    corpus = corpus_of(tmp_path / "a", tone(200, 10), tone(300, 0.5))
    assert reached_seconds(corpus, FIRST) == pytest.approx(1.024 + 0.5)
    assert reached_seconds(corpus, Cutting(16384, "all")) == pytest.approx(10.5)
    reach = by_kind(corpus)["reach"]
    assert "so 1.5 seconds of 10.5 seconds are learned from" in reach.text and reach.names == ("0.wav",)
    assert "reach" not in by_kind(corpus, Cutting(16384, "random"))


def test_a_shift_from_zero_is_told_in_relation_to_the_peak(tmp_path: Path):
    corpus = corpus_of(tmp_path / "a", tone(200) + 0.3, tone(300), tone(400) + 0.01)
    offset = by_kind(corpus)["offset"]
    assert offset.names == ("0.wav",) and "up to 0.30" in offset.text and "data.remove_dc=true" in offset.remedy


def test_channels_against_each_other_are_told_where_they_are_mixed(tmp_path: Path):
    left, right = tone(200), tone(310)
    against = np.stack([left, -0.8 * left + 0.1 * right], 1)
    apart = np.stack([left, right], 1)
    assert by_kind(corpus_of(tmp_path / "a", against, apart))["phase"].names == ("0.wav",)
    assert "phase" not in by_kind(corpus_of(tmp_path / "a", against, apart, channels=2))
    four = np.stack([left, right, -0.9 * left, -0.9 * right], 1)
    assert by_kind(corpus_of(tmp_path / "b", four, np.stack([left, right] * 2, 1)))["phase"].names == ("0.wav",)


def test_mono_is_told_where_stereo_is_learned(tmp_path: Path):
    same, apart = np.stack([tone(200)] * 2, 1), np.stack([tone(200), tone(300)], 1)
    mixed = corpus_of(tmp_path / "b", same, tone(400), apart, channels=2)
    assert by_kind(mixed)["mono"].text.startswith("2 of 3 files are mono, or hold the same in both channels")
    assert "mono" not in by_kind(corpus_of(tmp_path / "c", tone(400), apart, channels=2)), "as many are stereo"
    assert by_kind(corpus_of(tmp_path / "a", same, channels=2))["mono"].names == ("0.wav",)
    assert "mono" not in by_kind(corpus_of(tmp_path / "a", same))


def test_flat_tops_are_clipped_and_loud_peaks_are_not(tmp_path: Path):
    clipped = np.clip(tone(200, level=3.0), -1, 1)
    assert by_kind(corpus_of(tmp_path / "a", clipped, tone(300, level=1.0)))["clipped"].names == ("0.wav",)


def test_a_lower_rate_is_told(tmp_path: Path):
    soundfile.write(tmp_path / "low.wav", tone(200), 8000)
    assert (
        "wavegan doctor for a recipe with --sample-rate 8000"
        in by_kind(load_corpus(str(tmp_path), RATE, 1))["rate"].remedy
    )


def test_copies_are_counted_beyond_the_first(tmp_path: Path):
    copies = by_kind(corpus_of(tmp_path / "a", tone(200), tone(300), tone(200), 0.5 * tone(300)))["copies"]
    assert copies.names == ("2.wav", "3.wav"), "normalised sound of another level is the same sound"


def test_labels_with_few_files_are_named(tmp_path: Path):
    for label, count in [("kick", 6), ("rare", 2)]:
        corpus_of(tmp_path / label, *(tone(200 + 40 * number + len(label)) for number in range(count)))
    labels = by_kind(load_corpus(str(tmp_path), RATE, 1))["labels"]
    assert "1 of 2 labels have fewer than 5 files: rare" in labels.text and len(labels.names) == 2


def test_the_worst_comes_first_and_one_bad_file_weighs_less_than_many(tmp_path: Path):
    good = [tone(200 + 50 * number) for number in range(9)]
    few = by_kind(corpus_of(tmp_path / "a", *good, tone(900) + 0.4))["offset"]
    many = by_kind(corpus_of(tmp_path / "b", *(sound + 0.4 for sound in good)))["offset"]
    assert few.weight < many.weight
    told = findings(corpus_of(tmp_path / "c", *good, np.clip(tone(200, level=3.0), -1, 1), np.zeros(90)), FIRST)
    assert [finding.weight for finding in told] == sorted((finding.weight for finding in told), reverse=True)
