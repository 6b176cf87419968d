"""Tests trackers: TensorBoard read back, the other services by stand-ins for their packages, and their faults."""

import json
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from wavegan.errors import TrainingError
from wavegan.training import trackers
from wavegan.training.monitor import Monitor
from wavegan.training.tracker_services import Preview, TrackedRun
from wavegan.training.trackers import Trackers, is_installed, require_installed

SETTINGS = {"training.steps": 9, "data.source": ["a", "b"]}
OTHERS = ("mlflow", "wandb", "trackio")


def tracked(folder: Path, step: int = 0) -> TrackedRun:
    run = folder / "drums"
    run.mkdir(exist_ok=True)
    (run / "recipe.yaml").write_text("training:\n  steps: 9\n")
    return TrackedRun(run, run / "recipe.yaml", SETTINGS, step)


def preview(folder: Path, channels: int = 1) -> Preview:
    sound, picture = folder / "step-1.wav", folder / "step-1.png"
    sound.write_bytes(b"sound")
    Image.new("RGB", (8, 6), (255, 0, 0)).save(picture)
    clips = 0.5 * torch.sin(torch.arange(4096) * 0.1).expand(2, channels, 4096)
    return Preview(clips, sound, picture, 16000)


def monitor(folder: Path, used: Trackers, **settings) -> Monitor:
    return Monitor(folder / "log.jsonl", **{"step": 0, "steps": 100, "log_every": 2, "trackers": used, **settings})


def stats(loss: float) -> dict[str, torch.Tensor]:
    return {"discriminators/waveform/loss": torch.tensor(loss)}


def events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder / "drums" / "tensorboard"))
    accumulator.Reload()
    return accumulator


@pytest.mark.parametrize("channels", [1, 2])
def test_tensorboard_gets_scalars_sound_picture_and_recipe(tmp_path, channels):
    pytest.importorskip("tensorboard")
    used = Trackers(["tensorboard"], tracked(tmp_path))
    told = monitor(tmp_path, used, steps=2, preview_every=2, preview=lambda step: preview(tmp_path, channels))
    told.after_step(1, stats(1.0))
    told.after_step(2, stats(3.0))
    told.tell({"kad_l": 7.5})
    told.close()
    written = events(tmp_path)
    assert [(event.step, event.value) for event in written.Scalars("discriminators/waveform/loss")] == [(2, 2.0)]
    assert [(event.step, event.value) for event in written.Scalars("evaluation/kad_l")] == [(2, 7.5)]
    (sound,) = written.Audio("preview/01")
    assert (sound.step, sound.sample_rate, sound.length_frames) == (2, 16000, 4096)
    (picture,) = written.Images("preview")
    assert (picture.width, picture.height) == (8, 6)
    assert sorted(written.Tags()["audio"]) == ["preview/00", "preview/01"]
    (recipe,) = written.Tensors("recipe/text_summary")
    assert b"      steps: 9" in recipe.tensor_proto.string_val[0]


def test_tensorboard_forgets_steps_that_come_again(tmp_path):
    pytest.importorskip("tensorboard")
    told = monitor(tmp_path, Trackers(["tensorboard"], tracked(tmp_path)), log_every=1)
    for step in range(1, 6):
        told.after_step(step, stats(1.0))
    told.go_back(3, "it fell silent")
    told.after_step(4, stats(2.0))
    told.close()
    scalars = [(event.step, event.value) for event in events(tmp_path).Scalars("discriminators/waveform/loss")]
    assert scalars == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0)]


class StandIns:
    """Puts stand-ins for the three packages in place; `calls` holds what they were asked, in order.

    runs: the names of MLflow's runs that exist. broken: names of calls that raise.
    """

    def __init__(self, monkeypatch):
        self.calls: list[tuple] = []
        self.runs: list[str] = []
        self.broken: set[str] = set()
        self.threads: set[str] = set()
        for name, content in self._modules().items():
            module = ModuleType(name)
            module.__file__ = f"{name}.py"
            vars(module).update(content)
            monkeypatch.setitem(sys.modules, name, module)
        for name in ("MLFLOW_TRACKING_URI", "WANDB_MODE", "WANDB_API_KEY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("NETRC", "/nowhere/netrc")

    def of(self, name: str) -> list[tuple]:
        return [call[1:] for call in self.calls if call[0] == name]

    def call(self, name: str, *values: Any) -> None:
        self.calls.append((name, *values))
        self.threads.add(threading.current_thread().name)
        if name in self.broken:
            raise RuntimeError(f"{name} is broken\nand more")

    def _modules(self) -> dict[str, dict[str, Any]]:
        stand = self

        class MlflowException(Exception):
            pass

        class Client:
            def __init__(self, server):
                stand.call("mlflow", server)

            def get_experiment_by_name(self, name):
                return None

            def create_experiment(self, name, artifacts):
                stand.call("create_experiment", name, artifacts)
                return "1"

            def create_run(self, experiment, run_name):
                stand.runs.append(f"run{len(stand.runs)}")
                return SimpleNamespace(info=SimpleNamespace(run_id=stand.runs[-1]))

            def update_run(self, run, status):
                if run not in stand.runs:
                    raise MlflowException(f"no run {run}")

            def __getattr__(self, name):
                return lambda *values, **keywords: stand.call(name, *values, *keywords.values())

        def wandb_init(**arguments):
            self.call("wandb", arguments)
            return self._run("wandb")

        def trackio_init(project, name, **arguments):
            print("Trackio prints to stdout")
            self.call("trackio", project, name, arguments)
            return self._run("trackio")

        media = {name: lambda *values, name=name: (name, *values) for name in ("Audio", "Image")}
        return {
            "mlflow": {"MlflowClient": Client},
            "mlflow.exceptions": {"MlflowException": MlflowException},
            "wandb": {"init": wandb_init, "Settings": lambda **values: values, **media},
            "trackio": {"init": trackio_init, **media},
        }

    def _run(self, service: str) -> SimpleNamespace:
        return SimpleNamespace(
            offline=True,
            config=SimpleNamespace(update=lambda values, allow_val_change: self.call("config", values)),
            define_metric=lambda name, step_metric: self.call("define_metric", name, step_metric),
            log=lambda values, step=None: self.call(f"{service}.log", values, step),
            finish=lambda: self.call(f"{service}.finish"),
        )


@pytest.fixture
def services(monkeypatch) -> StandIns:
    return StandIns(monkeypatch)


def train(folder: Path, names=OTHERS, step: int = 0, seen: Preview | None = None) -> None:
    used = Trackers(names, tracked(folder, step))
    told = monitor(folder, used, step=step, steps=step + 2, preview_every=2 if seen else 0, preview=lambda step: seen)
    told.after_step(step + 1, stats(1.0))
    told.after_step(step + 2, stats(3.0))
    told.tell({"kad_l": 7.5})
    told.close()


def test_each_service_gets_scalars_preview_figures_and_recipe(tmp_path, services, capsys):
    seen = preview(tmp_path)
    train(tmp_path, seen=seen)
    loss = {"discriminators/waveform/loss": 2.0}
    figure = {"evaluation/kad_l": 7.5}
    sound, picture = ("preview/sound", ("Audio", seen.sound)), ("preview/picture", ("Image", seen.picture))
    assert services.of("trackio.log") == [(loss, 2), (dict([sound, picture]), 2), (figure, 2)]
    sound, picture = (sound[0], ("Audio", str(seen.sound), 16000)), (picture[0], ("Image", str(seen.picture)))
    assert services.of("wandb.log") == [
        ({"step": 2, **loss}, None),
        ({"step": 2, **dict([sound, picture])}, None),
        ({"step": 2, **figure}, None),
    ]
    assert services.of("define_metric") == [("*", "step")], "W&B's own steps only rise"
    assert services.of("log_metric") == [("run0", *next(iter(values.items())), 2) for values in (loss, figure)]
    run = tmp_path / "drums"
    assert services.of("log_artifact") == [
        ("run0", str(run / "recipe.yaml")),
        ("run0", str(seen.sound), "previews"),
        ("run0", str(seen.picture), "previews"),
    ]
    assert services.of("log_param") == [("run0", "training.steps", "9"), ("run0", "data.source", "['a', 'b']")]
    assert services.of("wandb")[0][0]["config"] == services.of("trackio")[0][2]["config"] == SETTINGS
    assert all(services.of(name) for name in ("set_terminated", "wandb.finish", "trackio.finish"))
    assert services.threads == {"trackers"}, "training waits for none of them"
    assert capsys.readouterr().out == "", "stdout is for results"


def test_nothing_asks_for_an_account_or_leaves_the_run_folder(tmp_path, services):
    train(tmp_path)
    (arguments,) = services.of("wandb")[0]
    assert (arguments["mode"], arguments["dir"]) == ("offline", tmp_path / "drums")
    assert services.of("mlflow") == [(f"sqlite:///{tmp_path}/drums/mlflow/mlflow.db",)]
    assert services.of("create_experiment") == [("wavegan", f"file://{tmp_path}/drums/mlflow/artifacts")]


@pytest.mark.parametrize("account", ["WANDB_MODE", "WANDB_API_KEY", "netrc"])
def test_an_account_and_a_server_are_used_where_they_are_set_up(tmp_path, services, monkeypatch, account):
    if account == "netrc":
        (tmp_path / "netrc").write_text("machine api.wandb.ai login user password 123\n")
        (tmp_path / "netrc").chmod(0o600)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    else:
        monkeypatch.setenv(account, "online")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracks:5000")
    train(tmp_path)
    (arguments,) = services.of("wandb")[0]
    assert (arguments["mode"], arguments["resume"]) == (None, "allow")
    assert services.of("mlflow") == [("http://tracks:5000",)] and services.of("create_experiment") == [
        ("wavegan", None)
    ]


def test_a_resumed_run_goes_on_in_the_same_run_of_each_service(tmp_path, services):
    train(tmp_path)
    train(tmp_path, step=2)
    assert [values[0] for values in services.of("log_metric")] == ["run0"] * 4
    assert len(services.of("log_param")) == len(SETTINGS), "parameters cannot change there"
    first, second = (arguments["id"] for (arguments,) in services.of("wandb"))
    assert first == second and first.startswith("drums-")
    (_, first, _), (_, second, values) = services.of("trackio")
    assert first == second and values["resume"] == "allow"
    other = tmp_path / "other"
    other.mkdir()
    train(other)
    assert services.of("trackio")[2][1] not in (first, second), "another run of this name is another run"


def test_a_run_that_the_server_does_not_know_is_a_new_one(tmp_path, services):
    train(tmp_path, ["mlflow"])
    services.runs[:] = ["other"]
    train(tmp_path, ["mlflow"], step=2)
    assert [values[0] for values in services.of("log_metric")] == ["run0"] * 2 + ["run1"] * 2
    assert json.loads((tmp_path / "drums" / "trackers.json").read_text()) == {"mlflow": "run1"}


@pytest.mark.parametrize("broken", ["mlflow", "log_metric", "set_terminated"])
def test_a_tracker_that_fails_warns_once_and_stops_nothing(tmp_path, services, caplog, broken):
    services.broken = {broken}
    train(tmp_path)
    warning = f"MLflow failed (RuntimeError: {broken} is broken); it gets nothing more, and the training goes on"
    assert caplog.text.count("is broken") == caplog.text.count(warning) == 1
    assert len(services.of(broken)) == 1
    assert len(services.of("trackio.log")) == len(services.of("wandb.log")) == 2, "the others get everything"
    assert [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [2, 2]


def test_a_service_that_hangs_delays_the_end_but_no_step(tmp_path, services, monkeypatch, caplog):
    release = threading.Event()
    monkeypatch.setattr(services, "call", lambda name, *values: release.wait(60))
    monkeypatch.setattr(trackers, "CLOSE_SECONDS", 0.01)
    train(tmp_path, ["mlflow"])
    assert "mlflow: the last values were not sent within 0.01 s" in caplog.text
    release.set()


def test_a_missing_package_is_refused_with_the_remedy(monkeypatch, tmp_path):
    for name in OTHERS:
        monkeypatch.setitem(sys.modules, name, None)  # as if not installed
        with pytest.raises(TrainingError, match=rf"^monitor\.trackers has {name}, but .*; run: pip install {name}$"):
            require_installed(name, f"monitor.trackers has {name}")
    monkeypatch.delitem(sys.modules, "wandb")
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert not is_installed("wandb"), "W&B leaves a folder of its own name, which Python takes for a package"
    sys.modules.pop("wandb", None)
