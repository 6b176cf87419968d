"""Tests what is heard in a sample of sounds: bandwidth, channels, sounds apart, how long a sound lasts, pitch."""

import math

import numpy as np
import pytest
import soundfile
from scipy.signal import butter, sosfilt

from wavegan.audio.content import hear, probe, sample
from wavegan.audio.corpus import load_corpus
from wavegan.audio.sources import open_source

RATE = 16000


@pytest.fixture
def folder(tmp_path):
    """folder(name=sound, …) writes WAVs at 16 kHz and returns their folder."""

    def write(rate=RATE, **sounds):
        for name, sound in sounds.items():
            soundfile.write(tmp_path / f"{name}.wav", sound, rate)
        return tmp_path

    return write


def noise(seconds=1.0, rate=RATE):
    return 0.1 * np.random.default_rng(0).normal(size=round(seconds * rate))


def probed(folder):
    return {each.name.removesuffix(".wav"): each for each in probe(open_source(str(folder)).items)}


def test_bandwidth_is_where_the_sound_ends(folder):
    dull = sosfilt(butter(20, 2000, fs=RATE, output="sos"), noise())  # falls by 120 dB in an octave
    heard = probed(folder(bright=noise(), dull=dull, mute=np.zeros(RATE)))
    assert heard["bright"].bandwidth == RATE / 2 and heard["mute"].bandwidth == 0
    assert 2000 < heard["dull"].bandwidth < 2000 * 2 ** (80 / 120)


def test_rounding_beneath_a_soft_sound_is_none_of_it(folder):
    voice = 0.02 * np.asarray(sosfilt(butter(12, 500, fs=RATE, output="sos"), noise(0.5)))
    dither = np.diff(np.random.default_rng(1).uniform(0, 2**-15, (2, len(voice))), axis=0)[0]
    for sound in (voice, voice + dither):
        assert 500 < probed(folder(voice=sound))["voice"].bandwidth < 1000


def test_a_soft_click_is_no_silence(folder):
    click = np.zeros(10 * RATE)
    click[RATE] = 0.01
    heard = probed(folder(click=click, constant=np.full(RATE, 0.5)))
    assert heard["click"].bandwidth > 0 and heard["constant"].bandwidth == 0


def test_channels_are_compared_before_they_are_mixed(folder):
    left = noise()
    heard = probed(folder(wide=np.stack([left, -left], 1), mono=left))
    assert heard["wide"].channels == 2 and heard["wide"].correlation == pytest.approx(-1)
    assert heard["wide"].bandwidth == RATE / 2, "the mix would be silent"
    assert heard["mono"].channels == 1 and math.isnan(heard["mono"].correlation)


def test_an_unreadable_file_is_left_to_the_corpus(folder):
    place = folder(good=noise())
    (place / "bad.wav").write_bytes(b"no sound at all")
    assert list(probed(place)) == ["good"]


def test_a_sample_is_fixed_and_in_order():
    assert sample(range(5), 9) == [0, 1, 2, 3, 4]
    chosen = sample(range(1000), 50)
    assert chosen == sample(range(1000), 50) == sorted(set(chosen)) and len(chosen) == 50
    assert chosen[0] < 200 and chosen[-1] > 800


def test_sounds_apart_and_where_they_end(folder):
    time = np.arange(RATE) / RATE
    hit = np.sin(2 * np.pi * 300 * time) * np.exp(-20 * time)
    late = np.concatenate([np.zeros(RATE // 2), hit])
    corpus = load_corpus(str(folder(a_single=hit, b_late=late, c_twice=np.concatenate([hit, hit]))), RATE, 1)
    heard = hear(corpus)
    assert heard.names == ("a_single.wav", "b_late.wav", "c_twice.wav")
    assert heard.sounds.tolist() == [1, 1, 2]
    # The energy falls as exp(-40 t), so a thousandth of it is left after ln(1000) / 40 seconds.
    assert heard.ends[:2] == pytest.approx(math.log(1000) / 40, abs=0.003)
    assert heard.leads == pytest.approx([0, 0.5, 0], abs=0.002)


def test_an_offset_too_small_to_be_mended_hides_no_end_and_no_pause(folder):
    time = np.arange(RATE) / RATE
    hit = 0.9 * np.sin(2 * np.pi * 300 * time) * np.exp(-20 * time)
    sounds = {"single": np.append(hit, np.zeros(RATE)), "twice": np.append(hit, hit)}
    shifted = {f"{name}_shifted": sound + 0.03 for name, sound in sounds.items()}
    heard = hear(load_corpus(str(folder(**sounds, **shifted)), RATE, 1))
    assert heard.names == ("single.wav", "single_shifted.wav", "twice.wav", "twice_shifted.wav")
    assert heard.sounds.tolist() == [1, 1, 2, 2]
    assert heard.ends[[1, 3]] == pytest.approx(heard.ends[[0, 2]], abs=0.001)


def test_pitch_is_that_of_the_harmonics(folder):
    time = np.arange(2 * RATE) / RATE
    voice = sum(np.sin(2 * np.pi * 220 * partial * time) / partial for partial in range(1, 8)) / 4
    heard = hear(load_corpus(str(folder(hiss=noise(2), voice=voice)), RATE, 1))
    hiss, tonal = heard.tonal
    assert hiss < 0.3 and tonal > 0.9
    assert np.median(heard.pitches) == pytest.approx(220, rel=0.02)


def test_a_note_keeps_its_pitch_and_a_melody_does_not(folder):
    time = np.arange(RATE) / RATE
    partials = np.arange(1, 8)[:, None]
    note, fifth = ((np.sin(2 * np.pi * pitch * partials * time) / partials).sum(0) / 4 for pitch in (220, 330))
    half, rest = RATE // 2, np.zeros(RATE // 2)  # silence after a note does not count
    melody, short = np.append(note[:half], fifth[:half]), np.append(note[:half], rest)
    heard = hear(load_corpus(str(folder(hiss=noise(1), melody=melody, note=note, short=short)), RATE, 1))
    assert heard.names == ("hiss.wav", "melody.wav", "note.wav", "short.wav")
    assert heard.notes.tolist() == [False, False, True, True]


def test_sounds_of_a_few_samples_are_no_fault(folder):
    heard = hear(load_corpus(str(folder(click=np.array([0.5]), short=noise(0.02))), RATE, 1))
    assert heard.sounds.tolist() == [1, 1] and len(heard.pitches) == 0


def test_recordings_that_repeat_are_heard(folder):
    once, twice = noise(7), np.tile(noise(3.5), 2)
    heard = hear(load_corpus(str(folder(once=once, twice=twice)), RATE, 1))
    assert heard.repeats.tolist() == pytest.approx([0, 3.5], abs=0.001)
