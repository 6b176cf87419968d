"""Checks that each measuring script runs, and that it compares the same work. No time is asserted."""

import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import objective_rows
import pytest
import torch
from training_report import Learned

from wavegan import recipe as recipes
from wavegan.models import convolution
from wavegan.models.catalogue import GENERATORS
from wavegan.models.wavegan import Discriminator, Generator
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES
from wavegan.recipe import schema
from wavegan.recipe.optimizers import OPTIMIZERS
from wavegan.recipe.yaml_text import write

FOLDER = Path(__file__).parents[2] / "benchmarks"
TEXTS = {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.py"))}
SCRIPTS = [name for name, text in TEXTS.items() if '__name__ == "__main__"' in text]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_file_is_a_script_or_serves_one():
    assert SCRIPTS, "the folder has scripts"
    for name in TEXTS.keys() - set(SCRIPTS):
        assert any(f"from {name} import " in TEXTS[script] for script in SCRIPTS), name


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_can_be_loaded_and_says_how_it_is_run(name):
    assert f"python benchmarks/{name}.py" in (script(name).__doc__ or "")


@pytest.mark.parametrize("places", [4, 128])
def test_the_forms_of_a_convolution_that_are_compared_do_the_same(places):
    thresholds = convolution.FEW_PLACES, convolution.FEW_PLACES_FOR_WEIGHT_GRADIENT
    torch.manual_seed(0)
    forms = script("convolutions").products(2, places, 3, 5, torch.float64, torch.device("cpu"))
    assert set(forms) == {"forward", "input gradient", "weight gradient"}
    for name, (blocks, matrix, torchs) in forms.items():
        expected = torchs()
        if name == "input gradient":
            expected = expected[0][..., 10:-11]  # without what was padded beforehand
        if name == "weight gradient":
            expected = expected[1]
        for product in (blocks, matrix):
            torch.testing.assert_close(product().transpose(1, 2), expected, rtol=1e-10, atol=1e-10)
    assert thresholds == (convolution.FEW_PLACES, convolution.FEW_PLACES_FOR_WEIGHT_GRADIENT)


def test_a_gpus_figures_are_told_with_what_is_to_be_reached():
    figures = {
        "flops_per_second": 3e14, "matrix_flops_per_second": 6e14, "step_seconds": 0.0125, "speedup": 7.25,
        "peak_memory_bytes": 3 << 30,
    }  # fmt: skip
    assert script("gpu").summary(figures) == (
        "12.5 ms a step, 7.2 times as fast as the plain one (at least 5), 50% of the matrix rate (at least 40%), "
        "peak 3.00 GiB"
    )
    assert script("gpu").summary(figures | {"speedup": None}) == (
        "12.5 ms a step, 50% of the matrix rate (at least 40%), peak 3.00 GiB"
    )


def test_both_variants_of_the_same_result_are_run_and_told(tmp_path, sounds, cache, monkeypatch, capsys):
    """Runs two steps of each: both start from the same weights, move, and end in a table and a picture."""
    module = script("same_result")
    monkeypatch.setattr(module, "POINTS", 2)
    monkeypatch.setattr(module, "CLIPS", 4)
    small = ["data.clip_samples=4096", "generator.dim=1", "training.batch_size=2", "training.steps=2"]
    small += ["discriminators.waveform.dim=1"]
    source = [f"data.source={sounds()}", "data.test=null", "data.holdout=0.4"]
    out = ["--seeds", "1", "--out", str(tmp_path / "runs"), "--picture", str(tmp_path / "curves.png")]
    monkeypatch.setattr(
        sys, "argv", ["same_result", str(FOLDER.parent / "recipes/quickstart_wavegan.yaml"), *small, *source, *out]
    )
    module.main()
    results = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*.json")}
    assert set(results) == {"plain-fp32-0", "fast-fp32-0", "fast-bf16-0"}
    plain, fast = results["plain-fp32-0"], results["fast-bf16-0"]
    assert plain["step"] == fast["step"] == [0, 1, 2]
    assert plain["wasserstein"][0] == fast["wasserstein"][0] and plain["distance"][0] == fast["distance"][0]
    for result in results.values():
        assert len(set(result["wasserstein"])) == 3, "the networks have moved"
    assert plain["wasserstein"][1] == pytest.approx(fast["wasserstein"][1], rel=0.2, abs=0.1)
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    assert capsys.readouterr().out.count("\n| ") == 7


def test_growth_is_drawn(tmp_path):
    results = {"batch": [{"batch": 4, "seconds": 1.0, "bytes": 1e8}, {"batch": 8, "seconds": 2.0, "bytes": 2e8}]}
    results["corpus"] = [{"minutes": m, "clips_per_second": 1e4, "bytes": 1e7, "decode_seconds": 1.0} for m in (10, 60)]
    script("scaling").draw(results, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 10_000


def test_the_scaled_keys_are_keys_of_a_recipe():
    module = script("scaling")
    for keys, values in module.SETTINGS.values():
        for value in values:
            recipe = recipes.load(module.RECIPE, [*module.BASE, *(f"{key}={value}" for key in keys)])
            resolved = recipes.as_dict(recipe)
            sections = {key: resolved[key.split(".")[0]] for key in keys}
            for key, section in sections.items():
                section = section["waveform"] if "*" in key else section
                assert section[key.split(".")[-1]] == value


def recipes_of_rows(module: ModuleType, out: Path, updates: int = 4800) -> dict[str, recipes.Recipe]:
    """Returns the recipe of each row, read from a file as `wavegan train` reads it."""
    loaded = {}
    for name in module.ROWS:
        values = module.settings(name, out, updates)
        path = out / f"{values['name']}.yaml"
        path.write_text(write(values))
        loaded[name] = recipes.load(path)
    return loaded


def test_every_row_has_a_recipe_for_the_same_number_of_updates(tmp_path):
    module = script("objectives")
    for name, recipe in recipes_of_rows(module, tmp_path).items():
        discriminator_steps = getattr(recipe.method, "discriminator_steps", 0)
        step = {"gan": discriminator_steps + 1, "vae": 2, "translation": 2 * discriminator_steps + 2}
        updates = recipe.training.steps * step[recipe.method.name]
        assert 4800 - step[recipe.method.name] < updates <= 4800, name
        assert recipe.evaluation.every == recipe.training.checkpoint_every == recipe.training.steps // 6, name
        assert recipe.training.batch_size == 8 and recipe.training.lr_decay == "linear", name
    assert len(list(tmp_path.iterdir())) == len(module.ROWS), "nothing else is left in the folder"


def test_the_rows_cover_all_that_can_be_chosen(tmp_path):
    module = script("objectives")
    loaded = recipes_of_rows(module, tmp_path)
    assert {path.stem for path in (FOLDER.parent / "recipes" / "objectives").glob("*.yaml")} <= set(module.ROWS)
    own_recipes = {"inverse_stft"}  # judged by benchmarks/quality.py, with schedules and discriminators of its own
    assert {recipe.generator.name for recipe in loaded.values()} == set(GENERATORS) - own_recipes
    assert {recipe.method.name for recipe in loaded.values()} == set(schema.METHODS)
    assert {getattr(recipe.generator, "latent", "normal") for recipe in loaded.values()} == {"uniform", "normal"}
    assert {recipe.encoder.name for recipe in loaded.values() if recipe.encoder} == {"wavegan", "specgan"}
    judges = {judge.name for recipe in loaded.values() for judge in recipe.discriminators.values()}
    assert judges == {"wavegan", "specgan", "mlp"}
    optimizers = {settings.name for recipe in loaded.values() for _, settings in recipe.optimizers}
    assert optimizers == set(OPTIMIZERS)
    methods = [recipe.method for recipe in loaded.values() if recipe.method.name == "gan"]
    assert {method.objective for method in methods} == set(OBJECTIVES)
    assert {method.penalty for method in methods} == {"none", *PENALTIES}
    assert {bool(getattr(recipe.generator, "labels", 0)) for recipe in loaded.values()} == {False, True}


def test_each_row_of_an_objective_differs_from_its_file_in_the_rates_alone(tmp_path):
    module = script("objectives")
    loaded = recipes_of_rows(module, tmp_path)
    for name, factor in {"hinge": 2, "wasserstein": 10, "minimax": 1, "r1": 2}.items():
        path = FOLDER.parent / "recipes" / "objectives" / f"{name}.yaml"
        authors = recipes.load(path, ["data.source=drum_machine", "discriminators.waveform.name=wavegan"])
        for player in module.PLAYERS:
            mine, theirs = getattr(loaded[name].optimizers, player), getattr(authors.optimizers, player)
            assert mine.lr == pytest.approx(factor * theirs.lr)
            assert mine.model_copy(update={"lr": theirs.lr}) == theirs
        assert loaded[name].method == authors.method
    assert {settings.lr for _, settings in loaded["rmsprop"].optimizers} == {5e-4}
    assert loaded["one_sided"].method.penalty == "one_sided" and loaded["sgd"].optimizers.generator.momentum == 0.9


def test_names_of_rows_give_distinct_folders_and_whatever_tells_of_a_row_names_one(tmp_path):
    module = script("objectives")
    assert module.slug("stereo, 44.1 kHz") == "stereo-44-1-khz" and module.slug("one_sided") == "one-sided"
    assert len({module.slug(name) for name in module.ROWS}) == len(module.ROWS)
    for names in (module.NOTES, module.LONG, objective_rows.RATES):
        assert set(names) <= set(module.ROWS)


def test_a_budget_below_one_step_is_refused(tmp_path, monkeypatch, capsys):
    module = script("objectives")
    assert [module.settings("DCGAN", tmp_path, updates)["training"]["steps"] for updates in (2, 3, 4)] == [1, 1, 2]
    with pytest.raises(SystemExit, match="2"):
        run_objectives(module, monkeypatch, tmp_path, "--updates", "5")
    assert "--updates is 5; one step of wasserstein takes 6; give 6 or more" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        run_objectives(module, monkeypatch, tmp_path, "--only", "MLP; hinges; hinge")
    assert "--only names hinges; the rows are hinge; " in capsys.readouterr().err


def run_objectives(module: ModuleType, monkeypatch: pytest.MonkeyPatch, out: Path, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["objectives", "--out", str(out), *words])
    return module.main()


class Commands:
    """Stands for the processes of `wavegan`: notes what they are told, and leaves what `is_done` looks for."""

    def __init__(self, module: ModuleType, monkeypatch: pytest.MonkeyPatch, before: Callable[[str, str], int]):
        self.told: list[tuple[str, str, list[str]]] = []
        self.before = before
        monkeypatch.setattr(module, "subprocess", self)
        monkeypatch.setattr(module, "learned", lambda name, out: one_learned(name, out, module))

    def run(self, command: list[str], *, env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[1:3] == ["-m", "wavegan"] and env["OMP_NUM_THREADS"] == "1"
        what, target, *rest = command[3:]
        name = Path(target).stem
        self.told.append((what, name, rest))
        if code := self.before(what, name):
            return subprocess.CompletedProcess(command, code, "", "a\nline\nerror: this cannot be\n")
        folder = Path(rest[-1])
        folder.mkdir(exist_ok=True)
        if what == "train":
            recipe = recipes.load(target)
            (folder / "recipe.yaml").write_text(recipes.dump(recipe))
        else:
            recipe = recipes.load(Path(target) / "recipe.yaml")
            (folder / "metrics.json").write_text(json.dumps({"facts": {"step": f"{recipe.training.steps:,}"}}))
        return subprocess.CompletedProcess(command, 0, "", "")


def one_learned(name: str, out: Path, module: ModuleType) -> Learned:
    score = {"value": 1.0, "low": 0.5, "high": 2.0}
    scores = dict.fromkeys(("kad_l", "fad_l", "recall", "coverage"), score)
    judged = {"metrics": scores, "untrained": scores, "reference": scores}
    return Learned(name, module.ROWS[name].kind, 10, [], [], judged, torch.zeros(1, 1, 4096), 16000)


def test_a_row_that_fails_lets_the_others_go_on(tmp_path, monkeypatch, capsys):
    module = script("objectives")
    words = ["--only", "SpecGAN, conditional; MLP; hinge; MLP; minimax", "--updates", "600"]
    codes = {("train", "hinge"): 2, ("evaluate", "mlp"): 1}
    commands = Commands(module, monkeypatch, lambda what, name: codes.get((what, name), 0))
    assert run_objectives(module, monkeypatch, tmp_path, *words) == 1
    out, told = capsys.readouterr()
    assert "hinge: train ended with 2: a\nline\nerror: this cannot be\n" in told
    assert "MLP: evaluate ended with 1: a\n" in told and "minimax: done\n" in told
    assert told.endswith("not done: MLP; hinge\n")
    assert [line.split(" | ")[0] for line in out.splitlines()[2:]] == ["| minimax", "| SpecGAN, conditional"]
    long = str(tmp_path / "specgan-conditional")
    assert commands.told[:2] == [
        ("train", "specgan-conditional", ["--run-dir", long]),
        ("evaluate", "specgan-conditional", ["--out", f"{long}/judged"]),
    ], "the longest first, and labels need a classifier"
    page = (tmp_path / "objectives.html").read_text()
    assert "SpecGAN, conditional" in page and "minimax" in page and "hinge" not in page and "600 updates" in page
    again = Commands(module, monkeypatch, lambda what, name: 0)
    assert run_objectives(module, monkeypatch, tmp_path, "--only", "minimax;hinge;MLP", "--updates", "600") == 0
    folders = {name: str(tmp_path / name) for name in ("hinge", "mlp")}
    assert again.told == [
        (what, name, rest)
        for name, folder in folders.items()
        for what, rest in (
            ("train", ["--run-dir", folder]),
            ("evaluate", ["--classifier", "none", "--out", f"{folder}/judged"]),
        )
    ], "what is done is not done again"
    out, told = capsys.readouterr()
    rows = ["| hinge", "| minimax", "| SpecGAN, conditional", "| MLP"]
    assert [line.split(" | ")[0] for line in out.splitlines()[2:]] == rows, "all that lies in the folder"
    assert "not done" not in told


@pytest.mark.parametrize("changed", ["nothing", "torn", "other steps", "other rate", "stopped early", "never judged"])
def test_a_row_is_done_where_it_was_judged_after_all_steps_of_its_recipe(tmp_path, monkeypatch, changed):
    module = script("objectives")
    Commands(module, monkeypatch, lambda what, name: 0)
    assert run_objectives(module, monkeypatch, tmp_path, "--only", "r1", "--updates", "4800") == 0
    values, metrics = module.settings("r1", tmp_path, 4800), tmp_path / "r1" / "judged" / "metrics.json"
    assert values["training"]["steps"] == 2400 and json.loads(metrics.read_text())["facts"]["step"] == "2,400"
    if changed == "torn":
        metrics.write_text(metrics.read_text()[:-3])
    if changed == "other steps":
        values["training"]["steps"] = 2399
    if changed == "other rate":
        values["optimizers"]["generator"]["lr"] *= 1.01
    if changed == "stopped early":
        metrics.write_text(json.dumps({"facts": {"step": "2,000"}}))
    if changed == "never judged":
        metrics.unlink()
    assert module.is_done(tmp_path, values) is (changed == "nothing")


def test_interrupted_it_ends_what_is_under_way_begins_nothing_more_and_writes_the_page(tmp_path, monkeypatch, capsys):
    module = script("objectives")
    under_way, interrupted = threading.Event(), threading.Event()

    def before(what: str, name: str) -> int:
        if name != "minimax":
            return 0
        under_way.set()
        return 130 if interrupted.wait(600) else 1

    def waiting(tasks: list[Any]) -> None:
        """Raises what Ctrl-C raises in a wait; the trainings receive the signal at the same time."""
        if not interrupted.is_set():
            assert under_way.wait(600)
            interrupted.set()
            raise KeyboardInterrupt
        assert not wait(tasks, timeout=600).not_done, "it would wait for ever"

    commands = Commands(module, monkeypatch, before)
    monkeypatch.setattr(module, "wait", waiting)
    assert run_objectives(module, monkeypatch, tmp_path, "--only", "hinge;minimax;r1;r2") == 130
    assert [(what, name) for what, name, _ in commands.told] == [
        ("train", "hinge"),
        ("evaluate", "hinge"),
        ("train", "minimax"),
    ]
    out, told = capsys.readouterr()
    assert "interrupted; " in told and "minimax: train ended with 130" in told
    assert told.endswith("not done: minimax; r1; r2\n")
    assert "| hinge" in out and "hinge" in (tmp_path / "objectives.html").read_text()


def test_where_nothing_is_done_no_page_is_written(tmp_path, monkeypatch, capsys):
    module = script("objectives")
    Commands(module, monkeypatch, lambda what, name: 2)
    assert run_objectives(module, monkeypatch, tmp_path, "--only", "r1") == 1
    assert not (tmp_path / "objectives.html").exists() and capsys.readouterr().out == ""


def test_what_a_run_has_left_is_told(tmp_path, sounds, command, monkeypatch):
    """Reads a real training of two steps: its log, evaluations and clips, and the note that stands in the script."""
    module = script("objectives")
    small = ["generator.dim=4", "discriminators.waveform.dim=4", "training.batch_size=2", "training.steps=2"]
    small += ["monitor.log_every=1", "monitor.preview_every=0", "monitor.tensorboard=false", "training.compile=false"]
    small += [f"data.source={sounds(40)}", "data.holdout=0.4", "evaluation.every=2", "evaluation.count=6"]
    small += ["method.penalty=r1", "method.discriminator_steps=1"]
    recipe = FOLDER.parent / "recipes" / "mlp_gan.yaml"
    assert command("train", recipe, "--run-dir", tmp_path / "mlp", *small).code == 0
    (tmp_path / "mlp" / "judged").mkdir()
    (tmp_path / "mlp" / "judged" / "metrics.json").write_text('{"metrics": 1}')
    monkeypatch.setitem(module.NOTES, "MLP", "It is small.")
    run = module.learned("MLP", tmp_path)
    assert (run.name, run.kind, run.steps, run.note) == ("MLP", "model", 2, "It is small.")
    assert run.clips.shape == (8, 1, 4096) and run.sample_rate == 16000 and run.judged == {"metrics": 1}
    assert [line["step"] for line in run.statistics] == [1, 2]
    assert {"discriminators/waveform/loss", "generator/loss"} <= set(run.statistics[0])
    assert [line["step"] for line in run.history] == [2] and "kad_l" in run.history[0]


def test_a_ring_sends_what_the_closed_form_says():
    """Counts by hand: 4 processes pass a quarter of 80 bytes on six times, 10 bytes a second, two messages."""
    module = script("network")
    network = module.Network(10.0, 0.5)
    assert module.ring_seconds([60, 20], 4, network) == 6 * 20 / 10 + 6 * 2 * 0.5
    assert module.ring_seconds([60, 20], 1, network) == 0
    assert module.most_processes(12.0, [80], module.Network(10.0, 0.0)) == 4, "12 s: 2 · 3 / 4 · 80 / 10"
    assert module.most_processes(16.0, [80], module.Network(10.0, 0.0)) is None, "twice all bytes is the most"


def test_the_messages_of_a_step_hold_every_gradient_once():
    module = script("network")
    sizes = module.step_messages(4)
    networks = Discriminator((1, 16384), dim=4), Generator(16384, dim=4)
    judged, made = (sum(parameter.numel() for parameter in network.parameters()) for network in networks)
    assert sum(sizes) == 4 * (5 * judged + made)


def test_time_on_a_device_counts_kernels_that_run_at_once_once():
    """Takes kernels from 0 to 4, 1 to 3, 3 to 6 and 8 to 9 µs: 7 of 9 are busy."""
    measured = script("device_time")
    spans = [(0, 4, "triton_poi_add"), (1, 2, "Memcpy DtoD"), (3, 3, "sm90_xmma_fprop"), (8, 1, "arange")]
    kernels = [{"ts": start, "dur": length, "name": name} for start, length, name in spans]
    assert measured.busy_microseconds(kernels) == 7
    assert measured.by_kind(kernels) == {
        "kernels made by the compiler": 0.004,
        "convolutions and matrix products": 0.003,
        "copies": 0.002,
        "other": 0.001,
    }


@pytest.mark.parametrize("decibels", [0, 10, 20])
@pytest.mark.parametrize("pitch", [90, 217])
def test_the_harmonicity_of_a_voice_in_noise_is_their_ratio(decibels, pitch):
    random, time = np.random.default_rng(0), np.arange(16000) / 16000
    voice = sum(np.sin(2 * np.pi * pitch * number * time) / number for number in range(1, 8))
    noise = random.standard_normal(16000)
    noise *= np.std(voice) / np.std(noise) * 10 ** (-decibels / 20)
    assert script("harmonicity").harmonicity(voice + noise, 16000) == pytest.approx(decibels, abs=1.5)
    assert np.isnan(script("harmonicity").harmonicity(random.standard_normal(16000), 16000))
    assert np.isnan(script("harmonicity").harmonicity(np.zeros(16000), 16000))
