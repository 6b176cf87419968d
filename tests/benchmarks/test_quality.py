"""The comparison at equal processor seconds: what is trained, for how long, what is judged and what is told."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_benchmarks import script
from torch import Tensor, nn

from wavegan import recipe as recipes
from wavegan.audio.listing import list_sound

FOLDER = Path(__file__).parents[2] / "recipes"
ADVISED = """\
include: base/modern
data: {source: drum_machine, sample_rate: 8000, clip_samples: 32768, trim_silence: true}
optimizers: {generator: {name: muon}, discriminator: {name: muon}}
training: {steps: 20000}
"""


class Bowl(nn.Module):
    """Stands for the rival's package: it learns the mean square of its clips, and samples clips of that size."""

    def __init__(self) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.zeros(()))

    def forward(self, clips: Tensor) -> Tensor:
        return (self.power - clips.square().mean()).square()

    def sample(self, noise: Tensor, num_steps: int) -> Tensor:
        return noise.clamp(-1, 1) * self.power.detach()


def test_the_rival_learns_from_the_recipes_sound_and_writes_clips_part_by_part(tmp_path, sounds, monkeypatch, capsys):
    module, bowl = script("diffusion"), Bowl()
    monkeypatch.setattr(module, "unet", lambda channels: bowl)
    monkeypatch.setattr(module.time, "process_time", iter(range(10**6)).__next__)  # a step takes a second
    words = [str(FOLDER / "base/modern.yaml"), f"data.source={sounds()}", "data.test=null", "data.holdout=0.4"]
    words += ["data.clip_samples=4096", "training.batch_size=2"]
    monkeypatch.setattr(
        sys, "argv", ["diffusion", *words, "--seconds", "6", "--clips", "3", "--out", str(tmp_path / "out")]
    )
    assert module.main() == 0
    told = json.loads(capsys.readouterr().out)
    assert [(part["seconds"], part["steps"]) for part in told["parts"]] == [(3, 3), (6, 6)]
    assert all(len(list_sound(Path(part["folder"])).paths) == 3 for part in told["parts"])
    assert bowl.power > 0, "it has learned"


def test_the_rivals_average_forgets_less_with_every_step(sounds, monkeypatch):
    """Adam's steps are of 1e-4 here, and step n keeps 1 - n ** -0.7 of the average."""
    module, bowl = script("diffusion"), Bowl()
    monkeypatch.setattr(module.time, "process_time", iter(range(10**6)).__next__)
    words = [f"data.source={sounds()}", "data.test=null", "data.holdout=0.4", "data.clip_samples=4096"]
    recipe = recipes.load(FOLDER / "base/modern.yaml", [*words, "training.batch_size=2"])
    [(seconds, steps, average)] = module.learned(recipe, bowl, 3, 1)
    expected = 0.0
    for step in range(1, 4):
        expected += step**-0.7 * (step * 1e-4 - expected)
    assert (seconds, steps) == (3, 3) and average.power.item() == pytest.approx(expected, rel=0.02)


def test_without_its_package_the_rival_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "audio_diffusion_pytorch", None)
    monkeypatch.setattr(sys, "argv", ["diffusion", str(FOLDER / "quickstart.yaml"), "--out", str(tmp_path / "out")])
    assert script("diffusion").main() == 1
    assert "pip install audio-diffusion-pytorch" in capsys.readouterr().err


@pytest.fixture
def quality(monkeypatch):
    """The script with Python's runs and the comparison recorded: a step takes 0.1 s, a plain one 0.4 s."""
    module, told = script("quality"), SimpleNamespace(runs=[], compared=[])

    def run(words: list[str]) -> tuple[str, float]:
        told.runs.append(words)
        if "doctor" in words:
            Path(words[words.index("--recipe") + 1]).write_text(ADVISED)
        rival = {"parts": [{"seconds": 5, "steps": 2, "folder": "a"}, {"seconds": 10, "steps": 4, "folder": "b"}]}
        bench = {"step_seconds": 0.1, "plain_step_seconds": 0.4}
        return json.dumps(rival if "diffusion.py" in words[0] else bench), 11.0

    def compare(targets: list[Path], *, out: Path) -> Any:
        out.mkdir(exist_ok=True)
        told.compared.append(targets)
        score = {metric: {"value": 1.0, "low": 0.0, "high": 2.0} for metric in module.METRICS}
        names = {f"name {place}": {"path": str(path)} for place, path in enumerate(targets)}
        return {"metrics": {**dict.fromkeys([*names, "real"], score)}, "candidates": names, "facts": {}}

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module, "compare", compare)
    monkeypatch.setattr(module, "as_json", lambda compared: compared)
    return module, told


def test_each_model_gets_the_steps_that_fit_and_is_judged_part_by_part(tmp_path, quality, monkeypatch, capsys):
    module, told = quality
    words = ["quality", "drum_machine,drum_machine/test", "--seconds", "10", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", [*words, "--picture", str(tmp_path / "curves.png")])
    assert module.main() == 0
    costs = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("out/*/*/cost.json")}
    assert {name: cost["steps"] for name, cost in costs.items()} == {
        "modern": 100, "modern-seed-1": 100, "modern-seed-2": 100,
        "wavegan": 100, "specgan": 100, "wavegan-plain-step": 24, "diffusion": 4,
    }  # fmt: skip
    asked = {path.parent.name: recipes.load(path) for path in tmp_path.glob("out/*/*/asked.yaml")}
    seeds = {"modern": 0, "modern-seed-1": 1, "modern-seed-2": 2}
    assert {name: recipe.training.seed for name, recipe in asked.items()} == {**dict.fromkeys(asked, 0), **seeds}
    assert {name for name, recipe in asked.items() if recipe.optimizers.generator.name == "muon"} == set(seeds)
    for path in tmp_path.glob("out/*/*/asked.yaml"):
        recipe = asked[path.parent.name]
        assert recipe.data.test == ("drum_machine/test",)
        form = (recipe.data.sample_rate, recipe.data.clip_samples, recipe.data.trim_silence)
        assert form == (8000, 8192, False), "one form for all, at the rate that is advised"
        if path.parent.name != "diffusion":
            assert 4 * recipe.training.keep_every == recipe.training.steps == costs[path.parent.name]["steps"]
    assert [len(targets) for targets in told.compared] == [6, 7, 6, 7], "the rival has clips of two parts"
    assert any(str(path).endswith("step-00000075.pt") for path in told.compared[2])
    assert capsys.readouterr().out.count("\n| ") == 9
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    count = len(told.runs)
    assert sum("doctor" in words for words in told.runs) == 1, "one advice for all seeds"
    assert module.main() == 0
    assert len(told.runs) == count and len(told.compared) == 4, "what is done is not done again"


def test_what_is_trained_only_is_judged_later(tmp_path, quality, monkeypatch, capsys):
    module, told = quality
    words = ["quality", "drum_machine", "--out", str(tmp_path), "--picture", str(tmp_path / "curves.png")]
    for models in ("WaveGAN", "modern, seed 2;modern"):
        monkeypatch.setattr(sys, "argv", [*words, "--train-only", "--only", models])
        assert module.main() == 0
    assert not told.compared and not (tmp_path / "curves.png").exists() and not capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*words, "--only", "WaveGAN"])
    assert module.main() == 0
    assert [len(targets) for targets in told.compared] == [3] * 4, "all that is trained"


@pytest.mark.parametrize("source", ["my/digits", "my/digits/train", "my/digits/train,my/digits/test", "."])
def test_a_chart_is_named_after_the_folder_of_sounds(quality, source, tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path / "digits")
    assert quality[0].title(source) == "digits"


def test_each_row_of_the_ablation_changes_the_recipe(quality):
    from ablation import AS_IT_IS, ROWS

    path = str(FOLDER / "quickstart.yaml")
    changed = {name: recipes.load(path, words.split()) for name, words in ROWS.items()}
    assert all((recipe == changed[AS_IT_IS]) == (name == AS_IT_IS) for name, recipe in changed.items())


def test_the_ablation_trains_every_row_and_tells_the_mean_of_its_seeds(tmp_path, quality, monkeypatch, capsys):
    import ablation

    module, told = quality
    monkeypatch.setattr(ablation, "run", lambda words: (Path(words[5]).mkdir(parents=True), module.run(words))[1])
    monkeypatch.setattr(ablation, "compare", module.compare)
    monkeypatch.setattr(ablation, "as_json", lambda compared: compared)
    (tmp_path / "out").mkdir()
    words = ["ablation", str(FOLDER / "quickstart.yaml"), "data.sample_rate=8000", "--seeds", "2"]
    monkeypatch.setattr(sys, "argv", [*words, "--only", "as it is;no labels", "--out", str(tmp_path / "out")])
    assert ablation.main() == 0
    assert [("generator.labels=0" in run, "training.seed=1" in run) for run in told.runs] == [
        (False, False), (True, False), (False, True), (True, True),
    ]  # fmt: skip
    assert all("data.sample_rate=8000" in run and "training.steps=1500" in run for run in told.runs)
    assert capsys.readouterr().out.count("\n| no labels | 11 | 1.00") == 1
    assert ablation.main() == 0
    assert len(told.runs) == 4, "what is done is not done again"


def test_a_model_that_is_not_known_is_refused_with_those_that_are(quality, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["quality", "drum_machine", "--only", "modren"])
    with pytest.raises(SystemExit):
        quality[0].main()
    assert "modren" in (told := capsys.readouterr().err) and "modern, seed 2; WaveGAN" in told
