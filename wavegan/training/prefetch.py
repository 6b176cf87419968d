"""Makes batches and copies them to an accelerator while the step before still runs."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from wavegan.methods.base import Batch


class Prefetcher:
    """Makes the batches of `make` one draw ahead: Prefetcher(...)(draw) returns a batch on the device.

    make(draw) makes a batch in host memory. A thread prepares draw + 1; for CUDA it copies it from page-locked memory
    on a stream of its own. A call for any other draw has to wait. An error of `make` is raised to the caller.
    """

    def __init__(self, make: Callable[[int], Batch], device: torch.device):
        self.make = make
        self.device = device
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self.next: tuple[int, Future[Batch]] | None = None
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, draw: int) -> Batch:
        if self.next is None or self.next[0] != draw:
            self.next = draw, self.worker.submit(self._fetch, draw)
        batch = self.next[1].result()
        if self.stream is not None:
            here = torch.cuda.current_stream(self.device)
            here.wait_stream(self.stream)
            for tensor in batch:
                if tensor is not None:
                    tensor.record_stream(here)  # its memory may not be reused before this stream has read it
        self.next = draw + 1, self.worker.submit(self._fetch, draw + 1)
        return batch

    def _fetch(self, draw: int) -> Batch:
        batch = self.make(draw)
        if self.stream is None:
            return batch.map(lambda tensor: tensor.to(self.device))
        with torch.cuda.stream(self.stream):
            return batch.map(lambda tensor: tensor.pin_memory().to(self.device, non_blocking=True))
