"""Turns features of frames into sound: a head says each frame's spectrum, whose inverse transform is the sound."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.dsp.frames import framed, inverse_real_transform, overlap_added, real_transform
from wavegan.dsp.stft import full_scale
from wavegan.models.heads import full_precision
from wavegan.models.phases import detuning, glottal_phases, minimum_phase, turned
from wavegan.models.pulses import pitch_unit
from wavegan.models.spectral_head import LOUDNESS_GAIN, Spectra, hiss_factors, levels_below, map_count

LOUDEST = math.log(2)  # of a bin where nothing was measured: magnitudes' natural logarithm, a full-scale sine's is 0
SOFTER = 0.25  # times LOUDNESS_GAIN, how far long frames begin below the levels of the sound, as a natural logarithm
BESIDE_PULSES = 0.3  # times as large begin the complex numbers of bins in which pulses ring
AT_ONCE = 2048  # frames of a long sound that are made together; 16 s at 16 kHz and a hop of 128
OPEN = 0.5  # times LOUDNESS_GAIN, where a gate begins: at 0.88


class SpectralFrames(nn.Module):
    """Holds the head of frames of one length, the levels it starts from, and the way from spectra to sound.

    No bin's magnitude exceeds its bound, sources apart, whatever the weights. Maps, spectra and sound have mixed
    channels, see `channel_mix`. The generator is its own short frames, so that its checkpoints keep their names.
    """

    period = 0  # frames
    start_levels: Tensor
    bounds: Tensor
    turn: Tensor
    synthesis: Tensor
    ringing: Tensor | None
    glottal: Tensor | None
    advances: Tensor | None

    def build(
        self,
        clip_samples: int,
        channels: int,
        dim: int,
        window: int,
        hop: int,
        *,
        sources: int,
        broad_sources: int = 0,
        detuned_bins: bool,
        tuned_bins: bool = False,
        rings: bool = False,
        glottal: bool = False,
        filters: bool = False,
        edge: int = 0,
    ) -> None:
        """Makes the head for features of `dim` numbers; window, hop and edge are in samples.

        sources: how many each bin has a share of; the first `broad_sources` are kept below the mean level around.
        detuned_bins: a bin whose number stays the same rings off its centre, see `detuning`. tuned_bins: it rings where
        the partials of the sound in it lie, see `LevelMeter`. rings: the last source has the phases of the
        minimum-phase filter with the frame's levels; glottal: and those of a glottis, as a voice has. filters: the
        complex numbers filter the last source, and there are no steady sines. edge: of the sound that is made on both
        sides of the clip and cut off, a multiple of the hop.
        """
        self.clip_samples, self.channels, self.window, self.hop = clip_samples, channels, window, hop
        self.frames, self.bins = -(-(clip_samples + 2 * edge) // hop), window // 2 + 1
        self.overhang = (window - hop) // 2  # samples of the first frame that lie before all that is made
        self.edge, self.before = edge, self.overhang + edge
        self.broad_sources, self.filters, self.detuned_bins = broad_sources, filters, detuned_bins
        self.head = nn.Linear(dim, channels * map_count(self.bins, sources - filters))
        self.register_buffer("start_levels", torch.zeros(channels, self.bins))
        self.register_buffer("bounds", torch.full((channels, self.bins), LOUDEST))
        self.register_buffer("turn", self._turn(), persistent=False)
        self.register_buffer("advances", self._centres() if tuned_bins else None)
        self.register_buffer("synthesis", self._synthesis_window(), persistent=False)
        unit = pitch_unit(window, hop)
        self.register_buffer("ringing", minimum_phase(window, unit) if rings else None, persistent=False)
        self.register_buffer("glottal", glottal_phases(window, unit) if glottal else None, persistent=False)

    @torch.no_grad()
    def begin_head(self, *start_shares: float, loudness: float = 0.0) -> None:
        """Sets a head that makes the start levels in all bins, with phases of no order.

        start_shares: those of the sources in a bin. loudness: of all frames, times LOUDNESS_GAIN a natural logarithm.
        Where pulses ring, the complex numbers are a small part beside them; where they filter a source, its share.
        """
        self.head.weight.mul_(0.5)
        bias = self.head.bias.view(self.channels, -1)
        bias[:, 0] = loudness
        level, real, imaginary, *shares = bias[:, 1:].unflatten(1, (-1, self.bins)).unbind(1)
        level.zero_()
        if self.filters:
            real.fill_(start_shares[-1])
            imaginary.zero_()
        else:
            size = 1 if self.ringing is None else BESIDE_PULSES
            for part in (real, imaginary):  # were they all alike, clips would begin as clicks
                part.uniform_(-size, size)
        for share, start in zip(shares, start_shares, strict=False):
            share.fill_(start)

    def maps(self, x: Tensor) -> Tensor:
        """Computes what the head says, (N, channels, frames, `map_count`), of features (N, frames, dim)."""
        return self.head(x).unflatten(-1, (self.channels, -1)).transpose(1, 2)

    def sound(self, x: Tensor, sources: Callable[[slice], Sequence[Tensor]]) -> Tensor:
        """Makes sound (N, channels, clip_samples) of features (N, frames, dim).

        sources: gives their spectra in a slice of the frames, see `spectra`. Without gradients a long sound is made a
        part at a time, each with the frames before it that reach into it: all spectra at once take gigabytes.
        """
        if torch.is_grad_enabled() or self.frames <= AT_ONCE:
            return self._cut(self._made(x, sources, slice(0, self.frames)))
        reach, parts = self.window // self.hop - 1, []
        for start in range(0, self.frames, AT_ONCE):
            first, end = max(0, start - reach), min(start + AT_ONCE, self.frames)
            sound = self._made(x, sources, slice(first, end))[..., (start - first) * self.hop :]
            parts.append(sound if end == self.frames else sound[..., : AT_ONCE * self.hop])
        return self._cut(torch.cat(parts, dim=-1))

    def _made(self, x: Tensor, sources: Callable[[slice], Sequence[Tensor]], part: slice) -> Tensor:
        """Makes the sound of some frames, from the beginning of the first to the end of the last."""
        maps = self.maps(x[:, part])
        with full_precision(maps):
            return self._overlapped(self.spectra(maps.float(), *sources(part), part=part))

    def spectra(self, maps: Tensor, *sources: Tensor, part: slice = slice(None)) -> Tensor:
        """Computes spectra (N, channels, frames, bins, 2) of maps; a full-scale sine has 1.

        sources: their spectra, in the form of the result or with 1 in place of the channels. part: which of all frames
        they are.
        """
        room, levels = levels_below(maps, self.start_levels, self.bounds)
        if self.broad_sources:
            broad, others = sources[: self.broad_sources], sources[self.broad_sources :]
            factors = hiss_factors(levels)[..., None]
            sources = (*(source * factors for source in broad), *others)
        if self.ringing is not None:
            phases = levels @ self.ringing
            sources = (*sources[:-1], turned(sources[-1], phases if self.glottal is None else phases + self.glottal))
        if self.filters:
            turn, sources = sources[-1].movedim(-1, 0), sources[:-1]
        else:
            turn = self.turn[:, part] if self.advances is None else self._tuned_turn(self.advances, part)
        return Spectra.apply(maps, room, levels, turn, *sources)

    def synthesized(self, spectra: Tensor) -> Tensor:
        """Transforms spectra back into sound (N, channels, clip_samples)."""
        return self._cut(self._overlapped(spectra))

    def _overlapped(self, spectra: Tensor) -> Tensor:
        return overlap_added(inverse_real_transform(spectra) * self.synthesis, hop=self.hop)

    def _cut(self, sound: Tensor) -> Tensor:
        """Returns the clip in the sound of all frames."""
        return sound[..., self.before : self.before + self.clip_samples]

    def analysed(self, mixed: Tensor) -> Tensor:
        """Computes the spectra (N, channels, frames, bins, 2) of sound (N, channels, clip_samples)."""
        frames = framed(self.padded(mixed), window=self.window, hop=self.hop)
        hann = torch.hann_window(self.window, device=mixed.device)
        return real_transform(frames * hann) / full_scale(self.window)

    def repeat_after(self, period: int) -> None:
        """Lets the phases that bins gather repeat after so many frames; bins ring at the nearest pitches that do."""
        self.period = period
        self.turn = self._turn().to(self.turn)

    @property
    def whole_frames(self) -> slice:
        """Returns which frames lie wholly within a clip."""
        end = (self.clip_samples + self.overhang - self.window) // self.hop + 1
        return slice(-(-self.overhang // self.hop), max(0, end))

    def padded(self, clips: Tensor) -> Tensor:
        """Pads clips with the silence that the first and the last frame reach into."""
        missing = (-(-self.clip_samples // self.hop) - 1) * self.hop + self.window - self.clip_samples
        return F.pad(clips, (self.overhang, missing - self.overhang))

    def _tuned_turn(self, advances: Tensor, part: slice = slice(None)) -> Tensor:
        """Returns what takes the place of `turn` where phases advance by these radians from frame to frame, (bins,)."""
        frames = torch.arange(self.frames, device=advances.device)[part]
        if self.period:
            whole = 2 * math.pi / self.period
            frames, advances = frames % self.period, (advances / whole).round() * whole
        angles = frames[:, None] * advances
        return torch.stack([angles.cos(), angles.sin()])

    def _centres(self) -> Tensor:
        """Returns by how much the phase of a sine in the middle of each bin advances in a hop, (bins,) in radians."""
        return (torch.arange(self.bins) * self.hop % self.window) * (2 * math.pi / self.window)

    def _turn(self) -> Tensor:
        """Returns cosine and sine (2, frames, bins) of the phase that a sine in each bin has gathered, float32."""
        frames, places = (torch.arange(count, dtype=torch.float64) for count in (self.frames, self.bins))
        if self.detuned_bins:
            places += detuning(self.bins)
        if self.period:
            whole = self.window / (self.hop * self.period)
            frames, places = frames % self.period, (places / whole).round() * whole
        steps = torch.outer(frames, places) * self.hop % self.window
        angles = steps * (2 * math.pi / self.window)
        return torch.stack([angles.cos(), angles.sin()]).float()

    def _synthesis_window(self) -> Tensor:
        """Returns what frames are multiplied by before they are added: a clip's own spectra give the clip again."""
        hann = torch.hann_window(self.window)
        return hann * (full_scale(self.window) * self.hop / hann.square().sum())


class LongFrames(SpectralFrames):
    """Makes the steady part of a sound: spectra of long frames without noise, and a gate that opens and closes fast.

    The same error of a phase moves a partial's frequency less where frames are long. But a hit in the middle of a long
    frame would be heard from its beginning. So each short frame says the gate, a share of 0 to 1 of this part; between
    the middles of short frames it is interpolated. Fewer frames reach the ends of a clip than its middle; there they
    count for more, so that a steady sine has the same level everywhere. short_window, short_hop: in samples; the long
    frames are `factor` times as long. detuned_bins: see `detuning`.
    """

    fade: Tensor
    evenness: Tensor

    def __init__(
        self,
        clip_samples: int,
        channels: int,
        dim: int,
        short_window: int,
        short_hop: int,
        factor: int,
        *,
        detuned_bins: bool = False,
        tuned_bins: bool = False,
        edge: int = 0,
    ):
        super().__init__()
        window, hop = factor * short_window, factor * short_hop
        form = (clip_samples, channels, dim, window, hop)
        self.build(*form, sources=0, detuned_bins=detuned_bins, tuned_bins=tuned_bins, edge=edge)
        self.gate = nn.Linear(dim, 1)
        self.factor, self.short_hop = factor, short_hop
        self.register_buffer("fade", torch.hann_window(2 * short_hop), persistent=False)
        self.register_buffer("evenness", self._evenness(), persistent=False)

    @torch.no_grad()
    def begin(self) -> None:
        """Sets the layers to start from: softer than the sound, of which short frames make a part, too."""
        self.begin_head(loudness=-SOFTER)
        self.gate.bias.fill_(OPEN)

    def forward(self, x: Tensor, short: Tensor) -> Tensor:
        """Makes sound (N, channels, clip_samples).

        x: features (N, frames, dim). short: those of the short frames, (N, short frames, dim).
        """
        steady, said = self.sound(x, lambda _: ()), self.gate(short)
        with full_precision(steady):
            return steady * (self.evenness * self._opened(said.float()))

    def _opened(self, said: Tensor) -> Tensor:
        """Computes the gate (N, 1, clip_samples) of what short frames say, (N, short frames, 1)."""
        shares = torch.sigmoid(LOUDNESS_GAIN * said)
        shares = torch.cat([shares[:, :1], shares, shares[:, -1:]], dim=1)
        gate = overlap_added(shares * self.fade, hop=self.short_hop)
        start = self.edge + 3 * self.short_hop // 2  # of the clip: half a hop before the middle of its first frame
        return gate[:, None, start : start + self.clip_samples]

    def _evenness(self) -> Tensor:
        """Returns by what each sample is multiplied (clip_samples,): 1 where all frames reach, up to 2 at the ends."""
        reached = overlap_added(torch.hann_window(self.window).expand(self.frames, -1), hop=self.hop)
        return self.window / (2 * self.hop) / reached[self.before : self.before + self.clip_samples]
