"""Tests the notebook of the docs: it is valid, holds no outputs, and runs from top to bottom."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebooks" / "first_steps.ipynb"
RUN = """\
import sys
from IPython.core.interactiveshell import InteractiveShell
from wavegan.audio.sources import DRUM_MACHINE_CLIPS
from wavegan.evaluation.evaluate import Reference

DRUM_MACHINE_CLIPS |= {name: (kit, seed, clips // 5) for name, (kit, seed, clips) in DRUM_MACHINE_CLIPS.items()}
Reference.estimates.__kwdefaults__.update(count=5)  # resamples; no figure need mean anything
InteractiveShell.instance().safe_execfile_ipy(sys.argv[1], raise_exceptions=True)
"""
SHORT = "steps = 2\njudged_clips = 16"


def test_it_is_valid_and_holds_no_outputs():
    notebook = nbformat.read(NOTEBOOK, nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert [cell.id for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")] == []


def test_it_runs_from_top_to_bottom(tmp_path):
    """Runs the cells in IPython, as Jupyter does, with fewer steps and clips in the cell of the parameters."""
    notebook = nbformat.read(NOTEBOOK, nbformat.NO_CONVERT)
    [parameters] = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    names = {line.partition(" = ")[0] for line in SHORT.splitlines()}
    assert {line.partition(" = ")[0] for line in parameters.source.splitlines() if " = " in line} == names
    parameters.source = SHORT
    nbformat.write(notebook, tmp_path / "short.ipynb")
    paths = os.pathsep.join(filter(None, [str(NOTEBOOK.parents[2]), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", RUN, "short.ipynb"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths, "MPLBACKEND": "agg", "IPYTHONDIR": str(tmp_path / "ipython")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout.splitlines()
    assert sum("IPython.lib.display.Audio" in line for line in shown) == 7
    assert [line.split()[0] for line in shown if line.startswith(("kad_l", "recall"))] == ["kad_l", "recall"]
    assert (tmp_path / "runs/first_steps/evaluation/own/report.html").is_file()
