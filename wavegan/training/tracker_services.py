"""Adapts services that keep experiments to one interface. Their packages are imported only where they are used."""

# pyright: reportMissingImports=false

import netrc
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from torch import Tensor

PROJECT = "wavegan"  # under this name a service groups runs
LONGEST_PARAMETER = 6000  # of MLflow


class Preview(NamedTuple):
    """Holds clips (N, C, T) of the fixed latents, one file with their sound, and a picture of their spectrograms."""

    clips: Tensor
    sound: Path
    picture: Path
    sample_rate: int


@dataclass(frozen=True)
class TrackedRun:
    """Describes a run to the services: its folder, its recipe as a file and as values by key, the step it is at."""

    folder: Path
    recipe: Path
    settings: Mapping[str, Any]
    step: int


class Tracker(Protocol):
    """Is one run at a service; any call may raise anything.

    name: the service's name of the run, by which a later session finds it; None if it needs none. place: the command or
    the address that shows the run; empty if there is nothing to report.
    """

    name: str | None
    place: str

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Adds values of a step by name."""

    def preview(self, step: int, preview: Preview) -> None:
        """Adds the sound and the picture of a preview."""

    def go_back(self, step: int) -> None:
        """Forgets what came after a step; a service that cannot do this shows these steps twice."""

    def close(self) -> None:
        """Sends the records that have not been sent yet."""


class Service(NamedTuple):
    """Describes a service: its name in sentences, the module it needs, and how to start a run.

    start(run, name) goes on with the run of this name, or makes a new one if the name is None or is not known.
    """

    title: str
    module: str
    start: Callable[[TrackedRun, str | None], Tracker]


class _TensorBoard(Tracker):
    def __init__(self, run: TrackedRun, name: str | None):
        from torch.utils.tensorboard import SummaryWriter

        self.name, self.place = None, ""
        self.writer = SummaryWriter(str(run.folder / "tensorboard"), purge_step=run.step)
        self.writer.add_text(
            "recipe", "    " + run.recipe.read_text(encoding="utf-8").replace("\n", "\n    "), run.step
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def preview(self, step: int, preview: Preview) -> None:
        from matplotlib.image import imread

        for index, clip in enumerate(preview.clips):
            sound = clip.mean(0, keepdim=True)  # TensorBoard plays mono
            self.writer.add_audio(f"preview/{index:02d}", sound, step, preview.sample_rate)
        self.writer.add_image("preview", imread(preview.picture), step, dataformats="HWC")

    def go_back(self, step: int) -> None:
        self.writer.close()
        self.writer.purge_step = step + 1  # for the file that the next scalar opens

    def close(self) -> None:
        self.writer.close()


class _MLflow(Tracker):
    """Uses the server that MLFLOW_TRACKING_URI names, or else a database in the run folder."""

    def __init__(self, run: TrackedRun, name: str | None):
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        server, artifacts = os.environ.get("MLFLOW_TRACKING_URI"), None
        if not server:
            folder = run.folder.resolve() / "mlflow"
            folder.mkdir(exist_ok=True)
            server, artifacts = f"sqlite:///{(folder / 'mlflow.db').as_posix()}", (folder / "artifacts").as_uri()
        self.place = f"mlflow server --backend-store-uri {server}" if artifacts else server
        self.client, self.name = MlflowClient(server), name
        if name:
            try:
                self.client.update_run(name, "RUNNING")
            except MlflowException:  # removed, or on another server
                self.name = None
        if not self.name:
            self.name = self._new_run(run, artifacts)
        self.client.log_artifact(self.name, str(run.recipe))

    def _new_run(self, run: TrackedRun, artifacts: str | None) -> str:
        project = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        experiment = self.client.get_experiment_by_name(project)
        number = experiment.experiment_id if experiment else self.client.create_experiment(project, artifacts)
        name = self.client.create_run(number, run_name=run.folder.name).info.run_id
        for key, value in run.settings.items():  # a parameter cannot change later, so a resumed run keeps its first
            self.client.log_param(name, key, str(value)[:LONGEST_PARAMETER])
        return name

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.client.log_metric(self.name, name, value, step=step)

    def preview(self, step: int, preview: Preview) -> None:
        for path in (preview.sound, preview.picture):
            self.client.log_artifact(self.name, str(path), "previews")

    def close(self) -> None:
        self.client.set_terminated(self.name)


class _WandB(Tracker):
    """Writes files in the run folder for `wandb sync`; sends at once if an account or a mode is set up."""

    def __init__(self, run: TrackedRun, name: str | None):
        import wandb

        self.name = name or _new_name(run)
        mode = None if _has_wandb_account() else "offline"
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=self.name,
            name=run.folder.name,
            dir=run.folder,
            config=dict(run.settings),
            mode=mode,
            resume=None if mode else "allow",  # files of several sessions become one run when they are sent
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )
        self.place = f"wandb sync {run.folder / 'wandb'}/*-{self.name}" if self.run.offline else self.run.url
        self.run.config.update(dict(run.settings), allow_val_change=True)
        self.run.define_metric("*", step_metric="step")  # W&B's own steps cannot go back to a checkpoint

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log({"step": step, **values})

    def preview(self, step: int, preview: Preview) -> None:
        import wandb

        sound, picture = wandb.Audio(str(preview.sound), preview.sample_rate), wandb.Image(str(preview.picture))
        self.run.log({"step": step, "preview/sound": sound, "preview/picture": picture})

    def close(self) -> None:
        self.run.finish()


class _Trackio(Tracker):
    """Writes to Trackio's own folder on this machine, or where its environment variables say."""

    def __init__(self, run: TrackedRun, name: str | None):
        import trackio

        self.name, self.place = name or _new_name(run), ""  # it says itself where the run can be seen
        with redirect_stdout(sys.stderr):  # it prints, and stdout is for results
            self.run = trackio.init(PROJECT, self.name, config=dict(run.settings), resume="allow", embed=False)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step)

    def preview(self, step: int, preview: Preview) -> None:
        import trackio

        sound, picture = trackio.Audio(preview.sound), trackio.Image(preview.picture)
        self.run.log({"preview/sound": sound, "preview/picture": picture}, step=step)

    def close(self) -> None:
        with redirect_stdout(sys.stderr):
            self.run.finish()


def _new_name(run: TrackedRun) -> str:
    """Returns a name that no other run has: these services find a run by its name."""
    return f"{run.folder.resolve().name}-{secrets.token_hex(4)}"


def _has_wandb_account() -> bool:
    """Returns whether the environment or `wandb login` has set up an account or a mode; else W&B would ask for one."""
    if any(os.environ.get(f"WANDB_{name}") for name in ("MODE", "API_KEY", "IDENTITY_TOKEN_FILE")):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


SERVICES: Mapping[str, Service] = {
    "tensorboard": Service("TensorBoard", "torch.utils.tensorboard", _TensorBoard),
    "mlflow": Service("MLflow", "mlflow", _MLflow),
    "wandb": Service("Weights & Biases", "wandb", _WandB),
    "trackio": Service("Trackio", "trackio", _Trackio),
}
