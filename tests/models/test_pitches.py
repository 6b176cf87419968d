"""Tests how pitches are heard and drawn."""

import math

import pytest
import torch

from wavegan.models.inverse_stft import Generator
from wavegan.models.pitches import QUANTILES, DrawnPitches, _peaks, pitches_of


def test_drawn_pitches_are_spread_as_those_that_were_measured():
    drawn = DrawnPitches(40, 512, 128)
    own = 3 + torch.rand(500, generator=torch.Generator().manual_seed(0))
    slopes = 0.05 / 6 * torch.randn(500, 1, generator=torch.Generator().manual_seed(1))  # within six of 30 frames
    pitches = 2 ** (own[:, None] + slopes * (torch.arange(31) - 15))
    pitches[::2, 20:24] = math.nan  # a gap, in which there is no pitch
    assert drawn.measure(list(pitches), [-1] * 500) == []
    numbers = torch.randn(4000, drawn.count, generator=torch.Generator().manual_seed(2))
    pitches = drawn(numbers)
    assert pitches.shape == (4000, 40)
    quantiles = torch.tensor([0.1, 0.5, 0.9])
    torch.testing.assert_close(pitches[:, 0].quantile(quantiles), own.quantile(quantiles), rtol=0, atol=0.03)
    away = drawn(torch.cat([torch.zeros(4000, 1), numbers[:, 1:]], dim=1)) - drawn.own[QUANTILES // 2]
    assert (away[:, 12:] - away[:, :-12]).std().item() == pytest.approx(0.05, rel=0.1), "within three units"
    assert away.diff(dim=1).diff(dim=1).std() < 0.2 * away.diff(dim=1).std(), "they glide"
    again = DrawnPitches(40, 512, 128)
    again.load_state_dict(drawn.state_dict())
    assert torch.equal(again(numbers), pitches)


def labelled_pitches(labels: torch.Tensor, deviation: float, between: float) -> list[torch.Tensor]:
    """Makes the pitches of clips: each label's is `between` octaves above the one before."""
    own = 3 + between * labels + deviation * torch.randn(len(labels), generator=torch.Generator().manual_seed(0))
    return [pitch.repeat(10) for pitch in 2**own]


def test_labels_that_are_notes_have_pitches_of_their_own_and_mixes_those_between():
    drawn, labels = DrawnPitches(40, 512, 128, labels=4), torch.arange(4).repeat(8)
    pitches = labelled_pitches(labels, 0.002, 1 / 12)
    pitches[1] = pitches[1] / 2  # misheard, as pYIN now and then does
    assert drawn.measure(pitches, labels.tolist()) == []
    numbers = torch.randn(500, drawn.count, generator=torch.Generator().manual_seed(1))
    for label, row in enumerate(torch.eye(4)):
        of_label = drawn(numbers, row.expand(500, -1))
        torch.testing.assert_close(of_label, torch.full_like(of_label, 3 + label / 12), rtol=0, atol=0.02)
    between = drawn(numbers, torch.tensor([[0.5, 0, 0.5, 0]]).expand(500, -1))
    torch.testing.assert_close(between, torch.full_like(between, 3 + 1 / 12), rtol=0, atol=0.02)
    spread = drawn(numbers)[:, 0]
    assert spread.min() < 3.01 and spread.max() > 3.24, "without a label those of all"
    again = DrawnPitches(40, 512, 128, labels=4)
    again.load_state_dict(drawn.state_dict())
    assert torch.equal(again(numbers, row.expand(500, -1)), of_label)


def test_labels_that_say_little_of_the_pitch_share_those_of_all():
    drawn, labels = DrawnPitches(40, 512, 128, labels=4), torch.arange(4).repeat(8)
    drawn.measure(labelled_pitches(labels, 0.3, 1 / 12), labels.tolist())
    assert not drawn.of_labels.any() and drawn.own.std() > 0.1
    few = torch.arange(20)  # a clip of each
    many = DrawnPitches(40, 512, 128, labels=20)
    assert many.measure(labelled_pitches(few, 0.3, 0), few.tolist()) == [] and not many.of_labels.any()


@pytest.mark.parametrize(("deviation", "tell"), [(0.3, True), (0.5, False)])
def test_labels_tell_pitches_where_a_fifth_of_the_variance_lies_between_them(deviation, tell):
    drawn, labels = DrawnPitches(40, 512, 128, labels=4), torch.arange(4).repeat(50)
    drawn.measure(
        labelled_pitches(labels, deviation, 1 / 6), labels.tolist()
    )  # of which a deviation of 0.19 lies there
    assert drawn.of_labels.any() == tell


def test_half_of_few_clips_are_enough():
    for count, is_enough in ((5, True), (4, False)):
        drawn = DrawnPitches(40, 512, 128)
        drawn.measure([torch.full((30,), 20.0)] * count + [torch.full((30,), math.nan)] * (10 - count), [-1] * 10)
        assert (drawn.own[0].item() == pytest.approx(math.log2(20))) == is_enough


@pytest.mark.parametrize(("bend", "reach"), [(0.002, 0.005), (0.08, 0.2), (0.5, 0.2)])
def test_a_network_moves_pitches_as_far_as_they_glide(bend, reach):
    drawn = DrawnPitches(40, 512, 128)
    drawn.bend.fill_(bend)
    assert drawn.reach.item() == pytest.approx(reach)


def test_a_label_without_a_pitch_is_returned_and_has_those_of_all():
    drawn, labels = DrawnPitches(40, 512, 128, labels=4), torch.arange(4).repeat(8)
    pitches = labelled_pitches(labels, 0.002, 1 / 12)
    pitches = [
        torch.full((10,), math.nan) if label == 2 else pitch for pitch, label in zip(pitches, labels, strict=True)
    ]
    assert drawn.measure(pitches, labels.tolist()) == [2]
    assert [row.any().item() for row in drawn.of_labels] == [True, True, False, True]


def test_a_model_from_before_labels_had_pitches_loads():
    old = DrawnPitches(40, 512, 128, labels=2)
    weights = {name: values for name, values in old.state_dict().items() if name != "of_labels"}
    drawn = DrawnPitches(40, 512, 128, labels=2)
    drawn.of_labels.fill_(1)
    drawn.load_state_dict(weights)
    assert not drawn.of_labels.any()


def test_a_clips_own_pitch_lies_between_two_quantiles():
    drawn = DrawnPitches(4, 512, 128)  # its quantiles are evenly spread
    numbers = torch.zeros(31, drawn.count)
    numbers[:, 0] = torch.linspace(-3, 3, 31)
    expected = math.log2(3) + torch.special.ndtr(numbers[:, 0]) * math.log2(8 / 3)
    torch.testing.assert_close(drawn(numbers), expected[:, None].expand(-1, 4), rtol=0, atol=1e-5)


def test_few_clips_with_a_pitch_leave_the_spread_and_are_told(caplog):
    drawn = DrawnPitches(40, 512, 128)
    before = drawn.own.clone()
    short = torch.full((30,), math.nan)
    short[:5] = 20
    assert drawn.measure([torch.full((30,), 20.0)] * 19 + [short] * 100, [0] * 119) == []
    assert torch.equal(drawn.own, before) and "of 119 clips 19 have a pitch, where 20 are needed" in caplog.text


@pytest.mark.parametrize("window", [512, 256])
def test_a_drawn_pitch_is_heard_and_the_network_moves_it_a_little(window: int):
    """Frames of 512 samples hold four to six periods, those of 256 two to three: the pitch is the same."""
    time = torch.arange(8192) / 512
    cycles = torch.linspace(4, 6, 40)[:, None, None]
    clips = torch.sin(2 * math.pi * cycles * time).sign() / 2
    generator = Generator(8192, dim=4, window=window, hop=128, pulses=True, drawn_pitch=True)
    generator.measure([clips])
    generator.measure_pitches(pitches_of((generator.mix @ clips)[:, 0], 512), [-1] * 40)
    assert generator.drawn_pitches and generator.pulses and generator.pitch
    assert generator.drawn_pitches.reach < 0.01, "of pitches that stay as they are"
    generator.drawn_pitches.bend.fill_(0.1)
    low, high = 2 ** generator.drawn_pitches.own[[0, -1]]
    assert low.item() == pytest.approx(4, rel=0.03) and high.item() == pytest.approx(6, rel=0.03)
    with torch.no_grad():  # a network of pulses alone
        level, real, imaginary, hiss, pulse = generator.head.bias[1:].view(5, -1)
        for part in (level, real, imaginary, hiss):
            part.zero_()
        pulse.fill_(3)
        generator.head.weight.zero_()
        generator.pitch.weight.zero_()
        generator.pitch.bias.zero_()
        inputs = [declared.draw(12, generator=torch.Generator().manual_seed(0)) for declared in generator.inputs]
        inputs[-1][:, 1:] = 0
        expected = 2 ** generator.drawn_pitches(inputs[-1])[:, 0]
        for moved, factor in ((0.0, 1), (50.0, 2**0.2)):
            generator.pitch.bias.fill_(moved)
            heard = pitches_of(generator(inputs[0], None, *inputs[1:])[:, 0], 512)
            medians = torch.stack([clip.nanmedian() for clip in heard])
            torch.testing.assert_close(medians, expected * factor, rtol=0.04, atol=0)


def test_a_gliding_pitch_is_heard_finer_than_in_steps_of_half_a_semitone():
    glide = 2 ** torch.linspace(2.2, 2.6, 8192, dtype=torch.float64)  # cycles a window, two fifths of an octave
    phases = 2 * math.pi * torch.stack([glide, 2 * glide]).cumsum(1) / 512
    harmonics = torch.arange(1, 6)[:, None, None]
    tones = ((harmonics * phases).cos() / harmonics).sum(0).float()
    low, high, none = pitches_of(torch.cat([tones, torch.zeros(1, 8192)]), 512)
    inner, places = slice(3, -3), torch.arange(33) * 256
    expected = glide[places.clamp(max=8191)][inner].float()
    torch.testing.assert_close(low[inner], expected, rtol=3e-3, atol=0)
    torch.testing.assert_close(high[inner], 2 * expected, rtol=3e-3, atol=0)
    assert none.isnan().all()


def test_a_high_pitch_of_a_short_unit_stays_where_no_lag_is_near():
    pitches = torch.tensor([[2.0, 27.0, 26.0]])  # of a unit of 64 samples the lag of 27 cycles is 2.4
    sine = torch.sin(2 * math.pi * 27 * torch.arange(64) / 64)[None]
    assert _peaks(sine, pitches, 64)[0, 1:].tolist() == [27, 26]
