"""Searches the latent whose clip is nearest to a given sound, by gradient descent from several starts."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wavegan import generation
from wavegan.dsp.mel import mel_scale
from wavegan.dsp.spectral_views import LogMel
from wavegan.generation import Model
from wavegan.steering.directions import with_offsets
from wavegan.steering.points import Point, clip_of, maker

RESOLUTIONS = ((0.128, 128), (0.032, 48), (0.008, 16))  # the longest window in seconds, and mel bands
FLOOR_DECIBELS = -60.0  # below full scale; what is softer counts as silence
DECIBELS = 20 / math.log(10)  # of a natural logarithm of magnitudes
CANDIDATES = 256  # random clips, the nearest of which are starts
PHASES = ((48, 24), (8, 60), (2, 100))  # how many starts are followed, for how many steps
OFFSET_STEPS = 60  # for the best of them, in which the mapped latent moves by itself too
LEARNING_RATE, OFFSET_RATE, LAST_RATE = 0.1, 0.03, 0.003
BATCH_SIZE = 16
Watch = Callable[[range], Iterable[int]]


class SpectralDistance:
    """Measures how far clips are apart: the mean difference in dB of log-mel spectra of three resolutions."""

    def __init__(self, sample_rate: int, device: torch.device):
        self.views = [_view(sample_rate, seconds, bands).to(device) for seconds, bands in RESOLUTIONS]

    def spectra(self, clips: Tensor) -> list[Tensor]:
        """Returns the spectra of clips (N, C, T) in dB, one (N, C, bands, frames) for each resolution."""
        return [DECIBELS * view(clips) for view in self.views]

    @torch.no_grad()
    def of_batches(self, batches: Iterable[Tensor]) -> list[Tensor]:
        """Returns the spectra of clips that come in batches."""
        return [torch.cat(parts) for parts in zip(*map(self.spectra, batches), strict=True)]

    def between(self, spectra: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        """Returns the distances (N,) of clips whose spectra are given; either side may be one clip."""
        differences = [(a - b).abs().mean(dim=(1, 2, 3)) for a, b in zip(spectra, others, strict=True)]
        return torch.stack(differences).mean(0)


@dataclass(frozen=True)
class Inversion:
    """Holds the point that came nearest to a sound, its clip (C, T), and distances in dB.

    random: the median distance of the model's random clips.
    """

    point: Point
    clip: Tensor
    distance: float
    random: float


class Inverter:
    """Searches the points of sounds in one model.

    labels: those to search among, or mixes of them; where empty, the best mix of all labels. seed: of the random clips.
    """

    def __init__(self, model: Model, *, labels: Sequence[str] = (), seed: int = 0):
        self.model, self.seed, self.searches_labels = model, seed, not labels and model.labels > 0
        self.distance = SpectralDistance(model.sample_rate, model.device)
        numbers = range(CANDIDATES)
        names = labels or (model.label_names if model.labels else ())
        self.latents = generation.numbered_latents(model, numbers, seed=seed)
        self.labels = generation.numbered_labels(model, numbers, seed=seed, only=names)
        self.spectra = self.distance.of_batches(self._candidates(names))

    def _candidates(self, names: Sequence[str]) -> Iterator[Tensor]:
        clips = generation.generate(self.model, CANDIDATES, seed=self.seed, labels=names, batch_size=BATCH_SIZE)
        return (batch.to(self.model.device) for batch in clips)

    def nearest(self, sound: Tensor, watch: Watch = lambda steps: steps) -> Inversion:
        """Returns the point whose clip is nearest to a sound (C, T) in the model's form.

        The latent, the mix of labels where it is searched, and the level of the noise inputs are followed downhill from
        the nearest random clips, then from the best of those; from the very best also an offset of the mapped latent,
        where the generator has one. watch: counts the steps for a progress bar.
        """
        target = self.distance.of_batches([sound[None].to(self.model.device)])
        distances = self.distance.between(target, self.spectra)
        random = float(distances.median())
        numbers = torch.arange(CANDIDATES)
        labels = torch.zeros(CANDIDATES, 0) if self.labels is None else self.labels
        mapped = getattr(self.model.generator, "mapped", 0)
        rows = [self.latents, torch.ones(CANDIDATES), labels, torch.zeros(CANDIDATES, mapped)]
        phases = [(*phase, LEARNING_RATE, 0) for phase in PHASES] + [(1, OFFSET_STEPS, OFFSET_RATE, 1)][: bool(mapped)]
        steps = iter(watch(range(sum(count for _, count, *_ in phases))))
        for starts, count, rate, moves_offset in phases:
            kept = distances.topk(starts, largest=False).indices.cpu()
            numbers, rows = numbers[kept], [row[kept].detach().clone() for row in rows]
            noise = generation.numbered_noise(self.model, numbers.tolist(), seed=self.seed)
            free = [*rows[:2], *rows[2:3] * self.searches_labels, *rows[3:] * moves_offset]
            moved = [row.requires_grad_() for row in free]
            optimizer = torch.optim.Adam(moved, rate, betas=(0.9, 0.98))
            for step in range(count):
                next(steps)
                optimizer.param_groups[0]["lr"] = LAST_RATE + rate * (1 - step / count)
                self._distances(target, rows, noise).sum().backward(inputs=moved)
                optimizer.step()
                optimizer.zero_grad()
            with torch.no_grad():
                distances = self._distances(target, rows, noise)
        best = int(distances.argmin())
        latent, level, label, offset = (row.detach()[best] for row in rows)
        mix = None if self.labels is None else _mixed(label[None])[0]
        draw = (self.seed, int(numbers[best]), float(level))
        point = Point(self._possible(latent), mix, (draw,), offset if mapped else None, maker(self.model))
        clip = clip_of(self.model, point)
        reached = self.distance.between(target, self.distance.of_batches([clip[None].to(self.model.device)]))
        return Inversion(point, clip, float(reached), random)

    def _distances(self, target: Sequence[Tensor], rows: Sequence[Tensor], noise: Sequence[Tensor]) -> Tensor:
        latents, levels, labels, offsets = rows
        scaled = [part * levels.view(-1, *[1] * (part.dim() - 1)) for part in noise]
        mix = None if self.labels is None else _mixed(labels)
        model = with_offsets(self.model, offsets) if offsets.requires_grad else self.model
        clips = generation.clips_of(model, self._possible(latents), mix, scaled)
        return self.distance.between(target, self.distance.spectra(clips))

    def _possible(self, latents: Tensor) -> Tensor:
        """Returns latents that can be drawn: uniform ones are at most 1."""
        return latents.clamp(-1, 1) if self.model.inputs[0].distribution == "uniform" else latents


def _mixed(labels: Tensor) -> Tensor:
    """Returns shares (N, labels) that are not negative and add up to 1."""
    shares = labels.clamp(min=0)
    return shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-6)


def _view(sample_rate: int, seconds: float, bands: int) -> LogMel:
    """Returns log-mel spectra with a window of a power of two samples, and bands that each hold a bin of it."""
    window = max(16, 2 ** round(math.log2(seconds * sample_rate)))
    most = math.ceil(2 * mel_scale(sample_rate / 2) * 200 / 3 * window / sample_rate) - 2
    return LogMel(sample_rate, window, window // 4, bands=max(1, min(bands, most)), floor_db=FLOOR_DECIBELS)
