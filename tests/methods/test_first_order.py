"""Compares gradients without a double backward with autograd's, in float64, over every shipped configuration."""

from collections.abc import Callable
from itertools import combinations, cycle, product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.dsp.representation import Waveform
from wavegan.methods import first_order
from wavegan.methods.adversary import Adversary
from wavegan.methods.base import Batch, Stats
from wavegan.methods.gan import GAN
from wavegan.models.inputs import Input
from wavegan.models.phase_shuffle import PhaseShuffle
from wavegan.models.piecewise_linear import ScoreStage
from wavegan.models.wavegan import STRIDES, Discriminator, Generator
from wavegan.objectives import penalties
from wavegan.objectives.adversarial import OBJECTIVES, Objective
from wavegan.objectives.penalties import Penalty, between, gradient_penalty
from wavegan.settings import PhaseShuffleSettings

CLOSE = 1e-10
LATENT_DIM = 3
EACH_ITS_OWN = PhaseShuffleSettings(shared=False)
FOLDER = Path(__file__).parents[2] / "recipes"
RECIPES = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}
SHUFFLES = [(0, True), (2, True), (2, False), (7, True), (7, False)]  # radius, shared
SETTINGS = [list(STRIDES), [1, 2], [5, 9, 25], SHUFFLES, ["transposed", "nearest"], [0, 512]]
# Every discriminator there is; the generators, which only supply the fakes, take turns.
GRID = [
    (*judge, *generator)
    for judge, generator in zip(product(*SETTINGS[:4]), cycle(product(*SETTINGS[4:])), strict=False)
]

Gradients = dict[str, Tensor]


class Replay:
    """Repeats the random draws of a critic update, so that they are the same for either form.

    Shifts are those of the layer's own `draw`, for real, fake and points; `restart` goes back to the first of them.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.tables: dict[PhaseShuffle, Tensor] = {}
        self.used: dict[PhaseShuffle, int] = {}
        self.points: list[Tensor] = []
        original = PhaseShuffle.draw

        def draw(layer: PhaseShuffle, batches: int, examples: int, device: torch.device) -> Tensor:
            if layer not in self.tables:
                self.tables[layer] = original(layer, 3, examples, device).view(3, examples)
            first = self.used.get(layer, 0)
            self.used[layer] = first + batches
            assert self.used[layer] <= 3, "a clip is judged more than once"
            return self.tables[layer][first : first + batches].flatten()

        monkeypatch.setattr(PhaseShuffle, "draw", draw)

    def restart(self) -> None:
        self.used.clear()

    def penalty(self, penalty: Penalty) -> Penalty:
        """Returns the same penalty at points that are drawn only once."""

        def points(real: Tensor, fake: Tensor) -> Tensor:
            self.points = self.points or [penalty.sample_points(real, fake)]
            return self.points[0]

        return Penalty(points, penalty.value)


def gradients(network: nn.Module) -> Gradients:
    """Takes the gradients out of the network, which has none afterwards."""
    taken = {}
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        taken[name], parameter.grad = parameter.grad, None
    return taken


def judge_of(clip_samples: int = 4096, channels: int = 1, **settings) -> Discriminator:
    """Makes a discriminator in float64, with biases that are not zero."""
    judge = Discriminator((channels, clip_samples), **{"dim": 1, "kernel_size": 9, **settings}).double()
    return with_biases(judge)


def with_biases(judge: Any) -> Any:
    for name, parameter in judge.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)
    return judge


def game(judge: nn.Module, generator: nn.Module, **settings) -> GAN:
    standard = {"objective": OBJECTIVES["wasserstein"], "penalty": gradient_penalty, "penalty_weight": 10.0}
    adversary = Adversary(judge, **{**standard, **settings})
    return GAN(generator, {"waveform": adversary}, discriminator_steps=1)


def both_forms(
    gan: GAN, real: Tensor, replay: Replay, labels: Tensor | None = None
) -> tuple[tuple[Gradients, Stats], tuple[Gradients, Stats]]:
    """Returns the gradients and statistics of a critic update: as the method computes it, and by autograd alone."""
    (adversary,), made, shown = gan.adversaries.values(), gan.networks["generator"], []
    judge = adversary.discriminator
    judge.zero_grad()
    if adversary.penalty:
        adversary.penalty = replay.penalty(adversary.penalty)
    handle = made.register_forward_hook(lambda _, given, clips: shown.append(clips))
    before = real.clone()
    stats = named(gan.discriminators_backward(Batch(real, labels)))
    assert torch.equal(real, before), "the clips were overwritten"
    ours = gradients(judge), stats
    handle.remove()
    replay.restart()
    stats = adversary.plain_backward(gan.output.encode(real), shown[0].to(real.dtype), labels)
    return ours, (gradients(judge), stats)


def named(stats: Stats) -> Stats:
    """Returns the statistics of the only adversary, without its name."""
    assert len({name.split("/")[0] for name in stats}) == 1, stats.keys()
    return {name.split("/", 1)[1]: value for name, value in stats.items()}


def assert_same(ours: tuple[Gradients, Stats], plain: tuple[Gradients, Stats]) -> None:
    """Compares every parameter's gradient to 1e-10 of its largest number, and every statistic."""
    scale = max(gradient.abs().max().item() for gradient in plain[0].values())
    for name, expected in plain[0].items():
        allowed = CLOSE * max(expected.abs().max().item(), 1e-3 * scale)  # a gradient of zero is not quite zero
        assert ours[0][name].dtype == expected.dtype
        torch.testing.assert_close(
            ours[0][name], expected, rtol=0, atol=allowed, msg=lambda text, name=name: f"{name}: {text}"
        )
    assert ours[1].keys() == plain[1].keys()
    for name, expected in plain[1].items():
        assert ours[1][name].shape == () and not ours[1][name].requires_grad and not expected.requires_grad
        torch.testing.assert_close(
            ours[1][name], expected, rtol=CLOSE, atol=CLOSE, msg=lambda text, name=name: f"{name}: {text}"
        )


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def replay(monkeypatch: pytest.MonkeyPatch) -> Replay:
    torch.manual_seed(0)
    return Replay(monkeypatch)


@pytest.fixture
def is_first_order(monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Returns a function that tells whether the last update did without autograd's double backward."""
    calls = []
    original = first_order.discriminator_backward
    monkeypatch.setattr(first_order, "discriminator_backward", lambda *a, **k: calls.append(1) or original(*a, **k))
    return lambda: calls == [1]


def test_the_grid_meets_every_pair_of_settings():
    assert {row[:4] for row in GRID} == set(product(*SETTINGS[:4]))
    for first, second in combinations(range(len(SETTINGS)), 2):
        assert {(row[first], row[second]) for row in GRID} == set(product(SETTINGS[first], SETTINGS[second]))


@pytest.mark.parametrize(("clip_samples", "channels", "kernel", "shuffle", "upsample", "post_filter"), GRID, ids=str)
def test_over_the_grid(clip_samples, channels, kernel, shuffle, upsample, post_filter, replay, is_first_order):
    generator = Generator(
        clip_samples,
        channels,
        dim=1,
        kernel_size=kernel,
        latent="normal",
        latent_dim=LATENT_DIM,
        upsample=upsample,
        post_filter=post_filter,
    )
    radius, shared = shuffle
    shuffle = PhaseShuffleSettings(radius=radius, shared=shared)
    judge = judge_of(clip_samples, channels, kernel_size=kernel, phase_shuffle=shuffle)
    ours, plain = both_forms(game(judge, generator), normal(2, channels, clip_samples), replay)
    assert is_first_order()
    assert_same(ours, plain)
    assert all(gradient.any() for name, gradient in plain[0].items() if name != "dense.bias")
    assert all(parameter.grad is None for parameter in generator.parameters())


def has_first_order_form(name: str) -> bool:
    """Tells whether there is one piecewise linear discriminator and a penalty on its slope; dropout is not linear."""
    recipe = recipes.load(RECIPES[name])
    judges = [*recipe.discriminators.values()]
    is_penalised_gan = recipe.method.name == "gan" and recipe.method.penalty != "none"
    return is_penalised_gan and len(judges) == 1 and not judges[0].dropout


FIRST_ORDER = [name for name in RECIPES if has_first_order_form(name)]


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_every_recipe(name, replay, is_first_order, monkeypatch):
    """Builds each recipe as `assemble` does, with its objective, penalty and weight, but with narrow networks."""
    monkeypatch.chdir(RECIPES[name].parents[1])
    recipe = recipes.load(RECIPES[name], ["generator.dim=2", "discriminators.*.dim=2"])
    gan = assemble.training(recipe, torch.device("cpu")).method
    assert isinstance(gan, GAN)
    ((judge_name, judge),) = recipe.discriminators.items()
    with_biases(gan.networks[f"discriminators.{judge_name}"].double())
    channels, samples = recipe.data.channels, recipe.data.clip_samples
    label_count = recipe.generator.labels
    labels = torch.eye(label_count, dtype=torch.float64)[[3, 0, 3]] if label_count else None
    ours, plain = both_forms(gan, normal(3, channels, samples), replay, labels)
    assert is_first_order() and "penalty" in ours[1]
    shuffles = min(4, len(STRIDES[samples]) - 1) if judge.name == "wavegan" else 0
    assert len(replay.tables) == (shuffles if judge.name == "wavegan" and judge.phase_shuffle.radius else 0)
    assert_same(ours, plain)


def test_all_recipes_are_met():
    assert (
        "quickstart_wavegan" in FIRST_ORDER and set(FIRST_ORDER) < set(RECIPES) and len(FIRST_ORDER) > len(RECIPES) / 2
    )


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    return (0.02 - real).relu().mean() + (0.02 + fake).relu().mean()


def least_squares(real: Tensor, fake: Tensor) -> Tensor:
    return (real - 1).square().mean() + fake.square().mean()


def paired(real: Tensor, fake: Tensor) -> Tensor:
    """Compares each fake clip with its real partner, so the scores do not count one by one."""
    return nn.functional.softplus(3 * (fake - real)).mean()


def squared_slope(slope: Tensor) -> Tensor:
    return slope.square().sum((1, 2)).mean() / 2


def above_one(slope: Tensor) -> Tensor:
    return (slope.flatten(1).norm(dim=1) - 1).relu().square().mean()


OF_SCORES = {"hinge": hinge, "least squares": least_squares, "paired": paired}
PENALTIES = {
    "one-sided": Penalty(between, above_one),
    "zero-centred at real": Penalty(lambda real, fake: real, squared_slope),
    "zero-centred at fake": Penalty(lambda real, fake: fake, squared_slope),
    "of the largest": Penalty(between, lambda slope: slope.abs().amax((1, 2)).mean()),
}


class Fakes(nn.Module):
    """Describes a generator that returns the clips it was constructed with."""

    inputs = (Input("normal", (LATENT_DIM,)),)
    labels = 0

    def __init__(self, clips: Tensor):
        super().__init__()
        self.output = Waveform()
        self.clips = clips

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.clips


def loud(judge: Discriminator, by: float = 20.0) -> Discriminator:
    """Raises scores and slopes so much that every branch of a loss is met."""
    with torch.no_grad():
        judge.dense.weight *= by
    return judge


@pytest.mark.parametrize("objective", OF_SCORES)
@pytest.mark.parametrize("penalty", [*PENALTIES, "gradient penalty"])
def test_any_objective_and_any_penalty(objective, penalty, replay, is_first_order):
    judge = loud(judge_of(channels=2, phase_shuffle=EACH_ITS_OWN))
    gan = game(
        judge,
        Fakes(normal(3, 2, 4096, seed=1)),
        objective=Objective(OF_SCORES[objective], torch.mean),
        penalty=PENALTIES.get(penalty, gradient_penalty),
        penalty_weight=0.3,
    )
    ours, plain = both_forms(gan, normal(3, 2, 4096), replay)
    assert is_first_order() and plain[1]["penalty"] > 0
    assert_same(ours, plain)


def test_a_penalty_that_asks_for_nothing_adds_nothing(replay):
    """With a one-sided penalty and every slope below 1, only the objective's gradients are left."""
    real, fakes = normal(2, 1, 4096), Fakes(normal(2, 1, 4096, seed=1))
    judge = loud(judge_of(), by=0.01)
    ours, plain = both_forms(game(judge, fakes, penalty=PENALTIES["one-sided"]), real, replay)
    assert ours[1]["penalty"] == 0
    assert_same(ours, plain)
    replay.restart()
    bare, _ = both_forms(game(judge, fakes, penalty_weight=0), real, replay)
    for name, gradient in bare[0].items():
        torch.testing.assert_close(gradient, ours[0][name], rtol=CLOSE, atol=1e-15)


@pytest.mark.parametrize("objective", ["wasserstein", *OF_SCORES])
def test_without_a_penalty(objective, replay, is_first_order):
    chosen = OBJECTIVES.get(objective) or Objective(OF_SCORES[objective], torch.mean)
    judge = judge_of(8192, phase_shuffle=EACH_ITS_OWN)
    gan = game(judge, Fakes(normal(3, 1, 8192, seed=1)), objective=chosen, penalty_weight=0)
    ours, plain = both_forms(gan, normal(3, 1, 8192), replay)
    assert is_first_order() and ours[1].keys() == {"wasserstein", "loss"} and not replay.points
    assert_same(ours, plain)


@pytest.mark.parametrize("clips", [1, 5])
def test_any_number_of_clips(clips, replay):
    gan = game(judge_of(phase_shuffle=EACH_ITS_OWN), Fakes(normal(clips, 1, 4096, seed=1)))
    assert_same(*both_forms(gan, normal(clips, 1, 4096), replay))


def test_a_flat_discriminator_has_finite_gradients(replay):
    """A norm has no derivative at a slope of zero; zero is taken for it."""
    judge = judge_of()
    with torch.no_grad():
        for name, parameter in judge.named_parameters():
            if name.endswith("weight"):
                parameter.zero_()
    ours, plain = both_forms(game(judge, Fakes(normal(2, 1, 4096, seed=1))), normal(2, 1, 4096), replay)
    assert ours[1]["penalty"] == 1
    assert all(gradient.isfinite().all() for gradient in ours[0].values())
    assert_same(ours, plain)


def test_gradients_are_added_to_those_that_are_there(replay):
    judge = judge_of()
    gan = game(judge, Fakes(normal(2, 1, 4096, seed=1)))
    once, _ = both_forms(gan, normal(2, 1, 4096), replay)
    for _ in range(2):
        replay.restart()
        gan.discriminators_backward(Batch(normal(2, 1, 4096)))
    for name, gradient in gradients(judge).items():
        torch.testing.assert_close(gradient, 2 * once[0][name], rtol=1e-14, atol=0)


def test_the_penalty_counts_in_every_weight_and_in_no_bias(replay):
    """Catches a penalty too small to show in the comparison over the grid."""
    judge, real, fakes = judge_of(), normal(2, 1, 4096), Fakes(normal(2, 1, 4096, seed=1))
    by_weight = {}
    for weight in (0.0, 10.0):
        replay.restart()
        by_weight[weight] = both_forms(game(judge, fakes, penalty_weight=weight), real, replay)[0][0]
    for name, gradient in by_weight[10.0].items():
        change = (gradient - by_weight[0.0][name]).norm() / max(gradient.norm().item(), 1e-9)
        assert change < 1e-12 if name.endswith("bias") else change > 0.1, name


def test_a_linear_discriminator_by_hand():
    """Takes D(x) = <w, x> + b with w = (3, 4): the slope is 5.

    So the penalty is (5 - 1)² = 16 and its gradient 1.6 w.
    """
    weight = nn.Parameter(torch.tensor([[3.0, 4.0]], dtype=torch.float64))
    bias = nn.Parameter(torch.tensor([7.0], dtype=torch.float64))
    asked = []

    def stages(batches: int, examples: int, labels: Tensor | None) -> list[ScoreStage]:
        asked.append((batches, examples))
        return [ScoreStage(weight, bias)]

    real = torch.tensor([[[1.0, 1.0]], [[0.0, -1.0]]], dtype=torch.float64)  # scores 14 and 3
    fake = torch.tensor([[[1.0, 0.5]], [[1.0, 0.5]]], dtype=torch.float64)  # 12 each
    judged = first_order.discriminator_backward(stages, real, fake, OBJECTIVES["wasserstein"], gradient_penalty, 2.5)
    assert {name: value.item() for name, value in judged.stats.items()} == pytest.approx(
        {"wasserstein": 8.5 - 12, "penalty": 16, "loss": 12 - 8.5 + 2.5 * 16}
    )
    assert weight.grad is not None and bias.grad is not None and asked == [(3, 2)]
    assert weight.grad[0].tolist() == pytest.approx([1 - 0.5 + 2.5 * 1.6 * 3, 0.5 - 0 + 2.5 * 1.6 * 4])
    assert bias.grad.item() == pytest.approx(0)
    first_order.discriminator_backward(stages, real, fake, OBJECTIVES["wasserstein"], gradient_penalty, 0)
    assert asked[1] == (2, 2)


@pytest.mark.parametrize("penalty", penalties.PENALTIES)
@pytest.mark.parametrize("radius", [0, 2])
def test_a_penalty_at_the_clips_needs_no_rows_of_its_own(penalty, radius):
    """Adds rows only where shifts are drawn inside the network: then the network at x̂ is another one."""
    judge = Discriminator((1, 4096), dim=1, kernel_size=9, phase_shuffle=PhaseShuffleSettings(radius=radius)).double()
    asked, state, take_apart = [], torch.get_rng_state(), judge.stages
    assert take_apart is not None
    take_apart(0, 2, None)
    assert torch.equal(torch.get_rng_state(), state), "a pass of no batches draws nothing"

    def stages(batches: int, examples: int, labels: Tensor | None):
        asked.append(batches)
        return take_apart(batches, examples, labels)

    objective = OBJECTIVES["relativistic"]
    first_order.discriminator_backward(
        stages, normal(2, 1, 4096), normal(2, 1, 4096), objective, penalties.PENALTIES[penalty], 1
    )
    own = 2 if penalty == "r1_r2" else 1
    is_among = penalty in ("r1", "r2", "r1_r2")
    assert asked == ([0] if is_among else []) + [2 if is_among and not radius else 2 + own]


@pytest.mark.parametrize("weight", [1.0, 100.0])
def test_one_product_for_loss_and_penalty_is_in_bf16_as_near_as_autograd(weight):
    judge = Discriminator((1, 4096), dim=4, kernel_size=9, phase_shuffle=PhaseShuffleSettings(radius=0))
    adversary = Adversary(
        judge,
        objective=OBJECTIVES["relativistic"],
        penalty=penalties.PENALTIES["r1_r2"],
        penalty_weight=weight,
    )
    real, fake = normal(8, 1, 4096).float() / 4, normal(8, 1, 4096, seed=1).float() / 4
    flattened = []
    for form, enabled in (
        (adversary.plain_backward, False),
        (adversary.plain_backward, True),
        (adversary.backward, True),
    ):
        judge.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            form(real, fake)
        flattened.append(
            torch.cat([parameter.grad.flatten() for parameter in judge.parameters() if parameter.grad is not None])
        )
    exact, theirs, ours = flattened
    missing = [1 - torch.cosine_similarity(exact, rough, dim=0).item() for rough in (theirs, ours)]
    assert 0 < missing[1] < 1.2 * missing[0] < 0.01


def direction(by_name: Gradients) -> Tensor:
    flat = torch.cat([gradient.flatten() for gradient in by_name.values()])
    return flat / flat.norm()


@pytest.mark.parametrize("clip_samples", [4096, 8192])
def test_in_bf16_the_gradients_point_where_those_in_fp32_do(clip_samples, replay):
    """Checks that the whole gradients agree to a cosine of 0.999, and those of each weight nearly so."""
    judge = judge_of(clip_samples, dim=8, kernel_size=25, phase_shuffle=EACH_ITS_OWN).float()
    real, fake = normal(8, 1, clip_samples).float() / 4, normal(8, 1, clip_samples, seed=1).float() / 4
    gan, results = game(judge, Fakes(fake)), []
    for enabled in (False, True):
        torch.manual_seed(1)
        replay.restart()
        replay.points.clear()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            ours, _ = both_forms(gan, real, replay)
        assert all(value.dtype == torch.float32 for part in ours for value in part.values())
        results.append(ours)
    exact, rough = results
    assert torch.dot(direction(exact[0]), direction(rough[0])) > 0.999
    for name in exact[0]:
        if name.endswith("weight"):
            assert torch.dot(direction({name: exact[0][name]}), direction({name: rough[0][name]})) > 0.99, name
    for name, value in exact[1].items():
        assert rough[1][name].item() == pytest.approx(value.item(), rel=0.05, abs=0.02), name
