"""Gives librosa to the package, the only place that imports it."""

import logging
import os
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Timer
from types import ModuleType

import numpy as np

from wavegan.file_lock import locked_if_possible

logger = logging.getLogger(__name__)

SECONDS_BEFORE_LINE = 15  # compiled functions are there sooner


@cache
def librosa() -> ModuleType:
    """Returns the librosa package, and has the functions of it that we call compiled by one process at a time.

    Their compiler, numba, keeps them for later processes. Processes that keep functions at the same time can give one
    the code of another, and from then on each call of it crashes or computes nonsense.
    """
    line = "librosa compiles its functions for this computer; this takes half a minute, once"
    timer = Timer(SECONDS_BEFORE_LINE, logger.info, [line])
    timer.daemon = True
    with locked_if_possible(_lock(), "compiles librosa's functions"):
        timer.start()
        try:
            return _compiled()
        finally:
            timer.cancel()


def _lock() -> Path:
    """Returns a file where numba keeps functions: beside librosa's, or elsewhere for each user if that is forbidden."""
    spec = find_spec("librosa")
    assert spec and spec.origin, "librosa is one of our packages"
    place = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(spec.origin).with_name("__pycache__"))
    if not os.access(place if place.exists() else place.parent, os.W_OK):
        user = getattr(os, "getuid", int)()  # Windows has a folder of temporary files for each user
        place = Path(tempfile.gettempdir()) / f"wavegan-{user}"
    return place / "wavegan.lock"


def _compiled() -> ModuleType:
    import librosa  # whose parts are imported when they are named, and compile as well

    sound = np.linspace(-1, 1, 8192, dtype=np.float32)
    librosa.pyin(sound, fmin=100, fmax=400, sr=16_000)
    librosa.onset.onset_detect(y=sound, sr=16_000)
    librosa.effects.split(sound)
    librosa.effects.trim(sound)
    librosa.feature.spectral_centroid(y=sound)
    librosa.feature.spectral_flatness(y=sound)
    return librosa
