"""The sound of a recipe: what is learned from, what is kept for judging, and what the networks see of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from wavegan import distributed
from wavegan.audio.corpus import Corpus, load_corpus
from wavegan.audio.splits import hold_out
from wavegan.audio.windows import Windows
from wavegan.dsp.representation import LogSpectrogram, Representation, Waveform
from wavegan.errors import DataError
from wavegan.methods.base import Batch
from wavegan.recipe import Recipe
from wavegan.recipe.schema import Data
from wavegan.seeding import derive
from wavegan.training.loop import Batches
from wavegan.training.prefetch import Prefetcher

MEASURED_CLIPS = 4096  # from which the statistics of spectrograms are taken
BATCH_SIZE = 64


class Corpora(NamedTuple):
    """What is learned from, what is kept for judging (None where there is nothing), and how the two were parted."""

    training: Corpus
    held_out: Corpus | None
    split: str

    @property
    def skipped(self) -> dict[str, str]:
        """Names of the files that cannot be used, with the reason."""
        return self.training.skipped | (self.held_out.skipped if self.held_out else {})


def corpora(recipe: Recipe) -> Corpora:
    """The recipe's sound, decoded or from the cache, in a part to learn from and one to judge by.

    Of a translation it is what is translated; `target_corpora` gives what it is translated to.
    """
    return _parted(recipe.data, recipe.data.source, recipe.data.test)


def target_source(recipe: Recipe) -> tuple[str, ...]:
    """The source that a model's sound is to be like: the second one of a translation."""
    return recipe.data.source_b or recipe.data.source


def target_corpora(recipe: Recipe) -> Corpora:
    """What a model's sound is to be like: the second source of a translation, else the same as `corpora`."""
    if recipe.data.source_b is None:
        return corpora(recipe)
    return _parted(recipe.data, recipe.data.source_b, recipe.data.test_b)


def windows(recipe: Recipe, corpus: Corpus, *, seed: int) -> Windows:
    """The clips of a corpus that the recipe asks for."""
    return Windows(corpus, recipe.model.clip_samples, recipe.data.windows, seed)


@dataclass(frozen=True)
class Knowledge:
    """What a model must know of the sound it has learned from: its labels, and what it sees of clips."""

    label_names: tuple[str, ...]
    representation: Representation

    def state(self) -> dict:
        """Tensors and plain values, for a checkpoint."""
        return {"label_names": list(self.label_names), "representation": self.representation.state()}


def knowledge(recipe: Recipe, corpus: Corpus) -> Knowledge:
    """What is to be known of a corpus that a recipe learns from; a pass over it where it is seen as spectrograms.

    Raises DataError where the recipe's model knows another number of labels.
    """
    _refuse_other_labels(recipe, corpus)
    return Knowledge(corpus.label_names, _representation(recipe, _clips_in_turn(recipe, corpus)))


def restored_knowledge(recipe: Recipe, state: dict) -> Knowledge:
    """What `Knowledge.state` gave, of a training of this recipe."""
    representation = Waveform()
    if recipe.representation.name == "log_spectrogram":
        representation = LogSpectrogram.restored(state["representation"], **_settings(recipe))
    return Knowledge(tuple(state["label_names"]), representation)


def batches(recipe: Recipe, corpus: Corpus, on: torch.device, known: Knowledge | None = None) -> Batches:
    """Batches of training clips on a device; the corpus itself moves there where it fits or the recipe says so.

    Where it stays with the host, an accelerator's batches are made and copied one ahead.
    """
    known = known or knowledge(recipe, corpus)
    target = target_corpora(recipe).training if recipe.data.source_b else None
    there = [one for one in (corpus, target) if one]
    is_there = on.type == "cpu" or _belongs_on_device(recipe.data.on_device, sum(map(_bytes, there)), on)
    seed = recipe.training.seed
    clips = windows(recipe, corpus.to(on) if is_there else corpus, seed=seed)
    others = None
    if target:  # in an order of its own, or two kits that play the same hits would come in pairs
        others = windows(recipe, target.to(on) if is_there else target, seed=derive(seed, 0, "second source"))
    count, own = recipe.training.batch_size, distributed.own_part(recipe.training.batch_size)

    def make(draw: int) -> Batch:
        x = known.representation.encode(clips.batch(draw, count, own))
        labels = None
        if recipe.model.classes:
            labels = F.one_hot(clips.labels(draw, count, own), recipe.model.classes).to(x, non_blocking=True)
        return Batch(x, labels, others.batch(draw, count, own) if others else None)

    return make if is_there else Prefetcher(make, on)


def shown(recipe: Recipe, parts: Corpora) -> Callable[[Sequence[int]], Tensor] | None:
    """Clips by number that a translation is given where others are given latents; None where no clips are needed.

    They are of what was held out, where anything was, and come over and over where more are asked for.
    """
    if recipe.method.name != "translation":
        return None
    found = windows(recipe, parts.held_out or parts.training, seed=0)
    return lambda numbers: torch.cat([found.batch(number % len(found), 1) for number in numbers])


def _parted(data: Data, source: Sequence[str], test: Sequence[str] | None) -> Corpora:
    def load(source: Sequence[str]) -> Corpus:
        return load_corpus(
            source,
            data.sample_rate,
            data.channels,
            normalize=data.normalize,
            max_bad_fraction=data.max_bad_fraction,
        )

    whole = load(source)
    if test is not None:
        return Corpora(whole, load(test), f"data.test: {', '.join(test)}")
    if not data.holdout:
        return Corpora(whole, None, "nothing held out (data.holdout is 0)")
    training, held_out = hold_out(whole, data.holdout)
    return Corpora(training, held_out, f"a share of {data.holdout:g} of the source, chosen by file name")


def _representation(recipe: Recipe, clips: Iterator[Tensor]) -> Representation:
    if recipe.representation.name == "waveform":
        return Waveform()
    return LogSpectrogram.of(clips, **_settings(recipe))


def _settings(recipe: Recipe) -> dict[str, Any]:
    """Those of a log spectrogram."""
    settings = recipe.representation
    return {"clip_deviations": settings.clip_deviations, "iterations": settings.griffin_lim_iterations}


def _clips_in_turn(recipe: Recipe, corpus: Corpus) -> Iterator[Tensor]:
    """The corpus's clips, each once where there are no more than are measured."""
    found = windows(recipe, corpus, seed=recipe.training.seed)
    count = min(len(found), MEASURED_CLIPS)
    size = min(BATCH_SIZE, count)
    for draw in range(-(-count // size)):
        yield found.batch(draw, size, slice(count - draw * size))


def _refuse_other_labels(recipe: Recipe, corpus: Corpus) -> None:
    classes, names = recipe.model.classes, corpus.label_names
    if not classes:
        return
    if len(names) != classes:
        there = f"{len(names)} ({', '.join(names[:20])}{', …' if len(names) > 20 else ''})" if names else "none"
        remedy = f"try model.classes={len(names)}" if len(names) > 1 else "put the files into a folder for each label"
        raise DataError(
            f"model.classes is {classes}; it must be the number of labels that the sound has: {there}; {remedy}"
        )
    unlabelled = [name for name, label in zip(corpus.names, corpus.labels, strict=True) if label < 0]
    if unlabelled:
        raise DataError(
            f"{len(unlabelled):,} files have no label, the first is {unlabelled[0]}; model.classes is {classes}, so "
            "each needs one; put them into a folder for each label, or try model.classes=0"
        )


def _bytes(corpus: Corpus) -> int:
    return corpus.samples.numel() * corpus.samples.element_size()


def _belongs_on_device(choice: str | bool, size: int, on: torch.device) -> bool:
    if choice != "auto" or on.type != "cuda":
        return choice is True or choice == "auto"
    free, _ = torch.cuda.mem_get_info(on)
    return size < free / 4  # the rest is for the step
