"""Checks that impossible combinations are refused with the reason, and that those beside them are not."""

import re
from pathlib import Path

import pytest

from wavegan import recipe as recipes
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES
from wavegan.recipe.kinds import kinds_of
from wavegan.recipe.optimizers import OPTIMIZERS
from wavegan.recipe.schema import METHODS, GameSettings, Recipe

WAVEFORM = "discriminators.waveform"
SPECGAN = f"generator.name=specgan {WAVEFORM}.name=specgan"
TRANSLATION = "method.name=translation generator.name=translator data.source_b=b"
VAE = "method.name=vae generator.latent=normal discriminators=null encoder.name=wavegan"
SPECTRAL_VAE = "method.name=vae generator.name=specgan generator.latent=normal discriminators=null encoder.name=specgan"
FREE = "method.penalty=none method.objective=hinge"
MEL = "discriminators.mel.name=spectrogram discriminators.mel.view.name=log_mel"


@pytest.fixture
def faults(tmp_path: Path):
    """faults("key=value …") returns the sentences about a GAN that names its source, without their places."""
    path = tmp_path / "a.yaml"
    path.write_text("data: {source: a}\ndiscriminators: {waveform: {name: wavegan}}\n")

    def sentences(settings: str) -> list[str]:
        try:
            recipes.load(path, settings.split())
        except recipes.RecipeError as error:
            return [re.sub(r"^(command line: [^ ]+|[^ ]+): ", "", line) for line in str(error).splitlines()]
        return []

    return sentences


@pytest.mark.parametrize(
    "settings",
    [
        "",
        SPECGAN,
        f"{SPECGAN} generator.labels=3 generator.kernel_size=9",
        TRANSLATION,
        f"{TRANSLATION} data.test=c data.test_b=d method.cycle_weight=1",
        VAE,
        f"{SPECTRAL_VAE} generator.kernel_size=3",
        f"{VAE} method.reconstruction=multi_resolution_stft method.kl_weight=1 method.kl_warmup_steps=9",
        f"generator.name=mlp {WAVEFORM}.name=mlp {WAVEFORM}.dropout=0.3",
        f"generator.name=mlp {WAVEFORM}.dropout=0.3",
        "method.penalty=none method.weight_clip=0.01",
        f"{FREE} {WAVEFORM}.batch_norm=true",
        f"{FREE} optimizers.generator.name=sgd optimizers.generator.momentum=0.9",
        "method.objective=minimax method.label_smoothing=0.1 method.augment.name=noise method.augment.deviation=0.1",
        MEL,
        f"{MEL} {TRANSLATION}",
        f"{MEL} discriminators.waveform=null data.clip_samples=16384",
        f"{MEL} discriminators.mel.view.window=2048 discriminators.mel.view.hop=1024",
        f"{MEL} discriminators.mel.objective=hinge discriminators.mel.penalty=none",
        f"{MEL} discriminators.mel.penalty_weight=1 discriminators.mel.weight=0.5 discriminators.mel.optimizer.lr=1",
        f"method.penalty=none {WAVEFORM}.penalty=r1",
        "method.reuse_generated=true method.discriminator_steps=1 method.penalty_every=4 method.penalty_floor=0.1",
        "training.ema=0 training.ema_half_life=1e4 training.lr_decay=cosine training.lr_floor=0.02",
        "method.augment.name=adaptive method.augment.target=0.5 discriminators.waveform.penalty_every=16",
        f"{WAVEFORM}.batch_norm=true {WAVEFORM}.penalty=none {WAVEFORM}.objective=hinge",
        "data.channels=1 data.channel=2",
        "data.channels=2",
    ],
)
def test_what_goes_together(faults, settings):
    assert faults(settings) == []


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            f"{WAVEFORM}.batch_norm=true method.penalty=r1",
            f"{WAVEFORM}.batch_norm is true; it mixes the clips of a batch, but method.penalty: r1 needs each "
            "clip's own gradient; try false",
        ),
        (
            "method.objective=non_saturating method.penalty=none method.weight_clip=0.01",
            "method.weight_clip is 0.01; clipping bounds a Wasserstein distance, and method.objective: "
            "non_saturating is bounded without it; try null",
        ),
        (
            "method.weight_clip=0.01",
            "method.weight_clip is 0.01; method.penalty: gradient_penalty bounds the discriminator already; use "
            "one of the two; try method.penalty: none",
        ),
        (
            "data.channels=2 data.channel=1",
            "data.channel is 1; it takes one channel of each file, so the 2 of data.channels would all be the same; "
            "leave it out, or try data.channels: 1",
        ),
        (
            "method.penalty=none",
            "method.objective is wasserstein; its scores grow without limit unless a penalty or "
            "method.weight_clip bounds the gradient; try method.penalty: gradient_penalty with "
            "method.penalty_weight: 10",
        ),
        (
            "method.label_smoothing=0.1",
            "method.label_smoothing is 0.1; method.objective: wasserstein has no target to smooth, as minimax, "
            "non_saturating and least_squares have; try 0",
        ),
        (
            "generator.name=specgan",
            f"{WAVEFORM}.name is wavegan; wavegan sees a waveform, and generator.name: specgan gives a log "
            "spectrogram; try specgan",
        ),
        (
            f"{WAVEFORM}.name=specgan",
            f"{WAVEFORM}.name is specgan; specgan sees a log spectrogram, and generator.name: wavegan gives a "
            "waveform; try wavegan",
        ),
        (
            f"{SPECGAN} {MEL}",
            "discriminators.mel.name is spectrogram; spectrogram sees a spectrum, and generator.name: specgan gives a "
            "log spectrogram; try specgan",
        ),
        (
            f"{SPECGAN} generator.kernel_size=25",
            "generator.kernel_size is 25; it must be a whole number at least 3 and at most 9; try 9",
        ),
        (
            "generator.kernel_size=3",
            "generator.kernel_size is 3; it must be a whole number at least 5 and at most 65; try 5",
        ),
        (
            VAE.replace("normal", "uniform"),
            "generator.latent is uniform; a VAE's latents follow a normal distribution; try normal",
        ),
        (
            VAE.replace(" encoder.name=wavegan", ""),
            "encoder is missing; a VAE needs one; write encoder: {name: wavegan}",
        ),
        (
            VAE.replace("wavegan", "specgan"),
            "encoder.name is specgan; it does not see the waveform that generator.name: wavegan gives; try wavegan",
        ),
        (
            VAE.replace("discriminators=null", ""),
            "discriminators holds waveform; a VAE has none; write discriminators: null",
        ),
        ("encoder.name=mlp", "encoder is mlp; method.name is gan, and only a VAE has an encoder; leave it out"),
        (
            "discriminators=null",
            "discriminators is empty; method.name: gan needs one or more; write discriminators: {waveform: {name: "
            "wavegan}}",
        ),
        (
            "method.name=translation data.source_b=b",
            "generator.name is wavegan; method.name: translation is for translator; try translator",
        ),
        (
            "generator.name=translator",
            "generator.name is translator; method.name: gan is for wavegan, specgan, mlp or inverse_stft; try wavegan",
        ),
        (
            "method.name=translation generator.name=translator",
            "data.source_b is missing; a translation needs sound to translate to; add source_b: FOLDER below data:",
        ),
        (
            f"{TRANSLATION} data.test=c",
            "data.test is [c], and data.test_b is null; both sources must be split in the same way; name data.test_b "
            "too, or set data.test: null",
        ),
        (
            f"{SPECTRAL_VAE} method.reconstruction=multi_resolution_stft",
            "method.reconstruction is multi_resolution_stft; it is a distance of waveforms, and generator.name: "
            "specgan gives a log spectrogram; try l1",
        ),
        (
            "data.source_b=b",
            "data.source_b is [b]; method.name is gan, and only a translation has a second source; leave it out",
        ),
        (
            "method.reuse_generated=true",
            "method.reuse_generated is true; it needs one update per step, and method.discriminator_steps is 5; try "
            "method.discriminator_steps: 1",
        ),
        (
            "training.ema_half_life=10000",
            "training.ema_half_life is 10000.0; training.ema is 0.999, and only one of the two may set the "
            "average; set training.ema: 0",
        ),
        (
            f"{SPECGAN} method.augment.name=adaptive",
            "method.augment.name is adaptive; it changes waveforms, and generator.name: specgan gives a log "
            "spectrogram; try noise",
        ),
        (
            f"{SPECGAN} {WAVEFORM}.augment.name=adaptive",
            f"{WAVEFORM}.augment.name is adaptive; it changes waveforms, and generator.name: specgan gives a log "
            "spectrogram; try noise",
        ),
        (
            "data.holdout_ends=true",
            "data.holdout_ends is true; data.windows is first, so clips are starts of files, and ends sound otherwise; "
            "try data.windows: random, or leave it out",
        ),
        (
            "generator.name=inverse_stft generator.steady_pitch=true",
            "generator.steady_pitch is true; generator.pulses is false, so there is no pitch; try generator.pulses: "
            "true",
        ),
        (
            "generator.name=inverse_stft generator.drawn_pitch=true",
            "generator.drawn_pitch is true; generator.pulses is false, so there is no pitch; try generator.pulses: "
            "true",
        ),
        (
            "generator.name=inverse_stft generator.filtered_pulses=true",
            "generator.filtered_pulses is true; generator.pulses is false, so there is no pitch; try generator.pulses: "
            "true",
        ),
        (
            "generator.name=inverse_stft generator.pulses=true generator.filtered_pulses=true "
            "generator.tuned_bins=true",
            "generator.tuned_bins and filtered_pulses are true; there are no steady sines to tune; leave out one",
        ),
        (
            "generator.name=inverse_stft generator.pulses=true generator.drawn_pitch=true generator.steady_pitch=true",
            "generator.drawn_pitch and steady_pitch are true; a drawn pitch is steady; leave out one",
        ),
        (
            "training.lr_floor=0.02",
            "training.lr_floor is 0.02; training.lr_decay is none, so no rate falls; try training.lr_decay: cosine",
        ),
        (
            "method.augment.name=adaptive method.augment.probability=0.9",
            "method.augment.probability is 0.9; it must be a number at least 0 and at most 0.8; try 0.8",
        ),
        (
            f"{TRANSLATION} data.clip_samples=16001",
            f"data.clip_samples is 16001; {WAVEFORM}.name: wavegan is for 4096, 8192, 16384, 32768 or 65536; try 16384 "
            "(1.02 s at 16 kHz)",
        ),
    ],
)
def test_what_does_not(faults, settings, sentence):
    assert faults(settings) == [sentence]


def test_every_objective_goes_with_every_penalty(faults):
    refused = [
        (objective, penalty, where)
        for objective in OBJECTIVES
        for penalty in PENALTIES
        for where in ("method", WAVEFORM)
        if faults(f"{where}.objective={objective} {where}.penalty={penalty}")
    ]
    assert refused == []


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            "discriminators.mel.batch_norm=true discriminators.mel.name=wavegan method.objective=hinge",
            "discriminators.mel.batch_norm is true; it mixes the clips of a batch, but method.penalty: "
            "gradient_penalty needs each clip's own gradient; try false",
        ),
        (
            "discriminators.mel.batch_norm=true discriminators.mel.penalty=r2 discriminators.mel.objective=hinge "
            f"{FREE}",
            "discriminators.mel.batch_norm is true; it mixes the clips of a batch, but discriminators.mel.penalty: r2 "
            "needs each clip's own gradient; try false",
        ),
        (
            f"{FREE} discriminators.mel.objective=wasserstein",
            "discriminators.mel.objective is wasserstein; its scores grow without limit unless a penalty "
            "or method.weight_clip bounds the gradient; try method.penalty: gradient_penalty with "
            "method.penalty_weight: 10",
        ),
        (
            "discriminators.mel.penalty=none",
            "method.objective is wasserstein; its scores grow without limit unless a penalty or "
            "method.weight_clip bounds the gradient; try discriminators.mel.penalty: gradient_penalty with "
            "method.penalty_weight: 10",
        ),
        (
            "discriminators.mel.penalty_weight=0",
            "method.objective is wasserstein; its scores grow without limit unless a penalty or "
            "method.weight_clip bounds the gradient; try method.penalty: gradient_penalty with "
            "discriminators.mel.penalty_weight: 10",
        ),
        (
            "method.penalty=none method.weight_clip=0.01 discriminators.mel.objective=hinge",
            "method.weight_clip is 0.01; clipping bounds a Wasserstein distance, and "
            "discriminators.mel.objective: hinge is bounded without it; try null",
        ),
        (
            "method.objective=minimax method.label_smoothing=0.1 discriminators.mel.objective=hinge",
            "method.label_smoothing is 0.1; discriminators.mel.objective: hinge has no target to smooth, as minimax, "
            "non_saturating and least_squares have; try 0",
        ),
    ],
)
def test_a_discriminators_own_settings_count_in_place_of_the_methods(faults, settings, sentence):
    assert faults(f"discriminators.mel.name=wavegan {settings}") == [sentence]


@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        ("view.window=1023", "view.window is 1023; it must be even and 4 samples or more; try 1022"),
        ("view.hop=600", "view.hop is 600; it must be between 1 and half of the window of 1024; try 256"),
        (
            "view.bands=200 view.window=256 view.hop=64",
            "view.bands is 200; with a window of 256 samples at 16000 Hz, 48 of them would hold no bin; "
            "try bands=95 or a longer window",
        ),
        ("view.floor_db=-10", "view.floor_db is -10; it must be a number at least -120 and at most -20; try -20"),
    ],
)
def test_a_views_faults_are_told_in_the_words_of_its_class(faults, view, sentence):
    settings = " ".join(f"discriminators.mel.{setting}" for setting in view.split())
    assert faults(f"{MEL} {settings}") == [f"discriminators.mel.{sentence}"]


def test_a_length_that_does_not_fit_hides_no_view_that_does_not(faults):
    told = faults(f"{MEL} data.clip_samples=20000 discriminators.mel.view.window=1023")
    assert [line.partition(" is ")[0] for line in told] == ["data.clip_samples", "discriminators.mel.view.window"]


def test_wrong_values_in_one_discriminator_hide_nothing_in_another(faults):
    wrong = "discriminators.a.name=wavegan discriminators.a.dim=0 discriminators.b.name=wavgan discriminators.c=3"
    wrong += " discriminators.d.name=spectrogram"
    told = faults(f"{wrong} {MEL} discriminators.mel.view.window=1023 {WAVEFORM}.batch_norm=true")
    keys = [re.split(" is | has ", line)[0] for line in told]
    assert keys == [
        "discriminators.a.dim", "discriminators.b.name", "discriminators.c", "discriminators.d.view",
        "discriminators.mel.view.window", f"{WAVEFORM}.batch_norm",
    ]  # fmt: skip


def test_nothing_is_said_of_what_a_wrong_value_might_have_made_right(faults):
    (told,) = faults("method.penalty=none discriminators.waveform.objective=hnge")
    assert told.startswith("discriminators.waveform.objective is hnge; ")
    (told,) = faults("discriminators.waveform.name=wavgan")
    assert told.startswith("discriminators.waveform.name is wavgan; "), "not that there is no discriminator"
    (told,) = faults(f"{MEL} discriminators.mel.view.window=x discriminators.mel.view.bands=500")
    assert told.startswith("discriminators.mel.view.window is x; ")


@pytest.mark.parametrize(
    ("settings", "key", "answer"),
    [
        (
            "generator.name=mlp generator.upsample=nearest",
            "generator.upsample",
            "mlp has no such key, but wavegan and specgan have it",
        ),
        (
            "discriminators.waveform.name=mlp discriminators.waveform.phase_shuffle.radius=1",
            "discriminators.waveform.phase_shuffle",
            "mlp has no such key, but wavegan has it",
        ),
        (
            f"{VAE} method.discriminator_steps=2",
            "method.discriminator_steps",
            "vae has no such key, but gan and translation have it",
        ),
        (f"{VAE} encoder.phase_shuffle.radius=2", "encoder.phase_shuffle", None),
        (
            f"{TRANSLATION} generator.labels=2",
            "generator.labels",
            "translator has no such key, but wavegan, specgan, mlp and inverse_stft have it",
        ),
        ("method.cycle_weight=1", "method.cycle_weight", "gan has no such key, but translation has it"),
        ("method.reconstruction=l1", "method.reconstruction", "gan has no such key, but vae has it"),
        ("generator.blocks=1", "generator.blocks", "wavegan has no such key, but translator has it"),
        ("generator.clip_deviations=2", "generator.clip_deviations", "wavegan has no such key, but specgan has it"),
        (
            "optimizers.discriminator.momentum=0.9",
            "optimizers.discriminator.momentum",
            "adam has no such key, but muon, rmsprop and sgd have it",
        ),
        (
            "discriminators.waveform.optimizer.decay=0.9",
            "discriminators.waveform.optimizer.decay",
            "adam has no such key, but rmsprop has it",
        ),
        (
            f"{MEL} discriminators.mel.view.power=0.5",
            "discriminators.mel.view.power",
            "log_mel has no such key, but complex has it",
        ),
    ],
)
def test_a_key_that_does_not_apply_is_answered_with_the_kinds_that_have_it(faults, settings, key, answer):
    (told,) = faults(settings)
    if answer is None:  # no encoder has it
        assert told.startswith(f"unknown key {key}; ")
    else:
        section = key.rpartition(".")[0]
        assert told.startswith(f"{key} does not apply: {answer}; leave it out, or take {section}.name: ")


@pytest.mark.parametrize("section", ["generator", "method", "optimizers.generator"])
def test_each_key_of_each_kind_either_exists_or_is_answered_by_those_who_have_it(faults, section):
    """Checks that no key is accepted without an effect."""
    tables = {
        "generator": kinds_of(Recipe.model_fields["generator"].annotation),
        "method": METHODS,
        "optimizers.generator": OPTIMIZERS,
    }
    kinds = tables[section]
    every_key = {key for kind in kinds.values() for key in kind.model_fields}
    assert len(kinds) > 2 and len(every_key) > 5
    for name, kind in kinds.items():
        for key in every_key - kind.model_fields.keys():
            told = faults(f"{section}.name={name} {section}.{key}=1")
            fault = f"{section}.{key} does not apply: {name} has no such key, but "
            assert any(line.startswith(fault) for line in told)


def test_methods_with_discriminators_are_those_of_the_game():
    assert {name for name, kind in METHODS.items() if issubclass(kind, GameSettings)} == {"gan", "translation"}


def test_a_view_of_spectra_before_a_discriminator_of_waveforms_is_answered_with_those_that_see_spectra(faults):
    (told,) = faults("discriminators.waveform.view.name=log_mel")
    assert "discriminators.waveform.view is" in told and "it must be null, or named waveform or low_rate" in told
    assert told.endswith(
        "log_mel shows spectra, which spectrogram, tiled_spectrum, tiled_texture and mean_spectrum see"
    )


def test_a_low_rate_view_is_not_for_a_discriminator_of_fixed_lengths(faults):
    (told,) = faults("discriminators.waveform.view.name=low_rate")
    assert "discriminators.waveform.view.name is low_rate; discriminators.waveform.name: wavegan is for 4096" in told
    assert told.endswith("try name: tiled_waveform")


SPECTRA = "generator.name=inverse_stft"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("generator.hop=100", "generator.window is 512 and hop 100; .*; try window=400"),
        ("generator.window=129", "generator.window is 129 and hop 128; .*; try window=512"),
        ("generator.window=128", "generator.window is 128 and hop 128; .*; try window=512"),
        ("data.clip_samples=100", "data.clip_samples is 100; generator.window is 512, .*; try 512"),
        ("generator.long_frames=1", "generator.long_frames is 1; it must be 0, or from 2 to 16; try 4"),
        (
            "generator.long_frames=9 data.clip_samples=4096",
            "generator.long_frames is 9; a window of 9 times 512 samples is longer than a clip; try 8",
        ),
        (
            "generator.long_frames=2 data.clip_samples=1000",
            "generator.long_frames is 2; a window of 2 times 512 samples is longer than a clip; try 0",
        ),
    ],
)
def test_a_generator_of_spectra_has_a_window_of_several_hops_in_a_clip(faults, settings, told):
    words = f"{SPECTRA} {settings} discriminators.waveform.name=tiled_waveform"
    (sentence,) = faults(words)
    assert re.fullmatch(told, sentence)
