"""Judges a model, or a folder of audio made by any other system.

It compares the clips with real sound that the model has not learned from.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wavegan import assemble, generation
from wavegan.assemble.evaluation import generated
from wavegan.atomic_write import write_text
from wavegan.audio.labels import spelling_key
from wavegan.commands.classify import Classifier, classifier_of
from wavegan.commands.clip_arrays import ClipArray
from wavegan.commands.earlier_results import mark, results_folder, subject_of
from wavegan.commands.evaluation_data import (
    FOLDER_CLIPS,
    Candidate,
    array_candidate,
    clips_in_memory,
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
from wavegan.commands.model_loading import is_model, result_folder, run_folder_of
from wavegan.evaluation.clip_format import common_form
from wavegan.evaluation.clips import ClipSet
from wavegan.evaluation.evaluate import Reference
from wavegan.evaluation.features import IDENTITY, Embedding, Features, mean_levels, spectrum_frequencies
from wavegan.evaluation.meaning import LEAST_CLIPS, some_of
from wavegan.evaluation.pages import spectrogram_images
from wavegan.evaluation.pages.report import SHOWN, FaultyClip, Likeness, Report, write_report
from wavegan.evaluation.reference_sets import ReferenceSets, agreed_count
from wavegan.generation import Model
from wavegan.training.run_folder import RunFolder, evaluations

logger = logging.getLogger(__name__)

PAGE = "report.html"
WALK_KEYFRAMES, WALK_BETWEEN = 4, 3
RISKIEST = 8  # so many clips are shown for artefacts, and so many beside what they may copy


@dataclass(frozen=True)
class Evaluation:
    """Holds the paths of the pages and the scores.

    scores: metric → value, low, high, n for each set of clips: generated, real, noise, …; value is None, with a reason,
    where the figure means nothing.
    """

    out: Path
    report: Path
    spectrograms: Path
    scores: dict[str, dict[str, dict[str, Any]]]
    facts: dict[str, str]
    labels: dict[str, dict[str, float]] | None
    labels_obeyed: float | None = None  # share, where labels were asked for
    curve: dict[str, dict[str, dict[str, dict[str, Any]]]] = field(default_factory=dict)  # by set, n and metric


def evaluate(
    target: Path | ClipArray,
    options: JudgingOptions = DEFAULTS,
    *,
    out: Path | None = None,
    embedding: Embedding | None = None,
) -> Evaluation:
    """Writes metrics.json, spectrograms.png and report.html of a MODEL, a folder or clips, and returns the figures.

    out: a folder; None means evaluation/step-… of a MODEL, or evaluation/NAME for others, see `results_folder`.
    embedding: a function of clips (N, C, T) and their sample rate that gives (N, F); the distances and neighbours are
    then also taken on these features. Raises DataError or RunError for what cannot be judged.
    """
    target = target if isinstance(target, ClipArray) else target_of(target)
    if out is not None:
        make_folder(out)  # raises before the work; the next line does so for the device
    assemble.device(options.device)
    data, training, seed = options.data, options.training, options.seed
    if isinstance(target, ClipArray):
        candidate, form = array_candidate(target, seed=seed)
        real_sound = real_sound_of_folders(form, data, training, seed=seed)
        tell_known_sounds({"the array": clips_in_memory(target.clips)}, data, real_sound)
        wanted = min(options.count or FOLDER_CLIPS, len(candidate.clips))
        place = Path("evaluation") / candidate.name
    elif is_model(target):
        candidate = model_candidate(target, options)
        assert candidate.recipe and candidate.model, "a model has both"
        real_sound = real_sound_of_recipe(candidate.recipe, data, training, seed=seed, candidate=candidate)
        wanted = options.count or candidate.recipe.evaluation.count
        place = result_folder(target, "evaluation") / f"step-{candidate.model.step:08d}"
    else:
        form = common_form(target)
        real_sound = real_sound_of_folders(form, data, training, seed=seed)
        candidate = folder_candidate(target, form, seed=seed)
        tell_known_sounds({target: candidate.clips}, data, real_sound)
        wanted = min(options.count or FOLDER_CLIPS, len(candidate.clips))
        place = Path("evaluation") / target.resolve().name
    subject = subject_of([candidate], options, target if isinstance(target, ClipArray) else None)
    place = results_folder(place, PAGE, subject, out)
    logger.info(f"comparing at {real_sound.form}")
    sets = _sets(candidate, real_sound, agreed_count(wanted, real_sound), seed)
    classifier = classifier_of(options.classifier, real_sound, device=options.device)
    result = _judge(candidate, sets, real_sound, classifier, embedding, place, seed)
    mark(result.report, subject)
    return result


def _sets(candidate: Candidate, real_sound: ReferenceSets, count: int, seed: int) -> dict[str, ClipSet]:
    """Returns the sets of clips that are compared with the reference, the candidate's first."""
    reference = real_sound.reference.first(count)
    sets = {"generated": candidate.clips.first(count), "real": real_sound.real.first(count)}
    if candidate.recipe and candidate.model:
        sets["untrained"] = generated(assemble.untrained_model(candidate.recipe, candidate.model), count, seed)
    if real_sound.training and len(real_sound.training) >= count:
        sets["training"] = real_sound.training.first(count)
    return sets | {"noise": white_noise_like(reference, count, seed)}


def _judge(
    candidate: Candidate,
    sets: dict[str, ClipSet],
    real_sound: ReferenceSets,
    classifier: Classifier | None,
    embedding: Embedding | None,
    out: Path,
    seed: int,
) -> Evaluation:
    """Extracts features of all sets, scores them, and writes the three files into `out`."""
    make_folder(out)
    # Features are extracted once for each set, and every figure and picture is made from them. Of the reference as many
    # clips are used as of each set: most distances depend on the number.
    model_labels = candidate.model.label_names if candidate.model else ()
    reference, features = extract_sets(sets, real_sound, classifier, seed, embedding, model_labels)
    with_reference = features | {"reference": reference.features}
    scores = {name: reference.scores(of_set) for name, of_set in features.items()}
    curve = {name: reference.curve(features[name], scores[name]) for name in ("generated", "real")}
    facts = candidate.facts | real_sound.facts(len(sets["generated"])) | facts_of_meaning(with_reference, scores)
    labels, obeyed = None, None
    if "probabilities" not in reference.distrusted:
        labels = _labels(with_reference, classifier)
        obeyed, words = _obeyed(candidate.model, features["generated"], classifier, seed)
        facts |= {"labels obeyed": words} if words else {}
    facts |= {"features": IDENTITY} | closing_facts(classifier, seed)
    page, pictures = out / PAGE, out / "spectrograms.png"
    result = Evaluation(out, page, pictures, scores, facts, labels, obeyed, curve)
    report = _report(result, candidate, sets["generated"], real_sound, reference, features, seed)
    spectrogram_images.spectrogram_grid(result.spectrograms, report.generated, report.real, report.sample_rate)
    write_report(result.report, report)
    # The last: whoever sees it sees the others too.
    write_text(out / "metrics.json", json.dumps(as_json(result), indent=1, ensure_ascii=False) + "\n")
    return result


def _report(
    result: Evaluation,
    candidate: Candidate,
    clips: ClipSet,
    real_sound: ReferenceSets,
    reference: Reference,
    features: dict[str, Features],
    seed: int,
) -> Report:
    """Returns the page's content: the figures, and clips beside real ones. clips: the candidate's."""
    rate = real_sound.form.sample_rate
    return Report(
        title=f"{candidate.name}",
        facts=result.facts,
        sample_rate=rate,
        scores=result.scores,
        curve=result.curve,
        generated=clips.first(SHOWN).together(),
        real=real_sound.reference.first(len(clips)).first(SHOWN).together(),
        artefacts=_artefacts(reference, features["generated"], clips),
        likeness=_likeness(reference, features["generated"], clips, real_sound),
        spectra={name: mean_levels(of_set) for name, of_set in features.items() if name != "untrained"},
        frequencies=spectrum_frequencies(features["generated"], rate),
        history=evaluations(RunFolder(run_folder_of(candidate.path)).log) if candidate.model else [],
        walk=_walk(candidate.model, seed) if candidate.model else None,
        labels=result.labels,
    )


def _artefacts(reference: Reference, seen: Features, clips: ClipSet) -> list[FaultyClip]:
    """Returns the clips with the worst events, and names these events in words."""
    worst = [(each.number, each.kinds.items()) for each in reference.artefacts(seen, RISKIEST)]
    return [FaultyClip(at, clips[at], ", ".join(f"{kind} +{by:.0f}" for kind, by in kinds)) for at, kinds in worst]


def _likeness(reference: Reference, seen: Features, clips: ClipSet, real_sound: ReferenceSets) -> list[Likeness]:
    """Returns the clips nearest to a training clip.

    Each comes with that training clip, the nearest held-out clip, and the distances to both.
    """
    if real_sound.training is None:
        return []
    return [
        Likeness(
            match.number,
            clips[match.number],
            real_sound.training[match.training],
            real_sound.reference[match.real],
            *match[3:],
        )
        for match in reference.nearest(seen, RISKIEST)
    ]


def _labels(seen: dict[str, Features], classifier: Classifier | None) -> dict[str, dict[str, float]] | None:
    """Returns by set and label the share of clips that the classifier takes for that label."""
    if classifier is None:
        return None
    names = classifier.label_names
    counts = {
        name: np.bincount(features["probabilities"].argmax(axis=1), minlength=len(names))
        for name, features in seen.items()
    }
    return {name: dict(zip(names, (count / count.sum()).tolist(), strict=True)) for name, count in counts.items()}


def _obeyed(model: Model | None, seen: Features, classifier: Classifier | None, seed: int) -> tuple[float | None, str]:
    """Returns the share of clips that the classifier takes for the label asked for, and that in words.

    Only clips of labels that it knows count. The share is None if there are none, or too few, and if no label was asked
    for; then there are no words.
    """
    if model is None or not model.labels or classifier is None:
        return None, ""
    keys = [spelling_key(name) for name in classifier.label_names]
    heard = [keys[place] for place in seen["probabilities"].argmax(axis=1)]
    rows = generation.numbered_labels(model, range(len(heard)), seed=seed)
    assert rows is not None, "a model with classes is told labels"
    asked = [spelling_key(model.label_names[place]) for place in rows.argmax(1)]
    obeyed = [name == label for label, name in zip(asked, heard, strict=True) if label in keys]
    unknown = [name for name in model.label_names if spelling_key(name) not in keys]
    but = f"; the classifier does not know {some_of(unknown)}" if unknown else ""
    if len(obeyed) < LEAST_CLIPS:
        return None, f"left out: {len(obeyed)} clips of labels that the classifier knows, {LEAST_CLIPS} are needed{but}"
    share = float(np.mean(obeyed))
    clips = f"{len(obeyed):,} clips" if unknown else "the clips"
    return share, f"{share:.1%} of {clips} sound to the classifier as the label they were asked for{but}"


def _walk(model: Model, seed: int) -> Tensor | None:
    """Returns a sound that walks between latents; None for a translator, which has no latents."""
    if model.source_clips:
        return None
    clips: Iterable[Tensor] = generation.interpolate(model, WALK_KEYFRAMES, clips_between=WALK_BETWEEN, seed=seed)
    return torch.cat([clip for batch in clips for clip in batch], dim=1)


def as_json(result: Evaluation) -> dict[str, Any]:
    """Returns an evaluation as plain values: the metrics of the generated clips and of every other set."""
    more_sets = {name: scores for name, scores in result.scores.items() if name not in ("generated", "real")}
    return {
        "metrics": result.scores["generated"],
        "reference": result.scores["real"],
        **more_sets,
        "by_count": result.curve,
        "labels": result.labels,
        "labels_obeyed": result.labels_obeyed,
        "facts": result.facts,
        "report": str(result.report),
        "spectrograms": str(result.spectrograms),
    }
