"""Uploads a MODEL to a hub."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from wavegan.commands.export import ExportOptions, export
from wavegan.export import hub


@dataclass(frozen=True)
class PushResult:
    """Holds the address of a model on a hub, its name as a MODEL and the largest difference from the original."""

    address: str
    model: str
    max_difference: float


def push(
    model: Path,
    repository: str,
    *,
    options: ExportOptions | None = None,
    private: bool = False,
    checkpoint: str = "newest",
    raw: bool = False,
) -> PushResult:
    """Exports a MODEL as safetensors and uploads it to USER/NAME on a hub, in one commit.

    private: applies where the name is new. Raises as `export`, and UserError and RunError as `hub.upload`.
    """
    hub.refuse(repository)
    name = f"{hub.PREFIX}{repository}"
    with tempfile.TemporaryDirectory() as folder:
        options = replace(options or ExportOptions(), place=name)
        result = export(model, out=Path(folder), options=options, checkpoint=checkpoint, raw=raw)
        address = hub.upload(result.out, repository, private=private)
    return PushResult(address, name, result.max_difference)
