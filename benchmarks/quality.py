"""Compares the modern model, WaveGAN, SpecGAN and a diffusion model after the same processor seconds.

    pip install audio-diffusion-pytorch     # the rival of benchmarks/diffusion.py
    python benchmarks/quality.py drum_machine,drum_machine/test my/drums my/digits/train --seconds 400

Each model learns from each source for as many steps as fit into the seconds on one core, which `wavegan bench`
measures first; schedules end with the last step. A source is a folder whose sub-folders or file names are labels, of
which a fifth of the files is held out, or two with a comma, the second to judge by. The modern model has the networks,
optimisers and method that `wavegan doctor` advises for the source, and three seeds. All models have the sample rate
that it advises, and learn the first second of each file as it is. At every part of the seconds its clips are judged by
`wavegan compare`: all by the same held-out clips and the same classifier. A training that is done is not done again.
Into the folder `--out` go, for each source, the report with sounds and spectrograms and the figures; the table goes to
stdout, the curves into the picture. Processor seconds are those the trainings really took. With `--train-only` nothing
is judged: so each core can train other sources, or other models by `--only`, before all are judged.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from objectives import slug

from wavegan import recipe as recipes
from wavegan.commands.compare import as_json, compare
from wavegan.recipe.yaml_text import write
from wavegan.training.run_folder import RunFolder

FOLDER = Path(__file__).resolve().parent
RECIPES = FOLDER.parent / "recipes"
PARTS = 4
HOLDOUT = 0.2
PLAIN, DIFFUSION = "WaveGAN, plain step", "diffusion"
SMALL_SPECGAN = {"generator": {"dim": 8}, "discriminators": {"spectrogram": {"dim": 8}}}
ADVISED = "advised.yaml"
SEEDS = {"modern": 0, "modern, seed 1": 1, "modern, seed 2": 2}
CLIPS = {"windows": "first", "trim_silence": False, "remove_dc": False}  # of all models
MODELS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {  # recipes to include, and keys
    **dict.fromkeys(SEEDS, ((), {})),  # instead, what doctor advises
    "WaveGAN": (("quickstart_wavegan.yaml",), {}),
    PLAIN: (("quickstart_wavegan.yaml",), {}),  # a plain step computes the same, so fewer fast steps stand for it
    "SpecGAN": (("quickstart_wavegan.yaml", "base/specgan.yaml"), SMALL_SPECGAN),
    DIFFUSION: (("base/modern.yaml",), {}),  # for the sound alone
}
COLOURS = {
    **dict.fromkeys(SEEDS, "tab:orange"),
    "WaveGAN": "tab:blue",
    PLAIN: "tab:cyan",
    "SpecGAN": "tab:green",
    DIFFUSION: "tab:red",
}
METRICS = {
    "kad_l": "`kad_l`",
    "kad_c": "`kad_c`",
    "precision": "precision",
    "recall": "recall",
    "coverage": "coverage",
    "duplicate_share": "duplicates",
    "inception_score": "IS",
    "spectrum_error_db": "spectrum, dB",
    "comb_db": "comb, dB",
    "noise_floor_db": "floor, dB",
    "kad_order": "order",
    "kad_partials": "partials",
    "kad_attack": "attacks",
    "kad_stereo": "stereo",
    "artefact_share": "artefacts",
}
DRAWN = ("kad_l", "kad_c", "kad_partials", "kad_attack")


def main() -> int:
    """Trains what is missing, judges all and prints the tables; returns the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("sources", nargs="+", metavar="SOURCE[,TEST]")
    options.add_argument("--seconds", type=float, default=400.0, help="of one core, for each training")
    options.add_argument("--only", help=f"models, separated by semicolons, of {'; '.join(MODELS)}")
    options.add_argument("--train-only", action="store_true", help="judge nothing yet")
    options.add_argument("--out", type=Path, default=Path("runs/quality"))
    options.add_argument("--picture", type=Path, default=Path("docs/quality/seconds.png"))
    given = options.parse_args()
    names = given.only.split(";") if given.only else list(MODELS)
    if unknown := set(names) - set(MODELS):
        options.error(f"--only names {'; '.join(unknown)}; the models are {'; '.join(MODELS)}")
    for source in given.sources:
        for name in names:
            folder = given.out / slug(source) / slug(name)
            if not (folder / "cost.json").exists():
                train(name, source, folder, given.seconds)
        if not given.train_only:
            judge(given.out / slug(source))
    if given.train_only:
        return 0
    figures_of = {source: figures(given.out / slug(source)) for source in given.sources}
    draw(figures_of, given.picture)
    print("\n\n".join(table(source, parts) for source, parts in figures_of.items()))
    return 0


def train(name: str, source: str, folder: Path, seconds: float) -> None:
    """Trains one model; cost.json then names its processor seconds, its steps and the clips or checkpoints to judge."""
    folder.mkdir(parents=True, exist_ok=True)
    includes, keys = MODELS[name]
    sound, _, test = source.partition(",")
    advised = folder.parent / ADVISED
    if not advised.exists():
        run(["-m", "wavegan", "doctor", sound, "--no-timing", "--recipe", str(advised)])
    rate = recipes.load(advised).data.sample_rate
    data = {
        **CLIPS,
        "source": sound,
        "sample_rate": rate,
        "clip_samples": 1024 * (rate // 1000),
        **({"test": test} if test else {"test": None, "holdout": HOLDOUT}),
    }
    files = [advised] if name in SEEDS else [RECIPES / include for include in includes]
    values: dict[str, Any] = {
        **keys,
        "training": {"seed": SEEDS.get(name, 0)},
        "include": [os.path.relpath(file.resolve(), folder.resolve()) for file in files],
        "name": slug(name),
        "data": data,
        "monitor": {"preview_every": 0, "tensorboard": False},
        "evaluation": {"every": 0, "count": 200},
    }
    recipe = folder / "asked.yaml"
    recipe.write_text(write(values))
    if name == DIFFUSION:
        script, limits = str(FOLDER / "diffusion.py"), ["--seconds", f"{seconds}", "--parts", str(PARTS // 2)]
        printed, _ = run([script, str(recipe), *limits, "--out", str(folder / "clips")])
        parts = json.loads(printed)["parts"]
        spent, steps = parts[-1]["seconds"], parts[-1]["steps"]
        judged = {str(2 * place): part["folder"] for place, part in enumerate(parts, start=1)}
    else:
        printed, _ = run(["-m", "wavegan", "bench", str(recipe), "--repeats", "3", "--json"])
        step = json.loads(printed)["plain_step_seconds" if name == PLAIN else "step_seconds"]
        every = max(1, round(seconds / step / PARTS))
        steps = every * PARTS
        values["training"] |= {"steps": steps, "checkpoint_every": every, "keep_every": every}
        recipe.write_text(write(values))
        _, spent = run(["-m", "wavegan", "train", str(recipe), "--run-dir", str(folder / "run")])
        spent = seconds if name == PLAIN else spent
        checkpoints = RunFolder(folder / "run").checkpoints
        judged = {str(part): str(checkpoints / f"step-{part * every:08d}.pt") for part in range(1, PARTS + 1)}
    (folder / "cost.json").write_text(json.dumps({"seconds": spent, "steps": steps, "judged": judged}))
    print(f"{source}, {name}: {steps:,} steps in {spent:.0f} processor seconds", file=sys.stderr)


def run(words: list[str]) -> tuple[str, float]:
    """Runs Python with these words and one thread; returns what it printed and the processor seconds that it took."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(words)} ended with {process.returncode}")
    return printed, usage.ru_utime + usage.ru_stime


def judge(folder: Path) -> None:
    """Judges all models of a source together, part by part of the seconds; figures.json lies beside each report."""
    costs = {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob("*/cost.json"))}
    for part in map(str, range(1, PARTS + 1)):
        targets = {name: Path(cost["judged"][part]) for name, cost in costs.items() if part in cost["judged"]}
        path = folder / f"part-{part}" / "figures.json"
        seconds = {name: costs[name]["seconds"] * int(part) / PARTS for name in targets}
        if path.exists() and json.loads(path.read_text())["seconds"] == seconds:
            continue
        compared = as_json(compare(list(targets.values()), out=path.parent))
        places = {fact["path"]: name for name, fact in compared["candidates"].items()}
        metrics = compared["metrics"]
        scores = {name: metrics[places[str(target)]] for name, target in targets.items()}
        summary = {"seconds": seconds, "scores": scores, "real": metrics["real"], "facts": compared["facts"]}
        path.write_text(json.dumps(summary))


def figures(folder: Path) -> list[dict[str, Any]]:
    """Returns the figures that `judge` wrote, part after part."""
    return [json.loads((folder / f"part-{part}" / "figures.json").read_text()) for part in range(1, PARTS + 1)]


def draw(figures_of: dict[str, list[dict[str, Any]]], picture: Path) -> None:
    """Draws distances against seconds, a row of charts for each source; grey is the interval of other real clips."""
    drawing, grid = plt.subplots(
        len(figures_of), len(DRAWN), figsize=(4 * len(DRAWN), 3 * len(figures_of)), squeeze=False, layout="constrained"
    )
    for row, (source, parts) in zip(grid, figures_of.items(), strict=True):
        for chart, metric in zip(row, DRAWN, strict=True):
            real = parts[-1]["real"][metric]
            chart.axhspan(real["low"], real["high"], color="0.9")
            for name, colour in COLOURS.items():
                points = [
                    (part["seconds"][slug(name)], part["scores"][slug(name)][metric]["value"])
                    for part in parts
                    if metric in part["scores"].get(slug(name), {})
                ]
                if points:
                    label = name.partition(", seed")[0]
                    chart.plot(*zip(*points, strict=True), "o-", color=colour, label=label, markersize=3)
            chart.set_yscale("symlog", linthresh=1)
            chart.set_title(f"{title(source)}: {metric}", fontsize=9)
            chart.set_xlabel("processor seconds", fontsize=8)
    handles, labels = grid[0][0].get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))  # of several seeds one
    grid[0][0].legend(once.values(), once.keys(), fontsize=7)
    picture.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(picture, dpi=100)
    plt.close(drawing)


def title(source: str) -> str:
    """Returns the name of a source's folder, or of the one above a folder `train`."""
    folder = Path(source.partition(",")[0]).resolve()
    return folder.parent.name if folder.name == "train" else folder.name


def table(source: str, parts: list[dict[str, Any]]) -> str:
    """Writes the figures of all models after all seconds as Markdown."""
    last = parts[-1]
    lines = [f"| {source} | seconds | {' | '.join(METRICS.values())} |", "|" + " --- |" * (2 + len(METRICS))]
    for name in [name for name in MODELS if slug(name) in last["scores"]]:
        lines.append(row(name, f"{last['seconds'][slug(name)]:.0f}", last["scores"][slug(name)]))
    return "\n".join([*lines, row("other real clips", "", last["real"])])


def row(name: str, seconds: str, scores: dict[str, Any]) -> str:
    """Writes a line of the table."""
    values = [f"{scores[metric]['value']:z.2f}" if metric in scores else "" for metric in METRICS]
    return f"| {name} | {seconds} | {' | '.join(values)} |"


if __name__ == "__main__":
    sys.exit(main())
