"""Tests which values alarm the watchdog: planted collapses, ordinary drift, and bounds worked by hand."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from scipy import signal

from wavegan.audio import drum_machine
from wavegan.training import checkpoint
from wavegan.training.watchdog import GRACE_STEPS, KEPT_LINES, History, Watchdog, alike_share, silent

LOSS = "discriminators/waveform/loss"
PENALTY = "discriminators/waveform/penalty"


def told(watchdog: Watchdog, values, *, name: str = LOSS, start: int = 1000, every: int = 10) -> list[int]:
    """Returns the steps whose log lines raise an alarm."""
    return [
        step for step, value in enumerate_by(values, start, every) if watchdog.look_at_line(step, {name: float(value)})
    ]


def enumerate_by(values, start: int, every: int):
    return zip(itertools.count(start, every), values, strict=False)


def noise(count: int = 8, channels: int = 1, level: float = 0.3, seed: int = 0) -> torch.Tensor:
    """Makes clips that are not alike."""
    return level * torch.randn(count, channels, 2048, generator=torch.Generator().manual_seed(seed))


def drums(numbers) -> torch.Tensor:
    clips = torch.zeros(len(numbers), 1, 16384)
    for clip, number in zip(clips, numbers, strict=True):
        sound = torch.from_numpy(drum_machine.render(number, 16000))
        clip[0, : len(sound)] = sound
    return clips


# Log lines


@pytest.mark.parametrize(("size", "alarms"), [(99.9, []), (100.1, [1320])])
def test_a_loss_of_fifty_times_its_median_alarms_when_most_of_five_lines_have_it(size, alarms):
    assert told(Watchdog(), [2, -2] * 15 + [size, -size, size, 2, 2]) == alarms


def test_small_losses_are_measured_against_one():
    assert told(Watchdog(), [1e-4] * 30 + [49.0] * 5) == []
    assert told(Watchdog(), [1e-4] * 30 + [51.0] * 5) == [1320]


@pytest.mark.parametrize(("size", "alarms"), [(0.79, []), (0.81, [1320])])
def test_a_penalty_that_leaves_its_usual_tenth(size, alarms):
    assert told(Watchdog(), [0.07, 0.09] * 15 + [size] * 8, name=PENALTY) == alarms


def test_a_penalty_that_was_higher_may_go_higher():
    assert told(Watchdog(), [0.2] * 30 + [1.59] * 8, name=PENALTY) == []
    assert told(Watchdog(), [0.2] * 30 + [1.61] * 8, name=PENALTY) == [1320]


def test_a_penalty_that_exploded_from_the_start_is_no_measure_of_itself():
    """Counts its median as 10 at most; a loss may be as large as it likes from the start."""
    assert told(Watchdog(), [81] * 40, name=PENALTY) == [1200]
    assert told(Watchdog(), [79] * 40, name=PENALTY) == []
    assert told(Watchdog(), [1e6] * 40) == []


@pytest.mark.parametrize(
    "name", ["generator/loss", "discriminators/a/waveform/loss", "discriminators/waveform/wasserstein", "vae/loss"]
)
def test_whatever_is_a_loss_is_watched(name):
    assert told(Watchdog(), [1] * 30 + [60] * 9, name=name) == [1320]


def test_other_statistics_are_not():
    assert told(Watchdog(), [1] * 30 + [1e6] * 9, name="vae/kl") == []


def test_two_lines_out_of_five_are_a_spike():
    assert told(Watchdog(), [1] * 30 + ([1e5, 1e5, 1, 1, 1] * 9)) == []


@pytest.mark.parametrize("power", [0, 0.5, 1, 2])
@pytest.mark.parametrize("every", [1, 10, 100])
def test_drift_is_no_explosion(power, every):
    """Drifts as a power of the step, crossing zero, over lines that jump by tens of percent."""
    random = np.random.default_rng(0)
    steps = np.arange(every, 20000, every)
    values = 10 * (steps / 1000) ** power * np.sin(steps / 900) * random.lognormal(0, 0.4, len(steps))
    assert told(Watchdog(), values, start=every, every=every) == []


@pytest.mark.parametrize("rate", [1.01, 1.1, 2, 30])
def test_exponential_growth_is(rate):
    """Raises an alarm however slow the growth: it leaves every multiple of its median behind."""
    values = [3.0] * 40 + list(3 * rate ** np.arange(1, round(700 / math.log2(rate) / 10)))
    assert told(Watchdog(), values)


def test_the_first_steps_are_borne_with():
    """Losses start near nothing, and a new critic makes them jump; lines count as well as steps."""
    early = [0.01] * 25 + [1000] * 24  # steps 10 to 490
    assert told(Watchdog(), early, start=10) == []
    assert told(Watchdog(), [*early, 1000], start=10) == [GRACE_STEPS]
    assert told(Watchdog(), [1] * 15 + [1000] * 5) == []
    assert told(Watchdog(), [1] * 15 + [1000] * 6) == [1200]


def test_an_alarm_is_a_sentence_with_value_bound_time_and_remedy():
    watchdog = Watchdog()
    told(watchdog, [2] * 30 + [150] * 3)
    assert watchdog.collapse == (
        "discriminators/waveform/loss is 150 at step 1,320, above its limit of 100; its median so far is 2; it was "
        "last within the limit at step 1,290; try a lower optimizers.*.lr or training.gradient_clip=1"
    )


def test_an_alarm_is_raised_once_while_it_lasts_and_again_when_it_returns():
    watchdog = Watchdog()
    assert told(watchdog, [1] * 30 + [60] * 9) == [1320]
    assert watchdog.collapse
    assert told(watchdog, [1] * 3, start=1390) == [] and watchdog.collapse is None
    assert told(watchdog, [1] * 30 + [60] * 9, start=1420) == [1740]


def test_each_statistic_has_an_alarm_of_its_own():
    watchdog = Watchdog()
    assert told(watchdog, [1] * 30 + [60] * 9, name="discriminators/waveform/loss") == [1320]
    assert told(watchdog, [1] * 30 + [60] * 9, name="generator/loss") == [1320]
    assert told(watchdog, [1] * 9, start=1390, name="generator/loss") == []
    assert watchdog.collapse and watchdog.collapse.startswith("discriminators/waveform/loss")


def test_what_is_not_finite_alarms_at_once():
    for value in (math.nan, math.inf):
        (alarm,) = Watchdog().look_at_line(3, {LOSS: value, "vae/kl": 1.0})
        assert alarm.is_collapse and alarm.text.startswith(
            f"discriminators/waveform/loss became {value} by step 3; try"
        )


@pytest.mark.parametrize("lines", [1, KEPT_LINES, KEPT_LINES + 1, 1000, 12345])
def test_a_history_keeps_lines_evenly_spread_over_the_run(lines):
    history = History()
    for number in range(lines):
        history.add(number)
    assert history.kept == list(range(0, lines, history.stride))
    assert len(history.kept) <= KEPT_LINES and (history.stride == 1 or len(history.kept) >= KEPT_LINES // 2)
    assert history.recent == list(range(lines))[-5:]


# Clips


def test_what_is_silent():
    time = torch.linspace(0, 60, 2048)
    rows = [
        [0.0009 * time.sin(), 0 * time],
        [0.0011 * time.sin(), 0 * time],
        [0 * time, 0.0011 * time.sin()],
        [0 * time + 0.5, 0 * time - 0.2],
        [0 * time + 0.5, 0.3 * time.cos()],
    ]
    assert silent(torch.stack([torch.stack(row) for row in rows])).tolist() == [True, False, False, True, False]


def share_by_loop(clips: np.ndarray) -> float:
    """Finds nearest neighbours by SciPy's spectrogram and two loops."""
    spectra = []
    for clip in clips:
        _, _, power = signal.spectrogram(clip, window="hann", nperseg=256, noverlap=192, detrend=False, mode="psd")  # pyright: ignore
        level = 10 * np.log10(power.reshape(-1, *power.shape[-2:]).mean(axis=0) + 1e-30)
        spectra.append(level - level.max())
    nearest = []
    for first in range(len(spectra)):
        distances = []
        for second in range(len(spectra)):
            a, b = spectra[first], spectra[second]
            heard = (a > -60) | (b > -60)
            apart = np.maximum(a, -60)[heard] - np.maximum(b, -60)[heard]
            distances.append(np.sqrt(np.mean(apart**2)) if first != second else np.inf)
        nearest.append(min(distances))
    return float(np.mean(np.array(nearest) < 1.5))


def test_duplicates_agree_with_a_loop_over_scipys_spectra():
    """Makes clips that grow ever more unlike a common one."""
    base = noise(1, channels=2)
    shares = []
    for unlike in (0.2, 0.3, 0.7, 4):
        parts = torch.linspace(0, 1, 10)[:, None, None] * unlike
        clips = base + parts * noise(10, channels=2, seed=3)
        share = alike_share(clips) or 0.0
        assert share == pytest.approx(share_by_loop(clips.double().numpy()))
        shares.append(share)
    assert shares[0] == 1 and 0 < shares[2] < shares[1] < 1 and shares[3] == 0


def test_what_only_one_of_two_clips_holds_counts():
    """Makes pairs of the same noise; one of each pair goes on, ever more loudly, just above the audible level."""
    clips = noise(12, seed=4)
    clips[:, :, 1024:] = 0
    onward = (
        torch.cat([clips[:, :, 1024:], clips[:, :, :1024]], dim=2) * torch.logspace(-2.65, -2.45, 12)[:, None, None]
    )
    both = torch.cat([clips, clips + onward])
    share = alike_share(both) or 0.0
    assert share == pytest.approx(share_by_loop(both.double().numpy()[:, 0])) and 0.2 < share < 0.8


def test_copies_are_counted_whatever_their_level_and_sign():
    clips = drums(range(10))
    assert alike_share(clips) == 0
    clips[7], clips[8], clips[9] = 0.2 * clips[0], -clips[1], 0.999 * clips[1]
    assert alike_share(clips) == pytest.approx(0.5)


def test_drums_of_one_kind_are_no_duplicates():
    for voice in range(10):
        assert alike_share(drums(range(voice, 160, 10))) == 0


def test_fewer_than_two_clips_tell_nothing():
    assert alike_share(noise(1)) is None
    assert alike_share(noise(0)) is None


def test_a_generator_that_falls_silent():
    watchdog = Watchdog()
    clips = noise(8)
    assert watchdog.look_at_clips(600, clips) == []
    clips[:4] *= 0
    assert watchdog.look_at_clips(700, clips) == [], "half of them"
    clips[:5] *= 0
    (alarm,) = watchdog.look_at_clips(800, clips)
    assert alarm.text == (
        "62% of clips are silent (all samples within ±0.001 of a constant) at step 800, above the limit of 50%; "
        "it was last within the limit at step 700; try a lower optimizers.*.lr or training.gradient_clip=1"
    )
    assert watchdog.collapse == alarm.text
    assert watchdog.look_at_clips(900, clips) == [] and watchdog.collapse == alarm.text
    assert watchdog.look_at_clips(1000, noise(8)) == [] and watchdog.collapse is None


def test_a_generator_that_repeats_itself():
    watchdog = Watchdog()
    assert watchdog.look_at_clips(600, noise(8)) == []
    same = noise(1) + 0.003 * noise(8, seed=2)
    (alarm,) = watchdog.look_at_clips(700, same)
    assert alarm.is_collapse and alarm.text.startswith("100% of clips sound like another clip (spectra within 1.5 dB)")
    assert "it was last within the limit at step 600; try another training.seed" in alarm.text


def test_a_generator_whose_clips_run_away():
    watchdog, clips = Watchdog(), noise(32)
    assert clips.abs().max() <= 2 and watchdog.look_at_clips(700, clips) == []
    clips[:3, :, 500] = 2.5
    assert watchdog.look_at_clips(800, clips) == [], "few are borne with"
    clips[3, :, 500] = -2.5
    (alarm,) = watchdog.look_at_clips(900, clips)
    assert alarm.is_collapse and alarm.text == (
        "12% of clips exceed 2 times full scale, and a file clips them at step 900, above the limit of 10%; it "
        "was last within the limit at step 800; try a lower optimizers.*.lr or training.gradient_clip=1"
    )


def test_silent_clips_are_not_alike_as_well():
    watchdog = Watchdog()
    watchdog.look_at_clips(600, noise(8))
    (alarm,) = watchdog.look_at_clips(700, 0 * noise(8))
    assert "silent" in alarm.text


@pytest.mark.parametrize("clips", [torch.zeros(8, 1, 2048), noise(1).expand(8, -1, -1)], ids=["silent", "alike"])
def test_what_has_never_been_healthy_is_told_late_and_is_no_collapse(clips):
    watchdog = Watchdog()
    assert watchdog.look_at_clips(GRACE_STEPS - 1, noise(8)) == [], "not yet looked at"
    assert [step for step in range(500, 6001, 250) if watchdog.look_at_clips(step, clips)] == [1500]
    (alarm,) = watchdog.alarms.values()
    assert (
        not alarm.is_collapse
        and watchdog.collapse is None
        and "it has been above the limit from the start" in alarm.text
    )


def test_a_corpus_that_is_silent_or_alike_itself_makes_more_of_it_usual():
    """Three quarters of the real clips are silent or alike, so the bound is 7 of 8."""
    quiet = noise(8)
    quiet[:6] *= 0
    alike = torch.cat([noise(2, seed=5), noise(1).expand(6, -1, -1)])
    for real in (quiet, alike):
        plain, informed = Watchdog(), Watchdog(real)
        for watchdog in (plain, informed):
            watchdog.look_at_clips(600, noise(8))
        assert plain.look_at_clips(700, real)
        assert informed.look_at_clips(700, real) == []
        assert informed.look_at_clips(800, real[-1:].expand(8, -1, -1) if real is alike else 0 * real)


def test_spoilt_clips_alarm_at_every_step():
    clips = noise(4, channels=2)
    clips[2, 1, 7] = math.nan
    clips[3] = math.inf
    (alarm,) = Watchdog().look_at_clips(1, clips)
    assert alarm.is_collapse and alarm.text.startswith("2 of 4 clips hold infinite or nan samples at step 1; try")


# Remembering


def test_what_it_remembers_survives_a_checkpoint(tmp_path):
    whole, cut = Watchdog(), Watchdog()
    for watchdog in (whole, cut):
        told(watchdog, [1, 2] * 200 + [300, 300], start=0)
        watchdog.look_at_clips(600, noise(8))
        watchdog.look_at_clips(700, noise(8) * torch.tensor([0.0] * 5 + [1.0] * 3)[:, None, None])
    json.dumps(cut.state())
    path = checkpoint.save(tmp_path, {"step": 4, "watchdog": cut.state()})
    resumed = Watchdog()
    resumed.restore(checkpoint.load(path)["watchdog"])
    assert resumed.state() == whole.state() and resumed.collapse == whole.collapse is not None
    for watchdog in (whole, resumed):
        assert told(watchdog, [300], start=4020) == [4020]
        assert watchdog.look_at_clips(800, noise(8) * 0) == []
    assert resumed.state() == whole.state()


def test_what_is_restored_is_a_copy():
    watchdog = Watchdog()
    told(watchdog, [1] * 30)
    state = watchdog.state()
    kept = json.dumps(state)
    other = Watchdog()
    other.restore(state)
    told(other, [9] * 30, start=2000)
    told(watchdog, [9] * 30, start=2000)
    assert json.dumps(state) == kept


def test_a_loss_on_its_way_out_is_not_well():
    """A checkpoint between the first line out of bounds and the alarm, three lines on, must not be returned to."""
    watchdog, states = Watchdog(), []
    for step, value in enumerate_by([1.0] * 60 + [1000.0] * 4, 1000, 10):
        watchdog.look_at_line(step, {LOSS: value})
        states.append((watchdog.is_well, watchdog.collapse is None))
    assert states[:60] == [(True, True)] * 60
    assert states[60:] == [(False, True), (False, True), (False, False), (False, False)]


# Overfitting


@pytest.mark.parametrize(("figures", "alarms"), [((0.9, 0.29), []), ((0.9, 0.31), [1000])])
def test_discriminators_that_know_the_clips_by_heart_are_told_once_and_are_no_collapse(figures, alarms):
    watchdog = Watchdog()
    means = {f"discriminators/{name}/overfitting": value for name, value in zip("ab", figures, strict=True)}
    raised = [(step, alarm) for step in (100, 1000, 2000) for alarm in watchdog.look_at_line(step, means)]
    assert [step for step, _ in raised] == alarms, "never in the first steps, when networks know nothing"
    assert watchdog.collapse is None
    if raised:
        assert "at step 1,000" in raised[0][1].text and "lie 60% of the way" in raised[0][1].text
        assert not watchdog.look_at_line(3000, {LOSS: 1.0}), "a line without it leaves the alarm"
        assert "overfitting" in watchdog.alarms
        assert not watchdog.look_at_line(4000, dict.fromkeys(means, 0.1)) and not watchdog.alarms
