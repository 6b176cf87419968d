"""Tests training a source's classifier: which clips are held out, refused and kept, and which accuracy is measured."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from wavegan.audio.corpus import Corpus
from wavegan.audio.splits import hold_out
from wavegan.commands import classifier_data, classify
from wavegan.commands.classifier_data import cut, divide, in_words
from wavegan.commands.classify import as_json, classifier_for, classifier_of, train_classifier
from wavegan.errors import DataError, UserError, some_of
from wavegan.evaluation import classifier_training
from wavegan.evaluation.classifier import Accuracy, Classifier, load
from wavegan.evaluation.clip_format import ClipFormat
from wavegan.evaluation.reference_sets import ReferenceSets

RATE, SAMPLES = 16000, 4096
FORM = ClipFormat(RATE, 1, SAMPLES)
PITCHES = {"low": 300, "high": 4000}


@pytest.fixture(autouse=True)
def short_lessons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains long enough to see which clips are kept, far too short to learn."""
    monkeypatch.setattr(classifier_training, "steps_for", lambda _: 2)


def place(path: Path, label: str, seed: int) -> None:
    """Makes a fading tone of about the label's pitch."""
    random = np.random.default_rng(seed)
    time = np.arange(SAMPLES - random.integers(1000)) / RATE
    tone = np.sin(2 * np.pi * PITCHES[label] * random.uniform(0.9, 1.1) * time) * np.exp(-time * random.uniform(10, 30))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.5 * tone + 0.001 * random.standard_normal(len(time)), RATE)


def make_source(folder: Path, counts: dict[str, int]) -> str:
    for label, count in (counts or {"low": 10, "high": 10}).items():
        for number in range(count):
            place(folder / label / f"{number}.wav", label, seed=len(folder.name) + number)
    return str(folder)


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., str]:
    """source(name, low=…, high=…) makes a folder with so many clips in a sub-folder of each label."""
    return lambda name="tones", **counts: make_source(tmp_path / name, counts)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> classify.ClassifierResult:
    """Trains a classifier enough to tell low from high."""
    folder = tmp_path_factory.mktemp("learned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAVEGAN_CACHE", str(folder / "cache"))
        patch.setattr(classifier_training, "steps_for", lambda _: 60)
        others = make_source(folder / "others", {"low": 4, "high": 5})
        return train(make_source(folder / "tones", {}), folder / "new/ears.pt", test=others)


@pytest.fixture
def lessons(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Records the number of clips of each training."""
    seen = []
    learn = classify.learn
    monkeypatch.setattr(
        classify, "learn", lambda pictures, *a, **k: (seen.append(len(pictures)), learn(pictures, *a, **k))[1]
    )
    return seen


def train(source: str, out: Path, **others) -> classify.ClassifierResult:
    return train_classifier(source, out=out, clip_samples=SAMPLES, device="cpu", **others)


def listen(source: str | list[str], **others):
    return classifier_for(source, FORM._replace(**others), device="cpu")


def corpus_of(labels: str, groups: str = "", names: list[str] | None = None) -> Corpus:
    """Makes silent items whose labels and groups are letters; a dot is no group."""
    label_names = tuple(sorted(set(labels)))
    return Corpus(
        samples=torch.zeros(len(labels), 1, dtype=torch.int16),
        starts=np.arange(len(labels)),
        lengths=np.ones(len(labels), np.int64),
        labels=np.array([label_names.index(label) for label in labels]),
        names=tuple(names or [f"{index}.wav" for index in range(len(labels))]),
        label_names=label_names,
        skipped={},
        sample_rate=RATE,
        groups=tuple(None if group == "." else group for group in groups),
    )


# Training


def test_a_classifier_is_trained_measured_and_written(learned):
    kept = load(learned.path)
    assert learned.path.name == "ears.pt" and learned.labels == ("high", "low") == kept.label_names
    assert learned.clips + learned.accuracy.clips == 20 and learned.clips == kept.clips
    assert 2 <= learned.accuracy.clips < 10
    assert learned.accuracy.value == 1 and learned.test == kept.test == Accuracy(9, 9)
    assert (learned.hash, learned.name) == (kept.identity, kept.name)
    assert (kept.sample_rate, kept.clip_samples, kept.seed) == (RATE, SAMPLES, 0)
    assert learned.split == kept.split == "a share of 0.2 of each label, chosen by file name"
    assert kept.name.startswith(f"{learned.path.parents[1].name}/tones classifier {kept.identity[:6]} (100.0 % of ")


def test_what_is_told_on_the_way(source, tmp_path, capfd, console):
    result = train(source(low=4, high=4), tmp_path / "ears.pt", test=source("others", low=2, high=1))
    err = capfd.readouterr().err
    assert f"learning 2 labels from {result.clips} clips of {tmp_path.name}/tones; " in err
    assert f"recognised: {result.accuracy}\nof {tmp_path.name}/others: {result.test}\n" in err


def test_its_result_as_plain_values(learned):
    plain = json.loads(json.dumps(as_json(learned)))
    for name, accuracy in (("accuracy", learned.accuracy), ("test", learned.test)):
        low, high = accuracy.interval
        assert plain[name] == {"value": accuracy.value, "low": low, "high": high, "n": accuracy.clips}
    assert (plain["labels"], plain["path"]) == (["high", "low"], str(learned.path))
    assert as_json(replace(learned, test=None))["test"] is None


def test_the_same_source_and_seed_give_the_same(source, tmp_path):
    folder = source(low=4, high=4)
    first, again, other = (train(folder, tmp_path / "ears.pt", seed=seed).hash for seed in (3, 3, 4))
    assert first == again != other


def test_files_without_a_label_and_broken_ones_are_left_out_with_a_line(source, tmp_path, capfd, console):
    folder = source(low=3, high=3)
    place(Path(folder) / "loose.wav", "low", 0)
    (Path(folder) / "low/broken.wav").write_bytes(b"")
    result = train(folder, tmp_path / "ears.pt")
    err = capfd.readouterr().err
    assert result.clips + result.accuracy.clips == 6
    assert (
        "1 files without a label are left out" in err and "1 files cannot be used and are left out: low/broken" in err
    )


# What is refused


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: {"low": 3}, "low is the only label; a classifier needs two or more labels"),
        (
            lambda: {"low": 1, "high": 1},
            "each of the 2 labels has a single clip; at least one label needs two clips or more",
        ),
    ],
    ids=["one label", "one clip each"],
)
def test_a_source_that_cannot_be_learned_is_refused(source, tmp_path, make, reason):
    with pytest.raises(DataError, match=reason):
        train(source(**make()), tmp_path / "ears.pt")
    assert not (tmp_path / "ears.pt").exists()


def test_a_source_without_labels_is_refused(sounds, tmp_path):
    with pytest.raises(DataError, match=r"sounds has no labels; .* sub-folder .* metadata\.csv; sort the files"):
        train(str(sounds(3)), tmp_path / "ears.pt")


def test_only_a_classifier_is_written_over(source, tmp_path, lessons):
    (tmp_path / "song.wav").write_bytes(b"my only copy")
    for taken in (tmp_path / "song.wav", tmp_path):
        with pytest.raises(DataError, match="exists and is not a classifier; .* another file with `out`"):
            train(source(), taken)
    assert (tmp_path / "song.wav").read_bytes() == b"my only copy" and not lessons


def test_a_test_source_of_other_labels_is_refused_before_the_work(source, tmp_path, lessons):
    place(tmp_path / "words/yes/0.wav", "low", 0)
    with pytest.raises(DataError, match="words are yes, and the classifier knows high, low; at least one must"):
        train(source(), tmp_path / "ears.pt", test=str(tmp_path / "words"))
    assert not lessons


# What is held out


def test_of_each_label_some_is_held_out_and_some_is_learned():
    names = [f"{index}.wav" for index in range(0, 60)]
    labels = "a" * 50 + "b" * 5 + "c" * 2 + "d" * 3
    training, held_out, split = divide(corpus_of(labels, names=names), FORM)
    for label, count in enumerate((50, 5, 2, 3)):
        learned, held = (int((part.labels == label).sum()) for part in (training, held_out))
        assert learned + held == count and learned >= 1 and held >= 1
    assert sorted(training.names + held_out.names) == sorted(names)
    assert split == "a share of 0.2 of each label, chosen by file name"


def test_a_single_clip_of_a_label_is_learned_from():
    for first in range(30):
        training, held_out, _ = divide(corpus_of("aab", names=[f"{first + index}" for index in range(3)]), FORM)
        assert (training.labels.tolist(), held_out.labels.tolist()) == ([0, 1], [0])


def test_what_a_recipe_holds_out_is_not_learned_from():
    """The same hash decides, so a tenth that is held out from a model is held out from its classifier too."""
    whole = corpus_of("ab" * 500)
    assert set(hold_out(whole, 0.1)[1].names) <= set(divide(whole, FORM)[1].names)


def test_groups_are_never_on_both_sides():
    random = np.random.default_rng(0)
    for count in (2, 3, 5, 26):
        groups = "".join(random.choice(list("abcdefghijklmnopqrstuvwxyz"[:count]), 400))
        training, held_out, split = divide(corpus_of("xy" * 200, groups), FORM)
        assert not set(training.groups) & set(held_out.groups)
        assert set(training.groups) | set(held_out.groups) == set(groups)
        assert 0.1 < len(held_out.names) / 400 <= 0.55
        assert split.startswith(f"{len(set(held_out.groups))} of {count} groups, ")


def test_many_small_groups_make_up_the_share():
    groups = "".join(chr(0x4E00 + index // 4) for index in range(400))
    _, held_out, _ = divide(corpus_of("xy" * 200, groups), FORM)
    assert len(held_out.names) == 80


def test_most_of_the_clips_are_never_held_out():
    """Tries both orders of the two names."""
    for large, small in ("ab", "ba"):
        _, held_out, _ = divide(corpus_of("xy" * 20, large * 36 + small * 4), FORM)
        assert set(held_out.groups) == {small}


def test_nobody_without_a_group_is_held_out_beside_groups():
    _, held_out, split = divide(corpus_of("xy" * 20, "aabb" * 5 + "." * 20), FORM)
    assert set(held_out.groups) in ({"a"}, {"b"}) and len(held_out.names) == 10
    assert split in [f"1 of 2 groups, {name}, none of whose clips is learned from" for name in "ab"]


@pytest.mark.parametrize(
    ("labels", "groups"),
    [("xy" * 10, "a" * 20), ("x" * 10 + "y" * 10, "a" * 10 + "b" * 10), ("xy" * 10, "a" * 20)],
    ids=["one group", "a group for each label", "another"],
)
def test_groups_that_cannot_be_kept_apart_are_told_and_not_used(labels, groups, capfd, console):
    training, held_out, split = divide(corpus_of(labels, groups), FORM)
    assert split.endswith("chosen by file name") and len(training.names) > len(held_out.names) > 0
    assert "are not kept apart: " in capfd.readouterr().err


def test_a_group_that_alone_has_a_label_is_learned_from():
    for name in "abcdefgh":
        training, held_out, _ = divide(corpus_of("xyxyxyxyz", "pqrspqrs" + name), FORM)
        assert name in training.groups and held_out.groups


def test_groups_of_a_table_reach_the_split(source, tmp_path):
    folder = Path(source(low=6, high=6))
    lines = [f"{label}/{n}.wav,{label},speaker {n % 3}" for label in ("low", "high") for n in range(6)]
    (folder / "metadata.csv").write_text("file_name,label,group\n" + "\n".join(lines) + "\n")
    result = train(str(folder), tmp_path / "ears.pt")
    assert result.split.startswith("1 of 3 groups, speaker ") and result.accuracy.clips == 4


# What is kept


def test_a_classifier_is_trained_once(source, lessons, cache):
    folder = source(low=4, high=4)
    first, second = listen(folder), listen([folder])
    assert first and second and first.identity == second.identity and first.name == second.name
    assert len(lessons) == 1
    assert [path.suffix for path in sorted((cache / "classifiers").iterdir())] == [".lock", ".pt"]


@pytest.mark.parametrize("change", ["rate", "length", "label", "group", "sound"])
def test_whatever_changes_is_learned_anew(source, lessons, change):
    folder = Path(source(low=4, high=4))
    rows = [f"{label}/{n}.wav,{label},{n}" for label in ("low", "high") for n in range(4)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,label,group", *rows]))
    listen(str(folder))
    others: dict[str, Any] = {"rate": {"sample_rate": 8000}, "length": {"clip_samples": 2048}}.get(change, {})
    rows[0] = {"label": "low/0.wav,high,0", "group": "low/0.wav,low,9"}.get(change, rows[0])
    (folder / "metadata.csv").write_text("\n".join(["file_name,label,group", *rows]))
    if change == "sound":
        place(folder / "low/0.wav", "low", seed=99)
    listen(str(folder), **others)
    assert len(lessons) == 2


def test_a_kept_file_that_is_damaged_is_made_anew(source, lessons, cache, capfd, console):
    folder = source(low=4, high=4)
    first = listen(folder)
    (path,) = (cache / "classifiers").glob("*.pt")
    path.write_bytes(path.read_bytes()[:-99])
    again = listen(folder)
    assert first and again and first.identity == again.identity and len(lessons) == 2
    assert "a new one is trained" in capfd.readouterr().err
    assert listen(folder) and len(lessons) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="files there have no owner's number")
def test_a_kept_classifier_of_another_user_is_not_trusted(source, lessons, cache, give_away, capfd, console):
    folder = source(low=4, high=4)
    first = listen(folder)
    (path,) = cache.glob("classifiers/*.pt")
    give_away(path)
    again = listen(folder)
    assert len(lessons) == 2 and first and again and again.identity == first.identity
    assert f"{path} belongs to another user and is not trusted; a new one is trained" in capfd.readouterr().err
    if os.getuid() == 0:
        assert path.stat().st_uid == 0, "the new one takes the other's place"
        assert listen(folder) and len(lessons) == 2


def test_an_own_classifier_under_the_name_of_another_is_not_trusted(source, lessons, cache, capfd, console):
    """Who may write to the folder may rename files that he does not own."""
    first, second = source("first", low=4, high=4), source("second", low=4, high=5)
    forged = listen(first)
    (path,) = cache.glob("classifiers/*.pt")
    kept = listen(second)
    (other,) = set(cache.glob("classifiers/*.pt")) - {path}
    path.rename(other)
    again = listen(second)
    assert forged and kept and again and forged.identity != again.identity == kept.identity and len(lessons) == 3
    assert f"{other} cannot be read (it was written under another name)" in capfd.readouterr().err
    assert listen(second) and len(lessons) == 3


def test_training_without_a_place_makes_the_one_that_is_looked_for(source, lessons):
    folder = source(low=4, high=4)
    result = train_classifier(folder, clip_samples=SAMPLES, device="cpu")
    listener = listen(folder)
    assert listener and listener.identity == result.hash and len(lessons) == 1
    assert train_classifier(folder, clip_samples=SAMPLES, seed=1, device="cpu").path != result.path


def test_a_source_without_usable_labels_has_none(source, sounds, capfd, console):
    assert listen(str(sounds(3))) is None
    assert listen(source("one", low=3)) is None
    assert listen(source("few", low=1, high=1)) is None
    assert (
        "no classifier was trained, so its metrics are left out: each of the 2 labels has a single clip"
        in capfd.readouterr().err
    )


def test_which_classifier_an_evaluation_takes(source, tmp_path, lessons, capfd, console):
    folder = source(low=4, high=4)
    result = train(folder, tmp_path / "ears.pt")
    clips = None  # not looked at
    real_sound = ReferenceSets(FORM, clips, clips, clips, "", labelled=(folder,))  # type: ignore[arg-type]
    bare = ReferenceSets(FORM, clips, clips, clips, "")  # type: ignore[arg-type]
    capfd.readouterr()
    assert classifier_of("none", real_sound) is None and not capfd.readouterr().err
    assert classifier_of(None, bare) is None
    assert "kad_c, fad_c, inception_score, mis, am; --classifier FILE names a classifier" in capfd.readouterr().err
    named = classifier_of(str(tmp_path / "ears.pt"), bare, device="cpu")
    assert named and named.identity == result.hash and len(lessons) == 1
    trained = classifier_of(None, real_sound, device="cpu")
    assert trained and trained.identity == result.hash and len(lessons) == 2


# Measuring elsewhere


def accuracy_on(ears: Classifier, source: str) -> Accuracy:
    form = ClipFormat(ears.sample_rate, 1, ears.clip_samples, True)
    return classify._measure(ears, classifier_data.known_clips(source, form, ears.label_names))


def test_accuracy_on_another_source(learned, source, capfd, console):
    ears = load(learned.path)
    other = Path(source("others", low=3, high=4))
    assert accuracy_on(ears, str(other)) == Accuracy(7, 7)
    shutil.move(other / "high", other / "HIGH ")
    assert accuracy_on(ears, str(other)) == Accuracy(7, 7), "the spelling does not matter"
    shutil.move(other / "HIGH ", other / "aside")
    shutil.move(other / "low", other / "high")
    shutil.move(other / "aside", other / "low")
    place(other / "zebra/0.wav", "low", 0)
    place(other / "yak/0.wav", "low", 0)
    assert accuracy_on(ears, str(other)) == Accuracy(0, 7)
    assert "labels that the classifier does not know are left out: yak, zebra" in capfd.readouterr().err


@pytest.mark.parametrize("label", ["low", "high"])
def test_labels_go_by_name_and_not_by_number(learned, source, label):
    """A source of one label numbers it 0, whatever its number in the classifier."""
    assert accuracy_on(load(learned.path), source("others", **{label: 5})) == Accuracy(5, 5)


# Words


def test_sources_in_words():
    assert in_words("drum_machine") == in_words(["drum_machine"]) == "drum_machine"
    assert in_words("data/digits/train") == "data/digits/train"
    assert in_words(["/home/jo/my/drums", "sc09/test"]) == "my/drums and sc09/test"


def test_many_names_in_words():
    assert some_of("abcde") == "a, b, c, d, e" and some_of("abcdefg") == "a, b, c, d, e and 2 more"


# Long recordings


def long_corpus(seconds: dict[str, list[float]]) -> Corpus:
    """Makes long items, by label; each sample holds its own place, so a clip tells where it was cut."""
    lengths = np.array([round(value * RATE) for values in seconds.values() for value in values])
    samples = torch.arange(lengths.sum()) % 30000
    return Corpus(
        samples=samples[:, None].to(torch.int16),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        labels=np.repeat(np.arange(len(seconds)), [len(values) for values in seconds.values()]),
        names=tuple(f"{label}/{number}.wav" for label, values in seconds.items() for number in range(len(values))),
        label_names=tuple(seconds),
        skipped={},
        sample_rate=RATE,
    )


ANYWHERE = FORM._replace(windows="random")


def test_of_few_long_recordings_the_ends_are_held_out():
    whole = long_corpus({"rain": [40], "wind": [20, 0.5]})
    training, held_out, split = divide(whole, ANYWHERE)
    assert split == "the last 0.2 of each sound that is long enough"
    assert training.names == whole.names and held_out.names == ("rain/0.wav", "wind/0.wav")
    assert (training.lengths / RATE).tolist() == [32, 16, 0.5] and (held_out.lengths / RATE).tolist() == [8, 4]
    assert divide(long_corpus({"rain": [9] * 9, "wind": [9] * 9}), ANYWHERE)[2].endswith("chosen by file name")
    with pytest.raises(DataError, match="single clip"):
        divide(long_corpus({"rain": [40], "wind": [40]}), FORM)


def test_clips_of_long_recordings_lie_side_by_side_without_short_rests():
    clips = cut(long_corpus({"rain": [2.5 * SAMPLES / RATE], "wind": [2.4 * SAMPLES / RATE, 100 / RATE]}), ANYWHERE)
    begun = round(2.5 * SAMPLES)
    assert clips.starts.tolist() == [0, SAMPLES, 2 * SAMPLES, begun, begun + SAMPLES, begun + round(2.4 * SAMPLES)]
    assert clips.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_label_with_hours_of_sound_has_clips_from_all_of_it(monkeypatch):
    monkeypatch.setattr(classifier_data, "MOST_OF_LABEL", 10)
    clips = cut(long_corpus({"rain": [25 * SAMPLES / RATE], "wind": [4 * SAMPLES / RATE]}), ANYWHERE)
    assert (clips.starts[clips.labels == 0] // SAMPLES).tolist() == [0, 3, 6, 9, 12, 15, 18, 21, 24]
    assert (clips.labels == 1).sum() == 4


def test_a_classifier_of_long_recordings_learns_from_all_of_them(tmp_path, lessons, console, capfd):
    random = np.random.default_rng(0)
    for label, pitch in PITCHES.items():
        (tmp_path / "long" / label).mkdir(parents=True)
        tone = np.sin(2 * np.pi * pitch * np.arange(20 * SAMPLES) / RATE) + 0.01 * random.standard_normal(20 * SAMPLES)
        soundfile.write(tmp_path / "long" / label / "one.wav", 0.5 * tone, RATE)
    source = str(tmp_path / "long")
    assert listen(source) is None
    assert "clips are the first 0.26 s of each sound, 5% of it all; " in capfd.readouterr().err
    random_windows = listen(source, windows="random")
    assert random_windows is not None and lessons == [32] and random_windows.held_out.clips == 8
    same = listen(source, windows="all")
    assert same is not None and same.identity == random_windows.identity and lessons == [32]
    assert train(source, tmp_path / "all.pt", windows="all").clips == 32
    with pytest.raises(UserError, match="windows"):
        train(source, tmp_path / "other.pt", windows="random")
