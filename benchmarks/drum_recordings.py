"""Gathers the bundled hits of recorded drums from the packages that data/drum_kits/SOURCES.md names.

    pip install pyfluidsynth    # and the library fluidsynth
    python benchmarks/drum_recordings.py MuseScore_General_Full.sf2 SONIC_PI data/drum_kits

SONIC_PI is the folder of Sonic Pi's samples. A hit that several kits of the sound font share is taken once. Every fifth
group of hits that resemble each other is held out, in the folder `test`.
"""

import argparse
import re
from collections import Counter
from pathlib import Path

import librosa
import numpy as np
import soundfile
import soxr

RATE = 44_100  # Hz
SECONDS, FADE = 1.52, 0.25  # of a file at most, and of the end of one that is cut
VELOCITIES = 60, 115  # soft and loud
HELD_OUT = 5  # every fifth group of hits
SAME, ALIKE = 0.98, 0.8  # correlations
PEAK, COMPRESSION = 0.9, 0.5
QUIET = 10 ** (-70 / 20)  # of the peak: where a hit has ended
AT_ONCE = 65_536  # frames that are written; libsndfile's Vorbis fails with a whole file
KITS = (*range(20), 24, 25, *range(32, 37), *range(40, 43))  # of bank 128
KEYS = {  # of General MIDI
    "kick": (35, 36),
    "snare": (38, 40),
    "rim": (31, 37),
    "hihat": (42, 44, 46),
    "tom": (41, 43, 45, 47, 48, 50),
    "cymbal": (49, 51, 52, 53, 55, 57, 59),
    "hand_drum": (60, 61, 62, 63, 64, 65, 66),
    "percussion": (27, 32, 34, 39, 54, 56, 58, 67, 68, 69, 70, 73, 74, 75, 76, 77, 80, 81, 82, 83, 85),
}
OTHER_KITS = {  # program: label: keys. Brushes have a third snare; marching drums have maps of their own
    40: {"snare": (38, 39, 40)},
    41: {"snare": (38, 39, 40)},
    42: {"snare": (38, 39, 40)},
    48: {"kick": (35,), "snare": (38,), "cymbal": (57, 59)},
    56: {"snare": (48, 50, 52), "rim": (53, 55, 57, 59, 60)},
    58: {"cymbal": (72, 74, 77, 81, 84, 89, 91), "hihat": (76, 79, 83, 86, 88)},
    59: {"tom": (37, 49, 61, 73, 85), "rim": (39, 51, 63, 75, 87)},
    96: {"tom": (36, 39, 48, 51, 60, 63, 72, 75, 84, 96), "rim": (37, 49, 61, 73, 85, 97)},
}
NAMES = {  # of the samples of Sonic Pi
    "kick": r"bd_|drum_heavy_kick|drum_bass|elec_(soft|hollow)_kick",
    "snare": r"sn_|drum_snare|elec_.*snare",
    "hihat": r"drum_cymbal_(open|closed|pedal)",
    "cymbal": r"drum_cymbal_(soft|hard)|drum_splash|elec_cymbal",
    "tom": r"drum_tom|elec_fuzz_tom",
    "hand_drum": r"tabla_",
    "percussion": r"drum_cowbell|perc_(bell|impact|snap|till)|elec_(wood|bell|tick|chime|ping|triangle|plip|pop|twang)",
}


def kit_hits(sound_font: Path) -> list[tuple[str, str, np.ndarray]]:
    """Returns label, name and sound of each hit of the sound font's kits."""
    import fluidsynth  # pyright: ignore[reportMissingImports]  no other script needs it

    synth = fluidsynth.Synth(samplerate=float(RATE), gain=0.4)
    for effect in ("reverb", "chorus"):
        synth.setting(f"synth.{effect}.active", 0)
    font = synth.sfload(str(sound_font))
    hits = []
    for program in dict.fromkeys((*KITS, *OTHER_KITS)):
        synth.program_select(0, font, 128, program)
        own = OTHER_KITS.get(program, {})
        taken = {key for numbers in own.values() for key in numbers}
        for label, numbers in {**(KEYS if program in KITS else {}), **own}.items():
            for key in (key for key in numbers if label in own or key not in taken):
                for velocity in VELOCITIES:
                    synth.noteon(0, key, velocity)
                    sound = synth.get_samples(round(RATE * (SECONDS + 0.1))).reshape(-1, 2).mean(1) / 32768
                    synth.noteoff(0, key)
                    synth.all_sounds_off(0)
                    synth.get_samples(RATE // 10)
                    if np.abs(sound).max() > QUIET:
                        hits.append((label, f"font-{program}-{key}-{velocity}", sound))
    return hits


def sampled_hits(folder: Path) -> list[tuple[str, str, np.ndarray]]:
    """Returns label, name and sound of each sample of Sonic Pi whose name says what it is."""
    hits = []
    for path in sorted(folder.glob("*.flac")):
        label = next((label for label, pattern in NAMES.items() if re.match(pattern, path.stem)), None)
        if label:
            sound, rate = soundfile.read(path, always_2d=True)
            hits.append((label, f"sonic-pi-{path.stem}", soxr.resample(sound.mean(1), rate, RATE)))
    return hits


def cut(sound: np.ndarray) -> np.ndarray:
    """Returns a hit from its start to its end, or faded where it is too long, with a peak of PEAK."""
    loud = np.flatnonzero(np.abs(sound) > QUIET * np.abs(sound).max())
    sound, whole = sound[max(loud[0] - 16, 0) : loud[-1] + 1], round(SECONDS * RATE)
    fade = round((FADE if len(sound) > whole else 0.005) * RATE)
    sound = sound[:whole].copy()
    fade = min(fade, len(sound))
    sound[len(sound) - fade :] *= 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, fade))
    return PEAK * sound / np.abs(sound).max()


def spectrum(sound: np.ndarray) -> np.ndarray:
    """Returns the spectrum of a hit's first quarter of a second, at unit energy, for correlations at any shift."""
    head = librosa.util.fix_length(sound[: RATE // 4], size=RATE // 2)
    return np.fft.rfft(head) / np.sqrt((head**2).sum())


def grouped(sounds: list[np.ndarray]) -> dict[int, int]:
    """Returns the group of each hit that is none of those before it: those of a group resemble each other."""
    group: dict[int, int] = {}
    spectra: dict[int, np.ndarray] = {}
    for index, sound in enumerate(sounds):
        one = spectrum(sound)
        alike = {other: np.fft.irfft(one * known.conj()).max() for other, known in spectra.items()}
        if max(alike.values(), default=0) > SAME:
            continue
        near = {group[other] for other, value in alike.items() if value > ALIKE}
        group.update({other: index for other, its in group.items() if its in near})
        group[index], spectra[index] = index, one
    return group


def write(path: Path, sound: np.ndarray) -> None:
    """Writes a hit as Ogg Vorbis."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(path, "w", RATE, 1, format="OGG", subtype="VORBIS", compression_level=COMPRESSION) as file:
        for start in range(0, len(sound), AT_ONCE):
            file.write(sound[start : start + AT_ONCE])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sound_font", type=Path)
    parser.add_argument("sonic_pi", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    hits = kit_hits(options.sound_font) + sampled_hits(options.sonic_pi)
    named: list[tuple[str, str, np.ndarray]] = []
    for label in KEYS:  # of each label first, as most kits share most hits
        own = [(kind, name, cut(sound)) for kind, name, sound in hits if kind == label]
        named += [own[index] for index in grouped([sound for _, _, sound in own])]
    group = grouped([sound for _, _, sound in named])
    groups, counts = sorted(set(group.values())), Counter[str]()
    for index, its in group.items():
        label, name, sound = named[index]
        part = "test" if groups.index(its) % HELD_OUT == 2 else "train"
        write(options.out / part / label / f"{name}.ogg", sound)
        counts[f"{label} {part}"] += 1
    for place, count in sorted(counts.items()):
        print(place, count)


if __name__ == "__main__":
    main()
