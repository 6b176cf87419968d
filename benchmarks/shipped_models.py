"""Trains a shipped model again, evaluates it as it is stored, and writes its folder with the card.

python benchmarks/shipped_models.py drums [--run-dir runs/drums] [--out data/models/drums] [--judge]

An interrupted training goes on; a finished one is only evaluated and written. The figures are those of the stored
weights, which are rounded to fp16. With --judge nothing is trained: the stored weights get the figures of today.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

import wavegan
from wavegan.atomic_write import write_text
from wavegan.commands import directions
from wavegan.commands import export as exports
from wavegan.commands.model_loading import load_model
from wavegan.export import card, folder

CPU = torch.device("cpu")
PRECISION = "fp16"
LICENCES = {"instruments": "mit", "drum_kits": "mit", "ambience": "cc-by-4.0"}  # as their sound has
TOLD = {  # about, limits
    "ambience": (
        "Rain, waves, wind, a stream, fire, birds and crickets, each by its name, in stereo, with the whole band of "
        "hearing, in sounds and loops of any length.",
        "It knows seven recordings alone, one of each kind, of 12 to 97 s: its rain is that rain. Sounds vary less "
        "than real ones (`coverage`), and attacks are furthest from real ones (`kad_attack`): calls of birds "
        "and crickets are blurred. It learned nothing that lasts longer than a second, so when a wave comes is "
        "chance. The figures are of 51 clips on each side. The weights that it began with took 5,000 steps, 7,096 s, "
        "and had first learned from a boat and a cafe, too.",
    ),
    "drums": (
        "One-shot drums of the built-in drum machine: ten kinds, each by its name.",
        "It knows synthesised drums alone, all as loud as each other, of at most 1.02 s. All clips share faint tones "
        "(`line_db`), partials waver a little (`partial_jitter_hz`), and 4 to 10 % of 200 clips are near doubles of "
        "others (`duplicate_share`).",
    ),
    "drums_44k": (
        "One-shot drums of the built-in drum machine with the whole band of hearing: ten kinds, each by its name.",
        "It knows synthesised drums alone, all as loud as each other, of at most 1.02 s. Partials waver a little more "
        "than real ones (`partial_jitter_hz`), attacks are near real ones, not like them (`kad_attack`), and of 200 "
        "clips four hit twice, grow or sound again (`artefact_share`).",
    ),
    "drum_kits": (
        "One-shot drums of recorded kits and drum machines, with the whole band of hearing: kicks, snares, toms, "
        "hi-hats, cymbals, rims, hand drums and percussion.",
        "It learned only 235 hits, most of them from one sound font, and only 13 hi-hats. Kinds that are near each "
        "other, such as rims and snares, are sometimes taken for one another. All hits are as loud as each other, and "
        "no longer than 1.53 s, so cymbals fade out early. Of 33 clips three hit twice, grow or sound again "
        "(`artefact_share`), and some rims have a faint noise behind them. The figures are of 33 clips on each side, "
        "so their intervals are wide.",
    ),
    "digits": (
        "Spoken digits, zero to nine, each by its name, in the voices of speech synthesisers.",
        "It knows machine voices alone, 35 of them, and is judged by nine others. Partials and attacks are near real "
        "ones, not like them (`kad_partials`, `kad_attack`), and voices are a little hoarser than the nine: their "
        "harmonics lie 8 dB above the noise, as those of the sound it learned from, those of the nine voices 9 dB. No "
        "voice can be asked for, and a pitch only nearly: words move it by up to a fifth of an octave.",
    ),
    "instruments": (
        "Single notes of twelve sampled instruments, each by its name, at any pitch.",
        "It knows the recordings of one sound font alone, all as loud as each other, of at most 1.54 s, and of each "
        "instrument its range; other pitches can be asked for (`--pitch`). Partials and attacks are near real ones, "
        "not like them (`kad_partials`, `kad_attack`). It makes single notes: no chords, no phrases, and nobody "
        "chooses how hard a key is struck. All of 216 notes that were asked for were within 13 cents.",
    ),
    "piano": (
        "Piano music after six pieces by Bach, in sounds of any length.",
        "It knows 4.3 minutes of music alone, played by a program on a sampled piano, and no form longer than a second "
        "or two: harmony wanders. Partials waver a little (`partial_jitter_hz`), and loud low chords are noisier than "
        "real ones. The figures are beside another piece, from which the music that it learned from differs, too: see "
        "docs/quality.md.",
    ),
    "tones": (
        "Single notes of the built-in synthesiser, by timbre and pitch.",
        "It knows the timbres of its labels alone, all as loud as each other, of at most 1.02 s, and notes from C4 to "
        "B4; others can be asked for (`--pitch`). Partials waver a little more than those of real notes "
        "(`partial_jitter_hz`), attacks are near real ones, not like them (`kad_attack`), and 6 of 100 clips are near "
        "doubles of others (`duplicate_share`). All of 36 notes of each timbre were within 6 cents of their label.",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=TOLD)
    parser.add_argument("--run-dir", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--judge", action="store_true")
    options = parser.parse_args()
    out = options.out or Path("data/models") / options.name
    if options.judge:
        judge(options.name, out)
        return
    run = wavegan.train(f"models/{options.name}", run_dir=options.run_dir).run
    store(options.name, run, out)


def store(name: str, run: Path, out: Path) -> None:
    """Writes the folder of a shipped model, with the figures of its stored weights."""
    options = exports.ExportOptions(PRECISION, LICENCES.get(name, "cc0-1.0"))
    with TemporaryDirectory() as place:
        exports.export(run, out=Path(place), options=options)
        figures = card.figures_of(wavegan.evaluate(place, out=Path(place) / "evaluation"))
        stored = load_model(Path(place), CPU)
    command = f"python benchmarks/shipped_models.py {name}"
    facts = {**stored.facts, "figures": figures, "command": command}
    out.mkdir(parents=True, exist_ok=True)
    write(name, exports.content_of(replace(stored, facts=facts), options), out)
    store_directions(out)


def judge(name: str, out: Path) -> None:
    """Writes the folder of a stored model anew, with all figures of today."""
    with TemporaryDirectory() as place:
        figures = card.figures_of(wavegan.evaluate(out, out=Path(place) / "evaluation"))
    write(name, folder.read(out) | {"figures": figures}, out)


def write(name: str, content: dict[str, Any], out: Path) -> None:
    """Writes the weights, config.json and the card."""
    about, limits = TOLD[name]
    content = content | {"name": name, "about": about, "limits": limits}
    folder.write(out, content, precision=PRECISION)
    write_text(out / folder.CARD, card.card_text(content, name))


def store_directions(out: Path) -> None:
    """Writes the directions of a model beside its weights, so that nobody has to wait for them."""
    stored = load_model(out, CPU)
    directions.write(out / directions.FILE, directions.directions_of(stored), stored.model.weights_hash)


if __name__ == "__main__":
    main()
