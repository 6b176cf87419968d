"""Tests the reports of a training: means by hand, forgotten values, refused values, and what goes to trackers."""

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from wavegan.cli.console import end_progress_line
from wavegan.errors import TrainingError
from wavegan.training.monitor import Monitor, main_statistics
from wavegan.training.run_folder import evaluations


def stats(loss: float, penalty: float = 0.0) -> dict[str, torch.Tensor]:
    return {
        "discriminators/waveform/loss": torch.tensor(loss),
        "discriminators/waveform/penalty": torch.tensor(penalty),
    }


def monitor(folder: Path, **settings) -> Monitor:
    return Monitor(folder / "log.jsonl", **{"step": 0, "steps": 100, "log_every": 2, **settings})


def entries(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_log_lines_hold_means_over_the_steps_between(tmp_path):
    told = monitor(tmp_path, steps=5, seconds=1000.0)
    for step, loss in enumerate([1.0, 3.0, -5.0, 0.5, 7.0], 1):
        told.after_step(step, stats(loss, penalty=loss / 2))
    lines = entries(tmp_path)
    assert [line["step"] for line in lines] == [2, 4, 5], "every two steps, and the last"
    assert [line["discriminators/waveform/loss"] for line in lines] == [2, -2.25, 7]
    assert [line["discriminators/waveform/penalty"] for line in lines] == [1, -1.125, 3.5]
    assert all(1000 <= line["seconds"] < 1060 for line in lines)
    assert list(lines[0]) == ["step", "seconds", "discriminators/waveform/loss", "discriminators/waveform/penalty"]


def test_a_mean_is_over_the_steps_that_have_the_statistic(tmp_path):
    told = monitor(tmp_path, steps=4, log_every=4)
    for step in range(1, 5):
        has = stats(float(step), penalty=8.0 * step)
        if step % 2:
            del has["discriminators/waveform/penalty"]
        told.after_step(step, has)
    (line,) = entries(tmp_path)
    assert (line["discriminators/waveform/loss"], line["discriminators/waveform/penalty"]) == (2.5, 24)


def test_nothing_is_read_between_log_lines(tmp_path, monkeypatch):
    reads = []
    for name in ("tolist", "item", "__float__", "__bool__", "numpy", "cpu"):
        original = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda self, *a, n=name, f=original: reads.append(n) or f(self, *a))
    told = monitor(tmp_path, log_every=5)
    counts = []
    for step in range(1, 11):
        told.after_step(step, stats(1.0))
        counts.append(len(reads))
    assert counts == [0, 0, 0, 0, 1, 1, 1, 1, 1, 2]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_named_with_its_own_step_and_phase(tmp_path, value):
    told = monitor(tmp_path, log_every=10)
    for step in range(1, 10):
        told.after_step(step, stats(1.0, penalty=value if step >= 4 else 0.0))
    with pytest.raises(TrainingError, match=f"waveform/penalty became {value} in step 4, phase discriminators"):
        told.after_step(10, stats(1.0))
    assert not (tmp_path / "log.jsonl").exists(), "no line may hold it: JSON knows no NaN"


def test_flush_finds_it_before_the_log_line_is_due(tmp_path):
    told = monitor(tmp_path, log_every=10)
    told.after_step(1, stats(math.nan))
    with pytest.raises(TrainingError, match="loss became nan in step 1"):
        told.flush()


def test_flush_of_nothing_writes_nothing(tmp_path):
    told = monitor(tmp_path)
    told.flush()
    assert not (tmp_path / "log.jsonl").exists()
    told.after_step(1, stats(1.0))
    told.flush()
    told.flush()
    assert len(entries(tmp_path)) == 1


def test_later_lines_and_a_torn_one_are_forgotten_when_a_run_goes_on(tmp_path):
    lines = [json.dumps({"step": step, "seconds": 0.0, "x": 1.0}) for step in (10, 20, 30)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + '\n{"step": 40, "seco')
    told = monitor(tmp_path, step=20, log_every=1)
    assert [line["step"] for line in entries(tmp_path)] == [10, 20]
    told.after_step(21, stats(1.0))
    assert [line["step"] for line in entries(tmp_path)] == [10, 20, 21]
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_torn_line_alone_does_not_run_into_the_next(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"st')
    monitor(tmp_path, step=5, log_every=1).after_step(6, stats(1.0))
    assert [line["step"] for line in entries(tmp_path)] == [1, 6]


def test_previews_come_at_their_interval_and_at_the_end(tmp_path):
    shown = []
    told = monitor(tmp_path, steps=7, preview_every=3, preview=lambda step: shown.append(step))
    for step in range(1, 8):
        told.after_step(step, stats(1.0))
    assert shown == [3, 6, 7]
    never = monitor(tmp_path, steps=2, preview_every=0, preview=lambda step: shown.append("never"))
    never.after_step(2, stats(1.0))
    assert "never" not in shown


def test_no_preview_is_made_of_a_spoilt_network(tmp_path):
    told = monitor(tmp_path, log_every=10, preview_every=3, preview=lambda step: pytest.fail("a preview of NaN"))
    with pytest.raises(TrainingError, match="in step 2"):
        for step in range(1, 4):
            told.after_step(step, stats(math.nan if step > 1 else 1.0))


def test_the_progress_line(tmp_path, capsys, console):
    told = monitor(tmp_path, steps=2000, log_every=1)
    told.after_step(1000, stats(0.123456, penalty=2.0))
    text = capsys.readouterr().err
    assert text.startswith("step 1,000/2,000  ") and "steps/s" in text and " left  " in text
    assert "discriminators/waveform/loss 0.1235  discriminators/waveform/penalty 2" in text
    told.after_step(1001, stats(1.0))
    assert capsys.readouterr().err == "", "where stderr is no terminal, a line every ten seconds"
    told.after_step(2000, stats(1.0))
    assert capsys.readouterr().err.startswith("step 2,000/2,000"), "the last one always"


def test_of_many_statistics_a_line_shows_the_first_of_each_network(tmp_path, capsys, console):
    told = monitor(tmp_path, steps=2)
    many = {
        f"discriminators/{name}/{statistic}": torch.tensor(value)
        for name, value in (("a/low", 0.25), ("b/low", 2.0))
        for statistic in ("wasserstein", "penalty", "loss")
    }
    many |= {"generator/low/loss": torch.tensor(3.0), "generator/loss": torch.tensor(7.0)}
    told.after_step(1, many)
    told.after_step(2, many)
    told.flush()
    first, line = capsys.readouterr().err.splitlines()
    assert first == (
        "a line of progress shows wasserstein of a/low, b/low and loss of generator; log.jsonl has all statistics"
    )
    assert line.startswith("step 2/2  ") and line.endswith(" left  a/low 0.25  b/low 2  generator 7")
    assert entries(tmp_path)[-1].keys() == {"step", "seconds", *many}


def test_networks_of_one_name_keep_their_kind():
    means = {f"discriminators/{name}/loss": 1.0 for name in ("fine", "generator")}
    means |= {"generator/loss": 2.0, "encoders/fine/kl": 3.0, **{f"discriminators/fine/{n}": 0.0 for n in range(3)}}
    assert main_statistics(means) == {
        "discriminators/fine/loss": 1,
        "discriminators/generator/loss": 1,
        "generator/loss": 2,
        "encoders/fine/kl": 3,
    }
    few = {"vae/loss": 1.0, "vae/kl": 2.0}
    assert main_statistics(few) == few and main_statistics({}) == {}


def test_on_a_terminal_the_line_is_written_over(tmp_path, capsys, monkeypatch, console):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    told = monitor(tmp_path, log_every=1)
    told.after_step(1, stats(1.0))
    told.after_step(2, stats(2.0))
    end_progress_line()
    text = capsys.readouterr().err
    assert text.count("\r") == 2 and text.count("\n") == 1 and text.endswith("\n")


def test_speed_counts_this_sessions_steps_only(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("wavegan.training.monitor.time.monotonic", lambda: clock[0])
    told = monitor(tmp_path, step=50, seconds=30.0)
    clock[0] = 104.0
    told.after_step(60, stats(1.0))
    assert told.steps_per_second == 2.5 and told.seconds == 34.0


def test_every_log_line_is_shown_to_a_listener(tmp_path):
    told, heard = monitor(tmp_path), []
    told.on_line = lambda step, means: heard.append((step, means))
    for step, loss in enumerate([1.0, 3.0, 5.0], 1):
        told.after_step(step, stats(loss))
    told.flush()
    expected = {2: 2.0, 3: 5.0}
    assert heard == [
        (step, {"discriminators/waveform/loss": loss, "discriminators/waveform/penalty": 0})
        for step, loss in expected.items()
    ]
    assert [line["step"] for line in entries(tmp_path)] == [2, 3], "and is written first"


def test_a_warning_is_a_line_and_an_entry(tmp_path, capsys, console):
    told = monitor(tmp_path)
    told.after_step(2, stats(1.0))
    told.warn("the clips are silent")
    assert capsys.readouterr().err.endswith("\nwarning: the clips are silent\n")
    assert [(line["step"], line.get("alarm")) for line in entries(tmp_path)] == [(2, None), (2, "the clips are silent")]
    assert evaluations(tmp_path / "log.jsonl") == []


def test_on_a_terminal_a_warning_is_not_written_over(tmp_path, capsys, monkeypatch, console):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    told = monitor(tmp_path)
    told.after_step(2, stats(1.0))
    told.warn("silent")
    told.after_step(4, stats(1.0))
    end_progress_line()
    lines = capsys.readouterr().err.split("\n")
    assert lines[0].startswith("\rstep 2/100") and lines[1] == "warning: silent" and lines[2].startswith("\rstep 4/100")


def test_going_back_forgets_lines_and_keeps_the_reason(tmp_path, capsys, monkeypatch, console):
    clock = [0.0]
    monkeypatch.setattr("wavegan.training.monitor.time.monotonic", lambda: clock[0])
    told = monitor(tmp_path, log_every=1)
    for step in range(1, 6):
        told.after_step(step, stats(1.0))
    told.warn("this is forgotten as well")
    told.pending.append(stats(math.nan))
    told.go_back(3, "it fell silent")
    assert "warning: it fell silent\n" in capsys.readouterr().err
    clock[0] = 10.0
    for step in (4, 5):
        told.after_step(step, stats(2.0))
    lines = entries(tmp_path)
    assert [line["step"] for line in lines] == [1, 2, 3, 3, 4, 5]
    assert lines[3] == {"step": 3, "seconds": 0.0, "rollback": "it fell silent"}
    assert [line.get("discriminators/waveform/loss") for line in lines] == [1, 1, 1, None, 2, 2]
    assert told.steps_per_second == 0.7, "seven steps were taken"
    monitor(tmp_path, step=4)
    assert [line["step"] for line in entries(tmp_path)] == [1, 2, 3, 3, 4]


@pytest.mark.parametrize(
    "line", [b"1", b"null", b"{}", b'{"st\xe5p": 2}', b'{"step": "x"}', b"[" * 9999, b'{"step": 2']
)
def test_a_line_that_cannot_be_read_is_told_and_left(tmp_path, caplog, line):
    log = tmp_path / "log.jsonl"
    log.write_bytes(b'{"step": 2, "evaluation/fad": 1.5}\n' + line + b'\n{"step": 9}\n{"step": 4, "ev')
    told = monitor(tmp_path, step=4)
    assert log.read_bytes() == b'{"step": 2, "evaluation/fad": 1.5}\n' + line + b"\n"
    told.tell({"fad": 2.5})
    assert evaluations(log) == [{"step": 2, "fad": 1.5}, {"step": told.step, "fad": 2.5}]
    assert caplog.text.count("1 of its lines cannot be read; they are passed over, and stay as they are") == 2


def test_what_is_measured_beside_previews_is_logged_and_judged(tmp_path):
    figures, judged = iter([{"discriminators/a/overfitting": 0.5}, {}]), []
    preview = SimpleNamespace()
    told = monitor(
        tmp_path, steps=4, preview_every=2, preview=lambda step: preview, measured=lambda: next(figures), log_every=10
    )
    told.on_line = lambda step, means: judged.append((step, dict(means)))
    for step in range(1, 5):
        told.after_step(step, stats(1.0))
    lines = [line for line in entries(tmp_path) if "discriminators/a/overfitting" in line]
    assert [(line["step"], line["discriminators/a/overfitting"]) for line in lines] == [(2, 0.5)]
    assert (2, {"discriminators/a/overfitting": 0.5}) in judged
