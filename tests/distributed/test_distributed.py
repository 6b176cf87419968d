"""Tests several processes: together they equal one with the whole batch, one reports, and none outlives another.

The ranks are told who they are as torchrun does it, but a fork server starts them that has torch already; torchrun
itself takes seconds, so it comes once.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ranks import PATIENCE_SECONDS, Ranks, command_line
from torch import Tensor, nn
from torch.distributed import TCPStore  # pyright: ignore

from wavegan import assemble, distributed
from wavegan import recipe as recipes
from wavegan.audio.adaptive_augmentation import Adaptive
from wavegan.audio.augmentation import Augmentation
from wavegan.audio.corpus import LONGEST_CLIP, Corpus
from wavegan.audio.windows import Windows
from wavegan.commands.train import TrainingResult, train
from wavegan.distributed import peer_monitor
from wavegan.distributed.environment import TORCHRUN_VARIABLES, Environment
from wavegan.distributed.joining import Process, _agreed_name, step_timeout
from wavegan.distributed.shares import share_of
from wavegan.errors import UserError
from wavegan.methods.adversary import Adversary
from wavegan.methods.base import Batch
from wavegan.methods.gan import GAN
from wavegan.methods.vae import VAE
from wavegan.models.inputs import Input
from wavegan.models.phase_shuffle import PhaseShuffle
from wavegan.models.tiled import WaveformDiscriminator
from wavegan.models.wavegan import Discriminator, Generator
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES, between
from wavegan.objectives.reconstruction import multi_resolution_stft
from wavegan.settings import Latent, PhaseShuffleSettings
from wavegan.training import checkpoint, loop
from wavegan.training.loop import Training
from wavegan.training.run_folder import RunFolder

BATCH = 4
RECIPE = """\
data: {{source: {source}, clip_samples: 4096, holdout: 0.4, windows: random}}
generator: {{dim: 2, latent_dim: 4}}
discriminators: {{waveform: {{name: wavegan, dim: 2, phase_shuffle: {{radius: 2, shared: false}}}}}}
method: {{discriminator_steps: 2}}
optimizers: {{generator: {{lr: 1e-3}}, discriminator: {{lr: 1e-3}}}}
training: {{steps: 10, batch_size: 4, checkpoint_every: 2, keep_last: 3, precision: fp32, ema: 0.9, gradient_clip: 1}}
monitor: {{log_every: 1, preview_every: 5, preview_count: 2, tensorboard: false}}
"""
MANY = ("training.steps=100000", "training.checkpoint_every=2", "monitor.preview_every=0")


@pytest.fixture
def mouse(sounds, tmp_path, monkeypatch) -> Path:
    """Writes a recipe whose steps take milliseconds, in a folder of its own."""
    path = tmp_path / "mouse.yaml"
    path.write_text(RECIPE.format(source=sounds(6, seconds=0.3)))
    monkeypatch.chdir(tmp_path)
    return path


def trained(recipe: Path, run: str | Path, *overrides: str) -> TrainingResult:
    """Trains one process with the whole batch."""
    return train(recipes.load(recipe, overrides), Path(run), device="cpu")


def numbers_of(state: Any, path: str = "") -> dict[str, Tensor]:
    """Flattens nested dicts and lists into one dict of paths to tensors, without seconds and threads."""
    if isinstance(state, dict | list | tuple):
        pairs = state.items() if isinstance(state, dict) else enumerate(state)
        parts = [numbers_of(value, f"{path}/{key}") for key, value in pairs if key not in ("seconds", "threads")]
        return {key: value for part in parts for key, value in part.items()}
    return {path: torch.as_tensor(state)} if isinstance(state, Tensor | int | float) else {}


def largest_difference(state: Any, other_state: Any) -> float:
    ones, others = numbers_of(state), numbers_of(other_state)
    assert ones.keys() == others.keys() and ones, "the same parts"
    return max((ones[path].double() - others[path].double()).abs().max().item() for path in ones)


def newest(run: str | Path) -> dict[str, Any]:
    return checkpoint.load(checkpoint.newest_path(Path(run, "checkpoints")))


def steps_of(run: str | Path) -> list[int]:
    return list(checkpoint.steps(Path(run, "checkpoints")))


def log_of(run: str | Path) -> list[dict[str, float]]:
    """Returns the lines of a log that may be written just now, without those of starts and ends."""
    path = Path(run, "log.jsonl")
    while True:
        with contextlib.suppress(ValueError):
            lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
            return [line for line in lines if not {"start", "end"} & set(line)]


# Starting ranks.


def impatient_command_line(*words: str) -> None:
    peer_monitor.TELLING_SECONDS = 1
    command_line(*words)


def command_line_that_hangs(*words: str) -> None:
    """Makes rank 0 hang in its fourth step, as in an accelerator that waits for a dead process."""
    usual = loop.take_step

    def take_step(training: Training, batches: Any) -> Any:
        if training.step == 3 and distributed.is_main():
            time.sleep(PATIENCE_SECONDS)
        return usual(training, batches)

    loop.take_step = take_step
    impatient_command_line(*words)


# Gradients.


class Whole(Discriminator):
    """Describes a discriminator that cannot be taken apart, so the gradients of its penalty are autograd's."""

    stages = None  # type: ignore[assignment]


def learn(folder: str, *names: str) -> None:
    """Trains variants in float64 and stores the results and the values that ranks exchange."""
    torch.set_default_dtype(torch.float64)
    with distributed.processes(str):
        rank = distributed.rank()
        mixed = [torch.arange(6.0).view(2, 3).t() * rank, torch.tensor(rank + 0.5), torch.full((2,), rank).bfloat16()]
        mixed += [torch.full((2, distributed.LARGE), 2.0 * rank), torch.full((distributed.LARGE, 2), rank + 1.0).t()]
        distributed.average_over_ranks(mixed)
        shared = distributed.broadcast({"text": "x", "nested": [1, (None, torch.ones(2))]} if rank == 0 else None)
        said = {"mean": mixed, "agreed": distributed.max_over_ranks([3, 15, 7][rank]), "shared": repr(shared)}
        results: dict[str, Any] = {name: learnt(**VARIANTS[name]) for name in names}
        torch.save({"rank": rank, "said": said, **results}, Path(folder, f"{distributed.world_size()}-{rank}.pt"))


class Follower(nn.Module):
    """Multiplies each clip by its own gain, stronger for a better discriminator, so it follows the statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("strength", torch.zeros(()))
        self.strength: Tensor

    def forward(self, clips: Tensor) -> Tensor:
        gains = distributed.rank_rows(lambda rows: torch.rand(rows, 1, 1), len(clips))
        return clips * (1 + self.strength * gains)

    def advance(self, step: int) -> None:
        """Does nothing, as nothing depends on the step."""

    def statistics(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        return {}

    def after_update(self, stats: Mapping[str, Tensor]) -> None:
        self.strength += stats["wasserstein"].abs()


class QuickChanges(Adaptive):
    """Makes changes that are frequent from the start, and more or less frequent with every update.

    Nothing is quite silent: the slope of a leaky ReLU beside silence is a matter of rounding.
    """

    def __init__(self) -> None:
        super().__init__(16000, probability=0.5, ramp_clips=100)

    def forward(self, clips: Tensor) -> Tensor:
        return super().forward(clips + 0.01)


VARIANTS: dict[str, dict[str, Any]] = {
    "one shift for all": {"shared": True},
    "a shift for each": {"shared": False, "gradient_clip": 0.5},
    "by autograd": {"shared": False, "plain": True, "latent": "normal"},
    "by autograd, one shift": {"shared": True, "plain": True, "gradient_clip": 0.5},
    "an augmentation that adapts": {"shared": True, "augment": Follower},
    "reused fakes": {"shared": True, "reused": True, "augment": QuickChanges},
}
EVEN = tuple(VARIANTS)
VARIANTS |= {
    "points at all clips": {"shared": False, "plain": True, "penalty": "r1_r2", "gradient_clip": 0.5},
    "points without rows of their own": {"shared": None, "penalty": "r1_r2"},
    "dropout": {"shared": False, "plain": True, "dropout": 0.3},
    "clips that are compared": {"group": 4, "objective": "relativistic", "penalty": "r1_r2", "rows": 12},
    "clips that are compared, reused": {"group": 2, "penalty": "r1", "reused": True, "augment": QuickChanges},
    "a VAE": {"group": 2, "vae": True, "latent": "normal"},
    **{f"objective {name}": {"objective": name} for name in OBJECTIVES if name != "relativistic_average"},
}


def adversary(
    *,
    shared: bool | None,
    plain: bool,
    augment: Callable[[], Augmentation] | None,
    group: int,
    objective: str,
    penalty: str,
    dropout: float,
) -> Adversary:
    """Makes an adversary; shared: None for no shift at all; group: 0 for a discriminator that compares no clips."""
    kind, shuffle = Whole if plain else Discriminator, PhaseShuffleSettings(radius=2 * (shared is not None))
    shuffle = shuffle.model_copy(update={"shared": bool(shared)})
    wave = kind((1, 4096), dim=1, kernel_size=9, phase_shuffle=shuffle, dropout=dropout) if not group else None
    return Adversary(
        wave or WaveformDiscriminator((1, 4096), dim=1, group=group),
        objective=OBJECTIVES[objective],
        penalty=PENALTIES[penalty],
        penalty_weight=10,
        augment=augment() if augment else None,
    )


def learnt(
    *,
    shared: bool | None = True,
    plain: bool = False,
    augment: Callable[[], Augmentation] | None = None,
    reused: bool = False,
    latent: Latent = "uniform",
    gradient_clip: float | None = None,
    group: int = 0,
    objective: str = "wasserstein",
    penalty: str = "gradient_penalty",
    dropout: float = 0,
    vae: bool = False,
    rows: int = 0,
) -> dict:
    """Takes three steps with batches of `rows` clips, by default BATCH or, if clips are compared, three groups."""
    rows = rows or (3 * group if group else BATCH)
    distributed.share_batch(rows, group or 1)
    torch.manual_seed(0)
    generator = Generator(4096, dim=1, latent=latent, latent_dim=4, kernel_size=9)
    method: Any
    if vae:
        encoder = WaveformDiscriminator((1, 4096), dim=1, group=group, outputs=8)
        method = VAE(encoder, generator, reconstruction=multi_resolution_stft, kl_weight=0.1, kl_warmup_steps=2)
    else:
        judge = adversary(
            shared=shared,
            plain=plain,
            augment=augment,
            group=group,
            objective=objective,
            penalty=penalty,
            dropout=dropout,
        )
        method = GAN(generator, {"waveform": judge}, discriminator_steps=1 if reused else 2, reuses_fakes=reused)
    optimizers = {name: torch.optim.Adam(network.parameters(), lr=1e-3) for name, network in method.networks.items()}
    training = Training(method, optimizers, torch.device("cpu"), seed=3, ema=0.9, gradient_clip=gradient_clip)
    gradients, stats = [], []
    for name, optimizer in optimizers.items():
        parameters = list(method.networks[name].parameters())
        optimizer.register_step_pre_hook(lambda *_, own=parameters: gradients.append([p.grad.clone() for p in own]))

    def batches(draw: int) -> Batch:
        noise = torch.Generator().manual_seed(draw)
        return Batch((torch.rand(rows, 1, 4096, generator=noise) * 2 - 1)[distributed.rank_slice(rows)])

    loop.train(training, batches, 3, after_step=lambda values: not stats.append(values))
    return {"gradients": gradients, "state": training.state(), "stats": stats}


def test_the_ranks_together_are_one_process_with_the_whole_batch(start, tmp_path):
    """Compares gradients, parameters and statistics in float64, to 1e-10, in every rank."""
    single, together = start(1, learn, tmp_path, *EVEN), start(2, learn, tmp_path, *EVEN)
    assert (single.codes, together.codes) == ([0], [0, 0]), together.said("err")
    whole = torch.load(tmp_path / "1-0.pt")
    adapted = whole["an augmentation that adapts"]["state"]["method"]["waveform"]["augment"]["strength"]
    probability = whole["reused fakes"]["state"]["method"]["waveform"]["augment"]["probability"]
    assert probability.item() == pytest.approx(0.5 - 3 * BATCH / 100), "the certainty has just begun to rise"
    assert adapted > 1e-3, "the statistics moved it, and were those of the whole batch if all have the same"
    for rank in range(2):
        part = torch.load(tmp_path / f"2-{rank}.pt")
        assert part["rank"] == rank
        for name in EVEN:
            assert len(part[name]["gradients"]) == (6 if name == "reused fakes" else 9)
            assert max(gradient.abs().max() for gradient in part[name]["gradients"][-1]) > 1e-3
            for piece in ("gradients", "stats", "state"):
                assert largest_difference(part[name][piece], whole[name][piece]) < 1e-10, (name, piece)
        rows, scalar, half, large, turned = part["said"]["mean"]
        assert torch.equal(rows, torch.arange(6.0, dtype=torch.float64).view(2, 3).t() / 2)
        assert scalar == 1 and half.tolist() == [0.5, 0.5]
        assert (large == 1).all() and (turned == 1.5).all()
        assert part["said"]["agreed"] == 15
        assert part["said"]["shared"] == "{'text': 'x', 'nested': [1, (None, tensor([1., 1.]))]}"
    alone = whole["said"]
    assert alone["agreed"] == 3 and alone["mean"][1] == 0.5 and alone["shared"].startswith("{'text'")


def test_uneven_shares_together_are_the_whole_batch(start, tmp_path):
    """Trains with seven clips, or with three groups that are compared, for every kind of update, objective and draw."""
    ranks = [start(count, learn_with_seven, tmp_path) for count in (1, 2, 3)]
    assert [run.codes for run in ranks] == [[0], [0] * 2, [0] * 3], [run.said("err") for run in ranks]
    whole = torch.load(tmp_path / "1-0.pt")
    for count, rank in ((2, 0), (2, 1), (3, 0), (3, 1), (3, 2)):
        part = torch.load(tmp_path / f"{count}-{rank}.pt")
        for name in VARIANTS:
            assert max(gradient.abs().max() for gradient in part[name]["gradients"][-1]) > 1e-4, name
            for piece in ("gradients", "stats", "state"):
                assert largest_difference(part[name][piece], whole[name][piece]) < 1e-10, (name, piece)


def learn_with_seven(folder: str) -> None:
    global BATCH
    BATCH = 7
    learn(folder, *VARIANTS)


# Each its own share.


@pytest.mark.parametrize(("rows", "together"), [(64, 1), (64, 4), (12, 4), (7, 1), (6, 2)])
def test_shares_are_whole_groups_that_cover_the_batch(rows, together):
    for world in range(1, rows // together + 1):
        shares = [share_of(rank, world, rows, together).own for rank in range(world)]
        assert [row for own in shares for row in range(rows)[own]] == list(range(rows))
        counts = [own.stop - own.start for own in shares]
        assert all(count % together == 0 for count in counts) and max(counts) - min(counts) in (0, together)
    with pytest.raises(UserError, match=f"batch_size is {rows} and .* start at most {rows // together} processes, or"):
        share_of(0, rows // together + 1, rows, together)


def as_if(monkeypatch: pytest.MonkeyPatch, rank: int, world: int, rows: int = 8) -> None:
    environment = Environment(rank, world, rank, world, "torchrun")
    monkeypatch.setattr(distributed, "_process", Process(environment, share=share_of(rank, world, rows, 1)))


DRAWS = {
    "uniform": lambda rows: Input("uniform", (3,)).draw(rows),
    "normal": lambda rows: Input("normal", (3,)).draw(rows),
    "integers": lambda rows: torch.randint(0, 1000, (rows, 2)),
}


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_rows_drawn_by_all_are_those_that_one_draws(monkeypatch, draw, world):
    """Draws for one batch, and for two behind one another, as real and fake clips come."""
    for batches in (1, 2):
        torch.manual_seed(1)
        whole, parts = DRAWS[draw](8 * batches), []
        for rank in range(world):
            as_if(monkeypatch, rank, world)
            own = distributed.rank_slice(8)
            torch.manual_seed(1)
            parts.append(distributed.rank_rows(DRAWS[draw], (own.stop - own.start) * batches).chunk(batches))
        assert torch.equal(torch.cat([torch.cat(batch) for batch in zip(*parts, strict=True)]), whole)
        assert len(parts) == world


def test_few_clips_for_a_trial_are_drawn_for_themselves(monkeypatch):
    as_if(monkeypatch, 0, 2, rows=6)
    torch.manual_seed(1)
    few = distributed.rank_rows(DRAWS["uniform"], 4)
    torch.manual_seed(1)
    assert torch.equal(few, DRAWS["uniform"](4)) and distributed.whole_rows(4) == 4


def test_points_of_the_penalty_and_shifts_are_those_of_the_whole_batch(monkeypatch):
    real, fake = torch.rand(4, 1, 8), torch.rand(4, 1, 8)
    for shared in (True, False):
        by_world = {}
        for world in (1, 2):
            points, shifts = [], []
            for rank in range(world):
                as_if(monkeypatch, rank, world, rows=4)
                own = distributed.rank_slice(4)
                torch.manual_seed(2)
                points.append(between(real[own], fake[own]))
                torch.manual_seed(2)
                shifts.append(PhaseShuffle(7, shared=shared).draw(3, 4 // world, torch.device("cpu")).view(3, -1))
            by_world[world] = torch.cat(points), torch.cat(shifts, 1)
        assert all(torch.equal(alone, together) for alone, together in zip(by_world[1], by_world[2], strict=True))


@pytest.mark.parametrize("kind", ["first", "random", "all"])
def test_clips_of_all_ranks_are_the_batch_of_one(monkeypatch, mouse, kind):
    lengths = np.array([5, 40, 17, 64])
    samples = torch.randint(-32767, 32768, (lengths.sum() + LONGEST_CLIP, 1), dtype=torch.int16)
    starts = np.cumsum([0, *lengths[:-1]])
    labels = np.full(4, -1)
    corpus = Corpus(samples, starts, lengths, labels, ("a", "b", "c", "d"), (), {}, 16000)
    windows = Windows(corpus, 16, kind, seed=3)
    recipe = recipes.load(mouse, [f"data.windows={kind}"])
    source = assemble.training_clips(recipe, assemble.corpora(recipe))
    whole_batches = assemble.batches(recipe, source, torch.device("cpu"))
    for draw in range(3):
        whole = windows.batch(draw, 6)
        parts = [windows.batch(draw, 6, slice(first, first + 2)) for first in (0, 2, 4)]
        assert torch.equal(torch.cat(parts), whole) and all(len(part) == 2 for part in parts)
        assert len({clip.numpy().tobytes() for clip in whole}) > 2, "the clips are not all alike"
        own = []
        for rank in range(2):
            as_if(monkeypatch, rank, 2, rows=4)
            own.append(assemble.batches(recipe, source, torch.device("cpu"))(draw).x)
            monkeypatch.undo()
        assert torch.equal(torch.cat(own), whole_batches(draw).x) and len(own[1]) == 2


# Runs.


def test_two_machines_make_the_run_of_one_process(mouse, start, tmp_path):
    """Trains ten steps in fp32 on five clips; the second rank has its own folder and cache, neither is given a run."""
    trained(mouse, "one", "training.batch_size=5")
    words = ("train", mouse, "training.batch_size=5", "--run-dir", "run", "--json")
    two = start(2, command_line, *words, apart=True)
    assert two.codes == [0, 0], two.said("err")
    first, second = two.place / "machine-0", two.place / "machine-1"
    assert largest_difference(newest("one"), newest(first / "run")) < 1e-5
    assert largest_difference(log_of("one"), log_of(first / "run")) < 1e-4 and len(log_of("one")) == 10
    assert newest("one").keys() == newest(first / "run").keys()
    names = [{path.relative_to(run) for path in run.rglob("*")} for run in (Path("one"), first / "run")]
    assert names[0] == names[1]
    out, err = two.said("out"), two.said("err")
    assert json.loads(out[0])["step"] == 10 and err[0].count("learning from") == 1
    assert (out[1], err[1], list(second.iterdir())) == ("", "", []), "the second writes and says nothing"


def test_other_sound_on_another_machine_is_refused(mouse, start, sounds):
    """Sources are named relative to the folder where a rank is started, so each has its own."""
    for rank, count in enumerate((5, 9)):
        sounds(count, seconds=0.2, name=f"ranks-0/machine-{rank}/mine")
    ranks = start(2, command_line, "train", mouse, "data.source=mine", "--run-dir", "run", apart=True)
    assert ranks.codes == [2, 2]
    heard = "".join(ranks.said("err"))
    assert (
        heard.count("error: ") == 1 and "that of the main process" in heard and "all must learn from the same" in heard
    )


def test_torchrun_goes_on_with_a_run_of_one_process(mouse, start, cache):
    """Runs the real torchrun once: from step 4 of one process to step 10 with two."""
    trained(mouse, "whole")
    trained(mouse, "run", "training.steps=4")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    words = ["wavegan", "train", str(mouse), "--run-dir", "run", "--device", "cpu"]
    settings = {**os.environ, "WAVEGAN_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *words], capture_output=True, text=True, env=settings, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "run/checkpoints/step-00000010.pt\n"
    assert done.stderr.count("going on from step 4 of run") == 1 and "Traceback" not in done.stderr
    assert largest_difference(newest("whole"), newest("run")) < 1e-5
    assert [line["step"] for line in log_of("run")] == list(range(1, 11))

    again = start(2, command_line, "train", mouse, "--run-dir", "run")
    assert again.codes == [0, 0]
    assert again.said("err") == ["run has taken its 10 steps; raise training.steps to go on\n", ""]


# Ends.


def test_a_killed_rank_ends_the_others_and_one_process_goes_on(mouse, start):
    run = Path("run")
    ranks = start(2, command_line, "train", mouse, "--run-dir", "run", *MANY)
    ranks.wait_until(lambda: steps_of(run) and len(log_of(run)) > 4)
    ranks.processes[1].kill()
    assert ranks.codes == [75, -signal.SIGKILL]
    [step, *_] = reversed(steps_of(run))
    told = ranks.said("err")[0].splitlines()[-1]
    assert told.startswith(f"error: rank 1 (process {ranks.processes[1].pid} on ") and "one of 2, has died" in told
    assert f"the last checkpoint is at step {step}; the same command goes on from there" in told
    assert told.endswith("with any number of processes")
    assert "Traceback" not in ranks.said("err")[0] and not (run / "lock.holder").exists()

    more = f"training.steps={step + 3}"
    trained(mouse, run, more)
    trained(mouse, "whole", more)
    assert largest_difference(newest("whole"), newest(run)) < 1e-5
    assert [line["step"] for line in log_of(run)] == list(range(1, step + 4))


def test_if_the_main_process_is_killed_another_tells(mouse, start):
    ranks = start(4, impatient_command_line, "train", mouse, "--run-dir", "run", *MANY)
    ranks.wait_until(lambda: steps_of("run"))
    ranks.processes[0].kill()
    assert ranks.codes == [-signal.SIGKILL, 75, 75, 75]
    heard = "".join(ranks.said("err")[1:])
    assert heard.count("error: ") == heard.count("\n") == 1
    assert f"error: rank 0 (process {ranks.processes[0].pid} on " in heard and "the last checkpoint is at step" in heard


def test_a_rank_that_hangs_is_reported_and_ends_the_others(mouse, start):
    """Torch's timeout ends the rank that waits for it; the launcher, here the test, ends the rank that hangs."""
    words = ("train", mouse, "--run-dir", "run", *MANY)
    ranks = start(2, command_line_that_hangs, *words, WAVEGAN_STEP_TIMEOUT="10")
    ranks.processes[1].join(PATIENCE_SECONDS)
    assert ranks.processes[0].is_alive() and ranks.processes[1].exitcode == 75
    ranks.processes[0].kill()
    assert ranks.codes == [-signal.SIGKILL, 75]
    told = ranks.said("err")[1].splitlines()[-1]
    assert told.startswith("error: ") and "has died or cannot be reached (" in told and "is at step 2; the same" in told


def test_the_number_of_processes_may_change_again_and_again(mouse, start):
    """Compares a run of 4, 3, 1 and 2 processes with one of a single process: each is told to end at a later step."""
    words = ("train", mouse, "training.batch_size=7", "--run-dir", "run")
    trained(mouse, "whole", "training.batch_size=7", "training.steps=12")
    for count, steps in ((4, 3), (3, 6), (1, 9), (2, 12)):
        ranks = start(count, command_line, *words, f"training.steps={steps}")
        assert ranks.codes == [0] * count, ranks.said("err")
        shared = f"{count} processes share each batch of 7 clips"
        assert (shared in ranks.said("err")[0]) == (count > 1)
    assert largest_difference(log_of("whole"), log_of("run")) < 1e-5 and len(log_of("run")) == 12
    assert largest_difference(newest("whole"), newest("run")) < 1e-5


def test_a_later_run_on_another_machine_is_not_started_again(mouse, start, tmp_path):
    """Exchanges the places of two machines without a common disk, as torchrun may when one comes or goes."""
    trained(mouse, tmp_path / "ranks-0" / "machine-1" / "run", "training.steps=4")
    ranks = start(2, command_line, "train", mouse, "--run-dir", "run", apart=True)
    told = refused(ranks)
    assert "holds no checkpoint, that of another machine at step 4; the first process goes on" in told
    fresh = start(2, command_line, "train", mouse, "--run-dir", "run", "--fresh", "training.steps=1", apart=True)
    assert fresh.codes == [0, 0], fresh.said("err")


@pytest.mark.parametrize("text", ["0", "soon", "-3"])
def test_another_timeout_must_be_seconds(monkeypatch, text):
    monkeypatch.setenv("WAVEGAN_STEP_TIMEOUT", text)
    with pytest.raises(UserError, match=f"WAVEGAN_STEP_TIMEOUT is '{text}'; it must be a whole number of seconds; try"):
        step_timeout()
    monkeypatch.setenv("WAVEGAN_STEP_TIMEOUT", "60")
    assert step_timeout().total_seconds() == 60


def test_processes_that_torchrun_starts_again_agree_on_a_name_of_their_own():
    """The store keeps what earlier ones have written, with other numbers of processes."""
    server = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    names = []
    for world in (2, 4, 3, 3):
        stores = [TCPStore("127.0.0.1", server.port, is_master=False) for _ in range(world)]
        with ThreadPoolExecutor(world) as pool:
            agreed = list(pool.map(_agreed_name, stores, range(world), [world] * world))
        assert len(set(agreed)) == 1
        names += agreed[:1]
    assert len(set(names)) == 4


@pytest.mark.parametrize(("number", "whom"), [(signal.SIGTERM, (0, 1)), (signal.SIGINT, (1,))])
def test_a_signal_to_any_stops_all_at_the_same_step(mouse, start, number, whom):
    """The run then continues with two processes, and equals a run that was never stopped."""
    run = Path("run")
    several = (*MANY, "training.checkpoint_every=100000")
    ranks = start(2, command_line, "train", mouse, "--run-dir", "run", *several)
    ranks.wait_until(lambda: len(log_of(run)) > 2)
    for rank in whom:
        os.kill(ranks.processes[rank].pid, number)
    assert ranks.codes == [128 + number] * 2
    [step] = steps_of(run)
    told, silence = ranks.said("err")
    assert f"stopped at step {step} and saved; go on with: wavegan train" in told and silence == ""

    more = f"training.steps={step + 2}"
    assert start(2, command_line, "train", mouse, "--run-dir", "run", more).codes == [0, 0]
    trained(mouse, "whole", more)
    assert largest_difference(newest("whole"), newest(run)) < 1e-5


def refused(ranks: Ranks) -> str:
    """Returns the error, printed once, where all end with exit code 2."""
    assert ranks.codes == [2] * len(ranks.processes), ranks.said("err")
    heard = "".join(ranks.said("err"))
    assert heard.count("error: ") == 1 and "Traceback" not in heard and "warning" not in heard
    assert ranks.said("out") == [""] * len(ranks.processes)
    return heard[heard.index("error: ") :]


def test_refusals_are_told_once(mouse, start):
    few = refused(start(3, command_line, "train", mouse, "--run-dir", "run", "training.batch_size=2"))
    assert "training.batch_size is 2 and there are 3 processes; each takes at least one of the 2 clips" in few
    assert not Path("run").exists()
    assert "the device is 'gpu'" in refused(start(2, command_line, "train", mouse, "--device", "gpu"))
    assert "nowhere" in refused(start(2, command_line, "train", mouse, "data.source=nowhere", "--run-dir", "bad"))

    trained(mouse, "run", "training.steps=2")
    changed = refused(start(2, command_line, "train", mouse, "--run-dir", "run", "generator.dim=1"))
    assert "started with another recipe" in changed and "generator.dim: 2 → 1" in changed
    with RunFolder(Path("run")).locked():
        assert "is being trained by process" in refused(start(2, command_line, "train", mouse, "--run-dir", "run"))
    huge = ("optimizers.discriminator.lr=1", "method.penalty_weight=1e39", "training.gradient_clip=null")
    spoilt = refused(start(2, command_line, "train", mouse, "--run-dir", "spoilt", *huge))
    assert "phase discriminators; there is no checkpoint yet; try a lower" in spoilt


# What torchrun says of a process.


@pytest.fixture
def by_torchrun(monkeypatch) -> Callable[..., None]:
    """by_torchrun(local_rank, here) sets torchrun's variables for one of `here` ranks on this machine."""

    def say(local_rank: int, here: int) -> None:
        words = (local_rank, local_rank, here, here, "localhost", 1)
        for name, word in zip(TORCHRUN_VARIABLES, words, strict=True):
            monkeypatch.setenv(name, str(word))

    return say


def test_each_process_of_a_machine_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert distributed.rank_device("cuda") == "cuda" and distributed.rank_device("cuda:1") == "cuda:1"
    as_if(monkeypatch, 3, 8)
    assert [distributed.rank_device(choice) for choice in ("cuda", "cpu")] == ["cuda:3", "cpu"]
    for choice in ("mps", "cuda:0"):
        with pytest.raises(UserError, match=f"the device is {choice} and torchrun started 8 .* `device=cuda`"):
            distributed.rank_device(choice)
    as_if(monkeypatch, 4, 8)
    with pytest.raises(UserError, match="started 8 processes on a machine with 4 GPUs; .* --nproc-per-node=4"):
        distributed.rank_device("cuda")


def test_other_commands_run_in_one_process(by_torchrun):
    by_torchrun(0, 2)
    with pytest.raises(
        UserError, match="torchrun started 2 processes; only wavegan train and wavegan bench use several; run"
    ):
        assemble.device("cpu")


def test_before_the_processes_know_each_other_the_first_of_a_machine_speaks(monkeypatch, by_torchrun):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    assert distributed.reports_errors()
    by_torchrun(0, 2)
    assert distributed.reports_errors() and waits == []
    by_torchrun(1, 2)
    assert not distributed.reports_errors() and waits == [distributed.FIRST_REPORT_SECONDS]


def test_one_process_under_torchrun_is_as_one_without(by_torchrun, mouse):
    by_torchrun(0, 1)
    assert trained(mouse, "run", "training.steps=1").step == 1 and not torch.distributed.is_initialized()
