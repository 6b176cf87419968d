"""Defines a linear discriminator of spectra: it hears tones at fixed frequencies, which all generated clips share."""

from collections.abc import Callable

from torch import Tensor, nn

from wavegan.models.heads import ScoreLayer, last_layer
from wavegan.models.lengths import Lengths
from wavegan.models.piecewise_linear import ScoreStage


class Discriminator(nn.Module):
    """Maps spectra (N, C, rows, frames) to one unbounded number each, (N,): a weighted sum of their mean over frames.

    So it sees the mean spectrum alone, row by row. It judges beside others, of long windows: those that see more lose
    single lines once something else tells real clips from generated ones. Labels are ignored. At the start all scores
    are 0. With more than one output it is an encoder and gives (N, outputs). shape: (C, rows, frames).
    """

    lengths = Lengths()
    sees = "spectrum"
    joins_batches = True

    def __init__(self, shape: tuple[int, int, int], *, labels: int = 0, outputs: int = 1):
        super().__init__()
        channels, rows, _ = shape
        self.dense = last_layer(rows * channels, outputs, labels=0)
        nn.init.zeros_(self.dense.weight)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.dense(x.mean(3).transpose(1, 2).flatten(1))

    @property
    def stages(self) -> Callable[..., list["MeanScoreStage"]] | None:
        """Returns a function that takes the network apart for one pass, or None for an encoder.

        Call it as stages(batches, examples, labels).
        """
        return self._stages if isinstance(self.dense, ScoreLayer) else None

    def _stages(self, batches: int, examples: int, labels: Tensor | None = None) -> list["MeanScoreStage"]:
        return [MeanScoreStage(self.dense.weight, self.dense.bias)]


class MeanScoreStage(ScoreStage):
    """Computes the score of the mean over frames, of x (N, rows, frames, C); all else is as in `ScoreStage`."""

    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x.mean(2))

    def tangent(self, t: Tensor, y: Tensor) -> Tensor:
        return super().tangent(t.mean(2), y)

    def input_gradient(self, d: Tensor, x: Tensor) -> Tensor:
        rows, frames, channels = x.shape[1:]
        by_row = super().input_gradient(d / frames, x).unflatten(1, (rows, 1, channels))
        return by_row.expand(-1, -1, frames, -1).contiguous()

    def parameter_gradients(self, x: Tensor, d: Tensor, bias_rows: int) -> tuple[Tensor, Tensor]:
        return super().parameter_gradients(x.mean(2), d, bias_rows)
