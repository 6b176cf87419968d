"""Counts the least that a step of a recipe must do, and so the least time that a machine could need for it."""

from typing import NamedTuple

import torch

from wavegan import assemble
from wavegan.bench.flops import DiscriminatorFlops, forward_flops, optimizer_bytes, step_flops
from wavegan.bench.measure import Machine
from wavegan.models.wavegan import parameter_count
from wavegan.recipe import Recipe


class Needs(NamedTuple):
    """Counts the least that a step must do: floating point operations by part, and bytes that optimisers move."""

    flops: dict[str, int]
    optimizer_bytes: int

    def floor_seconds(self, machine: Machine) -> float:
        """Returns the least time that the machine could need.

        It is the time of all products at the best rate plus that of the optimisers' traffic at the best rate.
        """
        products = sum(self.flops.values()) / machine.matrix_flops_per_second
        return products + self.optimizer_bytes / machine.memory_bytes_per_second


def step_needs(recipe: Recipe) -> Needs:
    """Counts the least that one step of a recipe must do, for the whole batch."""
    method = assemble.method(recipe, torch.device("cpu"))
    clips = torch.zeros(1, recipe.data.channels, recipe.data.clip_samples)
    labels = torch.zeros(1, count) if (count := assemble.label_count(recipe)) else None
    generator = method.networks["generator"].eval()
    z, *noise = (declared.draw(1) for declared in generator.inputs)  # type: ignore[union-attr]
    judged = []
    for adversary in method.adversaries.values():  # type: ignore[attr-defined]
        seen = adversary.see(generator.output.encode(clips))  # type: ignore[union-attr, operator]
        extra = (
            0 if adversary.penalty is None else (2 if adversary.penalty.select_rows else 4) / adversary.penalty_every
        )
        judged.append(DiscriminatorFlops(forward_flops(adversary.discriminator, seen, labels), extra))
    steps = recipe.method.discriminator_steps
    flops = step_flops(
        forward_flops(generator, z, labels, *noise),
        judged,
        discriminator_steps=steps,
        reuses_generated=reuses_generated(recipe),
    )
    sizes = {name: parameter_count(network) for name, network in method.networks.items()}
    own = sizes.pop("generator")
    return Needs(
        {part: recipe.training.batch_size * count for part, count in flops.items()},
        optimizer_bytes(own, sum(sizes.values()), discriminator_steps=steps),
    )


def reuses_generated(recipe: Recipe) -> bool:
    """Returns whether one pass of the generator serves both updates of a step."""
    return getattr(recipe.method, "reuse_generated", False)
