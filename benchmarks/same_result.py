"""Trains one recipe by the plain fp32 step, and by the fast step in fp32 and bf16: does speed change the result?

    python benchmarks/same_result.py recipes/digits.yaml training.steps=600 --seeds 3 \
        generator.dim=8 discriminators.waveform.dim=8

Learning rates stay constant, because the plain step has no decay. All runs are measured alike at regular intervals.
The generator's running average makes clips, and their log-mel Fréchet distance to held-out clips is computed. The
discriminator computes its Wasserstein estimate on a separate draw of training clips, in fp32. Each run is written to a
JSON file in the folder `--out`, and a run with a file is not repeated. At the end come a picture and a table.
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
from wavegan.models.conv1d import Convolution, NearestUpsampling, TransposedConvolution
from wavegan.recipe import Recipe
from wavegan.seeding import seed_torch
from wavegan.training.ema import update_average
from wavegan.training.loop import Batches, Training, take_step

VARIANTS = {"plain fp32": "tab:blue", "fast fp32": "tab:green", "fast bf16": "tab:orange"}
CLIPS, POINTS = 300, 12


def main() -> None:
    """Runs the missing runs; when all are there, draws the picture and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=VARIANTS, help="run this one alone, in a second process say")
    parser.add_argument("--out", type=Path, default=Path("runs/same_result"))
    parser.add_argument("--picture", type=Path, default=Path("docs/performance/same_result.png"))
    options = parser.parse_intermixed_args()
    options.out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    for seed in range(options.seeds):
        for variant in VARIANTS:
            path = options.out / f"{variant.replace(' ', '-')}-{seed}.json"
            if not path.exists() and options.only in (None, variant):
                recipe = recipes.load(
                    options.recipe, [*options.overrides, "training.lr_decay=none", f"training.seed={seed}"]
                )
                path.write_text(json.dumps(run(recipe, variant, path.stem)))
    paths = {variant: sorted(options.out.glob(f"{variant.replace(' ', '-')}-*.json")) for variant in VARIANTS}
    curves = {variant: [json.loads(path.read_text()) for path in files] for variant, files in paths.items()}
    if all(len(runs) == options.seeds for runs in curves.values()):
        draw(curves, options.picture)
        print(table(curves))


def run(recipe: Recipe, variant: str, name: str) -> dict[str, list[float]]:
    """Trains one variant from start to end and measures it at intervals."""
    parts = assemble.corpora(recipe)
    assert parts.held_out is not None, "the recipe must hold something out"
    clips = assemble.training_clips(recipe, parts)
    training = assemble.training(recipe, torch.device("cpu"), clips)
    training.precision = variant.split()[1]
    batches = assemble.batches(recipe, clips, training.device)
    plain = PlainRun(recipe, training) if variant.startswith("plain") else None
    held_out = assemble.windows(recipe, parts.held_out, seed=1)
    reference = log_mel_statistics(held_out.batch(0, min(CLIPS, len(held_out))), recipe.data.sample_rate)
    curves: dict[str, list[float]] = {"step": [], "wasserstein": [], "distance": []}
    every = recipe.training.steps // POINTS
    for step in trange(recipe.training.steps + 1, desc=name):
        training.step = step
        if step % every == 0:
            curves["step"].append(step)
            curves["wasserstein"].append(wasserstein(training, batches(10**6 + step).x, recipe.generator.latent_dim))
            curves["distance"].append(
                distance(assemble.generating_model(recipe, training, clips.label_names, clips.label_counts), reference)
            )
        if plain:
            plain.step(batches)
        else:
            take_step(training, batches)
    return curves


class PlainRun:
    """Runs the plain step in place of a training's own step.

    It starts from the same weights, uses the same clips, and copies its weights back into the training's networks.
    """

    def __init__(self, recipe: Recipe, training: Training):
        self.training, self.settings = training, plain_settings(recipe)
        self.timing = BaselineTiming(self.settings, "cpu", torch.get_num_threads())
        self.pairs = []
        for plain, fast in zip(
            (self.timing.plain.generator, self.timing.plain.discriminator),
            training.method.networks.values(),
            strict=True,
        ):
            kinds = Convolution | TransposedConvolution | NearestUpsampling
            kernels = [layer for layer in fast.modules() if isinstance(layer, kinds)]
            for layer, kernel in zip(plain.layers, kernels, strict=True):
                self.pairs += [(layer.weight, kernel.kernel), (layer.bias, kernel.bias)]
            self.pairs += [(plain.dense.weight, fast.dense.weight), (plain.dense.bias, fast.dense.bias)]
        with torch.no_grad():
            for plain_weight, weight in self.pairs:
                plain_weight.copy_(weight)

    def step(self, batches: Batches) -> None:
        """Makes one step in fp32, with random draws of its own, and updates the running average."""
        timing, updates = self.timing, self.settings.discriminator_steps
        seed_torch(self.training.seed, self.training.step, "plain step")
        for update in range(updates):
            timing.real = batches(self.training.step * (updates + 1) + update).x
            timing.update_discriminator()
        timing.update_generator()
        with torch.no_grad():
            for plain_weight, weight in self.pairs:
                weight.copy_(plain_weight)
        generator = self.training.method.networks["generator"]
        update_average(self.training.averages["generator"], generator, decay=self.training.ema, step=self.training.step)


@torch.no_grad()
def wasserstein(training: Training, clips: Tensor, latent_dim: int) -> float:
    """Returns the discriminator's mean score of training clips minus that of generated clips, in fp32."""
    generator, discriminator = (
        training.method.networks["generator"],
        training.method.networks["discriminators.waveform"],
    )
    with torch.random.fork_rng([]):
        seed_torch(0, 0, "measure")
        z = torch.rand(len(clips), latent_dim) * 2 - 1
        return (discriminator(clips).mean() - discriminator(generator(z)).mean()).item()


def distance(model: Model, reference: np.ndarray) -> float:
    """Returns the log-mel Fréchet distance between the averaged generator's clips and the held-out clips."""
    clips = torch.cat(list(generate(model, CLIPS)))
    features = standardize(log_mel_statistics(clips, model.sample_rate), reference)
    return resamples(METRICS["fad_l"], features, standardize(reference, reference), seed=0, count=0)[0]


def draw(curves: dict[str, list[dict[str, list[float]]]], path: Path) -> None:
    """Draws both curves of every run, in one colour for each variant."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    titles = {"wasserstein": "Wasserstein estimate", "distance": "log-mel Fréchet distance to held-out clips"}
    for axis, (key, title) in zip(axes, titles.items(), strict=True):
        for variant, runs in curves.items():
            for index, curve in enumerate(runs):
                label = variant if index == 0 else None
                axis.plot(curve["step"][1:], curve[key][1:], color=VARIANTS[variant], alpha=0.8, label=label)
        axis.set(title=title, xlabel="step")
        axis.legend()
    axes[1].set_yscale("log")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def table(curves: dict[str, list[dict[str, list[float]]]]) -> str:
    """Writes Markdown: for each variant, each run's mean over its last quarter, and their mean and range."""
    lines = ["| last quarter of the run | seeds | mean | range |", "| --- | --- | --- | --- |"]
    for key in ("wasserstein", "distance"):
        for variant, runs in curves.items():
            means = [float(np.mean(curve[key][-(POINTS // 4) :])) for curve in runs]
            values = ", ".join(f"{value:.2f}" for value in means)
            spread = f"{min(means):.2f} – {max(means):.2f}"
            lines.append(f"| {key}, {variant} | {values} | {np.mean(means):.2f} | {spread} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
