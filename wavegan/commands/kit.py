"""Writes a kit of a model's clips for samplers: sounds that differ on pads, or one sound spread over keys."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wavegan import __version__, assemble, generation, progress
from wavegan.audio import writing
from wavegan.commands import receipts
from wavegan.commands.folders import make_folder, refuse_filled
from wavegan.commands.generate import batch_of, batch_size_of, chosen_labels, refuse_translation, refuse_truncation
from wavegan.commands.kit_files import FORMATS, MADE_BY, SAMPLES, remove_others, write_mapping
from wavegan.commands.kit_layout import drum_notes, refuse_layout
from wavegan.commands.model_loading import LoadedModel, load_model
from wavegan.commands.sound_length import is_loop, of_seconds
from wavegan.commands.sound_pitch import at_hertz, labels_at, refuse_pitches, tell_beyond
from wavegan.dsp.librosa_door import librosa
from wavegan.errors import DataError, UserError
from wavegan.evaluation.features import log_mel_statistics, standardize
from wavegan.export import sampler_kit as kits
from wavegan.export.drum_keys import HATS
from wavegan.export.sampler_kit import Cut, Pad
from wavegan.generation import Model
from wavegan.models.pitches import NOTE, NOTE_OF_LABEL

logger = logging.getLogger(__name__)

CANDIDATES_PER_PAD, SECONDS_PER_PAD = 20, 100  # at most, but two
PADS = 16
KEYS = re.compile(rf"({NOTE})\s*-\s*({NOTE})")
KEYS_A_SOUND = 3  # its own, and one on each side, for which a sampler moves its pitch by a semitone
MOST_PADS = kits.LAST_NOTE - kits.FIRST_NOTE + 1


@dataclass(frozen=True)
class KitResult:
    """Lists the sounds of a kit by MIDI note, with the kit's folder and the sampler's file, None for a plain folder."""

    out: Path
    file: Path | None
    sounds: Mapping[int, Path]


def kit(
    model: Path,
    pads: int | None = None,
    kind: str = "sfz",
    *,
    layout: str | None = None,
    keys: str | None = None,
    seconds: float | None = None,
    loop: bool = False,
    labels: Sequence[str] = (),
    out: Path | None = None,
    seed: int = 0,
    truncation: float = 1.0,
    force: bool = False,
    checkpoint: str = "newest",
    raw: bool = False,
    device: str = "auto",
) -> KitResult:
    """Writes a kit of `pads` clips that differ, on one MIDI note each, for the sampler of a kind in FORMATS.

    They are chosen from 20 times as many clips of the seed, or fewer where these last more than 5 s: farthest-first in
    the evaluator's log-mel statistics, for each label by itself. All but loops are cut, and all are made equally loud
    and named. pads: 16 where None. layout: general-midi puts drums on their keys there, see `notes_of`, row puts all on
    the notes from 36 up; None means general-midi if all labels are drums, else row. labels: those that share the pads,
    all where empty. seconds: of each sound, see `of_seconds`. loop: they are loops, which play as long as a key is
    held. keys: two notes such as "C2-C5", over which the most usual sound of the seed is spread, in place of pads, by a
    model that draws pitches. Where labels tell pitches, each key has the nearest of those that are named, or of all;
    else at most one may be named. out: the folder; if None, kit/ in the MODEL's run folder. Raises UserError for more
    pads than MIDI has notes from 36 up, for labels that general-midi has no keys for, and for keys that are none or
    that the model does not reach, DataError for a folder that holds files, unless `force`, and for a model whose clips
    are silent. With `force` the files of an earlier kit in the folder are replaced: those that this one does not write
    are removed.
    """
    if keys is not None and pads is not None:
        raise UserError("`pads` and `keys` are given", "a kit has either", "leave one of them out")
    if keys is not None and layout is not None:
        raise UserError("`keys` and `layout` are given", "keys have notes of their own", "leave one of them out")
    if keys is not None and loop:
        rule = "keys have a pitch, and models that draw pitches make no loops"
        raise UserError("`keys` and `loop` are given", rule, "leave one of them out")
    pads = PADS if pads is None else pads
    if not 1 <= pads <= MOST_PADS:
        rule = f"a kit has 1 to {MOST_PADS}, one for each note from {kits.FIRST_NOTE} up"
        raise UserError(f"`pads` is {pads}", rule, "try `pads=16`")
    refuse_truncation(truncation)
    loaded = of_seconds(load_model(model, assemble.device(device), raw=raw, checkpoint=checkpoint), seconds, loop=loop)
    refuse_translation(loaded)
    generator = loaded.model
    labels = chosen_labels(generator, labels)
    writing.check_format("wav", generator.sample_rate, generator.channels)
    folder = out or loaded.result_folder("kit")
    spans = None if keys is None else _spans(loaded, keys)
    refuse_filled(folder, force)
    settings = {"seed": seed, "truncation": truncation}
    if spans:
        sounds = _on_keys(loaded, spans, labels=labels, **settings)
    else:
        labels = _named(labels or (generator.label_names if generator.labels else ()), pads)
        refuse_layout(layout, labels)
        sounds = _on_pads(generator, pads, labels=labels, layout=layout, **settings)
    written = _write_sounds(folder, SAMPLES if FORMATS[kind] else "", sounds, **settings)
    title = f"{generator.name}, {len(sounds)} sounds, seed {seed}{MADE_BY}{__version__}"
    file = write_mapping(folder, kind, written, generator.name, title)
    if force:
        remove_others(folder, {file, *(folder / pad.file for pad in written)})
    return KitResult(folder, file, {pad.note: folder / pad.file for pad in written})


def _named(labels: Sequence[str], pads: int) -> tuple[str, ...]:
    """Returns the labels that have a pad, and reports those that have none."""
    if len(labels) > pads:
        logger.info(
            f"{pads} pads hold {', '.join(labels[:pads])}; {', '.join(labels[pads:])} have none, unless `pads` is more"
        )
    return tuple(labels[:pads])


@dataclass(frozen=True)
class _Sound:
    """Holds a clip, its model, its number and batch as `generate` counts them, and the keys that play it.

    labels: those that take turns. keys: the MIDI notes of its own key, the lowest and the highest one. others: further
    notes that play it as it is. chokes: see `Pad`.
    """

    model: Model
    clip: Tensor
    number: int
    batch: tuple[int, int]
    labels: Sequence[str]
    keys: tuple[int, int, int]
    name: str
    others: tuple[int, ...] = ()
    chokes: bool = False


def _on_pads(
    model: Model, pads: int, *, labels: Sequence[str], layout: str | None, seed: int, truncation: float
) -> list[_Sound]:
    """Returns sounds that differ, on one key each."""
    per_pad = max(2, min(CANDIDATES_PER_PAD, SECONDS_PER_PAD * model.sample_rate // model.clip_samples))
    clips = _candidates(model, pads * per_pad, labels, seed, truncation)
    sounds = []
    chosen = _chosen(model, clips, max(1, len(labels)), pads)
    own = [labels[number % len(labels)] for number in chosen] if labels else []
    drums = drum_notes([clips[number] for number in chosen], own, model.sample_rate, layout)
    for index, number in enumerate(chosen):
        key, *others = drums[index] if drums else (kits.FIRST_NOTE + index,)
        batch, name = batch_of(model, number, len(clips)), f"{index + 1:02d}"
        chokes = bool(drums) and key in HATS
        own_keys = (key, key, key)
        sounds.append(_Sound(model, clips[number], number, batch, labels, own_keys, name, tuple(others), chokes))
    return sounds


def _on_keys(
    loaded: LoadedModel, spans: Sequence[tuple[int, int, int]], *, labels: Sequence[str], seed: int, truncation: float
) -> list[_Sound]:
    """Returns the most usual of some sounds at the pitch of each span's own key.

    Where labels tell pitches it has the nearest label there. Raises UserError where there are several.
    """
    own = [labels_at(loaded.model, labels, _hertz(key)) for key, _, _ in spans]
    if several := next((near for near in own if len(near) > 1), None):
        one_timbre = "name those of one timbre, by a pattern such as 'flute-*'"
        remedy = one_timbre if NOTE_OF_LABEL.search(several[0]) else f"try `labels={several[0]}`"
        raise UserError(f"`labels` are {', '.join(several)}", "one sound is spread over the keys", remedy)
    for place in sorted({0, len(spans) - 1}):
        tell_beyond(loaded.model, own[place], _hertz(spans[place][0]))
    clips = _candidates(loaded.model, CANDIDATES_PER_PAD, own[len(own) // 2], seed, truncation)
    [number] = _chosen(loaded.model, clips, 1, 1)
    sounds = []
    for near, span in zip(own, progress.track(spans, len(spans), "keys"), strict=True):
        model = at_hertz(loaded, _hertz(span[0])).model
        [[clip]] = generation.generate(model, 1, first=number, seed=seed, truncation=truncation, labels=near)
        sounds.append(_Sound(model, clip, number, (number, 1), near, span, f"{span[0]:03d}"))
    return sounds


def _hertz(key: int) -> float:
    """Returns the pitch of a MIDI note."""
    return float(librosa().midi_to_hz(key))


def _spans(loaded: LoadedModel, keys: str) -> list[tuple[int, int, int]]:
    """Returns for each sound of an instrument its own key, and the lowest and the highest that it plays, MIDI notes."""
    span = KEYS.fullmatch(keys.strip())
    first, last = librosa().note_to_midi(list(span.groups())) if span else (1, 0)
    if first > last:
        rule = "it must be the lowest and the highest note, such as C2-C5"
        raise UserError(f"`keys` is {keys}", rule, "try `keys=C3-C5`")
    roots = list(range(int(first) + KEYS_A_SOUND // 2, int(last) + 1, KEYS_A_SOUND)) or [int(first)]
    refuse_pitches(loaded, "keys", keys, _hertz(roots[0]), _hertz(roots[-1]))
    lows = [int(first), *(root - KEYS_A_SOUND // 2 for root in roots[1:])]
    return list(zip(roots, lows, [*(low - 1 for low in lows[1:]), int(last)], strict=True))


def _candidates(model: Model, count: int, labels: Sequence[str], seed: int, truncation: float) -> Tensor:
    """Makes clips 0 to count - 1 in the batches of `generate`."""
    size = batch_size_of(model)
    batches = generation.generate(model, count, seed=seed, truncation=truncation, labels=labels, batch_size=size)
    return torch.cat(list(progress.track(batches, -(-count // size), "batches", "candidates")))


def _chosen(model: Model, clips: Tensor, turns: int, pads: int) -> list[int]:
    """Returns the numbers of the clips that become pads: label by label, each of which has every `turns`-th clip."""
    statistics = log_mel_statistics(clips, model.sample_rate)
    features, numbers = standardize(statistics, statistics), np.flatnonzero(kits.is_heard(clips))
    chosen: list[int] = []
    for turn in range(turns):
        own, wanted = numbers[numbers % turns == turn], pads // turns + (turn < pads % turns)
        if len(own) < wanted:
            raise DataError(
                f"of {len(clips) // turns} clips that {model.name} made for {wanted} pads, {len(own)} can be heard",
                "no pad may be silent",
                "try another `seed`, or evaluate the model",
            )
        chosen += [int(own[place]) for place in kits.farthest_first(features[own], wanted)]
    return chosen


def _write_sounds(folder: Path, place: str, sounds: Sequence[_Sound], *, seed: int, truncation: float) -> list[Pad]:
    """Writes sounds, cut and levelled, with their receipts; returns the pads that play them.

    place: the folder of the sounds in `folder`, "" for the folder itself.
    """
    make_folder(folder / place)
    model, pads = sounds[0].model, []
    maker = receipts.maker_of(model)
    parts = _cuts([sound.clip for sound in sounds], model)
    for sound, part in zip(sounds, parts, strict=True):
        receipt = receipts.of_clip(
            model,
            maker | {"pitch": sound.model.pitch},
            sound.number,
            seed=seed,
            truncation=truncation,
            labels=sound.labels,
            batch=sound.batch,
        ).model_copy(update={"cut": receipts.KeptPart(**asdict(part))})
        file = Path(place, f"{sound.name}-{kits.safe_name(receipt.label or model.name)}.wav").as_posix()
        receipts.write(folder / file, kits.cut(sound.clip, part), model.sample_rate, receipt)
        seconds = part.length / model.sample_rate
        pads.append(Pad(file, *sound.keys, seconds, is_loop(model), sound.others, sound.chokes))
    return pads


def _cuts(clips: Sequence[Tensor], model: Model) -> list[Cut]:
    """Returns what is kept of each clip, and its gain; of a loop all is kept."""
    rate, whole = model.sample_rate, is_loop(model)
    cuts = [Cut(0, clip.shape[1], 0) if whole else kits.cut_of(clip, rate) for clip in clips]
    kept = [kits.cut(clip, part) for clip, part in zip(clips, cuts, strict=True)]
    return [replace(part, gain=gain) for part, gain in zip(cuts, kits.gains(kept, rate), strict=True)]
