"""Defines the types of the networks' keyword arguments, with bounds and a description, as the recipe reads them.

The signature of a network is its specification: its keyword-only arguments are the keys of its section in a recipe.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, WrapValidator, field_validator


class Thousands(float):
    """Marks a number written with a point and three digits, as 5.000: no whole number, since it may mean 5000."""


class Settings(BaseModel):
    """Holds a part of a recipe: it is frozen, strict about types, and refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        """Turns lists into tuples and 1e5 into 100000; for a float field, pydantic turns that back into a float."""
        if isinstance(value, float) and value.is_integer() and not isinstance(value, Thousands):
            return int(value)
        return tuple(value) if isinstance(value, list) else value


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"it must be odd; try {value + 1}")
    return value


def _not_one(value: int) -> int:
    if value == 1:
        raise ValueError("it must be 0, or from 2 to 16; try 4")
    return value


class PhaseShuffleSettings(Settings):
    """Sets the random shifts between the layers of the discriminator."""

    radius: int = Field(default=2, ge=0, le=7, description="largest shift in positions, 0 for none")
    shared: bool = Field(default=True, description="draw one shift for all clips of a batch, not one for each")


Dim = Annotated[
    int,
    Field(
        ge=1,
        le=1024,
        description="base width: the layers have multiples of this many channels or units",
    ),
]
KernelSize = Annotated[
    int, Field(ge=5, le=65, description="length of each convolution in samples, odd"), AfterValidator(_odd)
]
SquareKernelSize = Annotated[
    int, Field(ge=3, le=9, description="height and width of each convolution, odd"), AfterValidator(_odd)
]
LatentDim = Annotated[int, Field(ge=1, le=65536, description="length of the latent vector from which a clip is made")]
LocalLatents = Annotated[
    int,
    Field(ge=0, le=1024, description="latent numbers for each part of a clip, beside latent_dim for all of it"),
]
Unbounded = Annotated[
    bool, Field(description="clips are parts of a sound without beginning and end, of any length; for windows: random")
]
Latent = Annotated[Literal["uniform", "normal"], Field(description="distribution of the latents")]
# "auto" stands in recipes alone: assemble puts a number in its place before it makes a network.
# Besides a number a field may have the value auto.
OR_AUTO = (
    WrapValidator(lambda value, validated: value if value == "auto" else validated(value)),
    PlainSerializer(lambda value: value),
)
Labels = Annotated[
    int,
    Field(
        ge=0, le=65536, description="number of labels that the networks know, 0 for none; auto counts those of the data"
    ),
    *OR_AUTO,
]
BatchNorm = Annotated[bool, Field(description="batch normalisation")]
Dropout = Annotated[float, Field(ge=0, lt=1, description="share of the activations set to 0 while training")]
Upsample = Annotated[
    Literal["transposed", "nearest"],
    Field(description="upsampling: transposed convolutions, or nearest neighbour and convolutions"),
]
PostFilterSamples = Annotated[
    int, Field(ge=0, le=4096, description="length in samples of a learned filter at the end, 0 for none")
]
Blocks = Annotated[int, Field(ge=0, le=64, description="residual blocks of a translator")]
ClipDeviations = Annotated[
    float,
    Field(
        gt=0,
        le=100,
        description="standard deviations from the mean of a frequency bin that become 1; values beyond are clipped",
    ),
]
GriffinLimIterations = Annotated[
    int, Field(ge=1, le=10_000, description="Griffin-Lim iterations that estimate the phases of a spectrogram")
]
Shuffle = Annotated[PhaseShuffleSettings, Field(description="random shifts between the layers")]
NoiseDeviation = Annotated[float, Field(gt=0, le=1, description="standard deviation of the noise that is added")]
FadeSteps = Annotated[
    int, Field(ge=0, le=1_000_000_000, description="steps within which the noise falls to zero, 0 keeps it constant")
]
MOST_CHANGE_PROBABILITY = 0.8  # above it the changes leak into generated clips (Karras et al. 2020)
ChangeProbability = Annotated[
    float, Field(ge=0, le=MOST_CHANGE_PROBABILITY, description="probability of each change when training starts")
]
TargetCertainty = Annotated[
    float,
    Field(gt=0, lt=1, description="certainty of the discriminator, from 0 to 1, above which the probability rises"),
]
RampClips = Annotated[
    int,
    Field(
        ge=0,
        le=1_000_000_000,
        description="clips within which the probability can rise from 0 to 1, 0 keeps it constant",
    ),
]
ShiftMilliseconds = Annotated[
    float, Field(ge=0, le=1000, description="standard deviation of the shift in time, in milliseconds")
]
GainDecibels = Annotated[float, Field(ge=0, le=20, description="standard deviation of the change of level, in dB")]
EqualizerDecibels = Annotated[
    float, Field(ge=0, le=20, description="standard deviation of a smooth equaliser curve, in dB")
]
Window = Annotated[int, Field(ge=4, le=65536, description="length of the analysis window in samples, even")]
Hop = Annotated[int, Field(ge=1, le=65536, description="samples from one frame to the next")]
Bands = Annotated[int, Field(ge=4, le=4096, description="number of mel bands")]
Factor = Annotated[int, Field(ge=2, le=1024, description="downsampling factor")]
TileRows = Annotated[
    int, Field(ge=1, le=64, description="adjacent rows of a spectrum that become channels of one tile")
]
TileFrames = Annotated[
    int, Field(ge=1, le=64, description="adjacent frames of a spectrum that become channels of one tile")
]
Group = Annotated[
    int, Field(ge=1, le=64, description="clips in a group whose differences the discriminator sees, 1 for none")
]
Coordinate = Annotated[bool, Field(description="adds the frequency of each row as one more channel")]
Pulses = Annotated[bool, Field(description="adds a pulse train beside the noise, for sounds with harmonics")]
SteadyPitch = Annotated[
    bool,
    Field(
        description="averages the pitch of pulses over nine frames, and keeps it in the range of the sound's pitches"
    ),
]
DrawnPitch = Annotated[
    bool,
    Field(
        description="draws the pitch of pulses as those of the sound or its labels are spread: for voices, single notes"
    ),
]
GlottalPulses = Annotated[
    bool,
    Field(
        description="lets pulses of drawn pitches swell before their peak: for voices; false for notes, also of a bass"
    ),
]
FilteredPulses = Annotated[
    bool,
    Field(description="makes bins of filtered pulses and hiss, without steady sines: for voices and single notes"),
]
StartShare = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="share of hiss and of pulses in every bin at the start, of pulses 0.6 with drawn pitches; "
        "less suits tones and voices",
    ),
]
BroadHiss = Annotated[
    bool, Field(description="keeps hiss below the mean level of the bins around, so that partials stay clean")
]
PannedHiss = Annotated[
    bool, Field(description="lets hiss lie anywhere between left and right, more to one side say; nothing for mono")
]
Drops = Annotated[bool, Field(description="adds noise that comes in short bursts, as in rain, fire or running water")]
DetunedBins = Annotated[
    bool, Field(description="bins ring off their centres, so that what is steady does not repeat after a window")
]
TunedBins = Annotated[
    bool, Field(description="bins ring where the sound's partials lie, for fixed pitches such as a piano's")
]
LongFrames = Annotated[
    int,
    Field(ge=0, le=16, description="adds frames this many times as long as window, for steadier partials; 0 for none"),
    AfterValidator(_not_one),
]
Period = Annotated[int, Field(ge=2, le=1024, description="samples in each column of the image")]
Power = Annotated[float, Field(gt=0, le=1, description="exponent of the magnitudes; below 1, quiet parts count more")]
PowerBeside = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="exponent of magnitudes shown as extra channels beside their logarithms, 0 for no such channels",
    ),
]
ResidualBeside = Annotated[
    bool, Field(description="adds the level of what two frames do not predict of the next: how unsteady a partial is")
]
DifferencesBeside = Annotated[
    bool, Field(description="adds the differences between channels (side, of stereo) as more channels; none for mono")
]
FloorDecibels = Annotated[
    float,
    Field(
        ge=-120, le=-20, description="level in dB, relative to a full-scale sine, below which all values count as equal"
    ),
]
