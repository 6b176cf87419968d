"""Judges whether a training is healthy, by its log lines and its clips; reads and writes no file."""

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wavegan.dsp.stft import power_spectrum

WARN, ROLLBACK = "warn", "rollback"  # the reactions to a collapse
GRACE_STEPS = 500  # an untrained network is quiet, its clips are alike, and its losses start near 0
GRACE_LINES = 20  # with fewer lines a median says little
RECENT_LINES = 5
KEPT_LINES = 128
PATIENCE_STEPS = 1500  # after so many steps, even what has never been healthy raises an alarm
SILENT_SPAN = 0.002  # from the smallest to the largest sample; ±0.001 is -60 dBFS
ALIKE_DECIBELS = 1.5
RANGE_DECIBELS = 60.0
FRAME_SAMPLES = 256
MOST_SHARE = 0.5
LOUD_PEAK = 2.0  # 6 dB over full scale; a file clips it
MOST_LOUD_SHARE = 0.1
MOST_OVERFITTING = 0.6
MORE_SOUND = "add sound, or try a new run with data.vary_speed=0.15 (for voices) or method.augment.name=adaptive"
CALMER = "try a lower optimizers.*.lr or training.gradient_clip=1"
MORE_VARIED = "try another training.seed, a lower optimizers.generator.lr or more method.discriminator_steps"


class Rule(NamedTuple):
    """Limits a statistic to `factor` times the median of its past sizes; the median counts as at least `least`.

    most: the median counts as at most this, so that a statistic which has been too large from the start is noticed.
    """

    factor: float
    least: float
    remedy: str
    most: float = math.inf


# The past is the whole run. A statistic that grows as a power p of the step, as WGAN's losses drift, stays at 2^p times
# its median; exponential growth exceeds every multiple. A gradient penalty is 1 if the gradient is 0, and about 0.1
# with a healthy critic. So 0.8 means that the penalty no longer limits the gradient, and 80, a gradient of 10, that it
# never has.
RULES = {
    "loss": Rule(50, 1.0, CALMER),
    "wasserstein": Rule(50, 1.0, CALMER),
    "penalty": Rule(8, 0.1, f"{CALMER}, or a higher method.penalty_weight", most=10.0),
}


class Alarm(NamedTuple):
    """Says in a sentence what is wrong. is_collapse: it was healthy before, so going back would help."""

    text: str
    is_collapse: bool = True


@dataclass
class History:
    """Holds the sizes of one statistic: some log lines, evenly spread over the run, and the last few.

    usual_step: the step of the last line within bounds. last_step: the step of the last line.
    """

    kept: list[float] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    stride: int = 1
    lines: int = 0
    usual_step: int = 0
    last_step: int = 0

    def add(self, size: float) -> None:
        """Adds the size of the next line; if too many are kept, drops every second one."""
        if self.lines % self.stride == 0:
            self.kept.append(size)
        if len(self.kept) > KEPT_LINES:
            self.kept, self.stride = self.kept[::2], 2 * self.stride
        self.recent = [*self.recent[1 - RECENT_LINES :], size]
        self.lines += 1


class Watchdog:
    """Compares a training with its own past and raises alarms if it gets worse; `alarms` holds those that last.

    real: clips (N, C, T) of the corpus; the more of these are silent or alike, the more generated clips may be so.
    """

    def __init__(self, real: Tensor | None = None):
        self.alarms: dict[str, Alarm] = {}
        self.histories: dict[str, History] = {}
        self.healthy_steps: dict[str, int] = {}
        self.bounds = {"silent": MOST_SHARE, "alike": MOST_SHARE, "loud": MOST_LOUD_SHARE}
        if real is not None:
            shares = {"silent": silent(real).float().mean().item(), "alike": alike_share(real) or 0.0}
            self.bounds |= {name: share + (1 - share) * MOST_SHARE for name, share in shares.items()}

    @property
    def collapse(self) -> str | None:
        """Returns why the training should go back; None if it need not."""
        return next((alarm.text for alarm in self.alarms.values() if alarm.is_collapse), None)

    @property
    def is_well(self) -> bool:
        """Returns whether one may come back to this state: no collapse, and every statistic was last within bounds."""
        histories = self.histories.values()
        return self.collapse is None and all(history.usual_step == history.last_step for history in histories)

    def look_at_line(self, step: int, means: Mapping[str, float]) -> list[Alarm]:
        """Returns the new alarms of a log line; its statistics have names like "discriminators/mel/loss"."""
        overfitting = [value for name, value in means.items() if name.endswith("/overfitting")]
        raised = self._settle("overfitting", _overfitting_alarm(step, overfitting)) if overfitting else []
        return raised + [
            alarm
            for name, value in means.items()
            for kind, rule in RULES.items()
            if name.rpartition("/")[2] == kind
            for alarm in self._settle(name, self._judge_statistic(step, name, value, rule))
        ]

    @torch.no_grad()
    def look_at_clips(self, step: int, clips: Tensor) -> list[Alarm]:
        """Returns the new alarms that clips (N, C, T) raise; the training made them at this step."""
        clips = clips.detach().float()
        spoilt = int((~clips.isfinite()).flatten(1).any(dim=1).sum())
        text = f"{spoilt} of {len(clips)} clips hold infinite or nan samples at step {step:,}; {CALMER}"
        raised = self._settle("finite", Alarm(text) if spoilt else None)
        if spoilt or step < GRACE_STEPS:
            return raised
        is_silent = silent(clips)
        text = f"clips are silent (all samples within ±{SILENT_SPAN / 2:g} of a constant)"
        raised += self._look_at_share(step, "silent", is_silent.float().mean().item(), text, CALMER)
        text = f"clips exceed {LOUD_PEAK:g} times full scale, and a file clips them"
        loud = (clips.abs().amax(dim=(1, 2)) > LOUD_PEAK).float().mean().item()
        raised += self._look_at_share(step, "loud", loud, text, CALMER)
        alike = alike_share(clips[~is_silent])
        if alike is not None:
            text = f"clips sound like another clip (spectra within {ALIKE_DECIBELS:g} dB)"
            raised += self._look_at_share(step, "alike", alike, text, MORE_VARIED)
        return raised

    def state(self) -> dict[str, Any]:
        """Returns all that it remembers, as plain values."""
        return {
            "histories": {name: asdict(history) for name, history in self.histories.items()},
            "healthy_steps": dict(self.healthy_steps),
            "alarms": {kind: list(alarm) for kind, alarm in self.alarms.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restores what `state` returned."""
        self.histories = {name: History(**_copied(history)) for name, history in state["histories"].items()}
        self.healthy_steps = dict(state["healthy_steps"])
        self.alarms = {kind: Alarm(*alarm) for kind, alarm in state["alarms"].items()}

    def _settle(self, kind: str, alarm: Alarm | None) -> list[Alarm]:
        """Stores an alarm of a kind, or removes it if `alarm` is None; returns it if it is new."""
        if alarm is None:
            self.alarms.pop(kind, None)
            return []
        if kind in self.alarms and self.alarms[kind].is_collapse == alarm.is_collapse:
            return []
        self.alarms[kind] = alarm
        return [alarm]

    def _judge_statistic(self, step: int, name: str, value: float, rule: Rule) -> Alarm | None:
        if not math.isfinite(value):
            return Alarm(f"{name} became {value} by step {step:,}; {rule.remedy}")
        history = self.histories.setdefault(name, History())
        usual = statistics.median(history.kept) if history.kept else 0.0
        bound = rule.factor * min(max(usual, rule.least), rule.most)
        history.add(abs(value))
        history.last_step = step
        if abs(value) <= bound:
            history.usual_step = step
        if step < GRACE_STEPS or history.lines <= GRACE_LINES or statistics.median(history.recent) <= bound:
            return None
        return Alarm(
            f"{name} is {value:.4g} at step {step:,}, above its limit of {bound:.4g}; its median so far is "
            f"{usual:.4g}; it was last within the limit at step {history.usual_step:,}; {rule.remedy}"
        )

    def _look_at_share(self, step: int, kind: str, share: float, what: str, remedy: str) -> list[Alarm]:
        bound = self.bounds[kind]
        if share <= bound:
            self.healthy_steps[kind] = step
            return self._settle(kind, None)
        healthy = self.healthy_steps.get(kind)
        if healthy is None and step < PATIENCE_STEPS:
            return []
        since = "it has been above the limit from the start"
        if healthy is not None:
            since = f"it was last within the limit at step {healthy:,}"
        text = f"{share:.0%} of {what} at step {step:,}, above the limit of {bound:.0%}; {since}; {remedy}"
        return self._settle(kind, Alarm(text, is_collapse=healthy is not None))


@dataclass(frozen=True)
class CollapsePolicy:
    """Describes how to watch a training for a collapse, and how to react to one.

    clips: makes N clips (N, C, T) with the networks as they are; the watchdog looks at them before every checkpoint and
    every 250 steps. on_collapse: "warn", or "rollback" to the newest healthy checkpoint, to go on from there with
    another seed. max_rollbacks: the most rollbacks in a run.
    """

    watchdog: Watchdog
    clips: Callable[[], Tensor] | None = None
    on_collapse: str = WARN
    max_rollbacks: int = 3


def _overfitting_alarm(step: int, figures: list[float]) -> Alarm | None:
    usual = statistics.median(figures)
    if step < GRACE_STEPS or usual <= MOST_OVERFITTING:
        return None
    return Alarm(
        f"the discriminators know the training clips by heart at step {step:,}: by their scores held-out clips "
        f"lie {usual:.0%} of the way to generated ones; more steps may bring little; {MORE_SOUND}",
        is_collapse=False,
    )


def silent(clips: Tensor) -> Tensor:
    """Finds the clips (N, C, T) that hold only a constant, within -60 dBFS, on every channel: (N,) bool."""
    return (clips.amax(dim=2) - clips.amin(dim=2)).amax(dim=1) < SILENT_SPAN


def alike_share(clips: Tensor) -> float | None:
    """Measures the share of clips (N, C, T) that are nearly the same as another; None for fewer than two clips.

    T is at least 256. Two clips are nearly the same if the root mean square of their difference in level is under
    1.5 dB, over all bins of the spectrogram in which either is less than 60 dB below its own peak. Drums of one kind
    differ by 3 dB and more, and so do a healthy generator's clips from its first hundred steps on. Latents that hardly
    differ give about 1 dB.
    """
    if len(clips) < 2:
        return None
    level = 10 * power_spectrum(clips, FRAME_SAMPLES).clamp(min=1e-20).log10()
    above = (level - level.amax(dim=(1, 2), keepdim=True) + RANGE_DECIBELS).clamp(min=0).flatten(1)
    heard = (above > 0).float()
    counts = heard.sum(dim=1)
    either = counts[:, None] + counts - heard @ heard.T
    distances = torch.cdist(above, above, compute_mode="donot_use_mm_for_euclid_dist") / either.sqrt()
    return (distances.fill_diagonal_(math.inf).amin(dim=1) < ALIKE_DECIBELS).float().mean().item()


def _copied(history: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, list) else value for name, value in history.items()}
