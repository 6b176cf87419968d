"""Lists and reads tar shards made in the test: as WebDataset writes them, plain, hostile and damaged."""

import gc
import gzip
import io
import json
import os
import tarfile

import numpy as np
import pytest
import soundfile

from wavegan.audio.corpus import load_corpus
from wavegan.audio.files import open_sound
from wavegan.audio.shards import expanded, is_shards, list_shards
from wavegan.audio.tar_reader import Tar, members
from wavegan.errors import DataError


def sound(number: int = 0, *, kind: str = "WAV", frames: int = 800) -> bytes:
    """Returns a tone whose pitch is the number's own."""
    buffer = io.BytesIO()
    soundfile.write(buffer, 0.5 * np.sin(np.arange(frames) * 0.02 * (number + 1)), 16_000, format=kind)
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, target
    return header


def shard(path, members, *, form: int = tarfile.PAX_FORMAT):
    """Writes a tar of (name or header, content) and returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in members:
            header = tarfile.TarInfo(name) if isinstance(name, str) else name
            content = content.encode() if isinstance(content, str) else content
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return path


def samples(count: int, ending: str = "cls", text=lambda number: str(number % 2)):
    return [
        (f"{number:04d}.{kind}", content)
        for number in range(count)
        for kind, content in (("wav", sound(number)), (ending, text(number)))
    ]


def labels_of(source, **settings):
    return [item.label for item in list_shards(str(source), **settings).items]


def heard(item) -> np.ndarray:
    with item.open(16_000, 1) as opened:
        return np.concatenate(list(opened.blocks))


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_sound_is_read_at_its_place_as_from_a_file_of_its_own(tmp_path, form):
    contents = [(f"{'long/' * 10}{number}.{kind.lower()}", sound(number, kind=kind, frames=5000 + number))
                for number, kind in enumerate(("WAV", "FLAC", "OGG", "MP3", "AIFF"))]  # fmt: skip
    source = list_shards(str(shard(tmp_path / "a.tar", contents, form=form)))
    assert [item.name for item in source.items] == [f"a/{name}" for name, _ in contents]
    for item, (name, content) in zip(source.items, contents, strict=True):
        path = tmp_path / name.rpartition("/")[2]
        path.write_bytes(content)
        with open_sound(path) as alone:
            expected = np.concatenate(list(alone.blocks))
        assert len(expected) >= 5000 and np.array_equal(heard(item), expected)


def test_a_member_is_a_file_of_its_own_with_both_ends(tmp_path):
    path = shard(tmp_path / "a.tar", [("a.bin", b"before"), ("b.bin", b"0123456789"), ("c.bin", b"after")])
    with tarfile.open(path) as tar:
        offset = tar.getmember("b.bin").offset_data
    with Tar.snapshot(path).open(offset, 10) as part:
        assert part.read() == b"0123456789" and part.read(1) == b""
        assert (part.seek(-3, os.SEEK_END), part.read(9), part.tell()) == (7, b"789", 10)
        assert (part.seek(2), part.seek(1, os.SEEK_CUR), part.read(2)) == (2, 3, b"34")
        assert (part.seek(50), part.read(1)) == (50, b"")


def test_shards_in_braces_keep_their_order_and_equal_names_apart(tmp_path):
    for number in (10, 2, 0, 1, 3, 4, 5, 6, 7, 8, 9):
        shard(tmp_path / f"s-{number:02d}.tar", [("kick.wav", sound(number)), ("kick.cls", f"{number}")])
    source = list_shards(str(tmp_path / "s-{00..10}.tar"))
    assert [item.name for item in source.items] == [f"s-{number:02d}/kick.wav" for number in range(11)]
    assert [item.label for item in source.items] == [str(number) for number in range(11)]
    assert all(np.array_equal(heard(item), heard(again)) for item, again in
               zip(source.items, list_shards(str(tmp_path)).items, strict=True))  # fmt: skip
    several = list_shards([str(tmp_path / "s-03.tar"), str(tmp_path / "s-{02..03}.tar")])
    assert [item.name for item in several.items] == ["s-03/kick.wav", "s-02/kick.wav"]
    assert len({item.fingerprint for item in source.items}) == 11


def test_patterns_expand_as_in_a_shell():
    assert expanded("s-{08..11}.tar") == ["s-08.tar", "s-09.tar", "s-10.tar", "s-11.tar"]
    assert expanded("{a,b}/{8..10}") == ["a/8", "a/9", "a/10", "b/8", "b/9", "b/10"]
    assert expanded("x{a,{b,c}}y") == ["xay", "xby", "xcy"]
    assert expanded("no{}braces{x}") == ["no{}braces{x}"]
    for pattern in ("s-{3..1}.tar", "s-{0..999999999}.tar"):
        with pytest.raises(DataError, match="correct the numbers"):
            expanded(pattern)


def test_missing_shards_are_named(tmp_path):
    shard(tmp_path / "s-1.tar", samples(1))
    with pytest.raises(DataError, match=r"means 3 shards; 2 of them are not there \(.*s-0.tar, .*s-2.tar\)"):
        list_shards(str(tmp_path / "s-{0..2}.tar"))
    os.mkfifo(tmp_path / "s-0.tar")  # to open it would wait for ever
    with pytest.raises(DataError, match="1 of them are not there"):
        list_shards(str(tmp_path / "s-{0..1}.tar"))


def test_shards_are_told_from_folders_of_sound(tmp_path):
    for source in ("a.tar", "s-{000..099}.tar", "x/*.tar", "a.tgz", "a.tar.gz", "A.TAR"):
        assert is_shards(source)
    for source in ("sounds", "drum_machine", "a.wav", "tar", "guitar", "s3://a/b.tar", str(tmp_path)):
        assert not is_shards(source)
    shard(tmp_path / "deep/a.tar", samples(1))
    (tmp_path / "README.md").write_text("shards")
    assert is_shards(str(tmp_path))
    source = list_shards(str(tmp_path))
    assert source.passed_over == {"are not tar files but lie beside the shards": ("README.md",)}
    (tmp_path / "a.wav").write_bytes(sound())
    assert not is_shards(str(tmp_path))


def test_labels_come_from_json_then_cls_then_the_folder(tmp_path):
    def described(number):
        return json.dumps({"label": ["Kick ", "snare"][number % 2], "word": "no", "speaker": f"s{number}"})

    path = shard(tmp_path / "a.tar", [*samples(4, "json", described), *samples(4)])
    source = list_shards(str(path))
    assert [(item.label, item.group) for item in source.items] == [
        ("Kick", "s0"), ("snare", "s1"), ("Kick", "s2"), ("snare", "s3")
    ]  # fmt: skip
    assert source.notes == ("The groups are taken from the column speaker of .json.",)
    assert labels_of(path, label_column="word") == ["no"] * 4
    with pytest.raises(DataError, match="data.label_column is wrd.*try word"):
        list_shards(str(path), label_column="wrd")
    assert labels_of(shard(tmp_path / "b.tar", samples(3))) == ["0", "1", "0"]
    assert labels_of(shard(tmp_path / "c.tar", samples(3, "CLS"))) == ["0", "1", "0"]
    folders = [(f"drums/{label}/{number}.wav", sound(number)) for label in ("kick", "snare") for number in range(2)]
    assert labels_of(shard(tmp_path / "c.tar", folders)) == ["kick", "kick", "snare", "snare"]
    assert labels_of(tmp_path / "c.tar", label_level=2) == ["drums"] * 4
    both = shard(tmp_path / "both.tar", [*folders, ("drums/kick/0.cls", "7"), ("drums/kick/1.cls", "8")])
    assert labels_of(both) == ["7", "8", None, None]
    assert labels_of(both, label_level=1) == ["kick", "kick", "snare", "snare"]
    assert labels_of(shard(tmp_path / "d.tar", [("a.wav", sound())])) == [None]


def test_texts_are_labels_only_if_few_and_short(tmp_path):
    words = ("yes", "no")
    path = shard(tmp_path / "words.tar", samples(8, "txt", lambda number: words[number % 2]))
    source = list_shards(str(path))
    assert [item.label for item in source.items] == [*words] * 4
    assert source.notes == ("The .txt members are the labels, because they are few and short: no, yes.",)
    for text in (lambda number: f"word {number // 3}", lambda number: "so long a text is no label but words"):
        source = list_shards(str(shard(tmp_path / "texts.tar", samples(8, "txt", text))))
        assert {item.label for item in source.items} == {None}
        assert len(source.notes) == 1 and "taken for texts, not labels" in source.notes[0]


def test_samples_without_a_label_are_counted(tmp_path):
    source = list_shards(str(shard(tmp_path / "a.tar", [*samples(3), ("other.wav", sound())])))
    assert [item.label for item in source.items] == ["0", "1", "0", None]
    assert source.notes == ("1 of 4 samples have no label in a .cls member.",)


def test_a_stem_ends_at_the_first_dot_of_the_name(tmp_path):
    """Sounds of one described sample share its label and stay together; others with a dot are strangers."""
    parts = [("v1.0/song.mix.wav", sound(0)), ("v1.0/song.bass.wav", sound(1)), ("v1.0/song.cls", "7")]
    plain = [("take.1.wav", sound(2)), ("take.2.wav", sound(3))]
    source = list_shards(str(shard(tmp_path / "a.tar", parts + plain)))
    assert [(item.name, item.label, item.group) for item in source.items] == [
        ("a/v1.0/song.mix.wav", "7", "a/v1.0/song"),
        ("a/v1.0/song.bass.wav", "7", "a/v1.0/song"),
        ("a/take.1.wav", None, None),
        ("a/take.2.wav", None, None),
    ]


def test_splits_come_from_json_folders_and_names_of_shards(tmp_path):
    for name in ("train-000", "train-001", "validation-000"):
        shard(tmp_path / f"named/{name}.tar", [("a.wav", sound())])
    named = list_shards(str(tmp_path / "named"))
    assert [item.split for item in named.items] == ["train", "train", "validation"]
    assert {item.label for item in named.items} == {None}
    folders = [(f"{split}/{label}/a.wav", sound()) for split in ("train", "test") for label in ("kick", "snare")]
    inside = list_shards(str(shard(tmp_path / "inside.tar", folders)))
    assert [(item.split, item.label) for item in inside.items] == [
        ("train", "kick"), ("train", "snare"), ("test", "kick"), ("test", "snare")
    ]  # fmt: skip
    texts = samples(2, "json", lambda number: json.dumps({"split": ["dev", "train"][number]}))
    told = list_shards(str(shard(tmp_path / "told.tar", texts)))
    assert [item.split for item in told.items] == ["validation", "train"]


LEADS_OUT = "are refused: their names lead out of the shard (absolute or with ..)"
LINK = "are refused: they are links"
DEVICE = "are refused: they are devices, pipes or sparse files"
HOSTILE = {
    "/etc/evil.wav": (LEADS_OUT, tarfile.REGTYPE),
    "../evil.wav": (LEADS_OUT, tarfile.REGTYPE),
    "a/../../evil.wav": (LEADS_OUT, tarfile.REGTYPE),
    "..\\evil.wav": (LEADS_OUT, tarfile.REGTYPE),
    "C:\\evil.wav": (LEADS_OUT, tarfile.REGTYPE),
    "soft.wav": (LINK, tarfile.SYMTYPE),
    "hard.wav": (LINK, tarfile.LNKTYPE),
    "pipe.wav": (DEVICE, tarfile.FIFOTYPE),
    "tape.wav": (DEVICE, tarfile.CHRTYPE),
    "disk.wav": (DEVICE, tarfile.BLKTYPE),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_member_is_refused_by_name_and_the_others_are_used(tmp_path, name):
    reason, kind = HOSTILE[name]
    hostile = (member(name, kind, "/etc/passwd"), sound() if kind == tarfile.REGTYPE else b"")
    source = list_shards(str(shard(tmp_path / "a.tar", [hostile, ("good..wav", sound()), ("b/x.wav", sound(1))])))
    assert [item.name for item in source.items] == ["a/good..wav", "a/b/x.wav"]
    assert source.passed_over == {reason: (f"a/{name}",)}
    assert np.array_equal(heard(source.items[1])[:, 0], heard_bytes(sound(1)))


def heard_bytes(content: bytes) -> np.ndarray:
    return soundfile.read(io.BytesIO(content), dtype="float32")[0]


def test_members_that_are_no_sound_are_passed_over_with_the_reason(tmp_path):
    members = [
        ("x.wav", sound()), ("x.jpg", b"\xff\xd8"), ("._x.wav", b""), ("y.wav", sound(1)), ("y.wav", sound(2)),
        ("no_ending", sound(3)), ("x.json", "[1]"), ("y.json", "{"), ("bad.cls", b"\xff"), ("long.txt", "x" * 2**21),
        ("metadata.csv", "file_name,label\n"), ("z.m4a", b"\0\0\0\x20ftypM4A "),
    ]  # fmt: skip
    source = list_shards(str(shard(tmp_path / "a.tar", members)))
    assert [item.name for item in source.items] == ["a/x.wav", "a/y.wav", "a/no_ending"]
    assert np.array_equal(heard(source.items[1])[:, 0], heard_bytes(sound(2)))
    names = {name: reason for reason, names in source.passed_over.items() for name in names}
    assert set(names) == {
        "a/x.jpg", "a/._x.wav", "a/y.wav", "a/x.json", "a/y.json", "a/bad.cls", "a/long.txt", "a/metadata.csv",
        "a/z.m4a",
    }  # fmt: skip
    assert (
        "more than once" in names["a/y.wav"]
        and "cannot be read as descriptions" in names["a/x.json"] == names["a/bad.cls"]
    )
    assert "hidden" in names["a/._x.wav"] and "unpack the tar" in names["a/metadata.csv"]
    assert "another decoder" in names["a/z.m4a"]


def test_a_tar_that_ends_too_early_is_refused_but_a_missing_end_marker_is_not(tmp_path):
    whole = shard(tmp_path / "a.tar", samples(3)).read_bytes()
    cut = tmp_path / "cut.tar"
    with tarfile.open(tmp_path / "a.tar") as tar:
        last = tar.getmembers()[-1]
        sounds = [member for member in tar.getmembers() if member.name.endswith("wav")]
    ends = last.offset_data + last.size
    for size in (ends, ends + 100, ends + 511, ends + 600, ends + 1024):
        cut.write_bytes(whole[:size])
        assert len(list_shards(str(cut)).items) == 3
    for size in (ends - 1, last.offset_data, last.offset + 100, sounds[1].offset_data + 5, 100):
        cut.write_bytes(whole[:size])
        with pytest.raises(DataError, match="cut.tar cannot be read after .*; a shard must be one whole tar"):
            list_shards(str(cut))


def test_damage_in_the_middle_and_joined_archives_are_refused(tmp_path):
    whole = shard(tmp_path / "a.tar", samples(3)).read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        second = tar.getmembers()[2].offset
    bad = tmp_path / "bad.tar"
    for content in (whole[:second] + b"x" * 512 + whole[second + 512 :], whole + whole):
        bad.write_bytes(content)
        with pytest.raises(DataError, match="bad.tar cannot be read after '000[02].cls'"):
            list_shards(str(bad))


def test_a_member_of_negative_size_does_not_hang(tmp_path):
    path = shard(tmp_path / "a.tar", samples(1))
    content = bytearray(path.read_bytes())
    content[124:136] = b"\xff" * 10 + b"\xf8\x00"  # -2048 in base 256
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        list_shards(str(path))


def test_files_that_are_no_plain_tar_say_what_to_do(tmp_path):
    plain = shard(tmp_path / "a.tar", samples(1)).read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(plain))
    with pytest.raises(DataError, match="is compressed; .*; run: gunzip .*a.tar.gz"):
        list_shards(str(tmp_path / "a.tar.gz"))
    (tmp_path / "lfs.tar").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(DataError, match="git-lfs"):
        list_shards(str(tmp_path / "lfs.tar"))
    for content in (b"", b"no tar " * 200):
        (tmp_path / "no.tar").write_bytes(content)
        with pytest.raises(DataError, match="no.tar cannot be read"):
            list_shards(str(tmp_path / "no.tar"))
    with pytest.raises(DataError, match="holds no sound.*\n.*1 passed over: are not sound"):
        list_shards(str(shard(tmp_path / "texts.tar", [("a.md", "no sound")])))


def test_a_shard_written_anew_after_the_listing_is_not_read_at_the_old_places(tmp_path):
    path = shard(tmp_path / "a.tar", samples(2))
    item = list_shards(str(path)).items[1]
    shard(path, samples(3))
    with pytest.raises(DataError, match="has changed since it was listed"):
        heard(item)
    assert list_shards(str(path)).items[1].fingerprint != item.fingerprint


def test_the_headers_of_a_large_shard_do_not_stay_in_memory(tmp_path):
    """tarfile keeps every header that it reads, half a kilobyte each."""
    path = shard(tmp_path / "a.tar", [(f"{number}.cls", "1") for number in range(300)])
    reader = members(path)
    for _ in range(200):
        next(reader)
    assert sum(type(each) is tarfile.TarInfo for each in gc.get_objects()) < 10


def test_a_corpus_of_shards_is_that_of_the_same_files_in_a_folder(tmp_path):
    contents = {f"{label}/{number}.wav": sound(number) for label in ("kick", "snare") for number in range(3)}
    members = list(contents.items())
    paths = [str(shard(tmp_path / f"s-{number}.tar", members[number::2])) for number in range(2)]
    for name, content in members:
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    packed, plain = load_corpus(paths, 16_000, 1), load_corpus(str(tmp_path / "folder"), 16_000, 1)
    assert packed.label_names == plain.label_names == ("kick", "snare")
    assert sorted(packed.hashes) == sorted(plain.hashes) and len(set(packed.names)) == 6
    assert packed.names[0] == "s-0/kick/0.wav"
