"""Defines the keys of each optimiser."""

from typing import Annotated, Literal

from annotated_types import Ge, Lt
from pydantic import Field

from wavegan.recipe.kinds import NamedSettings
from wavegan.settings import Settings

Betas = tuple[Annotated[float, Ge(0), Lt(1)], Annotated[float, Ge(0), Lt(1)]]
LEARNING_RATE = Field(default=1e-4, gt=0, le=1, description="learning rate")
MOMENTUM = Field(default=0.0, ge=0, lt=1, description="momentum: share of the last update that is repeated")
WEIGHT_DECAY = Field(
    default=0.0,
    ge=0,
    le=1,
    description="weight decay: each update takes off the learning rate times this share of the weights",
)


class AdamSettings(NamedSettings):
    """Holds the keys of Adam (Kingma & Ba 2015)."""

    name: Literal["adam"] = "adam"
    lr: float = LEARNING_RATE
    betas: Betas = Field(default=(0.5, 0.9), description="decay of the running means of gradients and of their squares")
    eps: float = Field(default=1e-8, gt=0, le=1, description="added to each divisor, so that none is zero")


class AdamWSettings(AdamSettings):
    """Holds the keys of Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"] = "adamw"  # type: ignore[assignment]
    weight_decay: float = WEIGHT_DECAY


class MuonSettings(AdamSettings):
    """Holds the keys of Muon (Jordan et al. 2024) for the kernels of convolutions, of Adam for all other weights."""

    name: Literal["muon"] = "muon"  # type: ignore[assignment]
    momentum: float = Field(default=0.5, ge=0, lt=1, description="momentum: share of a kernel's mean gradient kept")


class RMSPropSettings(NamedSettings):
    """Holds the keys of RMSProp (Tieleman & Hinton 2012)."""

    name: Literal["rmsprop"] = "rmsprop"
    lr: float = LEARNING_RATE
    decay: float = Field(default=0.9, ge=0, lt=1, description="decay of the running mean of squared gradients")
    momentum: float = MOMENTUM
    eps: float = Field(default=1e-8, gt=0, le=1, description="added to each divisor, so that none is zero")


class SGDSettings(NamedSettings):
    """Holds the keys of stochastic gradient descent."""

    name: Literal["sgd"] = "sgd"
    lr: float = LEARNING_RATE
    momentum: float = MOMENTUM
    weight_decay: float = WEIGHT_DECAY


OPTIMIZERS: dict[str, type[Settings]] = {
    "adam": AdamSettings,
    "adamw": AdamWSettings,
    "muon": MuonSettings,
    "rmsprop": RMSPropSettings,
    "sgd": SGDSettings,
}
