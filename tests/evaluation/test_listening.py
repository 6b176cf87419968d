"""The listening test: balanced, blind, level and offline; and its answers counted as by hand, or refused."""

import hashlib
import html
import io
import json
import re
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from scipy.stats import binomtest
from torch import Tensor

from wavegan.errors import DataError
from wavegan.evaluation.listening import (
    FIELDS,
    POINTS,
    score_answers,
    verdict,
    wilson_interval,
    write_listening_test,
)

RATE = 16000
COUNTS = ("trials", "wins", "losses", "ties", "share")


def noises(*counts: int, samples: int = 1000, channels: int = 1) -> dict[str, Tensor]:
    """Candidates named model-0, model-1 …, every clip unlike all others."""
    generator = torch.Generator().manual_seed(0)
    return {
        f"model-{index}": 0.3 * torch.rand(count, channels, samples, generator=generator) - 0.1
        for index, count in enumerate(counts)
    }


class Written:
    """A page as its listener's browser reads it."""

    def __init__(self, path: Path, candidates: dict[str, Tensor], sample_rate: int = RATE, **options: int) -> None:
        self.count = write_listening_test(path, candidates, sample_rate, **options)
        self.source = path.read_text(encoding="utf-8")
        [content] = re.findall(r'<script type="application/json" id="test">(.*?)</script>', self.source, re.DOTALL)
        self.test = json.loads(content)
        self.key = json.loads(b64decode(self.test["head"]["key"]))
        assert len(self.test["trials"]) == len(self.key["trials"]) == self.count

    def sounds(self) -> list[np.ndarray]:
        """The embedded clips, (channels, samples)."""
        kinds, contents = zip(*(uri.split(";base64,") for uri in self.test["clips"]), strict=True)
        assert set(kinds) == {"data:audio/wav"}
        return [soundfile.read(io.BytesIO(b64decode(content)), always_2d=True)[0].T for content in contents]

    def by_name(self) -> dict[tuple[int, int], np.ndarray]:
        """The embedded clips by candidate and clip number."""
        sounds, trials = self.sounds(), zip(self.test["trials"], self.key["trials"], strict=True)
        return {
            tuple(side): sounds[number]
            for numbers, sides in trials
            for number, side in zip(numbers, sides, strict=True)
        }

    def saved(self, answers: Sequence[str | None], session: str = "0123", listener: str = "Ann") -> dict[str, Any]:
        """What the page saves."""
        plain = {field: self.key[field] for field in ("seed", "candidates")}
        return {**self.test["head"], **plain, "session": session, "listener": listener, "answers": answers}


@pytest.fixture
def page(tmp_path: Path) -> Written:
    return Written(tmp_path / "test.html", noises(12, 12), trials=10)


@pytest.mark.parametrize(
    ("candidates", "trials", "count"), [(2, 40, 40), (2, 1, 2), (2, 5, 6), (3, 40, 42), (4, 24, 24), (4, 25, 36)]
)
def test_every_pair_is_asked_equally_often_on_both_sides(tmp_path, candidates, trials, count):
    page = Written(tmp_path / "test.html", noises(*[3] * candidates), trials=trials)
    assert page.count == count
    sides = Counter((a, b) for (a, _), (b, _) in page.key["trials"])
    assert len(sides) == candidates * (candidates - 1) and all(a != b for a, b in sides)
    assert set(sides.values()) == {count // len(sides)}
    assert f"You will hear {count} pairs" in page.source


@pytest.mark.parametrize(("sample_rate", "channels"), [(16000, 1), (44100, 2), (14000, 3)])
def test_every_side_plays_the_clip_that_the_key_names(tmp_path, sample_rate, channels):
    candidates = noises(4, 30, 6, channels=channels)
    page = Written(tmp_path / "test.html", candidates, sample_rate, trials=12)
    pools, sounds = list(candidates.values()), page.sounds()
    for numbers, sides in zip(page.test["trials"], page.key["trials"], strict=True):
        assert len(numbers) == 2
        for number, (candidate, clip) in zip(numbers, sides, strict=True):
            given = pools[candidate][clip].numpy()
            gain = sounds[number].ravel() @ given.ravel() / (given.ravel() @ given.ravel())
            assert sounds[number].shape == given.shape
            assert sounds[number] == pytest.approx(gain * given, abs=2e-5)  # half a step of 16 bits, no loss beyond


def test_clips_repeat_only_where_they_must_and_are_embedded_once(tmp_path):
    page = Written(tmp_path / "test.html", noises(3, 50), trials=40)
    heard: dict[int, list[int]] = {0: [], 1: []}
    for trial in page.key["trials"]:
        for candidate, clip in trial:
            heard[candidate].append(clip)
    assert len(set(heard[1])) == 40
    rounds = [heard[0][start : start + 3] for start in range(0, 39, 3)]
    assert all(sorted(one) == [0, 1, 2] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1
    assert len(page.test["clips"]) == len(set(page.test["clips"])) == 43


def test_the_order_is_shuffled_and_a_function_of_the_seed(tmp_path):
    candidates = noises(30, 30, 30)
    pages = [Written(tmp_path / f"{n}.html", candidates, seed=seed) for n, seed in enumerate((0, 0, 1))]
    assert pages[0].source == pages[1].source
    orders = [[(a, b) for (a, _), (b, _) in page.key["trials"]] for page in pages]
    assert orders[0] != orders[2] and Counter(orders[0]) == Counter(orders[2])
    assert all(len(set(order[:6])) > 1 and sorted(order) != order for order in orders)
    clips = [clip for trial in pages[0].key["trials"] for candidate, clip in trial if candidate == 0]
    assert clips != sorted(clips)


def test_other_sounds_or_seeds_are_another_test(tmp_path):
    candidates = noises(8, 8)
    others = {name: clips.flip(0) for name, clips in candidates.items()}
    written = [(candidates, 0), (candidates, 0), (others, 0), (candidates, 1)]
    pages = [Written(tmp_path / f"{n}.html", given, seed=seed) for n, (given, seed) in enumerate(written)]
    tests = [page.test["head"]["test"] for page in pages]
    assert tests[0] == tests[1] and len(set(tests)) == 3
    assert tests[0] == hashlib.sha256(pages[0].test["head"]["key"].encode()).hexdigest()[:16]


def test_the_page_is_offline_and_blind(tmp_path):
    (tmp_path / "test.html").write_text("an older test")
    names = ['held-out <real> & "true"', "</script><b>generiert-ä"]
    page = Written(tmp_path / "test.html", dict(zip(names, noises(4, 4).values(), strict=True)), trials=4)
    assert [file.name for file in tmp_path.iterdir()] == ["test.html"]
    assert page.key["candidates"] == names
    assert page.source.startswith("<!doctype html>") and page.source.count("</script>") == 2
    assert not re.search(r"held-out|generiert|candidate\W*:|model-0", page.source)
    assert not re.search(r"https?:|//\w+\.|url\(|@import|\s(src|href|action)=", page.source)
    [policy] = re.findall(r'Content-Security-Policy"\s+content="([^"]*)"', page.source)
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert rules == {
        "default-src": "'none'",
        "media-src": "data:",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "script-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_the_script_finds_its_elements_and_saves_what_is_scored(page):
    ids = set(re.findall(r'\sid="([^"]+)"', page.source))
    used = set(re.findall(r'element\("([^"]+)"\)', page.source))
    assert used >= {"begin", "both", "save", "listener", "test"} and used <= ids
    assert {f"{kind}-{side}" for kind, side in [("play", "A"), ("play", "B")]} <= ids
    [answers] = re.findall(r"const ANSWERS = \{(.*?)\}", page.source)
    assert re.findall(r'(\d): "(\w+)"', answers) == [("1", "A"), ("2", "B"), ("3", "tie")]
    assert [answer for _, answer in re.findall(r'(\d): "(\w+)"', answers)] == list(POINTS)
    assert {f"answer-{answer}" for answer in POINTS} <= ids
    [content] = re.findall(r"const content = \{ \.\.\.test\.head, (.*?) \}", page.source)
    assert {*content.split(", "), *page.test["head"]} == {*FIELDS, "program", "format", "started", "saved"}


BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for path in map(shutil.which, BROWSERS) if path and "snap" not in str(Path(path).resolve())), None)
LISTENER = """<pre id="result"></pre><script>
  const played = [];
  HTMLMediaElement.prototype.play = function () {
    played.push(test.clips.indexOf(this.src));
    setTimeout(() => this.dispatchEvent(new Event("ended")), 100);
    return Promise.resolve();
  };
  HTMLAnchorElement.prototype.click = () => {};
  URL.createObjectURL = (blob) => {
    blob.text().then((saved) => { element("result").textContent = `{"played": [${played}], "saved": ${saved}}`; });
    return "";
  };
  const press = (key) => dispatchEvent(new KeyboardEvent("keydown", { key }));
  const keys = "1231x213".split(""); // x: not an answer, and nothing must happen
  element("listener").value = " Ann ";
  element("begin").click();
  press("1"); // too early
  const turn = setInterval(() => {
    if (!element("done").hidden) {
      clearInterval(turn);
      element("save").click();
    } else if (element("answer-A").ariaDisabled === "false") press(keys.shift());
  }, 50);
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")
def test_a_browser_plays_every_pair_and_saves_the_keys_pressed(tmp_path):
    page = Written(tmp_path / "test.html", noises(4, 4, 4), trials=6)
    path = tmp_path / "heard.html"
    path.write_text(page.source.replace("</body>", f"{LISTENER}</body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    words = [str(BROWSER), *options, "--virtual-time-budget=20000", "--dump-dom", path.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    [text] = re.findall(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    result = json.loads(html.unescape(text))
    saved, answers = result["saved"], ["A", "B", "tie", "A", "B", "A"]
    assert result["played"] == [number for trial in page.test["trials"] for number in trial]
    assert saved == {**page.saved(answers, saved["session"]), "started": saved["started"], "saved": saved["saved"]}
    assert re.fullmatch("[0-9a-f]{16}", saved["session"])
    assert score_answers([saved])["listeners"] == [{"name": "Ann", "answered": 6, "trials": 6}]


def loudest(clip: np.ndarray, window: int = 6400) -> float:
    """The highest RMS of any 0.4 s, one window after the other."""
    power = np.pad((clip**2).mean(axis=0), window)
    return max(float(np.sqrt(power[start : start + window].mean())) for start in range(0, len(power) - window, 10))


def tone(amplitude: float, seconds: float) -> Tensor:
    """A 500 Hz tone from 0.1 s on, in one second."""
    time = torch.arange(RATE) / RATE
    return amplitude * torch.sin(2 * torch.pi * 500 * time) * ((time >= 0.1) & (time < 0.1 + seconds))


def test_all_sounds_have_one_level_and_the_sharpest_is_at_full_scale(tmp_path):
    time = torch.arange(RATE) / RATE
    soft = torch.stack([tone(0.05, 0.4), tone(0.3, 0.8), 0.1 * torch.sign(tone(1, 0.6))])
    sharp = torch.stack([torch.exp(-30 * time) * torch.sin(2000 * time), 0.4 * tone(1, 0.1), tone(1.5, 0.5)])
    candidates = {"soft": soft[:, None], "sharp": sharp[:, None]}
    sounds = Written(tmp_path / "test.html", candidates, trials=6).sounds()
    assert len(sounds) == 6
    levels = [loudest(sound) for sound in sounds]
    assert levels == pytest.approx([levels[0]] * 6, rel=2e-3)
    relative = [loudest(clip.numpy()) / float(clip.abs().max()) for pool in candidates.values() for clip in pool]
    assert levels[0] == pytest.approx(min(relative), rel=2e-3)
    peaks = sorted(float(np.abs(sound).max()) for sound in sounds)
    assert peaks[-1] == pytest.approx(1, abs=1e-3) and peaks[-2] < 0.9


def test_a_stereo_level_is_the_mean_power_of_both_channels(tmp_path):
    one, both = tone(1, 0.5), tone(0.5, 0.5)
    clips = [torch.stack([one, 0 * one])[None], torch.stack([both, both])[None]]
    page = Written(tmp_path / "test.html", dict(zip("ab", clips, strict=True)), trials=2)
    sounds = page.by_name()
    assert np.abs(sounds[0, 0]).max() == pytest.approx(1, abs=1e-3)
    assert np.abs(sounds[1, 0]).max() == pytest.approx(0.5**0.5, abs=1e-3)


@pytest.mark.parametrize("channels", [1, 2])
def test_silence_stays_and_a_click_neither_clips_nor_hushes_the_others(tmp_path, channels):
    click, quiet = torch.zeros(RATE), torch.full((RATE,), 5e-4)
    click[100], click[101] = 0.5, -0.25  # at full scale its RMS in 0.4 s is 1.118/80, -37.1 dBFS
    pools = [torch.stack([click, torch.zeros(RATE)]), torch.stack([tone(0.5, 0.8), quiet])]
    candidates = {name: pool[:, None].repeat(1, channels, 1) for name, pool in zip("ab", pools, strict=True)}
    sounds = Written(tmp_path / "test.html", candidates, trials=4).by_name()
    assert sounds[0, 0][:, 100:102] == pytest.approx(np.array([[1, -0.5]] * channels), abs=1e-4)
    assert np.abs(sounds[0, 1]).max() == 0
    assert loudest(sounds[1, 0]) == pytest.approx(10 ** (-36 / 20), rel=0.01)
    assert np.abs(sounds[1, 1]).max() == pytest.approx(5e-4, rel=0.05)


def broken(value: float) -> Tensor:
    clips = torch.zeros(5, 1, 100)
    clips[1, 0, 7] = clips[3, 0, 9] = value
    return clips


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ({}, "0 candidates .* 2 or more; add"),
        (noises(3), "1 candidates .* 2 or more; add"),
        (noises(3, 0), "model-1 has 0 clips; .* 1 or more; generate"),
        ({"a": torch.zeros(2, 1, 90), "b": torch.zeros(2, 1, 80)}, r"b are \(1, 80\) .* a \(1, 90\); .*cut or pad"),
        ({"a": torch.zeros(2, 1, 90), "b": torch.zeros(2, 2, 90)}, r"b are \(2, 90\) .* a \(1, 90\); .*cut or pad"),
        ({"a": torch.zeros(2, 1, 100), "b": broken(float("nan"))}, "2 of 5 clips of b hold NaN or inf.*; remove"),
        ({"a": broken(float("inf")), "b": torch.zeros(2, 1, 100)}, "2 of 5 clips of a hold NaN or inf.*; remove"),
    ],
)
def test_what_cannot_be_compared_is_refused_and_nothing_is_written(tmp_path, candidates, message):
    with pytest.raises(DataError, match=message):
        write_listening_test(tmp_path / "test.html", candidates, RATE)
    assert list(tmp_path.iterdir()) == []


def test_no_trials_are_refused(tmp_path):
    with pytest.raises(DataError, match="trials is 0; .* 1 or more; 40"):
        write_listening_test(tmp_path / "test.html", noises(2, 2), RATE, trials=0)


def answers_file(trials: list[tuple[int, int]], answers: list[str | None], **changes: Any) -> dict[str, Any]:
    """An answers file made by hand, of candidates x, y and z."""
    plain = {"seed": 7, "candidates": changes.pop("candidates", ["x", "y", "z"])}
    sides = [[[a, 0], [b, 0]] for a, b in trials]
    key = b64encode(json.dumps({**plain, "sounds": "", "trials": sides, **changes.pop("key", {})}).encode()).decode()
    head = {"program": "wavegan listening test", "format": 1, "key": key}
    test = hashlib.sha256(key.encode()).hexdigest()[:16]
    return {**head, "test": test, **plain, "session": "s1", "listener": "Ann", "answers": answers, **changes}


def test_three_candidates_counted_by_hand():
    trials = [(0, 1), (1, 0), (0, 1), (0, 2), (2, 0), (1, 2), (1, 2)]
    first = answers_file(trials, ["A", "A", "tie", "B", "A", None, "B"])
    second = answers_file(trials, ["A", "B", None, None, None, None, None], session="s2", listener="Bob")
    scores = score_answers([first, second])
    counts = {(one["first"], one["second"]): [one[key] for key in COUNTS] for one in scores["pairs"]}
    assert counts == {("x", "y"): [5, 3, 1, 1, 0.7], ("x", "z"): [2, 0, 2, 0, 0.0], ("y", "z"): [1, 0, 1, 0, 0.0]}
    overall = {name: [one[key] for key in COUNTS] for name, one in scores["overall"].items()}
    assert overall == {"x": [7, 3, 3, 1, 0.5], "y": [6, 1, 4, 1, 0.25], "z": [3, 3, 0, 0, 1.0]}
    assert (scores["candidates"], scores["tests"]) == (["x", "y", "z"], [first["test"]])
    assert scores["listeners"] == [
        {"name": "Ann", "answered": 6, "trials": 7},
        {"name": "Bob", "answered": 2, "trials": 7},
    ]
    for one in [*scores["pairs"], *scores["overall"].values()]:
        points = one["wins"] + one["ties"] / 2
        assert (one["low"], one["high"]) == wilson_interval(points, one["trials"])
    json.dumps(scores)


@pytest.mark.parametrize(("preferred", "wins"), [("model-0", 10), ("model-1", 0)])
def test_a_listener_who_always_knows_wins_every_trial(page, tmp_path, preferred, wins):
    index = page.key["candidates"].index(preferred)
    answers: list[str | None] = ["A" if a == index else "B" for (a, _), _ in page.key["trials"]]
    assert answers.count("A") == answers.count("B") == 5
    path = tmp_path / "answers.json"
    path.write_text("\ufeff" + json.dumps(page.saved(answers)), encoding="utf-8")
    [pair] = score_answers([path])["pairs"]
    assert (pair["first"], pair["trials"], pair["wins"], pair["losses"]) == ("model-0", 10, wins, 10 - wins)
    z_squared = 1.959964**2
    bounds = (10 / (10 + z_squared), 1.0) if wins else (0.0, z_squared / (10 + z_squared))
    assert (pair["low"], pair["high"]) == pytest.approx(bounds)


def test_tests_of_other_clips_count_together_where_the_candidates_are_the_same():
    one = answers_file([(0, 1)], ["A"], candidates=["x", "y"])
    other = answers_file([(0, 1), (1, 0)], ["B", "B"], candidates=["y", "x"])
    assert one["test"] != other["test"]
    scores = score_answers([one, other])
    assert scores["tests"] == sorted([one["test"], other["test"]])
    [pair] = scores["pairs"]
    assert [pair["first"], *(pair[key] for key in COUNTS)] == ["x", 3, 2, 1, 0, pytest.approx(2 / 3)]


@pytest.mark.parametrize(("successes", "trials"), [(31, 40), (0, 7), (7, 7), (1, 1), (500, 1000)])
def test_the_interval_against_scipy(successes, trials):
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(3.5, 10), (0.5, 3), (39.5, 40)])
def test_with_halves_the_interval_ends_where_the_score_is_critical(successes, trials):
    for chance in wilson_interval(successes, trials):
        score = (successes / trials - chance) / np.sqrt(chance * (1 - chance) / trials)
        assert abs(score) == pytest.approx(1.959964, rel=1e-6)


def test_without_trials_nothing_is_known():
    assert wilson_interval(0, 0) == (0, 1)
    scores = score_answers([answers_file([(0, 1), (0, 2)], ["A", None])])
    assert [scores["pairs"][1][key] for key in (*COUNTS, "low", "high")] == [0, 0, 0, 0, 0.5, 0, 1]
    assert scores["verdicts"][1] == "x and z were not compared"


@pytest.mark.parametrize(
    ("wins", "ties", "losses", "sentence"),
    [
        (31, 0, 9, "real preferred to generated in 31 of 40 (62 % to 88 %)"),
        (9, 0, 31, "generated preferred to real in 31 of 40 (62 % to 88 %)"),
        (29, 3, 8, "real preferred to generated in 30.5 of 40 (61 % to 87 %), 3 undecided counting half"),
        (21, 0, 19, "no clear preference between real and generated: real in 21 of 40 (37 % to 67 %)"),
        (18, 0, 22, "no clear preference between generated and real: generated in 22 of 40 (40 % to 69 %)"),
        (1, 0, 0, "no clear preference between real and generated: real in 1 of 1 (21 % to 100 %)"),
    ],
)
def test_the_verdict_is_a_sentence(wins, ties, losses, sentence):
    answers: list[str | None] = [*["A"] * wins, *["tie"] * ties, *["B"] * losses]
    given = answers_file([(0, 1)] * len(answers), answers, candidates=["real", "generated"])
    scores = score_answers([given])
    assert scores["verdicts"] == [verdict(scores["pairs"][0])] == [sentence]


TRIALS = [(0, 1), (1, 0), (0, 2)]
GOOD = answers_file(TRIALS, ["A", None, "tie"])
OTHER_KEY = answers_file([(1, 0), (1, 0), (0, 2)], [])["key"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"program": "another"}, "answers 1 is not of a wavegan listening test; .*; give"),
        ({"format": 2}, "has format 2; 1 can be read; score it with"),
        ({"format": None}, "has format None; 1 can be read; score it with"),
        ({"key": OTHER_KEY}, "the key of answers 1 does not belong to its test '.*', .*; save it again"),
        ({"key": GOOD["key"][:-8]}, "the key of answers 1 does not belong"),
        ({"key": None}, "the key of answers 1 does not belong"),
        ({"test": "0" * 16}, "does not belong to its test '0000000000000000'"),
        ({"seed": 8}, "the key of answers 1 does not belong"),
        ({"candidates": ["x", "z", "y"]}, "the key of answers 1 does not belong"),
        ({"answers": ["A", None]}, "holds 2 answers; .* 3 of A, B, tie and null; save"),
        ({"answers": ["A", None, "tie", "B"]}, "holds 4 answers; .* 3 of"),
        ({"answers": ["A", "C", "tie"]}, "holds the answer 'C'; .* 3 of"),
        ({"answers": ["A", ["B"], "tie"]}, r"holds the answer \['B'\]; .* 3 of"),
        ({"answers": "A"}, "holds 1 answers; .* 3 of"),
        ({"answers": 5}, "holds the answer 5; .* 3 of"),
        ({"answers": [None] * 3}, "answers 0 of 3 trials; 1 or more .*; leave"),
    ],
)
def test_answers_that_are_not_as_saved_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        score_answers([{**GOOD, **changes}])


@pytest.mark.parametrize("field", FIELDS)
def test_answers_without_a_field_are_refused(field):
    with pytest.raises(DataError, match=f"answers 1 lacks {field}; only whole files count; save it again"):
        score_answers([{key: value for key, value in GOOD.items() if key != field}])


@pytest.mark.parametrize("trials", [[[[0, 0], [0, 1]]] * 3, [[[0, 0], [3, 0]]] * 3, [[0, 1]] * 3, 3, None])
def test_a_key_that_makes_no_sense_is_refused(trials):
    with pytest.raises(DataError, match="the key of answers 1 does not belong"):
        score_answers([answers_file(TRIALS, ["A", None, "tie"], key={"trials": trials})])


@pytest.mark.parametrize("content", ["", "sounds good", json.dumps(GOOD)[:-20], "\x00\xff", "[" * 100_000])
def test_a_file_that_is_no_whole_json_is_refused(tmp_path, content):
    path = tmp_path / "answers.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match="answers.json cannot be read .*; answers are whole JSON files; save it again"):
        score_answers([path])


def test_a_missing_file_and_other_json_are_refused(tmp_path):
    with pytest.raises(DataError, match="none.json cannot be read .*No such file"):
        score_answers([tmp_path / "none.json"])
    path = tmp_path / "metrics.json"
    for content in ("[]", "3", '{"fad_l": 1}'):
        path.write_text(content)
        with pytest.raises(DataError, match="metrics.json is not of a wavegan listening test"):
            score_answers([path])


def test_the_same_listening_counts_once_and_other_candidates_not_at_all():
    with pytest.raises(DataError, match="0 answers files .* 1 or more; save"):
        score_answers([])
    later = {**GOOD, "answers": ["A", "B", "tie"]}
    with pytest.raises(DataError, match="answers 3 and answers 1 hold the same listening; .*once; give only"):
        score_answers([GOOD, {**GOOD, "session": "s2"}, later])
    for names in ("x, y", "x, y, v"):
        other = answers_file([(0, 1)], ["A"], candidates=names.split(", "))
        with pytest.raises(DataError, match=f"answers 2 compares {names}, and answers 1 x, y, z; .* same .*; score"):
            score_answers([GOOD, other])
