"""The scripts that measure: each can be run, and what they compare is the same work. No time is asserted."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from wavegan import recipe as recipes
from wavegan.models import convolution

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))


def script(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_every_script_is_known():
    assert SCRIPTS == ["averaging", "convolutions", "gpu", "objectives", "planted_faults", "same_result", "scaling"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_can_be_loaded_and_says_how_it_is_run(name):
    assert f"python benchmarks/{name}.py" in (script(name).__doc__ or "")


@pytest.mark.parametrize("places", [4, 128])
def test_the_forms_of_a_convolution_that_are_compared_do_the_same(places):
    thresholds = convolution.FEW_PLACES, convolution.FEW_PLACES_TO_CORRELATE
    torch.manual_seed(0)
    forms = script("convolutions").products(2, places, 3, 5, torch.float64, torch.device("cpu"))
    assert set(forms) == {"forward", "input gradient", "weight gradient"}
    for name, (blocks, matrix, torchs) in forms.items():
        expected = torchs()
        if name == "input gradient":
            expected = expected[0][..., 10:-11]  # without what was padded beforehand
        if name == "weight gradient":
            expected = expected[1]
        for one in (blocks, matrix):
            torch.testing.assert_close(one().transpose(1, 2), expected, rtol=1e-10, atol=1e-10)
    assert thresholds == (convolution.FEW_PLACES, convolution.FEW_PLACES_TO_CORRELATE)


def test_a_gpus_figures_are_told_with_what_is_to_be_reached():
    one = {
        "flops_per_second": 3e14, "matrix_flops_per_second": 6e14, "step_seconds": 0.0125, "speedup": 7.25,
        "peak_memory_bytes": 3 << 30, "plain_peak_memory_bytes": 5 << 30,
    }  # fmt: skip
    assert script("gpu").summary(one) == (
        "12.5 ms a step, 7.2 times as fast as the plain one (at least 5); 50% of the matrix rate (at least 40%); "
        "peak 3.00 GiB, plain 5.00"
    )


def test_both_variants_of_the_same_result_are_run_and_told(tmp_path, sounds, cache, monkeypatch, capsys):
    """Two steps of each: both start from the same weights, move, and end in a table and a picture."""
    module = script("same_result")
    monkeypatch.setattr(module, "POINTS", 2)
    monkeypatch.setattr(module, "CLIPS", 4)
    small = ["model.clip_samples=4096", "model.dim=1", "training.batch_size=2", "training.steps=2"]
    source = [f"data.source={sounds()}", "data.test=null", "data.holdout=0.4"]
    out = ["--seeds", "1", "--out", str(tmp_path / "runs"), "--picture", str(tmp_path / "curves.png")]
    monkeypatch.setattr(
        sys, "argv", ["same_result", str(FOLDER.parent / "recipes/quickstart.yaml"), *small, *source, *out]
    )
    module.main()
    found = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*.json")}
    assert set(found) == {"plain-fp32-0", "fast-fp32-0", "fast-bf16-0"}
    plain, fast = found["plain-fp32-0"], found["fast-bf16-0"]
    assert plain["step"] == fast["step"] == [0, 1, 2]
    assert plain["wasserstein"][0] == fast["wasserstein"][0] and plain["distance"][0] == fast["distance"][0]
    for one in found.values():
        assert len(set(one["wasserstein"])) == 3, "the networks have moved"
    assert plain["wasserstein"][1] == pytest.approx(fast["wasserstein"][1], rel=0.2, abs=0.1)
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    assert capsys.readouterr().out.count("\n| ") == 7


def test_growth_is_drawn(tmp_path):
    found = {"batch": [{"batch": 4, "seconds": 1.0, "bytes": 1e8}, {"batch": 8, "seconds": 2.0, "bytes": 2e8}]}
    found["corpus"] = [{"minutes": m, "clips_per_second": 1e4, "bytes": 1e7, "decode_seconds": 1.0} for m in (10, 60)]
    script("scaling").draw(found, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 10_000


def test_the_scaled_keys_are_keys_of_a_recipe():
    module = script("scaling")
    for key, values in module.SETTINGS.values():
        for value in values:
            recipe = recipes.load(module.RECIPE, [*module.BASE, f"{key}={value}"])
            section, name = key.split(".")
            assert getattr(getattr(recipe, section), name) == value
