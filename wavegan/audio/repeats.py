"""Finds recordings that repeat themselves, as loops do that are written several times into one file."""

import numpy as np

SHORTEST = 2.0  # seconds of a round, and of the sound that is compared
LONGEST = 120.0  # seconds of a recording that are heard
SAME = 0.7  # least correlation of two rounds: half of their power is the same
NEARLY = 0.8  # times the best correlation is enough, so that of many rounds the first is told
BESIDE, CLOSE = (
    1.0,
    0.1,
)  # seconds: a round is less like itself somewhere within 1 s; a steady tone is not, in any 0.1 s
BLOCK, MOSTLY = 0.5, 0.5  # half of the blocks of so many seconds have this correlation, not one loud event alone
LEAST_RATE = 16_000  # Hz; a higher rate is divided for speed, but below this rate birds are lost beside wind
DULL = 4  # samples are averaged, because a round may begin between two


def repeats_after(sound: np.ndarray, sample_rate: int) -> float:
    """Returns after how many seconds mono sound (frames,) repeats itself; 0 if it does not. It hears two minutes.

    A round of less than two seconds is told as several.
    """
    from scipy.fft import irfft, next_fast_len, rfft
    from scipy.ndimage import uniform_filter1d

    factor = max(sample_rate // LEAST_RATE, 1)
    rate = sample_rate / factor
    frames = min(len(sound), round(LONGEST * sample_rate)) // factor
    first, last = round(SHORTEST * rate), frames - round(SHORTEST * rate)
    if last <= first:
        return 0.0
    sound = sound[: frames * factor].reshape(frames, factor).mean(1, dtype=np.float32)
    sound = uniform_filter1d(sound, DULL)
    sound -= sound.mean()
    size = next_fast_len(2 * frames, real=True)
    products = irfft(np.abs(np.asarray(rfft(sound, size))) ** 2, size)[:frames]
    powers = np.square(sound, dtype=float)
    energy = powers.cumsum()
    energies = energy[::-1] * (energy[-1] - energy + powers)  # of both sounds at each lag
    likeness = products / np.sqrt(np.maximum(energies, (1e-6 * energy[-1]) ** 2 + 1e-30))
    close = round(CLOSE * rate)
    lag = first + int((likeness[first : last + 1] >= NEARLY * likeness[first : last + 1].max()).argmax())
    lag += int(likeness[lag : lag + close].argmax())
    around = np.abs(likeness[max(0, lag - round(BESIDE * rate)) : lag + round(BESIDE * rate)])
    is_steady = around[: len(around) // close * close].reshape(-1, close).max(1).min() >= SAME
    return 0.0 if is_steady or _block_likeness(sound, lag, round(BLOCK * rate)) < MOSTLY else lag / rate


def _block_likeness(sound: np.ndarray, lag: int, block: int) -> float:
    """Returns the correlation of a sound with itself `lag` samples later, the median of blocks."""
    count = (len(sound) - lag) // block
    blocks, later = (part[: count * block].reshape(count, block) for part in (sound, sound[lag:]))
    energies = np.sqrt(np.square(blocks).sum(1) * np.square(later).sum(1))
    return float(np.median((blocks * later).sum(1) / np.maximum(energies, 1e-12)))
