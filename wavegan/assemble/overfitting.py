"""Measures beside a training how far its discriminators know the training clips by heart."""

from collections.abc import Callable

from wavegan.assemble.corpora import Corpora
from wavegan.assemble.training_clips import label_count, labelled_batch, windows
from wavegan.methods.gan import GAN
from wavegan.recipe import Recipe
from wavegan.training.loop import Training

MOST_CLIPS = 64  # of each kind
LEAST_CLIPS = 16  # fewer say little
BATCH_SIZE = 8


def measured_overfitting(recipe: Recipe, parts: Corpora, training: Training) -> Callable[[], dict[str, float]] | None:
    """Returns a function that measures the overfitting of each discriminator as it is then, by its name in the log.

    Returns None for other methods than a GAN, and where fewer than 16 clips are held out or have other labels than
    those that are learned.
    """
    method, on = training.method, training.device
    if not isinstance(method, GAN) or parts.held_out is None:
        return None
    heard, unheard = (windows(recipe, corpus, seed=0) for corpus in (parts.training, parts.held_out))
    labels, batches = label_count(recipe), min(MOST_CLIPS, len(heard), len(unheard)) // BATCH_SIZE
    are_other_labels = unheard.label_names != heard.label_names or bool(unheard.unlabelled())
    if batches * BATCH_SIZE < LEAST_CLIPS or (labels and are_other_labels):
        return None

    sets = [
        [labelled_batch(clips, labels, draw, BATCH_SIZE).map(lambda part: part.to(on)) for draw in range(batches)]
        for clips in (heard, unheard)
    ]
    return lambda: {f"discriminators/{name}/overfitting": figure for name, figure in method.overfitting(*sets).items()}
