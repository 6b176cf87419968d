"""Defines every key of a recipe: its type, its bounds and its default.

The keys of a network, a view or an augmentation are the keyword arguments of its class that have a type of
`wavegan/settings.py`. So a key that does not apply does not exist, and a new network needs no line here.
"""

# pyright: reportInvalidTypeForm=false
# Types are made at run time here.

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from annotated_types import MinLen
from pydantic import Field, StringConstraints, field_validator

from wavegan.audio.augmentation import AUGMENTATIONS
from wavegan.dsp.views import VIEWS
from wavegan.models.catalogue import DISCRIMINATORS, GENERATORS
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES
from wavegan.objectives.reconstruction import RECONSTRUCTIONS
from wavegan.recipe.kinds import FrozenDict, NamedSettings, one_of, union
from wavegan.recipe.optimizers import OPTIMIZERS, AdamSettings
from wavegan.recipe.papers import refuse_papers_name
from wavegan.recipe.yaml_text import format_value
from wavegan.settings import Settings

Objective = Literal[*OBJECTIVES]
Penalty = Literal["none", *PENALTIES]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Automatic = Literal["auto"] | bool
Paths = tuple[Annotated[str, MinLen(1)], ...]
_MANY = 1_000_000_000


class DataSettings(Settings):
    """Describes the sound to learn from, and how clips are cut from it."""

    source: Paths = Field(default=(), examples=["data/drums"], description="folders or named sources")
    test: Paths | None = Field(default=None, description="the same, kept for evaluation")
    holdout: float = Field(default=0.1, ge=0, lt=0.5, description="share of files kept for evaluation if test is null")
    sample_rate: int = Field(default=16000, ge=1000, le=192000, description="samples per second")
    channels: int = Field(default=1, ge=1, le=8, description="1 is mono, 2 stereo")
    # Each network has lengths of its own; constraints.py checks them.
    clip_samples: int = Field(default=16384, ge=1, le=_MANY, description="length of a clip in samples")
    source_b: Paths | None = Field(
        default=None, examples=["data/other_drums"], description="what sound of the source is translated to, and back"
    )
    test_b: Paths | None = Field(default=None, description="as test, of source_b")
    windows: Literal["first", "random", "all"] = Field(default="first", description="parts of a file that become clips")
    normalize: bool = Field(default=True, description="scale each file to a peak of 1")
    channel: int | None = Field(
        default=None, ge=1, le=64, description="take this channel, 1 is the left; null takes the mean of all"
    )
    remove_dc: bool = Field(default=False, description="subtract each file's mean")
    trim_silence: bool = Field(default=False, description="cut the silence before and after each sound")
    label_column: str | None = Field(
        default=None, examples=["category"], description="column of a metadata file that holds the labels"
    )
    label_level: int | None = Field(
        default=None, ge=1, le=16, description="folder whose name is the label, 1 is the one that holds the file"
    )
    strict: bool = Field(default=False, description="refuse files that must be repaired to be read")
    max_bad_fraction: float = Field(default=0.05, ge=0, le=1, description="largest share of files that may be unusable")
    on_device: Automatic = Field(default="auto", description="keep the corpus on the accelerator")

    @field_validator("source", "test", "source_b", "test_b", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


OptimizerSettings = union(OPTIMIZERS)
AugmentSettings = one_of(AUGMENTATIONS)
_SPECTRAL, _WAVEFORMS = (
    {name: view for name, view in VIEWS.items() if view.gives == kind} for kind in ("spectrum", "waveform")
)
ViewSettings, WaveformViewSettings = one_of(_SPECTRAL), one_of(_WAVEFORMS)
GeneratorSettings = one_of(GENERATORS)
EncoderSettings = one_of(DISCRIMINATORS, without=("phase_shuffle",))


class OptimizersSettings(Settings):
    """Holds the optimiser of the generator, also for an encoder, and the default of every discriminator."""

    generator: OptimizerSettings = AdamSettings()
    discriminator: OptimizerSettings = AdamSettings()


_SPECTRAL_JUDGES = [name for name, kind in DISCRIMINATORS.items() if kind.sees == "spectrum"]


class AdversarySettings(NamedSettings):
    """Sets a discriminator's part in the game; null means the value of `method` or `optimizers.discriminator`."""

    objective: Objective | None = Field(default=None, description="what is minimised; null is method.objective")
    penalty: Penalty | None = Field(default=None, description="what is added to it; null is method.penalty")
    penalty_weight: float | None = Field(default=None, ge=0, description="its factor; null is method.penalty_weight")
    penalty_every: int | None = Field(
        default=None, ge=1, le=1000, description="steps from one penalty to the next; null is method.penalty_every"
    )
    weight: float = Field(default=1.0, gt=0, le=1000, description="its factor in the generator's loss")
    augment: AugmentSettings | None = Field(default=None, description="null is method.augment")
    optimizer: OptimizerSettings | None = Field(default=None, description="null is optimizers.discriminator")

    @field_validator("objective", mode="before")
    @classmethod
    def _not_by_paper(cls, value: Any) -> Any:
        return refuse_papers_name(value)


class SpectralAdversarySettings(AdversarySettings):
    """Adds the view that makes spectra for a discriminator that sees spectra."""

    view: ViewSettings = Field(description="the spectra that it sees")


class WaveformAdversarySettings(AdversarySettings):
    """Adds the view for a discriminator that sees waveforms; it may have none."""

    view: WaveformViewSettings | None = Field(default=None, description="null shows the clips themselves")

    @field_validator("view", mode="before")
    @classmethod
    def _no_spectra(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("name") in _SPECTRAL:
            shows = f"{value['name']} shows spectra, which {' and '.join(_SPECTRAL_JUDGES)} see"
            raise ValueError(f"it must be null, or named {' or '.join(_WAVEFORMS)}; {shows}")
        return value


ADVERSARIES = {"spectrum": SpectralAdversarySettings, "waveform": WaveformAdversarySettings}
DiscriminatorSettings = one_of(DISCRIMINATORS, lambda kind: ADVERSARIES.get(kind.sees, AdversarySettings))


class GameSettings(NamedSettings):
    """Holds the settings that all methods with discriminators have in common."""

    objective: Objective = Field(default="wasserstein", description="what is minimised")
    penalty: Penalty = Field(default="gradient_penalty", description="what is added to it")
    penalty_weight: float = Field(default=10.0, ge=0, description="factor of the penalty")
    penalty_every: int = Field(
        default=1, ge=1, le=1000, description="steps from one penalty to the next, which weighs so many times more"
    )
    penalty_floor: float = Field(
        default=1.0, gt=0, le=1, description="part of the penalty's weight to which it falls in the run, 1 keeps it"
    )
    discriminator_steps: int = Field(default=5, ge=1, le=1000, description="discriminator updates per generator update")
    weight_clip: float | None = Field(default=None, gt=0, description="bound of the discriminators' weights")
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5, description="the target of real clips is 1 minus this")
    augment: AugmentSettings | None = Field(
        default=None, description="change of all clips before a discriminator sees them"
    )

    @field_validator("objective", mode="before")
    @classmethod
    def _not_by_paper(cls, value: Any) -> Any:
        return refuse_papers_name(value)


class GANSettings(GameSettings):
    """Sets up a generator against discriminators (Goodfellow et al. 2014)."""

    name: Literal["gan"] = "gan"
    reuse_generated: bool = Field(
        default=False, description="one pass of the generator for both updates; needs discriminator_steps: 1"
    )


class TranslationSettings(GameSettings):
    """Sets up unpaired translation between two sources (Zhu et al. 2017)."""

    name: Literal["translation"] = "translation"
    cycle_weight: float = Field(default=10.0, ge=0, description="factor of what is lost by translating there and back")
    identity_weight: float = Field(default=5.0, ge=0, description="factor of what is changed that needs no change")


class VAESettings(NamedSettings):
    """Sets up a variational autoencoder (Kingma & Welling 2014)."""

    name: Literal["vae"] = "vae"
    reconstruction: Literal[*RECONSTRUCTIONS] = Field(
        default="l1", description="distance between the output and the input"
    )
    kl_weight: float = Field(default=0.01, ge=0, description="factor of the divergence from the latents")
    kl_warmup_steps: int = Field(default=0, ge=0, le=_MANY, description="steps in which that weight rises from 0")


METHODS: dict[str, type[Settings]] = {"gan": GANSettings, "vae": VAESettings, "translation": TranslationSettings}
MethodSettings = union(METHODS)


class TrainingSettings(Settings):
    """Sets how long, how fast and how safely a recipe is trained."""

    batch_size: int = Field(default=64, ge=1, le=65536, description="clips per update, over all processes")
    steps: int = Field(default=200_000, ge=1, le=_MANY, description="generator updates in all")
    seed: int = Field(default=0, ge=0, lt=2**63, description="start of everything random")
    precision: Literal["auto", "fp32", "bf16"] = Field(default="auto", description="number format of multiplications")
    compile: Automatic = Field(
        default="auto", description="torch.compile; auto where faster on an accelerator; false: no CUDA graphs either"
    )
    ema: float = Field(default=0.999, ge=0, lt=1, description="decay per step of the averaged generator, 0 for none")
    ema_half_life: float | None = Field(
        default=None, gt=0, le=_MANY, description="clips in which the average forgets a half; needs ema: 0"
    )
    gradient_clip: float | None = Field(default=None, gt=0, description="largest total norm of the gradients")
    lr_decay: Literal["none", "linear", "cosine"] = Field(
        default="none", description="how the learning rates fall to zero at training.steps"
    )
    lr_floor: float = Field(default=0.0, ge=0, lt=1, description="part of the learning rates below which none falls")
    on_collapse: Literal["warn", "rollback"] = Field(
        default="warn", description="rollback goes back to the last healthy checkpoint, with a new seed"
    )
    max_rollbacks: int = Field(default=3, ge=1, le=1000, description="after which the training ends")
    checkpoint_every: int = Field(default=1000, ge=1, le=_MANY, description="steps between checkpoints")
    keep_last: int = Field(default=3, ge=1, le=_MANY, description="newest checkpoints that stay")
    keep_every: int = Field(default=0, ge=0, le=_MANY, description="steps between checkpoints that stay, 0 for none")


class MonitorSettings(Settings):
    """Sets what training shows, and how often."""

    log_every: int = Field(default=10, ge=1, le=_MANY, description="steps between log lines")
    preview_every: int = Field(default=1000, ge=0, le=_MANY, description="steps between previews, 0 for never")
    preview_count: int = Field(default=16, ge=1, le=64, description="clips in a preview")
    tensorboard: Automatic = Field(default="auto", description="also write for TensorBoard")


class EvaluationSettings(Settings):
    """Sets how often training is evaluated, and on how many clips."""

    every: int = Field(default=0, ge=0, le=_MANY, description="steps between evaluations while training, 0 for none")
    count: int = Field(default=1000, ge=2, le=_MANY, description="clips to compare")


class Recipe(Settings):
    """Holds everything that was asked of one training."""

    name: str = Field(default="recipe", description="name of the run folder, by default that of the file")
    data: DataSettings = DataSettings()
    generator: GeneratorSettings = Field(default={}, validate_default=True)
    discriminators: dict[Name, DiscriminatorSettings] = Field(
        default=FrozenDict(), description="discriminators by names of your own"
    )
    encoder: EncoderSettings | None = Field(default=None, description="the other half of a VAE")
    method: MethodSettings = GANSettings()
    optimizers: OptimizersSettings = OptimizersSettings()
    training: TrainingSettings = TrainingSettings()
    monitor: MonitorSettings = MonitorSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    def __reduce__(self) -> Any:
        return Recipe.model_validate, (self.model_dump(),)  # pickle does not find classes made from signatures

    @field_validator("discriminators", mode="wrap")
    @classmethod
    def _frozen(cls, value: Any, validated: Callable[[Any], dict]) -> Any:
        return FrozenDict(validated({} if value is None else value))

    @field_validator("name", mode="before")
    @classmethod
    def _fit_for_a_folder(cls, value: Any) -> Any:
        fit = re.sub(r"[^A-Za-z0-9_-]+", "-", str(value or "recipe"))
        if value != fit:
            raise ValueError(f"it must be text of letters, digits, - and _; write name: {format_value(fit)}")
        return value
