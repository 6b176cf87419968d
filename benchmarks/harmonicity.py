"""Measures how hoarse voices are: the harmonic-to-noise ratio of folders of clips, as quartiles over clips in dB.

    python benchmarks/harmonicity.py data/digits/test generated/digits

The ratio of a frame is r / (1 - r), r the highest autocorrelation at a lag of a voice's period, divided by that of the
window (Boersma 1993, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a
sampled sound"). A clip has the median of its frames that are loud enough and have a pitch.
"""

import argparse
from pathlib import Path

import librosa
import numpy as np

from wavegan.audio.listing import list_sound

SECONDS = 0.064  # of a frame
LOWEST, HIGHEST = 65.0, 400.0  # Hz
SOFTEST = 1e-3  # mean square of a frame, of a clip with a peak of 1
LEAST = 0.4  # correlation of a frame that has a pitch
MOST = 0.9999


def harmonicity(clip: np.ndarray, sample_rate: int) -> float:
    """Returns the median ratio of a clip (samples,) in dB; NaN for a clip without a pitch."""
    size = round(SECONDS * sample_rate)
    if len(clip) < size or not np.abs(clip).max():
        return np.nan
    frames = librosa.util.frame(clip / np.abs(clip).max(), frame_length=size, hop_length=size // 2).T
    frames = frames[np.square(frames).mean(1) > SOFTEST]
    window = np.hanning(size)
    frames = (frames - frames.mean(1, keepdims=True)) * window
    lags = slice(int(sample_rate / HIGHEST), int(sample_rate / LOWEST))
    highest = (_correlations(frames)[:, lags] / _correlations(window[None])[:, lags]).max(1, initial=0)
    pitched = highest[highest > LEAST].clip(max=MOST)
    return float(np.median(10 * np.log10(pitched / (1 - pitched)))) if len(pitched) else np.nan


def _correlations(frames: np.ndarray) -> np.ndarray:
    """Returns the autocorrelation of each frame at each lag, 1 at lag 0."""
    power = np.abs(np.fft.rfft(frames, 2 * frames.shape[1])) ** 2
    sums = np.fft.irfft(power)[:, : frames.shape[1]]
    return sums / sums[:, :1]


def main() -> None:
    """Prints a line for each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=1.024, help="how much of each file counts")
    options = parser.parse_args()
    for folder in options.folders:
        paths = list_sound(folder).paths
        sounds = (librosa.load(path, sr=None, duration=options.seconds) for path in paths)
        ratios = [ratio for clip, rate in sounds if np.isfinite(ratio := harmonicity(clip, int(rate)))]
        quartiles = ", ".join(f"{value:.1f}" for value in np.percentile(ratios, (25, 50, 75)))
        print(f"{folder}: {quartiles} dB; {len(ratios)} of {len(paths)} clips have a pitch")


if __name__ == "__main__":
    main()
