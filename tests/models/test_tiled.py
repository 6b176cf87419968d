"""Tests discriminators of tiles: what a tile holds, any size, and which clips are compared."""

import pytest
import torch

from wavegan.methods.adversary import Adversary
from wavegan.models.tiled import WaveformDiscriminator, spread
from wavegan.models.tiled_spectrum import SpectralDiscriminator, TextureDiscriminator
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES

SPECTRA = [(1, 128, 128), (2, 128, 64), (1, 33, 17), (1, 4, 1), (3, 100, 512)]
WAVEFORMS = [(1, 2048), (2, 16384), (1, 100), (1, 3), (1, 65536)]


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def judge(shape: tuple[int, ...], **settings) -> SpectralDiscriminator | WaveformDiscriminator:
    torch.manual_seed(0)
    kind = SpectralDiscriminator if len(shape) == 3 else WaveformDiscriminator
    return kind(shape, **{"dim": 4} | settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [*SPECTRA, *WAVEFORMS], ids=str)
def test_any_size_has_a_score(shape):
    scores = judge(shape)(normal(8, *shape))
    assert scores.shape == (8,) and scores.isfinite().all()
    assert judge(shape, outputs=6)(normal(4, *shape)).shape == (4, 6)


@pytest.mark.parametrize("shape", [*SPECTRA[:3], *WAVEFORMS[:3]], ids=str)
def test_every_number_counts(shape):
    x = normal(4, *shape).requires_grad_()
    (slope,) = torch.autograd.grad(judge(shape)(x).sum(), x)
    assert (slope != 0).float().mean() > 0.99


def test_a_tile_of_a_spectrum_holds_neighbours():
    x = torch.arange(8 * 6).float().view(1, 1, 8, 6)
    tiles = judge((1, 8, 6), tile_rows=4, tile_frames=2).tiles(x)
    assert tiles.shape == (1, 8, 2, 3)
    assert sorted(tiles[0, :, 1, 2].tolist()) == sorted(x[0, 0, 4:8, 4:6].flatten().tolist())


def test_a_tile_of_a_waveform_holds_neighbours():
    x = torch.arange(64.0).view(1, 1, 64)
    tiles = judge((1, 64)).tiles(x)
    assert tiles[0, :, 2].tolist() == list(range(32, 48))


@pytest.mark.parametrize("shape", [(1, 32, 32), (1, 2048)], ids=str)
def test_a_clip_is_compared_with_its_group_alone(shape):
    discriminator, x = judge(shape), normal(8, *shape)
    before, moved = discriminator(x), x.clone()
    moved[1] *= 3
    after = discriminator(moved)
    assert not torch.equal(before[:4], after[:4]) and torch.equal(before[4:], after[4:])
    assert (before[[0, 2, 3]] != after[[0, 2, 3]]).all(), "its neighbours do not see it"
    alone = judge(shape, group=1)
    assert torch.equal(alone(x)[[0, 2, 3]], alone(moved)[[0, 2, 3]])


def test_the_spread_by_hand():
    x = torch.tensor([[0.0], [2.0], [0.0], [2.0], [5.0], [5.0], [5.0], [5.0]])
    torch.testing.assert_close(spread(x, 4), torch.tensor([1.0] * 4 + [0.01] * 4), rtol=1e-3, atol=1e-4)
    real_and_generated = torch.tensor([[0.0], [2.0], [5.0], [5.0]])  # two of each, in groups of two
    torch.testing.assert_close(spread(real_and_generated, 4), torch.tensor([1, 1, 0.01, 0.01]), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(spread(x[:3], 4), torch.full((3,), 0.01), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(2, 8, 8), (1, 33, 17), (2, 64), (1, 100)], ids=str)
def test_tiles_are_laid_out_again_and_that_is_the_adjoint(shape):
    discriminator, x = judge(shape), normal(2, *shape)
    tiles = discriminator.tiles(x)
    assert torch.equal(discriminator.untiled(tiles, x), x)
    other = torch.randn(tiles.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close((tiles * other).sum(), (x * discriminator.untiled(other, x)).sum(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("labels", [0, 3])
@pytest.mark.parametrize("penalty", ["r1_r2", "gradient_penalty"])
@pytest.mark.parametrize("shape", [(2, 33, 17), (1, 64, 64), (2, 500), (1, 2048)], ids=str)
def test_without_groups_the_first_order_gradients_are_autograds(shape, penalty, labels):
    discriminator = judge(shape, group=1, labels=labels).double()
    adversary = Adversary(
        discriminator, objective=OBJECTIVES["relativistic"], penalty=PENALTIES[penalty], penalty_weight=10
    )
    real, fake = normal(8, *shape).double().chunk(2)
    told = torch.eye(3, dtype=torch.float64)[[0, 2, 1, 0]] if labels else None
    gradients, statistics = [], []
    for backward in (adversary.plain_backward, adversary.backward):
        discriminator.zero_grad(set_to_none=True)
        torch.manual_seed(0)
        statistics.append(backward(real, fake, told))
        gradients.append({name: parameter.grad for name, parameter in discriminator.named_parameters()})
    torch.testing.assert_close(statistics[0], statistics[1])
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, rtol=1e-9, atol=1e-11, msg=name)
    assert discriminator.stages is not None and judge(shape).stages is None


@pytest.mark.parametrize("shape", [(1, 32, 32), (1, 2048)], ids=str)
def test_labels_count(shape):
    discriminator, x = judge(shape, labels=3), normal(4, *shape)
    first, second = (discriminator(x, torch.eye(3)[rows]) for rows in ([0] * 4, [1] * 4))
    assert (first != second).all()


def texture(shape: tuple[int, int, int], **settings) -> TextureDiscriminator:
    torch.manual_seed(0)
    return TextureDiscriminator(shape, **{"dim": 4} | settings)


@pytest.mark.parametrize("shape", SPECTRA, ids=str)
def test_a_texture_of_any_size_has_a_score_to_which_every_number_counts(shape):
    x = normal(8, *shape).requires_grad_()
    scores = texture(shape)(x)
    (slope,) = torch.autograd.grad(scores.sum(), x)
    assert scores.shape == (8,) and (slope != 0).float().mean() > 0.99
    assert texture(shape, outputs=6)(x).shape == (8, 6)


def test_a_texture_is_the_same_wherever_it_is():
    """A move by whole patches, 16 rows or 8 frames, far from the edges; other discriminators know places."""
    shape, patch = (1, 128, 64), normal(1, 1, 12, 6)
    here, there = torch.zeros(1, *shape), torch.zeros(1, *shape)
    here[..., 36:48, 18:24], there[..., 84:96, 42:48] = patch, patch
    score = texture(shape)
    assert (score(here) - score(torch.zeros(1, *shape))).abs() > 1e-3
    torch.testing.assert_close(score(here), score(there), rtol=1e-5, atol=1e-5)
    assert (judge(shape)(here) - judge(shape)(there)).abs() > 1e-3


def test_a_larger_spectrum_of_one_texture_has_the_same_score():
    pattern = normal(1, 1, 16, 8)
    small, large = pattern.tile(1, 1, 32, 16), pattern.tile(1, 1, 64, 32)
    judges = texture((1, 512, 128)), texture((1, 1024, 256))
    scores = [judge(x) - judge(0 * x) for judge, x in zip(judges, (small, large), strict=True)]
    torch.testing.assert_close(scores[0], scores[1], rtol=0.1, atol=0.01)  # edges are a smaller part of the large one


def test_a_penalty_on_a_texture_reaches_its_weights():
    judged = texture((1, 33, 17), labels=3)
    adversary = Adversary(
        judged, objective=OBJECTIVES["relativistic"], penalty=PENALTIES["r1_r2"], penalty_weight=10, penalty_every=1
    )
    real, fake = normal(8, 1, 33, 17).chunk(2)
    stats = adversary.backward(real, fake, torch.eye(3)[[0, 2, 1, 0]])
    assert stats["penalty"] > 0 and all(weight.grad.abs().sum() > 0 for weight in judged.parameters())  # pyright: ignore
    assert judged.stages is None
