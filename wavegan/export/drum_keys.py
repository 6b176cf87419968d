"""Gives drums the keys of General MIDI, where drum tracks, drum pads and electronic kits play them."""

import re
from collections.abc import Sequence

from wavegan.export.sampler_kit import FIRST_NOTE, LAST_NOTE

KEYS = {  # General MIDI level 1, percussion key map: the keys of a kind of drum, the usual one first
    "kick": (36, 35),
    "snare": (38, 40),
    "rim": (37, 31),
    "clap": (39,),
    "snap": (39,),
    "hihat": (42, 46, 44),
    "closedhihat": (42, 44),
    "openhihat": (46,),
    "tom": (45, 48, 41, 50, 43, 47),
    "lowtom": (41, 43, 45),
    "midtom": (47, 45),
    "hightom": (50, 48),
    "cymbal": (49, 51, 57, 55, 59, 52),
    "crash": (49, 57),
    "ride": (51, 59, 53),
    "splash": (55,),
    "cowbell": (56,),
    "tambourine": (54,),
    "conga": (63, 62, 64),
    "bongo": (60, 61),
    "handdrum": (60, 61, 62, 63, 64),
    "timbale": (65, 66),
    "agogo": (67, 68),
    "cabasa": (69,),
    "maracas": (70,),
    "shaker": (82, 70, 69),
    "claves": (75,),
    "woodblock": (76, 77),
    "triangle": (81, 80),
    "percussion": (75, 54, 56, 76, 67, 70, 81, 69, 77, 68, 82, 39),
}
OTHER_NAMES = {
    "bd": "kick", "bassdrum": "kick", "kickdrum": "kick", "sd": "snare", "sn": "snare", "snaredrum": "snare",
    "rimshot": "rim", "sidestick": "rim", "rs": "rim", "cp": "clap", "handclap": "clap", "hh": "hihat", "hat": "hihat",
    "ch": "closedhihat", "chh": "closedhihat", "closedhat": "closedhihat", "hihatclosed": "closedhihat",
    "hatclosed": "closedhihat", "oh": "openhihat", "ohh": "openhihat", "openhat": "openhihat",
    "hihatopen": "openhihat", "hatopen": "openhihat", "tomtom": "tom", "lt": "lowtom", "floortom": "lowtom",
    "mt": "midtom", "ht": "hightom", "cy": "cymbal", "cr": "crash", "rd": "ride", "cb": "cowbell", "perc": "percussion",
}  # fmt: skip


def kind_of(label: str) -> str | None:
    """Returns the kind of drum that a label names, a key of KEYS, None if it names no other one.

    >>> [kind_of(name) for name in ("Kicks", "hi-hat", "CH", "zero")]
    ['kick', 'hihat', 'closedhihat', None]
    """
    letters = re.sub(r"[^a-z]", "", label.lower())
    for name in (letters, letters.removesuffix("s")):
        if (kind := OTHER_NAMES.get(name, name)) in KEYS:
            return kind
    return None


def notes_of(labels: Sequence[str]) -> list[int] | None:
    """Returns a MIDI note for each sound of a kit, whose labels these are; None if one is no drum.

    The sounds of a kind have its keys in turn; where these are taken, the lowest free note from 36 up that is the key
    of no kind in the kit, and then any.
    """
    kinds = [kind for label in labels if (kind := kind_of(label))]
    if not kinds or len(kinds) < len(labels):
        return None
    reserved = {key for kind in kinds for key in KEYS[kind]}
    taken: list[int] = []
    for kind in kinds:
        rest = range(FIRST_NOTE, LAST_NOTE + 1)
        choices = (*KEYS[kind], *(note for note in rest if note not in reserved), *rest)
        taken.append(next(note for note in choices if note not in taken))
    return taken
