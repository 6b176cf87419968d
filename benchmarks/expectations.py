"""Lists, for each corruption of `corruptions.py`, how metrics must react to it, and decides whether they do."""

from collections.abc import Callable, Mapping

from wavegan.evaluation.metrics import METRICS

Scores = Mapping[str, Mapping[str, float]]

# An expectation names a metric, a relation, and a bound or another metric if the relation needs one. A value "rises"
# above the interval of clips without fault (`none`), "falls" below it, "stays" within it, or "keeps" within or above
# it. One metric "outdoes" another of the same scale if it is more than three times as large.
RELATIONS: dict[str, Callable[[Scores, Scores, str, str], bool]] = {
    "rises": lambda row, none, metric, _: row[metric]["value"] > none[metric]["high"],
    "falls": lambda row, none, metric, _: row[metric]["value"] < none[metric]["low"],
    "stays": lambda row, none, metric, _: none[metric]["low"] <= row[metric]["value"] <= none[metric]["high"],
    "keeps": lambda row, none, metric, _: none[metric]["low"] <= row[metric]["value"],
    ">": lambda row, none, metric, bound: row[metric]["value"] > float(bound),
    "<": lambda row, none, metric, bound: row[metric]["value"] < float(bound),
    "outdoes": lambda row, none, metric, bound: row[metric]["value"] > 3 * row[bound]["value"],
}
EXPECTED = {
    "none: other real clips": (
        "kad_l < 1; kad_c < 1; precision > 0.85; recall > 0.85; coverage > 0.9; copy_share < 0.1; "
        "duplicate_share < 0.06; comb_db < 6; ripple_db < 1; line_db < 1.5; kad_order < 1; kad_partials < 1; "
        "kad_attack < 1; artefact_share < 0.03"
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
    "repeated after 32 ms": "ripple_db rises; ripple_db > 1; comb_db < 6",
    "a constant tone, 40 dB below": "line_db rises; ripple_db < 1; comb_db < 6",
    "a swell in each": "artefact_share rises; comb_db < 6",
}


def holds_in(asked: str, row: Scores, none: Scores) -> bool | None:
    """Says whether an expectation holds for a row; None if a metric that it names is not available."""
    metric, relation, bound = [*asked.split(), ""][:3]
    is_known = {metric, bound} & set(METRICS) <= set(row)
    return RELATIONS[relation](row, none, metric, bound) if is_known else None
