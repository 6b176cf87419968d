"""Tests what is built: a wheel from the sdist, alone in an empty folder, lists, trains, generates and examines."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
SOURCES = (
    "wavegan",
    "recipes",
    "data/ambience",
    "data/digits",
    "data/drum_kits",
    "data/instruments",
    "data/piano",
    "data/models",
    "setup.py",
    "pyproject.toml",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
)
SHIPPED = {
    f"{name}/{path.relative_to(PROJECT / name).as_posix()}"
    for name in SOURCES
    if name == "recipes" or name.startswith("data/")
    for path in (PROJECT / name).rglob("*")
    if path.is_file()
}
SMALL = ["generator.dim=4", "discriminators.*.dim=1", "training.batch_size=2", "training.steps=2", "evaluation.every=0"]
SMALL += ["training.precision=fp32", "monitor.preview_every=0"]


def run(program: list[str], folder: Path, **environment: str) -> str:
    """Runs a program in a folder and returns its stdout; it must end well."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *program], cwd=folder, env=kept | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Path]:
    """Builds the sdist of a copy of the project, and from that the wheel; returns both files."""
    copy, built = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("built")
    for name in SOURCES:
        source, target = PROJECT / name, copy / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    run(["-c", f"from setuptools import build_meta; build_meta.build_sdist({str(built)!r})"], copy)
    [sdist] = built.glob("*.tar.gz")
    pip = ["-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "--no-index"]
    run([*pip, "--wheel-dir", str(built), str(sdist)], copy)
    [wheel] = built.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """Unpacks the wheel into a folder of its own, as pip does without its dependencies."""
    target = tmp_path_factory.mktemp("installed")
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target", str(target)]
    run([*pip, str(built[1])], target)
    return target


def test_sdist_and_wheel_hold_every_recipe_and_bundled_sound(built):
    with tarfile.open(built[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert names >= SHIPPED and len(SHIPPED) > 330
    with zipfile.ZipFile(built[1]) as wheel:
        held = set(wheel.namelist())
    prefix = "wavegan/_shipped/"
    assert {name.removeprefix(prefix) for name in held if name.startswith(prefix)} == SHIPPED
    modules = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "wavegan").rglob("*.py")}
    assert {name for name in held if name.endswith(".py")} == modules


COMMANDS = [
    ["recipes"],
    ["recipes", "--show", "base/modern"],
    ["recipes", "--copy", "digits_modern", "mine.yaml"],
    ["train", "quickstart", *SMALL, "data.source=spoken_digits/test", "data.test=null", "--json"],
    ["train", "mine.yaml", "--dry-run"],
    ["generate", "runs/quickstart", "-n", "2", "--label", "six", "--json"],
    ["doctor", "drums", "--recipe", "my.yaml", "--no-timing"],
    ["train", "my.yaml", "--dry-run"],
    ["models"],
    ["generate", "drums", "--label", "kick", "-n", "1", "--json"],
]
PROGRAM = """
import contextlib, io, json, sys
import wavegan
from wavegan import cli
results = []
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            cli.main()
        except SystemExit as done:
            results.append([done.code, out.getvalue()])
model = wavegan.load("runs/quickstart")
print(json.dumps([wavegan.__file__, list(model.generate(1).shape), results]))
"""  # one process for all commands: each would import torch for seconds


def test_the_wheel_works_alone_in_an_empty_folder(installed, tmp_path, sounds, cache):
    """Nothing of the checkout is used: the package lies in the folder that the wheel was unpacked into."""
    sounds(12, labels=("a", "b"), name="drums")
    environment = {"PYTHONPATH": str(installed), "WAVEGAN_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    place, shape, results = json.loads(run(["-P", "-c", PROGRAM, json.dumps(COMMANDS)], tmp_path, **environment))
    assert Path(place).is_relative_to(installed) and shape == [1, 1, 16384]
    assert [code for code, _ in results] == [0] * len(COMMANDS), results
    listed, shown, copied, trained, planned, generated, advised, again, models, first = [out for _, out in results]
    assert "\nquickstart " in listed and copied == "mine.yaml\n"
    assert shown == (PROJECT / "recipes/base/modern.yaml").read_text()
    assert json.loads(trained)["run"] == "runs/quickstart" and json.loads(trained)["step"] == 2
    clips = json.loads(generated)["files"]
    assert len(clips) == 2 and all((tmp_path / clip).is_file() for clip in clips)
    assert "my.yaml holds the recipe that fits" in advised
    names = {"ambience", "digits", "drum_kits", "drums", "drums_44k", "instruments", "piano", "tones"}
    assert {line.split()[0] for line in models.splitlines()} == names
    assert json.loads(first)["files"] == ["generated/drums/clip-000000.wav"]
    assert "\n# generator: " in planned and "\n# generator: " in again
