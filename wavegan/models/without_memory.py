"""Makes networks that have shapes and no weights, to count or compare them without their memory."""

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class WithoutMemory(TorchFunctionMode):
    """While entered, weights are made on the meta device: `with WithoutMemory(): network = …`.

    Only `torch.empty`, by which layers ask for their weights, is led there. `with torch.device("meta")` would compute
    constants there too, for which torch imports its compiler: 1.3 s at the start of every command.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.empty and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)
