"""Defines the rows of `objectives.py`: which recipes are compared, at which size, and what to say about them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
CLIPS = 200
SMALL = {  # settings of every row
    "data": {"source": "drum_machine", "test": "drum_machine/test", "clip_samples": 8192},
    "generator": {"dim": 8, "upsample": "nearest"},
    "training": {"batch_size": 8, "ema": 0.99, "precision": "fp32", "keep_last": 1, "lr_decay": "linear"},
    "monitor": {"preview_every": 0, "log_every": 20, "tensorboard": False},
    "evaluation": {"count": CLIPS},
}
JUDGE = {"dim": 8, "phase_shuffle": {"shared": False}}  # the discriminator of a row that sets no other


class Row(NamedTuple):
    """Describes a row: the files it includes beside the base, the keys it changes, and the factor of learning rates."""

    kind: str
    includes: Sequence[str]
    keys: dict[str, Any]
    rate: float = 10.0


def objective(name: str, rate: float = 10.0, **method: Any) -> Row:
    """Returns the row of a WaveGAN with the settings of a file in recipes/objectives."""
    return Row("objective", [f"objectives/{name}.yaml"], {"method": method} if method else {}, rate)


def model(*includes: str, rate: float = 10.0, **sections: Any) -> Row:
    """Returns the row of another model, by default with the Wasserstein distance and its penalty."""
    return Row("model", includes or ["objectives/wasserstein.yaml"], sections, rate)


def optimizer(name: str, lr: float, **keys: Any) -> Row:
    """Returns the row of a WaveGAN with the Wasserstein distance, its penalty and another optimiser."""
    player = {"name": name, "lr": lr, **keys}
    return Row("optimiser", ["objectives/wasserstein.yaml"], {"optimizers": dict.fromkeys(PLAYERS, player)}, 1)


PLAYERS = ("generator", "discriminator")
RATES = {
    "minimax": 1.0,
    "relativistic_average": 2.0,
    "hinge": 2.0,
    "non_saturating": 1.0,
    "r1": 2.0,
    "r2": 2.0,
}  # factors where ten times the authors' rate is too much
SGD = {
    "optimizers": dict.fromkeys(PLAYERS, {"name": "sgd", "lr": 0.01, "momentum": 0.9}),
    "training": {"gradient_clip": 1},
}
LATENT = {"latent": "normal", "latent_dim": 32}
SPECGAN = ("objectives/wasserstein.yaml", "base/specgan.yaml")
SPECTROGRAMS = {"spectrogram": {"dim": 8}}  # replaces the waveform's, which base/specgan.yaml removes


def vae(*includes: str, encoder: str, **method: Any) -> Row:
    """Returns the row of a VAE with an encoder and no discriminators."""
    method = {"name": "vae", "kl_weight": 0.001, "kl_warmup_steps": 500, **method}
    encoding = {"name": encoder, "dim": 8}
    return model(*includes, generator=LATENT, discriminators=None, encoder=encoding, method=method)


ROWS = {
    **{
        path.stem: objective(path.stem, RATES.get(path.stem, 10.0))
        for path in sorted(RECIPES.glob("objectives/*.yaml"))
    },
    "one_sided": objective("wasserstein", penalty="one_sided"),
    "label_smoothing": objective("non_saturating", 1, label_smoothing=0.1),
    "instance_noise": objective("non_saturating", 1, augment={"name": "noise", "deviation": 0.05, "fade_steps": 1000}),
    "adamw": optimizer("adamw", 1e-3, weight_decay=0.01),
    "muon": optimizer("muon", 5e-4),
    "rmsprop": optimizer("rmsprop", 5e-4),
    "sgd": Row("optimiser", ["objectives/wasserstein.yaml"], SGD, 1),
    "SpecGAN": model(*SPECGAN, discriminators=SPECTROGRAMS),
    "WaveGAN, conditional": model(generator={"labels": 10}),
    "SpecGAN, conditional": model(*SPECGAN, generator={"labels": 10}, discriminators=SPECTROGRAMS),
    "MLP": model(
        data={"clip_samples": 4096},
        generator={"name": "mlp", "dim": 64},
        discriminators={"waveform": {"name": "mlp", "dim": 64}},
    ),
    "DCGAN": model(
        "objectives/non_saturating.yaml",
        rate=3,
        generator={"batch_norm": True},
        discriminators={"waveform": {**JUDGE, "dropout": 0.3}},
    ),
    "VAE, waveform": vae(encoder="wavegan", reconstruction="multi_resolution_stft"),
    "VAE, waveform by L1": vae(encoder="wavegan"),
    "VAE, spectrogram": vae(*SPECGAN, encoder="specgan"),
    "translation": model(
        data={
            "source": "drum_machine/room",
            "test": "drum_machine/room/test",
            "source_b": "drum_machine/dry",
            "test_b": "drum_machine/dry/test",
        },
        generator={"name": "translator", "dim": 8, "kernel_size": 25, "blocks": 2},
        method={
            "name": "translation",
            "objective": "wasserstein",
            "penalty": "gradient_penalty",
            "discriminator_steps": 1,
            "cycle_weight": 1,
            "identity_weight": 0,
        },
    ),
    "4,096 samples": model(data={"clip_samples": 4096}),
    "32,768 samples": model(
        data={"clip_samples": 32768}, generator={"dim": 4}, discriminators={"waveform": {**JUDGE, "dim": 4}}
    ),
    "stereo, 44.1 kHz": model(data={"sample_rate": 44100, "channels": 2, "clip_samples": 16384}),
}
NOTES = {  # explanations of rows, by name
    "instance_noise": (
        "Without a penalty the game swings: in one run the distance was 20.9 at step 1,200 and 62.8 at the end. The "
        "best checkpoint is the one to keep."
    ),
    "relativistic_average": (
        "It made one sound at a time and swung between them: in one run the distance was 21.8 at step 2,000 and 73.7 "
        "at the end. The pairs of relativistic held steadier."
    ),
    "sgd": (
        "Without a scale for each weight a rate at which the penalty does not blow up is slow: at 0.001 losses were "
        "infinite within 30 steps, so the gradients are clipped to a norm of 1 here."
    ),
    "VAE, waveform by L1": (
        "By L1 the best guess at a waveform whose phases cannot be known is its median, silence. L1 is for "
        "spectrograms; multi_resolution_stft is for waveforms."
    ),
}
LONG = ("SpecGAN, conditional", "SpecGAN", "translation", "stereo, 44.1 kHz", "32,768 samples")  # run first
