"""Tests `wavegan doctor`: what it says of faults, the recipe that it advises, and that training with that is quiet."""

import json
import logging
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from page_reader import Page
from soxr import resample

import wavegan
from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.audio import corpus_cache
from wavegan.audio.checks import Cutting
from wavegan.audio.content import Probe
from wavegan.audio.corpus import load_corpus
from wavegan.commands import doctor as doctor_module
from wavegan.commands import recipe_advice
from wavegan.commands.data_format import DataFormat, cutting_of, data_format_of, plain_cutting, steady_share
from wavegan.commands.doctor import as_json, doctor, training_seconds
from wavegan.commands.recipe_advice import advised as advised_for
from wavegan.commands.recipe_advice import steps_for
from wavegan.commands.shipped_models import shipped_models
from wavegan.commands.starting import start_of
from wavegan.commands.train import train
from wavegan.errors import DataError, UserError
from wavegan.training.run_folder import statistics

RATE = 16000
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
SMALL = ["training.steps=2", "training.batch_size=4", "generator.dim=8", "discriminators.*.dim=8"]
QUIET = ["monitor.preview_every=0", "monitor.tensorboard=false", "training.precision=fp32"]


def hit(number: int, seconds: float = 0.5, rate: int = RATE) -> np.ndarray:
    """Returns a decaying tone with some noise, another for each number."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(number).normal(size=len(time))
    return 0.5 * (np.sin(2 * np.pi * (110 + 37 * number) * time) + 0.1 * noise) * np.exp(-6 * time)


def burst(number: int, seconds: float, rate: int) -> np.ndarray:
    """Returns a decaying noise, another for each number."""
    noise = np.random.default_rng(number).normal(size=round(seconds * rate))
    return 0.2 * noise * np.exp(-6 * np.arange(len(noise)) / rate)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """folder(make) writes 12 sounds make(number) as WAVs and returns their folder, in an empty current folder."""
    monkeypatch.chdir(tmp_path)

    def write(make=hit, count=12, rate=RATE, name="sounds") -> str:
        Path(name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            soundfile.write(f"{name}/hit-{number:03d}.wav", make(number), rate)
        return name

    return write


def advised(source: str) -> recipes.Recipe:
    """Returns the recipe that is advised for a source."""
    advice = doctor(source, timing=False).advice
    assert advice, "something can be learned from it"
    return advice.recipe


def late(number):
    return np.concatenate([np.zeros(3 * RATE), hit(number)])


def upside_down(number):
    return np.stack([hit(number), -hit(number)], 1)


def wide(number):
    return np.stack([hit(number), hit(number + 100)], 1)


def recording(number):
    return np.concatenate([hit(20 * number + part) for part in range(20)])


def telephone(number):
    return resample(hit(number, rate=8000), 8000, RATE)


MENDED = {  # the sound, the kind of its fault, and what the recipe says of data
    "late": (late, "late", {"trim_silence": True, "windows": "first", "clip_samples": 8192}),
    "shifted": (lambda number: 0.1 * hit(number) + 0.6, "offset", {"remove_dc": True}),
    "upside down": (upside_down, "phase", {"channel": 1, "channels": 1}),
    "recordings": (recording, "reach", {"windows": "random", "clip_samples": 16384}),
    "telephone": (telephone, "bandwidth", {"sample_rate": 8000}),
    "stereo": (wide, None, {"channels": 2}),
    "plain": (hit, None, {"sample_rate": RATE, "windows": "first", "channels": 1, "holdout": 0.34}),
}


@pytest.mark.parametrize("case", MENDED)
def test_the_recipe_mends_what_it_can_and_trains_without_a_warning(folder, caplog, case):
    make, kind, data = MENDED[case]
    result = doctor(folder(make), recipe=Path("my.yaml"), timing=False)
    assert [problem.finding.kind for problem in result.problems if not problem.is_mended] in (["few"], [])
    assert kind is None or kind in [problem.finding.kind for problem in result.problems if problem.is_mended]
    settings = recipes.load(Path("my.yaml"), [*SMALL, *QUIET])
    assert settings.name == "my" and data.items() <= settings.data.model_dump().items()
    with caplog.at_level(logging.INFO, "wavegan"):
        train(settings, Path("run"))
    assert any("learning from" in record.message for record in caplog.records)
    assert [record.message for record in caplog.records if record.levelno > logging.INFO] == []


def between_silences(number):
    return np.concatenate([np.zeros(RATE // 2), hit(number), np.zeros(RATE)])


@pytest.mark.parametrize("shift", [0.04, 0.2])
@pytest.mark.parametrize("sound", [hit, between_silences, recording])
def test_an_offset_changes_nothing_but_that_it_is_subtracted(folder, sound, shift):
    makes = {"plain": sound, "shifted": lambda number: 0.5 * sound(number) + shift}
    plain, shifted = (doctor(folder(make, name=name), timing=False) for name, make in makes.items())
    assert plain.advice and shifted.advice, "something can be learned from both"
    expected = plain.advice.recipe.data.model_copy(update={"source": ("shifted",), "remove_dc": True})
    assert shifted.advice.recipe.data == expected
    assert shifted.advice.recipe.generator == plain.advice.recipe.generator
    faults, of_shifted = ({each.finding.kind for each in diagnosis.problems} for diagnosis in (plain, shifted))
    assert of_shifted == faults | {"offset"}
    assert shifted.facts.get("lead") == plain.facts.get("lead")


def test_files_whose_channels_cancel_are_heard_as_they_are_learned(folder):
    """One of ten is too few for doctor to take the left channel at first sight."""
    make = lambda number: np.stack([hit(number), (-1 if number == 3 else 1) * hit(number)], 1)  # noqa: E731
    result = doctor(folder(make, 10), timing=False)
    assert result.advice and result.advice.recipe.data.channel == 1
    assert (result.figures["files"], result.figures["listened_to"]) == (10, 10)
    assert "unusable" in [problem.finding.kind for problem in result.problems if problem.is_mended]


def test_training_finds_the_sound_in_the_cache(folder, monkeypatch):
    doctor(folder(late), recipe=Path("my.yaml"), timing=False)
    monkeypatch.setattr(corpus_cache, "decode_item", None)
    train(recipes.load(Path("my.yaml"), [*SMALL, *QUIET]), Path("run"))


@pytest.mark.usefixtures("on_a_cpu")
def test_the_advised_model_is_the_shipped_one(folder):
    """At 16 kHz on a CPU the recipe is that of the shipped ones, apart from the sound and the steps for it."""
    written = recipes.as_dict(advised(folder(vibrato)))
    assert written["training"].pop("steps") == 2000
    shipped = recipes.load(Path(__file__).parents[2] / "recipes" / "drums_modern.yaml", ["generator.labels=0"])
    shipped = recipes.as_dict(shipped)
    del shipped["training"]["steps"]
    for part in ("generator", "discriminators", "method", "optimizers", "training", "evaluation"):
        assert written[part] == shipped[part], part


def test_a_fatal_fault_is_the_first_line(folder, command):
    outcome = command("doctor", folder(lambda number: np.zeros(RATE)), "--recipe", "my.yaml")
    assert outcome.code == 0 and not Path("my.yaml").exists()
    assert outcome.out.startswith("nothing can be learned so: all files hold nothing but silence")
    assert outcome.out.endswith("No recipe helps, so none is written.\n") and "data:" not in outcome.out


def test_it_speaks_of_the_sound_as_an_expert_would(folder, command):
    place = folder(late)
    Path(place, "memo.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(200))
    Path(place, "bad.wav").write_bytes(b"no sound")
    outcome = command("doctor", place, "--no-timing")
    assert outcome.code == 0 and outcome.err == ""
    there, wrong, mended, advice, *_ = outcome.out.split("\n\n")
    assert "12 files, 42.0 seconds" in there and "12 files begin with silence, 3.00 s" in there
    assert "need another decoder: 1" in there and "16,000 Hz" in there and "3.50 s each" in there
    assert wrong.startswith("What will go wrong") and "→ convert them to WAV or FLAC" in wrong and "bad.wav" in wrong
    assert mended.startswith("What would go wrong without the recipe below")
    assert "begin after the clip's 0.51 s" in mended
    assert "trim_silence: true" in outcome.out and "--recipe FILE writes it" in advice
    assert "max_bad_fraction: 0.08 " in outcome.out


def test_json_holds_everything(folder, command):
    place = folder()
    for number in range(4):
        Path(place, f"copy-{number}.wav").write_bytes(Path(place, "hit-000.wav").read_bytes())
    values = json.loads(command("doctor", place, "--json", "--no-timing").out)
    assert (values["files"], values["clips"], values["copies"]) == (16, 12, 4)
    assert values["sample_rates"] == {"16000": 16} and values["formats"] == {"WAV": 16}
    copies = next(problem for problem in values["problems"] if problem["kind"] == "copies")
    assert set(copies) == {"kind", "text", "remedy", "weight", "is_fatal", "is_mended", "names"}
    assert len(copies["names"]) == 4 and copies["weight"] == pytest.approx(0.5 * (0.2 + 0.8 * 4 / 16))
    assert recipes.from_dict(values["recipe"]).data.source == (place,)
    assert values["step_seconds"] is values["training_seconds"] is None


def test_a_recipe_is_not_written_over_unasked(folder, command):
    place = folder()
    Path("my.yaml").write_text("mine")
    outcome = command("doctor", place, "--recipe", "my.yaml", "--no-timing")
    assert (outcome.code, outcome.out) == (2, "") and "my.yaml exists; " in outcome.err and "--force" in outcome.err
    assert Path("my.yaml").read_text() == "mine"
    assert (
        "next: wavegan train my.yaml" in command("doctor", place, "--recipe", "my.yaml", "--no-timing", "--force").out
    )
    assert recipes.load(Path("my.yaml")).data.source == (place,)
    with pytest.raises(UserError, match="nowhere is no folder"):
        doctor(place, recipe=Path("nowhere/my.yaml"))


@pytest.mark.parametrize("name", ["my recipe #2.yaml", "808.yaml", "a_b.yaml", "é.yaml"])
def test_any_name_of_a_file_gives_a_recipe_that_loads(folder, name):
    doctor(folder(name="Kicks #2: [loud]"), recipe=Path(name), timing=False)
    settings = recipes.load(Path(name))
    assert f"wavegan train {shlex.quote(name)}" in Path(name).read_text(encoding="utf-8")
    assert settings.data.source == ("Kicks #2: [loud]",)


def test_sound_that_cannot_be_read_is_an_error(folder, command):
    outcome = command("doctor", "nowhere")
    assert outcome.code == 2 and "the source nowhere does not exist" in outcome.err
    Path("sounds").mkdir()
    Path("sounds/bad.wav").write_bytes(b"")
    with pytest.raises(DataError, match="none of the 1 files can be used"):
        doctor("sounds")
    with pytest.raises(DataError, match="not valid text; rename it"):
        doctor("caf\udce9")


def test_the_page_shows_examples_with_escaped_names(folder):
    place = folder(lambda number: 0.1 * hit(number) + 0.6, 5)
    soundfile.write(f"{place}/<b>&loud.wav", hit(7), RATE)
    result = doctor(place, out=Path("checked"), timing=False)
    assert result.page, "a page was asked for"
    page = Page(result.page)
    assert page.headings == [
        "What will go wrong", "What would go wrong without the recipe", "Some of the sounds", "The recipe that fits",
    ]  # fmt: skip
    assert "&lt;b&gt;&amp;loud.wav" in page.source and "<b>" not in page.source
    mended = page.section("What would go wrong without the recipe")
    assert "shifted from zero" in mended.text and len(mended.all("audio")) == len(mended.all("img")) == 3
    assert len(page.section("Some of the sounds").all("audio")) == 6
    assert page.section("The recipe that fits").all("pre")[0].text.startswith("# For sounds, advised by wavegan doctor")


def test_names_that_are_no_text_can_be_written(folder):
    place = folder()
    try:
        soundfile.write("shifted.wav", 0.1 * hit(7) + 0.6, RATE)
        Path("shifted.wav").rename(Path(place, "caf\udce9.wav"))
    except OSError:
        pytest.skip("this system has no such names")
    result = doctor(place, out=Path("checked"), timing=False)
    [problem] = [problem for problem in as_json(result)["problems"] if problem["kind"] == "offset"]
    assert problem["names"] == ["caf\\xe9.wav"] and "caf\\xe9.wav" in problem["text"]
    json.dumps(as_json(result), ensure_ascii=False).encode()


def test_a_test_folder_beside_a_train_folder_judges(folder):
    folder(name="train")
    folder(lambda number: hit(number + 20), name="test")
    assert advised("train").data.test == ("test",)
    assert advised("test").data.test is None
    corpus, cutting = load_corpus("train", RATE, 1), Cutting(8192, "first")
    built_in = advised_for(
        ["drum_machine/room"], corpus, DataFormat(RATE, 1, RATE), cutting, CPU, None, 300, None
    ).recipe
    assert built_in.data.test == ("drum_machine/room/test",)
    tonal = advised_for(["synth"], corpus, DataFormat(RATE, 1, RATE), cutting, CPU, None, 300, None).recipe
    assert tonal.data.test == ("synth/test",)


def test_labels_are_learned_where_there_are_enough(folder):
    for number in range(4):
        folder(lambda index, number=number: hit(index + 10 * number), 7, name=f"drums/{number}")
    assert advised("drums").generator.labels == "auto"
    for number in range(15):
        folder(lambda index, number=number: hit(index + 10 * number), 6, name=f"sparse/{number}")
    sparse = doctor("sparse", timing=False)
    assert sparse.advice and sparse.advice.recipe.generator.labels == 0, "of 90 files 75 must be left to learn from"
    assert "too few files: wavegan doctor says how many" in sparse.advice.text
    told = [problem.finding.text for problem in sparse.problems if problem.finding.kind == "labels"]
    assert told and told[0].startswith("15 labels have 90 files in all, and 100 are needed (5 each")
    for part, count in (("train", 5), ("test", 2)):
        for number in range(15):
            folder(lambda index, number=number: hit(index + 10 * number), count, name=f"parted/{part}/{number}")
    for place in ("parted", "parted/train"):
        result = doctor(place, timing=False)
        assert result.advice and result.advice.recipe.generator.labels == "auto", "75 are learned from, none held out"
        assert result.figures["clips"] == 75, place
    folder(lambda index: hit(index + 50), 1, name="drums")
    result = doctor("drums", timing=False)
    assert result.advice and result.advice.recipe.generator.labels == 0
    assert "# some files have none" in result.advice.text
    assert "unlabelled" in [problem.finding.kind for problem in result.problems]


@pytest.mark.parametrize(
    ("names", "seconds", "rate", "start"),
    [
        (("Kick", "snare", "zap"), 0.9, RATE, "drums"),
        (("zap", "boing", "snare"), 0.9, RATE, None),  # one label of three
        (("zero", "one"), 0.9, RATE, "digits"),
        (("Kick", "snare"), 0.9, 8000, "drums"),  # its lower half
        (("Kick", "snare"), 0.9, 44100, "drum_kits"),  # of two with its rate that of recordings
        (("Kick", "snare"), 0.9, 32000, "drum_kits"),  # the nearer rate
        (("Kick", "clap"), 0.9, 44100, "drums_44k"),  # it alone knows both
        (("Kick", "snare"), 0.2, RATE, None),  # clips of 4,096 samples, a quarter of the model's
    ],
)
def test_a_model_that_knows_the_labels_is_a_head_start(folder, names, seconds, rate, start):
    for number, name in enumerate(names):
        made = (lambda index: burst(index, seconds, rate)) if start != "digits" else gliding  # digits are voices
        folder(lambda index, number=number, made=made: made(index + 10 * number), 7, rate, name=f"mine/{name}")
    result = doctor("mine", timing=False)
    assert result.advice and result.advice.recipe.training.start_from == start
    told = f"# a shipped model that knows {min(len(names), 2)} of the {len(names)} labels"
    assert (told in result.advice.text) == bool(start)
    assert (start_of(result.advice.recipe) is not None) == bool(start), "it is advised and cannot be trained"


def test_a_model_of_another_form_is_no_head_start(folder):
    for number, name in enumerate(("kick", "snare")):  # tones: notes, whose pulses are filtered
        folder(lambda index, number=number: hit(index + 10 * number, 0.9), 6, name=f"mine/{name}")
    recipe = advised("mine")
    assert recipe.generator.filtered_pulses and recipe.training.start_from is None


@pytest.mark.parametrize(
    ("learned", "start"),
    [
        ({"drums": "mine"}, None),  # drums_44k, which knows as much, has a rate further away
        ({"drums_44k": "mine"}, "drums"),
        ({"drums": "mine", "drums_44k": "mine"}, None),
    ],
)
def test_a_model_is_no_head_start_for_the_sound_that_it_has_learned(folder, monkeypatch, learned, start):
    for number, name in enumerate(("kick", "snare")):
        folder(lambda index, number=number: burst(index + 10 * number, 0.9, RATE), 7, name=f"mine/{name}")
    models = {model.name: model for model in shipped_models()}
    for name, source in learned.items():
        recipe = models[name].recipe
        models[name] = replace(models[name], recipe=recipe | {"data": recipe["data"] | {"source": [source]}})
    monkeypatch.setattr(recipe_advice, "shipped_models", models.values)
    assert advised("mine").training.start_from == start


def test_the_step_is_timed_in_a_process_of_its_own(folder, monkeypatch):
    asked = []

    class Worker:
        def __init__(self, make, recipe, device, threads, has_corpus):
            assert recipe.generator.labels == 0, "auto is settled before"

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def call(self, method, count):
            asked.append((method, count))
            return 0.5 * count

    monkeypatch.setattr(doctor_module, "WorkerProcess", Worker)
    result = doctor(folder())
    assert asked == [("steps", 1), ("steps", 4)] and result.step_seconds == 0.5
    assert training_seconds(result) == 0.5 * 2000


@pytest.mark.parametrize(
    ("clips", "device", "step_seconds", "steps", "reason"),
    [
        (12, CPU, None, 2000, "the least that doctor advises"),
        (100, CPU, 0.1, 5000, "each of 100 clips is heard about 400 times"),
        (1000, CPU, 0.1, 20_000, "each of 1,000 clips is heard about 160 times"),
        (18_620, CPU, 0.1, 46_500, "each of 18,620 clips is heard about 20 times"),
        (1000, CPU, 0.9, 8000, "what this machine does in 2 hours; 20,000 would suit the sound"),
        (1000, CPU, 60.0, 2000, "the least that doctor advises"),
        (18_620, CUDA, 0.1, 50_000, "each of 18,620 clips is heard about 172 times"),
        (18_620, CUDA, 0.9, 32_000, "what this machine does in 8 hours; 50,000 would suit the sound"),
    ],
)
def test_the_steps_follow_the_sound_and_the_machine(clips, device, step_seconds, steps, reason):
    assert steps_for(clips, device, step_seconds) == (steps, reason)


@pytest.mark.parametrize(("device", "steps"), [(CPU, 5500), (CUDA, 3000)])
def test_augmented_sounds_take_fewer_steps_where_that_was_measured(device, steps):
    assert steps_for(540, device, None, 80)[0] == steps
    assert steps_for(540, CPU, None)[0] == 20_000


@pytest.mark.usefixtures("on_a_cpu")
def test_a_slow_machine_is_advised_fewer_steps(folder, monkeypatch):
    folder(vibrato, count=300)
    monkeypatch.setattr(doctor_module, "_step_seconds", lambda *_: 3.0)
    result = doctor("sounds")
    assert result.advice and training_seconds(result) == 3.0 * 2500
    assert "# what this machine does in 2 hours; 3,000 would suit the sound; lr_decay spans" in result.advice.text


# Rules by numbers.


def test_the_recipe_for_44_kilohertz_trains(folder):
    """Takes two steps of the recipe for a GPU, made small: its windows and views go together; clips are loud."""
    source = folder(lambda number: hit(number, 1.2, 44100), rate=44100)
    corpus = load_corpus(source, 44100, 1)
    cutting = plain_cutting(corpus, np.full(3, 1.2))
    text = advised_for([source], corpus, DataFormat(44100, 1, 44100), cutting, CUDA, None, 300, None).text
    assert "window: 1408            # frames of 32 ms; at 16 kHz 512 make 32 ms" in text
    Path("my.yaml").write_text(text)
    result = train(recipes.load(Path("my.yaml"), [*SMALL, *QUIET, "training.batch_size=2"]), Path("run"), device="cpu")
    losses = statistics(result.run / "log.jsonl")
    assert result.step == 2 and all(np.isfinite(value) for line in losses for value in line.values())
    clips = wavegan.load(result.run, device="cpu").generate(2)
    assert clips.shape == (2, 1, 67584) and 0.01 < np.abs(clips).max() <= 1


def probes(*kinds: tuple[int, float, int, float]) -> list[Probe]:
    return [Probe("", rate, channels, bandwidth, correlation) for rate, bandwidth, channels, correlation in kinds]


MONO = (1, float("nan"))


@pytest.mark.parametrize(
    ("heard", "rate"),
    [
        ([(16000, 7800.0, *MONO)] * 9, 16000),
        ([(44100, 20000.0, *MONO)] * 9, 44100),
        ([(44100, 15000.0, *MONO)] * 9, 32000),
        ([(48000, 3900.0, *MONO)] * 9, 8000),
        ([(22050, 11000.0, *MONO)] * 9, 22050),
        ([(44100, 20000.0, *MONO)] * 8 + [(8000, 3900.0, *MONO)] * 2, 8000),
        ([(44100, 20000.0, *MONO)] * 19 + [(8000, 3900.0, *MONO)], 44100),
        ([(96000, 40000.0, *MONO)] * 9, 48000),
        ([(44100, 0.0, *MONO)], 16000),
        ([], 16000),
    ],
)
def test_the_rate_is_what_nearly_all_files_hold(heard, rate):
    assert data_format_of(probes(*heard)).sample_rate == rate
    assert data_format_of(probes(*heard), 11025).sample_rate == 11025


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            None,
            ["without what lies above 8 kHz a step takes about 49% of the time: .* --sample-rate 16000$"],
        ),
        (
            16000,
            ["16,000 Hz keep what lies below 8 kHz; 100% .* to 20 kHz .* --sample-rate 44100 keeps that much$"],
        ),
        (
            11025,
            ["11,025 Hz keep what lies below 5.5 kHz; 100% "],
        ),
        (
            22050,
            ["22,050 Hz keep what lies below 11 kHz; 100% ", "without what lies above 8 kHz "],
        ),
        (192000, ["without what lies above 8 kHz a step takes about 13% of the time"]),
    ],
)
def test_what_a_rate_costs_is_told(asked, told):
    remarks = data_format_of(probes(*[(44100, 20000.0, *MONO)] * 9), asked).remarks
    assert len(remarks) == len(told) and all(map(re.match, told, remarks))


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        (
            [(44100, 20000.0, *MONO)] * 12 + [(8000, 3900.0, *MONO)] * 12,
            ["8,000 Hz keep what lies below 4 kHz; 50% .* half of these to 20 kHz .* --sample-rate 44100 keeps"],
        ),
        (
            [(44100, 20000.0, *MONO)] * 26 + [(96000, 40000.0, *MONO)] * 4 + [(16000, 7900.0, *MONO)] * 6,
            ["16,000 Hz .* 83% .* reach higher, half of these to 20 kHz .* --sample-rate 44100 keeps"],
        ),
        (
            [(96000, 40000.0, *MONO)] * 9,
            ["48,000 Hz keep what lies below 24 kHz; 100% .* to 40 kHz .* --sample-rate 96000 keeps", "without .* 45%"],
        ),
        (
            [(48000, 24000.0, *MONO)] + [(44100, 22050.0, *MONO)] * 19,
            ["without what lies above 8 kHz a step takes about 49% of the time"],  # not that 9 % of one band is cut
        ),
        ([(48000, 3900.0, *MONO)] * 9, ["nothing lies above 3.9 kHz, so 8,000 Hz hold all of it"]),
        ([(8000, 3900.0, *MONO)] * 9, []),
    ],
)
def test_what_a_rate_cuts_off_is_told(heard, told):
    remarks = data_format_of(probes(*heard)).remarks
    assert len(remarks) == len(told) and all(map(re.match, told, remarks))


@pytest.mark.parametrize(
    ("channels", "correlation", "expected"),
    [(2, 0.5, (2, None)), (2, 0.999, (1, None)), (2, -0.8, (1, 1)), (1, float("nan"), (1, None)), (6, 0.1, (1, None))],
)
def test_stereo_is_learned_where_it_is_heard(channels, correlation, expected):
    form = data_format_of(probes(*[(16000, 7800.0, channels, correlation)] * 9))
    assert (form.channels, form.reading.channel) == expected


@pytest.mark.parametrize(
    ("stereo", "channels", "told"), [(8, 2, ""), (7, 1, "70% of the files are stereo"), (1, 1, "")]
)
def test_stereo_that_is_mixed_is_told(stereo, channels, told):
    heard = [(16000, 7800.0, 2, 0.5)] * stereo + [(16000, 7800.0, *MONO)] * (10 - stereo)
    form = data_format_of(probes(*heard))
    assert form.channels == channels and [remark[: len(told)] for remark in form.remarks] == ([told] if told else [])
    for other in ([(16000, 7800.0, 6, 0.1)], [(16000, 7800.0, 2, -0.8)] * 10):  # no file of theirs would be right
        assert not data_format_of(probes(*heard, *other)).remarks


@pytest.mark.parametrize("count", [0, 9])
def test_a_silent_channel_is_told(count):
    heard = [(16000, 7800.0, 2, float("nan"))] * count + [(16000, 7800.0, *MONO)]
    told = ["90% of the files have two channels, one of them silent: mono loses nothing"] if count else []
    assert list(data_format_of(probes(*heard)).remarks) == told


@pytest.mark.parametrize(
    ("seconds", "end", "expected"),
    [
        (0.2, 0.2, (4096, "first")),
        (2.5, 0.9, (16384, "random")),
        (2.0, 1.9, (32768, "first")),
        (2.0, 1.5, (24576, "first")),
        (9, 9, (16384, "random")),
    ],
)
def test_a_clip_holds_most_files_until_they_have_died_away(folder, seconds, end, expected):
    corpus = load_corpus(folder(lambda number: hit(number, seconds), 3), RATE, 1)
    assert cutting_of(corpus, np.full(3, end)) == Cutting(*expected, knows_labels=False)


@pytest.mark.parametrize(
    ("windows", "is_tonal", "shipped"),
    [
        ("first", False, "drums_modern"),
        ("first", True, "synth"),
        ("random", True, "piano_modern"),
        ("random", False, "piano_modern"),
    ],
)
def test_each_kind_of_sound_has_the_networks_and_the_optimisers_of_its_shipped_recipe(
    folder, windows, is_tonal, shipped
):
    corpus = load_corpus(folder(lambda number: hit(number, 3), 3), RATE, 1)
    cutting = plain_cutting(corpus, np.ones(3))._replace(windows=windows)
    form = DataFormat(RATE, 1, RATE, is_tonal=is_tonal, is_notes=is_tonal)
    recipe = advised_for(["sounds"], corpus, form, cutting, CPU, None, 300, None).recipe
    expected = recipes.as_dict(recipes.load(shipped, ["generator.labels=auto", "data.source=sounds"]))
    written = recipes.as_dict(recipe)
    for part in ("generator", "discriminators", "optimizers"):
        assert written[part] == expected[part], part


def note(number: int) -> np.ndarray:
    time = np.arange(RATE) / RATE
    partials = [np.sin(2 * np.pi * 110 * 1.06**number * harmonic * time) / harmonic for harmonic in (1, 2, 3, 4, 5)]
    return 0.3 * np.sum(partials, axis=0) * np.exp(-2 * time)


def vibrato(number: int) -> np.ndarray:
    """Returns a voice-like tone, whose pitch rises and falls six times a second by a fifth of its frequency."""
    time = np.arange(RATE) / RATE
    turn = 2 * np.pi * 110 * 1.06**number * (time - 0.2 * np.cos(2 * np.pi * 6 * time) / (2 * np.pi * 6))
    return 0.1 * np.sum([np.sin(harmonic * turn) for harmonic in range(1, 20)], axis=0)


def noise(number: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(number).normal(size=RATE)


def silence(number: int) -> np.ndarray:
    return np.zeros(RATE)


@pytest.mark.parametrize(("sound", "least", "most"), [(note, 0.95, 1), (vibrato, 0.1, 0.7), (noise, 0, 0.7)])
def test_notes_have_steady_partials_and_voices_and_noise_have_not(folder, sound, least, most):
    assert least <= (steady_share(load_corpus(folder(sound), RATE, 1)) or 0) <= most


def test_silence_neither_counts_nor_breaks(folder):
    with_pauses = folder(lambda number: note(number) if number % 3 == 0 else silence(number), name="pauses")
    assert (steady_share(load_corpus(with_pauses, RATE, 1)) or 0) > 0.95
    assert steady_share(load_corpus(folder(silence), RATE, 1)) is None
    assert "partials" not in doctor("sounds", timing=False).facts


@pytest.mark.parametrize("rate", [8000, 48000])
def test_partials_are_as_steady_at_any_rate(folder, rate):
    place = folder(vibrato)
    assert steady_share(load_corpus(place, rate, 1)) == pytest.approx(
        steady_share(load_corpus(place, RATE, 1)), abs=0.05
    )


@pytest.mark.parametrize(("sound", "base"), [(note, "base/tonal"), (noise, "base/modern")])
def test_the_advice_follows_the_partials(folder, sound, base):
    diagnosis = doctor(folder(sound), timing=False)
    assert diagnosis.advice and f"\ninclude: {base} " in diagnosis.advice.text
    assert diagnosis.facts["partials"] == f"{diagnosis.figures['steady_partials']:.0%} of the strongest ones are steady"


def gliding(number: int) -> np.ndarray:
    """Returns harmonics of a pitch that goes up and down, another for each number."""
    time = np.arange(RATE) / RATE
    octaves = 0.2 * np.sin(2 * np.pi * (2 + 0.2 * number) * time)
    phase = 2 * np.pi * np.cumsum((100 + 8 * number) * 2**octaves) / RATE
    return sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 30)) / 4  # type: ignore[return-value]


def melody(number: int) -> np.ndarray:
    """Returns four notes."""
    return np.concatenate([note(number + step)[: RATE // 4] for step in (0, 4, 7, 12)])


def either(number: int) -> np.ndarray:
    """Returns notes and melodies in turn."""
    return (melody if number % 2 else note)(number)


@pytest.mark.parametrize(
    ("sound", "kind"), [(gliding, "voice"), (noise, ""), (note, "notes"), (melody, "tonal"), (either, "tonal")]
)
def test_pitches_are_drawn_for_a_voice_and_for_notes(folder, sound, kind):
    generator = advised(folder(sound)).generator
    assert generator.drawn_pitch == generator.filtered_pulses == (kind in ("voice", "notes"))
    assert generator.glottal_pulses == (kind != "notes") and generator.pulses == (kind != "tonal")
    assert generator.start_share == {"voice": 0.05, "notes": 0.05, "tonal": 0.1, "": 0.3}[kind]
    assert generator.window == (2 if kind == "voice" else 4) * generator.hop


@pytest.mark.parametrize(
    ("windows", "is_voice", "clips", "rate", "heard_often"),
    [
        ("first", True, 3900, RATE, True),  # 20,000 steps of 8 clips: heard 41 times
        ("first", True, 3900, RATE // 2, True),
        ("first", True, 4100, RATE, False),
        ("random", True, 3900, RATE, False),
        ("first", False, 3900, RATE, False),
    ],
)
def test_words_that_are_heard_often_have_varied_speeds(folder, windows, is_voice, clips, rate, heard_often):
    corpus = load_corpus(folder(count=3), rate, 1)
    form = DataFormat(rate, 1, rate, is_voice=is_voice)
    cutting = plain_cutting(corpus, np.ones(3))._replace(windows=windows)
    recipe = advised_for(["sounds"], corpus, form, cutting, CPU, None, clips, None).recipe
    assert recipe.data.vary_speed == (0.15 if heard_often else 0)
    assert ("low" in recipe.discriminators) != heard_often


@pytest.mark.parametrize(
    ("clips", "windows", "is_tonal", "is_augmented"),
    [
        (999, "first", False, True),
        (1000, "first", False, False),
        (999, "random", False, False),
        (999, "first", True, False),
    ],
)
def test_few_short_sounds_are_augmented_but_for_notes(folder, clips, windows, is_tonal, is_augmented):
    corpus = load_corpus(folder(count=3), RATE, 1)
    form = DataFormat(RATE, 1, RATE, is_tonal=is_tonal)
    cutting = plain_cutting(corpus, np.ones(3))._replace(windows=windows)
    recipe = advised_for(["sounds"], corpus, form, cutting, CPU, None, clips, None).recipe
    augment = recipe.method.augment
    assert (augment is not None and augment.name == "adaptive") == is_augmented


@pytest.mark.parametrize(
    ("windows", "is_voice", "steps"), [("random", False, 8000), ("random", True, 16_500), ("first", False, 16_500)]
)
def test_music_from_anywhere_takes_fewer_steps_and_a_voice_is_no_music(folder, windows, is_voice, steps):
    corpus = load_corpus(folder(lambda number: hit(number, 3), 3), RATE, 1)
    form = DataFormat(RATE, 1, RATE, is_tonal=windows == "first", is_voice=is_voice)
    cutting = plain_cutting(corpus, np.ones(3))._replace(windows=windows)
    recipe = advised_for(["sounds"], corpus, form, cutting, CPU, None, 330, None).recipe
    assert recipe.training.steps == steps
    assert recipe.generator.unbounded == (windows == "random") and ("texture" in recipe.discriminators) != is_voice
    assert (recipe.optimizers.generator.name == "muon") == (is_voice or windows == "first")


@pytest.mark.parametrize(("short", "is_music"), [(2, True), (3, False)])
def test_a_source_of_many_short_sounds_is_no_music_though_clips_come_from_anywhere(folder, short, is_music):
    """Two of 20 clips may be whole sounds, of 21 no three."""
    corpus = load_corpus(folder(lambda number: hit(number, 18 if not number else 0.5), 1 + short), RATE, 1)
    cutting = Cutting(RATE, "random")
    recipe = advised_for(["sounds"], corpus, DataFormat(RATE, 1, RATE), cutting, CPU, None, 330, None).recipe
    assert recipe.generator.unbounded == ("texture" in recipe.discriminators) == is_music


@pytest.mark.parametrize(
    ("seconds", "labels", "windows", "is_held"),
    [
        ((30, 30, 30), (), "random", True),
        ((30, 30, 30), (), "first", False),
        ((30, 3, 3), (), "random", True),
        ((4, 4, 4), (), "random", False),  # a fifth is no clip
        ((30,) + (4,) * 8, (), "random", False),  # less than half of the sound is in long files
        ((6,) * 9, (), "random", True),
        ((6,) * 10, (), "random", False),
        ((6,) * 10, (5, 5), "random", False),
        ((6,) * 10, (6, 4), "random", True),
        ((30,), (), "random", False),  # a single file is cut anyway
    ],
)
def test_of_few_long_files_the_ends_are_held_out(folder, seconds, labels, windows, is_held):
    corpus = load_corpus(folder(lambda number: hit(number, seconds[number]), len(seconds)), RATE, 1)
    if labels:
        names = tuple(map(str, range(len(labels))))
        corpus = replace(corpus, labels=np.repeat(np.arange(len(labels)), labels), label_names=names)
    cutting = Cutting(RATE, windows, bool(labels))
    recipe = advised_for(["sounds"], corpus, DataFormat(RATE, 1, RATE), cutting, CPU, None, 330, None).recipe
    assert recipe.data.holdout == 0.2 and recipe.data.holdout_ends == is_held


def test_a_test_folder_needs_no_ends(folder):
    folder(lambda number: hit(number, 30), 2, name="train")
    folder(lambda number: hit(number + 20, 30), 2, name="test")
    data = advised("train").data
    assert data.windows == "random" and data.test == ("test",) and not data.holdout_ends


def test_labels_of_few_long_files_are_learned(folder):
    for number, name in enumerate(("rain", "wind")):
        folder(lambda index, number=number: hit(index + 10 * number, 20), 2, name=f"weather/{name}")
    recipe = advised("weather")
    assert (recipe.data.windows, recipe.data.holdout_ends, recipe.generator.labels) == ("random", True, "auto")
    parts = assemble.corpora(recipe)
    assert parts.held_out and parts.held_out.names == parts.training.names
    assert parts.split == "the last 0.2 of each file"


@pytest.mark.parametrize("rate", [1000, 1200, 4000, 8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000])
@pytest.mark.parametrize("device", [CPU, CUDA], ids=["cpu", "cuda"])
@pytest.mark.parametrize("is_tonal", [False, True], ids=["", "tonal"])
@pytest.mark.parametrize("windows", ["first", "random"])
def test_the_recipe_is_valid_at_every_rate_and_size(folder, rate, device, is_tonal, windows):
    """A recipe whose windows, bands or lengths do not go together raises RecipeError."""
    corpus = load_corpus(folder(lambda number: hit(number, 3), 3), RATE, 1)
    form = DataFormat(rate, 1, rate, is_tonal=is_tonal)
    cutting = plain_cutting(corpus, np.ones(3))._replace(windows=windows)
    recipe = advised_for(["sounds"], corpus, form, cutting, device, None, 300, None).recipe
    assert recipe.data.sample_rate == rate
    assert recipe.generator.window / rate == pytest.approx(0.032, rel=0.1) or rate < 4000, "it lasts as long"
    assert (recipe.generator.dim, recipe.training.batch_size) == ((512, 64) if device == CUDA else (128, 8))
    shipped = "sc09_modern" if device == CUDA else "drums_modern" if windows == "first" else "base/modern"
    assert recipe.optimizers == recipes.load(shipped, ["data.source=sounds"]).optimizers
    widths = {name: 4 * judge.dim if device == CPU else judge.dim for name, judge in recipe.discriminators.items()}
    has_texture = is_tonal or windows == "random"
    assert widths.pop("texture", None) == (96 if has_texture else None)
    assert set(widths.values()) == {128}
    assert ("short" in widths) == (windows == "first")
    if has_texture:
        window = recipe.discriminators["texture"].view.window
        assert window / rate == pytest.approx(0.064, rel=0.1) or rate < 4000, "it lasts as long"
