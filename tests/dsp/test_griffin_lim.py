"""Tests the inversion of magnitudes: it comes nearer with each iteration, and keeps attacks and silence."""

import pytest
import torch

from wavegan.dsp.griffin_lim import griffin_lim
from wavegan.dsp.stft import inverse_stft, stft

SIZES = {"window": 256, "hop": 128}


def noise(*shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def hits(samples: int = 8192) -> torch.Tensor:
    """Makes (4, 1, samples), from sample 0: a sinking tone, a click with a tail of noise, a struck chord, noise."""
    time = torch.arange(samples) / 16000
    sinking = torch.sin(2 * torch.pi * (50 * time + 8 * (1 - torch.exp(-30 * time)))) * torch.exp(-8 * time)
    chord = sum(torch.sin(2 * torch.pi * pitch * time) for pitch in (220, 277, 330)) * torch.exp(-3 * time) / 3
    tail = noise(1, samples)[0] * torch.exp(-40 * time)
    sounds = torch.stack([sinking, tail, torch.as_tensor(chord), noise(2, samples)[1]])[:, None]
    return 0.9 * sounds / sounds.abs().amax(dim=2, keepdim=True)


def spectral_error(clips: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """Returns for each example the norm of the magnitudes' error, as a share of the magnitudes' norm."""
    return (stft(clips, **SIZES).abs() - magnitude).flatten(1).norm(dim=1) / magnitude.flatten(1).norm(dim=1)


def test_more_iterations_come_nearer_to_the_magnitudes():
    """Measures the mean share of error: 0.8 by zero phase, 0.12 by 16 iterations, 0.08 by 64."""
    magnitude = stft(hits(), **SIZES).abs()
    errors = [
        spectral_error(griffin_lim(magnitude, count, **SIZES), magnitude).mean().item() for count in (0, 1, 4, 16, 64)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.5 and errors[3] < 0.15 and errors[4] < 0.09


def energy(clips: torch.Tensor, start: int, samples: int) -> torch.Tensor:
    return clips[..., start : start + samples].square().sum(dim=(1, 2))


def test_an_attack_survives_and_nothing_blows_up_beside_it():
    """An attack at sample 0 keeps 0.2 to 0.9 of its energy in its first 8 ms and 0.1 to 0.5 in the first 4.

    If the start were left to fade, these 4 ms would keep a hundredth. A later attack keeps its energy within a
    third and has silence before it.
    """
    clips = hits()
    rebuilt = griffin_lim(stft(clips, **SIZES).abs(), 16, **SIZES)
    kept = energy(rebuilt, 0, 128) / energy(clips, 0, 128)
    assert rebuilt.shape == clips.shape and rebuilt.abs().max() <= 1
    assert kept.min() > 0.2 and kept.max() < 1.2
    assert (energy(rebuilt, 0, 64) / energy(clips, 0, 64)).min() > 0.07
    late = torch.nn.functional.pad(clips, (1024, 0))
    rebuilt = griffin_lim(stft(late, **SIZES).abs(), 16, **SIZES)
    kept = energy(rebuilt, 1024, 128) / energy(late, 1024, 128)
    assert kept.min() > 0.75 and kept.max() < 1.4
    assert rebuilt[..., :768].abs().max() < 0.01


def test_silence_and_zero_phase():
    assert (griffin_lim(torch.zeros(2, 1, 129, 4), 16, **SIZES) == 0).all()
    magnitude = stft(noise(1, 512), **SIZES).abs()
    by_zero_phase = inverse_stft(magnitude + 0j, window=256, hop=128).clamp(-1, 1)
    torch.testing.assert_close(griffin_lim(magnitude, 0, **SIZES), by_zero_phase)


def test_what_is_made_of_one_clip_does_not_depend_on_the_others():
    magnitude = stft(hits(2048).view(2, 2, 2048), **SIZES).abs()
    torch.testing.assert_close(
        griffin_lim(magnitude, 8, **SIZES)[1, :1],
        griffin_lim(magnitude[1, :1], 8, **SIZES),
        rtol=0,
        atol=1e-4,
    )


@pytest.mark.parametrize(("window", "hop"), [(1024, 256), (512, 256), (200, 60)])
def test_other_windows_and_hops_come_near_too(window, hop):
    """Measured spectral errors are 0.21, 0.12 and 0.28 by 16 iterations, and over 0.8 by none."""
    clips = hits()
    magnitude = stft(clips, window=window, hop=hop).abs()
    rebuilt = griffin_lim(magnitude, 16, window=window, hop=hop)
    assert rebuilt.shape[-1] == magnitude.shape[-1] * hop and rebuilt.shape[-1] - hop < clips.shape[-1]
    again = stft(rebuilt, window=window, hop=hop).abs()
    assert ((again - magnitude).flatten(1).norm(dim=1) / magnitude.flatten(1).norm(dim=1)).mean() < 0.3
