"""Trains one or several discriminators and computes their losses for a generator, for any source of fakes."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from wavegan.audio.augmentation import Augmentation
from wavegan.methods import first_order
from wavegan.methods.base import Judged, Stats
from wavegan.objectives.adversarial import Objective
from wavegan.objectives.penalties import Penalty


class Adversary:
    """Holds a discriminator, its view of a clip, its objective and its regularisation.

    discriminator: maps the view of clips (and labels) to scores (N,). view: maps clips to the discriminator's input and
    is differentiable; None passes the clips on. augment: changes clips before the view, real and generated ones alike.
    penalty: added to the loss penalty_weight times; None or a weight of 0 leaves it out. Its points are inputs of the
    discriminator, so views of clips. penalty_every: only every so many steps have the penalty, with a weight so many
    times larger (lazy regularisation, Karras et al. 2020, arXiv:1912.04958, section 3.1). penalty_share: gives the
    factor of its weight in a step; None keeps the full weight. weight: factor of its part in the generator's loss.
    weight_clip: after each update every weight is limited to ± this (Arjovsky et al. 2017, algorithm 1).
    """

    def __init__(
        self,
        discriminator: nn.Module,
        *,
        objective: Objective,
        penalty: Penalty | None = None,
        penalty_weight: float = 0.0,
        penalty_every: int = 1,
        penalty_share: Callable[[int], float] | None = None,
        weight: float = 1.0,
        weight_clip: float | None = None,
        view: nn.Module | None = None,
        augment: Augmentation | None = None,
    ):
        self.discriminator = discriminator
        self.objective = objective
        self.penalty = penalty if penalty_weight else None
        self.penalty_weight = penalty_weight * penalty_every
        self.penalty_every = penalty_every
        self.penalty_share = penalty_share
        # It is a tensor if it changes, so that a recorded graph reads its new value at each replay.
        device = next(discriminator.parameters()).device
        self.weight_now = (
            torch.tensor(float(self.penalty_weight), device=device) if penalty_share else self.penalty_weight
        )
        self.is_penalty_due = True
        self.weight = weight
        self.weight_clip = weight_clip
        self.view = view
        self.augment = augment
        self.kept: Kept | None = None

    def advance(self, step: int) -> None:
        """Sets the augmentation and the penalty of a step."""
        self.is_penalty_due = step % self.penalty_every == 0
        if self.penalty_share and isinstance(self.weight_now, Tensor):
            self.weight_now.fill_(self.penalty_weight * self.penalty_share(step))
        if self.augment:
            self.augment.advance(step)

    @property
    def due_penalty(self) -> Penalty | None:
        """Returns the penalty if this step has one, else None."""
        return self.penalty if self.is_penalty_due else None

    def remark(self, name: str) -> str:
        """Says why the penalty of a discriminator of this name is slower than it could be; empty if it is not."""
        if not self.penalty or getattr(self.discriminator, "stages", None) is not None:
            return ""
        return (
            f"the discriminator {name} is not piecewise linear, so its penalty takes a double backward, which is slower"
        )

    def see(self, clips: Tensor) -> Tensor:
        """Computes the discriminator's input from clips: augmented, then viewed."""
        if self.augment:
            clips = self.augment(clips)
        return self.view(clips) if self.view else clips

    def backward(self, real: Tensor, fake: Tensor, labels: Tensor | None = None) -> Stats:
        """Leaves the gradients of the discriminator's loss; real and fake are constants with the same labels.

        It uses the first-order form if the discriminator is piecewise linear, so has stages. A fake with a graph is a
        constant here too; its view is kept with that graph for `kept_generator_loss`.
        """
        stages = getattr(self.discriminator, "stages", None)
        if stages is None:
            return self.plain_backward(real, fake, labels)
        seen, seen_fake = self._seen(real, fake)
        judged = first_order.discriminator_backward(
            stages,
            seen,
            seen_fake.detach(),
            self.objective,
            self.due_penalty,
            self.weight_now,
            labels=labels,
        )
        return self._settle(judged, seen_fake)

    def plain_backward(self, real: Tensor, fake: Tensor, labels: Tensor | None = None) -> Stats:
        """Leaves the same gradients by autograd alone, for any discriminator; the first-order form must equal them."""
        real, seen_fake = self._seen(real, fake)
        fake = seen_fake.detach()
        real_scores, fake_scores, value = self._scores_and_penalty(real, fake, labels)
        loss = self.objective.discriminator(real_scores, fake_scores)
        stats = {"wasserstein": real_scores.detach().mean() - fake_scores.detach().mean()}
        if value is not None:
            stats["penalty"] = value.detach()
            loss = loss + self.weight_now * value
        loss.backward()
        stats["loss"] = loss.detach()
        return self._settle(Judged(stats, real_scores.detach(), fake_scores.detach()), seen_fake)

    def generator_loss(self, fake: Tensor, real: Tensor, labels: Tensor | None = None) -> Tensor:
        """Computes the loss of the generator of `fake`; only a paired objective uses `real`."""
        scores, real_scores = self._judge(self.see(fake), labels), None
        if self.objective.is_paired:
            with torch.no_grad():  # neither the discriminator nor the real clips learn here
                real_scores = self._judge(self.see(real), labels)
        return self.objective.of_generator(scores, real_scores)

    def kept_generator_loss(self, labels: Tensor | None = None) -> Tensor:
        """Computes the generator's loss for the fakes of the last `backward`, by the discriminator as it is now.

        A paired objective compares them with the real clips' scores from before the discriminator's update.
        """
        assert self.kept, "the fakes of the last update had no graph, or their loss was taken already"
        (fake, real_scores), self.kept = self.kept, None
        return self.objective.of_generator(self._judge(fake, labels), real_scores)

    def after_update(self, stats: Stats) -> None:
        """Limits weights and adapts the augmentation after an update; stats: its own, means over all processes."""
        if self.weight_clip:
            with torch.no_grad():
                for parameter in self.discriminator.parameters():
                    parameter.clamp_(-self.weight_clip, self.weight_clip)
        if self.augment:
            self.augment.after_update(stats)

    def state(self) -> dict[str, Any]:
        """Returns the state of its view and of its augmentation."""
        parts = {"view": self.view, "augment": self.augment}
        return {name: part.state_dict() if part else {} for name, part in parts.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restores what `state` returned."""
        for name, part in (("view", self.view), ("augment", self.augment)):
            if part:
                part.load_state_dict(state[name])

    def _seen(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the discriminator's inputs from both; that from the fake has a graph if the fake has one."""
        with torch.no_grad():
            real = self.see(real)
        with torch.set_grad_enabled(fake.requires_grad):
            return real, self.see(fake)

    def _scores_and_penalty(
        self, real: Tensor, fake: Tensor, labels: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns the scores of both, in one pass if the discriminator `joins_batches`, and the penalty that is due."""
        penalty, judge = self.due_penalty, partial(self._judge, labels=labels)
        joins = getattr(self.discriminator, "joins_batches", False)
        if joins and penalty and penalty.select_rows:
            both = torch.cat([real, fake]).requires_grad_()
            scores = judge(both)
            (gradient,) = torch.autograd.grad(penalty.select_rows(scores).sum(), both, create_graph=True)
            real_scores, fake_scores = scores.chunk(2)
            return real_scores, fake_scores, penalty.value(penalty.select_rows(gradient))
        real_scores, fake_scores = judge(torch.cat([real, fake])).chunk(2) if joins else (judge(real), judge(fake))
        return real_scores, fake_scores, penalty(judge, real, fake) if penalty else None

    def _settle(self, judged: Judged, seen_fake: Tensor) -> Stats:
        """Keeps what the generator's update can reuse, and returns the statistics."""
        self.kept = Kept(seen_fake, judged.real) if seen_fake.requires_grad else None
        return judged.stats | (self.augment.statistics(judged.real, judged.fake) if self.augment else {})

    def scores(self, clips: Tensor, labels: Tensor | None = None) -> Tensor:
        """Computes the scores (N,) of clips as they are, without augmentation."""
        return self._judge(self.view(clips) if self.view else clips, labels)

    def _judge(self, seen: Tensor, labels: Tensor | None) -> Tensor:
        if labels is None:
            return self.discriminator(seen)
        return self.discriminator(seen, labels.repeat(len(seen) // len(labels), 1))  # a penalty may score both at once


class Kept(NamedTuple):
    """Holds a discriminator's view of the fakes, with their graph, and its scores of their real partners."""

    fake: Tensor
    real_scores: Tensor


Adversaries = Mapping[str, Adversary]
"""Maps names to adversaries; the names of their statistics begin with these, as in mel/loss."""


def discriminators_backward(
    adversaries: Adversaries, real: Tensor, fake: Tensor, labels: Tensor | None = None
) -> Stats:
    """Leaves the gradients of every discriminator's loss, all on the same clips."""
    stats = {}
    for name, adversary in adversaries.items():
        stats |= {f"{name}/{stat}": value for stat, value in adversary.backward(real, fake, labels).items()}
    return stats


def generator_losses(adversaries: Adversaries, fake: Tensor, real: Tensor, labels: Tensor | None = None) -> Stats:
    """Computes each adversary's loss for the generator, times its weight, with a graph."""
    return {
        name: adversary.weight * adversary.generator_loss(fake, real, labels) for name, adversary in adversaries.items()
    }


def kept_generator_losses(adversaries: Adversaries, labels: Tensor | None = None) -> Stats:
    """Computes the same losses for the fakes that the discriminators have just learned from."""
    return {name: adversary.weight * adversary.kept_generator_loss(labels) for name, adversary in adversaries.items()}


class AdversarialMethod:
    """Implements the parts of a `Method` that treat all adversaries alike; `adversaries` holds them by name."""

    adversaries: Adversaries

    @property
    def form(self) -> tuple[bool, ...]:
        """Says for each adversary if this step has its penalty."""
        return tuple(adversary.due_penalty is not None for adversary in self.adversaries.values())

    def advance(self, step: int) -> None:
        """Sets the augmentations and the penalties of a step."""
        for adversary in self.adversaries.values():
            adversary.advance(step)

    def state(self) -> dict[str, Any]:
        """Returns the states of the adversaries, by name."""
        return {name: adversary.state() for name, adversary in self.adversaries.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restores what `state` returned."""
        for name, adversary in self.adversaries.items():
            adversary.restore(state[name])

    def after_update(self, stats: Stats) -> None:
        """Hands every adversary its own statistics after an update of the discriminators."""
        for name, adversary in self.adversaries.items():
            own = {stat.removeprefix(f"{name}/"): value for stat, value in stats.items() if stat.startswith(f"{name}/")}
            adversary.after_update(own)
