"""Prepares the step that `wavegan train` takes of a recipe for timing, whole and by part."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from wavegan import assemble, distributed
from wavegan.bench.measure import PeakMemory, StopWatch, timed
from wavegan.commands.memory import give_back_freed_memory, prepare_process
from wavegan.generation import synthesize
from wavegan.methods.base import Batch
from wavegan.models.evaluation_mode import evaluation_mode
from wavegan.recipe import Recipe
from wavegan.training.loop import Batches, take_step

TOTAL = "total"


class StepTiming:
    """Trains a recipe on a device so that its steps can be timed.

    Without a corpus, clips of noise replace the sound, at no cost.
    """

    def __init__(self, recipe: Recipe, device: str, threads: int, has_corpus: bool):
        prepare_process()  # as `wavegan train` does
        torch.set_num_threads(threads)
        self.recipe, self.device = recipe, assemble.device(device)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)  # this process is ours alone
        clips = assemble.training_clips(recipe, assemble.corpora(recipe)) if has_corpus else None
        self.memory = PeakMemory(self.device)
        self.training = assemble.training(recipe, self.device, clips)
        self.batches = assemble.batches(recipe, clips, self.device) if clips else self._noise()
        if not distributed.is_main():  # as `wavegan train`: the first process decides what is left to the machine
            self.training.restore(distributed.broadcast())
        self._remarks = assemble.autotune(recipe, self.training, self.batches(0))
        if distributed.is_main():
            distributed.broadcast(self.training.state())
        give_back_freed_memory()
        self.memory.restart()
        self.draw = 0

    def precision(self) -> str:
        """Returns the precision that the training uses."""
        return self.training.precision

    def threads(self) -> int:
        """Returns the number of threads that the training uses."""
        return torch.get_num_threads()

    def remarks(self) -> list[str]:
        """Returns as lines what was decided by measuring on this machine."""
        return self._remarks

    def steps(self, count: int) -> float:
        """Returns the seconds of `count` steps, their data included."""
        return timed(self.step, count, self.device)

    def step(self) -> None:
        """Takes one step and counts it."""
        take_step(self.training, self.batches)
        self.training.step += 1

    def parts(self, count: int) -> dict[str, float]:
        """Returns the seconds of the parts of `count` steps, and of the whole.

        It waits for the device between parts.
        """
        watch = StopWatch(self.device)
        with _taken_apart(self, watch):
            for _ in range(count):
                watch.start(TOTAL)
                self.step()
                before_average = watch.last_stop
                watch.stop(TOTAL)
                averaging = watch.last_stop - before_average if self.training.averages else 0.0
                watch.seconds["ema"] = watch.seconds.get("ema", 0.0) + averaging
        return _own_share(watch.seconds)

    def peak_memory(self) -> int:
        """Returns the most bytes that networks and steps have needed so far."""
        return self.memory.bytes

    def draws(self, count: int) -> float:
        """Returns the seconds in which `count` fresh batches come from the corpus."""
        return timed(self._next_batch, count, self.device)

    def generations(self, clips: int, precision: str, count: int) -> float:
        """Returns the seconds to make `count` batches of `clips` clips and to bring them to the host."""
        model = replace(assemble.generating_model(self.recipe, self.training, (), ()), precision=precision)
        z, *noise = (declared.draw(clips, device=self.device) for declared in model.inputs)
        with evaluation_mode(model.generator):
            return timed(lambda: synthesize(model, z, self._labels(clips), noise), count, self.device)

    def _next_batch(self) -> Batch:
        self.draw += 1
        return self.batches(self.draw)

    def _noise(self) -> Batches:
        clips = len(range(self.recipe.training.batch_size)[distributed.rank_slice(self.recipe.training.batch_size)])
        size = (clips, self.recipe.data.channels, self.recipe.data.clip_samples)
        batch = Batch(torch.rand(size, device=self.device) * 2 - 1, self._labels(size[0]))
        return lambda draw: batch

    def _labels(self, clips: int) -> Tensor | None:
        """Returns label rows for so many clips, all labels in turn; None if the networks know none."""
        count = assemble.label_count(self.recipe)
        return torch.eye(count, device=self.device)[torch.arange(clips) % count] if count else None


class _WatchedNetwork(nn.Module):
    """Times the forward passes of a generator that make no graph.

    times_all: also times those that make a graph.
    """

    def __init__(self, network: nn.Module, watch: StopWatch, *, times_all: bool):
        super().__init__()
        self.network, self.watch, self.times_all = network, watch, times_all

    def forward(self, *inputs: Tensor | None) -> Tensor:
        if torch.is_grad_enabled() and not self.times_all:
            return self.network(*inputs)
        return _watched(self.watch, "generator_forward", self.network)(*inputs)


@contextmanager
def _taken_apart(own: StepTiming, watch: StopWatch) -> Iterator[None]:
    """Makes the training's steps leave the seconds of their parts with the watch while the context is entered."""
    training, batches, backwards = own.training, own.batches, own.training.backwards
    networks = cast(dict[str, nn.Module], training.method.networks)  # the phases look the generator up in it
    generator = networks["generator"]
    hooks = []
    for optimizer in training.optimizers.values():
        hooks.append(optimizer.register_step_pre_hook(lambda *_: watch.start("optimizer")))
        hooks.append(optimizer.register_step_post_hook(lambda *_: watch.stop("optimizer")))
    reuses_fakes = getattr(training.method, "reuses_fakes", False)
    networks["generator"] = _WatchedNetwork(generator, watch, times_all=reuses_fakes)
    training.backwards = {
        phase.name: _watched(watch, f"{phase.name.removesuffix('s')}_update", backwards.get(phase.name, phase.backward))
        for phase in training.method.phases
    }
    own.batches = _watched(watch, "data", batches)
    average = distributed.average_over_ranks
    if distributed.world_size() > 1:
        distributed.average_over_ranks = _watched(watch, "averaging", average)
    try:
        yield
    finally:
        networks["generator"], training.backwards, own.batches = generator, backwards, batches
        distributed.average_over_ranks = average
        for hook in hooks:
            hook.remove()


def _watched(watch: StopWatch, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def timed_call(*arguments: Any) -> Any:
        watch.start(name)
        result = function(*arguments)
        watch.stop(name)
        return result

    return timed_call


def _own_share(seconds: Mapping[str, float]) -> dict[str, float]:
    """Returns the seconds of each part without those of a part inside it; with `other` they add up to the whole.

    If a discriminator update is replayed as a whole (a CUDA graph), the generator's forward pass is in it.
    """
    names = ("data", "generator_forward", "discriminator_update", "generator_update", "optimizer", "ema")
    own = {name: seconds.get(name, 0.0) for name in names}
    if distributed.world_size() > 1:
        own["averaging"] = seconds.get("averaging", 0.0)
    own["discriminator_update"] -= own["generator_forward"]
    return own | {"other": seconds[TOTAL] - sum(own.values()), TOTAL: seconds[TOTAL]}
