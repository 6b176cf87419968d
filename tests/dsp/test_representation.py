"""Tests representations: against numpy, by hand, and there and back for generated and for real sound."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from wavegan.audio import files
from wavegan.audio.listing import list_sound
from wavegan.dsp import representation
from wavegan.dsp.representation import LogSpectrogram, Waveform
from wavegan.dsp.stft import stft

HANN = np.sin(np.pi * np.arange(256) / 256) ** 2


def measured(batches, **settings) -> LogSpectrogram:
    """Returns a representation with the statistics of clips."""
    representation = LogSpectrogram(**settings)
    representation.measure(batches)
    return representation


def noise(*shape: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sounds(count: int, samples: int = 16384) -> Tensor:
    """Makes (count, 1, samples): decaying chords of three tones under a little noise, at levels from 0 to -20 dB."""
    time = torch.arange(samples) / 16000
    draw = torch.Generator().manual_seed(1)
    pitches = 80 * 2 ** (5 * torch.rand(count, 3, 1, generator=draw))
    tones = torch.sin(2 * torch.pi * pitches * time).mean(1) * torch.exp(
        -torch.rand(count, 1, generator=draw) * 8 * time
    )
    clips = tones + 0.03 * noise(count, samples)
    return (clips / clips.abs().amax(1, keepdim=True) * torch.logspace(0, -1, count)[:, None])[:, None]


def levels_by_numpy(clips: Tensor) -> np.ndarray:
    """Returns log magnitudes (N, C, 128, frames) in float64, computed frame by frame."""
    padded = np.pad(clips.double().numpy(), ((0, 0), (0, 0), (0, 128)))
    frames = [np.fft.rfft(HANN * padded[..., at : at + 256]) for at in range(0, clips.shape[2], 128)]
    return np.log(np.abs(np.stack(frames, axis=-1))[:, :, :128] + 1e-6)


def with_statistics(means: Tensor, deviations: Tensor, **settings) -> LogSpectrogram:
    representation = LogSpectrogram(**settings)
    representation.load_state_dict({"means": means, "deviations": deviations})
    return representation


def test_the_waveform_is_the_clip_itself():
    clips, waveform = noise(2, 3, 4096), Waveform()
    assert waveform.encode(clips) is clips
    assert waveform.decode(clips) is clips
    assert waveform.shape(3, 4096) == (3, 4096)


def test_statistics_and_encoding_equal_numpys():
    """Measures batches of unequal size and two channels; three deviations become 1, and values beyond are cut."""
    clips = noise(7, 2, 2048) * torch.logspace(0, -3, 7)[:, None, None]
    spectrogram = measured(iter(clips.split([3, 1, 2, 1])))
    levels = levels_by_numpy(clips)
    means, deviations = levels.mean((0, 1, 3)), levels.std((0, 1, 3))
    np.testing.assert_allclose(spectrogram.means, means, rtol=0, atol=1e-4)
    np.testing.assert_allclose(spectrogram.deviations, deviations, rtol=0, atol=1e-4)
    x = spectrogram.encode(clips)
    expected = ((levels - means[:, None]) / (3 * deviations[:, None])).clip(-1, 1)
    assert x.shape == (7, 2, 128, 16) and x.dtype == torch.float32
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-3)
    two = with_statistics(spectrogram.means, spectrogram.deviations, clip_deviations=0.5).encode(clips)
    np.testing.assert_allclose(two, ((levels - means[:, None]) / (0.5 * deviations[:, None])).clip(-1, 1), atol=1e-2)
    assert (two.abs() == 1).float().mean() > 0.3 and two.min() == -1 and two.max() == 1


def test_seventy_clips_of_training_data_have_mean_zero_and_a_third_for_deviation():
    clips = noise(70, 1, 1024)
    x = measured([clips[:64], clips[64:]], clip_deviations=20).encode(clips) * 20 / 3
    torch.testing.assert_close(x.mean((0, 1, 3)), torch.zeros(128), rtol=0, atol=1e-4)
    torch.testing.assert_close(x.std((0, 1, 3), correction=0), torch.full((128,), 1 / 3), rtol=1e-3, atol=0)


def test_the_magnitudes_by_hand(monkeypatch):
    """One deviation, a third, of 2 above a mean of ln 0.5 is a magnitude of e² / 2; the bin that was left out has 0."""
    asked = []
    monkeypatch.setattr(representation, "griffin_lim", lambda magnitude, count, **_: asked.append(count) or magnitude)
    means, deviations = torch.full((128,), float(np.log(1e-6))), torch.full((128,), 1e-3)
    means[10], deviations[10] = np.log(0.5), 2.0
    x = torch.zeros(1, 2, 128, 3)
    x[0, 1, 10] = torch.tensor([1 / 3, -1, 0])
    magnitude = with_statistics(means, deviations, iterations=7).decode(x)
    expected = torch.zeros(1, 2, 129, 3)
    expected[0, 0, 10], expected[0, 1, 10] = 0.5, torch.tensor([np.exp(2) / 2, np.exp(-6) / 2, 0.5])
    expected[:, :, 10] -= 1e-6  # which was added before the logarithm
    torch.testing.assert_close(magnitude, expected, rtol=1e-5, atol=1e-7)
    assert asked == [7]


def test_a_bin_that_never_varies_divides_by_nothing():
    """Tries silence alone, and silence encoded with statistics of sound."""
    silent = measured([torch.zeros(4, 1, 2048)])
    torch.testing.assert_close(silent.means, torch.full((128,), float(np.log(1e-6))))
    assert (silent.deviations > 0).all()
    x = silent.encode(torch.cat([torch.zeros(1, 1, 2048), noise(1, 1, 2048)]))
    assert x.isfinite().all() and x[0].abs().max() < 0.01 and (x[1] == 1).all()
    assert silent.decode(x).abs().max() < 1e-4


def test_silence_stays_silence():
    spectrogram = measured([torch.cat([sounds(6, 4096), torch.zeros(2, 1, 4096)])], clip_deviations=10)
    assert spectrogram.decode(spectrogram.encode(torch.zeros(1, 1, 4096))).abs().max() < 1e-4


def spectral_error(rebuilt: Tensor, clips: Tensor) -> float:
    """Returns the error of `rebuilt`'s magnitudes as a share of the clips' magnitudes, on average over the clips."""
    spectrogram, wanted = (
        stft(rebuilt, window=256, hop=128).abs().flatten(1),
        stft(clips, window=256, hop=128).abs().flatten(1),
    )
    return ((spectrogram - wanted).norm(dim=1) / wanted.norm(dim=1)).mean().item()


def loudness(clips: Tensor) -> Tensor:
    """Returns the level in dB of every 16 ms: (N, T / 256)."""
    return 10 * (clips.unflatten(2, (-1, 256)).square().mean((1, 3)) + 1e-8).log10()


def assert_there_and_back(clips: Tensor, most: float) -> None:
    """Checks the spectral error: at most so large by 16 iterations, over 0.7 by none, and a fifth less by 48.

    Where a clip is above -50 dB, its loudness is kept within 2 dB on average.
    """
    spectrogram = measured(clips.split(5))
    x = spectrogram.encode(clips)
    by = {count: measured(clips.split(5), iterations=count).decode(x) for count in (0, 16, 48)}
    errors = {count: spectral_error(rebuilt, clips) for count, rebuilt in by.items()}
    assert errors[0] > 0.7 and errors[16] < most and errors[48] < 0.8 * errors[16], errors
    rebuilt, heard = spectrogram.decode(x), loudness(clips) > -50
    assert torch.equal(rebuilt, by[16]), "16 iterations are the authors' and the default"
    assert rebuilt.shape == clips.shape and rebuilt.dtype == torch.float32 and rebuilt.abs().max() <= 1
    assert (loudness(rebuilt) - loudness(clips))[heard].abs().mean() < 2


def test_there_and_back():
    """The measured spectral error is 0.20."""
    assert_there_and_back(sounds(8), 0.22)


@pytest.mark.skipif("WAVEGAN_TEST_DATA" not in os.environ, reason="WAVEGAN_TEST_DATA names no folder of real audio")
@pytest.mark.parametrize("kind", ["drums/kick", "drums/snare", "digits/train", "piano"])
def test_there_and_back_with_real_sound(kind):
    """Measured errors are 0.14 for kick drums, 0.11 for snares, 0.12 for spoken digits, 0.13 for piano."""
    paths = list_sound(Path(os.environ["WAVEGAN_TEST_DATA"], kind)).paths
    clips = torch.zeros(min(12, len(paths)), 1, 16384)
    for clip, path in zip(clips, paths[:: max(1, len(paths) // 12)], strict=False):
        sound = torch.from_numpy(np.concatenate(list(files.decode(path, 16000, 1)))).float()[:16384, 0]
        clip[0, : len(sound)] = sound / sound.abs().max()
    assert len(clips) > 5
    assert_there_and_back(clips, 0.16)


def test_channels_and_clips_stand_alone():
    clips = sounds(4, 4096).view(2, 2, 4096)
    spectrogram = measured([clips], iterations=4)
    x = spectrogram.encode(clips)
    torch.testing.assert_close(x[1, :1], spectrogram.encode(clips[1:, :1])[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(spectrogram.decode(x)[1, :1], spectrogram.decode(x[1:, :1])[0], rtol=0, atol=1e-4)


def test_what_networks_give_in_bf16_is_decoded_in_fp32():
    spectrogram = measured([sounds(4, 4096)], iterations=1)
    assert spectrogram.decode(torch.zeros(1, 1, 128, 8, dtype=torch.bfloat16)).dtype == torch.float32


def test_the_state_makes_the_same_again(tmp_path):
    clips = sounds(3, 4096)
    spectrogram = measured([clips], clip_deviations=2.5, iterations=3)
    torch.save(spectrogram.state_dict(), tmp_path / "state.pt")
    again = LogSpectrogram(clip_deviations=2.5, iterations=3)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(again.encode(clips), spectrogram.encode(clips))
    assert torch.equal(again.decode(again.encode(clips)), spectrogram.decode(spectrogram.encode(clips)))


@pytest.mark.parametrize("clip_samples", [128, 4096, 16384, 65536])
def test_shapes(clip_samples):
    spectrogram = measured([noise(1, 1, 512)])
    assert spectrogram.shape(2, clip_samples) == (2, 128, clip_samples // 128)
    assert spectrogram.encode(noise(1, 2, clip_samples)).shape[1:] == spectrogram.shape(2, clip_samples)


@pytest.mark.parametrize(("clip_samples", "remedy"), [(5000, 4992), (100, 128), (16383, 16384)])
def test_a_length_that_does_not_fit_is_refused(clip_samples, remedy):
    with pytest.raises(ValueError, match=f"clip_samples is {clip_samples};.*multiple.*try {remedy}"):
        measured([noise(1, 1, 512)]).shape(1, clip_samples)


def test_without_a_clip_there_are_no_statistics():
    with pytest.raises(AssertionError, match="at least one clip"):
        measured([])


def test_what_an_encoder_needs_goes_into_the_state_of_its_module():
    assert (LogSpectrogram.needs_statistics, Waveform.needs_statistics) == (True, False)
    fresh, learned = LogSpectrogram(), measured([noise(2, 1, 512)])
    assert fresh.state_dict().keys() == {"means", "deviations"} and not Waveform().state_dict()
    assert (fresh.means == 0).all() and (fresh.deviations == 1).all() and fresh.means.dtype == torch.float32
    fresh.load_state_dict(learned.state_dict())
    assert torch.equal(fresh.encode(noise(2, 1, 512)), learned.encode(noise(2, 1, 512)))
    waveform = Waveform()
    waveform.measure([noise(1, 1, 8)])
    assert waveform.encode(noise(1, 1, 8)).equal(noise(1, 1, 8))


@pytest.mark.parametrize(("window", "hop"), [(512, 128), (64, 20)])
def test_other_windows_and_hops(window, hop):
    spectrogram = LogSpectrogram(window=window, hop=hop, iterations=32)
    clips = sounds(4, 200 * hop)
    spectrogram.measure([clips])
    x = spectrogram.encode(clips)
    assert x.shape[1:] == spectrogram.shape(1, 200 * hop) == (1, window // 2, 200)
    rebuilt = spectrogram.decode(x)
    assert rebuilt.shape == clips.shape
    magnitude, again = stft(clips, window=window, hop=hop).abs(), stft(rebuilt, window=window, hop=hop).abs()
    assert (again - magnitude).norm() / magnitude.norm() < 0.35
    again = LogSpectrogram(window=window, hop=hop)
    again.load_state_dict(spectrogram.state_dict())
    assert torch.equal(again.encode(clips), x)
    with pytest.raises(ValueError, match="hop is 300; .* half of the window of 512; try 256"):
        LogSpectrogram(window=512, hop=300)
