"""Every key of a recipe: its type, its bounds, and the authors' setting as its default."""

import re
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt, MinLen
from pydantic import BaseModel, ConfigDict, Field, field_validator

from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES
from wavegan.objectives.reconstruction import RECONSTRUCTIONS
from wavegan.recipe.parsing import shown

CLIP_SAMPLES = (4096, 8192, 16384, 32768, 65536)

PAPERS = {  # what papers call an objective, with what goes with it
    "gan": "minimax with penalty: none",
    "dcgan": "non_saturating with penalty: none",
    "nsgan": "non_saturating with penalty: none",
    "lsgan": "least_squares with penalty: none",
    "wgan": "wasserstein with penalty: none and weight_clip: 0.01",
    "wgangp": "wasserstein with penalty: gradient_penalty",
    "ragan": "relativistic_average with penalty: gradient_penalty",
    "rpgan": "relativistic with penalty: r1_r2",
    "r3gan": "relativistic with penalty: r1_r2",
}

Automatic = Literal["auto"] | bool
Paths = tuple[Annotated[str, MinLen(1)], ...]
Betas = tuple[Annotated[float, Ge(0), Lt(1)], Annotated[float, Ge(0), Lt(1)]]
_MANY = 1_000_000_000


class Section(BaseModel):
    """A part of a recipe: frozen, strict about types, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        """Tuples for lists and 100000 for 1e5; where a float is due, pydantic makes one of the whole number."""
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return tuple(value) if isinstance(value, list) else value


class Data(Section):
    """The sound to learn from, and how clips are cut from it."""

    source: Paths = Field(default=(), examples=["data/drums"], description="folders or named sources")
    test: Paths | None = Field(default=None, description="the same, kept for evaluation")
    holdout: float = Field(default=0.1, ge=0, lt=0.5, description="share of files kept for evaluation if test is null")
    sample_rate: int = Field(default=16000, ge=1000, le=192000, description="samples per second")
    channels: int = Field(default=1, ge=1, le=8, description="1 is mono, 2 stereo")
    source_b: Paths | None = Field(
        default=None, examples=["data/other_drums"], description="what sound of the source is translated to, and back"
    )
    test_b: Paths | None = Field(default=None, description="as test, of source_b")
    windows: Literal["first", "random", "all"] = Field(default="first", description="parts of a file that become clips")
    normalize: bool = Field(default=True, description="scale each file to a peak of 1")
    max_bad_fraction: float = Field(default=0.05, ge=0, le=1, description="share of unusable files to put up with")
    on_device: Automatic = Field(default="auto", description="keep the corpus on the accelerator")

    @field_validator("source", "test", "source_b", "test_b", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class Representation(Section):
    """What the networks see of a clip."""

    name: Literal["waveform", "log_spectrogram"] = Field(default="waveform", description="what clips are turned into")
    clip_deviations: float = Field(default=3.0, gt=0, le=100, description="standard deviations that become 1")
    griffin_lim_iterations: int = Field(default=16, ge=1, le=10_000, description="to find the phases of a spectrogram")


class PhaseShuffle(Section):
    """Random shifts between the layers of the discriminator."""

    radius: int = Field(default=2, ge=0, le=7, description="largest shift in positions, 0 for none")
    shared: bool = Field(default=True, description="one shift for all clips of a batch")


class Model(Section):
    """The networks."""

    name: Literal["wavegan", "specgan", "mlp", "translator"] = Field(default="wavegan", description="the architecture")
    # The lengths are checked in recipe_faults.py, where the sample rate is known.
    clip_samples: int = Field(default=16384, description="length of a clip")
    dim: int = Field(default=64, ge=1, le=1024, description="channels of the longest layer; the others multiply it")
    kernel_size: int = Field(default=25, ge=3, le=65, description="length of each convolution, odd")
    latent_dim: int = Field(default=100, ge=1, le=65536, description="numbers from which a clip is made")
    latent: Literal["uniform", "normal"] = Field(default="uniform", description="distribution of the latents")
    classes: int = Field(default=0, ge=0, le=65536, description="labels that the networks know, 0 for none")
    blocks: int = Field(default=4, ge=0, le=64, description="residual blocks of a translator")
    batch_norm: bool = Field(default=False, description="batch normalisation in the generator")
    discriminator_batch_norm: bool = Field(default=False, description="batch normalisation in the discriminator")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share of the discriminator's activations left out")
    upsample: Literal["transposed", "nearest"] = Field(default="transposed", description="how the generator lengthens")
    post_filter: int = Field(default=0, ge=0, le=4096, description="samples of a learned filter at the end, 0 for none")
    phase_shuffle: PhaseShuffle = PhaseShuffle()

    @field_validator("kernel_size")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"it must be odd; try {value + 1}")
        return value


class Method(Section):
    """Who learns what."""

    name: Literal["gan", "vae", "translation"] = Field(default="gan", description="the phases of a step")
    objective: Literal[*OBJECTIVES] = Field(default="wasserstein", description="what is minimised")  # pyright: ignore
    penalty: Literal["none", *PENALTIES] = Field(  # pyright: ignore[reportInvalidTypeForm]
        default="gradient_penalty", description="what is added to it"
    )
    penalty_weight: float = Field(default=10.0, ge=0, description="factor of the penalty")
    discriminator_steps: int = Field(default=5, ge=1, le=1000, description="discriminator updates per generator update")
    weight_clip: float | None = Field(default=None, gt=0, description="bound of the discriminator's weights")
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5, description="by which real clips' target is below 1")
    instance_noise: float = Field(default=0.0, ge=0, le=1, description="deviation of noise on what it is shown")
    instance_noise_steps: int = Field(default=0, ge=0, le=_MANY, description="until it is gone, 0 for it stays")
    reconstruction: Literal[*RECONSTRUCTIONS] = Field(  # pyright: ignore[reportInvalidTypeForm]
        default="l1", description="how far a VAE's output is from its input"
    )
    kl_weight: float = Field(default=0.01, ge=0, description="factor of a VAE's divergence from the latents")
    kl_warmup_steps: int = Field(default=0, ge=0, le=_MANY, description="steps in which that weight rises from 0")
    cycle_weight: float = Field(default=10.0, ge=0, description="factor of what is lost by translating there and back")
    identity_weight: float = Field(default=5.0, ge=0, description="factor of what is changed that needs no change")

    @field_validator("objective", mode="before")
    @classmethod
    def _not_by_paper(cls, value: Any) -> Any:
        """A paper's own name is met with what it stands for here."""
        if meant := PAPERS.get(re.sub(r"[\W_]", "", str(value).lower())):
            raise ValueError(f"it must be {meant.partition(' ')[0]}; try objective: {meant}")
        return value


class Optimizer(Section):
    """How one network follows its gradients."""

    name: Literal["adam", "adamw", "rmsprop", "sgd"] = Field(default="adam", description="the algorithm")
    lr: float = Field(default=1e-4, gt=0, le=1, description="learning rate")
    betas: Betas = Field(default=(0.5, 0.9), description="decay of the two running means of Adam and AdamW")
    decay: float = Field(default=0.9, ge=0, lt=1, description="decay of RMSProp's running mean")
    momentum: float = Field(default=0.0, ge=0, lt=1, description="of SGD and RMSProp")
    weight_decay: float = Field(default=0.0, ge=0, le=1, description="share of the weights taken off, of AdamW and SGD")
    eps: float = Field(default=1e-8, gt=0, le=1, description="what keeps a division from zero, of all but SGD")


class Optimizers(Section):
    """One optimiser for each network."""

    generator: Optimizer = Optimizer()
    discriminator: Optimizer = Optimizer()


class Training(Section):
    """How long, how fast and how safely."""

    batch_size: int = Field(default=64, ge=1, le=65536, description="clips per update, over all processes")
    steps: int = Field(default=200_000, ge=1, le=_MANY, description="generator updates in all")
    seed: int = Field(default=0, ge=0, lt=2**63, description="start of everything random")
    precision: Literal["auto", "fp32", "bf16"] = Field(default="auto", description="number format of multiplications")
    compile: Automatic = Field(
        default="auto", description="torch.compile; auto where faster on an accelerator; false: no CUDA graphs either"
    )
    ema: float = Field(default=0.999, ge=0, lt=1, description="decay per step of the averaged generator, 0 for none")
    gradient_clip: float | None = Field(default=None, gt=0, description="largest total norm of the gradients")
    lr_decay: Literal["none", "linear"] = Field(default="none", description="linear goes to zero at training.steps")
    on_collapse: Literal["warn", "rollback"] = Field(
        default="warn", description="rollback goes back to the last healthy checkpoint, with a new seed"
    )
    max_rollbacks: int = Field(default=3, ge=1, le=1000, description="after which the training ends")
    checkpoint_every: int = Field(default=1000, ge=1, le=_MANY, description="steps between checkpoints")
    keep_last: int = Field(default=3, ge=1, le=_MANY, description="newest checkpoints that stay")
    keep_every: int = Field(default=0, ge=0, le=_MANY, description="steps between checkpoints that stay, 0 for none")


class Monitor(Section):
    """What training shows."""

    log_every: int = Field(default=10, ge=1, le=_MANY, description="steps between log lines")
    preview_every: int = Field(default=1000, ge=0, le=_MANY, description="steps between previews, 0 for never")
    preview_count: int = Field(default=16, ge=1, le=64, description="clips in a preview")
    tensorboard: Automatic = Field(default="auto", description="also write for TensorBoard")


class Evaluation(Section):
    """How good is measured."""

    every: int = Field(default=0, ge=0, le=_MANY, description="steps between evaluations while training, 0 for none")
    count: int = Field(default=1000, ge=2, le=_MANY, description="clips to compare")


class Recipe(Section):
    """Everything that was asked of one training."""

    name: str = Field(default="recipe", description="name of the run folder, by default that of the file")
    data: Data = Data()
    representation: Representation = Representation()
    model: Model = Model()
    method: Method = Method()
    optimizers: Optimizers = Optimizers()
    training: Training = Training()
    monitor: Monitor = Monitor()
    evaluation: Evaluation = Evaluation()

    @field_validator("name", mode="before")
    @classmethod
    def _fit_for_a_folder(cls, value: Any) -> Any:
        fit = re.sub(r"[^A-Za-z0-9_-]+", "-", str(value or "recipe"))
        if value != fit:
            raise ValueError(f"it must be text of letters, digits, - and _; write name: {shown(fit)}")
        return value
