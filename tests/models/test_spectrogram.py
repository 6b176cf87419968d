"""Tests the discriminator of spectrograms of any size: sizes by hand, SpecGAN's size, an independent forward pass."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.models import specgan
from wavegan.models.activations import Dropout, LeakyReLU
from wavegan.models.conv2d import Convolution2d, Convolution2dStage
from wavegan.models.piecewise_linear import ScoreStage
from wavegan.models.spectrogram import Discriminator, strides

SHAPES = [(1, 128, 128), (2, 513, 33), (1, 80, 200), (1, 5, 4), (3, 1, 1), (1, 1, 100), (2, 64, 3), (1, 17, 130)]


def discriminator(shape: tuple[int, int, int] = (1, 12, 7), **settings) -> Discriminator:
    """Makes a discriminator in float64, with biases that are not zero."""
    torch.manual_seed(0)
    judge = Discriminator(shape, **{"dim": 1, **settings}).double()
    for name, parameter in judge.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)
    return judge


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def layers(network: nn.Module, kind: type) -> list:
    return [layer for layer in network.modules() if isinstance(layer, kind)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((128, 128), [(2, 2)] * 5),
        ((40, 9), [(2, 2), (2, 2), (2, 1), (2, 1)]),  # 20 5, 10 3, 5 3, 3 3
        ((5, 17), [(2, 2), (1, 2), (1, 2)]),  # 3 9, 3 5, 3 3
        ((4, 5), [(1, 2)]),
        ((4, 4), [(1, 1)]),
        ((1, 1), [(1, 1)]),
    ],
)
def test_strides_by_hand(size, expected):
    assert strides(*size) == expected


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_one_number_for_each_spectrogram_of_any_size(shape):
    judge, x = discriminator(shape), normal(3, *shape)
    scores = judge(x)
    assert scores.shape == (3,) and scores.isfinite().all()
    assert judge.blocks(x).shape[2] <= 4 and judge.blocks(x).shape[3] <= 4
    torch.testing.assert_close(judge(x[1:2]), scores[1:2], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_number_is_seen(shape):
    x = normal(1, *shape).requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(shape, dim=2)(x).sum(), x)
    assert (slope != 0).all()


def test_widths_double_up_to_sixteen_times_dim():
    judge = discriminator((2, 513, 60), dim=3)
    assert [layer.channels_in for layer in layers(judge, Convolution2d)] == [2, 3, 6, 12, 24, 48, 48, 48]
    assert [layer.channels_out for layer in layers(judge, Convolution2d)] == [3, 6, 12, 24, 48, 48, 48, 48]
    assert judge.dense.in_features == 48 * 3 * 4  # 257, 129, 65, 33, 17, 9, 5, 3 bins; 30, 15, 8, 4 frames


@pytest.mark.parametrize("classes", [0, 3])
def test_for_specgans_size_it_is_specgans_discriminator(classes):
    """Checks that layers, start values and scores are the same."""
    torch.manual_seed(0)
    theirs = specgan.Discriminator((2, 128, 128), dim=2, labels=classes)
    torch.manual_seed(0)
    ours = Discriminator((2, 128, 128), dim=2, labels=classes)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(ours.state_dict()[name], value) for name, value in theirs.state_dict().items())
    x, labels = torch.randn(2, 2, 128, 128), F.one_hot(torch.tensor([0, 2]), 3).float() if classes else None
    assert torch.equal(ours(x, labels), theirs(x, labels))


def test_it_equals_an_independent_forward_pass():
    """Frames go 7, 4: one zero before and three after, as 7 is odd. Bins go 12, 6, 3: one before and two after."""
    judge, x = discriminator((2, 12, 7), dim=2), normal(3, 2, 12, 7)
    first, second = layers(judge, Convolution2d)
    h = F.leaky_relu(F.conv2d(F.pad(x, (1, 3, 1, 2)), first.kernel, first.bias, stride=(2, 2)), 0.2)
    h = F.leaky_relu(F.conv2d(F.pad(h, (2, 2, 1, 2)), second.kernel, second.bias, stride=(2, 1)), 0.2)
    assert h.shape == (3, 4, 3, 4)
    scores = F.linear(h.permute(0, 2, 3, 1).reshape(3, -1), judge.dense.weight, judge.dense.bias)[:, 0]
    torch.testing.assert_close(judge(x), scores, rtol=1e-10, atol=1e-12)


def test_labels_change_the_score():
    judge, x = discriminator(labels=3), normal(1, 1, 12, 7).expand(3, -1, -1, -1)
    scores = judge(x, torch.eye(3).double())
    assert len(set(scores.tolist())) == 3
    with pytest.raises(AssertionError, match="told"):
        judge(x)


def test_dropout_follows_every_activation_and_ends_with_training():
    judge, x = discriminator(dropout=0.5), normal(2, 1, 12, 7)
    assert [type(layer) for layer in judge.blocks] == [Convolution2d, LeakyReLU, Dropout] * 2
    with torch.no_grad():
        assert not torch.equal(judge(x), judge(x))
        torch.testing.assert_close(judge.eval()(x), discriminator()(x))


def test_an_encoder_gives_as_many_numbers_as_asked():
    assert discriminator(outputs=7)(normal(2, 1, 12, 7)).shape == (2, 7)


def test_there_are_stages_where_it_is_piecewise_linear():
    judge = discriminator()
    assert judge.stages is not None
    chain = judge.stages(3, 2)
    assert [type(stage) for stage in chain] == [Convolution2dStage] * 2 + [ScoreStage]
    assert [stage.weight for stage in chain] == [layer.weight for layer in [*layers(judge, Convolution2d), judge.dense]]
    assert discriminator(dropout=0.1).stages is None and discriminator(outputs=2).stages is None


@pytest.mark.parametrize("shape", [(0, 4, 4), (1, 0, 4), (1, 4, 0)])
def test_a_size_below_one_is_refused(shape):
    with pytest.raises(ValueError, match="must be 1 or more"):
        Discriminator(shape, dim=1)


def test_under_autocast_all_but_the_score_is_bf16():
    judge = discriminator().float()
    with torch.autocast("cpu", torch.bfloat16):
        assert judge.stages is not None
        assert [stage.weight.dtype for stage in judge.stages(3, 2)] == [torch.bfloat16] * 2 + [torch.float32]
        assert judge(torch.randn(2, 1, 12, 7)).dtype == torch.float32
