"""Measures the instrument of a MODEL in Chromium, and takes its pictures.

    python benchmarks/instrument.py runs/quickstart --pictures docs/instrument

prints the size of the page, how long it takes to open and to make a sound, and how far its sounds lie from Python's for
the same latents, labels and noise. The pictures are those of the README: 1200 pixels wide, and 400 in dark mode.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from wavegan import __version__, generation
from wavegan.commands.directions import directions_of
from wavegan.commands.model_loading import load_model
from wavegan.export.web import page
from wavegan.generation import Model

SOUNDS = 64
MAKE = "maker.make(seededSound({seed}, oneHot({label})))"

PLACE_OF_KEYS = """(({ left, top, right, bottom }) => [left, top + scrollY, right, bottom + scrollY])(
    element("area-keys").getBoundingClientRect())"""


def differences(browser, model: Model) -> list[float]:
    """Returns the largest difference of a sample of each sound."""
    return [_difference(browser, model, seed, seed % max(1, model.labels)) for seed in range(SOUNDS)]


def _difference(browser, model: Model, seed: int, label: int) -> float:
    drawn = [
        browser.evaluate(f"Array.from(normalNumbers({seed}, {purpose!r}, {int(np.prod(declared.shape))}))")
        for purpose, declared in zip(_purposes(model), model.inputs, strict=True)
    ]
    inputs = [torch.tensor(row).view(1, *declared.shape) for row, declared in zip(drawn, model.inputs, strict=True)]
    labels = torch.nn.functional.one_hot(torch.tensor([label]), model.labels).float() if model.labels else None
    expected = generation.synthesize(model, inputs[0], labels, inputs[1:])[0].numpy()
    made = browser.evaluate(
        f"{MAKE.format(seed=seed, label=label)}.then(({{ clip }}) => clip.map((c) => Array.from(c)))"
    )
    return float(np.abs(expected - np.array(made)).max())


def _purposes(model: Model) -> list[str]:
    return ["latent", *(f"noise {place}" for place in range(len(model.inputs) - 1))]


def milliseconds(browser) -> list[float]:
    """Returns the time of each of some sounds, from the question to the answer."""
    question = f"const start = performance.now(); await {MAKE.format(seed='seed', label=0)}; "
    loop = f"for (let seed = 0; seed < {SOUNDS}; seed++) {{ {question} times.push(performance.now() - start); }}"
    return browser.evaluate(f"(async () => {{ const times = []; {loop} return times; }})()")


def take_pictures(browser, folder: Path) -> None:
    """Writes page.png and phone.png, or keys.png of a model that has keys; of 256 colours to be small."""
    folder.mkdir(exist_ok=True)
    browser.press("Digit4")
    has_keys = browser.evaluate("model.pitches !== null")
    if has_keys:
        browser.evaluate("keys.toggle()")
    for name, width, is_dark in [("keys", 1200, False)] if has_keys else [("page", 1200, False), ("phone", 400, True)]:
        path = folder / f"{name}.png"
        browser.screenshot(path, width, is_dark=is_dark)
        with Image.open(path) as picture:
            opaque = picture.convert("RGB")
        if has_keys:
            opaque = opaque.crop(browser.evaluate(PLACE_OF_KEYS))
        palette = opaque.quantize(256)
        opaque.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Measures the page of a MODEL."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from browser import Browser

    loaded = load_model(arguments.model, torch.device("cpu"))
    model = loaded.model
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, Browser(Path(name)) as browser:
        directions = {direction.name: direction.rows for direction in directions_of(loaded) if direction.is_sure}
        path = page.write(model, Path(name), version=__version__, identity=arguments.model.name, directions=directions)
        start = time.monotonic()
        browser.open(path)
        browser.wait_for("document.body?.classList.contains('ready')")
        print(f"{path.stat().st_size / 1e6:.1f} MB, ready after {time.monotonic() - start:.1f} s with 16 sounds")
        times = milliseconds(browser)
        print(f"a new sound: {statistics.median(times):.1f} ms, {min(times):.1f} to {max(times):.1f} ms")
        apart = differences(browser, model)
        print(f"from Python's: {statistics.median(apart):.1e} in the median, {max(apart):.1e} at most")
        if arguments.pictures:
            take_pictures(browser, arguments.pictures)


if __name__ == "__main__":
    main()
