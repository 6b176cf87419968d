"""Files whose headers claim much are read or refused in little memory: no number of an input multiplies it."""

import io
import json
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable

import numpy as np
import pytest
import soundfile

MOST = 300 << 20  # bytes of memory beside the interpreter and its libraries
READER = """
import json, resource, sys
from pathlib import Path
from wavegan.audio import files, listing, metadata, shards, sources
from wavegan.errors import DataError
pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + int(sys.argv[1]),) * 2)
folder, told = Path(sys.argv[2]), {}
for path in sorted(folder.iterdir()):
    try:
        if path.suffix == ".tar":
            told[path.name] = len(shards.list_shards(str(path)).items)
        elif path.is_dir():
            told[path.name] = len(metadata.describe(path, listing.list_sound(path)).files)
        else:
            told[path.name] = [sum(map(len, files.decode(path, rate, 1))) for rate in (16000, 192000)][0]
    except DataError as error:
        told[path.name] = str(error)
print(json.dumps(told))
"""


def riff(channels: int, rate: int, claimed: int, sound: bytes) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2 % 2**32, channels * 2 % 2**16, 16)
    size = struct.pack("<I", min(2**32 - 1, claimed + 36))
    return b"RIFF" + size + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", claimed) + sound


def aiff(channels: int, frames: int, sound: bytes) -> bytes:
    common = struct.pack(">hIh", channels, frames, 16) + bytes.fromhex("400efa00000000000000")  # 64,000 Hz
    body = b"AIFFCOMM" + struct.pack(">I", 18) + common + b"SSND" + struct.pack(">III", len(sound) + 8, 0, 0) + sound
    return b"FORM" + struct.pack(">I", len(body)) + body


def caf(rate: float, packet_bytes: int, frames: int, channels: int, length: int, sound: bytes) -> bytes:
    form = struct.pack(">d4sIIIII", rate, b"lpcm", 0, packet_bytes, frames, channels, 16)
    chunks = b"desc" + struct.pack(">q", 32) + form + b"data" + struct.pack(">qI", length, 0)
    return b"caff" + struct.pack(">HH", 1, 0) + chunks + sound


def flac(frames: int) -> bytes:
    memory = io.BytesIO()
    soundfile.write(memory, np.zeros(1000), 16000, format="FLAC")
    data = bytearray(memory.getvalue())
    data[21:26] = (int.from_bytes(data[21:26], "big") & ~(2**36 - 1) | frames).to_bytes(5, "big")
    return bytes(data)


def tar(kind: bytes, size: int) -> bytes:
    """Returns a tar whose only member, of a kind of tarfile's, claims a size that is not there."""
    member = tarfile.TarInfo("a.wav")
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT) + bytes(10_240)


NOISE = np.random.default_rng(0).integers(-1000, 1000, 400_000).astype("<i2").tobytes()
FILES: dict[str, Callable[[], bytes]] = {
    "1-hz.wav": lambda: riff(1, 1, len(NOISE), NOISE),
    "1000-hz.wav": lambda: riff(1, 1000, len(NOISE), NOISE),
    "1024-channels.wav": lambda: riff(1024, 1000, 40 * len(NOISE), 40 * NOISE),
    "65535-channels.wav": lambda: riff(65535, 48000, len(NOISE), NOISE),
    "4-gigabytes.wav": lambda: riff(2, 48000, 0x7FFFEFFF, NOISE),
    "no-channels.wav": lambda: riff(0, 48000, len(NOISE), NOISE),
    "many-frames.aiff": lambda: aiff(2, 2**32 - 1, NOISE),
    "many-channels.aiff": lambda: aiff(32767, 2**32 - 1, NOISE),
    "long.caf": lambda: caf(48000, 4, 1, 2, 2**62, NOISE),
    "wide.caf": lambda: caf(1e300, 2**32 - 1, 2**32 - 1, 2**32 - 1, -1, NOISE),
    "long.au": lambda: struct.pack(">4sIIIII", b".snd", 2**32 - 16, 2**32 - 2, 3, 16000, 1024) + NOISE,
    "long.flac": lambda: flac(2**36 - 1),
    "member.tar": lambda: tar(tarfile.REGTYPE, 1 << 43),
    "long-name.tar": lambda: tar(tarfile.GNUTYPE_LONGNAME, 1 << 40),
    "headers.tar": lambda: tar(tarfile.XHDTYPE, 1 << 40),
    "sparse.tar": lambda: tar(tarfile.GNUTYPE_SPARSE, 1 << 43),
}
READABLE = {"1000-hz.wav", "1024-channels.wav"}


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict[str, int | str]:
    """Returns by file how many frames or items it holds, or why it is refused, told by a process of little memory."""
    folder = tmp_path_factory.mktemp("claims")
    for name, content in FILES.items():
        (folder / name).write_bytes(content())
    for name in ("columns", "keys"):
        (folder / name).mkdir()
        soundfile.write(folder / name / "a.wav", np.zeros(100), 16000)
    names = ",".join(f"c{number}" for number in range(300_000))
    (folder / "columns" / "metadata.csv").write_text(f"file_name,{names}\na.wav{',1' * 300_000}\n")
    rows = [json.dumps({"file_name": "a.wav", f"key {number}": 1}) for number in range(12_000)]
    (folder / "keys" / "metadata.jsonl").write_text("\n".join(rows))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READER, str(MOST), str(folder)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", FILES)
def test_what_a_header_claims_is_refused_or_read(told, name):
    if name in READABLE:
        assert isinstance(told[name], int) and told[name] > 100_000
    else:
        assert isinstance(told[name], str) or told[name] <= len(NOISE), told[name]


def test_a_list_may_have_many_columns_but_not_many_for_each_row(told):
    assert told["columns"] == 1
    assert "different keys" in told["keys"]
