"""A discriminator with what it learns by: the side of the game that is the same whoever makes the fakes."""

from functools import partial

import torch
from torch import Tensor, nn

from wavegan import distributed
from wavegan.methods import first_order
from wavegan.methods.base import Stats
from wavegan.objectives.adversarial import Objective
from wavegan.objectives.penalties import Penalty


class Adversary:
    """A discriminator, clips (and labels) to (N,), its objective, and what keeps it from running away.

    penalty: added to its loss penalty_weight times; None or a weight of 0 leaves it out. weight_clip: after each
    update every weight is cut to ± this (Arjovsky et al. 2017, algorithm 1). instance_noise: standard deviation of
    noise on all that it sees (Sønderby et al. 2017, section 3.2), falling to zero over instance_noise_steps, or staying
    where these are 0.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        *,
        objective: Objective,
        penalty: Penalty | None = None,
        penalty_weight: float = 0.0,
        weight_clip: float | None = None,
        instance_noise: float = 0.0,
        instance_noise_steps: int = 0,
    ):
        self.discriminator = discriminator
        self.objective = objective
        self.penalty = penalty if penalty_weight else None
        self.penalty_weight = penalty_weight
        self.weight_clip = weight_clip
        self.instance_noise = instance_noise
        self.instance_noise_steps = instance_noise_steps
        self.noise = torch.tensor(float(instance_noise), device=next(discriminator.parameters()).device)
        self.passes: first_order.Passes | None = None

    def compile(self, backend: str) -> None:
        """Compiles the discriminator and, where the first-order form is used, its passes."""
        self.passes = first_order.compiled(backend)
        compile_network(self.discriminator, backend)

    def advance(self, step: int) -> None:
        """Sets the noise of a step."""
        if self.instance_noise and self.instance_noise_steps:
            self.noise.fill_(self.instance_noise * max(0.0, 1 - step / self.instance_noise_steps))

    @property
    def remark(self) -> str:
        """Why its penalty takes longer than it might; empty where it does not."""
        if not self.penalty or getattr(self.discriminator, "stages", None) is not None:
            return ""
        return "the discriminator is not piecewise linear, so its penalty takes a double backward, which is slower"

    def backward(self, real: Tensor, fake: Tensor, labels: Tensor | None = None) -> Stats:
        """Leaves the gradients of the discriminator's loss; real and fake are constants with the same labels.

        The first-order form where the discriminator is piecewise linear, so can be taken apart into stages.
        """
        stages = getattr(self.discriminator, "stages", None)
        if stages is None:
            return self.plain_backward(real, fake, labels)
        return first_order.discriminator_backward(
            stages,
            self._noisy(real),
            self._noisy(fake),
            self.objective,
            self.penalty,
            self.penalty_weight,
            labels=labels,
            passes=self.passes,
        )

    def plain_backward(self, real: Tensor, fake: Tensor, labels: Tensor | None = None) -> Stats:
        """The same gradients by autograd alone, for any discriminator: what the first-order form must equal."""
        real, fake = self._noisy(real), self._noisy(fake)
        real_scores, fake_scores = self._judge(real, labels), self._judge(fake, labels)
        loss = self.objective.discriminator(real_scores, fake_scores)
        stats = {"wasserstein": real_scores.detach().mean() - fake_scores.detach().mean()}
        if self.penalty:
            penalty = self.penalty(partial(self._judge, labels=labels), real, fake)
            stats["penalty"] = penalty.detach()
            loss = loss + self.penalty_weight * penalty
        loss.backward()
        return stats | {"loss": loss.detach()}

    def generator_loss(self, fake: Tensor, real: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the maker of `fake` is to lower; of `real` only a paired objective takes notice."""
        scores = self._judge(self._noisy(fake), labels)
        if not self.objective.is_paired:
            return self.objective.generator(scores)
        with torch.no_grad():  # the discriminator stands still and so do the real clips
            real_scores = self._judge(self._noisy(real), labels)
        return self.objective.generator(scores, real_scores)

    def clip_weights(self) -> None:
        """Cuts every weight to ± weight_clip."""
        assert self.weight_clip is not None, "only an adversary with a bound clips"
        with torch.no_grad():
            for parameter in self.discriminator.parameters():
                parameter.clamp_(-self.weight_clip, self.weight_clip)

    def _judge(self, clips: Tensor, labels: Tensor | None) -> Tensor:
        if labels is None:
            return self.discriminator(clips)
        return self.discriminator(clips, labels.repeat(len(clips) // len(labels), 1))  # a penalty may look at both

    def _noisy(self, clips: Tensor) -> Tensor:
        if not self.instance_noise:
            return clips
        drawn = distributed.own_rows(lambda rows: clips.new_empty(rows, *clips.shape[1:]).normal_(), len(clips))
        return clips + self.noise.to(clips.dtype) * drawn


def compile_network(network: nn.Module, backend: str) -> None:
    """Compiles a network in place.

    PhaseShuffle draws inside: the same numbers as without a compiler, so that a run stays the same run.
    """
    network.compile(
        backend=backend, dynamic=False, options={"fallback_random": True} if backend == "inductor" else None
    )
