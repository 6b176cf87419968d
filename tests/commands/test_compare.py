"""Tests `wavegan compare`: its figures and pages, the sets that judge candidates, and the mistakes it meets."""

import json
import re
import shutil
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from wavegan import recipe as recipes
from wavegan.assemble.evaluation import clip_format_of, generated
from wavegan.audio.corpus import load_corpus
from wavegan.audio.files import FULL_SCALE
from wavegan.commands.compare import Comparison, compare
from wavegan.commands.evaluation_data import (
    Candidate,
    folder_candidate,
    real_sound_of_folders,
    real_sound_of_recipe,
    white_noise_like,
)
from wavegan.commands.judging_options import JudgingOptions
from wavegan.commands.model_loading import is_model, load_model
from wavegan.commands.train import train
from wavegan.errors import DataError
from wavegan.evaluation import artefacts
from wavegan.evaluation.clip_format import ClipFormat, common_form
from wavegan.evaluation.clips import ClipSet
from wavegan.evaluation.metrics import METRICS
from wavegan.evaluation.pages.html_page import audio_uri
from wavegan.evaluation.reference_sets import ReferenceSets, agreed_count
from wavegan.generation import generate
from wavegan.recipe import Recipe

RATE, SAMPLES = 16000, 4096
FORM = ClipFormat(RATE, 1, SAMPLES)
RECIPE = """\
data: {{source: {source}, holdout: 0.45, clip_samples: 4096}}
generator: {{dim: 1, latent_dim: 4}}
discriminators: {{waveform: {{name: wavegan, dim: 1}}}}
method: {{discriminator_steps: 1}}
training: {{steps: 2, batch_size: 2, checkpoint_every: 1, precision: fp32}}
monitor: {{preview_every: 0, tensorboard: false}}
"""


def write_sounds(folder: Path, count: int = 24, *, rate: int = RATE, channels: int = 1, seed: int = 0) -> Path:
    """Writes a folder of decaying tones over hiss, no two alike, with a peak of 1."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    time = np.arange(SAMPLES * rate // RATE) / rate
    for number in range(count):
        pitch, decay, hiss = random.uniform([200, 5, -4], [2000, 40, -2])
        sound = np.sin(2 * np.pi * pitch * time) * np.exp(-decay * time) + 10**hiss * random.standard_normal(len(time))
        soundfile.write(
            folder / f"sound-{number:03d}.wav", np.repeat(sound[:, None] / abs(sound).max(), channels, 1), rate
        )
    return folder


def write_clips(folder: Path, clips: np.ndarray) -> Path:
    """Writes a folder of clips (N, T), each scaled to a peak of 1."""
    folder.mkdir(parents=True)
    for number, clip in enumerate(clips):
        soundfile.write(folder / f"clip-{number:03d}.wav", clip / abs(clip).max(), RATE, subtype="PCM_16")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trains mouse and rat on `tones`, odd on another format, and orphan on sound that is then deleted."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAVEGAN_CACHE", str(folder / "cache"))
        for source in ("tones", "gone"):
            (folder / f"{source}.yaml").write_text(RECIPE.format(source=write_sounds(folder / source)))
        for source, name, *overrides in (
            ("tones", "mouse"),
            ("tones", "rat", "training.seed=1", "training.steps=1"),
            ("tones", "odd", "data.sample_rate=8000", "data.channels=2", "training.steps=1"),
            ("gone", "orphan", "training.seed=2", "training.steps=1"),
        ):
            made = recipes.load(folder / f"{source}.yaml", [f"name={name}", *overrides])
            train(made, folder / name, device="cpu")
    shutil.rmtree(folder / "gone")
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Makes every test work in a folder of its own, and without the metric that takes nine tenths of the time."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    kept = dict(METRICS)
    METRICS.pop("fad_l")
    monkeypatch.setattr("wavegan.evaluation.meaning.LEAST_CLIPS", 1)  # here few clips are enough to see the arithmetic
    yield folder
    METRICS.clear()
    METRICS.update(kept)  # in their order


def recipe_of(run: Path, *overrides: str) -> Recipe:
    return recipes.load(run / "recipe.yaml", overrides)


def real_sound_of(run: Path, *overrides: str, data: Path | None = None) -> ReferenceSets:
    recipe = recipe_of(run, *overrides)
    candidate = Candidate(recipe.name, ClipSet(0, torch.empty), run)
    return real_sound_of_recipe(recipe, data, None, seed=0, candidate=candidate)


def page_of(report: str) -> str:
    return Path(report).read_text(encoding="utf-8")


def whole(differences: dict[str, Any]) -> dict[str, float]:
    return {metric: score["value"] for metric, score in differences.items()}


def width(score: dict[str, Any]) -> float:
    return score["high"] - score["low"]


# What it gives.


def test_it_gives_all_figures_as_json_and_two_pages(command, home, here):
    outcome = command("compare", home / "mouse", home / "rat", "--count", 5, "--trials", 6, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("\n") == 1
    values = json.loads(outcome.out)
    assert set(values) == {"metrics", "differences", "facts", "candidates", "report", "listening"}
    assert list(values["metrics"]) == ["mouse", "rat", "real", "noise"] and list(values["differences"]) == ["rat"]
    learned = {
        name
        for name, metric in METRICS.items()
        if metric.features in ("classifier", "probabilities", "embedding", "stereo")
    }
    assert learned
    for scores in values["metrics"].values():
        assert set(scores) == set(METRICS) - learned
        for score in scores.values():
            assert score["low"] <= score["value"] <= score["high"] and score["n"] == 5
    for metric, difference in values["differences"]["rat"].items():
        mouse, rat = (values["metrics"][name][metric]["value"] for name in ("mouse", "rat"))
        assert difference["value"] == pytest.approx(rat - mouse, abs=1e-9) and difference["n"] == 5
        assert difference["low"] <= difference["value"] <= difference["high"]
    assert set(values["differences"]["rat"]) == set(METRICS) - learned
    assert values["metrics"]["real"]["spectrum_error_db"]["value"] > 0.1, "real clips are not compared with themselves"
    assert values["candidates"] == {
        "mouse": {"model": "mouse", "step": "2", "weights": "running average", "path": str(home / "mouse")},
        "rat": {"model": "rat", "step": "1", "weights": "running average", "path": str(home / "rat")},
    }
    assert values["facts"]["clips"] == "5 of 0.26 s in each set" and values["facts"]["classifier"] == "none"
    assert (values["report"], values["listening"]) == ("comparison/report.html", "comparison/listening.html")
    assert sorted(path.name for path in here.rglob("*.*")) == ["listening.html", "report.html"]
    assert f"{home / 'mouse'}, model: mouse, step: 2, weights" in page_of(values["report"])
    assert "6 pairs" in page_of(values["listening"])
    first, second = outcome.err.splitlines()
    assert first == "comparing at 16,000 Hz, channels: 1, 4,096 samples, peaks at 1"
    assert second == (
        "not measured, as no labelled sound for a classifier is known: kad_c, fad_c, inception_score, mis, am; "
        "--classifier FILE names a classifier"
    )


def test_as_text_it_gives_scores_and_differences_and_where_the_pages_are(command, home):
    outcome = command("compare", home / "mouse", home / "rat", "--count", 5, "--raw", "--out", "new/page.html")
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["mouse", "rat", "real", "noise"]
    assert "rat minus mouse" in lines and lines[-2:] == ["new/page.html", "new/listening.html"]
    assert "weights: as they learn" in page_of("new/page.html")


def test_equal_inputs_give_equal_figures_and_pages(command, home):
    def made(name: str, *words: str) -> list[Any]:
        outcome = command("compare", home / "mouse", home / "tones", "--count", 5, "--out", name, "--json", *words)
        values = json.loads(outcome.out)
        pages = [Path(values.pop(page)).read_bytes() for page in ("report", "listening")]
        return [values, *pages]

    first = made("one")
    assert made("two") == first
    other = made("three", "--seed", "1")
    assert all(result != other_result for result, other_result in zip(first, other, strict=True)), "the seed counts"


@pytest.mark.usefixtures("on_a_cpu")
def test_the_clips_are_those_of_the_seed(home):
    result = compare([home / "mouse", home / "rat"], JudgingOptions(count=5, seed=3), trials=6)
    page = page_of(str(result.report))
    for name in ("mouse", "rat"):
        model = load_model(home / name, torch.device("cpu")).model
        [clips] = generate(model, 16, seed=3)
        for number, clip in enumerate(clips[:5].numpy()):
            assert f'src="{audio_uri(clip, RATE)}" aria-label="{name} clip {number}"' in page


def test_a_model_beside_itself_differs_by_exactly_nothing(command, home):
    shutil.copytree(home / "mouse", "copy")
    outcome = command("compare", home / "mouse", "copy", "--count", 5, "--json")
    values = json.loads(outcome.out)
    mine, other = str(home / "mouse"), "copy"  # one name for both, so they go by their paths
    assert list(values["metrics"]) == [mine, other, "real", "noise"]
    assert whole(values["metrics"][mine]) == whole(values["metrics"][other])
    differences = values["differences"]["copy"]
    assert set(whole(differences).values()) == {0.0}
    assert all(score["low"] <= 0 <= score["high"] for score in differences.values())
    assert differences["noise_floor_db"]["low"] < 0 < differences["noise_floor_db"]["high"], "chance is not denied"
    page = page_of(values["report"])
    assert page.count("no clear difference</span>") == len(differences)
    sounds = dict(re.findall(r'src="([^"]*)" aria-label="([^"]*) clip 4"', page))
    assert len(sounds) == 2, "one sound for both models, another for the real one"


def test_differences_are_counted_from_the_first(home):
    there, back = (
        compare([home / a, home / b], JudgingOptions(count=5), trials=2)
        for a, b in (("mouse", "rat"), ("rat", "mouse"))
    )
    for name in ("mouse", "rat", "real"):
        assert whole(there.scores[name]) == whole(back.scores[name])
    assert there.differences["rat"].keys() == back.differences["mouse"].keys()
    for metric, score in there.differences["rat"].items():
        assert score["value"] == -back.differences["mouse"][metric]["value"]
    assert any(score["value"] for score in there.differences["rat"].values())


def test_three_at_once_and_two_checkpoints_of_one_run(home):
    files = sorted((home / "mouse/checkpoints").glob("step-*.pt"))
    result = compare([*files, home / "tones"], JudgingOptions(count=5), trials=6)
    assert list(result.differences) == [str(files[1]), str(home / "tones")]
    assert [facts.get("step") for facts in result.candidates.values()] == ["1", "2", None]
    listed = re.findall(r'<li><strong>.*?<span class="quiet">(.*?)</span>', page_of(str(result.report)))
    assert [line.split(",")[0] for line in listed] == ["model: mouse", "model: mouse", f"folder: {home / 'tones'}"]
    assert list(result.candidates.values())[2] == {"folder": str(home / "tones"), "path": str(home / "tones")}


def test_folders_named_real_and_noise_do_not_hide_the_real_sets(home):
    write_sounds(Path("real"), 6, seed=1)
    write_sounds(Path("noise"), 6, seed=2)
    result = compare([Path("real"), Path("noise")], JudgingOptions(data=home / "tones", count=6), trials=2)
    assert list(result.scores) == [str(Path("real").absolute()), str(Path("noise").absolute()), "real", "noise"]


# Intervals of differences.


def hissing(random: np.random.Generator, levels: np.ndarray) -> np.ndarray:
    """Makes clips (N, T) that begin with a click of 1 and then hiss at these levels in dB."""
    clips = 10 ** (levels[:, None] / 20) * random.uniform(-1, 1, (len(levels), SAMPLES))
    clips[:, 0] = 1
    return clips


def test_the_interval_of_a_difference_of_means_is_that_of_the_textbook(home):
    """The noise floor is a mean over clips: ± 1.96 √(s₁²/n + s₂²/n), the sets being independent."""
    random = np.random.default_rng(5)
    made = {name: hissing(random, random.normal(level, 6, 36)) for name, level in (("loud", -30), ("soft", -33))}
    folders = [write_clips(Path(name), clips) for name, clips in made.items()]
    result = compare(folders, JudgingOptions(data=write_sounds(Path("truth"), 72), count=36), trials=2)
    loud, soft = (
        artefacts.noise_floor(torch.from_numpy(clips[:, None]).float(), RATE).astype(float) for clips in made.values()
    )
    difference = result.differences["soft"]["noise_floor_db"]
    assert difference["value"] == pytest.approx(soft.mean() - loud.mean(), abs=0.05)
    reach = 1.96 * np.sqrt(loud.var() / 36 + soft.var() / 36)
    assert difference["high"] - difference["value"] == pytest.approx(reach, rel=0.25)
    assert difference["value"] - difference["low"] == pytest.approx(reach, rel=0.25)
    apart = [width(result.scores[name]["noise_floor_db"]) for name in made]
    assert width(difference) == pytest.approx(np.linalg.norm(apart), rel=0.2)


def test_what_is_uncertain_about_real_clips_does_not_blur_a_difference(home):
    """Compares two sets of equal clips, both louder than all real ones.

    Their errors differ by a constant, whichever clips are real.
    """
    random = np.random.default_rng(6)
    loud, soft = hissing(random, np.array([-3.0, -12.0]))
    folders = [write_clips(Path("one"), np.stack([loud] * 12)), write_clips(Path("two"), np.stack([soft] * 12))]
    real = write_clips(Path("truth"), hissing(random, random.uniform(-40, -15, 24)))
    result = compare(folders, JudgingOptions(data=real, count=12), trials=2)
    alone = result.scores["one"]["spectrum_error_db"]
    assert width(alone) > 1, "which real clips there are matters to each"
    difference = result.differences["two"]["spectrum_error_db"]
    assert difference["value"] == pytest.approx(-9, abs=1) and width(difference) < 1e-6


# What is compared with what.


def test_the_count_is_the_smallest_and_told(command, home):
    write_sounds(Path("few"), 4, seed=1)
    outcome = command("compare", home / "mouse", "few", "--count", 5, "--json")
    assert "comparing 4 clips of each set, not 5: there are no more in few\n" in outcome.err
    values = json.loads(outcome.out)
    assert {score["n"] for scores in values["metrics"].values() for score in scores.values()} == {4}
    outcome = command("compare", home / "mouse", home / "rat", "--json")
    half = json.loads(outcome.out)["metrics"]["rat"]["kad_l"]["n"]
    assert f"comparing {half} clips of each set, not 1,000: there are no more (half of those held out)" in outcome.err


def test_a_folder_in_another_form_is_converted_and_says_so(home, capfd, console):
    write_sounds(Path("mono"), 8, seed=3)
    write_sounds(Path("stereo"), 8, seed=3, channels=2)
    write_sounds(Path("mixed"), 8, seed=3, channels=2, rate=48000)
    shutil.copy("mono/sound-000.wav", "mixed/one-more.wav")
    result = compare([home / "mouse", Path("mono"), Path("stereo"), Path("mixed")], JudgingOptions(count=5), trials=12)
    lines = capfd.readouterr().err.splitlines()
    assert [line for line in lines if "converted" in line] == [
        "stereo: 8 files of 16,000 Hz, channels: 2, are converted to 16,000 Hz, channels: 1, 4,096 samples, peaks at 1",
        "mixed: 8 files of 48,000 Hz, channels: 2, are converted to 16,000 Hz, channels: 1, 4,096 samples, peaks at 1",
    ]
    assert whole(result.scores["stereo"]) == pytest.approx(whole(result.scores["mono"]), abs=0.01)
    assert result.facts["sound"] == str(FORM)
    assert not [line for line in lines if "lower rate" in line], "what is above half of the lower rate is cut off"


def test_sound_of_a_lower_rate_lacks_what_the_others_have_and_is_told(home, capfd, console):
    write_sounds(Path("low"), 8, seed=3, rate=8000)
    compare([home / "mouse", Path("low")], JudgingOptions(count=4), trials=12)
    (line,) = (line for line in capfd.readouterr().err.splitlines() if "lower rate" in line)
    assert line.startswith("warning: low: 8 of 8 files have a lower rate than the clips and nothing above 4 kHz, so ")


def test_models_of_other_forms_are_refused_and_their_folders_are_not(command, home):
    message = one_error(command("compare", home / "mouse", home / "odd"))
    assert f"{home / 'mouse'} makes clips of 16,000 Hz, channels: 1, 4,096 samples" in message
    assert f"{home / 'odd'} of 8,000 Hz, channels: 2" in message and "wavegan generate" in message
    assert command("generate", home / "odd", "-n", 6, "--out", "made").code == 0
    outcome = command("compare", home / "mouse", "made", "--count", 5)
    assert outcome.code == 0 and "made: 6 files of 8,000 Hz, channels: 2, are converted" in outcome.err


def test_files_that_cannot_be_used_are_told(home, capfd, console):
    write_sounds(Path("made"), 6, seed=3)
    Path("made/bad.wav").write_text("no sound")
    compare([home / "mouse", Path("made")], JudgingOptions(count=5), trials=2)
    assert "made: 1 files cannot be used and are left out, the first is bad.wav: " in capfd.readouterr().err


def test_folders_alone_take_the_most_common_form_of_the_first(home):
    write_sounds(Path("one"), 6, rate=8000)
    write_sounds(Path("two"), 6, channels=2)
    result = compare([Path("one"), Path("two")], JudgingOptions(data=home / "tones", training=home / "tones"), trials=2)
    assert result.facts["sound"] == "8,000 Hz, channels: 1, 2,048 samples, peaks at 1"
    assert result.facts["training"] == "24 clips" and result.facts["held out"].startswith(f"all of {home / 'tones'};")


def test_models_that_have_learned_from_other_sound_are_told(command, home):
    word = f"{home / 'orphan'} and {home / 'mouse'} were not trained on the same sound"
    assert word in command("compare", home / "mouse", home / "orphan", "--count", 5).err
    assert "not learned" not in command("compare", home / "mouse", home / "rat", "--count", 5).err


@pytest.mark.parametrize(("new", "is_kept"), [(0, True), (14, False)])
def test_data_that_was_learned_from_does_not_judge_unless_too_little_is_left(home, capfd, console, new, is_kept):
    data = Path("new")
    shutil.copytree(home / "tones", data)
    for path in write_sounds(Path("more"), new, seed=3).iterdir():
        shutil.copy(path, data / f"new-{path.name}")
    own = real_sound_of(home / "mouse")
    assert own.training and "learned from" not in capfd.readouterr().err, "its own held-out part is not searched"
    learned, held_out = len(own.training), len(own.real) + len(own.reference)
    real_sound = real_sound_of(home / "mouse", data=data)
    judging = contents(real_sound.real) + contents(real_sound.reference)
    assert len(judging) == new + held_out + (learned if is_kept else 0)
    assert set(judging).isdisjoint(contents(own.training)) == (not is_kept)
    told = f"warning: {learned} of {24 + new} sounds of new are also learned from, "
    told += "and all are used, as fewer than 12 would be left: figures" if is_kept else "so they are not used to judge"
    assert told in capfd.readouterr().err
    real_sound_of(home / "mouse", data=write_sounds(Path("others"), 12, seed=5))
    assert "learned from" not in capfd.readouterr().err


def test_what_a_later_model_has_learned_from_judges_none_of_them(command, home):
    sounds = write_sounds(Path("late-sounds"), 40, seed=5)
    recipe = recipes.load(home / "tones.yaml", ["name=late", f"data.source={sounds}", "training.steps=1"])
    train(recipe, Path("late"), device="cpu")
    learned = json.loads(Path("late/corpus.json").read_text())["files"]
    outcome = command("compare", home / "mouse", "late", "--data", sounds, "--count", 5)
    assert outcome.code == 0 and 20 < learned < 40
    assert f"{learned} of 40 sounds of late-sounds are also learned from, so they are not used to judge" in outcome.err


# Where training sound is gone or named.


def test_a_model_without_its_sound_needs_other_sound(command, home):
    message = one_error(command("compare", home / "orphan", home / "mouse"))
    assert "orphan is judged by the sound of its training, which cannot be used here (" in message
    assert "gone, and nothing lies there" in message


@pytest.mark.parametrize("is_named", [False, True])
def test_a_model_without_its_sound_is_judged_by_other_sound(command, home, is_named):
    write_sounds(Path("new"), 12, seed=1)
    words = ("--training", home / "tones") if is_named else ()
    outcome = command("compare", home / "orphan", home / "tones", "--data", "new", "--count", 6, "--json", *words)
    assert outcome.code == 0, outcome.err
    values = json.loads(outcome.out)
    line = "not measured, as the training sound is not known: copy_share, copy_z; --training DIR names it"
    assert (line in outcome.err) == (not is_named)
    assert values["facts"]["training"] == ("24 clips" if is_named else "not known")
    assert values["facts"]["held out"].startswith("all of new;")
    for scores in (*values["metrics"].values(), *values["differences"].values()):
        assert ({"copy_share", "copy_z"} <= set(scores)) == is_named
    if is_named:
        assert values["metrics"]["tones"]["copy_share"]["value"] == 1, "the folder is what was learned from"
        assert values["metrics"]["orphan"]["copy_share"]["value"] == 0
        assert values["differences"]["tones"]["copy_share"]["value"] == 1


# The real sound: what is real, and what was learned from.


def contents(clips: ClipSet | None) -> list[bytes]:
    """Returns the clips' samples as bytes, which tell clips apart."""
    return [] if clips is None else [clip.numpy().tobytes() for clip in clips.together()]


def names(clips: ClipSet | None, folder: Path) -> set[str]:
    """Returns the names of the clips' files in a folder whose files are each as long as a clip."""
    corpus = load_corpus([str(folder)], RATE, 1)
    rows = [corpus.samples[start : start + SAMPLES].T.float() / FULL_SCALE for start in corpus.starts]
    known = dict(zip([row.numpy().tobytes() for row in rows], corpus.names, strict=True))
    file_names = [known[content] for content in contents(clips)]
    assert len(file_names) == len(set(file_names)), "none twice"
    return set(file_names)


def test_two_halves_and_what_was_learned_from_are_disjoint_and_all(home):
    real_sound = real_sound_of(home / "mouse")
    real, reference, training = (
        names(clips, home / "tones") for clips in (real_sound.real, real_sound.reference, real_sound.training)
    )
    assert abs(len(real) - len(reference)) <= 1 and min(len(real), len(training)) > 2
    assert not real & reference and not (real | reference) & training
    assert len(real | reference | training) == 24
    assert real_sound.form == FORM == clip_format_of(recipe_of(home / "mouse"))


def test_halves_follow_from_names_alone(home):
    """Splits other sounds of the same names, in another folder and with another seed, in the same way."""
    other = write_sounds(Path("other/tones"), 24, seed=9)
    mine = real_sound_of_folders(FORM, home / "tones", None, seed=0)
    theirs = real_sound_of_folders(FORM, other, None, seed=7)
    assert len(mine.real) == len(mine.reference) == 12
    for clips, other_clips in ((mine.real, theirs.real), (mine.reference, theirs.reference)):
        assert names(clips, home / "tones") == names(other_clips, other)
    assert not set(contents(mine.real)) & set(contents(mine.reference))
    again = real_sound_of_folders(FORM, home / "tones", None, seed=7)
    assert contents(again.real) != contents(mine.real), "the seed only orders them"


def test_a_test_set_is_held_out_and_all_else_learned_from(home):
    test = write_sounds(Path("test"), 7, seed=4)
    real_sound = real_sound_of(home / "mouse", f"data.test={test}")
    assert real_sound.split == "data.test: test"
    assert len(real_sound.real) == 3 and len(real_sound.reference) == 4
    assert len(names(real_sound.real, test) | names(real_sound.reference, test)) == 7
    assert len(names(real_sound.training, home / "tones")) == 24


def test_nothing_held_out_is_refused_unless_data_is_named(home):
    with pytest.raises(DataError, match="has no held-out sound .* `reference=DIR`"):
        real_sound_of(home / "mouse", "data.holdout=0")
    real_sound = real_sound_of(home / "mouse", "data.holdout=0", data=write_sounds(Path("new"), 6))
    assert real_sound.split == "all of new" and len(names(real_sound.training, home / "tones")) == 24


def test_the_form_of_a_folder_is_its_most_common_one():
    write_sounds(Path("mixed/a"), 3, rate=8000, channels=2)
    write_sounds(Path("mixed/b"), 2, rate=22050)
    write_clips(Path("mixed/c"), np.ones((1, 6000)))
    assert common_form(Path("mixed")) == ClipFormat(8000, 2, 3000)
    write_clips(Path("long"), np.ones((1, 70000)))
    assert common_form(Path("long")) == ClipFormat(RATE, 1, 65536)


def test_a_file_that_does_not_tell_its_length_counts_as_long_as_it_is():
    write_clips(Path("stream"), np.ones((1, 3000)))
    path = next(Path("stream").iterdir())
    content = bytearray(path.read_bytes())
    content[40:44] = b"\xff" * 4  # the size of the sound
    path.write_bytes(content)
    assert common_form(Path("stream")) == ClipFormat(RATE, 1, 3000)
    soundfile.write(path, np.ones(2000), RATE, format="FLAC")
    content = bytearray(path.read_bytes())
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])  # the number of frames
    path.write_bytes(content)
    assert common_form(Path("stream")) == ClipFormat(RATE, 1, 2000)


def test_a_model_is_a_file_or_a_run(home):
    assert is_model(home / "mouse") and is_model(next((home / "mouse/checkpoints").iterdir()))
    assert not is_model(home / "tones") and not is_model(home / "nowhere")


def test_noise_has_the_power_of_other_clips_in_any_count(home):
    like = folder_candidate(home / "tones", FORM, seed=0).clips
    made = white_noise_like(like, 40, 3).together()
    assert made.shape == (40, 1, SAMPLES)
    assert float(made.square().mean()) == pytest.approx(float(like.together().square().mean()), rel=0.02)
    assert torch.equal(white_noise_like(like, 20, 3).together(), made[:20])
    assert len(set(contents(white_noise_like(like, 40, 3)))) == 40, "none twice"


def test_generated_clips_are_those_of_one_long_series(home):
    model = load_model(home / "mouse", torch.device("cpu")).model
    made, expected = generated(model, 40, 3), torch.cat(list(generate(model, 40, seed=3)))
    assert torch.allclose(made.together(), expected, atol=1e-5)
    assert torch.allclose(made[37], expected[37], atol=1e-5) and len(made.first(17).together()) == 17


def silent(count: int) -> ClipSet:
    return ClipSet(count, lambda _: torch.zeros(16, 1, SAMPLES))


@pytest.mark.parametrize(
    ("wanted", "halves", "folders", "count", "line"),
    [
        (5, (9, 8), (7,), 5, ""),
        (8, (9, 8), (), 8, ""),
        (9, (9, 8), (12,), 8, "comparing 8 clips of each set, not 9: there are no more (half of those held out)\n"),
        (9, (8, 9), (), 8, "comparing 8 clips of each set, not 9: there are no more (half of those held out)\n"),
        (1000, (9, 8), (7, 3, 5), 3, "comparing 3 clips of each set, not 1,000: there are no more in folder-1\n"),
    ],
)
def test_all_sets_are_as_large_as_the_smallest(capfd, wanted, halves, folders, count, line, console):
    real_sound = ReferenceSets(FORM, silent(halves[0]), silent(halves[1]), None, "")
    candidates = [Candidate("x", silent(size), Path(f"folder-{number}")) for number, size in enumerate(folders)]
    assert agreed_count(wanted, real_sound, candidates) == count
    assert capfd.readouterr().err == line


# Listening.


def test_answers_are_scored(command, home):
    """The listener always prefers the first model's sounds: 6 of 6 pairs of both models, none of them to real."""
    outcome = command("compare", home / "mouse", home / "rat", "--count", 5, "--trials", 18, "--seed", 4, "--json")
    page = page_of(json.loads(outcome.out)["listening"])
    [content] = re.findall(r'<script type="application/json" id="test">(.*?)</script>', page, re.DOTALL)
    head = json.loads(content)["head"]
    key = json.loads(b64decode(head["key"]))
    assert key["candidates"] == ["mouse", "rat", "real"], "noise is for the figures only"
    assert key["seed"] == 4
    order = ("real", "mouse", "rat")  # from best to worst
    sides = [(key["candidates"][a], key["candidates"][b]) for (a, _), (b, _) in key["trials"]]
    answers = ["A" if order.index(a) < order.index(b) else "B" for a, b in sides]
    plain = {"seed": key["seed"], "candidates": key["candidates"], "session": "1", "listener": "Ann", "times": []}
    Path("answers.json").write_text(json.dumps({**head, **plain, "answers": answers}))
    scored = command("compare", "--answers", "answers.json", "--json")
    assert scored.code == 0, scored.err
    pairs = {
        (pair["first"], pair["second"]): (pair["wins"], pair["trials"]) for pair in json.loads(scored.out)["pairs"]
    }
    assert pairs == {("mouse", "rat"): (6, 6), ("mouse", "real"): (0, 6), ("rat", "real"): (0, 6)}
    told = command("compare", "--answers", "answers.json").out.splitlines()
    assert len(told) == 3 and told[0].startswith("mouse preferred to rat in 6 of 6")


# What users get wrong.


def one_error(outcome: Any) -> str:
    """Returns the message of a refusal: one error, on stderr alone."""
    assert outcome.code == 2, (outcome.code, outcome.err)
    assert outcome.out == "" and outcome.err.count("error: ") == 1 and "Traceback" not in outcome.err
    return outcome.err[outcome.err.index("error: ") :]


MISTAKES = {
    "nothing": ("", ("no model or folder is named", "two or more", "name another one")),
    "one alone": ("{mouse}", ("only {mouse} is named", "two or more", "name another one")),
    "one twice": ("{mouse} {rat} {mouse}", ("{mouse} is named twice", "different", "name another")),
    "one twice, otherwise": ("{tones} {mouse} {mouse}/", ("{mouse} is named twice", "different", "name another")),
    "a slip": ("{mouse} nowhere", ("nowhere does not exist", "a MODEL or a folder", "check the spelling")),
    "a slip in the first": ("nowhere {mouse}", ("nowhere does not exist", "a MODEL or a folder", "spelling")),
    "folders alone": ("{tones} {few}", ("is no model", "real audio must be named", "add --data DIR")),
    "no sound": ("{mouse} {empty}", ("{empty} holds no sound file and no checkpoints", "name another folder")),
    "no sound at first": ("{empty} {tones} --data {tones}", ("{empty} holds no sound file", "name another folder")),
    "only broken": ("{mouse} {broken}", ("none of the 1 files can be used", "repair", "a.wav")),
    "a text": ("{mouse} {notes}", ("notes.txt cannot be read", "not a checkpoint", "another")),
    "one file": ("{mouse} {single}", ("1 clip of each set", "no more in {single}", "2 or more", "folder of more")),
    "one file of data": ("{mouse} {rat} --data {single}", ("1 held-out clips", "2 or more", "--data DIR")),
    "missing data": ("{mouse} {rat} --data nowhere", ("nowhere does not exist", "check the spelling")),
    "missing training": ("{mouse} {rat} --training nowhere", ("nowhere does not exist", "check the spelling")),
    "missing classifier": ("{mouse} {rat} --classifier x.pt", ("x.pt cannot be read", "wavegan classifier train")),
    "an unknown step": ("{mouse} {rat} --checkpoint 7", ("--checkpoint is 7", "newest, best or the step", "has 1, 2")),
    "a PDF": ("{mouse} {rat} --out page.pdf", ("--out is page.pdf", "ends in .html", "name another file")),
    "over the test": ("{mouse} {rat} --out listening.html", ("--out is listening.html", "test beside it", "name")),
    "below a file": ("{mouse} {rat} --out {notes}/page.html", ("notes.txt cannot be made", "--out")),
    "one clip": ("{mouse} {rat} --count 1", ("1 is no whole number of at least 2", "wavegan compare --help")),
    "no trials": ("{mouse} {rat} --trials 0", ("0 is no whole number from 1 to ", "wavegan compare --help")),
    "answers and models": ("{mouse} --answers {notes}", ("both --answers and models", "give only one")),
    "missing answers": ("--answers nowhere.json", ("nowhere.json cannot be read", "save it again")),
    "no answers": ("--answers {notes}", ("notes.txt cannot be read", "whole JSON", "save it again")),
}


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes a folder of files and folders that users name by mistake."""
    folder = tmp_path_factory.mktemp("things")
    (folder / "notes.txt").write_text("Dear diary")
    (folder / "empty").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "a.wav").write_text("no sound")
    write_sounds(folder / "single", 1)
    write_sounds(folder / "few", 3)
    return folder


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_sentence(command: Callable[..., Any], home, things, here, mistake):
    words, parts = MISTAKES[mistake]
    places = {name: home / name for name in ("mouse", "rat", "tones")}
    places |= {name: things / name for name in ("empty", "broken", "single", "few")} | {"notes": things / "notes.txt"}
    message = one_error(command("compare", *words.format(**places).split()))
    place = 0
    for part in (part.format(**places) for part in parts):
        place = message.find(part, place)
        assert place >= 0, f"{part!r} is not in its turn in {message!r}"
    assert not [path for path in here.rglob("*") if path.is_file()], "nothing was left behind"


@pytest.mark.parametrize(
    ("out", "page"),
    [
        (None, "comparison/report.html"),
        ("there", "there/report.html"),
        ("new/folder", "new/folder/report.html"),
        ("v1.2", "v1.2/report.html"),
        (".", "report.html"),
        ("a/page.html", "a/page.html"),
        ("PAGE.HTML", "PAGE.HTML"),
    ],
)
def test_out_is_the_page_or_its_folder(home, monkeypatch, out, page):
    Path("there").mkdir()
    Path("v1.2").mkdir()
    monkeypatch.setattr(
        "wavegan.commands.compare.score_record", lambda *_: {"value": 0.0, "low": 0.0, "high": 0.0, "n": 2}
    )
    result: Comparison = compare(
        [home / "mouse", home / "rat"], JudgingOptions(count=2), out=out and Path(out), trials=2
    )
    assert result.report == Path(page) and result.listening == Path(page).with_name("listening.html")
    assert result.report.is_file() and result.listening.is_file()
