"""The generator of spectra: shapes, bounds, what its inputs move, and where it starts."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from small_generators import clips_of, drawn, long_part, small

from wavegan.dsp.channels import channel_mix
from wavegan.dsp.frames import framed, inverse_real_transform, real_transform
from wavegan.models.drops import noise_spectra
from wavegan.models.pulses import Pulses
from wavegan.models.spectral_frames import LOUDEST
from wavegan.models.spectral_head import LEAST_SLOPE, Spectra, hiss_factors, levels_below
from wavegan.models.stages import stretched, whole_stages


@pytest.mark.parametrize("clip_samples", [100, 4096, 5000, 16384, 65536])
@pytest.mark.parametrize(("window", "hop", "long_frames"), [(512, 128, 0), (256, 128, 3), (96, 24, 4)])
def test_any_length_is_made_and_heard_to_its_end(clip_samples, window, hop, long_frames):
    generator = small(clip_samples, window=window, hop=hop, long_frames=long_frames)
    clips = clips_of(generator, drawn(generator))
    assert clips.shape == (2, 1, clip_samples) and clips.dtype == torch.float32
    for part in [clips, *([long_part(generator, drawn(generator))] if long_frames else [])]:
        loudness = part.unfold(-1, min(clip_samples, 50), min(clip_samples, 50)).square().mean(-1)
        assert loudness.min() > 0.02 * loudness.mean(), "some part of the clip is not reached by the frames"


def test_frames_double_from_about_sixteen():
    assert [stage.length for stage in whole_stages(128)] == [16, 32, 64, 128, 128]
    assert [stage.length for stage in whole_stages(512)] == [16, 32, 64, 128, 256, 512, 512]
    assert [stage.length for stage in whole_stages(32)] == [16, 32, 32]


@pytest.mark.parametrize(("before", "after"), [(16, 32), (15, 30), (20, 39), (7, 7), (1, 3)])
def test_frames_are_stretched_as_by_torch(before, after):
    x = torch.randn(2, 3, before, dtype=torch.float64).requires_grad_()
    torch.testing.assert_close(stretched(x, after), F.interpolate(x, size=after, mode="linear"))
    d = torch.randn(2, 3, after, dtype=torch.float64)
    slopes = [torch.autograd.grad(y, x, d)[0] for y in (stretched(x, after), F.interpolate(x, after, mode="linear"))]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_channels_are_mixed_without_loss(channels):
    mix = channel_mix(channels)
    torch.testing.assert_close(mix @ mix.t(), torch.eye(channels), rtol=0, atol=1e-6)
    torch.testing.assert_close(mix[0], torch.full((channels,), channels**-0.5))
    generator = small(channels=channels)
    assert clips_of(generator, drawn(generator)).shape == (2, channels, 4096)


def test_two_channels_are_mid_and_side():
    generator = small(channels=2)
    with torch.no_grad():
        generator.start_levels[1] = -20  # the side is silent
    left, right = clips_of(generator, drawn(generator)).unbind(1)
    torch.testing.assert_close(left, right, rtol=0, atol=1e-5)
    assert left.abs().max() > 1e-3


def test_a_fresh_network_has_as_much_hiss_as_asked_for():
    """A clip moves with the hiss, relative to its size, as the share says: from nearly none to most of it."""
    moved = []
    for start_share in (0.0, 0.1, 0.3, 1.0):
        generator = small(dim=128, start_share=start_share)
        inputs, others = drawn(generator, 8), drawn(generator, 8, seed=1)
        clips, changed = clips_of(generator, inputs), clips_of(generator, [*inputs[:-1], others[-1]])
        moved.append(((changed - clips).square().mean() / clips.square().mean()).item())
    assert moved == sorted(moved) and moved[1] < 0.5 * moved[2] < 0.5 * moved[3] and moved[3] > 0.5, moved


@pytest.mark.parametrize("pulses", [False, True])
@pytest.mark.parametrize("place", range(4))
def test_every_input_moves_the_clip(place, pulses):
    generator = small(pulses=pulses)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("last.weight"):  # at the start blocks add nothing
                parameter.normal_(std=0.1)
    inputs = drawn(generator)
    assert len(inputs) == 5 and inputs[-1].shape == (2, 1, 31 * 128 + 512)
    moved = list(inputs)
    moved[place] = drawn(generator, seed=1)[place]
    first, second = (clips_of(generator, given) for given in (inputs, moved))
    assert (first - second).abs().max() > 1e-4
    assert torch.equal(first, clips_of(generator, inputs)), "nothing else is random"


def test_local_latents_move_their_own_part_of_the_clip():
    """Blocks add nothing at the start. So a part reaches the middles of its neighbours, and the length of a window."""
    generator = small(16384, local_latents=3)
    inputs = drawn(generator)
    assert inputs[0].shape == (2, 4 + 3 * 4), "parts of 256 ms"
    moved = [inputs[0].clone(), *inputs[1:]]
    moved[0][:, 4 + 3 : 4 + 2 * 3] += 1
    change = (clips_of(generator, inputs) - clips_of(generator, moved)).square().mean((0, 1))
    near = slice(2048 - 1024, 4096 + 4096 + 2048 + 1024)  # places, of 1,024 samples, are interpolated as well
    assert change[near].sum() > 0 and (change[near].sum() / change.sum()).item() > 0.999
    assert change[4096:8192].mean() > change[near].mean()
    shared = [inputs[0].clone(), *inputs[1:]]
    shared[0][:, :4] += 1
    change = (clips_of(generator, inputs) - clips_of(generator, shared)).square().mean((0, 1))
    assert change[: near.start].sum() > 0 and change[near.stop :].sum() > 0
    assert small().inputs[0].shape == (4,)


def test_local_latents_of_an_unbounded_clip_move_64_ms():
    """Blocks add nothing at the start. So a part reaches the middles of its neighbours, and the length of a window."""
    generator = small(16384, local_latents=3, unbounded=True)
    inputs = drawn(generator)
    assert inputs[0].shape == (2, 4 + 3 * 37), "parts of 64 ms, 17 in the clip and its edges and 10 more on either side"
    moved = [inputs[0].clone(), *inputs[1:]]
    moved[0][:, 4 + 14 * 3 : 4 + 15 * 3] += 1  # the fifth that begins in the clip or its edge
    change = (clips_of(generator, inputs) - clips_of(generator, moved)).square().mean((0, 1))
    begin = 4 * 1024 - 512
    near = slice(begin - 1024 - 1024, begin + 1024 + 1024 + 1024)
    assert change[near].sum() > 0 and (change[near].sum() / change.sum()).item() > 0.999
    assert change[begin : begin + 1024].mean() > 1.5 * change[near].mean()
    assert small(4096, unbounded=True).inputs[0].shape == (4,)


def test_a_generator_of_any_length_measures_the_sound_as_others_do():
    sound = torch.randn(6, 1, 5000, generator=torch.Generator().manual_seed(3)).cumsum(2) / 50
    plain, unbounded = (small(5000, tuned_bins=True, long_frames=2, unbounded=is_so) for is_so in (False, True))
    for generator in (plain, unbounded):
        generator.measure([sound[:2], sound[2:]])
    for first, second in zip(plain.sets_of_frames, unbounded.sets_of_frames, strict=True):
        for name in ("start_levels", "bounds", "advances"):
            assert torch.equal(getattr(first, name), getattr(second, name)), name


def test_labels_move_the_clip():
    generator, inputs = small(labels=3), drawn(small(labels=3))
    first, second = (clips_of(generator, inputs, torch.eye(3)[rows]) for rows in ([0, 0], [1, 2]))
    assert (first - second).abs().amax((1, 2)).min() > 1e-4


def test_no_bin_is_louder_than_the_bound_whatever_the_weights():
    generator = small(labels=0)
    maps = torch.randn(2, 1, 32, 1 + 4 * 257, generator=torch.Generator().manual_seed(1)) * 100
    without_hiss = torch.zeros(2, 1, 32, 257, 2)
    magnitudes = generator.spectra(maps, without_hiss).square().sum(-1).sqrt()
    assert magnitudes.max() <= math.exp(LOUDEST) + 1e-4 and magnitudes.max() > 1
    shares = generator.spectra(maps, torch.ones_like(without_hiss)) - generator.spectra(maps, without_hiss)
    assert shares.abs().max() <= math.exp(LOUDEST) + 1e-4


def test_the_gradient_of_the_head_is_that_of_differences():
    source = torch.Generator().manual_seed(0)
    maps, levels, hiss, pulses, angles = (
        torch.randn(*shape, dtype=torch.float64, generator=source)
        for shape in ((2, 2, 3, 1 + 5 * 5), (2, 5), (2, 2, 3, 5, 2), (2, 1, 3, 5, 2), (3, 5))
    )
    turn, maps = torch.stack([angles.cos(), angles.sin()]), maps / 4 - 1  # below the bound
    for given in ((maps[..., :-5], hiss), (maps, hiss, pulses)):
        assert torch.autograd.gradcheck(
            lambda maps, *sources: Spectra.apply(maps, *levels_below(maps, levels - 3, levels / 4), turn, *sources),
            tuple(tensor.clone().requires_grad_() for tensor in given),
        )
    assert torch.autograd.gradcheck(  # numbers that filter pulses, in two channels
        lambda maps, pulses, hiss: Spectra.apply(
            maps, *levels_below(maps, levels - 3, levels / 4), pulses.movedim(-1, 0), hiss
        ),
        tuple(tensor.clone().requires_grad_() for tensor in (maps[..., :-5], pulses, hiss)),
    )


def test_broad_hiss_is_no_louder_than_the_mean_level_around():
    """Takes a partial of 4 nepers above its neighbours in bin 40, and a hole of as much in bin 80."""
    maps = torch.zeros(1, 1, 32, 1 + 4 * 257)
    level, share = maps[..., 1:258], maps[..., 772:]
    level[:], share[:] = -8, 1
    level[..., 40] += 4
    level[..., 80] -= 4
    level[..., 256] += 4  # of whose neighbours four are there
    white = torch.ones(1, 1, 32, 257, 2)
    broad, plain = (small(broad_hiss=is_broad).spectra(maps, white)[0, 0, 5, :, 0] for is_broad in (True, False))
    falls = (plain / broad).log()
    assert falls[[40, 256]].tolist() == pytest.approx([4 * 8 / 9, 4 * 4 / 5], rel=5e-3)
    assert falls[[76, 80, 84]].tolist() == pytest.approx([4 / 9, 0, 4 / 9], abs=1e-3)
    assert falls[:76].sum() == pytest.approx(falls[40].item(), rel=1e-2) and falls.min() >= 0


@pytest.mark.parametrize("broad_hiss", [False, True])
def test_panned_hiss_may_lie_on_one_side_alone(broad_hiss):
    """Mid takes its own noise, and side as much of the same: mid and side of a sound on the left are equal."""
    generator = small(channels=2, panned_hiss=True, broad_hiss=broad_hiss)
    maps = generator.head.bias.detach().view(1, 2, 1, -1).repeat(1, 1, 32, 1)
    level, real, imaginary, own, other = maps[..., 1:].unflatten(-1, (-1, 257)).unbind(-2)
    for part in (level, real, imaginary, own, other):
        part.zero_()
    own[:, 0], other[:, 1] = 9, 9
    hiss = torch.randn(1, 2, 32, 257, 2, generator=torch.Generator().manual_seed(6))
    mid, side = generator.spectra(maps, hiss, hiss.roll(1, dims=1))[0]
    assert torch.equal(mid, side) and mid.abs().mean() > 0.1
    left, right = generator.mix.t() @ torch.stack([mid.flatten(), side.flatten()])
    assert right.abs().max() < 1e-6 * left.abs().max()


def test_panned_hiss_begins_in_no_place_and_needs_two_channels():
    plain, panned = (small(channels=2, panned_hiss=is_panned, labels=2) for is_panned in (False, True))
    shares = panned.head.bias.detach().view(2, -1)[:, 1:].unflatten(1, (-1, 257))[:, 3:]
    assert (shares[:, 0] == 0.3).all() and not shares[:, 1].any()
    assert small(panned_hiss=True).head.bias.shape == small().head.bias.shape
    assert len(panned.head.bias) - len(plain.head.bias) == 2 * 257


def test_the_noise_of_a_mixed_channel_reaches_the_other_where_hiss_is_panned():
    """Side alone has noise of mid in it, so with that noise negated, side is another one."""
    for is_panned in (False, True):
        generator = small(channels=2, panned_hiss=is_panned)
        with torch.no_grad():
            generator.head.bias.view(2, -1)[:, 1 + 3 * 257 :] = 1.0
            inputs = drawn(generator)
            white = inputs[-1] * torch.tensor([[-1.0], [1.0]])
            sides = [
                (generator.mix @ clips_of(generator, [*inputs[:-1], noise]))[:, 1] for noise in (inputs[-1], white)
            ]
        assert torch.allclose(sides[0], sides[1], atol=1e-5) != is_panned


def test_broad_hiss_leaves_all_else_and_passes_the_gradient_of_its_share():
    generator, source = small(broad_hiss=True), torch.Generator().manual_seed(5)
    maps = torch.randn(2, 1, 32, 1 + 4 * 257, generator=source).requires_grad_()
    hiss, silence = torch.randn(2, 1, 32, 257, 2, generator=source), torch.zeros(2, 1, 32, 257, 2)
    assert torch.equal(generator.spectra(maps, silence), small().spectra(maps, silence))
    factor = hiss_factors(levels_below(maps, generator.start_levels, generator.bounds)[1])
    expected = small().spectra(maps, hiss * factor[..., None])
    assert torch.equal(generator.spectra(maps, hiss), expected) and 0 < factor.min() < 0.5 and factor.max() == 1
    weights = torch.randn(expected.shape, generator=source)
    (slope,) = torch.autograd.grad((generator.spectra(maps, hiss) * weights).sum(), maps)
    (constant,) = torch.autograd.grad((expected * weights).sum(), maps)
    assert torch.equal(slope, constant) and slope[..., 772:].abs().mean() > 1e-3


def test_a_bin_far_beyond_the_bound_can_come_back_and_is_not_driven_further():
    maps = torch.zeros(1, 1, 1, 1 + 4)
    maps[..., 1:3] = torch.tensor([LOUDEST + 30, 1.0])
    turn = torch.tensor([[[1.0]], [[0.0]]])
    below = levels_below(maps, torch.zeros(1, 1), torch.full((1, 1), LOUDEST))
    hiss = torch.zeros(1, 1, 1, 1, 2)
    maps.requires_grad_()
    for sign in (1, -1):
        (slope,) = torch.autograd.grad(sign * Spectra.apply(maps, *below, turn, hiss)[..., 0].sum(), maps)
        loud = math.exp(LOUDEST) / 2**0.5
        assert slope[..., 1].item() == pytest.approx(LEAST_SLOPE * loud if sign > 0 else 0, rel=1e-4, abs=1e-6)


def test_the_loudness_of_a_frame_moves_all_its_bins_alike():
    generator = small()
    maps = torch.zeros(1, 1, 32, 1 + 4 * 257)
    maps[..., 1 : 1 + 257] = -8  # far below the bound, where levels are what they say
    maps[..., 258:515] = 0.5
    softer = maps.clone()
    softer[:, :, 3, 0] = -0.25
    silence = torch.zeros(1, 1, 32, 257, 2)
    change = generator.spectra(softer, silence).norm(dim=-1) / generator.spectra(maps, silence).norm(dim=-1)
    torch.testing.assert_close(change[0, 0, 3], torch.full((257,), math.exp(-1)), rtol=1e-2, atol=0)
    assert torch.equal(change[0, 0, [2, 4]], torch.ones(2, 257))


def test_a_constant_number_is_a_steady_sine_in_the_middle_of_its_bin():
    """The phase that it gathers from frame to frame is added: the network says the same in every frame."""
    generator = small()
    maps = torch.zeros(1, 1, 32, 1 + 4 * 257)
    level, real = maps[..., 1:258], maps[..., 258:515]
    level[:] = -30
    level[..., 40], real[..., 40] = -3, 1
    clip = generator.synthesized(generator.spectra(maps, torch.zeros(1, 1, 32, 257, 2)))[0, 0]
    middle = clip[600:-600]
    wave = torch.exp(-2j * math.pi * 40 / 512 * torch.arange(len(middle)))
    amplitude = 2 * (middle * wave).mean().abs()
    assert (middle.square().mean() - amplitude**2 / 2) < 1e-3 * middle.square().mean(), "it is no pure sine"


def test_clips_come_back_from_their_own_spectra():
    generator = small()
    clips = torch.randn(2, 1, 4096, generator=torch.Generator().manual_seed(3)) * 0.1
    frames = framed(generator.padded(clips), window=512, hop=128) * torch.hann_window(512)
    torch.testing.assert_close(
        generator.synthesized(real_transform(frames) / 128)[..., 200:-200], clips[..., 200:-200], rtol=1e-4, atol=1e-5
    )


def test_the_hiss_is_as_loud_in_every_bin():
    noise = torch.randn(16, 1, 31 * 128 + 512, generator=torch.Generator().manual_seed(4))
    power = noise_spectra(framed(noise, window=512, hop=128))
    mean = power.square().sum(-1).mean((0, 1, 2))[1:-1]
    torch.testing.assert_close(mean, torch.full_like(mean, 2.0), rtol=0.35, atol=0)
    assert mean.mean().item() == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("pitch", [-1.0, 0.0, 0.8])
def test_pulses_are_as_loud_as_the_hiss_whatever_their_pitch(pitch):
    power = Pulses(512, 128)(torch.linspace(pitch, pitch + 0.3, 64).expand(2, 64)).square().sum(-1)
    assert power[..., 1:200].mean().item() == pytest.approx(2, rel=0.15)


def test_the_harmonics_of_pulses_hold_together():
    """A filter that lets all through makes a train of pulses: one every pitch, all alike."""
    generator, pulses = small(pulses=True), Pulses(512, 128)
    clip = generator.synthesized(pulses(torch.zeros(1, 32)))[0, 0, 512:-512]
    period = 512 / 8  # the middle of 2 to 32 cycles a window
    tops = (clip > 0.5 * clip.max()).nonzero()[:, 0]
    starts = tops[torch.cat([torch.tensor([True]), tops.diff() > 8])]
    assert len(starts) > 40 and ((starts.diff() - period).abs() <= 1).all()
    assert clip.max() > 4 * clip.square().mean().sqrt(), "it is no noise"


def test_a_phase_of_zero_in_the_middle_of_a_frame_is_a_pulse_there():
    frames = inverse_real_transform(Pulses(512, 128)(torch.full((1, 3), 0.7)))
    assert frames[0, 0, 0].argmax().item() == 256, "the first frame begins with a phase of 0 in its middle"


def test_a_glide_of_the_pitch_has_no_jump_where_frames_meet():
    """The phase in the middle of each frame is the integral of the pitch: neighbours agree on what they share."""
    pulses, pitches = Pulses(512, 128), torch.linspace(-0.5, 0.5, 64)[None]
    cycles = 2 / 512 * torch.exp2(4 * torch.sigmoid(pitches))
    middles, between = pulses._middles(cycles), (cycles[:, 1:] + cycles[:, :-1]) / 2
    ahead = (middles.diff(dim=1) - between * 128 + 0.5).remainder(1) - 0.5
    assert ahead.abs().max() < 1e-4


def test_the_pitch_moves_its_own_frame_alone_and_teaches_the_blocks_nothing():
    pulses, pitches = Pulses(512, 128), torch.zeros(1, 8, requires_grad=True)
    pulses(pitches)[:, :, 3].square()[..., 10:30, :].sum().backward()
    assert pitches.grad is not None and (pitches.grad[0] != 0).nonzero().flatten().tolist() == [3]
    generator = small(pulses=True)
    with torch.no_grad():
        generator.head.weight.zero_()  # so that the maps say nothing of the latent
    clips_of(generator, drawn(generator)).square().sum().backward()
    assert generator.pitch is not None and generator.pitch.weight.grad is not None
    assert generator.pitch.weight.grad.abs().max() > 0 and generator.start.weight.grad is not None
    assert generator.start.weight.grad.abs().max() == 0


def test_it_starts_from_the_levels_of_the_sound():
    generator = small()
    noise = torch.randn(8, 1, 4096, generator=torch.Generator().manual_seed(5))
    generator.measure(iter([noise[:4], noise[4:]]))
    softer = copy.deepcopy(generator)
    softer.measure([noise / 10])
    loud, soft = (clips_of(network, drawn(network, 8)).square().mean().sqrt().item() for network in (generator, softer))
    assert loud / soft == pytest.approx(10, rel=0.1) and 0.2 < loud < 2
    assert {"start_levels", "bounds", "peaks_are_one"} <= generator.state_dict().keys()


def test_a_bin_may_be_as_loud_as_in_the_sound_and_a_little_more():
    generator, tone = small(), torch.sin(2 * math.pi * 40 / 512 * torch.arange(4096.0))[None, None]
    generator.measure([0.1 * tone, 0.3 * tone])
    assert generator.bounds[0, 40].item() == pytest.approx(math.log(0.3) + 0.5, abs=0.01)
    assert generator.bounds[0, 100] < -6 and not generator.peaks_are_one
    generator.measure([tone])
    assert generator.peaks_are_one


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("pulses", "long_frames"), [(False, 0), (True, 4)])
@pytest.mark.parametrize("unbounded", [False, True])
def test_gradients_reach_every_weight(pulses, long_frames, channels, unbounded):
    forms = {"long_frames": long_frames, "local_latents": 2, "unbounded": unbounded}
    generator = small(labels=2, pulses=pulses, channels=channels, **forms)
    clips_of(generator, drawn(generator), torch.eye(2)).square().sum().backward()
    for name, parameter in generator.named_parameters():
        is_first = ".first." in name or ".modulation." in name or name.endswith("gain")  # their block adds nothing yet
        assert parameter.grad is not None and (is_first or parameter.grad.abs().max() > 0), name


@pytest.mark.filterwarnings("ignore")  # the exporter's own
@pytest.mark.parametrize(("pulses", "long_frames"), [(False, 0), (True, 3)])
def test_an_export_has_no_complex_numbers_and_makes_the_same_clips(pulses, long_frames):
    generator = small(labels=2, pulses=pulses, long_frames=long_frames).eval()
    z, *noise = drawn(generator)
    given = (z, torch.eye(2), *noise)
    with torch.no_grad():
        program = torch.export.export(generator, given)
        torch.testing.assert_close(program.module()(*given), generator(*given), rtol=1e-4, atol=1e-5)
    nodes = [node for node in program.graph.nodes if node.op == "call_function"]
    operations = {str(node.target) for node in nodes}
    assert not any("fft" in name or "complex" in name for name in operations), sorted(operations)
    values = [node.meta.get("val") for node in nodes]
    assert len(nodes) > 20 and not any(value.is_complex() for value in values if isinstance(value, torch.Tensor))


@pytest.mark.parametrize(("window", "hop"), [(512, 100), (128, 128), (15, 5)])
def test_a_window_that_does_not_fit_is_refused(window, hop):
    with pytest.raises(ValueError, match=f"window is {window} and hop {hop}; .*; try window={4 * hop}"):
        small(window=window, hop=hop)
