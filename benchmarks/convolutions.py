"""Measures which form of a convolution is fastest for each shape; models/convolution.py takes its thresholds from it.

    python benchmarks/convolutions.py --dim 64 --clips 48 [--precision fp32] [--device cuda]

Measures each layer of a discriminator of 16,384 samples, in the three products that training needs. Each product is
computed as a dense convolution of blocks, as one matrix product, and as torch's own strided convolution with channels
first. Figures are GFLOP/s.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F

from wavegan.bench.measure import timed
from wavegan.commands.memory import keep_freed_memory
from wavegan.models import convolution
from wavegan.models.convolution import conv_transpose, convolve, weight_gradient

KERNEL, STRIDE, PAD = 25, 4, 10
PLACES = (4096, 1024, 256, 64, 16)
REPEATS = 5


def main() -> None:
    """Prints one line for each layer and product."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    keep_freed_memory()
    dtype, device = torch.bfloat16 if options.precision == "bf16" else torch.float32, torch.device(options.device)
    print(f"{'layer':<22}{'product':<18}{'blocks':>9}{'matrix':>9}{'torch':>9}   GFLOP/s")
    channels = 1
    for layer, places in enumerate(PLACES):
        channels_out = options.dim * 2**layer
        flops = 2 * options.clips * places * KERNEL * channels * channels_out
        for product, forms in products(options.clips, places, channels, channels_out, dtype, device).items():
            rates = [flops / seconds(work, device) / 1e9 for work in forms]
            figures = "".join(f"{rate:>9.0f}" for rate in rates)
            print(f"{f'{channels} to {channels_out}, {places} places':<22}{product:<18}{figures}", flush=True)
        channels = channels_out


def products(
    clips: int, places: int, channels: int, channels_out: int, dtype: torch.dtype, device: torch.device
) -> dict[str, list[Callable[[], object]]]:
    """Returns the three products of a layer, each in its three forms."""
    x = torch.randn(clips, places * STRIDE, channels, device=device).to(dtype)
    d = torch.randn(clips, places, channels_out, device=device).to(dtype)
    weight = torch.randn(channels_out, KERNEL, channels, device=device).to(dtype)
    # Channels come first, as in torch.nn. Padding happens here, so that it is not timed.
    first = F.pad(x.transpose(1, 2).contiguous(), (PAD, KERNEL - STRIDE - PAD))
    kernel, back = weight.transpose(1, 2).contiguous(), d.transpose(1, 2).contiguous()

    def torchs(*gradients: bool) -> Callable[[], object]:
        settings = ([channels_out], [STRIDE], [0], [1], False, [0], 1, list(gradients))
        return lambda: torch.ops.aten.convolution_backward(back, first, kernel, *settings)

    return {
        "forward": [
            *both_forms(lambda: convolve(x, weight, None, STRIDE, PAD)),
            lambda: F.conv1d(first, kernel, stride=STRIDE),
        ],
        "input gradient": [
            *both_forms(lambda: conv_transpose(d, weight, None, STRIDE, PAD)),
            torchs(True, False, False),
        ],
        "weight gradient": [
            *both_forms(lambda: weight_gradient(x, d, KERNEL, STRIDE, PAD)),
            torchs(False, True, False),
        ],
    }


def both_forms(work: Callable[[], object]) -> list[Callable[[], object]]:
    """Returns the work as a convolution of blocks and as a matrix product."""

    def limited(places: float) -> Callable[[], object]:
        def limited_work() -> object:
            with few_places(places):
                return work()

        return limited_work

    return [limited(0), limited(math.inf)]


@contextmanager
def few_places(limit: float) -> Iterator[None]:
    """Sets both thresholds until the block ends."""
    before = convolution.FEW_PLACES, convolution.FEW_PLACES_FOR_WEIGHT_GRADIENT
    convolution.FEW_PLACES = convolution.FEW_PLACES_FOR_WEIGHT_GRADIENT = dict.fromkeys(("cpu", "cuda", "mps"), limit)
    try:
        yield
    finally:
        convolution.FEW_PLACES, convolution.FEW_PLACES_FOR_WEIGHT_GRADIENT = before


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Returns the least of several timings, after a warm-up."""
    timed(work, 2, device)
    return min(timed(work, 1, device) for _ in range(REPEATS))


if __name__ == "__main__":
    main()
