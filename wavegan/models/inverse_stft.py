"""Defines the modern generator: it makes spectra, and their inverse transform is the clip.

Its head says for every frame and bin a complex number of at most 1, shares of hiss and of pulses, and a level. One
loudness raises or lowers all levels of a frame, so that a sound begins and ends in all bins at once. The phase that a
steady sine gathers from frame to frame is added, so the network need not count it. Vocoders end in an inverse transform
as well (Kaneko et al. 2022, iSTFTNet; Siuzdak 2023, Vocos); the hiss is a filtered white noise (Engel et al. 2020,
DDSP); pulses are for sounds with harmonics (`pulses.py`).
"""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan import settings
from wavegan.dsp.frames import framed, inverse_real_transform, overlap_added, real_transform
from wavegan.dsp.prediction import power_of
from wavegan.dsp.representation import Waveform
from wavegan.dsp.stft import full_scale
from wavegan.models.conv1d import Convolution, initialize_uniform
from wavegan.models.heads import LatentLayer, full_precision
from wavegan.models.inputs import Input
from wavegan.models.lengths import Lengths
from wavegan.models.pulses import Pulses, pitches_of
from wavegan.models.spectral_head import Spectra, channel_mix, hiss_factors, levels_below, map_count

START_FRAMES = 16  # about as many, from which the others are interpolated
MAPPED = 2  # times dim, the numbers to which a latent is mapped
KERNEL_SIZE = 5
LOUDEST = math.log(2)  # of a bin where nothing was measured: magnitudes' natural logarithm, a full-scale sine's is 0
HEADROOM = 0.5  # of a bin above the loudest it ever is, as a natural logarithm
FULL_PEAK = 0.95  # a peak that counts as 1, and the share of clips that must have it
PITCHED = 64  # clips in which pitches are looked for, or a few more
SOFTEST = 1e-5  # magnitude below which nothing is measured, -100 dB
LABEL_LENGTH = 2.0  # where a latent has about 8: longer ones leave less to tell the clips of a label apart by


class Generator(nn.Module):
    """Turns latents (N, latent_dim) and noise into clips (N, channels, clip_samples), of any length.

    window, hop: in samples, of the inverse transform; hop divides window, which is even. labels: how many it knows, as
    rows (N, labels) beside the latent, 0 for none. pulses: adds a source of pulses, of one pitch for every frame.
    steady_pitch: `is_steady` of `Pulses`. start_share: the share of hiss and of pulses in a bin of a network that has
    learned nothing. broad_hiss: hiss is no louder than the mean level of the bins around, so that a partial does not
    hiss.

    Channels are mixed: the first map is what they have in common (mid, for stereo), the others are differences (side).
    Sources apart, no bin's magnitude exceeds its bound, whatever the weights: `measure` takes it, and the levels to
    start from, from the sound. `forward` adds an offset (N, mapped) to the mapped latent, if it is given one. Raises
    ValueError for a window and a hop that do not go together.
    """

    lengths = Lengths()
    gives = "waveform"
    needs_statistics = True
    start_levels: Tensor
    bounds: Tensor
    peaks_are_one: Tensor
    turn: Tensor
    synthesis: Tensor
    mix: Tensor

    def __init__(
        self,
        clip_samples: int = 16384,
        channels: int = 1,
        *,
        dim: settings.Dim = 128,
        latent_dim: settings.LatentDim = 64,
        labels: settings.Labels = 0,
        window: settings.Window = 512,
        hop: settings.Hop = 128,
        pulses: settings.Pulses = False,
        steady_pitch: settings.SteadyPitch = False,
        start_share: settings.StartShare = 0.3,
        broad_hiss: settings.BroadHiss = False,
    ):
        super().__init__()
        self.require_window(window, hop)
        self.clip_samples, self.channels, self.labels, self.dim = clip_samples, channels, labels, dim
        self.window, self.hop, self.frames = window, hop, -(-clip_samples // hop)
        self.broad_hiss = broad_hiss
        self.bins = window // 2 + 1
        self.output = Waveform()
        lengths = self._lengths()
        hiss_samples = (self.frames - 1) * hop + window
        self.inputs = (
            Input("normal", (latent_dim,)),
            *(Input("normal", (1, length)) for length in lengths),
            Input("normal", (channels, hiss_samples)),
        )
        self.mapped = mapped = MAPPED * dim
        self.latent = LatentLayer(latent_dim, mapped, labels, label_length=LABEL_LENGTH)
        self.mapping = nn.Sequential(nn.LeakyReLU(0.2), nn.Linear(mapped, mapped), nn.LeakyReLU(0.2))
        self.start = nn.Linear(mapped, dim * lengths[0])
        blocks = [_Block(dim, mapped) for _ in lengths]
        self.blocks = nn.ModuleList(blocks)
        self.pulses = Pulses(window, hop, is_steady=steady_pitch) if pulses else None
        self.pitch = nn.Linear(dim, 1) if pulses else None
        self.head = nn.Linear(dim, channels * map_count(self.bins, 2 if pulses else 1))
        initialize_uniform(self)
        for block in blocks:
            block.begin_empty()
        self._begin_head(start_share)
        self.register_buffer("start_levels", torch.zeros(channels, self.bins))
        self.register_buffer("bounds", torch.full((channels, self.bins), LOUDEST))
        self.register_buffer("peaks_are_one", torch.zeros((), dtype=torch.bool))
        self.register_buffer("turn", self._turn(), persistent=False)
        self.register_buffer("synthesis", self._synthesis_window(), persistent=False)
        self.register_buffer("mix", channel_mix(channels), persistent=False)

    @staticmethod
    def require_window(window: int, hop: int) -> None:
        """Raises ValueError for a window and a hop, in samples, that do not go together."""
        if window % hop or window < 2 * hop or window % 2:
            raise ValueError(
                f"window is {window} and hop {hop}; the window must be even and a multiple of the hop, twice or more; "
                f"try window={4 * hop}"
            )

    def forward(self, z: Tensor, labels: Tensor | None = None, *noise: Tensor, offset: Tensor | None = None) -> Tensor:
        w = self.mapping(self.latent(z, labels))
        if offset is not None:
            w = w + offset
        x = self.start(w).unflatten(1, (-1, self.dim)).transpose(1, 2)
        *rows, white = noise
        for block, row in zip(self.blocks, rows, strict=True):
            if row.shape[-1] != x.shape[-1]:
                x = stretched(x, row.shape[-1])
            x = block(x, w, row)
        x = F.leaky_relu(x, 0.2).transpose(1, 2)
        maps = self.head(x).unflatten(-1, (self.channels, -1)).transpose(1, 2)
        with full_precision(maps):
            sources = [self._hiss(white.float())]
            if self.pulses and self.pitch:  # pitches learn from what the blocks say, and teach them nothing
                sources.append(self.pulses(self.pitch(x.detach().float())[..., 0]))
            clips = self._synthesized(self._spectra(maps.float(), *sources))
            return clips if self.channels == 1 else self.mix.t() @ clips

    @torch.no_grad()
    def measure(self, batches: Iterable[Tensor]) -> None:
        """Measures the start levels and the bounds of the bins on clips, which come in batches (N, channels, T).

        It starts from the squared mean of a bin's root magnitudes, so that neither silence nor hits alone decide. A bin
        may be as loud as it ever is in the clips, and half a neper (4.3 dB) more: beyond that it would have no gradient
        back. Where the clips have a peak of 1, so will generated ones. The range of steady pitches is that of the
        clips' pitches.
        """
        count, total, loudest, peaks, pitches = 0, torch.zeros(()), torch.zeros(()), [], []
        steady = self.pulses if self.pulses and self.pulses.span > 1 else None
        for clips in batches:
            mixed = self.mix @ clips if self.channels > 1 else clips
            if steady and count < PITCHED:
                pitches.append(pitches_of(mixed[:, 0], self.window))
            magnitudes = self._magnitudes(mixed)  # (N, channels, frames, bins)
            count, total = count + len(clips), total + magnitudes.sqrt().mean(2).sum(0)
            loudest = torch.maximum(loudest.to(magnitudes), magnitudes.amax((0, 2)))
            peaks.append(clips.abs().amax(dim=(1, 2)))
        self.start_levels.copy_((total / count).square().clamp(min=SOFTEST).log())
        self.bounds.copy_(loudest.clamp(min=SOFTEST).log() + HEADROOM)
        if steady:
            steady.frequencies.measure(torch.cat(pitches))
        self.peaks_are_one.fill_((torch.cat(peaks) > FULL_PEAK).float().mean() > FULL_PEAK)

    def _magnitudes(self, mixed: Tensor) -> Tensor:
        """Computes the magnitudes (N, channels, frames, bins) of mixed channels (N, channels, T)."""
        frames = framed(self._padded(mixed), window=self.window, hop=self.hop)
        hann = torch.hann_window(self.window, device=mixed.device)
        return power_of(real_transform(frames * hann)).sqrt() / full_scale(self.window)

    def _padded(self, clips: Tensor) -> Tensor:
        """Pads clips with the silence that the first and the last frame reach into."""
        missing = (self.frames - 1) * self.hop + self.window - self.clip_samples
        before = (self.window - self.hop) // 2
        return F.pad(clips, (before, missing - before))

    def _spectra(self, maps: Tensor, hiss: Tensor, *others: Tensor) -> Tensor:
        """Computes spectra (N, channels, frames, bins, 2); a full-scale sine has 1.

        maps: (N, channels, frames, `map_count`). hiss, others: spectra of the sources, in the form of the result or
        with 1 in place of the channels.
        """
        room, levels = levels_below(maps, self.start_levels, self.bounds)
        if self.broad_hiss:
            hiss = hiss * hiss_factors(levels)[..., None]
        return Spectra.apply(maps, room, levels, self.turn, hiss, *others)

    def _hiss(self, white: Tensor) -> Tensor:
        """Transforms the frames of a white noise; a bin has a mean square of 2."""
        return real_transform(framed(white, window=self.window, hop=self.hop)) * (2 / self.window) ** 0.5

    def _synthesized(self, spectra: Tensor) -> Tensor:
        """Transforms spectra back into mixed channels (N, channels, clip_samples)."""
        maps = overlap_added(inverse_real_transform(spectra) * self.synthesis, hop=self.hop)
        before = (self.window - self.hop) // 2
        return maps[..., before : before + self.clip_samples]

    def _lengths(self) -> list[int]:
        """Lists the frames of each block: twice as many each time until there are all, which the last one has again."""
        doublings = max(0, round(math.log2(self.frames / START_FRAMES)))
        return [*(-(-self.frames // 2**left) for left in range(doublings, -1, -1)), self.frames]

    @torch.no_grad()
    def _begin_head(self, start_share: float) -> None:
        """Sets a head that makes a soft noise of the start levels, in which no bin stands out."""
        self.head.weight.mul_(0.5)
        bias = self.head.bias.view(self.channels, -1)
        bias[:, 0] = 0
        level, real, imaginary, *shares = bias[:, 1:].unflatten(1, (-1, self.bins)).unbind(1)
        level.zero_()
        for part in (real, imaginary):  # were they all alike, clips would begin as clicks
            part.uniform_(-1, 1)
        for share in shares:
            share.fill_(start_share)

    def _turn(self) -> Tensor:
        """Returns cosine and sine (2, frames, bins) of the phase that a sine in the middle of each bin has gathered."""
        steps = torch.outer(torch.arange(self.frames), torch.arange(self.bins)) * self.hop % self.window
        angles = steps * (2 * math.pi / self.window)
        return torch.stack([angles.cos(), angles.sin()])

    def _synthesis_window(self) -> Tensor:
        """Returns what frames are multiplied by before they are added: a clip's own spectra give the clip again."""
        hann = torch.hann_window(self.window)
        return hann * (full_scale(self.window) * self.hop / hann.square().sum())


def stretched(x: Tensor, size: int) -> Tensor:
    """Interpolates (N, C, T) linearly to (N, C, size), as `F.interpolate` does.

    It is a product with a matrix: F.interpolate gives each place one thread of a GPU, which loops over clips and
    channels.
    """
    unit = torch.eye(x.shape[-1], dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)
    weights = F.interpolate(unit[None], size=size, mode="linear")[0].t().to(x.dtype)
    return (weights @ x.transpose(1, 2)).transpose(1, 2)


class _Block(nn.Module):
    """Adds two convolutions to its input (N, dim, T), modulated by the mapped latent (N, mapped) and by one noise.

    The noise (N, 1, T) is one number for each place: all that differs between two hits of one latent.
    """

    def __init__(self, dim: int, mapped: int):
        super().__init__()
        self.first, self.last = (Convolution(dim, dim, KERNEL_SIZE) for _ in range(2))
        self.modulation = nn.Linear(mapped, 2 * dim)
        self.gain = nn.Parameter(torch.full((dim, 1), 0.1))

    def begin_empty(self) -> None:
        """Makes it add nothing at the start."""
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        h = self.first(F.leaky_relu(x, 0.2))
        h = h + self.gain.to(h.dtype) * noise.to(h.dtype)
        scale, shift = self.modulation(w)[..., None].chunk(2, dim=1)
        return x + self.last(F.leaky_relu(h * (1 + scale) + shift, 0.2))
