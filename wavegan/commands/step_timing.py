"""The step that `wavegan train` takes of a recipe, ready to be timed, whole and by part."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from wavegan import assemble
from wavegan.bench.measure import PeakMemory, StopWatch, timed
from wavegan.commands.memory import give_back_freed_memory, keep_freed_memory
from wavegan.commands.telling import say
from wavegan.dsp.representation import Waveform
from wavegan.generation import synthesize
from wavegan.methods.base import Batch
from wavegan.models import latents
from wavegan.recipe import Recipe
from wavegan.training.loop import Batches, take_step

TOTAL = "total"


class StepTiming:
    """A recipe's training on a device, with its corpus, or where that is missing with clips of noise at no cost."""

    def __init__(self, recipe: Recipe, device: str, threads: int, has_corpus: bool):
        keep_freed_memory()  # as `wavegan train` does
        torch.set_num_threads(threads)
        self.recipe, self.device = recipe, assemble.device(device)
        corpus = assemble.corpora(recipe).training if has_corpus else None
        self.known = assemble.knowledge(recipe, corpus) if corpus else assemble.Knowledge((), Waveform())
        self.memory = PeakMemory(self.device)
        self.training = assemble.training(recipe, self.device)
        self.batches = assemble.batches(recipe, corpus, self.device, self.known) if corpus else self._noise()
        for line in assemble.autotune(recipe, self.training, self.batches(0)):
            say(line)
        give_back_freed_memory()
        self.memory.restart()
        self.draw = 0

    def precision(self) -> str:
        """The one that the training has settled for."""
        return self.training.precision

    def steps(self, count: int) -> float:
        """Seconds of so many steps, their data included."""
        return timed(self.step, count, self.device)

    def step(self) -> None:
        """One step, taken and counted."""
        take_step(self.training, self.batches)
        self.training.step += 1

    def parts(self, count: int) -> dict[str, float]:
        """Seconds of the parts of so many steps, and of the whole; the device is waited for at each seam."""
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
        """Bytes that networks and steps have needed at most so far."""
        return self.memory.bytes

    def draws(self, count: int) -> float:
        """Seconds in which so many fresh batches come from the corpus."""
        return timed(self._next_batch, count, self.device)

    def generations(self, clips: int, precision: str, count: int) -> float:
        """Seconds in which `count` batches of so many clips are made, on the host at last."""
        model = replace(assemble.generating_model(self.recipe, self.training, self.known), precision=precision)
        z = latents.draw(model.latent, clips, model.latent_dim, device=self.device)
        was_training = model.generator.training
        model.generator.eval()
        seconds = timed(lambda: synthesize(model, z), count, self.device)
        model.generator.train(was_training)
        return seconds

    def _next_batch(self) -> Batch:
        self.draw += 1
        return self.batches(self.draw)

    def _noise(self) -> Batches:
        size = (self.recipe.training.batch_size, self.recipe.data.channels, self.recipe.model.clip_samples)
        clips = torch.rand(size, device=self.device) * 2 - 1
        return lambda draw: Batch(clips)


class _WatchedNetwork(nn.Module):
    """A network whose forward passes without a graph are timed."""

    def __init__(self, network: nn.Module, watch: StopWatch, name: str):
        super().__init__()
        self.network, self.watch, self.name = network, watch, name

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x) if torch.is_grad_enabled() else _watched(self.watch, self.name, self.network)(x)


@contextmanager
def _taken_apart(own: StepTiming, watch: StopWatch) -> Iterator[None]:
    """While entered, the training's steps leave the seconds of their parts with the watch."""
    training, batches, backwards = own.training, own.batches, own.training.backwards
    networks = cast(dict[str, nn.Module], training.method.networks)  # the phases look the generator up in it
    generator = networks["generator"]
    hooks = []
    for optimizer in training.optimizers.values():
        hooks.append(optimizer.register_step_pre_hook(lambda *_: watch.start("optimizer")))
        hooks.append(optimizer.register_step_post_hook(lambda *_: watch.stop("optimizer")))
    networks["generator"] = _WatchedNetwork(generator, watch, "generator_forward")
    training.backwards = {
        phase.name: _watched(watch, f"{phase.name}_update", backwards.get(phase.name, phase.backward))
        for phase in training.method.phases
    }
    own.batches = _watched(watch, "data", batches)
    try:
        yield
    finally:
        networks["generator"], training.backwards, own.batches = generator, backwards, batches
        for hook in hooks:
            hook.remove()


def _watched(watch: StopWatch, name: str, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def timed_call(argument: Any) -> Any:
        watch.start(name)
        found = function(argument)
        watch.stop(name)
        return found

    return timed_call


def _own_share(seconds: Mapping[str, float]) -> dict[str, float]:
    """Spans that contain no other, so that they and `other` add up to the whole.

    Where a discriminator update is replayed as a whole (a CUDA graph), the generator's forward pass is in it.
    """
    names = ("data", "generator_forward", "discriminator_update", "generator_update", "optimizer", "ema")
    own = {name: seconds.get(name, 0.0) for name in names}
    own["discriminator_update"] -= own["generator_forward"]
    return own | {"other": seconds[TOTAL] - sum(own.values()), TOTAL: seconds[TOTAL]}
