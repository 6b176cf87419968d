"""Tests what the Makefile installs, and how it finds a torch that is installed already."""

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


PRETENDED_PYTHON = """#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then
    mkdir -p .venv/bin
    cp "$0" .venv/bin/python
    printf '#!/bin/sh\\necho "$@" >> pip.log\\ncat .venv/constraints.txt >> pip.log\\n' > .venv/bin/pip
    chmod +x .venv/bin/pip
fi
case "$2" in
    *sysconfig*) echo .venv ;;
    *pathlib*) echo "$TORCH" ;;
esac
"""


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
@pytest.mark.parametrize("torch", ["", "/the/packages"])
def test_users_need_no_packages_of_tests_and_a_torch_that_is_there_is_bound_by_no_constraint(tmp_path, torch):
    shutil.copy(PROJECT / "Makefile", tmp_path)
    (tmp_path / "constraints.txt").write_text("torch==2\n")
    (tmp_path / "pyproject.toml").touch()
    python = tmp_path / "python"
    python.write_text(PRETENDED_PYTHON)
    python.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}

    def packages_after(target: str) -> list[str]:
        subprocess.run(["make", target, f"PYTHON={python}"], cwd=tmp_path, env=kept | {"TORCH": torch}, check=True)
        return [line.split("no-compile ")[-1] for line in (tmp_path / "pip.log").read_text().splitlines()]

    constraint = [] if torch else ["torch==2"]
    user = ["-c .venv/constraints.txt -e .", *constraint]
    assert packages_after("setup") == user
    assert packages_after("test-setup") == [*user, "-c .venv/constraints.txt -e .[dev]", *constraint]
    assert packages_after("test-setup") == [*user, "-c .venv/constraints.txt -e .[dev]", *constraint], "once is enough"
    assert (tmp_path / ".venv/torch_of_python.pth").exists() == bool(torch)
