"""Does every metric react to the faults it is for? Real clips with one fault each, judged as a model's clips are.

    python benchmarks/planted_faults.py path/to/digits --training 500 --groups jackson,lucas

The clips of a labelled source are shuffled and divided: some to learn from, as the classifier does, the rest in two
halves, reference and candidates. A row of the tables is the candidates with one fault (benchmarks/corruptions.py),
the first row the candidates as they are; a row with fewer clips is asked beside as many candidates without fault. The
tables go to stdout and with the JSON into the folder `--out`; the exit code is 1 where something does not hold. A
clip's group (a speaker, a drum kit) is its file's name up to the first "_".
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from corruptions import CORRUPTIONS, Clips, Split
from torch import Tensor

from wavegan.audio.corpus import load_corpus
from wavegan.audio.windows import gather
from wavegan.evaluation.classifier import Classifier, levels
from wavegan.evaluation.classifier_training import learn
from wavegan.evaluation.evaluate import RESAMPLES, Reference, score
from wavegan.evaluation.features import ClipClassifier, Features, extract, standardize
from wavegan.evaluation.metrics import METRICS

BATCH_SIZE = 64
TWINS = 0.95  # waveforms that correlate more are one sound at two levels
REAL_SIZES, DRAWS = (100, 300, 1000), 20  # of pairs of real sets that show the bias of small numbers
TABLES = {
    "Distances": ("kad_l", "kad_c", "fad_l", "fad_c"),
    "Order, partials, attacks, events": (
        *("kad_l", "kad_order", "kad_partials", "kad_attack", "artefact_share", "partial_jitter_hz"),
    ),
    "Neighbours": ("precision", "density", "recall", "coverage", "duplicate_share", "copy_share", "copy_z"),
    "Artefacts and labels": ("comb_db", "spectrum_error_db", "noise_floor_db", "inception_score", "mis", "am"),
}
Scores = Mapping[str, Mapping[str, float]]

# What must hold: a metric, a relation, and a bound or another metric where the relation needs one. A value "rises"
# above the interval of clips without fault (`none`), "falls" below it or "stays" within it; "keeps" is within or above;
# one metric "outdoes" another of the same scale where it is more than three times as much.
RELATIONS: dict[str, Callable[[Scores, Scores, str, str], bool]] = {
    "rises": lambda row, none, metric, _: row[metric]["value"] > none[metric]["high"],
    "falls": lambda row, none, metric, _: row[metric]["value"] < none[metric]["low"],
    "stays": lambda row, none, metric, _: none[metric]["low"] <= row[metric]["value"] <= none[metric]["high"],
    "keeps": lambda row, none, metric, _: none[metric]["low"] <= row[metric]["value"],
    ">": lambda row, none, metric, bound: row[metric]["value"] > float(bound),
    "<": lambda row, none, metric, bound: row[metric]["value"] < float(bound),
    "outdoes": lambda row, none, metric, other: row[metric]["value"] > 3 * row[other]["value"],
}
EXPECTED = {
    "none: other real clips": (
        "kad_l < 1; kad_c < 1; precision > 0.85; recall > 0.85; coverage > 0.9; copy_share < 0.1; "
        "duplicate_share < 0.06; comb_db < 6; kad_order < 1; kad_partials < 1; kad_attack < 1; artefact_share < 0.03"
    ),
    "white noise, 30 dB below": (
        "kad_l rises; fad_l rises; kad_l outdoes kad_c; recall falls; coverage falls; noise_floor_db rises; comb_db < 6"
    ),
    "fs/4 comb, 30 dB below": "comb_db rises; comb_db > 20",
    "fs/4 comb, 50 dB below": "comb_db rises; comb_db > 6",
    "low-pass, 1.5 kHz": (
        "kad_l rises; fad_l rises; kad_c rises; fad_c rises; precision falls; recall falls; coverage falls; "
        "spectrum_error_db rises; comb_db < 6"
    ),
    "played backwards": (
        "kad_c rises; fad_c rises; kad_c outdoes kad_l; kad_l stays; precision > 0.85; recall > 0.85; "
        "coverage > 0.85; duplicate_share < 0.06; comb_db < 6; kad_order rises; kad_order outdoes kad_l; "
        "spectrum_error_db stays"
    ),
    "halves swapped": "kad_order rises; artefact_share rises",
    "30 to 80 ms later": "kad_order rises; kad_order outdoes kad_l; artefact_share < 0.2",
    "attacks faded in over 40 ms": "kad_attack rises; kad_attack outdoes kad_l; artefact_share < 0.06",
    "phases by Griffin-Lim": "kad_attack rises; kad_attack outdoes kad_l",
    "attacks smeared, 20 ms": "kad_attack rises; kad_attack outdoes kad_l; kad_l < 1; artefact_share < 0.06",
    "partials wobble, 40 cents": ("kad_partials rises; partial_jitter_hz rises; artefact_share < 0.06"),
    "a click in each": "artefact_share > 0.5; kad_attack rises",
    "a burst in each": "artefact_share > 0.5; kad_order rises",
    "a second hit in each": "artefact_share rises; kad_order rises",
    "clamped, 6 dB": "artefact_share > 0.7; kad_attack rises",
    "few labels": (
        "kad_l rises; kad_c rises; coverage falls; precision > 0.75; recall falls; inception_score falls; am rises; "
        "comb_db < 6"
    ),
    "few groups": "coverage falls; precision > 0.75; inception_score keeps; comb_db < 6",
    "a twentieth, repeated": "recall < 0.05; duplicate_share > 0.99; coverage falls; precision > 0.75; comb_db < 6",
    "training clips with jitter": (
        "copy_share > 0.9; copy_z < -10; kad_l stays; precision > 0.85; recall > 0.85; comb_db < 6"
    ),
    "the same under hiss, 50 dB below": "copy_share > 0.9; copy_z < -10; noise_floor_db rises; comb_db < 6",
    "the same, later and softer": "copy_share > 0.9; copy_z < -10; comb_db < 6",
}


class Row(NamedTuple):
    """Clips with a fault: how many, their scores, those of as many clips without, and what was asked and holds."""

    n: int
    scores: Scores
    none: Scores
    holds: dict[str, bool]


def main() -> int:
    """Measures, prints, writes; 1 where something does not hold."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("source")
    options.add_argument("--training", type=int, help="clips to learn from (a third)")
    options.add_argument("--labels", help="those that a narrow model makes (the first half of the alphabet)")
    options.add_argument("--groups", default="", help="those that another narrow model makes")
    options.add_argument("--clip-samples", type=int, default=16384)
    options.add_argument("--sample-rate", type=int, default=16000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, default=Path("docs/evaluation"))
    given = options.parse_args()
    split, names = load_split(given)
    classifier = train(split, names, given.seed)
    _, probabilities = classifier.extract(split.reference.audio, split.sample_rate)
    right = float((probabilities.argmax(axis=1) == split.reference.labels).mean())
    start = time.perf_counter()
    found = rows(split, classifier, seed=given.seed)
    facts = {
        "clips": [len(part.labels) for part in split[:3]],
        "labels": [names[number] for number in split.labels],
        "groups": split.groups,
        "classifier_accuracy": right,
        "seconds": round(time.perf_counter() - start),
    }
    real = real_against_real(split, given.seed)
    text = "\n".join([*told(facts), *tables(found), *real_lines(real)])
    print(text)
    given.out.mkdir(parents=True, exist_ok=True)
    place = given.out / Path(given.source).name
    place.with_suffix(".md").write_text(text + "\n")
    content = {"facts": facts, "rows": {name: row._asdict() for name, row in found.items()}, "real_against_real": real}
    place.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")
    missed = [f"{name}: {asked}" for name, row in found.items() for asked, holds in row.holds.items() if not holds]
    print("\n".join(["all holds" if not missed else "does not hold:", *missed]))
    return bool(missed)


def load_split(given: argparse.Namespace) -> tuple[Split, tuple[str, ...]]:
    """The start of every file of the source, divided, and the names of the labels."""
    corpus = load_corpus(given.source, given.sample_rate, 1)
    audio = gather(corpus.samples, corpus.starts, corpus.lengths, given.clip_samples)
    groups = np.array([Path(name).stem.partition("_")[0] for name in corpus.names])
    clips = Clips(audio, corpus.labels, groups).select(~_is_twin(audio))
    order = np.random.default_rng(given.seed).permutation(len(clips.labels))
    training = given.training or len(order) // 3
    half = (len(order) - training) // 2
    training_clips, reference, candidates, _ = (
        clips.select(part) for part in np.split(order, [training, training + half, training + 2 * half])
    )
    names = corpus.label_names
    kept = given.labels.split(",") if given.labels else names[: len(names) // 2]
    labels = [names.index(name) for name in kept]
    return Split(
        training_clips,
        reference,
        candidates,
        given.sample_rate,
        labels,
        [name for name in given.groups.split(",") if name],
    ), names


def _is_twin(audio: Tensor) -> np.ndarray:
    """Which clips are an earlier one at another level, as the layers of a drum kit may be: (N,)."""
    flat = torch.nn.functional.normalize(audio.flatten(1))
    return ((flat @ flat.T).abs().triu(1) > TWINS).any(dim=0).numpy()


def train(split: Split, names: tuple[str, ...], seed: int) -> Classifier:
    """A classifier that has learned from the training clips."""
    clips = split.training
    pictures = torch.cat([levels(part, split.sample_rate) for part in clips.audio.split(BATCH_SIZE)])
    network = learn(pictures, torch.from_numpy(clips.labels), len(names), seed=seed)
    return Classifier(
        network=network,
        label_names=names,
        sample_rate=split.sample_rate,
        clip_samples=clips.audio.shape[-1],
        seed=seed,
        source="training clips",
        split="none of the others",
        clips=len(clips.labels),
    )


def rows(
    split: Split, classifier: ClipClassifier | None = None, *, seed: int = 0, count: int = RESAMPLES
) -> dict[str, Row]:
    """A row for each fault; of metrics that could not be taken nothing is asked."""
    real, training = split.reference.audio.split(BATCH_SIZE), split.training.audio.split(BATCH_SIZE)
    reference = Reference(real, split.sample_rate, training=training, classifier=classifier, seed=seed)
    plain = reference.extract(split.candidates.audio.split(BATCH_SIZE))
    plain_scores: dict[int, Scores] = {}
    found = {}
    for number, (name, plant) in enumerate(CORRUPTIONS.items()):
        clips = plant(split, np.random.default_rng([seed, number]))
        if (n := len(clips)) < 2:
            continue  # a narrow model of groups that the source does not have
        if n not in plain_scores:
            plain_scores[n] = _scores(reference, {view: part[:n] for view, part in plain.items()}, count)
        scores = _scores(reference, reference.extract(clips.split(BATCH_SIZE)), count)
        asked = EXPECTED[name].split("; ")
        answers = {one: answer for one in asked if (answer := _holds(one, scores, plain_scores[n])) is not None}
        found[name] = Row(n, scores, plain_scores[n], answers)
    return found


def _holds(asked: str, row: Scores, none: Scores) -> bool | None:
    metric, relation, other = [*asked.split(), ""][:3]
    is_known = {metric, other} & set(METRICS) <= set(row)
    return RELATIONS[relation](row, none, metric, other) if is_known else None


def _scores(reference: Reference, seen: Features, count: int) -> Scores:
    estimates = reference.estimates(seen, count=count).items()
    return {name: score(values, len(seen["log_mel"])) for name, values in estimates}


def real_against_real(split: Split, seed: int) -> dict[int, dict[str, list[float]]]:
    """kad_l and fad_l of two sets of real clips, drawn apart many times, for each of the sizes that there are."""
    audio = torch.cat([part.audio for part in split[:3]])
    seen = extract(audio.split(BATCH_SIZE), split.sample_rate)["log_mel"]
    random = np.random.default_rng(seed)
    found: dict[int, dict[str, list[float]]] = {}
    for size in (size for size in REAL_SIZES if 2 * size <= len(seen)):
        found[size] = {"kad_l": [], "fad_l": []}
        for _ in range(DRAWS):
            mine, real = np.split(seen[random.permutation(len(seen))[: 2 * size]], 2)
            ones = np.ones((1, size))
            for name, values in found[size].items():
                values += METRICS[name].function(standardize(mine, real), standardize(real, real), ones, ones).tolist()
    return found


def told(facts: Mapping[str, Any]) -> Iterator[str]:
    """What was compared, in lines."""
    learned, judged, planted = facts["clips"]
    yield f"{learned:,} clips to learn from, {judged:,} to judge by, {planted:,} to plant faults in. The classifier"
    yield f"recognises {facts['classifier_accuracy']:.1%} of those to judge by. Few labels are"
    yield f"{', '.join(facts['labels'])}; few groups are {', '.join(facts['groups']) or 'none'}."
    yield "In brackets 95 % intervals; bold is what must hold.\n"


def tables(found: Mapping[str, Row]) -> Iterator[str]:
    """The lines of the tables: value, interval, and what must hold."""
    first = next(iter(found.values()))
    others = {row.n: row for row in found.values() if row.n != first.n}
    for title, metrics in TABLES.items():
        shown = [metric for metric in metrics if metric in first.scores]
        yield f"### {title}\n"
        yield f"| planted fault | n | {' | '.join(shown)} |"
        yield "| --- " * (len(shown) + 2) + "|"
        for name, row in found.items():
            cells = [_cell(row.scores[metric]) + _marks(row, metric) for metric in shown]
            yield f"| {name} | {row.n:,} | {' | '.join(cells)} |"
        for n, row in others.items():
            yield f"| *none, as many* | {n:,} | {' | '.join(_cell(row.none[metric]) for metric in shown)} |"
        yield ""


def _cell(one: Mapping[str, Any]) -> str:
    value, low, high = (
        f"{one[key]:.0f}" if abs(one[key]) >= 100 else f"{one[key]:.3g}" for key in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})"


def _marks(row: Row, metric: str) -> str:
    asked = [(one.split(), holds) for one, holds in row.holds.items()]
    words = [f"{' '.join(rest)} {'✓' if holds else '✗'}" for (name, *rest), holds in asked if name == metric]
    return f" **{', '.join(words)}**" * bool(words)


def real_lines(found: Mapping[int, Mapping[str, list[float]]]) -> Iterator[str]:
    """The lines of the table of sizes: mean and standard deviation over the draws."""
    yield "### Real against real\n"
    yield "| n on each side | kad_l | fad_l |"
    yield "| --- | --- | --- |"
    for size, values in found.items():
        cells = [f"{np.mean(one):.3f} ± {np.std(one, ddof=1):.3f}" for one in values.values()]
        yield f"| {size:,} | {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
