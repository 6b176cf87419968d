"""Tests finding, decoding and writing sound files: by numbers worked by hand, soxr on the whole file, round trips."""

import errno
import io
import os
import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from wavegan.audio import files, headers, mpeg, writing
from wavegan.audio.files import TemporaryError, decode, open_sound
from wavegan.audio.listing import list_sound
from wavegan.audio.writing import open_writer, to_int16, write, write_clip
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


def test_a_long_ogg_is_written(tmp_path: Path):
    """Two million samples at once overflow the stack of libsndfile's Vorbis encoder."""
    write(tmp_path / "long.ogg", np.zeros((1, 2_300_000), np.float32), RATE)
    assert soundfile.info(tmp_path / "long.ogg").frames == 2_300_000


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


@pytest.mark.parametrize("extension", writing.FORMATS)
def test_clips_beyond_full_scale_are_clipped_not_wrapped(tmp_path: Path, extension: str):
    write(tmp_path / f"loud.{extension}", tones(RATE, 440, level=1.5), RATE)
    back = decoded(tmp_path / f"loud.{extension}")[1000:-2000, 0]
    expected = tones(RATE, 440, level=1.5)[0, 1000:-2000].clip(-1, 1)
    assert np.abs(back - expected).max() < 0.2  # one that wraps is off by 2


@pytest.mark.parametrize("extension", writing.FORMATS)
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


@pytest.mark.parametrize("rate", writing.MP3_RATES)
def test_mp3_holds_the_rates_it_is_said_to_hold(tmp_path: Path, rate: int):
    write(tmp_path / "clip.mp3", tones(rate // 2, 400, rate=rate), rate)
    assert strongest(decoded(tmp_path / "clip.mp3", rate)[:, 0], rate) == pytest.approx(400, abs=2)


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path: Path):
    with pytest.raises(DataError, match="'aac'; one of wav, flac, ogg, mp3"):
        write(tmp_path / "clip.aac", np.zeros((1, 10)), RATE)


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
def test_a_name_that_is_not_text_is_read(tmp_path: Path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav"))
    path.write_bytes(wav_bytes([], bytes(200)))
    assert len(decoded(path)) == 100


# Files that players play


def encoded(sound: np.ndarray, form: str, subtype: str = "PCM_16", **options: Any) -> bytearray:
    """Returns the bytes of a sound file; sound: (frames,) or (frames, channels)."""
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, RATE, format=form, subtype=subtype, **options)
    return bytearray(buffer.getvalue())


def opened(content: bytes | bytearray, *, strict: bool = False) -> tuple[np.ndarray, list[str]]:
    """Returns all frames and the remarks of a file with this content."""
    with open_sound(io.BytesIO(content), strict=strict) as sound:
        frames = np.concatenate(list(sound.blocks))
        assert sound.frames in (None, len(frames)) or sound.remarks
        return frames, sound.remarks


def assert_mended(content: bytes | bytearray, expected: np.ndarray, remark: str) -> None:
    """Asserts that a file gives (frames,) with one remark, and nothing where nothing may be mended."""
    frames, remarks = opened(content)
    assert np.array_equal(frames[:, 0], expected)
    assert len(remarks) == 1 and re.search(remark, remarks[0])
    with pytest.raises(DataError, match="is not a faultless file: "):
        opened(content, strict=True)


STEPS = (np.arange(8000) % 20011 - 4000).astype("<i2")  # no two neighbours are equal
SHARES = STEPS / np.float32(32768)
NO_LENGTH = "^its header does not say how long it is"


def test_a_path_and_a_file_object_give_the_same(tmp_path: Path):
    path = tmp_path / "two.wav"
    soundfile.write(path, tones(30000, 300, 500).T, 22050)
    with path.open("rb") as file, open_sound(file) as second, open_sound(path, strict=True) as first:
        assert (first.sample_rate, first.channels, first.frames) == (22050, 2, 30000)
        assert np.array_equal(np.concatenate(list(first.blocks)), np.concatenate(list(second.blocks)))
        assert first.remarks == second.remarks == []


def test_a_file_object_stays_open():
    file = io.BytesIO(encoded(STEPS, "WAV"))
    with open_sound(file):
        pass
    assert not file.closed


@pytest.mark.parametrize("more", [44, 4096, len(STEPS) * 2])
def test_a_wav_whose_header_promises_a_little_or_twice_too_much_is_mended(more: int):
    seconds = (16000 + more) / 32000
    remark = rf"^its header promises {seconds:.3f} s and 0\.500 s are there, which are read$"
    assert_mended(wav_bytes([], STEPS.tobytes(), 16000 + more), SHARES, remark)


@pytest.mark.parametrize("more", [4098, 15998, 16002, 48000])
def test_a_wav_whose_header_promises_far_more_is_truncated(more: int):
    with pytest.raises(
        DataError, match=f"is truncated: its header promises {16044 + more} bytes and the file has 16044"
    ):
        opened(wav_bytes([], STEPS.tobytes(), 16000 + more))


def test_of_a_short_file_half_must_be_there():
    assert_mended(wav_bytes([], STEPS[:100].tobytes(), 244), SHARES[:100], r"0\.008 s and 0\.006 s")
    with pytest.raises(DataError, match="is truncated"):
        opened(wav_bytes([], STEPS[:100].tobytes(), 402))


@pytest.mark.parametrize("promised", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_that_knows_no_length_is_read_to_its_end(promised: int):
    assert_mended(wav_bytes([], STEPS.tobytes(), promised), SHARES, NO_LENGTH)


def test_a_wav_of_no_sound_and_a_tag_is_empty():
    with pytest.raises(DataError, match="is empty"):
        opened(wav_bytes([], b"LIST" + struct.pack("<I", 4) + b"INFO", 0))


def test_an_odd_chunk_without_the_byte_that_fills_it_up_is_passed():
    whole = wav_bytes([(b"note", b"hello")], STEPS.tobytes())
    at = whole.index(b"hello") + 5
    assert np.array_equal(opened(whole, strict=True)[0][:, 0], SHARES)
    assert_mended(whole[:at] + whole[at + 1 :], SHARES, "chunk of odd length")


def test_a_large_chunk_before_the_sound_is_passed():
    frames, remarks = opened(wav_bytes([(b"LIST", bytes(393164))], STEPS.tobytes()), strict=True)
    assert np.array_equal(frames[:, 0], SHARES) and remarks == []


def test_sound_behind_the_promised_end_is_told():
    frames, remarks = opened(wav_bytes([], STEPS.tobytes(), 4000))
    assert len(frames) == 2000
    assert remarks == ["12,000 bytes lie after the sound that its header promises and are left out"]


@pytest.mark.parametrize("form", ["WAV", "RF64", "AIFF", "W64", "CAF", "AU", "FLAC"])
@pytest.mark.parametrize("frames", [333, 8000, 300_000])
def test_of_joined_files_the_first_is_read_and_the_rest_is_told(form: str, frames: int):
    """300,000 frames are two blocks, of which the second would not be full."""
    steps = np.resize(STEPS, frames)
    content = bytes(encoded(steps, form))
    for other in (content, content[:1000]):
        sound, remarks = opened(content + other)
        assert np.array_equal(sound[:, 0] * 32768, steps)
        (told,) = [int(re.findall("^[0-9,]+", remark)[0].replace(",", "")) for remark in remarks]
        assert "bytes lie after its sound, where another file begins, and are left out" in remarks[0]
        assert 0 <= told - len(other) < 8, "a file may be filled up to a multiple of 8 bytes"


def test_the_start_of_a_flac_in_the_descriptions_of_another_ends_nothing():
    content = bytes(encoded(STEPS, "FLAC"))
    own = b"test" + content[:200]  # of a program that is called test
    described = content[:42] + b"\x02" + len(own).to_bytes(3, "big") + own + content[42:]
    assert np.array_equal(opened(described, strict=True)[0][:, 0], SHARES)


LONG = {  # container: position of the length's field, form of an unknown length, from a file of 16 bits in mono
    "RF64": (b"ds64", 16, bytes(8)),
    "W64": (b"data\xf3\xac", 16, bytes(8)),
    "AU": (b".snd", 8, b"\xff" * 4),
    "CAF": (b"data", 4, b"\xff" * 8),
    "AIFF": (b"SSND", 4, bytes(4)),
}


@pytest.mark.parametrize("form", LONG)
def test_a_length_that_is_left_open_is_read_to_the_end(form: str):
    content = encoded(STEPS, form)
    mark, offset, unknown = LONG[form]
    at = content.index(mark) + offset
    content[at : at + len(unknown)] = unknown
    assert_mended(content, SHARES, NO_LENGTH)


@pytest.mark.parametrize("form", LONG)
def test_a_mended_header_is_that_of_the_whole_file(form: str):
    whole = encoded(STEPS, form)
    content = bytearray(whole)
    mark, offset, unknown = LONG[form]
    at = content.index(mark) + offset
    content[at : at + len(unknown)] = unknown
    assert headers.layout(io.BytesIO(content)).streams[0].read() == whole


CUT = [(form, "FILE") for form in [*LONG, "NIST", "VOC", "WAVEX", "SVX", "AVR", "MPC2K"]]


@pytest.mark.parametrize(
    ("form", "endian"), [*CUT, ("AU", "LITTLE"), ("CAF", "LITTLE"), ("AIFF", "LITTLE"), ("WAV", "BIG")]
)
def test_the_long_formats_are_refused_where_they_are_cut(form: str, endian: str):
    content = encoded(STEPS, form, endian=endian)
    assert np.array_equal(opened(content, strict=True)[0][:, 0], SHARES)
    for share in (0.3, 0.7):
        with pytest.raises(
            DataError, match=f"is truncated: .* the file has {int(share * len(content))}; copy it again"
        ):
            opened(content[: int(share * len(content))])
    frames, remarks = opened(content[:-100])
    assert len(frames) == len(STEPS) - 50 and "0.500 s and 0.497 s are there" in remarks[0]


NO_LENGTH_FIELD = ("IRCAM", "PAF", "PVF", "XI")  # libsndfile writes no length into XI
UNLISTED = ("RAW", "SD2", "MAT4", "MAT5")  # formats of which no file is taken for sound


def test_every_container_says_that_it_is_cut_off_and_nothing_of_a_whole_one():
    sound = np.random.default_rng(3).uniform(-0.3, 0.3, 30000)
    tried = 0
    for form in sorted(soundfile.available_formats().keys() - set(UNLISTED)):
        for subtype in soundfile.available_subtypes(form):
            for channels in (1, 2):
                try:
                    content = encoded(np.stack([sound] * channels, 1), form, subtype)
                except soundfile.LibsndfileError:
                    continue  # the format holds one channel only, or not at this rate
                tried += 1
                frames, remarks = opened(content)
                assert len(frames) >= len(sound)
                assert all(re.search(NO_LENGTH, remark) for remark in remarks), (form, subtype, remarks)
                assert bool(remarks) == (form in NO_LENGTH_FIELD), (form, subtype, remarks)
                for share in (0.5, 0.7):
                    try:
                        _, remarks = opened(content[: int(share * len(content))])
                    except DataError as error:
                        remarks = [str(error)]
                    assert remarks, (form, subtype, channels)
    assert tried > 120


@pytest.mark.parametrize("missing", [1, 127, 200])
def test_a_sample_dump_is_refused_if_a_packet_is_missing(missing: int):
    content = encoded(STEPS, "SDS")
    with pytest.raises(DataError, match=f"promises {len(content)} bytes and the file has {len(content) - missing}"):
        opened(content[:-missing])


def test_an_instrument_whose_header_gives_its_length_is_compared_with_it():
    content = bytearray(encoded(STEPS, "XI", "DPCM_16"))
    content[298:302] = struct.pack("<I", len(content) - 338)
    assert opened(bytes(content), strict=True)[1] == []
    with pytest.raises(DataError, match="is truncated"):
        opened(bytes(content[:9000]))


def test_wave_files_by_their_other_name_for_64_bits_are_read():
    content = encoded(STEPS, "RF64")
    content[:4] = b"BW64"
    assert np.array_equal(opened(content, strict=True)[0][:, 0], SHARES)


def test_a_flac_of_unknown_length_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch):
    content = encoded(STEPS, "FLAC")
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    assert_mended(content, SHARES, NO_LENGTH)
    monkeypatch.setattr(files, "BLOCK_FRAMES", 1000)
    assert_mended(content, SHARES, NO_LENGTH)
    with pytest.raises(DataError, match="cannot be decoded"):
        opened(content[: len(content) // 2])


# Ogg


def with_serial(content: bytes | bytearray, serial: int) -> bytes:
    """Returns an Ogg file with another serial number and its checksums: parts of a chain must not share one."""
    pages, at = bytearray(content), 0
    while at < len(pages):
        size = 27 + pages[at + 26] + sum(pages[at + 27 : at + 27 + pages[at + 26]])
        pages[at + 14 : at + 18], pages[at + 22 : at + 26] = struct.pack("<I", serial), bytes(4)
        checksum = 0
        for byte in pages[at : at + size]:
            checksum ^= byte << 24
            for _ in range(8):
                checksum = (checksum << 1 ^ (0x04C11DB7 if checksum & 1 << 31 else 0)) & 0xFFFFFFFF
        pages[at + 22 : at + 26] = struct.pack("<I", checksum)
        at += size
    return bytes(pages)


def test_every_part_of_an_ogg_chain_is_read():
    chain = b"".join(
        with_serial(encoded(tones(RATE, pitch)[0], "OGG", "VORBIS"), number)
        for number, pitch in enumerate((300, 500, 900))
    )
    frames, remarks = opened(chain, strict=True)
    assert len(frames) == 3 * RATE and remarks == []
    assert [strongest(part) for part in frames.reshape(3, -1)] == [300, 500, 900]


def test_parts_of_another_form_become_as_the_first():
    other = io.BytesIO()
    soundfile.write(other, tones(8000, 500, 500, rate=8000).T, 8000, format="OGG", subtype="VORBIS")
    frames, remarks = opened(encoded(tones(RATE, 300)[0], "OGG", "VORBIS") + with_serial(other.getvalue(), 5))
    assert frames.shape == (2 * RATE, 1)
    assert [strongest(part) for part in frames.reshape(2, -1)] == [300, 500]
    assert remarks == ["a part of it has 8,000 Hz and 2 channels, and is converted to the first's 16,000 Hz and 1"]


def test_an_ogg_without_its_end_is_told():
    content = encoded(np.random.default_rng(0).uniform(-0.5, 0.5, 3 * RATE), "OGG", "VORBIS")
    frames, remarks = opened(content[: len(content) * 2 // 3])
    assert RATE < len(frames) < 3 * RATE and remarks == ["it ends before its last page, so its end may be lost"]
    frames, remarks = opened(content[: content.rindex(b"OggS")])  # whole pages, as encoders that set no mark write
    assert RATE < len(frames) < 3 * RATE
    assert remarks == ["its last page has no end mark: some encoders write none, or its end is lost"]


# MP3


def loud_then_silent(**options: Any) -> bytes:
    """Returns an MP3 of a second of noise and five of silence: the bit rate of its start is not that of the rest."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, RATE)
    sound = np.concatenate([noise, np.zeros(5 * RATE)])
    return bytes(encoded(sound, "MP3", "MPEG_LAYER_III", bitrate_mode="VARIABLE", compression_level=0.1))


def test_an_mp3_without_a_count_of_its_frames_is_read_to_its_end():
    content = loud_then_silent()
    bare = content[content.index(content[:4], 4) :]  # without the first frame, which holds the count
    assert b"Xing" in content[:48] and b"Xing" not in bare[:48]
    frames, remarks = opened(bare, strict=True)
    assert 6 * RATE <= len(frames) < 6 * RATE + 2400 and remarks == []


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_an_mp3_in_a_wav_is_read_as_in_a_file_of_its_own(mode: str):
    """ffmpeg counts 1,105 frames that no decoder returns; libsndfile expects the first bit rate in all of a WAV."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, RATE)
    whole = bytes(encoded(np.append(noise, np.zeros(3 * RATE)), "MP3", "MPEG_LAYER_III", bitrate_mode=mode))
    sound = bytes(whole[mpeg.frame_length(whole[:4]) :])  # without the first frame, which holds the count
    expected, _ = opened(sound, strict=True)
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 1, RATE, 4000, 576, 0, 12, 1, 2, 576, 1, 1393)
    head = (b"fmt ", form), (b"fact", struct.pack("<I", len(expected) + 1105))
    chunks = (*head, (b"data", sound + bytes(len(sound) % 2)), (b"LIST", b"INFO"))
    body = b"WAVE" + b"".join(name + struct.pack("<I", len(chunk)) + chunk for name, chunk in chunks)
    content = b"RIFF" + struct.pack("<I", len(body)) + body
    assert len(expected) > 4 * RATE and np.array_equal(opened(content, strict=True)[0], expected)
    with pytest.raises(DataError, match="is truncated"):
        opened(content[: len(content) // 2])
    without_list = content[: content.index(b"LIST")]
    frames, remarks = opened(without_list + content)
    assert np.array_equal(frames, expected)
    assert remarks == [f"{len(content):,} bytes lie after its sound, where another file begins, and are left out"]


def test_two_mp3s_one_behind_the_other_are_read_both():
    content = loud_then_silent()
    frames, remarks = opened(content + content)
    assert 12 * RATE <= len(frames) < 12 * RATE + 4800
    assert np.abs(frames[6 * RATE : 7 * RATE]).max() > 0.2
    assert remarks == ["its header counts only a part of its frames; all are read"]


@pytest.mark.parametrize("tag", [0, 900_000])
@pytest.mark.parametrize("zeros", [0, 400, 100_000])
def test_an_mp3_behind_a_large_tag_or_zeros_is_read(tag: int, zeros: int):
    plain = bytes(encoded(tones(RATE, 440)[0], "MP3", "MPEG_LAYER_III"))
    size = bytes((tag >> shift) & 127 for shift in (21, 14, 7, 0))
    head = b"ID3\x03\x00\x00" + size + bytes(tag) if tag else b""
    frames, remarks = opened(head + bytes(zeros) + plain)
    assert np.array_equal(frames, opened(plain, strict=True)[0])
    assert remarks == ([f"{zeros:,} zero bytes stand before its first frame and are left out"] if zeros else [])


@pytest.mark.parametrize("tag", [6_000, 70_000])
@pytest.mark.parametrize(
    ("form", "subtype"),
    [*((form, "PCM_16") for form in ("WAV", "AIFF", "W64", "CAF", "FLAC")), ("OGG", "VORBIS")],
)
def test_a_tag_of_an_mp3_before_another_sound_takes_nothing_of_its_end(form: str, subtype: str, tag: int):
    plain = bytes(encoded(tones(RATE, 440)[0], form, subtype))
    tagged = b"ID3\x03\x00\x00" + bytes((tag >> shift) & 127 for shift in (21, 14, 7, 0)) + bytes(tag) + plain
    assert np.array_equal(opened(tagged, strict=True)[0], opened(plain, strict=True)[0])
    if form in ("WAV", "AIFF"):
        with pytest.raises(DataError, match="truncated"):
            opened(tagged[: -len(plain) * 2 // 3])


def test_an_ogg_with_a_damaged_page_says_what_is_lost():
    content = encoded(np.random.default_rng(0).uniform(-0.5, 0.5, (4 * RATE, 1)), "OGG", "VORBIS")
    frames, remarks = opened(content)
    assert len(frames) == 4 * RATE and not remarks
    content[len(content) // 2] ^= 255
    frames, (remark,) = opened(content)
    assert len(frames) < 4 * RATE and remark == (
        f"its header promises 4.000 s and {len(frames) / RATE:.3f} s are there, which are read"
    )


def test_an_mp3_that_lacks_its_end_says_how_much():
    content = loud_then_silent()
    assert re.search(r"promises 6\.000 s and 0\.9\d+ s are there", opened(content[: len(content) // 2])[1][0])


def test_what_macos_leaves_beside_an_mp3_does_not_hide_it(tmp_path: Path):
    """libsndfile takes ._a.mp3 for a part of a.mp3, and the sound for Sound Designer II, if it gets the path."""
    write(tmp_path / "a.mp3", tones(RATE, 440), RATE)
    (tmp_path / "._a.mp3").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(200))
    assert len(decoded(tmp_path / "a.mp3")) == RATE


# Floats and rates


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize(("peak", "bits"), [(100, 8), (20000, 16), (32768, 16), (2**20, 24), (2**31, 32)])
def test_floats_on_the_scale_of_integers_are_divided(subtype: str, peak: float, bits: int):
    content = encoded(tones(RATE, 440, level=1)[0] * peak, "WAV", subtype)
    frames, remarks = opened(content)
    assert np.abs(frames[:, 0] - tones(RATE, 440, level=1)[0] * peak / 2 ** (bits - 1)).max() < 1e-5
    assert len(remarks) == 1 and f"divided by the {2 ** (bits - 1):,} of {bits} bits" in remarks[0]
    with pytest.raises(DataError, match="is not a faultless file: its floats reach"):
        opened(content, strict=True)


def test_a_loud_mix_of_floats_is_left_alone_and_a_senseless_peak_is_refused():
    mix = tones(RATE, 440, level=7.9)[0]
    assert np.array_equal(opened(encoded(mix, "WAV", "FLOAT"), strict=True)[0][:, 0], mix)
    with pytest.raises(DataError, match=r"has a peak of 1e\+15.*export it again"):
        opened(encoded(tones(RATE, 4000, level=1e15)[0], "WAV", "FLOAT"))


@pytest.mark.parametrize("rate", [1, 999, 768001, 2_000_000_000])
def test_a_rate_that_no_recorder_has_is_refused(rate: int):
    content = bytearray(wav_bytes([], STEPS.tobytes()))
    content[24:28] = struct.pack("<I", rate)
    with pytest.raises(DataError, match=f"claims a sample rate of {rate:,} Hz, and 1,000 to 768,000 are possible"):
        opened(content)


# Words


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "^is empty: it has 0 bytes$"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 72862\n", "git-lfs .* run: git lfs pull$"),
        (b"/annex/objects/SHA256E-s1--00.wav\n", "run: git annex get$"),
        (b"<!DOCTYPE html><title>404", "^is a web page, not sound; download it again$"),
        (bytes(100_000), "^holds nothing but zero bytes"),
        (b"\0\0\0\x20ftypM4A " + bytes(50), r"^is MPEG-4 \(m4a, mp4\), which needs another decoder; convert it to WAV"),
        (b"OggS" + bytes(24) + b"\x7fFLAC" + bytes(50), "^is FLAC in Ogg, which needs another decoder"),
        (b"Dear diary, " * 50, r"^cannot be decoded \(Format not recognised\); it is damaged or no sound; if another"),
    ],
)
def test_what_is_no_sound_is_called_by_its_name(content: bytes, reason: str):
    with pytest.raises(DataError, match=reason) as refusal:
        opened(content)
    assert not isinstance(refusal.value, TemporaryError)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOSPC, errno.ETIMEDOUT])
def test_a_failure_that_may_pass_is_told_apart_in_the_systems_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    def fail(*_: Any, **__: Any):
        raise OSError(number, os.strerror(number))

    write(tmp_path / "a.wav", tones(100, 440), RATE)
    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(TemporaryError, match=re.escape(f"cannot be read ({os.strerror(number)})")):
        decoded(tmp_path / "a.wav")


@pytest.mark.parametrize("good_reads", range(2, 40, 4))
@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_a_disk_that_fails_in_the_middle_is_no_end_of_the_file(form: str, good_reads: int):
    class Failing(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.reads += 1
            if self.reads > good_reads:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(size)

    noise = np.random.default_rng(0).uniform(-1, 1, 200_000)
    failing = Failing(encoded(noise, form))
    with pytest.raises(TemporaryError, match=r"read \(Input/output error\)"), open_sound(failing) as sound:
        list(sound.blocks)


def test_errors_of_the_caller_stay_as_they_are(tmp_path: Path):
    write(tmp_path / "a.wav", tones(100, 440), RATE)
    with pytest.raises(OSError, match="my own"), open_sound(tmp_path / "a.wav") as sound:
        next(sound.blocks)
        raise OSError("my own")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_or_a_folder_is_refused_without_waiting(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(DataError, match="is not a regular file"):
        decoded(tmp_path / "pipe.wav")
    with pytest.raises(DataError, match="is a folder"):
        decoded(tmp_path)


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
