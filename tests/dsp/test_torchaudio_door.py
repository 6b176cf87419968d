"""Checks that torchaudio opens even where a part of it does not load."""

import subprocess
import sys
import textwrap

import pytest


@pytest.mark.parametrize("error", ["OSError", "RuntimeError"])
def test_torchaudio_opens_although_its_compiled_part_fails(error):
    program = f"""
        import sys

        class Broken:
            def find_spec(self, name, path, target=None):
                if name == "torchaudio._extension":
                    raise {error}("its CUDA is not ours")

        sys.meta_path.insert(0, Broken())
        import torch
        from wavegan.dsp.mel import mel_spectrogram
        assert "torchaudio" not in sys.modules, "importing the room must be cheap"
        assert mel_spectrogram(torch.ones(1, 1, 4096), 16000).isfinite().all()
        assert not hasattr(sys.modules["torchaudio._extension"], "__file__"), "the stub was not needed"
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
