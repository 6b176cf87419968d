"""Tests who a process is: by torchrun's variables, by Slurm's, or by a process group that a host program has made."""

import json
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import PRELOADED, Ranks, as_rank, command_line
from torch import distributed as dist
from torch.distributed import TCPStore  # pyright: ignore

from wavegan import distributed
from wavegan import recipe as recipes
from wavegan.commands.train import train
from wavegan.distributed import joining
from wavegan.distributed.environment import Environment, expanded_hosts, find_environment, tasks_per_node
from wavegan.distributed.peer_monitor import ProcessLost
from wavegan.errors import UserError
from wavegan.training import checkpoint, loop

RECIPE = """\
data: {{source: {source}, holdout: 0.4, windows: random, clip_samples: 4096}}
generator: {{dim: 1, latent_dim: 4}}
discriminators: {{waveform: {{name: wavegan, dim: 1}}}}
method: {{discriminator_steps: 1}}
training: {{steps: 4, batch_size: 4, checkpoint_every: 2, precision: fp32}}
monitor: {{log_every: 1, preview_every: 0, tensorboard: false}}
"""
TORCHRUN = {
    "RANK": "5",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "8",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "gpu-a",
    "MASTER_PORT": "29500",
}
SLURM = {
    "SLURM_JOB_ID": "1234567",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NTASKS": "8",
    "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_NODELIST": "gpu[03-04]",
}


# What the variables say.


def test_torchrun_says_who_a_process_is():
    environment = find_environment(TORCHRUN)
    assert environment == Environment(5, 8, 1, 4, "torchrun", "gpu-a", 29500)
    assert not environment.is_main and find_environment(TORCHRUN | {"RANK": "0"}).is_main


@pytest.mark.parametrize("missing", TORCHRUN)
def test_with_a_part_of_the_variables_a_process_is_alone(missing):
    some = {name: value for name, value in TORCHRUN.items() if name != missing}
    assert find_environment(some) == Environment()


def test_one_process_is_alone_whoever_started_it():
    assert find_environment({}) == find_environment(TORCHRUN | {"WORLD_SIZE": "1"}) == Environment()
    assert find_environment(SLURM | {"SLURM_NTASKS": "1"}) == Environment()


def test_slurm_says_who_a_process_is():
    assert find_environment(SLURM) == Environment(5, 8, 1, 4, "srun", "gpu03", 24567)
    named = find_environment(SLURM | {"MASTER_ADDR": "other", "MASTER_PORT": "1"})
    assert (named.address, named.port) == ("other", 1)
    assert find_environment(SLURM | TORCHRUN).origin == "torchrun", "torchrun in a step of Slurm starts the processes"


def test_a_batch_script_is_one_process_though_slurm_has_set_its_variables():
    assert find_environment({name: SLURM[name] for name in SLURM if name != "SLURM_STEP_ID"}).world_size == 1


@pytest.mark.parametrize(("node", "tasks"), [("0", 2), ("2", 2), ("3", 1)])
def test_tasks_of_a_machine_without_the_even_count(node, tasks):
    uneven = {name: value for name, value in SLURM.items() if name != "SLURM_NTASKS_PER_NODE"}
    uneven |= {"SLURM_TASKS_PER_NODE": "2(x3),1", "SLURM_NODEID": node}
    assert find_environment(uneven).local_world_size == tasks


def test_a_step_counts_before_its_job():
    step = SLURM | {"SLURM_STEP_NODELIST": "gpu04", "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.1"}
    assert find_environment(step).address == "gpu04"


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("localhost", ["localhost"]),
        ("gpu-a,gpu-b.net", ["gpu-a", "gpu-b.net"]),
        ("gpu[01-03,07],login", ["gpu01", "gpu02", "gpu03", "gpu07", "login"]),
        ("n[9-11]", ["n9", "n10", "n11"]),
    ],
)
def test_node_lists(text, hosts):
    assert expanded_hosts(text) == hosts


@pytest.mark.parametrize("text", ["", "gpu[1-2]x", "rack[1-2]n[3-4]", "a b"])
def test_other_node_lists_are_not_guessed_at(text):
    with pytest.raises(ValueError, match="is neither a host name"):
        expanded_hosts(text)
    other = SLURM | {"SLURM_NODELIST": text}
    assert find_environment(other | {"SLURM_LAUNCH_NODE_IPADDR": "10.0.0.1"}).address == "10.0.0.1"
    assert find_environment(other | {"MASTER_ADDR": "gpu03"}).address == "gpu03"
    with pytest.raises(
        UserError, match=r"SLURM_NODELIST is .* its first machine, and .*; name that machine: export MASTER"
    ):
        find_environment(other)


def test_task_counts():
    assert tasks_per_node("2(x3),1") == [2, 2, 2, 1] and tasks_per_node("4") == [4]
    with pytest.raises(ValueError, match="is not a count"):
        tasks_per_node("")
    with pytest.raises(UserError, match="SLURM_TASKS_PER_NODE is 'not set'; it must say .*--ntasks-per-node=N"):
        find_environment({name: value for name, value in SLURM.items() if name != "SLURM_NTASKS_PER_NODE"})


# Real processes.


@pytest.fixture
def mouse(sounds, tmp_path, monkeypatch) -> Path:
    """Writes a recipe whose steps take milliseconds, in a folder of its own."""
    path = tmp_path / "mouse.yaml"
    path.write_text(RECIPE.format(source=sounds(8, seconds=0.3)))
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def start(tmp_path, cache) -> Iterator[Callable[..., Ranks]]:
    """start(act, environments, …) starts a process in each of these environments."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    started: list[Any] = []

    def begin(act: Callable[..., None], environments: list[dict[str, str]], *arguments: Any) -> Ranks:
        place = tmp_path / "ranks"
        place.mkdir()
        for rank, environment in enumerate(environments):
            settings = environment | {"WAVEGAN_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
            words = (act, settings, str(tmp_path), str(place / f"rank-{rank}"), *map(str, arguments))
            started.append(context.Process(target=as_rank, args=words))
        for process in started:
            process.start()
        return Ranks(started, place)

    yield begin
    for process in started:
        process.kill()
        process.join()


@pytest.fixture
def port() -> Iterator[str]:
    """Returns a port that nobody else is given meanwhile, although a process of the test can listen there."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield str(holder.getsockname()[1])


def slurm_ranks(count: int, port: str) -> list[dict[str, str]]:
    """Returns the variables of a step's tasks, all on this machine, whose first one listens at the port."""
    shared = SLURM | {"SLURM_NTASKS": str(count), "SLURM_NODELIST": "localhost", "MASTER_PORT": port}
    shared["SLURM_NTASKS_PER_NODE"] = str(count)
    return [shared | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)} for rank in range(count)]


def torchrun_ranks(count: int, port: int) -> list[dict[str, str]]:
    """Returns the variables of processes that torchrun has started on this machine, whose store is at a port."""
    shared = TORCHRUN | {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "TORCHELASTIC_RESTART_COUNT": "0"}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    return [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]


def largest_difference(run_a: Path, run_b: Path) -> float:
    """Returns the largest difference between the newest generators of two runs."""
    weights = [
        checkpoint.load(checkpoint.newest_path(run / "checkpoints"))["networks"]["generator"] for run in (run_a, run_b)
    ]
    return max((weights[0][name] - weights[1][name]).abs().max().item() for name in weights[0])


def test_tasks_of_slurm_train_together(mouse, start, port):
    train(recipes.load(mouse), Path("whole"), device="cpu")
    ranks = start(command_line, slurm_ranks(2, port), "train", mouse, "--run-dir", "run", "--device", "cpu", "--json")
    assert ranks.codes == [0, 0], ranks.said("err")
    out, err = ranks.said("out"), ranks.said("err")
    assert json.loads(out[0])["step"] == 4 and (out[1], err[1]) == ("", "")
    assert largest_difference(Path("whole"), Path("run")) < 1e-5


def test_a_task_of_slurm_that_is_killed_is_reported_once(mouse, start, port):
    words = ("train", mouse, "training.steps=100000", "training.checkpoint_every=1", "--run-dir", "run")
    ranks = start(command_line, slurm_ranks(2, port), *words, "--device", "cpu")
    ranks.wait_until(lambda: len(checkpoint.steps(Path("run/checkpoints"))) > 1)
    ranks.processes[1].kill()
    assert ranks.codes == [75, -signal.SIGKILL]
    assert "error: rank 1 (process " in ranks.said("err")[0] and "the same command goes on" in ranks.said("err")[0]


def train_twice(recipe: str, folder: str) -> None:
    """Trains two runs, as a user's own program may under a launcher; both use one store, which none has to close."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    results = [train(recipes.load(recipe), Path(name), device="cpu") for name in ("one", "two")]
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    rank = find_environment().rank
    Path(folder, f"steps-{rank}.json").write_text(json.dumps([result.step for result in results]))
    assert joining._common_store.cache_info()[:2] == (1, 1), "the second training has used the store of the first"


@pytest.mark.parametrize("launcher", ["torchrun", "srun"])
def test_a_program_trains_twice_under_a_launcher(mouse, start, port, tmp_path, launcher):
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # torchrun's, which outlives a training
    environments = slurm_ranks(2, port) if launcher == "srun" else torchrun_ranks(2, store.port)
    ranks = start(train_twice, environments, mouse, tmp_path)
    assert ranks.codes == [0, 0], ranks.said("err")
    assert [json.loads(Path(f"steps-{rank}.json").read_text()) for rank in range(2)] == [[4, 4]] * 2
    assert largest_difference(Path("one"), Path("two")) == 0


def in_a_group(rank: int, count: int, folder: Path) -> None:
    """Makes a group as a host program does."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=count)


def host_program(recipe: str, folder: str) -> None:
    """Trains in a group of its own, and goes on using it; writes each rank's results."""
    rank = int(os.environ["OWN_RANK"])
    in_a_group(rank, 2, Path(folder))
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    result = train(recipes.load(recipe), Path("run"), device="cpu")
    assert distributed.world_size() == 1, "outside of a training each process is alone"
    total = torch.tensor([rank + 1.0])
    dist.all_reduce(total)
    again = train(recipes.load(recipe, ["training.steps=6"]), Path("run"), device="cpu")
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    seen = {"steps": [result.step, again.step], "total": total.item(), "path": str(again.checkpoint)}
    Path(folder, f"seen-{rank}.json").write_text(json.dumps(seen))
    dist.destroy_process_group()


def test_a_group_that_exists_is_borrowed(mouse, start, tmp_path):
    train(recipes.load(mouse, ["training.steps=6"]), Path("whole"), device="cpu")
    ranks = start(host_program, [{"OWN_RANK": str(rank)} for rank in range(2)], mouse, tmp_path)
    assert ranks.codes == [0, 0], ranks.said("err")
    expected = {"steps": [4, 6], "total": 3.0, "path": "run/checkpoints/step-00000006.pt"}
    assert [json.loads(Path(f"seen-{rank}.json").read_text()) for rank in range(2)] == [expected] * 2
    assert largest_difference(Path("whole"), Path("run")) < 1e-5
    assert ranks.said("err") == ranks.said("out") == ["", ""]


def host_program_that_loses_one(recipe: str, folder: str) -> None:
    """Makes rank 1 exit in the middle; rank 0 meets an error and goes on with other work."""
    rank = int(os.environ["OWN_RANK"])
    in_a_group(rank, 2, Path(folder))
    usual = loop.take_step

    def take_step(training: Any, batches: Any) -> Any:
        if training.step == 2 and rank == 1:
            os._exit(7)
        return usual(training, batches)

    loop.take_step = take_step
    try:
        train(recipes.load(recipe), Path("run"), device="cpu")
    except ProcessLost as error:
        Path(folder, "lost.txt").write_text(str(error))
    os._exit(0)  # the group cannot be left in order


def test_a_lost_rank_of_a_borrowed_group_is_an_error_and_no_end(mouse, start, tmp_path):
    ranks = start(host_program_that_loses_one, [{"OWN_RANK": str(rank)} for rank in range(2)], mouse, tmp_path)
    assert ranks.codes == [0, 7], ranks.said("err")
    text = Path("lost.txt").read_text()
    assert text.startswith("another of the 2 processes has died or cannot be reached (")
    assert "the last checkpoint is at step 2; the same command goes on from there" in text


def host_program_with_an_error(recipe: str, folder: str) -> None:
    """Raises the error in the main rank; the other is not left to wait."""
    rank = int(os.environ["OWN_RANK"])
    in_a_group(rank, 2, Path(folder))
    try:
        train(recipes.load(recipe, ["data.source=nowhere"]), Path("run"), device="cpu")
    except UserError as error:
        Path(folder, f"error-{rank}.txt").write_text(f"{type(error).__name__}: {error}")
    total = torch.ones(1)
    dist.all_reduce(total)  # the host's own group is as it was
    assert total == 2
    dist.destroy_process_group()


def test_an_error_of_one_rank_of_a_borrowed_group_reaches_the_others(mouse, start, tmp_path):
    ranks = start(host_program_with_an_error, [{"OWN_RANK": str(rank)} for rank in range(2)], mouse, tmp_path)
    assert ranks.codes == [0, 0], ranks.said("err")
    assert "nowhere" in Path("error-0.txt").read_text()
    assert Path("error-1.txt").read_text().startswith("ProcessLost: another of the 2 processes")


def test_other_commands_may_run_in_a_program_that_has_a_group(monkeypatch):
    """Checks that only a command that a launcher started several times is refused."""
    environment = Environment(0, 2, 0, 2, "the process group")
    monkeypatch.setattr(distributed, "find_environment", lambda: environment)
    assert distributed.rank_device("cpu") == "cpu" and distributed.rank_device("cuda:1") == "cuda:1"
