"""Gives drums the keys of General MIDI, where drum tracks and electronic kits play them."""

import re
from collections.abc import Sequence

PITCH, LENGTH = "pitch", "length"
KINDS: dict[str, tuple[tuple[int, ...], str | None]] = {
    # A kind of drum: its keys in the percussion map of General MIDI level 1, and a measure. The sound with the least
    # measure has the lowest key: a short hi-hat is closed. Without a measure the usual key comes first.
    "kick": ((36, 35), None),
    "snare": ((38, 40), None),
    "rim": ((37,), None),
    "clap": ((39,), None),
    "closed hat": ((42, 44), None),
    "pedal hat": ((44, 42), None),
    "open hat": ((46,), None),
    "hat": ((42, 44, 46), LENGTH),
    "floor tom": ((41, 43), PITCH),
    "low tom": ((45, 41, 43), None),
    "mid tom": ((47, 48), PITCH),
    "high tom": ((50, 48), None),
    "tom": ((41, 43, 45, 47, 48, 50), PITCH),
    "crash": ((49, 57), None),
    "ride bell": ((53,), None),
    "ride": ((51, 59), None),
    "splash": ((55,), None),
    "china": ((52,), None),
    "cymbal": ((49, 51, 57, 59, 55, 52, 53), None),
    "tambourine": ((54,), None),
    "cowbell": ((56,), None),
    "vibraslap": ((58,), None),
    "bongo": ((60, 61), None),
    "conga": ((63, 64, 62), None),
    "timbale": ((65, 66), None),
    "handdrum": ((63, 64, 62, 60, 61, 65, 66), None),
    "agogo": ((67, 68), None),
    "cabasa": ((69,), None),
    "maraca": ((70,), None),
    "shaker": ((70, 69), None),
    "whistle": ((71, 72), None),
    "guiro": ((73, 74), None),
    "clave": ((75,), None),
    "woodblock": ((76, 77), None),
    "cuica": ((78, 79), None),
    "triangle": ((81, 80), None),
    "percussion": ((75, 54, 56, 76, 67, 70, 81, 69, 58, 73, 77, 68, 80, 74), None),
}
JOINED = {  # what several words or one stand for
    r"bass[\W_]*drum|kick[\W_]*drum": "kick",
    r"hi[\W_]*hat": "hat",
    r"cl[\W_]*hat": "closed hat",
    r"op[\W_]*hat": "open hat",
    r"rim[\W_]*shot|side[\W_]*stick|cross[\W_]*stick": "rim",
    r"hand[\W_]*clap": "clap",
    r"hand[\W_]*drum|tabla": "handdrum",
    r"wood[\W_]*block": "woodblock",
}
OTHER_WORDS = {
    "bd": "kick", "sd": "snare", "sn": "snare", "snr": "snare", "rs": "rim", "stick": "rim", "cp": "clap",
    "hh": "hat", "ch": "closed hat", "chh": "closed hat", "hhc": "closed hat", "oh": "open hat", "ohh": "open hat",
    "hho": "open hat", "foot": "pedal", "hi": "high", "lo": "low", "rack": "mid", "lt": "low tom", "mt": "mid tom",
    "ht": "high tom", "ft": "floor tom", "tomtom": "tom", "cr": "crash", "rd": "ride", "cy": "cymbal", "cb": "cowbell",
    "tamb": "tambourine", "perc": "percussion",
}  # fmt: skip
HATS = (42, 44, 46)  # keys, of which one sounds at a time
LOWEST_KEY, HIGHEST_KEY, LAST = 35, 81, 127  # of the map, and of MIDI


def kind_of(label: str) -> str | None:
    """Returns the kind of drum that a label names, a key of KINDS, None if it names no drum.

    >>> [kind_of(name) for name in ("Kicks 01", "hi-hat", "Toms_Low", "CH", "zero")]
    ['kick', 'hat', 'low tom', 'closed hat', None]
    """
    text = label.lower()
    for pattern, words in JOINED.items():
        text = re.sub(pattern, f" {words} ", text)
    named, words = set[str](), list[str](re.findall(r"[^\W\d_]+", text))
    for word in words:
        for form in (word, word.removesuffix("s"), word.removesuffix("es")):
            named.update(OTHER_WORDS.get(form, form).split())
    kinds = [kind for kind in KINDS if named.issuperset(kind.split())]
    return kinds[0] if kinds else None


def notes_of(labels: Sequence[str], measures: Sequence[dict[str, float]]) -> list[tuple[int, ...]] | None:
    """Returns the MIDI notes that play each sound of a kit, its own one first; None if a label is no drum.

    measures: PITCH and LENGTH of each sound. Each key of a kind plays one of its sounds, so all notes that a drum track
    has for that kind are heard. A kind leaves keys to kinds that have fewer, cymbals to crashes, say. Sounds beyond the
    keys of their kind lie on notes that General MIDI gives no drum.
    """
    kinds = [kind_of(label) or "" for label in labels]
    if not labels or "" in kinds:
        return None
    notes: list[tuple[int, ...]] = [()] * len(labels)
    taken: set[int] = set()
    for kind in sorted(set(kinds), key=lambda kind: len(KINDS[kind][0])):
        keys, measure = KINDS[kind]
        keys = [key for key in keys if key not in taken]
        taken.update(keys)
        own = [place for place, other in enumerate(kinds) if other == kind]
        if measure:
            own = _spread(sorted(own, key=[each[measure] for each in measures].__getitem__), len(keys))
        count = min(len(own), len(keys))
        for at, key in enumerate(keys):
            notes[own[at * count // len(keys) if measure else at % count]] += (key,)
    free = [*range(HIGHEST_KEY + 1, LAST + 1), *range(LOWEST_KEY - 1, -1, -1)]
    free += [note for note in range(LOWEST_KEY, HIGHEST_KEY + 1) if note not in taken]
    return [each or (free.pop(0),) for each in notes]


def _spread(places: list[int], count: int) -> list[int]:
    """Returns at most `count` of some places, the first and the last among them, in equal steps."""
    if len(places) <= count:
        return places
    return [places[round(step * (len(places) - 1) / max(1, count - 1))] for step in range(count)]
