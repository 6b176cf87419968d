"""A recipe's step by part, beside the plain step and the least time that this machine could need for it."""

import statistics
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import torch

from wavegan import assemble
from wavegan.bench.baseline_timing import BaselineSettings, BaselineTiming
from wavegan.bench.flops import forward_flops, optimizer_bytes, step_flops
from wavegan.bench.measure import Contestant, Times, matrix_rate, memory_rate, race
from wavegan.bench.worker_process import WorkerProcess
from wavegan.commands.memory import memory_explained
from wavegan.commands.step_timing import TOTAL, StepTiming
from wavegan.commands.telling import say, with_progress
from wavegan.errors import DataError, UserError
from wavegan.models.wavegan import START_POSITIONS, parameter_count
from wavegan.recipe import Recipe

LIMIT_SECONDS = 30.0
REPEATS = 5
GENERATED = (64, 1)  # clips in a batch
LARGE_SHARE = 1 / 3  # of the step, from which on something other than arithmetic is to blame
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Machine(NamedTuple):
    """What is the most that the device can do, measured."""

    matrix_flops_per_second: float
    memory_bytes_per_second: float


class Needs(NamedTuple):
    """What a step must do at least: floating point operations by part, and bytes of the optimisers' traffic."""

    flops: dict[str, int]
    optimizer_bytes: int

    def floor_seconds(self, machine: Machine) -> float:
        """The least time that the machine could need: all products at its best rate, then the traffic at its best."""
        products = sum(self.flops.values()) / machine.matrix_flops_per_second
        return products + self.optimizer_bytes / machine.memory_bytes_per_second


class Measured(NamedTuple):
    """What was measured, this step's first and then the plain one's; draws is None where there is no corpus."""

    precision: str
    machine: Machine
    steps: tuple[Times, Times]
    peak_bytes: tuple[int, int]
    parts: dict[str, float]
    draws: Times | None
    generation: dict[str, dict[str, float]]


def bench(recipe: Recipe, *, repeats: int = REPEATS, device: str = "auto") -> dict[str, Any]:
    """Figures as plain values, ready for JSON; seconds are medians of `repeats` figures.

    The recipe's step and the plain one each have a process of their own with as many threads as this one, and take
    turns. What takes long has fewer figures: none is begun after 30 seconds of the same. Where the recipe's sound
    cannot be used, clips of noise stand in for it. Raises UserError where memory does not suffice.
    """
    _refuse_others(recipe)
    on = assemble.device(device)
    missing_sound = _missing_sound(recipe)
    notes = plain_omissions(recipe)
    if missing_sound:
        notes.append(f"clips of noise stand in for the sound, so data costs nothing: {missing_sound}")
    for note in notes:
        say(note)
    with memory_explained("lower training.batch_size, model.dim or model.clip_samples"):
        measured = _measure(recipe, on, repeats, has_corpus=not missing_sound)
    return {
        "recipe": recipe.name,
        "device": str(on),
        "threads": torch.get_num_threads(),
        "precision": measured.precision,
        "batch_size": recipe.training.batch_size,
        "clip_samples": recipe.model.clip_samples,
        "dim": recipe.model.dim,
        "discriminator_steps": recipe.method.discriminator_steps,
        **_figures(recipe, measured),
        "notes": notes,
    }


def _measure(recipe: Recipe, on: torch.device, repeats: int, *, has_corpus: bool) -> Measured:
    threads = torch.get_num_threads()
    with ExitStack() as processes:
        own = processes.enter_context(WorkerProcess(StepTiming, recipe, str(on), threads, has_corpus))
        plain = processes.enter_context(WorkerProcess(BaselineTiming, plain_settings(recipe), str(on), threads))
        precision = own.call("precision")
        say(f"timing the step in {precision} and the plain one in fp32, in turn, on {on}; threads: {threads}")
        before = _machine(on, precision)
        steps = _race({"own": partial(own.call, "steps"), "plain": partial(plain.call, "steps")}, repeats, "rounds")
        peak_bytes = own.call("peak_memory"), plain.call("peak_memory")
        parts = _parts(own, steps["own"].median, repeats)
        draws = _race({"draws": partial(own.call, "draws")}, repeats, "draws")["draws"] if has_corpus else None
        generation = _generation(own, plain, precision, repeats)
        machine = Machine(*map(max, before, _machine(on, precision)))
    return Measured(precision, machine, (steps["own"], steps["plain"]), peak_bytes, parts, draws, generation)


def _figures(recipe: Recipe, measured: Measured) -> dict[str, Any]:
    needs, machine, (own, plain) = step_needs(recipe), measured.machine, measured.steps
    flops, floor, step = sum(needs.flops.values()), needs.floor_seconds(machine), own.median
    draws_per_step = recipe.method.discriminator_steps + 1
    return {
        "step_seconds": step,
        "step_seconds_quartiles": own.quartiles,
        "step_repeats": len(own.seconds),
        "plain_step_seconds": plain.median,
        "plain_step_seconds_quartiles": plain.quartiles,
        "plain_step_repeats": len(plain.seconds),
        "speedup": plain.median / step,
        "floor_seconds": floor,
        "step_over_floor": step / floor,
        "flops": flops,
        "flops_per_second": flops / step,
        "optimizer_bytes": needs.optimizer_bytes,
        **machine._asdict(),
        "peak_memory_bytes": measured.peak_bytes[0],
        "plain_peak_memory_bytes": measured.peak_bytes[1],
        "parts": measured.parts,
        "part_flops": needs.flops,
        "generation": measured.generation,
        "data": measured.draws and _data(measured.draws, recipe.training.batch_size, draws_per_step, step),
        "verdict": verdict(measured.parts, flops, machine.matrix_flops_per_second),
    }


def _refuse_others(recipe: Recipe) -> None:
    """Only what has a plain step to stand beside can be timed."""
    method, optimizers = recipe.method, recipe.optimizers
    asked = {
        "model.name": (recipe.model.name, "wavegan"),
        "model.classes": (recipe.model.classes, 0),
        "method.name": (method.name, "gan"),
        "method.objective": (method.objective, "wasserstein"),
        "method.penalty": (method.penalty, "gradient_penalty"),
        "optimizers.generator.name": (optimizers.generator.name, "adam"),
        "optimizers.discriminator.name": (optimizers.discriminator.name, "adam"),
    }
    for key, (value, needed) in asked.items():
        if value != needed:
            raise UserError(
                f"{key} is {value}; wavegan bench sets a WaveGAN's step beside a plain one, with a Wasserstein "
                f"distance, its gradient penalty and Adam; try recipes/quickstart.yaml"
            )


def step_needs(recipe: Recipe) -> Needs:
    """What one step of a recipe must do at least, for the whole batch."""
    with torch.device("meta"):  # shapes without memory
        networks = assemble.networks(recipe)
        generator = forward_flops(networks["generator"], START_POSITIONS)
        discriminator = forward_flops(networks["discriminator"], recipe.model.clip_samples)
    flops = step_flops(
        generator,
        discriminator,
        discriminator_steps=recipe.method.discriminator_steps,
        penalised=recipe.method.penalty_weight > 0,
    )
    return Needs(
        {part: recipe.training.batch_size * count for part, count in flops.items()},
        optimizer_bytes(
            parameter_count(networks["generator"]),
            parameter_count(networks["discriminator"]),
            discriminator_steps=recipe.method.discriminator_steps,
        ),
    )


def plain_settings(recipe: Recipe) -> BaselineSettings:
    """What the plain step takes over from a recipe."""
    model, optimizers = recipe.model, recipe.optimizers
    return BaselineSettings(
        clip_samples=model.clip_samples,
        channels=recipe.data.channels,
        dim=model.dim,
        kernel_size=model.kernel_size,
        latent_dim=model.latent_dim,
        latent=model.latent,
        nearest=model.upsample == "nearest",
        shuffle_radius=model.phase_shuffle.radius,
        shuffle_shared=model.phase_shuffle.shared,
        penalty_weight=recipe.method.penalty_weight,
        discriminator_steps=recipe.method.discriminator_steps,
        batch_size=recipe.training.batch_size,
        rates=(optimizers.generator.lr, optimizers.discriminator.lr),
        betas=(optimizers.generator.betas, optimizers.discriminator.betas),
    )


def plain_omissions(recipe: Recipe) -> list[str]:
    """What a recipe asks for and the plain step leaves out, which makes it faster; as sentences."""
    asked = {
        "model.batch_norm": recipe.model.batch_norm,
        "model.discriminator_batch_norm": recipe.model.discriminator_batch_norm,
        "model.post_filter": recipe.model.post_filter,
        "training.gradient_clip": recipe.training.gradient_clip is not None,
        "method.weight_clip": recipe.method.weight_clip is not None,
        "method.instance_noise": recipe.method.instance_noise,
        "model.dropout": recipe.model.dropout,
    }
    return [f"the plain step leaves out {key}" for key, is_asked in asked.items() if is_asked]


def verdict(parts: dict[str, float], flops: float, matrix_rate: float) -> str:
    """What bounds the step, in one sentence, from the seconds of its parts."""
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


def _missing_sound(recipe: Recipe) -> str:
    """Why the recipe's sound cannot be used, empty where it can; it is decoded now where it was not."""
    try:
        assemble.corpora(recipe)
    except DataError as fault:
        return str(fault)
    return ""


def _machine(on: torch.device, precision: str) -> Machine:
    return Machine(matrix_rate(on, DTYPES[precision]), memory_rate(on))


def _race(contestants: dict[Any, Contestant], repeats: int, unit: str) -> dict[Any, Times]:
    return race(contestants, with_progress(range(repeats), repeats, unit), limit_seconds=LIMIT_SECONDS)


def _parts(own: WorkerProcess, step_seconds: float, repeats: int) -> dict[str, float]:
    """Seconds of the parts, and of the whole, of the step whose whole is the median."""
    count = max(1, round(0.25 / step_seconds))
    most = max(1, min(repeats, int(LIMIT_SECONDS / (count * step_seconds))))
    found = [own.call("parts", count) for _ in with_progress(range(most), most, "steps taken apart")]
    middle = statistics.median_low(parts[TOTAL] for parts in found)
    parts = next(parts for parts in found if parts[TOTAL] == middle)
    return {name: seconds / count for name, seconds in parts.items()}


def _generation(own: WorkerProcess, plain: WorkerProcess, precision: str, repeats: int) -> dict[str, dict[str, float]]:
    """Seconds of a batch, by its size, in fp32, in the step's precision and by the plain generator; and speed-up."""
    found = {}
    for clips in GENERATED:
        contestants = {one: partial(own.call, "generations", clips, one) for one in sorted({"fp32", precision})}
        contestants["plain"] = partial(plain.call, "generations", clips)
        seconds = {name: times.median for name, times in _race(contestants, repeats, "batches made").items()}
        found[f"batch_{clips}"] = seconds | {"speedup": seconds["plain"] / seconds[precision]}
    return found


def _data(draws: Times, clips: int, draws_per_step: int, step_seconds: float) -> dict[str, float]:
    supply, demand = clips / draws.median, clips * draws_per_step / step_seconds
    return {"clips_per_second": supply, "consumed_clips_per_second": demand, "ratio": supply / demand}
