"""Tests that an exported folder gives back what was written, and that a wrong folder is refused in one sentence."""

import json
from pathlib import Path

import pytest
import torch

from wavegan.errors import RunError
from wavegan.export.folder import CONFIG, FORMAT, WEIGHTS, is_exported, read, write

CONTENT = {
    "name": "mouse",
    "step": 7,
    "label_names": ["kick", "snare ♪"],
    "networks": {
        "generator": {
            "head.weight": torch.linspace(-1, 1, 12).view(3, 4),
            "head.bias": torch.linspace(0, 0.1, 3),
            "row": torch.linspace(0, 0.1, 3)[None],
            "is_on": torch.tensor(True),
        }
    },
    "training_items": torch.tensor([3, -5, 2**62]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, CONTENT)
    return tmp_path


def same(a: object, b: object) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return a == b


def test_what_is_written_comes_back_to_the_last_bit(folder):
    content = read(folder)
    assert {key: content.pop(key) for key in ("library_name", "format")} == {"library_name": "wavegan", "format": 1}
    assert same(content, CONTENT)


@pytest.mark.parametrize(("precision", "kind"), [("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_half_precision_rounds_matrices_alone(tmp_path, precision, kind):
    write(tmp_path, CONTENT, precision=precision)
    before, after = CONTENT["networks"]["generator"], read(tmp_path)["networks"]["generator"]
    assert torch.equal(after["head.weight"], before["head.weight"].to(kind).float())
    assert not torch.equal(after["head.weight"], before["head.weight"])
    assert all(torch.equal(after[name], before[name]) for name in ("head.bias", "row", "is_on"))


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_every_changed_byte_is_noticed(folder, name):
    path = folder / name
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            content = read(folder)
        except RunError:
            continue
        del content["library_name"], content["format"]
        assert same(content, CONTENT), f"byte {place} changes the model"  # a space, say, of the JSON


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_cut_file_is_refused(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RunError, match="cut off"):
        read(folder)


@pytest.mark.parametrize(("name", "other"), [(CONFIG, WEIGHTS), (WEIGHTS, CONFIG)])
def test_half_a_folder_names_the_missing_file(folder, name, other):
    (folder / name).unlink()
    assert is_exported(folder)
    with pytest.raises(RunError, match=f"has no {name}; an exported folder holds one beside {other}"):
        read(folder)


@pytest.mark.parametrize(
    ("change", "text"),
    [({"format": FORMAT + 1}, "update wavegan"), ({"library_name": "diffusers"}, "is not of wavegan")],
)
def test_other_writers_are_named(folder, change, text):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | change))
    with pytest.raises(RunError, match=text):
        read(folder)


def test_other_folders_are_no_models(tmp_path):
    assert not is_exported(tmp_path)
    for text in ("", "[]", "[" * 10**5, '{"library_name": "transformers"}'):
        (tmp_path / CONFIG).write_text(text)
        assert not is_exported(tmp_path)
