"""Plants faults in real clips and judges them as a model's clips: does every metric react to the faults it is for?

    python benchmarks/planted_faults.py path/to/digits --training 500 --groups jackson,lucas

The clips of a labelled source are shuffled and split: training clips, from which the classifier learns, and two halves
of the others, reference and candidates. A row of the tables shows the candidates with one fault (defined in
benchmarks/corruptions.py); the first row shows them unchanged. A row with fewer clips is compared with as many
candidates without a fault. The tables go to stdout and, with the JSON, into the folder `--out`. The exit code is 1 if
an expectation does not hold. A clip's group (a speaker, a drum kit) is its file's name up to the first "_".
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from corruptions import CORRUPTIONS, Clips, Split
from expectations import EXPECTED, Scores, holds_in
from torch import Tensor

from wavegan.audio.corpus import load_corpus
from wavegan.audio.windows import gather
from wavegan.evaluation.classifier import Classifier, levels
from wavegan.evaluation.classifier_training import learn
from wavegan.evaluation.evaluate import RESAMPLES, Reference, score_record
from wavegan.evaluation.features import ClipClassifier, Features, extract, standardize
from wavegan.evaluation.metrics import METRICS

BATCH_SIZE = 64
TWINS = 0.95  # waveforms with a higher correlation are one sound at two levels
REAL_SIZES, DRAWS = (100, 300, 1000), 20  # for pairs of real sets, which show the bias of small sets
TABLES = {
    "Distances": ("kad_l", "kad_c", "fad_l", "fad_c"),
    "Order, partials, attacks, events": (
        *("kad_l", "kad_order", "kad_partials", "kad_attack", "artefact_share", "partial_jitter_hz"),
    ),
    "Neighbours": ("precision", "density", "recall", "coverage", "duplicate_share", "copy_share", "copy_z"),
    "Artefacts and labels": (
        "comb_db",
        "ripple_db",
        "line_db",
        "spectrum_error_db",
        "noise_floor_db",
        "inception_score",
        "mis",
        "am",
    ),
}


class Row(NamedTuple):
    """Holds the scores of n clips with one fault and of n without (`none`), and whether each expectation holds."""

    n: int
    scores: Scores
    none: Scores
    holds: dict[str, bool]


def main() -> int:
    """Measures, prints and writes; returns 1 if an expectation does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--training", type=int, help="clips to learn from (a third)")
    parser.add_argument("--labels", help="those that a narrow model makes (the first half of the alphabet)")
    parser.add_argument("--groups", default="", help="those that another narrow model makes")
    parser.add_argument("--clip-samples", type=int, default=16384)
    parser.add_argument("--sample-rate", type=int, default=16000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/evaluation"))
    options = parser.parse_args()
    split, names = load_split(options)
    classifier = train(split, names, options.seed)
    _, probabilities = classifier.extract(split.reference.audio, split.sample_rate)
    right = float((probabilities.argmax(axis=1) == split.reference.labels).mean())
    start = time.perf_counter()
    scored = rows(split, classifier, seed=options.seed)
    facts = {
        "clips": [len(part.labels) for part in split[:3]],
        "labels": [names[label] for label in split.labels],
        "groups": split.groups,
        "classifier_accuracy": right,
        "seconds": round(time.perf_counter() - start),
    }
    real = real_against_real(split, options.seed)
    text = "\n".join([*told(facts), *tables(scored), *real_lines(real)])
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / Path(options.source).name
    path.with_suffix(".md").write_text(text + "\n")
    content = {"facts": facts, "rows": {name: row._asdict() for name, row in scored.items()}, "real_against_real": real}
    path.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")
    missed = [f"{name}: {asked}" for name, row in scored.items() for asked, holds in row.holds.items() if not holds]
    print("\n".join(["all holds" if not missed else "does not hold:", *missed]))
    return bool(missed)


def load_split(options: argparse.Namespace) -> tuple[Split, tuple[str, ...]]:
    """Loads the start of every file of the source and splits the clips; returns them and the names of the labels."""
    corpus = load_corpus(options.source, options.sample_rate, 1)
    audio = gather(corpus.samples, corpus.starts, corpus.lengths, options.clip_samples)
    groups = np.array([Path(name).stem.partition("_")[0] for name in corpus.names])
    clips = Clips(audio, corpus.labels, groups).select(~_is_twin(audio))
    order = np.random.default_rng(options.seed).permutation(len(clips.labels))
    training = options.training or len(order) // 3
    half = (len(order) - training) // 2
    training_clips, reference, candidates, _ = (
        clips.select(part) for part in np.split(order, [training, training + half, training + 2 * half])
    )
    names = corpus.label_names
    kept = options.labels.split(",") if options.labels else names[: len(names) // 2]
    labels = [names.index(name) for name in kept]
    return Split(
        training_clips,
        reference,
        candidates,
        options.sample_rate,
        labels,
        [name for name in options.groups.split(",") if name],
    ), names


def _is_twin(audio: Tensor) -> np.ndarray:
    """Finds clips that are an earlier clip at another level, like the velocity layers of a drum kit: a mask (N,)."""
    flat = torch.nn.functional.normalize(audio.flatten(1))
    return ((flat @ flat.T).abs().triu(1) > TWINS).any(dim=0).numpy()


def train(split: Split, names: tuple[str, ...], seed: int) -> Classifier:
    """Trains a classifier on the training clips."""
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
    """Computes a row for each fault of at least two clips; leaves out expectations of unavailable metrics."""
    real, training = split.reference.audio.split(BATCH_SIZE), split.training.audio.split(BATCH_SIZE)
    reference = Reference(real, split.sample_rate, training=training, classifier=classifier, seed=seed)
    plain = reference.extract(split.candidates.audio.split(BATCH_SIZE))
    plain_scores: dict[int, Scores] = {}
    results = {}
    for index, (name, plant) in enumerate(CORRUPTIONS.items()):
        clips = plant(split, np.random.default_rng([seed, index]))
        if (n := len(clips)) < 2:
            continue  # the source has no clips of these groups
        if n not in plain_scores:
            plain_scores[n] = _scores(reference, {view: part[:n] for view, part in plain.items()}, count)
        scores = _scores(reference, reference.extract(clips.split(BATCH_SIZE)), count)
        outcomes = {asked: holds_in(asked, scores, plain_scores[n]) for asked in EXPECTED[name].split("; ")}
        holds = {asked: outcome for asked, outcome in outcomes.items() if outcome is not None}
        results[name] = Row(n, scores, plain_scores[n], holds)
    return results


def _scores(reference: Reference, features: Features, count: int) -> Scores:
    estimates = reference.estimates(features, count=count).items()
    return {name: score_record(values, len(features["log_mel"])) for name, values in estimates}


def real_against_real(split: Split, seed: int) -> dict[int, dict[str, list[float]]]:
    """Computes kad_l and fad_l of two disjoint sets of real clips, DRAWS times for each size that the clips allow."""
    audio = torch.cat([part.audio for part in split[:3]])
    features = extract(audio.split(BATCH_SIZE), split.sample_rate)["log_mel"]
    random = np.random.default_rng(seed)
    results: dict[int, dict[str, list[float]]] = {}
    for size in (size for size in REAL_SIZES if 2 * size <= len(features)):
        results[size] = {"kad_l": [], "fad_l": []}
        for _ in range(DRAWS):
            half, real = np.split(features[random.permutation(len(features))[: 2 * size]], 2)
            ones = np.ones((1, size))
            for name, values in results[size].items():
                values += METRICS[name].function(standardize(half, real), standardize(real, real), ones, ones).tolist()
    return results


def told(facts: Mapping[str, Any]) -> Iterator[str]:
    """Describes the compared clips, in lines of text."""
    learned, judged, planted = facts["clips"]
    yield f"{learned:,} clips to learn from, {judged:,} to judge by, {planted:,} to plant faults in. The classifier"
    yield f"recognises {facts['classifier_accuracy']:.1%} of those to judge by. Few labels are"
    yield f"{', '.join(facts['labels'])}; few groups are {', '.join(facts['groups']) or 'none'}."
    yield "In brackets 95 % intervals; bold is what must hold.\n"


def tables(results: Mapping[str, Row]) -> Iterator[str]:
    """Writes the lines of the tables: values, intervals and expectations."""
    first = next(iter(results.values()))
    smaller_rows = {row.n: row for row in results.values() if row.n != first.n}
    for title, metrics in TABLES.items():
        columns = [metric for metric in metrics if metric in first.scores]
        yield f"### {title}\n"
        yield f"| planted fault | n | {' | '.join(columns)} |"
        yield "| --- " * (len(columns) + 2) + "|"
        for name, row in results.items():
            cells = [_cell(row.scores[metric]) + _marks(row, metric) for metric in columns]
            yield f"| {name} | {row.n:,} | {' | '.join(cells)} |"
        for n, row in smaller_rows.items():
            yield f"| *none, as many* | {n:,} | {' | '.join(_cell(row.none[metric]) for metric in columns)} |"
        yield ""


def _cell(figure: Mapping[str, Any]) -> str:
    value, low, high = (
        f"{figure[key]:.0f}" if abs(figure[key]) >= 100 else f"{figure[key]:.3g}" for key in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})"


def _marks(row: Row, metric: str) -> str:
    expectations = [(asked.split(), holds) for asked, holds in row.holds.items()]
    words = [f"{' '.join(rule)} {'✓' if holds else '✗'}" for (name, *rule), holds in expectations if name == metric]
    return f" **{', '.join(words)}**" * bool(words)


def real_lines(distances: Mapping[int, Mapping[str, list[float]]]) -> Iterator[str]:
    """Writes the lines of the table of sizes: mean and standard deviation over the draws."""
    yield "### Real against real\n"
    yield "| n on each side | kad_l | fad_l |"
    yield "| --- | --- | --- |"
    for size, values in distances.items():
        cells = [f"{np.mean(draws):.3f} ± {np.std(draws, ddof=1):.3f}" for draws in values.values()]
        yield f"| {size:,} | {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
