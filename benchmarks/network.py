"""Says what averaging gradients costs on a network, by a formula, and compares that with processes on a slowed one.

    python benchmarks/network.py                               # the formula, for d = 64 and usual networks
    python benchmarks/network.py --measure 2 4 8 --mbit 250    # and what it says of this machine's loopback

A ring of n processes sends 2 (n - 1) / n of all bytes through each one's network, in 2 (n - 1) turns for each message.
The second form needs Linux, root and `tc`: it starts n processes in a network namespace of their own, whose loopback
lets through n times so many Mbit/s, as n machines would have them, and averages gradients of WaveGAN's networks as
training does. Latency cannot be added there without the kernel's netem, so it stands in the formula alone.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributed import TCPStore
from torch.multiprocessing.spawn import spawn

from wavegan import distributed
from wavegan.distributed.environment import TORCHRUN_VARIABLES
from wavegan.models.wavegan import Discriminator, Generator

DIM, BATCH, DISCRIMINATOR_STEPS = 64, 64, 5
STEP_SECONDS = 0.0191  # of a whole batch on one GPU, docs/performance.md
REPEATS = 3


class Network(NamedTuple):
    """Holds the bytes per second that each process can send while it receives as many, and the seconds of a turn."""

    bytes_per_second: float
    latency_seconds: float


NETWORKS = {
    "NVLink, 300 GB/s": Network(300e9, 3e-6),
    "InfiniBand, 400 Gbit/s": Network(50e9, 5e-6),
    "InfiniBand, 100 Gbit/s": Network(12.5e9, 5e-6),
    "Ethernet, 25 Gbit/s": Network(3.1e9, 20e-6),
    "Ethernet, 10 Gbit/s": Network(1.25e9, 30e-6),
    "Ethernet, 1 Gbit/s": Network(0.125e9, 50e-6),
}


def ring_seconds(sizes: Sequence[float], world: int, network: Network) -> float:
    """Returns the seconds to average messages of so many bytes over `world` processes, one behind the other."""
    turns = 2 * (world - 1)
    return turns / world * sum(sizes) / network.bytes_per_second + turns * len(sizes) * network.latency_seconds


def messages(network: torch.nn.Module) -> list[float]:
    """Returns the bytes of the messages in which training averages the gradients of a network."""
    counts = [parameter.numel() for parameter in network.parameters()]
    large = [4.0 * count for count in counts if count >= distributed.LARGE]
    return [*large, 4.0 * sum(count for count in counts if count < distributed.LARGE)]


def step_messages(dim: int) -> list[float]:
    """Returns the bytes of all messages of a step: five discriminator updates and one of the generator."""
    judge, maker = Discriminator((1, 16384), dim=dim), Generator(16384, dim=dim)
    return DISCRIMINATOR_STEPS * messages(judge) + messages(maker)


def most_processes(compute_seconds: float, sizes: Sequence[float], network: Network) -> int | None:
    """Returns the number of processes up to which averaging takes no longer than computing; None for any number.

    compute_seconds: of each process's share of a step, which is the same for any number.
    """
    for world in range(2, 1025):
        if ring_seconds(sizes, world, network) > compute_seconds:
            return world - 1
    return None


def print_model() -> None:
    """Prints what averaging costs for usual networks."""
    sizes = step_messages(DIM)
    print(f"d = {DIM}: {sum(sizes) / 1e6:,.0f} MB in {len(sizes)} messages a step")
    print(f"{'ms to average a step over n processes':<40}{'2':>9}{'4':>9}{'8':>9}{'16':>9}{'64':>9}  binds above")
    for name, network in NETWORKS.items():
        cells = "".join(f"{ring_seconds(sizes, world, network) * 1e3:>9,.1f}" for world in (2, 4, 8, 16, 64))
        most = most_processes(STEP_SECONDS, sizes, network)
        print(f"{name:<40}{cells}  {'no number' if most is None else most}")


def measure(rank: int, port: int, world: int, path: str) -> None:
    """Averages the gradients of a discriminator's and of a generator's update; the first process writes the seconds."""
    words = (rank, rank, world, world, "127.0.0.1", port)
    os.environ.update(zip(TORCHRUN_VARIABLES, map(str, words), strict=True))
    os.environ.update({"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"})
    torch.set_num_threads(1)
    with distributed.processes(str):
        seconds = {}
        for name, network in (
            ("discriminator", Discriminator((1, 16384), dim=DIM)),
            ("generator", Generator(16384, dim=DIM)),
        ):
            gradients = [torch.full_like(parameter, rank + 1.0) for parameter in network.parameters()]
            expected = (world + 1) / 2
            seconds[name] = _median_seconds([gradient.detach() for gradient in gradients], expected)
        if distributed.is_main():
            with open(path, "w") as file:
                json.dump(seconds, file)


def _median_seconds(gradients: list[Tensor], expected: float) -> float:
    times = []
    for repeat in range(REPEATS + 1):
        distributed.max_over_ranks(0)  # all are here
        start = time.perf_counter()
        distributed.average_over_ranks(gradients)
        times.append(distributed.max_over_ranks(round((time.perf_counter() - start) * 1e6)) / 1e6)
        if repeat == 0:
            assert all(torch.allclose(part, torch.full_like(part, expected)) for part in gradients), "a mean"
    return statistics.median(times[1:])


def in_namespace(world: int, mbit: float, path: str) -> None:
    """Starts this script in a network namespace whose loopback lets through world times so many Mbit/s."""
    rate = f"{world * mbit:.0f}mbit"
    inside = " ".join([sys.executable, __file__, "--inside", str(world), path])
    shape = f"tc qdisc add dev lo root tbf rate {rate} burst 256kb limit 512mb"
    subprocess.run(["unshare", "-n", "sh", "-c", f"ip link set lo up && {shape} && exec {inside}"], check=True)


def main() -> None:
    """Prints the formula, and measurements if they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", type=int, nargs="+", metavar="N", help="numbers of processes")
    parser.add_argument("--mbit", type=float, default=250, help="Mbit/s of each process's network (250)")
    parser.add_argument("--out", default="network.json", help="file for the figures")
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        world = int(options.inside[0])
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        spawn(measure, (store.port, world, options.inside[1]), nprocs=world)
        return
    print_model()
    sizes = {
        "discriminator": messages(Discriminator((1, 16384), dim=DIM)),
        "generator": messages(Generator(16384, dim=DIM)),
    }
    network = Network(options.mbit * 1e6 / 8, 0.0)
    for world in options.measure or ():
        in_namespace(world, options.mbit, options.out)
        with open(options.out) as file:
            seconds = json.load(file)
        for name, taken in seconds.items():
            said = ring_seconds(sizes[name], world, network)
            print(f"{world} processes, {name}: {taken:.2f} s, by the formula {said:.2f} s ({taken / said:.2f} times)")


if __name__ == "__main__":
    main()
