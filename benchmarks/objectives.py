"""Trains every objective and every model at small size on the drum machine, with one budget: does everything learn?

    python benchmarks/objectives.py --out runs/objectives --at-once 2

Each row has its own recipe in the folder `--out`. `wavegan train` trains it in a process with one thread. Then
`wavegan evaluate` compares it, and its untrained start, with held-out clips. The budget is a number of updates of
networks, so a row with five discriminator updates per generator update makes fewer steps. The page (objectives.html)
and the table (on stdout) show the results in the folder. A row that is done is not done again; another budget needs
another folder. A row that fails prints the reason, and the others continue; then the exit code is 1. After Ctrl-C the
page shows the rows that are done, and the same command continues. Networks are small and runs are short, so learning
rates are the authors' times ten, as in recipes/quickstart_wavegan.yaml, unless that is too high.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import torch
from training_report import Learned, write_learning

from wavegan import assemble, generation
from wavegan import recipe as recipes
from wavegan.commands.evaluation_data import model_candidate
from wavegan.commands.judging_options import JudgingOptions
from wavegan.errors import UserError
from wavegan.recipe import Recipe
from wavegan.recipe.yaml_text import write
from wavegan.training.run_folder import RunFolder, evaluations, statistics

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
UPDATES = 4800
EVALUATIONS = 6
CLIPS = 200
SHOWN = 8
MESSAGES = 12  # lines quoted from a failed command
SMALL = {  # settings of every row
    "data": {"source": "drum_machine", "test": "drum_machine/test", "clip_samples": 8192},
    "generator": {"dim": 8, "upsample": "nearest"},
    "training": {"batch_size": 8, "ema": 0.99, "precision": "fp32", "keep_last": 1, "lr_decay": "linear"},
    "monitor": {"preview_every": 0, "log_every": 20, "tensorboard": False},
    "evaluation": {"count": CLIPS},
}
JUDGE = {"dim": 8, "phase_shuffle": {"shared": False}}  # the discriminator of a row that sets no other


class Row(NamedTuple):
    """Describes a row: the files it includes beside the base, the keys it changes, and the factor of learning rates."""

    kind: str
    includes: Sequence[str]
    keys: dict[str, Any]
    rate: float = 10.0


def objective(name: str, rate: float = 10.0, **method: Any) -> Row:
    """Returns the row of a WaveGAN with the settings of a file in recipes/objectives."""
    return Row("objective", [f"objectives/{name}.yaml"], {"method": method} if method else {}, rate)


def model(*includes: str, rate: float = 10.0, **sections: Any) -> Row:
    """Returns the row of another model, by default with the Wasserstein distance and its penalty."""
    return Row("model", includes or ["objectives/wasserstein.yaml"], sections, rate)


def optimizer(name: str, lr: float, **keys: Any) -> Row:
    """Returns the row of a WaveGAN with the Wasserstein distance, its penalty and another optimiser."""
    player = {"name": name, "lr": lr, **keys}
    return Row("optimiser", ["objectives/wasserstein.yaml"], {"optimizers": dict.fromkeys(PLAYERS, player)}, 1)


PLAYERS = ("generator", "discriminator")
RATES = {
    "minimax": 1.0,
    "relativistic_average": 2.0,
    "hinge": 2.0,
    "non_saturating": 1.0,
    "r1": 2.0,
    "r2": 2.0,
}  # factors where ten times the authors' rate is too much
SGD = {
    "optimizers": dict.fromkeys(PLAYERS, {"name": "sgd", "lr": 0.01, "momentum": 0.9}),
    "training": {"gradient_clip": 1},
}
LATENT = {"latent": "normal", "latent_dim": 32}
SPECGAN = ("objectives/wasserstein.yaml", "base/specgan.yaml")
SPECTROGRAMS = {"spectrogram": {"dim": 8}}  # replaces the waveform's, which base/specgan.yaml removes


def vae(*includes: str, encoder: str, **method: Any) -> Row:
    """Returns the row of a VAE with an encoder and no discriminators."""
    method = {"name": "vae", "kl_weight": 0.001, "kl_warmup_steps": 500, **method}
    encoding = {"name": encoder, "dim": 8}
    return model(*includes, generator=LATENT, discriminators=None, encoder=encoding, method=method)


ROWS = {
    **{
        path.stem: objective(path.stem, RATES.get(path.stem, 10.0))
        for path in sorted(RECIPES.glob("objectives/*.yaml"))
    },
    "one_sided": objective("wasserstein", penalty="one_sided"),
    "label_smoothing": objective("non_saturating", 1, label_smoothing=0.1),
    "instance_noise": objective("non_saturating", 1, augment={"name": "noise", "deviation": 0.05, "fade_steps": 1000}),
    "adamw": optimizer("adamw", 1e-3, weight_decay=0.01),
    "rmsprop": optimizer("rmsprop", 5e-4),
    "sgd": Row("optimiser", ["objectives/wasserstein.yaml"], SGD, 1),
    "SpecGAN": model(*SPECGAN, discriminators=SPECTROGRAMS),
    "WaveGAN, conditional": model(generator={"labels": 10}),
    "SpecGAN, conditional": model(*SPECGAN, generator={"labels": 10}, discriminators=SPECTROGRAMS),
    "MLP": model(
        data={"clip_samples": 4096},
        generator={"name": "mlp", "dim": 64},
        discriminators={"waveform": {"name": "mlp", "dim": 64}},
    ),
    "DCGAN": model(
        "objectives/non_saturating.yaml",
        rate=3,
        generator={"batch_norm": True},
        discriminators={"waveform": {**JUDGE, "dropout": 0.3}},
    ),
    "VAE, waveform": vae(encoder="wavegan", reconstruction="multi_resolution_stft"),
    "VAE, waveform by L1": vae(encoder="wavegan"),
    "VAE, spectrogram": vae(*SPECGAN, encoder="specgan"),
    "translation": model(
        data={
            "source": "drum_machine/room",
            "test": "drum_machine/room/test",
            "source_b": "drum_machine/dry",
            "test_b": "drum_machine/dry/test",
        },
        generator={"name": "translator", "dim": 8, "kernel_size": 25, "blocks": 2},
        method={
            "name": "translation",
            "objective": "wasserstein",
            "penalty": "gradient_penalty",
            "discriminator_steps": 1,
            "cycle_weight": 1,
            "identity_weight": 0,
        },
    ),
    "4,096 samples": model(data={"clip_samples": 4096}),
    "32,768 samples": model(
        data={"clip_samples": 32768}, generator={"dim": 4}, discriminators={"waveform": {**JUDGE, "dim": 4}}
    ),
    "stereo, 44.1 kHz": model(data={"sample_rate": 44100, "channels": 2, "clip_samples": 16384}),
}
NOTES = {  # explanations of rows, by name
    "instance_noise": (
        "Without a penalty the game swings: in one run the distance was 20.9 at step 1,200 and 62.8 at the end. The "
        "best checkpoint is the one to keep."
    ),
    "relativistic_average": (
        "It made one sound at a time and swung between them: in one run the distance was 21.8 at step 2,000 and 73.7 "
        "at the end. The pairs of relativistic held steadier."
    ),
    "sgd": (
        "Without a scale for each weight a rate at which the penalty does not blow up is slow: at 0.001 losses were "
        "infinite within 30 steps, so the gradients are clipped to a norm of 1 here."
    ),
    "VAE, waveform by L1": (
        "By L1 the best guess at a waveform whose phases cannot be known is its median, silence. L1 is for "
        "spectrograms; multi_resolution_stft is for waveforms."
    ),
}
LONG = ("SpecGAN, conditional", "SpecGAN", "translation", "stereo, 44.1 kHz", "32,768 samples")  # run first


def main() -> int:
    """Trains and judges the rows that are not done, and writes the page; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/objectives"))
    parser.add_argument("--updates", type=int, default=UPDATES)
    parser.add_argument("--only", help="names of rows, separated by semicolons")
    parser.add_argument("--at-once", type=int, default=1, help="trainings side by side, each with one thread")
    options = parser.parse_args()
    names = list(dict.fromkeys(name.strip() for name in options.only.split(";"))) if options.only else list(ROWS)
    if unknown := [name for name in names if name not in ROWS]:
        parser.error(f"--only names {'; '.join(unknown)}; the rows are {'; '.join(ROWS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        wanted = {name: settings(name, options.out, options.updates) for name in ROWS}
    except UserError as error:
        parser.error(str(error))
    undone = [name for name in names if not is_done(options.out, wanted[name])]
    for name in undone:
        (options.out / f"{slug(name)}.yaml").write_text(write(wanted[name]))
    is_interrupted = work_through(undone, options.out, options.at_once)
    rows = [learned(name, options.out) for name in ROWS if is_done(options.out, wanted[name])]
    if rows:
        page = options.out / "objectives.html"
        facts = {"budget": f"{options.updates:,} updates of 8 clips", "judged by": f"{CLIPS} clips of each set"}
        write_learning(page, rows, facts=facts, title="Every objective and every model")
        print(table(rows))
        print(page, file=sys.stderr)
    missing = set(names) - {row.name for row in rows}
    if missing:
        print(f"not done: {'; '.join(name for name in names if name in missing)}", file=sys.stderr)
    return 130 if is_interrupted else int(bool(missing))


def work_through(names: Sequence[str], out: Path, at_once: int) -> bool:
    """Trains and judges rows, the long ones first, even if some fail; returns True if it was interrupted."""
    is_interrupted = False
    with ThreadPoolExecutor(max(1, at_once)) as pool:
        order = sorted(names, key=lambda name: name not in LONG)
        tasks = [pool.submit(work_out, name, out) for name in order]
        while not all(task.done() for task in tasks):
            try:
                wait([task for task in tasks if not task.cancelled()])  # it would wait for a cancelled task for ever
            except KeyboardInterrupt:  # the terminal interrupts the trainings too, which save and end
                is_interrupted = True
                pool.shutdown(wait=False, cancel_futures=True)
                print("interrupted; the rows under way end first", file=sys.stderr)
    for task in tasks:
        if not task.cancelled():
            task.result()  # raises unexpected exceptions
    return is_interrupted


def work_out(name: str, out: Path) -> None:
    """Trains and judges a row, and prints whether that worked."""
    folder = out / slug(name)
    classifier = [] if ROWS[name].keys.get("generator", {}).get("labels") else ["--classifier", "none"]
    for words in (
        ["train", f"{folder}.yaml", "--run-dir", str(folder)],
        ["evaluate", str(folder), *classifier, "--out", str(folder / "judged")],
    ):
        command = [sys.executable, "-m", "wavegan", *words]
        ended = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
        if ended.returncode:
            last = "\n".join(ended.stderr.splitlines()[-MESSAGES:])
            print(f"{name}: {words[0]} ended with {ended.returncode}: {last}", file=sys.stderr)
            return
    print(f"{name}: done", file=sys.stderr)


def settings(name: str, out: Path, updates: int) -> dict[str, Any]:
    """Returns the values of a row's recipe, as its file in the folder `out` will hold them."""
    row, base = ROWS[name], "base/wavegan.yaml"
    values = merged(SMALL, {"discriminators": {"waveform": JUDGE}, **row.keys})
    values["include"] = [os.path.relpath(RECIPES / part, out.resolve()) for part in (base, *row.includes)]
    recipe = recipe_of({**values, "name": slug(name)}, out)
    method = assemble.training(recipe, assemble.device("cpu")).method
    step = sum(phase.times * len(phase.networks) for phase in method.phases)
    if updates < step:
        raise UserError(f"--updates is {updates}; one step of {name} takes {step}; give {step} or more")
    steps = updates // step
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


def recipe_of(values: dict[str, Any], out: Path) -> Recipe:
    """Loads the recipe of values, as if they were in a file of the folder `out`."""
    with tempfile.NamedTemporaryFile("w", dir=out, suffix=".yaml") as file:
        file.write(write(values))
        file.flush()
        return recipes.load(file.name)


def is_done(out: Path, values: dict[str, Any]) -> bool:
    """Says whether a row was judged after all steps of the recipe that its values give."""
    folder = RunFolder(out / values["name"])
    try:
        judged = json.loads((folder.path / "judged" / "metrics.json").read_text())
        changes = recipes.differences(recipes.load(folder.recipe), recipe_of(values, out))
    except (OSError, ValueError, UserError):  # missing, cut off by a kill, or of another version
        return False
    return not changes and judged["facts"]["step"] == f"{values['training']['steps']:,}"


def learned(name: str, out: Path) -> Learned:
    """Reads the results of a finished row from its folder."""
    folder = RunFolder(out / slug(name))
    candidate = model_candidate(folder.path, JudgingOptions(device="cpu"))
    trained = candidate.model
    assert trained is not None, "a run folder holds a model"
    return Learned(
        name,
        ROWS[name].kind,
        trained.step,
        statistics(folder.log),
        evaluations(folder.log),
        json.loads((folder.path / "judged" / "metrics.json").read_text()),
        torch.cat(list(generation.generate(trained, SHOWN, batch_size=SHOWN))),
        trained.sample_rate,
        NOTES.get(name, ""),
    )


def table(rows: Sequence[Learned]) -> str:
    """Writes Markdown: each row's distances before training, after it and of real clips."""
    heads = [f"{metric} {what}" for metric in ("kad_l", "fad_l") for what in ("untrained", "trained", "real")]
    lines = [f"| row | steps | {' | '.join(heads)} | recall | coverage |"]
    lines.append("|" + " --- |" * 10)
    for row in rows:
        start, end, real = row.judged["untrained"], row.judged["metrics"], row.judged["reference"]
        cells = [row.name, f"{row.steps:,}"]
        for metric in ("kad_l", "fad_l"):
            cells += [f"{scores[metric]['value']:z.1f}" for scores in (start, end, real)]
        cells += [f"{end[metric]['value']:z.2f}" for metric in ("recall", "coverage")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merges sections as recipe files do; a section with another `name` replaces the one below."""
    if "name" in above and below.get("name") != above["name"]:
        return above  # settings of another kind are not merged
    both = {key: below[key] for key in below if key not in above}
    for key, value in above.items():
        both[key] = merged(below[key], value) if isinstance(value, dict) and isinstance(below.get(key), dict) else value
    return both


def slug(name: str) -> str:
    """Returns a name that is fit for a folder."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())


if __name__ == "__main__":
    sys.exit(main())
