"""Translates names of objectives, as papers use them, to the keys of a recipe."""

import re
from typing import Any

PAPERS = {  # maps the name in a paper to the objective and the keys that go with it
    "gan": "minimax with penalty: none",
    "dcgan": "non_saturating with penalty: none",
    "nsgan": "non_saturating with penalty: none",
    "lsgan": "least_squares with penalty: none",
    "wgan": "wasserstein with penalty: none and weight_clip: 0.01",
    "wgangp": "wasserstein with penalty: gradient_penalty",
    "ragan": "relativistic_average with penalty: gradient_penalty",
    "rpgan": "relativistic with penalty: r1_r2",
    "r3gan": "relativistic with penalty: r1_r2",
}


def refuse_papers_name(value: Any) -> Any:
    """Returns the value; raises ValueError, with the name to write, for a paper's own name of an objective."""
    if meant := PAPERS.get(re.sub(r"[\W_]", "", str(value).lower())):
        raise ValueError(f"it must be {meant.partition(' ')[0]}; try objective: {meant}")
    return value
