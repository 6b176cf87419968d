"""Tests the parts of pages: whole files, numbers with their digits, and sounds that play as they were passed in."""

import io
from base64 import b64decode

import numpy as np
import pytest
import soundfile
from jinja2 import UndefinedError

from wavegan.evaluation.pages.html_page import audio_uri, data_uri, rounded, write_page


def decoded(uri: str) -> tuple[str, bytes]:
    kind, content = uri.removeprefix("data:").split(";base64,")
    return kind, b64decode(content, validate=True)


def tone(channels: int, samples: int, sample_rate: int) -> np.ndarray:
    """Makes a tone with another frequency in every channel, which fades in and out."""
    frequencies = 200 * (1 + np.arange(channels))[:, None]
    wave = np.sin(2 * np.pi * frequencies * np.arange(samples) / sample_rate)
    return (0.5 * wave * np.hanning(samples)).astype(np.float32)


@pytest.mark.parametrize(
    ("sample_rate", "channels", "kind"),
    [
        (16000, 1, "audio/mpeg"),
        (44100, 2, "audio/mpeg"),
        (14000, 1, "audio/wav"),
        (16000, 3, "audio/wav"),
    ],
)
def test_a_clip_plays_as_it_was_given(sample_rate, channels, kind):
    clip = tone(channels, 16384, sample_rate)
    media_type, content = decoded(audio_uri(clip, sample_rate))
    sound, rate = soundfile.read(io.BytesIO(content), always_2d=True)
    assert (media_type, rate, sound.shape) == (kind, sample_rate, clip.T.shape)
    error = np.sqrt(np.mean((sound - clip.T) ** 2) / np.mean(clip**2))
    assert error < (0.05 if kind == "audio/mpeg" else 0.001)


def test_a_sample_beyond_full_scale_does_not_wrap_around():
    sound, _ = soundfile.read(io.BytesIO(decoded(audio_uri(np.full((1, 64), 1.5, np.float32), 14000))[1]))
    assert sound == pytest.approx(1, abs=1e-3)


def test_only_finite_samples_are_embedded():
    with pytest.raises(AssertionError, match="finite"):
        audio_uri(np.array([[0.0, np.nan]], np.float32), 16000)


def test_a_file_comes_out_as_it_went_in():
    content = bytes(range(256))
    assert decoded(data_uri(content, "png")) == ("image/png", content)
    assert data_uri(b"ab", "svg") == "data:image/svg+xml;base64,YWI="


@pytest.mark.parametrize(
    ("number", "value", "text"),
    [
        (12.345, 12.345, "12.3"),
        (11.04, 12.345, "11.0"),
        (0.4101, 0.4101, "0.410"),
        (-0.052, 0.41, "−0.052"),
        (1680.2, 1680.2, "1,680"),
        (1.0, 1.0, "1.00"),
        (9.999, 9.999, "10.00"),
        (99.46, 99.46, "99.5"),
        (100, 100, "100"),
        (-0.0001, 0.5, "0.000"),
        (-41.23, -41.23, "−41.2"),
        (float("nan"), float("nan"), "–"),
        (float("-inf"), float("-inf"), "−∞"),
    ],
)
def test_a_number_has_the_decimals_that_give_its_value_three_digits(number, value, text):
    assert rounded(number, value) == text


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    template = tmp_path / "page.html.j2"
    template.write_text("<p>{{ text }} {{ 0.5 | rounded(0.5) }}</p>\n")
    path = tmp_path / "out" / "page.html"
    path.parent.mkdir()
    path.write_text("an older page")
    with pytest.raises(UndefinedError):
        write_page(path, template)
    assert path.read_text() == "an older page"
    write_page(path, template, text="<b> & é")
    assert path.read_text(encoding="utf-8") == "<p>&lt;b&gt; &amp; é 0.500</p>"
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]
