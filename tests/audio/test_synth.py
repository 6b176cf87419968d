"""Tests the synthesiser: each note has its label's pitch and its timbre's colour, at every sample rate, cleanly."""

import librosa
import numpy as np
import pytest

from wavegan.audio import instrument_parts, synth
from wavegan.audio.synth import NOTES, TIMBRES, hertz, note, render, timbre

VOICES = list(TIMBRES)
RATES = (4000, 8000, 16000, 22050, 44100, 96000)


def index_of(voice: str, take: int) -> int:
    return VOICES.index(voice) + take * len(VOICES)


def play(voice: str, take: int, sample_rate: int = 16000) -> np.ndarray:
    """Returns clip number `take` of one timbre, (samples,) float64; takes go through the notes."""
    return render(index_of(voice, take), sample_rate).astype(np.float64)


def power(clip: np.ndarray, sample_rate: int) -> np.ndarray:
    """Returns the share of energy at each whole Hz, through a window without side lobes."""
    energy = np.abs(np.fft.rfft(clip * np.blackman(len(clip)), sample_rate)) ** 2
    return energy / energy.sum()


def centroid(clip: np.ndarray, sample_rate: int) -> float:
    """Returns the mean frequency in Hz of the energy below 6 kHz, which every rate from 16 kHz holds in full."""
    energy = np.abs(np.fft.rfft(clip, sample_rate))[:6000] ** 2
    return float(np.arange(6000) @ energy / energy.sum())


def below(highest: int, clip: np.ndarray, sample_rate: int) -> np.ndarray:
    """Returns the part of the clip below `highest` Hz, without delay."""
    spectrum = np.fft.rfft(clip, sample_rate)
    spectrum[highest:] = 0
    return np.fft.irfft(spectrum, sample_rate)[: len(clip)]


def off_pitch(clip: np.ndarray, index: int, sample_rate: int, cents: float = 0) -> float:
    """Returns how far the measured pitch is from the note's, in cents: the median over the clip."""
    pitches = librosa.yin(clip, fmin=200, fmax=700, sr=sample_rate)
    return float(1200 * np.log2(np.median(pitches[2:-2]) / hertz(index, cents)))


@pytest.fixture
def without_noise(monkeypatch):
    """Removes the noise and leaves a timbre its harmonics only."""
    for module in (synth, instrument_parts):
        monkeypatch.setattr(module, "band_noise", lambda random, time, low, high=np.inf: np.zeros_like(time))


def test_a_clip_is_a_pure_function_of_index_rate_and_seed():
    later = [render(index, 16000, seed=3) for index in (25, 7)]
    np.testing.assert_array_equal(render(7, 16000, seed=3), later[1])
    np.testing.assert_array_equal(render(25, 16000, seed=3), later[0])
    assert not np.array_equal(render(7, 16000, seed=4)[:500], later[1][:500])
    assert not np.array_equal(render(67, 16000, seed=3)[:500], later[1][:500]), "the same timbre and note"


def test_timbres_and_notes_take_turns():
    assert VOICES == ["pluck", "keys", "organ", "flute", "brass"] and len(NOTES) == 12
    turns = [(timbre(index), note(index)) for index in range(120)]
    assert len(set(turns[:60])) == 60 and turns[:60] == turns[60:]
    assert [note(index) for index in range(0, 60, 5)] == list(NOTES)


def test_the_notes_are_those_of_a_piano():
    frequencies = {note(index): hertz(index) for index in range(60)}
    assert frequencies["A4"] == pytest.approx(440) and frequencies["C4"] == pytest.approx(261.6256, abs=1e-4)
    assert list(frequencies.values()) == pytest.approx(librosa.note_to_hz([*map(librosa.midi_to_note, range(60, 72))]))
    assert librosa.note_to_hz(list(NOTES)) == pytest.approx(list(frequencies.values()))


VERSION_1 = [
    (15200, 107.366277, -79.48038),
    (9424, 221.195182, 82.61868),
    (14472, 140.868845, 1.29219),
    (12893, 1510.963722, 4.40835),
    (13916, 1439.227403, -0.6145),
]  # of each timbre's first clip: samples, energy, and the sum of its samples times their numbers


def test_the_clips_are_those_of_version_1():
    assert synth.VERSION == 1 and len(VERSION_1) == len(VOICES)
    for index, (samples, energy, moment) in enumerate(VERSION_1):
        clip = render(index, 16000).astype(np.float64)
        assert len(clip) == samples and clip @ clip == pytest.approx(energy, rel=1e-5)
        assert clip @ np.arange(samples) == pytest.approx(moment, rel=1e-4, abs=0.05)


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("voice", VOICES)
def test_every_clip_is_well_formed_at_every_rate(voice, sample_rate):
    for take in range(4):
        clip = render(index_of(voice, take), sample_rate)
        assert clip.dtype == np.float32 and clip.ndim == 1
        assert 0.4 <= len(clip) / sample_rate <= 0.9501
        peak = np.abs(clip).max()
        assert np.isfinite(clip).all() and 0.3 <= peak <= 0.96
        assert clip[0] == 0 and clip[-1] == 0
        assert np.abs(clip[-round(0.002 * sample_rate) :]).max() < 1e-3 * peak, "a click at the end"
        assert abs(clip.mean(dtype=np.float64)) < 1e-4 * peak, "an offset"


@pytest.mark.parametrize("voice", VOICES)
def test_every_note_has_the_pitch_of_its_label(voice):
    for take in range(0, 12, 3):
        assert abs(off_pitch(play(voice, take), index_of(voice, take), 16000)) < 10


def test_the_pitch_is_the_same_at_a_high_rate_and_between_the_notes():
    for index in range(5):
        assert abs(off_pitch(render(index, 44100), index, 44100)) < 10
        assert abs(off_pitch(render(index, 16000, cents=50), index, 16000, cents=50)) < 10


@pytest.mark.parametrize("voice", VOICES)
def test_energy_lies_in_the_harmonics(voice, without_noise):
    """Sums the energy within 40 cents of the harmonics and within 8 Hz, which the window and the decay spread."""
    for take in range(12):
        index = index_of(voice, take)
        energy = power(play(voice, take), 16000)
        frequencies = np.arange(len(energy))
        numbers = np.maximum(np.round(frequencies / hertz(index)), 1)
        distance = np.abs(frequencies - numbers * hertz(index))
        beside = distance > 12 + 0.024 * numbers * hertz(index)
        assert energy[beside].sum() < 1e-4


@pytest.mark.parametrize("voice", VOICES)
def test_no_aliases_at_8_khz(voice, without_noise):
    """Compares a clip made at 8 kHz with one made at 96 kHz and then filtered: nothing is folded back."""
    for take in range(4):
        made = below(3000, play(voice, take, 8000), 8000)
        expected = below(3000, play(voice, take, 96000), 96000)[::12]
        made, expected = made[: len(expected)], expected[: len(made)]
        error = made - expected * (made @ expected) / (expected @ expected)
        assert error @ error < 1e-4 * (made @ made)


@pytest.mark.parametrize("voice", VOICES)
def test_the_same_waveform_at_every_rate(voice):
    for take in range(6):
        slow, fast = (below(6000, play(voice, take, rate), rate) for rate in (16000, 48000))
        assert len(slow) / 16000 == pytest.approx(len(fast) / 48000, abs=1e-4)
        thirds = fast[::3][: len(slow)]
        slow = slow[: len(thirds)]
        assert slow @ thirds / np.linalg.norm(slow) / np.linalg.norm(thirds) > 0.995


@pytest.mark.parametrize("voice", VOICES)
def test_clips_of_a_label_differ(voice):
    clips = [play(voice, 12 * take) for take in range(16)]
    centroids = [centroid(clip, 16000) for clip in clips]
    assert max(centroids) > 1.15 * min(centroids)
    assert len({len(clip) for clip in clips}) >= 5
    peaks = [np.abs(clip).max() for clip in clips]
    assert max(peaks) > 1.5 * min(peaks)


@pytest.mark.parametrize("voice", VOICES)
def test_a_loud_note_is_bright(voice):
    """Renders each clip twice with all draws alike but the force."""
    for take in range(8):
        index = index_of(voice, take)
        soft, loud = (
            TIMBRES[voice](np.random.default_rng(take), hertz(index), force, 16000).astype(np.float64)
            for force in (0.1, 0.9)
        )
        assert centroid(loud, 16000) > 1.02 * centroid(soft, 16000)


@pytest.mark.parametrize(("voice", "is_struck"), [("pluck", True), ("keys", True), ("organ", False), ("flute", False)])
def test_struck_notes_decay_and_blown_ones_last(voice, is_struck):
    for take in range(12):
        clip = play(voice, take)
        early, late = (np.std(clip[round(a * len(clip)) : round(b * len(clip))]) for a, b in ((0, 0.15), (0.6, 0.75)))
        assert (late < 0.75 * early) if is_struck else (late > 0.4 * early)


def test_harmonics_are_a_sum_of_sines():
    time = np.arange(8000) / 8000
    made = synth.harmonics(time, np.full_like(time, 300.0), [1.0, 0.5j, 1 - time])
    phase = 2 * np.pi * 300 * time
    expected = np.sin(phase) + 0.5 * np.cos(2 * phase) + (1 - time) * np.sin(3 * phase)
    np.testing.assert_allclose(made, expected, atol=1e-9)


def test_harmonics_above_nyquist_are_left_out():
    time = np.arange(8000) / 8000
    made = synth.harmonics(time, np.full_like(time, 900.0), [1.0] * 9)
    energy = np.abs(np.fft.rfft(made)) ** 2
    np.testing.assert_array_equal(np.flatnonzero(energy > 1e-6 * energy.max()), [900, 1800, 2700, 3600])


def test_frequency_modulation_is_a_sum_of_harmonics():
    time = np.arange(16000) / 16000
    index, turns = 2.5 * time, 2 * np.pi * 300 * time
    made = synth.harmonics(time, np.full_like(time, 300.0), synth.modulated(index))
    np.testing.assert_allclose(made, np.sin(turns + index * np.sin(turns)), atol=2e-4)


def test_a_vibrato_swings_around_its_pitch():
    time = np.arange(16000) / 16000
    cents = 1200 * np.log2(synth.vibrato(time, 440, 5, 8, 0.3) / 440)
    assert cents.max() == pytest.approx(8, rel=1e-3) and cents.min() == pytest.approx(-8, rel=1e-3)
    assert np.abs(cents[:1600]).max() < 3
    np.testing.assert_allclose(cents[8000:], 8 * np.sin(2 * np.pi * 5 * time[8000:]), atol=1e-9)
