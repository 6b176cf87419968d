"""Defines the variational autoencoder, from clips to latents and back (Kingma & Welling 2014, arXiv:1312.6114)."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from wavegan.dsp.representation import Representation
from wavegan.methods.base import Batch, Phase, Stats
from wavegan.models.inputs import Input, draw_own
from wavegan.objectives.reconstruction import kl_divergence

LOG_VARIANCE_LIMIT = 10.0


class VAE:
    """Trains an encoder and a generator together to copy clips through a small latent; a `Method`.

    encoder: maps clips as the generator's `output` encodes them to (N, 2 · latent_dim), means and then log variances,
    see `posterior`. generator: maps latents (N, latent_dim) and labels to encoded clips. reconstruction(x, copy) gives
    a scalar.

    The loss is the reconstruction, a mean over a clip's numbers, plus kl_weight times the divergence from the standard
    normal prior, a mean over the latent's numbers, in nats. So neither term grows with the clip or the latent, and one
    weight means the same for any length: with 0.01, a nat per latent number must gain 0.01 of reconstruction. If
    the reconstruction is l1 and kl_weight = scale · latent_dim / numbers in a clip, the lowest loss is the highest
    evidence lower bound for Laplace noise of this scale. The weight rises linearly from 0 at step 0 to kl_weight at
    step kl_warmup_steps. Otherwise the latent could become useless before the generator has learnt to read it
    (Bowman et al. 2016).

    Both networks are averaged, so that the averaged ones fit each other.
    """

    averaged = ("encoder", "generator")
    form = None

    def __init__(
        self,
        encoder: nn.Module,
        generator: nn.Module,
        *,
        reconstruction: Callable[[Tensor, Tensor], Tensor],
        kl_weight: float,
        kl_warmup_steps: int,
    ):
        self.networks = {"encoder": encoder, "generator": generator}
        self.phases = (Phase("vae", ("encoder", "generator"), self.backward),)
        self.reconstruction = reconstruction
        self.final_kl_weight = kl_weight
        self.kl_warmup_steps = kl_warmup_steps
        self.inputs: tuple[Input, ...] = generator.inputs  # type: ignore[assignment]
        self.output: Representation = generator.output  # type: ignore[assignment]
        # It is a tensor, so that a recorded graph reads its new value at each replay.
        self.kl_weight = torch.zeros((), device=next(generator.parameters()).device)
        self.advance(0)

    def advance(self, step: int) -> None:
        """Sets the divergence's weight for this step."""
        share = min(1.0, step / self.kl_warmup_steps) if self.kl_warmup_steps else 1.0
        self.kl_weight.fill_(share * self.final_kl_weight)

    def state(self) -> dict[str, Any]:
        """Returns nothing, since its only state are its networks."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Does nothing, since `state` is empty."""

    def backward(self, batch: Batch) -> Stats:
        """Leaves the gradients of both networks; "kl" is in nats per latent number, not yet weighted."""
        x = self.output.encode(batch.x)
        mean, log_variance = posterior(self.networks["encoder"], x)
        latent, *noise_inputs = self.inputs
        error = draw_own(Input("normal", latent.shape), x)  # the posterior is normal, whatever latents generation draws
        noise = [draw_own(declared, x) for declared in noise_inputs]
        z = mean + (log_variance / 2).exp() * error.to(x.dtype)
        reconstruction = self.reconstruction(x, self.networks["generator"](z, batch.labels, *noise).to(x.dtype))
        kl = kl_divergence(mean, log_variance) / mean.shape[1]
        loss = reconstruction + self.kl_weight * kl
        loss.backward()
        return {"loss": loss.detach(), "reconstruction": reconstruction.detach(), "kl": kl.detach()}


def posterior(encoder: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns means and log variances, both (N, latent_dim), of the latents that clips may come from; in the type of x.

    The encoder's output s for a log variance becomes s / (1 + |s| / 10). This is near s if s is small and never beyond
    ±10, so its exponential is finite. Unlike with a clamp, the slope is nowhere zero, so a value that is far too large
    still gets a gradient.
    """
    mean, raw_log_variance = encoder(x).to(x.dtype).chunk(2, dim=1)
    return mean, raw_log_variance / (1 + raw_log_variance.abs() / LOG_VARIANCE_LIMIT)
