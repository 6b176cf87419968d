"""Writes the page of the instrument, with the generator's weights in it, and reads the weights again."""

import math
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor

from wavegan.atomic_write import write_text
from wavegan.dsp.librosa_door import librosa
from wavegan.errors import UserError
from wavegan.generation import Model
from wavegan.models import inverse_stft, modulated
from wavegan.models.inputs import Input
from wavegan.models.pitches import NOTE_OF_LABEL
from wavegan.models.pulses import pitch_unit
from wavegan.models.stages import STOP_HOPS

FILE = "instrument.html"
PARTS = Path(__file__).parent
WORKER = ("random", "kernel", "transform", "clips", "frames", "drops", "generator", "worker")
SCRIPT = (
    "dom",
    "random",
    "sounds",
    "player",
    "workers",
    "files",
    "pads",
    "directions",
    "field",
    "sequencer",
    "keys",
    "midi",
    "state",
    "main",
)
MOST_WEIGHTS = 8_000_000  # a page of 43 MB, which a telephone still opens
MOST_PRODUCTS = 2e9  # multiplications of a sound, nearly half a second on a slow core of a server
LONGEST_WINDOW = 8192  # samples; the matrices of its transform take 67 MB of memory
DIRECTION = "direction."  # stands before the names of tensors that are no weights
WEIGHTS = re.compile(r'<script type="text/plain" id="weights">([^<]*)</script>')


def write(
    model: Model,
    folder: Path,
    *,
    version: str,
    identity: str,
    directions: Mapping[str, Tensor] | None = None,
    licence: str | None = None,
) -> Path:
    """Writes instrument.html into a folder and returns its path.

    version: of this program. identity: of the weights, by which the page knows its own files. directions: their rows
    by name, see `steering.directions`, for its sliders. licence: of the model. Weights that are float16 numbers are
    stored as such, so that their page is half as large. Raises UserError as `refuse_unfit`.
    """
    refuse_unfit(model)
    rows = {f"{DIRECTION}{name}": values for name, values in (directions or {}).items()}
    tensors = model.generator.state_dict() | rows
    weights = bytes_of({name: _stored(values) for name, values in tensors.items()})
    environment = Environment(
        loader=FileSystemLoader(PARTS), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template(f"{FILE}.j2").render(
        model={
            "version": version,
            "id": identity,
            "directions": list(directions or {}),
            **_description(model),
        },
        licence=licence,
        seconds=f"{model.clip_samples / model.sample_rate:.2f}",
        rate=f"{model.sample_rate / 1000:g}",
        highest=f"{model.sample_rate / 2000:g}",
        kernel=_base64((PARTS / "kernel.wasm").read_bytes()),
        weights=_base64(weights),
        style=(PARTS / "style.css").read_text(encoding="utf-8"),
        worker=_script(WORKER),
        script=_script(SCRIPT),
    )
    path = folder / FILE
    write_text(path, page)
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """Returns the weights in a page, by name."""
    [text] = WEIGHTS.findall(path.read_text(encoding="utf-8"))
    tensors = tensors_of(b64decode(text, validate=True))
    return {name: values.float() for name, values in tensors.items() if not name.startswith(DIRECTION)}


def refuse_unfit(model: Model) -> None:
    """Raises UserError for a generator that the page cannot compute, or that is too large for it."""
    generator = model.generator
    if not isinstance(generator, inverse_stft.Generator):
        raise UserError(
            f"{model.name} is no inverse_stft generator",
            "the instrument computes these only",
            "train one, e.g. wavegan train drums_modern, or export as safetensors",
        )
    weights = sum(values.numel() for values in generator.parameters())
    if weights > MOST_WEIGHTS:
        raise UserError(
            f"{model.name} has {weights:,} weights, a page of {weights * 16 / 3e6:,.0f} MB",
            f"the instrument holds at most {MOST_WEIGHTS:,}",
            "train with a smaller generator.dim, or export as safetensors",
        )
    longest = max(part.window for part in generator.sets_of_frames)
    if longest > LONGEST_WINDOW:
        raise UserError(
            f"{model.name} has frames of {longest:,} samples",
            f"the instrument transforms at most {LONGEST_WINDOW:,}",
            "train with a smaller generator.long_frames or generator.window, or export as safetensors",
        )
    if generator.stops > 1:
        raise UserError(
            f"sounds of {model.clip_samples / model.sample_rate:.1f} s of {model.name} go from latent to latent",
            f"the instrument makes sounds of one latent, of at most {STOP_HOPS * generator.hop:,} samples here",
            "train with a smaller data.clip_samples, or export as safetensors",
        )
    products = products_of(generator)
    if products > MOST_PRODUCTS:
        seconds = model.clip_samples / model.sample_rate
        raise UserError(
            f"a sound of {seconds:.1f} s of {model.name} takes {products / 1e9:.1f} billion multiplications",
            f"the instrument makes sounds of at most {MOST_PRODUCTS / 1e9:.0f}",
            "train with a smaller data.clip_samples, generator.dim or generator.long_frames, or export as safetensors",
        )


def _rows(generator: inverse_stft.Generator) -> tuple[Input, ...]:
    """Returns the noise inputs of the blocks."""
    return generator.inputs[1 : 1 + len(generator.blocks)]


def products_of(generator: inverse_stft.Generator) -> int:
    """Counts the multiplications of a sound in the page: convolutions, head and Fourier transforms."""
    frames = sum(declared.shape[-1] for declared in _rows(generator))
    blocks = 2 * frames * modulated.KERNEL_SIZE * generator.dim**2
    transforms = generator.channels + bool(generator.pulses) + 1  # those of the sources, and that of the picture
    sounds = sum(
        part.frames * (part.head.weight.numel() + part.channels * _products_of_transform(part.window))
        for part in generator.sets_of_frames
    )
    return blocks + sounds + generator.frames * transforms * _products_of_transform(generator.window)


def _products_of_transform(window: int) -> int:
    """Counts the multiplications of a frame's transform, as transform.js makes it."""
    return 4 * (window // 4 + 1) ** 2


def _stored(values: Tensor) -> Tensor:
    """Returns numbers as the page stores them: float16 where that loses nothing, else float32."""
    exact = values.detach().cpu().float().contiguous()
    return halved if torch.equal((halved := exact.half()).float(), exact) else exact


def _script(names: Sequence[str]) -> str:
    return "\n".join((PARTS / f"{name}.js").read_text(encoding="utf-8") for name in names)


def _base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")


def _pitches(model: Model, generator: inverse_stft.Generator) -> dict[str, Any]:
    """Returns which pitches sounds can have and have learned, in Hz, and where labels tell these, of each label."""
    drawn, pulses = generator.drawn_pitches, generator.pulses
    if not drawn or not pulses:
        return {"pitches": None, "learnedPitches": [], "labelPitches": [], "labelKinds": []}
    hertz = model.sample_rate / pitch_unit(generator.window, generator.hop)
    lowest, highest = (hertz * cycles for cycles in pulses.frequencies.limits)
    reach = {"lowest": lowest, "middle": hertz * 2 ** drawn.own.median().item(), "highest": highest}
    if not drawn.labels_tell:
        learned = hertz * 2 ** drawn.own[[0, -1]]
        return {"pitches": reach, "learnedPitches": [learned.tolist()], "labelPitches": [], "labelKinds": []}
    learned = hertz * 2 ** (drawn.own + drawn.of_labels)
    middles = learned.median(dim=1).values.tolist()
    kinds = [_kind(name, own) for name, own in zip(model.label_names, middles, strict=True)]
    return {
        "pitches": reach,
        "learnedPitches": learned[:, [0, -1]].tolist(),
        "labelPitches": middles,
        "labelKinds": [kinds.index(kind) for kind in kinds],
    }


def _kind(name: str, hertz: float) -> str:
    """Returns the name of a label without the note of its pitch, so that those of one timbre are alike."""
    if note := NOTE_OF_LABEL.search(name):
        away = 12 * math.log2(hertz / librosa().note_to_hz(note[0]))
        if abs((away + 6) % 12 - 6) < 1:
            return NOTE_OF_LABEL.sub("", name, count=1)
    return name


def _description(model: Model) -> dict[str, Any]:
    """Returns what the page's scripts must know of a model, under the names that they use."""
    generator = model.generator
    assert isinstance(generator, inverse_stft.Generator), "others are refused before"
    return {
        "name": model.name,
        "step": model.step,
        "sampleRate": model.sample_rate,
        "clipSamples": generator.clip_samples,
        "channels": generator.channels,
        "labels": list(model.label_names[: generator.labels]),
        "dim": generator.dim,
        "latentDim": generator.inputs[0].shape[0],
        "localLatents": generator.local_latents,
        "localParts": generator.local_parts,
        "unbounded": generator.unbounded,
        "labelLength": generator.latent.label_length,
        "window": generator.window,
        "hop": generator.hop,
        "stages": [stage._asdict() for stage in generator.stages],
        "frames": generator.frames,
        "edge": generator.edge,
        "pulses": generator.pulses is not None,
        "filteredPulses": generator.filters,
        "pitchBounds": generator.pulses.frequencies.bounds.tolist() if generator.pulses else [],
        "centredPitch": generator.pulses.frequencies.are_centred if generator.pulses else False,
        "pitchUnit": pitch_unit(generator.window, generator.hop),
        "pitchSpan": generator.pulses.span if generator.pulses else 1,
        "pitchNumbers": generator.drawn_pitches.count if generator.drawn_pitches else 0,
        **_pitches(model, generator),
        "glottal": generator.glottal is not None,
        "broadSources": generator.broad_sources,
        "pannedHiss": generator.panned_hiss,
        "drops": generator.drops is not None,
        "detunedBins": generator.detuned_bins,
        "longFrames": generator.long_frames.factor if generator.long_frames else 0,
        "peaksAreOne": bool(generator.peaks_are_one),
    }
