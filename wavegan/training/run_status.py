"""Says how far a run is, how it goes and whether it still runs, from its log and its lock alone."""

import os
import shlex
import socket
import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from wavegan.file_lock import is_held
from wavegan.training.run_folder import ALARM, END, EVALUATION, ROLLBACK, START, RunFolder, lines

RECENT_LINES = 20  # from which the speed is taken
SILENT_SECONDS, SILENT_LINES = 120, 20  # a log without a new line for both is that of a run that has ended
DONE = "all steps are taken"
Record = Mapping[str, Any]


def run_status(
    folder: RunFolder, *, name: str = "", held: bool | None = None, now: float | None = None
) -> dict[str, Any]:
    """Returns the state of a run as plain values by name, from its log; a folder without a log has none: {}.

    `running` is None if neither the lock nor the log shows it; a log without a start, of an earlier version, shows
    less. name: of the run in commands, its folder if not given. held: whether a training holds it; None asks its lock.
    now: seconds since 1970.
    """
    records = [record for record in lines(folder.log) if _is_whole(record)]
    if not records:
        return {}
    now = time.time() if now is None else now
    first = max((index for index, record in enumerate(records) if START in record), default=0)
    session = records[first:]
    start, last = session[0].get(START, {}), session[-1]
    statistic_lines = [record for record in session if _is_statistics(record)]
    written = _time_of(session[0], last) or folder.log.stat().st_mtime
    held = is_held(folder.lock) if held is None else held
    running, state = _state(held, session, statistic_lines, now - written)
    speed, steps = _speed(session[0], statistic_lines), start.get("steps")
    return {
        "running": running,
        "state": state,
        "step": last["step"],
        "steps": steps,
        "seconds": last["seconds"],
        "steps_per_second": speed,
        "seconds_left": (steps - last["step"]) / speed if running and steps and speed else None,
        "last_written": datetime.fromtimestamp(written).astimezone().isoformat(timespec="seconds"),
        "seconds_since_written": max(round(now - written, 1), 0.0),
        **_health(records),
        "figures": _figures(statistic_lines[-1]) if statistic_lines else {},
        "evaluation": _newest_evaluation(records),
        "where": start,
        "go_on": "" if running or last.get(END) == DONE else _command(folder, name, start),
    }


def _is_whole(record: Record) -> bool:
    """Returns whether a line has the fields that are read here; others are passed over."""
    start = record.get(START, {"time": "2000-01-01"})
    try:
        datetime.fromisoformat(start["time"])
        return float(record["seconds"]) >= 0
    except (TypeError, KeyError, ValueError):
        return False


def _is_statistics(record: Record) -> bool:
    return any("/" in key and not key.startswith(EVALUATION) for key in record)


def _figures(record: Record) -> dict[str, float]:
    return {key: value for key, value in record.items() if key not in ("step", "seconds")}


def _time_of(start: Record, record: Record) -> float | None:
    """Returns when a line was written, in seconds since 1970; None if its session's start is not logged."""
    if START not in start:
        return None
    began = datetime.fromisoformat(start[START]["time"]).timestamp()
    return began + record["seconds"] - start["seconds"]


def _speed(start: Record, statistic_lines: Sequence[Record]) -> float | None:
    """Returns the steps per second of the newest log lines; None if there are too few."""
    recent = [start, *statistic_lines][-RECENT_LINES:]
    seconds = recent[-1]["seconds"] - recent[0]["seconds"]
    return (recent[-1]["step"] - recent[0]["step"]) / seconds if seconds > 0 else None


def _state(
    held: bool | None, session: Sequence[Record], statistic_lines: Sequence[Record], silence: float
) -> tuple[Any, str]:
    """Returns whether a run is being trained, and a sentence on it, by its lock or else by its log's age."""
    end = session[-1].get(END)
    if held:
        return True, f"the session before ended ({end}); another one starts" if end else "running"
    if end:
        return False, f"ended: {end}"
    if held is False and session[0].get(START, {}).get("host") in (None, socket.gethostname()):
        return False, "ended without a word: it was killed, or the machine went down"
    recent = [record["seconds"] for record in statistic_lines[-RECENT_LINES:]]
    usual = statistics.median(b - a for a, b in zip(recent, recent[1:], strict=False)) if len(recent) > 1 else 0.0
    if silence > max(SILENT_SECONDS, SILENT_LINES * usual):
        return (
            None,
            f"its log has been silent for {silence:,.0f} s, lines came every {usual:.3g} s: it seems to be gone",
        )
    return None, "no lock can be seen from here; its log is fresh"


def _health(records: Sequence[Record]) -> dict[str, Any]:
    alarms = [record for record in records if ALARM in record or ROLLBACK in record]
    newest = alarms[-1] if alarms else {}
    return {
        "alarms": sum(ALARM in record for record in alarms),
        "rollbacks": sum(ROLLBACK in record for record in alarms),
        "newest_alarm": newest.get(ALARM) or newest.get(ROLLBACK),
        "newest_alarm_step": newest.get("step"),
    }


def _newest_evaluation(records: Sequence[Record]) -> dict[str, Any] | None:
    for record in reversed(records):
        figures = {key.removeprefix(EVALUATION): record[key] for key in record if key.startswith(EVALUATION)}
        if figures:
            return {"step": record["step"], **figures}
    return None


def _command(folder: RunFolder, name: str, start: Record) -> str:
    """Returns the command that goes on with a run, from the folder in which it was started."""
    launcher, processes, machines = ["wavegan"], start.get("processes", 1), start.get("machines", 1)
    if processes > 1:
        nodes = [f"--nnodes={machines}"] if machines > 1 else []
        launcher = ["torchrun", *nodes, f"--nproc-per-node={processes // machines}", "-m", "wavegan"]
    here = start.get("folder") in (None, os.getcwd())
    recipe, run = (path if here else path.absolute() for path in (folder.recipe, folder.path))
    words = shlex.join([*launcher, "train", str(recipe), "--run-dir", name or str(run)])
    return words if here else f"cd {shlex.quote(start['folder'])} && {words}"
