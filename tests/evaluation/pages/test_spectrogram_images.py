"""Tests figures: one dB scale, each clip in its place, labels where they belong, and a file that is whole."""

import io

import matplotlib
import matplotlib.image
import numpy as np
import pytest
import torch

from wavegan.evaluation.features import white_noise
from wavegan.evaluation.pages.spectrogram_images import PITCH, levels, picture, preview, round_time, spectrogram_grid

RATE = 16000


def tone(frequency: float, samples: int = 4096) -> torch.Tensor:
    return torch.sin(2 * torch.pi * frequency * torch.arange(samples) / RATE)[None, None]


def pictures(figure) -> list[np.ndarray]:
    """Returns the drawn images in dB, with NaN in empty places."""
    return [np.ma.filled(image.get_array(), np.nan) for axis in figure.axes for image in axis.images]


def tile(picture: np.ndarray, row: int, column: int, side: int) -> np.ndarray:
    """Returns the spectrogram (bands, frames) at one place of a side × side grid, without the gaps."""
    height, width = picture.shape[0] // side, picture.shape[1] // side
    cells = picture[row * height : (row + 1) * height, column * width : (column + 1) * width]
    return cells[: round(height / PITCH), : round(width / PITCH)]


def loudest_height(spectrogram: np.ndarray) -> float:
    """Returns the loudest band's place in the middle of the clip, from 0 at the top to 1 at the bottom."""
    return (np.argmax(spectrogram[:, spectrogram.shape[1] // 2]) + 0.5) / len(spectrogram)


def test_the_grid_is_a_whole_png_with_both_titles(tmp_path):
    path = tmp_path / "grid.png"
    path.write_text("an older picture")
    noise = white_noise(70, 2, 4096, rms=0.1, seed=0)
    figure = spectrogram_grid(path, noise, noise[:64], RATE)
    assert matplotlib.image.imread(path).shape[:2] == (1014, 1950)
    assert [file.name for file in tmp_path.iterdir()] == ["grid.png"]
    assert [axis.get_title() for axis in figure.axes[:2]] == ["generated", "real"]
    assert pictures(figure)[0].shape == (8 * 67, 8 * 68)  # 64 bands, 65 frames, and gaps of 3


def test_both_halves_share_one_scale_of_80_decibels(tmp_path):
    loud, soft = white_noise(4, 1, 4096, rms=0.1, seed=0), white_noise(4, 1, 4096, rms=0.01, seed=0)
    figure = spectrogram_grid(tmp_path / "grid.png", soft, loud, RATE)
    assert [axis.images[0].get_clim() for axis in figure.axes[:2]] == [(-80, 0), (-80, 0)]
    generated, real = pictures(figure)
    assert np.nanmax(real) == 0
    assert np.nanmax(generated) == pytest.approx(-20, abs=0.01)
    assert "dB" in figure.axes[-1].get_ylabel()


def test_each_clip_stands_in_its_place_and_the_rest_stays_empty(tmp_path):
    clips = torch.cat([tone(1000), tone(4000), torch.zeros(1, 1, 4096)])
    figure = spectrogram_grid(tmp_path / "grid.png", clips, clips[:1], RATE)
    generated, real = pictures(figure)
    height_500, height_2000 = figure.axes[0].get_yticks()[:2]
    assert height_2000 < loudest_height(tile(generated, 0, 0, 2)) < height_500
    assert loudest_height(tile(generated, 0, 1, 2)) < height_2000
    assert (tile(generated, 1, 0, 2) <= -80).all(), "silence is black"
    assert np.isnan(tile(generated, 1, 1, 2)).all(), "where there is no clip there is no colour"
    assert np.isfinite(tile(real, 0, 0, 2)).all() and np.isnan(tile(real, 0, 1, 2)).all()


def test_only_the_outer_axes_are_labelled_in_seconds_and_hertz(tmp_path):
    figure = spectrogram_grid(tmp_path / "grid.png", tone(500, 16384), tone(500, 16384), RATE)
    left, right = figure.axes[:2]
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("seconds", "Hz")
    assert [label.get_text() for label in left.get_yticklabels()] == ["500", "2,000"]
    assert [label.get_text() for label in left.get_xticklabels()] == ["0", "0.5"]
    assert left.get_xticks() == pytest.approx([0, 0.5 / 1.024])
    assert len(right.get_yticks()) == 0 and len(right.get_xticks()) == 2
    height = loudest_height(tile(pictures(figure)[0], 0, 0, 1))
    assert height == pytest.approx(left.get_yticks()[0], abs=1 / 64), "the tone lies at its own mark"


@pytest.mark.parametrize(("count", "sample_rate", "side"), [(1, 8000, 1), (3, 16000, 2), (20, 48000, 4)])
def test_a_preview_shows_up_to_16_waveforms_above_their_spectrograms(tmp_path, count, sample_rate, side):
    clips = white_noise(count, 2, 4096, rms=0.1, seed=0)
    titles = [f"clip {number}" for number in range(16)] if count == 3 else ()
    figure = preview(tmp_path / "preview.png", clips, sample_rate, titles=titles)
    width, height = figure.canvas.get_width_height()
    assert matplotlib.image.imread(tmp_path / "preview.png").shape[:2] == (height, width)
    axis, shown = figure.axes[0], min(count, 16)
    assert [text.get_text() for text in axis.texts] == list(titles)[:shown]
    [picture] = pictures(figure)
    assert np.nanmax(picture) == 0
    cells = picture.reshape(side, picture.shape[0] // side, side, picture.shape[1] // side).swapaxes(1, 2)
    cells = cells.reshape(side**2, *cells.shape[2:])
    assert [np.isfinite(cell).any() for cell in cells] == [True] * shown + [False] * (side**2 - shown)
    last = np.isfinite(cells[shown - 1])
    top, rows = np.flatnonzero(last.any(1))[0], len(last)
    assert last.sum() == 64 * 65 and top > 0.2 * rows, "the waveform has its place above"
    unit, (row, column) = axis.get_ylim()[0] / (side - (PITCH - 1) / (rows / 64)), divmod(shown - 1, side)
    x, y = np.asarray(axis.lines[2 * shown - 1].get_xydata()).T
    assert len(axis.lines) == 2 * shown and x[0] == pytest.approx(PITCH * column) and np.ptp(x) == pytest.approx(1)
    assert row * unit < y.min() < y.max() < row * unit + top / 64, "a line for each channel, in its own place"
    assert np.corrcoef(y, clips[shown - 1, 1])[0, 1] == pytest.approx(-1), "up is towards lower numbers"


def test_a_preview_marks_the_frequency_of_a_tone(tmp_path):
    figure = preview(tmp_path / "preview.png", torch.cat([tone(500)] * 2), RATE, titles=("one", "two"))
    [picture] = pictures(figure)
    place = (np.nanargmax(picture[:, 30]) + 0.5) / len(picture) * figure.axes[0].get_ylim()[0]
    assert place == pytest.approx(figure.axes[0].get_yticks()[0], abs=0.06)


def test_a_silent_preview_is_black_and_a_clip_of_nan_stays_white(tmp_path):
    clips = torch.zeros(2, 1, 4096)
    clips[1] = torch.nan
    [both] = pictures(preview(tmp_path / "preview.png", clips, RATE))
    silent, unusable = np.array_split(both, 2, axis=1)
    assert np.nanmax(silent) <= -80 and np.isnan(unusable).all()


def colours(content: bytes) -> np.ndarray:
    return (255 * matplotlib.image.imread(io.BytesIO(content))[..., :3]).round().astype(int)


def shade(decibels: float) -> list[float]:
    return list(matplotlib.colormaps["magma"](round(255 * (decibels + 80) / 80), bytes=True)[:3])


def test_a_picture_has_a_pixel_for_each_band_and_frame_and_high_bands_on_top():
    pixels = colours(picture(np.array([[-80.0, -90, -40], [-20, 0, -60]]), widest=3))
    expected = [[-20, 0, -60], [-80, -80, -40]]
    assert pixels.tolist() == [[shade(level) for level in row] for row in expected]


def test_a_picture_that_is_too_wide_holds_the_mean_of_neighbouring_frames():
    pixels = colours(picture(np.array([[-80.0, -40, 0, 0, -16, -16, -80, -80]]), widest=4))
    assert pixels.tolist() == [[shade(level) for level in (-60, 0, -16, -80)]]


def test_all_batches_of_spectrograms_share_their_loudest_point():
    loud, soft = tone(1000), 0.1 * tone(1000, 8192)
    first, second = levels([soft[..., :4096], torch.cat([soft, soft / 10])], RATE)
    assert (first.shape, second.shape) == ((1, 64, 65), (2, 64, 129)), "one hop for all, that of the first"
    assert max(first.max(), second.max()) == 0 and second[1].max() == pytest.approx(-20, abs=0.1)
    quieter, louder = levels([soft, loud], RATE)
    assert louder.max() == 0 and quieter.max() == pytest.approx(-20, abs=0.1)


def test_a_round_time_is_within_seven_tenths_of_a_clip():
    assert [round_time(seconds) for seconds in (1.024, 4.096, 0.3, 10)] == pytest.approx([0.5, 2, 0.2, 5])
