"""Reads the pages that are written: as a tree of elements, with the contents of their pictures and sounds."""

import io
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import numpy as np
import soundfile
import torch
from PIL import Image
from torch import Tensor

RATE = 16000
SAMPLES = 4096
VOID = {"meta", "img"}


@dataclass
class Node:
    """Holds an element of a page: its tag, attributes, and contents in order."""

    tag: str
    attributes: dict[str, str]
    children: list["Node | str"] = field(default_factory=list)

    def all(self, tag: str = "", **wanted: str) -> list["Node"]:
        """Returns the elements inside it with this tag, whose attributes hold the wanted words."""
        return [
            node
            for node in self.walk()
            if tag in ("", node.tag)
            and all(word in node.attributes.get(key.strip("_"), "").split() for key, word in wanted.items())
        ]

    def walk(self) -> Iterator["Node"]:
        for child in self.children:
            if isinstance(child, Node):
                yield child
                yield from child.walk()

    @property
    def text(self) -> str:
        parts = [child.text if isinstance(child, Node) else child for child in self.children]
        return " ".join(" ".join(parts).split())


class Page(HTMLParser):
    """Reads a page as a tree, and checks that every element is closed, in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.root = Node("", {})
        self.open = [self.root]
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self.open == [self.root]

    def handle_starttag(self, tag, attrs):
        node = Node(tag, {key: value or "" for key, value in attrs})
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag

    def handle_data(self, data):
        if isinstance(self.open[-1], Node):
            self.open[-1].children.append(data)

    def section(self, heading: str) -> Node:
        [matching] = [node for node in self.root.all("section") if node.all("h2")[0].text == heading]
        return matching

    @property
    def headings(self) -> list[str]:
        return [node.text for node in self.root.all("h2")]


def tones(count: int, channels: int = 1, samples: int = SAMPLES, lowest: float = 200, level: float = 0.5) -> Tensor:
    """Makes tones that rise by a semitone from channel to channel and clip to clip, fading in and out."""
    frequencies = lowest * 2 ** (torch.arange(count * channels) / 12).reshape(count, channels, 1)
    tone = torch.sin(2 * torch.pi * frequencies * torch.arange(samples) / RATE)
    return level * tone * torch.hann_window(samples)


def decoded(uri: str) -> tuple[str, bytes]:
    kind, content = uri.removeprefix("data:").split(";base64,")
    return kind, b64decode(content, validate=True)


def sound_of(cell: Node) -> np.ndarray:
    [audio] = cell.all("audio")
    kind, content = decoded(audio.attributes["src"])
    assert kind == "audio/mpeg" and "controls" in audio.attributes and audio.attributes["aria-label"]
    sound, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    assert rate == RATE
    return sound.T


def shades_of(cell: Node) -> np.ndarray:
    """Returns the shade of each pixel, 0 for -80 dB and below, 255 for 0 dB; the lowest band comes first."""
    [image] = [node for node in cell.all("img") if "spectrogram" in node.attributes["alt"]]
    kind, content = decoded(image.attributes["src"])
    assert kind == "image/png"
    colours = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))[::-1]
    table = matplotlib.colormaps["magma"](range(256), bytes=True)[:, :3]
    shades = {tuple(colour): shade for shade, colour in enumerate(table.tolist())}
    return np.array([[shades[tuple(colour)] for colour in row] for row in colours.tolist()])


def same_sound(sound: np.ndarray, clip: Tensor) -> bool:
    expected = clip.numpy()
    return sound.shape == expected.shape and bool(np.mean((sound - expected) ** 2) < 0.01 * np.mean(expected**2))
