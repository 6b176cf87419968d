"""Training a recipe in a run folder, or going on where it ended."""

from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Any

import torch

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.audio.corpus import Corpus
from wavegan.errors import RunError
from wavegan.jobs.telling import say
from wavegan.models.wavegan import parameter_count
from wavegan.recipe import Recipe
from wavegan.training import checkpoint
from wavegan.training.run_folder import RunFolder
from wavegan.training.session import run_session

SHOWN_SKIPS = 20


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
    folder = RunFolder(run)
    if fresh:
        _move_aside(folder)
    with folder.locked():
        _refuse_changed_recipe(folder, recipe)
        state = checkpoint.load_newest(folder.checkpoints)
        if state and state["step"] >= recipe.training.steps:
            say(f"{run} has taken its {state['step']:,} steps; raise training.steps to go on")
            newest = checkpoint.newest_path(folder.checkpoints)
            return TrainingResult(run, state["step"], state["seconds"], 0.0, newest)
        return _continue(recipe, folder, state, assemble.device(device))


def _continue(recipe: Recipe, folder: RunFolder, state: dict[str, Any] | None, on: torch.device) -> TrainingResult:
    parts = assemble.corpora(recipe)
    _tell_corpora(parts)
    folder.recipe.write_text(recipes.dump(recipe))
    assemble.write_corpus_report(folder.corpus, parts)

    training = assemble.training(recipe, on)
    batches = assemble.batches(recipe, parts.training, on)
    if state:
        training.restore(state)
        say(f"going on from step {training.step:,} of {folder.path}")
    if assemble.settle_precision(training, batches(0)):
        say(f"training.precision auto: {training.precision} is the faster one on this {on.type}")
    monitor = assemble.monitor(recipe, folder, training, state["seconds"] if state else 0.0)
    stopped_by = run_session(
        training,
        batches,
        monitor,
        checkpoints=folder.checkpoints,
        steps=recipe.training.steps,
        checkpoint_every=recipe.training.checkpoint_every,
        keep_last=recipe.training.keep_last,
        keep_every=recipe.training.keep_every,
        description=assemble.describe(recipe, parts.training),
    )
    newest = checkpoint.newest_path(folder.checkpoints)
    speed = monitor.steps_per_second
    return TrainingResult(folder.path, training.step, monitor.seconds, speed, newest, stopped_by)


def dry_run(recipe: Recipe) -> dict[str, int]:
    """Learned numbers of each network that the recipe asks for."""
    return {name: parameter_count(network) for name, network in assemble.networks(recipe).items()}


def _move_aside(folder: RunFolder) -> None:
    if folder.path.is_dir():
        with folder.locked():  # nobody else is training there
            pass
        say(f"moved the earlier run to {folder.move_aside()}")


def _refuse_changed_recipe(folder: RunFolder, recipe: Recipe) -> None:
    if not (folder.recipe.exists() and checkpoint.steps(folder.checkpoints)):
        return
    changes = recipes.differences(recipes.load(folder.recipe), recipe)
    if changes:
        lines = "\n".join(f"  {change}" for change in changes)
        raise RunError(
            f"{folder.path} was started with another recipe; a run keeps its recipe; take the old values, or name "
            f"another folder with --run, or start again with --fresh (the old run is kept aside):\n{lines}"
        )


def _tell_corpora(parts: assemble.Corpora) -> None:
    say(f"learning from {_summary(parts.training)}")
    if parts.held_out:
        say(f"held out: {_summary(parts.held_out)} ({parts.split})")
    skipped = parts.training.skipped
    if skipped:
        say(f"skipped {len(skipped)} files that cannot be used:")
        for name, reason in list(skipped.items())[:SHOWN_SKIPS]:
            say(f"  {name}: {reason}")
        if len(skipped) > SHOWN_SKIPS:
            say(f"  … and {len(skipped) - SHOWN_SKIPS} more, all named in the run's corpus.json")


def _summary(corpus: Corpus) -> str:
    labels = f", {len(corpus.label_names)} labels" if corpus.label_names else ""
    return f"{len(corpus.names):,} files, {corpus.seconds / 60:.1f} minutes at {corpus.sample_rate:,} Hz{labels}"
