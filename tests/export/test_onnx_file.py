"""Tests that an ONNX file makes the clips of its model in onnxruntime alone, for every generator of waveforms."""

import json
import shutil
import subprocess
import sys
import wave
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from wavegan import generation
from wavegan.errors import RunError, UserError
from wavegan.export import onnx_file
from wavegan.generation import Model
from wavegan.models.catalogue import GENERATORS
from wavegan.models.inverse_stft import Generator

onnxruntime = pytest.importorskip("onnxruntime")
SHAPES = {
    "wavegan": {"clip_samples": 4096, "dim": 2, "batch_norm": True, "labels": 2},
    "mlp": {"clip_samples": 300, "dim": 2, "channels": 2},
    "inverse_stft": {
        "clip_samples": 1500, "dim": 4, "window": 64, "hop": 16, "labels": 2, "pulses": True, "drawn_pitch": True,
        "broad_hiss": True, "long_frames": 4, "tuned_bins": True, "local_latents": 2, "unbounded": True,
        "drops": True, "channels": 2, "panned_hiss": True,
    },
}  # fmt: skip


def made(name: str, **changes: object) -> Model:
    """Makes a model whose weights, gains and statistics are all in use."""
    arguments = SHAPES.get(name, {}) | changes
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = GENERATORS[name](**arguments)
        with torch.no_grad():
            for values in (*generator.parameters(), *generator.buffers()):
                if values.is_floating_point() and values.numel() > 1:
                    values.add_(0.1 * torch.rand_like(values))
    labels = ("kick", "snare") if generator.labels else ()
    return Model(generator.eval(), arguments["clip_samples"], arguments.get("channels", 1), 8000, "mouse", 3, labels)


def generator_of(model: Model) -> Generator:
    """The generator of a modern model."""
    assert isinstance(model.generator, Generator)
    return model.generator


def soften(generator: Generator) -> None:
    """Makes clips soft, and raises them to a peak of 1."""
    assert generator.long_frames
    generator.peaks_are_one.fill_(True)
    generator.bounds.fill_(-5)
    generator.long_frames.bounds.fill_(-6)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Model, Path, float]:
    """The richest model: labels, noise, drawn pitches, broad hiss, long frames, two channels, clips raised to 1."""
    model = replace(made("inverse_stft", channels=2), label_counts=(1, 3))
    soften(generator_of(model))
    folder = tmp_path_factory.mktemp("onnx")
    return model, folder, onnx_file.write(model, folder)


def feed(folder: Path, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The inputs that config.json describes, without the package."""
    config, random = json.loads((folder / "config.json").read_text()), np.random.default_rng(seed)
    inputs = {each["name"]: random.normal(size=(count, *each["shape"])) for each in config["inputs"]}
    if config["labels"]:
        inputs["labels"] = random.dirichlet(np.ones(len(config["labels"])), size=count)  # mixed
    return {name: values.astype(np.float32) for name, values in inputs.items()}


@pytest.mark.parametrize("name", ["wavegan", "mlp"])
def test_onnxruntime_makes_the_same_clips(name, tmp_path, capfd, recwarn):
    model = made(name)
    difference = onnx_file.write(model, tmp_path)
    assert 0 < difference < 1e-5
    assert capfd.readouterr() == ("", "") and not list(recwarn)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    inputs = feed(tmp_path, 5)
    [clips] = session.run(None, inputs)
    labels = torch.from_numpy(inputs["labels"]) if "labels" in inputs else None
    expected = generation.synthesize(model, torch.from_numpy(inputs["latent"]), labels).numpy()
    np.testing.assert_allclose(clips, expected, rtol=0, atol=1e-5)
    assert clips.shape == (5, model.channels, model.clip_samples) and clips.dtype == np.float32


def test_labels_noise_pulses_channels_and_peaks_are_in_the_file(written):
    model, folder, difference = written
    assert 0 < difference < 1e-4
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    inputs = feed(folder, 3)
    places = len(model.inputs) - 1
    assert [each.name for each in session.get_inputs()] == ["latent", "labels", *(f"noise_{n}" for n in range(places))]
    assert places > 2
    clips, cycles = session.run(None, inputs)
    z, labels, *noise = (torch.from_numpy(inputs[each.name]) for each in session.get_inputs())
    expected = generation.synthesize(model, z, labels, noise).numpy()
    np.testing.assert_allclose(clips, expected, rtol=0, atol=2e-3)  # pitches are not held to be the same here
    softer = generation.synthesize(model, z, labels, noise, limits=False).abs().amax((1, 2))
    assert softer.min() > generation.SILENT_PEAK and softer.max() < 0.9
    assert np.abs(clips).max(axis=(1, 2)) == pytest.approx([1, 1, 1], abs=1e-6)
    assert (pulses := generator_of(model).pulses)
    lowest, highest = (2**pulses.frequencies.bounds / 64).tolist()
    frames = 4 + 94 + 4  # with those of the edges, a window each
    assert cycles.shape == (3, frames) and lowest < cycles.min() < cycles.max() <= highest
    for changed in inputs:
        others = session.run(["clips"], inputs | {changed: np.roll(inputs[changed], 1, axis=0)})[0]
        assert np.abs(others - clips).max() > 1e-3, f"{changed} moves no clip"


def test_filtered_pulses_are_in_the_file(tmp_path):
    model = made("inverse_stft", filtered_pulses=True)
    assert 0 < onnx_file.write(model, tmp_path) < 1e-4
    clips = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(["clips"], feed(tmp_path, 3))[0]
    assert np.abs(clips).max() > 1e-3


def test_no_transform_and_no_loop_is_left_to_the_reader(written):
    """Every node is a plain operator of the standard set, and no basis is computed anew at each run."""
    import onnx

    model = onnx.load(written[1] / "model.onnx")
    kinds = Counter(node.op_type for node in model.graph.node)
    assert {node.domain for node in model.graph.node} == {""}
    assert not kinds.keys() & {"DFT", "STFT", "Loop", "ScatterND", "ScatterElements", "Random"} and "MatMul" in kinds
    assert kinds["Cos"] == 1, "that of the phases with which pulses ring"
    assert len(model.graph.initializer) > 10


def test_the_script_runs_without_torch_and_wavegan(written, tmp_path):
    blocked = (
        "import sys, runpy\n"
        "for name in ('torch', 'wavegan', 'soundfile'): sys.modules[name] = None\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    folder = shutil.copytree(written[1], tmp_path / "model")
    script = folder / "generate.py"

    def run(*words: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", blocked, str(script), *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    done = run("--label", "snare", "--count", "2", "--seed", "3")
    assert done.returncode == 0 and done.stdout.split() == ["clip-000000.wav", "clip-000001.wav"], done.stderr
    with wave.open(str(tmp_path / "clip-000001.wav")) as file:
        assert file.getparams()[:4] == (2, 2, 8000, 1500)
        first = np.frombuffer(file.readframes(1500), "<i2")
    assert np.abs(first).max() == 32767
    again = run("--label", "kick", "--count", "1")
    assert again.returncode == 2 and "clip-000000.wav is there already" in again.stderr and "--out" in again.stderr
    assert run("--label", "snare", "--count", "1", "--seed", "3", "--out", "one").stdout == "one/clip-000000.wav\n"
    alone, beside = ((tmp_path / place / "clip-000000.wav").read_bytes() for place in ("one", "."))
    assert alone == beside, "the same, however many there are"
    assert beside != (tmp_path / "clip-000001.wav").read_bytes()
    assert run("--label", "kick", "--count", "2", "--seed", "3", "--out", "kicks").returncode == 0
    with wave.open(str(tmp_path / "kicks" / "clip-000001.wav")) as file:
        kick = file.readframes(1500)
    assert not np.array_equal(np.frombuffer(kick, "<i2"), first)
    assert run("--label", "snare", "--label", "kick", "--count", "3", "--seed", "3", "--out", "turns").returncode == 0
    turns = [(tmp_path / "turns" / f"clip-{number:06d}.wav").read_bytes() for number in range(3)]
    assert turns[:2] == [beside, (tmp_path / "kicks" / "clip-000001.wav").read_bytes()], "labels take turns"
    assert run("--label", "snare", "--count", "3", "--seed", "3", "--out", "snares").returncode == 0
    assert turns[2] == (tmp_path / "snares" / "clip-000002.wav").read_bytes()
    for place in ("clip-000000.wav", "clip-000000.wav/below"):
        refused = run("--out", place)
        assert refused.returncode == 2 and "Traceback" not in refused.stderr
        assert f"{place} cannot be a folder (" in refused.stderr and "name another folder with --out" in refused.stderr
    config = json.loads((folder / "config.json").read_text())
    assert config["label_counts"] == [1, 3]
    (folder / "config.json").write_text(json.dumps(config | {"label_counts": [1, 0]}))
    assert run("--count", "2", "--seed", "3", "--out", "own").returncode == 0
    with wave.open(str(tmp_path / "own" / "clip-000001.wav")) as file:
        assert file.readframes(1500) == kick, "a label that never came is drawn"
    for words in (("--count", "0"), ("--seed", "-1")):
        assert "--count must be at least 1, and --seed at least 0" in run(*words).stderr
    refused = run("--seconds", "30", "--pitch", "A3")
    told = "--seconds is for wavegan generate; this network makes clips of 0.1875 s as they come"
    assert refused.returncode == 2 and told in refused.stderr
    refused = run("--label", "gong")
    assert refused.returncode == 2 and "kick" in refused.stderr and "Traceback" not in refused.stderr


def test_the_original_is_left_as_it_was(written):
    model = written[0]
    pulses = generator_of(model).pulses
    assert pulses is not None and not pulses.frequencies._forward_hooks
    assert next(generation.generate(model, 1)).isfinite().all()


@pytest.mark.parametrize(("moved", "expected"), [(1e-2, "differ"), (float("nan"), "differ")])
def test_pitches_that_differ_are_refused(moved, expected):
    with pytest.raises(RunError, match=f"pitches {expected} from the original's by up to .* at most 0.001 is kept"):
        onnx_file._check_pitches(moved)


def test_a_difference_is_measured_and_none_is_hidden(written, tmp_path):
    """The same file is not the file of other weights; what is not a number is not taken for none."""
    model, folder, _ = written
    other = made("inverse_stft", channels=2)
    generator = generator_of(other)
    soften(generator)
    with torch.no_grad():
        generator.head.bias.mul_(1.03)
    assert onnx_file._largest_difference(other, folder / "model.onnx") > 1e-3
    with torch.no_grad():
        generator.head.bias[0] = float("nan")
    assert np.isnan(onnx_file._largest_difference(other, folder / "model.onnx"))


def test_what_cannot_be_written_is_refused_before_the_work(monkeypatch, tmp_path):
    specgan = made("specgan", clip_samples=4096, dim=1)
    with pytest.raises(UserError, match="mouse makes spectrograms.*waveforms from latents; try safetensors"):
        onnx_file.write(specgan, tmp_path)
    translator = Model(GENERATORS["translator"](), 4096, 1, 8000, "turner", 3, ())
    with pytest.raises(UserError, match="turner translates sound"):
        onnx_file.write(translator, tmp_path)
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxscript" else find_spec(name))
    with pytest.raises(UserError, match=r"ONNX needs onnxscript; pip install 'wavegan\[onnx\]' brings it"):
        onnx_file.write(made("mlp"), tmp_path)
    assert not list(tmp_path.iterdir())
