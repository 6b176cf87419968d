"""Makes the models of a recipe that generate clips, and what a training shows and keeps."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wavegan import recipe as recipes
from wavegan.assemble import networks
from wavegan.assemble.corpora import Corpora
from wavegan.assemble.overfitting import measured_overfitting
from wavegan.assemble.split_record import SplitRecord
from wavegan.assemble.trackers import trackers
from wavegan.assemble.training import method
from wavegan.assemble.training_clips import training_clips
from wavegan.audio import writing
from wavegan.audio.windows import Windows
from wavegan.evaluation.pages import spectrogram_images
from wavegan.generation import Model, generate
from wavegan.models.evaluation_mode import evaluation_mode
from wavegan.recipe import Recipe
from wavegan.training.loop import Training
from wavegan.training.monitor import Monitor
from wavegan.training.run_folder import RunFolder
from wavegan.training.tracker_services import Preview
from wavegan.training.watchdog import CollapsePolicy, Watchdog

PREVIEW_GAP_SECONDS = 0.5
WATCHED_CLIPS = 32  # the watchdog looks at so many each time
SourceClips = Callable[[Sequence[int]], Tensor] | None
# Each method makes its clips by this network.
GENERATING = {"gan": "generator", "vae": "generator", "translation": "a_to_b"}


def model(
    recipe: Recipe,
    generator: nn.Module,
    label_names: Sequence[str],
    label_counts: Sequence[int],
    *,
    step: int,
    precision: str = "fp32",
    source_clips: SourceClips = None,
) -> Model:
    """Wraps a recipe's generator, with any weights, in a Model that has all that generation needs to know.

    source_clips: in a translation, the clips that the generator takes in place of latents.
    """
    return Model(
        generator=generator,
        clip_samples=recipe.data.clip_samples,
        channels=recipe.data.channels,
        sample_rate=recipe.data.sample_rate,
        name=recipe.name,
        step=step,
        label_names=tuple(label_names),
        label_counts=tuple(label_counts),
        precision=precision,
        source_clips=source_clips,
    )


def generating_model(
    recipe: Recipe,
    training: Training,
    label_names: Sequence[str],
    label_counts: Sequence[int],
    source_clips: SourceClips = None,
) -> Model:
    """Returns the model that makes clips in a training as it is now.

    It is the running average if there is one.
    """
    name = GENERATING[recipe.method.name]
    generator = training.averages.get(name, training.method.networks[name])
    return model(recipe, generator, label_names, label_counts, step=training.step, source_clips=source_clips)


def untrained_model(recipe: Recipe, trained: Model) -> Model:
    """Returns a model with the weights that its recipe's training started from."""
    generator = method(recipe, trained.device).networks[GENERATING[recipe.method.name]]
    for part, measured in zip(*map(networks.measured_parts, (generator, trained.generator)), strict=True):
        for statistic, value in zip(part.buffers(), measured.buffers(), strict=True):
            statistic.copy_(value)
    return replace(trained, generator=generator.eval(), step=0)


def monitor(
    recipe: Recipe, folder: RunFolder, training: Training, parts: Corpora, seconds: float, current: Callable[[], Model]
) -> Monitor:
    """Makes the monitor of a training, from the step it has reached.

    parts: the sound that it learns from. current() returns its model at that time.
    """
    settings = recipe.monitor

    def preview(step: int) -> Preview:
        return write_preview(folder.previews, current(), step, settings.preview_count)

    return Monitor(
        folder.log,
        step=training.step,
        steps=recipe.training.steps,
        seconds=seconds,
        log_every=settings.log_every,
        preview_every=settings.preview_every,
        preview=preview,
        measured=measured_overfitting(recipe, parts, training) if settings.preview_every else None,
        trackers=trackers(recipe, folder, training.step),
    )


def make_watchdog(recipe: Recipe, clips: Windows, current: Callable[[], Model]) -> CollapsePolicy:
    """Makes the policy that detects a collapse by comparison with real clips."""
    return CollapsePolicy(
        Watchdog(clips.batch(0, WATCHED_CLIPS)),
        clips=lambda: sample(current(), WATCHED_CLIPS, limits=False),
        on_collapse=recipe.training.on_collapse,
        max_rollbacks=recipe.training.max_rollbacks,
    )


def sample(model: Model, count: int, *, limits: bool = True) -> Tensor:
    """Returns clips 0, 1, … of seed 0, (count, C, T), of a model that may be in the middle of its training."""
    with evaluation_mode(model.generator):
        return torch.cat(list(generate(model, count, batch_size=8, limits=limits)))


def write_preview(folder: Path, model: Model, step: int, count: int) -> Preview:
    """Writes clips 0, 1, … of seed 0 as one WAV, with pauses between, and as a picture.

    The latents are the same at every step.
    """
    clips = sample(model, count)
    folder.mkdir(exist_ok=True)
    pause = torch.zeros(model.channels, round(PREVIEW_GAP_SECONDS * model.sample_rate))
    spaced = torch.cat([part for clip in clips for part in (clip, pause)], dim=1)
    sound, picture = (folder / f"step-{step:08d}.{ending}" for ending in ("wav", "png"))
    writing.write(sound, spaced.numpy(), model.sample_rate)
    spectrogram_images.preview(picture, clips, model.sample_rate)
    return Preview(clips, sound, picture, model.sample_rate)


def checkpoint_description(recipe: Recipe, source: Corpora, target: Corpora) -> dict[str, Any]:
    """Returns what a checkpoint holds beside the training's state, so that it can be used without its run."""
    description = {
        "recipe": recipes.as_dict(recipe),
        "label_names": list(source.training.label_names),
        "label_counts": training_clips(recipe, source).label_counts,
        "files": len(source.training.names),
        "seconds_of_sound": source.training.seconds,
        **SplitRecord.of(source.training, source.held_out).state(),
    }
    if target is not source:
        description |= SplitRecord.of(target.training, target.held_out).state("_b")
    return description
