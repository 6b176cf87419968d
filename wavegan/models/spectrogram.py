"""Defines a discriminator of spectrograms of any size, as the views of `dsp/views.py` compute them."""

from collections.abc import Callable

from torch import Tensor, nn

from wavegan import settings
from wavegan.models.activations import Dropout, LeakyReLU
from wavegan.models.conv1d import initialize_glorot
from wavegan.models.conv2d import Convolution2d, Convolution2dStage, convolution_stages
from wavegan.models.heads import ScoreLayer, last_layer
from wavegan.models.lengths import Lengths
from wavegan.models.piecewise_linear import ScoreStage

SMALL = 4  # bins or frames that are not halved further
WIDEST = 16  # times dim, the most channels of a layer


class Discriminator(nn.Module):
    """Maps spectrograms (N, channels, bins, frames) to one unbounded number each, (N,).

    shape: (channels, bins, frames), any sizes. Each layer halves bins and frames, rounded up, until one is 4 or less;
    then only the other is halved. Channels double with each layer, from dim to 16 · dim. For 128 bins and 128 frames it
    is SpecGAN's discriminator. dropout: the share of each layer's activations that is set to zero. labels: the number
    of labels, as rows (N, labels); 0 for none. With more than one output it is an encoder and gives (N, outputs). It is
    piecewise linear in its input, unless it has dropout. Raises ValueError for a size below 1.
    """

    lengths = Lengths()
    sees = "spectrum"

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        labels: int = 0,
        outputs: int = 1,
        dim: settings.Dim = 64,
        kernel_size: settings.SquareKernelSize = 5,
        dropout: settings.Dropout = 0.0,
    ):
        super().__init__()
        if min(shape) < 1:
            raise ValueError(f"shape is {shape}; channels, bins and frames must be 1 or more; use a view's `shape`")
        channels, *sizes = shape
        bins, frames = sizes
        blocks: list[nn.Module] = []
        for layer, stride in enumerate(strides(bins, frames)):
            width = dim * min(2**layer, WIDEST)
            blocks += [Convolution2d(channels, width, kernel_size, stride=stride), LeakyReLU(0.2)]
            if dropout:
                blocks.append(Dropout(dropout))
            channels = width
            bins, frames = -(-bins // stride[0]), -(-frames // stride[1])
        self.blocks = nn.Sequential(*blocks)
        self.dense = last_layer(bins * frames * channels, outputs, labels)
        initialize_glorot(self)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.blocks(x)  # (N, 16d, 4, 4), or less
        return self.dense(x.movedim(1, -1).flatten(1), labels)  # bins, frames, channels

    @property
    def stages(self) -> Callable[..., list[Convolution2dStage | ScoreStage]] | None:
        """Returns a function that takes the network apart for one pass, or None if it is not piecewise linear.

        Call it as stages(batches, examples, labels).
        """
        has_dropout = any(isinstance(layer, Dropout) for layer in self.blocks)
        return self._stages if isinstance(self.dense, ScoreLayer) and not has_dropout else None

    def _stages(
        self, batches: int, examples: int, labels: Tensor | None = None
    ) -> list[Convolution2dStage | ScoreStage]:
        assert isinstance(self.dense, ScoreLayer), "an encoder has no score to take apart"
        return [*convolution_stages(self.blocks), ScoreStage.of(self.dense, batches, labels)]


def strides(bins: int, frames: int) -> list[tuple[int, int]]:
    """Lists the stride of each layer over bins and frames; there is at least one layer, whose stride may be (1, 1)."""
    listed: list[tuple[int, int]] = []
    while not listed or max(bins, frames) > SMALL:
        stride = 2 if bins > SMALL else 1, 2 if frames > SMALL else 1
        bins, frames = -(-bins // stride[0]), -(-frames // stride[1])
        listed.append(stride)
    return listed
