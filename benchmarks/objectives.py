"""Does everything learn? Every objective and every model at small size on the drum machine, for the same budget.

    python benchmarks/objectives.py --out runs/objectives --at-once 2

Each row is a recipe of its own in the folder `--out`, trained by `wavegan train` in a process with one thread and
judged by `wavegan evaluate` against held-out clips beside its untrained start. The budget is a number of updates of
networks, so five discriminator updates for each of the generator's make fewer steps than one. The page
(objectives.html) and the table (on stdout) come of what lies in the folder; a row that is done is not done again.
Rates are the authors' times ten, as in recipes/quickstart.yaml, where that is not too much: networks are small and
runs short.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch

from wavegan import assemble, generation
from wavegan import recipe as recipes
from wavegan.evaluation.learning import Learned, write_learning
from wavegan.jobs.judging import model_candidate
from wavegan.recipe_yaml import write
from wavegan.training.run_folder import RunFolder, evaluations, statistics

RECIPES = Path(__file__).parents[1] / "recipes"
UPDATES = 4800
EVALUATIONS = 6
CLIPS = 200
SHOWN = 8
SMALL = {  # what every row has in common
    "data": {"source": "drum_machine", "test": "drum_machine/test"},
    "model": {"clip_samples": 8192, "dim": 8, "upsample": "nearest", "phase_shuffle": {"shared": False}},
    "training": {"batch_size": 8, "ema": 0.99, "precision": "fp32", "keep_last": 1, "lr_decay": "linear"},
    "monitor": {"preview_every": 0, "log_every": 20, "tensorboard": False},
    "evaluation": {"count": CLIPS},
}


class Row(NamedTuple):
    """What is included beside the base, the keys that differ, and the network updates of one step."""

    kind: str
    includes: Sequence[str]
    keys: dict[str, Any]
    rate: float = 10.0


def objective(name: str, rate: float = 10.0, **method: Any) -> Row:
    """A WaveGAN with the settings of a file in recipes/objectives."""
    return Row("objective", [f"objectives/{name}.yaml"], {"method": method} if method else {}, rate)


def model(*includes: str, rate: float = 10.0, **sections: Any) -> Row:
    """Another model, by default with the Wasserstein distance and its penalty."""
    return Row("model", includes or ["objectives/wasserstein.yaml"], sections, rate)


def optimizer(name: str, lr: float, **keys: Any) -> Row:
    """The Wasserstein distance and its penalty with another optimiser."""
    player = {"name": name, "lr": lr, **keys}
    return Row("optimiser", ["objectives/wasserstein.yaml"], {"optimizers": dict.fromkeys(PLAYERS, player)}, 1)


PLAYERS = ("generator", "discriminator")
RATES = {"minimax": 1.0, "non_saturating": 1.0, "r1": 2.0, "r2": 2.0}  # where ten times the authors' is too much
VAE = {"name": "vae", "kl_weight": 0.001, "kl_warmup_steps": 500}
LATENT = {"latent": "normal", "latent_dim": 32}
SPECGAN = ("objectives/wasserstein.yaml", "base/specgan.yaml")
ROWS = {
    **{
        path.stem: objective(path.stem, RATES.get(path.stem, 10.0))
        for path in sorted(RECIPES.glob("objectives/*.yaml"))
    },
    "one_sided": objective("wasserstein", penalty="one_sided"),
    "label_smoothing": objective("non_saturating", 1, label_smoothing=0.1),
    "instance_noise": objective("non_saturating", 1, instance_noise=0.1, instance_noise_steps=1500),
    "adamw": optimizer("adamw", 1e-3, weight_decay=0.01),
    "rmsprop": optimizer("rmsprop", 5e-4),
    "sgd": optimizer("sgd", 0.01, momentum=0.9),
    "SpecGAN": model(*SPECGAN),
    "WaveGAN, conditional": model(model={"classes": 10}),
    "SpecGAN, conditional": model(*SPECGAN, model={"classes": 10}),
    "MLP": model("objectives/r1.yaml", rate=2, model={"name": "mlp", "clip_samples": 4096, "dim": 64}),
    "DCGAN": model("objectives/non_saturating.yaml", rate=1, model={"batch_norm": True, "dropout": 0.3}),
    "VAE, waveform": model(model=LATENT, method={**VAE, "reconstruction": "multi_resolution_stft"}),
    "VAE, waveform by L1": model(model=LATENT, method=VAE),
    "VAE, spectrogram": model(*SPECGAN, model=LATENT, method=VAE),
    "translation": model(
        data={
            "source": "drum_machine/dry",
            "test": "drum_machine/dry/test",
            "source_b": "drum_machine/room",
            "test_b": "drum_machine/room/test",
        },
        model={"name": "translator", "blocks": 2},
        method={"name": "translation", "discriminator_steps": 1},
    ),
    "4,096 samples": model(model={"clip_samples": 4096}),
    "32,768 samples": model(model={"clip_samples": 32768, "dim": 4}),
    "stereo, 44.1 kHz": model(data={"sample_rate": 44100, "channels": 2}, model={"clip_samples": 16384}),
}
LONG = ("SpecGAN, conditional", "SpecGAN", "translation", "stereo, 44.1 kHz", "32,768 samples")  # these first


def main() -> None:
    """Trains and judges what is not yet done, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/objectives"))
    parser.add_argument("--updates", type=int, default=UPDATES)
    parser.add_argument("--only", help="names of rows, separated by semicolons")
    parser.add_argument("--at-once", type=int, default=1, help="trainings side by side, each with one thread")
    chosen = parser.parse_args()
    names = [one.strip() for one in chosen.only.split(";")] if chosen.only else list(ROWS)
    chosen.out.mkdir(parents=True, exist_ok=True)
    order = sorted(names, key=lambda name: name not in LONG)
    with ThreadPoolExecutor(chosen.at_once) as pool:
        found = dict(zip(order, pool.map(lambda name: done(name, chosen.out, chosen.updates), order), strict=True))
    rows = [one for name in names if (one := found[name])]
    page = chosen.out / "objectives.html"
    facts = {"budget": f"{chosen.updates:,} updates of 8 clips", "judged by": f"{CLIPS} clips of each set"}
    write_learning(page, rows, facts=facts, title="Every objective and every model")
    print(table(rows))
    print(page, file=sys.stderr)


def done(name: str, out: Path, updates: int) -> Learned | None:
    """What came of a row: trained and judged now where that was not done; None where it failed, with its message."""
    folder = out / slug(name)
    path = out / f"{folder.name}.yaml"
    path.write_text(write(settings(name, out, updates)))
    run = [sys.executable, "-m", "wavegan"]
    classified = [] if "conditional" in name else ["--classifier", "none"]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    for command in (
        ["train", str(path), "--run", str(folder)],
        ["evaluate", str(folder), *classified, "--out", str(folder / "judged")],
    ):
        if command[0] == "evaluate" and (folder / "judged" / "metrics.json").exists():
            continue
        finished = subprocess.run([*run, *command], env=surroundings, capture_output=True, text=True)
        if finished.returncode:
            print(f"{name}: {finished.stderr[-800:]}", file=sys.stderr)
            return None
    print(f"{name}: done", file=sys.stderr)
    return learned(name, folder)


def settings(name: str, out: Path, updates: int) -> dict[str, Any]:
    """A row's recipe, as a file in the folder `out` is to hold it."""
    row = ROWS[name]
    values = merged(SMALL, row.keys)
    values["include"] = [os.path.relpath(RECIPES / one, out) for one in ("base/wavegan.yaml", *row.includes)]
    bare = out / f"{slug(name)}-bare.yaml"
    bare.write_text(write(values))
    recipe = recipes.load(bare)
    bare.unlink()
    method = assemble.training(recipe, assemble.device("cpu")).method
    steps = updates // sum(phase.times * len(phase.networks) for phase in method.phases)
    rates = {player: {"lr": min(1.0, row.rate * getattr(recipe.optimizers, player).lr)} for player in PLAYERS}
    every = max(1, steps // EVALUATIONS)
    return merged(
        {**values, "name": slug(name)},
        {
            "optimizers": rates,
            "training": {"steps": steps, "checkpoint_every": every},
            "evaluation": {"every": every},
        },
    )


def learned(name: str, folder: Path) -> Learned:
    """What a row's folder tells."""
    judged = json.loads((folder / "judged" / "metrics.json").read_text())
    candidate = model_candidate(folder, assemble.device("cpu"), seed=0)
    made = candidate.model
    assert made is not None and candidate.recipe is not None, "a run folder holds a model"
    clips = torch.cat(list(generation.generate(made, SHOWN, batch_size=SHOWN)))
    return Learned(
        name,
        ROWS[name].kind,
        candidate.recipe.training.steps,
        statistics(RunFolder(folder).log),
        evaluations(RunFolder(folder).log),
        judged,
        clips,
        made.sample_rate,
    )


def table(rows: Sequence[Learned]) -> str:
    """Markdown: each row's distances after training, at its start and of real clips."""
    heads = [f"{metric} {what}" for metric in ("kad_l", "fad_l") for what in ("untrained", "trained", "real")]
    lines = [f"| row | steps | {' | '.join(heads)} | recall | coverage |"]
    lines.append("|" + " --- |" * 10)
    for row in rows:
        start, end, real = row.judged["untrained"], row.judged["metrics"], row.judged["reference"]
        cells = [row.name, f"{row.steps:,}"]
        for metric in ("kad_l", "fad_l"):
            cells += [f"{one[metric]['value']:.1f}" for one in (start, end, real)]
        cells += [f"{end[metric]['value']:.2f}" for metric in ("recall", "coverage")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Sections laid over each other."""
    both = {key: below[key] for key in below if key not in above}
    for key, value in above.items():
        both[key] = merged(below[key], value) if isinstance(value, dict) and isinstance(below.get(key), dict) else value
    return both


def slug(name: str) -> str:
    """A name fit for a folder."""
    return "-".join("".join(one if one.isalnum() else " " for one in name.lower()).split())


if __name__ == "__main__":
    main()
