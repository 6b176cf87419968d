"""Measures for a generator the pitches of the sound that it learns from."""

import logging
from collections import Counter

import torch

from wavegan import progress
from wavegan.assemble.training_clips import measured_places
from wavegan.audio.windows import Windows
from wavegan.errors import some_of
from wavegan.models.inverse_stft import Generator
from wavegan.models.pitches import FEW_OF_LABEL, pitches_of
from wavegan.models.pulses import pitch_unit

logger = logging.getLogger(__name__)

HEARD = 256  # clips; pYIN takes a twentieth of a second or more for each
OF_LABEL = 5  # clips of each label that are heard at least
NAMED = 10  # labels


def measure_pitches(generator: Generator, clips: Windows, sample_rate: int, on: torch.device) -> None:
    """Lets a generator on a device hear clips, of each label some, so that its pitches are spread as theirs.

    Where labels tell pitches, those of which too few clips have one are told.
    """
    assert generator.pulses, "it needs pitches"
    unit = pitch_unit(generator.window, generator.hop)
    lowest, highest = generator.pulses.frequencies.limits
    pitches, labels, heard = [], [], Counter()
    count = min(max(HEARD, OF_LABEL * generator.labels), len(clips))
    with progress.bar(count, "clips", desc="listening for pitch", leave=False) as bar:
        for place in measured_places(clips):
            wanted = []
            for row, label in enumerate(clips.labels(*place).tolist()):
                if heard.total() < HEARD or (generator.labels and heard[label] < OF_LABEL):
                    wanted.append(row)
                    labels.append(label)
                    heard[label] += 1
            if wanted:
                mixed = generator.mix @ clips.batch(*place)[wanted].to(on)
                pitches += pitches_of(mixed[:, 0], unit, lowest, highest)
                bar.update(len(wanted))
    if unheard := generator.measure_pitches(pitches, labels):
        names = [clips.label_names[label] for label in unheard]
        lowest, highest = (cycles * sample_rate / unit for cycles in (lowest, highest))
        logger.warning(
            f"generator.drawn_pitch is true, and labels tell pitches; of {len(names)} of the {generator.labels} labels "
            f"fewer than {FEW_OF_LABEL} heard clips have a pitch from {lowest:,.1f} to {highest:,.1f} Hz, so their "
            f"pitches are drawn as those of all: {some_of(names, NAMED)}; leave these labels out, or drawn_pitch"
        )
