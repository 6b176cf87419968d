"""The report of an evaluation: one HTML file that holds scores, picture and sound and needs nothing else."""

import io
import os
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from torch import Tensor

from wavegan.audio.files import FORMATS, check_format
from wavegan.errors import DataError

TEMPLATE = "report.html.j2"
MEDIA_TYPES = {"png": "image/png", "mp3": "audio/mpeg", "wav": "audio/wav"}
MEANINGS = {  # of each metric, one sentence that says which way is better
    "fad_l": "Fréchet distance between the log-mel statistics of these clips and of the reference's real ones, each "
    "set taken as a Gaussian; even real clips score above 0, the more so the fewer there are, so compare at equal n; "
    "lower is better.",
}


def write_report(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    scores: Mapping[str, Mapping[str, Mapping[str, float]]],
    spectrograms: Path,
    clips: Tensor,
    sample_rate: int,
) -> None:
    """Writes one HTML file, without scripts or links, that shows an evaluation and plays its clips.

    facts: what was evaluated, by name; scores: as `evaluate` gives them; spectrograms: a PNG; clips: (N, C, T) in
    [-1, 1], embedded as MP3, or as WAV where MP3 cannot hold their rate or channels.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["rounded"] = _rounded
    page = environment.get_template(TEMPLATE).render(
        title=title,
        facts=facts,
        scores=scores,
        metrics=list(next(iter(scores.values()))),
        meanings=MEANINGS,
        picture=_data_uri(spectrograms.read_bytes(), "png"),
        clips=[_audio_uri(clip, sample_rate) for clip in clips.cpu().numpy()],
    )
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, path)


def _rounded(number: float, value: float) -> str:
    """A number with the decimals that give `value` three digits: an interval's ends match its value."""
    decimals = sum(abs(value) < limit for limit in (1, 10, 100))
    return f"{number:z,.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def _audio_uri(clip: np.ndarray, sample_rate: int) -> str:
    """A clip (channels, samples) in [-1, 1] as a data URI."""
    assert np.isfinite(clip).all(), "only finite samples reach a report"
    extension = _extension(sample_rate, len(clip))
    container, subtype = FORMATS[extension]
    sound = io.BytesIO()
    # Floats, as libsndfile (1.2.2 at least) makes noise of 16-bit stereo when it writes MP3: its pull request 1106.
    soundfile.write(sound, clip.T, sample_rate, format=container, subtype=subtype)
    return _data_uri(sound.getvalue(), extension)


def _extension(sample_rate: int, channels: int) -> str:
    try:
        check_format("mp3", sample_rate, channels)
    except DataError:
        return "wav"
    return "mp3"


def _data_uri(content: bytes, extension: str) -> str:
    return f"data:{MEDIA_TYPES[extension]};base64,{b64encode(content).decode('ascii')}"
