"""Chooses the form in which a source is learned from: rate, channels, what is mended, how clips are cut, its kind."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from soxr import resample

from wavegan.audio.checks import AGAINST, REACHED, Cutting, Finding, reached_seconds
from wavegan.audio.content import Hearing, Probe
from wavegan.audio.content_checks import too_few_for_labels
from wavegan.audio.corpus import Corpus, Reading
from wavegan.audio.decoding import SILENCE_PEAK
from wavegan.audio.windows import Windows
from wavegan.evaluation.fine_structure import STEADY, partials

TUNED_RATE = 16_000  # Hz, for which the windows of the modern model were chosen
LOWEST_RATE = 1000  # of a recipe
OF_RATE = 0.6  # share of a step's time at the tuned rate that grows with the rate
RATES = (8_000, 16_000, 22_050, 32_000, 44_100, 48_000)
HIGHER_RATES = (*RATES, 96_000, 192_000)  # which are learned at if the user asks for them
BEYOND = 1.1  # times the half of a rate: sound that reaches further is cut
EIGHTHS = 8  # windows of the modern model keep their seconds: at any rate they are whole eighths of the tuned ones
CLIPS = (4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152, 65536)  # samples at TUNED_RATE, 0.26 to 4.1 s
RECORDING_CLIP = 16384  # of long recordings
COVERED = 90  # percent of the files that a clip holds until they have died away
WIDE = 0.98  # two channels with a lower correlation are heard as stereo
MOST, SOME = 0.8, 0.2  # share of the files that are stereo, if stereo is learned, and if it is worth a word
WORTH_MENDING = 0.02  # share of the files; fewer are no reason to convert all
HEARD_SECONDS = 200  # random ones, to measure how steady partials are, at TUNED_RATE
TONAL = 0.82  # share of steady partials; the synthesiser has 1.00, piano 0.91, drums 0.73, speech 0.45
VOICE = 0.6  # at most that share, for a voice, whose pitch glides
NOTES = 0.7  # share of the files that hold one; of drums a quarter, of piano music a seventh
VOICED = 0.3  # at least that share of its loud frames has a pitch; speech has 0.4 to 0.6


@dataclass(frozen=True)
class DataFormat:
    """Holds the format in which a source is learned from.

    file_rate: in Hz; nine of ten files have this rate or a higher one.
    is_tonal: its partials are steady, as those of notes and of most music are. is_notes: its files are single notes.
    is_voice: it has a pitch that glides.
    """

    sample_rate: int
    channels: int
    file_rate: int
    remarks: tuple[str, ...] = ()
    reading: Reading = Reading()
    is_tonal: bool = False
    is_notes: bool = False
    is_voice: bool = False


def data_format_of(probes: Sequence[Probe], sample_rate: int | None = None) -> DataFormat:
    """Chooses the sample rate and the channels by a sample of files; sample_rate, in Hz, is one that the user chose."""
    audible = [probe for probe in probes if probe.bandwidth > 0]
    if not audible:
        return DataFormat(sample_rate or TUNED_RATE, 1, TUNED_RATE)
    file_rate = int(np.percentile([probe.sample_rate for probe in audible], 10, method="lower"))
    bandwidth = float(np.percentile([probe.bandwidth for probe in audible], 90))
    needed = min((rate for rate in RATES if rate >= 2 * bandwidth), default=RATES[-1])
    rate = sample_rate or max(min(needed, file_rate), LOWEST_RATE)
    remarks = []
    if beyond := [probe.bandwidth for probe in audible if probe.bandwidth > BEYOND * rate / 2]:
        edge = float(np.median(beyond))
        higher = min((each for each in HIGHER_RATES if each >= 2 * edge), default=HIGHER_RATES[-1])
        remarks.append(
            f"{rate:,} Hz keep what lies below {_kilohertz(rate / 2)} kHz; {len(beyond) / len(audible):.0%} of the "
            f"files reach higher, half of these to {_kilohertz(edge)} kHz at most: "
            f"wavegan doctor --sample-rate {higher} keeps that much"
        )
    elif rate < file_rate:
        remarks.append(f"nothing lies above {_kilohertz(bandwidth)} kHz, so {rate:,} Hz hold all of it")
    if rate > TUNED_RATE and bandwidth > TUNED_RATE / 2:
        share = 1 / (1 + OF_RATE * (rate / TUNED_RATE - 1))
        remarks.append(
            f"without what lies above {_kilohertz(TUNED_RATE / 2)} kHz a step takes about {share:.0%} of the time: "
            f"wavegan doctor leaves it out with --sample-rate {TUNED_RATE}"
        )
    stereo = float(np.mean([probe.channels == 2 and AGAINST <= probe.correlation < WIDE for probe in audible]))
    left, most = _channel(audible), max(probe.channels for probe in audible)
    channels = 2 if stereo >= MOST and most == 2 else 1
    if channels == 1 and stereo >= SOME and most == 2 and left is None:
        remarks.append(f"{stereo:.0%} of the files are stereo, and are mixed: channels: 2 keeps left and right apart")
    one_sided = float(np.mean([probe.channels == 2 and np.isnan(probe.correlation) for probe in audible]))
    if channels == 1 and one_sided >= SOME:
        remarks.append(f"{one_sided:.0%} of the files have two channels, one of them silent: mono loses nothing")
    return DataFormat(rate, channels, file_rate, tuple(remarks), Reading(channel=left))


def levelled(form: DataFormat, problems: Sequence[Finding], corpus: Corpus) -> DataFormat:
    """Returns the form with the channels and the offset that the findings ask for."""
    kinds = _worth_mending(problems, corpus)
    cancels = any("data.channel=1" in reason for reason in corpus.skipped.values())
    channels = 1 if "mono" in kinds or cancels else form.channels
    channel = 1 if channels == 1 and ("phase" in kinds or cancels) else form.reading.channel
    reading = form.reading._replace(channel=channel, remove_dc="offset" in kinds)
    return replace(form, channels=channels, reading=reading)


def trimmed(form: DataFormat, problems: Sequence[Finding], corpus: Corpus) -> DataFormat:
    """Returns the form without the silence around the sound, if the findings ask for that."""
    is_late = bool(_worth_mending(problems, corpus) & {"late", "delayed"})
    return replace(form, reading=form.reading._replace(trim_silence=is_late))


def of_its_kind(form: DataFormat, steady: float | None, hearing: Hearing) -> DataFormat:
    """Returns the form with what the sound is: notes, other steady partials, a voice, or neither.

    steady: the share of steady partials, None in silence.
    """
    is_tonal, pitched = (steady or 0) >= TONAL, hearing.tonal
    is_voice = steady is not None and steady <= VOICE and len(pitched) > 0 and float(pitched.mean()) >= VOICED
    is_notes = (steady or 0) > VOICE and len(pitched) > 0 and float(hearing.notes.mean()) >= NOTES
    return replace(form, is_tonal=is_tonal or is_notes, is_notes=is_notes, is_voice=is_voice)


def steady_share(corpus: Corpus) -> float | None:
    """Measures the share of the strongest partials that are steady, in the middle one of random seconds.

    None in silence. See `fine_structure.partials`: its hop follows the rate, so the sound is brought to one rate first.
    """
    clips = Windows(corpus, corpus.sample_rate, "random").batch(0, HEARD_SECONDS)
    clips = clips[clips.abs().amax(dim=(1, 2)) >= SILENCE_PEAK]
    if not len(clips):
        return None
    sound = resample(clips.flatten(0, 1).t().numpy(), corpus.sample_rate, TUNED_RATE)
    clips = torch.from_numpy(sound).t().unflatten(0, clips.shape[:2])
    return float(np.median(partials(clips, TUNED_RATE)[:, STEADY]))


def plain_cutting(corpus: Corpus, ends: np.ndarray) -> Cutting:
    """Returns a recipe's default cutting, the start of each file, in clips long enough for nine of ten files.

    ends: for a sample of items, seconds from the start until the sound has died away.
    """
    longest = float(np.percentile(ends, COVERED)) * corpus.sample_rate if len(ends) else corpus.lengths.max()
    scale = scale_of(corpus.sample_rate)
    clip_samples = min((samples for samples in CLIPS if samples * scale >= longest), default=RECORDING_CLIP)
    return Cutting(round(clip_samples * scale), "first")


def cutting_of(corpus: Corpus, ends: np.ndarray, is_split: bool = False) -> Cutting:
    """Chooses the clip's length and the windows: as `plain_cutting`, or random windows if that reaches under half.

    is_split: nothing of the corpus is held out, as other sound is there to judge by.
    """
    cutting = plain_cutting(corpus, ends)
    if reached_seconds(corpus, cutting) < REACHED * corpus.seconds:
        cutting = cutting._replace(windows="random")
    return cutting._replace(knows_labels=_learns_labels(corpus, cutting, is_split))


def scale_of(sample_rate: int) -> float:
    """Returns how many times longer windows are at this rate than at the tuned one, in samples: whole eighths."""
    return max(1, round(EIGHTHS * sample_rate / TUNED_RATE)) / EIGHTHS


def _worth_mending(problems: Sequence[Finding], corpus: Corpus) -> set[str]:
    least = WORTH_MENDING * len(corpus.names)
    return {finding.kind for finding in problems if len(finding.names) > least}


def _kilohertz(hertz: float) -> str:
    return f"{hertz // 100 / 10:g}"


def _channel(probes: Sequence[Probe]) -> int | None:
    """Returns 1, the left channel, if mixing would lose many of the files; else None."""
    return 1 if np.mean([probe.correlation < AGAINST for probe in probes]) > 1 - MOST else None


def _learns_labels(corpus: Corpus, cutting: Cutting, is_split: bool) -> bool:
    """Says whether `generator.labels: auto` would learn labels, and more than half of them have enough sound."""
    if len(corpus.label_names) < 2 or (corpus.labels < 0).any():
        return False
    return not too_few_for_labels(corpus, cutting, is_split)
