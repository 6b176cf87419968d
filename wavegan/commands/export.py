"""Writes a MODEL as a folder for use elsewhere, and keeps it only if it makes the same clips as the original."""

import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wavegan import __version__, generation
from wavegan import recipe as recipes
from wavegan.atomic_write import write_text
from wavegan.audio import sources
from wavegan.commands import receipts
from wavegan.commands.directions import directions_of, offered_and_not
from wavegan.commands.folders import make_folder, refuse_filled
from wavegan.commands.generate import refuse_translation
from wavegan.commands.model_loading import LoadedModel, load_model, run_folder_of
from wavegan.commands.run_sound import SOURCES
from wavegan.commands.sound_length import makes_any_length
from wavegan.errors import RunError, UserError
from wavegan.export import card, hub, onnx_file, template
from wavegan.export import folder as exported
from wavegan.export.web import page as instrument
from wavegan.generation import Model

logger = logging.getLogger(__name__)

COMPARED = 64  # latents
LARGEST_DIFFERENCE = 1e-4  # of samples, where weights are stored in fp32
SAMPLES = 8  # or one of each label
APP = "app.py"  # a page with a button for each label
CPU = torch.device("cpu")


@dataclass(frozen=True)
class ExportOptions:
    """Holds the choices of an export.

    precision: the format of stored weights, fp32, fp16 or bf16. licence: an SPDX name. place: the name of the MODEL in
    the card's examples.
    """

    precision: str = "fp32"
    licence: str | None = None
    place: str = "path/of/this/folder"


@dataclass(frozen=True)
class ExportResult:
    """Lists the files that were written, with the largest difference of a sample from the original's clips."""

    out: Path
    files: tuple[Path, ...]
    max_difference: float


def export(
    model: Path,
    kind: str = "safetensors",
    *,
    out: Path | None = None,
    options: ExportOptions = ExportOptions(),
    force: bool = False,
    checkpoint: str = "newest",
    raw: bool = False,
) -> ExportResult:
    """Writes a MODEL as a folder of a kind in FORMATS, and compares the clips of both.

    out: export/KIND in the MODEL's run folder where None. force: replaces files of the same names. Raises RunError as
    `load_model` and if the written model makes other clips, DataError for a folder that holds files, unless `force`.
    Nothing is kept after an error.
    """
    loaded = load_model(model, CPU, raw=raw, checkpoint=checkpoint)
    if kind in ("onnx", "web") and makes_any_length(loaded.model):
        own = f"{loaded.model.clip_samples / loaded.model.sample_rate:.2f} s"
        logger.info(f"as {kind} {loaded.model.name} makes clips of {own} alone; as safetensors sounds of any length")
    target = out or loaded.result_folder("export") / kind
    refuse_filled(target, force)
    make_folder(target)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=target) as name:
            difference = FORMATS[kind](loaded, Path(name), options)
            if not difference <= LARGEST_DIFFERENCE and options.precision == "fp32":
                raise RunError(
                    f"the exported model's clips differ from the original's by up to {difference:.2g}",
                    f"at most {LARGEST_DIFFERENCE:g} is kept",
                    "please report it",
                )
            written = tuple(_moved(Path(name), target))
    finally:
        with suppress(OSError):
            target.rmdir()  # if nothing is in it
    return ExportResult(target, written, difference)


def write_safetensors(loaded: LoadedModel, folder: Path, options: ExportOptions) -> float:
    """Writes weights, config.json, a card, sample clips and a page; returns the largest difference of a sample."""
    content = content_of(loaded, options)
    exported.write(folder, content, precision=options.precision)
    written = load_model(folder, CPU)
    samples = [] if loaded.is_translation else list(_write_samples(written.model, folder / "samples"))
    names = [path.relative_to(folder).as_posix() for path in samples]
    write_text(folder / exported.CARD, card.card_text(content, options.place, names))
    if not loaded.is_translation:
        write_text(folder / APP, template(APP))
    return largest_difference(loaded, written)


def write_onnx(loaded: LoadedModel, folder: Path, options: ExportOptions) -> float:
    """Writes model.onnx with what makes clips by it; returns the largest difference of a sample."""
    if options.precision != "fp32":
        raise UserError(f"`precision` is {options.precision}", "an ONNX file holds fp32", "leave it out")
    return onnx_file.write(loaded.model, folder, options.licence)


def write_web(loaded: LoadedModel, folder: Path, options: ExportOptions) -> float:
    """Writes the instrument, an HTML page; returns the largest difference of a sample by the weights in the page.

    Raises UserError for a MODEL that the page cannot compute, and for a precision other than fp32.
    """
    refuse_translation(loaded)
    if options.precision != "fp32":
        raise UserError(
            f"`precision` is {options.precision}",
            "the instrument holds fp32, as rounded pitches would drift apart",
            "leave it out",
        )
    instrument.refuse_unfit(loaded.model)  # before directions are sought for long
    directions = directions_of(loaded)
    logger.info(f"sliders: {offered_and_not(loaded.model.name, directions)}")
    page = instrument.write(
        loaded.model,
        folder,
        version=__version__,
        identity=loaded.model.weights_hash,
        directions={direction.name: direction.rows for direction in directions if direction.is_sure},
        licence=options.licence,
    )
    generator = deepcopy(loaded.model.generator)
    generator.load_state_dict(instrument.read_weights(page))
    [name] = loaded.models
    return largest_difference(loaded, replace(loaded, models={name: replace(loaded.model, generator=generator)}))


def card_of(loaded: LoadedModel, place: str) -> str:
    """Returns the card of a MODEL as Markdown; place: the name of the MODEL in its examples."""
    return card.card_text(content_of(loaded, ExportOptions()), place)


def content_of(loaded: LoadedModel, options: ExportOptions) -> dict[str, Any]:
    """Returns all that an exported folder holds of a MODEL.

    Of a source's path only the last part is written, since the rest describes the user's disk and not the sound.
    """
    recipe = recipes.as_dict(loaded.recipe)
    for key in SOURCES:
        names = recipe["data"][key]
        recipe["data"][key] = names and [name if sources.is_named(name) else Path(name).name for name in names]
    if (start := recipe["training"]["start_from"]) and not hub.is_name(Path(start)):
        begun = Path(start).expanduser()  # it may be gone
        folder_of_it = run_folder_of(begun) if begun.exists() or begun.suffix else begun
        recipe["training"]["start_from"] = folder_of_it.resolve().name or None
    weights = {name: model.generator.state_dict() for name, model in loaded.models.items()}
    return {
        "version": __version__,
        "name": loaded.model.name,
        "step": loaded.model.step,
        "weights": loaded.weights,
        "label_names": list(loaded.model.label_names),
        "label_counts": list(loaded.model.label_counts),
        "parameters": sum(values.numel() for values in loaded.model.generator.parameters()),
        "precision": options.precision,
        **loaded.facts,
        **({"licence": options.licence} if options.licence else {}),
        "figures": loaded.facts.get("figures") or _figures(loaded),
        "recipe": recipe,
        "networks": weights,
        **loaded.split.state("_b" if loaded.is_translation else ""),
    }


def largest_difference(original: LoadedModel, written: LoadedModel) -> float:
    """Returns the largest difference of a sample between two models' clips of the same 64 latents or inputs."""
    pairs = zip(_compared(original), _compared(written), strict=True)
    return max(float((mine - other).abs().max()) for mine, other in pairs)


def _compared(loaded: LoadedModel) -> Iterator[Tensor]:
    for model in loaded.models.values():
        if model.inputs:
            yield from generation.generate(model, COMPARED, batch_size=COMPARED // 4)
        else:  # a translator takes clips
            noise = torch.randn(8, model.channels, model.clip_samples, generator=torch.Generator().manual_seed(0))
            yield generation.synthesize(model, 0.1 * noise)


def _figures(loaded: LoadedModel) -> dict[str, Any] | None:
    """Returns the figures of the newest evaluation of these weights in the run folder; None without one."""
    pages = (run_folder_of(loaded.path) / "evaluation").glob("*/metrics.json")
    for page in sorted(pages, key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            evaluation = json.loads(page.read_text(encoding="utf-8"))
            facts = evaluation["facts"]
            if (facts["step"], facts["weights"]) == (f"{loaded.model.step:,}", loaded.weights):
                return card.figures_of(evaluation)
        except (ValueError, KeyError, TypeError):  # damaged, or of an earlier version
            continue
    return None


def _write_samples(model: Model, folder: Path) -> Iterator[Path]:
    """Writes one clip of each label, or a few, as WAV with their receipts."""
    folder.mkdir()
    names, maker = model.label_names if model.labels else (), receipts.maker_of(model)
    count = len(names) or SAMPLES
    [clips] = generation.generate(model, count, labels=names, batch_size=count)
    for number, clip in enumerate(clips):
        path = folder / f"clip-{number:06d}.wav"
        receipt = receipts.of_clip(model, maker, number, seed=0, truncation=1, labels=names, batch=(0, count))
        receipts.write(path, clip, model.sample_rate, receipt)
        yield path


def _moved(source: Path, target: Path) -> Iterator[Path]:
    """Moves files into their folder, config.json last: without it the folder is no model."""
    paths = [path for path in source.rglob("*") if path.is_file()]
    for path in sorted(paths, key=lambda path: (path.name == exported.CONFIG, path)):
        place = target / path.relative_to(source)
        place.parent.mkdir(exist_ok=True)
        yield path.replace(place)


FORMATS: Mapping[str, Callable[[LoadedModel, Path, ExportOptions], float]] = {
    "safetensors": write_safetensors,
    "onnx": write_onnx,
    "web": write_web,
}
