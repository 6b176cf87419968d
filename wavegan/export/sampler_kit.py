"""Makes a kit of clips: chooses those that differ, cuts and levels them, and maps them to keys for samplers."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor

from wavegan.audio.decoding import BEGINS, ENDS, SILENCE_PEAK

FIRST_NOTE, LAST_NOTE = 36, 127  # C2, where pads begin, and the highest of MIDI
LEAD_SECONDS = 0.001  # kept before a sound begins, so that it answers at once
FADE_SECONDS = 0.01  # to silence after it ends
RELEASE_SECONDS = 0.15  # of a key of an instrument
LONGEST_NAME = 60  # letters of a label in a file's name
LOUDNESS_SECONDS = 0.05  # a hit is as loud as its loudest part of this length
HIGHEST_PEAK = 10 ** (-1 / 20)
USUAL_SHARE = 0.9  # of the candidates: the others, furthest from their middle, are likely faulty clips


@dataclass(frozen=True)
class Cut:
    """Says what is kept of a clip: `length` samples from `start`, the last `fade` of them faded out, times `gain`."""

    start: int
    length: int
    fade: int
    gain: float = 1.0


@dataclass(frozen=True)
class Pad:
    """Describes a sound of a kit: its file, relative to the kit, and its length in seconds.

    note: the MIDI note at which it plays as it is; low, high: those of the lowest and the highest key that play it.
    loops: it repeats until its key is released. others: further notes at which it plays as it is, of a pad. chokes: it
    stops all other sounds that choke, as a hi-hat does.
    """

    file: str
    note: int
    low: int
    high: int
    seconds: float
    loops: bool = False
    others: tuple[int, ...] = ()
    chokes: bool = False

    @property
    def is_spread(self) -> bool:
        """Returns whether more keys than its own play it, as of an instrument."""
        return self.low < self.high

    @property
    def is_held(self) -> bool:
        """Returns whether it stops soon after its key is released, as of an instrument and of a loop."""
        return self.is_spread or self.loops


def farthest_first(features: np.ndarray, count: int) -> list[int]:
    """Returns the numbers of `count` rows that differ: the most usual one, then always the farthest from those taken.

    features: (N, F). The tenth of the rows that is furthest from the mean of all is left out if enough remain
    (Gonzalez 1985).
    """
    distances = np.linalg.norm(features - features.mean(axis=0), axis=1)
    usual = np.argsort(distances, kind="stable")[: max(count, round(USUAL_SHARE * len(features)))]
    taken = [int(usual[0])]
    nearest = np.linalg.norm(features[usual] - features[taken[0]], axis=1)
    while len(taken) < min(count, len(usual)):
        taken.append(int(usual[int(nearest.argmax())]))
        nearest = np.minimum(nearest, np.linalg.norm(features[usual] - features[taken[-1]], axis=1))
    return taken


def is_heard(clips: Tensor) -> np.ndarray:
    """Says which clips (N, C, T) are no silence, (N,)."""
    return (clips.abs().amax(dim=(1, 2)) > SILENCE_PEAK).numpy()


def cut_of(clip: Tensor, sample_rate: int) -> Cut:
    """Returns where a clip (C, T) sounds: from 1 ms before it is within 40 dB of its peak until it is 60 dB below."""
    level = clip.abs().amax(dim=0)
    peak = float(level.max())
    begins, sounds = (level >= BEGINS * peak).nonzero().flatten(), (level >= ENDS * peak).nonzero().flatten()
    fade = round(FADE_SECONDS * sample_rate)
    start = max(0, int(begins[0]) - round(LEAD_SECONDS * sample_rate))
    end = min(clip.shape[1], int(sounds[-1]) + 1 + fade)
    return Cut(start, end - start, min(fade, end - start))


def cut(clip: Tensor, part: Cut) -> Tensor:
    """Returns what a cut keeps of a clip (C, T)."""
    kept = clip[:, part.start : part.start + part.length] * part.gain
    kept[:, kept.shape[1] - part.fade :] *= torch.linspace(1, 0, part.fade)
    return kept


def pitch_of(clip: Tensor) -> float:
    """Returns the frequency at which a clip (C, T) has most of its power, in cycles a sample."""
    return float(torch.fft.rfft(clip.mean(dim=0)).abs().argmax()) / clip.shape[1]


def gains(clips: Sequence[Tensor], sample_rate: int) -> list[float]:
    """Returns the factors that make clips (C, T) equally loud, as far as no peak exceeds -1 dBFS.

    Loudness is the RMS of the loudest 50 ms. The common one is the median of what the clips can reach, so that a click
    does not make all others soft.
    """
    window = round(LOUDNESS_SECONDS * sample_rate)
    loudness = [float(_power(clip, window).max().sqrt()) for clip in clips]
    highest = [HIGHEST_PEAK / float(clip.abs().max()) for clip in clips]
    common = float(np.median([gain * loud for gain, loud in zip(highest, loudness, strict=True)]))
    return [min(gain, common / loud) for gain, loud in zip(highest, loudness, strict=True)]


def safe_name(text: str) -> str:
    """Returns a text as part of a file's name: letters and digits of any script stay, all else becomes a hyphen."""
    signs = unicodedata.normalize("NFC", text)[:LONGEST_NAME]
    kept = (sign if sign == "_" or unicodedata.category(sign)[0] in "LMN" else " " for sign in signs)
    return "-".join("".join(kept).split()) or "sound"


def sfz(pads: Sequence[Pad], title: str) -> str:
    """Returns an SFZ file: pads play to their end, whenever a key is released; others stop soon after that."""
    is_instrument = any(pad.is_spread for pad in pads)
    played = ["loop_mode=loop_continuous"] if any(pad.loops for pad in pads) else []
    played += [f"ampeg_release={RELEASE_SECONDS}" if any(pad.is_held for pad in pads) else "loop_mode=one_shot"]
    head = [f"// {title}", "<global>", *played, ""]

    def regions(pad: Pad) -> list[str]:
        if is_instrument:
            return [f"<region> sample={pad.file} lokey={pad.low} hikey={pad.high} pitch_keycenter={pad.note}"]
        choke = " group=1 off_by=1" if pad.chokes else ""
        return [f"<region> sample={pad.file} key={note}{choke}" for note in (pad.note, *pad.others)]

    return "\n".join([*head, *(region for pad in pads for region in regions(pad)), ""])


def decentsampler(pads: Sequence[Pad], title: str) -> str:
    """Returns a DecentSampler preset: a sound of a pad plays on while its release, as long as the longest, lasts.

    An instrument and a loop stop soon after a key is released.
    """
    root = ElementTree.Element("DecentSampler", minVersion="1.0.0")
    root.append(ElementTree.Comment(title.replace("--", "-")))
    is_held, loops = any(pad.is_held for pad in pads), any(pad.loops for pad in pads)
    release = f"{RELEASE_SECONDS if is_held else max(pad.seconds for pad in pads):.3f}"
    played = {"attack": "0", "decay": "0", "sustain": "1", "release": release, "ampVelTrack": "1"}
    groups = ElementTree.SubElement(root, "groups", played, loopEnabled=str(loops).lower())
    group = ElementTree.SubElement(groups, "group")
    for pad in pads:
        for own, low, high in ((pad.note, pad.low, pad.high), *((note,) * 3 for note in pad.others)):
            keys = {"rootNote": str(own), "loNote": str(low), "hiNote": str(high)}
            ElementTree.SubElement(group, "sample", {"path": pad.file, **keys})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _power(clip: Tensor, window: int) -> Tensor:
    """Returns the mean squares of the channels over every `window` samples, of all of a shorter clip."""
    squares = clip.square().mean(dim=0)
    width = min(window, len(squares))
    return torch.nn.functional.avg_pool1d(squares[None, None], width, stride=1)[0, 0]
