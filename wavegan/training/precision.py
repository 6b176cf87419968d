"""Chooses fp32 or bf16 arithmetic by a trial: bf16 must be right, and faster, which on CUDA the GPU itself says.

The weights are always fp32.
"""

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from wavegan.methods.base import Batch, Method
from wavegan.training.trial import run_trial

PRECISIONS = ("fp32", "bf16")
TRIAL_CLIPS = 4
LONG_SECONDS, FAR = 1.0, 10.0  # a first trial that takes longer, and so many times as long as fp32, is not repeated
MOST_DIFFERENCE = 4 * 2.0**-8
"""Bound of a layer's difference between bf16 and fp32, relative to the norm, for factors that bf16 holds exactly.

bf16 has 8 significant bits. The product of two of its numbers has 16, which fp32 holds, and a layer adds products in
fp32; so only the result is rounded, by 2^-8 at most. Four times as much leaves room for sums that are rounded in parts
and for a bias that is added later. Measured over all layers of seven recipes: 0.4 times 2^-8 in the median, 1.2 times
at most. A convolution that is wrong differs by the size of its values.
"""


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Returns a context in which networks compute in this precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def chosen_precision(method: Method, batch: Batch, seed: int) -> tuple[str, str]:
    """Tries both precisions on the device of these clips; returns the better one, and the reason in words.

    Some CPUs multiply bf16 many times faster, others slower, and some versions of torch do it wrong on some CPUs; a
    CPU's name does not show that. Copies of the method run, so its networks stay as they are.
    """
    device = batch.x.device
    if device.type == "cpu":  # on an accelerator, few clips would only measure the launches of kernels
        batch = batch.map(lambda rows: rows[:TRIAL_CLIPS])
    seconds, inputs = {}, {}
    for name in PRECISIONS:
        copied = copy.deepcopy(method)
        hooks = _keep_inputs(copied, inputs)
        try:
            with autocast(name, device):
                seconds[name], _ = run_trial(copied, batch, seed=seed, repetitions=0)
                if seconds[name] < max(LONG_SECONDS, FAR * seconds["fp32"]):
                    seconds[name], _ = run_trial(copied, batch, seed=seed, repetitions=1)
        except (RuntimeError, TypeError) as error:  # an accelerator without bf16, such as an old system's MPS
            if name == "fp32":
                raise
            reason = str(error).strip().partition("\n")[0][:200]
            return "fp32", f"fp32, because bf16 fails on this {device.type} ({reason})"
        for hook in hooks:
            hook.remove()
    if not _is_faster(seconds, device):
        return "fp32", f"fp32 is the faster one on this {device.type}"
    for name, (layer, arguments) in inputs.items():
        exact, computed = (_computed(layer, arguments, precision) for precision in PRECISIONS)
        for part, values in exact.items():
            difference = _difference(computed[part], values)
            if not difference <= MOST_DIFFERENCE:  # nor if it is nan
                return "fp32", (
                    f"fp32, because bf16 computes wrongly on this {device.type}: {part} of {name} differs by "
                    f"{difference:.1%}, and rounding explains {MOST_DIFFERENCE:.1%}; try another version of torch"
                )
    return "bf16", f"bf16 is the faster one on this {device.type}"


def _is_faster(seconds: Mapping[str, float], device: torch.device) -> bool:
    """Says whether bf16 is the faster one; a trial on CUDA would time the launches of kernels, which graphs take away.

    Since Ampere, such a GPU multiplies bf16 at twice the rate of TF32. Older ones only imitate it.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return seconds["bf16"] < seconds["fp32"]


def _keep_inputs(method: Method, inputs: dict[str, tuple[nn.Module, list[Any]]]) -> list[Any]:
    """Keeps, by name, each layer that has weights of its own, with what it is called with, of a few clips.

    Returns the hooks, to be removed.
    """

    def hook_of(name: str) -> Any:
        def keep(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
            inputs[name] = layer, [_rounded(part[:TRIAL_CLIPS]) if _is_array(part) else part for part in arguments]

        return keep

    return [
        layer.register_forward_pre_hook(hook_of(f"{network}.{name}"))
        for network, whole in method.networks.items()
        for name, layer in whole.named_modules()
        if [*layer.parameters(recurse=False)] and not [*layer.children()]
    ]


def _computed(layer: nn.Module, arguments: list[Any], precision: str) -> dict[str, Tensor]:
    """Returns what a layer with rounded weights computes of rounded inputs: its output and its gradients, by name."""
    layer = copy.deepcopy(layer).requires_grad_()
    for weight in layer.parameters():
        weight.data = _rounded(weight.data)
    arguments = [part.clone().requires_grad_() if _is_array(part) else part for part in arguments]
    device = next(layer.parameters()).device
    with autocast(precision, device):
        output = layer(*arguments)
    back = torch.randn(output.shape, generator=torch.Generator().manual_seed(0))
    output.backward(_rounded(back).to(output))
    leaves = {f"the gradient of input {index}": part for index, part in enumerate(arguments) if _is_array(part)}
    leaves |= {f"the gradient of {name}": weight for name, weight in layer.named_parameters()}
    gradients = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    return {"the output": output.detach()} | gradients


def _is_array(part: Any) -> bool:
    return isinstance(part, Tensor) and part.is_floating_point() and part.dim() > 0


def _rounded(values: Tensor) -> Tensor:
    """Returns numbers as bf16 holds them, in fp32."""
    return values.detach().bfloat16().float()


def _difference(values: Tensor, exact: Tensor) -> float:
    """Returns how much values differ, relative to their norm."""
    size = exact.float().norm().item()
    return (values.float() - exact.float()).norm().item() / size if size else values.float().norm().item()
