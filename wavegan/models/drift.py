"""Measures how far sound drifts while it goes on, so that long sounds go as far from latent to latent."""

import math

from torch import Tensor

UNITS = 4  # parts of the way from one latent of a long sound to the next
PIECE = 2 * UNITS + 1  # parts of a piece of sound in which drift is measured
MIXED = 0.25  # of what parts that follow each other differ by; where any two differ by less more, all change as fast


def measured_drift(levels: Tensor) -> float:
    """Returns the drift of sound, from 0, it stays as it is, to 1, it becomes any other sound of its kind.

    levels: mean log spectra of the parts of pieces of sound, (pieces, PIECE, bands). Parts that follow each other
    differ by chance; what the first and the last differ beyond that is compared with what any two parts do.
    """
    near = float((levels[:, 1:] - levels[:, :-1]).square().mean())
    far = float((levels[:, -1] - levels[:, 0]).square().mean())
    most = 2 * float(levels.flatten(0, 1).var(0).mean()) - near
    if most <= MIXED * near:
        return 1.0
    return 2 / math.pi * math.asin(min(max(far - near, 0) / most, 1) ** 0.5)
