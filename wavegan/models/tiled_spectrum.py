"""Defines discriminators of spectra in tiles: one sees the whole, the other the texture alone; see `tiled`."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from wavegan import settings
from wavegan.models.activations import LeakyReLU
from wavegan.models.conv2d import Convolution2d, convolution_stages
from wavegan.models.spectrogram import strides
from wavegan.models.tiled import WIDEST, Tiled

PATCH_LAYERS = 2  # strided ones, after which a place is a patch of 4 by 4 tiles
MEAN_GAIN = 8.0  # makes up for the mean over patches, which makes slopes small


class _Spectral(Tiled):
    """Holds the common parts of both discriminators: tiles of rows and frames, and convolutions over both."""

    sees = "spectrum"

    def _layers(
        self, shape: tuple[int, int, int], tile: tuple[int, int], dim: int, most: int | None = None
    ) -> tuple[list[nn.Module], int, int]:
        """Returns `blocks`, and the channels and places of their output.

        Strided layers follow until 4 or fewer places are left each way, but no more of them than `most`.
        """
        self.tile = tile
        channels, rows, frames = shape
        rows, frames = -(-rows // tile[0]), -(-frames // tile[1])
        blocks: list[nn.Module] = [Convolution2d(channels * tile[0] * tile[1], dim, 3), LeakyReLU(0.2)]
        width = dim
        for layer, stride in enumerate(strides(rows, frames)[:most], start=1):
            width, before = dim * min(2**layer, WIDEST), width
            blocks += [Convolution2d(before, width, 4, stride=stride), LeakyReLU(0.2)]
            rows, frames = -(-rows // stride[0]), -(-frames // stride[1])
        return blocks, width, rows * frames

    def tiles(self, x: Tensor) -> Tensor:
        """Turns (N, C, rows, frames) into (N, C · tile size, tiles down, tiles across), channels last in memory."""
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


class SpectralDiscriminator(_Spectral):
    """Maps spectra (N, channels, rows, frames) to one unbounded number each, (N,).

    shape: (channels, rows, frames), any sizes: the last tile is filled up with zeros. tile_rows, tile_frames: the sizes
    of a tile. Each layer halves both directions until 4 or less are left. group: the number of clips, neighbours in the
    batch, that are compared with each other, see `spread`. With a group of 1 none are compared; then the network is
    piecewise linear in its input and a penalty needs no double backward. labels: the number of labels, as rows
    (N, labels); 0 for none. With more than one output it is an encoder and gives (N, outputs).
    """

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
        blocks, width, places = self._layers(shape, (tile_rows, tile_frames), dim)
        self.build(blocks, places * width, dim, labels, outputs, group)


class TextureDiscriminator(_Spectral):
    """Maps spectra (N, channels, rows, frames) to one unbounded number each, (N,), by their texture.

    It averages features of patches, four by four tiles and their surroundings, over the whole spectrum. So it learns
    what any patch shows, such as how steady a partial is, from every place of every clip. It judges beside others:
    their scores lose such details once something else tells real clips from generated ones. A penalty takes a double
    backward. Isola et al. (2017, PatchGAN, arXiv:1611.07004) average scores. Arguments are as in
    `SpectralDiscriminator`.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        labels: int = 0,
        outputs: int = 1,
        dim: settings.Dim = 24,
        tile_rows: settings.TileRows = 4,
        tile_frames: settings.TileFrames = 2,
    ):
        super().__init__()
        blocks, width, _ = self._layers(shape, (tile_rows, tile_frames), dim, PATCH_LAYERS)
        self.build(blocks, width, dim, labels, outputs, group=1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        patches = self.hidden(self.blocks(self.tiles(x)).movedim(1, -1))
        return self.dense(MEAN_GAIN * patches.mean((1, 2)), labels)

    @property
    def stages(self) -> None:
        """Returns None: it cannot be taken apart, as no stage computes a mean over patches."""
