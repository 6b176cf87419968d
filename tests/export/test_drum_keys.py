import pytest

from wavegan.export.drum_keys import KINDS, LENGTH, PITCH, kind_of, notes_of

GENERAL_MIDI = {  # the percussion key map of level 1
    35: "acoustic bass drum", 36: "bass drum 1", 37: "side stick", 38: "acoustic snare", 39: "hand clap",
    40: "electric snare", 41: "low floor tom", 42: "closed hi-hat", 43: "high floor tom", 44: "pedal hi-hat",
    45: "low tom", 46: "open hi-hat", 47: "low-mid tom", 48: "hi-mid tom", 49: "crash cymbal 1", 50: "high tom",
    51: "ride cymbal 1", 52: "china cymbal", 53: "ride bell", 54: "tambourine", 55: "splash cymbal", 56: "cowbell",
    57: "crash cymbal 2", 58: "vibraslap", 59: "ride cymbal 2", 60: "hi bongo", 61: "low bongo", 62: "mute hi conga",
    63: "open hi conga", 64: "low conga", 65: "high timbale", 66: "low timbale", 67: "high agogo", 68: "low agogo",
    69: "cabasa", 70: "maracas", 71: "short whistle", 72: "long whistle", 73: "short guiro", 74: "long guiro",
    75: "claves", 76: "hi wood block", 77: "low wood block", 78: "mute cuica", 79: "open cuica", 80: "mute triangle",
    81: "open triangle",
}  # fmt: skip
OF_SEVERAL = {  # kinds that have keys of others
    "cymbal": {"crash", "ride", "ride bell", "splash", "china"},
    "handdrum": {"bongo", "conga", "timbale"},
    "shaker": {"maraca", "cabasa"},
    "closed hat": {"pedal hat"},
    "pedal hat": {"closed hat"},
    "hat": {"closed hat", "pedal hat", "open hat"},
    "low tom": {"floor tom"},
    "tom": {"low tom", "mid tom", "high tom", "floor tom"},
}


def measures(*numbers: float) -> list[dict[str, float]]:
    return [{PITCH: number, LENGTH: number} for number in numbers]


def laid(*labels: str) -> list[tuple[int, ...]]:
    notes = notes_of(labels, measures(*range(len(labels))))
    assert notes
    return notes


@pytest.mark.parametrize(("key", "name"), GENERAL_MIDI.items())
def test_each_key_is_that_of_its_drum(key, name):
    """The first key of a kind names it; a kind such as cymbal also has keys of others."""
    kind = kind_of(name.replace("low-mid", "mid").replace("hi-mid", "mid"))
    assert kind, f"{name} is known"
    owners = {owner for owner, (keys, _) in KINDS.items() if key in keys}
    assert kind in owners or kind == "tom"
    for owner in owners - {kind, "percussion"}:
        assert kind in OF_SEVERAL.get(owner, set()) or "tom" in name, f"{owner} has key {key}, {name}"


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("kick", "kick"), ("Kicks", "kick"), ("01 Bass Drum", "kick"), ("BD", "kick"), ("Snr", "snare"),
        ("snare_acoustic", "snare"), ("hi-hat", "hat"), ("Closed HiHat", "closed hat"), ("closed-hats", "closed hat"),
        ("HiHats Open", "open hat"), ("hh-open", "open hat"), ("HHO", "open hat"), ("OH", "open hat"),
        ("Pedal HiHat", "pedal hat"), ("Toms", "tom"), ("Toms_Low", "low tom"), ("tom_hi", "high tom"),
        ("Crash Cymbal", "crash"), ("Crashes", "crash"), ("ride bell", "ride bell"), ("Claves", "clave"),
        ("hand_drum", "handdrum"), ("perc loop", "percussion"), ("Rim Shots", "rim"), ("kick:0.7,snare:0.3", "kick"),
        ("brass", None), ("bass", None), ("zero", None), ("", None), ("that", None),
    ],
)  # fmt: skip
def test_labels_are_known_in_any_spelling(label, kind):
    assert kind_of(label) == kind


def test_every_key_of_a_kind_plays_and_more_sounds_lie_beyond_the_map():
    assert laid("kick", "snare") == [(36, 35), (38, 40)]
    assert laid("clap", "clap", "kick", "kick", "kick") == [(39,), (82,), (36,), (35,), (83,)]


def test_short_hats_are_closed_and_low_toms_lie_low():
    assert notes_of(["hat"] * 2, measures(0.9, 0.1)) == [(46,), (42, 44)]
    assert notes_of(["hihat"] * 4, measures(0.9, 0.1, 0.2, 0.3)) == [(46,), (42,), (82,), (44,)]
    assert notes_of(["tom"] * 3, measures(200, 80, 120)) == [(48, 50), (41, 43), (45, 47)]


def test_special_kinds_keep_their_keys():
    assert laid("hat", "hat", "open hat") == [(42,), (44,), (46,)]
    assert laid("cymbal", "splash")[1] == (55,) and 55 not in laid("cymbal", "splash")[0]
    assert laid("percussion", "tambourine")[1] == (54,)


def test_no_two_sounds_share_a_note():
    notes = [note for each in laid(*["conga", "hand drum"] * 10, *["percussion"] * 40, *["kick"] * 20) for note in each]
    assert len(set(notes)) == len(notes) and min(notes) >= 0 and max(notes) <= 127


def test_a_kit_with_other_sounds_has_no_drum_keys():
    assert all(notes_of(labels, measures(1, 2)) is None for labels in (["kick", "zero"], [], ["", ""]))
