"""Models and folders side by side: the same real sound, seed and number of clips; and the same for ears."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wavegan import assemble
from wavegan.assemble.evaluation import form_of
from wavegan.commands.classify import Classifier, classifier_of
from wavegan.commands.evaluation_data import (
    FOLDER_CLIPS,
    Candidate,
    folder_candidate,
    ground_of_folders,
    ground_of_recipe,
    is_model,
    model_candidate,
    noise,
)
from wavegan.commands.folders import make_folder
from wavegan.commands.judged_sets import closing_facts, extract_sets
from wavegan.commands.judging_options import DEFAULTS, JudgingOptions
from wavegan.errors import DataError
from wavegan.evaluation.clip_format import ClipFormat, common_form
from wavegan.evaluation.evaluate import score
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
    """Where the pages lie; by candidate the scores, and how much each later one has more than the first.

    facts: what all were compared by; candidates: what each one is.
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
    """Writes a report and, beside it, a blind listening test of MODELs or folders; gives all figures.

    The first MODEL's sound is the reference, unless the options name other; the first target is what
    differences are counted from. embedding, errors: as `evaluate`.
    """
    _check(targets)
    page = _page(out)
    make_folder(page.parent)  # errors before the work, and so for the device
    assemble.device(options.device)
    models = {path: model_candidate(path, options) for path in targets if is_model(path)}
    form, ground, wanted = _ground(targets, models, options)
    candidates = [models.get(path) or folder_candidate(path, form, seed=options.seed) for path in targets]
    logger.info(f"comparing at {form}")
    folders = [one for one in candidates if one.model is None]
    number = agreed_count(options.count or wanted, ground, folders)
    named = dict(zip(_names(candidates), candidates, strict=True))
    classifier = classifier_of(options.classifier, ground, device=options.device)
    return _compare(named, ground, number, page, classifier, embedding, trials=trials, seed=options.seed)


def _compare(
    candidates: dict[str, Candidate],
    ground: ReferenceSets,
    number: int,
    page: Path,
    classifier: Classifier | None,
    embedding: Embedding | None,
    *,
    trials: int,
    seed: int,
) -> Comparison:
    sets = {name: one.clips.first(number) for name, one in candidates.items()}
    rate, first = ground.form.sample_rate, next(iter(sets))
    clips = ground.reference.first(number)
    compared = sets | {"real": ground.real.first(number), "noise": noise(clips, number, seed)}
    reference, seen = extract_sets(compared, ground, classifier, seed, embedding)
    estimates = {name: reference.estimates(one, stream=place) for place, (name, one) in enumerate(seen.items())}
    scores = {name: reference.scores(seen[name], values) for name, values in estimates.items()}
    differences = {
        name: {
            metric: score(estimates[name][metric] - values, number)
            for metric, values in estimates[first].items()
            if metric in estimates[name]
        }
        for name in list(sets)[1:]
    }
    facts = ground.facts(number) | closing_facts(classifier, seed)
    heard = {name: one.first(SHOWN).together() for name, one in compared.items() if name != "noise"}
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
            candidates={name: _words(name, one) for name, one in candidates.items()},
        ),
    )
    listening = page.with_name(LISTENING)
    write_listening_test(listening, heard, rate, seed=seed, trials=trials)
    described = {name: one.facts | {"path": str(one.path)} for name, one in candidates.items()}
    return Comparison(page, listening, scores, differences, facts, described)


def score_listening(answers: Sequence[Path]) -> dict[str, Any]:
    """What listeners have answered, by pair and by candidate, as plain values."""
    return score_answers(answers)


def as_json(result: Comparison) -> dict[str, Any]:
    """A comparison as plain values."""
    return {
        "metrics": result.scores,
        "differences": result.differences,
        "facts": result.facts,
        "candidates": result.candidates,
        "report": str(result.report),
        "listening": str(result.listening),
    }


def _check(targets: Sequence[Path]) -> None:
    """Raises DataError where one target is not there or is named twice."""
    for place, path in enumerate(targets):
        if not path.exists():
            raise DataError(
                f"{path} does not exist", "a MODEL or a folder of audio can be compared", "check the spelling"
            )
        if path.absolute() in [one.absolute() for one in targets[:place]]:
            raise DataError(f"{path} is named twice", "a comparison needs different models or folders", "name another")


def _page(out: Path | None) -> Path:
    """Where the report belongs; `out` names it or its folder."""
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


def _ground(
    targets: Sequence[Path], models: dict[Path, Candidate], options: JudgingOptions
) -> tuple[ClipFormat, ReferenceSets, int]:
    """The form of all clips, the real sound, and how many clips are wanted."""
    if not models:
        form = common_form(targets[0])
        return form, ground_of_folders(form, options.data, options.training, seed=options.seed), FOLDER_CLIPS
    forms = {path: form_of(one.recipe) for path, one in models.items() if one.recipe}
    (path, form), *others = forms.items()
    for other, its_form in others:
        if its_form[:3] != form[:3]:
            raise DataError(
                f"{path} makes clips of {form} and {other} of {its_form}",
                "only equal forms can be compared",
                "write one model's clips with wavegan generate and name their folder, which is converted",
            )
    recipe = models[path].recipe
    assert recipe, "a model has a recipe"
    if options.data is None:
        _tell_other_sound(path, models)
    ground = ground_of_recipe(recipe, options.data, options.training, seed=options.seed)
    return form, ground, recipe.evaluation.count


def _tell_other_sound(path: Path, models: dict[Path, Candidate]) -> None:
    """Says which models have learned from other sound than the first, by whose held-out part all are judged."""
    parts = {
        other: (
            assemble.target_source(one.recipe),
            one.recipe.data.test_b or one.recipe.data.test,
            one.recipe.data.holdout,
        )
        for other, one in models.items()
        if one.recipe
    }
    for other, part in parts.items():
        if part != parts[path]:
            logger.info(
                f"{other} has not learned from the same sound as {path}: what is held out from one may be known to it"
            )


def _names(candidates: Sequence[Candidate]) -> list[str]:
    """The candidates' own names, or their paths where names are the same or those of real sets."""
    choices = (
        [one.name for one in candidates],
        [str(one.path) for one in candidates],
        [str(one.path.absolute()) for one in candidates],
    )
    return next(names for names in choices if len({*names, "real", "noise"}) == len(names) + 2)


def _words(name: str, candidate: Candidate) -> str:
    """What a candidate is, and where it lies if its name does not say so."""
    facts = [f"{key}: {fact}" for key, fact in candidate.facts.items()]
    path = str(candidate.path)
    return ", ".join(facts if path in (name, candidate.facts.get("folder")) else [path, *facts])
