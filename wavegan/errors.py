"""Defines the errors that a user may see; any other error that reaches the user is a bug of ours."""

import signal


class UserError(Exception):
    """Describes an error that the user can put right: the wrong value, the rule that it breaks and the remedy.

    Its text joins the three into one sentence. A text that is complete already may be passed as the value alone. An
    argument of a Python function stands in backticks, with a value if one is advised: `out`, `device=cpu`,
    `force=True`. The command line puts its own options in their place (`wavegan.cli.console.in_options`).
    """

    def __init__(self, value: str, rule: str = "", remedy: str = ""):
        super().__init__(value, rule, remedy)
        self.value, self.rule, self.remedy = value, rule, remedy

    def __str__(self) -> str:
        return "; ".join(part for part in (self.value, self.rule, self.remedy) if part)


class DataError(UserError):
    """A source, a file or a folder of sound cannot be used as asked."""


class RecipeError(UserError):
    """Says that a recipe has one or more problems; the text lists all of them, one a line."""


class RunError(UserError):
    """A run folder or checkpoint cannot be used as asked."""


class TrainingError(UserError):
    """Training cannot go on; the text names the step, the last good checkpoint and what to try."""


class Interrupted(KeyboardInterrupt):
    """Says which signal asked this process to end; its exit code is 128 plus the signal's number."""

    def __init__(self, signal_number: int):
        super().__init__(signal_number)
        self.signal = signal.Signals(signal_number)
        self.exit_code = 128 + signal_number

    def __str__(self) -> str:
        return "interrupted" if self.signal == signal.SIGINT else f"interrupted by {self.signal.name}"
