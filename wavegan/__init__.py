"""Trains generative adversarial networks on raw audio and makes clips with them.

`load`, `evaluate` and `train` are here; they import torch when they are first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wavegan.interface import Model, evaluate, load, train

__version__ = "0.1.0"
__all__ = ["Model", "evaluate", "load", "train"]


def __getattr__(name: str) -> Any:
    """Returns a name of the interface, imported now; so `import wavegan` alone is quick."""
    if name not in __all__:
        raise AttributeError(f"module 'wavegan' has no attribute {name!r}")
    from wavegan import interface

    return getattr(interface, name)


def __dir__() -> list[str]:
    """Lists the names of the interface beside those that are set."""
    return sorted({*globals(), *__all__})
