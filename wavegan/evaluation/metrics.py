"""The metrics, a row for each: its function, the features that it takes, what it says, and where it is used."""

from collections.abc import Callable
from dataclasses import dataclass

from wavegan.evaluation import metric_functions as functions
from wavegan.evaluation.artefacts import comb_levels
from wavegan.evaluation.events import event_counts
from wavegan.evaluation.metric_functions import Array

LOWER, HIGHER, AS_REAL = "↓ lower is better", "↑ higher is better", "≈ as real is best"

Function = Callable[[Array, Array, Array, Array], Array]


@dataclass(frozen=True)
class Metric:
    """Holds all that the package knows of a metric; no code decides by a metric's name.

    features: the kind of features that the function takes. group, name, sentence: what pages say of it. better: LOWER,
    HIGHER or AS_REAL. is_periodic: every evaluation while training computes it; `evaluate` and `compare` alone compute
    the others, which cost more. is_charted: reports draw it against the step. is_headline: the checkpoint with its
    lowest value is the best; one metric has it. is_optional: pages leave it out where nothing was measured. is_curved:
    reports give it of fewer clips as well. parts: gives numbers by name that scores hold as well, of the features and
    the sample rate; parts_key: what they are called there; part: what pages call one.
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
    is_curved: bool = False
    parts: Callable[[Array, int], dict[str, float]] | None = None
    parts_key: str = ""
    part: str = "{}"


METRICS: dict[str, Metric] = {
    "kad_l": Metric(
        functions.kernel_distance,
        features="log_mel",
        group="Fidelity",
        name="Kernel distance",
        sentence=(
            "100 × unbiased MMD² of log-mel statistics, Gaussian kernel: about 0 for real clips, however many there "
            "are."
        ),
        better=LOWER,
        is_charted=True,
        is_headline=True,
        is_curved=True,
    ),
    "kad_order": Metric(
        functions.kernel_distance,
        features="order",
        group="Fidelity",
        name="Kernel distance, order",
        sentence="The same of where in time and frequency a clip's sound lies, 16 × 16 cells: hears order and onsets.",
        better=LOWER,
        is_curved=True,
    ),
    "kad_partials": Metric(
        functions.kernel_distance,
        features="partials",
        group="Fidelity",
        name="Kernel distance, partials",
        sentence="The same of how steady the strongest partials are in frequency and level, and how loud beside noise.",
        better=LOWER,
    ),
    "kad_attack": Metric(
        functions.kernel_distance,
        features="attack",
        group="Fidelity",
        name="Kernel distance, attack",
        sentence="The same of crest factors and the steepest rises in level: hears phases and smeared attacks.",
        better=LOWER,
    ),
    "kad_c": Metric(
        functions.kernel_distance,
        features="classifier",
        group="Fidelity",
        name="Kernel distance, classifier",
        sentence="The same of the classifier's features, which tell kinds and order of sound rather than hiss.",
        better=LOWER,
        is_curved=True,
    ),
    "fad_l": Metric(
        functions.frechet_distance,
        features="log_mel",
        group="Fidelity",
        name="Fréchet distance",
        sentence=(
            "Of log-mel statistics, each set taken as a Gaussian: above 0 even for real clips, so compare at equal n."
        ),
        better=LOWER,
        is_periodic=False,
    ),
    "fad_c": Metric(
        functions.frechet_distance,
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
        is_curved=True,
    ),
    "density": Metric(
        functions.density,
        features="log_mel",
        group="Fidelity",
        name="Density",
        sentence=(
            "In how many real clips' reach a clip lies, over 5: about 1 for real clips, more where clips crowd "
            "together."
        ),
        better=HIGHER,
    ),
    "recall": Metric(
        functions.recall,
        features="log_mel",
        group="Diversity",
        name="Recall",
        sentence=(
            "Share of real clips within the reach of a clip of the set, which is as far as its 5th neighbour there."
        ),
        better=HIGHER,
        is_charted=True,
        is_curved=True,
    ),
    "coverage": Metric(
        functions.coverage,
        features="log_mel",
        group="Diversity",
        name="Coverage",
        sentence=(
            "Share of real clips that have a clip of the set within their reach: falls as kinds of sound are lost."
        ),
        better=HIGHER,
        is_charted=True,
        is_curved=True,
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
        sentence=(
            "Share of clips as near to a training clip as only 1 % of held-out clips are: 0.01 where nothing is "
            "learned by heart."
        ),
        better=LOWER,
        is_charted=True,
    ),
    "copy_z": Metric(
        functions.copy_z,
        features="to_training",
        group="Originality",
        name="Copying, rank test",
        sentence=(
            "Mann-Whitney z of the distances to the nearest training clip: far below 0 where clips lie nearer to "
            "training clips than held-out ones do."
        ),
        better=AS_REAL,
        is_periodic=False,
    ),
    "comb_db": Metric(
        functions.comb_db,
        features="comb",
        group="Artefacts",
        name="Comb",
        sentence=(
            "In the quietest 30 % of frames, the power at multiples of fs/4, fs/16 … over the median of its "
            "neighbours, in dB: a metallic tone; the worst stage counts."
        ),
        better=LOWER,
        is_charted=True,
        parts=comb_levels,
        parts_key="stages",
        part="at multiples of {}",
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
        sentence=(
            "Share of clips with an event that one in a hundred real clips has: samples clamped in a row, a click, a "
            "second hit, growth."
        ),
        better=LOWER,
        is_charted=True,
        parts=event_counts,
        parts_key="clips",
        part="clips with: {}",
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
        sentence=(
            "exp E KL(p(y|x)‖p(y)): how surely each clip has one label and how evenly labels are spread; noise can "
            "raise it."
        ),
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
    "kad_e": Metric(
        functions.kernel_distance,
        features="embedding",
        group="Your embedding",
        name="Kernel distance, embedding",
        sentence="The kernel distance of the features that your embedding gives.",
        better=LOWER,
        is_periodic=False,
        is_optional=True,
    ),
    "fad_e": Metric(
        functions.frechet_distance,
        features="embedding",
        group="Your embedding",
        name="Fréchet distance, embedding",
        sentence="The Fréchet distance of the same: compare at equal n.",
        better=LOWER,
        is_periodic=False,
        is_optional=True,
    ),
    "precision_e": Metric(
        functions.precision,
        features="embedding",
        group="Your embedding",
        name="Precision, embedding",
        sentence="Share of clips within the reach of a real clip in your embedding.",
        better=HIGHER,
        is_periodic=False,
        is_optional=True,
    ),
    "density_e": Metric(
        functions.density,
        features="embedding",
        group="Your embedding",
        name="Density, embedding",
        sentence="In how many real clips' reach a clip lies in your embedding, over 5.",
        better=HIGHER,
        is_periodic=False,
        is_optional=True,
    ),
    "recall_e": Metric(
        functions.recall,
        features="embedding",
        group="Your embedding",
        name="Recall, embedding",
        sentence="Share of real clips within the reach of a clip of the set in your embedding.",
        better=HIGHER,
        is_periodic=False,
        is_optional=True,
    ),
    "coverage_e": Metric(
        functions.coverage,
        features="embedding",
        group="Your embedding",
        name="Coverage, embedding",
        sentence="Share of real clips that have a clip of the set within their reach in your embedding.",
        better=HIGHER,
        is_periodic=False,
        is_optional=True,
    ),
}

HEADLINE = next(name for name, metric in METRICS.items() if metric.is_headline)
