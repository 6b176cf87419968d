"""Does speed change the result? One recipe by the plain fp32 step, and by the fast one in fp32 and in bf16.

    python benchmarks/same_result.py recipes/digits.yaml training.steps=600 --seeds 3 \
        generator.dim=8 discriminators.waveform.dim=8

All rates stay as they begin (the plain step knows no decay). All runs are measured alike: every so many steps the
generator's running average makes clips, whose log-mel Fréchet distance to held-out real ones is taken, and the
discriminator gives in fp32 its Wasserstein estimate on fresh clips. Each run
becomes a JSON file in the folder `--out`; one that is there is not run again. A picture and a table follow.
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor
from tqdm import trange

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.bench.baseline_timing import BaselineTiming
from wavegan.commands.bench import plain_settings
from wavegan.commands.memory import keep_freed_memory
from wavegan.evaluation.features import log_mel_statistics, standardize
from wavegan.evaluation.metrics import METRICS
from wavegan.evaluation.resampling import resamples
from wavegan.generation import Model, generate
from wavegan.models.layers import Convolution, NearestUpsampling, TransposedConvolution
from wavegan.recipe import Recipe
from wavegan.seeding import seed_torch
from wavegan.training.ema import update_average
from wavegan.training.loop import Batches, Training, take_step

VARIANTS = {"plain fp32": "tab:blue", "fast fp32": "tab:green", "fast bf16": "tab:orange"}
CLIPS, POINTS = 300, 12


def main() -> None:
    """Runs what is missing, then draws and tells."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("recipe")
    options.add_argument("overrides", nargs="*")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--only", choices=VARIANTS, help="run this one alone, in a second process say")
    options.add_argument("--out", type=Path, default=Path("runs/same_result"))
    options.add_argument("--picture", type=Path, default=Path("docs/performance/same_result.png"))
    given = options.parse_intermixed_args()
    given.out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    for seed in range(given.seeds):
        for variant in VARIANTS:
            path = given.out / f"{variant.replace(' ', '-')}-{seed}.json"
            if not path.exists() and given.only in (None, variant):
                recipe = recipes.load(
                    given.recipe, [*given.overrides, "training.lr_decay=none", f"training.seed={seed}"]
                )
                path.write_text(json.dumps(run(recipe, variant, path.stem)))
    paths = {variant: sorted(given.out.glob(f"{variant.replace(' ', '-')}-*.json")) for variant in VARIANTS}
    curves = {variant: [json.loads(path.read_text()) for path in found] for variant, found in paths.items()}
    if all(len(found) == given.seeds for found in curves.values()):
        draw(curves, given.picture)
        print(table(curves))


def run(recipe: Recipe, variant: str, name: str) -> dict[str, list[float]]:
    """Trains one variant from start to end and measures on the way."""
    parts = assemble.corpora(recipe)
    assert parts.held_out is not None, "the recipe must hold something out"
    clips = assemble.training_clips(recipe, parts)
    training = assemble.training(recipe, torch.device("cpu"), clips)
    training.precision = variant.split()[1]
    batches = assemble.batches(recipe, clips, training.device)
    plain = PlainRun(recipe, training) if variant.startswith("plain") else None
    held_out = assemble.windows(recipe, parts.held_out, seed=1)
    reference = log_mel_statistics(held_out.batch(0, min(CLIPS, len(held_out))), recipe.data.sample_rate)
    found: dict[str, list[float]] = {"step": [], "wasserstein": [], "distance": []}
    every = recipe.training.steps // POINTS
    for step in trange(recipe.training.steps + 1, desc=name):
        training.step = step
        if step % every == 0:
            found["step"].append(step)
            found["wasserstein"].append(wasserstein(training, batches(10**6 + step).x, recipe.generator.latent_dim))
            found["distance"].append(
                distance(assemble.generating_model(recipe, training, clips.label_names), reference)
            )
        if plain:
            plain.step(batches)
        else:
            take_step(training, batches)
    return found


class PlainRun:
    """The plain step in the place of a training's own: same start, same clips, its results put back."""

    def __init__(self, recipe: Recipe, training: Training):
        self.training, self.settings = training, plain_settings(recipe)
        self.timing = BaselineTiming(self.settings, "cpu", torch.get_num_threads())
        self.pairs = []
        for theirs, ours in zip(
            (self.timing.plain.generator, self.timing.plain.discriminator),
            training.method.networks.values(),
            strict=True,
        ):
            kinds = Convolution | TransposedConvolution | NearestUpsampling
            kernels = [layer for layer in ours.modules() if isinstance(layer, kinds)]
            for layer, kernel in zip(theirs.layers, kernels, strict=True):
                self.pairs += [(layer.weight, kernel.kernel), (layer.bias, kernel.bias)]
            self.pairs += [(theirs.dense.weight, ours.dense.weight), (theirs.dense.bias, ours.dense.bias)]
        with torch.no_grad():
            for held, given in self.pairs:
                held.copy_(given)

    def step(self, batches: Batches) -> None:
        """One step in fp32, with draws of its own, and the running average."""
        timing, updates = self.timing, self.settings.discriminator_steps
        seed_torch(self.training.seed, self.training.step, "plain step")
        for update in range(updates):
            timing.real = batches(self.training.step * (updates + 1) + update).x
            timing.update_discriminator()
        timing.update_generator()
        with torch.no_grad():
            for held, given in self.pairs:
                given.copy_(held)
        generator = self.training.method.networks["generator"]
        update_average(self.training.averages["generator"], generator, decay=self.training.ema, step=self.training.step)


@torch.no_grad()
def wasserstein(training: Training, clips: Tensor, latent_dim: int) -> float:
    """The discriminator's mean score of training clips less that of the generator's, in fp32."""
    generator, discriminator = (
        training.method.networks["generator"],
        training.method.networks["discriminators.waveform"],
    )
    with torch.random.fork_rng([]):
        seed_torch(0, 0, "measure")
        z = torch.rand(len(clips), latent_dim) * 2 - 1
        return (discriminator(clips).mean() - discriminator(generator(z)).mean()).item()


def distance(model: Model, reference: np.ndarray) -> float:
    """The log-mel Fréchet distance of the averaged generator's clips to the held-out ones."""
    clips = torch.cat(list(generate(model, CLIPS)))
    features = standardize(log_mel_statistics(clips, model.sample_rate), reference)
    return resamples(METRICS["fad_l"], features, standardize(reference, reference), seed=0, count=0)[0]


def draw(curves: dict[str, list[dict[str, list[float]]]], path: Path) -> None:
    """Both curves of every run, one colour for each variant."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    titles = {"wasserstein": "Wasserstein estimate", "distance": "log-mel Fréchet distance to held-out clips"}
    for axis, (key, title) in zip(axes, titles.items(), strict=True):
        for variant, runs in curves.items():
            for number, one in enumerate(runs):
                label = variant if number == 0 else None
                axis.plot(one["step"][1:], one[key][1:], color=VARIANTS[variant], alpha=0.8, label=label)
        axis.set(title=title, xlabel="step")
        axis.legend()
    axes[1].set_yscale("log")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def table(curves: dict[str, list[dict[str, list[float]]]]) -> str:
    """The means of the last quarter of each run, as Markdown: seeds, mean, and range."""
    lines = ["| last quarter of the run | seeds | mean | range |", "| --- | --- | --- | --- |"]
    for key in ("wasserstein", "distance"):
        for variant, runs in curves.items():
            means = [float(np.mean(one[key][-(POINTS // 4) :])) for one in runs]
            values = ", ".join(f"{value:.2f}" for value in means)
            spread = f"{min(means):.2f} – {max(means):.2f}"
            lines.append(f"| {key}, {variant} | {values} | {np.mean(means):.2f} | {spread} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
