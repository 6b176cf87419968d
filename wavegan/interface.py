"""Gives Python what `import wavegan` offers: a model that makes clips as arrays, figures for clips, a training."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from wavegan import assemble
from wavegan.commands import evaluate as judging
from wavegan.commands import train as training
from wavegan.commands.arguments import RATES, path_of, seed_of, whole_number
from wavegan.commands.clip_arrays import ClipArray, checked_clips
from wavegan.commands.evaluation_data import rate_of_reference
from wavegan.commands.generate import refuse_translation
from wavegan.commands.judging_options import JudgingOptions
from wavegan.commands.model_loading import load_model
from wavegan.commands.named_run import recipe_and_folder
from wavegan.commands.python_model import Model, Sound
from wavegan.errors import UserError
from wavegan.evaluation.features import Embedding, refuse_no_function

Device = str | torch.device
Overrides = Mapping[str, Any] | Sequence[str]


def load(
    model: str | os.PathLike[str],
    *,
    device: Device = "auto",
    checkpoint: str | int = "newest",
    raw: bool = False,
    precision: str = "fp32",
) -> Model:
    """Returns the model of a run folder, a checkpoint file, an exported folder or a name, ready to make clips.

    A name is that of a shipped model, or hub:USER/NAME[@REVISION], which is downloaded by Hugging Face's client.
    device: auto, cpu, cuda, cuda:N or mps. checkpoint: newest, best or a step of a run. raw: the weights that learn, in
    place of their running average. precision: fp32, or bf16, which is faster on some machines and adds noise. Raises
    RunError for what is no model, UserError for a translation, which makes sound from sound.
    """
    path = path_of("model", model, advised="drums")
    loaded = load_model(path, assemble.device(device), raw=raw, precision=precision, checkpoint=str(checkpoint))
    refuse_translation(loaded)
    return Model(loaded)


def evaluate(
    clips: Sound,
    reference: str | os.PathLike[str] | None = None,
    *,
    sample_rate: int | None = None,
    training: str | os.PathLike[str] | None = None,
    classifier: str | None = None,
    count: int | None = None,
    seed: int = 0,
    device: Device = "auto",
    out: str | os.PathLike[str] | None = None,
    embedding: Embedding | None = None,
) -> dict[str, Any]:
    """Returns the figures of `wavegan evaluate --json` for clips, a folder of sound, or a model.

    clips: float32 (n, channels, samples) in [-1, 1], or a path. reference: a folder of real sound, of which a model has
    its own. sample_rate: of the array in Hz; that of the reference where None. training: a folder to look for copies
    in. classifier: a file, "none", or None for one that is trained where the reference has labels. count: clips of each
    set at most, drawn by the seed. out: the folder for the page and the pictures; where None, the command's, and for an
    array none. embedding: a function of clips, a tensor (N, C, T), and their rate that gives (N, F).

    `metrics` of the result maps each metric to value, low, high (its 95 % interval) and n; `reference` holds the same
    for other real clips. Raises DataError or RunError for what cannot be judged, UserError for an array without clips.
    """
    refuse_no_function(embedding)
    rate = sample_rate if sample_rate is None else whole_number("sample_rate", sample_rate, **RATES)
    real, folder = _path("reference", reference, "data/drums"), _path("out", out, "evaluation")
    classifier_file = _path("classifier", classifier, "none")
    options = JudgingOptions(
        data=real,
        training=_path("training", training, "data/drums"),
        classifier=None if classifier_file is None else str(classifier),
        count=None if count is None else whole_number("count", count, least=2, advised=200),
        seed=seed_of(seed),
        device=str(device),
    )
    if isinstance(clips, str | os.PathLike):
        if rate is not None:
            raise UserError(f"`sample_rate` is {rate}", f"an array needs it, and {clips} has its own", "leave it out")
        return judging.as_json(judging.evaluate(Path(clips), options, out=folder, embedding=embedding))
    array = ClipArray(checked_clips(clips), rate_of_reference(real) if rate is None else rate)
    with TemporaryDirectory() as removed:
        result = judging.evaluate(array, options, out=folder or Path(removed), embedding=embedding)
    return judging.as_json(result) | ({} if out else {"report": None, "spectrograms": None})


def train(
    recipe: str | os.PathLike[str],
    overrides: Overrides = (),
    *,
    run_dir: str | os.PathLike[str] | None = None,
    on_step: training.OnStep | None = None,
    device: Device = "auto",
    fresh: bool = False,
) -> training.TrainingResult:
    """Trains a recipe, or goes on where its run folder ended, as `wavegan train` does; any thread may do so.

    Two trainings at once in one process draw from the same generator of torch, so neither can be repeated exactly.

    recipe: a file, the name of a shipped recipe, or the folder or address of a run that is to go on. overrides: a
    mapping such as {"training.steps": 100}, or words "training.steps=100". run_dir: where None, that folder or
    runs/<recipe name>. on_step: called after each step with the number of steps taken; if it returns True the training
    is saved and ends. What it raises ends the training too and is raised here; the next call goes on from the newest
    checkpoint. fresh: an earlier run is first moved aside.

    The result has run (the folder, for `load`), step, seconds, steps_per_second, checkpoint and is_stopped. Raises
    RecipeError for a wrong recipe, RunError for a run of another recipe or one that is being trained, DataError for
    sound that cannot be used, TrainingError where training breaks down.
    """
    if on_step is not None and not callable(on_step):
        remedy = "try on_step=lambda step: step == 100"
        raise UserError(f"`on_step` is {on_step!r}", "it must be a function of the number of steps taken", remedy)
    named = path_of("recipe", recipe, advised="quickstart")
    settings, folder = recipe_and_folder(named, overrides, _path("run_dir", run_dir, "runs/mine"))
    return training.train(settings, folder, device=str(device), fresh=fresh, on_step=on_step)


def _path(argument: str, path: str | os.PathLike[str] | None, advised: str) -> Path | None:
    return None if path is None else path_of(argument, path, advised=advised)
