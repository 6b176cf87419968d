"""Tests the page of the listening test: it is balanced, blind, level and offline; the answers counted are its own."""

import hashlib
import html
import io
import json
import re
import shutil
import subprocess
from base64 import b64decode
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from wavegan.errors import DataError
from wavegan.evaluation.listening_answers import FIELDS, POINTS, score_answers
from wavegan.evaluation.pages.listening import write_listening_test

RATE = 16000


def noises(*counts: int, samples: int = 1000, channels: int = 1) -> dict[str, Tensor]:
    """Makes candidates named model-0, model-1 …, every clip unlike all others."""
    generator = torch.Generator().manual_seed(0)
    return {
        f"model-{index}": 0.3 * torch.rand(count, channels, samples, generator=generator) - 0.1
        for index, count in enumerate(counts)
    }


class Written:
    """Reads a page as its listener's browser does."""

    def __init__(self, path: Path, candidates: dict[str, Tensor], sample_rate: int = RATE, **options: int) -> None:
        self.count = write_listening_test(path, candidates, sample_rate, **options)
        self.source = path.read_text(encoding="utf-8")
        [content] = re.findall(r'<script type="application/json" id="test">(.*?)</script>', self.source, re.DOTALL)
        self.test = json.loads(content)
        self.key = json.loads(b64decode(self.test["head"]["key"]))
        assert len(self.test["trials"]) == len(self.key["trials"]) == self.count

    def sounds(self) -> list[np.ndarray]:
        """Returns the embedded clips, (channels, samples)."""
        kinds, contents = zip(*(uri.split(";base64,") for uri in self.test["clips"]), strict=True)
        assert set(kinds) == {"data:audio/wav"}
        return [soundfile.read(io.BytesIO(b64decode(content)), always_2d=True)[0].T for content in contents]

    def by_name(self) -> dict[tuple[int, int], np.ndarray]:
        """Returns the embedded clips by candidate and clip number."""
        sounds, trials = self.sounds(), zip(self.test["trials"], self.key["trials"], strict=True)
        return {
            tuple(side): sounds[number]
            for numbers, sides in trials
            for number, side in zip(numbers, sides, strict=True)
        }

    def saved(self, answers: Sequence[str | None], session: str = "0123", listener: str = "Ann") -> dict[str, Any]:
        """Returns the answers as the page saves them."""
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
    assert all(sorted(clips) == [0, 1, 2] for clips in rounds)
    assert len({tuple(clips) for clips in rounds}) > 1
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
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    [text] = re.findall(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    result = json.loads(html.unescape(text))
    saved, answers = result["saved"], ["A", "B", "tie", "A", "B", "A"]
    assert result["played"] == [number for trial in page.test["trials"] for number in trial]
    assert saved == {**page.saved(answers, saved["session"]), "started": saved["started"], "saved": saved["saved"]}
    assert re.fullmatch("[0-9a-f]{16}", saved["session"])
    assert score_answers([saved])["listeners"] == [{"name": "Ann", "answered": 6, "trials": 6}]


def loudest(clip: np.ndarray, window: int = 6400) -> float:
    """Returns the highest RMS of any window of 0.4 s; windows start every 10 samples."""
    power = np.pad((clip**2).mean(axis=0), window)
    return max(float(np.sqrt(power[start : start + window].mean())) for start in range(0, len(power) - window, 10))


def tone(amplitude: float, seconds: float) -> Tensor:
    """Makes a 500 Hz tone from 0.1 s on, in one second."""
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
    left_only, both_sides = tone(1, 0.5), tone(0.5, 0.5)
    clips = [torch.stack([left_only, 0 * left_only])[None], torch.stack([both_sides, both_sides])[None]]
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
