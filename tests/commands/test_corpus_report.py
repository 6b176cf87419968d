"""Tests what a training says of its sound: how many labels are held out, and whether that is enough to judge by."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.commands.corpus_report import log_corpora


@pytest.fixture
def told(tmp_path: Path, capfd, console):
    """told(files, …) returns the lines of a training with so many files of each of two labels."""

    def told(files: int, *overrides: str) -> str:
        random = np.random.default_rng(0)
        for label in "ab":
            for number in range(files):
                path = tmp_path / f"sounds{files}" / label / f"{number}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, random.uniform(-1, 1, 2000), 16000)
        words = [f"data.source={tmp_path}/sounds{files}", "data.test=null", "data.clip_samples=4096", *overrides]
        recipe = recipes.load(Path("quickstart"), words)
        log_corpora(recipe, assemble.corpora(recipe))
        return capfd.readouterr().err

    return told


def test_too_little_to_judge_by_is_told_before_the_training(told, tmp_path):
    err = told(2)
    assert "held out: 1 file, 0.1 seconds at 16,000 Hz, 1 label (" in err
    assert (
        "is held out: 1, and wavegan evaluate needs 2 in each; name a folder of more real audio as data.test\n" in err
    )
    assert "wavegan evaluate needs" not in told(2, "evaluation.every=100")
    assert "raise data.holdout, to 0.4 say, or name a folder" in told(5), "4 of 10 files"
    assert "wavegan evaluate needs" not in told(5, "data.holdout=0.4")
    (tmp_path / "judged").mkdir()
    soundfile.write(tmp_path / "judged/other.wav", np.sin(np.arange(2000)), 16000)
    judged = told(9, f"data.test={tmp_path}/judged")
    assert "wavegan evaluate needs 2 in each; name a folder of more real audio as data.test\n" in judged
    assert "wavegan evaluate needs" not in told(30)
