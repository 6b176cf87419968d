"""Trains a rival on a recipe's sound: the 1-D diffusion U-Net of the package audio-diffusion-pytorch.

    pip install audio-diffusion-pytorch
    python benchmarks/diffusion.py recipes/drums_modern.yaml data.source=my/drums --seconds 400 --out runs/diffusion

The U-Net has the first six layers of the package's example for unconditional generation, which reach across a second,
with half the channels, so that it is small: 5.7 million parameters. Optimiser and running average are those of its
authors' trainer (AdamW, 1e-4). It learns for so many processor seconds of one core, in batches of the recipe's size.
At each part of them the running average writes clips into a folder of its own, `--out`/seconds, for `wavegan compare`;
their sampling is not counted. A JSON object on stdout names the steps and the folders.
"""

import argparse
import copy
import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.audio.writing import write
from wavegan.dsp.torchaudio_door import torchaudio
from wavegan.seeding import seed_torch

LAYERS: dict[str, Any] = {
    "channels": [8, 16, 32, 64, 128, 256],
    "factors": [1, 4, 4, 4, 2, 2],
    "items": [1, 2, 2, 2, 2, 2],
    "attentions": [0, 0, 0, 0, 0, 1],
    "attention_heads": 8,
    "attention_features": 64,
    "modulation_features": 256,
}
OPTIMIZER: dict[str, Any] = {"lr": 1e-4, "betas": (0.95, 0.999), "eps": 1e-6, "weight_decay": 1e-3}
LONGEST_AVERAGE, AVERAGE_POWER = 0.995, 0.7
SAMPLED_TOGETHER = 20


def main() -> int:
    """Trains the rival and writes its clips; returns the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("recipe")
    options.add_argument("overrides", nargs="*")
    options.add_argument("--seconds", type=float, default=400.0)
    options.add_argument("--parts", type=int, default=2, help="how many times clips are written")
    options.add_argument("--clips", type=int, default=200)
    options.add_argument("--sampling-steps", type=int, default=25)
    options.add_argument("--out", type=Path, default=Path("runs/diffusion"))
    given = options.parse_intermixed_args()
    torch.set_num_threads(1)
    recipe = recipes.load(given.recipe, given.overrides)
    try:
        model = unet(recipe.data.channels)
    except ModuleNotFoundError as error:
        print(f"{error}; pip install audio-diffusion-pytorch", file=sys.stderr)
        return 1
    shutil.rmtree(given.out, ignore_errors=True)
    parts = []
    for seconds, step, average in learned(recipe, model, given.seconds, given.parts):
        folder = given.out / f"{seconds:.0f}"
        folder.mkdir(parents=True)
        shape = recipe.data.channels, recipe.data.clip_samples
        for place, clip in enumerate(sampled(average, given.clips, shape, given.sampling_steps)):
            write(folder / f"{place:04d}.flac", clip.numpy(), recipe.data.sample_rate)
        parts.append({"seconds": seconds, "steps": step, "folder": str(folder)})
    print(json.dumps({"parameters": sum(parameter.numel() for parameter in model.parameters()), "parts": parts}))
    return 0


def unet(channels: int) -> Any:
    """Makes the package's diffusion model: it returns a loss of clips (N, C, T), `sample` turns noise into clips."""
    torchaudio()  # so that the package finds it also where its compiled part does not fit
    from audio_diffusion_pytorch import DiffusionModel, UNetV0, VDiffusion, VSampler  # type: ignore[import-not-found]

    return DiffusionModel(net_t=UNetV0, in_channels=channels, diffusion_t=VDiffusion, sampler_t=VSampler, **LAYERS)


def learned(recipe: recipes.Recipe, model: Any, seconds: float, parts: int) -> Iterator[tuple[float, int, Any]]:
    """Trains for so many processor seconds; yields seconds, step and the averaged model at each part of them."""
    sound = assemble.corpora(recipe)
    clips = assemble.training_clips(recipe, sound)
    batches = assemble.batches(recipe, clips, torch.device("cpu"))
    average = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), **OPTIMIZER)
    seed_torch(recipe.training.seed, 0, "diffusion")
    spent, step = 0.0, 0
    with tqdm(total=round(seconds), unit="s", desc="processor seconds") as progress:
        for part in range(1, parts + 1):
            while spent < seconds * part / parts:
                began = time.process_time()
                optimizer.zero_grad()
                model(batches(step).x).backward()
                optimizer.step()
                decay = min(LONGEST_AVERAGE, 1 - (1 + step) ** -AVERAGE_POWER)
                with torch.no_grad():
                    for held, given in zip(average.parameters(), model.parameters(), strict=True):
                        held.lerp_(given, 1 - decay)
                step += 1
                spent += time.process_time() - began
                progress.update(round(spent) - progress.n)
            yield spent, step, average


def sampled(model: Any, count: int, shape: tuple[int, int], steps: int) -> Tensor:
    """Samples clips (count, C, T)."""
    noise = torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))
    return torch.cat([model.sample(some, num_steps=steps) for some in noise.split(SAMPLED_TOGETHER)])


if __name__ == "__main__":
    sys.exit(main())
