"""Tests the commands on a run that lies at an address: train, go on, generate, evaluate, info, export."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from remote_shop import Shop

import wavegan
from wavegan import distributed
from wavegan.training import checkpoint, remote_lease, remote_upload
from wavegan.training.remote_run import copied, folder_of

ADDRESS = "shop://runs/drummer"
QUICK = ("--device", "cpu", "--json")


@pytest.fixture
def drums(tmp_path, monkeypatch, drummer) -> Iterator[Path]:
    """Returns the recipe of `drummer`, in a folder of this test; the store in memory is empty."""
    monkeypatch.setattr(remote_upload, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(remote_lease, "SETTLE_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    Shop.reset()
    yield Path(shutil.copy(drummer.parents[1] / "drummer.yaml", tmp_path))
    Shop.reset()


def test_a_run_at_an_address_from_training_to_export(command, drums, monkeypatch, tmp_path):
    outcome = command("train", drums, "--run-dir", ADDRESS, "training.steps=1", *QUICK)
    assert outcome.code == 0, outcome.err
    values, here = json.loads(outcome.out), folder_of(Path(ADDRESS))
    assert values["run"] == ADDRESS and values["step"] == 1 and values["checkpoint"].startswith(str(here.path))
    assert outcome.err.count(f"{ADDRESS} holds the run up to step 1\n") == 1
    shutil.rmtree(here.path.parent)  # a fresh machine

    outcome = command("train", drums, "--run-dir", ADDRESS, *QUICK)
    assert outcome.code == 0 and json.loads(outcome.out)["step"] == 2, outcome.err
    assert "going on from step 1" in outcome.err and not Path("runs").exists() and not Path("shop:").exists()
    assert list(checkpoint.steps(here.checkpoints)) == [1, 2]

    outcome = command("generate", ADDRESS, "-n", 2, "--label", "kick", "--json")
    assert outcome.code == 0, outcome.err
    assert len([*Path("generated/drummer").glob("clip-00000?.wav")]) == 2
    assert command("regenerate", "generated/drummer/clip-000001.wav", "--model", ADDRESS).code == 0
    assert wavegan.load(ADDRESS, device="cpu").step == 2
    outcome = command("generate", ADDRESS, "-n", 1, "--checkpoint", 1, "--out", "first")
    assert outcome.code == 0, outcome.err

    outcome = command("export", ADDRESS, "--out", "exported")
    assert outcome.code == 0 and Path("exported/model.safetensors").is_file(), outcome.err
    outcome = command("evaluate", ADDRESS, "--count", 4, "--classifier", "none", *QUICK)
    assert outcome.code == 0 and "kad_l" in json.loads(outcome.out)["metrics"], outcome.err

    shutil.rmtree(copied(ADDRESS))
    facts = json.loads(command("info", ADDRESS, "--json").out)
    assert facts["path"] == ADDRESS and facts["status"]["step"] == 2 and facts["status"]["running"] is False
    assert facts["status"]["state"] == "ended: all steps are taken"
    assert not (copied(ADDRESS) / "checkpoints").exists(), "its state is read without a checkpoint"
    text = command("info", ADDRESS).out
    assert re.search(r"^reached +step 2 of 2 ", text, re.M)


def test_the_address_of_a_run_names_what_goes_on(command, drums):
    assert command("train", drums, "--run-dir", ADDRESS, "training.steps=1", *QUICK).code == 0
    drums.unlink()
    shutil.rmtree(folder_of(Path(ADDRESS)).path.parent)
    outcome = command("train", ADDRESS, "training.steps=2", *QUICK)
    assert outcome.code == 0 and "going on from step 1" in outcome.err, outcome.err
    assert json.loads(outcome.out)["run"] == ADDRESS and wavegan.load(ADDRESS, device="cpu").step == 2


def test_what_other_machines_have_left_in_their_caches_does_not_count(command, drums, monkeypatch):
    """Goes on from an address on a machine whose own folder is older than that of another one."""
    words = ("train", drums, "--run-dir", ADDRESS, "training.steps=1", *QUICK)
    assert command(*words).code == 0
    asked = []
    monkeypatch.setattr(distributed, "max_over_ranks", lambda value, **_: asked.append(value) or value)
    assert command(*words).code == 0 and asked[0] == -1
    assert command(*words[:3], "here", *words[4:]).code == command(*words[:3], "here", *words[4:]).code == 0
    assert 1 in asked, "those of a path do"


def test_what_is_not_there_is_told(command, drums):
    for name in ("generate", "info", "evaluate", "train"):
        outcome = command(name, "shop://runs/none")
        assert outcome.code == 2 and "shop://runs/none holds no run" in outcome.err, name
    assert command("train", drums, "--run-dir", "shop://runs/x", "training.steps=1", *QUICK).code == 0
    outcome = command("generate", "shop://runs/x", "--checkpoint", 7)
    assert outcome.code == 2 and "`7`; it has 1; name another" in outcome.err.replace("--checkpoint", "`checkpoint`")
