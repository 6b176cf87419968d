"""Tests the rules of the recipe's language: how recipes are laid over each other, and words of the command line."""

from itertools import permutations
from pathlib import Path

import pytest

from wavegan import recipe as recipes
from wavegan.errors import RecipeError
from wavegan.recipe.yaml_text import value_on_the_command_line

SOURCE = "data: {source: drums}\n"
JUDGES = """\
discriminators:
  waveform: {name: wavegan, dim: 8, kernel_size: 9}
  mel: {name: spectrogram, dim: 8, view: {name: log_mel, bands: 40}, optimizer: {name: sgd, momentum: 0.5}}
  fine: {name: spectrogram, dim: 8, view: {name: complex, power: 0.5, window: 256}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Makes every test work in an empty folder, so that messages have short paths."""
    monkeypatch.chdir(tmp_path)


def load(text: str, *overrides: str) -> recipes.Recipe:
    Path("a.yaml").write_text(text)
    return recipes.load("a.yaml", overrides)


def problems(text: str, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load(text, *overrides)
    return str(caught.value).split("\n")


def judges(*overrides: str) -> dict:
    return load(SOURCE + JUDGES, *overrides).discriminators


def over(above: str) -> recipes.Recipe:
    """Loads these lines over a recipe with three discriminators."""
    Path("base.yaml").write_text(SOURCE + JUDGES + "generator: {name: wavegan, dim: 8, kernel_size: 9}\n")
    return load(f"include: base.yaml\n{above}")


def test_sections_of_the_same_kind_merge():
    recipe = over("discriminators: {mel: {name: spectrogram, dim: 4, view: {hop: 64}}}\ngenerator: {dim: 4}")
    mel = recipe.discriminators["mel"]
    assert (mel.dim, mel.view.name, mel.view.bands, mel.view.hop, mel.optimizer.momentum) == (4, "log_mel", 40, 64, 0.5)
    assert (recipe.generator.dim, recipe.generator.kernel_size) == (4, 9)
    assert list(recipe.discriminators) == ["waveform", "mel", "fine"]


def test_a_section_of_another_kind_begins_anew():
    """Nothing is kept: neither keys that the new kind lacks, nor those that it has too."""
    recipe = over(
        "discriminators:\n  mel: {view: {name: complex}, optimizer: {name: adam}}\n  waveform: {name: mlp}\n"
        "generator: {name: mlp}"
    )
    mel = recipe.discriminators["mel"]
    assert (mel.dim, mel.view.name, mel.view.power, mel.view.window) == (8, "complex", 0.3, 512)
    assert (mel.optimizer.name, mel.optimizer.betas) == ("adam", (0.5, 0.9))
    assert (recipe.discriminators["waveform"].dim, recipe.generator.dim) == (64, 64)


def test_the_root_does_not_begin_anew_under_another_name():
    assert over("name: b").generator.dim == 8
    Path("base.yaml").write_text(f"name: a\n{SOURCE}{JUDGES}")
    assert load("include: base.yaml\nname: b").data.source == ("drums",)


def test_null_over_a_section_takes_it_away():
    recipe = over("discriminators: {mel: null}\ngenerator: null")
    assert list(recipe.discriminators) == ["waveform", "fine"] and recipe.generator.dim == 64
    assert (
        over("discriminators: {fine: {optimizer: null}, mel: {optimizer: null}}").discriminators["mel"].optimizer
        is None
    )
    (problem,) = problems(SOURCE + JUDGES, "discriminators=null")
    assert "discriminators is empty; method.name: gan needs one or more" in problem


def test_a_section_whose_keys_are_all_commented_out_stays_as_it_is():
    assert over("generator:\n#  dim: 4\ndiscriminators:\n  mel:\n    # dim: 4") == over("")
    assert over("generator: {}\ndiscriminators: {mel: {}}") == over("")
    assert over("data: {test: }") == over("data: {test: null}")


def test_null_where_there_is_no_section_is_told_of():
    (problem,) = problems(SOURCE + JUDGES, "discriminators.mle=null")
    assert problem.endswith(
        "discriminators.mle is empty; null removes a section, and discriminators has none of this name; leave it out"
    )
    (problem,) = problems(SOURCE + JUDGES, "discriminators.mel.view=null")
    assert problem.endswith(
        "discriminators.mel.view is missing; a network of this kind needs it; write view: {name: log_mel}"
    )


def test_overrides_set_take_away_and_add_discriminators():
    kept = judges("discriminators.mel=null", "discriminators.fine.view.window=1024", "discriminators.new.name=mlp")
    assert list(kept) == ["waveform", "fine", "new"] and kept["fine"].view.window == 1024
    assert (kept["fine"].view.name, kept["new"].dim) == ("complex", 64)


@pytest.mark.parametrize(
    "words",
    [
        ("discriminators.waveform.name=mlp", "discriminators.waveform.dim=4", "discriminators.waveform.dropout=0.5"),
        ("discriminators.*.dim=4", "discriminators.waveform.name=mlp", "discriminators.fine.dim=2"),
        ("discriminators.*.name=mlp", "discriminators.mel.dim=4", "discriminators.fine=null"),
        ("discriminators=null", "discriminators.mel.dim=4", "discriminators.*.dropout=0.5"),
        ("discriminators.*=null", "discriminators.mel.dim=4", "generator.dim=2"),
        ("discriminators.*.view.window=512", "discriminators.fine.view.name=log_mel", "discriminators.waveform=null"),
        ("discriminators.*.optimizer.lr=0.5", "discriminators.mel.optimizer=null", "discriminators.*.view.hop=64"),
        ("discriminators.*.dim=3", "*.*.dim=2", "generator=null"),
        ("discriminators.*=null", "discriminators.*.dim=4", "discriminators.mel.view.bands=20"),
        ("discriminators.mel=null", "discriminators.mel.optimizer=null", "discriminators.fine.view=null"),
    ],
)
def test_the_order_of_overrides_does_not_matter(words):
    outcomes = set()
    for order in permutations(words):
        try:
            outcomes.add(recipes.dump(load(SOURCE + JUDGES, *order)))
        except RecipeError as error:
            outcomes.add(str(error))
    assert len(outcomes) == 1


def test_a_star_sets_all_and_what_is_set_by_name_wins():
    kept = judges("discriminators.mel.dim=2", "discriminators.*.dim=4")
    assert [judge.dim for judge in kept.values()] == [4, 2, 4]
    assert [judge.kernel_size for judge in kept.values()] == [9, 5, 5], "the rest stays"
    kept = judges("discriminators.*.view.window=128", "discriminators.*.view.hop=64", "discriminators.waveform=null")
    assert [judge.view.window for judge in kept.values()] == [128, 128]
    assert {
        judge.dropout for judge in judges("discriminators.*.dropout=0.5", "discriminators.x.name=mlp").values()
    } == {0.5}
    recipe = load(
        SOURCE + JUDGES,
        "optimizers.*.lr=0.5",
        "optimizers.generator.lr=1",
        "optimizers.discriminator.name=sgd",
    )
    assert (recipe.optimizers.generator.lr, recipe.optimizers.discriminator.lr) == (1, 0.5)


def test_a_star_with_a_name_begins_anew_and_what_is_set_by_name_stays():
    kept = judges("discriminators.waveform.dim=4", "discriminators.*.name=mlp")
    assert [(judge.name, judge.dim) for judge in kept.values()] == [("mlp", 4), ("mlp", 64), ("mlp", 64)]


def test_a_star_over_all_but_one():
    kept = judges("discriminators.*=null", "discriminators.mel.dim=4")
    assert list(kept) == ["mel"] and (kept["mel"].dim, kept["mel"].view.bands) == (4, 40)


def test_what_is_taken_away_by_name_a_star_does_not_bring_back():
    kept = judges("discriminators.*.optimizer.lr=0.5", "discriminators.mel.optimizer=null")
    assert kept["mel"].optimizer is None and kept["fine"].optimizer.lr == kept["waveform"].optimizer.lr == 0.5


def test_of_two_paths_with_stars_that_with_fewer_wins():
    text = SOURCE + "discriminators: {a: {name: wavegan, optimizer: {lr: 0.1}}, b: {name: mlp, optimizer: {lr: 0.1}}}\n"
    for words in permutations(("discriminators.*.optimizer.lr=0.2", "discriminators.*.*.lr=0.3")):
        assert [judge.optimizer.lr for judge in load(text, *words).discriminators.values()] == [0.2, 0.2]


@pytest.mark.parametrize("path", ["discriminators.*.dim", "data.*.x", "nothing.*", "data.source.*.x"])
def test_a_star_that_stands_for_nothing(path):
    text = f"{SOURCE}encoder: {{name: mlp}}\nmethod: {{name: vae}}\ngenerator: {{latent: normal}}\n"
    rule = f"no section matches {path}; * stands for a section below the one before it"
    assert problems(text, f"{path}=4") == [f"command line: {path}=4: {rule}"]


def test_a_value_and_a_key_below_it_contradict_each_other():
    for words in permutations(("training.steps=3", "training.steps.x=1")):
        assert problems(SOURCE + JUDGES, *words) == [
            "command line: training.steps.x=1: training.steps.x lies in a section that command line: "
            "training.steps=3 sets as a whole; leave out one of the two"
        ]


FOLDERS = [
    "Kicks #2", "808", "[WAV] Kicks", "Drums: Vol 1", "- loops", "true", "False", "~/x", "a, b", "'quoted'", '"quoted"',
    "1e5", ".5", "-", "?", "a: b", "{a: b}", "{curly}", "[WAV] Kicks [old]", "[a", "a]", "!tag", "&x", "*.wav", "# no",
    "yes", "0x10", "two  spaces", "C:\\new", "[a] # x",
    "100%", "a=b", "|", ">", "@home", "`x`", "é😀", "[a]: [b]", ".inf",
]  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_a_path_is_text_as_it_stands(name):
    recipe = load(JUDGES, f"data.source={name}", f"data.test={name}")
    assert recipe.data.source == recipe.data.test == (name,)
    quoted = name.replace("'", "''")
    assert recipes.load("a.yaml", [f"data.source=['{quoted}']"]).data.source == (name,)


@pytest.mark.parametrize(
    ("written", "paths"),
    [
        ("[a, b]", ("a", "b")),
        ("['a, b', \"c, d\"]", ("a, b", "c, d")),
        ("[808, true, 1e5]", ("808", "true", "1e5")),
        ("[Kicks #2]", ("[Kicks #2]",)),  # in a list # begins a comment, so this is none
        (" [a] ", ("a",)),
        ("[a b, ~/c]", ("a b", "~/c")),
    ],
)
def test_paths_may_be_a_list(written, paths):
    assert load(JUDGES, f"data.source={written}").data.source == paths


@pytest.mark.parametrize("written", ["null", "~", "", " ", "Null", "NULL"])
def test_null_on_the_command_line(written):
    assert load(f"{JUDGES}data: {{source: a, test: b}}", f"data.test={written}").data.test is None
    assert value_on_the_command_line(written) is None


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", 1), ("1e-4", 1e-4), ("100_000", 100_000), ("-3", -3), (".5", 0.5), ("true", True), ("False", False),
        ("[0, 0.9]", [0, 0.9]), ("[]", []), ("[a, [b]]", ["a", ["b"]]), (" 5 ", 5),
        ("yes", "yes"), ("'1'", "'1'"), ("1 # one", "1 # one"), ("{a: 1}", "{a: 1}"), ("[{a: 1}]", "[{a: 1}]"),
        ("!!int 5", "!!int 5"), ("&a 5", "&a 5"), ("a\nb: 1", "a\nb: 1"),
        ("[" * 2000 + "]" * 2000, "[" * 2000 + "]" * 2000),
    ],
)  # fmt: skip
def test_a_value_on_the_command_line(written, value):
    assert value_on_the_command_line(written) == value
    assert type(value_on_the_command_line(written)) is type(value)


@pytest.mark.parametrize(("written", "name"), [("2024", "2024"), ("true", "true"), ("1e5", "1e5")])
def test_a_name_is_text(written, name):
    assert load(SOURCE + JUDGES, f"name={written}").name == name


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("[a, 5]", "is [a, 5]; it must be a path or a list of paths; try data/drums"),
        ("''", "is ''; it must be a path or a list of paths; try data/drums"),
        ("5", "is 5; it must be a path or a list of paths; try data/drums"),
    ],
)
def test_in_a_file_a_path_must_be_text(written, sentence):
    assert problems(f"{JUDGES}data: {{source: {written}}}") == [f"a.yaml:5:8: data.source {sentence}"]


def test_every_fault_in_the_mapping_has_its_place():
    text = """\
data: {source: a}
discriminators:
  waveform:
    dim: 0
    objective: hnge
    phase_shuffle: {radius: 9, x: 1}
    augment: {name: noise, deviation: 2}
  mel:
    name: spectrogram
    kernel_size: 4
  other: {name: spectrogram, view: {name: log_mle}}
  third: {name: spectrogram, view: {name: log_mel, bnads: 3}}
  fourth: {name: spectrgam}
  fifth: [a]
  6: {dim: 4}
  seventh: {optimizer: {name: [sgd], lr: 3}}
  eighth: {name: null}
"""
    assert [line.partition("; ")[0] for line in problems(text)] == [
        "a.yaml:3:3: discriminators.waveform.name is missing",
        "a.yaml:4:5: discriminators.waveform.dim is 0",
        "a.yaml:5:5: discriminators.waveform.objective is hnge",
        "a.yaml:6:21: discriminators.waveform.phase_shuffle.radius is 9",
        "a.yaml:6:32: unknown key discriminators.waveform.phase_shuffle.x",
        "a.yaml:7:28: discriminators.waveform.augment.deviation is 2",
        "a.yaml:8:3: discriminators.mel.view is missing",
        "a.yaml:10:5: discriminators.mel.kernel_size is 4",
        "a.yaml:11:37: discriminators.other.view.name is log_mle",
        "a.yaml:12:52: unknown key discriminators.third.view.bnads",
        "a.yaml:13:12: discriminators.fourth.name is spectrgam",
        "a.yaml:14:3: discriminators.fifth is [a]",
        "a.yaml:15:3: discriminators has the name '6'",
        "a.yaml:15:3: discriminators.6.name is missing",
        "a.yaml:16:3: discriminators.seventh.name is missing",
        "a.yaml:16:25: discriminators.seventh.optimizer.name is [sgd]",
        "a.yaml:17:12: discriminators.eighth.name is empty",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "discriminators: [a, b]",
            "a.yaml:2:1: discriminators is [a, b]; it holds sections by names of your own; write discriminators: "
            "{waveform: {name: wavegan}}",
        ),
        (
            f"{JUDGES}generator: mlp",
            "a.yaml:6:1: generator is mlp; it is a section, and that is its name; write generator: {name: mlp}",
        ),
        (
            f"{JUDGES}generator: [mlp]",
            "a.yaml:6:1: generator is [mlp]; it is a section; write its keys (name, dim, kernel_size, latent_dim, "
            "latent, labels, batch_norm, upsample and post_filter) on indented lines below it",
        ),
        (
            "discriminators: {wave form: {name: wavegan}}",
            "a.yaml:2:18: discriminators has the name wave form; it must be a name of letters, digits, - and _ that "
            "begins with a letter; try discriminators.mel",
        ),
        (
            f"{JUDGES}generator: {{name: wavgan}}",
            "a.yaml:6:13: generator.name is wavgan; it must be wavegan, specgan, mlp, translator or inverse_stft; "
            "try wavegan",
        ),
        (
            "discriminators: {w: {name: wavegan, penalty: wgan}}",
            "a.yaml:2:37: discriminators.w.penalty is wgan; it must be null, none, gradient_penalty, one_sided, r1, "
            "r2 or r1_r2; try null",
        ),
        (
            "discriminators: {mel: {name: spectrogram, view: {name: log_mel, bnads: 3}}}",
            "a.yaml:2:65: unknown key discriminators.mel.view.bnads; did you mean discriminators.mel.view.bands?",
        ),
    ],
)
def test_value_rule_and_remedy_in_the_mapping(text, sentence):
    assert problems(SOURCE + text) == [sentence]


def test_three_discriminators_survive_dump_and_load():
    recipe = load(SOURCE + JUDGES, "discriminators.mel.augment.name=noise", "discriminators.fine.weight=0.5")
    Path("b.yaml").write_text(recipes.dump(recipe))
    assert recipes.load("b.yaml", ["name=a"]) == recipe and len(recipe.discriminators) == 3
    assert recipes.from_dict(recipes.as_dict(recipe)) == recipe
    assert list(recipes.load("b.yaml").discriminators) == ["waveform", "mel", "fine"], "in their order"


def test_differences_of_recipes_with_other_discriminators():
    old = load(SOURCE + JUDGES)
    assert recipes.differences(
        old, load(SOURCE + JUDGES, "discriminators.mel.dim=4", "discriminators.mel.view.bands=20")
    ) == [
        "discriminators.mel.view.bands: 40 → 20",
        "discriminators.mel.dim: 8 → 4",
    ]
    lines = recipes.differences(old, load(SOURCE + JUDGES, "discriminators.mel=null", "discriminators.new.name=mlp"))
    assert "discriminators.mel.dim: 8 → not there" in lines and "discriminators.new.name: not there → mlp" in lines
    assert {line.split(".")[1] for line in lines} == {"mel", "new"}
    assert recipes.differences(old, load(SOURCE + JUDGES, "discriminators.fine.view.name=log_magnitude")) == [
        "discriminators.fine.view.name: complex → log_magnitude",
        "discriminators.fine.view.window: 256 → 512",
        "discriminators.fine.view.power: 0.5 → not there",
        "discriminators.fine.view.power_beside: not there → 0.0",
        "discriminators.fine.view.residual_beside: not there → false",
    ]


@pytest.mark.parametrize("words", [["discriminators.wavefrom.dim=3"], []])
def test_a_slip_in_a_discriminators_name_adds_none(words):
    """Tries the command line, and a file that includes another."""
    wavefrom = "" if words else "  wavefrom: {dim: 3}\n"
    text = f"{SOURCE}discriminators:\n  waveform: {{name: wavegan}}\n{wavefrom}"
    (told,) = problems(text, *words)
    assert told.endswith(
        "discriminators.wavefrom.name is missing; it must be wavegan, specgan, mlp, spectrogram, tiled_spectrum, "
        "tiled_texture, mean_spectrum or tiled_waveform; did you mean discriminators.waveform? Or write name: wavegan"
    )


WRITTEN = """\
5; null; a; [a]; [{a: 1}]; {}; {name: mlp}; {name: null}; {name: 5}; {name: {a: b}}; {name: [a]}; {a: {name: {b: c}}}
{a: null}; {dim: 4}; {a: 5, dim: 4}; {name: {}, dim: 3}; {view: {name: x}}; {generator: {name: {a: b}}}
{augment: {name: [a]}}; {optimizer: {name: 5}}; {a: {augment: 5, optimizer: [a], phase_shuffle: {x: {y: 1}}}}
{instance_noise: 5}; {phase_shuffle: {}}"""


@pytest.mark.parametrize("section", [*recipes.Recipe.model_fields, "model", "representation", "include"])
@pytest.mark.parametrize("written", WRITTEN.replace("\n", "; ").split("; "))
def test_whatever_is_written_has_its_sentence(section, written):
    told = problems(f"{section}: {written}\ntraning: {{steps: 5}}\n")
    assert any(problem.startswith("a.yaml:2:1: unknown key traning; did you mean training?") for problem in told)


@pytest.mark.parametrize("entry", ["name: mlp, dim: 4", "dim: 4"])
def test_a_discriminator_without_a_name_of_its_own(entry):
    name = "" if "name" in entry else "name: wavegan, "
    (problem,) = problems(SOURCE + f"discriminators: {{{entry}}}\n")
    assert problem.endswith(f"above; write discriminators: {{waveform: {{{name}{entry}}}}}")


def test_keys_that_matter_in_stereo_alone_are_no_difference_in_mono():
    for channels, count in ((1, 0), (2, 1)):
        words = (f"data.channels={channels}", "discriminators.mel.view.differences_beside=true")
        both = [load(SOURCE + JUDGES, *words[:given]) for given in (1, 2)]
        assert len(recipes.differences(*both)) == count
