"""Tests finding, decoding and writing sound files: by numbers worked by hand, soxr on the whole file, round trips."""

import os
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from wavegan.audio import files
from wavegan.audio.files import decode, open_writer, to_int16, write, write_clip
from wavegan.audio.listing import list_sound
from wavegan.errors import DataError

RATE = 16000
BROKEN = {  # of shared/data/broken, read at 16 kHz in mono: frames, or the reason for none
    "00_good_16k.wav": 16000,
    "01_zero_byte.wav": "is empty",
    "02_truncated.wav": "is truncated: its header promises 32044 bytes and the file has 7821",
    "03_text_renamed.wav": "cannot be decoded",
    "04_nan_inf_float32.wav": "holds NaN or infinite samples",
    "05_pcm_u8_8k.wav": 16000,
    "06_pcm_s24_44k1.wav": 16000,
    "07_stereo_48k.wav": 16000,
    "08_six_channel_16k.wav": 8000,
    "09_tiny_0.01s.wav": 160,
    "10_all_silent.wav": 16000,
    "11_ogg_named_wav.wav": 16000,
    "12a_clip.mp3": 16000,
    "12b_clip.ogg": 16000,
    "13_header_only.wav": "is empty",
}


def tones(frames: int, *pitches: float, rate: int = RATE, level: float = 0.5) -> np.ndarray:
    """Returns one channel for each pitch in Hz: (channels, frames) float32."""
    phase = 2 * np.pi * np.array(pitches)[:, None] * np.arange(frames) / rate
    return (level * np.sin(phase)).astype(np.float32)


def decoded(path: Path, sample_rate: int = RATE, channels: int = 1) -> np.ndarray:
    """Returns the whole file, (frames, channels)."""
    return np.concatenate(list(decode(path, sample_rate, channels)))


def strongest(sound: np.ndarray, rate: int = RATE) -> float:
    """Returns the frequency in Hz of the strongest bin of (frames,)."""
    return float(np.abs(np.fft.rfft(sound)).argmax() * rate / len(sound))


def cut(path: Path, share: float) -> None:
    """Leaves only the first part of a file's bytes."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])


def wav_bytes(chunks: list[tuple[bytes, bytes]], data: bytes, promised: int | None = None) -> bytes:
    """Returns a mono 16 kHz int16 WAV, with any chunks before the sound and any promised length."""
    form = (b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16))
    padded = b"".join(
        name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for name, body in [form, *chunks]
    )
    sound = b"data" + struct.pack("<I", len(data) if promised is None else promised) + data
    return b"RIFF" + struct.pack("<I", 4 + len(padded) + len(sound)) + b"WAVE" + padded + sound


# Writing


def test_int16_is_the_nearest_step_of_32767_and_clips():
    samples = np.array([0, 1, -1, 2, -np.inf, 0.5, 1.4 / 32767, 1.6 / 32767, -1.6 / 32767])
    assert to_int16(samples).tolist() == [0, 32767, -32767, 32767, -32767, 16384, 1, 2, -2]


@pytest.mark.parametrize("extension", ["wav", "flac"])
@pytest.mark.parametrize("channels", range(1, 9))
def test_exact_formats_return_every_channel_in_its_place(tmp_path: Path, extension: str, channels: int):
    clip = tones(1001, *(100.0 * (1 + channel) for channel in range(channels)))
    write(tmp_path / f"clip.{extension}", clip, RATE)
    steps, rate = soundfile.read(tmp_path / f"clip.{extension}", dtype="int16", always_2d=True)
    assert rate == RATE
    assert np.array_equal(steps, to_int16(clip.T))
    assert np.abs(decoded(tmp_path / f"clip.{extension}", channels=channels) - clip.T).max() < 1.1 / 32768


@pytest.mark.parametrize("extension", ["ogg", "mp3"])
@pytest.mark.parametrize("pitches", [(440.0,), (440.0, 1250.0)], ids=["mono", "stereo"])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_lossy_formats_keep_length_and_sound(tmp_path: Path, extension: str, pitches: tuple[float, ...], rate: int):
    clip = tones(rate, *pitches, rate=rate)
    write(tmp_path / f"clip.{extension}", clip, rate)
    back = decoded(tmp_path / f"clip.{extension}", rate, len(pitches))
    assert back.shape == clip.T.shape
    error = (back - clip.T)[1000:-2000]  # encoders smear the edges
    assert np.sqrt((error**2).mean()) < 0.1 * np.sqrt((clip**2).mean())
    assert [strongest(channel, rate) for channel in back.T] == pytest.approx(pitches, abs=1)


@pytest.mark.parametrize("extension", files.FORMATS)
def test_clips_beyond_full_scale_are_clipped_not_wrapped(tmp_path: Path, extension: str):
    write(tmp_path / f"loud.{extension}", tones(RATE, 440, level=1.5), RATE)
    back = decoded(tmp_path / f"loud.{extension}")[1000:-2000, 0]
    expected = tones(RATE, 440, level=1.5)[0, 1000:-2000].clip(-1, 1)
    assert np.abs(back - expected).max() < 0.2  # one that wraps is off by 2


@pytest.mark.parametrize("extension", files.FORMATS)
def test_clips_are_appended_to_one_file(tmp_path: Path, extension: str):
    path = tmp_path / f"walk.{extension}"
    with open_writer(path, RATE, 1) as sound:
        for pitch in (300, 600, 900):
            write_clip(sound, tones(8000, pitch))
        assert not path.exists(), "it has its name only when it is complete"
    back = decoded(path)[:, 0]
    assert len(back) == 24000
    assert [strongest(part) for part in back.reshape(3, -1)] == [300, 600, 900]


def test_a_broken_off_writing_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "clip.wav"
    write(path, tones(100, 440), RATE)
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), open_writer(path, RATE, 1) as sound:
        write_clip(sound, tones(50, 440))
        raise ZeroDivisionError
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["clip.wav"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_no_nan_reaches_a_file(tmp_path: Path, value: float):
    with pytest.raises(AssertionError, match="only finite samples"):
        write(tmp_path / "clip.wav", np.array([[0, value]]), RATE)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("rate", "channels"), [(10000, 1), (96000, 2), (16000, 3)])
def test_mp3_says_what_it_cannot_hold(tmp_path: Path, rate: int, channels: int):
    with pytest.raises(DataError, match=rf"{rate} Hz and {channels} channels.*8000, 11025.*choose wav or flac"):
        write(tmp_path / "clip.mp3", np.zeros((channels, 100)), rate)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("rate", files.MP3_RATES)
def test_mp3_holds_the_rates_it_is_said_to_hold(tmp_path: Path, rate: int):
    write(tmp_path / "clip.mp3", tones(rate // 2, 400, rate=rate), rate)
    assert strongest(decoded(tmp_path / "clip.mp3", rate)[:, 0], rate) == pytest.approx(400, abs=2)


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path: Path):
    with pytest.raises(DataError, match="'aac'; one of wav, flac, ogg, mp3"):
        write(tmp_path / "clip.aac", np.zeros((1, 10)), RATE)


# Finding


def test_find_looks_everywhere_but_where_it_is_hidden(tmp_path: Path):
    for name in (
        "b.WAV",
        "a.flac",
        "sub/deeper/c.Mp3",
        "folder.wav/d.ogg",  # a folder, whatever it is called
        ".hidden.wav",
        ".cache/e.wav",
        "sub/.git/f.wav",
        "._a.flac",
        "notes.txt",
        "wav",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    paths = [path.relative_to(tmp_path).as_posix() for path in list_sound(tmp_path).paths]
    assert paths == ["a.flac", "b.WAV", "folder.wav/d.ogg", "sub/deeper/c.Mp3"]


# Decoding


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_a_resampled_tone_is_the_same_tone(tmp_path: Path, rate: int):
    soundfile.write(tmp_path / "tone.wav", tones(rate, 1000, rate=rate).T, rate, subtype="FLOAT")
    sound = decoded(tmp_path / "tone.wav")
    assert sound.shape == (RATE, 1)
    assert np.abs(sound - tones(RATE, 1000).T)[500:-500].max() < 1e-4


def test_what_lies_above_half_the_new_rate_is_gone(tmp_path: Path):
    soundfile.write(tmp_path / "high.wav", tones(44100, 9000, rate=44100).T, 44100, subtype="FLOAT")
    assert np.abs(decoded(tmp_path / "high.wav")[500:-500]).max() < 1e-5  # -94 dB of the tone


@pytest.mark.parametrize("block_frames", [777, 5000, 1 << 18])
@pytest.mark.parametrize("rate", [16000, 44100, 11025])
def test_block_by_block_equals_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_frames: int, rate: int
):
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, (20011, 2)).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", noise, rate, subtype="FLOAT")
    monkeypatch.setattr(files, "BLOCK_FRAMES", block_frames)
    blocks = list(decode(tmp_path / "noise.wav", RATE, 2))
    assert max(map(len, blocks)) < 2 * block_frames * max(1, RATE / rate) + 2000, "blocks are of bounded size"
    whole = soxr.resample(noise, rate, RATE, quality="HQ") if rate != RATE else noise
    assert np.concatenate(blocks).shape == whole.shape
    assert np.abs(np.concatenate(blocks) - whole).max() < 1e-5
    assert {block.dtype for block in blocks} == {np.dtype(np.float32)}


def test_channels_are_mixed_by_mean_and_spread_by_repetition(tmp_path: Path):
    frames = np.array([[0.5, -0.25], [0.25, 0.25], [-1, 0.5]])
    soundfile.write(tmp_path / "two.wav", frames, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "one.wav", frames[:, 0], RATE, subtype="FLOAT")
    assert decoded(tmp_path / "two.wav").tolist() == [[0.125], [0.25], [-0.25]]
    assert decoded(tmp_path / "two.wav", channels=2).tolist() == frames.tolist()
    assert decoded(tmp_path / "one.wav", channels=3).tolist() == [[0.5] * 3, [0.25] * 3, [-1] * 3]


def test_six_channels_become_one_but_not_two(tmp_path: Path):
    soundfile.write(tmp_path / "six.wav", np.tile([0.5, 0.5, 0.5, 0.25, 0, 0.5], (40, 1)), RATE, subtype="FLOAT")
    assert decoded(tmp_path / "six.wav").tolist() == [[0.375]] * 40
    assert decoded(tmp_path / "six.wav", channels=6).shape == (40, 6)
    with pytest.raises(DataError, match=r"has 6 channels where data.channels is 2.*set data.channels to 1 or 6"):
        decoded(tmp_path / "six.wav", channels=2)


@pytest.mark.parametrize(
    ("rate", "subtype", "tolerance"), [(8000, "PCM_U8", 0.03), (44100, "PCM_24", 1e-4), (48000, "DOUBLE", 1e-4)]
)
def test_any_sample_format_is_read(tmp_path: Path, rate: int, subtype: str, tolerance: float):
    soundfile.write(tmp_path / "tone.wav", tones(rate, 500, rate=rate).T, rate, subtype=subtype)
    assert np.abs(decoded(tmp_path / "tone.wav") - tones(RATE, 500).T)[500:-500].max() < tolerance


def test_an_ogg_named_wav_is_read(tmp_path: Path):
    soundfile.write(tmp_path / "tone.wav", tones(RATE, 500).T, RATE, format="OGG", subtype="VORBIS")
    assert decoded(tmp_path / "tone.wav").shape == (RATE, 1)


@pytest.mark.parametrize(
    ("extension", "options"),
    [
        ("wav", {}),
        ("wav", {"endian": "BIG", "subtype": "PCM_16"}),
        ("wav", {"format": "WAVEX", "subtype": "FLOAT"}),
        ("aiff", {}),
        ("aiff", {"subtype": "FLOAT"}),
        ("flac", {}),
    ],
)
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_truncated_file_is_noticed(tmp_path: Path, extension: str, options: dict[str, Any], share: float):
    path = tmp_path / f"tone.{extension}"
    soundfile.write(path, tones(RATE, 440).T, RATE, **options)
    assert len(decoded(path)) == RATE
    cut(path, share)
    with pytest.raises(DataError, match=r"is truncated|decoder lost sync"):
        decoded(path)


@pytest.mark.parametrize("block_frames", [2000, 1 << 18])
def test_a_truncated_mp3_gives_what_is_there_and_nothing_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_frames: int
):
    monkeypatch.setattr(files, "BLOCK_FRAMES", block_frames)
    path = tmp_path / "tone.mp3"
    write(path, tones(RATE, 440), RATE)
    whole = decoded(path)
    cut(path, 0.5)
    half = decoded(path)
    assert 2000 < len(half) < RATE // 2 + 1200
    assert np.abs(half[:-1200] - whole[: len(half) - 1200]).max() < 1e-3


@pytest.mark.parametrize("promised", [0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_from_a_stream_that_knew_no_length_is_used(tmp_path: Path, promised: int):
    steps = np.arange(1, 501, dtype="<i2")
    (tmp_path / "stream.wav").write_bytes(wav_bytes([], steps.tobytes(), promised))
    assert np.array_equal(decoded(tmp_path / "stream.wav")[:, 0] * 32768, steps)


def test_chunks_before_the_sound_do_not_hide_a_truncation(tmp_path: Path):
    path = tmp_path / "tagged.wav"
    path.write_bytes(wav_bytes([(b"odd ", b"xyz"), (b"LIST", b"INFO")], bytes(20000)))
    assert len(decoded(path)) == 10000
    path.write_bytes(path.read_bytes()[:-4098])
    with pytest.raises(DataError, match="promises 20068 bytes and the file has 15970"):
        decoded(path)


@pytest.mark.parametrize("block_frames", [64, 1 << 18])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_single_nan_or_infinity_refuses_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, block_frames: int
):
    monkeypatch.setattr(files, "BLOCK_FRAMES", block_frames)
    samples = tones(300, 440)[0]
    samples[280] = value
    soundfile.write(tmp_path / "bad.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(DataError, match="holds NaN or infinite"):
        decoded(tmp_path / "bad.wav")


def test_what_holds_no_sound_says_why(tmp_path: Path):
    (tmp_path / "zero.wav").touch()
    (tmp_path / "text.wav").write_text("Dear diary, " * 50)
    (tmp_path / "header.wav").write_bytes(wav_bytes([], b""))
    soundfile.write(tmp_path / "blink.wav", np.array([0.5]), 48000)  # a third of a frame at 16 kHz
    reasons = {}
    for path in list_sound(tmp_path).paths:
        with pytest.raises(DataError) as refusal:
            decoded(path)
        reasons[path.stem] = str(refusal.value)
    assert reasons["zero"] == "is empty: it has 0 bytes"
    assert reasons["text"].startswith("cannot be decoded (")
    assert reasons["header"] == "is empty: it holds no samples"
    assert reasons["blink"] == "is empty: it holds no samples at 16000 Hz"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="^is not there$"):
        decoded(tmp_path / "none.wav")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows names that are not text")
def test_a_name_that_is_not_text_is_refused(tmp_path: Path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav"))
    path.write_bytes(wav_bytes([], bytes(200)))
    with pytest.raises(DataError, match="name that is not valid text"):
        decoded(path)


@pytest.mark.skipif("WAVEGAN_TEST_DATA" not in os.environ, reason="WAVEGAN_TEST_DATA names no folder of real audio")
def test_every_broken_file_is_used_or_refused_with_its_reason():
    folder = Path(os.environ["WAVEGAN_TEST_DATA"], "broken")
    assert [path.name for path in list_sound(folder).paths] == list(BROKEN)
    for name, expected in BROKEN.items():
        if isinstance(expected, int):
            sound = decoded(folder / name)
            assert sound.shape == (expected, 1), name
            assert (np.abs(sound).max() > 0.05) == (name != "10_all_silent.wav"), name
        else:
            with pytest.raises(DataError) as refusal:
                decoded(folder / name)
            assert str(refusal.value).startswith(expected), name
