"""Tests how a kit is chosen, cut, levelled and written, on features and clips worked out by hand."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from wavegan.export import sampler_kit as kit
from wavegan.export.sampler_kit import Cut, Pad

RATE = 1000
PADS = [Pad("samples/01-kick.wav", 36, 36, 36, 0.5), Pad("samples/02-snare.wav", 37, 37, 37, 1.25)]
INSTRUMENT = [Pad("samples/049-flute.wav", 49, 48, 50, 0.5), Pad("samples/052-flute.wav", 52, 51, 53, 0.75)]


def test_sounds_are_taken_that_differ_most():
    line = np.array([[0.0], [1.0], [4.0], [9.0], [5.0], [4.6]])  # mean 3.93
    assert kit.farthest_first(line, 1) == [2]
    assert kit.farthest_first(line, 3) == [2, 0, 4], "the tenth that is furthest off, 9, is no usual sound"
    assert kit.farthest_first(line, 6)[:2] == [2, 3] and len(kit.farthest_first(line, 9)) == 6


def test_a_sound_is_cut_from_its_attack_to_its_end_and_fades():
    clip = torch.zeros(1, 1000)
    clip[0, 100:300] = torch.linspace(1, 0.0011, 200)
    clip[0, 50] = 0.009  # 41 dB below the peak: no beginning
    part = kit.cut_of(clip, RATE)
    assert part == Cut(99, 211, 10)  # a sample before it begins, 10 after its end
    kept = kit.cut(clip, Cut(99, 20, 5, 0.5))
    assert kept.shape == (1, 20) and torch.allclose(kept[0, 1:15], clip[0, 100:114] / 2)
    assert torch.allclose(kept[0, 15:], clip[0, 114:119] / 2 * torch.tensor([1, 0.75, 0.5, 0.25, 0]))
    assert kit.cut_of(torch.ones(2, 40), RATE) == Cut(0, 40, 10) and clip[0, 100] == 1, "the clip stays as it is"
    assert kit.is_heard(torch.stack([clip, clip * 1e-4])).tolist() == [True, False]


def test_sounds_are_equally_loud_as_far_as_peaks_allow():
    square, soft, click = torch.ones(1, 200), 0.1 * torch.ones(2, 200), torch.zeros(1, 200)
    click[0, 7] = 0.5
    factors = kit.gains([square, soft, click, square], RATE)
    highest = 10 ** (-1 / 20)
    assert factors == pytest.approx([highest, 10 * highest, 2 * highest, highest])  # the click cannot be as loud
    loud = [square, 0.5 * square, torch.cat([0.2 * square, square[:, :50]], 1) / math.sqrt(2)]
    assert kit.gains(loud, RATE) == pytest.approx([highest, 2 * highest, math.sqrt(2) * highest])


def test_an_sfz_file_maps_each_sound_to_its_key():
    text = kit.sfz(PADS, "a kit")
    regions = [dict(word.split("=") for word in line.split()[1:]) for line in text.splitlines() if "<region>" in line]
    assert regions == [{"sample": pad.file, "key": str(pad.note)} for pad in PADS]
    assert text.startswith("// a kit\n<global>\nloop_mode=one_shot\n")


def test_a_decentsampler_preset_maps_each_sound_to_its_key():
    root = ElementTree.fromstring(kit.decentsampler(PADS, "a -- <kit> & more"))
    assert root.tag == "DecentSampler"
    groups = root.find("groups")
    assert groups is not None and float(groups.attrib["release"]) == 1.25
    samples = [sample.attrib for sample in root.iter("sample")]
    notes = [{"rootNote": str(pad.note), "loNote": str(pad.note), "hiNote": str(pad.note)} for pad in PADS]
    assert samples == [{"path": pad.file, **note} for pad, note in zip(PADS, notes, strict=True)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hi hat/open", "hi-hat-open"),
        ("kick:0.5,snare:0.5", "kick-0-5-snare-0-5"),
        ("A\u0308 Ударные", "Ä-Ударные"),
        ("हिन्दी_1", "हिन्दी_1"),
        ("?!", "sound"),
    ],
)
def test_names_hold_no_sign_that_a_sampler_may_not_take(text, name):
    assert kit.safe_name(text) == name


def test_an_instruments_sounds_are_spread_and_stop_with_their_keys():
    text = kit.sfz(INSTRUMENT, "a flute")
    assert "ampeg_release=0.15" in text and "one_shot" not in text and " key=" not in text
    assert "<region> sample=samples/052-flute.wav lokey=51 hikey=53 pitch_keycenter=52" in text
    root = ElementTree.fromstring(kit.decentsampler(INSTRUMENT, "a flute"))
    groups = root.find("groups")
    assert groups is not None and float(groups.attrib["release"]) == 0.15
    names = ("loNote", "rootNote", "hiNote")
    notes = [tuple(sample.attrib[name] for name in names) for sample in root.iter("sample")]
    assert notes == [("48", "49", "50"), ("51", "52", "53")]


def test_loops_go_on_until_their_keys_are_released():
    loops = [Pad("samples/01-rain.wav", 36, 36, 36, 20.0, loops=True)]
    text = kit.sfz(loops, "rain")
    assert "loop_mode=loop_continuous\nampeg_release=0.15\n" in text and "sample=samples/01-rain.wav key=36" in text
    groups = ElementTree.fromstring(kit.decentsampler(loops, "rain")).find("groups")
    assert groups is not None and (groups.attrib["loopEnabled"], groups.attrib["release"]) == ("true", "0.150")


def test_a_drum_plays_at_all_of_its_keys_and_hats_stop_each_other():
    pads = [Pad("hat.wav", 42, 42, 42, 0.2, others=(44,), chokes=True), Pad("kick.wav", 36, 36, 36, 0.5)]
    regions = [line for line in kit.sfz(pads, "drums").splitlines() if line.startswith("<region>")]
    assert regions == [
        "<region> sample=hat.wav key=42 group=1 off_by=1",
        "<region> sample=hat.wav key=44 group=1 off_by=1",
        "<region> sample=kick.wav key=36",
    ]
    samples = list(ElementTree.fromstring(kit.decentsampler(pads, "drums")).iter("sample"))
    keys = [[sample.get(name) for name in ("path", "rootNote", "loNote", "hiNote")] for sample in samples]
    assert keys == [["hat.wav", *["42"] * 3], ["hat.wav", *["44"] * 3], ["kick.wav", *["36"] * 3]]


def test_the_pitch_of_a_sound_is_that_of_its_loudest_tone():
    times = torch.arange(4000) / 8000
    tone = torch.sin(2 * torch.pi * 440 * times) + 0.3 * torch.sin(2 * torch.pi * 100 * times)
    assert 8000 * kit.pitch_of(tone.expand(2, -1)) == pytest.approx(440, abs=2)
