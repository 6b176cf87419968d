"""Compares models and folders by the same real sound, seed and number of clips.

It also prepares the same comparison as a listening test.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wavegan import assemble
from wavegan.assemble.evaluation import clip_format_of
from wavegan.commands.classify import Classifier, classifier_of
from wavegan.commands.earlier_results import mark, results_folder, subject_of, tell_replaced
from wavegan.commands.evaluation_data import (
    FOLDER_CLIPS,
    Candidate,
    folder_candidate,
    model_candidate,
    real_sound_of_folders,
    real_sound_of_recipe,
    target_of,
    tell_known_sounds,
    white_noise_like,
)
from wavegan.commands.folders import make_folder
from wavegan.commands.judged_sets import closing_facts, extract_sets, facts_of_meaning
from wavegan.commands.judging_options import DEFAULTS, JudgingOptions
from wavegan.commands.model_loading import is_model
from wavegan.errors import DataError
from wavegan.evaluation.clip_format import ClipFormat, common_form
from wavegan.evaluation.evaluate import measured, score_record
from wavegan.evaluation.features import Embedding, mean_levels, spectrum_frequencies
from wavegan.evaluation.listening_answers import score_answers
from wavegan.evaluation.pages.comparison import LISTENING, ComparisonPage, write_comparison
from wavegan.evaluation.pages.listening import write_listening_test
from wavegan.evaluation.pages.report import SHOWN
from wavegan.evaluation.reference_sets import ReferenceSets, agreed_count

logger = logging.getLogger(__name__)

Scores = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """Holds the paths of the pages and the scores of each candidate.

    differences: how much each later candidate has more than the first; facts: what all were compared by; candidates:
    what each one is.
    """

    report: Path
    listening: Path
    scores: dict[str, Scores]
    differences: dict[str, Scores]
    facts: dict[str, str]
    candidates: dict[str, dict[str, str]]


def compare(
    targets: Sequence[Path],
    options: JudgingOptions = DEFAULTS,
    *,
    out: Path | None = None,
    trials: int = 40,
    embedding: Embedding | None = None,
) -> Comparison:
    """Writes a report and, beside it, a blind listening test of MODELs or folders; returns all figures.

    The first MODEL's sound is the reference, unless the options name other sound. Differences are counted from the
    first target. embedding, errors: as `evaluate`.
    """
    targets = _checked(targets)
    page = _page(out)
    make_folder(page.parent)  # raises before the work; the next line does so for the device
    assemble.device(options.device)
    models = {path: model_candidate(path, options) for path in targets if is_model(path)}
    form, real_sound, wanted = _real_sound(targets, models, options)
    candidates = [models.get(path) or folder_candidate(path, form, seed=options.seed) for path in targets]
    subject = subject_of(candidates, options)
    if out:
        tell_replaced(page, subject)
    else:
        page = results_folder(page.parent, page.name, subject) / page.name
    logger.info(f"comparing at {form}")
    folders = [candidate for candidate in candidates if candidate.model is None]
    tell_known_sounds({folder.path: folder.clips for folder in folders}, options.data, real_sound)
    count = agreed_count(options.count or wanted, real_sound, folders)
    named = dict(zip(_names(candidates), candidates, strict=True))
    classifier = classifier_of(options.classifier, real_sound, device=options.device)
    make_folder(page.parent)
    result = _compare(named, real_sound, count, page, classifier, embedding, trials=trials, seed=options.seed)
    mark(result.report, subject)
    return result


def _compare(
    candidates: dict[str, Candidate],
    real_sound: ReferenceSets,
    count: int,
    page: Path,
    classifier: Classifier | None,
    embedding: Embedding | None,
    *,
    trials: int,
    seed: int,
) -> Comparison:
    sets = {name: candidate.clips.first(count) for name, candidate in candidates.items()}
    rate, first = real_sound.form.sample_rate, next(iter(sets))
    clips = real_sound.reference.first(count)
    compared = sets | {"real": real_sound.real.first(count), "noise": white_noise_like(clips, count, seed)}
    models = [candidate.model for candidate in candidates.values() if candidate.model]
    model_labels = {label for model in models for label in model.label_names}
    reference, seen = extract_sets(compared, real_sound, classifier, seed, embedding, sorted(model_labels))
    estimates = {
        name: reference.estimates(features, stream=place) for place, (name, features) in enumerate(seen.items())
    }
    scores = {name: reference.scores(seen[name], values) for name, values in estimates.items()}
    differences = {
        name: {
            metric: score_record(estimates[name][metric] - estimates[first][metric], count)
            for metric in measured(scores[first])
            if metric in measured(scores[name])
        }
        for name in list(sets)[1:]
    }
    facts = real_sound.facts(count) | facts_of_meaning(seen | {"reference": reference.features}, scores)
    facts |= closing_facts(classifier, seed)
    heard = {name: clip_set.first(SHOWN).together() for name, clip_set in compared.items() if name != "noise"}
    write_comparison(
        page,
        ComparisonPage(
            facts=facts,
            sample_rate=rate,
            scores=scores,
            differences=differences,
            clips=heard,
            spectra={name: mean_levels(features) for name, features in seen.items()},
            frequencies=spectrum_frequencies(seen[first], rate),
            candidates={name: _words(name, candidate) for name, candidate in candidates.items()},
        ),
    )
    listening = page.with_name(LISTENING)
    write_listening_test(listening, heard, rate, seed=seed, trials=trials)
    described = {name: candidate.facts | {"path": str(candidate.path)} for name, candidate in candidates.items()}
    return Comparison(page, listening, scores, differences, facts, described)


def score_listening(answers: Sequence[Path]) -> dict[str, Any]:
    """Scores the answers of listeners by pair and by candidate, as plain values; see `score_answers`."""
    return score_answers(answers)


def as_json(result: Comparison) -> dict[str, Any]:
    """Returns a comparison as plain values."""
    return {
        "metrics": result.scores,
        "differences": result.differences,
        "facts": result.facts,
        "candidates": result.candidates,
        "report": str(result.report),
        "listening": str(result.listening),
    }


def _checked(targets: Sequence[Path]) -> list[Path]:
    """Returns the targets by their usual paths. Raises DataError if one does not exist or is named twice."""
    paths = [target_of(path) for path in targets]
    for place, path in enumerate(paths):
        if path.absolute() in [earlier.absolute() for earlier in paths[:place]]:
            raise DataError(f"{path} is named twice", "a comparison needs different models or folders", "name another")
    return paths


def _page(out: Path | None) -> Path:
    """Returns the path of the report; `out` names it or its folder. Raises DataError if it is no page of that kind."""
    page = out or Path("comparison")
    if page.is_dir() or not page.suffix:
        page = page / "report.html"
    if page.suffix.lower() != ".html" or page.name == LISTENING:
        raise DataError(
            f"`out` is {out}",
            f"the report is a page that ends in .html, and {LISTENING} is the test beside it",
            "name another file, or a folder",
        )
    return page


def _real_sound(
    targets: Sequence[Path], models: dict[Path, Candidate], options: JudgingOptions
) -> tuple[ClipFormat, ReferenceSets, int]:
    """Returns the form of all clips, the real sound, and how many clips are wanted."""
    if not models:
        form = common_form(targets[0])
        return form, real_sound_of_folders(form, options.data, options.training, seed=options.seed), FOLDER_CLIPS
    forms = {path: clip_format_of(candidate.recipe) for path, candidate in models.items() if candidate.recipe}
    (path, form), *later_forms = forms.items()
    for later_path, later_form in later_forms:
        if later_form[:3] != form[:3]:
            raise DataError(
                f"{path} makes clips of {form} and {later_path} of {later_form}",
                "only clips of the same rate, channels and length can be compared",
                "write one model's clips with wavegan generate and name their folder, which is converted",
            )
    recipe = models[path].recipe
    assert recipe, "a model has a recipe"
    if options.data is None:
        _tell_other_sound(path, models)
    first, *others = (models[model] for model in forms)
    sources = (recipe, options.data, options.training)
    real_sound = real_sound_of_recipe(*sources, seed=options.seed, candidate=first, others=others)
    return form, real_sound, recipe.evaluation.count


def _tell_other_sound(path: Path, models: dict[Path, Candidate]) -> None:
    """Logs which models have learned from other sound than the first; its held-out part judges them all."""
    parts = {
        target: (
            assemble.target_source(candidate.recipe),
            candidate.recipe.data.test_b or candidate.recipe.data.test,
            candidate.recipe.data.holdout,
            candidate.recipe.data.holdout_ends,
        )
        for target, candidate in models.items()
        if candidate.recipe
    }
    for target, part in parts.items():
        if part != parts[path]:
            logger.info(
                f"{target} and {path} were not trained on the same sound: one may have learned what the other held out"
            )


def _names(candidates: Sequence[Candidate]) -> list[str]:
    """Returns the candidates' own names, or their paths if names are the same or those of real sets."""
    choices = (
        [candidate.name for candidate in candidates],
        [str(candidate.path) for candidate in candidates],
        [str(candidate.path.absolute()) for candidate in candidates],
    )
    return next(names for names in choices if len({*names, "real", "noise"}) == len(names) + 2)


def _words(name: str, candidate: Candidate) -> str:
    """Describes a candidate in words, with its path if its name does not say it."""
    facts = [f"{key}: {fact}" for key, fact in candidate.facts.items()]
    path = str(candidate.path)
    return ", ".join(facts if path in (name, candidate.facts.get("folder")) else [path, *facts])
