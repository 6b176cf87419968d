"""Tests that results about something else are kept, or that their end is told."""

import logging
from pathlib import Path

import pytest

from wavegan.commands.earlier_results import results_folder, subject_of, tell_replaced, write_results
from wavegan.commands.judging_options import JudgingOptions

DATA = JudgingOptions(data=Path("real"))
FIRST, OTHER = Path("a/clips"), Path("b/clips")


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: str, *targets: object, options: JudgingOptions = DATA) -> None:
    Path(folder).mkdir(parents=True)
    write_results(Path(folder) / "metrics.json", {"metrics": {}}, subject_of(targets, options))


def place_of(*targets: object, options: JudgingOptions = DATA) -> str:
    return results_folder(Path("evaluation/clips"), "metrics.json", subject_of(targets, options)).as_posix()


def test_the_usual_folder_is_taken_again_for_the_same_alone(here, caplog):
    caplog.set_level(logging.INFO)
    assert place_of(FIRST) == "evaluation/clips"
    written("evaluation/clips", FIRST)
    assert place_of(FIRST) == "evaluation/clips" and place_of(here / FIRST) == "evaluation/clips"
    assert not caplog.messages
    assert place_of(OTHER) == "evaluation/clips-2"
    assert caplog.messages == [
        "evaluation/clips holds results about something else, so these are written to evaluation/clips-2"
    ]
    written("evaluation/clips-2", FIRST, options=JudgingOptions(data=Path("unreal")))
    assert place_of(OTHER) == "evaluation/clips-3" and place_of(FIRST) == "evaluation/clips"


@pytest.mark.parametrize(
    ("targets", "options"),
    [
        ((FIRST, OTHER), DATA),
        ((FIRST,), JudgingOptions()),
        ((FIRST,), JudgingOptions(data=Path("real"), training=Path("learned"))),
        ((object(),), DATA),
    ],
    ids=["another target", "no data", "training", "an array"],
)
def test_what_is_judged_and_by_which_sound_makes_the_difference(here, targets, options):
    written("evaluation/clips", FIRST)
    assert place_of(*targets, options=options) == "evaluation/clips-2"
    assert place_of(FIRST, options=JudgingOptions(data=Path("real"), count=5, seed=3)) == "evaluation/clips"


@pytest.mark.parametrize("text", ["{}", "[]", "no JSON"])
def test_results_that_say_not_what_they_are_about_are_kept(here, text):
    Path("evaluation/clips").mkdir(parents=True)
    Path("evaluation/clips/metrics.json").write_text(text)
    assert place_of(FIRST) == "evaluation/clips-2"


def test_a_folder_that_was_named_is_written_to_with_a_warning(here, caplog):
    record = Path("judged/metrics.json")
    tell_replaced(record, subject_of([FIRST], DATA))
    written("judged", FIRST)
    tell_replaced(record, subject_of([FIRST], DATA))
    assert not caplog.messages
    tell_replaced(record, subject_of([OTHER], DATA))
    assert caplog.messages == [
        "judged holds results about something else, which are replaced; name another folder with `out` to keep them"
    ]
