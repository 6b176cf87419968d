"""Tests on a real CUDA device whatever works differently there; skipped without one."""

import copy
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import soundfile
import torch
from torch import nn

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.methods.base import Batch
from wavegan.seeding import seed_torch
from wavegan.training.acceleration import Records, cuda_graphs, settle_acceleration
from wavegan.training.loop import Training, take_step
from wavegan.training.muon import Muon
from wavegan.training.precision import autocast
from wavegan.training.tracing import compiled
from wavegan.training.trial import learning

DEVICE = torch.device("cuda", 0)
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    pytest.mark.filterwarnings("ignore"),  # compilers warn of their own workings
]

SMALL = ("data.clip_samples=4096", "generator.dim=4", "training.batch_size=8", "training.precision=fp32")
WAVEGAN = (*SMALL, "discriminators.waveform.dim=4")
RECIPES = {
    "shared phase shuffle": ("recipes/sc09.yaml", *WAVEGAN),
    "a shift for each clip": ("recipes/sc09.yaml", *WAVEGAN, "discriminators.waveform.phase_shuffle.shared=false"),
    "dropout": ("recipes/sc09.yaml", *WAVEGAN, "discriminators.waveform.dropout=0.3"),
    "noise before the discriminator": ("recipes/sc09.yaml", *WAVEGAN, "method.augment.name=noise"),
    "labels": ("recipes/sc09.yaml", *WAVEGAN, "generator.labels=2"),
    "a modern step": (
        "recipes/base/modern.yaml",
        *SMALL,
        "generator.dim=8",
        "discriminators.*.dim=4",
        "generator.labels=2",
    ),
    "several views": ("recipes/drums_views.yaml", *SMALL, "discriminators.*.dim=4"),
}


@pytest.fixture
def folder(sounds: Callable[..., Path]) -> Path:
    return sounds(16, labels=("low", "high"))


@pytest.fixture
def training(folder: Path) -> Callable[..., Training]:
    """training("recipes/….yaml", "key=value", …) makes the recipe's training on the GPU."""

    def make(path: str, *overrides: str) -> Training:
        source = [f"data.source={folder}", "data.test=null"]
        recipe = recipes.load(str(Path(__file__).parents[1] / path), [*source, *overrides])
        clips = assemble.training_clips(recipe, assemble.corpora(recipe))
        made = assemble.training(recipe, DEVICE, clips)
        made.batches = assemble.batches(recipe, clips, DEVICE)  # type: ignore[attr-defined]
        return made

    return make


def gradients(made: Training, backwards: Mapping[str, Callable[[Batch], object]], draw: int) -> torch.Tensor:
    """Returns the gradients of every phase of a step as one row; its random numbers follow from the draw."""
    rows = []
    for phase in made.method.phases:
        weights = learning(made.method, phase)
        for parameter in weights:
            parameter.grad = None
        seed_torch(0, draw, phase.name)
        with autocast(made.precision, DEVICE):
            backwards.get(phase.name, phase.backward)(made.batches(draw))  # type: ignore[attr-defined]
        rows += [parameter.grad.flatten().float() for parameter in weights if parameter.grad is not None]
    return torch.cat(rows)


TRANSFORMS = {"captured": [cuda_graphs], "compiled": [compiled], "compiled and captured": [compiled, cuda_graphs]}


@pytest.mark.parametrize("how", TRANSFORMS)
@pytest.mark.parametrize("name", RECIPES)
def test_a_prepared_step_is_the_step_as_it_is_written(training, name, how):
    """Takes it with other clips and other random numbers than those of the preparation."""
    made = training(*RECIPES[name])
    written = [gradients(made, {}, draw) for draw in (1, 2)]
    records = Records(made, made.batches(0), TRANSFORMS[how])
    records.add_form()
    for draw, expected in zip((1, 2), written, strict=True):
        computed = gradients(made, records.backwards, draw)
        assert torch.cosine_similarity(computed, expected, dim=0) > 0.999
    assert torch.cosine_similarity(*written, dim=0) < 0.99, "two draws give one gradient: the test sees nothing"


def test_a_compiled_step_turns_no_layout_that_the_written_one_leaves(training):
    """A compiler that gives an image of one row a stride of 0 has cuDNN turn it to channels first and back."""
    path, *overrides = RECIPES["shared phase shuffle"]
    made = training(path, *overrides, "training.precision=bf16", "generator.dim=32", "discriminators.waveform.dim=32")
    counts = []
    for transforms in ([], [compiled]):
        records = Records(made, made.batches(0), transforms)
        records.add_form()
        gradients(made, records.backwards, 1)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
            gradients(made, records.backwards, 1)
            torch.cuda.synchronize()
        names = [event.name for event in profiler.events() or []]
        assert names, "kernels were seen"
        counts.append(sum("nchwToNhwc" in name or "nhwcToNchw" in name for name in names))
    assert counts[1] <= counts[0]


def test_a_step_that_pays_is_compiled_and_captured(training):
    made = training(*RECIPES["a modern step"])
    lines = settle_acceleration(made, made.batches(0), True, 1000)
    assert lines[0].startswith("training.compile true: used, a step takes"), lines
    assert lines[1].startswith("CUDA graphs: used, a step takes") and set(made.backwards) == {
        "discriminators",
        "generator",
    }


def test_a_kind_of_step_that_is_captured_during_training_reads_new_weights(training):
    """In bf16, whose casts autocast keeps; trains some steps of both kinds, then compares one with the written step."""
    made = training(*RECIPES["a modern step"], "training.precision=bf16", "method.penalty_every=2")
    settle_acceleration(made, made.batches(0), "auto", 10)
    assert made.backwards, "graphs are used"
    for _ in range(6):
        take_step(made, made.batches)
        made.step += 1
    for kind in (0, 1):
        made.method.advance(kind)
        captured = gradients(made, made.backwards, 9)
        assert torch.cosine_similarity(captured, gradients(made, {}, 9), dim=0) > 0.999


@pytest.mark.parametrize("name", ["labels", "a modern step", "several views"])
def test_discriminators_judge_on_a_gpu_as_on_a_cpu(training, name):
    """Compares scores and their slopes in the clips, views included, in fp32."""
    made = training(*RECIPES[name])
    batch = made.batches(0)
    for adversary in made.method.adversaries.values():
        results = []
        for device in (DEVICE, torch.device("cpu")):
            network = copy.deepcopy(adversary.discriminator).to(device).eval()
            view = copy.deepcopy(adversary.view or nn.Identity()).to(device)
            clips = batch.x.detach().to(device).requires_grad_()
            seed_torch(0, 1, "scores")
            given = [view(clips)] + ([] if batch.labels is None else [batch.labels.to(device)])
            scores = network(*given)
            (slopes,) = torch.autograd.grad(scores.sum(), clips)
            results.append((scores.detach().cpu(), slopes.cpu().flatten()))
        (here, slopes), (there, expected) = results
        torch.testing.assert_close(here, there, rtol=1e-2, atol=1e-2 * there.abs().max().item())
        assert torch.cosine_similarity(slopes, expected, dim=0) > 0.99


@pytest.mark.parametrize("on_device", ["true", "false"])
def test_clips_of_a_corpus_on_the_gpu_and_those_copied_ahead_are_the_hosts(folder, on_device):
    path, *overrides = RECIPES["labels"]
    given = [f"data.source={folder}", "data.test=null", f"data.on_device={on_device}", *overrides]
    recipe = recipes.load(str(Path(__file__).parents[1] / path), given)
    clips = assemble.training_clips(recipe, assemble.corpora(recipe))
    here, there = (assemble.batches(recipe, clips, device) for device in (torch.device("cpu"), DEVICE))
    for draw in (0, 1, 2, 7, 3):
        expected, batch = here(draw), there(draw)
        assert batch.x.device == DEVICE  # whose division by a constant is a product with its inverse
        torch.testing.assert_close(batch.x.cpu(), expected.x, rtol=1e-6, atol=1e-7)
        assert batch.labels is not None and expected.labels is not None
        assert torch.equal(batch.labels.cpu(), expected.labels)


def train(command, folder: Path, run: Path, steps: int, *more: str) -> dict:
    path, *overrides = RECIPES["a shift for each clip"]
    words = [f"data.source={folder}", "data.test=null", f"training.steps={steps}", *overrides, *more]
    outcome = command("train", Path(__file__).parents[1] / path, *words, "--run-dir", run, "--device", "cuda")
    assert outcome.code == 0, outcome.err
    newest = sorted((run / "checkpoints").glob("step-*.pt"))[-1]
    return torch.load(newest, weights_only=True, map_location="cpu")


def difference(state: dict, other_state: dict) -> float:
    """Returns how much two trainings' weights differ, as a root mean square, in learning rates of Adam.

    Where a gradient is nothing but rounding, Adam takes a whole step of it in either direction. So the largest
    difference says nothing, but few weights have such gradients.
    """
    steps = []
    for name, network in state["networks"].items():
        (group,) = state["optimizers"][name]["param_groups"]
        weights = [(value - other_state["networks"][name][key]).flatten() for key, value in network.items()]
        steps.append(torch.cat(weights).double() / group["lr"])
    return torch.cat(steps).square().mean().sqrt().item()


@pytest.mark.parametrize("compile", ["false", "auto"])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(command, folder, tmp_path, compile):
    """Compares to rounding, as a GPU may add up sums in another order."""
    whole = train(command, folder, tmp_path / "whole", 6, f"training.compile={compile}")
    train(command, folder, tmp_path / "parts", 3, f"training.compile={compile}")
    parts = train(command, folder, tmp_path / "parts", 6, f"training.compile={compile}")
    assert difference(whole, parts) < 0.1


def test_what_a_gpu_has_learned_sounds_the_same_on_a_cpu_and_goes_on_there(command, folder, tmp_path):
    run = tmp_path / "run"
    train(command, folder, run, 2)
    for device in ("cpu", "cuda"):
        assert command("generate", run, "-n", 2, "--out", tmp_path / device, "--device", device).code == 0
    for name in ("clip-000000.wav", "clip-000001.wav"):
        here, there = (soundfile.read(tmp_path / device / name)[0] for device in ("cpu", "cuda"))
        assert abs(here - there).max() < 2e-3
    path, *overrides = RECIPES["a shift for each clip"]
    words = [f"data.source={folder}", "data.test=null", "training.steps=3", *overrides]
    outcome = command("train", Path(__file__).parents[1] / path, *words, "--run-dir", run, "--device", "cpu")
    assert outcome.code == 0 and (run / "checkpoints" / "step-00000003.pt").exists(), outcome.err


def test_a_process_group_of_one_averages_on_the_gpu(folder, tmp_path):
    """Trains by torchrun with NCCL; the run is that of a process without a group."""
    path, *overrides = RECIPES["a shift for each clip"]
    words = [str(Path(__file__).parents[1] / path), f"data.source={folder}", "data.test=null", "training.steps=3"]
    words += [*overrides, "training.compile=false", "--device", "cuda"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1", "-m"]
    states = []
    for name, start in (("alone", ["-m"]), ("group", torchrun)):
        run = tmp_path / name
        command = [sys.executable, *start, "wavegan", "train", *words, "--run-dir", str(run)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        states.append(torch.load(run / "checkpoints" / "step-00000003.pt", weights_only=True, map_location="cpu"))
    assert difference(*states) < 0.1


def test_orthogonal_steps_are_those_of_the_cpu():
    torch.manual_seed(0)
    weights = [torch.randn(shape) for shape in ((16, 5, 8), (8, 3, 3, 4), (6,))]
    learned = []
    for device in ("cpu", "cuda"):
        parameters = [torch.nn.Parameter(weight.clone().to(device)) for weight in weights]
        optimizer = Muon(parameters, lr=1e-2, betas=(0.0, 0.99), eps=1e-8, momentum=0.5, fused=True)
        for draw in range(3):
            for parameter, weight in zip(parameters, weights, strict=True):
                parameter.grad = (weight * (draw + 1)).sin().to(device)
            optimizer.step()
        learned.append([parameter.detach().cpu() for parameter in parameters])
    for here, there in zip(*learned, strict=True):
        torch.testing.assert_close(here, there, rtol=1e-2, atol=1e-4)
