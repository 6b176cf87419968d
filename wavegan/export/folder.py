"""Writes and reads a model as a folder in the Hugging Face manner: model.safetensors, config.json and README.md.

A checksum in config.json covers config.json and the weights, so that a changed or cut file is never used unnoticed.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor

from wavegan.atomic_write import atomic_write, write_text
from wavegan.errors import RunError
from wavegan.models.statistics_since import STATISTICS_SINCE

FORMAT = 1  # increased whenever the layout changes
ONNX = "onnx"  # the format of a folder that onnx_file.py writes
LIBRARY = "wavegan"
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
STORED_AS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
SOUND = "sound"  # stands before the names of tensors that are no weights


def is_exported(path: Path) -> bool:
    """Says whether a path is an exported folder, whole or not."""
    return (path / WEIGHTS).is_file() or _says_exported(path / CONFIG)


def write(folder: Path, content: Mapping[str, Any], *, precision: str = "fp32") -> None:
    """Writes model.safetensors and config.json of a model into a folder.

    content: `networks` maps names to their weights by name; other tensors are kept as they are, and all else must be
    plain values. precision: fp32, fp16 or bf16, in which matrices and kernels are stored; all else stays as it is.
    """
    tensors = {
        f"{network}.{name}": _stored(values, STORED_AS["fp32" if name in STATISTICS_SINCE else precision])
        for network, weights in content["networks"].items()
        for name, values in weights.items()
    }
    plain = {}
    for key, value in content.items():
        if isinstance(value, Tensor):
            tensors[f"{SOUND}.{key}"] = value
        elif key != "networks":
            plain[key] = value
    weights = bytes_of(tensors, {"format": "pt"})
    with atomic_write(folder / WEIGHTS) as file:
        file.write(weights)
    config = {"library_name": LIBRARY, "format": FORMAT, **plain}
    config = {"checksum": _checksum(config, weights), **config}
    write_text(folder / CONFIG, json.dumps(config, indent=1, ensure_ascii=False) + "\n")


def read(folder: Path) -> dict[str, Any]:
    """Returns the content that `write` was given; its weights are float32 again.

    Raises RunError for a folder that is incomplete, changed, from another program or from a newer version.
    """
    config = _config(folder / CONFIG)
    try:
        weights = (folder / WEIGHTS).read_bytes()
    except FileNotFoundError as error:
        raise RunError(
            f"{folder} has no {WEIGHTS}", "an exported folder holds one beside config.json", "copy the whole folder"
        ) from error
    checksum = config.pop("checksum", None)
    if checksum != _checksum(config, weights):
        raise RunError(
            f"{CONFIG} or {WEIGHTS} in {folder} is cut off or has been changed",
            "their checksum must be that of the export",
            "copy the folder or export the model again",
        )
    try:
        tensors = tensors_of(weights)
    except SafetensorError as error:  # written so, since the checksum is right
        raise RunError(f"{folder / WEIGHTS} cannot be read ({error})", "", "export the model again") from error
    content: dict[str, Any] = {**config, "networks": {}}
    for key, values in tensors.items():
        part, name = key.split(".", 1)
        if part == SOUND:
            content[name] = values
        else:
            content["networks"].setdefault(part, {})[name] = values.float() if values.is_floating_point() else values
    return content


def _stored(values: Tensor, kind: torch.dtype) -> Tensor:
    """Returns weights as they are stored: single numbers and rows, as biases and statistics are, keep their kind."""
    values = values.detach().cpu().contiguous()
    return values.to(kind) if values.is_floating_point() and values.dim() > 1 and min(values.shape) > 1 else values


def _checksum(config: Mapping[str, Any], weights: bytes) -> str:
    text = json.dumps(config, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode() + b"\0" + weights, digest_size=16).hexdigest()


def _config(path: Path) -> dict[str, Any]:
    folder = path.parent
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(
            f"{folder} has no {CONFIG}", f"an exported folder holds one beside {WEIGHTS}", "copy the whole folder"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is no JSON ({error})", "it is cut off or changed", "copy the folder again") from error
    if not isinstance(config, dict) or config.get("library_name") != LIBRARY:
        raise RunError(f"{path} is not of wavegan", "only models that `wavegan export` wrote can be read")
    if config.get("format") == ONNX:
        raise RunError(
            f"{folder} holds a model as ONNX", "wavegan reads safetensors", "run generate.py there, or export that kind"
        )
    if config.get("format") != FORMAT:
        raise RunError(
            f"{folder} has format {config.get('format')}",
            f"this version of wavegan reads format {FORMAT}",
            "update wavegan",
        )
    return config


def _says_exported(path: Path) -> bool:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and config.get("library_name") == LIBRARY
