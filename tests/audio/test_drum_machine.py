"""Tests the drum machine: each voice sounds like its drum, at every sample rate, without clicks or aliases."""

import numpy as np
import pytest
from scipy import signal

from wavegan.audio import drum_machine, instrument_parts
from wavegan.audio.drum_machine import DRUMS, label, render

VOICES = list(DRUMS)
RATES = (4000, 8000, 16000, 22050, 44100, 96000)


def play(voice: str, take: int, sample_rate: int = 16000) -> np.ndarray:
    """Returns clip number `take` of one voice, (samples,) float64."""
    return render(VOICES.index(voice) + take * len(VOICES), sample_rate).astype(np.float64)


def power(clip: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns frequencies in Hz and energy per bin, padded to one second so that bins agree between rates."""
    spectrum = np.abs(np.fft.rfft(clip, sample_rate)) ** 2
    return np.arange(len(spectrum), dtype=float), spectrum / spectrum.sum()


def share(clip: np.ndarray, low: float, high: float, sample_rate: int = 16000) -> float:
    """Returns the part of the clip's energy that lies from `low` to `high` Hz."""
    frequencies, energy = power(clip, sample_rate)
    return energy[(frequencies >= low) & (frequencies < high)].sum()


def centroid(clip: np.ndarray, sample_rate: int) -> float:
    """Returns the mean frequency in Hz of the energy below 6 kHz, which every rate from 16 kHz holds in full."""
    frequencies, energy = power(clip, sample_rate)
    heard = frequencies < 6000
    return (frequencies * energy)[heard].sum() / energy[heard].sum()


def below(highest: int, clip: np.ndarray, sample_rate: int) -> np.ndarray:
    """Returns the part of the clip below `highest` Hz, without delay."""
    spectrum = np.fft.rfft(clip, sample_rate)
    spectrum[highest:] = 0
    return np.fft.irfft(spectrum, sample_rate)[: len(clip)]


def fundamental(clip: np.ndarray, sample_rate: int, low: float = 30, high: float = 900) -> float:
    """Returns the frequency in Hz of the strongest spectral peak, on a grid of 1 Hz."""
    frequencies, energy = power(clip, sample_rate)
    return frequencies[np.argmax(energy * ((frequencies > low) & (frequencies < high)))]


def decay_seconds(clip: np.ndarray, sample_rate: int) -> float:
    """Returns the time until only a hundredth of the clip's energy is still to come."""
    to_come = np.cumsum(clip[::-1] ** 2)[::-1]
    return np.argmax(to_come < 0.01 * to_come[0]) / sample_rate


def pitch_of(clip: np.ndarray, start: float, stop: float) -> float:
    """Returns the median instantaneous frequency in Hz of a stretch of a 16 kHz clip, given in seconds."""
    phase = np.unwrap(np.angle(np.asarray(signal.hilbert(clip))))
    frequency = np.diff(phase) * 16000 / (2 * np.pi)
    return float(np.median(frequency[round(start * 16000) : round(stop * 16000)]))


@pytest.fixture
def without_hiss(monkeypatch):
    """Silences the hiss, whose level follows the peak: a higher rate raises the peak of bright voices."""
    monkeypatch.setattr(instrument_parts, "HISS", (1e-9, 1e-9))


@pytest.fixture
def without_noise(monkeypatch):
    """Removes the noise and leaves a voice its tones only."""
    for module in (drum_machine, instrument_parts):
        monkeypatch.setattr(module, "band_noise", lambda random, time, low, high=np.inf: np.zeros_like(time))


def test_a_clip_is_a_pure_function_of_index_rate_and_seed():
    later = [render(index, 16000, seed=3) for index in (25, 7)]
    np.testing.assert_array_equal(render(7, 16000, seed=3), later[1])
    np.testing.assert_array_equal(render(25, 16000, seed=3), later[0])
    assert not np.array_equal(render(7, 16000, seed=4)[:500], later[1][:500])
    assert not np.array_equal(render(17, 16000, seed=3)[:500], later[1][:500])


def test_voices_take_turns():
    assert 8 <= len(VOICES) <= 12
    counts = [sum(label(index) == voice for index in range(20 * len(VOICES))) for voice in VOICES]
    assert counts == [20] * len(VOICES)
    assert {"kick", "snare", "hihat", "clap", "tom", "cowbell", "rim", "cymbal", "shaker"} <= set(VOICES)


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("voice", VOICES)
def test_every_clip_is_well_formed_at_every_rate(voice, sample_rate):
    for take in range(6):
        clip = render(VOICES.index(voice) + take * len(VOICES), sample_rate)
        assert clip.dtype == np.float32 and clip.ndim == 1
        assert 0.05 <= len(clip) / sample_rate <= 0.9501
        peak = np.abs(clip).max()
        assert np.isfinite(clip).all() and 0.3 <= peak <= 1
        assert clip[0] == 0 and clip[-1] == 0
        assert np.abs(clip[-round(0.002 * sample_rate) :]).max() < 1e-3 * peak, "a click at the end"
        assert abs(clip.mean(dtype=np.float64)) < 2e-3 * peak, "an offset"


@pytest.mark.usefixtures("without_hiss")
@pytest.mark.parametrize("voice", VOICES)
def test_envelopes_decay(voice):
    for take in range(20):
        tenths = [np.mean(part**2) for part in np.array_split(play(voice, take), 10)]
        assert tenths[-1] < 1e-4 * max(tenths)
        assert np.argmax(tenths) <= 2


@pytest.mark.parametrize("voice", VOICES)
def test_clips_of_a_voice_differ(voice):
    clips = [play(voice, take) for take in range(20)]
    lengths = [len(clip) for clip in clips]
    assert len(set(lengths)) >= 5 and max(lengths) > 1.2 * min(lengths)
    centroids = [centroid(clip, 16000) for clip in clips]
    assert max(centroids) > 1.1 * min(centroids)


@pytest.mark.usefixtures("without_hiss")
@pytest.mark.parametrize("voice", VOICES)
def test_the_same_waveform_at_every_rate(voice):
    for take in range(8):
        slow, fast = (below(6000, play(voice, take, rate), rate) for rate in (16000, 48000))
        assert len(slow) / 16000 == pytest.approx(len(fast) / 48000, abs=1e-4)
        thirds = fast[::3][: len(slow)]
        slow = slow[: len(thirds)]
        assert slow @ thirds / np.linalg.norm(slow) / np.linalg.norm(thirds) > 0.995


@pytest.mark.usefixtures("without_hiss")
@pytest.mark.parametrize("voice", VOICES)
def test_the_same_colour_and_decay_at_every_rate(voice):
    for take in range(8):
        slow, fast = play(voice, take, 16000), play(voice, take, 44100)
        assert centroid(slow, 16000) == pytest.approx(centroid(fast, 44100), rel=0.05)
        slow, fast = below(6000, slow, 16000), below(6000, fast, 44100)
        assert decay_seconds(slow, 16000) == pytest.approx(decay_seconds(fast, 44100), rel=0.1, abs=0.002)


@pytest.mark.usefixtures("without_hiss")
@pytest.mark.parametrize("voice", ["kick", "tom", "conga", "cowbell"])
def test_a_tuned_drum_keeps_its_pitch_and_decay_at_every_rate(voice):
    for take in range(8):
        reference = play(voice, take, 44100)
        for rate in (8000, 16000, 96000):
            clip = play(voice, take, rate)
            assert fundamental(clip, rate) == pytest.approx(fundamental(reference, 44100), abs=2)
            assert decay_seconds(clip, rate) == pytest.approx(decay_seconds(reference, 44100), rel=0.1)


@pytest.mark.parametrize(
    ("voice", "low", "high", "least"),
    [
        ("kick", 20, 200, 0.6),
        ("hihat", 3000, 8000, 0.95),
        ("shaker", 2000, 8000, 0.9),
        ("cymbal", 300, 8000, 0.9),
        ("clap", 300, 6000, 0.9),
        ("snare", 100, 700, 0.2),
        ("snare", 700, 8000, 0.05),
        ("tom", 60, 600, 0.8),
    ],
)
def test_energy_lies_where_the_drum_has_it(voice, low, high, least):
    shares = [share(play(voice, take), low, high) for take in range(40)]
    assert min(shares) > least


@pytest.mark.parametrize("voice", ["kick", "tom"])
def test_pitch_falls(voice, without_noise):
    for take in range(20):
        clip = play(voice, take)
        assert pitch_of(clip, 0.004, 0.03) > 1.05 * pitch_of(clip, 0.15, 0.25)


def test_a_hihat_is_closed_or_open():
    decays = np.array([decay_seconds(play("hihat", take), 16000) for take in range(60)])
    assert 10 < np.sum(decays > 0.1) < 40
    assert np.sum(decays < 0.07) > 10


def test_a_clap_is_several_hands():
    for take in range(10):
        clip = play("clap", take, 44100)
        smooth = signal.sosfiltfilt(signal.butter(2, 150, fs=44100, output="sos"), np.abs(clip))[: 44100 // 15]
        peaks, _ = signal.find_peaks(smooth, prominence=0.1 * smooth.max(), distance=130)
        assert len(peaks) >= 2


@pytest.mark.parametrize("voice", ["kick", "tom", "conga", "cowbell", "rim"])
def test_no_aliases_at_8_khz(voice, without_noise):
    """Compares a clip made at 8 kHz with one made at 96 kHz and then filtered: nothing is folded back."""
    for take in range(8):
        made = below(3600, play(voice, take, 8000), 8000)
        expected = below(3600, play(voice, take, 96000), 96000)[::12]
        made, expected = made[: len(expected)], expected[: len(made)]
        error = made - expected * (made @ expected) / (expected @ expected)
        assert error @ error < 1e-4 * (made @ made)


def test_tone_skips_harmonics_above_nyquist():
    time = np.arange(8000) / 8000
    steady = drum_machine.tone(time, np.full_like(time, 900.0), np.ones_like(time), 1.0)
    _, energy = power(steady, 8000)
    np.testing.assert_array_equal(np.flatnonzero(energy > 1e-6), [900, 2700])


def test_a_kick_sounds_over_hiss_some_45_decibels_below_its_peak():
    for take in range(8):
        clip = play("kick", take, 16000)
        middle = clip[len(clip) // 4 : len(clip) // 2]
        above = np.std(signal.sosfilt(signal.butter(8, 3000, "high", fs=16000, output="sos"), middle)[200:])
        assert 0.2 * min(instrument_parts.HISS) < above < max(instrument_parts.HISS)
