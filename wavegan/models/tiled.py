"""Discriminators that begin with tiles: neighbours lie side by side as channels, since convolutions of few are slow.

Tiles of spectra hold some rows of some frames, those of waveforms some samples (space to depth, as in Shi et al. 2016).
A convolution of tiles, strided ones, a hidden layer and a score follow; the last two also see how much the clips of a
small group differ from each other (minibatch standard deviation, Karras et al. 2018, section 3), which a generator of
like clips gives away.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan import settings
from wavegan.models.dense import Score, last_layer
from wavegan.models.images import Convolution2d, Convolution2dStage, convolution_stages
from wavegan.models.layers import Convolution, LeakyReLU, initialize_uniform
from wavegan.models.lengths import Lengths
from wavegan.models.mlp import DenseStage
from wavegan.models.piecewise_linear import ConvolutionStage, ScoreStage
from wavegan.models.spectrogram import strides

WIDEST = 4  # times dim, the most channels of a layer
TILE_SAMPLES = 16
STRIDE = 4  # of convolutions of waveforms
FEW_PLACES = 4
LEAST_VARIANCE = 1e-4


class _Tiled(nn.Module):
    """The parts that both have in common: `blocks`, of tiles, then a hidden layer and the score."""

    lengths = Lengths()
    joins_batches = True  # `spread` keeps the groups of real and of generated clips apart

    def _build(self, blocks: list[nn.Module], features: int, dim: int, labels: int, outputs: int, group: int) -> None:
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
        """Lays neighbours side by side as channels."""
        raise NotImplementedError

    def untiled(self, tiles: Tensor, like: Tensor) -> Tensor:
        """Lays tiles out again in the shape of what they were made of: the adjoint of `tiles`."""
        raise NotImplementedError

    def convolutions(self, batches: int, examples: int) -> list[Any]:
        """Takes `blocks` apart."""
        raise NotImplementedError

    @property
    def stages(self) -> Callable[..., list[Any]] | None:
        """stages(batches, examples, labels) takes it apart for one pass; None where it is not piecewise linear."""
        return self._stages if isinstance(self.dense, Score) and not self.spread_copies else None

    def _stages(self, batches: int, examples: int, labels: Tensor | None = None) -> list[Any]:
        linear, activation = self.hidden
        assert isinstance(self.dense, Score), "an encoder has no score to take apart"
        assert isinstance(linear, nn.Linear) and isinstance(activation, LeakyReLU), "they take turns"
        first, *others = self.convolutions(batches, examples)
        last = [DenseStage.of(linear, activation), ScoreStage.of(self.dense, batches, labels)]
        return [TilesStage(first, self.tiles, self.untiled), *others, *last]


@dataclass(frozen=True)
class TilesStage:
    """The first convolution with the tiles before it, as `piecewise_linear.ConvolutionStage`; inputs (N, …, C).

    tiles and untiled: of (N, C, …), see `_Tiled`.
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

    def along(self, t: Tensor, y: Tensor) -> Tensor:
        """How y moves when x moves along t; both may be the last rows of a pass only."""
        return self.convolution.along(self._tiled(t), y)

    def before_activation(self, d: Tensor, y: Tensor) -> Tensor:
        """The gradient of the affine map's output, from that of y."""
        return self.convolution.before_activation(d, y)

    def input_gradient(self, d: Tensor, x: Tensor) -> Tensor:
        """The gradient of x, of which only the shape counts, from that of the affine map's output."""
        tiles = self.convolution.input_gradient(d, d)  # as many as places: the stride is 1
        return self.untiled(tiles.movedim(-1, 1), x.movedim(-1, 1)).movedim(1, -1).contiguous()

    def parameter_gradients(self, x: Tensor, d: Tensor, biased: int) -> tuple[Tensor, Tensor]:
        """Those of weight and bias; the bias hears the first `biased` rows only."""
        return self.convolution.parameter_gradients(self._tiled(x), d, biased)

    def _tiled(self, x: Tensor) -> Tensor:
        return self.tiles(x.movedim(-1, 1)).movedim(1, -1).contiguous()


class SpectralDiscriminator(_Tiled):
    """Spectra (N, channels, rows, frames) to one unbounded number each, (N,).

    shape: (channels, rows, frames), any sizes: the last tile is filled up. tile_rows, tile_frames: the sizes of a tile.
    Each layer halves both directions until 4 or less are left. group: clips that are compared, neighbours in the batch,
    where batches are multiples of twice as many; 1 leaves that out, and then it is piecewise linear in its input and a
    penalty needs no double backward. labels: how many it is told, as rows (N, labels), 0
    for none. With more outputs than one it is an encoder and gives (N, outputs).
    """

    sees = "spectrum"

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        labels: int = 0,
        outputs: int = 1,
        dim: settings.Dim = 32,
        tile_rows: settings.TileRows = 4,
        tile_frames: settings.TileFrames = 4,
        group: settings.Group = 4,
    ):
        super().__init__()
        channels, rows, frames = shape
        self.tile = tile_rows, tile_frames
        rows, frames = -(-rows // tile_rows), -(-frames // tile_frames)
        blocks: list[nn.Module] = [Convolution2d(channels * tile_rows * tile_frames, dim, 3), LeakyReLU(0.2)]
        width = dim
        for layer, stride in enumerate(strides(rows, frames), start=1):
            width, before = dim * min(2**layer, WIDEST), width
            blocks += [Convolution2d(before, width, 4, stride=stride), LeakyReLU(0.2)]
            rows, frames = -(-rows // stride[0]), -(-frames // stride[1])
        self._build(blocks, rows * frames * width, dim, labels, outputs, group)

    def tiles(self, x: Tensor) -> Tensor:
        """Turns (N, C, rows, frames) into (N, C · rows and frames of a tile, tiles, tiles), channels last in memory."""
        (down, across), (rows, frames) = self.tile, x.shape[2:]
        x = F.pad(x, (0, -frames % across, 0, -rows % down)) if rows % down or frames % across else x
        x = x.unflatten(3, (-1, across)).unflatten(2, (-1, down))  # (N, C, tiles, down, tiles, across)
        return x.permute(0, 2, 4, 1, 3, 5).flatten(3).movedim(-1, 1)

    def untiled(self, tiles: Tensor, like: Tensor) -> Tensor:
        """Turns tiles back into (N, C, rows, frames)."""
        x = tiles.movedim(1, -1).unflatten(3, (-1, *self.tile)).permute(0, 3, 1, 4, 2, 5)
        return x.flatten(4).flatten(2, 3)[..., : like.shape[2], : like.shape[3]]

    def convolutions(self, batches: int, examples: int) -> list[Any]:
        return convolution_stages(self.blocks)


class WaveformDiscriminator(_Tiled):
    """Waveforms (N, channels, T), of the shape (channels, T), to one unbounded number each, (N,).

    16 samples are a tile. Each layer leaves a quarter of the tiles until 4 or less are left. All else is as in
    `SpectralDiscriminator`.
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
        self._build(blocks, self.places // STRIDE**layers * width, dim, labels, outputs, group)

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
    """How much the clips of a group differ, one number for each clip, (N,): the mean deviation of their features.

    x: (N, …), perhaps as many real as generated clips. Groups are neighbours of one half, so that they never mix both;
    where half of the batch is no multiple of a group, they are as many as divide it evenly.
    """
    half = len(x) // 2 if len(x) % 2 == 0 else len(x)
    groups = x.flatten(1).unflatten(0, (-1, math.gcd(half, group)))
    centred = groups - groups.mean(1, keepdim=True)
    deviations = (centred.square().mean(1) + LEAST_VARIANCE).sqrt().mean(1)
    return deviations.repeat_interleave(groups.shape[1])
