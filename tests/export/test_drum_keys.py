import pytest

from wavegan.export.drum_keys import KEYS, OTHER_NAMES, kind_of, notes_of
from wavegan.export.sampler_kit import FIRST_NOTE, LAST_NOTE


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("kick", "kick"), ("Kicks", "kick"), ("01 Bass Drum", "kick"), ("BD", "kick"), ("hi-hat", "hihat"),
        ("Closed HiHat", "closedhihat"), ("closed-hats", "closedhihat"), ("OH", "openhihat"), ("Toms", "tom"),
        ("brass", None), ("bass", None), ("zero", None), ("", None), ("kick:0.7,snare:0.3", None),
    ],
)  # fmt: skip
def test_labels_are_known_in_any_spelling(label, kind):
    assert kind_of(label) == kind


def test_sounds_of_a_kind_have_its_keys_and_then_free_ones():
    labels = ["kick"] * 3 + ["snare", "tom", "snare"]
    notes = notes_of(labels)
    assert notes and notes[:2] == [36, 35] and notes[3:] == [38, 45, 40]
    assert notes[2] == 37, "the lowest that no kind of this kit has"


def test_kinds_that_share_keys_never_share_a_note():
    notes = notes_of(["conga", "handdrum"] * 20 + ["percussion"] * 40)
    assert notes and len(set(notes)) == 80 and max(notes) <= LAST_NOTE


def test_a_kit_with_other_sounds_has_no_drum_keys():
    assert notes_of(["kick", "zero"]) is None and notes_of([]) is None and notes_of([""]) is None


def test_every_kind_and_name_has_keys_of_midi():
    assert all(keys and all(31 <= key <= 82 for key in keys) for keys in KEYS.values())
    assert set(OTHER_NAMES.values()) <= KEYS.keys() and not OTHER_NAMES.keys() & KEYS.keys()
    assert FIRST_NOTE in KEYS["kick"], "kits begin where kicks are"
