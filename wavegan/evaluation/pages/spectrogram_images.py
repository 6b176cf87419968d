"""Draws pictures of sound: generated beside real spectrograms, previews of a training, one spectrogram for a page."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from wavegan.atomic_write import atomic_write
from wavegan.dsp.mel import BANDS, RANGE_DECIBELS, band_at, log_mel, window_samples

if TYPE_CHECKING:  # matplotlib takes half a second to import; only drawing pays for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = "magma"  # its lightness only rises: louder stays lighter in grey print and to the colour-blind
SIDE = 8
PREVIEWS = 16
PITCH = 1.05  # from one spectrogram of a grid to the next, in widths or heights of one
WAVEFORM, TITLE = 0.5, 0.2  # of a preview, above a spectrogram, in heights of one
FREQUENCIES = (500, 2000, 8000)  # Hz, those marked
SOFTEST_PEAK_DECIBELS = -20.0  # the top of the scale is never lower: silence is black, not bright


def spectrogram_grid(path: Path, generated: Tensor, real: Tensor, sample_rate: int) -> "Figure":
    """Writes a PNG of up to 8 x 8 generated beside as many real log-mel spectrograms, on one dB scale.

    generated, real: (N, C, T) in [-1, 1]; 0 dB is the loudest point of both. Returns the figure.
    """
    columns, rows = _layout(min(SIDE**2, max(len(generated), len(real))))
    figure = _figure(15, 1 + 6.8 * rows / columns)
    axes = figure.subplots(1, 2)
    halves = levels([clips[: rows * columns] for clips in (generated, real)], sample_rate)
    for axis, half, clips, title in zip(axes, halves, (generated, real), ("generated", "real"), strict=True):
        _draw(axis, half, rows, columns)
        _mark_seconds(axis, clips.shape[-1] / sample_rate, columns)
        axis.set_title(title)
    _mark_frequencies(axes[0], sample_rate, rows)
    _write(figure, axes, path)
    return figure


def preview(path: Path, clips: Tensor, sample_rate: int, *, titles: Sequence[str] = ()) -> "Figure":
    """Writes a PNG of up to 16 clips, each as a waveform above its log-mel spectrogram, on one dB scale.

    clips: (N, C, T) in [-1, 1]; 0 dB is the loudest point of all. titles: one for each clip, or none. Returns the
    figure.
    """
    clips = clips[:PREVIEWS].cpu()
    columns, rows = _layout(len(clips))
    seconds = clips.shape[-1] / sample_rate
    figure = _figure(1 + 3 * columns, 0.6 + 2 * rows)
    axis = figure.subplots()  # one for all clips: many take longer to lay out than to draw
    above = WAVEFORM + (TITLE if titles else 0)
    [spectrograms] = levels([clips], sample_rate)
    _draw(axis, spectrograms, rows, columns, above)
    places = np.linspace(0, 1, clips.shape[-1])
    for index, clip in enumerate(clips):
        row, column = divmod(index, columns)
        left, top = PITCH * column, (PITCH + above) * row
        waveform = top + above - WAVEFORM * (0.5 + 0.45 * clip.numpy())
        axis.plot(left + places, waveform.T, linewidth=0.4, color="0.2")
        if titles:
            axis.text(left + 0.5, top, titles[index], ha="center", va="top")
    _mark_seconds(axis, seconds, columns)
    _mark_frequencies(axis, sample_rate, rows, above)
    _write(figure, [axis], path)
    return figure


def levels(batches: Sequence[Tensor], sample_rate: int) -> list[np.ndarray]:
    """Computes log-mel spectrograms (N, bands, frames) in dB of each batch of clips, 0 dB at the loudest point.

    If all clips are softer than -20 dB, 0 dB stands for -20 dB instead.
    """
    quarter = window_samples(sample_rate) // 4
    hop_samples = max(1, min(quarter, batches[0].shape[-1] // 64))  # at least 64 frames, for short clips too
    spectrograms = [log_mel(clips.cpu(), sample_rate, hop=hop_samples).numpy() for clips in batches]
    loudest = max(np.nanmax(batch, initial=SOFTEST_PEAK_DECIBELS) for batch in spectrograms)
    return [batch - loudest for batch in spectrograms]


def picture(spectrogram: np.ndarray, *, widest: int) -> bytes:
    """Draws one of `levels` as a small PNG without axes, a pixel for each band and frame: colours go from -80 to 0 dB.

    If it has more than `widest` frames, it is that wide and neighbouring frames are averaged.
    """
    from matplotlib import colormaps
    from PIL import Image

    shades = (255 * (1 + spectrogram / RANGE_DECIBELS)).clip(0, 255).round().astype(np.uint8)
    image = Image.fromarray(shades[::-1])
    if image.width > widest:
        image = image.resize((widest, image.height), Image.Resampling.BOX)
    image.putpalette(colormaps[COLOURS](range(256), bytes=True)[:, :3].tobytes())  # makes it a palette image
    content = io.BytesIO()
    image.save(content, format="png", optimize=True)
    return content.getvalue()


def round_time(seconds: float) -> float:
    """Returns the longest of 1, 2, 5, 10, 20 … seconds, or their tenths, within 0.7 of a clip's length."""
    decade = 10.0 ** math.floor(math.log10(0.7 * seconds))
    return max(step * decade for step in (1, 2, 5) if step * decade <= 0.7 * seconds)


def _layout(count: int) -> tuple[int, int]:
    """Returns columns and rows of the squarest grid that holds `count`, wide before high."""
    columns = math.ceil(math.sqrt(count))
    return columns, math.ceil(count / columns)


def _figure(width: float, height: float) -> "Figure":
    """Makes an empty figure, with sizes in inches and without pyplot's global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=130, layout="constrained")


def _draw(axis: "Axes", levels: np.ndarray, rows: int, columns: int, above: float = 0) -> None:
    """Draws one picture of spectrograms (N, bands, frames), row by row; free places stay white.

    Along both axes a spectrogram is 1 long and the next begins at `PITCH`; `above` is left free above each.
    """
    count, bands, frames = levels.shape
    height, width, top = round((PITCH + above) * bands), round(PITCH * frames), round(above * bands)
    tiles = np.full((rows * columns, height, width), np.nan)
    tiles[:count, top : top + bands, :frames] = levels[:, ::-1]
    picture = tiles.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, -1)
    pitch = PITCH + above
    axis.imshow(
        picture, cmap=COLOURS, vmin=-RANGE_DECIBELS, vmax=0, aspect="auto", extent=(0, PITCH * columns, pitch * rows, 0)
    )
    axis.set(xlim=(0, PITCH * (columns - 1) + 1), ylim=(pitch * rows - PITCH + 1, 0), xticks=[], yticks=[])
    axis.set_frame_on(False)


def _mark_seconds(axis: "Axes", seconds: float, columns: int) -> None:
    """Marks 0 and a round time, at most 0.7 of a clip, under each column."""
    mark = round_time(seconds)
    positions = [PITCH * column + time / seconds for column in range(columns) for time in (0, mark)]
    axis.set_xticks(positions, ["0", f"{mark:g}"] * columns)


def _mark_frequencies(axis: "Axes", sample_rate: int, rows: int, above: float = 0) -> None:
    """Marks those of `FREQUENCIES` that the clips hold, left of each row."""
    marks = [frequency for frequency in FREQUENCIES if frequency < 0.45 * sample_rate]
    heights = [(band_at(frequency, sample_rate) + 0.5) / BANDS for frequency in marks]
    positions = [(PITCH + above) * row + above + 1 - height for row in range(rows) for height in heights]
    axis.set_yticks(positions, [f"{frequency:,}" for frequency in marks] * rows)


def _write(figure: "Figure", axes: Sequence["Axes"], path: Path) -> None:
    """Adds units and colour bar and writes the PNG, under a temporary name first: none is seen half written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.supxlabel("seconds", fontsize="medium")
    figure.supylabel("Hz", fontsize="medium")
    figure.colorbar(axes[0].images[0], ax=axes, pad=0.01, aspect=40, label="dB re loudest point")
    with atomic_write(path) as file:
        FigureCanvasAgg(figure).print_png(file)  # savefig would draw everything twice
