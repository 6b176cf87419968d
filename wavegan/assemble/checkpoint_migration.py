"""Brings checkpoints of earlier versions to the present form, so that they still make clips."""

from typing import Any

from wavegan.assemble.models import GENERATING
from wavegan.errors import RunError
from wavegan.recipe.migration import migrated as migrated_recipe
from wavegan.training.checkpoint import CHECKPOINT_FORMAT


def migrated(content: dict[str, Any]) -> dict[str, Any]:
    """Returns a checkpoint in the present format, with what generation and evaluation need.

    Format 2 (one discriminator, `model` and `representation` in the recipe) kept the statistics of spectrograms beside
    the networks; they are buffers of the generator now. Its discriminators and optimisers are left out.
    """
    if content["format"] == CHECKPOINT_FORMAT:
        return content
    kept = content["representation"]
    statistics = {f"output.{name}": kept[name] for name in ("means", "deviations") if name in kept}

    def generators(networks: dict[str, Any]) -> dict[str, Any]:
        return {name: {**networks[name], **statistics} for name in (*GENERATING.values(), "b_to_a") if name in networks}

    return {
        **content,
        "format": CHECKPOINT_FORMAT,
        "recipe": migrated_recipe(content["recipe"]),
        "networks": generators(content["networks"]),
        "averages": generators(content["averages"]),
    }


def require_present_format(content: dict[str, Any], run: Any) -> None:
    """Raises RunError for a checkpoint of an earlier version, from which no training can go on."""
    if content["format"] != CHECKPOINT_FORMAT:
        raise RunError(
            f"{run} was trained by an earlier version of wavegan, and this one cannot continue its training; "
            "generate and evaluate still read it; start again with `fresh=True`, or name a new folder with `run_dir`"
        )
