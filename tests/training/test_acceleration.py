"""Tests compilation and graphs: kept only where they give the same and are faster, and reported."""

import copy

import pytest
import torch

from wavegan.audio.adaptive_augmentation import Adaptive
from wavegan.methods.adversary import Adversary
from wavegan.methods.base import Batch
from wavegan.methods.gan import GAN
from wavegan.models.wavegan import Discriminator, Generator
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES
from wavegan.settings import PhaseShuffleSettings
from wavegan.training import acceleration
from wavegan.training.acceleration import Records, settle_compilation, settle_graphs
from wavegan.training.loop import Training, take_step, train


def weights(made) -> dict[str, torch.Tensor]:
    networks = made.method.networks.items()
    return {f"{name}.{key}": value.clone() for name, network in networks for key, value in network.state_dict().items()}


def recording(works):
    """Replaces CUDA graphs by hand: replays write where the first run wrote."""
    return [replayed(work, work()) for work in works]


def replayed(work, stats):
    everything = work.args[1]()
    gradients = [parameter.grad for parameter in everything]
    assert None not in gradients

    def replay():
        again = work()
        for name, value in stats.items():
            value.copy_(again[name])
        for gradient, parameter in zip(gradients, everything, strict=True):
            gradient.copy_(parameter.grad)
            parameter.grad = None

    return replay, stats


@pytest.mark.parametrize("choice", [False, "auto"])
def test_nothing_is_compiled_unasked_on_a_cpu(training, batches, monkeypatch, choice):
    made = training()
    monkeypatch.setattr(type(made.method), "compile", lambda *_: pytest.fail("compiled"))
    assert settle_compilation(made, batches(0), choice) == ""


@pytest.mark.filterwarnings("ignore")  # the compiler warns of its own workings
def test_a_compiled_step_is_the_same_step(training, batches, monkeypatch):
    monkeypatch.setattr(acceleration, "BACKEND", "aot_eager")
    plain, made = training(shared=False, updates=2), training(shared=False, updates=2)
    before = weights(made)
    line = settle_compilation(made, batches(0), True)
    assert line.startswith("training.compile true: used, a step takes ")
    assert all(torch.equal(value, weights(made)[key]) for key, value in before.items()), "measuring moved the weights"
    assert (
        made.method.adversaries["waveform"].passes is not None and plain.method.adversaries["waveform"].passes is None
    )
    for run in (plain, made):
        take_step(run, batches)
    after = weights(made)
    for key, value in weights(plain).items():
        torch.testing.assert_close(value, after[key], rtol=1e-5, atol=1e-6)


def test_what_cannot_be_compiled_runs_as_it_is(training, batches, monkeypatch):
    monkeypatch.setattr(acceleration, "BACKEND", "no-such-backend")
    made = training()
    line = settle_compilation(made, batches(0), True)
    assert line.startswith("training.compile true: not used, it failed (InvalidBackend: ")
    assert made.method.adversaries["waveform"].passes is None
    take_step(made, batches)


def test_other_gradients_are_refused(training, batches, monkeypatch):
    """Uses a compiler that inverts the objective, however fast it is."""
    made = training()

    def compile_wrongly(method, backend):
        adversary = method.adversaries["waveform"]
        adversary.objective = adversary.objective._replace(discriminator=lambda real, fake: real.mean() - fake.mean())
        adversary.penalty = None

    monkeypatch.setattr(type(made.method), "compile", compile_wrongly)
    line = settle_compilation(made, batches(0), True)
    assert line == "training.compile true: not used, its gradients differ from those of the step as it is written"
    assert made.method.adversaries["waveform"].penalty is not None


@pytest.mark.parametrize(("choice", "share", "used"), [("auto", 0.5, True), ("auto", 1.5, False), (True, 1.5, True)])
def test_auto_keeps_what_is_faster(training, batches, monkeypatch, choice, share, used):
    made = training()
    made.device = torch.device("meta")  # an accelerator, as far as auto cares
    compiled = []
    monkeypatch.setattr(type(made.method), "compile", lambda method, backend: compiled.append(method))
    measured = iter([(1.0, torch.ones(3)), (share, torch.ones(3))])
    monkeypatch.setattr(acceleration, "_measured", lambda *_: next(measured))
    line = settle_compilation(made, batches(0), choice)
    assert (compiled == [made.method]) == used
    words = f"used, a step takes {share:.2f} of" if used else f"not used, a step would take {share:.2f} times as long"
    assert line.startswith(f"training.compile {str(choice).lower()}: {words}")


def test_graphs_are_for_cuda(training, batches):
    made = training()
    assert settle_graphs(made, batches(0)) == "" and made.backwards == {}
    line = settle_graphs(made, batches(0), acceleration.cuda_graph)
    assert line.startswith("CUDA graphs: not used, it failed (") and made.backwards == {}


@pytest.mark.parametrize("reuses_fakes", [False, True])
@pytest.mark.parametrize("penalty_every", [1, 2])
def test_replayed_steps_are_the_same_steps(training, batches, reuses_fakes, penalty_every):
    """Replays recorded steps five times, with clips and random numbers that change from update to update."""
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
    records = Records(made.method, batches(7), made, recording)
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
    made.backwards.update(Records(made.method, batches(7), made, fails).backwards)
    for run in (plain, made):
        train(run, batches, 2, after_step=lambda stats: True)
    assert caplog.messages == ["CUDA graphs of some steps: not used, it failed (RuntimeError: out of memory)"]
    after = weights(made)
    assert all(torch.equal(value, after[key]) for key, value in weights(plain).items())


def test_statistics_of_a_replay_outlive_the_next(training, batches):
    made = training()
    replay = Records(made.method, batches(0), made, recording).backwards["discriminators"]
    first = replay(batches(0))
    held = {name: value.item() for name, value in first.items()}
    replay(batches(1))
    assert {name: value.item() for name, value in first.items()} == held


def test_graphs_that_are_faster_are_used(training, batches, monkeypatch):
    made = training()
    measured = iter([(1.0, torch.ones(3)), (0.25, torch.ones(3))])
    monkeypatch.setattr(acceleration, "_measured", lambda *_: next(measured))
    line = settle_graphs(made, batches(0), recording)
    assert line == "CUDA graphs: used, a step takes 0.25 of the time without"
    assert set(made.backwards) == {"discriminators", "generator"}
    plain = copy.deepcopy(training())
    for run in (plain, made):
        take_step(run, batches)
    after = weights(made)
    assert all(torch.equal(value, after[key]) for key, value in weights(plain).items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="it takes a GPU")
@pytest.mark.parametrize("reuses_fakes", [False, True])
def test_cuda_graphs_take_the_same_steps(reuses_fakes):
    """Uses penalties in every second step, with a falling weight, and augmentations that become more frequent."""
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

    records = Records(replayed.method, batches(7), replayed, acceleration.cuda_graph)
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
