"""Defines unpaired translation between two sources of sound (Zhu et al. 2017, arXiv:1703.10593)."""

import torch
from torch import Tensor, nn

from wavegan.methods import adversary as game
from wavegan.methods.adversary import Adversaries
from wavegan.methods.base import Batch, Phase, Stats
from wavegan.objectives.reconstruction import l1


class Translation(game.AdversarialMethod):
    """Trains two translators, from source A to B and back, each against the discriminators of its target; a `Method`.

    A batch's x holds clips of A, its `other` clips of B. a_to_b, b_to_a: map clips to clips of the same shape.
    adversaries_a judge clips of A and the output of b_to_a; adversaries_b judge clips of B and the output of a_to_b.
    The loss of the translators is the sum of three terms, each added up over the two directions: the generator losses
    of the adversaries; cycle_weight times the mean absolute difference between clips and their translation to the
    other source and back (eq. 2); identity_weight times the mean absolute difference between clips of a translator's
    target and their translation by it (section 5.2). An identity_weight of 0 leaves the last one out.
    """

    averaged = ("a_to_b", "b_to_a")

    def __init__(
        self,
        a_to_b: nn.Module,
        b_to_a: nn.Module,
        adversaries_a: Adversaries,
        adversaries_b: Adversaries,
        *,
        cycle_weight: float,
        identity_weight: float,
        discriminator_steps: int,
    ):
        self.of_side = {"a": adversaries_a, "b": adversaries_b}
        self.adversaries = {
            f"{side}/{name}": adversary
            for side, adversaries in self.of_side.items()
            for name, adversary in adversaries.items()
        }
        discriminators = {
            f"discriminators_{side}.{name}": adversary.discriminator
            for side, adversaries in self.of_side.items()
            for name, adversary in adversaries.items()
        }
        self.networks = {"a_to_b": a_to_b, "b_to_a": b_to_a, **discriminators}
        self.phases = (
            Phase(
                "discriminators",
                tuple(discriminators),
                self.discriminators_backward,
                times=discriminator_steps,
                after_update=self.after_update,
            ),
            Phase("generators", ("a_to_b", "b_to_a"), self.generators_backward),
        )
        self.cycle_weight = cycle_weight
        self.identity_weight = identity_weight

    def discriminators_backward(self, batch: Batch) -> Stats:
        """Leaves the gradients of all discriminators; returns a/NAME/loss, b/NAME/loss, …. The fakes have no graph."""
        a, b = _both(batch)
        with torch.no_grad():
            fakes = {"a": self._to_a(b), "b": self._to_b(a)}
        stats = {}
        for side, real in (("a", a), ("b", b)):
            of_side = game.discriminators_backward(self.of_side[side], real, fakes[side])
            stats |= {f"{side}/{stat}": value for stat, value in of_side.items()}
        return stats

    def generators_backward(self, batch: Batch) -> Stats:
        """Leaves the gradients of both translators; the discriminators do not learn."""
        a, b = _both(batch)
        fake_a, fake_b = self._to_a(b), self._to_b(a)
        terms = {
            "adversarial": self._adversarial("a", fake_a, a) + self._adversarial("b", fake_b, b),
            "cycle": l1(a, self._to_a(fake_b)) + l1(b, self._to_b(fake_a)),
        }
        loss = terms["adversarial"] + self.cycle_weight * terms["cycle"]
        if self.identity_weight:
            terms["identity"] = l1(a, self._to_a(a)) + l1(b, self._to_b(b))
            loss = loss + self.identity_weight * terms["identity"]
        loss.backward()
        return {name: value.detach() for name, value in (terms | {"loss": loss}).items()}

    def _to_a(self, clips: Tensor) -> Tensor:
        return self.networks["b_to_a"](clips).to(clips.dtype)

    def _to_b(self, clips: Tensor) -> Tensor:
        return self.networks["a_to_b"](clips).to(clips.dtype)

    def _adversarial(self, side: str, fake: Tensor, real: Tensor) -> Tensor:
        return torch.stack(list(game.generator_losses(self.of_side[side], fake, real).values())).sum()


def _both(batch: Batch) -> tuple[Tensor, Tensor]:
    assert batch.other is not None, "a translation learns from clips of two sources"
    return batch.x, batch.other
