"""Tests that a model comes back from a hub bit for bit, and what is said of all that can go wrong on the way."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from model_hub import TOKEN, Hub, model_hub

import wavegan
from wavegan.commands.push import push
from wavegan.errors import RunError, UserError
from wavegan.export import hub as client

constants = pytest.importorskip("huggingface_hub.constants")


def use(address: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leads the client, which reads the environment only once, to another hub."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache / "hub"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.fixture
def hub(cache, monkeypatch) -> Iterator[type[Hub]]:
    with model_hub() as (address, running):
        use(address, cache, monkeypatch)
        yield running


def test_a_model_comes_back_bit_for_bit(run, hub, command):
    done = command("push", run, "me/mouse", "--licence", "cc0-1.0")
    assert done.code == 0 and done.out.splitlines()[1] == "wavegan generate hub:me/mouse", done.err
    files = hub.repositories["me/mouse"][-1]
    assert {"config.json", "model.safetensors", "README.md", "samples/clip-000001.wav"} <= set(files)
    assert b'wavegan.load("hub:me/mouse")' in files["README.md"] and len(hub.repositories["me/mouse"]) == 2
    original, loaded = wavegan.load(run, device="cpu"), wavegan.load("hub:me/mouse", device="cpu")
    weights, other = (each.loaded.model.generator.state_dict() for each in (original, loaded))
    assert weights.keys() == other.keys() and all(torch.equal(weights[name], other[name]) for name in weights)
    np.testing.assert_array_equal(loaded.generate(5, seed=3, label="kick"), original.generate(5, seed=3, label="kick"))
    done = command("generate", "hub:me/mouse", "-n", "2")
    assert done.code == 0 and Path("generated/mouse/clip-000001.wav").exists(), done.err
    assert not [asked for asked in hub.requests if "samples" in asked and "resolve" in asked], "samples are not loaded"


def test_a_revision_stays_when_the_model_goes_on(run, hub, monkeypatch):
    push(run, "me/mouse")
    first = wavegan.load("hub:me/mouse", device="cpu")
    revision = Path(client.downloaded(Path("hub:me/mouse"))).name
    wavegan.train("mouse.yaml", {"training.steps": 4}, device="cpu")
    push(run, "me/mouse")
    assert wavegan.load("hub:me/mouse", device="cpu").step == 4
    old = wavegan.load(f"hub:me/mouse@{revision}", device="cpu")
    assert old.step == 2
    np.testing.assert_array_equal(old.generate(2), first.generate(2))
    use("http://127.0.0.1:9", Path(constants.HF_HUB_CACHE).parent, monkeypatch)  # the cache serves without a network
    assert wavegan.load("hub:me/mouse", device="cpu").step == 4


def test_a_private_model_is_for_its_owner(run, hub, monkeypatch):
    assert push(run, "me/secret", private=True).model == "hub:me/secret" and hub.private == {"me/secret"}
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody")
    with pytest.raises(RunError, match="me/secret is not on http.*, or not for you; check the spelling; if it is priv"):
        wavegan.load("hub:me/secret")
    with pytest.raises(
        RunError, match=r"refuses me/other \(HTTP status 401\); log in with hf auth login, or set HF_TOKEN"
    ):
        push(run, "me/other")
    assert set(hub.repositories) == {"me/secret"}


def test_what_is_not_there(run, hub):
    push(run, "me/mouse")
    with pytest.raises(RunError, match="me/mous is not on http://127.*, or not for you; check the spelling"):
        wavegan.load("hub:me/mous")
    with pytest.raises(RunError, match="me/mouse on http://127.* has no revision v9; check the spelling"):
        wavegan.load("hub:me/mouse@v9")
    hub.repositories["me/text"] = [{"config.json": b"{}", "pytorch_model.bin": b"pickled"}]
    with pytest.raises(RunError, match="hub:me/text holds no model.safetensors; only what wavegan push uploaded"):
        wavegan.load("hub:me/text")
    hub.repositories["me/other"] = [{"config.json": b"{}", "model.safetensors": b"123"}]
    with pytest.raises(RunError, match="config.json is not of wavegan"):
        wavegan.load("hub:me/other")
    changed = dict(hub.repositories["me/mouse"][-1])
    changed["model.safetensors"] = changed["model.safetensors"][:-1] + b"!"
    hub.repositories["me/changed"] = [changed]
    with pytest.raises(RunError, match="is cut off or has been changed"):
        wavegan.load("hub:me/changed")
    assert not [asked for asked in hub.requests if "pytorch_model.bin" in asked]


@pytest.mark.parametrize(
    "name", ["hub:mouse", "hub:", "hub:me/mouse/more", "hub:me/mo use", "hub:me/mouse@", "hub:../x"]
)
def test_names_of_another_form_are_refused(name, hub):
    with pytest.raises(UserError, match="^hub:.*is no name on a hub; the form is hub:USER/NAME or hub:USER/NAME@"):
        wavegan.load(name)
    assert not hub.requests


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("hub:me/my drums", "try hub:me/my-drums"),
        ("hub:https://huggingface.co/me/mouse", "try hub:me/mouse"),
        ("hub:mouse", "put the user's name before it: hub:USER/mouse"),
    ],
)
def test_a_model_of_another_form_has_a_remedy_that_is_a_model(name, remedy, command):
    done = command("info", name)
    assert done.code == 2 and done.err.rstrip().endswith(remedy)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("hub:me/mouse", "try me/mouse"),
        ("https://huggingface.co/me/mouse/", "try me/mouse"),
        ("me/my mouse", "try me/my-mouse"),
        ("mouse", "put the user's name before it: USER/mouse"),
    ],
)
def test_a_name_for_an_upload_of_another_form_has_a_remedy(name, remedy, command):
    done = command("push", "drums", name)
    assert done.code == 2 and done.err.rstrip().endswith(f"the form is USER/NAME or USER/NAME@REVISION; {remedy}")


def test_a_hub_that_fails_or_is_not_there(run, hub, cache, command, monkeypatch):
    hub.broken = 400
    with pytest.raises(RunError, match=r"refuses me/mouse \(HTTP status 400\); try again later"):
        push(run, "me/mouse")
    use("http://127.0.0.1:9", cache, monkeypatch)  # nobody listens there
    done = command("generate", "hub:me/mouse")
    assert done.code == 2
    assert done.err == "error: http://127.0.0.1:9 cannot be reached for me/mouse; check the network and HF_ENDPOINT\n"
    with pytest.raises(RunError, match="cannot be reached for me/mouse"):
        push(run, "me/mouse")


def test_without_the_client(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"a hub needs huggingface_hub; pip install 'wavegan\[hub\]' brings it"):
        wavegan.load("hub:me/mouse")
    with pytest.raises(UserError, match="a hub needs huggingface_hub"):
        push(run, "me/mouse")
    with pytest.raises(UserError, match="me/mouse@v1 names a revision"):
        push(run, "me/mouse@v1")


BOTH = """
import sys
from wavegan import cli
run = sys.argv[1]
for words in (["push", run, "me/mouse"], ["generate", "hub:me/mouse", "-n", "1", "--out", "made"]):
    sys.argv = ["wavegan", *words]
    try:
        cli.main()
    except SystemExit as end:
        if end.code:
            raise
"""


def test_the_environment_names_the_hub(run, cache):
    """Runs the commands as a user does, with HF_ENDPOINT, HF_HOME and HF_TOKEN."""
    with model_hub() as (address, hub):
        environment = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(cache), "HF_TOKEN": TOKEN}
        done = subprocess.run([sys.executable, "-c", BOTH, run], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "warning" not in done.stderr.lower() and Path("made/clip-000000.wav").exists()
        assert "me/mouse" in hub.repositories
