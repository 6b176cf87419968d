"""Tests the fully connected networks: counts, layout by hand, and their stages against autograd."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.methods import first_order
from wavegan.models.activations import Dropout, LeakyReLU
from wavegan.models.mlp import DenseStage, Discriminator, Generator
from wavegan.models.piecewise_linear import ScoreStage
from wavegan.models.wavegan import parameter_count
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def one_hot(*labels: int) -> Tensor:
    return F.one_hot(torch.tensor(labels), 3).double()


def discriminator(clip_samples: int = 16, channels: int = 1, **settings) -> Discriminator:
    """Makes a discriminator in float64, with biases that are not zero."""
    torch.manual_seed(0)
    judge = Discriminator((channels, clip_samples), **{"dim": 1, **settings}).double()
    for name, parameter in judge.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)
    return judge


def linears(network: nn.Module) -> list[tuple[int, int]]:
    return [(layer.in_features, layer.out_features) for layer in network.modules() if isinstance(layer, nn.Linear)]


def test_a_dim_of_64_gives_the_textbooks_widths():
    with torch.device("meta"):
        made, judge = Generator(16384, 2, latent_dim=100), Discriminator((2, 16384))
    assert linears(made) == [(100, 256), (256, 512), (512, 32768)]
    assert linears(judge) == [(32768, 512), (512, 256), (256, 1)]
    assert parameter_count(made) == 101 * 256 + 257 * 512 + 513 * 32768
    assert parameter_count(judge) == 32769 * 512 + 513 * 256 + 257


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_shapes_and_range(channels):
    made = Generator(4096, channels, dim=2, latent_dim=5)(10 * torch.randn(3, 5))
    assert made.shape == (3, channels, 4096) and 0 < made.abs().max() <= 1
    assert discriminator(4096, channels)(made.double()).shape == (3,)


def test_both_networks_equal_an_independent_forward_pass():
    """Uses two channels: number 2t + c of the last layer, and of the first, is sample t of channel c."""
    made, judge = Generator(6, 2, dim=1, latent_dim=3).double(), discriminator(6, 2)
    for parameter in [*made.parameters(), *judge.parameters()]:
        nn.init.normal_(parameter)
    first, second, third = ((layer.weight, layer.bias) for layer in made.modules() if isinstance(layer, nn.Linear))
    z = normal(4, 3)
    with torch.no_grad():
        numbers = F.linear(F.linear(F.linear(z, *first).relu(), *second).relu(), *third).tanh()
        clips = torch.stack([numbers[:, 0::2], numbers[:, 1::2]], dim=1)
        torch.testing.assert_close(made(z), clips)
        first, second, third = ((layer.weight, layer.bias) for layer in judge.modules() if isinstance(layer, nn.Linear))
        hidden = F.leaky_relu(F.linear(F.leaky_relu(F.linear(numbers, *first), 0.2), *second), 0.2)
        torch.testing.assert_close(judge(clips), F.linear(hidden, *third)[:, 0])


def test_start_values_are_glorots():
    torch.manual_seed(0)
    made = Generator(4096, dim=8, latent_dim=10)
    for layer in (made.dense, made.blocks[1], made.blocks[3]):
        assert isinstance(layer, nn.Linear) and not layer.bias.any()
        limit = (6 / (layer.in_features + layer.out_features)) ** 0.5
        assert 0.98 * limit < layer.weight.abs().max() <= limit


def test_labels_change_what_is_made_and_how_it_is_judged():
    made, judge = Generator(16, dim=1, latent_dim=3, labels=3).double(), discriminator(labels=3)
    z, x, labels = normal(1, 3).expand(3, 3), normal(1, 1, 16).expand(3, 1, 16), one_hot(0, 1, 2)
    for outputs in (made(z, labels).flatten(1), judge(x, labels)[:, None]):
        assert all(
            (row - next_row).abs().max() > 1e-4 for row, next_row in zip(outputs, outputs.roll(1, 0), strict=True)
        )


def test_dropout_follows_every_activation_and_ends_with_training():
    judge, x = discriminator(dim=8, dropout=0.5), normal(2, 1, 16)
    assert [type(layer) for layer in judge.blocks] == [nn.Linear, LeakyReLU, Dropout] * 2
    with torch.no_grad():
        assert not torch.equal(judge(x), judge(x))
        judge.eval()
        torch.testing.assert_close(judge(x), discriminator(dim=8)(x))


def test_an_encoder_gives_as_many_numbers_as_asked():
    assert discriminator(outputs=5)(normal(2, 1, 16)).shape == (2, 5)


def test_there_are_stages_where_it_is_piecewise_linear():
    judge = discriminator()
    assert judge.stages is not None
    assert [type(stage) for stage in judge.stages(3, 2)] == [DenseStage, DenseStage, ScoreStage]
    assert discriminator(dropout=0.1).stages is None and discriminator(outputs=2).stages is None


def test_a_stage_by_hand():
    """Uses weights 1 2 and 3 -4, biases 0 and 1, slope 0.5; one clip of two channels and one sample, (1, 1, 2)."""
    stage = DenseStage(torch.tensor([[1.0, 2.0], [3.0, -4.0]]), torch.tensor([0.0, 1.0]), 0.5)
    x = torch.tensor([[[1.0, 2.0]]])
    y = stage(x)
    assert y.tolist() == [[5.0, -2.0]]  # 1 + 4, and half of 3 - 8 + 1
    assert stage.tangent(torch.tensor([[[1.0, -1.0]]]), y).tolist() == [[-1.0, 3.5]]
    d = stage.activation_gradient(torch.tensor([[1.0, 4.0]]), y)
    assert d.tolist() == [[1.0, 2.0]]
    assert stage.input_gradient(d, x).tolist() == [[7.0, -6.0]]
    weight, bias = stage.parameter_gradients(x, d, 1)
    assert weight.tolist() == [[1.0, 2.0], [2.0, 4.0]] and bias.tolist() == [1.0, 2.0]
    assert stage.parameter_gradients(x, d, 0)[1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("label_count", [0, 3])
@pytest.mark.parametrize("penalty", ["gradient_penalty", "r1_r2", None])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_first_order_gradients_are_autograds(label_count, penalty, channels):
    """Compares every parameter to 1e-10 of its largest number, by a double backward through the layers."""
    judge = discriminator(64, channels, dim=2, labels=label_count)
    real, fake = normal(3, channels, 64), normal(3, channels, 64, seed=1)
    labels = one_hot(1, 2, 1) if label_count else None
    objective, added = OBJECTIVES["hinge"], PENALTIES[penalty] if penalty else None

    torch.manual_seed(5)
    loss = objective.discriminator(judge(real, labels), judge(fake, labels))
    if added:
        repeated = labels if labels is None or penalty != "r1_r2" else labels.repeat(2, 1)
        loss = loss + 10 * added(lambda points: judge(points, repeated), real, fake)
    loss.backward()
    expected = {name: parameter.grad for name, parameter in judge.named_parameters()}

    judge.zero_grad(set_to_none=True)
    torch.manual_seed(5)
    assert judge.stages is not None
    judged = first_order.discriminator_backward(
        judge.stages, real, fake, objective, added, 10.0 if added else 0.0, labels=labels
    )
    assert judged.stats["loss"].item() == pytest.approx(loss.item(), rel=1e-11)
    for name, parameter in judge.named_parameters():
        wanted = expected[name]
        assert parameter.grad is not None and wanted is not None, name
        assert wanted.any() or name == "dense.bias"
        allowed = 1e-10 * max(wanted.abs().max().item(), 1e-3)
        torch.testing.assert_close(parameter.grad, wanted, rtol=0, atol=allowed)


def test_under_autocast_all_but_the_score_is_bf16():
    judge = discriminator().float()
    with torch.autocast("cpu", torch.bfloat16):
        assert judge.stages is not None
        kinds = [(stage.weight.dtype, stage.bias.dtype) for stage in judge.stages(3, 2)]
        assert judge(torch.randn(2, 1, 16)).dtype == torch.float32
    assert kinds == [(torch.bfloat16, torch.bfloat16)] * 2 + [(torch.float32, torch.float32)]
