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
from typing import Any

import torch
from objective_rows import CLIPS, JUDGE, LONG, NOTES, PLAYERS, RECIPES, ROWS, SMALL
from training_report import Learned, write_learning

from wavegan import assemble, generation
from wavegan import recipe as recipes
from wavegan.commands.evaluation_data import model_candidate
from wavegan.commands.judging_options import JudgingOptions
from wavegan.errors import UserError
from wavegan.recipe import Recipe
from wavegan.recipe.yaml_text import write
from wavegan.training.run_folder import RunFolder, evaluations, statistics

UPDATES = 4800
EVALUATIONS = 6
SHOWN = 8
MESSAGES = 12  # lines quoted from a failed command


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
