"""Defines discriminators that first turn tiles of neighbours into channels: convolutions of few channels are slow.

A tile of a spectrum holds some rows of some frames, a tile of a waveform some samples (space to depth, as in Shi et al.
2016). After the tiles come a convolution, strided convolutions, a hidden layer and a score. The hidden layer may also
get the minibatch standard deviation (Karras et al. 2018, section 3), which reveals a generator of similar clips.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan import distributed, settings
from wavegan.models.activations import LeakyReLU
from wavegan.models.conv1d import Convolution, initialize_uniform
from wavegan.models.conv2d import Convolution2dStage
from wavegan.models.heads import ScoreLayer, last_layer
from wavegan.models.lengths import Lengths
from wavegan.models.mlp import DenseStage
from wavegan.models.piecewise_linear import ConvolutionStage, ScoreStage

WIDEST = 4  # times dim, the most channels of a layer
TILE_SAMPLES = 16
STRIDE = 4  # of the convolutions for waveforms
FEW_PLACES = 4
LEAST_VARIANCE = 1e-4


class Tiled(nn.Module):
    """Holds the common parts of these discriminators: `blocks` on tiles, then a hidden layer and the score."""

    lengths = Lengths()
    joins_batches = True  # `spread` keeps the groups of real and of generated clips apart

    def build(self, blocks: list[nn.Module], features: int, dim: int, labels: int, outputs: int, group: int) -> None:
        """Makes the layers. features: the numbers that `blocks` give for a clip, or for a patch."""
        self.group = group
        self.blocks = nn.Sequential(*blocks)
        self.spread_copies = features // (WIDEST * dim) if group > 1 else 0
        self.hidden = nn.Sequential(nn.Linear(features + self.spread_copies, WIDEST * dim), LeakyReLU(0.2))
        self.dense = last_layer(WIDEST * dim, outputs, labels)
        initialize_uniform(self)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.blocks(self.tiles(x)).movedim(1, -1)
        if self.spread_copies:
            x = torch.cat([x.flatten(1), spread(x, self.group)[:, None].expand(-1, self.spread_copies)], dim=1)
        return self.dense(self.hidden(x.flatten(1)), labels)

    def tiles(self, x: Tensor) -> Tensor:
        """Turns neighbours into channels."""
        raise NotImplementedError

    def untiled(self, tiles: Tensor, like: Tensor) -> Tensor:
        """Turns tiles back into a tensor of the shape of `like`; this is the adjoint of `tiles`."""
        raise NotImplementedError

    def convolutions(self, batches: int, examples: int) -> list[Any]:
        """Returns the stages of `blocks`."""
        raise NotImplementedError

    @property
    def stages(self) -> Callable[..., list[Any]] | None:
        """Returns a function that takes the network apart for one pass, or None if it is not piecewise linear.

        Call it as stages(batches, examples, labels).
        """
        return self._stages if isinstance(self.dense, ScoreLayer) and not self.spread_copies else None

    def _stages(self, batches: int, examples: int, labels: Tensor | None = None) -> list[Any]:
        linear, activation = self.hidden
        assert isinstance(self.dense, ScoreLayer), "an encoder has no score to take apart"
        assert isinstance(linear, nn.Linear) and isinstance(activation, LeakyReLU), "they take turns"
        first, *following = self.convolutions(batches, examples)
        last = [DenseStage.of(linear, activation), ScoreStage.of(self.dense, batches, labels)]
        return [TilesStage(first, self.tiles, self.untiled), *following, *last]


@dataclass(frozen=True)
class TilesStage:
    """Computes the tiles and the first convolution, as `piecewise_linear.ConvolutionStage`; it takes (N, …, C).

    tiles, untiled: methods of `Tiled`, which work on (N, C, …).
    """

    convolution: ConvolutionStage | Convolution2dStage
    tiles: Callable[[Tensor], Tensor]
    untiled: Callable[[Tensor, Tensor], Tensor]

    @property
    def weight(self) -> Tensor:
        return self.convolution.weight

    @property
    def bias(self) -> Tensor:
        return self.convolution.bias

    def __call__(self, x: Tensor) -> Tensor:
        return self.convolution(self._tiled(x))

    def tangent(self, t: Tensor, y: Tensor) -> Tensor:
        """Returns the derivative of y in the direction t of x; t and y may hold only the last rows of a pass."""
        return self.convolution.tangent(self._tiled(t), y)

    def activation_gradient(self, d: Tensor, y: Tensor) -> Tensor:
        """Returns the gradient of the affine map's output from the gradient of y."""
        return self.convolution.activation_gradient(d, y)

    def input_gradient(self, d: Tensor, x: Tensor) -> Tensor:
        """Returns the gradient of x from that of the affine map's output; of x only the shape is read."""
        tiles = self.convolution.input_gradient(d, d)  # there are as many tiles as places: the stride is 1
        return self.untiled(tiles.movedim(-1, 1), x.movedim(-1, 1)).movedim(1, -1).contiguous()

    def parameter_gradients(self, x: Tensor, d: Tensor, bias_rows: int) -> tuple[Tensor, Tensor]:
        """Returns the gradients of weight and bias; that of the bias sums only the first `bias_rows` rows."""
        return self.convolution.parameter_gradients(self._tiled(x), d, bias_rows)

    def _tiled(self, x: Tensor) -> Tensor:
        return self.tiles(x.movedim(-1, 1)).movedim(1, -1).contiguous()


class WaveformDiscriminator(Tiled):
    """Maps waveforms (N, channels, T) to one unbounded number each, (N,).

    shape: (channels, T). A tile has 16 samples. Each layer divides the number of positions by 4 until 4 or less are
    left. All else is as in `tiled_spectrum.SpectralDiscriminator`.
    """

    sees = "waveform"

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        labels: int = 0,
        outputs: int = 1,
        dim: settings.Dim = 32,
        group: settings.Group = 4,
    ):
        super().__init__()
        channels, samples = shape
        places = -(-samples // TILE_SAMPLES)
        layers = max(0, math.ceil(math.log(places / FEW_PLACES, STRIDE)))
        self.places = -(-places // STRIDE**layers) * STRIDE**layers
        blocks: list[nn.Module] = [Convolution(channels * TILE_SAMPLES, dim, 5), LeakyReLU(0.2)]
        width = dim
        for layer in range(1, layers + 1):
            width, before = dim * min(2**layer, WIDEST), width
            blocks += [Convolution(before, width, 2 * STRIDE, stride=STRIDE), LeakyReLU(0.2)]
        self.build(blocks, self.places // STRIDE**layers * width, dim, labels, outputs, group)

    def tiles(self, x: Tensor) -> Tensor:
        """Turns (N, C, T) into (N, 16 · C, tiles), channels last in memory."""
        missing = self.places * TILE_SAMPLES - x.shape[-1]
        x = F.pad(x, (0, missing)) if missing else x
        return x.unflatten(2, (-1, TILE_SAMPLES)).transpose(1, 2).flatten(2).transpose(1, 2)

    def untiled(self, tiles: Tensor, like: Tensor) -> Tensor:
        """Turns tiles back into (N, C, T)."""
        x = tiles.transpose(1, 2).unflatten(2, (-1, TILE_SAMPLES)).transpose(1, 2)
        return x.flatten(2)[..., : like.shape[2]]

    def convolutions(self, batches: int, examples: int) -> list[Any]:
        layers = list(self.blocks)
        pairs = zip(layers[::2], layers[1::2], strict=True)
        return [ConvolutionStage.of(layer, activation, None, batches, examples) for layer, activation in pairs]  # type: ignore[arg-type]


def spread(x: Tensor, group: int) -> Tensor:
    """Computes for each clip, (N,), how much the clips of its group differ: the mean standard deviation of features.

    x: (N, …); it may hold real clips and then as many generated ones. A group holds neighbours of one half of the
    batch, so it never mixes both. If `group` does not divide the half, their greatest common divisor is the group size.
    The half is that of all processes together, whose shares of a batch hold whole groups.
    """
    rows = distributed.whole_rows(len(x))
    half = rows // 2 if rows % 2 == 0 else rows
    groups = x.flatten(1).unflatten(0, (-1, math.gcd(half, group)))
    centred = groups - groups.mean(1, keepdim=True)
    deviations = (centred.square().mean(1) + LEAST_VARIANCE).sqrt().mean(1)
    return deviations.repeat_interleave(groups.shape[1])
