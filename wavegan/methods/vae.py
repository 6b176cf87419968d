"""The variational autoencoder: clips to latents and back (Kingma & Welling 2014, arXiv:1312.6114)."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from wavegan.dsp.representation import Representation
from wavegan.methods.adversary import compile_network
from wavegan.methods.base import Batch, Phase, Stats
from wavegan.models.inputs import Input, draw_own
from wavegan.objectives.reconstruction import kl_divergence

LOG_VARIANCE_LIMIT = 10.0


class VAE:
    """An encoder and a generator that learn together to copy clips through a few numbers; a `Method`.

    encoder: what the generator's `output` makes of clips to (N, 2 · latent_dim), means and then log variances, see
    `posterior`; generator: latents (N, latent_dim) and labels to the same. reconstruction(x, copy) gives a scalar.

    What is lowered is the reconstruction, a mean over a clip's numbers, plus kl_weight times the divergence from the
    standard normal prior, a mean over the latent's numbers, in nats. So neither term grows with the clip or the
    latent, and one weight means the same for any length: 0.01 asks that a nat per latent number gain 0.01 of
    reconstruction. With l1 the evidence's lower bound, for Laplace noise of that scale, is
    kl_weight = scale · latent_dim / numbers in a clip. The weight rises from 0 at step 0 evenly to kl_weight at step
    kl_warmup_steps, lest the latent is given up before the generator has learnt to read it (Bowman et al. 2016).

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
        # A tensor, so that a recorded graph reads it afresh at each replay.
        self.kl_weight = torch.zeros((), device=next(generator.parameters()).device)
        self.advance(0)

    def compile(self, backend: str) -> None:
        """Compiles both networks."""
        for network in self.networks.values():
            compile_network(network, backend)

    def advance(self, step: int) -> None:
        """Sets the divergence's weight for this step."""
        share = min(1.0, step / self.kl_warmup_steps) if self.kl_warmup_steps else 1.0
        self.kl_weight.fill_(share * self.final_kl_weight)

    def state(self) -> dict[str, Any]:
        """Nothing: all that it remembers are its networks."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing is to be restored."""

    def backward(self, batch: Batch) -> Stats:
        """Gradients of both networks; "kl" is in nats per latent number, not yet weighted."""
        x = self.output.encode(batch.x)
        mean, log_variance = posterior(self.networks["encoder"], x)
        latent, *others = self.inputs
        error = draw_own(Input("normal", latent.shape), x)  # the posterior's, whatever latents generation draws
        noise = [draw_own(declared, x) for declared in others]
        z = mean + (log_variance / 2).exp() * error.to(x.dtype)
        reconstruction = self.reconstruction(x, self.networks["generator"](z, batch.labels, *noise).to(x.dtype))
        kl = kl_divergence(mean, log_variance) / mean.shape[1]
        loss = reconstruction + self.kl_weight * kl
        loss.backward()
        return {"loss": loss.detach(), "reconstruction": reconstruction.detach(), "kl": kl.detach()}


def posterior(encoder: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Means and log variances, both (N, latent_dim), of the latents that clips may come from; in the type of x.

    What the encoder says of a log variance, s, is taken as s / (1 + |s| / 10): near s where s is small, never beyond
    ±10, so its exponential is finite. Unlike a clamp's, the slope is nowhere zero: a number gone astray finds back.
    """
    mean, said = encoder(x).to(x.dtype).chunk(2, dim=1)
    return mean, said / (1 + said.abs() / LOG_VARIANCE_LIMIT)
