"""The house keeps its order: who may import whom, and what every file owes its reader."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import wavegan

PACKAGE = Path(wavegan.__file__).parent
LEVELS = {
    "errors": 0,
    "seeding": 0,
    "distributed": 0,
    "dsp": 0,
    "audio": 1,
    "models": 1,
    "objectives": 1,
    "methods": 2,
    "training": 3,
    "generation": 3,
    "evaluation": 3,
    "recipe": 4,
    "assemble": 5,
    "bench": 3,
    "commands": 6,
    "cli": 7,
    "__main__": 7,
}
NEIGHBOURS = {7}  # on these levels the rooms are files that belong together
MOST_LINES = 280


def house_faults(package: Path) -> list[str]:
    """Every breach of the house's order in the package folder, as `file:line: what`."""
    return [fault for path in sorted(package.rglob("*.py")) for fault in file_faults(package, path)]


def file_faults(package: Path, path: Path) -> Iterator[str]:
    name = path.relative_to(package).as_posix()
    text = path.read_text()
    tree = ast.parse(text)
    if text.count("\n") > MOST_LINES:
        yield f"{name}:{MOST_LINES}: longer than {MOST_LINES} lines"
    for node in ast.walk(tree):
        line = f"{name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Assert) and node.msg is None:
            yield f"{line}: assert without a message"
        if isinstance(node, ast.ExceptHandler) and swallows_everything(node):
            yield f"{line}: every exception is swallowed"
        for module in imported_modules(node, package, path):
            if breach := import_breach(name, module):
                yield f"{line}: {breach}"
    for node in [tree, *tree.body]:
        if is_public(node) and not ast.get_docstring(node):  # type: ignore[arg-type]
            yield f"{name}:{getattr(node, 'lineno', 1)}: no docstring"


def swallows_everything(handler: ast.ExceptHandler) -> bool:
    names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type else set()
    is_broad = handler.type is None or bool(names & {"Exception", "BaseException"})
    return is_broad and all(isinstance(line, ast.Pass | ast.Continue | ast.Expr) for line in handler.body)


def is_public(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return not node.name.startswith("_")
    return isinstance(node, ast.Module)


def imported_modules(node: ast.AST, package: Path, path: Path) -> list[str]:
    """The full names of the modules that an import statement, wherever it stands, may bring in."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        parts = [package.name, *path.relative_to(package).parent.parts]
        base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])
    if base == package.name:  # `from wavegan import recipe` brings a room, `import __version__` only a name
        return [f"{base}.{alias.name}" for alias in node.names]
    return [base]


def import_breach(name: str, module: str) -> str:
    """What is wrong with a file's import of a module; empty where nothing is."""
    if module.partition(".")[0] == "torchaudio" and name != "dsp/torchaudio_door.py":
        return "torchaudio comes in by dsp/torchaudio_door.py alone"
    top, _, rest = module.partition(".")
    target, room = rest.partition(".")[0], name.partition("/")[0].removesuffix(".py")
    if top != PACKAGE.name or target.startswith("__") or room == "__init__" or target == room:
        return ""
    for one in (room, target):
        if one not in LEVELS:
            return f"{one} has no level in the house"
    is_neighbour = LEVELS[target] == LEVELS[room] and LEVELS[room] in NEIGHBOURS
    if LEVELS[target] < LEVELS[room] or is_neighbour or target == "errors":
        return ""
    return f"{room} (level {LEVELS[room]}) imports {target} (level {LEVELS[target]})"


def test_the_house_is_in_order():
    assert house_faults(PACKAGE) == []


def test_every_room_is_walked():
    """The walk has met every file, and the levels name no room that is not there."""
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    assert rooms == {*LEVELS, "__init__"}
    imports = sum(
        module.startswith("wavegan")
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for module in imported_modules(node, PACKAGE, path)
    )
    assert imports > 80


DOCUMENTED = '"""A file."""\n'
PLANTED = {
    "an arrow upwards": ("models/vae.py", "from wavegan.training.loop import train", "models (level 1) imports"),
    "a neighbour": ("training/loop.py", "from wavegan.evaluation import figures", "training (level 3) imports"),
    "a neighbour's file": ("generation.py", "import wavegan.training.loop", "generation (level 3) imports training"),
    "audio and models": ("audio/files.py", "from wavegan.models.layers import PostFilter", "audio (level 1) imports"),
    "spectra above": ("dsp/mel.py", "from wavegan.models import specgan", "dsp (level 0) imports models"),
    "a recipe below": ("methods/gan.py", "from wavegan import recipe", "methods (level 2) imports recipe"),
    "a relative one": ("audio/files.py", "from ..commands import train", "audio (level 1) imports commands"),
    "a lazy one": ("audio/files.py", "def _f():\n    from wavegan.cli import main", "audio (level 1) imports cli"),
    "under TYPE_CHECKING": ("audio/files.py", "if 1:\n    import wavegan.assemble", "audio (level 1) imports assemble"),
    "an unknown room": ("utils.py", "from wavegan.errors import UserError", "utils has no level"),
    "torchaudio": ("evaluation/features.py", "import torchaudio", "torchaudio comes in by"),
    "torchaudio's part": ("audio/files.py", "from torchaudio.functional import resample", "torchaudio comes in by"),
    "a bare assert": ("audio/files.py", "assert 1", "assert without a message"),
    "a swallowed exception": ("audio/files.py", "try:\n    x = 1\nexcept Exception:\n    pass", "swallowed"),
    "all swallowed": ("audio/files.py", "try:\n    x = 1\nexcept:\n    ...", "swallowed"),
    "one of many": ("audio/files.py", "try:\n    x = 1\nexcept (OSError, Exception):\n    pass", "swallowed"),
    "a long file": ("audio/files.py", "x = 1\n" * MOST_LINES, "longer than"),
    "no docstring": ("audio/files.py", "def public(): ...", "no docstring"),
    "a class without": ("audio/files.py", "class Public: ...", "no docstring"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_breach_is_found(tmp_path, planted):
    name, text, message = PLANTED[planted]
    path = tmp_path / "wavegan" / name
    path.parent.mkdir(parents=True)
    path.write_text(f"{DOCUMENTED}{text}\n")
    faults = house_faults(tmp_path / "wavegan")
    assert len(faults) == 1 and message in faults[0] and faults[0].startswith(f"{name}:")


def test_what_is_allowed_is_not_a_breach(tmp_path):
    path = tmp_path / "wavegan/assemble.py"
    path.parent.mkdir()
    path.write_text(
        f"{DOCUMENTED}from wavegan import __version__, recipe\nfrom wavegan.audio import files\nimport torch\n"
        "from wavegan.errors import UserError\nassert files, 'a message'\n"
        "def _private(): ...\ntry:\n    x = 1\nexcept ValueError:\n    pass\n"
    )
    assert house_faults(tmp_path / "wavegan") == []


@pytest.mark.parametrize("words", [[], ["--help"], ["train", "--help"], ["--version"]])
def test_help_needs_no_heavy_library(words):
    """The command line answers at once: it imports none of what takes long."""
    program = (
        "import sys\n"
        "from wavegan import cli\n"
        f"sys.argv[1:] = {words}\n"
        "try:\n    cli.main()\n"
        "except SystemExit as done:\n"
        "    heavy = {'torch', 'torchaudio', 'numpy', 'scipy', 'pydantic', 'yaml', 'matplotlib', 'soundfile'}\n"
        "    print(done.code, sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
