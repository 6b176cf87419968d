"""Measures and draws how the cost of a step grows with batch, length, width, channels, corpus and processes.

    python benchmarks/scaling.py [--axes batch,length,dim,channels,corpus,processes] [--out docs/performance]

Each point is measured in processes of its own, on the CPU; trainings use the precision that is faster there. Seconds
are the median of several steps, and for processes the mean. The corpus is noise in WAV files of one minute, decoded
into the cache as any other; 10 hours take 2.3 GB of the temporary folder until that point is done. Results are added to
scaling.json, so axes can be run one by one. `--axes ""` only draws the picture again.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import soundfile
import torch

from wavegan import recipe as recipes
from wavegan.bench.worker_process import WorkerProcess
from wavegan.commands.step_timing import StepTiming

RECIPE = Path(__file__).parents[1] / "recipes" / "base" / "wavegan.yaml"
BASE = (
    "data.source=drum_machine",
    "generator.dim=16",
    "discriminators.*.dim=16",
    "training.batch_size=16",
    "training.compile=false",
)
SETTINGS = {  # for each axis, the keys that are set and their values
    "batch": (("training.batch_size",), (4, 8, 16, 32, 64)),
    "length": (("data.clip_samples",), (4096, 8192, 16384, 32768, 65536)),
    "dim": (("generator.dim", "discriminators.*.dim"), (8, 16, 32, 64)),
    "channels": (("data.channels",), (1, 2, 4, 8)),
}
CORPUS_MINUTES = (10, 60, 600)
PROCESSES = (1, 2)
STEPS = 5
RATE = 16000
Point = dict[str, float]


def main() -> None:
    """Measures the chosen axes, keeps the results of the others, and draws all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axes", default="batch,length,dim,channels,corpus,processes")
    parser.add_argument("--out", type=Path, default=Path("docs/performance"))
    parser.add_argument("--read", help=argparse.SUPPRESS)  # a folder; this script starts a process of itself to read it
    options = parser.parse_args()
    if options.read:
        read(options.read)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    record = options.out / "scaling.json"
    points: dict[str, list[Point]] = json.loads(record.read_text()) if record.exists() else {}
    for axis in filter(None, options.axes.split(",")):
        measures = {"corpus": corpus, "processes": processes}
        points[axis] = measures[axis]() if axis in measures else setting(axis)
        record.write_text(json.dumps(points, indent=1))
    draw(points, options.out / "scaling.png")


def setting(axis: str) -> list[Point]:
    """Measures the seconds and peak memory of a step for each value of an axis."""
    keys, values = SETTINGS[axis]
    points = []
    for value in values:
        recipe = recipes.load(RECIPE, [*BASE, *(f"{key}={value}" for key in keys)])
        with WorkerProcess(StepTiming, recipe, "cpu", torch.get_num_threads(), False) as timing:
            for _ in range(2):
                timing.call("steps", 1)
            seconds = statistics.median(timing.call("steps", 1) for _ in range(STEPS))
            points.append({axis: value, "seconds": seconds, "bytes": timing.call("peak_memory")})
        tell(points[-1])
    return points


def corpus() -> list[Point]:
    """Measures seconds to decode, clips per second and memory of a process that reads corpora of several lengths."""
    points = []
    for minutes in CORPUS_MINUTES:
        with tempfile.TemporaryDirectory() as folder:
            noise = np.random.default_rng(0).integers(-3000, 3000, (60 * RATE,), np.int16)
            for minute in range(minutes):
                soundfile.write(f"{folder}/{minute:04d}.wav", np.roll(noise, minute), RATE)
            command = [sys.executable, __file__, "--read", folder]
            settings = {**os.environ, "WAVEGAN_CACHE": f"{folder}/cache"}
            done = subprocess.run(command, env=settings, stdout=subprocess.PIPE, check=True)
        points.append({"minutes": minutes, **json.loads(done.stdout)})
        tell(points[-1])
    return points


def read(folder: str) -> None:
    """Decodes a folder and draws clips from it; prints the seconds, rates and memory."""
    from wavegan.audio.corpus import load_corpus
    from wavegan.audio.windows import Windows

    before = private_bytes()
    start = time.perf_counter()
    clips = Windows(load_corpus(folder, RATE, 1), 16384, "random")
    decoded = time.perf_counter() - start
    rates = []
    for round_number in range(5):
        start = time.perf_counter()
        for draw in range(20):
            clips.batch(20 * round_number + draw, 64)
        rates.append(20 * 64 / (time.perf_counter() - start))
    memory = private_bytes() - before
    print(json.dumps({"decode_seconds": decoded, "clips_per_second": statistics.median(rates), "bytes": memory}))


def private_bytes() -> int:
    """Returns the bytes of this process without pages of mapped files, which the system can drop at any time."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024


def processes() -> list[Point]:
    """Measures the seconds of a step with one and two processes of one thread each, and the same total batch."""
    points = []
    for count in PROCESSES:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
            command += ["-m", "--", "wavegan", "train", str(RECIPE), *BASE, "training.steps=12"]
            command += ["generator.dim=32", "discriminators.*.dim=32"]
            command += ["monitor.preview_every=0", "monitor.log_every=4", "monitor.tensorboard=false"]
            subprocess.run([*command, "--run-dir", folder], env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)
            lines = [json.loads(line) for line in Path(folder, "log.jsonl").read_text().splitlines()]
        seconds = (lines[-1]["seconds"] - lines[0]["seconds"]) / (lines[-1]["step"] - lines[0]["step"])
        points.append({"processes": count, "seconds": seconds})
        tell(points[-1])
    return points


def draw(axis_points: dict[str, list[Point]], path: Path) -> None:
    """Draws one panel for each figure; a dashed line shows proportional growth, for dim to its square."""
    panels = [
        ("batch", "batch", "seconds", "seconds a step"),
        ("length", "length", "seconds", "seconds a step"),
        ("dim", "dim", "seconds", "seconds a step"),
        ("channels", "channels", "seconds", "seconds a step"),
        ("corpus", "minutes", "clips_per_second", "clips per second"),
        ("corpus", "minutes", "bytes", "memory in MB"),
        ("processes", "processes", "seconds", "seconds a step"),
    ]
    figure, axes = plt.subplots(2, 4, figsize=(15, 7), layout="constrained")
    for axis, (name, x, y, label) in zip(axes.flat, panels, strict=False):
        points = axis_points.get(name, [])
        if not points:
            continue
        across = np.array([point[x] for point in points])
        up = np.array([point[y] for point in points]) / (1e6 if y == "bytes" else 1)
        axis.plot(across, up, "o-")
        if y == "seconds":
            growth = across[0] / across if name == "processes" else (across / across[0]) ** (2 if name == "dim" else 1)
            axis.plot(
                across, up[0] * growth, "--", color="gray", label="in proportion" + " to its square" * (name == "dim")
            )
            axis.set_yscale("log", base=2)
            axis.yaxis.set_major_formatter("{x:.3g}")
            axis.legend()
        axis.set_xscale("log", base=2)
        axis.set_xticks(across, [f"{value:g}" for value in across])
        axis.set(xlabel=f"{x} of the corpus" if name == "corpus" else x, ylabel=label)
        axis.set_ylim(bottom=0 if y != "seconds" else None)
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    figure.savefig(path, dpi=100)


def tell(point: Point) -> None:
    """Prints a point."""
    print("  ".join(f"{name} {value:.4g}" for name, value in point.items()), flush=True)


if __name__ == "__main__":
    main()
