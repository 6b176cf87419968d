"""Trains a small model that several tests of commands make sound with."""

from pathlib import Path

import pytest

from wavegan import recipe as recipes
from wavegan.commands.train import train

DRUMMER = """\
data: {source: drum_machine/test, test: null, holdout: 0.2, clip_samples: 4096, sample_rate: 4000}
generator: {name: inverse_stft, dim: 8, latent_dim: 8, labels: 10, window: 64, hop: 32}
discriminators: {waveform: {name: wavegan, dim: 1}}
training: {steps: 2, batch_size: 2, checkpoint_every: 1, precision: fp32}
monitor: {preview_every: 0, tensorboard: false}
"""


@pytest.fixture(scope="session")
def drummer(tmp_path_factory) -> Path:
    """Returns a run with checkpoints at steps 1 and 2 of a generator with labels and noise; no test writes into it."""
    folder = tmp_path_factory.mktemp("drummer")
    (folder / "drummer.yaml").write_text(DRUMMER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAVEGAN_CACHE", str(folder / "cache"))
        train(recipes.load(folder / "drummer.yaml"), folder / "runs" / "drummer", device="cpu")
    return folder / "runs" / "drummer"
