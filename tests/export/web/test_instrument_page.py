"""Tests the page of the instrument as a file: its weights, its marks, and what it refuses."""

import re

import pytest
import torch
from instrument_models import RATE, lively_model

from wavegan.errors import UserError
from wavegan.export.web import page
from wavegan.generation import Model
from wavegan.models import wavegan
from wavegan.models.inverse_stft import Generator


def test_the_page_holds_every_weight_to_the_last_bit(tmp_path):
    model = lively_model(names=("kick", "snare"), pulses=True)
    path = page.write(model, tmp_path, version="1.2.3", identity="a", licence="cc0-1.0")
    assert list(tmp_path.iterdir()) == [path]
    read, expected = page.read_weights(path), model.generator.state_dict()
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[name], expected[name].float()) for name in expected)
    text = path.read_text()
    assert "1,200 steps" in text and "0.25 s at 16 kHz" in text and "cc0-1.0" in text and "wavegan 1.2.3" in text


def test_weights_that_are_float16_numbers_take_half_the_space(tmp_path):
    """And lose nothing, the smallest and the largest float16 numbers included."""
    model, sizes = lively_model(dim=64), []
    edges = torch.tensor([2.0**-24, -3 * 2.0**-24, 2.0**-14, 65504.0, -0.0, 1 + 2.0**-10])
    for is_rounded in (False, True):
        with torch.no_grad():
            for values in model.generator.parameters() if is_rounded else ():
                values.copy_(values.half())
            model.generator.get_parameter("start.bias")[: len(edges)] = edges
        path = page.write(model, tmp_path, version="0", identity="a")
        read = page.read_weights(path)
        assert all(torch.equal(read[name], values.float()) for name, values in model.generator.state_dict().items())
        sizes.append(path.stat().st_size)
    weights = sum(values.numel() for values in model.generator.parameters())
    assert sizes[0] - sizes[1] == pytest.approx(weights * 2 * 4 / 3, rel=0.05), "base64 has four letters for 3 bytes"


def test_the_page_asks_nothing_of_a_network(tmp_path):
    text = page.write(lively_model(), tmp_path, version="0", identity="a").read_text()
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'") and "http" not in policy and "*" not in policy
    assert not re.findall(r'(?:src|href)="(?!#)', text)


def test_a_name_stays_text(tmp_path):
    hostile = '</script><script>alert("x")</script>'
    model = lively_model(names=(hostile, "snare"))
    named = Model(model.generator, model.clip_samples, 1, RATE, hostile, 1, model.label_names)
    text = page.write(named, tmp_path, version="0", identity="a").read_text()
    assert hostile not in text and text.count("<script") == text.count("</script>") == 5


@pytest.mark.parametrize(
    ("generator", "clip_samples", "message"),
    [
        (wavegan.Generator(4096, dim=1, latent_dim=4), 4096, "lively is no inverse_stft generator; .*; train one"),
        (Generator(16384, dim=320), 16384, "has [0-9,]+ weights, a page of [0-9]+ MB; .* at most 8,000,000; .*smaller"),
        (
            Generator(2**20, dim=64),
            2**20,
            r"a sound of 65\.5 s .* [0-9.]+ billion .*; .* at most 2; .*data\.clip_samples",
        ),
        (
            Generator(16384, dim=8, long_frames=32),
            16384,
            r"lively has frames of 16,384 samples; .* at most 8,192; .*generator\.long_frames",
        ),
        (
            Generator(66048, dim=4, unbounded=True),
            66048,
            r"sounds of 4\.1 s of lively go from latent to latent; .* at most 65,536 samples here; .*smaller",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path, generator, clip_samples, message):
    model = Model(generator, clip_samples, 1, RATE, "lively", 1, ())
    with pytest.raises(UserError, match=message):
        page.write(model, tmp_path, version="0", identity="a")
    assert list(tmp_path.iterdir()) == []
