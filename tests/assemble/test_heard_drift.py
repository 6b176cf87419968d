"""Hearing how far sound drifts: by label, of those sounds that last long enough."""

import numpy as np
import pytest
import torch

from wavegan.assemble.heard_drift import measure_drift
from wavegan.audio.corpus import Corpus
from wavegan.audio.windows import Windows
from wavegan.generation import weights_hash
from wavegan.models.drift import PIECE, UNITS
from wavegan.models.inverse_stft import Generator
from wavegan.models.stages import STOP_HOPS

RATE, HOP = 4000, 16
PART = STOP_HOPS * HOP // UNITS


def generator(labels: int) -> Generator:
    return Generator(1024, dim=4, latent_dim=4, labels=labels, unbounded=True, window=64, hop=HOP)


def noise(random: np.random.Generator, parts: int) -> np.ndarray:
    """Draws noise of a colour of its own."""
    spectrum = np.fft.rfft(random.standard_normal(parts * PART))
    colour = np.interp(np.arange(len(spectrum)), np.linspace(0, len(spectrum), 5), random.uniform(-60, 0, 5))
    sound = np.fft.irfft(spectrum * 10 ** (colour / 20))
    return sound / np.abs(sound).max()


@pytest.fixture(scope="module")
def clips() -> Windows:
    """Makes sound that stays, sound that changes every second part, and sound that is too short to tell."""
    random = np.random.default_rng(0)
    stays = [noise(random, 2 * PIECE) for _ in range(6)]
    changes = [np.concatenate([noise(random, 2) for _ in range(PIECE)]) for _ in range(6)]
    items = [*stays, *changes, *(noise(random, 2) for _ in range(3))]
    lengths = np.array([len(item) for item in items])
    corpus = Corpus(
        samples=torch.from_numpy((np.concatenate(items) * 30000).astype(np.int16))[:, None],
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        labels=np.repeat([0, 1, 2], [6, 6, 3]),
        names=tuple(f"{number}.wav" for number in range(len(items))),
        label_names=("stays", "changes", "short"),
        skipped={},
        sample_rate=RATE,
    )
    return Windows(corpus, 1024, "random")


def test_each_label_drifts_as_its_own_sounds_do(clips):
    network = generator(3)
    fresh = weights_hash(network)
    measure_drift(network, clips, RATE, torch.device("cpu"))
    assert network.drift is not None, "its sounds have any length"
    stays, changes, short = network.drift.tolist()
    assert stays < 0.1 and changes > 0.6, network.drift
    assert short == pytest.approx((stays + changes) / 2)
    assert weights_hash(network) != fresh


def test_without_labels_all_long_sound_counts_and_without_long_sound_nothing_is_known(clips):
    network = generator(0)
    measure_drift(network, clips, RATE, torch.device("cpu"))
    assert network.drift is not None and network.drift.shape == (1,) and 0.2 < network.drift.item() < 0.9, network.drift
    short = Windows(clips.corpus.select(clips.corpus.labels == 2), 1024, "random")
    network = generator(0)
    measure_drift(network, short, RATE, torch.device("cpu"))
    assert network.drift is not None and network.drift.tolist() == [1]


def test_a_model_of_an_earlier_version_drifts_as_far_as_it_did():
    network = generator(2)
    state = {name: values for name, values in network.state_dict().items() if name != "drift"}
    other = generator(2)
    assert other.drift is not None, "its sounds have any length"
    other.drift.fill_(0.3)
    other.load_state_dict(state)
    assert other.drift.tolist() == [1, 1] and weights_hash(other) == weights_hash(network)
