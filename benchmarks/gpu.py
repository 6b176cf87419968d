"""All figures of a GPU by one command: the step against the plain one and against the machine's matrix rate.

    python benchmarks/gpu.py [--device cuda] [--out docs/performance/gpu.json]

Measures `recipes/sc09.yaml` (d = 64, 16,384 samples) at batch 64 with `wavegan bench`: as it is written, compiled,
and in fp32; the plain step is fp32 with TF32 allowed. What to reach on a recent GPU: 5 times the plain step, and 40 %
of the measured bf16 matrix rate. Then the forms of each convolution, whose thresholds were found on a CPU.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
STEP = (str(ROOT / "recipes" / "sc09.yaml"), "data.source=drum_machine", "data.test=null", "training.batch_size=64")
VARIANTS = {
    "as it decides by itself": (),
    "neither compiled nor captured": ("training.compile=false",),
    "compiled": ("training.compile=true",),
    "fp32": ("training.precision=fp32",),
}
LEAST_SPEEDUP, LEAST_SHARE = 5, 0.4


def main() -> None:
    """Runs `wavegan bench` for each variant, then the convolutions; prints and writes what they give."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", default="cuda")
    options.add_argument("--out", type=Path, default=Path("docs/performance/gpu.json"))
    given = options.parse_args()
    found = {}
    for name, overrides in VARIANTS.items():
        print(f"--- {name}", flush=True)
        command = [sys.executable, "-m", "wavegan", "bench", *STEP, *overrides, "--device", given.device, "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.returncode)  # it has said why
        found[name] = json.loads(done.stdout)
        print(summary(found[name]), flush=True)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=1))
    for precision in ("bf16", "fp32"):
        command = [sys.executable, str(ROOT / "benchmarks" / "convolutions.py"), "--clips", "192"]
        subprocess.run([*command, "--device", given.device, "--precision", precision], check=True)


def summary(one: dict) -> str:
    """The two figures that count, each with what is to be reached."""
    share = one["flops_per_second"] / one["matrix_flops_per_second"]
    return (
        f"{one['step_seconds'] * 1e3:.1f} ms a step, {one['speedup']:.1f} times as fast as the plain one "
        f"(at least {LEAST_SPEEDUP}); {share:.0%} of the matrix rate (at least {LEAST_SHARE:.0%}); "
        f"peak {one['peak_memory_bytes'] / 2**30:.2f} GiB, plain {one['plain_peak_memory_bytes'] / 2**30:.2f}"
    )


if __name__ == "__main__":
    main()
