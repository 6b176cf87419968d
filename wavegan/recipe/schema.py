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
from wavegan.recipe.training_keys import MANY, Automatic, EvaluationSettings, MonitorSettings, TrainingSettings
from wavegan.recipe.yaml_text import format_value
from wavegan.settings import Settings

Objective = Literal[*OBJECTIVES]
Penalty = Literal["none", *PENALTIES]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Paths = tuple[Annotated[str, MinLen(1)], ...]


class DataSettings(Settings):
    """Describes the sound to learn from, and how clips are cut from it."""

    source: Paths = Field(
        default=(), examples=["data/drums"], description="folders of sound, or names of built-in sources"
    )
    test: Paths | None = Field(
        default=None, description="folders or named sources kept for evaluation; null holds out a part of source"
    )
    holdout: float = Field(default=0.1, ge=0, lt=0.5, description="share of files kept for evaluation if test is null")
    holdout_ends: bool = Field(
        default=False, description="keep the end of each file for evaluation, not whole files: for few long files"
    )
    sample_rate: int = Field(default=16000, ge=1000, le=192000, description="samples per second")
    channels: int = Field(default=1, ge=1, le=8, description="1 is mono, 2 stereo")
    # Each network has lengths of its own; constraints.py checks them.
    clip_samples: int = Field(default=16384, ge=1, le=MANY, description="length of a clip in samples")
    source_b: Paths | None = Field(
        default=None,
        examples=["data/other_drums"],
        description="the second source of a translation; sound of source is translated to it, and back",
    )
    test_b: Paths | None = Field(default=None, description="the same as test, for source_b")
    windows: Literal["first", "random", "all"] = Field(
        default="first", description="parts of a file that become clips: the start, random places, or all parts in turn"
    )
    vary_speed: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="octaves by which each clip to learn from is played slower or faster at most, anew each time",
    )
    label_column: str | None = Field(
        default=None, examples=["category"], description="column of a metadata file that holds the labels; null: label"
    )
    label_level: int | None = Field(
        default=None, ge=1, le=16, description="folder whose name is the label, 1 is the one that holds the file"
    )
    normalize: bool = Field(default=True, description="scale each file to a peak of 1")
    channel: int | None = Field(
        default=None, ge=1, le=64, description="use this channel of each file, 1 is the left; null: the mean of all"
    )
    remove_dc: bool = Field(default=False, description="subtract each file's mean")
    trim_silence: bool = Field(default=False, description="cut the silence before and after each sound")
    strict: bool = Field(default=False, description="refuse files that cannot be read without repair")
    max_bad_fraction: float = Field(
        default=0.05, ge=0, le=1, description="share of unusable files above which training refuses to start"
    )
    on_device: Automatic = Field(
        default="auto", description="keep all samples in the memory of the accelerator; auto does so where they fit"
    )

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

    objective: Objective | None = Field(
        default=None, description="objective of this discriminator; null: method.objective"
    )
    penalty: Penalty | None = Field(default=None, description="penalty added to the objective; null: method.penalty")
    penalty_weight: float | None = Field(
        default=None, ge=0, description="factor of the penalty; null: method.penalty_weight"
    )
    penalty_every: int | None = Field(
        default=None, ge=1, le=1000, description="steps from one penalty to the next; null: method.penalty_every"
    )
    weight: float = Field(
        default=1.0, gt=0, le=1000, description="factor of this discriminator in the generator's loss"
    )
    augment: AugmentSettings | None = Field(default=None, description="augmentation of all clips; null: method.augment")
    optimizer: OptimizerSettings | None = Field(default=None, description="null: optimizers.discriminator")

    @field_validator("objective", mode="before")
    @classmethod
    def _not_by_paper(cls, value: Any) -> Any:
        return refuse_papers_name(value)


class SpectralAdversarySettings(AdversarySettings):
    """Adds the view that makes spectra for a discriminator that sees spectra."""

    view: ViewSettings = Field(description="transform that makes the spectra it sees")


class WaveformAdversarySettings(AdversarySettings):
    """Adds the view for a discriminator that sees waveforms; it may have none."""

    view: WaveformViewSettings | None = Field(
        default=None, description="transform of the clips; null: the clips themselves"
    )

    @field_validator("view", mode="before")
    @classmethod
    def _no_spectra(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("name") in _SPECTRAL:
            *first, last = _SPECTRAL_JUDGES
            shows = f"{value['name']} shows spectra, which {', '.join(first)} and {last} see"
            raise ValueError(f"it must be null, or named {' or '.join(_WAVEFORMS)}; {shows}")
        return value


ADVERSARIES = {"spectrum": SpectralAdversarySettings, "waveform": WaveformAdversarySettings}
DiscriminatorSettings = one_of(DISCRIMINATORS, lambda kind: ADVERSARIES.get(kind.sees, AdversarySettings))


class GameSettings(NamedSettings):
    """Holds the settings that all methods with discriminators have in common."""

    objective: Objective = Field(default="wasserstein", description="objective of generator and discriminators")
    penalty: Penalty = Field(default="gradient_penalty", description="penalty added to the objective")
    penalty_weight: float = Field(default=10.0, ge=0, description="factor of the penalty")
    penalty_every: int = Field(
        default=1, ge=1, le=1000, description="apply the penalty in every N-th step, with N times its weight"
    )
    penalty_floor: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="factor to which the penalty's weight falls during the run, 1 keeps it constant",
    )
    discriminator_steps: int = Field(default=5, ge=1, le=1000, description="discriminator updates per generator update")
    weight_clip: float | None = Field(
        default=None, gt=0, description="clip the discriminators' weights to ± this value"
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=0.5, description="one-sided label smoothing: the target of real clips is 1 minus this"
    )
    augment: AugmentSettings | None = Field(
        default=None, description="augmentation of all clips, real and generated, before a discriminator sees them"
    )

    @field_validator("objective", mode="before")
    @classmethod
    def _not_by_paper(cls, value: Any) -> Any:
        return refuse_papers_name(value)


class GANSettings(GameSettings):
    """Sets up a generator against discriminators (Goodfellow et al. 2014)."""

    name: Literal["gan"] = "gan"
    reuse_generated: bool = Field(
        default=False, description="use the same generated clips for both updates; needs discriminator_steps: 1"
    )


class TranslationSettings(GameSettings):
    """Sets up unpaired translation between two sources (Zhu et al. 2017)."""

    name: Literal["translation"] = "translation"
    cycle_weight: float = Field(
        default=10.0, ge=0, description="factor of the cycle loss: the difference after translating there and back"
    )
    identity_weight: float = Field(
        default=5.0,
        ge=0,
        description="factor of the identity loss: the change of sound that is already of the target source",
    )


class VAESettings(NamedSettings):
    """Sets up a variational autoencoder (Kingma & Welling 2014)."""

    name: Literal["vae"] = "vae"
    reconstruction: Literal[*RECONSTRUCTIONS] = Field(
        default="l1", description="distance between the output and the input"
    )
    kl_weight: float = Field(
        default=0.01, ge=0, description="factor of the KL divergence of the latents from a normal distribution"
    )
    kl_warmup_steps: int = Field(default=0, ge=0, le=MANY, description="steps within which kl_weight rises from 0")


METHODS: dict[str, type[Settings]] = {"gan": GANSettings, "vae": VAESettings, "translation": TranslationSettings}
MethodSettings = union(METHODS)


class Recipe(Settings):
    """Holds everything that was asked of one training."""

    name: str = Field(default="recipe", description="name of the run folder; by default the name of the file")
    data: DataSettings = DataSettings()
    generator: GeneratorSettings = Field(default={}, validate_default=True)
    discriminators: dict[Name, DiscriminatorSettings] = Field(
        default=FrozenDict(), description="discriminators by names of your own"
    )
    encoder: EncoderSettings | None = Field(default=None, description="network that maps clips to latents, for a VAE")
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
