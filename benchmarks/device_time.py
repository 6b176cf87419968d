"""Says where a training step's time goes on a device: how long kernels run, of which kinds, and how long it idles.

    python benchmarks/device_time.py sc09 training.batch_size=64 [--device cuda]

It profiles steps as `wavegan train` takes them, of clips of the built-in drum machine. On a CPU torch's operations
stand for kernels; there a kind counts an operation and those that it calls.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from wavegan import recipe as recipes
from wavegan.commands.step_timing import StepTiming

WARM_UPS, STEPS, LONGEST = 8, 8, 12
ON_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")
KINDS = {
    "kernels made by the compiler": ("triton_",),  # first, as their names tell which operations they join
    "convolutions and matrix products": ("conv", "gemm", "xmma", "cutlass", "nvjet", "wgrad", "dgrad", "cudnn"),
    "optimiser and average": ("multi_tensor", "fused_adam", "foreach", "adam"),
    "copies": ("memcpy", "memset", "copy", "cat"),
}


def main() -> None:
    """Prints the milliseconds of a step, the share in which kernels run, and the kinds and the longest of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    recipe = recipes.load(options.recipe, ["data.source=drum_machine", "data.test=null", *options.overrides])
    timing = StepTiming(recipe, options.device, torch.get_num_threads(), has_corpus=True)
    print(*timing.remarks(), sep="\n")
    timing.steps(WARM_UPS)
    seconds = timing.steps(STEPS) / STEPS
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        profiled = timing.steps(STEPS)
    with tempfile.TemporaryDirectory() as folder:
        profiler.export_chrome_trace(str(Path(folder) / "trace.json"))
        events = json.loads((Path(folder) / "trace.json").read_text())["traceEvents"]
    kernels = [event for event in events if event.get("cat") in (ON_DEVICE if options.device != "cpu" else ("cpu_op",))]
    busy = busy_microseconds(kernels) / 1e6
    print(f"a step takes {seconds * 1e3:.2f} ms, {profiled / STEPS * 1e3:.2f} ms while it is profiled;")
    print(
        f"kernels run for {busy / STEPS * 1e3:.2f} ms of it, {busy / profiled:.1%}, {len(kernels) / STEPS:.0f} a step"
    )
    for kind, milliseconds in by_kind(kernels).most_common():
        print(f"{milliseconds / STEPS:9.3f} ms  {kind}")
    names: Counter[str] = Counter()
    for kernel in kernels:
        names[kernel["name"][:90]] += kernel["dur"] / 1e3
    print("the longest:")
    for name, milliseconds in names.most_common(LONGEST):
        print(f"{milliseconds / STEPS:9.3f} ms  {name}")


def busy_microseconds(kernels: Iterable[Mapping[str, Any]]) -> float:
    """Returns how long at least one kernel runs; `ts` and `dur` are in microseconds."""
    busy, end = 0.0, float("-inf")
    for kernel in sorted(kernels, key=lambda kernel: kernel["ts"]):
        start, stop = kernel["ts"], kernel["ts"] + kernel["dur"]
        busy += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return busy


def by_kind(kernels: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Adds up the milliseconds of each kind of kernel, one of `KINDS` or "other"; the first that fits counts."""
    kinds: Counter[str] = Counter()
    for kernel in kernels:
        name = kernel["name"].lower()
        kind = next((kind for kind, words in KINDS.items() if any(word in name for word in words)), "other")
        kinds[kind] += kernel["dur"] / 1e3
    return kinds


if __name__ == "__main__":
    main()
