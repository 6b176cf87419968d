"""The adversarial game: discriminator phases, then one generator phase (Goodfellow et al. 2014)."""

import torch
from torch import Tensor, nn

from wavegan import distributed
from wavegan.methods import first_order
from wavegan.methods.base import Phase, Stats
from wavegan.models import latents
from wavegan.objectives.adversarial import Objective
from wavegan.objectives.penalties import Penalty


class GAN:
    """A generator and a discriminator that learn against each other; a `Method`.

    generator: (N, latent_dim) to clips; discriminator: clips to (N,). The penalty is added
    to the discriminator's loss penalty_weight times; a weight of 0 leaves it out.
    """

    averaged = ("generator",)

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        objective: Objective,
        penalty: Penalty,
        penalty_weight: float,
        discriminator_steps: int,
        latent: str,
        latent_dim: int,
    ):
        self.networks = {"generator": generator, "discriminator": discriminator}
        self.phases = (
            Phase("discriminator", ("discriminator",), self.discriminator_backward, times=discriminator_steps),
            Phase("generator", ("generator",), self.generator_backward),
        )
        self.objective = objective
        self.penalty = penalty
        self.penalty_weight = penalty_weight
        self.latent = latent
        self.latent_dim = latent_dim
        self.passes: first_order.Passes | None = None

    def compile(self, backend: str) -> None:
        """Compiles both networks and, where the first-order form is used, its passes."""
        self.passes = first_order.compiled(backend)
        for network in self.networks.values():
            # PhaseShuffle draws inside: the same numbers as without a compiler, so that a run stays the same run.
            network.compile(
                backend=backend, dynamic=False, options={"fallback_random": True} if backend == "inductor" else None
            )

    def discriminator_backward(self, real: Tensor) -> Stats:
        """Gradients of the discriminator's loss; the generator only supplies fakes, without a graph.

        The first-order form where the discriminator is piecewise linear, so can be taken apart into stages.
        """
        with torch.no_grad():
            fake = self._fake(real)
        stages = getattr(self.networks["discriminator"], "stages", None)
        if stages is None:
            return self.plain_discriminator_backward(real, fake)
        return first_order.discriminator_backward(
            stages, real, fake, self.objective, self.penalty, self.penalty_weight, self.passes
        )

    def plain_discriminator_backward(self, real: Tensor, fake: Tensor) -> Stats:
        """The same gradients by autograd alone, for any discriminator: what the first-order form must equal."""
        real_scores, fake_scores = self._judge(real), self._judge(fake)
        loss = self.objective.discriminator(real_scores, fake_scores)
        stats = {"wasserstein": real_scores.detach().mean() - fake_scores.detach().mean()}
        if self.penalty_weight:
            penalty = self.penalty(self._judge, real, fake)
            stats["penalty"] = penalty.detach()
            loss = loss + self.penalty_weight * penalty
        loss.backward()
        return stats | {"loss": loss.detach()}

    def generator_backward(self, real: Tensor) -> Stats:
        """Gradients of the generator's loss, the discriminator standing still; of `real` only N counts."""
        loss = self.objective.generator(self._judge(self._fake(real)))
        loss.backward()
        return {"loss": loss.detach()}

    def _fake(self, real: Tensor) -> Tensor:
        z = distributed.own_rows(
            lambda rows: latents.draw(self.latent, rows, self.latent_dim, device=real.device), len(real)
        )
        return self.networks["generator"](z).to(real.dtype)

    def _judge(self, clips: Tensor) -> Tensor:
        return self.networks["discriminator"](clips)
