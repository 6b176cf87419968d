"""What the job of evaluating hands to the page: the clips that belong to the figures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from wavegan.commands import evaluate as job
from wavegan.commands.evaluation_data import ground_of_folders
from wavegan.commands.judging_options import JudgingOptions
from wavegan.errors import DataError
from wavegan.evaluation.clip_format import common_form
from wavegan.evaluation.evaluate import Reference
from wavegan.evaluation.features import Features, extract
from wavegan.evaluation.pages.report import Report


@pytest.fixture
def folders(sounds: Callable[..., Path]) -> tuple[Path, Path, Path]:
    """Made, real and training clips, all tones of different pitch."""
    made, real, training = (sounds(count, name=name) for count, name in ((5, "made"), (12, "real"), (7, "training")))
    return made, real, training


def test_the_page_shows_each_clip_beside_those_that_its_distances_are_to(folders, tmp_path, monkeypatch):
    made, real, training = folders
    shown: list[Report] = []
    monkeypatch.setattr(job, "write_report", lambda _, report: shown.append(report))
    job.evaluate(made, JudgingOptions(data=real, training=training, classifier="none"), out=tmp_path / "out")
    [report] = shown
    ground = ground_of_folders(common_form(made), real, training, seed=0)
    reference = Reference(ground.reference.first(5), 16000)

    def place(clip: torch.Tensor) -> np.ndarray:
        seen: Features = reference.extract([clip[None]])
        return seen["log_mel"][0]

    assert len(report.likeness) == 5
    for one in report.likeness:
        assert torch.equal(one.generated, report.generated[one.number])
        to_training = np.linalg.norm(place(one.generated) - place(one.training))
        to_held_out = np.linalg.norm(place(one.generated) - place(one.held_out))
        # Distances come from sums over products, so equal clips are 1e-6 apart.
        assert (to_training, to_held_out) == pytest.approx((one.to_training, one.to_held_out), abs=1e-5)
    assert len({one.to_training for one in report.likeness}) > 1, "the clips are told apart"


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


def test_clips_too_short_for_spectra_are_refused(sounds):
    with pytest.raises(DataError, match="the longest file of .*blips has 160 samples.*1,024 or more; give longer"):
        job.evaluate(sounds(3, seconds=0.01, name="blips"), JudgingOptions(data=sounds(9, name="real")))
