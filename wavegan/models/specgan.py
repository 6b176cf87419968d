"""Defines SpecGAN, a generator and a discriminator of log spectrograms (Donahue et al. 2018, section 3.4)."""

from collections.abc import Callable

from torch import Tensor, nn

from wavegan import settings
from wavegan.dsp.representation import LogSpectrogram
from wavegan.models.activations import Dropout, LeakyReLU
from wavegan.models.conv1d import initialize_glorot
from wavegan.models.conv2d import (
    Convolution2d,
    Convolution2dStage,
    NearestUpsampling2d,
    TransposedConvolution2d,
    convolution_stages,
)
from wavegan.models.heads import LatentLayer, ScoreLayer, last_layer
from wavegan.models.inputs import Input
from wavegan.models.lengths import Lengths
from wavegan.models.piecewise_linear import ScoreStage

BINS = 128
HOP_SAMPLES = 128  # from one frame to the next
LAYERS = 5  # each halves or doubles bins and frames
LENGTHS = Lengths(multiple=HOP_SAMPLES * 2**LAYERS)
START_BINS = BINS // 2**LAYERS
UPSAMPLING = {"transposed": TransposedConvolution2d, "nearest": NearestUpsampling2d}


def start_frames(frames: int) -> int:
    """Returns the frames at the innermost layer. Raises ValueError if five halvings do not divide `frames`."""
    if frames < 1 or frames % 2**LAYERS:
        nearest = max(1, round(frames / 2**LAYERS)) * 2**LAYERS
        raise ValueError(
            f"frames is {frames}; SpecGAN makes a multiple of {2**LAYERS} ({HOP_SAMPLES} samples each); try {nearest}"
        )
    return frames // 2**LAYERS


class Generator(nn.Module):
    """Maps a latent (N, latent_dim) to log spectrograms (N, channels, 128, clip_samples / 128) in [-1, 1].

    upsample: "transposed" (the original) or "nearest". labels: the number of labels, as rows (N, labels) beside the
    latent; 0 for none. clip_deviations, griffin_lim_iterations: settings of its `output`, which turns clips into such
    spectrograms and back. Raises ValueError if clip_samples is not a multiple of 4,096.
    """

    lengths = LENGTHS
    gives = "log_spectrogram"

    def __init__(
        self,
        clip_samples: int = 16384,
        channels: int = 1,
        *,
        dim: settings.Dim = 64,
        kernel_size: settings.SquareKernelSize = 5,
        latent_dim: settings.LatentDim = 100,
        latent: settings.Latent = "uniform",
        labels: settings.Labels = 0,
        batch_norm: settings.BatchNorm = False,
        upsample: settings.Upsample = "transposed",
        clip_deviations: settings.ClipDeviations = 3.0,
        griffin_lim_iterations: settings.GriffinLimIterations = 16,
    ):
        super().__init__()
        LENGTHS.require(clip_samples, "SpecGAN")
        self.inputs = (Input(latent, (latent_dim,)),)
        self.labels = labels
        self.output = LogSpectrogram(
            window=2 * BINS, hop=HOP_SAMPLES, clip_deviations=clip_deviations, iterations=griffin_lim_iterations
        )
        outwards = [*(dim * 2**layer for layer in reversed(range(LAYERS))), channels]
        self.start = START_BINS, start_frames(clip_samples // HOP_SAMPLES), outwards[0]
        self.dense = LatentLayer(latent_dim, START_BINS * self.start[1] * outwards[0], labels)
        blocks: list[nn.Module] = []
        for layer in range(LAYERS):
            blocks += [*_normalised(outwards[layer], batch_norm), nn.ReLU()]
            blocks.append(UPSAMPLING[upsample](outwards[layer], outwards[layer + 1], kernel_size, stride=2))
        self.blocks = nn.Sequential(*blocks, nn.Tanh())
        initialize_glorot(self)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.dense(z, labels)  # (N, 4 · frames/32 · 16d): bins first, then frames, then channels
        x = x.view(-1, *self.start).movedim(-1, 1)  # (N, 16d, 4, frames/32)
        return self.blocks(x)  # (N, channels, 128, frames)


class Discriminator(nn.Module):
    """Maps log spectrograms (N, channels, 128, frames) to one unbounded number each, (N,).

    shape: (channels, 128, frames). dropout: the share of each layer's activations that is set to zero. labels: the
    number of labels, as rows (N, labels); 0 for none. With more than one output it is an encoder and gives
    (N, outputs). It is piecewise linear in its input, unless it has batch_norm or dropout. Raises ValueError if frames
    is not a multiple of 32.
    """

    lengths = LENGTHS
    sees = "log_spectrogram"

    def __init__(
        self,
        shape: tuple[int, int, int] = (1, BINS, 128),
        *,
        labels: int = 0,
        outputs: int = 1,
        dim: settings.Dim = 64,
        kernel_size: settings.SquareKernelSize = 5,
        batch_norm: settings.BatchNorm = False,
        dropout: settings.Dropout = 0.0,
    ):
        super().__init__()
        channels, _, frames = shape
        inwards = [channels, *(dim * 2**layer for layer in range(LAYERS))]
        blocks: list[nn.Module] = []
        for layer in range(LAYERS):
            blocks.append(Convolution2d(inwards[layer], inwards[layer + 1], kernel_size, stride=2))
            if batch_norm and layer > 0:  # always uses the statistics of the current batch, as the original
                blocks.append(nn.BatchNorm2d(inwards[layer + 1], eps=1e-3, track_running_stats=False))
            blocks.append(LeakyReLU(0.2))
            if dropout:
                blocks.append(Dropout(dropout))
        self.blocks = nn.Sequential(*blocks)
        self.dense = last_layer(START_BINS * start_frames(frames) * inwards[-1], outputs, labels)
        initialize_glorot(self)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.blocks(x)  # (N, 16d, 4, frames/32)
        return self.dense(x.movedim(1, -1).flatten(1), labels)  # bins, frames, channels, as the generator's

    @property
    def stages(self) -> Callable[..., list[Convolution2dStage | ScoreStage]] | None:
        """Returns a function that takes the network apart for one pass, or None if it is not piecewise linear.

        Call it as stages(batches, examples, labels).
        """
        is_piecewise_linear = isinstance(self.dense, ScoreLayer) and not any(
            isinstance(layer, nn.BatchNorm2d | Dropout) for layer in self.blocks
        )
        return self._stages if is_piecewise_linear else None

    def _stages(
        self, batches: int, examples: int, labels: Tensor | None = None
    ) -> list[Convolution2dStage | ScoreStage]:
        assert isinstance(self.dense, ScoreLayer), "an encoder has no score to take apart"
        return [*convolution_stages(self.blocks), ScoreStage.of(self.dense, batches, labels)]


def _normalised(channels: int, batch_norm: bool) -> list[nn.Module]:
    # TensorFlow's momentum of 0.99 is 0.01 in PyTorch.
    return [nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)] if batch_norm else []
