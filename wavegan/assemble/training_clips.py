"""Cuts a recipe's sound into clips for the networks, and decides the number of labels."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from wavegan import distributed
from wavegan.assemble.corpora import Corpora
from wavegan.audio.checks import LEAST_PER_LABEL, Cutting
from wavegan.audio.corpus import Corpus
from wavegan.audio.windows import Windows
from wavegan.errors import DataError, some_of
from wavegan.methods.base import Batch
from wavegan.recipe import Recipe
from wavegan.seeding import derive
from wavegan.training.loop import Batches
from wavegan.training.prefetch import Prefetcher

MEASURED_CLIPS = 4096  # at most this many clips are measured for spectrogram statistics
BATCH_SIZE = 64


def windows(recipe: Recipe, corpus: Corpus, *, seed: int, vary_speed: float = 0.0) -> Windows:
    """Returns the clips of a corpus, cut as the recipe asks. vary_speed: see `Windows`."""
    return Windows(corpus, recipe.data.clip_samples, recipe.data.windows, seed, vary_speed)


def training_clips(recipe: Recipe, parts: Corpora) -> Windows:
    """Returns the clips that a recipe learns from, in the order of its seed."""
    return windows(recipe, parts.training, seed=recipe.training.seed, vary_speed=recipe.data.vary_speed)


def target_clips(recipe: Recipe, parts: Corpora) -> Windows | None:
    """Returns the clips that a translation learns to make; None for any other method.

    They are ordered by another seed; otherwise two kits with the same hits would give matching pairs.
    """
    if recipe.data.source_b is None:
        return None
    seed = derive(recipe.training.seed, 0, "second source")
    return windows(recipe, parts.training, seed=seed, vary_speed=recipe.data.vary_speed)


def label_count(recipe: Recipe) -> int:
    """Returns how many labels the recipe's networks know; 0 for none.

    It is also 0 while generator.labels is auto.
    """
    labels = getattr(recipe.generator, "labels", 0)
    return 0 if labels == "auto" else labels


def with_label_count(recipe: Recipe, count: int) -> Recipe:
    """Returns a recipe with a number in place of the value `auto` of generator.labels; any other value stays."""
    if getattr(recipe.generator, "labels", 0) != "auto":
        return recipe
    return recipe.model_copy(update={"generator": recipe.generator.model_copy(update={"labels": count})})


def with_labels(recipe: Recipe, corpus: Corpus) -> tuple[Recipe, str]:
    """Replaces the value `auto` of generator.labels with the sound's number of labels; also returns a line about it.

    The line is empty if the recipe has another value. There must be two labels or more, each file must have one, and
    each label must have five files or more on average, or five clips where these come from anywhere in a file.
    Otherwise the number is 0.
    """
    if getattr(recipe.generator, "labels", 0) != "auto":
        return recipe, ""
    files, names = len(corpus.names), corpus.label_names
    cutting = Cutting(recipe.data.clip_samples, recipe.data.windows)
    clips = int(cutting.clips(corpus).sum())
    count, reason = 0, "the sound has no labels"
    if len(names) > 1 and (missing := int((corpus.labels < 0).sum())):
        reason = f"{missing:,} of {files:,} files have no label"
    elif len(names) > 1 and clips < LEAST_PER_LABEL * len(names):
        each = f"{clips / len(names):.1f} {cutting.clips_are} each"
        reason = f"{len(names):,} labels have {each}, and {LEAST_PER_LABEL} are needed"
    elif len(names) > 1:
        count, reason = len(names), "the sound's labels"
        if unheard := [name for label, name in enumerate(names) if label not in corpus.labels]:
            remedy = "add files, or with long files set data.holdout_ends=true"
            reason += f"; not learned are {some_of(unheard)}, of which all files are held out: {remedy}"
    return with_label_count(recipe, count), f"generator.labels auto: {count}, {reason}"


def share_batch(recipe: Recipe) -> None:
    """Decides which clips of every batch this process takes; clips that a discriminator compares stay together.

    Raises UserError if there are more processes than that allows.
    """
    count, judges = recipe.training.batch_size, [*recipe.discriminators.values(), recipe.encoder]
    distributed.share_batch(count, math.lcm(*(math.gcd(count, getattr(judge, "group", 1)) for judge in judges)))


def batches(recipe: Recipe, clips: Windows, on: torch.device, targets: Windows | None = None) -> Batches:
    """Makes batches of training clips on a device.

    The sound itself moves to the device unless data.on_device is false; with `auto` on CUDA it moves only if it needs
    less than a quarter of the free memory. Otherwise each batch is made on the host and copied ahead of its step.
    targets: the clips of a translation's second source. Raises DataError if the recipe's networks know another number
    of labels, or if they know labels and a file has none.
    """
    labels_known = label_count(recipe)
    _refuse_other_labels(labels_known, clips)
    size = clips.bytes + (targets.bytes if targets else 0)
    is_there = on.type == "cpu" or _belongs_on_device(recipe.data.on_device, size, on)
    if is_there:
        clips, targets = clips.to(on), targets.to(on) if targets else None
    count, own = recipe.training.batch_size, distributed.rank_slice(recipe.training.batch_size)

    def make(draw: int) -> Batch:
        batch = labelled_batch(clips, labels_known, draw, count, own)
        return batch._replace(other=targets.batch(draw, count, own)) if targets else batch

    return make if is_there else Prefetcher(make, on)


def labelled_batch(clips: Windows, labels_known: int, draw: int, count: int, part: slice = slice(None)) -> Batch:
    """Returns a batch of clips with rows of so many labels; 0 for none."""
    x = clips.batch(draw, count, part)
    if not labels_known:
        return Batch(x)
    labels = F.one_hot(clips.labels(draw, count, part), labels_known)
    return Batch(x, labels.to(x, non_blocking=x.device.type == "cuda"))


def source_clips(recipe: Recipe, parts: Corpora) -> Callable[[Sequence[int]], Tensor] | None:
    """Returns a function from clip numbers to clips, which a translation uses instead of latents.

    Returns None for any other method. The clips are the held-out clips if there are any, else the training clips;
    numbers past the end wrap around.
    """
    if recipe.method.name != "translation":
        return None
    clips = windows(recipe, parts.held_out or parts.training, seed=0)
    return lambda numbers: torch.cat([clips.batch(index % len(clips), 1) for index in numbers])


def measured_clips(clips: Windows) -> Iterator[Tensor]:
    """Yields batches of the clips that statistics are taken from: each clip once, 4,096 at the most."""
    return (clips.batch(*place) for place in measured_places(clips))


def measured_places(clips: Windows) -> Iterator[tuple[int, int, slice]]:
    """Yields what `clips.batch` and `clips.labels` take to give these batches and their labels."""
    count = min(len(clips), MEASURED_CLIPS)
    size = min(BATCH_SIZE, count)
    for draw in range(-(-count // size)):
        yield draw, size, slice(count - draw * size)


def _refuse_other_labels(labels: int, clips: Windows) -> None:
    names = clips.label_names
    if not labels:
        return
    if len(names) != labels:
        there = f"{len(names)} ({some_of(names, 20)})" if names else "none"
        remedy = (
            f"try generator.labels={len(names)}" if len(names) > 1 else "put the files into a folder for each label"
        )
        raise DataError(
            f"generator.labels is {labels}", f"it must be the number of labels that the sound has: {there}", remedy
        )
    if unlabelled := clips.unlabelled():
        raise DataError(
            f"{len(unlabelled):,} files have no label, the first is {unlabelled[0]}",
            f"generator.labels is {labels}, so each needs one",
            "put them into a folder for each label, or try generator.labels=0",
        )


def _belongs_on_device(choice: str | bool, size: int, on: torch.device) -> bool:
    if choice != "auto" or on.type != "cuda":
        return choice is True or choice == "auto"
    free, _ = torch.cuda.mem_get_info(on)
    return size < free / 4  # the step needs the rest
