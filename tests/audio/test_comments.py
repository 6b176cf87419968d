"""Tests that the comment of a sound file is read as it was written, and changes no sample, in every format."""

import json
import struct

import numpy as np
import pytest
import soundfile

from wavegan.audio import comments, files, writing
from wavegan.errors import DataError

RATE = 16000


def noise() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (1, 2000)).astype(np.float32)


def text(length: int) -> str:
    return json.dumps({"wavegan": "0.1.0", "latent": "kick:é," * (length // 12)})


@pytest.mark.parametrize("length", [0, 500, 2100, 20_000])  # libsndfile reads none of 2,048 bytes or more from a WAV
@pytest.mark.parametrize("extension", writing.FORMATS)
def test_a_comment_survives_and_leaves_the_samples_as_they_are(tmp_path, extension, length):
    with_comment, plain = tmp_path / f"a.{extension}", tmp_path / f"b.{extension}"
    writing.write(with_comment, noise(), RATE, text(length))
    writing.write(plain, noise(), RATE)
    assert comments.read(with_comment) == text(length) and comments.read(plain) == ""
    np.testing.assert_array_equal(soundfile.read(with_comment)[0], soundfile.read(plain)[0])
    told, untold = (np.concatenate(list(files.decode(path, RATE, 1))) for path in (with_comment, plain))
    np.testing.assert_array_equal(told, untold)
    if 0 < length < 2000 or extension != "wav":
        with soundfile.SoundFile(with_comment) as sound:
            assert sound.comment.rstrip("\0") == text(length), "other programs read it too"


def test_a_comment_is_read_wherever_it_stands_in_a_wav(tmp_path):
    writing.write(tmp_path / "plain.wav", noise(), RATE)
    content = (tmp_path / "plain.wav").read_bytes()
    lists = [b"LIST" + struct.pack("<I", 4) + b"adtl", b"LIST" + struct.pack("<I", 4 + 12 + 14) + b"INFO"]
    lists[1] += b"ISFT" + struct.pack("<I", 3) + b"me\0\0" + b"ICMT" + struct.pack("<I", 5) + b"mine\0\0"
    (tmp_path / "after.wav").write_bytes(content + b"".join(lists))
    assert comments.read(tmp_path / "after.wav") == "mine"


@pytest.mark.parametrize("content", [b"", b"RIFF", b"words" * 20])
def test_what_is_no_sound_has_no_comment_or_is_refused(tmp_path, content):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    if content == b"RIFF":
        assert comments.read(path) == ""
    else:
        with pytest.raises(DataError, match="cannot be read as sound"):
            comments.read(path)
    with pytest.raises(DataError, match=r"none.wav cannot be read \(No such file"):
        comments.read(tmp_path / "none.wav")
