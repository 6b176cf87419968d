"""Judging a training while it goes on, by the same figures and the same held-out sound as `wavegan evaluate`."""

import time
from collections.abc import Callable

from wavegan import assemble
from wavegan.commands.evaluation_data import agreed_count, generated, ground_of_parts
from wavegan.commands.telling import say
from wavegan.errors import DataError
from wavegan.evaluation.evaluate import Reference, score
from wavegan.evaluation.metrics import METRICS
from wavegan.evaluation.views import Views
from wavegan.generation import Model
from wavegan.recipe import Recipe
from wavegan.training.session import Evaluation

HEADLINE = "kad_l"
# Those that cost little: their interval is not a matter of hundreds of matrix roots, as a Fréchet distance's is.
WATCHED = tuple(name for name, metric in METRICS.items() if not name.startswith("fad") and name != "copy_z")
RESAMPLES = 50
TRAINING_CLIPS = 2000  # that copies are looked for among


def periodic_evaluation(recipe: Recipe, parts: assemble.Corpora, current: Callable[[], Model]) -> Evaluation | None:
    """How a recipe's training is to be judged while it goes on; None, with a line, where too little is held out.

    parts: what its clips are to be like. current() gives the model as it is then.
    """
    if not recipe.evaluation.every:
        return None
    started = time.monotonic()
    ground = ground_of_parts(recipe, parts, seed=0)
    try:
        count = agreed_count(recipe.evaluation.count, ground)
    except DataError as fault:  # it can be trained all the same
        say(f"warning: this training is not judged while it goes on: {fault}")
        return None
    learned = ground.training.first(TRAINING_CLIPS) if ground.training else None
    reference = Reference(ground.reference.first(count), ground.form.sample_rate, training=learned)

    def figures(seen: Views) -> dict[str, float]:
        found = reference.estimates(seen, only=WATCHED, count=RESAMPLES)
        scores = {name: score(values, count) for name, values in found.items()}
        named = {"": "value", "_low": "low", "_high": "high"}
        return {f"{name}{end}": one[part] for name, one in scores.items() for end, part in named.items()}

    def judge() -> dict[str, float]:
        model = current()
        was_training = model.generator.training
        model.generator.eval()
        found = figures(reference.look(generated(model, count, seed=0)))
        model.generator.train(was_training)
        return found

    real = figures(reference.look(ground.real.first(count)))
    say(
        f"judged every {recipe.evaluation.every:,} steps by {count:,} held-out clips; {HEADLINE} of as many other real "
        f"ones is {real[HEADLINE]:.2f} [{real[HEADLINE + '_low']:.2f}, {real[HEADLINE + '_high']:.2f}] "
        f"(prepared in {time.monotonic() - started:.0f} s)"
    )
    return Evaluation(recipe.evaluation.every, HEADLINE, judge)
