"""Tests runs at an address: on a store in memory that can fail, and on S3 as moto stands in for it."""

import contextlib
import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
from remote_shop import Shop

from wavegan.audio import remote_copy
from wavegan.audio.remote_copy import Remote
from wavegan.errors import DataError, RunError, UserError
from wavegan.training import checkpoint, remote_lease, remote_run, remote_upload
from wavegan.training.remote_lease import LEASE, Lease
from wavegan.training.remote_run import address_of, copied, copy, folder_of, uploaded
from wavegan.training.remote_upload import POINTER, Upload
from wavegan.training.run_folder import RunFolder

ADDRESS = "shop://runs/drums"
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> Iterator[None]:
    """Shortens what is waited for; nothing here depends on how fast anything is."""
    monkeypatch.setattr(remote_copy, "RETRY_PAUSES_SECONDS", (0,))
    monkeypatch.setattr(remote_upload, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(remote_lease, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(remote_lease, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(remote_lease, "PATIENCE_SECONDS", 0.5)
    Shop.reset()
    yield
    for thread in threading.enumerate():  # an upload that was not waited for would write into the next test's store
        if thread.name == "upload":
            thread.join(PATIENCE)
            assert not thread.is_alive(), "an upload has not ended"
    Shop.reset()


def wait_until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"it did not come: {what}"
        time.sleep(0.005)


def there(address: str = ADDRESS) -> dict[str, bytes]:
    """Returns the files of a run there, by name."""
    system, path = fsspec.url_to_fs(address)
    system.invalidate_cache()
    return {
        name.strip("/").removeprefix(f"{path.strip('/')}/"): system.cat_file(name)
        for name in system.find(path)
        if not name.endswith(LEASE)
    }


def pointer(address: str = ADDRESS) -> dict:
    system, path = fsspec.url_to_fs(address)
    try:
        return json.loads(system.cat_file(f"{path}/{POINTER}"))
    except FileNotFoundError:
        return {}


def save(folder: RunFolder, step: int, *, best: bool = False) -> None:
    """Saves as a training does: log, checkpoint, and what it prunes."""
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.recipe.write_text("name: drums\n")
    with folder.log.open("a") as log:
        log.write(json.dumps({"step": step, "seconds": 1.0, "generator/loss": 0.5}) + "\n")
    checkpoint.save(folder.checkpoints, {"step": step, "weights": [step] * 100}, is_best=best)
    checkpoint.prune(folder.checkpoints, keep_last=2, keep_every=10)


@contextlib.contextmanager
def uploading(address: str = ADDRESS, keep_every: int = 0, *, fresh: bool = False) -> Iterator[Upload]:
    with uploaded(Path(address), 2, keep_every, fresh=fresh) as upload:
        assert upload is not None
        yield upload


def trained(*steps: int, address: str = ADDRESS, keep_every: int = 10, fresh: bool = False) -> RunFolder:
    """Trains as long as it takes to save some steps; every one of them is uploaded before the next comes."""
    with uploading(address, keep_every, fresh=fresh) as upload:
        for step in steps:
            save(upload.folder, step)
            wait_until(lambda step=step: pointer(address).get("step") == step, f"step {step}")
    return upload.folder


def elsewhere(monkeypatch, tmp_path) -> None:
    """Makes this the first start on another machine: its cache is empty."""
    monkeypatch.setenv("WAVEGAN_CACHE", str(tmp_path / f"machine-{len(list(tmp_path.glob('machine-*')))}"))
    (tmp_path / f"machine-{len(list(tmp_path.glob('machine-*')))}").mkdir()


@pytest.mark.parametrize("given", ["abc", "-1", "1.2.3"])
def test_a_time_for_uploads_that_is_none_is_refused(monkeypatch, given):
    monkeypatch.setenv("WAVEGAN_UPLOAD_SECONDS", "2.5")
    assert remote_upload._limit(100.0) == 2.5
    monkeypatch.setenv("WAVEGAN_UPLOAD_SECONDS", given)
    with pytest.raises(UserError, match="WAVEGAN_UPLOAD_SECONDS is .*; it must be a number of seconds; try 600"):
        remote_upload._limit(100.0)


def test_addresses_are_told_from_paths():
    for text in ("s3://bucket/runs/drums", "s3:/bucket/runs/drums/", "memory://run", "gs://b/r"):
        assert address_of(Path(text)) == text.rstrip("/").replace(":/", "://").replace(":///", "://"), text
    assert address_of(Path("file:///tmp/run")) == address_of("file:///tmp/run/") == "file:///tmp/run"
    for text in ("runs/drums", "/runs/drums", "C:/runs", "hub:me/drums", "a:b"):
        assert address_of(Path(text)) is None, text
    assert folder_of(Path("runs/drums")).path == Path("runs/drums") and folder_of(Path(".")).path.is_absolute()


def test_each_checkpoint_is_uploaded_and_the_pointer_names_all_that_is_kept(caplog):
    caplog.set_level(logging.INFO)
    folder = trained(10, 11, 12, 13)
    names = {"recipe.yaml", "log.jsonl", *(f"checkpoints/step-{step:08d}.pt" for step in (10, 12, 13))}
    content = there()
    assert content.keys() == {*names, POINTER} and pointer()["files"].keys() == names, "11 is pruned there too"
    for name in names:
        assert content[name] == (folder.path / name).read_bytes()
        assert pointer()["files"][name]["bytes"] == len(content[name])
    assert not Shop.store.get(f"/runs/drums/{LEASE}") and not (folder.path / "uploading").exists()
    assert "holds the run up to step 13" in caplog.text


def test_the_best_checkpoint_and_the_last_log_lines_come_too():
    with uploading() as upload:
        save(upload.folder, 1)
        save(upload.folder, 1, best=True)
        wait_until(lambda: "checkpoints/best.pt" in pointer().get("files", {}), "best.pt")
        with upload.folder.log.open("a") as log:
            log.write('{"step": 1, "end": "stopped"}\n')
    assert there()["log.jsonl"].endswith(b'"end": "stopped"}\n')


def test_a_fresh_machine_goes_on_and_keeps_what_it_did_not_bring(monkeypatch, tmp_path):
    first = trained(10, 11, 12, 13)
    elsewhere(monkeypatch, tmp_path)
    with uploading(keep_every=10) as upload:
        here = upload.folder
        assert here.path != first.path
        assert list(checkpoint.steps(here.checkpoints)) == [13], "older ones need not come"
        assert here.log.read_bytes() == first.log.read_bytes() and here.recipe.read_text() == "name: drums\n"
        save(here, 14)
        wait_until(lambda: pointer()["step"] == 14, "step 14")
    kept = sorted(step for name in pointer()["files"] if (step := remote_upload.step_of(name)) is not None)
    assert kept == [10, 13, 14] and set(pointer()["files"]) | {POINTER} == set(there())


def test_the_machine_that_wrote_last_needs_to_bring_nothing_and_is_ahead_after_a_broken_upload(monkeypatch):
    folder = trained(1)
    save(folder, 2)  # without an upload
    Shop.read.clear()
    with uploading() as upload:
        assert list(checkpoint.steps(upload.folder.checkpoints)) == [1, 2] and Shop.read == []
    assert pointer()["step"] == 2


def test_what_went_on_elsewhere_counts_and_the_rest_here_is_kept_aside(monkeypatch, tmp_path, cache, caplog):
    caplog.set_level(logging.INFO)
    folder = trained(1)
    save(folder, 5)  # never uploaded
    elsewhere(monkeypatch, tmp_path)
    trained(2, 3)
    monkeypatch.setenv("WAVEGAN_CACHE", str(cache))
    with uploading() as upload:
        assert list(checkpoint.steps(upload.folder.checkpoints)) == [3]
    assert list(checkpoint.steps(folder.path.with_name("drums.1") / "checkpoints")) == [1, 5]
    assert "has gone on elsewhere" in caplog.text


def test_a_store_that_fails_costs_nothing_is_told_once_and_tried_again(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    put = Shop.put_file
    tried = threading.Event()

    def broken(*_: object, **__: object) -> None:
        tried.set()
        raise ConnectionError("no route")

    with uploading() as upload:
        save(upload.folder, 1)
        wait_until(lambda: pointer().get("step") == 1, "step 1")
        monkeypatch.setattr(Shop, "put_file", broken)
        for step in (2, 3):
            tried.clear()
            save(upload.folder, step)
            assert tried.wait(PATIENCE)
            wait_until(lambda: upload._has_failed, "a failure")
        assert pointer()["step"] == 1 and copy(ADDRESS), "what is there stays a whole run"
        monkeypatch.setattr(Shop, "put_file", put)
        save(upload.folder, 4)
        wait_until(lambda: pointer()["step"] == 4, "step 4")
    assert caplog.text.count("no route); the training goes on, and tries again after its next checkpoint") == 1
    assert "can be written again" in caplog.text


def test_an_end_that_cannot_upload_says_where_the_rest_is(monkeypatch, caplog):
    monkeypatch.setenv(remote_upload.LIMIT, "0.1")
    with uploading() as upload:
        save(upload.folder, 1)
        wait_until(lambda: pointer().get("step") == 1, "step 1")
        held = threading.Event()
        monkeypatch.setattr(Shop, "put_file", lambda *_, **__: held.wait(PATIENCE))
        save(upload.folder, 2)
    held.set()
    assert f"was not within 0.1 s uploaded to {ADDRESS}, where step 1 is the newest" in caplog.text
    assert str(upload.folder.path) in caplog.text


def test_the_pointer_moves_last(monkeypatch):
    """Looks at the pointer while a checkpoint is written: whoever reads then has a whole run, the one before."""
    put, pointed_to = Shop.put_file, []

    def watched(system, lpath, rpath, **words) -> None:
        if rpath.endswith("step-00000002.pt"):
            pointed_to.append(pointer()["step"])
        put(system, lpath, rpath, **words)

    monkeypatch.setattr(Shop, "put_file", watched)
    trained(1, 2)
    assert pointed_to == [1] and pointer()["step"] == 2


@pytest.mark.parametrize("damage", [b"", b"half"])
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(monkeypatch, tmp_path, damage, caplog):
    trained(1, 2)
    Shop.store["/runs/drums/checkpoints/step-00000002.pt"].seek(0)
    Shop.store["/runs/drums/checkpoints/step-00000002.pt"].truncate(0)
    Shop.store["/runs/drums/checkpoints/step-00000002.pt"].write(damage)
    elsewhere(monkeypatch, tmp_path)
    with uploading() as upload:
        assert list(checkpoint.steps(upload.folder.checkpoints)) == [1]
    assert "step-00000002.pt is not as its upload wrote it" in caplog.text


def test_a_copy_holds_what_was_asked_for_and_follows_the_run(monkeypatch, tmp_path):
    trained(10, 11, 12)
    elsewhere(monkeypatch, tmp_path)
    folder = copy(ADDRESS, None)
    assert folder == copied(ADDRESS) and {path.name for path in folder.iterdir()} >= {"recipe.yaml", "log.jsonl"}
    assert not (folder / "checkpoints").exists()
    assert list(checkpoint.steps(copy(ADDRESS) / "checkpoints")) == [12]
    assert list(checkpoint.steps(copy(ADDRESS, "10") / "checkpoints")) == [10, 12]
    Shop.read.clear()
    copy(ADDRESS)
    assert not [path for path in Shop.read if path.endswith(".pt")], "what is there is not brought again"
    trained(13, 14)
    assert list(checkpoint.steps(copy(ADDRESS) / "checkpoints")) == [10, 14], "12 is gone there"
    with pytest.raises(RunError, match="has no whole checkpoint `best`; it has 10, 13, 14; name another"):
        copy(ADDRESS, "best")
    with pytest.raises(RunError, match="shop://runs/piano holds no run"):
        copy("shop://runs/piano")


def test_a_file_that_is_removed_while_it_is_read_is_looked_for_anew(monkeypatch, tmp_path):
    trained(1)
    elsewhere(monkeypatch, tmp_path)
    old = Shop.store[f"/runs/drums/{POINTER}"].getvalue()
    trained(2, 3)
    calls, read = [], remote_run.read_json
    stale = [json.loads(old)]
    monkeypatch.setattr(
        remote_run, "read_json", lambda *words: calls.append(words) or (stale.pop() if stale else read(*words))
    )
    assert list(checkpoint.steps(copy(ADDRESS) / "checkpoints")) == [3] and len(calls) == 2


def test_a_second_training_is_refused_while_the_first_gives_signs_of_life(monkeypatch, caplog):
    monkeypatch.setattr(remote_lease, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(remote_lease, "PATIENCE_SECONDS", PATIENCE)
    lease = Lease(Remote.connect(ADDRESS, kind="run"))
    lease.take()
    with (
        pytest.raises(RunError, match=f"{ADDRESS} is being trained by process .* one training at a time"),
        uploading(),
    ):
        pass
    lease.leave()
    trained(1)


def test_a_lease_that_stands_still_is_taken_over_and_its_owner_uploads_no_more(caplog):
    """Takes over from a training that has not ended, but could not reach the store."""
    with uploading() as first:
        save(first.folder, 1)
        wait_until(lambda: pointer().get("step") == 1, "step 1")
        second = Lease(Remote.connect(ADDRESS, kind="run"))
        second.take()
        save(first.folder, 2)
        wait_until(lambda: "another training has taken" in caplog.text, "the warning")
        assert pointer()["step"] == 1 and first.lease.is_lost
    assert "where step 1 is the newest" in caplog.text
    assert second.is_own(), "the first has left the second's lease alone"
    second.leave()


def test_who_comes_second_by_a_moment_is_refused(monkeypatch):
    remote = Remote.connect(ADDRESS, kind="run")
    first, second = Lease(remote), Lease(remote)
    monkeypatch.setattr(first, "_create", lambda: (second._write(), first._write()))
    first.take()
    monkeypatch.setattr(second, "holder", iter([None, first.holder(), first.holder()]).__next__)
    with pytest.raises(RunError, match="is being trained by"):
        second.take()
    first.leave()


def test_a_kill_on_this_machine_is_known_at_once(monkeypatch):
    monkeypatch.setattr(remote_lease, "PATIENCE_SECONDS", PATIENCE * 100)
    trained(1)
    folder = folder_of(Path(ADDRESS))
    record = json.loads((folder.path / remote_upload.RECORD).read_text())
    left = {"name": record["lease"], "who": "process 1 on here", "beats": 3}
    fsspec.filesystem("shop").pipe_file(f"/runs/drums/{LEASE}", json.dumps(left).encode())
    trained(2)


def test_fresh_moves_the_run_there_and_here_aside():
    trained(1, 2)
    before = there()
    trained(1, fresh=True)
    assert there("shop://runs/drums.1") == before and pointer()["step"] == 1
    assert there()["log.jsonl"].count(b"\n") == 1


def test_a_folder_of_other_files_is_refused():
    fsspec.filesystem("shop").pipe_file("/runs/drums/a.wav", b"sound")
    with (
        pytest.raises(RunError, match=f"{ADDRESS} holds a.wav, which is not of a run"),
        uploading(),
    ):
        pass
    assert there() == {"a.wav": b"sound"} and f"/runs/drums/{LEASE}" not in Shop.store


def test_a_run_that_was_removed_there_does_not_come_back_from_here():
    folder = trained(1)
    Shop.store.clear()
    with uploading() as upload:
        assert not upload.folder.checkpoints.exists()
    assert list(checkpoint.steps(folder.path.with_name("drums.1") / "checkpoints")) == [1]


@pytest.mark.parametrize("text", ["s3:", "s3:/", "s3://"])
def test_a_protocol_alone_is_no_folder(text):
    with pytest.raises(RunError, match="is a protocol alone; an address names a folder; write s3://bucket/run"):
        folder_of(Path(text))


def test_an_address_that_cannot_be_used_is_told():
    Shop.is_reachable = False
    with (
        pytest.raises(DataError, match="the run shop://runs/drums cannot be used .*no route to the shop"),
        uploading(),
    ):
        pass
    with pytest.raises(DataError, match="the run file:///x is on this computer; name the path itself: /x"):
        copy("file:///x")


# S3.


@pytest.fixture
def bucket(monkeypatch) -> Iterator[str]:
    """Returns the address of an empty bucket of moto's S3."""
    pytest.importorskip("s3fs", reason="fsspec reaches S3 with s3fs")
    moto = pytest.importorskip("moto.server", reason="moto stands in for S3")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "here")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "here")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    system.mkdir("sounds")
    yield "s3://sounds/runs/drums"
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


@pytest.mark.parametrize("kind", ["s3", "memory"])
def test_a_run_on_other_stores(kind, request, monkeypatch, tmp_path):
    address = request.getfixturevalue("bucket") if kind == "s3" else "memory://sounds/runs/drums"
    trained(10, 11, 12, 13, address=address)
    elsewhere(monkeypatch, tmp_path)
    with uploading(address, 10) as upload:
        assert list(checkpoint.steps(upload.folder.checkpoints)) == [13]
        with pytest.raises(RunError, match="is being trained by"):
            Lease(Remote.connect(address, kind="run"))._create()
        save(upload.folder, 14)
        wait_until(lambda: pointer(address)["step"] == 14, "step 14")
    steps = [remote_upload.step_of(name) for name in there(address)]
    assert sorted(step for step in steps if step) == [10, 13, 14]
    assert list(checkpoint.steps(copy(address, "10") / "checkpoints")) == [10]
    shutil.rmtree(upload.folder.path)
    trained(1, address=address, fresh=True)
    assert pointer(address)["step"] == 1 and pointer(f"{address}.1")["step"] == 14
    fsspec.filesystem("memory").store.clear()
