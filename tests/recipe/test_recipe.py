import copy
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from wavegan import recipe as recipes
from wavegan.errors import RecipeError, UserError
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.recipe.keys import section_of
from wavegan.recipe.kinds import is_mapping, kinds_of
from wavegan.recipe.schema import Recipe
from wavegan.settings import Settings

SOURCE = "discriminators: {waveform: {name: wavegan}}\ndata:\n  source: drums\n"
SECTIONS = list(Recipe.model_fields)
LENGTHS = "4096, 8192, 16384, 32768 or 65536"
WASSERSTEIN = "objective: wasserstein with penalty: gradient_penalty"
OBJECTIVE_NAMES = " or ".join(", ".join(OBJECTIVES).rsplit(", ", 1))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Makes every test work in an empty folder, so that messages have short paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text, name="voices.yaml"):
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load(text, *overrides):
    return recipes.load(write(text), overrides)


def problems(text, *overrides):
    return faults_of(write(text), *overrides)


def faults_of(path, *overrides):
    with pytest.raises(RecipeError) as caught:
        recipes.load(path, overrides)
    return str(caught.value).split("\n")


def test_defaults_are_the_authors_settings():
    recipe = load(SOURCE)
    assert recipe.name == "voices"
    assert recipe.data.source == ("drums",)
    assert recipe.data.test is None and recipe.data.sample_rate == 16000 and recipe.data.windows == "first"
    generator, judge = recipe.generator, recipe.discriminators["waveform"]
    assert (recipe.data.clip_samples, generator.dim, generator.kernel_size) == (16384, 64, 25)
    assert (generator.latent_dim, generator.latent, generator.batch_norm) == (100, "uniform", False)
    assert (judge.name, judge.dim, judge.kernel_size, judge.batch_norm) == ("wavegan", 64, 25, False)
    assert (judge.phase_shuffle.radius, judge.phase_shuffle.shared, judge.weight) == (2, True, 1.0)
    assert (recipe.method.penalty_weight, recipe.method.discriminator_steps) == (10.0, 5)
    for optimizer in (recipe.optimizers.generator, recipe.optimizers.discriminator):
        assert (optimizer.name, optimizer.lr, optimizer.betas) == ("adam", 1e-4, (0.5, 0.9))
    assert (recipe.training.batch_size, recipe.training.steps, recipe.training.seed) == (64, 200_000, 0)


def fields(section: type[Settings] = Recipe, prefix: str = ""):
    """Yields every key of every kind of every section with its field; entries of mappings are *."""
    for name, field in section.model_fields.items():
        key = f"{prefix}{name}"
        kinds = list(kinds_of(field.annotation).values()) or [section_of(field)]
        if kinds == [None]:
            yield key, field
        for kind in filter(None, kinds):
            yield from fields(kind, f"{key}.*." if is_mapping(field.annotation) else f"{key}.")


def test_every_value_has_a_description_and_every_number_a_lower_bound():
    values = [(key, field) for key, field in fields() if not key.endswith(".name")]
    assert len({key for key, _ in values}) > 80
    assert [key for key, field in values if not field.description] == []
    numbers = [(key, field) for key, field in values if field.annotation in (int, float, float | None)]
    bounded = [
        key for key, field in numbers if any(hasattr(rule, "ge") or hasattr(rule, "gt") for rule in field.metadata)
    ]
    assert len(bounded) > 50 and bounded == [key for key, _ in numbers]


def test_a_recipe_is_frozen():
    with pytest.raises(ValidationError):
        load(SOURCE).training.steps = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    [
        lambda judges: judges.update(mel=1),
        lambda judges: judges.pop("waveform"),
        lambda judges: judges.__setitem__("waveform", 1),
        lambda judges: judges.__delitem__("waveform"),
        lambda judges: judges.clear(),
        lambda judges: judges.setdefault("mel", 1),
        lambda judges: judges.popitem(),
        lambda judges: judges.__ior__({"mel": 1}),
    ],
)
@pytest.mark.parametrize("recipe", [Recipe(), None])
def test_the_discriminators_are_frozen_too(change, recipe):
    recipe = recipe or load(SOURCE)
    with pytest.raises(TypeError, match="a recipe is frozen"):
        change(recipe.discriminators)


def test_equal_recipes_have_equal_hashes_and_come_back_from_a_pickle():
    recipe, same, other = load(SOURCE), load(SOURCE), load(SOURCE, "discriminators.waveform.dim=4")
    assert recipe == same and hash(recipe) == hash(same) != hash(other)
    assert pickle.loads(pickle.dumps(recipe)) == recipe and copy.deepcopy(recipe) == recipe


@pytest.mark.parametrize(
    ("written", "value"),
    [("1e-4", 1e-4), ("1E-2", 0.01), (".5", 0.5), ("1_0e-3", 0.01), ("0.000_1", 1e-4), ("1", 1.0), ("+1e-1", 0.1)],
)
def test_forms_of_numbers(written, value):
    recipe = load(f"{SOURCE}optimizers: {{generator: {{lr: {written}}}}}")
    assert recipe.optimizers.generator.lr == value
    assert type(recipe.optimizers.generator.lr) is float


@pytest.mark.parametrize("written", ["100000", "100_000", "1e5", "1E5", "1.0e+5", "100000.0", "+100000"])
def test_forms_of_whole_numbers(written):
    steps = load(f"{SOURCE}training: {{steps: {written}}}").training.steps
    assert steps == 100_000 and type(steps) is int


@pytest.mark.parametrize("word", ["true", "True", "TRUE"])
def test_booleans(word):
    recipe = load(f"{SOURCE}monitor: {{tensorboard: {word}}}", "data.normalize=false")
    assert recipe.monitor.tensorboard is True and recipe.data.normalize is False


def test_text_that_yaml_1_1_would_read_otherwise():
    judged = "discriminators: {a: {name: mlp}}"
    assert load(f"{judged}\ndata: {{source: [no, off, 2020-01-01, 1:30, '1e5', 0x10]}}").data.source == (
        "no", "off", "2020-01-01", "1:30", "1e5", "0x10",
    )  # fmt: skip


def test_all_faults_at_once_each_with_its_place():
    text = """\
# a comment
data:
  source: drums
  channels: 9
  clip_samples: 20000
generator:
  dim: "32"
  kernel_size: 24
discriminators:
  waveform:
    name: wavegan
    batch_norm: true
training:
  stpes: 5
  ema: 1
  seed: 1.5
optimizers:
  generator: {betas: [0.5, 1.5], lr: 0}
monitr: {}
"""
    assert problems(text, "training.keep_last=0", "training.stpes=5") == [
        "command line: training.keep_last=0: training.keep_last is 0; it must be a whole number at least 1 and at most "
        "1000000000; try 1",
        "command line: training.stpes=5: unknown key training.stpes; did you mean training.steps?",
        "voices.yaml:4:3: data.channels is 9; it must be a whole number at least 1 and at most 8; try 8",
        f"voices.yaml:5:3: data.clip_samples is 20000; generator.name: wavegan is for {LENGTHS}; try 16384 (1.02 s at "
        "16 kHz)",
        "voices.yaml:7:3: generator.dim is '32'; it must be a whole number at least 1 and at most 1024; try 32",
        "voices.yaml:8:3: generator.kernel_size is 24; it must be odd; try 25",
        "voices.yaml:12:5: discriminators.waveform.batch_norm is true; it mixes the clips of a batch, but "
        "method.penalty: gradient_penalty needs each clip's own gradient; try false",
        "voices.yaml:15:3: training.ema is 1; it must be a number at least 0 and below 1; try 0.999",
        "voices.yaml:16:3: training.seed is 1.5; it must be a whole number at least 0 and below 9223372036854775808; "
        "try 2",
        "voices.yaml:18:15: optimizers.generator.betas is [0.5, 1.5]; it must be a list of two numbers, each at least "
        "0 and below 1; try [0.5, 0.9]",
        "voices.yaml:18:34: optimizers.generator.lr is 0; it must be a number above 0 and at most 1; try 0.0001",
        "voices.yaml:19:1: unknown key monitr; did you mean monitor?",
    ]


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("data.normalize=yes", "is yes; it must be true or false; try true"),
        ("data.normalize=0", "is 0; it must be true or false; try false"),
        ("data.on_device=1", "is 1; it must be auto, true or false; try true"),
        ("data.windows=al", "is al; it must be first, random or all; try all"),
        ("data.windows=3", "is 3; it must be first, random or all; try first"),
        ("data.source=", "is empty; it must be a path or a list of paths; try data/drums"),
        ("data.source=[]", "is missing; a recipe must say what to learn from; add source: FOLDER below data:"),
        ("data.holdout=0.5", "is 0.5; it must be a number at least 0 and below 0.5; try 0.45"),
        ("data.channels=9", "is 9; it must be a whole number at least 1 and at most 8; try 8"),
        ("data.channels=true", "is true; it must be a whole number at least 1 and at most 8; try 1"),
        ("training.ema=false", "is false; it must be a number at least 0 and below 1; try 0.999"),
        ("training.ema=.nan", "is .nan; it must be a number at least 0 and below 1; try 0.999"),
        ("training.ema=nan", "is nan; it must be a number at least 0 and below 1; try 0.999"),
        ("method.penalty_weight=.inf", "is .inf; it must be a number at least 0; try 10.0"),
        ("method.penalty_weight=1e999", "is .inf; it must be a number at least 0; try 10.0"),
        ("training.gradient_clip=0", "is 0; it must be null or a number above 0; try null"),
        ("training.seed=-1", "is -1; it must be a whole number at least 0 and below 9223372036854775808; try 0"),
        ("training.steps.x=1", "is {x: 1}; it must be a whole number at least 1 and at most 1000000000; try 200000"),
        ("evaluation=", "is empty; it is a section; write its keys (every and count) on indented lines below it"),
        (
            "discriminators.waveform.phase_shuffle=2",
            "is 2; it is a section; write its keys (radius and shared) on indented lines below it",
        ),
        (
            "data.clip_samples=9e4",
            f"is 90000; generator.name: wavegan is for {LENGTHS}; try 65536 (4.1 s at 16 kHz)",
        ),
        ("method.objective=wgan-gp", f"is wgan-gp; it must be wasserstein; try {WASSERSTEIN}"),
        (
            "method.objective=LSGAN",
            "is LSGAN; it must be least_squares; try objective: least_squares with penalty: none",
        ),
        ("method.objective=wassersteim", f"is wassersteim; it must be {OBJECTIVE_NAMES}; try wasserstein"),
        ("name=my run/2", "is my run/2; it must be text of letters, digits, - and _; write name: my-run-2"),
        ("generator=mlp", "is mlp; it is a section, and that is its name; write generator: {name: mlp}"),
        ("name=", "is empty; it must be text of letters, digits, - and _; write name: recipe"),
    ],
)
def test_value_rule_and_remedy(override, sentence):
    key = "training.steps" if override == "training.steps.x=1" else override.partition("=")[0]
    assert problems(f"{SOURCE}training: {{steps: 100}}", override) == [f"command line: {override}: {key} {sentence}"]


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("training.stpes", "did you mean training.steps?"),
        ("training.lr", "did you mean optimizers.generator.lr?"),
        ("lr", "did you mean optimizers.generator.lr?"),
        ("generator.sample_rate", "did you mean data.sample_rate?"),
        ("generator.batchsize", "did you mean training.batch_size?"),
        ("traning", "did you mean training?"),
        ("includes", "did you mean include?"),
        (
            "discriminators.waveform.phase_shuffle.x",
            "discriminators.waveform.phase_shuffle has radius and shared",
        ),
        ("generator.dmi", "did you mean generator.dim?"),
        ("zzz", f"a recipe has {', '.join(SECTIONS)} and include"),
    ],
)
def test_unknown_keys(key, remedy):
    assert problems(SOURCE, f"{key}=3") == [f"command line: {key}=3: unknown key {key}; {remedy}"]


def test_the_duration_in_a_remedy_is_at_the_recipes_rate():
    (problem,) = problems(f"{SOURCE}  sample_rate: 44100\n  clip_samples: 100")
    assert problem.endswith("try 4096 (0.0929 s at 44.1 kHz)")


def test_linear_decay_needs_two_steps():
    assert problems(SOURCE, "training.lr_decay=linear", "training.steps=1") == [
        "command line: training.lr_decay=linear: training.lr_decay is linear; that needs at least 2 steps, and "
        "training.steps is 1; try none"
    ]


def test_discriminator_batch_norm_without_penalty_is_possible():
    recipe = load(
        SOURCE,
        "discriminators.waveform.batch_norm=true",
        "method.objective=non_saturating",
        "method.penalty_weight=0",
    )
    assert recipe.discriminators["waveform"].batch_norm


def test_no_combination_is_judged_by_a_value_that_is_wrong_itself():
    (problem,) = problems(SOURCE, "discriminators.waveform.batch_norm=true", "method.penalty_weight=none")
    assert "penalty_weight is none; it must be a number" in problem


def test_a_missing_source_is_placed_at_its_section_or_the_file():
    missing = "data.source is missing; a recipe must say what to learn from; add source: FOLDER below data:"
    judged = "discriminators: {waveform: {name: wavegan, dim: 8}}"
    assert problems(f"{judged}\ndata: {{channels: 2}}") == [f"voices.yaml:2:1: {missing}"]
    assert problems(judged, "data.channels=2", "generator.dim=4")[0].endswith(missing)
    assert problems(judged) == [f"voices.yaml: {missing}"]


@pytest.mark.parametrize(
    ("text", "place", "rule"),
    [
        ("data:\n  source: 'drums", "2:17", "this is not YAML: while scanning a quoted scalar, found unexpected end"),
        ("data:\n\tsource: drums", "2:1", "this is not YAML: while scanning for the next token, found character '\\t'"),
        ("data: source: drums", "1:13", "this is not YAML: mapping values are not allowed here; check the indentation"),
        ("name: a\nname\x07: b", "2:5", "this is not YAML: it has the control character '\\x07'; remove it"),
        ("monitor: &a {dim: 8}\ndata: *a", "2:7", "this is not YAML: a recipe has no aliases (*name) and no tags"),
        ("name: !!python/name:os.system x", "1:7", "this is not YAML: a recipe has no aliases (*name) and no tags"),
        ("a: 1\n---\nb: 2", "2:1", "this is not YAML: expected a single document in the stream, but found another"),
        ("data: {source: drums}\n? [a]\n: b", "2:3", "this is not YAML: a key must be a word"),
        ("[" * 3000, "1:1", "this is not YAML: it is nested too deeply"),
    ],
)
def test_text_that_is_not_yaml(text, place, rule):
    (problem,) = problems(text)
    assert problem.startswith(f"voices.yaml:{place}: {rule}")


def test_keys_written_twice():
    assert problems("data:\n  source: a\n  channels: 1\n  source: b\ndata: {}\n")[1:3] == [
        "voices.yaml:4:3: data.source is written twice, first at voices.yaml:2:3; keep one",
        "voices.yaml:5:1: data is written twice, first at voices.yaml:1:1; keep one",
    ]


def test_a_dotted_key_in_a_file():
    assert problems(f"{SOURCE}training.steps: 5") == [
        "voices.yaml:4:1: unknown key training.steps with a dot; write steps: on an indented line below training:"
    ]


@pytest.mark.parametrize(
    ("text", "content"), [("", "empty"), ("# only\n", "empty"), ("- a\n- b", "[a, b]"), ("5", "5")]
)
def test_a_file_without_sections(text, content):
    assert problems(text) == [f"voices.yaml: the recipe is {content}; it must hold sections; begin with data:"]


def test_files_that_cannot_be_read():
    write(SOURCE, "recipes/sc09.yaml")
    write(SOURCE, "recipes/piano.yaml")
    Path("latin.yaml").write_bytes("name: Stück".encode("latin-1"))
    missing = "there is no such file"
    assert faults_of("recipes/sc9.yaml") == [f"recipes/sc9.yaml: {missing}; did you mean recipes/sc09.yaml?"]
    assert faults_of("sc08") == [f"sc08: {missing}; did you mean recipes/sc09.yaml?"]
    assert faults_of("quickstrat") == [f"quickstrat: {missing}; did you mean quickstart or quickstart_wavegan?"]
    shipped = "wavegan recipes lists the shipped ones"
    assert faults_of("recipes/x.yaml") == [
        f"recipes/x.yaml: {missing}; recipes near it: recipes/piano.yaml, recipes/sc09.yaml; {shipped}"
    ]
    assert faults_of("nowhere/x.yaml") == [f"nowhere/x.yaml: {missing}; recipes near it: none; {shipped}"]
    assert faults_of("recipes") == [
        "recipes: this is a folder; a recipe is a file; for sound in it write RECIPE data.source=recipes, or make a "
        "recipe with wavegan doctor recipes --recipe my.yaml; recipes near it: recipes/piano.yaml, recipes/sc09.yaml; "
        f"{shipped}"
    ]
    assert faults_of("piano_pieces/test") == [
        "piano_pieces/test: this is a source of sound; a recipe says how to learn from it; write RECIPE "
        "data.source=piano_pieces/test, or make a recipe with wavegan doctor piano_pieces/test --recipe my.yaml"
    ]
    Path("my sounds").mkdir()
    assert len(told := faults_of("my sounds")) == 1 and "write RECIPE data.source='my sounds', or " in told[0]
    remedy = "save it as UTF-8; if it is a sound, name its folder as data.source"
    assert faults_of("latin.yaml") == [f"latin.yaml: the file is not UTF-8 text; {remedy}"]
    assert faults_of("latin.yaml/x.yaml") == [
        "latin.yaml/x.yaml: the file cannot be read; check its permissions (Not a directory)"
    ]


def test_a_recipe_is_a_file_or_else_the_name_of_a_shipped_one():
    shipped = recipes.load("quickstart")
    assert shipped.name == "quickstart" and shipped.data.source == ("drum_machine",)
    assert recipes.load("quickstart.yaml") == shipped
    write(SOURCE, "quickstart.yaml")
    assert recipes.load("quickstart.yaml").data.source == ("drums",) and recipes.load("quickstart") == shipped
    write(SOURCE, "quickstart")
    assert recipes.load("quickstart").data.source == ("drums",)


def test_an_include_is_a_file_beside_or_else_the_name_of_a_shipped_one():
    """A file may have the name of what it includes, and a file beside the including one goes before a shipped one."""
    write("include: quickstart\ntraining: {steps: 7}", "mine/quickstart.yaml")
    assert recipes.load("mine/quickstart.yaml") == recipes.load("quickstart", ["training.steps=7"])
    write(f"include: base/modern.yaml\n{SOURCE}", "mine/a.yaml")
    assert recipes.load("mine/a.yaml").generator.name == "inverse_stft"
    write("generator: {name: mlp}\ndiscriminators: {waveform: {name: mlp}}", "mine/base/modern.yaml")
    assert recipes.load("mine/a.yaml").generator.name == "mlp"
    write(f"include: quickstrat\n{SOURCE}", "mine/b.yaml")
    [fault] = faults_of("mine/b.yaml")
    assert fault.startswith("mine/b.yaml:1:1: include is quickstrat; there is no such file; did you mean mine/quickst")


def test_overrides_may_be_a_mapping():
    values = {"data.source": ("a", Path("b")), "training.steps": 7, "optimizers.*.lr": 1e-3, "discriminators.low": None}
    words = ["data.source=[a, b]", "training.steps=7", "optimizers.*.lr=1e-3", "discriminators.low=null"]
    assert recipes.load("quickstart", values) == recipes.load("quickstart", words)
    section = {"generator": {"dim": 4, "pulses": False}}
    assert recipes.load("quickstart", section) == recipes.load(
        "quickstart", ["generator.dim=4", "generator.pulses=false"]
    )
    with pytest.raises(RecipeError, match="override training.stpes: unknown key training.stpes; did you mean"):
        recipes.load("quickstart", {"training.stpes": 7})
    with pytest.raises(RecipeError, match="override include: an override sets one value"):
        recipes.load("quickstart", {"include": "base/modern"})


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["training.steps", 50], "holds 50"),
        ([("training.steps", 50)], "holds ('training.steps', 50)"),
        ({1: 2}, "holds 1"),
        (None, "is None"),
        (b"a=b", "holds 97"),
    ],
)
def test_overrides_that_are_no_words_and_no_mapping(overrides, told):
    with pytest.raises(UserError) as caught:
        recipes.load("quickstart", overrides)
    rule = "it must hold words, or values by key; try {'training.steps': 100} or ['training.steps=100']"
    assert str(caught.value) == f"`overrides` {told}; {rule}"


def test_overrides_may_come_one_by_one():
    words = ["training.steps=7", "training.seed=3"]
    assert recipes.load("quickstart", iter(words)) == recipes.load("quickstart", words)  # pyright: ignore


def test_a_byte_order_mark_is_no_text():
    Path("mark.yaml").write_bytes(b"\xef\xbb\xbf" + SOURCE.encode())
    assert recipes.load("mark.yaml").data.source == ("drums",)


@pytest.mark.parametrize("override", ["training.steps", "=5", "training..steps=5", ".=1", "include=base.yaml"])
def test_malformed_overrides(override):
    rule = "an override sets one value; write key.path=value, for example training.steps=1000"
    assert problems(SOURCE, override) == [f"command line: {override}: {rule}"]


def test_the_later_override_of_a_key_wins_and_leaves_the_rest_alone():
    text = f"{SOURCE}optimizers: {{generator: {{lr: 1e-3, betas: [0, 0.9]}}}}"
    overrides = ["optimizers.generator.lr=1", "optimizers.generator.lr=2e-4", "training.steps=1e3", "name=small"]
    recipe = load(text, *overrides, "discriminators.waveform.phase_shuffle.radius=0", "data.source=[a, b=c]")
    assert recipe.optimizers.generator.lr == 2e-4 and recipe.optimizers.generator.betas == (0, 0.9)
    assert recipe.optimizers.discriminator.lr == 1e-4
    assert (recipe.training.steps, recipe.name, recipe.data.source) == (1000, "small", ("a", "b=c"))
    shuffle = recipe.discriminators["waveform"].phase_shuffle
    assert (shuffle.radius, shuffle.shared) == (0, True)


def test_the_later_and_the_including_file_win():
    judged = "discriminators: {waveform: {name: wavegan, dim: 8}}"
    text = (
        f"{judged}\ndata: {{source: [a, b], channels: 2}}\ngenerator: {{dim: 8, latent_dim: 8}}\ntraining: {{steps: 8}}"
    )
    write(text, "base/one.yaml")
    write("include: one.yaml\ngenerator: {dim: 16}\ntraining: {steps: 16}", "base/two.yaml")
    write("training: {steps: 32, seed: 3}", "three.yaml")
    recipe = load("include: [base/two.yaml, three.yaml]\ndata: {source: c}\ntraining: {seed: 4}")
    assert (recipe.data.source, recipe.data.channels) == (("c",), 2)
    assert (recipe.generator.dim, recipe.generator.latent_dim) == (16, 8)
    assert (recipe.training.steps, recipe.training.seed) == (32, 4)
    assert recipe.name == "voices"


def test_faults_are_placed_in_the_file_that_has_them():
    write("generator:\n  dim: 0\n  dmi: 3\ntraining: {ema: 2}", "base/one.yaml")
    assert problems(f"include: base/one.yaml\n{SOURCE}training:\n  ema: 3", "generator.post_filter=-1") == [
        "base/one.yaml:2:3: generator.dim is 0; it must be a whole number at least 1 and at most 1024; try 1",
        "base/one.yaml:3:3: unknown key generator.dmi; did you mean generator.dim?",
        "command line: generator.post_filter=-1: generator.post_filter is -1; it must be a whole number at least 0 and "
        "at most 4096; try 0",
        "voices.yaml:6:3: training.ema is 3; it must be a number at least 0 and below 1; try 0.999",
    ]


def test_includes_that_cannot_be_read_hide_no_other_fault_and_invent_none():
    write("data: {source: 'a", "broken.yaml")
    write("", "base.yaml")
    told = problems("include: [broken.yaml, bse.yaml, base.yaml]\ngenerator:\n  dim: 0")
    assert [problem.partition("; ")[0] for problem in told] == [
        "base.yaml: the recipe is empty",
        "broken.yaml:1:18: this is not YAML: while scanning a quoted scalar, found unexpected end of stream",
        "voices.yaml:1:1: include is bse.yaml",
        "voices.yaml:3:3: generator.dim is 0",
    ]
    assert told[2].endswith("include is bse.yaml; there is no such file; did you mean base.yaml?")


def test_files_that_include_each_other():
    write("include: b.yaml", "a.yaml")
    write("generator: {dim: 8}\ninclude: ./a.yaml", "b.yaml")
    assert faults_of("a.yaml") == [
        "b.yaml:2:1: include is ./a.yaml; that file includes this one again; remove one of the two includes"
    ]
    assert problems("include: voices.yaml")[0].startswith(
        "voices.yaml:1:1: include is voices.yaml; that file includes this one again"
    )


def test_one_file_may_be_included_twice():
    write(SOURCE, "base.yaml")
    write("include: base.yaml", "one.yaml")
    assert load("include: [one.yaml, base.yaml]").data.source == ("drums",)


@pytest.mark.parametrize("include", ["5", "[a.yaml, 5]", "{a: b}", ""])
def test_an_include_that_is_no_path(include):
    (problem,) = problems(f"{SOURCE}include: {include}")
    assert problem.startswith("voices.yaml:4:1: include is ")
    assert problem.endswith("; it must be a path or a list of paths; try base.yaml")


def test_a_file_name_that_is_no_recipe_name():
    path = write(SOURCE, "my drums.v2.yaml")
    assert faults_of(path) == [
        "my drums.v2.yaml: name is my drums.v2; it must be text of letters, digits, - and _; write name: my-drums-v2"
    ]
    assert recipes.load(path, ["name=mine"]).name == "mine"


AWKWARD = [
    "yes",
    "1e5",
    "null",
    "a: b",
    "#x",
    " a ",
    "é😀",
    "a\nb",
    "'\"",
    "~",
    "5",
    "*.wav",
    "C:\\x",
    "-",
    "0x1F",
    ".inf",
]


def test_dump_reads_back_as_an_equal_recipe():
    text = f"{SOURCE}training: {{gradient_clip: 1, lr_decay: linear}}\nmonitor: {{tensorboard: false}}"
    recipe = load(text, "optimizers.generator.lr=1e-5", "data.on_device=true", "data.test=[t, u]", "name=007")
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"source": tuple(AWKWARD)})})
    dumped = recipes.dump(recipe)
    assert recipes.load(write(dumped, "other.yaml")) == recipe
    assert recipes.dump(recipes.load("other.yaml")) == dumped
    assert "include" not in dumped and "  betas: [0.5, 0.9]\n" in dumped
    assert re.findall(r"^(\w+):", dumped, re.MULTILINE) == SECTIONS


def test_as_dict_is_plain_and_reads_back():
    recipe = load(SOURCE, "data.test=[a, b]")
    values = recipes.as_dict(recipe)
    assert recipes.from_dict(values) == recipe

    def kinds(value):
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return {type(value)}.union(*map(kinds, parts))

    assert kinds(values) == {dict, list, str, int, float, bool, type(None)}


def test_from_dict_says_what_it_does_not_know():
    with pytest.raises(RecipeError, match=r"^stored recipe: unknown key generator\.depth; generator has"):
        recipes.from_dict(
            {
                "name": "a",
                "data": {"source": ["a"]},
                "discriminators": {"w": {"name": "mlp"}},
                "generator": {"depth": 3},
            }
        )


def test_differences_leaves_out_what_may_change():
    old = load(SOURCE)
    free = [
        "training.steps=5",
        "training.keep_last=1",
        "training.keep_every=2",
        "training.checkpoint_every=3",
        "training.checkpoint_minutes=9",
    ]
    free += ["monitor.log_every=1", "monitor.tensorboard=true", "evaluation.count=9", "name=other"]
    free += ["data.max_bad_fraction=1", "data.on_device=true", "data.source=b"]
    assert recipes.differences(old, load(SOURCE, *free)) == []
    fixed = ["generator.dim=32", "optimizers.generator.betas=[0, 0.9]", "training.gradient_clip=1"]
    assert recipes.differences(old, load(SOURCE, *free, *fixed)) == [
        "generator.dim: 64 → 32",
        "optimizers.generator.betas: [0.5, 0.9] → [0.0, 0.9]",
        "training.gradient_clip: null → 1.0",
    ]


def test_steps_may_not_change_where_the_learning_rate_depends_on_them():
    short, long = (load(SOURCE, "training.lr_decay=linear", f"training.steps={steps}") for steps in (10, 20))
    assert recipes.differences(short, long) == ["training.steps: 10 → 20"]


@pytest.mark.parametrize("key", ["training.lr_decay=cosine", "method.penalty_floor=0.1"])
def test_nor_where_another_schedule_does(key):
    short, long = (load(SOURCE, key, f"training.steps={steps}") for steps in (10, 20))
    assert recipes.differences(short, long) == ["training.steps: 10 → 20"]


def test_importing_brings_no_more_than_the_objectives_need():
    code = "import sys, wavegan.recipe; print(sorted({'torchaudio', 'soundfile', 'matplotlib'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
