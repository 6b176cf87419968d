"""Compares SpecGAN with the reference: counts, shapes, an independent forward pass, and its stages against autograd."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.methods import first_order
from wavegan.models.activations import Dropout, LeakyReLU
from wavegan.models.conv2d import Convolution2d, Convolution2dStage, NearestUpsampling2d, TransposedConvolution2d
from wavegan.models.piecewise_linear import ScoreStage
from wavegan.models.specgan import Discriminator, Generator
from wavegan.models.wavegan import parameter_count
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES

FRAMES = [32, 64, 128, 256, 512]


def generator(frames: int = 32, channels: int = 1, **settings) -> Generator:
    torch.manual_seed(0)
    return Generator(128 * frames, channels, **{"dim": 1, "latent_dim": 3, **settings})


def discriminator(frames: int = 32, channels: int = 1, **settings) -> Discriminator:
    """Makes a discriminator in float64, with biases that are not zero."""
    torch.manual_seed(0)
    judge = Discriminator((channels, 128, frames), **{"dim": 1, **settings}).double()
    for name, parameter in judge.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)
    return judge


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def one_hot(*labels: int) -> Tensor:
    return F.one_hot(torch.tensor(labels), 3).double()


def layers(network: nn.Module, kind: type) -> list:
    return [layer for layer in network.modules() if isinstance(layer, kind)]


def test_the_parameter_counts_are_those_of_wavegan():
    with torch.device("meta"):
        assert parameter_count(Generator()) == 19_065_345
        assert parameter_count(Discriminator()) == 17_427_969


@pytest.mark.parametrize("frames", FRAMES)
@pytest.mark.parametrize("channels", [1, 2])
def test_shapes_and_range_of_every_length_and_channel_count(frames, channels):
    made = generator(frames, channels)(5 * torch.randn(2, 3))
    assert made.shape == (2, channels, 128, frames) and made.abs().max() <= 1
    judge = discriminator(frames, channels)
    assert judge.blocks(made.double()).shape == (2, 16, 4, frames // 32)
    assert judge(made.double()).shape == (2,)


@pytest.mark.parametrize(("frames", "remedy"), [(100, 96), (0, 32), (129, 128)])
def test_a_length_that_five_halvings_do_not_divide_is_refused(frames, remedy):
    clip_samples = 128 * frames
    message = f"clip_samples is {clip_samples}; SpecGAN makes multiples of 4096; try {128 * remedy}$"
    with pytest.raises(ValueError, match=message):
        Generator(clip_samples, dim=1)
    with pytest.raises(ValueError, match=f"frames is {frames}; SpecGAN .* multiple of 32 .*; try {remedy}$"):
        Discriminator((1, 128, frames), dim=1)


def test_a_length_between_two_frames_is_refused():
    with pytest.raises(ValueError, match="clip_samples is 4097; SpecGAN makes multiples of 4096; try 4096$"):
        Generator(4097, dim=1)


def test_widths_are_the_references():
    with torch.device("meta"):
        made, judge = Generator(8192, 2, dim=3, latent_dim=7), Discriminator((2, 128, 64), dim=3)
    up, down = layers(made, TransposedConvolution2d), layers(judge, Convolution2d)
    assert (made.dense.in_features, made.dense.out_features, judge.dense.in_features) == (7, 4 * 2 * 48, 4 * 2 * 48)
    assert [layer.channels_in for layer in up] == [48, 24, 12, 6, 3] == [layer.channels_out for layer in down][::-1]
    assert [layer.channels_out for layer in up] == [24, 12, 6, 3, 2] == [layer.channels_in for layer in down][::-1]
    assert {(layer.kernel_size, layer.stride) for layer in [*up, *down]} == {(5, 2)}
    assert len(layers(generator(upsample="nearest"), NearestUpsampling2d)) == 5
    assert [layer.kernel_size for layer in layers(generator(kernel_size=9), TransposedConvolution2d)] == [9] * 5


def test_both_networks_equal_an_independent_forward_pass():
    """Pads one zero before and two after; dense features go by bins, then frames, then channels."""
    made = generator(64, 2, dim=2).double()
    judge = discriminator(64, 2, dim=2)
    for parameter in [*made.parameters(), *judge.parameters()]:
        nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        z = normal(3, 3)
        x = F.linear(z, made.dense.weight, made.dense.bias).reshape(3, 4, 2, 32).permute(0, 3, 1, 2)
        for layer in layers(made, TransposedConvolution2d):
            whole = F.conv_transpose2d(F.relu(x), layer.kernel, layer.bias, stride=2)
            x = whole[:, :, 1 : 1 + 2 * x.shape[2], 1 : 1 + 2 * x.shape[3]]
        torch.testing.assert_close(made(z), x.tanh(), rtol=1e-10, atol=1e-12)
        x = spectrograms = x.tanh()
        for layer in layers(judge, Convolution2d):
            x = F.leaky_relu(F.conv2d(F.pad(x, (1, 2, 1, 2)), layer.kernel, layer.bias, stride=2), 0.2)
        scores = F.linear(x.permute(0, 2, 3, 1).reshape(3, -1), judge.dense.weight, judge.dense.bias)[:, 0]
        torch.testing.assert_close(judge(spectrograms), scores, rtol=1e-10, atol=1e-12)


def test_batch_norm_stands_where_the_authors_have_it():
    """It comes before each activation, but not the discriminator's first; never at an end."""
    made, judge = generator(batch_norm=True), discriminator(batch_norm=True)
    norms = layers(made, nn.BatchNorm2d)
    assert [norm.num_features for norm in norms] == [16, 8, 4, 2, 1]
    assert {(norm.eps, norm.momentum, norm.track_running_stats) for norm in norms} == {(1e-3, 0.01, True)}
    kinds = [type(layer) for layer in made.blocks]
    assert kinds == [nn.BatchNorm2d, nn.ReLU, TransposedConvolution2d] * 5 + [nn.Tanh]
    norms = layers(judge, nn.BatchNorm2d)
    assert [norm.num_features for norm in norms] == [2, 4, 8, 16]
    assert {(norm.eps, norm.track_running_stats) for norm in norms} == {(1e-3, False)}
    kinds = [type(layer) for layer in judge.blocks]
    assert kinds == [Convolution2d, LeakyReLU] + [Convolution2d, nn.BatchNorm2d, LeakyReLU] * 4
    assert made(torch.randn(2, 3)).shape == (2, 1, 128, 32) and judge(normal(2, 1, 128, 32)).shape == (2,)
    assert not layers(generator(), nn.BatchNorm2d) and not layers(discriminator(), nn.BatchNorm2d)


def test_labels_change_what_is_made_and_how_it_is_judged():
    made, judge = generator(labels=3), discriminator(labels=3)
    z, x = torch.randn(1, 3).expand(3, 3), normal(1, 1, 128, 32).expand(3, -1, -1, -1)
    labels = one_hot(0, 1, 2)
    for outputs in (made(z, labels.float()).flatten(1), judge(x, labels)[:, None]):
        assert all(
            (row - next_row).abs().max() > 1e-4 for row, next_row in zip(outputs, outputs.roll(1, 0), strict=True)
        )
    with pytest.raises(AssertionError, match="told"):
        made(z)


def test_dropout_follows_every_activation_and_ends_with_training():
    judge, x = discriminator(dropout=0.5), normal(2, 1, 128, 32)
    assert [type(layer) for layer in judge.blocks] == [Convolution2d, LeakyReLU, Dropout] * 5
    assert {layer.p for layer in layers(judge, Dropout)} == {0.5}
    with torch.no_grad():
        assert not torch.equal(judge(x), judge(x))
        judge.eval()
        torch.testing.assert_close(judge(x), discriminator()(x))


def test_an_encoder_gives_as_many_numbers_as_asked():
    encoder = discriminator(64, outputs=7)
    assert encoder(normal(2, 1, 128, 64)).shape == (2, 7)
    assert (encoder.dense.in_features, encoder.dense.out_features) == (4 * 2 * 16, 7)


def test_there_are_stages_where_it_is_piecewise_linear():
    """There are none with batch norm, where a clip depends on its batch.

    There are none with dropout either, which each pass draws anew.
    """
    judge = discriminator()
    assert judge.stages is not None
    chain = judge.stages(3, 2)
    assert [type(stage) for stage in chain] == [Convolution2dStage] * 5 + [ScoreStage]
    for stage, layer in zip(chain, layers(judge, Convolution2d), strict=False):
        assert stage.weight is layer.weight and stage.bias is layer.bias
    for other in (discriminator(batch_norm=True), discriminator(dropout=0.1), discriminator(outputs=2)):
        assert other.stages is None


@pytest.mark.parametrize("label_count", [0, 3])
@pytest.mark.parametrize("penalty", ["gradient_penalty", "r1_r2", None])
@pytest.mark.parametrize(("frames", "channels", "kernel"), [(32, 2, 5), (64, 1, 3)])
def test_the_first_order_gradients_are_autograds(label_count, penalty, frames, channels, kernel):
    """Compares every parameter to 1e-10 of its largest number, by a double backward through the layers."""
    judge = discriminator(frames, channels, kernel_size=kernel, labels=label_count, dim=2)
    real, fake = normal(3, channels, 128, frames), normal(3, channels, 128, frames, seed=1)
    labels = one_hot(0, 2, 0) if label_count else None
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
        assert judge(torch.randn(2, 1, 128, 32)).dtype == torch.float32
    assert kinds == [(torch.bfloat16, torch.bfloat16)] * 5 + [(torch.float32, torch.float32)]
