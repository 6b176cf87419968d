"""Tests what counts as sound in a folder, and that everything else is passed over with its reason."""

import errno
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavegan.audio import listing as listing_module
from wavegan.audio import writing
from wavegan.audio.listing import WITH_RECEIPT, list_sound

SOUND = np.sin(np.arange(800) / 5) / 2
MPEG_FRAME = b"\xff\xfb\x90\x64" + bytes(60)


def put(path: Path, content: bytes | None = None) -> Path:
    """Writes a file, a short sound if no content is given, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        soundfile.write(path, SOUND, 16000, format="WAV")
    else:
        path.write_bytes(content)
    return path


def listed(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in list_sound(folder).paths]


def passed_over(folder: Path) -> dict[str, str]:
    """Returns the reason for each name that is passed over."""
    return {name: reason for reason, names in list_sound(folder).passed_over.items() for name in names}


def test_sound_is_listed_everywhere_in_order_and_the_rest_is_passed_over_with_a_reason(tmp_path: Path):
    for name in ("b.WAV", "a.flac", "sub/deeper/c.Mp3", "folder.wav/d.ogg"):
        put(tmp_path / name, b"RIFF")
    others = {
        ".hidden.wav": "are hidden",
        ".cache": "are hidden",
        "._a.flac": "are hidden",
        "notes.txt": "are not sound",
        "sub/cover.JPG": "are not sound",
        "memo.m4a": "need another decoder; convert them to WAV or FLAC, e.g. with ffmpeg",
        "x.wma": "need another decoder",
        "old.sd2": "need another decoder",
        "Pack.ZIP": "are archives; unpack them",
        "loop.rx2": "hold sounds in the form of a sampler",
        "take.raw": "are sound without a header",
        "loop.wav.part": "are unfinished",
        "kick.wav~": "are unfinished",
    }
    for name in others:
        put(tmp_path / (name if name != ".cache" else ".cache/e.wav"), b"what it holds")
    assert listed(tmp_path) == ["a.flac", "b.WAV", "folder.wav/d.ogg", "sub/deeper/c.Mp3"]
    reasons = passed_over(tmp_path)
    assert reasons.keys() == others.keys()
    assert all(reasons[name].startswith(start) for name, start in others.items())


@pytest.mark.parametrize(
    "name", ["take.bwf", "a.sph", "a.nist", "a.sf", "a.snd", "a.ircam", "a.oga", "a.aifc", "a.w64"]
)
def test_extensions_of_rarer_kinds_are_known(tmp_path: Path, name: str):
    put(tmp_path / name, b"is not opened")
    assert listed(tmp_path) == [name]


@pytest.mark.parametrize(
    ("form", "subtype"),
    [(form, "PCM_16") for form in ("WAV", "RF64", "AIFF", "AU", "CAF", "W64", "VOC", "NIST", "IRCAM", "FLAC", "SVX")]
    + [("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III"), ("PAF", "PCM_16"), ("PVF", "PCM_16")],
)
def test_a_file_of_unknown_extension_is_sound_by_its_first_bytes(tmp_path: Path, form: str, subtype: str):
    soundfile.write(tmp_path / "recording.001", SOUND, 16000, format=form, subtype=subtype)
    soundfile.write(tmp_path / "plain", SOUND, 16000, format=form, subtype=subtype)
    assert listed(tmp_path) == ["plain", "recording.001"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\0\0\0\x20ftypM4A " + bytes(50), "need another decoder"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(50), "need another decoder"),
        (b"\xff\xfeT\0e\0x\0t\0" + bytes(50), "are not sound"),  # a text in UTF-16, which looks like MPEG layer I
        (b"RIFF\x10\0\0\0AVI LIST", "are not sound"),
        (b"", "are not sound"),
        (bytes(range(200)), "are not sound"),
    ],
)
def test_what_else_lies_under_an_unknown_name_is_told_by_its_first_bytes(tmp_path: Path, content: bytes, reason: str):
    put(tmp_path / "thing", content)
    assert passed_over(tmp_path)["thing"].startswith(reason)


def test_what_the_name_calls_foreign_is_sound_if_it_begins_so(tmp_path: Path):
    put(tmp_path / "song.m4a", MPEG_FRAME)
    put(tmp_path / "song.mp4")
    assert listed(tmp_path) == ["song.m4a", "song.mp4"]


# Links and what cannot be read


def test_linked_folders_are_followed_and_keep_their_names(tmp_path: Path):
    put(tmp_path / "store/kicks/a.wav")
    put(tmp_path / "sounds/own/b.wav")
    (tmp_path / "sounds/kicks").symlink_to("../store/kicks")
    assert listed(tmp_path / "sounds") == ["kicks/a.wav", "own/b.wav"]
    assert passed_over(tmp_path / "sounds") == {}
    (tmp_path / "entrance").symlink_to("sounds")
    assert listed(tmp_path / "entrance") == ["kicks/a.wav", "own/b.wav"]


def test_each_folder_is_read_once_by_its_own_name(tmp_path: Path):
    put(tmp_path / "sounds/z/a.wav")
    for name, target in (("a", "z"), ("z/round", "."), ("up", ".."), ("z/top", "..")):
        (tmp_path / "sounds" / name).symlink_to(target)
    assert listed(tmp_path / "sounds") == ["z/a.wav"]
    reasons = passed_over(tmp_path / "sounds")
    assert reasons.keys() == {"a/", "z/round/", "up/", "z/top/"}
    assert all(reason.startswith("are links to folders that are read already") for reason in reasons.values())


def test_links_to_nothing_are_bad_files_if_they_were_sound(tmp_path: Path):
    (tmp_path / "gone.wav").symlink_to("nowhere.wav")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "me").symlink_to("me")
    assert listed(tmp_path) == ["gone.wav"]
    assert passed_over(tmp_path) == dict.fromkeys(["gone", "me"], "are links to nothing")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_what_is_no_regular_file_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    os.mkfifo(tmp_path / "pipe.wav")  # to open it would wait for ever
    (tmp_path / "linked.wav").symlink_to("pipe.wav")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # a socket's name may be 100 bytes long
        server.bind("port.wav")
        reasons = passed_over(tmp_path)
    assert listed(tmp_path) == [] and reasons.keys() == {"pipe.wav", "linked.wav", "port.wav"}
    assert set(reasons.values()) == {"are pipes, sockets or devices, not regular files"}


def test_folders_and_files_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(tmp_path / "a.wav")
    put(tmp_path / "locked/b.wav")
    put(tmp_path / "unknown")
    scandir = os.scandir

    def guarded(path: str):
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    def failing(path: str, *arguments, **options):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "scandir", guarded)
    monkeypatch.setattr(listing_module, "open", failing, raising=False)
    assert listed(tmp_path) == ["a.wav"]
    assert passed_over(tmp_path) == {
        "locked/": "cannot be read (Permission denied)",
        "unknown": "cannot be read (Input/output error)",
    }


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path):
    assert listed(tmp_path / "no" / "where") == []
    assert passed_over(tmp_path / "no" / "where") == {"./": "cannot be read (No such file or directory)"}


# What this program made


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Makes a folder of two sounds with a run in it, as wavegan train and generate leave it; returns the run."""
    run = tmp_path / "sounds/runs/mine"
    for name in ("a", "b"):
        put(tmp_path / f"sounds/{name}.wav")
    for name in ("recipe.yaml", "log.jsonl", "checkpoints/step-00000010.pt", "previews/step-00000010.png"):
        put(run / name, b"")
    for name in ("previews/step-00000010.wav", "generated/clip-000000.wav", "generated/clip-000001.wav"):
        put(run / name)
    return run


def test_a_run_inside_a_source_is_never_learned_from(run: Path):
    sounds = run.parents[1]
    assert listed(sounds) == ["a.wav", "b.wav"]
    assert passed_over(sounds) == {"runs/mine/": "are runs, made by wavegan train"}
    moved = run.rename(sounds / "mine.1")
    (moved / "log.jsonl").unlink()
    assert listed(sounds) == ["a.wav", "b.wav"]


def test_a_recipe_beside_folders_of_sound_makes_no_run_of_them(tmp_path: Path):
    put(tmp_path / "sounds/recipe.yaml", b"")
    for name in ("evaluation/a.wav", "generated/b.wav", "train/c.wav"):
        put(tmp_path / "sounds" / name)
    assert listed(tmp_path) == [f"sounds/{name}" for name in ("evaluation/a.wav", "generated/b.wav", "train/c.wav")]
    assert len(listed(tmp_path / "sounds")) == 3


def test_a_run_that_is_named_itself_holds_no_sound_but_its_clips_do(run: Path):
    assert listed(run) == []
    assert {name for name in passed_over(run) if name.endswith("/")} == {"checkpoints/", "generated/", "previews/"}
    assert listed(run / "generated") == ["clip-000000.wav", "clip-000001.wav"]
    assert listed(run / "previews") == ["step-00000010.wav"]


def test_generated_clips_evaluations_and_caches_below_are_passed_over(tmp_path: Path):
    put(tmp_path / "a.wav")
    made = {
        "fake": ["clip-000000.flac", "clip-000001.flac", "clip-000002.flac.partial", "walk.flac"],
        "judged": ["metrics.json", "report.html", "spectrograms.png", "listen.wav"],
        "cache/corpora/12ab": ["samples.i16", "items.jsonl", "complete", "x.wav"],
    }
    for folder, names in made.items():
        for name in names:
            put(tmp_path / folder / name, b"")
    assert listed(tmp_path) == ["a.wav"]
    assert passed_over(tmp_path).keys() == {f"{folder}/" for folder in made}
    assert all("made by wavegan" in reason for reason in passed_over(tmp_path).values())
    assert listed(tmp_path / "fake") == ["clip-000000.flac", "clip-000001.flac", "walk.flac"]


def test_sounds_that_are_only_called_alike_are_used(tmp_path: Path):
    names = ["steps/walk.wav", "clips/clip-000001.wav", "mixed/clip-000000.wav", "mixed/own.wav", "recipes/a.wav"]
    for name in names:
        put(tmp_path / name)
    put(tmp_path / "recipes/recipe.yaml", b"name: of somebody else")
    assert listed(tmp_path) == sorted(names)


# Names and numbers


def test_odd_names_are_kept(tmp_path: Path):
    names = ["new\nline.wav", "🥁 kick.wav", "k" * 246 + ".wav", "LOUD.WAV", "-n.wav", "%s{x}.wav", "trailing .wav"]
    for name in names:
        put(tmp_path / name)
    assert listed(tmp_path) == sorted(names)


def test_names_that_are_no_text_are_told_in_text(tmp_path: Path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")).touch()
    assert list(passed_over(tmp_path)) == ["caf\\xe9.txt"]


def test_files_of_known_extensions_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Twenty thousand files are listed in a tenth of a second, because the name is enough for nearly all of them."""
    for name in ("a.wav", "b.txt", "c.flac", "d.jpg", "e.part"):
        put(tmp_path / name, b"")
    monkeypatch.setattr(listing_module, "open", None, raising=False)
    assert listed(tmp_path) == ["a.wav", "c.flac"]


@pytest.mark.parametrize("extension", writing.FORMATS)
def test_a_sound_with_a_receipt_below_the_folder_is_passed_over(tmp_path, extension):
    clip = np.sin(np.arange(4000) / 10)[None].astype(np.float32)
    for name in ("kit/01-kick", "kit/02-snare", "mine/kick", "between/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        comment = "" if name.startswith("mine") else '{"wavegan":"0.1.0","model":"drums"}'
        writing.write(tmp_path / f"{name}.{extension}", clip, 16000, comment)
    for name in ("kit/own", "between/a", "between/c"):
        writing.write(tmp_path / f"{name}.{extension}", clip, 16000)
    listing = list_sound(tmp_path)
    assert [path.stem for path in listing.paths] == ["a", "c", "own", "kick"]
    made = tuple(f"{name}.{extension}" for name in ("between/b", "kit/01-kick", "kit/02-snare"))
    assert listing.passed_over == {WITH_RECEIPT: made}
    assert len(list_sound(tmp_path / "kit").paths) == 3, "whose folder is named itself is used"


@pytest.mark.parametrize("weights", ["model.safetensors", "model.onnx"])
def test_the_samples_of_an_exported_model_are_passed_over(tmp_path, weights):
    for name in ("exported/config.json", f"exported/{weights}", "exported/samples/a.wav", "b.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"RIFF")
    listing = list_sound(tmp_path)
    [(reason, names)] = listing.passed_over.items()
    assert [path.name for path in listing.paths] == ["b.wav"] and names == ("exported/",) and "wavegan export" in reason
