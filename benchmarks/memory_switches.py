"""Measures what the memory switches of a process give to a training step.

    python benchmarks/memory_switches.py quickstart training.threads=1 [--rounds 5]

It takes the steps of a recipe, of clips of the built-in drum machine, in processes of their own, in turn: with the
switches of `wavegan train` (freed memory is kept, and the heap grows in pages of 2 MiB), without huge pages, and
without any. It prints the medians and minima of processor seconds of all rounds, and how long they are beside the
first. Only Linux with glibc has the switches.
"""

import argparse
import statistics
import subprocess
import sys
import time

import torch

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.commands import memory
from wavegan.training.loop import take_step

VARIANTS = ("as `wavegan train`", "without huge pages", "without any")
WARM_UPS, STEPS = 8, 24


def main() -> None:
    """Prints a line for each variant; with --variant it measures one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        print(*step_seconds(options.recipe, options.overrides, options.variant))
        return
    seconds: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for _ in range(options.rounds):
        for variant, measured in seconds.items():
            command = [sys.executable, __file__, options.recipe, *options.overrides, "--variant", variant]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            measured += map(float, done.stdout.split())
    first = statistics.median(seconds[VARIANTS[0]])
    for variant, measured in seconds.items():
        median, least = statistics.median(measured), min(measured)
        print(f"{variant:20} median {median * 1e3:.1f} ms, {median / first:.2f} times; minimum {least * 1e3:.1f} ms")


def step_seconds(name: str, overrides: list[str], variant: str) -> list[float]:
    """Returns the processor seconds of each step with the switches of the variant."""
    if variant == VARIANTS[1]:
        memory._ask_for_huge_pages = lambda: None
    if variant != VARIANTS[2]:
        memory.prepare_process()
    recipe = recipes.load(name, ["data.source=drum_machine", "data.test=null", *overrides])
    if isinstance(recipe.training.threads, int):
        torch.set_num_threads(recipe.training.threads)
    clips = assemble.training_clips(recipe, assemble.corpora(recipe))
    training = assemble.training(recipe, torch.device("cpu"), clips)
    batches = assemble.batches(recipe, clips, torch.device("cpu"))
    training.precision = "bf16" if recipe.training.precision == "auto" else recipe.training.precision
    seconds = []
    for _ in range(WARM_UPS + STEPS):
        start = time.process_time()
        take_step(training, batches)
        seconds.append(time.process_time() - start)
        training.step += 1
    return seconds[WARM_UPS:]


if __name__ == "__main__":
    main()
