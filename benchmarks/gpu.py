"""All figures of a GPU by one command: the step against the plain one and against the machine's matrix rate.

    python benchmarks/gpu.py [--device cuda] [--only NAME …] [--out docs/performance/gpu.json]

Measures `recipes/sc09.yaml` (d = 64, 16,384 samples) with `wavegan bench`, at batches of 64 and 256, in fp32, and as
it is written, neither compiled nor captured; and the modern recipe. The plain step is fp32 with TF32 allowed. To reach
on a recent GPU: 5 times the plain step, and 40 % of the measured bf16 matrix rate. Then the forms of each convolution.
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
    """Runs `wavegan bench` for each variant, then the convolutions; prints and writes what they give."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", default="cuda")
    options.add_argument("--only", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    options.add_argument("--out", type=Path, default=Path("docs/performance/gpu.json"))
    given = options.parse_args()
    found = json.loads(given.out.read_text()) if given.out.exists() else {}
    for name in given.only:
        print(f"--- {name}", flush=True)
        recipe, *overrides = VARIANTS[name]
        step = (ROOT / "recipes" / f"{recipe}.yaml", *SOUND, *overrides)
        command = [sys.executable, "-m", "wavegan", "bench", *map(str, step), "--device", given.device, "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.returncode)  # it has said why
        found[name] = json.loads(done.stdout)
        print(summary(found[name]), flush=True)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(found, indent=1))
    if given.only != list(VARIANTS):
        return
    for precision in ("bf16", "fp32"):
        command = [sys.executable, str(ROOT / "benchmarks" / "convolutions.py"), "--clips", "192"]
        subprocess.run([*command, "--device", given.device, "--precision", precision], check=True)


def summary(one: dict) -> str:
    """The figures that count, each with what is to be reached; there is no plain step of a modern recipe."""
    share = one["flops_per_second"] / one["matrix_flops_per_second"]
    speedup = (
        f"{one['speedup']:.1f} times as fast as the plain one (at least {LEAST_SPEEDUP}), " if one["speedup"] else ""
    )
    return (
        f"{one['step_seconds'] * 1e3:.1f} ms a step, {speedup}{share:.0%} of the matrix rate "
        f"(at least {LEAST_SHARE:.0%}), peak {one['peak_memory_bytes'] / 2**30:.2f} GiB"
    )


if __name__ == "__main__":
    main()
