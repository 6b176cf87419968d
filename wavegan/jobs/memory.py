"""Running out of memory, told as something that can be put right."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from wavegan.errors import UserError


@contextmanager
def memory_explained(advice: str) -> Iterator[None]:
    """While entered, too little memory on the host or an accelerator is a UserError that ends with `advice`."""
    try:
        yield
    except (MemoryError, RuntimeError) as fault:
        is_short = isinstance(fault, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(fault)
        if not is_short:
            raise
        raise UserError(f"there is too little memory for this; {advice}") from fault
