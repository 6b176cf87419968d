"""Defines the keys of the sections training, monitor and evaluation."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from wavegan.settings import OR_AUTO, Settings

Automatic = Literal["auto"] | bool
Trackers = tuple[Literal["mlflow", "wandb", "trackio"], ...]
MANY = 1_000_000_000


class TrainingSettings(Settings):
    """Sets how long, how fast and how safely a recipe is trained."""

    batch_size: int = Field(default=64, ge=1, le=65536, description="clips per update, summed over all processes")
    steps: int = Field(default=200_000, ge=1, le=MANY, description="total number of generator updates")
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of all random numbers")
    start_from: str | None = Field(
        default=None,
        min_length=1,
        examples=["drums"],
        description="a run, an exported folder or a shipped model, drums say, whose weights the networks begin with",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="arithmetic of products and convolutions; auto takes the faster one that computes correctly here",
    )
    threads: Annotated[int, *OR_AUTO] = Field(  # pyright: ignore
        default="auto",
        ge=1,
        le=4096,
        description="threads of a CPU; auto: the fastest number by a trial, where OMP_NUM_THREADS is not set",
    )
    compile: Automatic = Field(
        default="auto",
        description="compile updates; auto: on a GPU for a long training, if faster; false: nor CUDA graphs",
    )
    ema: float = Field(
        default=0.999, ge=0, lt=1, description="decay per step of the generator's running average, 0 for none"
    )
    ema_half_life: float | None = Field(
        default=None, gt=0, le=MANY, description="half-life of the running average in clips; needs ema: 0"
    )
    gradient_clip: float | None = Field(
        default=None, gt=0, description="clip the total norm of the gradients to this; null: no clipping"
    )
    lr_decay: Literal["none", "linear", "cosine"] = Field(
        default="none", description="schedule by which the learning rates fall until training.steps"
    )
    lr_floor: float = Field(
        default=0.0, ge=0, lt=1, description="smallest factor that lr_decay applies to a learning rate"
    )
    on_collapse: Literal["warn", "rollback"] = Field(
        default="warn", description="warn only, or go back to the last healthy checkpoint with a new seed"
    )
    max_rollbacks: int = Field(default=3, ge=1, le=1000, description="rollbacks after which the training ends")
    checkpoint_every: int = Field(default=1000, ge=1, le=MANY, description="steps between checkpoints")
    checkpoint_minutes: float | None = Field(
        default=None,
        gt=0,
        le=MANY,
        description="also save when the last checkpoint is so many minutes old; null: never",
    )
    keep_last: int = Field(default=3, ge=1, le=MANY, description="number of newest checkpoints to keep")
    keep_every: int = Field(
        default=0, ge=0, le=MANY, description="also keep every checkpoint at a multiple of this step, 0 for none"
    )


class MonitorSettings(Settings):
    """Sets what training shows, and how often."""

    log_every: int = Field(default=10, ge=1, le=MANY, description="steps between log lines")
    preview_every: int = Field(default=1000, ge=0, le=MANY, description="steps between previews, 0 for none")
    preview_count: int = Field(default=16, ge=1, le=64, description="clips in a preview")
    tensorboard: Automatic = Field(default="auto", description="also write TensorBoard files; auto: if it is installed")
    trackers: Trackers = Field(
        default=(), examples=[("mlflow",)], description="services that also get what training shows; none by default"
    )

    @field_validator("trackers", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class EvaluationSettings(Settings):
    """Sets how often training is evaluated, and on how many clips."""

    every: int = Field(default=0, ge=0, le=MANY, description="steps between evaluations while training, 0 for none")
    count: int = Field(default=1000, ge=2, le=MANY, description="clips of each set in an evaluation")
