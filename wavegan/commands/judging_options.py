"""Defines what can be chosen about a judgement.

It imports no heavy library, so that the command line can use it at once.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class JudgingOptions:
    """Says what `evaluate` and `compare` judge by, and which clips of a MODEL they judge.

    data: a folder of real audio to judge by; training: one to look for copies in; a MODEL has its own of both.
    classifier: a file, "none", or None for one that is trained where there are labels. count: clips at most, the
    recipe's evaluation.count or 1,000 where None. seed: the series of clips. device: as `assemble.device` takes it.
    raw: use the weights that learn, not their running average. checkpoint: "newest", "best" or a step.
    """

    data: Path | None = None
    training: Path | None = None
    classifier: str | None = None
    count: int | None = None
    seed: int = 0
    device: str = "auto"
    raw: bool = False
    checkpoint: str = "newest"


DEFAULTS = JudgingOptions()
