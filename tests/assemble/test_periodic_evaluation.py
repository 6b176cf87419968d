"""Tests evaluation during training: its log, its best checkpoint, and that nothing else of the training changes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.assemble.evaluation import clip_format_of
from wavegan.commands.evaluate import evaluate
from wavegan.commands.judging_options import JudgingOptions
from wavegan.commands.model_loading import load_model
from wavegan.commands.train import train
from wavegan.errors import RecipeError, RunError
from wavegan.evaluation.evaluate import Reference
from wavegan.evaluation.reference_sets import reference_sets
from wavegan.generation import generate
from wavegan.training import checkpoint
from wavegan.training.monitor import Monitor
from wavegan.training.run_folder import RunFolder, evaluations

RECIPE = """\
data: {{source: {source}, holdout: 0.45, clip_samples: 4096}}
generator: {{dim: 1, latent_dim: 4}}
discriminators: {{waveform: {{name: wavegan, dim: 1}}}}
method: {{discriminator_steps: 1}}
optimizers: {{generator: {{lr: 1e-2}}, discriminator: {{lr: 1e-2}}}}
training: {{steps: 6, batch_size: 2, checkpoint_every: 3, keep_last: 1, precision: fp32, ema: 0.5}}
monitor: {{log_every: 1, preview_every: 0, tensorboard: false}}
evaluation: {{every: 2, count: 8}}
"""
CPU = torch.device("cpu")


@pytest.fixture
def judged(sounds: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a recipe that trains in a tenth of a second and is judged three times."""
    path = tmp_path / "judged.yaml"
    path.write_text(RECIPE.format(source=sounds(48, seconds=0.3)))
    monkeypatch.chdir(tmp_path)
    return path


def trained(recipe: Path, run: str, *overrides: str) -> RunFolder:
    train(recipes.load(recipe, overrides), Path(run), device="cpu")
    return RunFolder(Path(run))


def headlines(run: RunFolder) -> dict[int, float]:
    return {int(line["step"]): line["kad_l"] for line in evaluations(run.log)}


def best(run: RunFolder) -> dict[str, Any]:
    return checkpoint.load(run.checkpoints / "best.pt")


def test_every_so_many_steps_and_at_the_end_the_log_tells_all_figures(judged):
    run = trained(judged, "run", "training.steps=5")
    lines = evaluations(run.log)
    assert [line["step"] for line in lines] == [2, 4, 5]
    for line in lines:
        for name in ("kad_l", "precision", "coverage", "copy_share", "comb_db"):
            assert line[f"{name}_low"] <= line[name] <= line[f"{name}_high"]
        assert "fad_l" not in line and "kad_c" not in line


def test_the_figures_are_those_of_the_averaged_generator_on_held_out_sound(judged):
    run = trained(judged, "run")
    loaded = load_model(run.path, CPU)
    recipe, model = loaded.recipe, loaded.model
    parts = assemble.corpora(recipe)
    source = assemble.target_source(recipe)
    real_sound = reference_sets(clip_format_of(recipe), parts.held_out, parts.training, parts.split, source, 0)
    count = min(recipe.evaluation.count, len(real_sound.reference), len(real_sound.real))
    reference = Reference(real_sound.reference.first(count), 16000)
    clips = reference.extract(generate(model, count, batch_size=16))
    value = reference.estimates(clips, only=["kad_l"], count=2)["kad_l"][0]
    assert headlines(run)[6] == pytest.approx(value, rel=1e-6)


def test_evaluate_gives_the_same_figure_as_the_log(judged):
    run = trained(judged, "run")
    result = evaluate(run.path, JudgingOptions(classifier="none", device="cpu"), out=Path("out"))
    assert result.scores["generated"]["kad_l"]["value"] == pytest.approx(headlines(run)[6], rel=1e-6)


def test_the_best_checkpoint_is_that_of_the_least_figure(judged):
    run = trained(judged, "run")
    figures = headlines(run)
    step = min(figures, key=lambda step_judged: figures[step_judged])
    assert best(run)["step"] == step
    assert best(run)["evaluation"]["kad_l"] == figures[step]
    assert list(checkpoint.steps(run.checkpoints)) == [6]  # best.pt stands apart from those that are pruned


def test_generate_and_evaluate_take_the_best_with_its_running_average(judged, command):
    run = trained(judged, "run")
    model = load_model(run.path, CPU, checkpoint="best").model
    assert model.step == best(run)["step"]
    for name, value in model.generator.state_dict().items():
        assert torch.equal(value, best(run)["averages"]["generator"][name])
    outcome = command("generate", "run", "--checkpoint", "best", "-n", 1, "--out", "made", "--json")
    assert outcome.code == 0, outcome.err
    outcome = command("evaluate", "run", "--checkpoint", "best", "--classifier", "none", "--json")
    assert json.loads(outcome.out)["facts"]["step"] == str(model.step)


def test_a_run_that_is_continued_keeps_the_better_one(judged):
    whole = trained(judged, "whole")
    trained(judged, "halves", "training.steps=3")
    halves = trained(judged, "halves")
    at = {step: value for step, value in headlines(halves).items() if step != 3}
    assert at == headlines(whole)
    assert best(halves)["step"] == min(headlines(halves), key=lambda step_judged: headlines(halves)[step_judged])


def test_a_worse_figure_leaves_the_best_alone(judged):
    run = trained(judged, "run", "training.steps=2")
    content = best(run)
    content["evaluation"]["kad_l"] = -1000.0
    checkpoint.save(run.checkpoints, content, is_best=True)
    trained(judged, "run")
    assert best(run)["step"] == 2


@pytest.mark.parametrize("keys", [(), ("generator.batch_norm=true", "training.ema=0")], ids=["average", "learning one"])
def test_judging_changes_nothing_of_the_training(judged, keys):
    """Also judges the learning network itself, whose batch norm would stop learning in evaluation mode."""
    with_it, without = trained(judged, "with", *keys), trained(judged, "without", "evaluation.every=0", *keys)
    watched, unwatched = (checkpoint.load(checkpoint.newest_path(run.checkpoints)) for run in (with_it, without))
    for part in ("networks", "averages"):
        for network, tensors in watched[part].items():
            for name, value in tensors.items():
                assert torch.equal(value, unwatched[part][network][name]), name
    assert not (without.checkpoints / "best.pt").exists() and evaluations(without.log) == []


def test_the_progress_line_holds_the_headline(judged, capfd, console):
    trained(judged, "run")
    err = capfd.readouterr().err
    assert "evaluating every 2 steps with" in err and "kad_l of as many other real clips is" in err
    assert "  kad_l " in err.splitlines()[-1] and " at 4" in err.splitlines()[-1]


def test_tensorboard_gets_the_figures(judged):
    run = trained(judged, "run", "monitor.tensorboard=true", "training.steps=2")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    assert events.Scalars("evaluation/kad_l")[0].value == pytest.approx(headlines(run)[2], rel=1e-6)


def test_nothing_held_out_is_refused_with_the_recipe(judged):
    with pytest.raises(RecipeError, match="evaluation.every is 2; .*data.holdout is 0; try data.holdout: 0.1"):
        recipes.load(judged, ["data.holdout=0"])


def test_too_little_held_out_is_told_and_trained_all_the_same(judged, sounds, capfd, console):
    run = trained(judged, "run", f"data.test={sounds(3, name='few')}")
    told = capfd.readouterr().err
    assert "warning: evaluation.every is ignored, so no best checkpoint is kept: 1 held-out" in told
    assert "name a folder of more real audio as data.test, or raise data.holdout" in told and "--data" not in told
    assert list(checkpoint.steps(run.checkpoints)) == [6] and evaluations(run.log) == []


@pytest.mark.parametrize(
    ("which", "words"),
    [("best", "has no best checkpoint"), ("5", "this run has 6"), ("last", "newest, best or the step")],
)
def test_a_checkpoint_that_is_not_there(judged, which, words):
    run = trained(judged, "run", "evaluation.every=0")
    with pytest.raises(RunError, match=words):
        load_model(run.path, CPU, checkpoint=which)
    with pytest.raises(RunError, match="is one checkpoint"):
        load_model(checkpoint.newest_path(run.checkpoints), CPU, checkpoint="best")
    assert load_model(run.path, CPU, checkpoint="6").model.step == 6


def test_a_line_torn_by_a_kill_spoils_no_history(judged):
    run = trained(judged, "run")
    whole = evaluations(run.log)
    with run.log.open("a") as file:
        file.write('{"step": 7, "evaluation/kad_l": 1.')
    assert evaluations(run.log) == whole


@pytest.mark.parametrize("steps", [4, 6])
def test_a_kill_in_the_last_evaluation_is_made_good_by_the_same_command(judged, monkeypatch, caplog, steps):
    """Once the sound is away, a finished run still says that it is done: nothing is left to judge."""
    whole = trained(judged, "whole", f"training.steps={steps}")

    class Killed(BaseException):
        pass

    def kill(monitor, figures):
        if monitor.step == steps:
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Monitor, "tell", kill)
        trained(judged, "run", f"training.steps={steps}")
    run = RunFolder(Path("run"))
    assert steps not in headlines(run)
    with caplog.at_level("INFO"):
        trained(judged, "run", f"training.steps={steps}")
        Path("sounds").rename("away")
        trained(judged, "run", f"training.steps={steps}")
    assert headlines(run)[steps] == headlines(whole)[steps]
    assert [line["step"] for line in evaluations(run.log)].count(steps) == 1
    assert best(run)["step"] == best(whole)["step"] and best(run)["evaluation"] == best(whole)["evaluation"]
    told = caplog.text
    assert told.count(f"evaluating step {steps}, because") == 1 and told.count(f"has taken its {steps} steps") == 2
