"""Tests networks without memory: they have the shapes of real ones, and cost no import of torch's compiler."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.models.without_memory import WithoutMemory

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


def shapes(networks) -> dict:
    return {
        name: {key: (value.shape, value.dtype) for key, value in network.state_dict().items()}
        for name, network in networks.items()
    }


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shapes_are_those_of_the_real_networks(path):
    small = recipes.load(path, ["generator.dim=4"])
    recipe = assemble.with_label_count(small, 3)
    with WithoutMemory():
        empty = assemble.method(recipe, torch.device("meta")).networks
    assert shapes(empty) == shapes(assemble.method(recipe, torch.device("cpu")).networks)
    assert all(value.is_meta for network in empty.values() for value in network.parameters())


CHILD = """
import sys, torch
from wavegan import assemble, recipe
from wavegan.models.without_memory import WithoutMemory
with WithoutMemory():
    assemble.method(assemble.with_label_count(recipe.load("quickstart"), 10), torch.device("meta"))
print("torch._dynamo" in sys.modules)
"""


def test_it_does_not_import_the_compiler():
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
