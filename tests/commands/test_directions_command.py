"""Tests `wavegan generate --more`: what is moved and kept, receipts of moved clips, and directions that are refused."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import wavegan
from wavegan.commands import directions as commands
from wavegan.commands import receipts
from wavegan.commands.model_loading import load_model
from wavegan.errors import UserError
from wavegan.steering.directions import Direction
from wavegan.steering.page_numbers import page_noise
from wavegan.steering.points import PAGE_DRAW, Point, clip_of

SURE = {"length": 0.9, "brightness": 0.85, "noisiness": 0.5}


@pytest.fixture
def searches(tmp_path, monkeypatch, cache) -> list[str]:
    """Gives every model the same directions, and lists the models for which they were sought."""
    monkeypatch.chdir(tmp_path)
    names: list[str] = []

    def found_directions(model):
        names.append(model.name)
        rows = torch.randn(len(SURE), model.labels, model.generator.mapped, generator=torch.Generator().manual_seed(0))
        return [Direction(name, part, value) for (name, value), part in zip(SURE.items(), rows, strict=True)]

    monkeypatch.setattr(commands, "find_directions", found_directions)
    return names


def samples(path: str | Path) -> np.ndarray:
    return soundfile.read(path, dtype="int16")[0]


def generated(command, model, out: str, *words) -> list[str]:
    outcome = command("generate", model, "--out", out, *words)
    assert outcome.code == 0, outcome.err
    return outcome.out.splitlines()


MOVED = ("--more", "brightness=0.5", "--less", "length=0.25")


@pytest.mark.parametrize("labels", [(), ("--label", "kick:0.7,snare:0.3", "--label", "tom")])
def test_moved_clips_are_made_again_bit_for_bit(command, searches, drummer, labels):
    plain = generated(command, drummer, "plain", "-n", 18, *labels)
    paths = generated(command, drummer, "clips", "-n", 18, *labels, *MOVED)
    assert not any(np.array_equal(samples(path), samples(other)) for path, other in zip(paths, plain, strict=True))
    still = generated(command, drummer, "still", "-n", 1, *labels, "--more", "length=0")
    assert np.abs(samples(still[0]) - samples(plain[0]).astype(int)).max() <= 1
    chosen = [paths[3], paths[17]]
    again = json.loads(command("regenerate", *chosen, "--model", drummer, "--json").out)
    assert again["differences"] == [0, 0]
    shown = command("info", paths[3]).out
    assert "brightness:0.5, length:-0.25" in shown and "offset" not in shown
    near = command("vary", paths[3], "--model", drummer, "-n", 2, "--amount", 0.01, "--out", "near").out.splitlines()
    between = command("morph", paths[3], plain[3], "--model", drummer, "--steps", 3, "--out", "way").out.splitlines()
    assert np.abs(samples(between[0]) - samples(paths[3]).astype(int)).max() <= 1
    assert np.abs(samples(between[2]) - samples(plain[3]).astype(int)).max() <= 1
    for files in (near, between):
        values = json.loads(command("regenerate", *files, "--model", drummer, "--out", files[0] + "x", "--json").out)
        assert set(values["differences"]) == {0}


def test_the_moved_clips_are_those_of_python(command, searches, drummer):
    paths = generated(command, drummer, "clips", "-n", 2, "--label", "tom", "--more", "length=0.5")
    model = wavegan.load(drummer, device="cpu")
    clips = model.generate(2, label="tom", directions={"length": 0.5})
    np.testing.assert_allclose(np.round(clips[1, 0] * 32767), samples(paths[1]), atol=1)
    assert model.directions == SURE
    other = command("generate", drummer, "--out", "clips", "-n", 2, "--label", "tom", "--more", "length=0.6")
    assert other.code == 2 and "exist" in other.err, "clips of other amounts are not kept as these"


def test_directions_are_sought_once_for_the_same_weights(command, searches, drummer, cache):
    generated(command, drummer, "a", "-n", 1, "--more", "length")
    outcome = command("generate", drummer, "-n", 1, "--out", "b", "--more", "length=0.5")
    assert searches == ["drummer"] and "moved along length +0.5 (correlation 0.90)" in outcome.err
    np.testing.assert_array_equal(samples("a/clip-000000.wav"), samples("b/clip-000000.wav"))
    generated(command, drummer, "c", "-n", 1, "--more", "length", "--checkpoint", 1)
    assert len(searches) == 2, "these are other weights"
    [*kept] = (cache / "directions").iterdir()
    for path in kept:
        path.write_bytes(path.read_bytes()[:-9])
    generated(command, drummer, "d", "-n", 1, "--more", "length")
    assert len(searches) == 3, "a damaged file is not used"
    loaded = load_model(drummer, torch.device("cpu"))
    command("export", drummer, "--out", "taken")
    elsewhere = [Direction("level", torch.ones(10, 16), 1.0)]  # twice the dim
    commands.write(Path("taken") / commands.FILE, elsewhere, "other weights")
    assert command("generate", "taken", "-n", 1, "--out", "e", "--more", "level").code == 2
    commands.write(Path("taken") / commands.FILE, elsewhere, receipts.maker_of(loaded.model)["weights"])
    generated(command, "taken", "f", "-n", 1, "--more", "level")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--more", "britness=0.5"], "--more britness=0.5 is not possible; sounds of drummer follow length (0.90), "
         "brightness (0.85); not offered, as their correlation is below 0.8: noisiness (0.50); try --more brightness="),
        (["--less", "noisiness"], "--less noisiness=0.5 is not possible; sounds of drummer follow"),
        (["--less", "brihtness=0.1"], "below 0.8: noisiness (0.50); try --less brightness=0.5"),
        (["--more", "length=2"], "--more is length=2; an amount is 0 to 1; try --more length=0.5"),
        (["--less", "length=3"], "--less is length=3; an amount is 0 to 1; try --less length=0.5"),
        (["--more", "length=-0.2"], "--more is length=-0.2; an amount is 0 to 1; try --less length=0.5"),
        (["--less", "length=-0.2"], "--less is length=-0.2; an amount is 0 to 1; try --more length=0.5"),
        (["--more", "length=nan"], "--more is length=nan; an amount is 0 to 1"),
        (["--less", "length=long"], "--less is length=long; an amount is a number; try --less length=0.5"),
        (["--more", "length", "--less", "length"], "--less is length; length is given twice"),
        (["--more", "length", "--interpolate"], "--more length=0.5 stands beside --interpolate; a walk goes"),
    ],
)  # fmt: skip
def test_directions_that_cannot_be_used(command, searches, drummer, words, message):
    outcome = command("generate", drummer, "-n", 2, "--out", "clips", *words)
    assert outcome.code == 2 and message in outcome.err
    assert not Path("clips").exists()


@pytest.mark.parametrize(
    ("name", "amount", "message"),
    [
        ("noisiness", -3, "`directions={'noisiness': -3}` is too much; an amount is -1 to 1; try `directions={"
         "'noisiness': -0.5}`"),
        ("lenght", -0.2, "`directions={'lenght': -0.2}` is not possible; sounds of drummer follow length"),
    ],
)  # fmt: skip
def test_python_is_advised_in_python(searches, drummer, name, amount, message):
    with pytest.raises(UserError) as refused:
        wavegan.load(drummer, device="cpu").generate(1, directions={name: amount})
    assert message in str(refused.value)
    assert ast.literal_eval(str(refused.value).split("try `directions=")[1].rstrip("`")), "what is advised is Python"


def test_a_sound_of_the_instruments_page_is_made_again(command, searches, drummer):
    """Its noise has the page's random numbers; `vary` takes it too."""
    model = load_model(drummer, torch.device("cpu")).model
    point = Point(torch.linspace(-1, 1, 8), torch.eye(10)[2], ((42, PAGE_DRAW, 0.6), (7, PAGE_DRAW, 0.8)))
    receipt = receipts.of_point(model, receipts.maker_of(model), point, "vary")
    receipt = receipt.model_copy(update={"made_by": "instrument"})
    clip = clip_of(model, point)
    with soundfile.SoundFile("kick.wav", "w", model.sample_rate, model.channels) as sound:
        sound.comment = receipts.text_of(receipt)
        sound.write(clip.T.numpy())
    values = json.loads(command("regenerate", "kick.wav", "--model", drummer, "--json").out)
    assert values["differences"] == [pytest.approx(0, abs=1 / 32767)]
    assert command("vary", "kick.wav", "--model", drummer, "-n", 1).code == 0
    rows = [0.6 * here + 0.8 * there for here, there in zip(page_noise(model, 42), page_noise(model, 7), strict=True)]
    assert abs(float(torch.cat([row.flatten() for row in rows]).std()) - 1) < 0.05
