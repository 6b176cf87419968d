"""Tests the page that goes into an exported folder, with a stand-in for Gradio that keeps the buttons."""

import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import wavegan
from wavegan.commands.export import export
from wavegan.export import template

PARTS = ("Audio", "Blocks", "Button", "Checkbox", "Markdown", "Number", "Row", "Slider", "Textbox")


class Part:
    """Stands for a component or a layout; a button keeps what a press does."""

    pressed: dict[str, tuple] = {}
    made: list["Part"] = []

    def __init__(self, *values: Any, **settings: Any):
        self.values, self.settings = values, settings
        self.made.append(self)

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def click(self, function: Any, inputs: Any, outputs: Any) -> None:
        self.pressed[self.values[0]] = function, inputs, outputs


@pytest.fixture
def gradio(monkeypatch) -> type[Part]:
    module = ModuleType("gradio")
    vars(module).update(dict.fromkeys(PARTS, Part) | {"Error": RuntimeError})
    monkeypatch.setitem(sys.modules, "gradio", module)
    monkeypatch.setattr(Part, "pressed", {})
    monkeypatch.setattr(Part, "made", [])
    return Part


@pytest.mark.usefixtures("on_a_cpu")
def test_each_label_has_a_button_that_makes_its_sound(gradio, tmp_path, monkeypatch):
    export(Path("drums"), out=tmp_path / "drums")
    monkeypatch.chdir(tmp_path)  # the page finds its folder by itself
    page = runpy.run_path("drums/app.py", run_name="app")
    model = wavegan.load("drums", device="cpu")
    assert list(gradio.pressed) == ["Next seed", *model.labels] and len(model.labels) == 10
    for label in model.labels:
        function, inputs, player = gradio.pressed[label]
        assert [part.settings["label"].partition(":")[0] for part in inputs] == ["Seed", "Truncation"]
        rate, sound = function(3.0, 0.8)  # a page gives numbers with a point
        expected = model.generate(1, seed=3, label=label, truncation=0.8)[0].T
        assert (rate, sound.dtype, sound.shape) == (model.sample_rate, np.int16, (model.clip_samples, model.channels))
        np.testing.assert_allclose(sound / 32767, expected, atol=1 / 32767)
        assert player is page["player"]
    assert gradio.pressed["Next seed"][0](4) == 5
    card = next(part.values[0] for part in gradio.made if part.values and str(part.values[0]).startswith("# drums"))
    assert str(tmp_path) not in card, "a page tells its readers nothing of its machine"


@pytest.mark.usefixtures("on_a_cpu")
def test_a_page_asks_for_what_the_model_can_do(gradio, tmp_path):
    def inputs_and_sound(model: str) -> tuple[list[str], Any]:
        gradio.pressed.clear()
        runpy.run_path(str(export(Path(model), out=tmp_path / model).out / "app.py"), run_name="app")
        function, inputs, _ = list(gradio.pressed.values())[-1]
        return [part.settings["label"].partition(":")[0] for part in inputs[2:]], function

    asked, music = inputs_and_sound("piano")
    assert asked == ["Seconds", "Loop"]
    model = wavegan.load("piano", device="cpu")
    for seconds, loop in ((2.0, False), (2.048, True)):
        expected = model.generate(1, seed=3, seconds=seconds, loop=loop)[0].T
        np.testing.assert_allclose(music(3, 1, seconds, loop)[1] / 32767, expected, atol=1 / 32767)
    asked, note = inputs_and_sound("tones")
    assert asked == ["Pitch"]
    assert not np.array_equal(note(3, 1, "A4")[1], note(3, 1, "")[1])
    with pytest.raises(RuntimeError, match="H9"):
        note(3, 1, "H9")


def test_a_model_without_labels_has_one_button(gradio, sounds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"data.source": str(sounds(8)), "data.clip_samples": 4096, "generator.dim": 1, "training.steps": 1}
    quick = {"training.batch_size": 2, "training.precision": "fp32", "discriminators.waveform.dim": 1}
    run = wavegan.train("base/wavegan", settings | quick | {"monitor.preview_every": 0}, device="cpu").run
    folder = export(run).out
    compile((folder / "app.py").read_text(), "app.py", "exec")
    runpy.run_path(str(folder / "app.py"), run_name="app")
    assert list(gradio.pressed) == ["Next seed", "Make a sound"]
    rate, sound = gradio.pressed["Make a sound"][0](0, 1)
    assert rate == 16000 and sound.shape == (4096, 1) and np.abs(sound).max() > 0


def test_a_page_without_gradio_says_what_to_install(monkeypatch, tmp_path):
    (tmp_path / "app.py").write_text(template("app.py"))
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(SystemExit, match="^gradio is not installed; .*; run: pip install gradio wavegan$"):
        runpy.run_path(str(tmp_path / "app.py"), run_name="app")
