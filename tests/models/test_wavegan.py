"""Compares WaveGAN with the reference: counts, shapes, widths and an independent forward pass in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.models.activations import LeakyReLU
from wavegan.models.conv1d import Convolution, NearestUpsampling, PostFilter, TransposedConvolution
from wavegan.models.phase_shuffle import PhaseShuffle
from wavegan.models.wavegan import Discriminator, Generator, parameter_count
from wavegan.settings import PhaseShuffleSettings

STRIDES = {  # from the latent's side, and from the waveform's: both end with the odd one
    4096: [4, 4, 4, 4],
    8192: [4, 4, 4, 4, 2],
    16384: [4, 4, 4, 4, 4],
    32768: [4, 4, 4, 4, 4, 2],
    65536: [4, 4, 4, 4, 4, 4],
}
WIDTHS = {  # hidden channels in multiples of dim, from the waveform inwards
    4096: [1, 2, 4, 8],
    8192: [1, 2, 4, 8, 16],
    16384: [1, 2, 4, 8, 16],
    32768: [1, 2, 4, 8, 16, 32],
    65536: [1, 2, 4, 8, 16, 32],
}
PADS = {4: (10, 11), 2: (11, 12)}
NO_SHUFFLE = PhaseShuffleSettings(radius=0)


def layers(network: nn.Module, kind: type) -> list:
    return [layer for layer in network.modules() if isinstance(layer, kind)]


def generator(clip_samples: int = 4096, channels: int = 1, **settings) -> Generator:
    torch.manual_seed(0)
    return Generator(clip_samples, channels, **{"dim": 1, "latent_dim": 3, **settings})


def discriminator(clip_samples: int = 4096, channels: int = 1, **settings) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator((channels, clip_samples), **{"dim": 1, **settings})


def test_the_published_parameter_counts():
    with torch.device("meta"):
        assert parameter_count(Generator()) == 19_065_345
        assert parameter_count(Discriminator()) == 17_427_969


@pytest.mark.parametrize("clip_samples", STRIDES)
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_shapes_and_range_of_every_length_and_channel_count(clip_samples, channels):
    made = generator(clip_samples, channels)(torch.randn(2, 3))
    assert made.shape == (2, channels, clip_samples)
    assert made.abs().max() <= 1
    assert discriminator(clip_samples, channels)(made).shape == (2,)


@pytest.mark.parametrize(("clip_samples", "kernel", "latent_dim"), [(4096, 5, 1), (8192, 9, 100), (32768, 65, 256)])
@pytest.mark.parametrize("upsample", ["transposed", "nearest"])
def test_shapes_of_other_kernels_and_latents(clip_samples, kernel, latent_dim, upsample):
    network = generator(clip_samples, kernel_size=kernel, latent_dim=latent_dim, upsample=upsample, post_filter=512)
    made = network(torch.randn(2, latent_dim))
    assert made.shape == (2, 1, clip_samples)
    assert discriminator(clip_samples, kernel_size=kernel)(made).shape == (2,)
    kernels = layers(network, TransposedConvolution if upsample == "transposed" else NearestUpsampling)
    assert {layer.kernel_size for layer in kernels} == {kernel}


@pytest.mark.parametrize("clip_samples", STRIDES)
def test_strides_and_widths_are_the_references(clip_samples):
    dim, channels, widths = 3, 2, [3 * width for width in WIDTHS[clip_samples]]
    with torch.device("meta"):
        made = Generator(clip_samples, channels, dim=dim, latent_dim=7)
        judge = Discriminator((channels, clip_samples), dim=dim)
    up, down = layers(made, TransposedConvolution), layers(judge, Convolution)
    assert (made.dense.in_features, made.dense.out_features) == (7, 16 * widths[-1])
    assert [layer.stride for layer in up] == STRIDES[clip_samples]
    assert [layer.channels_in for layer in up] == widths[::-1]
    assert [layer.channels_out for layer in up] == [*widths[-2::-1], channels]
    assert [layer.stride for layer in down] == STRIDES[clip_samples]
    assert [layer.channels_in for layer in down] == [channels, *widths[:-1]]
    assert [layer.channels_out for layer in down] == widths
    assert (judge.dense.in_features, judge.dense.out_features) == (16 * widths[-1], 1)
    assert all(layer.bias is not None for layer in [*up, *down, made.dense, judge.dense])


@pytest.mark.parametrize("clip_samples", STRIDES)
def test_no_frame_is_lost(clip_samples):
    """Symmetric padding would give 15 frames for 16 behind a stride of 2."""
    assert discriminator(clip_samples).blocks(torch.zeros(1, 1, clip_samples)).shape[-1] == 16


def generated_by_hand(network: Generator, z: Tensor) -> Tensor:
    """Writes out the transposed convolutions whole, then cuts them to length."""
    up = layers(network, TransposedConvolution)
    rows = F.linear(z, network.dense.weight, network.dense.bias).reshape(len(z), 16, -1)  # positions, then channels
    x = rows.permute(0, 2, 1)
    for layer in up:
        stride = layer.stride
        whole = F.conv_transpose1d(F.relu(x), layer.kernel, layer.bias, stride=stride)
        left = PADS[stride][0]
        x = whole[..., left : left + x.shape[-1] * stride]
    return torch.tanh(x)


def judged_by_hand(network: Discriminator, clips: Tensor) -> Tensor:
    x = clips
    for layer in layers(network, Convolution):
        stride = layer.stride
        x = F.leaky_relu(F.conv1d(F.pad(x, PADS[stride]), layer.kernel, layer.bias, stride=stride), 0.2)
    return F.linear(x.permute(0, 2, 1).reshape(len(x), -1), network.dense.weight, network.dense.bias)[:, 0]


@pytest.mark.parametrize(("clip_samples", "channels"), [(4096, 1), (8192, 2), (32768, 1)])
def test_both_networks_equal_an_independent_forward_pass(clip_samples, channels):
    made = generator(clip_samples, channels, dim=2).double()
    judge = discriminator(clip_samples, channels, dim=2, phase_shuffle=NO_SHUFFLE).double()
    for parameter in [*made.parameters(), *judge.parameters()]:
        nn.init.normal_(parameter, std=0.3)  # biases too
    with torch.no_grad():
        z = torch.randn(2, 3, dtype=torch.float64)
        clips = made(z)
        torch.testing.assert_close(clips, generated_by_hand(made, z), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(judge(clips), judged_by_hand(judge, clips), rtol=1e-10, atol=1e-12)


def test_the_dense_layers_are_time_major():
    """Output t · 16d + c of the generator's dense layer is channel c at position t; the discriminator's likewise."""
    made, judge, seen = generator(dim=2), discriminator(dim=2), []
    channels = 16  # 8 · dim
    with torch.no_grad():
        made.dense.weight.zero_()
        made.dense.bias.copy_(torch.arange(16.0 * channels))
    made.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    made(torch.zeros(1, 3))
    assert seen[0].shape == (1, channels, 16)
    assert (seen[0][0, 5, 3].item(), seen[0][0, 3, 5].item()) == (3 * channels + 5, 5 * channels + 3)

    judge.dense.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    judge.blocks.register_forward_hook(lambda _, given, out: seen.append(out))
    judge(torch.randn(1, 1, 4096))
    assert seen[2][0, 3 * channels + 5] == seen[1][0, 5, 3]


def test_nothing_bounds_the_scores():
    """Without biases the network is homogeneous: a clip three times as loud scores three times as much."""
    judge, clips = discriminator(), torch.randn(4, 1, 4096)
    torch.manual_seed(1)
    once = judge(clips)
    torch.manual_seed(1)  # the same shifts
    torch.testing.assert_close(judge(3 * clips), 3 * once)
    with torch.no_grad():
        judge.dense.bias.fill_(-1000)
    assert (judge(clips) < -900).all()


SHUFFLES = {4096: 3, 8192: 4, 16384: 4, 32768: 4, 65536: 4}


@pytest.mark.parametrize("clip_samples", SHUFFLES)
@pytest.mark.parametrize("shared", [True, False])
def test_phase_shuffle_follows_the_first_four_activations_and_never_the_last(clip_samples, shared):
    blocks = list(discriminator(clip_samples, phase_shuffle=PhaseShuffleSettings(radius=3, shared=shared)).blocks)
    after = [
        isinstance(blocks[place + 1], PhaseShuffle)
        for place, block in enumerate(blocks[:-1])
        if type(block) is LeakyReLU
    ]
    assert after == [True] * SHUFFLES[clip_samples] + [False] * (len(after) - SHUFFLES[clip_samples])
    assert type(blocks[-1]) is LeakyReLU and len(after) == len(STRIDES[clip_samples]) - 1
    shuffles = [block for block in blocks if isinstance(block, PhaseShuffle)]
    assert {(shuffle.radius, shuffle.shared) for shuffle in shuffles} == {(3, shared)} and len(shuffles) == SHUFFLES[
        clip_samples
    ]


def test_phase_shuffle_is_on_by_its_radius():
    """Scores of one clip vary with a radius, and never without.

    The default is the authors' 2, shared.
    """
    clip = torch.randn(1, 1, 4096)
    with torch.no_grad():
        assert len({discriminator(phase_shuffle=NO_SHUFFLE)(clip).item() for _ in range(5)}) == 1
        shuffled = discriminator()
        assert len({shuffled(clip).item() for _ in range(5)}) > 1
        shuffled.eval()
        assert len({shuffled(clip).item() for _ in range(5)}) > 1, "it belongs to the network, not to its training"
    assert {(shuffle.radius, shuffle.shared) for shuffle in layers(shuffled, PhaseShuffle)} == {(2, True)}


def test_transposed_is_the_default():
    """Guards against nearest upsampling as the default of WaveGAN."""
    assert [type(layer) for layer in layers(generator(), TransposedConvolution)] == [TransposedConvolution] * 4
    assert not layers(generator(), NearestUpsampling)
    nearest = generator(upsample="nearest")
    assert not layers(nearest, TransposedConvolution)
    assert [layer.stride for layer in layers(nearest, NearestUpsampling)] == [4, 4, 4, 4]
    assert parameter_count(nearest) == parameter_count(generator())


def test_the_post_filter_is_used():
    """A filter that is 1 at sample 255 of 512 passes the clip on; one of zeros silences it."""
    network, z = generator(channels=2, post_filter=512), torch.randn(2, 3)
    (post,) = layers(network, PostFilter)
    with torch.no_grad():
        post.weight.zero_()
        assert not network(z).any()
        post.weight[:, :, 255] = 1
        plain = generator(channels=2)
        plain.load_state_dict(network.state_dict(), strict=False)
        assert torch.equal(network(z), plain(z))
        post.weight[:, :, 255], post.weight[:, :, 254] = 0, 0.5  # one sample before: late, and at half the level
        torch.testing.assert_close(network(z)[..., 1:], plain(z)[..., :-1] / 2)


def test_batch_norm_stands_where_the_original_has_it():
    assert not layers(generator(), nn.BatchNorm1d) and not layers(discriminator(), nn.BatchNorm1d)
    blocks = list(generator(batch_norm=True).blocks)
    before_activation = [type(blocks[place - 1]) for place, block in enumerate(blocks) if isinstance(block, nn.ReLU)]
    assert before_activation == [nn.BatchNorm1d] * 4
    assert [type(block) for block in blocks[-2:]] == [TransposedConvolution, nn.Tanh]
    assert {(block.eps, block.momentum) for block in blocks if isinstance(block, nn.BatchNorm1d)} == {(1e-3, 0.01)}

    kinds = [type(block) for block in discriminator(batch_norm=True, phase_shuffle=NO_SHUFFLE).blocks]
    assert kinds == [Convolution, LeakyReLU] + [Convolution, nn.BatchNorm1d, LeakyReLU] * 3


def test_the_generator_with_batch_norm_differs_between_training_and_use():
    network, z = generator(batch_norm=True), torch.randn(8, 3)
    with torch.no_grad():
        trained, running = network(z), {name: buffer.clone() for name, buffer in network.named_buffers()}
        used = network.eval()(z)
        assert not torch.allclose(trained, used, atol=1e-3)
        torch.testing.assert_close(network(z[:1]), used[:1])  # in use, no clip depends on its batch
    assert all(torch.equal(buffer, running[name]) for name, buffer in network.named_buffers()), (
        "use moved the statistics"
    )
    assert running["blocks.0.running_mean"].any()


def test_the_discriminators_batch_norm_always_uses_the_batch():
    judge, clips = discriminator(batch_norm=True, phase_shuffle=NO_SHUFFLE), torch.randn(4, 1, 4096)
    with torch.no_grad():
        torch.testing.assert_close(judge.eval()(clips), judge.train()(clips))
        assert not torch.allclose(judge(clips)[:2], judge(clips[:2]))
    assert not list(judge.buffers())


def test_scores_stay_exact_under_autocast():
    """bf16 has 8 bits: scores of 1000 and 1001 would fall together."""
    judge = discriminator()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        judge.dense.bias.fill_(1000)
        scores = judge(torch.randn(4, 1, 4096))
    assert scores.dtype == torch.float32 and len(set(scores.tolist())) == 4


@pytest.mark.parametrize(("network", "size"), [(Generator, 20000), (Discriminator, (1, 20000))], ids=["G", "D"])
def test_a_length_that_wavegan_does_not_make_is_refused(network, size):
    message = "clip_samples is 20000; WaveGAN makes 4096, 8192, 16384, 32768 or 65536; try 16384$"
    with pytest.raises(ValueError, match=message):
        network(size)
