"""Starts a network with the weights of one like it, whose labels may be others."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from wavegan.models.heads import LatentLayer, ScoreLayer


class OtherFormError(ValueError):
    """Says that weights are those of a network of another size or kind."""


@torch.no_grad()
def start_from(network: nn.Module, weights: Mapping[str, Tensor], known: int, same: Sequence[int | None]) -> list[str]:
    """Copies the weights of another network, by name, into a network; returns the names of those that it lacks.

    known: how many labels the other one knows. same: for each label of the network its place there, None for a new
    label. A new one begins with the mean of the known labels, and with its own random numbers added. Without labels the
    mean alone counts. What was measured on the sound (buffers) stays. Raises OtherFormError, and changes nothing, for
    weights of another size or kind.
    """
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, LatentLayer | ScoreLayer)}
    taken = dict(weights)
    for name, layer in layers.items():
        if f"{name}.weight" in weights:
            _adapt_labels(taken, name, layer, known, same if layer.labels else ())
    own = dict(network.named_parameters())
    if not own.keys() & taken.keys():
        raise OtherFormError("no weight has the same name")
    if wrong := [name for name in own if name in taken and taken[name].shape != own[name].shape]:
        raise OtherFormError(f"{wrong[0]}: {tuple(taken[wrong[0]].shape)} and {tuple(own[wrong[0]].shape)}")
    for name, parameter in own.items():
        if name in taken:
            parameter.copy_(taken[name])
    return [name for name in own if name not in taken]


def _adapt_labels(
    weights: dict[str, Tensor], name: str, layer: LatentLayer | ScoreLayer, known: int, same: Sequence[int | None]
) -> None:
    """Gives the weights of a layer, in place, the labels of another one. Raises OtherFormError for another size."""
    axis = 1 if isinstance(layer, LatentLayer) else 0  # along which the weights of labels are the last ones
    lines, own_lines = weights[f"{name}.weight"].movedim(axis, 0), layer.weight.movedim(axis, 0)
    size = len(own_lines) - layer.labels
    common, theirs, own = lines[:size], lines[size:], own_lines[size:]
    if len(lines) not in (size, size + known) or lines.shape[1:] != own_lines.shape[1:]:
        raise OtherFormError(f"{name}.weight: {tuple(weights[f'{name}.weight'].shape)} and {tuple(layer.weight.shape)}")
    mean = theirs.mean(0) if len(theirs) else torch.zeros_like(lines[0])
    if not layer.labels and isinstance(layer, LatentLayer):
        weights[f"{name}.bias"] = weights[f"{name}.bias"] + layer.label_length * mean
    elif not layer.labels:
        common = common + mean
    places = same if len(theirs) else [None] * layer.labels
    labels = [mean + line if place is None else theirs[place] for place, line in zip(places, own, strict=True)]
    weights[f"{name}.weight"] = torch.cat([common, *(line[None] for line in labels)]).movedim(0, axis)
