"""Tests compilation and graphs: kept only where they give the same and are faster, and reported."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from wavegan.audio.adaptive_augmentation import Adaptive
from wavegan.methods.adversary import Adversary
from wavegan.methods.base import Batch
from wavegan.methods.gan import GAN
from wavegan.models.wavegan import Discriminator, Generator
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES
from wavegan.settings import PhaseShuffleSettings
from wavegan.training import acceleration
from wavegan.training.acceleration import Records, Written, _Trial, settle_acceleration
from wavegan.training.loop import Training, take_step, train
from wavegan.training.precision import autocast
from wavegan.training.tracing import compiled


def weights(made) -> dict[str, torch.Tensor]:
    networks = made.method.networks.items()
    return {f"{name}.{key}": value.clone() for name, network in networks for key, value in network.state_dict().items()}


class Repeated:
    """Takes the place of a CUDA graph: every call writes where the first one wrote."""

    def __init__(self, work):
        self.work, self.prepare, self.parameters = work, work.prepare, work.prepare()
        self.stats = work()
        self.gradients = [parameter.grad for parameter in self.parameters]
        assert None not in self.gradients

    def __call__(self):
        for name, value in self.work().items():
            self.stats[name].copy_(value)
        for gradient, parameter in zip(self.gradients, self.parameters, strict=True):
            gradient.copy_(parameter.grad)
            parameter.grad = gradient
        return {name: value.clone() for name, value in self.stats.items()}


def repeated(works):
    return [Repeated(work) for work in works]


def as_traced(works):
    return compiled(works, compiler=lambda module, inputs: module)


def measured(monkeypatch, *seconds: float) -> None:
    """Makes the trials measure these seconds, one after the other: first those of the step as it is written."""
    listed = iter(seconds)
    monkeypatch.setattr(_Trial, "_measured", lambda *_: (next(listed), torch.ones(3)))


@pytest.mark.parametrize("choice", [False, "auto"])
def test_nothing_is_tried_unasked_on_a_cpu(training, batches, monkeypatch, choice):
    made = training()
    monkeypatch.setattr(_Trial, "_measured", lambda *_: pytest.fail("measured"))
    assert settle_acceleration(made, batches(0), choice, 10**9) == [] and made.backwards == {}


def test_a_compiled_step_is_the_same_step(training, batches, monkeypatch):
    monkeypatch.setattr(acceleration, "compiled", as_traced)
    plain, made = training(shared=False, updates=2), training(shared=False, updates=2)
    before = weights(made)
    (line,) = settle_acceleration(made, batches(0), True, 10)
    assert line.startswith("training.compile true: used, a step takes ")
    assert all(torch.equal(value, weights(made)[key]) for key, value in before.items()), "measuring moved the weights"
    assert not any(weight.grad is not None for net in made.method.networks.values() for weight in net.parameters())
    assert set(made.backwards) == {"discriminators", "generator"} and plain.backwards == {}
    for run in (plain, made):
        take_step(run, batches)
    after = weights(made)
    assert all(torch.equal(value, after[key]) for key, value in weights(plain).items())


def test_measuring_leaves_running_statistics(training, batches, monkeypatch):
    monkeypatch.setattr(acceleration, "compiled", as_traced)
    made = training(batch_norm=True)
    before, drawn = weights(made), torch.random.get_rng_state()
    settle_acceleration(made, batches(0), True, 10)
    assert any("running" in key for key in before)
    assert all(torch.equal(value, weights(made)[key]) for key, value in before.items())
    assert torch.equal(drawn, torch.random.get_rng_state())


def test_what_cannot_be_compiled_runs_as_it_is(training, batches, monkeypatch):
    def fails(works):
        raise RuntimeError("no compiler\nand more")

    monkeypatch.setattr(acceleration, "compiled", fails)
    made = training()
    lines = settle_acceleration(made, batches(0), True, 10)
    assert lines == ["training.compile true: not used, it failed (RuntimeError: no compiler)"]
    assert made.backwards == {}
    take_step(made, batches)


def test_other_gradients_are_refused(training, batches, monkeypatch):
    """Uses a compiler that turns gradients around, however fast it is."""

    def wrong(works):
        def turned(module, inputs):
            return lambda *given: [-result for result in module(*given)]

        return compiled(works, compiler=turned)

    monkeypatch.setattr(acceleration, "compiled", wrong)
    made = training()
    lines = settle_acceleration(made, batches(0), True, 10)
    assert lines == [
        "training.compile true: not used, its gradients differ from those of the step as it is written "
        "(cosine -1.000, at least 0.99)"
    ]
    assert made.backwards == {}


def test_an_update_reads_its_weights_anew_within_a_context_of_autocast():
    """The loop has such a context around a step; a new kind of step is recorded inside it."""
    weight, device = nn.Parameter(torch.ones(3, 4)), torch.device("cpu")

    def compute(batch: Batch) -> dict[str, torch.Tensor]:
        with autocast("bf16", device):
            loss = F.linear(batch.x, weight).sum()
        loss.backward()
        return {"loss": loss.detach()}

    work = Written(compute, lambda: [weight], Batch(torch.ones(2, 4)))
    with autocast("bf16", device):
        for factor in (1, 2, 4):
            assert work()["loss"] == 24 * factor
            with torch.no_grad():
                weight *= 2
        assert F.linear(torch.ones(2, 4), weight).sum() == 24 * 8, "nor does it leave any behind"


@pytest.mark.parametrize(("choice", "share", "used"), [("auto", 0.5, True), ("auto", 1.5, False), (True, 1.5, True)])
def test_auto_keeps_what_is_faster(training, batches, monkeypatch, choice, share, used):
    made = training()
    made.device = torch.device("meta")  # an accelerator, as far as auto cares
    monkeypatch.setattr(acceleration, "compiled", list)  # works run at a call alone: none could on this device
    measured(monkeypatch, 2.0, 2.0 * share)
    (line,) = settle_acceleration(made, batches(0), choice, 10**6)
    assert bool(made.backwards) == used
    words = f"used, a step takes {share:.2f} of" if used else f"not used, a step would take {share:.2f} times as long"
    assert line.startswith(f"training.compile {str(choice).lower()}: {words}")


def test_auto_does_not_compile_for_a_few_minutes(training, batches, monkeypatch):
    made = training()
    made.device, made.step = torch.device("meta"), 1000
    monkeypatch.setattr(acceleration, "compiled", lambda works: pytest.fail("compiled"))
    measured(monkeypatch, 0.25)
    lines = settle_acceleration(made, batches(0), "auto", 1000 + 4 * 60 * 14)
    assert lines == ["training.compile auto: not tried, as the steps that are left take 14.0 minutes without"]


def test_graphs_follow_on_what_was_compiled(training, batches, monkeypatch):
    """Checks that a replay runs the compiled work, and that another form gets both."""
    made = training()
    monkeypatch.setattr(acceleration, "compiled", as_traced)
    measured(monkeypatch, 1.0, 0.5, 0.25)
    trial = _Trial(made, batches(0))
    assert trial.of(acceleration.compiled, must_gain=True) == "used, a step takes 0.50 of the time without"
    assert trial.of(repeated, must_gain=True) == "used, a step takes 0.50 of the time without"
    assert trial.records.transforms == [as_traced, repeated]
    (groups,) = trial.records.forms.values()
    works = [work for group in groups for work in group.works.values()]
    repeats = [work.work for work in works if isinstance(work, Repeated)]
    assert len(repeats) == len(works) == 2 and not any(isinstance(work, Written) for work in repeats)
    assert trial.of(acceleration.cuda_graphs, must_gain=True).startswith("not used, it failed (")
    assert trial.records.transforms == [as_traced, repeated]


@pytest.mark.parametrize("transforms", [[repeated], [as_traced, repeated]], ids=len)
@pytest.mark.parametrize("reuses_fakes", [False, True])
@pytest.mark.parametrize("penalty_every", [1, 2])
def test_prepared_steps_are_the_same_steps(training, batches, reuses_fakes, penalty_every, transforms):
    """Takes prepared steps five times, with clips and random numbers that change from update to update."""
    plain, made = (training(shared=False, updates=1 if reuses_fakes else 2) for _ in range(2))
    for run in (plain, made):
        judge = run.method.adversaries["waveform"]
        run.method = GAN(
            run.method.networks["generator"],
            {"waveform": Adversary(
                judge.discriminator, objective=judge.objective, penalty=judge.penalty, penalty_weight=3,
                penalty_every=penalty_every, penalty_share=lambda step: 0.5**step,
            )},
            discriminator_steps=1 if reuses_fakes else 2,
            reuses_fakes=reuses_fakes,
        )  # fmt: skip
    records = Records(made, batches(7), transforms)
    made.backwards.update(records.backwards)
    for _ in range(5):
        stats = [take_step(run, batches) for run in (plain, made)]
        assert {name: value.item() for name, value in stats[0].items()} == {k: v.item() for k, v in stats[1].items()}
        plain.step, made.step = plain.step + 1, made.step + 1
    assert set(records.forms) == ({(True,)} if penalty_every == 1 else {(True,), (False,)})
    after = weights(made)
    assert all(torch.equal(value, after[key]) for key, value in weights(plain).items())


def test_a_form_that_cannot_be_recorded_is_taken_as_written(training, batches, caplog):
    def fails(works):
        raise RuntimeError("out of memory\nand more")

    plain, made = training(), training()
    made.backwards.update(Records(made, batches(7), [fails]).backwards)
    for run in (plain, made):
        train(run, batches, 2, after_step=lambda stats: True)
    assert caplog.messages == ["some steps run as they are written: it failed (RuntimeError: out of memory)"]
    after = weights(made)
    assert all(torch.equal(value, after[key]) for key, value in weights(plain).items())


def test_statistics_of_a_replay_outlive_the_next(training, batches):
    made = training()
    replay = Records(made, batches(0), [repeated]).backwards["discriminators"]
    first = replay(batches(0))
    held = {name: value.item() for name, value in first.items()}
    replay(batches(1))
    assert {name: value.item() for name, value in first.items()} == held


@pytest.mark.skipif(not torch.cuda.is_available(), reason="it takes a GPU")
@pytest.mark.parametrize("reuses_fakes", [False, True])
def test_cuda_graphs_take_the_same_steps(monkeypatch, reuses_fakes):
    """Uses penalties in every second step, with a falling weight, and augmentations that become more frequent.

    It forbids TF32: a graph may take other kernels, and the gradient of a bias is a sum that nearly cancels, in which
    the rounding of ten bits shows.
    """
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    device, made = torch.device("cuda"), []
    for _ in range(2):
        torch.manual_seed(0)
        adversary = Adversary(
            Discriminator((1, 4096), dim=4, phase_shuffle=PhaseShuffleSettings(shared=False)).to(device),
            objective=OBJECTIVES["relativistic"], penalty=PENALTIES["r1_r2"], penalty_weight=1, penalty_every=2,
            penalty_share=lambda step: 0.9**step, augment=Adaptive(16000, probability=0.4, ramp_clips=1000).to(device),
        )  # fmt: skip
        generator = Generator(4096, dim=4, latent_dim=8).to(device)
        gan = GAN(generator, {"waveform": adversary}, discriminator_steps=1, reuses_fakes=reuses_fakes)
        # Not Adam, whose steps are as long for a gradient that rounds to +0 as for one that rounds to -0.
        optimizers = {name: torch.optim.SGD(network.parameters(), 1e-2) for name, network in gan.networks.items()}
        made.append(Training(gan, optimizers, device))
    plain, replayed = made

    def batches(draw: int) -> Batch:
        clips = torch.rand(8, 1, 4096, generator=torch.Generator().manual_seed(draw)) * 2 - 1
        return Batch(clips.to(device))

    records = Records(replayed, batches(7), [acceleration.cuda_graphs])
    records.add_form()
    replayed.backwards.update(records.backwards)
    for _ in range(8):
        stats = [take_step(run, batches) for run in (plain, replayed)]
        assert stats[0].keys() == stats[1].keys()
        for name, value in stats[0].items():
            torch.testing.assert_close(value, stats[1][name], rtol=1e-3, atol=1e-4, msg=name)
        plain.step, replayed.step = plain.step + 1, replayed.step + 1
    assert len(records.forms) == 2 and all(records.forms.values()), "both kinds of step were recorded"
    after = weights(replayed)
    for key, value in weights(plain).items():
        torch.testing.assert_close(value, after[key], rtol=1e-3, atol=1e-5, msg=key)
