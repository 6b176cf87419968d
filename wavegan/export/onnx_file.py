"""Writes a model as ONNX, with a script that makes its clips without torch: onnxruntime and numpy are enough."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wavegan import generation
from wavegan.atomic_write import write_text
from wavegan.errors import RunError, UserError
from wavegan.export import template
from wavegan.export.folder import CONFIG, LIBRARY, ONNX
from wavegan.generation import Model

logger = logging.getLogger(__name__)

FILE, SCRIPT = "model.onnx", "generate.py"
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TALKATIVE = ("torch.onnx", "onnx_ir", "onnxscript")  # loggers that tell a user nothing
OUTPUTS = ("clips", "cycles")  # the second only where there are pulses: their frequencies in cycles a sample
COMPARED = 64  # latents
MOST_OCTAVES = 1e-3  # of difference between pitches; a fifth of what is heard
BATCH_SIZE = 24  # of the comparison; the last batch is smaller
LARGEST_CONSTANT = 2**25  # bytes of a matrix that is computed now rather than at each run


def write(model: Model, folder: Path, licence: str | None = None) -> float:
    """Writes model.onnx, config.json and generate.py; returns the largest difference of a sample of 64 clips.

    Raises UserError as `refuse`, RunError if pitches differ.
    """
    refuse(model)
    original = Model(**{**vars(model), "generator": deepcopy(model.generator).cpu(), "precision": "fp32"})
    inputs = _named_inputs(original, range(3))
    _convert(_Synthesizer(original), inputs, folder / FILE)
    write_text(folder / CONFIG, json.dumps(_config(original, licence), indent=1, ensure_ascii=False) + "\n")
    write_text(folder / SCRIPT, template(SCRIPT))
    return _largest_difference(original, folder / FILE)


def refuse(model: Model) -> None:
    """Raises UserError for a model that cannot be written, and where a package is missing."""
    if not model.inputs:
        reason = f"{model.name} translates sound"
    elif model.generator.gives != "waveform":
        reason = f"{model.name} makes spectrograms, and rounding alone changes the phases that are found for them"
    else:
        missing = [name for name in PACKAGES if find_spec(name) is None]
        if missing:
            raise UserError(f"ONNX needs {', '.join(missing)}", "", "pip install 'wavegan[onnx]' brings it")
        return
    raise UserError(reason, "ONNX is for models that make waveforms from latents", "try safetensors")


class _Synthesizer(nn.Module):
    """Makes clips as `generation.synthesize` does, and says the frequencies of its pulses in cycles a sample."""

    def __init__(self, model: Model):
        super().__init__()
        self.generator = model.generator.eval()
        self.knows_labels = model.labels > 0
        self.peaks_are_one = generation.peaks_are_one(model)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        labels = inputs[1] if self.knows_labels else None
        z, others = inputs[0], inputs[2 if self.knows_labels else 1 :]
        with _frequencies(self.generator) as cycles:
            clips = self.generator(z, labels, *others)
        return generation.within_full_scale(clips, self.peaks_are_one), *cycles


def _named_inputs(model: Model, numbers: range) -> dict[str, Tensor]:
    """Returns the inputs of the clips with these numbers by the names that the ONNX file has for them."""
    labels = generation.numbered_labels(model, numbers)
    noise = generation.numbered_noise(model, numbers)
    return {
        "latent": generation.numbered_latents(model, numbers),
        **({} if labels is None else {"labels": labels}),
        **{f"noise_{place}": drawn for place, drawn in enumerate(noise)},
    }


def _convert(network: nn.Module, inputs: Mapping[str, Tensor], path: Path) -> None:
    from onnxscript import optimizer

    arguments = tuple(inputs.values())
    any_number = {0: torch.export.Dim.DYNAMIC}
    with _quiet(), torch.no_grad():
        program = torch.export.export(
            network, arguments, dynamic_shapes=(tuple(any_number for _ in arguments),), strict=False
        )
        written = torch.onnx.export(program, dynamo=True, optimize=False, verbose=False, input_names=[*inputs])
        assert written is not None, "the exporter returns a program"
        optimizer.optimize_ir(written.model, input_size_limit=LARGEST_CONSTANT, output_size_limit=LARGEST_CONSTANT)
        for output, name in zip(written.model.graph.outputs, OUTPUTS, strict=False):
            output.name = name
        written.save(path, external_data=False)


def _config(model: Model, licence: str | None) -> dict[str, Any]:
    names = ("latent", *(f"noise_{place}" for place in range(len(model.inputs) - 1)))
    return {
        "library_name": LIBRARY,
        "format": ONNX,
        "name": model.name,
        "step": model.step,
        **({"licence": licence} if licence else {}),
        "sample_rate": model.sample_rate,
        "channels": model.channels,
        "clip_samples": model.clip_samples,
        "labels": list(model.label_names) if model.labels else [],
        "label_counts": list(model.label_counts),
        "inputs": [
            {"name": name, "distribution": declared.distribution, "shape": list(declared.shape)}
            for name, declared in zip(names, model.inputs, strict=True)
        ],
    }


def _largest_difference(model: Model, path: Path) -> float:
    """Compares with onnxruntime's clips, where there are pulses with the same frequencies for both.

    A phase is the sum of all cycles so far, so rounding in the network moves the pulses at a clip's end by more than
    rounding: a model's own clips differ by a hundredth from one batch size to another.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    differences, octaves = [], []
    for start in range(0, COMPARED, BATCH_SIZE):
        inputs = _named_inputs(model, range(start, min(start + BATCH_SIZE, COMPARED)))
        outputs = session.run(None, {name: drawn.numpy() for name, drawn in inputs.items()})
        clips, *cycles = (torch.from_numpy(np.asarray(values)) for values in outputs)
        with _frequencies(model.generator, *cycles) as own:
            [expected] = generation.generate(model, len(clips), first=start, batch_size=len(clips))
        differences.append((expected - clips).abs().max())
        octaves += [(mine / cycles[0]).log2().abs().max() for mine in own]
    if octaves:
        _check_pitches(float(torch.stack(octaves).max()))
    return float(torch.stack(differences).max())  # not a number if any is


def _check_pitches(octaves: float) -> None:
    if not octaves <= MOST_OCTAVES:
        raise RunError(
            f"the exported model's pitches differ from the original's by up to {octaves:.2g} octaves",
            f"at most {MOST_OCTAVES:g} is kept",
            "please report it",
        )
    logger.info(
        f"pitches differ by up to {octaves:.1g} octaves; clips were compared with the same pitches, since phases add "
        "them up: they differ more without, as the model's own clips do from one batch size to another"
    )


@contextmanager
def _frequencies(generator: nn.Module, *replaced: Tensor) -> Iterator[list[Tensor]]:
    """Yields a list of the frequencies (N, frames) that the generator will use for its pulses, or replaces them."""
    frequencies: list[Tensor] = []

    def listen(layer: nn.Module, arguments: object, output: Tensor) -> Tensor:
        frequencies.append(output)
        return replaced[0] if replaced else output

    pulses = getattr(generator, "pulses", None)
    hook = pulses and pulses.frequencies.register_forward_hook(listen)
    try:
        yield frequencies
    finally:
        if hook:
            hook.remove()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what the exporters say of themselves from the user, for a block."""
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
