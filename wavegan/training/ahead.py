"""Batches made and copied to an accelerator while the step before them is still at work."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor


class Ahead:
    """The batches of `make`, one draw ahead: Ahead(...)(draw) gives clips (N, C, T) on the device.

    make(draw) gives them in host memory. A thread prepares draw + 1 in page-locked memory, from which the device
    fetches it by itself; whoever goes on from another draw waits once. An error of `make` is raised to the caller.
    """

    def __init__(self, make: Callable[[int], Tensor], device: torch.device):
        self.make = make
        self.device = device
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self.next: tuple[int, Future[Tensor]] | None = None
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, draw: int) -> Tensor:
        if self.next is None or self.next[0] != draw:
            self.next = draw, self.worker.submit(self._fetch, draw)
        clips = self.next[1].result()
        if self.stream is not None:
            here = torch.cuda.current_stream(self.device)
            here.wait_stream(self.stream)
            clips.record_stream(here)  # its memory may not be given away before this stream has used it
        self.next = draw + 1, self.worker.submit(self._fetch, draw + 1)
        return clips

    def _fetch(self, draw: int) -> Tensor:
        clips = self.make(draw)
        if self.stream is None:
            return clips.to(self.device)
        with torch.cuda.stream(self.stream):
            return clips.pin_memory().to(self.device, non_blocking=True)
