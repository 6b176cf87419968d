"""The only place that turns a recipe into objects; everything below takes plain arguments."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from wavegan import distributed
from wavegan import recipe as recipes
from wavegan.audio import files
from wavegan.audio.corpus import Corpus, load_corpus
from wavegan.audio.splits import hold_out
from wavegan.audio.windows import Windows
from wavegan.errors import UserError
from wavegan.evaluation import figures
from wavegan.generation import Model, generate
from wavegan.methods.gan import GAN
from wavegan.models.wavegan import Discriminator, Generator
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES
from wavegan.recipe import Recipe
from wavegan.seeding import seed_torch
from wavegan.training.acceleration import settle_compilation, settle_graphs
from wavegan.training.ahead import Ahead
from wavegan.training.loop import Batches, Training
from wavegan.training.monitor import Monitor, Preview, open_tensorboard
from wavegan.training.precision import faster_precision
from wavegan.training.run_folder import RunFolder

OPTIMIZERS = {"adam": torch.optim.Adam}
PREVIEW_GAP_SECONDS = 0.5
DEVICES = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")


class Corpora(NamedTuple):
    """What is learned from, what is kept for judging (None where there is nothing), and how the two were parted."""

    training: Corpus
    held_out: Corpus | None
    split: str

    @property
    def skipped(self) -> dict[str, str]:
        """Names of the files that cannot be used, with the reason."""
        return self.training.skipped | (self.held_out.skipped if self.held_out else {})


def device(choice: str) -> torch.device:
    """The device of a choice: auto, cpu, cuda, cuda:N or mps; auto takes the fastest there is.

    Raises UserError for one that is unknown or not there. Each process of a machine has a GPU of its own.
    """
    if not DEVICES.fullmatch(choice):
        raise UserError(f"the device is {choice!r}; auto, cpu, cuda, cuda:N and mps are known; try --device auto")
    if choice == "auto":
        choice = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    choice = distributed.own_device(choice)
    try:
        chosen = torch.device(choice)
        torch.empty(1, device=chosen)
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)  # streams and graphs are made on the current one
            torch.backends.cuda.matmul.allow_tf32 = True  # as convolutions may by torch's default
    except (RuntimeError, AssertionError, NotImplementedError) as fault:
        reason = str(fault).partition("\n")[0].partition(". ")[0]
        raise UserError(
            f"the device is {choice}, which cannot be used here ({reason}); --device auto takes one that can"
        ) from fault
    return chosen


def corpora(recipe: Recipe) -> Corpora:
    """The recipe's sound, decoded or from the cache, in a part to learn from and one to judge by."""
    data = recipe.data

    def load(source: Sequence[str]) -> Corpus:
        return load_corpus(
            source,
            data.sample_rate,
            data.channels,
            normalize=data.normalize,
            max_bad_fraction=data.max_bad_fraction,
        )

    whole = load(data.source)
    if data.test is not None:
        return Corpora(whole, load(data.test), f"data.test: {', '.join(data.test)}")
    if not data.holdout:
        return Corpora(whole, None, "nothing held out (data.holdout is 0)")
    training, held_out = hold_out(whole, data.holdout)
    return Corpora(training, held_out, f"a share of {data.holdout:g} of the source, chosen by file name")


def windows(recipe: Recipe, corpus: Corpus, *, seed: int) -> Windows:
    """The clips of a corpus that the recipe asks for."""
    return Windows(corpus, recipe.model.clip_samples, recipe.data.windows, seed)


def networks(recipe: Recipe) -> dict[str, nn.Module]:
    """Generator and discriminator with their start weights, which follow from training.seed alone."""
    model, channels = recipe.model, recipe.data.channels
    with torch.random.fork_rng([]):  # they are made on the CPU
        seed_torch(recipe.training.seed, 0, "start weights")
        generator = Generator(
            model.clip_samples,
            channels,
            dim=model.dim,
            kernel_size=model.kernel_size,
            latent_dim=model.latent_dim,
            batch_norm=model.batch_norm,
            upsample=model.upsample,
            post_filter=model.post_filter,
        )
        discriminator = Discriminator(
            model.clip_samples,
            channels,
            dim=model.dim,
            kernel_size=model.kernel_size,
            batch_norm=model.discriminator_batch_norm,
            shuffle_radius=model.phase_shuffle.radius,
            shuffle_shared=model.phase_shuffle.shared,
        )
    return {"generator": generator, "discriminator": discriminator}


def training(recipe: Recipe, on: torch.device) -> Training:
    """A training at step 0; what is left to the machine waits for `settle`."""
    made = {name: network.to(on) for name, network in networks(recipe).items()}
    method = GAN(
        made["generator"],
        made["discriminator"],
        objective=OBJECTIVES[recipe.method.objective],
        penalty=PENALTIES[recipe.method.penalty],
        penalty_weight=recipe.method.penalty_weight,
        discriminator_steps=recipe.method.discriminator_steps,
        latent=recipe.model.latent,
        latent_dim=recipe.model.latent_dim,
    )
    settings = {"generator": recipe.optimizers.generator, "discriminator": recipe.optimizers.discriminator}
    optimizers = {
        name: OPTIMIZERS[one.name](made[name].parameters(), lr=one.lr, betas=one.betas, fused=on.type != "mps")
        for name, one in settings.items()
    }
    return Training(
        method,
        optimizers,
        on,
        seed=recipe.training.seed,
        precision=recipe.training.precision,
        ema=recipe.training.ema,
        gradient_clip=recipe.training.gradient_clip,
        decay_steps=recipe.training.steps if recipe.training.lr_decay == "linear" else None,
    )


def batches(recipe: Recipe, corpus: Corpus, on: torch.device) -> Batches:
    """Batches of training clips on a device; the corpus itself moves there where it fits or the recipe says so.

    Where it stays with the host, an accelerator's batches are made and copied one ahead.
    """
    is_there = on.type == "cpu" or _belongs_on_device(recipe.data.on_device, corpus.samples, on)
    clips = windows(recipe, corpus.to(on) if is_there else corpus, seed=recipe.training.seed)
    own = distributed.own_part(recipe.training.batch_size)

    def make(draw: int) -> Tensor:
        return clips.batch(draw, recipe.training.batch_size, own)

    return make if is_there else Ahead(make, on)


def settle(recipe: Recipe, made: Training, batch: Tensor) -> list[str]:
    """Decides by short measurements on a batch what the recipe leaves to the machine; lines that tell of it."""
    lines = []
    if made.precision == "auto":
        made.precision = faster_precision(made.method, batch)
        lines.append(f"training.precision auto: {made.precision} is the faster one on this {made.device.type}")
    lines.append(settle_compilation(made, batch, recipe.training.compile))
    if recipe.training.compile is not False:
        lines.append(settle_graphs(made, batch))
    return [line for line in lines if line]


def monitor(recipe: Recipe, folder: RunFolder, made: Training, seconds: float) -> Monitor:
    """What tells of a training that goes on from the step it has reached."""
    settings = recipe.monitor

    def preview(step: int) -> Preview:
        return write_preview(folder.previews, generating_model(recipe, made), step, settings.preview_count)

    return Monitor(
        folder.log,
        step=made.step,
        steps=recipe.training.steps,
        seconds=seconds,
        log_every=settings.log_every,
        preview_every=settings.preview_every,
        preview=preview,
        tensorboard=open_tensorboard(folder.tensorboard, settings.tensorboard, made.step),
    )


def generating_model(recipe: Recipe, made: Training) -> Model:
    """The generator of a training as it is now, its running average where there is one."""
    generator = made.averages.get("generator", made.method.networks["generator"])
    return model(recipe, generator, step=made.step)


def write_preview(folder: Path, made: Model, step: int, count: int) -> Preview:
    """Clips 0, 1, … of seed 0 as one WAV, with pauses between, and as a picture; the same latents at every step."""
    was_training = made.generator.training
    made.generator.eval()
    clips = torch.cat(list(generate(made, count, batch_size=8)))
    made.generator.train(was_training)
    folder.mkdir(parents=True, exist_ok=True)
    pause = torch.zeros(made.channels, round(PREVIEW_GAP_SECONDS * made.sample_rate))
    spaced = torch.cat([part for clip in clips for part in (clip, pause)], dim=1)
    files.write(folder / f"step-{step:08d}.wav", spaced.numpy(), made.sample_rate)
    picture = folder / f"step-{step:08d}.png"
    figures.preview(picture, clips, made.sample_rate)
    return Preview(clips, picture, made.sample_rate)


def describe(recipe: Recipe, corpus: Corpus) -> dict[str, Any]:
    """What every checkpoint carries beside the training's state, so that it can be used without its run."""
    return {
        "recipe": recipes.as_dict(recipe),
        "label_names": list(corpus.label_names),
        "files": len(corpus.names),
        "seconds_of_sound": corpus.seconds,
    }


def untrained_model(recipe: Recipe, on: torch.device) -> Model:
    """The generator as the recipe's training started."""
    return model(recipe, networks(recipe)["generator"].eval().to(on), step=0)


def model(
    recipe: Recipe, generator: nn.Module, *, step: int, label_names: Sequence[str] = (), precision: str = "fp32"
) -> Model:
    """A recipe's generator, whatever its weights, with all that generation needs to know."""
    return Model(
        generator=generator,
        latent=recipe.model.latent,
        latent_dim=recipe.model.latent_dim,
        clip_samples=recipe.model.clip_samples,
        channels=recipe.data.channels,
        sample_rate=recipe.data.sample_rate,
        name=recipe.name,
        step=step,
        label_names=tuple(label_names),
        precision=precision,
    )


def _belongs_on_device(choice: str | bool, samples: Tensor, on: torch.device) -> bool:
    if choice != "auto" or on.type != "cuda":
        return choice is True or choice == "auto"
    free, _ = torch.cuda.mem_get_info(on)
    return samples.numel() * samples.element_size() < free / 4  # the rest is for the step
