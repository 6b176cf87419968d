"""Tests that `evaluate` and `compare` take the same options, and that each option has its effect."""

from dataclasses import fields
from pathlib import Path

import pytest

from wavegan.cli import compare as compare_command
from wavegan.cli import evaluate as evaluate_command
from wavegan.commands import compare, evaluate
from wavegan.commands.judging_options import DEFAULTS, JudgingOptions
from wavegan.errors import UserError

WORDS = ["--data", "real", "--training", "seen", "--classifier", "none", "--count", "7", "--seed", "3"]
WORDS += ["--device", "cpu", "--raw", "--checkpoint", "best"]
CHOSEN = JudgingOptions(Path("real"), Path("seen"), "none", 7, 3, "cpu", True, "best")


class Refused(UserError):
    """Ends a command where its work would begin."""


@pytest.mark.parametrize("words, expected", [(WORDS, CHOSEN), ([], DEFAULTS)], ids=["all", "none"])
@pytest.mark.parametrize("module, targets", [(evaluate, ["a"]), (compare, ["a", "b"])], ids=["evaluate", "compare"])
def test_every_option_reaches_the_judgement(command, monkeypatch, module, targets, words, expected):
    received = []

    def keep(target, options, **others):
        received.append(options)
        raise Refused("that is enough")

    name = module.__name__.rpartition(".")[2]
    monkeypatch.setattr(module, name, keep)
    assert command(name, *targets, *words).err.endswith("that is enough\n")
    assert received == [expected]


def test_both_commands_show_every_option_in_the_same_order():
    shared = {field.name for field in fields(JudgingOptions)}
    shown, others = (
        [option.name for option in command.params if option.name in shared]
        for command in (evaluate_command.evaluate, compare_command.compare)
    )
    assert shown == others and set(shown) == shared
    assert all(getattr(CHOSEN, name) != getattr(DEFAULTS, name) for name in shared), "the test above sets each of them"
