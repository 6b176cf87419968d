"""Tests how the Makefile finds a torch that is installed already."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


def torch_of(version: str | None, folder: Path) -> str:
    """Returns what `make find-torch` prints for a Python that has this version of torch; None: none."""
    if version is not None:
        (folder / "torch").mkdir()
        (folder / "torch/__init__.py").write_text(f"__version__ = {version!r}\n")
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" -S "$@"\n')
    python.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "--silent", "find-torch", f"PYTHON={python}"],
        cwd=PROJECT, env=kept, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("2.13.0+cu130", True),
        ("2.10.0", True),
        ("1.13.1", False),
        ("2.5.1+cpu", False),
        ("3.0.0", False),
        (None, False),
    ],
)
def test_a_torch_within_the_bounds_is_used(tmp_path, version, fits):
    assert torch_of(version, tmp_path) == (str(tmp_path) if fits else "")
