"""Finds recordings that repeat themselves, as loops do that are written several times into one file."""

import numpy as np

SHORTEST, LONGEST = 2.0, 300.0  # seconds: of a round and of what is compared; of a recording
SAME = 0.7  # correlation of two rounds of a sound; half of their power is the same
BESIDE = 0.25, 2.0  # seconds from a repeat, where a steady tone is as like itself as there
LEAST_RATE = 16_000  # Hz; a higher rate is lowered for speed, to no less than this
DULL = 4  # samples that are averaged, as a repeat may begin between two


def repeats_after(sound: np.ndarray, sample_rate: int) -> float:
    """Returns after how many seconds mono sound (frames,) repeats itself; 0 if it does not. It hears five minutes."""
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
    lag = first + int(likeness[first : last + 1].argmax())
    near, far = (round(seconds * rate) for seconds in BESIDE)
    beside = np.abs(np.concatenate([likeness[max(lag - far, first) : lag - near], likeness[lag + near : lag + far]]))
    return lag / rate if likeness[lag] >= SAME > beside.max(initial=0.0) else 0.0
