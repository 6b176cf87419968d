"""Writes one offline HTML file that holds its pictures and sound; it is written whole or not at all."""

import io
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from wavegan.atomic_write import write_text
from wavegan.audio.writing import FORMATS, check_format
from wavegan.errors import DataError

MEDIA_TYPES = {"png": "image/png", "svg": "image/svg+xml", "mp3": "audio/mpeg", "wav": "audio/wav"}


def write_page(path: Path, template: Path, **values: Any) -> None:
    """Writes the page that a template gives, under a temporary name first.

    Templates that it extends or imports lie beside it or in this folder.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["rounded"] = rounded
    page = environment.get_template(template.name).render(values)
    write_text(path, page)


def rounded(number: float, value: float) -> str:
    """Writes a number with the decimals that give `value` three digits: interval ends match their value. NaN is –."""
    decimals = sum(abs(value) < limit for limit in (1, 10, 100))
    text = f"{number:z,.{decimals}f}".replace("-", "\N{MINUS SIGN}")
    return text.replace("inf", "\N{INFINITY}").replace("nan", "\N{EN DASH}")


def audio_uri(clip: np.ndarray, sample_rate: int) -> str:
    """Encodes a clip (channels, samples) in [-1, 1] as a data URI: MP3, or WAV if MP3 cannot hold it.

    MP3 holds some sample rates and channel counts only.
    """
    assert np.isfinite(clip).all(), "only finite samples reach a page"
    extension = _extension(sample_rate, len(clip))
    container, subtype = FORMATS[extension]
    sound = io.BytesIO()
    # Floats, as libsndfile (1.2.2 at least) makes noise of 16-bit stereo when it writes MP3: its pull request 1106.
    soundfile.write(sound, clip.T, sample_rate, format=container, subtype=subtype)
    return data_uri(sound.getvalue(), extension)


def data_uri(content: bytes, extension: str) -> str:
    """Encodes a file's content as a data URI; extension: a key of `MEDIA_TYPES`."""
    return f"data:{MEDIA_TYPES[extension]};base64,{b64encode(content).decode('ascii')}"


def _extension(sample_rate: int, channels: int) -> str:
    try:
        check_format("mp3", sample_rate, channels)
    except DataError:
        return "wav"
    return "mp3"
