"""Measures a GPU by one command: the step against the plain step and against the machine's matrix rate.

    python benchmarks/gpu.py [--device cuda] [--only NAME …] [--out docs/performance/gpu.json]

Measures `recipes/sc09.yaml` (d = 64, 16,384 samples) with `wavegan bench`: at batches of 64 and 256, in fp32, and with
`training.compile=false`, neither compiled nor captured. It measures the modern recipe too. The plain step is fp32 with
TF32 allowed. A recent GPU should reach 5 times the plain step's speed and 40 % of the measured bf16 matrix rate. At the
end the script shows where the time goes and measures the forms of each convolution.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOUND = ("data.source=drum_machine", "data.test=null")
VARIANTS = {
    "sc09": ("sc09", "training.batch_size=64"),
    "sc09_256": ("sc09", "training.batch_size=256"),
    "modern": ("sc09_modern", "training.batch_size=64"),
    "sc09_fp32": ("sc09", "training.batch_size=64", "training.precision=fp32"),
    "sc09_as_written": ("sc09", "training.batch_size=64", "training.compile=false"),
}
LEAST_SPEEDUP, LEAST_SHARE = 5, 0.4


def main() -> None:
    """Runs `wavegan bench` for each variant and writes its figures; then profiles, then the convolutions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--out", type=Path, default=Path("docs/performance/gpu.json"))
    options = parser.parse_args()
    figures = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in options.only:
        print(f"--- {name}", flush=True)
        recipe, *overrides = VARIANTS[name]
        step = (ROOT / "recipes" / f"{recipe}.yaml", *SOUND, *overrides)
        command = [sys.executable, "-m", "wavegan", "bench", *map(str, step), "--device", options.device, "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.returncode)  # the command has printed the reason
        figures[name] = json.loads(done.stdout)
        print(summary(figures[name]), flush=True)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(figures, indent=1))
    if options.only != list(VARIANTS):
        return
    for recipe in ("sc09", "sc09_modern"):
        command = [sys.executable, ROOT / "benchmarks" / "device_time.py", ROOT / "recipes" / f"{recipe}.yaml"]
        subprocess.run([*command, "--device", options.device], check=True)
    for precision in ("bf16", "fp32"):
        command = [sys.executable, str(ROOT / "benchmarks" / "convolutions.py"), "--clips", "192"]
        subprocess.run([*command, "--device", options.device, "--precision", precision], check=True)


def summary(figures: dict) -> str:
    """Sums up the figures of a variant beside their targets; a modern recipe has no plain step to compare with."""
    share, speedup = figures["flops_per_second"] / figures["matrix_flops_per_second"], figures["speedup"]
    faster = f"{speedup:.1f} times as fast as the plain one (at least {LEAST_SPEEDUP}), " if speedup else ""
    return (
        f"{figures['step_seconds'] * 1e3:.1f} ms a step, {faster}{share:.0%} of the matrix rate "
        f"(at least {LEAST_SHARE:.0%}), peak {figures['peak_memory_bytes'] / 2**30:.2f} GiB"
    )


if __name__ == "__main__":
    main()
