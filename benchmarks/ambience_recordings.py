"""Cuts the bundled recordings of ambience from the files that data/ambience/SOURCES.md names.

    python benchmarks/ambience_recordings.py FOLDER data/ambience

FOLDER holds them as the package blanket of Debian does: birds.ogg, fireplace.ogg and so on. The end of each is held
out, in the folder `test`.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile

RECORDINGS = {  # label: the file's name, and the seconds that are taken at most
    "birds": ("birds", 110),
    "crickets": ("summer-night", 110),
    "fire": ("fireplace", 110),
    "rain": ("rain", 110),
    "stream": ("stream", 110),
    "waves": ("waves", 118),
    "wind": ("wind", 110),
}
LEARNED = 0.82  # the rest is held out
PEAK, COMPRESSION = 0.8, 0.6
AT_ONCE = 65_536  # frames that are written; libsndfile's Vorbis fails with a whole file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    for label, (name, seconds) in RECORDINGS.items():
        sound, rate = soundfile.read(options.folder / f"{name}.ogg", always_2d=True)
        sound = (sound - sound.mean(0))[: seconds * rate]
        sound *= PEAK / np.abs(sound).max()
        end = int(len(sound) * LEARNED)
        for part, cut in (("train", sound[:end]), ("test", sound[end:])):
            path = options.out / part / label / f"{name.replace('-', '_')}.ogg"
            path.parent.mkdir(parents=True, exist_ok=True)
            with soundfile.SoundFile(
                path, "w", rate, sound.shape[1], format="OGG", subtype="VORBIS", compression_level=COMPRESSION
            ) as file:
                for start in range(0, len(cut), AT_ONCE):
                    file.write(cut[start : start + AT_ONCE])
            print(f"{label} {part} {len(cut) / rate:.1f} s")


if __name__ == "__main__":
    main()
