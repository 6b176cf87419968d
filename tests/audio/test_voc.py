"""Tests Creative Voice Files of several blocks, by blocks that are written by hand, as ffmpeg writes them."""

import io
import struct

import numpy as np
import pytest

from wavegan.audio import voc
from wavegan.audio.files import open_sound
from wavegan.errors import DataError

RATE = 16000
STEPS = np.random.default_rng(0).integers(-20000, 20000, 6000).astype("<i2")
LAST = b"\0"
SILENCE = b"\x03" + (3).to_bytes(3, "little") + b"\xff\x00\xc1"
TEXT = b"\x05" + (6).to_bytes(3, "little") + b"snare\0"


def block(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "little") + body


def first(sound: bytes, rate: int = RATE, bits: int = 16, channels: int = 1, codec: int = 4) -> bytes:
    """Returns a block of sound that tells its form."""
    return block(9, struct.pack("<IBBH4x", rate, bits, channels, codec) + sound)


def more(sound: bytes) -> bytes:
    return block(2, sound)


def file_of(*blocks: bytes) -> bytes:
    return b"Creative Voice File\x1a" + struct.pack("<HHH", 26, 0x0114, 0x111F) + b"".join(blocks)


def opened(content: bytes, *, strict: bool = True) -> tuple[np.ndarray, int, list[str]]:
    """Returns the sound, (frames, channels), its rate and the remarks."""
    with open_sound(io.BytesIO(content), strict=strict) as sound:
        return np.concatenate(list(sound.blocks)), sound.sample_rate, sound.remarks


def steps(sound: bytes) -> list[bytes]:
    """Returns three parts of a sound; a sample may begin in one and end in the next."""
    return [sound[:4097], sound[4097:8193], sound[8193:]]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("between", [b"", TEXT])
def test_blocks_become_one_sound(channels: int, between: bytes):
    begin, *rest = steps(STEPS.tobytes())
    blocks = first(begin, channels=channels), *(between + more(part) for part in rest)
    frames, rate, _ = opened(file_of(*blocks, LAST))
    assert rate == RATE and np.array_equal(frames.ravel() * 32768, STEPS)
    assert frames.shape == (6000 // channels, channels)


def test_a_text_behind_the_sound_is_none():
    frames, _, _ = opened(file_of(first(STEPS.tobytes()), TEXT, LAST))
    assert np.array_equal(frames[:, 0] * 32768, STEPS)


@pytest.mark.parametrize(
    ("form", "rate", "channels"),
    [
        (b"", 1_000_000 // 62, 1),
        (block(8, struct.pack("<HBB", 65536 - 16000, 0, 0)), RATE, 1),
        (block(8, struct.pack("<HBB", 65536 - 8000, 0, 1)), RATE, 2),
    ],
)
def test_old_blocks_of_8_bits_tell_their_rate_in_two_ways(form: bytes, rate: int, channels: int):
    sound = np.arange(256, dtype=np.uint8).repeat(4)
    blocks = form + block(1, b"\xc2\0" + sound[:500].tobytes()), more(sound[500:].tobytes())
    frames, own_rate, _ = opened(file_of(*blocks, LAST))
    assert own_rate == rate and frames.shape == (1024 // channels, channels)
    assert np.array_equal(frames.ravel() * 128 + 128, sound)


@pytest.mark.parametrize(("codec", "loudest"), [(6, 0xAA), (7, 0x80)])
def test_logarithmic_samples_are_read(codec: int, loudest: int):
    sound = bytes([loudest]) * 1000
    frames, _, _ = opened(file_of(first(sound, bits=8, codec=codec), more(sound), LAST))
    assert len(frames) == 2000 and (frames > 0.98).all()


def test_what_is_left_out_is_told():
    begin, *rest = steps(STEPS.tobytes())
    frames, _, remarks = opened(file_of(first(begin), SILENCE, *map(more, rest), LAST), strict=False)
    assert np.array_equal(frames[:, 0] * 32768, STEPS)
    assert remarks == ["silence that it describes between its blocks is left out"]


def test_what_lies_behind_the_last_block_is_told():
    content = file_of(first(STEPS[:3000].tobytes()), more(STEPS[3000:].tobytes()), LAST)
    assert not opened(content + bytes(15))[2]
    frames, _, remarks = opened(content + content, strict=False)
    assert np.array_equal(frames[:, 0] * 32768, STEPS)
    assert remarks == [f"{len(content):,} bytes lie after its last block and are left out"]


@pytest.mark.parametrize("cut", [1, 3001, 7000])
def test_a_file_without_its_last_block_is_read_with_a_remark(cut: int):
    """No field tells how long all blocks are."""
    content = file_of(
        first(STEPS[:1000].tobytes()), more(STEPS[1000:4000].tobytes()), more(STEPS[4000:].tobytes()), LAST
    )
    frames, _, remarks = opened(content[:-cut], strict=False)
    assert np.array_equal(frames[:, 0] * 32768, STEPS[: len(frames)]) and len(frames) >= 6000 - cut / 2
    assert remarks == ["it ends before its last block, so its end may be lost"]


@pytest.mark.parametrize(
    "other", [first(b"", rate=8000), first(b"", channels=2), first(b"", bits=8, codec=0), block(1, b"\xc2\0")]
)
def test_blocks_that_differ_are_refused_with_a_remedy(other: bytes):
    with pytest.raises(DataError, match="holds blocks of several rates or forms; convert it to WAV or FLAC"):
        opened(file_of(first(STEPS.tobytes()), other, LAST))


def test_compressed_blocks_are_refused():
    with pytest.raises(DataError, match="cannot be decoded"):
        opened(file_of(block(1, b"\xc2\1" + bytes(1000)), more(bytes(1000)), LAST))


def test_endless_blocks_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(voc, "MOST_BLOCKS", 5)
    assert len(opened(file_of(first(b"\0\1"), *[more(b"\0\1")] * 4, LAST))[0]) == 5
    with pytest.raises(DataError, match="has more than 5 blocks; convert it"):
        opened(file_of(first(b"\0\1"), *[more(b"\0\1")] * 5, LAST))
