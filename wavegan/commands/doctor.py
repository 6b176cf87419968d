"""Examines a source before training: what it holds, what will go wrong and why, and a recipe that fits."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.atomic_write import write_text
from wavegan.audio.checks import Finding
from wavegan.audio.content import probe, sample
from wavegan.audio.content_checks import Examined
from wavegan.audio.corpus import Corpus
from wavegan.audio.sources import open_source
from wavegan.audio.splits import training_part
from wavegan.bench.worker_process import WorkerProcess
from wavegan.commands.data_format import DataFormat, data_format_of
from wavegan.commands.examination import all_findings, as_learned, examine, loaded
from wavegan.commands.folders import make_folder
from wavegan.commands.memory import memory_explained
from wavegan.commands.recipe_advice import Advice, advised, own_test_part
from wavegan.commands.source_facts import facts, figures
from wavegan.commands.step_timing import StepTiming
from wavegan.errors import DataError, UserError
from wavegan.evaluation.pages.doctor import Example, Section, example, write_doctor_page
from wavegan.recipe import Recipe

logger = logging.getLogger(__name__)

PAGE = "doctor.html"
MEMORY_ADVICE = "lower training.batch_size or generator.dim in the recipe"
HOPELESS = {"silent", "split"}  # if one of these is fatal, no recipe helps
EXAMPLES, TYPICAL, SHOWN_SECONDS = 3, 8, 5.0  # on the page
TIMED_STEPS = 4  # as many as penalty_every, so that each kind of step is among them
STEP_LIMIT_SECONDS = 3.0  # of a single step; a slower one is not repeated


@dataclass(frozen=True)
class Problem:
    """Holds something that is wrong with a source; is_mended: the advised recipe takes care of it."""

    finding: Finding
    is_mended: bool


@dataclass(frozen=True)
class Diagnosis:
    """Holds the results of an examination of a source.

    facts: in words, by name. figures: as plain values. problems: the worst first. advice: None if nothing can be
    learned from the source. step_seconds: None if it was not measured. page: None if none was asked for.
    """

    source: tuple[str, ...]
    facts: dict[str, str]
    figures: dict[str, Any]
    problems: tuple[Problem, ...]
    advice: Advice | None
    step_seconds: float | None
    device: str
    page: Path | None = None
    recipe_file: Path | None = None


def doctor(
    source: str | Sequence[str],
    *,
    out: Path | None = None,
    recipe: Path | None = None,
    force: bool = False,
    timing: bool = True,
    sample_rate: int | None = None,
    device: str = "auto",
) -> Diagnosis:
    """Examines a source and advises a recipe; the decoded sound stays in the cache for the training.

    out: a folder for the page doctor.html. recipe: a file for the recipe, written over only with force. timing: takes a
    few steps of the recipe to say how long a training lasts. sample_rate: of the recipe, in Hz; None chooses the lowest
    that keeps all sound. Raises DataError if the source cannot be read or none of its files can be used, UserError if
    the recipe's file exists.
    """
    places = (source,) if isinstance(source, str) else tuple(source)
    _refuse_unwritable(places)
    _refuse_existing(recipe, force)
    if out:
        make_folder(out)
    on = assemble.device(device)
    probes = probe(open_source(places).items)
    form = data_format_of(probes, sample_rate)
    corpus = loaded(places, form)
    learned_part = len(training_part(corpus).names)
    is_split = learned_part < len(corpus.names) if any(corpus.splits) else bool(own_test_part(places))
    heard, form, raw = examine(places, corpus, form, probes, is_split)
    learned, advice, step_seconds = heard, None, None
    if not any(finding.is_fatal and finding.kind in HOPELESS for finding in raw):
        learned, form = as_learned(heard, form, raw, places)
        advice, step_seconds = _advice(places, learned, form, on, recipe, timing)
    problems = _problems(raw, all_findings(learned) if advice else raw)
    result = Diagnosis(
        places,
        facts(heard),
        figures(heard) | {"clips": learned.clips},
        problems,
        advice,
        step_seconds,
        str(on),
        out and out / PAGE,
        recipe if advice else None,
    )
    _write(result, corpus)
    return result


def _advice(
    source: Sequence[str], learned: Examined, form: DataFormat, on: torch.device, file: Path | None, timing: bool
) -> tuple[Advice, float | None]:
    """Returns the recipe, and the seconds of its step; the step is timed first, because its speed limits the steps."""
    write = partial(advised, source, learned.corpus, form, learned.cutting, on, file, learned.clips)
    advice = write(None)
    step_seconds = _step_seconds(advice.recipe, learned.corpus, on) if timing else None
    return write(step_seconds) if step_seconds else advice, step_seconds


def _write(result: Diagnosis, corpus: Corpus) -> None:
    if result.page:
        _write_page(result.page, result, corpus)
    if result.recipe_file and result.advice:
        write_text(result.recipe_file, result.advice.text)


def as_json(result: Diagnosis) -> dict[str, Any]:
    """Returns a diagnosis as plain values."""
    return {
        "source": list(result.source),
        **result.figures,
        "problems": [_plain(problem) for problem in result.problems],
        "recipe": recipes.as_dict(result.advice.recipe) if result.advice else None,
        "recipe_file": str(result.recipe_file) if result.recipe_file else None,
        "page": str(result.page) if result.page else None,
        "device": result.device,
        "step_seconds": result.step_seconds,
        "training_seconds": training_seconds(result),
    }


def training_seconds(result: Diagnosis) -> float | None:
    """Returns how long the advised training lasts; None if its step was not timed."""
    if result.advice is None or result.step_seconds is None:
        return None
    return result.advice.recipe.training.steps * result.step_seconds


def _plain(problem: Problem) -> dict[str, Any]:
    finding = problem.finding
    return {
        "kind": finding.kind,
        "text": finding.text,
        "remedy": finding.remedy,
        "weight": round(finding.weight, 3),
        "is_fatal": finding.is_fatal and not problem.is_mended,
        "is_mended": problem.is_mended,
        "names": list(finding.names),
    }


def _problems(raw: list[Finding], remaining: list[Finding]) -> tuple[Problem, ...]:
    """Joins the problems that remain under the advised recipe with those that it solves; each part the worst first."""
    kinds = {finding.kind for finding in remaining}
    remaining = sorted(remaining, key=lambda finding: (not finding.is_fatal, -finding.weight))
    gone = sorted((finding for finding in raw if finding.kind not in kinds), key=lambda finding: -finding.weight)
    return (*(Problem(finding, False) for finding in remaining), *(Problem(finding, True) for finding in gone))


def _step_seconds(recipe: Recipe, corpus: Corpus, on: torch.device) -> float | None:
    """Takes a few steps in a process of its own, on noise; None if that fails for lack of memory."""
    recipe, _ = assemble.with_labels(recipe, corpus)
    threads = torch.get_num_threads()
    logger.info(f"timing a few steps of the recipe on {on}; threads: {threads}")
    try:
        with (
            memory_explained(MEMORY_ADVICE),
            WorkerProcess(StepTiming, recipe, str(on), torch.get_num_threads(), False) as process,
        ):
            first = process.call("steps", 1)
            return process.call("steps", TIMED_STEPS) / TIMED_STEPS if first < STEP_LIMIT_SECONDS else first
    except UserError as error:
        logger.warning(f"the step could not be timed: {error}")
        return None


def _write_page(path: Path, result: Diagnosis, corpus: Corpus) -> None:
    places = {name: index for index, name in enumerate(corpus.names)}

    def examples(names: Sequence[str]) -> list[Example]:
        shown = [name for name in names if name in places][:EXAMPLES]
        return [_example(corpus, places[name]) for name in shown]

    sections = [
        Section(
            problem.finding.text,
            "" if problem.is_mended else problem.finding.remedy,
            problem.finding.is_fatal and not problem.is_mended,
            problem.is_mended,
            examples(problem.finding.names),
        )
        for problem in result.problems
    ]
    write_doctor_page(
        path,
        title=f"Before training: {', '.join(result.source)}",
        facts=result.facts,
        sections=sections,
        typical=[_example(corpus, place) for place in sample(range(len(corpus.names)), TYPICAL)],
        recipe=result.advice.text if result.advice else "",
        sample_rate=corpus.sample_rate,
    )


def _example(corpus: Corpus, index: int) -> Example:
    frames = min(int(corpus.lengths[index]), round(SHOWN_SECONDS * corpus.sample_rate))
    return example(corpus.names[index], corpus.samples[corpus.starts[index] : corpus.starts[index] + frames].numpy())


def _refuse_unwritable(source: Sequence[str]) -> None:
    """Raises DataError for a name that no recipe can hold, because it is not valid text."""
    for place in source:
        text = os.fsencode(place).decode(errors="backslashreplace")
        if place != text:
            raise DataError(f"the source {text} has a name that is not valid text", "", "rename it")


def _refuse_existing(recipe: Path | None, force: bool) -> None:
    if recipe and recipe.exists() and not force:
        raise UserError(f"{recipe} exists", "an existing recipe is kept", "name another file or add `force=True`")
    if recipe and not (recipe.parent.is_dir() and os.access(recipe.parent, os.W_OK)):
        raise UserError(f"{recipe.parent} is no folder that can be written to", "", "name another with `recipe`")
