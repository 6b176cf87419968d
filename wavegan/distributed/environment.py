"""Finds the rank of this process among those that train together: from torchrun, Slurm or an existing group."""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from wavegan.errors import UserError

TORCHRUN, SLURM, GROUP = "torchrun", "srun", "the process group"
TORCHRUN_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# A batch script, which srun has not started, has the other variables too; only a step started by srun has an id.
SLURM_VARIABLES = ("SLURM_STEP_ID", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID")
FIRST_PORT, PORTS = 20000, 10000  # the ports over which the jobs of one machine are spread


@dataclass(frozen=True)
class Environment:
    """Holds this process's rank among all and among those of its machine; `origin` says what started them.

    address, port: those of rank 0, at which the processes meet; empty if they are in a group already.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    origin: str = ""
    address: str = ""
    port: int = 0

    @property
    def is_main(self) -> bool:
        """Returns whether this process is the one that writes and reports."""
        return self.rank == 0


def find_environment(variables: Mapping[str, str] | None = None) -> Environment:
    """Returns the environment of this process; the default one if it is alone.

    An existing torch process group counts first, then torchrun's variables, then Slurm's. Raises UserError if Slurm's
    variables do not say which machine holds rank 0, or how many processes each machine has.
    """
    variables = os.environ if variables is None else variables
    if group := _of_group(variables):
        return group
    if all(name in variables for name in TORCHRUN_VARIABLES):
        rank, local_rank, world_size, local_world_size = (int(variables[name]) for name in TORCHRUN_VARIABLES[:4])
        if world_size == 1:
            return Environment()
        address, port = variables["MASTER_ADDR"], int(variables["MASTER_PORT"])
        return Environment(rank, world_size, local_rank, local_world_size, TORCHRUN, address, port)
    if all(name in variables for name in SLURM_VARIABLES) and int(variables["SLURM_NTASKS"]) > 1:
        return _of_slurm(variables)
    return Environment()


def expanded_hosts(text: str) -> list[str]:
    """Returns the host names of a Slurm node list, in its order: `gpu[01-03,7],login` has five.

    Raises ValueError for a text that is not such a list.
    """
    hosts = []
    for part in re.split(r",(?![^\[]*\])", text):  # commas outside brackets
        match = re.fullmatch(r"([\w.-]+)(?:\[([\d,-]+)\])?", part)
        if match is None:
            raise ValueError(f"{part!r} is neither a host name nor a bracketed list of host names")
        prefix, numbers = match.groups()
        if numbers is None:
            hosts.append(prefix)
            continue
        for span in numbers.split(","):
            first, _, last = span.partition("-")
            hosts += [f"{prefix}{host:0{len(first)}d}" for host in range(int(first), int(last or first) + 1)]
    return hosts


def tasks_per_node(text: str) -> list[int]:
    """Returns the tasks of each machine from Slurm's short form: `2(x3),1` is 2, 2, 2, 1.

    Raises ValueError for a text that is not such a list.
    """
    counts = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if match is None:
            raise ValueError(f"{part!r} is not a count of tasks")
        counts += [int(match[1])] * int(match[2] or 1)
    return counts


def _of_group(variables: Mapping[str, str]) -> Environment | None:
    """Returns the environment by torch's process group, or None if the host program has made none."""
    dist = getattr(sys.modules.get("torch"), "distributed", None)  # without torch loaded there is no group
    if dist is None or not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return None
    rank, world_size = dist.get_rank(), dist.get_world_size()
    for names in (("LOCAL_RANK", "LOCAL_WORLD_SIZE"), ("SLURM_LOCALID", "SLURM_NTASKS_PER_NODE")):
        if all(variables.get(name, "").isdecimal() for name in names):
            local_rank, local_world_size = (int(variables[name]) for name in names)
            return Environment(rank, world_size, local_rank, local_world_size, GROUP)
    return Environment(rank, world_size, rank, world_size, GROUP)  # no variable points to a second machine


def _of_slurm(variables: Mapping[str, str]) -> Environment:
    return Environment(
        rank=int(variables["SLURM_PROCID"]),
        world_size=int(variables["SLURM_NTASKS"]),
        local_rank=int(variables["SLURM_LOCALID"]),
        local_world_size=_slurm_local_world_size(variables),
        origin=SLURM,
        address=variables.get("MASTER_ADDR") or _slurm_address(variables),
        port=int(variables.get("MASTER_PORT") or FIRST_PORT + int(variables.get("SLURM_JOB_ID", "0")) % PORTS),
    )


def _slurm_local_world_size(variables: Mapping[str, str]) -> int:
    if (count := variables.get("SLURM_NTASKS_PER_NODE", "")).isdecimal():
        return int(count)
    name = "SLURM_STEP_TASKS_PER_NODE" if "SLURM_STEP_TASKS_PER_NODE" in variables else "SLURM_TASKS_PER_NODE"
    try:
        return tasks_per_node(variables.get(name, ""))[int(variables.get("SLURM_NODEID", "0"))]
    except (ValueError, IndexError):
        raise UserError(
            f"{name} is {variables.get(name, 'not set')!r}",
            "it must say how many tasks each machine has, as 2(x3),1 does",
            "start the processes with srun --ntasks-per-node=N",
        ) from None


def _slurm_address(variables: Mapping[str, str]) -> str:
    """Returns the address of rank 0: the first of the step's machines, else the one that srun was called on."""
    name = "SLURM_STEP_NODELIST" if "SLURM_STEP_NODELIST" in variables else "SLURM_NODELIST"
    try:
        return expanded_hosts(variables.get(name, ""))[0]
    except ValueError:
        if address := variables.get("SLURM_LAUNCH_NODE_IPADDR"):
            return address
        raise UserError(
            f"{name} is {variables.get(name, 'not set')!r}",
            "rank 0 runs on its first machine, and wavegan cannot read that name",
            "name that machine: export MASTER_ADDR=HOST",
        ) from None
