"""Tests the instrument in a browser: its sounds are Python's, it is played by keys, MIDI and hands, and it saves."""

import io
import json
import time
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from browser import BROWSER, REASON, Browser
from instrument_driver import STUB, click, middle_of, page_clip, pythons, saved, show, sound_of, told
from instrument_models import RATE, lively_model

from wavegan.commands import receipts
from wavegan.export.web import page
from wavegan.generation import Model
from wavegan.steering.page_numbers import normal_numbers
from wavegan.steering.points import clip_of, mixed

pytestmark = pytest.mark.skipif(BROWSER is None, reason=REASON)
HOSTILE = '</script><img src=x onerror="fail()">'
NAMES = ("kick", "hihat", HOSTILE)


@pytest.fixture(scope="module")
def drums() -> Model:
    return lively_model(names=NAMES, pulses=True, is_loud=True)


@pytest.fixture
def shown(browser: Browser, drums: Model, tmp_path: Path) -> Iterator[Browser]:
    """Shows the page of a model with three labels, which complains of nothing while the test lasts."""
    show(browser, drums, tmp_path)
    browser.press("KeyG")  # which plays nothing: only after a gesture are sounds let out
    yield browser
    assert browser.complaints == []


VARIANTS: dict[str, dict[str, Any]] = {
    "labels and pulses": {"names": NAMES, "pulses": True, "is_loud": True},
    "no labels": {},
    "stereo": {"channels": 2, "names": ("a", "b")},
    "broad hiss": {"broad_hiss": True, "pulses": True},
    "drops": {"drops": True, "names": ("a", "b")},
    "drops, stereo": {"drops": True, "broad_hiss": True, "channels": 2, "dim": 9},
    "panned hiss": {"panned_hiss": True, "channels": 2, "long_frames": 2},
    "panned hiss, broad, drops": {"panned_hiss": True, "broad_hiss": True, "drops": True, "channels": 2, "dim": 9},
    "a steady pitch": {"pulses": True, "steady_pitch": True},
    "drawn pitches": {"pulses": True, "drawn_pitch": True, "names": ("a", "b"), "window": 128, "hop": 32},
    "drawn pitches, stereo, uneven": {
        "pulses": True, "drawn_pitch": True, "channels": 2, "clip_samples": 1999, "window": 96, "hop": 24, "dim": 9,
    },
    "filtered pulses, stereo": {
        "pulses": True, "drawn_pitch": True, "filtered_pulses": True, "channels": 2, "names": ("a", "b"),
    },
    "notes": {
        "pulses": True, "drawn_pitch": True, "filtered_pulses": True, "glottal_pulses": False, "broad_hiss": True,
        "names": ("a", "b"),
    },
    "drawn pitches, two hops a window": {
        "pulses": True, "drawn_pitch": True, "filtered_pulses": True, "window": 64, "hop": 32, "dim": 9,
    },
    "filtered pulses of any pitch, long frames": {"pulses": True, "filtered_pulses": True, "long_frames": 3},
    "long frames": {"long_frames": 4, "names": ("a", "b"), "is_loud": True},
    "long frames, uneven in all": {
        "long_frames": 3, "channels": 2, "clip_samples": 1999, "window": 100, "hop": 25, "dim": 9, "pulses": True,
    },
    "a steady pitch of fewer frames than it is averaged over": {
        "pulses": True, "steady_pitch": True, "clip_samples": 70,
    },
    "three channels, an uneven clip, a window that is no power of two": {
        "channels": 3, "clip_samples": 1999, "window": 96, "hop": 24, "dim": 9, "pulses": True,
    },
    "one frame": {"clip_samples": 30},
    "detuned bins, long frames": {"detuned_bins": True, "long_frames": 4, "pulses": True},
    "tuned bins, long frames": {"tuned_bins": True, "long_frames": 4},
    "local latents": {"local_latents": 3, "names": ("a", "b"), "dim": 9},
    "unbounded, long frames, uneven": {
        "local_latents": 2, "long_frames": 3, "channels": 2, "clip_samples": 1999, "window": 100, "hop": 25, "dim": 9,
        "tuned_bins": True, "unbounded": True,
    },
    "unbounded, drawn pitches": {
        "local_latents": 2, "unbounded": True, "pulses": True, "drawn_pitch": True, "dim": 9, "names": ("a", "b"),
    },
    "unbounded": {"unbounded": True},
    "two hops a window": {"window": 64, "hop": 32, "dim": 8},
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_sound_is_pythons(browser, tmp_path, variant):
    model = lively_model(**VARIANTS[variant])
    show(browser, model, tmp_path)
    for sound in ("pads.pads[1].made.sound", "variedSound(pads.pads[2].made.sound, 40, 7)", "field.sound"):
        description = sound_of(browser, sound)
        made = browser.evaluate(f"maker.make({sound}).then(({{ clip }}) => clip.map((samples) => Array.from(samples)))")
        expected = pythons(model, description)
        assert np.abs(expected).max() > 0.01 and expected.shape == np.shape(made)
        np.testing.assert_allclose(made, expected, rtol=0, atol=1e-3)
    assert browser.complaints == []


def test_a_new_sound_of_the_usual_size_is_pythons_and_soon_there(browser, tmp_path, capsys):
    """The time is printed only: it is the machine's."""
    model = lively_model(clip_samples=16384, dim=128, latent_dim=64, window=512, hop=128, pulses=True, names=("a", "b"))
    show(browser, model, tmp_path)
    np.testing.assert_allclose(
        page_clip(browser, 3), pythons(model, sound_of(browser, "pads.pads[3].made.sound")), rtol=0, atol=1e-3
    )
    timing = "(async () => { let t = []; for (let i = 0; i < 15; i++) { const start = performance.now();"
    timing += " await maker.make(seededSound(i, oneHot(0))); t.push(performance.now() - start); } return t; })()"
    milliseconds = sorted(browser.evaluate(timing))
    with capsys.disabled():
        print(f"\na new sound: {milliseconds[7]:.0f} ms, at best {milliseconds[0]:.0f} ms")


def test_keys_play_what_python_makes_and_the_output_is_that_clip(shown, drums):
    """An analyser at the end of the chain hears what leaves the page."""
    shown.press("KeyW")  # the sixth pad; sound needs a gesture
    shown.wait_for("player.isRunning && pads.selected === 5")
    assert shown.evaluate("document.querySelector('.pad.selected .name').textContent") == NAMES[5 % 3]
    expected = pythons(drums, sound_of(shown, "pads.pads[5].made.sound"))
    np.testing.assert_allclose(shown.evaluate("started.at(-1).samples"), expected[0], rtol=0, atol=1e-3)
    shown.evaluate("globalThis.tap = new AnalyserNode(player.context, { fftSize: 32768 }), player.volume.connect(tap)")
    assert shown.evaluate("player.context.sampleRate") == RATE
    for _hit in range(60):  # on a busy machine the output may halt in the middle of a hit, or its end be missed
        shown.evaluate("globalThis.hit = player.time, pads.play(pads.pads[5], FULL_VELOCITY)")
        shown.wait_for(f"player.time > hit + {2 * expected.shape[1] / RATE}")
        read = "heard = new Float32Array(32768), tap.getFloatTimeDomainData(heard), Array.from(heard)"
        heard = np.array(shown.evaluate(f"(() => {{ let heard; return {read}; }})()"))
        place = int(np.correlate(heard, expected[0]).argmax())
        error = np.abs(heard[place : place + expected.shape[1]] - expected[0]).max()
        if error < 1e-3:
            break
    assert error < 1e-3


def test_every_key_a_click_and_a_touch_play_their_pad(shown):
    for place, code in enumerate(shown.evaluate("KEYS")):
        shown.press(code)
        assert shown.evaluate("[started.length, pads.selected]") == [place + 1, place]
    x, y = middle_of(shown, "pads.pads[6].button")
    for kind in ("mousePressed", "mouseReleased"):
        shown.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    assert shown.evaluate("[started.length, pads.selected]") == [17, 6]
    shown.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
    shown.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    shown.wait_for("started.length === 18")
    shown.evaluate("element('seed').focus()")
    shown.press("Digit1")
    assert shown.evaluate("started.length") == 18, "a digit that is typed plays nothing"


def test_midi_plays_with_its_velocity(shown):
    shown.evaluate("allowMidi()")
    click(shown, "midi")
    told(shown, "MIDI: Drum pad; notes 36 to 51")
    counts = []
    for message in ([0x90, 38, 127], [0x99, 38, 64], [0x80, 38, 64], [0x90, 38, 0], [0x90, 35, 99], [0x90, 52, 99]):
        shown.evaluate(f"midiInput.onmidimessage({{ data: new Uint8Array({message}) }})")
        counts.append(shown.evaluate("started.length"))
    assert counts == [1, 2, 2, 2, 2, 2] and shown.evaluate("pads.selected") == 2
    assert shown.evaluate("gains.slice(-2)") == pytest.approx([1, (64 / 127) ** 2])


@pytest.mark.parametrize(
    ("prepare", "action", "text"),
    [
        ("0", "element('midi').click()", "does not let this page use MIDI (not allowed). Allow MIDI"),
        ("navigator.requestMIDIAccess = undefined", "element('midi').click()", "This browser has no MIDI. Chrome"),
        ("midiStub = async () => ({ inputs: new Map() })", "element('midi').click()", "no device is connected"),
        ("pads.toggleLock()", "pads.renew()", "is locked; unlock it"),
        ("0", "pads.undo()", "nothing to undo"),
        ("0", "pads.findSeed('kick')", "kick is no seed: it has 1 to 8 digits"),
        ("0", "pads.findSeed('mix~30.0000002a')", "A mix of pads has no seed; save the state"),
    ],
)
def test_what_cannot_be_done_is_told(shown, prepare, action, text):
    shown.evaluate(f"void ({prepare}, {action})")
    told(shown, text)
    assert shown.evaluate("element('status').classList.contains('error')")


def test_sound_that_the_browser_blocks_is_told(tmp_path, drums):
    with Browser(tmp_path) as browser:
        browser.call("Page.addScriptToEvaluateOnNewDocument", source=STUB)
        show(browser, drums, tmp_path)
        browser.evaluate("midi.hear([0x90, 36, 99])")
        told(browser, "The browser blocks sound until you click or press a key in this page.")
        x, y = middle_of(browser, "pads.pads[1].button")
        browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        browser.wait_for("player.isRunning && started.length === 1")
        assert browser.evaluate("pads.selected") == 1, "a first touch plays when it ends"
        assert browser.complaints == []


def test_new_vary_undo_and_lock(shown):
    first = page_clip(shown, 0)
    code = shown.evaluate("pads.pads[0].made.sound.code")
    shown.press("KeyN")
    told(shown, "Pad 1, kick: new sound")
    second = page_clip(shown, 0)
    shown.evaluate("element('amount').value = 20")
    shown.press("KeyM")
    told(shown, "varied by 20 percent")
    third = page_clip(shown, 0)
    cosine = "(([a, b]) => a.reduce((s, x, k) => s + x * b[k], 0) / Math.hypot(...a) / Math.hypot(...b))"
    near = shown.evaluate(f"{cosine}([pads.pads[0].history[1].sound.z, pads.pads[0].made.sound.z])")
    assert near > 0.8 and not np.array_equal(third, second) and not np.array_equal(second, first)
    varied = shown.evaluate("pads.pads[0].made.sound.code")
    for expected in (second, first):
        shown.press("KeyU")
        np.testing.assert_array_equal(page_clip(shown, 0), expected)
    shown.evaluate(f"pads.findSeed({varied!r})")
    told(shown, f"seed {varied}")
    np.testing.assert_array_equal(page_clip(shown, 0), third)
    shown.evaluate(f"pads.findSeed({code!r})")
    told(shown, f"seed {code}")
    np.testing.assert_array_equal(page_clip(shown, 0), first)
    shown.press("KeyL")
    before = [page_clip(shown, pad) for pad in range(16)]
    click(shown, "new-all")
    told(shown, "15 new sounds, 1 locked ones kept")
    same = [np.array_equal(page_clip(shown, pad), before[pad]) for pad in range(16)]
    assert same == [True] + [False] * 15


def test_a_sound_that_comes_too_late_is_dropped(shown):
    first = page_clip(shown, 0)
    shown.press("KeyN")
    told(shown, "Pad 1, kick: new sound")
    shown.evaluate("(async () => { const late = pads.renew(); pads.undo(); await late; })()")
    np.testing.assert_array_equal(page_clip(shown, 0), first)
    assert shown.evaluate("pads.current.history.length") == 0


def test_a_variation_is_turned_as_pythons_vary_turns_it(shown, drums):
    first, other = (sound_of(shown, f"seededSound({seed}, oneHot(0))")["z"] for seed in (3, 99))
    for percent in (1, 35, 100):
        varied = sound_of(shown, f"variedSound(seededSound(3, oneHot(0)), {percent}, 99)")["z"]
        expected = mixed(drums.inputs[0], torch.tensor(first), torch.tensor(other), percent / 100, keeps_length=True)
        np.testing.assert_allclose(varied, expected, atol=1e-5)


def test_sliders_move_a_sound_as_python_does(shown, drums):
    clip = page_clip(shown, 0)
    for way in (0.25, 0.75):
        shown.evaluate(f"element('more-length').value = {way}, directions.move()")
    shown.wait_for("!directions.isMaking")
    second = sound_of(shown, "pads.pads[0].made.sound")
    assert second["code"] == "00000001~length+0.75" and shown.evaluate("pads.current.history.length") == 1
    assert not np.allclose(page_clip(shown, 0), clip, atol=0.1)
    np.testing.assert_allclose(page_clip(shown, 0), pythons(drums, second), rtol=0, atol=1e-3)
    shown.evaluate("element('more-brightness').value = -1, directions.move()")
    shown.wait_for("!directions.isMaking")
    third, both = page_clip(shown, 0), "00000001~length+0.75~brightness-1"
    assert shown.evaluate("pads.pads[0].made.sound.code") == both
    np.testing.assert_allclose(third, pythons(drums, sound_of(shown, "pads.pads[0].made.sound")), rtol=0, atol=1e-3)
    shown.press("KeyU")
    np.testing.assert_array_equal(page_clip(shown, 0), clip)
    assert shown.evaluate("directions.sliders.map(({ input }) => input.value)") == ["0", "0"]
    shown.evaluate(f"pads.findSeed({both!r})")
    told(shown, f"seed {both}")
    np.testing.assert_array_equal(page_clip(shown, 0), third)
    for wrong in ("1~pitch+1", "1~length+1.5"):
        shown.evaluate(f"pads.findSeed({wrong!r})")
        told(shown, f"{wrong} is no seed")
    shown.press("KeyL")
    shown.evaluate("element('more-length').value = 1, directions.move()")
    told(shown, "is locked; unlock it")
    assert shown.evaluate("element('more-length').value") == "0.75"


def test_a_moved_sound_keeps_its_ways_with_another_label_and_when_it_is_varied(shown, drums):
    shown.evaluate("element('more-length').value = 0.5, directions.move()")
    shown.wait_for("!directions.isMaking")
    shown.evaluate("element('label').value = 1, element('label').dispatchEvent(new Event('change'))")
    told(shown, "Pad 1, hihat: another label")
    sound = sound_of(shown, "pads.pads[0].made.sound")
    assert sound["labels"] == [0, 1, 0] and sound["ways"] == {"length": 0.5}
    np.testing.assert_allclose(page_clip(shown, 0), pythons(drums, sound), rtol=0, atol=1e-3)
    assert shown.evaluate("directions.sliders[0].input.value") == "0.5"
    shown.evaluate("pads.vary()")
    told(shown, "varied by")
    varied = shown.evaluate("pads.pads[0].made.sound.code")
    assert varied.startswith("00000001~length+0.5~30.")
    shown.evaluate("element('more-length').value = -1, directions.move()")
    shown.wait_for("!directions.isMaking")
    assert shown.evaluate("pads.pads[0].made.sound.code") == varied.replace("~length+0.5", "") + "~length-1"


def test_pythons_random_numbers_are_the_pages(shown):
    for seed, purpose, count in ((0, "latent", 64), (2**32 - 1, "noise 3", 4001), (42, "noise 0", 1)):
        numbers = shown.evaluate(f"Array.from(normalNumbers({seed}, {purpose!r}, {count}))")
        np.testing.assert_array_max_ulp(np.array(numbers, np.float32), normal_numbers(seed, purpose, count), 1)


def test_a_label_moves_a_sound_to_another_kind(shown, drums):
    shown.evaluate("element('label').value = 1, element('label').dispatchEvent(new Event('change'))")
    told(shown, "Pad 1, hihat: another label")
    sound = sound_of(shown, "pads.pads[0].made.sound")
    assert sound["labels"] == [0, 1, 0] and sound["code"] == "00000001"
    np.testing.assert_allclose(page_clip(shown, 0), pythons(drums, sound), rtol=0, atol=1e-3)


def test_the_corners_of_the_field_are_its_pads_and_the_middle_is_as_long(shown):
    for x, y, pad in [(0, 1, 0), (1, 1, 1), (0, 0, 4), (1, 0, 5)]:
        shown.evaluate(f"field.place = {{ x: {x}, y: {y} }}")
        corner, expected = sound_of(shown, "field.sound"), sound_of(shown, f"pads.pads[{pad}].made.sound")
        np.testing.assert_allclose(corner["z"], expected["z"], rtol=1e-6)
        assert all(corner[part] == expected[part] for part in ("labels", "code", "noise"))
    shown.evaluate("field.place = { x: 0.5, y: 0.5 }")
    middle = sound_of(shown, "field.sound")
    lengths = [np.linalg.norm(sound_of(shown, f"pads.pads[{pad}].made.sound")["z"]) for pad in (0, 1, 4, 5)]
    assert np.linalg.norm(middle["z"]) == pytest.approx(np.mean(lengths), rel=1e-5)
    assert sorted(map(tuple, middle["noise"])) == [(seed, pytest.approx(0.5)) for seed in (1, 2, 5, 6)]
    np.testing.assert_allclose(middle["labels"], np.mean([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]], axis=0))
    x, y = middle_of(shown, "element('field')", share=0.25)
    for kind in ("mousePressed", "mouseReleased"):
        shown.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    shown.wait_for("started.length === 1")
    assert shown.evaluate("field.place") == {"x": 0.25, "y": 0.75}
    click(shown, "keep")
    told(shown, "holds the sound of the field")
    assert sound_of(shown, "pads.pads[0].made.sound")["code"] == "mix"
    np.testing.assert_allclose(page_clip(shown, 0)[0], shown.evaluate("started[0].samples"), atol=1e-6)


@pytest.mark.parametrize(("tempo", "swing"), [(120, 50), (240, 66)])
def test_the_sequencer_keeps_time(shown, tempo, swing):
    """The clock of the sound output stands still, but for 10 ms at each look, so that no halt of the machine counts."""
    shown.evaluate("let now = 0; Object.defineProperty(player, 'time', { get: () => (now += 0.01) })")
    shown.evaluate(f"element('tempo').value = {tempo}, element('swing').value = {swing}")
    shown.evaluate("sequencer.rows.forEach((row, place) => sequencer.setRow(row, place ? [] : [...Array(16).keys()]))")
    shown.press("KeyP")
    shown.wait_for("started.length >= 20")
    assert shown.evaluate("element('play').getAttribute('aria-pressed')") == "true"
    shown.press("KeyP")
    times = np.array(shown.evaluate("started.map(({ time }) => time)"))
    pair = 2 * 60 / tempo / 4
    expected = [pair * (swing / 100 if step % 2 == 0 else 1 - swing / 100) for step in range(len(times) - 1)]
    np.testing.assert_allclose(np.diff(times), expected, rtol=0, atol=1e-9)
    count = shown.evaluate("started.length")
    time.sleep(0.4)
    assert shown.evaluate("started.length") == count, "it has stopped"


def changed_state(browser: Browser) -> str:
    """Changes something of everything that a state holds, and returns the state."""
    browser.evaluate("pads.select(pads.pads[9]), pads.vary()")
    told(browser, "varied by")
    browser.evaluate("pads.toggleLock(), sequencer.setRow(sequencer.rows[15], [3, 15])")
    values = {"tempo": 97, "swing": 61, "amount": 12, "volume": 55}
    browser.evaluate("; ".join(f"element('{name}').value = {value}" for name, value in values.items()))
    browser.evaluate("field.corners[2].value = 14, field.place = { x: 0.1, y: 0.9 }")
    return browser.evaluate("stateText(instrument)")


def open_file(browser: Browser, path: Path) -> None:
    node = browser.call("DOM.getDocument")["root"]["nodeId"]
    field = browser.call("DOM.querySelector", nodeId=node, selector="#state-file")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=field, files=[str(path)])


def test_a_state_opens_again(shown, drums, tmp_path):
    text = changed_state(shown)
    clips = [page_clip(shown, pad) for pad in range(16)]
    (tmp_path / "my.json").write_text(text)
    show(shown, drums, tmp_path)
    assert shown.evaluate("stateText(instrument)") != text
    open_file(shown, tmp_path / "my.json")
    told(shown, "my.json is open.")
    assert shown.evaluate("stateText(instrument)") == text
    for pad, clip in enumerate(clips):
        np.testing.assert_array_equal(page_clip(shown, pad), clip)
    assert shown.evaluate("player.volume.gain.value") == pytest.approx(0.55**2)


NAN_LATENT = "AADAfwAAwH8AAMB/AADAfwAAwH8="
Change = Callable[[dict[str, Any]], object]
DAMAGE: dict[str, tuple[Change, str]] = {
    "another format": (lambda state: state.update(format="x"), "it is no state file of this instrument"),
    "another version": (lambda state: state.update(version=3), "it has version 3, this page reads 1 and 2"),
    "a pad too few": (lambda state: state["pads"].pop(), "its pads are damaged"),
    "a latent that is no text": (lambda state: state["pads"][3].update(z=5), "its pad 4 is damaged"),
    "a latent that is cut": (lambda state: state["pads"][3].update(z="AAA"), "its pad 4 is damaged"),
    "a latent of NaN": (lambda state: state["pads"][0].update(z=NAN_LATENT), "its pad 1 is damaged"),
    "a shorter latent": (lambda state: state["pads"][0].update(z="AAAAAA=="), "it is from another model, lively"),
    "another number of labels": (lambda state: state["pads"][0].update(labels=[1]), "it is from another model, lively"),
    "a label share of 2": (lambda state: state["pads"][1].update(labels=[0, 2, 0]), "its pad 2 is damaged"),
    "a way too far": (lambda state: state["pads"][1].update(ways={"length": 1.5}), "its pad 2 is damaged"),
    "no ways": (lambda state: state["pads"][1].pop("ways"), "its pad 2 is damaged"),
    "a note of another model": (lambda state: state["pads"][1].update(note=60), "it is from another model, lively"),
    "half a note": (lambda state: state["pads"][1].update(note=60.5), "its pad 2 is damaged"),
    "a seed below 0": (lambda state: state["pads"][1].update(noise=[[-1, 1]]), "its pad 2 is damaged"),
    "no noise": (lambda state: state["pads"][1].update(noise=[]), "its pad 2 is damaged"),
    "a slider off its scale": (lambda state: state.update(volume=101), "its sliders are damaged"),
    "a pad that is not there": (lambda state: state.update(selected=16), "its selected pad is damaged"),
    "a corner that is not there": (lambda state: state["field"].update(corners=[0, 1, 2, 3.5]), "its field is damaged"),
    "a tempo of 0": (lambda state: state["sequencer"].update(tempo=0), "its tempo or swing is damaged"),
    "a row too short": (lambda state: state["sequencer"]["rows"].__setitem__(2, "x."), "its sequencer is damaged"),
    "no field": (lambda state: state.pop("field"), "its field is damaged"),
}  # fmt: skip


def test_a_damaged_state_changes_nothing(shown, tmp_path):
    text = shown.evaluate("stateText(instrument)")
    contents = {
        "half": (text[: len(text) // 2], "it is cut off or no state file"),
        "null": ("null", "it is no state file of"),
    }
    for name, (change, reason) in DAMAGE.items():
        state = json.loads(text)
        change(state)
        contents[name] = (json.dumps(state), reason)
    for number, (content, reason) in enumerate(contents.values()):
        path = tmp_path / f"damaged-{number}.json"
        path.write_text(content)
        open_file(shown, path)
        told(shown, f"{path.name} cannot be opened: {reason}")
        assert shown.evaluate("stateText(instrument)") == text


def test_a_state_of_another_model_of_the_same_shape_opens_with_a_warning(shown, tmp_path):
    state = json.loads(shown.evaluate("stateText(instrument)"))
    state["model"] = {"name": "other", "step": 1, "id": "00"}
    (tmp_path / "other.json").write_text(json.dumps(state))
    open_file(shown, tmp_path / "other.json")
    told(shown, "other.json is open. It was made with another model, other, so its sounds differ.")


def in_16_bits(clip: np.ndarray) -> np.ndarray:
    return np.floor(32767 * clip.astype(np.float64) + 0.5).astype(np.int16)


def test_a_kit_is_a_zip_that_samplers_read(shown, tmp_path):
    path = saved(shown, "save-kit", tmp_path / "kit")
    assert path.name == "lively-kit.zip"
    with zipfile.ZipFile(path) as kit:
        assert kit.testzip() is None
        files = {name.removeprefix("lively-kit/"): kit.read(name) for name in kit.namelist()}
    samples = [name for name in files if name.startswith("samples/")]
    assert samples[:2] == ["samples/01-kick.wav", "samples/02-hihat.wav"] and len(samples) == 16
    for pad, name in enumerate(samples):
        with soundfile.SoundFile(io.BytesIO(files[name])) as sound:
            assert (sound.samplerate, sound.subtype) == (RATE, "PCM_16")
            receipt = json.loads(sound.comment)
            assert (receipt["code"], receipt["model"], receipt["step"]) == (f"{pad + 1:08x}", "lively", 1200)
            np.testing.assert_array_equal(
                sound.read(dtype="int16", always_2d=True).T, in_16_bits(page_clip(shown, pad))
            )
    regions = [line.split() for line in files["lively-kit.sfz"].decode().splitlines() if line.startswith("<region>")]
    assert [region[2].removeprefix("sample=") for region in regions] == samples
    assert [region[1] for region in regions] == [f"key={note}" for note in range(36, 52)]
    preset = ElementTree.fromstring(files["lively-kit.dspreset"])
    mapped = [
        (node.get("path"), node.get("rootNote"), node.get("loNote"), node.get("hiNote"))
        for node in preset.iter("sample")
    ]
    assert mapped == [(name, *[str(36 + pad)] * 3) for pad, name in enumerate(samples)]
    assert files["lively-kit.state.json"].decode() == shown.evaluate("stateText(instrument)")
    assert "README.txt" in files and len(files) == 20


def test_one_wav_and_the_state_are_saved(shown, tmp_path):
    path = saved(shown, "save-sound", tmp_path / "sound")
    assert path.name == "lively-kick-00000001.wav"
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    assert rate == RATE
    np.testing.assert_array_equal(samples.T, in_16_bits(page_clip(shown, 0)))
    path = saved(shown, "save-state", tmp_path / "state")
    assert path.name == "lively.state.json" and path.read_text() == shown.evaluate("stateText(instrument)")


def test_a_saved_sound_has_a_receipt_from_which_python_makes_it_again(shown, drums, tmp_path):
    """Also a moved mix of several pads, and a model whose labels are no ASCII."""
    shown.evaluate("field.place = { x: 0.3, y: 0.6 }, field.moved()")
    shown.wait_for("started.length === 1 && !field.isMaking")
    click(shown, "keep")
    told(shown, "holds the sound of the field")
    shown.evaluate("element('more-length').value = 0.5, directions.move()")
    shown.wait_for("!directions.isMaking")
    path = saved(shown, "save-sound", tmp_path / "sound")
    receipt = receipts.of_file(path)
    assert isinstance(receipt, receipts.PointReceipt) and receipt.weights == drums.weights_hash
    assert receipt.made_by == "instrument" and receipt.directions == {"length": 0.5}
    assert receipt.shares and HOSTILE in receipt.shares
    again = clip_of(drums, receipts.point_of(drums, receipt)).numpy()
    np.testing.assert_allclose(again, soundfile.read(path, always_2d=True)[0].T, rtol=0, atol=1e-3)


def test_a_page_without_labels_numbers_its_pads(browser, tmp_path):
    show(browser, lively_model(), tmp_path)
    assert browser.evaluate("pads.pads.map(({ name }) => name.textContent)") == [str(pad) for pad in range(1, 17)]
    assert browser.evaluate("element('label-row').hidden")
    path = saved(browser, "save-kit", tmp_path / "kit")
    with zipfile.ZipFile(path) as kit:
        assert "lively-kit/samples/07.wav" in kit.namelist()
    assert browser.complaints == []


def test_all_is_reached_and_named_without_a_mouse(shown):
    """What takes the focus has a name for screen readers; arrow keys walk where Tab would take too long."""
    nodes = shown.call("Accessibility.getFullAXTree")["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value"))
        for node in nodes
        if any(part["name"] == "focusable" and part["value"]["value"] for part in node.get("properties", []))
    ]
    assert len(named) > 16 + 16 * 16 and [role for role, name in named if not name and role != "RootWebArea"] == []
    assert ("button", "Pad 1, kick, key 1, selected") in named and ("slider", "Tempo") in named
    assert any(role == "button" and (name or "").startswith("Pad 2, hihat, step 5") for role, name in named)
    assert [node for node in nodes if node["role"]["value"] == "status"]
    stops = []
    for _ in range(60):
        shown.press("Tab", "Tab")
        stops.append(shown.evaluate("document.activeElement.id || document.activeElement.className"))
        if stops[-1] == stops[0] and len(stops) > 1:
            break
    wanted = "save-kit save-state open-state midi volume new-all new vary undo lock save-sound amount label seed keep"
    for name in f"{wanted} corner-0 corner-3 field-x field-y play tempo swing clear".split():
        assert name in stops
    assert sum("pad" in stop.split() for stop in stops) == 1 and sum("step" in stop.split() for stop in stops) == 1
    shown.evaluate("pads.pads[0].button.focus()")
    shown.press("ArrowDown", "ArrowDown")
    shown.press("ArrowRight", "ArrowRight")
    shown.press("Enter", "Enter")
    assert shown.evaluate("[pads.selected, started.length]") == [5, 1]
    assert shown.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    shown.evaluate("sequencer.rows[0].cells[0].focus()")
    shown.press("ArrowDown", "ArrowDown")
    before = shown.evaluate("sequencer.rows[1].steps[0]")
    shown.press("Enter", "Enter")
    assert shown.evaluate("sequencer.rows[1].steps[0]") is not before


@pytest.mark.parametrize("width", [1200, 400])
def test_nothing_sticks_out_and_the_dark_page_is_dark(shown, tmp_path, width):
    shades = []
    for is_dark in (False, True):
        shown.screenshot(tmp_path / f"{is_dark}.png", width, is_dark=is_dark)
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        colour = shown.evaluate("getComputedStyle(document.body).backgroundColor")
        shades.append(int(colour.removeprefix("rgb(").split(",")[0]))
    shown.call("Emulation.clearDeviceMetricsOverride")
    assert shades[0] > 200 > 60 > shades[1]
    assert (tmp_path / "True.png").stat().st_size > 10_000


def test_the_picture_says_how_long_and_how_bright_a_sound_is(shown):
    """A tone of 2 kHz that ends in the middle: its picture is bright in one band and one half."""
    measured = shown.evaluate(
        """(async () => {
          const source = element("worker").textContent + `
            onmessage = ({ data: { content } }) => {
              tasks.begin(content);
              const clip = [Float32Array.from({ length: 4000 }, (_, t) => t < 2000 ? Math.sin(t * Math.PI / 4) : 0)];
              const { levels, ...rest } = pictured(clip);
              postMessage({ ...rest, levels: Array.from(levels) });
            };`;
          const worker = startWorker(source);
          const answer = new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)));
          worker.postMessage({ content: { model, weights: savedWeights, kernel: element("kernel").textContent } });
          return answer;
        })()""".replace("savedWeights", json.dumps(weights_text(shown)))
    )
    assert measured["seconds"] == pytest.approx(2000 / RATE, abs=2 / RATE)
    assert measured["brightness"] == pytest.approx(2000, rel=0.02)
    levels = np.array(measured["levels"]).reshape(measured["frames"], measured["bins"])
    middle = round(2000 * 128 / RATE)
    assert (levels[10:50].argmax(axis=1) == middle).all() and levels[10:50, middle] == pytest.approx(255, abs=2)
    assert levels[80:].max() == 0


def weights_text(browser: Browser) -> str:
    """Returns the weights as the page's file holds them; the page itself has dropped them."""
    url = browser.evaluate("location.href")
    return page.WEIGHTS.findall(Path(url.removeprefix("file://")).read_text())[0]
