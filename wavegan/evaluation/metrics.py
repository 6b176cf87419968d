"""Lists the metrics, a row for each: its function, the features that it takes, what it says, and where it is used."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from wavegan.evaluation import metric_functions as functions
from wavegan.evaluation.artefacts import comb_levels, strongest_line, strongest_ripple
from wavegan.evaluation.events import event_counts
from wavegan.evaluation.frechet import frechet_distance
from wavegan.evaluation.metric_functions import Array

LOWER, HIGHER, AS_REAL = "↓ lower is better", "↑ higher is better", "≈ as real is best"

Function = Callable[[Array, Array, Array, Array], Array]


class Parts(NamedTuple):
    """Describes further numbers of a score: their key, their function of features and sample rate, and their words."""

    key: str
    function: Callable[[Array, int], dict[str, float]]
    words: str


@dataclass(frozen=True)
class Metric:
    """Holds all that the package knows of a metric; no code decides by a metric's name.

    features: the kind of features that the function takes. group, name, sentence: what pages say of it. better: LOWER,
    HIGHER or AS_REAL. is_periodic: every evaluation while training computes it; `evaluate` and `compare` alone compute
    the others, which cost more. is_charted: reports draw it against the step, and for fewer clips. is_headline: the
    checkpoint with its lowest value is the best; this holds for one metric. is_optional: pages leave it out if it was
    not measured. parts: the parts of its value.
    """

    function: Function
    features: str
    group: str
    name: str
    sentence: str
    better: str
    is_periodic: bool = True
    is_charted: bool = False
    is_headline: bool = False
    is_optional: bool = False
    parts: Parts | None = None


def _kernel_distance(features: str, sentence: str, *, is_charted: bool = False, is_optional: bool = False) -> Metric:
    words = ("Fidelity", f"Kernel distance, {features}", sentence, LOWER)
    return Metric(functions.kernel_distance, features, *words, is_charted=is_charted, is_optional=is_optional)


def _of_embedding(function: Function, name: str, better: str) -> Metric:
    words = ("Your embedding", f"{name}, embedding", "The same of the features that your embedding gives.", better)
    return Metric(function, "embedding", *words, is_periodic=False, is_optional=True)


METRICS: dict[str, Metric] = {
    "kad_l": Metric(
        functions.kernel_distance,
        features="log_mel",
        group="Fidelity",
        name="Kernel distance",
        sentence="100 × unbiased MMD² of log-mel statistics, Gaussian kernel: about 0 for any number of real clips.",
        better=LOWER,
        is_charted=True,
        is_headline=True,
    ),
    "kad_order": _kernel_distance(
        "order",
        "The same of where in time and frequency a clip's sound lies, 16 × 16 cells: hears order and onsets.",
        is_charted=True,
    ),
    "kad_partials": _kernel_distance(
        "partials",
        "The same of how steady the strongest partials are in frequency and level, and how loud beside noise.",
    ),
    "kad_attack": _kernel_distance(
        "attack",
        "The same of crest factors and the steepest rises in level: hears phases and smeared attacks.",
    ),
    "kad_stereo": _kernel_distance(
        "stereo",
        "The same of the stereo image: width, place and what is in one channel alone, in 8 bands.",
        is_optional=True,
    ),
    "kad_c": _kernel_distance(
        "classifier",
        "The same of the classifier's features, which tell kinds and order of sound rather than hiss.",
    ),
    "fad_l": Metric(
        frechet_distance,
        features="log_mel",
        group="Fidelity",
        name="Fréchet distance",
        sentence="Of log-mel statistics as Gaussians: above 0 even for real clips, so compare at equal n.",
        better=LOWER,
        is_periodic=False,
    ),
    "fad_c": Metric(
        frechet_distance,
        features="classifier",
        group="Fidelity",
        name="Fréchet distance, classifier",
        sentence="The same of the classifier's features: compare at equal n.",
        better=LOWER,
        is_periodic=False,
    ),
    "precision": Metric(
        functions.precision,
        features="log_mel",
        group="Fidelity",
        name="Precision",
        sentence="Share of clips within the reach of a real clip, which is as far as its 5th real neighbour.",
        better=HIGHER,
        is_charted=True,
    ),
    "density": Metric(
        functions.density,
        features="log_mel",
        group="Fidelity",
        name="Density",
        sentence="In how many real clips' reach a clip lies, over 5: about 1 for real ones, more where clips crowd.",
        better=HIGHER,
    ),
    "recall": Metric(
        functions.recall,
        features="log_mel",
        group="Diversity",
        name="Recall",
        sentence="Share of real clips within the reach of a clip of the set, as far as its 5th neighbour there.",
        better=HIGHER,
        is_charted=True,
    ),
    "coverage": Metric(
        functions.coverage,
        features="log_mel",
        group="Diversity",
        name="Coverage",
        sentence="Share of real clips with a clip of the set within their reach: falls as kinds of sound are lost.",
        better=HIGHER,
        is_charted=True,
    ),
    "duplicate_share": Metric(
        functions.duplicate_share,
        features="log_mel",
        group="Diversity",
        name="Duplicates",
        sentence="Share of clips as near to another of their own set as only 1 % of real clips are.",
        better=LOWER,
        is_charted=True,
    ),
    "copy_share": Metric(
        functions.copy_share,
        features="to_training",
        group="Originality",
        name="Copies",
        sentence="Share of clips nearer to a training clip than 99 % of held-out ones, "
        "and less than half as far as the median of these.",
        better=LOWER,
        is_charted=True,
    ),
    "copy_z": Metric(
        functions.copy_z,
        features="to_training",
        group="Originality",
        name="Copying, rank test",
        sentence="A rank test's z of distances to training clips: far below 0 where held-out ones are less near.",
        better=AS_REAL,
        is_periodic=False,
    ),
    "comb_db": Metric(
        functions.strongest_of_mean,
        features="comb",
        group="Artefacts",
        name="Comb",
        sentence=(
            "In the quietest 30 % of frames, the power at multiples of fs/4, fs/16 … over the median of its "
            "neighbours, in dB: a metallic tone; the worst stage counts."
        ),
        better=LOWER,
        is_charted=True,
        parts=Parts("stages", comb_levels, "at multiples of {}"),
    ),
    "ripple_db": Metric(
        functions.strongest_of_mean,
        features="ripple",
        group="Artefacts",
        name="Ripple",
        sentence="In the loud frames, by how many dB the spectrum rises at all multiples of one frequency: a buzz.",
        better=AS_REAL,
        parts=Parts("strongest", strongest_ripple, "at multiples of {}"),
    ),
    "line_db": Metric(
        functions.unevenness_of_mean,
        features="lines",
        group="Artefacts",
        name="Lines",
        sentence="In the loud frames, by how many dB single frequencies stand out in the mean of all clips: tones.",
        better=AS_REAL,
        parts=Parts("strongest", strongest_line, "most at {}"),
    ),
    "spectrum_error_db": Metric(
        functions.spectrum_error_db,
        features="third_octaves",
        group="Artefacts",
        name="Spectrum error",
        sentence="Mean absolute difference from the real spectrum per third octave, in dB: hiss and lost bands.",
        better=LOWER,
        is_charted=True,
    ),
    "noise_floor_db": Metric(
        functions.mean_of_clips,
        features="noise_floor",
        group="Artefacts",
        name="Noise floor",
        sentence="Level of the quietest frames, in dBFS: above that of real clips it is hiss.",
        better=AS_REAL,
    ),
    "artefact_share": Metric(
        functions.artefact_share,
        features="events",
        group="Artefacts",
        name="Clips with an artefact",
        sentence="Share of clips clamped, or with a click, second hit, growth or swell such as 1 % of real clips have.",
        better=LOWER,
        is_charted=True,
        parts=Parts("clips", event_counts, "clips with: {}"),
    ),
    "partial_jitter_hz": Metric(
        functions.mean_of_clips,
        features="jitter",
        group="Artefacts",
        name="Jitter of partials",
        sentence="How far the frequency of a strong partial moves in 8 ms: above that of real clips partials wobble.",
        better=AS_REAL,
    ),
    "inception_score": Metric(
        functions.inception_score,
        features="probabilities",
        group="Labels",
        name="Inception score",
        sentence="exp E KL(p(y|x)‖p(y)): how sure and how evenly spread labels are; noise can raise it.",
        better=HIGHER,
    ),
    "mis": Metric(
        functions.modified_inception_score,
        features="probabilities",
        group="Labels",
        name="Modified inception score",
        sentence="How far the label probabilities of two clips lie apart, over all pairs.",
        better=HIGHER,
    ),
    "am": Metric(
        functions.am_score,
        features="probabilities",
        group="Labels",
        name="AM score",
        sentence="How unsure the label of a clip is, and how far the share of labels is from that of real clips.",
        better=LOWER,
    ),
    "kad_e": _of_embedding(functions.kernel_distance, "Kernel distance", LOWER),
    "fad_e": _of_embedding(frechet_distance, "Fréchet distance", LOWER),
    "precision_e": _of_embedding(functions.precision, "Precision", HIGHER),
    "density_e": _of_embedding(functions.density, "Density", HIGHER),
    "recall_e": _of_embedding(functions.recall, "Recall", HIGHER),
    "coverage_e": _of_embedding(functions.coverage, "Coverage", HIGHER),
}

HEADLINE = next(name for name, metric in METRICS.items() if metric.is_headline)
