"""Models of a recipe that make clips, and what a training tells and keeps."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wavegan import recipe as recipes
from wavegan.assemble.networks import networks
from wavegan.assemble.sound import Knowledge, windows
from wavegan.audio import files
from wavegan.audio.corpus import Corpus
from wavegan.evaluation import figures
from wavegan.generation import Model, generate
from wavegan.recipe import Recipe
from wavegan.training.loop import Training
from wavegan.training.monitor import Monitor, Preview, open_tensorboard
from wavegan.training.run_folder import RunFolder
from wavegan.training.session import CollapsePolicy
from wavegan.training.watchdog import Watchdog

PREVIEW_GAP_SECONDS = 0.5
WATCHED_CLIPS = 32  # before every checkpoint
Shown = Callable[[Sequence[int]], Tensor] | None
GENERATING = {"gan": "generator", "vae": "generator", "translation": "a_to_b"}  # by method, what makes the clips


def model(
    recipe: Recipe,
    generator: nn.Module,
    known: Knowledge,
    *,
    step: int,
    precision: str = "fp32",
    shown: Shown = None,
) -> Model:
    """A recipe's generator, whatever its weights, with all that generation needs to know.

    shown: of a translation, the clips that it is given in place of latents.
    """
    return Model(
        generator=generator,
        latent=recipe.model.latent,
        latent_dim=recipe.model.latent_dim,
        clip_samples=recipe.model.clip_samples,
        channels=recipe.data.channels,
        sample_rate=recipe.data.sample_rate,
        name=recipe.name,
        step=step,
        label_names=known.label_names,
        classes=recipe.model.classes,
        representation=known.representation,
        precision=precision,
        shown=shown,
    )


def generating_model(recipe: Recipe, made: Training, known: Knowledge, shown: Shown = None) -> Model:
    """What makes clips in a training as it is now, its running average where there is one."""
    name = GENERATING[recipe.method.name]
    generator = made.averages.get(name, made.method.networks[name])
    return model(recipe, generator, known, step=made.step, shown=shown)


def untrained_model(recipe: Recipe, trained: Model) -> Model:
    """A model with the weights that its recipe's training started from."""
    generator = networks(recipe)[GENERATING[recipe.method.name]]
    return replace(trained, generator=generator.eval().to(trained.device), step=0)


def monitor(recipe: Recipe, folder: RunFolder, made: Training, seconds: float, current: Callable[[], Model]) -> Monitor:
    """What tells of a training that goes on from the step it has reached; current() gives its model as it is then."""
    settings = recipe.monitor

    def preview(step: int) -> Preview:
        return write_preview(folder.previews, current(), step, settings.preview_count)

    return Monitor(
        folder.log,
        step=made.step,
        steps=recipe.training.steps,
        seconds=seconds,
        log_every=settings.log_every,
        preview_every=settings.preview_every,
        preview=preview,
        tensorboard=open_tensorboard(folder.tensorboard, settings.tensorboard, made.step),
    )


def make_watchdog(recipe: Recipe, corpus: Corpus, current: Callable[[], Model]) -> CollapsePolicy:
    """What looks for a collapse, measured by what clips of the corpus are themselves like."""
    real = windows(recipe, corpus, seed=0).batch(0, WATCHED_CLIPS)
    return CollapsePolicy(
        Watchdog(real),
        clips=lambda: sample(current(), WATCHED_CLIPS),
        on_collapse=recipe.training.on_collapse,
        max_rollbacks=recipe.training.max_rollbacks,
    )


def sample(made: Model, count: int) -> Tensor:
    """Clips 0, 1, … of seed 0, (count, C, T), of a model that may be in the middle of its training."""
    was_training = made.generator.training
    made.generator.eval()
    clips = torch.cat(list(generate(made, count, batch_size=8)))
    made.generator.train(was_training)
    return clips


def write_preview(folder: Path, made: Model, step: int, count: int) -> Preview:
    """Clips 0, 1, … of seed 0 as one WAV, with pauses between, and as a picture; the same latents at every step."""
    clips = sample(made, count)
    folder.mkdir(parents=True, exist_ok=True)
    pause = torch.zeros(made.channels, round(PREVIEW_GAP_SECONDS * made.sample_rate))
    spaced = torch.cat([part for clip in clips for part in (clip, pause)], dim=1)
    files.write(folder / f"step-{step:08d}.wav", spaced.numpy(), made.sample_rate)
    picture = folder / f"step-{step:08d}.png"
    figures.preview(picture, clips, made.sample_rate)
    return Preview(clips, picture, made.sample_rate)


def describe(recipe: Recipe, corpus: Corpus, known: Knowledge) -> dict[str, Any]:
    """What every checkpoint carries beside the training's state, so that it can be used without its run."""
    return {
        "recipe": recipes.as_dict(recipe),
        **known.state(),
        "files": len(corpus.names),
        "seconds_of_sound": corpus.seconds,
    }
