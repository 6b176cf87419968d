"""The house keeps its order: who may import whom, and what every file owes its reader."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import wavegan

PACKAGE = Path(wavegan.__file__).parent
PROJECT = Path(__file__).parents[1]
LEVELS = {
    "errors": 0,
    "atomic_write": 0,
    "file_lock": 0,
    "torch_files": 0,
    "seeding": 0,
    "distributed": 0,
    "dsp": 1,
    "progress": 0,
    "settings": 0,
    "shipped": 0,
    "audio": 2,
    "models": 2,
    "objectives": 2,
    "methods": 3,
    "training": 4,
    "generation": 4,
    "evaluation": 4,
    "recipe": 5,
    "export": 5,
    "steering": 5,
    "assemble": 6,
    "bench": 4,
    "commands": 7,
    "cli": 8,
    "interface": 8,
    "__main__": 8,
}
DOORS = {name: f"dsp/{name}_door.py" for name in ("torchaudio", "librosa")}
NEIGHBOURS = {8}  # on these levels the rooms are files that belong together
WHOLE_TREE = {
    "test_conditional",
    "test_docs",
    "test_gpu",
    "test_house",
    "test_makefile",
    "test_modern_step",
    "test_old_checkpoints",
    "test_recipes",
    "test_runs",
    "test_same_results",
    "test_shipped_models",
    "test_three_adversaries",
    "test_notebook",
    "test_wheel",
}  # tests of several rooms together; every other test lies where the file or the folder lies that it tests
MOST_LINES = 280
NO_VERB = ("What", "Where", "How", "Those", "Which", "Whether")  # docstrings that open so are no sentences
VAGUE = ("one", "found")  # names that do not say what they hold


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
        if opens_without_verb(node):
            yield f"{line}: a docstring that opens without a verb"
        if vague := vague_name(node):
            yield f"{line}: a name that does not say what it holds: {vague}"
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


def opens_without_verb(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
        return False
    return (ast.get_docstring(node) or "").startswith(tuple(f"{word} " for word in NO_VERB))


def vague_name(node: ast.AST) -> str:
    """The name that a local, a loop or an argument binds, where it is too vague; else nothing."""
    is_bound = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    name = node.id if is_bound else node.arg if isinstance(node, ast.arg) else ""  # pyright: ignore
    return name if name in VAGUE else ""


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
    """Says what is wrong with a file's import of a module; empty where nothing is."""
    top, _, rest = module.partition(".")
    if top in DOORS and name != DOORS[top]:
        return f"{top} comes in by {DOORS[top]} alone"
    target, room = rest.partition(".")[0], name.partition("/")[0].removesuffix(".py")
    if top != PACKAGE.name or target.startswith("__") or room == "__init__" or target == room:
        return ""
    for side in (room, target):
        if side not in LEVELS:
            return f"{side} has no level in the house"
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


def test_the_wheel_holds_every_file_of_the_package():
    """Folders without an __init__.py and files that package-data does not name would be left out."""
    patterns = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["wavegan"]
    listed = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    written = (path for path in PACKAGE.rglob("*.*") if "__pycache__" not in path.parts)  # which other tests fill
    others = {path for path in written if path.is_file() and path.suffix != ".py"}
    assert listed == others and others >= set(PACKAGE.rglob("*.j2")) != set()
    folders = {path.parent for path in [*PACKAGE.rglob("*.py"), *others]}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def misplaced_tests(tests: Path, package: Path) -> list[str]:
    """Test files that lie neither in a folder of the package's folder's name nor at the top for a reason."""
    single_files = {f"test_{path.stem}" for path in package.glob("*.py")}
    at_top = {path.stem for path in tests.glob("test_*.py")} - single_files - WHOLE_TREE
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")} - {
        Path("benchmarks"),
        Path("faults"),
        Path(),
    }
    return sorted(at_top) + sorted(
        str(folder) for folder in folders if not (package / folder / "__init__.py").is_file()
    )


def test_tests_lie_where_the_package_has_what_they_test(tmp_path):
    tests = PROJECT / "tests"
    assert misplaced_tests(tests, PACKAGE) == []
    assert {path.stem for path in tests.iterdir()} >= WHOLE_TREE
    names = [path.name for path in tests.rglob("test_*.py")]
    assert len(set(names)) == len(names) > 100, "pytest imports test files by their bare names"
    for name in ("test_seeding.py", "test_bench.py", "models/test_mlp.py", "room/test_mlp.py", "audio/in/test_mlp.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert misplaced_tests(tmp_path, PACKAGE) == ["test_bench", "audio/in", "room"]


def rooms_of_the_readme(text: str) -> list[str]:
    """The rooms in the README's list of the package, from the top."""
    package = text.partition("\nwavegan/\n")[2].partition("\nrecipes/")[0]
    return [line.split()[0].rstrip("/").removesuffix(".py") for line in package.splitlines()]


def test_the_readmes_list_holds_every_room_and_imports_point_down_it():
    listed = rooms_of_the_readme((PROJECT / "README.md").read_text())
    assert sorted(listed) == sorted(room for room in LEVELS if not room.startswith("__")) and len(listed) > 0
    levels = [LEVELS[room] for room in listed]
    assert levels == sorted(levels, reverse=True), dict(zip(listed, levels, strict=True))
    upward = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for module in imported_modules(node, PACKAGE, path)
        if points_up(listed, path.relative_to(PACKAGE).parts[0].removesuffix(".py"), module)
    ]
    assert upward == []


def points_up(listed: list[str], room: str, module: str) -> bool:
    """Says whether an import of a module by a room goes up the list; the package's own start files are not in it."""
    top, _, rest = module.partition(".")
    target = rest.partition(".")[0]
    return top == PACKAGE.name and {room, target} <= set(listed) and listed.index(target) < listed.index(room)


def test_an_import_up_the_list_is_noticed():
    listed = rooms_of_the_readme(
        "# A\n```\nwavegan/\n  cli/  parses\n  audio/  files\n  errors.py  errors\nrecipes/\n```\n"
    )
    assert listed == ["cli", "audio", "errors"]
    assert points_up(listed, "audio", "wavegan.cli.train") and points_up(listed, "errors", "wavegan.audio")
    assert not points_up(listed, "cli", "wavegan.audio.files") and not points_up(listed, "audio", "wavegan.audio.files")
    assert not points_up(listed, "__main__", "wavegan.cli") and not points_up(listed, "audio", "soundfile")


DOCUMENTED = '"""A file."""\n'
PLANTED = {
    "an arrow upwards": ("models/vae.py", "from wavegan.training.loop import train", "models (level 2) imports"),
    "a neighbour": (
        "training/loop.py",
        "from wavegan.evaluation.pages import spectrogram_images",
        "training (level 4) imports",
    ),
    "a neighbour's file": ("generation.py", "import wavegan.training.loop", "generation (level 4) imports training"),
    "audio and models": ("audio/files.py", "from wavegan.models.conv1d import PostFilter", "audio (level 2) imports"),
    "spectra above": ("dsp/mel.py", "from wavegan.models import specgan", "dsp (level 1) imports models"),
    "a recipe below": ("methods/gan.py", "from wavegan import recipe", "methods (level 3) imports recipe"),
    "a relative one": ("audio/files.py", "from ..commands import train", "audio (level 2) imports commands"),
    "a lazy one": ("audio/files.py", "def _f():\n    from wavegan.cli import main", "audio (level 2) imports cli"),
    "under TYPE_CHECKING": ("audio/files.py", "if 1:\n    import wavegan.assemble", "audio (level 2) imports assemble"),
    "an unknown room": ("utils.py", "from wavegan.errors import UserError", "utils has no level"),
    "torchaudio": ("evaluation/features.py", "import torchaudio", "torchaudio comes in by"),
    "librosa": ("audio/content.py", "from librosa import pyin", "librosa comes in by"),
    "torchaudio's part": ("audio/files.py", "from torchaudio.functional import resample", "torchaudio comes in by"),
    "a bare assert": ("audio/files.py", "assert 1", "assert without a message"),
    "a swallowed exception": ("audio/files.py", "try:\n    x = 1\nexcept Exception:\n    pass", "swallowed"),
    "all swallowed": ("audio/files.py", "try:\n    x = 1\nexcept:\n    ...", "swallowed"),
    "one of many": ("audio/files.py", "try:\n    x = 1\nexcept (OSError, Exception):\n    pass", "swallowed"),
    "a long file": ("audio/files.py", "x = 1\n" * MOST_LINES, "longer than"),
    "no docstring": ("audio/files.py", "def public(): ...", "no docstring"),
    "no verb": ("audio/files.py", 'def _f():\n    """What it gives."""', "opens without a verb"),
    "a vague local": ("audio/files.py", "for found in ():\n    pass", "does not say what it holds: found"),
    "a vague argument": ("audio/files.py", "def _f(one): ...", "does not say what it holds: one"),
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
