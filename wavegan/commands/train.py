"""Training a recipe in a run folder, or going on where it ended."""

import hashlib
import json
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Any

import torch

from wavegan import assemble, distributed
from wavegan import recipe as recipes
from wavegan.audio.corpus import Corpus
from wavegan.commands.memory import give_back_freed_memory, keep_freed_memory, memory_explained
from wavegan.commands.periodic_evaluation import periodic_evaluation
from wavegan.commands.telling import say
from wavegan.errors import DataError, RunError, UserError
from wavegan.generation import Model
from wavegan.models.wavegan import parameter_count
from wavegan.recipe import Recipe
from wavegan.training import checkpoint
from wavegan.training.run_folder import RunFolder
from wavegan.training.session import follow_session, run_session

SHOWN_SKIPS = 20
MEMORY_ADVICE = "lower training.batch_size, model.dim or model.clip_samples"


@dataclass(frozen=True)
class TrainingResult:
    """How far a run has come; signal is what ended it before its last step, if anything did."""

    run: Path
    step: int
    seconds: float
    steps_per_second: float
    checkpoint: Path
    signal: Signals | None = None


def train(recipe: Recipe, run: Path, *, device: str = "auto", fresh: bool = False) -> TrainingResult:
    """Trains a recipe in a run folder, or goes on where the folder's newest checkpoint ended.

    fresh: an existing run is first moved aside. Raises RunError where another training holds the folder or it was
    started with another recipe, DataError for sound that cannot be used, TrainingError where training breaks down.
    """
    keep_freed_memory()
    folder = RunFolder(run.resolve() if run.name in ("", "..") else run)  # "." cannot be moved aside
    with distributed.processes(lambda: _way_on(recipe, folder)), memory_explained(MEMORY_ADVICE):
        _refuse_uneven_shares(recipe.training.batch_size)
        on = assemble.device(device)
        if distributed.is_main():
            return _lead(recipe, folder, on, fresh)
        stopped_by = _follow(on)
    sys.exit(128 + stopped_by if stopped_by else 0)  # there is one result, and the main process gives it


def _lead(recipe: Recipe, folder: RunFolder, on: torch.device, fresh: bool) -> TrainingResult:
    """The main process's part, or the only one's."""
    _refuse_other_folder(folder)
    if fresh:
        _move_aside(folder)
    with folder.locked():
        state = checkpoint.load_newest(folder.checkpoints)
        if state:
            _refuse_changed_recipe(folder, recipes.from_dict(state["recipe"]), recipe)
        is_done = bool(state) and state["step"] >= recipe.training.steps
        distributed.share(None if is_done else recipes.as_dict(recipe))
        if state and is_done:
            say(f"{folder.path} has taken its {state['step']:,} steps; raise training.steps to go on")
            newest = checkpoint.newest_path(folder.checkpoints)
            return TrainingResult(folder.path, state["step"], state["seconds"], 0.0, newest)
        return _continue(recipe, folder, state, on)


def _continue(recipe: Recipe, folder: RunFolder, state: dict[str, Any] | None, on: torch.device) -> TrainingResult:
    parts = assemble.corpora(recipe)
    target = assemble.target_corpora(recipe) if recipe.data.source_b else parts
    _tell_corpora(parts)
    if target is not parts:
        say("and, to translate to:")
        _tell_corpora(target)
    folder.recipe.write_text(recipes.dump(recipe), encoding="utf-8")
    _write_corpus_report(folder.corpus, parts, target)
    distributed.share(_identity(parts.training, target.training))

    known = assemble.restored_knowledge(recipe, state) if state else assemble.knowledge(recipe, parts.training)
    _refuse_other_labels(recipe, known, parts.training)
    distributed.share(known.state())
    training = assemble.training(recipe, on)
    batches = assemble.batches(recipe, parts.training, on, known)
    shown = assemble.shown(recipe, parts)

    def current() -> Model:
        return assemble.generating_model(recipe, training, known, shown)

    if state:
        training.restore(state)
        say(f"going on from step {training.step:,} of {folder.path}")
        _tell_changed_sound(state, parts.training)
    for line in assemble.autotune(recipe, training, batches(0)):
        say(line)
    evaluation = periodic_evaluation(recipe, target, current)
    give_back_freed_memory()
    distributed.share(training.state())
    monitor = assemble.monitor(recipe, folder, training, state["seconds"] if state else 0.0, current)
    stopped_by = run_session(
        training,
        batches,
        monitor,
        checkpoints=folder.checkpoints,
        steps=recipe.training.steps,
        checkpoint_every=recipe.training.checkpoint_every,
        keep_last=recipe.training.keep_last,
        keep_every=recipe.training.keep_every,
        description=assemble.describe(recipe, parts.training, known),
        evaluation=evaluation,
        watch=assemble.make_watchdog(recipe, target.training, current),
        resumed=state,
    )
    newest = checkpoint.newest_path(folder.checkpoints)
    speed = monitor.steps_per_second
    return TrainingResult(folder.path, training.step, monitor.seconds, speed, newest, stopped_by)


def _follow(on: torch.device) -> Signals | None:
    """Any other process's part: the same steps on clips of its own, from what the main one shares."""
    settings = distributed.share()
    if settings is None:  # all steps are taken
        return None
    recipe = recipes.from_dict(settings)
    theirs = distributed.share()  # so the main process decodes the sound, and the others find it in the cache
    corpus = assemble.corpora(recipe).training
    _refuse_other_sound(_identity(corpus, assemble.target_corpora(recipe).training), theirs)
    known = assemble.restored_knowledge(recipe, distributed.share())
    training = assemble.training(recipe, on)
    batches = assemble.batches(recipe, corpus, on, known)
    training.restore(distributed.share())
    assemble.autotune(recipe, training, batches(0))
    return follow_session(training, batches, steps=recipe.training.steps)


def dry_run(recipe: Recipe) -> dict[str, int]:
    """Learned numbers of each network that the recipe asks for."""
    with torch.device("meta"):  # shapes without memory
        return {name: parameter_count(network) for name, network in assemble.networks(recipe).items()}


def _refuse_uneven_shares(batch_size: int) -> None:
    count = distributed.world()
    if batch_size % count:
        more = -(-batch_size // count) * count
        raise UserError(
            f"training.batch_size is {batch_size} and there are {count} processes; each takes an equal share of every "
            f"batch; start a number of processes that divides {batch_size}, or a new run with "
            f"training.batch_size={more}"
        )


def _refuse_other_sound(own: str, theirs: str) -> None:
    if own != theirs:
        raise DataError(
            f"the sound on {socket.gethostname()} is {own}, that of the main process {theirs}; all must learn from the "
            "same; copy the folder to every machine with its files unchanged"
        )


def _refuse_other_labels(recipe: Recipe, known: assemble.Knowledge, corpus: Corpus) -> None:
    """A model that knows labels by their place in the list must find the same list when it goes on."""
    if recipe.model.classes and known.label_names != corpus.label_names:
        raise DataError(
            f"the labels were {', '.join(known.label_names)} and are {', '.join(corpus.label_names)}; a run keeps its "
            "labels; bring the folders back to their names, or start a new run with --run"
        )


def _identity(corpus: Corpus, target: Corpus) -> str:
    """What must be the same on every machine."""
    lies = [[one.names, one.lengths.tolist()] for one in (corpus, target)]
    return f"{_summary(corpus)} ({hashlib.blake2b(repr(lies).encode(), digest_size=4).hexdigest()})"


def _way_on(recipe: Recipe, folder: RunFolder) -> str:
    """How to go on when a process was lost."""
    saved = list(checkpoint.steps(folder.checkpoints))
    good = f"the last checkpoint is at step {saved[-1]:,}" if saved else "there is no checkpoint yet"
    number = f"any number of processes that divides training.batch_size = {recipe.training.batch_size}"
    return f"{good}; the same command goes on from there, with {number}"


def _refuse_other_folder(folder: RunFolder) -> None:
    """A run begins in a folder of its own: in one of sound, say, it would be lost among the files."""
    if not folder.path.is_dir() or folder.recipe.exists():
        return
    others = sorted(path.name for path in folder.path.iterdir() if not path.name.startswith((".", "lock")))
    if others:
        raise RunError(
            f"{folder.path} holds {others[0]} and no recipe.yaml, so it is no run; a run has a folder of its own; "
            "name a new one with --run"
        )


def _move_aside(folder: RunFolder) -> None:
    if folder.recipe.exists():
        with folder.locked():  # nobody else is training there
            pass
        say(f"moved the earlier run to {folder.move_aside()}")


def _refuse_changed_recipe(folder: RunFolder, old: Recipe, new: Recipe) -> None:
    changes = recipes.differences(old, new)
    if changes:
        lines = "\n".join(f"  {change}" for change in changes)
        raise RunError(
            f"{folder.path} was started with another recipe; a run keeps its recipe; take the old values, or name "
            f"another folder with --run, or start again with --fresh (the old run is kept aside):\n{lines}"
        )


def _write_corpus_report(path: Path, parts: assemble.Corpora, target: assemble.Corpora) -> None:
    """What the run learns from, and translates to, and what was left out, as JSON."""
    report = _report(parts)
    if target is not parts:
        report["source_b"] = _report(target)
    path.write_text(json.dumps(report, indent=1) + "\n")  # escaped, as file names need not be valid text


def _report(parts: assemble.Corpora) -> dict[str, Any]:
    training, held_out, split = parts
    return {
        "files": len(training.names),
        "seconds": round(training.seconds, 3),
        "label_names": training.label_names,
        "split": split,
        "held_out_files": held_out.names if held_out else [],
        "held_out_seconds": round(held_out.seconds, 3) if held_out else 0,
        "skipped": parts.skipped,
    }


def _tell_corpora(parts: assemble.Corpora) -> None:
    say(f"learning from {_summary(parts.training)}")
    if parts.held_out:
        say(f"held out: {_summary(parts.held_out)} ({parts.split})")
    skipped = parts.skipped
    if skipped:
        say(f"skipped, since it cannot be used: {len(skipped):,} of the files")
        for name, reason in list(skipped.items())[:SHOWN_SKIPS]:
            say(f"  {name}: {reason}")
        if len(skipped) > SHOWN_SKIPS:
            say(f"  … and {len(skipped) - SHOWN_SKIPS} more, all named in the run's corpus.json")


def _tell_changed_sound(state: dict[str, Any], corpus: Corpus) -> None:
    if (state["files"], state["seconds_of_sound"]) != (len(corpus.names), corpus.seconds):
        was = f"{state['files']:,} files, {state['seconds_of_sound']:.1f} seconds"
        say(f"warning: the sound has changed since; the run learned from {was} so far, and from here on from the above")


def _summary(corpus: Corpus) -> str:
    labels = f", {len(corpus.label_names)} labels" if corpus.label_names else ""
    length = f"{corpus.seconds:.1f} seconds" if corpus.seconds < 100 else f"{corpus.seconds / 60:.1f} minutes"
    files = "1 file" if len(corpus.names) == 1 else f"{len(corpus.names):,} files"
    return f"{files}, {length} at {corpus.sample_rate:,} Hz{labels}"
