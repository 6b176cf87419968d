"""Times a recipe's step by part.

It compares the step with the plain one and with the least time that this machine could need for it.
"""

import logging
import statistics
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import torch

from wavegan import assemble, distributed, progress
from wavegan.bench.baseline_timing import BaselineTiming
from wavegan.bench.measure import Contestant, Machine, Times, matrix_rate, memory_rate, race
from wavegan.bench.worker_process import WorkerProcess
from wavegan.commands.baseline import plain_obstacle, plain_omissions, plain_settings
from wavegan.commands.memory import memory_explained
from wavegan.commands.shared_timing import SharedTiming, together
from wavegan.commands.step_needs import reuses_generated, step_needs
from wavegan.commands.step_timing import TOTAL, StepTiming
from wavegan.errors import DataError, UserError
from wavegan.recipe import Recipe

logger = logging.getLogger(__name__)

LIMIT_SECONDS = 30.0
REPEATS = 5
GENERATED = (64, 1)  # clips in a batch
LARGE_SHARE = 1 / 3  # a larger share of the step, spent on data or the optimisers, bounds it
Worker = WorkerProcess | SharedTiming
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Measured(NamedTuple):
    """Holds what was measured.

    plain_step is None if there is no plain step to compare with, and draws is None if there is no corpus.
    """

    precision: str
    threads: int
    machine: Machine
    step: Times
    plain_step: Times | None
    peak_bytes: int
    plain_peak_bytes: int | None
    parts: dict[str, float]
    draws: Times | None
    generation: dict[str, dict[str, float]]


def bench(recipe: Recipe, *, repeats: int = REPEATS, device: str = "auto", supervised: bool = False) -> dict[str, Any]:
    """Returns figures as plain values, ready for JSON; seconds are medians of `repeats` figures.

    The recipe's step and the plain one each have a process of their own with as many threads as this one, and take
    turns. Slow work has fewer figures: after 30 seconds of the same no further one is begun. If the recipe's sound
    cannot be used, clips of noise replace it. Of several processes each takes its share of the step, and all return
    the same times; there is no plain step then. supervised: see `distributed.processes`. Raises UserError if memory
    does not suffice or the method is not a GAN.
    """
    if recipe.method.name != "gan":
        what = f"method.name is {recipe.method.name}"
        raise UserError(what, "wavegan bench times the steps of GANs", "run: wavegan bench quickstart")
    with distributed.processes(lambda: "run the same command again", supervised=supervised):
        assemble.share_batch(recipe)
        on = assemble.device(device)
        with assemble.current(on):
            return _benched(recipe, repeats, on)


def _benched(recipe: Recipe, repeats: int, on: torch.device) -> dict[str, Any]:
    recipe, missing_sound = _with_sound(recipe)
    missing_plain = plain_obstacle(recipe)
    if distributed.world_size() > 1:
        missing_plain = "several processes take the step together; time it in one process to compare"
    notes = [f"there is no plain step to compare with: {missing_plain}"] if missing_plain else plain_omissions(recipe)
    if missing_sound:
        notes.append(f"clips of noise stand in for the sound, so data costs nothing: {missing_sound}")
    for note in notes:
        _tell(note)
    with memory_explained("lower training.batch_size, generator.dim or data.clip_samples"):
        measured = _measure(recipe, on, repeats, has_corpus=not missing_sound, has_plain=not missing_plain)
    return {
        "recipe": recipe.name,
        "device": str(on),
        "threads": measured.threads,
        "processes": distributed.world_size(),
        "precision": measured.precision,
        "batch_size": recipe.training.batch_size,
        "clip_samples": recipe.data.clip_samples,
        "dim": recipe.generator.dim,
        "discriminator_steps": recipe.method.discriminator_steps,
        **_figures(recipe, measured),
        "notes": notes,
    }


def _measure(recipe: Recipe, on: torch.device, repeats: int, *, has_corpus: bool, has_plain: bool) -> Measured:
    threads = torch.get_num_threads()
    with ExitStack() as processes:
        settings = (recipe, str(on), threads, has_corpus)
        is_shared = distributed.world_size() > 1
        own = SharedTiming(*settings) if is_shared else processes.enter_context(WorkerProcess(StepTiming, *settings))
        threads, plain = own.call("threads"), None
        if has_plain:
            settings = plain_settings(recipe)
            plain = processes.enter_context(WorkerProcess(BaselineTiming, settings, str(on), threads))
        for line in own.call("remarks"):
            _tell(line)
        precision = own.call("precision")
        beside = "and the plain one in fp32, in turn, " if plain else ""
        _tell(f"timing the step in {precision} {beside}on {on}; threads: {threads}")
        before = _machine(on, precision)
        contestants = {"own": partial(own.call, "steps")} | ({"plain": partial(plain.call, "steps")} if plain else {})
        steps = _race(contestants, repeats, "rounds")
        peak_bytes, plain_peak_bytes = own.call("peak_memory"), plain.call("peak_memory") if plain else None
        parts = _parts(own, steps["own"].median, repeats)
        draws = _race({"draws": partial(own.call, "draws")}, repeats, "draws")["draws"] if has_corpus else None
        generation = _generation(own, plain, precision, repeats)
        machine = Machine(*map(max, before, _machine(on, precision)))
        machine = together(machine) if is_shared else machine
    return Measured(
        precision,
        threads,
        machine,
        steps["own"],
        steps.get("plain"),
        peak_bytes,
        plain_peak_bytes,
        parts,
        draws,
        generation,
    )


def _figures(recipe: Recipe, measured: Measured) -> dict[str, Any]:
    needs, machine, own, plain = step_needs(recipe), measured.machine, measured.step, measured.plain_step
    flops, floor, step = sum(needs.flops.values()), needs.floor_seconds(machine), own.median
    draws_per_step = recipe.method.discriminator_steps + (not reuses_generated(recipe))
    return {
        "step_seconds": step,
        "step_seconds_quartiles": own.quartiles,
        "step_repeats": len(own.seconds),
        "plain_step_seconds": plain and plain.median,
        "plain_step_seconds_quartiles": plain and plain.quartiles,
        "plain_step_repeats": plain and len(plain.seconds),
        "speedup": plain and plain.median / step,
        "floor_seconds": floor,
        "step_over_floor": step / floor,
        "flops": flops,
        "flops_per_second": flops / step,
        "optimizer_bytes": needs.optimizer_bytes,
        **machine._asdict(),
        "peak_memory_bytes": measured.peak_bytes,
        "plain_peak_memory_bytes": measured.plain_peak_bytes,
        "parts": measured.parts,
        "part_flops": needs.flops,
        "generation": measured.generation,
        "data": measured.draws and _data(measured.draws, recipe.training.batch_size, draws_per_step, step),
        "verdict": bottleneck(measured.parts, flops, machine.matrix_flops_per_second),
    }


def bottleneck(parts: dict[str, float], flops: float, matrix_rate: float) -> str:
    """Says in one sentence what bounds the step, from the seconds of its parts."""
    whole = parts[TOTAL]
    products = flops / matrix_rate / whole
    if parts["data"] > LARGE_SHARE * whole:
        return f"bound by data: {parts['data'] / whole:.0%} of the step waits for clips"
    if parts["optimizer"] + parts["ema"] > LARGE_SHARE * whole:
        share = (parts["optimizer"] + parts["ema"]) / whole
        return f"bound by the optimisers' memory traffic: {share:.0%} of the step; a larger batch costs little more"
    if products > 0.5:
        return f"bound by matrix products: {products:.0%} of the measured matrix rate"
    return f"bound by memory traffic and small operations: {products:.0%} of the measured matrix rate"


def _with_sound(recipe: Recipe) -> tuple[Recipe, str]:
    """Returns the recipe with the labels of its sound, and why the sound cannot be used, empty if it can.

    Sound that was not decoded before is decoded here, by the first process, so that others find it in the cache.
    """
    missing = ""
    if not distributed.is_main():
        distributed.broadcast()
    try:
        labelled = assemble.with_labels(recipe, assemble.corpora(recipe).training)[0]
    except DataError as error:
        labelled, missing = recipe, str(error)
    if distributed.is_main():
        distributed.broadcast("decoded")
    if distributed.max_over_ranks(bool(missing)):
        return recipe, missing or "another process has none"
    return labelled, ""


def _tell(line: str) -> None:
    if distributed.is_main():
        logger.info(line)


def _machine(on: torch.device, precision: str) -> Machine:
    return Machine(matrix_rate(on, DTYPES[precision]), memory_rate(on))


def _race(contestants: dict[Any, Contestant], repeats: int, unit: str) -> dict[Any, Times]:
    return race(contestants, progress.track(range(repeats), repeats, unit), limit_seconds=LIMIT_SECONDS)


def _parts(own: Worker, step_seconds: float, repeats: int) -> dict[str, float]:
    """Returns seconds by part, and of the whole, from the measurement whose whole is the median."""
    count = max(1, round(0.25 / step_seconds))
    most = max(1, min(repeats, int(LIMIT_SECONDS / (count * step_seconds))))
    measurements = [own.call("parts", count) for _ in progress.track(range(most), most, "steps taken apart")]
    middle = statistics.median_low(parts[TOTAL] for parts in measurements)
    parts = next(parts for parts in measurements if parts[TOTAL] == middle)
    return {name: seconds / count for name, seconds in parts.items()}


def _generation(own: Worker, plain: WorkerProcess | None, precision: str, repeats: int) -> dict[str, dict[str, float]]:
    """Returns seconds to make a batch, by its size: in fp32, in the step's precision and by the plain generator.

    `speedup` is the plain generator's time divided by that in the step's precision.
    """
    seconds_by_size = {}
    for clips in GENERATED:
        contestants = {kind: partial(own.call, "generations", clips, kind) for kind in sorted({"fp32", precision})}
        if plain:
            contestants["plain"] = partial(plain.call, "generations", clips)
        seconds = {name: times.median for name, times in _race(contestants, repeats, "batches made").items()}
        speedup = {"speedup": seconds["plain"] / seconds[precision]} if plain else {}
        seconds_by_size[f"batch_{clips}"] = seconds | speedup
    return seconds_by_size


def _data(draws: Times, clips: int, draws_per_step: int, step_seconds: float) -> dict[str, float]:
    supply, demand = clips / draws.median, clips * draws_per_step / step_seconds
    return {"clips_per_second": supply, "consumed_clips_per_second": demand, "ratio": supply / demand}
