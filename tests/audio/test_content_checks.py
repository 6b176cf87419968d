"""Tests each check beyond levels: it fires on what is wrong and stays silent on what is right."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from wavegan.audio import listing
from wavegan.audio.checks import Cutting, findings
from wavegan.audio.content import Hearing, Probe
from wavegan.audio.content_checks import Examined, content_findings, too_few_for_labels
from wavegan.audio.corpus import Corpus
from wavegan.audio.decoding import Conversion
from wavegan.audio.measurements import MEASUREMENTS

RATE, COUNT = 16000, 400
FIRST = Cutting(16384, "first")
NAMES = tuple(f"{number:03d}.wav" for number in range(COUNT))


def corpus(**changes):
    measured = np.zeros(COUNT, MEASUREMENTS)
    measured["file_rate"], measured["file_channels"], measured["peak"] = RATE, 1, 0.9
    measured["correlation"] = np.nan
    plain = Corpus(
        torch.zeros(1, 1, dtype=torch.int16),
        np.arange(COUNT) * RATE,
        np.full(COUNT, RATE),
        np.full(COUNT, -1),
        NAMES,
        (),
        {},
        RATE,
        groups=(None,) * COUNT,
        splits=(None,) * COUNT,
        hashes=np.arange(COUNT, dtype=np.uint64),
        measured=measured,
    )
    return replace(plain, **changes)


def examined(**changes):
    probes = [Probe(name, RATE, 1, 7900.0, float("nan")) for name in NAMES[:200]]
    ones, none = np.ones(200, int), np.zeros(50)
    hearing = Hearing(NAMES[:200], ones, ones, np.zeros(200), np.full(200, 0.5), none, none, none > 0, np.zeros(200))
    return replace(Examined(corpus(), FIRST, RATE, probes, hearing, np.zeros(0, int), 0.5), **changes)


def only(found_in):
    """Returns the single finding of an examination."""
    [finding] = content_findings(found_in)
    return finding


def test_nothing_is_wrong_with_good_sound():
    assert content_findings(examined()) == [] and findings(corpus(), FIRST) == []


def test_files_that_need_another_decoder_weigh_by_their_share():
    passed = {listing.OTHER_DECODER: tuple(f"{number}.m4a" for number in range(1200)), listing.NO_SOUND: ("a.txt",)}
    finding = only(examined(corpus=corpus(passed_over=passed)))
    assert finding.kind == "passed over" and finding.weight == pytest.approx(0.3 + 0.6 * 1200 / 1600)
    assert finding.text.startswith("files that need another decoder are not used: 1,200 (0.m4a")
    assert "ffmpeg" in finding.remedy and len(finding.names) == 1200


def test_unusable_files_are_told_by_reason():
    skipped = {"a.wav": "is empty", "b.wav": "is truncated; copy it again", "c.wav": "is truncated; copy it again"}
    first, second = content_findings(examined(corpus=corpus(skipped=skipped)))
    assert "2 files are not used: b.wav is truncated" in first.text and first.remedy == "copy it again"
    assert "1 file is not used: a.wav is empty" in second.text and second.remedy == "repair or remove them"
    assert first.text.endswith("; 1 more like it")
    many = {f"{letter}.wav": f"is bad in way {letter}" for letter in "abcde"}
    *_, last = content_findings(examined(corpus=corpus(skipped=many)))
    assert "5 files are not used in all" in last.text and len(last.names) == 5


def test_repaired_files_are_told():
    alike = corpus(remarks={"a.wav": ["its floats reach 3.5"], "b.wav": ["its floats reach 1,200"]})
    assert (
        "2 files are read with care (a.wav, b.wav); the first: its floats reach 3.5"
        in only(examined(corpus=alike)).text
    )
    finding = only(examined(corpus=corpus(remarks={"a.wav": ["its header lies", "so"]})))
    assert "its header lies; so" in finding.text and "data.strict=true" in finding.remedy


@pytest.mark.parametrize(("dull", "rate", "told"), [(0, RATE, 0), (15, RATE, 0), (100, RATE, 1), (100, 8000, 0)])
def test_an_empty_band_is_told(dull, rate, told):
    probes = [Probe(name, RATE, 1, 3900.0 if place < dull else 7900.0, 0) for place, name in enumerate(NAMES[:200])]
    result = content_findings(examined(probes=probes, sample_rate=rate))
    assert [finding.kind for finding in result] == ["bandwidth"] * told
    if told:
        assert "100 of 200 files of a sample hold nothing above 3.9 kHz" in result[0].text
        assert result[0].weight == pytest.approx(0.3)


def test_several_sounds_in_a_file_matter_to_its_first_clip():
    several = examined()
    sounds = several.hearing.sounds.copy()
    sounds[:100] = 3
    several = replace(several, hearing=several.hearing._replace(sounds=sounds))
    assert "100 of 200 files of a sample hold several sounds" in only(several).text
    assert content_findings(replace(several, cutting=Cutting(16384, "random"))) == []


def test_repeats_in_a_file_matter_to_clips_from_anywhere():
    twice = examined(cutting=Cutting(16384, "random"))
    repeats = twice.hearing.repeats.copy()
    repeats[[2, 5]] = 8.55, 3.0
    twice = replace(twice, hearing=twice.hearing._replace(repeats=repeats))
    finding = only(twice)
    assert finding.text.startswith("2 of 200 files of a sample repeat themselves, the first after 8.6 s (")
    assert finding.names == (NAMES[2], NAMES[5])
    assert content_findings(replace(twice, cutting=FIRST)) == []


def test_near_copies_are_named():
    assert only(examined(near=np.array([3, 7]))).names == ("003.wav", "007.wav")


@pytest.mark.parametrize(("windows", "clips"), [("first", 10), ("all", 40)])
def test_few_clips_are_told(windows, clips):
    few = corpus().select(np.arange(10))
    finding = only(examined(corpus=few, cutting=Cutting(4096, windows)))
    assert f"few different clips, {clips}, which" in finding.text and finding.weight == pytest.approx(
        0.9 - 0.6 * clips / 300
    )


def test_labels_that_lack_or_differ_in_number_are_told():
    labels = np.array([0] * 380 + [1] * 20)
    uneven = corpus(labels=labels, label_names=("kick", "snare"))
    assert "kick has 380 files and snare 20" in only(examined(corpus=uneven)).text
    few = examined(corpus=corpus(labels=np.arange(COUNT) % 200, label_names=tuple(map(str, range(200)))))
    assert content_findings(few) == []
    unlearned = only(replace(few, cutting=FIRST._replace(knows_labels=False)))
    needed = "1,334 are needed (5 each to learn from, as a quarter may be held out)"
    assert unlearned.text == f"200 labels have 400 files in all, and {needed}, so no label is learned"
    labels = np.minimum(np.arange(COUNT) // 4, 7)  # 7 labels of 4 files, and all others of the last
    rare = corpus(labels=labels, label_names=tuple("abcdefgh"))
    unlearned = only(examined(corpus=rare, cutting=FIRST._replace(knows_labels=False)))
    assert unlearned.text == "7 of 8 labels have fewer than 5 files, so no label is learned"
    labels = np.where(np.arange(COUNT) < 3, -1, np.arange(COUNT) % 2)
    missing = only(examined(corpus=corpus(labels=labels, label_names=("kick", "snare"))))
    assert missing.names == NAMES[:3] and "3 of 400 files have no label" in missing.text


def test_what_the_source_keeps_to_judge_by_is_not_learned_from():
    """Of 400 files 100 are the test part, and their labels and clips count for nothing."""
    splits = ("train",) * 300 + ("test",) * 100
    parted = examined(
        corpus=corpus(labels=np.arange(COUNT) % 60, label_names=tuple(map(str, range(60))), splits=splits)
    )
    assert parted.clips == 300 and len(parted.learned.names) == 300
    assert too_few_for_labels(parted.learned, FIRST, is_split=True) == ""
    needed = "60 labels have 300 files in all, and 400 are needed"
    assert too_few_for_labels(parted.learned, FIRST, is_split=False).startswith(needed)
    few = parted.learned.select(np.arange(299))
    assert (
        too_few_for_labels(few, FIRST, is_split=True)
        == "60 labels have 299 files to learn from, and 300 are needed (5 each)"
    )


def test_too_few_groups_to_hold_out_are_told():
    groups = tuple(str(number % 4) for number in range(COUNT))
    assert "there are 4 groups" in only(examined(corpus=corpus(groups=groups))).text
    assert "1 file is in no group" in only(examined(corpus=corpus(groups=(None, *groups[1:])))).text
    many = tuple(str(number % 12) for number in range(COUNT))
    assert content_findings(examined(corpus=corpus(groups=many))) == []


def test_a_test_part_that_is_learned_from_is_told():
    splits = ("test",) * 10 + ("train",) * (COUNT - 10)
    hashes = np.arange(COUNT, dtype=np.uint64)
    assert content_findings(examined(corpus=corpus(splits=splits))) == []
    hashes[:4] = hashes[-4:]
    leak = only(examined(corpus=corpus(splits=splits, hashes=hashes)))
    assert leak.names == NAMES[:4] and "4 of 10 sounds" in leak.text and not leak.is_fatal
    hashes[:10] = hashes[-10:]
    assert only(examined(corpus=corpus(splits=splits, hashes=hashes))).is_fatal
    alone = only(examined(corpus=corpus(splits=("test",) * COUNT)))
    assert alone.is_fatal and "nothing but a test" in alone.text


def test_clips_that_are_mostly_padding_are_told():
    [finding] = findings(corpus(lengths=np.full(COUNT, 1638)), FIRST)
    assert finding.kind == "padding" and "fill 10% of their clips of 1.02 s" in finding.text
    assert "data.clip_samples" in finding.remedy
    [finding] = findings(corpus(lengths=np.full(COUNT, 320)), Cutting(4096, "first"))
    assert finding.remedy == "join them to longer files"


def test_very_quiet_files_are_told():
    quiet = corpus()
    quiet.measured["peak"][:2] = 0.005
    [finding] = findings(quiet, FIRST)
    assert finding.kind == "quiet" and finding.names == NAMES[:2]


def test_what_the_conversion_mends_is_not_told():
    wrong = corpus()
    wrong.measured["offset"], wrong.measured["correlation"] = 0.5, -0.9
    assert {finding.kind for finding in findings(wrong, FIRST)} == {"offset", "phase"}
    mended = replace(wrong, conversion=Conversion(RATE, 1, channel=1, remove_dc=True))
    assert findings(mended, FIRST) == []


def test_rare_labels_do_not_matter_where_none_is_learned():
    rare = corpus(labels=np.arange(COUNT) // 2, label_names=tuple(map(str, range(COUNT // 2))))
    assert [finding.kind for finding in findings(rare, FIRST)] == ["labels"]
    assert findings(rare, FIRST._replace(knows_labels=False)) == []
