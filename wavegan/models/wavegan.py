"""Defines WaveGAN, a generator and a discriminator of waveforms (Donahue et al. 2018, arXiv:1802.04208)."""

import math
from collections.abc import Callable

from torch import Tensor, nn

from wavegan import settings
from wavegan.dsp.representation import Waveform
from wavegan.models.activations import Dropout, LeakyReLU
from wavegan.models.conv1d import Convolution, NearestUpsampling, PostFilter, TransposedConvolution, initialize_glorot
from wavegan.models.heads import LatentLayer, ScoreLayer, last_layer
from wavegan.models.inputs import Input
from wavegan.models.lengths import Lengths
from wavegan.models.phase_shuffle import PhaseShuffle
from wavegan.models.piecewise_linear import ConvolutionStage, ScoreStage

START_POSITIONS = 16
STRIDES = {
    4096: (4, 4, 4, 4),
    8192: (4, 4, 4, 4, 2),
    16384: (4, 4, 4, 4, 4),
    32768: (4, 4, 4, 4, 4, 2),
    65536: (4, 4, 4, 4, 4, 4),
}
LENGTHS = Lengths(tuple(STRIDES))
UPSAMPLING = {"transposed": TransposedConvolution, "nearest": NearestUpsampling}
SHUFFLED_LAYERS = 4
SHUFFLE = settings.PhaseShuffleSettings()


def widths(clip_samples: int, dim: int) -> list[int]:
    """Returns the channels of the hidden layers from the waveform's side inwards: d, 2d, 4d, …, one per stride."""
    LENGTHS.require(clip_samples, "WaveGAN")
    return [dim * 2**layer for layer in range(len(STRIDES[clip_samples]))]


class Generator(nn.Module):
    """Maps a latent (N, latent_dim) to clips (N, channels, clip_samples) in [-1, 1].

    upsample: "transposed" (the original) or "nearest". post_filter: length in samples of a learned filter
    after tanh; 0 for none. labels: the number of labels, as rows (N, labels) beside the latent; 0 for none.
    Raises ValueError for a clip length that WaveGAN does not make.
    """

    lengths = LENGTHS
    gives = "waveform"

    def __init__(
        self,
        clip_samples: int = 16384,
        channels: int = 1,
        *,
        dim: settings.Dim = 64,
        kernel_size: settings.KernelSize = 25,
        latent_dim: settings.LatentDim = 100,
        latent: settings.Latent = "uniform",
        labels: settings.Labels = 0,
        batch_norm: settings.BatchNorm = False,
        upsample: settings.Upsample = "transposed",
        post_filter: settings.PostFilterSamples = 0,
    ):
        super().__init__()
        self.inputs = (Input(latent, (latent_dim,)),)
        self.labels = labels
        self.output = Waveform()
        inwards = widths(clip_samples, dim)
        self.start_channels = inwards[-1]
        self.dense = LatentLayer(latent_dim, START_POSITIONS * self.start_channels, labels)
        outwards = [*reversed(inwards), channels]
        blocks: list[nn.Module] = [*_normalised(outwards[0], batch_norm), nn.ReLU()]
        for layer, stride in enumerate(STRIDES[clip_samples]):
            blocks.append(UPSAMPLING[upsample](outwards[layer], outwards[layer + 1], kernel_size, stride=stride))
            if layer + 1 < len(inwards):
                blocks += [*_normalised(outwards[layer + 1], batch_norm), nn.ReLU()]
        blocks.append(nn.Tanh())
        if post_filter:
            blocks.append(PostFilter(channels, post_filter))
        self.blocks = nn.Sequential(*blocks)
        initialize_glorot(self)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.dense(z, labels)  # (N, 16 · 16d)
        # The original's dense layer is time-major: positions first, then channels.
        x = x.view(-1, START_POSITIONS, self.start_channels).transpose(1, 2)  # (N, 16d, 16)
        return self.blocks(x)  # (N, channels, clip_samples)


class Discriminator(nn.Module):
    """Maps clips (N, channels, clip_samples) to one unbounded number each, (N,).

    shape: (channels, clip_samples). Phase shuffle follows the activation of the first four layers, never the last.
    dropout: the share of each layer's activations that is set to zero. labels: the number of labels, as rows
    (N, labels); 0 for none. With more than one output it is an encoder, without phase shuffle, and gives (N, outputs).
    It is piecewise linear in its input, unless it has batch_norm or dropout. Raises ValueError for a clip length that
    WaveGAN does not make.
    """

    lengths = LENGTHS
    sees = "waveform"

    def __init__(
        self,
        shape: tuple[int, int] = (1, 16384),
        *,
        labels: int = 0,
        outputs: int = 1,
        dim: settings.Dim = 64,
        kernel_size: settings.KernelSize = 25,
        batch_norm: settings.BatchNorm = False,
        dropout: settings.Dropout = 0.0,
        phase_shuffle: settings.Shuffle = SHUFFLE,
    ):
        super().__init__()
        channels, clip_samples = shape
        inwards = [channels, *widths(clip_samples, dim)]
        last = len(inwards) - 2
        blocks: list[nn.Module] = []
        for layer, stride in enumerate(STRIDES[clip_samples]):
            blocks.append(Convolution(inwards[layer], inwards[layer + 1], kernel_size, stride=stride))
            if batch_norm and layer > 0:  # always uses the statistics of the current batch, as the original
                blocks.append(nn.BatchNorm1d(inwards[layer + 1], eps=1e-3, track_running_stats=False))
            blocks.append(LeakyReLU(0.2))
            if dropout:
                blocks.append(Dropout(dropout))
            if phase_shuffle.radius and outputs == 1 and layer < min(SHUFFLED_LAYERS, last):
                blocks.append(PhaseShuffle(phase_shuffle.radius, shared=phase_shuffle.shared))
        self.blocks = nn.Sequential(*blocks)
        self.dense = last_layer(START_POSITIONS * inwards[-1], outputs, labels)
        initialize_glorot(self)

    def forward(self, clips: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.blocks(clips)  # (N, 16d, 16)
        return self.dense(x.transpose(1, 2).flatten(1), labels)  # time-major, as the generator's

    @property
    def stages(self) -> Callable[..., list[ConvolutionStage | ScoreStage]] | None:
        """Returns a function that takes the network apart for one pass, or None if it is not piecewise linear.

        Call it as stages(batches, examples, labels).
        """
        is_piecewise_linear = isinstance(self.dense, ScoreLayer) and not any(
            isinstance(layer, nn.BatchNorm1d | Dropout) for layer in self.blocks
        )
        return self._stages if is_piecewise_linear else None

    def _stages(self, batches: int, examples: int, labels: Tensor | None = None) -> list[ConvolutionStage | ScoreStage]:
        assert isinstance(self.dense, ScoreLayer), "an encoder has no score to take apart"
        layers, stages = list(self.blocks), []
        for place, layer in enumerate(layers):
            if isinstance(layer, Convolution):
                activation, after = layers[place + 1], layers[place + 2 : place + 3]
                assert isinstance(activation, LeakyReLU), "every convolution is followed by its activation"
                shuffle = after[0] if after and isinstance(after[0], PhaseShuffle) else None
                stages.append(ConvolutionStage.of(layer, activation, shuffle, batches, examples))
        return [*stages, ScoreStage.of(self.dense, batches, labels)]


def parameter_count(network: nn.Module) -> int:
    """Counts the learned numbers of a network."""
    return sum(math.prod(parameter.shape) for parameter in network.parameters())


def _normalised(channels: int, batch_norm: bool) -> list[nn.Module]:
    # TensorFlow's momentum of 0.99 is 0.01 in PyTorch.
    return [nn.BatchNorm1d(channels, eps=1e-3, momentum=0.01)] if batch_norm else []
