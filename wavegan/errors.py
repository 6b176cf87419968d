"""The errors that a user may see; everything else that escapes is a bug of ours."""


class UserError(Exception):
    """Something the user can put right; the text names the value, the rule and the remedy in one sentence."""


class DataError(UserError):
    """A source, a file or a folder of sound that cannot be used as asked."""


class RecipeError(UserError):
    """A recipe with one or more faults; the text lists all of them, one a line."""


class RunError(UserError):
    """A run folder or checkpoint that cannot be used as asked."""


class TrainingError(UserError):
    """Training that cannot go on; the text names the step, the last good checkpoint and what to try."""
