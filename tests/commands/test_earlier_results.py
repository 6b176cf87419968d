"""Tests that results about something else are kept, or that their end is told."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from wavegan.commands.clip_arrays import ClipArray
from wavegan.commands.earlier_results import mark, results_folder, subject_of, tell_replaced
from wavegan.commands.evaluation_data import Candidate, clips_in_memory
from wavegan.commands.judging_options import JudgingOptions
from wavegan.generation import Model
from wavegan.models.inverse_stft import Generator

DATA = JudgingOptions(data=Path("real"))
CLIPS = clips_in_memory(np.zeros((2, 1, 8), np.float32))


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def folder(path: str) -> Candidate:
    return Candidate(Path(path).name, CLIPS, Path(path))


def model(path: str, seed: int) -> Candidate:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        generator = Generator(64, dim=4, latent_dim=3, window=16, hop=8)
    return Candidate("a model", CLIPS, Path(path), model=Model(generator, 64, 1, 8000, "a model", 3, ()))


def written(place: str, subject: str) -> None:
    page = Path(place, "report.html")
    page.parent.mkdir(parents=True)
    page.write_text("<html></html>\n")
    mark(page, subject)


def place_of(*candidates: Candidate, options: JudgingOptions = DATA, array: ClipArray | None = None) -> str:
    return results_folder(Path("evaluation/clips"), "report.html", subject_of(candidates, options, array)).as_posix()


def test_the_usual_folder_is_taken_again_for_the_same_alone(here, caplog):
    caplog.set_level(logging.INFO)
    first, other = folder("a/clips"), folder("b/clips")
    assert place_of(first) == "evaluation/clips"
    written("evaluation/clips", subject_of([first], DATA))
    assert place_of(first) == "evaluation/clips" and place_of(folder(f"{here}/b/../a/clips")) == "evaluation/clips"
    assert not caplog.messages
    assert place_of(other) == "evaluation/clips-2"
    assert caplog.messages == ["evaluation/clips holds other results, so these are written to evaluation/clips-2"]
    written("evaluation/clips-2", subject_of([first], JudgingOptions(data=Path("unreal"))))
    assert place_of(other) == "evaluation/clips-3" and place_of(first) == "evaluation/clips"


@pytest.mark.parametrize(
    "options", [JudgingOptions(), JudgingOptions(data=Path("real"), training=Path("learned"))], ids=str
)
def test_the_sound_to_judge_by_makes_the_difference_and_the_count_does_not(here, options):
    first = folder("a/clips")
    written("evaluation/clips", subject_of([first], DATA))
    assert place_of(first, options=options) == "evaluation/clips-2"
    assert place_of(first, folder("b")) == "evaluation/clips-2"
    assert place_of(first, options=JudgingOptions(data=Path("real"), count=5, seed=3)) == "evaluation/clips"


def test_a_model_is_known_by_its_weights_wherever_it_lies(here):
    written("evaluation/clips", subject_of([model("run", 0)], DATA))
    assert place_of(model("moved", 0)) == "evaluation/clips" and place_of(model("run", 1)) == "evaluation/clips-2"


def test_arrays_are_known_by_their_samples(here):
    arrays = [ClipArray(np.full((2, 1, 8), level, np.float32), 8000) for level in (0.1, 0.1, 0.2)]
    written("evaluation/clips", subject_of([folder("clips")], DATA, arrays[0]))
    places = [place_of(folder("clips"), array=array) for array in arrays]
    assert places == ["evaluation/clips", "evaluation/clips", "evaluation/clips-2"]


def test_a_page_of_an_earlier_version_is_kept(here):
    Path("evaluation/clips").mkdir(parents=True)
    Path("evaluation/clips/report.html").write_text("<html></html>\n")
    assert place_of(folder("a/clips")) == "evaluation/clips-2"


def test_a_file_in_the_place_of_the_folder_is_left_to_whoever_makes_the_folder(here):
    Path("evaluation").touch()
    assert place_of(folder("a/clips")) == "evaluation/clips"


def test_a_page_that_was_named_is_written_over_with_a_warning(here, caplog):
    first, page = folder("a/clips"), Path("judged/report.html")
    tell_replaced(page, subject_of([first], DATA))
    written("judged", subject_of([first], DATA))
    tell_replaced(page, subject_of([first], DATA))
    assert not caplog.messages
    tell_replaced(page, subject_of([folder("b/clips")], DATA))
    assert caplog.messages == [
        "judged/report.html holds other results, which are replaced; name another `out` to keep them"
    ]
