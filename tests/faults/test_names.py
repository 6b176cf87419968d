"""Recipes, overrides and names that nobody would write on purpose end in a sentence, and stay text on every page."""

import codecs
import json
import logging
import random
import shutil
import string
import subprocess
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from page_reader import RATE, tones

from wavegan import recipe
from wavegan.cli.console import OBEYED, printable
from wavegan.cli.output import scores
from wavegan.errors import RecipeError
from wavegan.evaluation.pages.comparison import ComparisonPage, write_comparison
from wavegan.evaluation.pages.doctor import Example, Section, write_doctor_page
from wavegan.evaluation.pages.listening import write_listening_test
from wavegan.evaluation.pages.report import FaultyClip, Likeness, Report, write_report
from wavegan.recipe.keys import keys_of
from wavegan.recipe.schema import Recipe

QUICK, ALL = 120, 2500
SHIPPED = sorted((Path(__file__).parents[2] / "recipes").rglob("*.yaml"))
KEYS = sorted({key for path in keys_of(Recipe, {}) for key in (path, path.rpartition(".")[2])})
ODD_KEYS = (
    *("foo.bar", "dim.x", ".", "..", "a.", ".a", "", "1", "1.5", "~", "null", "true", "*", "[key]", "include", "<<"),
    *("name", "naïve", "名", "\u202egnp", "a b", "-", "a" * 5000, "__class__", "model_config", "model_fields", "\x85"),
)
ODD_VALUES = (
    *("", "~", "null", "true", "yes", "[]", "{}", "[[[]]]", "[{}]", "{a: {b: {c: d}}}", "[1, [2, [3]]]", "0x1f", "0o7"),
    *(".inf", "-.inf", ".nan", "1e999", "-1e999", "9" * 400, "9" * 5000, "1_000", "-0", "0", "-1", "1e-400", "1:30"),
    *("2026-01-01", "!!python/object/apply:os.system ['true']", "!!set {a}", "&x [*x]", "*nowhere", "<<: *a", "@", "`"),
    *('"\\u0000"', '"\\ud800"', '"\\x1b[31m"', "'", '"', "|", ">\n\n", "a: b: c", "- - -", "? [a]\n: b", "[wavegan]"),
    *("wavegan", "{name: wavegan}", "{name: [1]}", "{name: {a: b}}", "{name: null}", "{1: 2}", "{~: ~}", "{a.b: 1}"),
)
BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in ("ab", "bc", "cd", "de", "ef")
)


def documents(count: int) -> Iterator[bytes]:
    """Yields odd recipe files, the same ones each time."""
    for number in range(count):
        draw = random.Random(number)
        kind = draw.choice((tree, tree, tree, mutated, mutated, nested, bomb))
        yield encoded(draw, kind(draw))


def tree(draw: random.Random, depth: int = 0) -> str:
    """Returns sections of keys that exist, keys that do not, and values that do not fit."""
    lines = []
    for _ in range(draw.randint(1, 6)):
        key = draw.choice(ODD_KEYS) if draw.random() < 0.4 else draw.choice(KEYS)
        key = f'"{key}"' if draw.random() < 0.2 else key
        below = tree(draw, depth + 1) if depth < 4 and draw.random() < 0.45 else ""
        lines.append("  " * depth + f"{key}: " + (f"\n{below}" if below else draw.choice(ODD_VALUES)))
    return "\n".join(lines)


def mutated(draw: random.Random) -> str:
    """Returns a shipped recipe in which some characters or lines are other ones."""
    text = draw.choice(SHIPPED).read_text()
    lines = text.splitlines()
    for _ in range(draw.randint(1, 6)):
        at = draw.randrange(len(lines))
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        lines[at : at + draw.randint(0, 1)] = draw.choice(
            [[], [lines[at]] * 2, ["\t" + lines[at]], [f"{indent}{draw.choice(ODD_KEYS)}: {draw.choice(ODD_VALUES)}"]]
        )
        lines = lines or [""]
    text = "\n".join(lines)
    for _ in range(draw.choice((0, 0, 1, 3))):
        at = draw.randrange(len(text) + 1)
        text = text[:at] + draw.choice(string.printable + "\x00\x1b\u2028\ufeff") + text[at + draw.randint(0, 2) :]
    return text


def nested(draw: random.Random) -> str:
    """Returns sections or lists in each other, from a few to far too many."""
    depth = draw.choice((20, 60, 120, 200, 320, 450, 700, 1000, 3000, 20_000))
    start, end = draw.choice((("[", "]"), ("{a: ", "}"), ("{view: ", "}"), ("- ", "")))
    key = draw.choice(("generator", "discriminators", "data", "foo.bar", "include", "name"))
    return f"{key}: {start * depth}x{end * depth}"


def bomb(draw: random.Random) -> str:
    """Returns aliases that stand for a billion values, or the same key many times."""
    return draw.choice((BOMB, "training:\n" + "  steps: 1\n" * 300, "data: &d {source: *d}", "a: &a\n  <<: *a\n"))


def encoded(draw: random.Random, text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    how = draw.random()
    if how < 0.8:
        return data
    if how < 0.9:
        return codecs.BOM_UTF8 * draw.randint(1, 2) + data
    return draw.choice((text.encode("utf-16", "surrogatepass"), data + b"\xff\xfe", data[: len(data) // 2] + b"\0"))


def overrides(draw: random.Random) -> list[str]:
    """Returns words of a command line, of which some are settings."""
    words = []
    for _ in range(draw.choice((0, 0, 1, 4))):
        path = ".".join(draw.choice((*ODD_KEYS, *KEYS, "*")) for _ in range(draw.randint(1, 3)))
        words.append(draw.choice(("", "=", "=", "=", "==")).join((path, draw.choice((*ODD_VALUES, "[a", "a]", "[]]")))))
    return words


def refused(path: Path, words: list[str]) -> bool:
    """Says whether a recipe is refused in words; any other exception goes on to the test."""
    try:
        recipe.load(path, words)
    except RecipeError as error:
        assert str(error).strip()
        return True
    return False


def count_refused(folder: Path, count: int) -> int:
    path, refusals = folder / "odd.yaml", 0
    for number, data in enumerate(documents(count)):
        path.write_bytes(data)
        refusals += refused(path, overrides(random.Random(-number)))
    return refusals


def test_some_odd_recipes_are_refused_in_words(tmp_path):
    assert count_refused(tmp_path, QUICK) > 0.9 * QUICK


@pytest.mark.long
def test_odd_recipes_are_refused_in_words(tmp_path):
    assert count_refused(tmp_path, ALL) > 0.9 * ALL


@pytest.mark.parametrize("value", ["[[[]]]", "{a: {b: c}}", "-1", "1e999", "text", "null", "9" * 30, "", "[1, x]"])
def test_every_key_refuses_or_takes_every_kind_of_value(tmp_path, value):
    path = tmp_path / "plain.yaml"
    path.write_text("data: {source: x}\n")
    discriminators = {"waveform": {"name": "wavegan", "view": {"name": "log_mel"}}}
    keys = list(keys_of(Recipe, {"discriminators": discriminators}))
    assert len(keys) > 80
    assert sum(refused(path, [f"{key}={value}"]) for key in keys) > 10


@pytest.mark.parametrize("name", ["monitor", "data", "discriminators"])
def test_a_discriminator_may_have_the_name_of_a_section(tmp_path, name):
    path = tmp_path / "plain.yaml"
    path.write_text("data: {source: x}\n")
    with pytest.raises(RecipeError, match=f"discriminators.{name} is wavegan; it is a section, and that is its name"):
        recipe.load(path, [f"discriminators.{name}=wavegan"])


# What a terminal would obey: colours and a title, the same in one character, a forged line, text turned round.
HOSTILE = "a\x1b[31m\x1b]0;owned\x07\x9b2J\nerror: forged\r\u202egnp\u2066\u2028b"
FORGED = ("error: forged", "warning: forged")


def is_safe(text: str) -> bool:
    return not OBEYED.search(text) and not any(line.startswith(FORGED) for line in text.splitlines())


def test_what_a_terminal_obeys_is_shown_as_its_number():
    assert printable("naïve 名 \t\n→ 1 %") == "naïve 名 \t\n→ 1 %"
    assert printable("\x1b[1m\x7f\x9b\u202e\udc80") == "\\u001b[1m\\u007f\\u009b\\u202e\\udc80"
    text = json.dumps(HOSTILE, ensure_ascii=False)
    assert OBEYED.search(text) and json.loads(printable(text)) == HOSTILE and is_safe(printable(text))


def test_messages_warnings_and_tables_show_no_name_as_it_is(console, capsys):
    logging.getLogger("wavegan.audio").warning(f"passed over: {HOSTILE}")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"of {HOSTILE}", stacklevel=1)
    err = capsys.readouterr().err
    assert err.count("forged") == err.count("\\u001b[31m") == 2 and is_safe(err)
    table = scores({HOSTILE: {"kad_l": {"value": 1.0, "low": 0.0, "high": 2.0, "n": 9}}})
    assert "\\u001b[31m" in table and is_safe(table) and len(table.splitlines()) == 3


def test_commands_show_no_name_of_a_file_or_label_as_it_is(command, sounds, tmp_path):
    name = HOSTILE.replace("/", "")
    folder = sounds(20, seconds=0.3, labels=("kick", f"label {name}"))
    (folder / "kick" / f"{name}.wav").write_bytes(b"RIFF of nothing")
    for words in (
        ["doctor", folder, "--no-timing"],
        ["train", tmp_path / f"{name}.yaml"],
        ["generate", tmp_path / name],
    ):
        text = command(*words)
        assert "\\u001b[31m" in text.out + text.err and is_safe(text.out + text.err), words
    listed = command("doctor", folder, "--no-timing", "--json").out
    assert is_safe(listed) and "\\x1b[31m" in str(json.loads(listed))


TAG = """</script></title></style>--><img src=x onerror=document.title="owned"><svg/onload=alert(1)>"' autofocus="""


def report(path: Path, name: str) -> None:
    score = {"value": 1.0, "low": 0.0, "high": 2.0, "n": 9}
    by_set = {"generated": {"kad_l": score}, "real": {"kad_l": score}, name: {"kad_l": score}}
    write_report(
        path,
        Report(
            name,
            {"checkpoint": name, name: "x"},
            RATE,
            by_set,
            tones(2),
            tones(2),
            artefacts=[FaultyClip(1, tones(1)[0], name)],
            likeness=[Likeness(0, *tones(3), 0.1, 0.2)],  # pyright: ignore  three tones
            labels={"generated": {name: 1.0}, "real": {name: 0.5, "b": 0.5}},
            spectra={"generated": np.zeros(5), "real": np.zeros(5), name: np.zeros(5)},
            frequencies=np.linspace(0, RATE / 2, 5),
        ),
    )


def comparison(path: Path, name: str) -> None:
    score = {"kad_l": {"value": 1.0, "low": 0.0, "high": 2.0, "n": 9}}
    write_comparison(
        path,
        ComparisonPage(
            facts={"held out": name, name: "x"},
            sample_rate=RATE,
            scores={name: score, "other": score, "real": score},
            differences={"other": score},
            clips={name: tones(2), "other": tones(2), "real": tones(2)},
            spectra={name: np.zeros(5), "other": np.zeros(5)},
            frequencies=np.linspace(0, RATE / 2, 5),
        ),
    )


def listening(path: Path, name: str) -> None:
    write_listening_test(path, {name: tones(2), "other": tones(2)}, RATE, trials=2)


def doctor(path: Path, name: str) -> None:
    example = Example(name, tones(1)[0])
    write_doctor_page(
        path,
        title=name,
        facts={"labels": name, name: "x"},
        sections=[Section(name, name, True, False, [example]), Section(name, name, False, True, [])],
        typical=[example],
        recipe=f"data:\n  source: {name}\n",
        sample_rate=RATE,
    )


PAGES: dict[str, Callable[[Path, str], None]] = {
    "report": report,
    "comparison": comparison,
    "listening": listening,
    "doctor": doctor,
}
BROWSER = Path("/usr/bin/chromium")


class Elements(HTMLParser):
    """Counts the elements of a page with the names of their attributes."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.counts[(tag, *sorted(name for name, _ in attrs))] += 1


@pytest.mark.parametrize("page", PAGES)
def test_a_name_stays_text_on_every_page(tmp_path, page):
    pages = {}
    for file, name in {"plain": "a name", "hostile": TAG}.items():
        PAGES[page](tmp_path / f"{file}.html", name)
        pages[file] = (tmp_path / f"{file}.html").read_text()
    counts = {file: Elements(source).counts for file, source in pages.items()}
    assert counts["hostile"] == counts["plain"] and counts["plain"].total() > 20
    assert "&lt;img" in pages["hostile"] or page == "listening"  # which names nothing: it is a blind test


@pytest.mark.skipif(not BROWSER.exists(), reason="needs Chromium")
@pytest.mark.parametrize("page", PAGES)
def test_a_browser_runs_nothing_of_a_name(tmp_path, page):
    doms = []
    for name in ("a name", TAG):
        path = tmp_path / "page.html"
        PAGES[page](path, name)
        policy = '<meta http-equiv="Content-Security-Policy"'
        assert policy in path.read_text()  # which would stop a script; here the page must be safe without
        path.write_text(path.read_text().replace(policy, '<meta name="policy"'))
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        words = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", profile, "--dump-dom", path.as_uri()]
        doms.append(subprocess.run(words, capture_output=True, text=True, timeout=600, check=True).stdout)
        shutil.rmtree(tmp_path / "profile", ignore_errors=True)
    plain, hostile = (Elements(dom).counts for dom in doms)
    assert plain == hostile and "<title>owned" not in doms[1]
