"""Renders the bundled notes of sampled instruments from a General MIDI sound font.

    pip install pyfluidsynth    # and the library fluidsynth
    python benchmarks/instrument_notes.py FluidR3_GM.sf2 data/instruments

Each key of each instrument is played once softly and once loudly, for a time of its own. Every fifth key is held out,
in the folder `test`: sound fonts move one recording over a few keys, so the others may hold the same recording, at
other pitches.
"""

import argparse
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import soundfile
import soxr

RENDERED, RATE = 44_100, 16_000  # Hz
SECONDS, FADE = 1.52, 0.05  # of a file, and of its end
HELD = 0.4, 1.1  # seconds until the key is released
VELOCITIES = (50, 80), (95, 127)
HELD_OUT = 5  # every fifth key
PEAK, COMPRESSION = 0.9, 0.9
INSTRUMENTS = {  # its program in General MIDI, its lowest and its highest key
    "piano": (0, 36, 96),
    "vibraphone": (11, 53, 89),
    "marimba": (12, 45, 84),
    "organ": (19, 36, 84),
    "guitar": (24, 40, 76),
    "violin": (40, 55, 88),
    "cello": (42, 36, 67),
    "harp": (46, 36, 84),
    "trumpet": (56, 54, 82),
    "saxophone": (65, 49, 80),
    "clarinet": (71, 50, 84),
    "flute": (73, 60, 91),
}


def note(synth: Any, key: int, velocity: int, held: float) -> np.ndarray:
    """Returns the samples of a note at RATE, whose key is released after some seconds."""
    synth.noteon(0, key, velocity)
    parts = [synth.get_samples(round(RENDERED * held))]
    synth.noteoff(0, key)
    parts.append(synth.get_samples(round(RENDERED * (SECONDS + 1 - held))))
    synth.all_sounds_off(0)
    synth.get_samples(RENDERED // 10)
    sound = np.concatenate(parts).reshape(-1, 2).mean(1) / 32768
    sound = soxr.resample(sound, RENDERED, RATE)[: round(SECONDS * RATE)]
    fade = round(FADE * RATE)
    sound[-fade:] *= 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, fade))
    return PEAK * sound / np.abs(sound).max()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sound_font", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    import fluidsynth  # pyright: ignore[reportMissingImports]  no other script needs it

    synth = fluidsynth.Synth(samplerate=float(RENDERED), gain=0.4)
    for effect in ("reverb", "chorus"):
        synth.setting(f"synth.{effect}.active", 0)
    font, random = synth.sfload(str(options.sound_font)), np.random.default_rng(0)
    for name, (program, lowest, highest) in INSTRUMENTS.items():
        synth.program_select(0, font, 0, program)
        for key in range(lowest, highest + 1):
            part = "test" if key % HELD_OUT == 2 else "train"
            for low, high in VELOCITIES:
                velocity = int(random.integers(low, high, endpoint=True))
                sound = note(synth, key, velocity, random.uniform(*HELD))
                spelled = librosa.midi_to_note(key, unicode=False, key="Db:maj")  # flats, as in the names of synth
                path = options.out / part / name / f"{name}-{spelled}-{velocity}.opus"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, sound, RATE, format="OGG", subtype="OPUS", compression_level=COMPRESSION)
        print(name, highest + 1 - lowest, "keys")


if __name__ == "__main__":
    main()
