"""Tests the keys of the instrument: they play the selected pad's sound at their pitches, by hand, letters and MIDI."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from browser import BROWSER, REASON, Browser
from instrument_driver import click, middle_of, page_clip, pythons, saved, show, sound_of, told
from instrument_models import RATE, lively_model

from wavegan.commands import receipts
from wavegan.generation import Model

pytestmark = pytest.mark.skipif(BROWSER is None, reason=REASON)
C3, A3 = 48, 57
NOTES = {"pulses": True, "drawn_pitch": True, "filtered_pulses": True, "glottal_pulses": False}
TONES = ("flute-A4", "flute-C4", "organ-A4", "organ-C4")


@pytest.fixture(scope="module")
def timbres() -> Model:
    """Makes a model whose labels tell no pitches."""
    model = lively_model(names=("flute", "organ"), window=512, hop=128, **NOTES)
    model.generator.drawn_pitches.of_labels.zero_()  # type: ignore[union-attr]
    return model


@pytest.fixture
def shown(browser: Browser, timbres: Model, tmp_path: Path) -> Iterator[Browser]:
    show(browser, timbres, tmp_path)
    browser.press("KeyG")  # which plays nothing: only after a gesture are sounds let out
    yield browser
    assert browser.complaints == []


def played(browser: Browser, count: int) -> None:
    """Waits until so many sounds have begun."""
    browser.wait_for(f"started.length === {count} && keys.last")


def test_a_key_plays_the_pads_sound_at_its_pitch_as_python_makes_it(shown, timbres):
    x, y = middle_of(shown, f"keys.buttons[{A3} - keys.first]", share=0.8)
    for kind in ("mousePressed", "mouseReleased"):
        shown.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    played(shown, 1)
    assert shown.evaluate("[keys.held.size, keys.newest.isOver]") == [0, True]
    sound = sound_of(shown, "keys.last.sound")
    assert sound["note"] == A3 and sound["code"] == "00000001@A3" and sound["labels"] == [1, 0]
    expected = pythons(timbres, sound)
    np.testing.assert_allclose(shown.evaluate("started[0].samples"), expected[0], rtol=0, atol=1e-3)
    drawn = pythons(timbres, sound | {"note": None})
    assert np.abs(expected - drawn).max() > 0.01
    np.testing.assert_allclose(page_clip(shown, 0), drawn, rtol=0, atol=1e-3, err_msg="the pad keeps its sound")
    assert shown.evaluate("element('sound-name').textContent") == "Key A3: flute A3"


def test_letters_play_keys_once_they_are_on_and_pads_before(shown):
    shown.press("KeyQ")
    assert shown.evaluate("[started.length, pads.selected, keys.held.size]") == [1, 4, 0]
    click(shown, "keys-on")
    told(shown, "Letters and MIDI play the keys")
    shown.press("KeyQ")
    played(shown, 2)
    assert shown.evaluate("[keys.last.sound.note - keys.first, pads.selected, keys.last.sound.labels[0]]") == [12, 4, 1]
    assert shown.evaluate("keys.buttons[12].textContent").startswith("Q")
    shown.press("KeyN")  # a key now, and no new sound
    played(shown, 3)
    assert shown.evaluate("keys.last.sound.note - keys.first") == 9 and shown.evaluate("pads.current.history") == []
    assert shown.evaluate("[keys.held.size, keys.newest.isOver]") == [0, True], "a letter that is let go"
    shown.press("KeyF")  # between two black keys
    shown.press("Digit4")
    assert shown.evaluate("[started.length, pads.selected]") == [3, 4]
    assert shown.evaluate("pads.pads[0].button.getAttribute('aria-label')") == "Pad 1, flute"
    click(shown, "keys-on")
    told(shown, "Letters and MIDI play the pads")
    assert shown.evaluate("pads.pads[0].button.getAttribute('aria-label')") == "Pad 1, flute, key 1"
    shown.press("KeyQ")
    assert shown.evaluate("started.length") == 4


def test_midi_plays_keys_as_loud_as_they_are_struck_and_lets_them_go(shown):
    click(shown, "keys-on")
    shown.evaluate(
        "globalThis.ramps = [], globalThis.fall = AudioParam.prototype.setTargetAtTime, "
        "AudioParam.prototype.setTargetAtTime = function (...words) "
        "{ ramps.push(words[0]); return fall.call(this, ...words); }"
    )
    shown.evaluate(f"midi.hear([0x90, {C3}, 64])")
    played(shown, 1)
    assert shown.evaluate("gains.at(-1)") == pytest.approx((64 / 127) ** 2)
    assert shown.evaluate("[keys.last.sound.note, ramps.length]") == [C3, 0]
    shown.evaluate("midi.hear([0x91, 62, 0]), midi.hear([0xb0, 64, 127])")
    assert shown.evaluate("[ramps.length, started.length]") == [0, 1], "of another key, or no key at all"
    shown.evaluate(f"midi.hear([0x80, {C3}, 64])")
    assert shown.evaluate("[ramps, keys.held.size]") == [[0], 0]
    shown.evaluate(f"midi.hear([0x90, {C3 + 1}, 64]), midi.hear([0x90, {C3 + 1}, 0])")
    shown.wait_for("started.length === 2 && ramps.length === 2")  # let go before its sound was there
    shown.evaluate(f"midi.hear([0x90, {C3 + 2}, 64]), midi.hear([0x80, {C3 + 2}, 0]), midi.hear([0x90, {C3 + 2}, 64])")
    shown.wait_for(f"started.length === 3 && !!keys.held.get({C3 + 2}).letGo")  # struck twice before it was there
    shown.evaluate(f"keys.buttons[{C3 + 2} - keys.first].dispatchEvent(new Event('pointerleave'))")
    assert shown.evaluate("[ramps.length, keys.held.size]") == [2, 1], "a hand that only passes over"
    shown.evaluate(f"keys.play({C3 + 3}), keys.press({C3 + 3}), keys.releaseNote({C3 + 3})")
    assert shown.evaluate("[keys.held.size, keys.newest.isOver]") == [1, True]
    click(shown, "keys-up")
    assert shown.evaluate("keys.held.size") == 0, "keys that move are let go"


def test_keys_that_are_on_make_their_sounds_before_they_are_played(shown):
    shown.evaluate("globalThis.asked = 0, globalThis.make = maker.make, "
                   "maker.make = function (sound) { asked++; return make.call(this, sound); }")  # fmt: skip
    click(shown, "keys-on")
    shown.wait_for("asked === 25")
    shown.evaluate(f"keys.press({A3})")
    played(shown, 1)
    assert shown.evaluate("asked") == 25


def test_a_key_is_kept_on_a_pad_and_new_and_varied_sounds_keep_its_pitch(shown, timbres):
    click(shown, "keys-keep")
    told(shown, "Play a key first")
    shown.evaluate(f"keys.play({C3})")
    played(shown, 1)
    click(shown, "keys-keep")
    told(shown, "Pad 1, flute C3: holds C3")
    assert shown.evaluate("pads.pads[0].name.textContent") == "flute C3"
    for key, text in (("KeyM", "varied by"), ("KeyN", "new sound")):
        shown.press(key)
        told(shown, text)
        sound = sound_of(shown, "pads.pads[0].made.sound")
        assert sound["note"] == C3 and "@C3" in sound["code"]
        np.testing.assert_allclose(page_clip(shown, 0), pythons(timbres, sound), rtol=0, atol=1e-3)
    shown.evaluate("element('label').value = 1, element('label').dispatchEvent(new Event('change'))")
    told(shown, "Pad 1, organ C3: another label")
    code = shown.evaluate("pads.pads[0].history.at(-2).sound.code")
    assert "~30." in code
    clip = np.array(shown.evaluate("Array.from(pads.pads[0].history.at(-2).clip[0])"))
    shown.evaluate(f"pads.select(pads.pads[2]), pads.findSeed({code!r})")  # of a flute, too
    told(shown, f"seed {code.split('@')[0]}")
    np.testing.assert_array_equal(page_clip(shown, 2)[0], clip.astype(np.float32))
    for wrong in ("2a@H4", "2a@C3@D3", "2a@C40", "2a@A3c"):
        shown.evaluate(f"pads.findSeed({wrong!r})")
        told(shown, f"{wrong} is no seed")
    shown.evaluate("pads.findSeed('2a@C9')")
    told(shown, "This model has no note as in 2a@C9.")
    notes = [shown.evaluate(f"noteOfCode('2a@{name}~30.1')") for name in ("C3", "c#3", "Db3", "bb2", "E#3", "Cb4")]
    assert notes == [C3, C3 + 1, C3 + 1, C3 - 2, C3 + 5, C3 + 11]


def test_a_mix_of_pads_has_the_note_between_theirs_if_all_have_one(shown):
    notes = {0: C3, 1: C3 + 4, 4: C3}
    for pad, note in notes.items():
        shown.evaluate(f"pads.give(pads.pads[{pad}], soundAt(pads.pads[{pad}].made.sound, {note}))")
    shown.wait_for("[0, 1, 4].every((pad) => pads.pads[pad].made.sound.note !== null)")
    read = "[field.sound.note, field.sound.code]"
    assert shown.evaluate(read) == [None, "mix"]
    for x, y, expected in ((0, 0.5, [C3, "mix@C3"]), (1, 0, [None, "00000006"]), (1, 1, [C3 + 4, "00000002@E3"])):
        shown.evaluate(f"field.place = {{ x: {x}, y: {y} }}")
        assert shown.evaluate(read) == expected
    shown.evaluate(f"pads.give(pads.pads[5], soundAt(pads.pads[5].made.sound, {C3 + 8}))")
    shown.wait_for("pads.pads[5].made.sound.note !== null")
    shown.evaluate("field.place = { x: 0.5, y: 0.5 }")
    assert shown.evaluate(read) == [C3 + 3, "mix@Eb3"]


def test_a_sound_over_all_pads_is_saved_as_a_kit_on_its_own_keys(shown, timbres, tmp_path):
    shown.evaluate("pads.toggleLock(pads.pads[3])")
    click(shown, "keys-spread")
    told(shown, "15 pads hold")
    shown.evaluate("pads.toggleLock(pads.pads[3])")
    click(shown, "keys-spread")
    told(shown, "16 pads hold")
    first = shown.evaluate("keys.first")
    assert shown.evaluate("pads.pads.map(({ made }) => made.sound.note)") == list(range(first, first + 16))
    path = saved(shown, "save-kit", tmp_path / "kit")
    with zipfile.ZipFile(path) as kit:
        files = {name.removeprefix("lively-kit/"): kit.read(name) for name in kit.namelist()}
    regions = [line.split() for line in files["lively-kit.sfz"].decode().splitlines() if line.startswith("<region>")]
    assert [region[1] for region in regions] == [f"key={note}" for note in range(first, first + 16)]
    assert f'rootNote="{first + 15}"' in files["lively-kit.dspreset"].decode()
    text = files["lively-kit.state.json"].decode()
    show(shown, timbres, tmp_path)
    shown.evaluate(f"restore(stateOf({text!r}), instrument)")
    shown.wait_for(f"pads.pads[15].made.sound.note === {first + 15}")
    assert shown.evaluate("stateText(instrument)") == text
    assert json.loads(text)["version"] == 2
    assert shown.evaluate("kitNotes([60, 61, 60])") == [36, 37, 38], "two pads have the same note"
    older = json.loads(text) | {"version": 1}
    for pad in older["pads"]:
        del pad["note"]
    notes = shown.evaluate(f"stateOf({json.dumps(older)!r}).pads.map(({{ sound }}) => sound.note)")
    assert notes == [None] * 16, "the first version of states has no notes"


def test_python_makes_a_saved_sound_again_at_its_pitch(shown, timbres, tmp_path):
    shown.evaluate(f"keys.play({A3 + 1})")
    played(shown, 1)
    click(shown, "keys-keep")
    told(shown, "holds Bb3")
    path = saved(shown, "save-sound", tmp_path / "sound")
    receipt = receipts.of_file(path)
    assert isinstance(receipt, receipts.PointReceipt) and receipt.pitch == 233.082
    again = pythons(timbres, sound_of(shown, "pads.pads[0].made.sound"))
    np.testing.assert_allclose(again, soundfile.read(path, always_2d=True)[0].T, rtol=0, atol=1e-3)


def test_where_labels_are_notes_a_key_has_the_nearest_label_of_its_kind(browser, tmp_path):
    model = lively_model(names=TONES, window=512, hop=128, **NOTES)
    drawn = model.generator.drawn_pitches
    hertz = np.array([440, 261.6, 440, 261.6])
    for label, pitch in enumerate(hertz):
        drawn.of_labels[label] = np.log2(pitch * 512 / RATE) - drawn.own + torch.linspace(-0.1, 0.1, 65)  # type: ignore[union-attr]
    show(browser, model, tmp_path)
    browser.press("KeyG")
    assert browser.evaluate("model.labelPitches") == pytest.approx(hertz, rel=1e-3)
    assert browser.evaluate("model.labelKinds") == [0, 0, 2, 2]
    assert browser.evaluate(f"soundAt({{ ...pads.pads[0].made.sound, labels: [0.5, 0, 0, 0.5] }}, {C3}).labels") == [
        0, 0.5, 0, 0.5,
    ], "each label of a mix has its kind"  # fmt: skip
    for pad, note, label in ((0, 71, 0), (0, 48, 1), (0, 65, 0), (3, 71, 2), (2, 62, 3)):
        browser.evaluate(f"pads.select(pads.pads[{pad}])")
        labels = browser.evaluate(f"soundAt(pads.pads[{pad}].made.sound, {note}).labels")
        assert labels == [int(place == label) for place in range(4)]
    browser.evaluate(f"keys.play({A3})")
    played(browser, 1)
    told(browser, "A3 lies beyond the pitches of organ-C4 that were learned, 244 to 280 Hz, and may sound unnatural.")
    click(browser, "keys-keep")
    told(browser, "holds A3")
    browser.evaluate("element('label').value = 3, element('label').dispatchEvent(new Event('change'))")
    told(browser, "organ-C4: another label")
    sound = sound_of(browser, "pads.current.made.sound")
    assert sound["note"] is None and "@" not in sound["code"], "its label has a pitch of its own"
    assert browser.complaints == []


def test_a_key_beyond_what_was_learned_is_told(shown):
    shown.evaluate(f"keys.play({C3})")  # of 94 to 250 Hz
    played(shown, 1)
    assert "beyond" not in shown.evaluate("element('status').textContent")
    shown.evaluate("keys.play(61)")
    told(shown, "Db4 lies beyond the pitches that were learned, 94 to 250 Hz, and may sound unnatural.")
    click(shown, "keys-on")
    told(shown, "Letters")
    shown.evaluate("keys.play(60)")  # 262 Hz, less than a semitone beyond
    played(shown, 3)
    assert shown.evaluate("element('status').textContent") == "Letters and MIDI play the keys"


def test_labels_that_only_look_like_notes_are_kinds_of_their_own(browser, tmp_path):
    model = lively_model(names=("f1", "f2", "side-A1"), window=512, hop=128, **NOTES)
    show(browser, model, tmp_path)
    assert browser.evaluate("model.labelPitches.length") == 3 and browser.evaluate("model.labelKinds") == [0, 1, 2]
    assert browser.complaints == []


def test_pads_of_many_labels_begin_with_labels_from_all(browser, tmp_path):
    show(browser, lively_model(names=tuple(f"word {number}" for number in range(20))), tmp_path)
    labels = browser.evaluate("pads.pads.map(({ made }) => made.sound.labels.indexOf(1))")
    assert labels == [place * 20 // 16 for place in range(16)]
    assert json.loads(browser.evaluate("stateText(instrument)"))["version"] == 1, "which earlier pages read, too"


def test_octaves_move_the_keys_as_far_as_the_model_reaches(shown):
    first = shown.evaluate("keys.first")
    click(shown, "keys-up")
    told(shown, "Keys from C")
    assert shown.evaluate("keys.first") == first + 12
    for _ in range(8):
        click(shown, "keys-up")
    told(shown, "This model makes no other pitches: its pitches lie between 33 and 4000 Hz")
    top = shown.evaluate("keys.buttons.map((key) => key.getAttribute('aria-disabled')).lastIndexOf('false')")
    assert shown.evaluate(f"pitchOf(keys.first + {top})") <= 4000 < shown.evaluate(f"pitchOf(keys.first + {top} + 1)")
    shown.evaluate(f"keys.press(keys.first + {top} + 1)")
    told(shown, "This model makes no ")
    assert shown.evaluate("started.length") == 0


def test_a_model_that_draws_no_pitches_has_no_keys(browser, tmp_path):
    show(browser, lively_model(pulses=True), tmp_path)
    assert browser.evaluate("element('area-keys').hidden") and browser.evaluate("keys.noteOfLetter('KeyQ')") is None
    browser.press("KeyQ")
    browser.wait_for("started.length === 1")
    assert "notes the keys" not in browser.evaluate("document.querySelector('footer').textContent")
    assert browser.complaints == []


def test_the_tab_key_reaches_the_keys_and_arrows_walk_on_them(shown):
    shown.evaluate("keys.buttons[0].focus()")
    shown.press("ArrowRight", "ArrowRight")
    assert shown.evaluate("document.activeElement === keys.buttons[1]")
    shown.press("Enter", "Enter")
    played(shown, 1)
    assert shown.evaluate("[keys.last.sound.note - keys.first, keys.held.size]") == [1, 0]
    assert shown.evaluate("keys.buttons.filter(({ tabIndex }) => tabIndex === 0).length") == 1
    assert "Key C" in shown.evaluate("keys.buttons[0].getAttribute('aria-label')")
