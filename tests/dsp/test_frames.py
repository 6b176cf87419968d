"""Tests frames and their transforms: against torch's own, and their gradients."""

import pytest
import torch

from wavegan.dsp.frames import framed, inverse_basis, inverse_real_transform, overlap_added, real_transform

DOUBLE = torch.float64


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("samples", "window", "hop"), [(64, 16, 4), (60, 16, 4), (62, 16, 4), (50, 12, 5), (16, 16, 8)]
)
def test_frames_are_those_of_unfold(samples, window, hop):
    x = normal(2, 3, samples)
    assert torch.equal(framed(x, window=window, hop=hop), x.unfold(-1, window, hop))


def test_frames_are_added_where_they_were_cut():
    frames = normal(2, 3, 5, 12)
    expected = torch.zeros(2, 3, 4 * 4 + 12, dtype=DOUBLE)
    for place in range(5):
        expected[..., 4 * place : 4 * place + 12] += frames[..., place, :]
    torch.testing.assert_close(overlap_added(frames, hop=4), expected)


@pytest.mark.parametrize("window", [2, 4, 16, 30])
def test_the_transforms_are_torchs(window):
    x, pairs = normal(3, window), normal(3, window // 2 + 1, 2)
    torch.testing.assert_close(torch.view_as_complex(real_transform(x)), torch.fft.rfft(x))
    expected = torch.fft.irfft(torch.view_as_complex(pairs))
    torch.testing.assert_close(inverse_real_transform(pairs), expected)
    torch.testing.assert_close(pairs.flatten(-2) @ inverse_basis(window), expected)


@pytest.mark.parametrize("window", [4, 16])
@pytest.mark.parametrize("transform", [real_transform, inverse_real_transform])
def test_their_gradients_are_those_of_differences(transform, window):
    shape = (2, window) if transform is real_transform else (2, window // 2 + 1, 2)
    assert torch.autograd.gradcheck(transform, (normal(*shape).requires_grad_(),))


def test_a_second_derivative_is_refused_rather_than_wrong():
    x = normal(2, 8).requires_grad_()
    (slope,) = torch.autograd.grad(real_transform(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()
