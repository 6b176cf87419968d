"""Tests drum kits: the plain kit leaves the drums as they are, the others differ as they say, and stereo is a field."""

import numpy as np
import pytest
from scipy import signal

from wavegan.audio import drum_effects, drum_machine
from wavegan.audio.drum_effects import KITS, placement, render, reverberation, stereo
from wavegan.audio.drum_machine import DRUMS

RATES = (4000, 16000, 44100, 96000)
VOICES = list(DRUMS)


def play(voice: str, take: int, kit: str, sample_rate: int = 16000) -> np.ndarray:
    return render(VOICES.index(voice) + take * len(VOICES), sample_rate, kit=kit)[:, 0].astype(np.float64)


def centroid(clip: np.ndarray, sample_rate: int = 16000) -> float:
    """Returns the mean frequency in Hz of the energy below 6 kHz."""
    energy = np.abs(np.fft.rfft(clip, sample_rate))[:6000] ** 2
    return (np.arange(len(energy)) * energy).sum() / energy.sum()


def decay_seconds(clip: np.ndarray, sample_rate: int = 16000) -> float:
    """Returns the time until only a hundredth of the energy is still to come."""
    to_come = np.cumsum(clip[::-1] ** 2)[::-1]
    return np.argmax(to_come < 0.01 * to_come[0]) / sample_rate


def test_the_plain_kit_is_the_drum_machine_bit_for_bit():
    for index in range(20):
        for channels in (1, 3):
            clip = render(index, 16000, channels=channels, seed=1)
            mono = drum_machine.render(index, 16000, seed=1)
            assert clip.dtype == np.float32 and np.array_equal(clip, mono[:, None].repeat(channels, axis=1))


VERSION_1 = [  # of each voice's first clip: samples, energy, and the sum of its samples times their numbers
    (13586, 173.046980, -1305.92429),
    (5956, 28.138848, -166.34584),
    (2491, 3.848471, -6.84698),
    (7992, 26.084461, -163.76808),
    (15200, 194.573898, -905.60093),
    (4660, 33.248409, -183.08408),
    (7503, 10.335103, 61.56624),
    (1801, 3.456197, 0.71807),
    (15200, 104.366952, -0.11683),
    (3373, 22.200594, -8.41900),
]


def test_the_plain_clips_are_those_of_version_1():
    assert drum_machine.VERSION == 1
    for index, (samples, energy, moment) in enumerate(VERSION_1):
        clip = render(index, 16000)[:, 0].astype(np.float64)
        assert len(clip) == samples and clip @ clip == pytest.approx(energy, rel=1e-5)
        assert clip @ np.arange(samples) == pytest.approx(moment, rel=1e-4, abs=0.05)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kit", KITS)
def test_every_clip_is_well_formed_at_every_rate(kit, channels):
    for sample_rate in RATES:
        for index in range(10):
            clip = render(index, sample_rate, kit=kit, channels=channels)
            mono = drum_machine.render(index, sample_rate)
            assert clip.dtype == np.float32 and clip.shape[1] == channels and np.isfinite(clip).all()
            assert len(clip) <= 0.9501 * sample_rate and (kit == "room" or len(clip) == len(mono))
            assert np.abs(clip).max() == pytest.approx(np.abs(mono).max(), rel=1e-6)
            assert np.abs(clip[-round(0.001 * sample_rate) :]).max() < 0.1 * np.abs(clip).max()
            assert np.abs(clip[-1]).max() < 1e-6, "a click at the end"


@pytest.mark.parametrize("voice", VOICES)
def test_the_kits_differ_clearly_in_every_voice(voice):
    """The dry kit is clearly brighter and shorter than the room, on average and nearly always."""
    dry, room = ([play(voice, take, kit) for take in range(16)] for kit in ("dry", "room"))
    brighter = [centroid(dry_clip) / centroid(room_clip) for dry_clip, room_clip in zip(dry, room, strict=True)]
    shorter = [
        decay_seconds(dry_clip) / decay_seconds(room_clip) for dry_clip, room_clip in zip(dry, room, strict=True)
    ]
    assert np.median(brighter) > 1.3 and np.mean(np.array(brighter) > 1) > 0.9
    assert np.median(shorter) < 0.5 and max(shorter) < 1


@pytest.mark.parametrize("voice", VOICES)
def test_a_kit_keeps_the_voices_apart(voice):
    """Correlates each clip with the plain clip of the same hit: the correlation is above 0.2."""
    for kit in ("dry", "room"):
        plain, heard = play(voice, 1, "plain"), play(voice, 1, kit)
        same = np.abs(signal.correlate(heard, plain)).max() / np.linalg.norm(heard) / np.linalg.norm(plain)
        assert same > 0.2


def test_the_dry_kit_has_thirty_one_levels():
    for index in range(10):
        clip = render(index, 16000, kit="dry")[:, 0]
        before = clip[: -round(0.02 * 16000)] / np.abs(clip).max()
        np.testing.assert_allclose(15 * before, np.round(15 * before), atol=1e-5)
        assert len(np.unique(np.round(15 * before))) > 5


@pytest.mark.parametrize("kit", KITS)
def test_a_kit_sounds_the_same_at_every_rate(kit):
    """Leaves noise aside, which higher rates hold more of.

    The dry kit is coarse by design, so it is compared in the mean.
    """
    for voice in ("kick", "tom", "conga"):
        for take in range(4):
            slow, fast = play(voice, take, kit), play(voice, take, kit, 48000)
            assert len(slow) / 16000 == pytest.approx(len(fast) / 48000, abs=1e-4)
            fast = signal.resample_poly(fast, 1, 3)
            count = min(len(slow), len(fast))
            same = slow[:count] @ fast[:count] / np.linalg.norm(slow[:count]) / np.linalg.norm(fast[:count])
            assert same > 0.97


# Stereo


def test_stereo_is_panned_at_constant_power_in_a_room_of_two_ears(monkeypatch):
    monkeypatch.setattr(drum_effects, "STEREO_ROOM", 0)
    sound = drum_machine.render(0, 16000)
    for angle in (0.0, np.pi / 6, np.pi / 4, np.pi / 2):
        left, right = stereo(sound, 16000, angle=angle).T
        gains = np.array([left @ sound, right @ sound]) / (sound @ sound)
        expected = np.array([np.cos(angle), np.sin(angle)]) / max(np.cos(angle), np.sin(angle))
        np.testing.assert_allclose(gains, expected, atol=0.01)


def test_the_ears_hear_other_rooms():
    """Removes the panned drum: the rest differs between the two channels, and is not silent."""
    for index in (1, 3, 6, 9):
        clip = render(index, 16000, channels=2).astype(np.float64)
        mono = drum_machine.render(index, 16000)[: len(clip)].astype(np.float64)
        rests = clip - np.outer(mono, mono @ clip / (mono @ mono))
        left, right = rests.T
        assert abs(left @ right) / np.linalg.norm(left) / np.linalg.norm(right) < 0.5
        assert np.linalg.norm(rests) > 0.1 * np.linalg.norm(clip)


def test_clips_lie_all_over_the_field():
    angles = np.array([placement(index, 0) for index in range(400)]) * 2 / np.pi
    assert angles.min() > 0.1 and angles.max() < 0.9
    counts, _ = np.histogram(angles, bins=8, range=(0.1, 0.9))
    assert counts.min() > 25
    assert placement(3, 0) == placement(3, 0) != placement(3, 1)
    for index in range(20):
        powers = np.sum(render(index, 16000, channels=2).astype(np.float64) ** 2, axis=0)
        side = placement(index, 0) - np.pi / 4
        assert abs(side) < 0.15 or np.sign(powers[1] - powers[0]) == np.sign(side)


@pytest.mark.parametrize("sample_rate", [16000, 48000])
def test_reverberation_has_the_gain_of_its_sound(sample_rate):
    """Checks that over many rooms the energy of a long noise within the band stays the same."""
    sound = np.random.default_rng(0).standard_normal(sample_rate // 2)
    band = signal.butter(8, [400, 2000], "bandpass", fs=sample_rate, output="sos")
    inside = np.asarray(signal.sosfilt(band, sound))
    gains = [
        np.sum(reverberation(inside, sample_rate, 0.4, 100, 6000, number=number) ** 2) / np.sum(inside**2)
        for number in range(12)
    ]
    assert np.mean(gains) == pytest.approx(1, abs=0.15)
