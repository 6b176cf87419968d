"""The report: whole without a network, safe with any text, and its numbers and sounds are those it was given."""

import io
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from wavegan.evaluation.metrics import METRICS
from wavegan.evaluation.report import MEANINGS, write_report

PICTURE = b"\x89PNG\r\n\x1a\n any bytes: the report only carries them"
FACTS = {"checkpoint": "step-00020000.pt", "seed": "0", "split": "held out <by file>"}
SCORES = {
    "generated": {"fad_l": {"value": 12.345, "low": 11.04, "high": 13.96, "n": 1000}},
    "real": {"fad_l": {"value": 0.41, "low": -0.052, "high": 0.8, "n": 1000}},
    "noise": {"fad_l": {"value": 1680.2, "low": 1590, "high": 1771.7, "n": 999}},
}
VOID = {"meta", "img"}


class Page(HTMLParser):
    """Tags with their attributes, texts with the tag around them, and every element closed in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1], " ".join(data.split())))

    def said(self, tag: str) -> list[str]:
        return [text for around, text in self.texts if around == tag]

    def sources(self, tag: str) -> list[str]:
        return [attributes["src"] or "" for name, attributes in self.tags if name == tag]


def tones(count: int, channels: int, samples: int, sample_rate: int) -> Tensor:
    """Another frequency in every channel of every clip, fading in and out."""
    frequencies = 200 * (1 + torch.arange(count * channels)).reshape(count, channels, 1)
    tone = torch.sin(2 * torch.pi * frequencies * torch.arange(samples) / sample_rate)
    return 0.5 * tone * torch.hann_window(samples)


def report(folder: Path, clips: Tensor | None = None, sample_rate: int = 16000, title: str = "drums") -> Page:
    path, picture = folder / "report.html", folder / "spectrograms.png"
    picture.write_bytes(PICTURE)
    write_report(
        path,
        title=title,
        facts=FACTS,
        scores=SCORES,
        spectrograms=picture,
        clips=tones(3, 1, 4096, sample_rate) if clips is None else clips,
        sample_rate=sample_rate,
    )
    return Page(path)


def decoded(uri: str) -> tuple[str, bytes]:
    kind, content = uri.removeprefix("data:").split(";base64,")
    return kind, b64decode(content, validate=True)


def test_the_page_is_one_whole_file_without_scripts_or_links(tmp_path):
    (tmp_path / "report.html").write_text("an older report")
    page = report(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["report.html", "spectrograms.png"]
    assert page.source.startswith("<!doctype html>")
    names = {name for name, _ in page.tags}
    assert names.isdisjoint({"script", "link", "iframe", "object", "a", "base", "form"})
    attributes = [(key, value or "") for _, found in page.tags for key, value in found.items()]
    assert not [key for key, _ in attributes if key in ("href", "srcset") or key.startswith("on")]
    assert all(value.startswith("data:") for key, value in attributes if key == "src")
    assert not any(remote in page.source.lower() for remote in ("http://", "https://", "url(", "@import"))
    policy = next(found["content"] for _, found in page.tags if "http-equiv" in found)
    assert policy and policy.startswith("default-src 'none'")


def test_every_score_stands_in_its_column_with_its_interval_and_count(tmp_path):
    page = report(tmp_path)
    columns = [text for text in page.said("th") if text]
    assert columns == ["generated", "real", "noise"]
    assert page.said("code") == ["fad_l"]
    assert page.said("strong") == ["12.3", "0.410", "1,680"]
    small = [text for text in page.said("span") if " to " in text or text.startswith("n =")]
    assert small == ["11.0 to 14.0", "n = 1,000", "−0.052 to 0.800", "n = 1,000", "1,590 to 1,772", "n = 999"]


def test_every_metric_says_in_one_sentence_what_it_is_and_which_way_is_better(tmp_path):
    assert MEANINGS.keys() == METRICS.keys()
    for meaning in MEANINGS.values():
        assert meaning.endswith(".") and meaning.count(". ") == 0
        assert "is better" in meaning
    assert MEANINGS["fad_l"] in report(tmp_path).said("span")


def test_titles_and_facts_are_text_and_never_markup(tmp_path):
    title = "<script>alert('drums')</script> & \"more\""
    page = report(tmp_path, title=title)
    assert page.said("title") == page.said("h1") == [title]
    assert "script" not in {name for name, _ in page.tags}
    assert dict(zip(page.said("dt"), page.said("dd"), strict=True)) == FACTS


def test_the_picture_comes_out_as_it_went_in(tmp_path):
    page = report(tmp_path)
    [picture] = page.sources("img")
    assert decoded(picture) == ("image/png", PICTURE)
    [alternative] = [attributes["alt"] for name, attributes in page.tags if name == "img"]
    assert alternative


@pytest.mark.parametrize(
    ("sample_rate", "channels", "kind"),
    [
        (16000, 1, "audio/mpeg"),
        (44100, 2, "audio/mpeg"),
        (14000, 1, "audio/wav"),
        (16000, 3, "audio/wav"),
    ],
)
def test_every_clip_plays_as_it_was_given_and_in_order(tmp_path, sample_rate, channels, kind):
    clips = tones(3, channels, 16384, sample_rate)
    page = report(tmp_path, clips, sample_rate)
    labels = [attributes["aria-label"] for name, attributes in page.tags if name == "audio"]
    assert labels == ["clip 0", "clip 1", "clip 2"]
    for clip, uri in zip(clips.numpy(), page.sources("audio"), strict=True):
        found, content = decoded(uri)
        sound, rate = soundfile.read(io.BytesIO(content), always_2d=True)
        assert (found, rate, sound.shape) == (kind, sample_rate, clip.T.shape)
        error = np.sqrt(np.mean((sound - clip.T) ** 2) / np.mean(clip**2))
        assert error < (0.05 if kind == "audio/mpeg" else 0.001)


def test_a_sample_beyond_full_scale_does_not_wrap_around(tmp_path):
    [uri] = report(tmp_path, torch.full((1, 1, 64), 1.5), 14000).sources("audio")
    sound, _ = soundfile.read(io.BytesIO(decoded(uri)[1]))
    assert sound == pytest.approx(1, abs=1e-3)
