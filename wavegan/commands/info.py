"""Says how a sound was made, or what a model is."""

from pathlib import Path
from typing import Any

import torch

from wavegan.audio import files
from wavegan.commands import receipts
from wavegan.commands.folder_record import weights_hash
from wavegan.commands.models import LoadedModel, load_model

UNREADABLE = ("latent", "offset")  # whose numbers say nothing to a reader


def info(target: Path) -> dict[str, Any]:
    """Returns the receipt of a sound file, or the facts of a MODEL, as plain values by name.

    Raises DataError for a sound without a whole receipt, RunError for a path that is neither.
    """
    if target.is_file() and target.suffix.lower().lstrip(".") in files.FORMATS:
        return {"file": str(target), **receipts.of_file(target).model_dump(exclude_none=True)}
    return {"path": str(target), **_facts(load_model(target, torch.device("cpu")))}


def as_text(facts: dict[str, Any]) -> str:
    """Returns facts as lines for people, without a latent's numbers."""
    shown = {name: value for name, value in facts.items() if name not in UNREADABLE and value not in ((), [], None)}
    width = max(map(len, shown))
    return "\n".join(f"{name:<{width}}  {_plain(value)}" for name, value in shown.items())


def _facts(loaded: LoadedModel) -> dict[str, Any]:
    model, facts = loaded.model, dict(loaded.facts)
    facts.pop("figures", None)  # a table; `Model.card` shows it
    return {
        "name": model.name,
        "step": model.step,
        "weights": weights_hash(model.generator),
        "makes": "sound from sound" if loaded.is_translation else "sound from latents",
        "labels": list(model.label_names) if not loaded.is_translation and model.labels else [],
        "latent_dim": model.inputs[0].shape[0] if model.inputs else None,
        "sample_rate": model.sample_rate,
        "channels": model.channels,
        "clip_samples": model.clip_samples,
        "seconds_of_clip": round(model.clip_samples / model.sample_rate, 3),
        "parameters": sum(values.numel() for values in model.generator.parameters()),
        **facts,
    }


def _plain(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{name}:{part:.6g}" for name, part in value.items())
        case list() | tuple():
            return ", ".join(map(str, value))
        case int() if not isinstance(value, bool):
            return f"{value:,}"
        case _:
            return str(value)
