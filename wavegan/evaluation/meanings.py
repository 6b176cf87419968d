"""What each metric says in plain words, and which way is better."""

from typing import NamedTuple

LOWER, HIGHER, AS_REAL = "↓ lower is better", "↑ higher is better", "≈ as real is best"


class Meaning(NamedTuple):
    """What a metric is about, its name in words, one sentence that says what it is, and which way is better."""

    group: str
    name: str
    sentence: str
    better: str


MEANINGS = {
    "kad_l": Meaning(
        "Fidelity",
        "Kernel distance",
        "100 × unbiased MMD² of log-mel statistics, Gaussian kernel: about 0 for real clips, however many there are.",
        LOWER,
    ),
    "kad_c": Meaning(
        "Fidelity",
        "Kernel distance, classifier",
        "The same of the classifier's features, which tell kinds and order of sound rather than hiss.",
        LOWER,
    ),
    "fad_l": Meaning(
        "Fidelity",
        "Fréchet distance",
        "Of log-mel statistics, each set taken as a Gaussian: above 0 even for real clips, so compare at equal n.",
        LOWER,
    ),
    "fad_c": Meaning(
        "Fidelity",
        "Fréchet distance, classifier",
        "The same of the classifier's features: compare at equal n.",
        LOWER,
    ),
    "precision": Meaning(
        "Fidelity",
        "Precision",
        "Share of clips within the reach of a real clip, which is as far as its 5th real neighbour.",
        HIGHER,
    ),
    "density": Meaning(
        "Fidelity",
        "Density",
        "In how many real clips' reach a clip lies, over 5: about 1 for real clips, more where clips crowd together.",
        HIGHER,
    ),
    "recall": Meaning(
        "Diversity",
        "Recall",
        "Share of real clips within the reach of a clip of the set, which is as far as its 5th neighbour there.",
        HIGHER,
    ),
    "coverage": Meaning(
        "Diversity",
        "Coverage",
        "Share of real clips that have a clip of the set within their reach: falls as kinds of sound are lost.",
        HIGHER,
    ),
    "duplicate_share": Meaning(
        "Diversity",
        "Duplicates",
        "Share of clips as near to another of their own set as only 1 % of real clips are.",
        LOWER,
    ),
    "copy_share": Meaning(
        "Originality",
        "Copies",
        "Share of clips as near to a training clip as only 1 % of held-out clips are: 0.01 where nothing is learned "
        "by heart.",
        LOWER,
    ),
    "copy_z": Meaning(
        "Originality",
        "Copying, rank test",
        "Mann-Whitney z of the distances to the nearest training clip: far below 0 where clips lie nearer to training "
        "clips than held-out ones do.",
        AS_REAL,
    ),
    "comb_db": Meaning(
        "Artefacts",
        "Comb",
        "In the quietest 30 % of frames, the power at multiples of fs/4, fs/16 … over the median of its neighbours, in "
        "dB: a metallic tone; the worst stage counts.",
        LOWER,
    ),
    "spectrum_error_db": Meaning(
        "Artefacts",
        "Spectrum error",
        "Mean absolute difference from the real spectrum per third octave, in dB: hiss and lost bands.",
        LOWER,
    ),
    "noise_floor_db": Meaning(
        "Artefacts",
        "Noise floor",
        "Level of the quietest frames, in dBFS: above that of real clips it is hiss.",
        AS_REAL,
    ),
    "inception_score": Meaning(
        "Labels",
        "Inception score",
        "exp E KL(p(y|x)‖p(y)): how surely each clip has one label and how evenly labels are spread; noise can raise "
        "it.",
        HIGHER,
    ),
    "mis": Meaning(
        "Labels",
        "Modified inception score",
        "How far the label probabilities of two clips lie apart, over all pairs.",
        HIGHER,
    ),
    "am": Meaning(
        "Labels",
        "AM score",
        "How unsure the label of a clip is, and how far the share of labels is from that of real clips.",
        LOWER,
    ),
}
