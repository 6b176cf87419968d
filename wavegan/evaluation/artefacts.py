"""Measures faults that the ear notices but averages over clips hide: combs, ripples, lines, hiss; per clip."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from wavegan.dsp.mel import LEAST_POWER
from wavegan.dsp.stft import power_spectrum

FFT_SAMPLES = 2048
STAGES = 4  # of upsampling by 4, counted from the last: combs at the multiples of fs/4, fs/16, fs/64, fs/256
QUIET_SHARE = 0.3  # of the frames: louder sound would mask a comb
NEIGHBOURS = 24  # bins to either side that a tone is compared with, where its comb leaves as many
WIDTH = 2  # bins to either side that a Hann window spreads a tone over
LEVEL_SECONDS = 0.02
LOUD = 1e-4  # of the loudest frame's power, 40 dB below it: quieter frames are left out of ripples and lines
DELAYS = (1 / 32, 3 / 8)  # of the FFT's samples, at 16 kHz 4 to 48 ms: ripples from one to the other are looked for
NO_LINES = 1 / 16  # of the bins, the lowest: real sounds of one kind have pitches in common
EDGE_FRAMES = 3  # frames, 4 hops long, that reach beyond either end of the clip


def frame_spectra(clips: Tensor) -> Tensor:
    """Computes power per bin and frame of clips (N, C, T), the channels' mean: (N, bins, frames), the last bin at fs/2.

    Three more frames at either end reach into the silence there. So all samples count alike in the sum of the frames.
    """
    samples = clips.shape[-1]
    fft_samples = min(FFT_SAMPLES, 2 ** int(np.log2(max(2, samples // 2))))
    edge = EDGE_FRAMES * max(1, fft_samples // 4)
    return power_spectrum(pad(clips, (edge, edge)), fft_samples)


def whole_frames(spectra: Tensor) -> Tensor:
    """Gives the frames of `frame_spectra` that lie within the clip."""
    return spectra[..., EDGE_FRAMES:-EDGE_FRAMES]


def mean_spectrum(spectra: Tensor) -> Tensor:
    """Gives the mean power per bin over a clip, of all frames that `frame_spectra` gave: (N, bins)."""
    return spectra.sum(dim=2) / (spectra.shape[2] - EDGE_FRAMES)


def comb(spectra: Tensor) -> np.ndarray:
    """Measures how far the tones of each upsampling stage stand out of their neighbours, in dB: (N, stages).

    spectra: as `whole_frames` gives. Stage k counts from the generator's last: its tones are the multiples of fs/4ᵏ
    that are no multiples of fs/4ᵏ⁻¹. Only the quietest 30 % of each clip's frames count, without digital silence. Noise
    has about 0 dB in every stage, and so has a clip without a frame of sound. Transposed convolutions leave such tones
    (Odena et al. 2016; Donahue et al. 2018, section 3.2).
    """
    fft_samples = 2 * (spectra.shape[1] - 1)
    stages = min(STAGES, int(np.log2(fft_samples / 8) / 2))  # a comb's tones are 8 bins apart or more
    level = 10 * (_quiet_power(spectra) + LEAST_POWER / fft_samples).log10()
    return torch.stack([_prominence(level, stage) for stage in range(1, stages + 1)], dim=1).double().numpy()


def stage_names(stages: int, sample_rate: int) -> list[str]:
    """Returns for each stage the frequency whose multiples are its tones, as text in Hz."""
    return [f"{sample_rate / 4**stage:,.5g} Hz" for stage in range(1, stages + 1)]


def comb_levels(levels: np.ndarray, sample_rate: int) -> dict[str, float]:
    """Gives the clips' mean comb in dB by the frequency of its stage, from what `comb` gave, (N, stages)."""
    return dict(zip(stage_names(levels.shape[1], sample_rate), levels.mean(axis=0).tolist(), strict=True))


def _quiet_power(spectra: Tensor) -> Tensor:
    """Computes each clip's mean power per bin over its quietest frames, zero if none holds sound: (N, bins)."""
    loudness = spectra.sum(dim=1)  # (N, frames)
    loudness = loudness.masked_fill(loudness <= LEAST_POWER, torch.inf)
    order = loudness.argsort(dim=1)
    count = (QUIET_SHARE * loudness.isfinite().sum(dim=1)).ceil()  # (N,)
    is_first = torch.arange(loudness.shape[1]) < count[:, None]
    chosen = torch.zeros_like(loudness).scatter_(1, order, is_first.to(loudness))
    return torch.einsum("nbf,nf->nb", spectra, chosen) / count.clamp(min=1)[:, None]


def _prominence(level: Tensor, stage: int) -> Tensor:
    """Averages over a stage's tones their level (N, bins) above the median of their neighbours': (N,)."""
    nyquist = level.shape[1] - 1
    spacing = 2 * nyquist // 4**stage
    tones = torch.tensor([tone for tone in range(spacing, nyquist, spacing) if tone % (4 * spacing)])
    away = torch.arange(WIDTH + 1, min(NEIGHBOURS, spacing // 2) + 1)
    return _above_neighbours(level, tones, torch.cat([-away, away])).mean(dim=1)


def _above_neighbours(level: Tensor, tones: Tensor, away: Tensor) -> Tensor:
    """Computes the level of each tone's bin above the median of its neighbours, of levels (N, bins): (N, tones).

    away: where they lie, in bins from the tone's own.
    """
    return level[:, tones] - level[:, tones[:, None] + away].median(dim=2).values


def ripple(spectra: Tensor) -> np.ndarray:
    """Measures how far a clip's spectrum rises at all multiples of a frequency, in dB, for each of many: (N, delays).

    spectra: as `whole_frames` gives. It is the cepstrum (Bogert, Healy and Tukey 1963) of the mean power of all frames
    within 40 dB of the loudest. A ripple with tops at the multiples of a frequency is sound that repeats after a delay,
    one period of it: an echo, or what frames of a generator leave. It hears delays of 64 to 767 samples, of fewer in
    clips under 4,096 samples, so not a window of 1,024 samples or more. Silence has 0 dB.
    """
    fft_samples, level = 2 * (spectra.shape[1] - 1), _loud_level(spectra)
    delays = torch.arange(*_delays(fft_samples))
    turns = torch.outer(torch.arange(spectra.shape[1]), delays) / fft_samples
    taper = torch.hann_window(spectra.shape[1], periodic=False, dtype=torch.float64)[:, None]
    waves = 2 * taper / taper.sum() * torch.cos(2 * torch.pi * turns.double())
    return ((level - level.mean(dim=1, keepdim=True)).double() @ waves.to(level.device)).float().cpu().numpy()


def strongest_ripple(levels: np.ndarray, sample_rate: int) -> dict[str, float]:
    """Gives the strongest ripple of the clips' mean, in dB, by its frequency, from what `ripple` gave, (N, delays)."""
    mean = levels.mean(axis=0)
    first, _ = _delays(round(levels.shape[1] / (DELAYS[1] - DELAYS[0])))
    frequency = sample_rate / (first + int(mean.argmax()))
    return {f"{frequency:,.4g} Hz": float(mean.max())}


def lines(spectra: Tensor) -> np.ndarray:
    """Measures how far each bin of a clip stands out of its neighbours below and of those above, in dB: (N, bins).

    spectra: as `whole_frames` gives. The level is that of all frames within 40 dB of the loudest. Of the two distances
    the lesser counts, and none if one is up and one down, as on the slope at the end of a band. Where one bin stands
    out in the mean of many different sounds, they share a constant tone: a known fault of generators that end in an
    inverse transform. The lowest sixteenth of the bins, where real sounds share pitches, and the last 24, which have no
    neighbours above, have 0 dB; so has all of a clip of under 256 samples.
    """
    level = _loud_level(spectra)
    bins = level.shape[1]
    first = max(NEIGHBOURS, round(NO_LINES * (bins - 1)))
    tones = torch.arange(first, max(first, bins - NEIGHBOURS))
    away = torch.arange(WIDTH + 1, NEIGHBOURS + 1)
    sides = [_above_neighbours(level, tones, side * away) for side in (-1, 1)]
    lesser = torch.where(sides[0].abs() < sides[1].abs(), *sides)
    out = torch.zeros_like(level)
    out[:, tones] = lesser * (sides[0] * sides[1] > 0)
    return out.float().cpu().numpy()


def strongest_line(levels: np.ndarray, sample_rate: int) -> dict[str, float]:
    """Gives the strongest line of the clips' mean, in dB, by its frequency, from what `lines` gave, (N, bins)."""
    mean = levels.mean(axis=0)
    frequency = int(mean.argmax()) * sample_rate / 2 / (len(mean) - 1)
    return {f"{frequency:,.0f} Hz": float(mean.max())}


def _loud_level(spectra: Tensor) -> Tensor:
    """Computes the level in dB of each clip's mean power over all frames within 40 dB of its loudest: (N, bins)."""
    loudness = spectra.sum(dim=1)  # (N, frames)
    is_loud = (loudness >= LOUD * loudness.amax(dim=1, keepdim=True)).to(spectra)
    power = torch.einsum("nbf,nf->nb", spectra, is_loud) / is_loud.sum(dim=1, keepdim=True)
    return 10 * (power + LEAST_POWER / (2 * (spectra.shape[1] - 1))).log10()


def _delays(fft_samples: int) -> tuple[int, int]:
    """Returns the first delay and the end of all, in samples."""
    return round(DELAYS[0] * fft_samples), round(DELAYS[1] * fft_samples)


def third_octaves(spectra: Tensor, sample_rate: int) -> np.ndarray:
    """Computes each clip's mean power in third-octave bands from 50 Hz up to half the sample rate: (N, bands)."""
    # Under a Hann window a sine's bins sum to 1.5 a², not to a² / 2.
    spectrum = mean_spectrum(spectra).double().numpy() / 3
    frequencies = np.linspace(0, sample_rate / 2, spectrum.shape[1])
    edges = 50 * 2 ** (np.arange(40) / 3)
    edges = np.append(edges[edges < sample_rate / 2], np.inf)
    band_of = np.digitize(frequencies, edges)  # 0 is below 50 Hz
    bands = [band for band in range(1, len(edges)) if (band_of == band).any()]  # low ones may fall between bins
    return np.stack([spectrum[:, band_of == band].sum(axis=1) for band in bands], axis=1)


def noise_floor(clips: Tensor, sample_rate: int) -> np.ndarray:
    """Computes the level that a tenth of each clip's 20 ms frames lie below, in dBFS, at least -100: (N,)."""
    frame = min(max(1, round(LEVEL_SECONDS * sample_rate)), clips.shape[-1])
    count = clips.shape[-1] // frame
    frames = clips[..., : count * frame].unflatten(-1, (count, frame))  # (N, C, count, frame)
    power = frames.square().mean(dim=(1, 3)).clamp(min=LEAST_POWER)
    return (10 * power.log10()).double().quantile(0.1, dim=1).numpy()
