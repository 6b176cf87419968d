"""Tests phase shuffle: every shift and its adjoint by hand and against numpy, and who draws what."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from wavegan import distributed
from wavegan.models.phase_shuffle import PhaseShuffle, shift, shift_by_index, unshift, unshift_by_index

DOUBLE = torch.float64


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


SHIFTED = {  # 0 1 2 3 4 5 moved right by the key, reflected without repeating the edge
    -2: (2, 3, 4, 5, 4, 3),
    -1: (1, 2, 3, 4, 5, 4),
    0: (0, 1, 2, 3, 4, 5),
    1: (1, 0, 1, 2, 3, 4),
    2: (2, 1, 0, 1, 2, 3),
}


@pytest.mark.parametrize("shared", [True, False])
def test_phase_shuffle_gives_each_hand_worked_shift_equally_often(shared):
    torch.manual_seed(0)
    x, shuffle = torch.arange(6.0).expand(1 if shared else 1000, 1, 6), PhaseShuffle(2, shared=shared)
    rows = torch.cat([shuffle(x) for _ in range(1000 if shared else 1)])[:, 0].tolist()
    counts = {shift: rows.count(list(row)) for shift, row in SHIFTED.items()}
    assert sum(counts.values()) == 1000, "another row than the five worked by hand"
    assert chisquare(list(counts.values())).pvalue > 0.01


def test_phase_shuffle_moves_all_channels_together():
    torch.manual_seed(0)
    x = torch.arange(6.0) + 10 * torch.arange(3.0)[:, None]
    moved = PhaseShuffle(2, shared=False)(x.expand(50, 3, 6))
    assert torch.equal(moved - moved[:, :1], (10 * torch.arange(3.0)[:, None]).expand(50, 3, 6))


@pytest.mark.parametrize("shared", [True, False])
def test_phase_shuffle_shared_or_per_example(shared):
    torch.manual_seed(0)
    moved = [PhaseShuffle(2, shared=shared)(torch.arange(6.0).expand(64, 1, 6)) for _ in range(30)]
    assert {len(set(map(tuple, batch[:, 0].tolist()))) for batch in moved} == ({1} if shared else {5})
    assert any(not torch.equal(moved[0], batch) for batch in moved), "one shift for ever"


@pytest.mark.parametrize("shared", [True, False])
def test_a_wide_phase_shuffle_against_numpy(shared):
    torch.manual_seed(0)
    x = normal(200, 2, 16)
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (7, 7)), mode="reflect")
    windows = {start: padded[..., start : start + 16] for start in range(15)}
    moved = PhaseShuffle(7, shared=shared)(x).numpy()
    starts = [[s for s, window in windows.items() if np.array_equal(window[n], moved[n])] for n in range(200)]
    assert all(len(places) == 1 for places in starts)
    assert len({places[0] for places in starts}) == (1 if shared else 15)


def test_phase_shuffle_of_radius_zero_is_the_identity_and_draws_nothing():
    torch.manual_seed(0)
    before, x = torch.get_rng_state(), normal(3, 2, 16)
    assert PhaseShuffle(0)(x) is x
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shared", [True, False])
def test_phase_shuffle_draws_once_where_the_activations_are(shared, monkeypatch):
    """Guards against a loop on the host.

    On the meta device nothing can be read, so any host decision fails.
    """
    drawn = []
    randint = torch.randint
    monkeypatch.setattr(torch, "randint", lambda *a, **k: drawn.append((a[2], k["device"])) or randint(*a, **k))
    assert PhaseShuffle(2, shared=shared)(torch.empty(8, 3, 16, device="meta")).shape == (8, 3, 16)
    assert drawn == [((1 if shared else 8, 1), torch.device("meta"))]


@pytest.mark.parametrize("shared", [True, False])
def test_gradients_go_back_through_phase_shuffle(shared):
    def shuffled(x):
        torch.manual_seed(3)
        return PhaseShuffle(2, shared=shared)(x)

    x = normal(3, 2, 8).requires_grad_()
    assert torch.autograd.gradcheck(shuffled, (x,))
    assert torch.autograd.gradgradcheck(shuffled, (x,))


def all_shifts(radius: int) -> torch.Tensor:
    return torch.arange(-radius, radius + 1, dtype=torch.int32)


SHORT_AND_LONG = [(radius, samples) for radius in range(1, 8) for samples in (radius + 1, 2 * radius + 1, 16, 37)]


@pytest.mark.parametrize(("radius", "samples"), SHORT_AND_LONG)
def test_every_shift_against_numpys_reflection(radius, samples):
    """Shifts from -radius to radius, one example each.

    The shortest inputs have only as many samples as the reflection needs.
    """
    shifts = all_shifts(radius)
    x = normal(len(shifts), samples, 3)
    padded = np.pad(x.numpy(), ((0, 0), (radius, radius), (0, 0)), mode="reflect")
    expected = [padded[row, radius - by : radius - by + samples] for row, by in enumerate(shifts.tolist())]
    for moved in (shift(x, shifts, radius), shift_by_index(x, shifts)):
        np.testing.assert_array_equal(moved.numpy(), np.stack(expected))


def test_shifts_by_hand():
    x = torch.arange(6.0).expand(5, 6)[..., None]
    assert shift(x, all_shifts(2), 2)[..., 0].tolist() == [list(map(float, row)) for row in SHIFTED.values()]


UNSHIFTED = {  # what 1 10 100 1000 10000 100000 leaves where it was taken from, so which were taken shows
    -2: (0, 0, 1, 10 + 100_000, 100 + 10_000, 1000),
    -1: (0, 1, 10, 100, 1000 + 100_000, 10_000),
    0: (1, 10, 100, 1000, 10_000, 100_000),
    1: (10, 1 + 100, 1000, 10_000, 100_000, 0),
    2: (100, 10 + 1000, 1 + 10_000, 100_000, 0, 0),
}


@pytest.mark.parametrize("radius", [2, 3, 5])
def test_unshifts_by_hand(radius):
    """The radius is an upper bound: a pass may have drawn smaller shifts only."""
    d = (10 ** torch.arange(6)).double().expand(5, 6)[..., None]
    for back in (unshift(d, all_shifts(2), radius), unshift_by_index(d, all_shifts(2))):
        assert back[..., 0].tolist() == [list(map(float, row)) for row in UNSHIFTED.values()]


@pytest.mark.parametrize(("radius", "samples"), SHORT_AND_LONG)
def test_unshift_is_the_adjoint_of_shift(radius, samples):
    """Compares them as matrices, number by number: they hold only 0 and 1, so exactly."""
    shifts = all_shifts(radius)
    identity = torch.eye(samples, dtype=DOUBLE).expand(len(shifts), samples, samples)
    there = shift(identity, shifts, radius)
    for back in (unshift(identity, shifts, radius), unshift_by_index(identity, shifts)):
        assert torch.equal(back, there.transpose(1, 2))
    assert torch.equal(there.sum(2), torch.ones(len(shifts), samples, dtype=DOUBLE)), "each sample has one source"


def test_unshift_keeps_the_type_and_its_input():
    d = normal(5, 16, 2).bfloat16()
    before = d.clone()
    assert unshift(d, all_shifts(2), 2).dtype == torch.bfloat16 and torch.equal(d, before)


@pytest.mark.parametrize("shared", [True, False])
def test_draws_are_batch_by_batch(shared):
    """Draws (batches · examples,) for 400 batches of 3.

    All rows of a shared batch are alike, and the shifts are uniform in any case.
    """
    torch.manual_seed(0)
    flat = PhaseShuffle(2, shared=shared).draw(400, 3, torch.device("cpu"))
    assert flat.shape == (1200,) and flat.dtype == torch.int32
    drawn = flat.view(400, 3)
    alike = (drawn == drawn[:, :1]).all(1).double().mean().item()
    assert alike == 1 if shared else alike == pytest.approx(1 / 25, abs=0.04)  # four standard deviations
    assert set(drawn[:, 0].tolist()) == {-2, -1, 0, 1, 2}
    for column in drawn.t():
        assert chisquare(np.bincount(column + 2, minlength=5)).pvalue > 0.01


@pytest.mark.parametrize("shared", [True, False])
def test_batches_and_examples_are_drawn_by_themselves(shared):
    """Draws for real, fake and penalised clips of one pass: no shift depends on another."""
    torch.manual_seed(0)
    shuffle = PhaseShuffle(3, shared=shared)
    drawn = torch.stack([shuffle.draw(3, 2, torch.device("cpu")) for _ in range(2000)]).double()  # (2000, 3 · 2)
    correlations = np.corrcoef(drawn.t().numpy())
    twins = [(0, 1), (2, 3), (4, 5)] if shared else []
    for first in range(6):
        for second in range(first + 1, 6):
            expected = 1.0 if (first, second) in twins else 0.0
            assert correlations[first, second] == pytest.approx(expected, abs=0.09)  # four standard deviations


def test_the_first_batch_of_several_starts_where_a_lone_batch_would(monkeypatch):
    """Expects the rows of a pass batch by batch, and within each the examples in order."""
    monkeypatch.setattr(torch, "randint", lambda low, high, shape, device: torch.arange(6).view(shape))
    assert PhaseShuffle(9, shared=False).draw(3, 2, torch.device("cpu")).tolist() == [0, 3, 1, 4, 2, 5]
    monkeypatch.setattr(torch, "randint", lambda low, high, shape, device: torch.arange(3).view(shape))
    assert PhaseShuffle(9, shared=True).draw(3, 2, torch.device("cpu")).tolist() == [0, 0, 1, 1, 2, 2]


def test_one_process_owns_all_rows_of_a_draw():
    asked = []
    rows = distributed.rank_rows(lambda count: asked.append(count) or torch.arange(count), 5)
    assert asked == [5] and rows.tolist() == [0, 1, 2, 3, 4]
