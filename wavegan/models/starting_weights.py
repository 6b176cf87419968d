"""Starts a network with the weights of one like it, whose labels, bins of frequency and frames may be others."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from wavegan.models.heads import LatentLayer, ScoreLayer
from wavegan.models.inverse_stft import Generator
from wavegan.models.spectral_frames import SpectralFrames
from wavegan.models.spectral_head import MAPS
from wavegan.models.stages import stretched


class OtherFormError(ValueError):
    """Says that weights are those of a network of another size or kind."""


@torch.no_grad()
def start_from(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    known: int,
    same: Sequence[int | None],
    rate: float = 1.0,
    *,
    is_panned: bool = False,
) -> list[str]:
    """Copies the weights of another network, by name, into a network; returns the names of those that it lacks.

    known: how many labels the other one knows. same: for each label of the network its place there, None for a new
    label. A new one begins with the mean of the known labels, and with its own random numbers added. Without labels the
    mean alone counts. rate: the sample rate of the network's sound, in units of that of the other's. is_panned: whether
    the other one pans its hiss; one that did not may begin to. What was measured on the sound (buffers) stays. Raises
    OtherFormError, and changes nothing, for weights of another size or kind.
    """
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, LatentLayer | ScoreLayer)}
    taken = dict(weights)
    for name, layer in layers.items():
        if f"{name}.weight" in weights:
            _adapt_labels(taken, name, layer, known, same if layer.labels else ())
    for name, frames in network.named_modules():
        if isinstance(frames, SpectralFrames):
            _adapt_bins(taken, f"{name}.".removeprefix("."), frames, rate, is_panned)
    if isinstance(network, Generator):
        _adapt_frames(taken, network)
    own = dict(network.named_parameters())
    if not own.keys() & taken.keys():
        raise OtherFormError("no weight has the same name")
    if wrong := [name for name in own if name in taken and taken[name].shape != own[name].shape]:
        raise OtherFormError(f"{wrong[0]}: {tuple(taken[wrong[0]].shape)} and {tuple(own[wrong[0]].shape)}")
    for name, parameter in own.items():
        if name in taken:
            parameter.copy_(taken[name])
    return [name for name in own if name not in taken]


def _adapt_bins(weights: dict[str, Tensor], prefix: str, frames: SpectralFrames, rate: float, is_panned: bool) -> None:
    """Gives the weights of a head, in place, the bins of other frames: each takes what the nearest in Hz has.

    Bins above the highest one of the weights take those below it, mirrored at it. Hiss that could not be panned begins
    in its place. Raises OtherFormError for a head that says other things of a bin.
    """
    levels, names = weights.get(f"{prefix}start_levels"), (f"{prefix}head.weight", f"{prefix}head.bias")
    if levels is None or not all(name in weights for name in names):
        return
    top = levels.shape[1] - 1
    own_maps = (len(frames.head.bias) // frames.channels - 1) // frames.bins
    count = len(weights[names[1]])
    maps = (count // frames.channels - 1) // (top + 1)
    further = (frames.panned_hiss - is_panned) if isinstance(frames, Generator) else 0
    if count != frames.channels * (1 + maps * (top + 1)) or own_maps - maps != further or further < 0:
        raise OtherFormError(f"{names[1]}: {len(weights[names[1]])} numbers for {top + 1} bins")
    places = (torch.arange(frames.bins) * (rate * 2 * top / frames.window)).round().long() % (2 * top)
    places = torch.minimum(places, 2 * top - places)
    for name in names:
        lines = weights[name].unflatten(0, (frames.channels, -1))
        loudness, bins = lines[:, :1], lines[:, 1:].unflatten(1, (maps, -1))
        if further:
            bins = torch.cat([bins[:, : MAPS + 1], torch.zeros_like(bins[:, :1]), bins[:, MAPS + 1 :]], dim=1)
        weights[name] = torch.cat([loudness, bins[:, :, places].flatten(1, 2)], dim=1).flatten(0, 1)


def _adapt_frames(weights: dict[str, Tensor], network: Generator) -> None:
    """Gives the weights of a generator, in place, the frames of a clip of another length, so that sounds last as long.

    A longer clip has more blocks, the first of which are new: their frames last twice as long each time. Beyond the end
    of the other clips the last frame goes on. A clip with fewer blocks has the same frames in less time.
    """
    blocks = {name: int(name.split(".")[1]) for name in weights if name.startswith("blocks.")}
    more = len(network.blocks) - max(blocks.values(), default=-1) - 1
    if more > 0:
        moved = {name: weights.pop(name) for name in blocks}
        for name, values in moved.items():
            weights[name.replace(f"blocks.{blocks[name]}.", f"blocks.{blocks[name] + more}.", 1)] = values
    count = network.start.out_features // network.dim
    for name in ("start.weight", "start.bias"):
        if name in weights and len(weights[name]) % network.dim == 0:
            frames = weights[name].unflatten(0, (-1, network.dim))  # (frames, dim, …)
            weights[name] = _in_time(frames.flatten(1), count, more).view(count, *frames.shape[1:]).flatten(0, 1)


def _in_time(frames: Tensor, count: int, more: int) -> Tensor:
    """Reads so many frames (T, C) off others between which it interpolates; each lasts `more` doublings longer."""
    if more < 0:
        return stretched(frames.t()[None], count)[0].t()
    places = ((torch.arange(count) + 0.5) * 2**more - 0.5).clamp(0, len(frames) - 1)
    before = places.long()
    share = (places - before)[:, None].to(frames)
    return torch.lerp(frames[before], frames[(before + 1).clamp(max=len(frames) - 1)], share)


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
