"""Measures how the time and memory of an evaluation grow with the number of clips.

    python benchmarks/evaluation_size.py --clips 2000 5000 20000

Clips of 4,096 samples come from the drum machine: reference, training, generated and real ones, as many of each. Prints
one JSON object a line: seconds that features and figures take, the process's peak memory, and the headline figure. Each
number of clips is measured in a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

RATE, SAMPLES, SETS = 16000, 4096, ("reference", "training", "generated", "real")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, nargs="+", default=[2000, 5000, 20000])
    clips = parser.parse_args().clips
    if len(clips) == 1:
        print(json.dumps({"clips": clips[0]} | measured(clips[0])), flush=True)
        return
    for count in clips:
        subprocess.run([sys.executable, __file__, "--clips", str(count)], check=True)


def measured(count: int) -> dict[str, float]:
    """Returns the seconds, megabytes and headline figure of an evaluation of sets of `count` clips."""
    from wavegan.evaluation.evaluate import Reference
    from wavegan.evaluation.metrics import HEADLINE

    sets = {name: drums(count, seed) for seed, name in enumerate(SETS)}
    start = time.perf_counter()
    reference = Reference(sets["reference"], RATE, training=sets["training"])
    features = {name: reference.extract(sets[name]) for name in ("generated", "real")}
    extracted, extracted_cpu = time.perf_counter(), time.process_time()
    scores = {name: reference.scores(of_set) for name, of_set in features.items()}
    for name, of_set in features.items():
        reference.curve(of_set, scores[name])
    return {
        "features_seconds": round(extracted - start, 1),
        "figures_seconds": round(time.perf_counter() - extracted, 1),
        "figures_cpu_seconds": round(time.process_time() - extracted_cpu, 1),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        HEADLINE: scores["generated"][HEADLINE]["value"],
    }


def drums(count: int, seed: int):
    """Returns clips of the drum machine, which are rendered when they are asked for."""
    import numpy as np
    import torch

    from wavegan.audio.drum_machine import render
    from wavegan.evaluation.clips import BATCH_SIZE, ClipSet

    def batch(number: int) -> "torch.Tensor":
        sounds = [render(number * BATCH_SIZE + place, RATE, seed=seed)[:SAMPLES] for place in range(BATCH_SIZE)]
        rows = [np.pad(sound, (0, SAMPLES - len(sound))) for sound in sounds]
        return torch.from_numpy(np.stack(rows)).float()[:, None]

    return ClipSet(count, batch)


if __name__ == "__main__":
    main()
