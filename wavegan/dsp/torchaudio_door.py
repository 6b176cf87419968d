"""Gives torchaudio to the package, the only place that imports it."""

import sys
from types import ModuleType


def torchaudio() -> ModuleType:
    """Returns the torchaudio package, also where its compiled part does not fit the installed torch."""
    try:
        import torchaudio
    except (OSError, RuntimeError):
        # The functions that we call are plain Python and do not use the part that failed to load.
        stub = ModuleType("torchaudio._extension")
        stub.__dict__.update(
            _IS_TORCHAUDIO_EXT_AVAILABLE=False, _IS_ALIGN_AVAILABLE=False, fail_if_no_align=lambda call: call
        )
        sys.modules[stub.__name__] = stub
        import torchaudio
    return torchaudio
