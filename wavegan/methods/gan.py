"""The adversarial game: discriminator phases, then one generator phase (Goodfellow et al. 2014)."""

import torch
from torch import Tensor, nn

from wavegan import distributed
from wavegan.methods.adversary import Adversary, compile_network
from wavegan.methods.base import Batch, Phase, Stats
from wavegan.models import latents


class GAN:
    """A generator and a discriminator that learn against each other; a `Method`.

    generator: latents (N, latent_dim), and labels where a batch has them, to clips. A fake clip is made for the label
    of its real partner.
    """

    averaged = ("generator",)

    def __init__(
        self, generator: nn.Module, adversary: Adversary, *, discriminator_steps: int, latent: str, latent_dim: int
    ):
        self.networks = {"generator": generator, "discriminator": adversary.discriminator}
        self.phases = (
            Phase(
                "discriminator",
                ("discriminator",),
                self.discriminator_backward,
                times=discriminator_steps,
                after_update=adversary.clip_weights if adversary.weight_clip else None,
            ),
            Phase("generator", ("generator",), self.generator_backward),
        )
        self.adversaries = {"discriminator": adversary}
        self.adversary = adversary
        self.latent = latent
        self.latent_dim = latent_dim

    def compile(self, backend: str) -> None:
        """Compiles both networks and, where the first-order form is used, its passes."""
        compile_network(self.networks["generator"], backend)
        self.adversary.compile(backend)

    def advance(self, step: int) -> None:
        """Sets what the discriminator is shown in a step."""
        self.adversary.advance(step)

    def discriminator_backward(self, batch: Batch) -> Stats:
        """Gradients of the discriminator's loss; the generator only supplies fakes, without a graph."""
        with torch.no_grad():
            fake = self._fake(batch)
        return self.adversary.backward(batch.x, fake, batch.labels)

    def generator_backward(self, batch: Batch) -> Stats:
        """Gradients of the generator's loss, the discriminator standing still."""
        loss = self.adversary.generator_loss(self._fake(batch), batch.x, batch.labels)
        loss.backward()
        return {"loss": loss.detach()}

    def _fake(self, batch: Batch) -> Tensor:
        real = batch.x
        z = distributed.own_rows(
            lambda rows: latents.draw(self.latent, rows, self.latent_dim, device=real.device), len(real)
        )
        made = self.networks["generator"](z) if batch.labels is None else self.networks["generator"](z, batch.labels)
        return made.to(real.dtype)
