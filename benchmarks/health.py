"""Trains healthy and collapsing runs on the drum machine and draws pictures of them.

    python benchmarks/health.py --out runs/health --pictures docs/training

`wavegan train` trains each case with one thread for a few minutes. A picture shows the losses with the penalty, the
metrics of the evaluations, and eight clips of the final model. The watchdog's messages go to stdout.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch

from wavegan import generation
from wavegan.commands.model_loading import load_model
from wavegan.dsp.mel import log_mel
from wavegan.training.run_folder import RunFolder, evaluations, lines, statistics

QUICKSTART = Path(__file__).parents[1] / "recipes" / "quickstart_wavegan.yaml"
SHOWN = 8
SMALL = [
    "data.clip_samples=8192", "training.precision=fp32", "training.checkpoint_every=100", "training.lr_decay=none",
    "monitor.preview_every=0", "monitor.log_every=20", "monitor.tensorboard=false", "evaluation.every=100",
]  # fmt: skip
CASES: dict[str, tuple[str, list[str]]] = {
    "healthy": ("as quickstart_wavegan, without decay", ["training.steps=1500"]),
    "one-sound": (
        "one sound: no penalty, and a generator that learns ten times as fast as its discriminator",
        [
            "training.steps=1500", "method.objective=non_saturating", "method.penalty=none",
            "method.discriminator_steps=1", "optimizers.generator.lr=2e-3", "optimizers.discriminator.lr=2e-4",
        ],
    ),
    "silence": (
        "silence: the relativistic average at ten times its authors' rates",
        [
            "training.steps=1600", "method.objective=relativistic_average", "method.discriminator_steps=1",
            "optimizers.generator.lr=2e-3", "optimizers.discriminator.lr=2e-3",
            "optimizers.generator.betas=[0.5, 0.999]", "optimizers.discriminator.betas=[0.5, 0.999]",
        ],
    ),
    "explosion": (
        "explosion: rates ten times those of quickstart_wavegan and a hundredth of its penalty",
        ["training.steps=1000", "method.penalty_weight=0.1", "optimizers.generator.lr=1e-2",
         "optimizers.discriminator.lr=1e-2"],
    ),
}  # fmt: skip


def main() -> None:
    """Trains every case, unless its run is complete already, and draws it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/health"))
    parser.add_argument("--pictures", type=Path, default=Path("docs/training"))
    parser.add_argument("--only", choices=CASES, action="append")
    options = parser.parse_args()
    options.pictures.mkdir(parents=True, exist_ok=True)
    for name in options.only or CASES:
        title, settings = CASES[name]
        command = [sys.executable, "-m", "wavegan", "train", str(QUICKSTART), "--run-dir", str(options.out / name)]
        finished = subprocess.run([*command, *SMALL, *settings], env={**os.environ, "OMP_NUM_THREADS": "1"})
        print(f"{name}: exit {finished.returncode}")
        folder = RunFolder(options.out / name)
        for line in lines(folder.log):
            message = line.get("alarm") or line.get("rollback")
            if message:
                print(f"  {message}")
        draw(folder, title, options.pictures / f"{name}.png")
        print(json.dumps(evaluations(folder.log)[-1]) if evaluations(folder.log) else "never judged")


def draw(folder: RunFolder, title: str, path: Path) -> None:
    """Draws one picture of a run: losses, metrics and clips."""
    figure = plt.figure(figsize=(12, 4.2), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left")
    parts: Any = figure.subfigures(1, 3, width_ratios=[1, 1, 1.1])
    left, middle, right = parts
    curves(left, statistics(folder.log), {name: name for name in _names(folder)}, "losses and penalty")
    plotted = {"kad_l": "kad_l / 100", "duplicate_share": "duplicate_share", "coverage": "coverage"}
    scaled = [{**scores, "kad_l": scores["kad_l"] / 100} for scores in evaluations(folder.log)]
    curves(middle, scaled, plotted, "what the evaluation sees")
    model = load_model(folder.path, torch.device("cpu")).model
    clips = torch.cat(list(generation.generate(model, SHOWN)))
    levels = log_mel(clips, model.sample_rate)
    top = max(float(levels.max()), -40.0)  # keeps silence dark
    axes: Any = right.subplots(2, SHOWN // 2)
    for axis, level in zip(axes.flat, levels, strict=True):
        axis.imshow(level, origin="lower", aspect="auto", vmin=top - 80, vmax=top, cmap="magma")
        axis.set_axis_off()
    right.suptitle("eight clips", fontsize="medium")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def curves(figure: Any, records: list[dict[str, float]], names: dict[str, str], title: str) -> None:
    """Plots values against the step; the scale of losses is logarithmic, and linear near zero."""
    axis = figure.subplots()
    for name, label in names.items():
        points = [(record["step"], record[name]) for record in records if np.isfinite(record.get(name, np.nan))]
        if points:
            axis.plot(*zip(*points, strict=True), label=label, linewidth=1)
    if title.startswith("losses"):
        axis.set_yscale("symlog", linthresh=1)
    axis.set_title(title, fontsize="medium")
    axis.set_xlabel("step")
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small", frameon=False)


def _names(folder: RunFolder) -> list[str]:
    wanted = ("/loss", "/penalty", "/wasserstein")
    return [name for name in statistics(folder.log)[0] if name.endswith(wanted)]


if __name__ == "__main__":
    main()
