"""Tests which trackers a recipe asks for."""

import sys

import pytest

from wavegan import recipe as recipes
from wavegan.assemble import tracker_names
from wavegan.errors import RecipeError, TrainingError
from wavegan.shipped import recipe_file


def names(*overrides: str) -> list[str]:
    return tracker_names(recipes.load(recipe_file("quickstart"), overrides))


def test_tensorboard_by_choice(monkeypatch):
    assert names("monitor.tensorboard=false") == []
    assert names("monitor.tensorboard=true") == names() == ["tensorboard"]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # as if not installed
    assert names() == []
    with pytest.raises(TrainingError, match=r"TensorBoard is not installed; run: pip install tensorboard"):
        names("monitor.tensorboard=true")


def test_others_are_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", sys)
    monkeypatch.setattr(sys, "__file__", "mlflow.py", raising=False)
    assert names("monitor.tensorboard=false", "monitor.trackers=[mlflow]") == ["mlflow"]
    assert names("monitor.trackers=mlflow") == ["tensorboard", "mlflow"]
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(TrainingError, match=r"monitor\.trackers has mlflow, but MLflow is not installed"):
        names("monitor.trackers=[mlflow]")


def test_an_unknown_tracker_is_refused():
    with pytest.raises(RecipeError, match=r"monitor\.trackers .*it must be a list of mlflow, wandb and trackio"):
        names("monitor.trackers=[tensorboard]")
