"""Changes one thing at a time in the modern recipe, and judges the sound beside that of the recipe as it is.

    python benchmarks/ablation.py recipes/quickstart.yaml --steps 1500 --out runs/ablation

Each row is `wavegan train RECIPE` with some keys changed, in a process with one thread; a change that costs or saves
time shows it in processor seconds. All rows are judged by `wavegan compare`: by the same held-out clips and the same
classifier. A training that is done is not done again. The table goes to stdout, the report with sounds and
spectrograms into the folder `--out`. One run each, so small differences are noise: `--seeds` repeats every row, and the
table has the mean.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

from objectives import slug
from quality import METRICS, row, run

from wavegan.commands.compare import as_json, compare

AS_IT_IS = "as it is"
VIEW = "discriminators.{0}.name=tiled_spectrum discriminators.{0}.dim=32 discriminators.{0}.view.name="
MUON = "optimizers.{0}.name=muon optimizers.{0}.lr={1} optimizers.{0}.betas=[0.0,0.99] "
ROWS = {  # the keys that differ
    AS_IT_IS: "",
    "objective: WGAN-GP": "method.objective=wasserstein method.penalty=gradient_penalty",
    "objective: hinge, R1": "method.objective=hinge method.penalty=r1",
    "2 updates of the discriminator": "method.discriminator_steps=2 method.reuse_generated=false",
    "penalty every step": "method.penalty_every=1",
    "penalty every 16 steps": "method.penalty_every=16",
    "penalty weight stays": "method.penalty_floor=1",
    "muon": MUON.format("generator", "5e-4") + MUON.format("discriminator", "1e-3"),
    "muon for the discriminators alone": MUON.format("discriminator", "1e-3"),
    "generator: WaveGAN's": "generator.name=wavegan generator.dim=16 generator.upsample=nearest",
    "no pulses": "generator.pulses=false",
    "no pulses, no short view": "generator.pulses=false discriminators.short=null",
    "no labels": "generator.labels=0",
    "no fine view": "discriminators.fine=null",
    "no short view": "discriminators.short=null",
    "no coarse view": "discriminators.coarse=null",
    "no low waveform": "discriminators.low=null",
    "no loudness beside logarithms": "discriminators.fine.view.power_beside=0",
    "no comparison within groups": "discriminators.*.group=1",
    "and the whole waveform": "discriminators.whole.name=tiled_waveform discriminators.whole.dim=32",
    "and a complex view": VIEW.format("complex") + "complex",
    "and a period of 8": VIEW.format("period") + "period discriminators.period.tile_frames=16",
    "and texture": "discriminators.texture.name=tiled_texture discriminators.texture.weight=0.5 "
    + " ".join(f"discriminators.texture.view.{key}" for key in ("name=log_magnitude", "window=1024", "hop=256")),
    "and the mean spectrum": "discriminators.mean.name=mean_spectrum discriminators.mean.weight=0.2 "
    + " ".join(f"discriminators.mean.view.{key}" for key in ("name=log_magnitude", "window=2048", "hop=1024"))
    + " discriminators.mean.view.floor_db=-90",
    "and the residual": "discriminators.fine.view.residual_beside=true",
    "broad hiss": "generator.broad_hiss=true",
    "long frames": "generator.long_frames=4",
    "steady pitch": "generator.steady_pitch=true",
    "rows know their place": "discriminators.fine.view.coordinate=true discriminators.coarse.view.coordinate=true",
    "adaptive augmentation": "method.augment.name=adaptive",
    "adaptive augmentation, always 0.8": "method.augment.name=adaptive method.augment.probability=0.8 "
    "method.augment.ramp_clips=0",
    "no average": "training.ema_half_life=null",
}


def main() -> int:
    """Trains what is missing, judges all and prints the table; returns the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("recipe")
    options.add_argument("overrides", nargs="*", help="of every row")
    options.add_argument("--steps", type=int, default=1500)
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--only", help=f"rows, separated by semicolons, of {'; '.join(ROWS)}")
    options.add_argument("--out", type=Path, default=Path("runs/ablation"))
    given = options.parse_intermixed_args()
    names = given.only.split(";") if given.only else list(ROWS)
    if unknown := set(names) - set(ROWS):
        options.error(f"--only names {'; '.join(unknown)}; the rows are {'; '.join(ROWS)}")
    places = {(name, seed): given.out / f"{slug(name)}-{seed}" for seed in range(given.seeds) for name in names}
    for (name, seed), folder in places.items():
        if not (folder / "seconds.json").exists():
            steps = [f"training.steps={given.steps}", f"training.seed={seed}", "evaluation.every=0"]
            words = [*given.overrides, *steps, "monitor.preview_every=0", *ROWS[name].split()]
            _, seconds = run(["-m", "wavegan", "train", given.recipe, "--run-dir", str(folder), *words])
            (folder / "seconds.json").write_text(json.dumps(seconds))
            print(f"{name}, seed {seed}: {seconds:.0f} processor seconds", file=sys.stderr)
    compared = as_json(compare(list(places.values()), out=given.out / "report"))
    print(table(names, places, compared))
    return 0


def table(names: list[str], places: dict[tuple[str, int], Path], compared: dict[str, Any]) -> str:
    """Writes a line of mean figures for each row, as Markdown."""
    scores_of = {fact["path"]: compared["metrics"][name] for name, fact in compared["candidates"].items()}
    lines = [f"| change | seconds | {' | '.join(METRICS.values())} |", "|" + " --- |" * (2 + len(METRICS))]
    for name in names:
        folders = [folder for (change, _), folder in places.items() if change == name]
        seconds = fmean(json.loads((folder / "seconds.json").read_text()) for folder in folders)
        scores = [scores_of[str(folder)] for folder in folders]
        means = {metric: {"value": fmean(row_scores[metric]["value"] for row_scores in scores)} for metric in METRICS}
        lines.append(row(name, f"{seconds:.0f}", means))
    return "\n".join([*lines, row("other real clips", "", compared["metrics"]["real"])])


if __name__ == "__main__":
    sys.exit(main())
