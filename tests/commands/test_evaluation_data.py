"""Tests the clips that evaluation passes to the page: they belong to the figures."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from wavegan import generation
from wavegan.commands import evaluate as job
from wavegan.commands.clip_arrays import ClipArray
from wavegan.commands.judging_options import JudgingOptions
from wavegan.errors import DataError
from wavegan.evaluation.copies import nearest_copies, pictures
from wavegan.evaluation.features import extract
from wavegan.evaluation.pages.report import Report


@pytest.fixture
def folders(sounds: Callable[..., Path]) -> tuple[Path, Path, Path]:
    """Makes folders of generated, real and training clips, all tones of different pitch."""
    made, real, training = (sounds(count, name=name) for count, name in ((5, "made"), (12, "real"), (7, "training")))
    return made, real, training


def test_the_page_shows_each_clip_beside_those_that_its_distances_are_to(folders, tmp_path, monkeypatch):
    made, real, training = folders
    shown: list[Report] = []
    monkeypatch.setattr(job, "write_report", lambda _, report: shown.append(report))
    job.evaluate(made, JudgingOptions(data=real, training=training, classifier="none"), out=tmp_path / "out")
    [report] = shown

    def distance(clip: torch.Tensor, other: torch.Tensor) -> float:
        [value], _ = nearest_copies(pictures(clip[None], 16000), pictures(other[None], 16000))
        return float(value)

    assert len(report.likeness) == 5
    for likeness in report.likeness:
        assert torch.equal(likeness.generated, report.generated[likeness.number])
        assert distance(likeness.generated, likeness.training) == pytest.approx(likeness.to_training, abs=1e-5)
        assert distance(likeness.generated, likeness.held_out) == pytest.approx(likeness.to_held_out, abs=1e-5)
    assert len({likeness.to_held_out for likeness in report.likeness}) > 1, "the clips are told apart"


def test_spectra_and_frequencies_are_those_of_the_clips(folders, tmp_path, monkeypatch):
    made, real, _ = folders
    shown: list[Report] = []
    monkeypatch.setattr(job, "write_report", lambda _, report: shown.append(report))
    job.evaluate(made, JudgingOptions(data=real, classifier="none"), out=tmp_path / "out")
    [report] = shown
    expected = 10 * np.log10(extract([report.generated], 16000)["spectrum"].mean(axis=0).clip(min=1e-12))
    np.testing.assert_allclose(report.spectra["generated"], expected, rtol=1e-5)
    assert report.frequencies[0] == 0 and report.frequencies[-1] == 8000
    assert report.likeness == [] and report.walk is None and report.labels is None and report.history == []


def test_sounds_that_are_judged_by_themselves_are_told(folders, tmp_path, sounds, caplog):
    made, real, _ = folders
    job.evaluate(made, JudgingOptions(data=real, classifier="none"), out=tmp_path / "out")
    assert f"5 of 5 sounds of {made} are also in {real}, which flatters it" in caplog.text
    caplog.clear()
    array = ClipArray(np.stack([soundfile.read(path, dtype="float32")[0][None] for path in real.rglob("*.wav")]), 16000)
    array.clips[:7] = 0  # silence is no copy
    job.evaluate(array, JudgingOptions(data=real, classifier="none"), out=tmp_path / "array")
    assert f"5 of 12 sounds of the array are also in {real}, which flatters it" in caplog.text
    caplog.clear()
    others = sounds(6, rate=8000, name="others")
    job.evaluate(others, JudgingOptions(data=real, classifier="none"), out=tmp_path / "other")
    assert "flatters" not in caplog.text


def test_files_that_are_left_out_are_told_once(folders, tmp_path, caplog):
    made, real, _ = folders
    names = sorted(path.name for path in real.iterdir())
    (real / "metadata.csv").write_text("\n".join(["file_name,category", *(f"{name},a" for name in names[:8])]))
    for number in range(3):
        (made / f"take-{number}.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    caplog.set_level("INFO")
    job.evaluate(made, JudgingOptions(data=real, classifier="none"), out=tmp_path / "out")
    for line in (
        f"{made}: passed over: 3 that need another decoder; convert them to WAV or FLAC, e.g. with ffmpeg (take-0.m4a",
        f"{real}: passed over: 4 that are not listed in metadata.csv ({names[8]}",
        f"{real}: The labels are taken from the column category of metadata.csv.",
    ):
        assert caplog.text.count(line) == 1, line


def test_copies_are_found_although_some_of_the_real_sounds_are_learned_from_too(tmp_path, sounds, caplog):
    """Judges near copies, of another sample rate: by real sounds that are copies themselves, none of them counts."""
    training, real, made = sounds(12, name="training"), sounds(28, name="real"), sounds(12, rate=8000, name="made")
    judging = JudgingOptions(data=real, training=training, classifier="none")
    result = job.evaluate(made, judging, out=tmp_path / "out")
    assert f"12 of 28 sounds of {real} are also learned from, so they are not used to judge" in caplog.text
    assert result.facts["held out"].startswith(f"all of {real} that is not learned from;")
    assert result.scores["generated"]["copy_share"]["value"] == 1
    job.evaluate(training, judging, out=tmp_path / "same")
    assert "flatters" not in caplog.text, "the sounds that they are copies of do not judge"


def test_a_label_in_another_spelling_is_obeyed():
    model = SimpleNamespace(labels=2, label_names=("Kick", "Re\u0301sonant"), label_counts=())
    rows = generation.numbered_labels(model, range(8), seed=0)  # type: ignore[arg-type]
    classifier, seen = SimpleNamespace(label_names=("kick", "r\u00e9sonant")), {"probabilities": np.asarray(rows)}
    share, words = job._obeyed(model, seen, classifier, 0)  # type: ignore[arg-type]
    assert share == 1 and words.startswith("100.0% of the clips") and "does not know" not in words


def test_an_array_in_a_file_is_refused_with_the_way_to_judge_it(tmp_path, sounds):
    np.save(tmp_path / "clips.npy", np.zeros((30, 1, 4096), np.float32))
    with pytest.raises(DataError, match=r"clips.npy holds an array; .* in Python: wavegan.evaluate\(numpy.load\("):
        job.evaluate(tmp_path / "clips.npy", JudgingOptions(data=sounds(9, name="real")))


def test_clips_too_short_for_spectra_are_refused(sounds):
    with pytest.raises(DataError, match="the longest file of .*blips has 160 samples.*1,024 or more; give longer"):
        job.evaluate(sounds(3, seconds=0.01, name="blips"), JudgingOptions(data=sounds(9, name="real")))
