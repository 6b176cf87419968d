"""Defines the types of the networks' keyword arguments, with bounds and a description, as the recipe reads them.

The signature of a network is its specification: its keyword-only arguments are the keys of its section in a recipe.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, WrapValidator, field_validator


class Settings(BaseModel):
    """Holds a part of a recipe: it is frozen, strict about types, and refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        """Turns lists into tuples and 1e5 into 100000; for a float field, pydantic turns that back into a float."""
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return tuple(value) if isinstance(value, list) else value


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"it must be odd; try {value + 1}")
    return value


class PhaseShuffleSettings(Settings):
    """Sets the random shifts between the layers of the discriminator."""

    radius: int = Field(default=2, ge=0, le=7, description="largest shift in positions, 0 for none")
    shared: bool = Field(default=True, description="one shift for all clips of a batch")


Dim = Annotated[int, Field(ge=1, le=1024, description="channels of the longest layer; the others multiply it")]
KernelSize = Annotated[
    int, Field(ge=5, le=65, description="length of each convolution in samples, odd"), AfterValidator(_odd)
]
SquareKernelSize = Annotated[
    int, Field(ge=3, le=9, description="height and width of each convolution, odd"), AfterValidator(_odd)
]
LatentDim = Annotated[int, Field(ge=1, le=65536, description="numbers from which a clip is made")]
Latent = Annotated[Literal["uniform", "normal"], Field(description="distribution of the latents")]
# "auto" stands in recipes alone: assemble puts a number in its place before it makes a network.
Labels = Annotated[
    int,
    Field(ge=0, le=65536, description="labels that the networks know, 0 for none; auto takes those of the sound"),
    WrapValidator(lambda value, validated: value if value == "auto" else validated(value)),
    PlainSerializer(lambda value: value),
]
BatchNorm = Annotated[bool, Field(description="batch normalisation")]
Dropout = Annotated[float, Field(ge=0, lt=1, description="share of the activations that is left out while training")]
Upsample = Annotated[Literal["transposed", "nearest"], Field(description="how the generator lengthens")]
PostFilterSamples = Annotated[
    int, Field(ge=0, le=4096, description="length in samples of a learned filter at the end, 0 for none")
]
Blocks = Annotated[int, Field(ge=0, le=64, description="residual blocks of a translator")]
ClipDeviations = Annotated[float, Field(gt=0, le=100, description="standard deviations that become 1")]
GriffinLimIterations = Annotated[
    int, Field(ge=1, le=10_000, description="steps in which the phases of a spectrogram are found")
]
Shuffle = Annotated[PhaseShuffleSettings, Field(description="random shifts between the layers")]
NoiseDeviation = Annotated[float, Field(gt=0, le=1, description="standard deviation of the noise that is added")]
FadeSteps = Annotated[
    int, Field(ge=0, le=1_000_000_000, description="steps in which the noise falls to zero, 0 keeps it")
]
MOST_CHANGE_PROBABILITY = 0.8  # above it the changes leak into generated clips (Karras et al. 2020)
ChangeProbability = Annotated[
    float, Field(ge=0, le=MOST_CHANGE_PROBABILITY, description="probability of each change, at the start")
]
TargetCertainty = Annotated[
    float, Field(gt=0, lt=1, description="surplus of pairs told apart, above which clips are changed more often")
]
RampClips = Annotated[
    int,
    Field(ge=0, le=1_000_000_000, description="clips in which the probability would rise from 0 to 1, 0 keeps it"),
]
ShiftMilliseconds = Annotated[float, Field(ge=0, le=1000, description="standard deviation of shifts in time")]
GainDecibels = Annotated[float, Field(ge=0, le=20, description="standard deviation of the level")]
EqualizerDecibels = Annotated[float, Field(ge=0, le=20, description="standard deviation of a smooth spectral curve")]
Window = Annotated[int, Field(ge=4, le=65536, description="length of the analysis window in samples, even")]
Hop = Annotated[int, Field(ge=1, le=65536, description="samples from one frame to the next")]
Bands = Annotated[int, Field(ge=4, le=4096, description="mel bands")]
Factor = Annotated[int, Field(ge=2, le=1024, description="samples of which one is left")]
TileRows = Annotated[int, Field(ge=1, le=64, description="rows of a spectrum that become channels")]
TileFrames = Annotated[int, Field(ge=1, le=64, description="frames of a spectrum that become channels")]
Group = Annotated[int, Field(ge=1, le=64, description="clips whose differences are seen, 1 for none")]
Coordinate = Annotated[bool, Field(description="shows each row's place as one more channel")]
Pulses = Annotated[bool, Field(description="a source of pulses, for sounds with harmonics, beside the hiss")]
Period = Annotated[int, Field(ge=2, le=1024, description="samples of a column")]
Power = Annotated[float, Field(gt=0, le=1, description="exponent of the magnitudes: below 1, soft parts count more")]
PowerBeside = Annotated[
    float,
    Field(ge=0, le=1, description="exponent of the magnitudes that are shown beside their logarithms, 0 for none"),
]
FloorDecibels = Annotated[
    float, Field(ge=-120, le=-20, description="level below which differences vanish, in dB of a full-scale sine")
]
