"""Sounds at one pitch, of a model that draws pitches: how high they are, receipts, neighbours, and refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import wavegan
from wavegan.audio import comments
from wavegan.commands.sound_pitch import labels_at
from wavegan.errors import DataError, UserError
from wavegan.models.pitches import pitches_of


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def hertz(clips: np.ndarray) -> torch.Tensor:
    """Returns the middle pitch of each clip of `digits`."""
    return torch.stack([clip.nanmedian() for clip in pitches_of(torch.from_numpy(clips[:, 0]), 512)]) * 16_000 / 512


def spread(pitches: torch.Tensor) -> float:
    """Returns the octaves that hold the middle half of pitches; a few are misheard."""
    low, high = pitches[pitches.isfinite()].log2().quantile(torch.tensor([0.25, 0.75]))
    return (high - low).item()


def test_all_clips_have_the_pitch_that_was_asked_for():
    digits = wavegan.load("digits")
    low, high = (hertz(digits.generate(16, label="nine", pitch=pitch)) for pitch in (150, 225.0))
    heard = (low * high).isfinite()
    assert heard.sum() > 8
    torch.testing.assert_close((high / low)[heard].median(), torch.tensor(1.5), rtol=0.03, atol=0)
    assert low[heard].median().item() == pytest.approx(150, rel=0.15), "by which a voice may move"
    drawn = hertz(digits.generate(16, label="nine"))
    assert spread(drawn) > 3 * spread(low), "without it voices differ"


def test_a_pitch_is_taken_in_any_form_that_means_the_same():
    digits = wavegan.load("digits")
    expected = digits.generate(1, label="nine", pitch=220)
    for pitch in (torch.tensor(220.0), np.float32(220), np.array(220), "220 Hz", "A3"):
        assert np.array_equal(digits.generate(1, label="nine", pitch=pitch), expected), pitch  # pyright: ignore


def test_it_is_in_the_receipt_and_sounds_made_of_it_keep_it(command):
    assert command("generate", "digits", "-n", 2, "--label", "nine", "--pitch", "A3", "--out", "high").code == 0
    assert json.loads(comments.read(Path("high/clip-000000.wav")))["pitch"] == 220
    high = soundfile.read("high/clip-000000.wav", dtype="float32")[0]
    expected = wavegan.load("digits").generate(2, label="nine", pitch=220.0)[0, 0]
    np.testing.assert_allclose(high, expected, rtol=0, atol=2**-14)
    assert command("regenerate", "high/clip-000000.wav", "high/clip-000001.wav", "--out", "again").code == 0
    assert np.array_equal(soundfile.read("again/clip-000000.wav", dtype="float32")[0], high)
    assert command("vary", "high/clip-000001.wav", "-n", 1, "--amount", 0.1, "--out", "near").code == 0
    [near] = [path for path in comments_of("near") if path["made_by"] == "vary"]
    assert near["pitch"] == 220
    changed = wavegan.load("digits").vary("high/clip-000000.wav", 2, amount=0.05)
    assert hertz(changed).tolist() == pytest.approx([hertz(high[None, None]).item()] * 2, rel=0.1)


def comments_of(folder: str) -> list[dict]:
    return [json.loads(comments.read(path)) for path in sorted(Path(folder).glob("*.wav"))]


def test_a_remedy_of_a_note_between_whole_hertz_can_be_followed(command):
    for pitch in ("Bb2", "A3"):
        assert command("generate", "digits", "-n", 1, "--pitch", pitch, "--out", pitch).code == 0
    outcome = command("morph", "Bb2/clip-000000.wav", "A3/clip-000000.wav", "--out", "way")
    assert "generate it again with --pitch 116.541" in outcome.err
    assert command("generate", "digits", "-n", 2, "--pitch", "116.541", "--out", "like").code == 0
    assert command("morph", "Bb2/clip-000000.wav", "like/clip-000001.wav", "--steps", 2, "--out", "way").code == 0
    outcome = command("regenerate", "Bb2/clip-000000.wav", "A3/clip-000000.wav", "--out", "two", "--force", "--json")
    assert outcome.code == 2, "both have the name clip-000000.wav"
    Path("A3/clip-000000.wav").rename("A3/other.wav")
    outcome = command("regenerate", "Bb2/clip-000000.wav", "A3/other.wav", "--out", "two", "--json")
    assert json.loads(outcome.out)["differences"] == [0, 0]


def test_sounds_of_two_pitches_do_not_go_together(command):
    for pitch in ("A3", "A2"):
        assert command("generate", "digits", "-n", 1, "--pitch", pitch, "--out", pitch).code == 0
    assert command("generate", "digits", "-n", 1, "--out", "drawn").code == 0
    files = [f"{name}/clip-000000.wav" for name in ("A3", "A2", "drawn")]
    outcome = command("morph", files[0], files[1], "--out", "way")
    assert outcome.code == 2 and "has 110 Hz" in outcome.err and "--pitch 220" in outcome.err
    outcome = command("morph", files[2], files[1], "--out", "way")
    assert outcome.code == 2 and "generate it again without --pitch" in outcome.err
    with pytest.raises(DataError, match="a drawn pitch; a sound of 220 Hz is needed here.*`pitch=220`"):
        wavegan.load("digits").morph(files[0], files[2])
    again = command("generate", "digits", "-n", 1, "--pitch", "A3", "--out", "A2")
    assert again.code == 2 and "exists" in again.err, "clips of another pitch are not taken for finished ones"


@pytest.mark.parametrize(
    ("pitch", "said"),
    [
        ("H4", "it must be a note such as A4"),
        ("0", "it must be a note"),
        ("nan", "it must be a note"),
        ("-3", "it must be a note"),
        ("5000", "digits makes pitches from 62.5 to 1,000.0 Hz; choose"),
        ("C1", "32.7 Hz; digits makes pitches from 62.5"),
    ],
)
def test_what_is_no_pitch_is_refused(pitch, said):
    with pytest.raises(UserError, match=said):
        wavegan.load("digits").generate(1, pitch=pitch)


def test_a_model_that_draws_none_is_told(command):
    outcome = command("generate", "drums", "--pitch", "A4")
    assert outcome.code == 2 and "--pitch is A4, and drums draws no pitches" in outcome.err


def test_a_pitch_beyond_those_that_were_learned_is_told_once(command):
    outcome = command("generate", "digits", "-n", 2, "--pitch", "900 Hz", "--out", "high")
    assert outcome.code == 0 and outcome.err.count("900 Hz lies beyond") == 1
    assert "lies beyond" in command("generate", "digits", "-n", 1, "--pitch", "330", "--out", "330").err
    assert "beyond" not in command("generate", "digits", "-n", 1, "--pitch", "150", "--out", "low").err


def test_where_labels_are_notes_those_nearest_to_the_pitch_are_taken(command):
    for options, labels in (
        ((), "flute-A4"),
        (("--label", "flute-*"), "flute-A4"),
        (("--label", "organ-Bb4"), "organ-Bb4"),
    ):
        outcome = command("generate", "tones", "-n", 5, *options, "--pitch", "A4", "--out", f"{labels}{len(options)}")
        assert outcome.code == 0, outcome.err
        made = comments_of(f"{labels}{len(options)}")
        timbres = ["brass", "flute", "keys", "organ", "pluck"] if not options else []
        assert [receipt["label"] for receipt in made] == ([f"{timbre}-A4" for timbre in timbres] or [labels] * 5)
        assert ("labels whose pitch is nearest to 440 Hz" in outcome.err) == (labels == "flute-A4")
        assert "beyond" not in outcome.err, "a semitone is near enough"
    heard = command("generate", "tones", "-n", 1, "--label", "organ-C4", "--pitch", "A4", "--out", "far").err
    assert "tones has learned pitches from 26" in heard and "of organ-C4; 440 Hz lies beyond" in heard


@pytest.mark.parametrize(("pitch", "hertz"), [("F4", 349.23), (301.5, 301.5)])
def test_notes_are_in_tune(pitch, hertz):
    clips = wavegan.load("tones").generate(5, pitch=pitch)
    heard = torch.stack([clip.nanmedian() for clip in pitches_of(torch.from_numpy(clips[:, 0]), 512)]) * 16_000 / 512
    assert (1200 * (heard / hertz).log2()).abs().max() < 20, "cents"


def test_of_labels_with_many_pitches_those_that_have_one_are_taken():
    tones = wavegan.load("tones").loaded.model
    drawn = tones.generator.drawn_pitches
    drawn.of_labels.zero_()  # type: ignore[union-attr, operator]
    drawn.own.copy_(torch.linspace(4, 6, 65))  # type: ignore[union-attr, operator]
    drawn.of_labels[0] = 1.5  # type: ignore[union-attr, index, operator]
    drawn.of_labels[1] = -2  # type: ignore[union-attr, index, operator]
    labels = tones.label_names[:3]  # from 2 ** 5.5, 2 ** 2 and 2 ** 4 cycles on, for two octaves each
    taken = {cycles: labels_at(tones, labels, 2**cycles * 16_000 / 512) for cycles in (5.7, 4.5, 3, 1, 8)}
    expected = {5.7: (0, 2), 4.5: (2,), 3: (1,), 1: (1,), 8: (0,)}
    assert taken == {cycles: tuple(labels[place] for place in places) for cycles, places in expected.items()}
