"""librosa's functions are compiled by one process at a time, before any of ours calls them."""

import logging
import subprocess
import sys
import time

import pytest

from wavegan.dsp import librosa_door
from wavegan.file_lock import is_held

COUNT_SIGNATURES = """
import gc, sys
import numpy as np, torch
from numba.core.dispatcher import Dispatcher
from wavegan.audio.content import _pitches, _sounds_and_onsets
from wavegan.dsp.librosa_door import librosa
from wavegan.models.pitches import pitches_of
from wavegan.steering.descriptors import DESCRIPTORS

def compiled():
    # the imported parts, each of which compiles, and what is compiled at a call
    functions = [each for each in gc.get_objects() if issubclass(type(each), Dispatcher)]
    at_calls = {f"{each.__name__} {signature}" for each in functions for signature in each.signatures}
    return at_calls | {name for name in sys.modules if name.startswith("librosa.")}

librosa()
before = compiled()
for length in (1000, 3000, 40_000):
    sound = np.random.default_rng(0).standard_normal(length).astype(np.float32)
    _pitches(sound, 16_000), _sounds_and_onsets(sound, 16_000)
    for descriptor in DESCRIPTORS.values():
        descriptor.measure(sound, 16_000)
pitches_of(torch.randn(2, 8192), 512)
assert before and compiled() == before, compiled() - before
"""


@pytest.fixture
def told(monkeypatch, tmp_path, caplog):
    """told(seconds) compiles for so long, under a lock that nobody else has, and returns the lines that were told."""
    lock = tmp_path / "temporary" / "librosa.lock"
    monkeypatch.setattr(librosa_door, "_lock", lambda: lock)
    monkeypatch.setattr(librosa_door, "SECONDS_BEFORE_LINE", 0.2)
    caplog.set_level(logging.INFO, "wavegan")

    def run(seconds):
        def compiled():
            time.sleep(seconds)
            return is_held(lock)

        monkeypatch.setattr(librosa_door, "_compiled", compiled)
        assert librosa_door.librosa.__wrapped__() is True, "the lock was not held"
        assert is_held(lock) is False
        return caplog.messages

    return run


def test_a_long_wait_is_told(told):
    assert told(0.6) == ["librosa compiles its functions for this computer; this takes half a minute, once"]


def test_a_short_wait_is_not_told(told):
    assert told(0) == []
    time.sleep(0.3)
    assert told(0) == [], "the line came afterwards"


def test_what_we_call_is_compiled_before_we_call_it():
    done = subprocess.run([sys.executable, "-c", COUNT_SIGNATURES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
