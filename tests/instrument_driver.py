"""Opens the instrument's page in a browser, and makes its sounds again by Python."""

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from browser import PATIENCE, Browser

from wavegan.export.web import page
from wavegan.generation import Model
from wavegan.models.inverse_stft import Generator
from wavegan.models.pulses import pitch_unit
from wavegan.steering.directions import label_offset
from wavegan.steering.points import PAGE_DRAW, Point, clip_of

DIRECTIONS = ("length", "brightness")
# Before the page's own script: sounds that start are noted, and MIDI is whatever `midiStub` says.
STUB = """
  const started = [];
  const start = AudioBufferSourceNode.prototype.start;
  AudioBufferSourceNode.prototype.start = function (time = 0) {
    started.push({ samples: Array.from(this.buffer.getChannelData(0)), time });
    return start.call(this, time);
  };
  const gains = [];
  globalThis.GainNode = class extends GainNode {
    constructor(context, options) {
      super(context, options);
      gains.push(options.gain);
    }
  };
  let midiStub = () => Promise.reject(new Error("not allowed"));
  navigator.requestMIDIAccess = () => midiStub();
  const midiInput = { name: "Drum pad" };
  const allowMidi = () => (midiStub = async () => ({ inputs: new Map([["1", midiInput]]) }));
"""


def show(browser: Browser, model: Model, folder: Path) -> None:
    browser.complaints.clear()
    identity = model.weights_hash
    browser.open(page.write(model, folder, version="0.1.0", identity=identity, directions=directions_of(model)))
    browser.wait_for("document.body?.classList.contains('ready')")


def directions_of(model: Model) -> dict[str, torch.Tensor]:
    """Makes rows for two directions of a model that are not those of any descriptor."""
    generator = model.generator
    assert isinstance(generator, Generator)
    shape = (2, max(1, model.labels), generator.mapped)
    return dict(zip(DIRECTIONS, torch.randn(shape, generator=torch.Generator().manual_seed(0)), strict=True))


def told(browser: Browser, text: str) -> None:
    """Waits until the status line holds a text."""
    browser.wait_for(f"element('status').textContent.includes({json.dumps(text)})")


def click(browser: Browser, name: str) -> None:
    browser.evaluate(f"element({name!r}).click()")


def middle_of(browser: Browser, element: str, *, share: float = 0.5) -> tuple[float, float]:
    """Returns a place in an element on the screen, its middle by default."""
    browser.evaluate(f"{element}.scrollIntoView()")
    box = browser.evaluate(f"(({{ x, y, width, height }}) => [x, y, width, height])({element}.getBoundingClientRect())")
    return box[0] + share * box[2], box[1] + share * box[3]


def page_clip(browser: Browser, pad: int) -> np.ndarray:
    return np.array(browser.evaluate(f"pads.pads[{pad}].made.clip.map((samples) => Array.from(samples))"), np.float32)


def pythons(model: Model, sound: dict[str, Any]) -> np.ndarray:
    """Returns Python's clip of a sound of the page: of the same latent, label shares, ways, note and draws of noise."""
    labels = torch.tensor(sound["labels"], dtype=torch.float32) if model.labels else None
    z = torch.tensor(sound["z"], dtype=torch.float32)
    noise = tuple((seed, PAGE_DRAW, weight) for seed, weight in sound["noise"])
    rows = sum(way * directions_of(model)[name] for name, way in sound["ways"].items())
    offset = label_offset(rows, None if labels is None else labels[None])[0] if torch.is_tensor(rows) else None
    generator = model.generator
    assert isinstance(generator, Generator)
    if generator.drawn_pitches:
        generator.drawn_pitches.fixed = None
        if sound["note"] is not None:
            cycles = round(440 * 2 ** ((sound["note"] - 69) / 12), 3) / model.sample_rate
            generator.drawn_pitches.fixed = math.log2(cycles * pitch_unit(generator.window, generator.hop))
    return clip_of(model, Point(z, labels, noise, offset)).numpy()


def sound_of(browser: Browser, expression: str) -> dict[str, Any]:
    """Returns a sound's description as plain numbers."""
    return browser.evaluate(f"(({{ z, ...rest }}) => ({{ z: Array.from(z), ...rest }}))({expression})")


def saved(browser: Browser, button: str, folder: Path) -> Path:
    """Clicks a button and returns the file that the browser has then downloaded."""
    folder.mkdir()
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    click(browser, button)
    end = time.monotonic() + PATIENCE
    while not (files := [path for path in folder.iterdir() if path.suffix != ".crdownload" and path.stat().st_size]):
        assert time.monotonic() < end, f"{button} saves nothing"
        time.sleep(0.05)
    return files[0]
