"""Tests works that are traced and compiled: the same gradients, statistics, random numbers and buffers."""

import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.seeding import seed_torch
from wavegan.training.acceleration import Records
from wavegan.training.precision import autocast
from wavegan.training.tracing import compiled
from wavegan.training.trial import learning

RECIPES = Path(__file__).parents[2] / "recipes"
SMALL = ("data.test=null", "data.clip_samples=4096", "training.batch_size=4")
KINDS = {
    "a penalty of the first order and phase shuffle": ("sc09", "generator.dim=1", "discriminators.waveform.dim=1"),
    "a gradient of a gradient": ("quickstart", "generator.dim=4", "discriminators.*.dim=2"),
    "steps without a penalty": ("quickstart", "generator.dim=4", "discriminators.*.dim=2"),
    "dropout": ("sc09", "generator.dim=1", "discriminators.waveform.dim=1", "discriminators.waveform.dropout=0.3"),
    "noise before the discriminator": (
        "sc09",
        "generator.dim=1",
        "discriminators.waveform.dim=1",
        "method.augment.name=noise",
    ),
    "batch norm": ("dcgan", "generator.dim=1", "discriminators.waveform.dim=1"),
    "a variational autoencoder": ("vae", "generator.dim=1"),
}


def as_traced(module, inputs):
    """Takes the place of a compiler: the operations one by one."""
    assert not torch.is_grad_enabled(), "a compiler would prepare another backward pass"
    return module


@pytest.mark.parametrize("kind", KINDS)
def test_traced_updates_are_the_updates_as_they_are_written(kind, sounds):
    """Traces with clips and random numbers of its own, then compares two other draws, bit for bit."""
    name, *overrides = KINDS[kind]
    given = [f"data.source={sounds(8, labels=('low', 'high'))}", *SMALL, *overrides, "training.precision=bf16"]
    recipe = recipes.load(str(RECIPES / f"{name}.yaml"), given)
    clips = assemble.training_clips(recipe, assemble.corpora(recipe))
    batches = assemble.batches(recipe, clips, torch.device("cpu"))
    training = assemble.training(recipe, torch.device("cpu"), clips)
    method = training.method
    method.advance(int(kind == "steps without a penalty"))

    def results(records: Records, draw: int) -> list[torch.Tensor]:
        computed = []
        for phase in method.phases:
            parameters = learning(method, phase)
            for parameter in parameters:
                parameter.grad = None
            seed_torch(0, draw, phase.name)
            with autocast(training.precision, training.device):  # as the loop does
                stats = records.group(phase).backward(phase.name, batches(draw))
            computed += [parameter.grad.clone() for parameter in parameters if parameter.grad is not None]
            computed += [value.clone() for value in stats.values()]
            if not phase.keeps_batch:  # as an optimiser's step: the next work reads the weights as they are now
                with torch.no_grad():
                    for parameter in parameters:
                        parameter *= 1.01
        return computed + [buffer.clone() for network in method.networks.values() for buffer in network.buffers()]

    before = [weight.clone() for network in method.networks.values() for weight in network.parameters()]
    written = Records(training, batches(0), [])
    written.add_form()
    traced = Records(training, batches(0), [partial(compiled, compiler=as_traced)])
    traced.add_form()
    for draw in (1, 2):
        both = []
        for records in (written, traced):
            with torch.no_grad():
                weights = [weight for network in method.networks.values() for weight in network.parameters()]
                for weight, value in zip(weights, before, strict=True):
                    weight.copy_(value * draw)
            buffers = [buffer for network in method.networks.values() for buffer in network.buffers()]
            held = [buffer.clone() for buffer in buffers]
            both.append(results(records, draw))
            if records is written:
                for buffer, value in zip(buffers, held, strict=True):
                    buffer.copy_(value)
        assert len(both[0]) == len(both[1]) > 5
        for expected, computed in zip(*both, strict=True):
            assert torch.equal(expected, computed)


class Doubling(nn.Module):
    """A work whose weight learns to be large; it has statistics of its own and draws a number."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0, 3.0]))
        self.idle = nn.Parameter(torch.zeros(1))
        self.x = torch.tensor([1.0, -1.0])

    def prepare(self):
        self.requires_grad_(True)
        return [self.weight, self.idle]

    def __call__(self):
        self.weight.grad = self.idle.grad = None
        drawn = torch.rand(2)
        slope = torch.autograd.grad((self.weight.pow(3) * self.x).sum(), self.weight, create_graph=True)[0]
        loss = (slope.square() * drawn).sum()
        loss.backward()
        return {"loss": loss.detach(), "drawn": drawn.sum()}


@pytest.mark.skipif(not shutil.which("g++"), reason="there is no compiler for a CPU")
@pytest.mark.filterwarnings("ignore")  # it warns of its own workings
def test_a_compiled_work_reads_its_tensors_and_draws_anew():
    """Uses the real compiler; L = Σ u · (3 w² x)², so dL/dw = 36 u w³ x²."""
    work = Doubling()
    (fast,) = compiled([work])
    for seed, weight, x in ((1, [2.0, 3.0], [1.0, -1.0]), (2, [-1.0, 0.5], [3.0, 2.0])):
        with torch.no_grad():
            work.weight.copy_(torch.tensor(weight))
            work.x.copy_(torch.tensor(x))
        torch.manual_seed(seed)
        stats = fast()
        torch.manual_seed(seed)
        u = torch.rand(2)
        assert stats["drawn"].item() == pytest.approx(u.sum().item())
        torch.testing.assert_close(work.weight.grad, 36 * u * work.weight.detach() ** 3 * work.x**2)
        assert work.idle.grad is None


@pytest.mark.skipif(not shutil.which("g++"), reason="there is no compiler for a CPU")
@pytest.mark.filterwarnings("ignore")
def test_what_was_compiled_once_is_found_again(tmp_path, monkeypatch):
    """Compiles one work twice, as two processes would; the second time takes what the first has left on disk."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    found = []
    for _ in range(2):
        torch._dynamo.reset()
        counters["inductor"].clear()
        (fast,) = compiled([Doubling()])
        fast()
        found.append(counters["inductor"]["fxgraph_cache_hit"])
    assert found == [0, 1]


def test_gradients_lie_in_memory_as_their_weights_do():
    """A fused optimiser reads both from first to last, whatever their strides say."""

    class Product(Doubling):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(2, 3))

        def __call__(self):
            self.weight.grad = None
            loss = (self.x @ self.weight).square().sum()
            loss.backward()
            return {"loss": loss.detach()}

    def turning(module, inputs):
        return lambda *given: [
            result.t().contiguous().t() if result.dim() == 2 else result for result in module(*given)
        ]

    work = Product()
    (traced,) = compiled([work], compiler=turning)
    gradients = []
    for do in (work, traced):
        do()
        assert work.weight.grad is not None
        gradients.append(work.weight.grad)
    assert torch.equal(*gradients) and gradients[1].stride() == work.weight.stride() == (3, 1)
