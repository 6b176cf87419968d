"""Defines adversarial training: updates of the discriminators, then one of the generator (Goodfellow et al. 2014)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wavegan.dsp.representation import Representation
from wavegan.methods import adversary as game
from wavegan.methods.adversary import Adversaries
from wavegan.methods.base import Batch, Phase, Stats
from wavegan.methods.overfitting import overfitting
from wavegan.models.evaluation_mode import evaluation_mode
from wavegan.models.inputs import Input, draw_own


class GAN(game.AdversarialMethod):
    """Trains a generator and named discriminators against each other; a `Method`.

    generator: maps its declared inputs, and labels if a batch has them, to a clip as its `output` encodes it. A fake
    clip has the label of its real partner. All discriminators learn from the same fakes in one phase. Their statistics
    are discriminators/NAME/loss and so on, their networks discriminators.NAME. reuses_fakes: the generator learns from
    the fakes of the discriminators' last update, so that one forward pass serves both. This needs discriminator_steps
    of 1.
    """

    averaged = ("generator",)

    def __init__(
        self, generator: nn.Module, adversaries: Adversaries, *, discriminator_steps: int, reuses_fakes: bool = False
    ):
        assert discriminator_steps == 1 or not reuses_fakes, "the fakes of one update serve the generator's"
        discriminators = {f"discriminators.{name}": adversary.discriminator for name, adversary in adversaries.items()}
        self.networks = {"generator": generator, **discriminators}
        self.phases = (
            Phase(
                "discriminators",
                tuple(discriminators),
                self.discriminators_backward,
                times=discriminator_steps,
                after_update=self.after_update,
                random_stream="discriminator",  # as when there was only one, so that old runs can be repeated
            ),
            Phase("generator", ("generator",), self.generator_backward, keeps_batch=reuses_fakes),
        )
        self.adversaries = adversaries
        self.reuses_fakes = reuses_fakes
        self.inputs: tuple[Input, ...] = generator.inputs  # type: ignore[assignment]
        self.output: Representation = generator.output  # type: ignore[assignment]

    def discriminators_backward(self, batch: Batch) -> Stats:
        """Leaves the gradients of the discriminators' losses; the generator's fakes have a graph if they are reused."""
        if self.reuses_fakes:
            self.networks["generator"].requires_grad_(True)
        with torch.no_grad():
            real = self.output.encode(batch.x)
        with torch.set_grad_enabled(self.reuses_fakes):
            fake = self._fake(batch)
        return game.discriminators_backward(self.adversaries, real, fake, batch.labels)

    def generator_backward(self, batch: Batch) -> Stats:
        """Leaves the gradients of the generator's loss, a sum over its adversaries; no discriminator learns."""
        if self.reuses_fakes:
            losses = game.kept_generator_losses(self.adversaries, batch.labels)
        else:
            fake = self._fake(batch)
            with torch.no_grad():
                real = self.output.encode(batch.x)
            losses = game.generator_losses(self.adversaries, fake, real, batch.labels)
        loss = torch.stack(list(losses.values())).sum()
        loss.backward()
        parts = {f"{name}/loss": value.detach() for name, value in losses.items()} if len(losses) > 1 else {}
        return {**parts, "loss": loss.detach()}

    @torch.no_grad()
    def overfitting(self, training: Sequence[Batch], held_out: Sequence[Batch]) -> dict[str, float]:
        """Measures the `overfitting` of each discriminator with as many generated clips, of the labels held out."""
        with evaluation_mode(self.networks["generator"]):
            generated = [Batch(self._fake(batch), batch.labels) for batch in held_out]
        heard, unheard = (
            [batch._replace(x=self.output.encode(batch.x)) for batch in part] for part in (training, held_out)
        )
        return overfitting(self.adversaries, heard, unheard, generated)

    def _fake(self, batch: Batch) -> Tensor:
        z, *noise = (draw_own(declared, batch.x) for declared in self.inputs)
        return self.networks["generator"](z, batch.labels, *noise).to(batch.x.dtype)
