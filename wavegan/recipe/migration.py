"""Rewrites recipes of earlier versions, with one discriminator, `model` and `representation`."""

from collections.abc import Iterator, Mapping
from typing import Any

from wavegan.models.catalogue import DISCRIMINATORS, GENERATORS
from wavegan.recipe.kinds import arguments
from wavegan.recipe.optimizers import OPTIMIZERS
from wavegan.recipe.schema import METHODS
from wavegan.recipe.yaml_text import flow
from wavegan.settings import Settings

OLD_SECTIONS = ("model", "representation")
NOISE, NOISE_STEPS = "instance_noise", "instance_noise_steps"  # keys of a method
# Each old model name stands for a discriminator: its name in the recipe and its kind.
DISCRIMINATOR_OF = {"specgan": ("spectrogram", "specgan"), "mlp": ("waveform", "mlp")}
WAVEGAN = ("waveform", "wavegan")
Values = dict[str, Any]


def is_old(values: Values) -> bool:
    """Returns whether a recipe has a section or a key of the earlier form."""
    method = _section(values, "method")
    return any(name in values for name in OLD_SECTIONS) or NOISE in method or NOISE_STEPS in method


def migrated(values: Values) -> Values:
    """Returns the present form of a recipe that has the earlier one; keys that had no effect are dropped.

    values: the whole recipe or a part of it.
    """
    present = {name: value for name, value in values.items() if name not in OLD_SECTIONS}
    for name, section in _networks(values).items():
        below = present.get(name)
        present[name] = {**below, **section} if isinstance(below, dict) and isinstance(section, dict) else section
    for name in ("method", "optimizers"):
        if name in values:
            present[name] = _method(values[name]) if name == "method" else _optimizers(values[name])
    return present


def instead_of(values: Values) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields, for each section in the earlier form, its keys and a sentence with the lines to write instead."""
    lines, present = _networks(values), migrated(values)
    length = lines.pop("data", {}).get("clip_samples")
    for section in OLD_SECTIONS:
        if section not in values:
            continue
        text = f"{section} is a section of earlier versions"
        if section != OLD_SECTIONS[0] and OLD_SECTIONS[0] in values:
            text += f"; the lines to write instead of {OLD_SECTIONS[0]} hold its keys; leave it out"
        elif lines:
            text += f"; write instead {_lines(lines)}"
        if section == OLD_SECTIONS[0] and length is not None:
            text += f"; write below data: clip_samples: {flow(length)}"
        yield (section,), text
    for section in ("method", "optimizers"):
        if section in values and present[section] != values[section]:
            text = f"{section} has keys of earlier versions, or of other kinds than its own"
            yield (section,), f"{text}; write instead {_lines({section: present[section]})}"


def _networks(values: Values) -> Values:
    """Returns the sections that replace `model` and `representation`, to be laid over the present ones."""
    model, output = _section(values, "model"), _section(values, "representation")
    if not model and output.get("name") == "log_spectrogram":
        model = {"name": "specgan"}
    if not model and not output:
        return {}
    name = model.get("name", _section(values, "generator").get("name", "wavegan"))
    name = name if isinstance(name, str) and name in GENERATORS else "wavegan"
    own = {"labels": model["classes"]} if "classes" in model else {}
    generator = {"name": name} if "name" in model else {}
    generator |= _those_of({**output, **model, **own}, GENERATORS[name])
    sections = {"data": {"clip_samples": model["clip_samples"]}} if "clip_samples" in model else {}
    if generator:
        sections["generator"] = generator
    judged = {key: value for key, value in model.items() if key != "batch_norm"}  # that was the generator's
    if "discriminator_batch_norm" in model:
        judged["batch_norm"] = model["discriminator_batch_norm"]
    if _section(values, "method").get("name") == "vae":
        return {**sections, **_encoder(values, judged, name)}
    discriminators = _discriminators(_section(values, "discriminators"), judged, name)
    return {**sections, "discriminators": discriminators} if discriminators else sections


def _encoder(values: Values, judged: Values, model: str) -> Values:
    """Returns the encoder of a VAE, and null for the discriminators if there are any."""
    _, kind = DISCRIMINATOR_OF.get(model, WAVEGAN)
    settings = {"name": kind, **_those_of(judged, DISCRIMINATORS[kind])}
    settings.pop("phase_shuffle", None)
    return {"encoder": settings} | ({"discriminators": None} if values.get("discriminators") else {})


def _discriminators(present: Values, judged: Values, model: str) -> Values:
    """Returns what the old keys of a discriminator change in the present discriminators.

    If none of these is of the model's kind, a new one replaces them all.
    """
    entry, kind = DISCRIMINATOR_OF.get(model, WAVEGAN)
    entries = {name: settings for name, settings in present.items() if isinstance(settings, dict)}
    kinds = {name: str(settings.get("name", "wavegan")) for name, settings in entries.items()}
    if kind not in kinds.values():
        removed = dict.fromkeys(name for name in kinds if name != entry)
        return {**removed, entry: {"name": kind, **_those_of(judged, DISCRIMINATORS[kind])}}
    settings = {name: _those_of(judged, DISCRIMINATORS[kind]) for name, kind in kinds.items() if kind in DISCRIMINATORS}
    return {name: keys for name, keys in settings.items() if keys}


def _method(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    noise = {"name": "noise", "deviation": value[NOISE]} if value.get(NOISE) else {}
    if noise and value.get(NOISE_STEPS):
        noise["fade_steps"] = value[NOISE_STEPS]
    kept = {key: setting for key, setting in value.items() if key not in (NOISE, NOISE_STEPS)}
    return _of_its_kind({**kept, **({"augment": noise} if noise else {})}, METHODS)


def _optimizers(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _of_its_kind(settings, OPTIMIZERS) for name, settings in value.items()}


def _of_its_kind(value: Any, kinds: Mapping[str, type[Settings]]) -> Any:
    """Returns a section without the keys of other kinds than its own; keys that no kind has stay."""
    name = value.get("name", next(iter(kinds))) if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in kinds:
        return value
    foreign = {key for kind in kinds.values() for key in kind.model_fields} - kinds[name].model_fields.keys()
    return {key: setting for key, setting in value.items() if key not in foreign}


def _those_of(values: Values, network: Any) -> Values:
    return {key: values[key] for key in arguments(network) if key in values}


def _lines(sections: Values) -> str:
    return ", ".join(f"{name}: {flow(value)}" for name, value in sections.items())


def _section(values: Values, name: str) -> Values:
    section = values.get(name)
    return section if isinstance(section, dict) else {}
