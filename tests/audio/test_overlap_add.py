"""Tests the processing of long sounds through short windows."""

import weakref

import numpy as np
import pytest
import torch
from torch import Tensor

from wavegan.audio.overlap_add import overlap_add


def sound(channels: int, samples: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(channels, samples, dtype=dtype, generator=torch.Generator().manual_seed(0))


LENGTHS = [0, 1, 3, 4, 7, 8, 9, 12, 13, 15, 16, 17, 100]


@pytest.mark.parametrize("samples", LENGTHS)
@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_the_identity_gives_the_sound_back_bit_for_bit(samples, batch_size):
    x = sound(2, samples)
    made = overlap_add(lambda windows: windows, x, 8, batch_size=batch_size)
    assert made.shape == x.shape and torch.equal(made, x)
    assert samples == 0 or made.data_ptr() != x.data_ptr()


def by_numpy(process, x: np.ndarray, window_samples: int) -> np.ndarray:
    """Adds up windows one by one, with the weight that each has at each of its samples, in float64."""
    samples, hop = x.shape[1], window_samples // 2
    count = max(1, -(-samples // hop) - 1)
    total = np.zeros((x.shape[0], (count + 1) * hop))
    weights = np.zeros((count + 1) * hop)
    padded = np.pad(x, ((0, 0), (0, (count + 1) * hop - samples)))
    for number in range(count):
        part = slice(number * hop, number * hop + window_samples)
        weight = np.sin(np.pi * (np.arange(window_samples) + 0.5) / window_samples) ** 2
        if number == 0:
            weight[:hop] = 1
        if number == count - 1:
            weight[hop:] = 1
        total[:, part] += weight * process(padded[:, part])
        weights[part] += weight
    np.testing.assert_allclose(weights, 1, rtol=1e-12)
    return total[:, :samples]


@pytest.mark.parametrize("samples", LENGTHS)
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_windows_are_faded_into_each_other(samples, batch_size):
    """Runs a process that depends on a sample's place in its window and on the window's sum."""
    slope = torch.linspace(-1, 2, 8, dtype=torch.float64)
    x = sound(2, samples, torch.float64)

    def process(windows: Tensor) -> Tensor:
        return windows * slope + windows.sum(dim=2, keepdim=True)

    expected = by_numpy(lambda part: part * slope.numpy() + part.sum(1, keepdims=True), x.numpy(), 8)
    made = overlap_add(process, x, 8, batch_size=batch_size)
    np.testing.assert_allclose(made.numpy(), expected, rtol=1e-12, atol=1e-12)


def test_two_windows_by_hand():
    """Uses windows of 4 over 6 samples, the first made 0 and the second 1: sin² of 22.5° and 67.5° between."""
    seen = []

    def process(windows: Tensor) -> Tensor:
        seen.append(windows.clone())
        return torch.arange(len(windows)).view(-1, 1, 1).expand(windows.shape).float()

    x = torch.arange(1.0, 7.0)[None]
    made = overlap_add(process, x, 4)
    assert seen[0].tolist() == [[[1, 2, 3, 4]], [[3, 4, 5, 6]]]
    low, high = (2 - 2**0.5) / 4, (2 + 2**0.5) / 4
    torch.testing.assert_close(made, torch.tensor([[0, 0, low, high, 1, 1]]))


def test_a_short_sound_is_filled_up_with_silence():
    seen = []
    made = overlap_add(lambda windows: seen.append(windows.clone()) or windows + 1, torch.ones(1, 3), 8)
    assert [batch.tolist() for batch in seen] == [[[[1, 1, 1, 0, 0, 0, 0, 0]]]]
    assert made.tolist() == [[2, 2, 2]]


def test_every_window_is_whole_and_no_batch_too_large():
    shapes = []
    overlap_add(lambda windows: shapes.append(tuple(windows.shape)) or windows, sound(2, 61), 8, batch_size=4)
    assert shapes == [(4, 2, 8)] * 3 + [(3, 2, 8)]  # 61 samples are 15.25 hops, filled up to 16: 15 windows


def test_no_window_but_for_its_half_is_silence():
    """Checks that a sound which ends with a hop needs no extra window."""
    for samples, count in ((8, 1), (9, 2), (12, 2), (13, 3)):
        numbers = []
        overlap_add(lambda windows, n=numbers: n.append(len(windows)) or windows, sound(1, samples), 8)
        assert numbers == [count]


def test_progress_can_be_watched():
    told = []

    def watch(numbers):
        told.append(len(numbers))
        for number in numbers:
            told.append(number)
            yield number

    x = sound(1, 61)
    assert torch.equal(overlap_add(lambda windows: windows, x, 8, batch_size=4, watch=watch), x)
    assert told == [4, 0, 1, 2, 3]


def test_types_stay_and_no_graph_is_held():
    weight = torch.ones(1, requires_grad=True)
    for dtype in (torch.float32, torch.float64):
        made = overlap_add(lambda windows: (windows * weight).bfloat16(), torch.ones(1, 10, dtype=dtype), 4)
        assert made.dtype == dtype and not made.requires_grad and made.tolist() == [[1] * 10]


@pytest.mark.parametrize("window_samples", [7, 1, 0])
def test_windows_without_halves_are_refused(window_samples):
    with pytest.raises(ValueError, match=f"window_samples is {window_samples};.*even"):
        overlap_add(lambda windows: windows, torch.zeros(1, 10), window_samples)


def test_a_process_that_changes_the_length_is_a_fault():
    with pytest.raises(AssertionError, match=r"made \(2, 1, 3\) of \(2, 1, 4\)"):
        overlap_add(lambda windows: windows[..., 1:], torch.zeros(1, 6), 4)


def test_no_batch_but_the_last_two_is_held():
    """Turns each batch into an array and watches, by weak references, whether it is still alive."""
    arrays, most = [], 0

    def process(windows: Tensor) -> Tensor:
        nonlocal most
        array = windows.numpy().copy()
        arrays.append(weakref.ref(array))
        most = max(most, sum(reference() is not None for reference in arrays))
        return torch.from_numpy(array)

    overlap_add(process, sound(1, 8 * 100), 8, batch_size=5)
    assert len(arrays) == 40 and most == 2
    assert not any(reference() is not None for reference in arrays), "the result is of its own"
