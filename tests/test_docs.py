"""Tests what the documentation says: commands parse, recipes load, keys, files, names and links exist, examples run."""

import doctest
import importlib
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import click
import pytest
import yaml

from wavegan import cli
from wavegan import recipe as recipes
from wavegan.recipe.keys import section_of
from wavegan.recipe.kinds import is_mapping, kinds_of
from wavegan.recipe.schema import Recipe
from wavegan.settings import Settings
from wavegan.shipped import recipe_file

PROJECT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(PROJECT).as_posix(): path.read_text()
    for path in [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", PROJECT / "data/README.md"]
    + sorted((PROJECT / "docs").glob("*.md"))
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Blocks that no test can check, by the start of their first line, and why.
UNCHECKED = {
    "wavegan/": "a list of folders, which tests/test_house.py checks",
    "runs/drums/": "the content of a run folder",
    "error: rank 1": "a message, which tests/distributed/test_distributed.py provokes",
    "diff --git": "an old commit, quoted",
    "drums/kick/01.wav": "a list of files and their labels",
    "file_name,": "the content of a metadata.csv",
}
EXPORTED = PROJECT / "wavegan/export"  # holds the scripts of exported folders, as text
SECTIONS = "|".join(name for name in Recipe.model_fields if name != "name")
WIDTH = 120


class Block(NamedTuple):
    """Holds a fenced block: its page, its language and its text."""

    page: str
    language: str
    text: str

    def lines(self) -> list[str]:
        """Returns its lines without comments, each with the lines that a backslash joins to it."""
        return [line for line in self.text.replace("\\\n", " ").splitlines() if line.strip()]


BLOCKS = [Block(page, *match.groups()) for page, text in PAGES.items() for match in FENCE.finditer(text)]


def blocks(*languages: str) -> list[Block]:
    checked = [block for block in BLOCKS if not block.lines()[0].startswith(tuple(UNCHECKED))]
    return [block for block in checked if block.language in languages]


def spans(text: str) -> list[str]:
    """Returns the code spans of a page, outside fenced blocks."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def words_of(line: str) -> list[str]:
    return shlex.split(line, comments=True)


SHELL = [(block.page, line) for block in blocks("", "bash", "console") for line in block.lines()]
INLINE = [(page, span) for page, text in PAGES.items() for span in spans(text) if span.startswith("wavegan ")]


def fault_of(line: str, *, is_inline: bool = False) -> str:
    """Returns what is wrong with a command line of the docs; empty if it would be understood."""
    words = words_of(line)
    if words[0] == "wavegan" or " -m wavegan " in line:
        return fault_of_wavegan(words[words.index("wavegan") + 1 :], is_inline)
    if words[0] in ("python", ".venv/bin/python") and words[1:3] != ["-m", "pytest"]:
        return fault_of_script(words[1], words[2:])
    if words[0] == ".venv/bin/python":
        return "" if (PROJECT / words[3]).exists() else f"{words[3]} is missing"
    if words[0] == "make":
        return "" if f"\n{words[1]}:" in (PROJECT / "Makefile").read_text() else f"make knows no {words[1]}"
    return "" if words[0] == "source" else f"no test knows {words[0]}"


def fault_of_wavegan(words: list[str], is_inline: bool) -> str:
    """Parses the words with the real command, and loads the recipe with its overrides if there is one.

    is_inline: the name of a command alone is no fault, as in a sentence.
    """
    command: click.Command = cli.cli
    names = []
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return f"there is no command {words[0]}"
        names.append(words[0])
        command, words = command.commands[words[0]], words[1:]
    if words == ["--help"] or (is_inline and not words):
        return ""
    try:
        values = command.make_context(" ".join(names), list(words)).params
    except click.UsageError as error:
        return error.format_message()
    recipe = recipe_file(str(values["recipe"]), PROJECT) if "overrides" in values else None
    if recipe and recipe.is_file():
        try:
            recipes.load(recipe, values["overrides"])
        except recipes.RecipeError as error:
            return str(error)
    return ""


def fault_of_script(path: str, words: list[str]) -> str:
    """Returns what is wrong with a call of a script: it must exist, and its text must hold every option."""
    script = PROJECT / path
    if not script.is_file():
        script = EXPORTED / f"{script.name}.txt"
    if not script.is_file():
        return f"{path} is missing"
    text = script.read_text()
    missing = [word for word in words if word.startswith("--") and f'"{word}"' not in text]
    return f"{path} has no option {', '.join(missing)}" if missing else ""


def test_commands_are_understood():
    assert [(page, line, fault) for page, line in SHELL if (fault := fault_of(line))] == []
    assert [(page, line, fault) for page, line in INLINE if (fault := fault_of(line, is_inline=True))] == []
    assert len(SHELL) > 30 and len(INLINE) > 10


@pytest.mark.parametrize(
    "line",
    [
        "wavegan trian recipes/vae.yaml",
        "wavegan generate runs/x --speed 3",
        "wavegan generate",
        "wavegan train recipes/vae.yaml training.step=3",
        "wavegan train vae training.step=3",
        "torchrun --nproc-per-node=8 -m wavegan train",
        "python benchmarks/nothing.py",
        "python benchmarks/quality.py drum_machine --minutes 3",
        "make coffee",
        "waveform train",
    ],
)
def test_a_wrong_command_is_noticed(line):
    assert fault_of(line) != ""
    assert fault_of("wavegan generate", is_inline=True) == ""


def test_recipes_and_parts_of_recipes_are_valid(tmp_path):
    """Loads YAML blocks as they are, or over the small WaveGAN if they include nothing."""
    examples = blocks("yaml")
    for number, block in enumerate(examples):
        path = tmp_path / f"example{number}.yaml"
        text = block.text if "include:" in block.text else f"include: quickstart_wavegan.yaml\n{block.text}"
        path.write_text(re.sub(r"\.\./recipes/(?=[\w/]+\.yaml)", f"{PROJECT}/recipes/", text))
        recipes.load(path)
    assert len(examples) >= 4


def test_every_block_is_checked_or_excused():
    others = {block.language for block in BLOCKS} - {"", "bash", "console", "yaml", "python"}
    assert blocks(*others) == []
    first_lines = [block.lines()[0] for block in BLOCKS]
    assert [start for start in UNCHECKED if not any(line.startswith(start) for line in first_lines)] == []
    assert {block.page for block in blocks("python")} == {"docs/python.md"}, (
        "tests/commands/test_library.py runs that page"
    )


# Names.


def sections_below(section: type[Settings], key: str) -> list[type[Settings]] | None:
    """Returns the kinds of section that a key of a section may hold; None if there is no such key."""
    if (field := section.model_fields.get(key)) is None:
        return None
    own = section_of(field)
    return [*kinds_of(field.annotation).values(), *([own] if own else [])]


def is_key(path: str) -> bool:
    """Returns whether some recipe may have this key; * and any name stand for a section under a name of one's own."""
    reached: list[type[Settings]] = [Recipe]
    is_named = False
    for part in path.split("."):
        if is_named:
            is_named = False
            continue
        is_named = any(is_mapping(each.model_fields[part].annotation) for each in reached if part in each.model_fields)
        below = [kinds for each in reached if (kinds := sections_below(each, part)) is not None]
        if part == "*":
            below = [sections_below(each, name) or [] for each in reached for name in each.model_fields]
        if not below:
            return False
        reached = [kind for kinds in below for kind in kinds]
    return True


def test_keys_exist():
    keys = [
        (page, key)
        for page, text in PAGES.items()
        for span in spans(text)
        for key in re.findall(rf"^((?:{SECTIONS})(?:\.[\w*-]+)+)(?=$|[=: ])", span)
    ]
    assert [(page, key) for page, key in keys if not is_key(key)] == []
    assert len({key for _, key in keys}) > 40
    assert is_key("discriminators.mine.view.name") and is_key("optimizers.*.lr") and is_key("method.augment.name")
    assert not is_key("training.step") and not is_key("discriminators.mine.views") and not is_key("generator.lr")


def test_files_exist():
    """Finds files by their path from the project's root or from the package."""
    paths = [
        (page, span)
        for page, text in PAGES.items()
        for span in spans(text)
        if re.fullmatch(r"[\w./-]+/[\w.-]+\.(?:py|yaml|md|json|csv)|\w+\.py", span) and "NAME" not in span
    ]
    assert [(page, path) for page, path in paths if not is_file_of(page, path)] == []
    assert len({path for _, path in paths}) > 30


def is_file_of(page: str, path: str) -> bool:
    folders = (PROJECT, PROJECT / "wavegan", (PROJECT / page).parent)
    return (
        path in EXAMPLES or (EXPORTED / f"{path}.txt").is_file() or any((folder / path).is_file() for folder in folders)
    )


EXAMPLES = {"my/kicks.yaml"}  # files of the reader


def test_names_of_python_exist():
    names = [
        (page, name)
        for page, text in PAGES.items()
        for span in spans(text)
        for name in re.findall(r"\bwavegan(?:\.\w+)+(?=\b)", span)
    ]
    assert [(page, name) for page, name in names if not is_importable(name)] == []
    assert len(names) > 5 and not is_importable("wavegan.commands.train.trian")


def is_importable(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), attribute) or bool(importlib.import_module(name))
    except ImportError:
        return False


def links(text: str) -> list[str]:
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text)) if not link.startswith("http")]


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere():
    assert [(page, link) for page, text in PAGES.items() for link in links(text) if not leads(page, link)] == []
    assert not leads("README.md", "docs/nothing.md") and not leads("README.md", "docs/training.md#nothing")


def leads(page: str, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (PROJECT / page).parent / name if name else PROJECT / page
    return target.exists() and (not anchor or anchor in anchors(target.read_text()))


def test_prose_is_not_wide():
    wide = [(page, line) for page, text in PAGES.items() for line in wide_lines(text)]
    assert wide == []
    assert wide_lines("a " * 61) and not wide_lines("| a " * 61) and not wide_lines("```\n" + "a " * 61 + "\n```\n")


def wide_lines(text: str) -> list[str]:
    """Returns the lines of prose above 120 characters, outside tables, pictures and code."""
    lines = FENCE.sub("", text).splitlines()
    return [line for line in lines if len(line) > WIDTH and not line.startswith(("|", "!", "    "))]


def test_the_keys_that_may_change_are_listed():
    paragraph = PAGES["docs/training.md"].partition("**Keys that may change**")[2].partition("\n\n")[0]
    listed = spans(" ".join(paragraph.split()))
    missing = [key for key in recipes.MAY_CHANGE if not {key, key.rpartition(".")[2]} & set(listed)]
    assert missing == []


# Examples in docstrings.

WITH_EXAMPLES = [path for path in sorted((PROJECT / "wavegan").rglob("*.py")) if ">>> " in path.read_text()]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_examples_of_docstrings(path):
    name = ".".join(path.relative_to(PROJECT).with_suffix("").parts)
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.failed == 0 and outcome.attempted > 0


def test_there_are_examples():
    assert len(WITH_EXAMPLES) >= 5


# Files for clusters.

CLUSTER = PROJECT / "docs/cluster"


@pytest.mark.skipif(not shutil.which("bash"), reason="it runs a bash script")
@pytest.mark.parametrize(
    ("code", "restarts", "again"),
    [(0, 0, False), (1, 0, False), (2, 0, False), (130, 0, False), (143, 100, False)]
    + [(code, 3, True) for code in (75, 137, 138, 143)],
)
def test_the_job_for_slurm_goes_back_into_the_queue_by_its_exit_code(tmp_path, code, restarts, again):
    """Runs the script with other programs in the place of Slurm's, which say how they were called."""
    for name, ending in (("srun", code), ("scontrol", 0)):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/calls\nexit {ending}\n')
        (tmp_path / name).chmod(0o755)
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": str(restarts)}
    words = ["bash", str(CLUSTER / "slurm.sbatch"), "sc09", "--run-dir", "runs/my run"]
    done = subprocess.run(words, env=os.environ | variables, capture_output=True, text=True)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0] == "srun --kill-on-bad-exit=1 wavegan train sc09 --run-dir runs/my run"
    assert calls[1:] == (["scontrol requeue 7"] if again else []) and done.returncode == (0 if again else code)
    assert ("gives up" in done.stderr) == (restarts == 100)


def test_the_files_for_rented_machines_train_a_recipe_that_exists():
    rented = yaml.safe_load((CLUSTER / "skypilot.yaml").read_text())
    runtime, job = yaml.safe_load_all((CLUSTER / "trainjob.yaml").read_text())
    told = rented["run"].replace('"$RECIPE"', rented["envs"]["RECIPE"]).replace('"$RUN"', rented["envs"]["RUN"])
    for words in (shlex.split(told), job["spec"]["trainer"]["args"]):
        own = words[words.index("wavegan") + 1 :]
        context = cli.train.train.make_context("train", own[1:])
        assert own[0] == "train" and recipes.load(context.params["recipe"], context.params["overrides"]).name == "sc09"
    assert job["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"]
