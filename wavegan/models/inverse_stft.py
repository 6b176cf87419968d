"""Defines the modern generator: it makes spectra, and their inverse transform is the clip.

Its head says for every frame and bin a complex number of at most 1, shares of its sources, and a level. One
loudness raises or lowers all levels of a frame, so that a sound begins and ends in all bins at once. The phase that a
steady sine gathers from frame to frame is added, so the network need not count it. Vocoders end in an inverse transform
as well (Kaneko et al. 2022, iSTFTNet; Siuzdak 2023, Vocos); the hiss is a filtered white noise (Engel et al. 2020,
DDSP); drops are for rain and fire (`drops.py`); pulses are for sounds with harmonics (`pulses.py`), and in voices they
take the place of sines. Long frames may add a steadier part (`spectral_frames.py`).
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan import settings
from wavegan.dsp.channels import channel_mix
from wavegan.dsp.frames import framed
from wavegan.dsp.representation import Waveform
from wavegan.models.conv1d import initialize_uniform
from wavegan.models.drops import Drops, noise_spectra
from wavegan.models.heads import LatentLayer, full_precision
from wavegan.models.inputs import Input
from wavegan.models.lengths import Lengths
from wavegan.models.level_meter import LevelMeter
from wavegan.models.modulated import ModulatedBlock
from wavegan.models.pitches import DrawnPitches
from wavegan.models.pulses import Pulses, pitch_unit
from wavegan.models.spectral_frames import LongFrames, SpectralFrames
from wavegan.models.stages import latents_on_the_way, stretched, unbounded_stages, way_stops, whole_stages

MAPPED = 2  # times dim, the numbers to which a latent is mapped
LOCAL_FRAMES = 32  # about as many have the same local latents; 256 ms at 16 kHz and a hop of 128
FULL_PEAK = 0.95  # a peak that counts as 1, and the share of clips that must have it
START_PULSES = 0.6  # their share in a bin of a network that has learned nothing, where pitches are drawn
OCTAVE = 2.0  # in the row of drawn pitches that blocks see
LABEL_LENGTH = 2.0  # where a latent has about 8: longer ones leave less to tell the clips of a label apart by


class Generator(SpectralFrames):
    """Turns latents (N, latent_dim) and noise into clips (N, channels, clip_samples), of any length.

    window, hop: in samples, of the inverse transform; hop divides window, which is even. labels: how many it knows, as
    rows (N, labels) beside the latent, 0 for none. local_latents: the latent ends in so many numbers for each part, so
    that the parts differ as they do in music; then it is longer than latent_dim. A part has LOCAL_FRAMES, and between
    the middles of parts they are interpolated. unbounded: clips are parts of a sound without beginning and end, so one
    for short clips makes long ones, see `unbounded_stages`; each frame that the blocks begin with is a part. A long
    sound has several latents of latent_dim numbers and goes from one to the next, see `latents_on_the_way`, as far as
    its `drift` says. pulses: adds a source of pulses, of one pitch for every frame. steady_pitch: `is_steady` of
    `Pulses`. drawn_pitch: the pitch of a clip is drawn as those of the sound, or of its label, are spread, see
    `DrawnPitches`, every block sees it and the head moves it little; and pulses ring, with the phases of the minimum-
    phase filter that has the frame's levels. glottal_pulses: those that ring also swell before their peak, as those of
    a voice do. filtered_pulses: the complex numbers filter the pulses, and there are no steady sines beside them, which
    were noise in a voice. start_share: the share of hiss, drops and pulses in a bin of a network that has learned
    nothing. panned_hiss: each mixed channel has a share of the noise of the one before, too, so that hiss may be louder
    on one side. drops: adds a source of drops, see `Drops`. detuned_bins: see `phases.detuning`. tuned_bins: see
    `LevelMeter`; they take the place of detuned ones. broad_hiss: hiss is no louder than the mean level of the bins
    around, so that a partial does not hiss. long_frames: how many times longer a second set of frames is, see
    `LongFrames`; 0 for none. What they say comes from the first block that has as many frames, or more.

    Channels are mixed: the first map is what they have in common (mid, for stereo), the others are differences (side).
    Sources apart, no bin's magnitude exceeds its bound, whatever the weights: `measure` takes it, and the levels to
    start from, from the sound. `forward` adds an offset (N, mapped) to the mapped latent, if it is given one. Raises
    ValueError for a window and a hop that do not go together.
    """

    lengths = Lengths()
    gives = "waveform"
    needs_statistics = True
    peaks_are_one: Tensor
    mix: Tensor
    drift: Tensor | None

    def __init__(
        self,
        clip_samples: int = 16384,
        channels: int = 1,
        *,
        dim: settings.Dim = 128,
        latent_dim: settings.LatentDim = 64,
        local_latents: settings.LocalLatents = 0,
        unbounded: settings.Unbounded = False,
        labels: settings.Labels = 0,
        window: settings.Window = 512,
        hop: settings.Hop = 128,
        pulses: settings.Pulses = False,
        steady_pitch: settings.SteadyPitch = False,
        drawn_pitch: settings.DrawnPitch = False,
        glottal_pulses: settings.GlottalPulses = True,
        filtered_pulses: settings.FilteredPulses = False,
        start_share: settings.StartShare = 0.3,
        broad_hiss: settings.BroadHiss = False,
        panned_hiss: settings.PannedHiss = False,
        drops: settings.Drops = False,
        detuned_bins: settings.DetunedBins = False,
        tuned_bins: settings.TunedBins = False,
        long_frames: settings.LongFrames = 0,
    ):
        super().__init__()
        self.require_window(window, hop)
        self.labels, self.dim = labels, dim
        self.latent_dim, self.local_latents, self.unbounded = latent_dim, local_latents, unbounded
        edge = window if unbounded else 0
        frames = -(-(clip_samples + 2 * edge) // hop)
        self.stages = unbounded_stages(frames) if unbounded else whole_stages(frames)
        self.local_parts = self.stages[0].length if unbounded else max(2, round(frames / LOCAL_FRAMES))
        self.stops = way_stops(-(-clip_samples // hop)) if unbounded else 1
        self.output = Waveform()
        is_drawn = pulses and drawn_pitch
        pitched = self.stages[0].length * self.stages[0].stride if unbounded else frames
        self.drawn_pitches = DrawnPitches(pitched, pitch_unit(window, hop), hop, labels) if is_drawn else None
        self.mapped = mapped = MAPPED * dim
        self.latent = LatentLayer(latent_dim, mapped, labels, label_length=LABEL_LENGTH)
        self.mapping = nn.Sequential(nn.LeakyReLU(0.2), nn.Linear(mapped, mapped), nn.LeakyReLU(0.2))
        self.start = nn.Linear(mapped, dim if unbounded else dim * self.stages[0].length)
        self.local = nn.Linear(local_latents, dim) if local_latents else None
        blocks = [ModulatedBlock(dim, mapped, knows_pitch=is_drawn) for _ in self.stages]
        self.blocks = nn.ModuleList(blocks)
        of_pulses = {"is_steady": steady_pitch, "is_drawn": is_drawn, "are_notes": not glottal_pulses}
        self.pulses = Pulses(window, hop, **of_pulses, edge=edge) if pulses else None
        self.pitch = nn.Linear(dim, 1) if pulses else None
        self.panned_hiss = panned_hiss and channels > 1
        hisses, form = 1 + self.panned_hiss, (clip_samples, channels, dim, window, hop)
        sources = {"sources": hisses + drops + pulses, "broad_sources": hisses * broad_hiss}
        sources |= {"rings": is_drawn, "glottal": is_drawn and glottal_pulses, "filters": pulses and filtered_pulses}
        bins = {"detuned_bins": detuned_bins, "tuned_bins": tuned_bins, "edge": edge}
        self.build(*form, **sources, **bins)
        self.long_frames = LongFrames(*form, long_frames, **bins) if long_frames else None
        self.drops = Drops(dim, channel_mix(channels), window=window, hop=hop) if drops else None
        self.inputs = self._declared_inputs()
        initialize_uniform(self)
        for block in blocks:
            block.begin_empty()
        of_noise = [start_share, *[0.0] * self.panned_hiss, *[start_share] * drops]
        self.begin_head(*of_noise, START_PULSES if is_drawn else start_share)
        for part in filter(None, (self.long_frames, self.drops)):
            part.begin()
        self.register_buffer("peaks_are_one", torch.zeros((), dtype=torch.bool))
        self.register_buffer("mix", channel_mix(channels), persistent=False)
        self.register_buffer("drift", torch.ones(max(1, labels)) if unbounded else None)

    def _declared_inputs(self) -> tuple[Input, ...]:
        """Lists the latent, a row of noise for each block, white noise for the hiss, and numbers of drawn pitches."""
        hiss_samples = (self.frames - 1) * self.hop + self.window
        pitches = (Input("normal", (self.drawn_pitches.count,)),) if self.drawn_pitches else ()
        return (
            Input("normal", (self.latent_dim * self.stops + self.local_latents * self.local_parts,)),
            *(Input("normal", (1, stage.length)) for stage in self.stages),
            Input("normal", (self.channels, hiss_samples)),
            *pitches,
        )

    @staticmethod
    def require_window(window: int, hop: int) -> None:
        """Raises ValueError for a window and a hop, in samples, that do not go together."""
        if window % hop or window < 2 * hop or window % 2:
            raise ValueError(
                f"window is {window} and hop {hop}; the window must be even and a multiple of the hop, twice or more; "
                f"try window={4 * hop}"
            )

    def forward(self, z: Tensor, labels: Tensor | None = None, *noise: Tensor, offset: Tensor | None = None) -> Tensor:
        w = self._way(z, labels)
        if offset is not None:
            w = w + offset[:, None]
        x = self.start(w).unflatten(-1, (-1, self.dim)).flatten(1, 2).transpose(1, 2)
        w = w.transpose(1, 2)
        if self.local:
            local = self.local(z[:, self.latent_dim * self.stops :].unflatten(1, (-1, self.local_latents)))
            x = x + (local.transpose(1, 2) if self.unbounded else stretched(local.transpose(1, 2), x.shape[-1]))
        rows, (white, *numbers) = noise[: len(self.blocks)], noise[len(self.blocks) :]
        first, drawn, pitch = self.stages[0], (), None
        if self.drawn_pitches:
            with full_precision(numbers[0]):
                pitches = self.drawn_pitches(numbers[0].float(), labels)
                pitch = OCTAVE * (pitches - self.drawn_pitches.own.mean())[:, None]
                drawn = pitches[:, first.margin * first.stride :][:, : self.frames], self.drawn_pitches.reach
        features = []
        for block, stage, row in zip(self.blocks, self.stages, rows, strict=True):
            if self.stops > 1:
                w = stage.of(w)
            x = block(stage.of(x), w, row, None if pitch is None else stage.seen(pitch, first))
            features.append(stage.within(x))
        x = _activated(features[-1][..., : self.frames])
        pulses = None
        if self.pulses and self.pitch:
            with full_precision(x):  # pitches learn from what the blocks say, and teach them nothing
                pulses = self.pulses(self.pitch(x.detach().float())[..., 0], *drawn)

        if self.drops:
            exponents = self.drops.exponents(x)
            with full_precision(x):
                bursts = self.drops.bursts(white.float())

        def sources(part: slice) -> list[Tensor]:
            samples = slice(part.start * self.hop, (part.stop - 1) * self.hop + self.window)
            hiss = noise_spectra(framed(white[..., samples].float(), window=self.window, hop=self.hop))
            spectra = [hiss, hiss.roll(1, dims=1)] if self.panned_hiss else [hiss]
            if self.drops:
                spectra.append(self.drops(bursts[..., samples], exponents[:, part]))
            if pulses is not None:
                spectra.append(pulses[:, :, part])
            return spectra

        clips = self.sound(x, sources)
        if self.long_frames:
            clips = clips + self.long_frames(_activated(self._slow(features)), x)
        with full_precision(clips):
            return clips if self.channels == 1 else self.mix.t() @ clips

    def _slow(self, features: list[Tensor]) -> Tensor:
        """Returns the features (N, dim, frames) of the long frames: those of the first block that makes enough."""
        assert self.long_frames, "asked for by long frames only"
        frames, hops = self.long_frames.frames, self.long_frames.frames * self.long_frames.factor
        stage, given = next(pair for pair in zip(self.stages, features, strict=True) if pair[1].shape[-1] >= frames)
        return stretched(given[..., : -(-hops // stage.stride)], frames)

    def mapped_latents(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents, without their local numbers, and labels to what the whole clip follows, (N, mapped)."""
        return self.mapping(self.latent(z[:, : self.latent_dim], labels))

    def _way(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Computes what each place of the first block follows, (N, places, mapped); one place stands for all."""
        if self.stops == 1:
            return self.mapped_latents(z, labels)[:, None]
        stops = z[:, : self.latent_dim * self.stops].unflatten(1, (self.stops, -1))
        latents = latents_on_the_way(stops, self.stages[0], self._drift_of(z, labels), self.period)
        places = latents.shape[1]
        each = None if labels is None else labels.repeat_interleave(places, dim=0)
        return self.mapped_latents(latents.flatten(0, 1), each).unflatten(0, (-1, places))

    def _drift_of(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Returns the drift (N,) of the clips of latents and label weights."""
        assert self.drift is not None, "a sound of several latents is of any length"
        return self.drift.expand(len(z)) if labels is None else labels.to(self.drift) @ self.drift

    def _load_from_state_dict(self, state_dict, prefix, *others) -> None:
        """Takes the drift of models that lack one: each latent of a long sound is independent of the others."""
        if self.drift is not None:
            state_dict.setdefault(f"{prefix}drift", torch.ones_like(self.drift))
        super()._load_from_state_dict(state_dict, prefix, *others)

    @property
    def sets_of_frames(self) -> list[SpectralFrames]:
        """Returns the short frames, which are the generator itself, and the long ones if there are any."""
        return [self, self.long_frames] if self.long_frames else [self]

    @torch.no_grad()
    def measure(self, batches: Iterable[Tensor]) -> None:
        """Measures the start levels and the bounds of the bins on clips, which come in batches (N, channels, T).

        See `LevelMeter`. Where the clips have a peak of 1, so will generated ones.
        """
        meters, peaks = [LevelMeter(frames) for frames in self.sets_of_frames], []
        for clips in batches:
            mixed = self.mix @ clips if self.channels > 1 else clips
            for meter in meters:
                meter.add(mixed)
            peaks.append(clips.abs().amax(dim=(1, 2)))
        for meter in meters:
            meter.set()
        self.peaks_are_one.fill_((torch.cat(peaks) > FULL_PEAK).float().mean() > FULL_PEAK)

    @property
    def needs_pitches(self) -> bool:
        """Returns whether it has pitches that lie where those of the sound do."""
        return bool(self.drawn_pitches or (self.pulses and self.pulses.is_steady))

    @torch.no_grad()
    def measure_pitches(self, pitches: list[Tensor], labels: list[int]) -> list[int]:
        """Sets where steady or drawn pitches lie, from those of clips; see `DrawnPitches.measure`."""
        if self.pulses and self.pulses.is_steady:
            self.pulses.frequencies.measure(torch.cat(pitches))
        return self.drawn_pitches.measure(pitches, labels) if self.drawn_pitches else []


def _activated(x: Tensor) -> Tensor:
    """Applies the last activation to features (N, dim, frames), for layers that take (N, frames, dim)."""
    return F.leaky_relu(x, 0.2).transpose(1, 2)
