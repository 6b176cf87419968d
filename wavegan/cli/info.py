"""Defines `wavegan info`, which says how a sound was made, what a model is, or how runs go."""

from pathlib import Path
from typing import Any

import click

from wavegan.cli.options import PATH, json_option
from wavegan.cli.output import print_result

UNREADABLE = ("latent", "offset")  # whose numbers say nothing to a reader


@click.command(short_help="Say how a sound was made, what a model is, or how runs go.")
@click.argument("target", metavar="FILE|MODEL|FOLDER", type=PATH, default="runs")
@json_option
def info(target: Path, as_json: bool) -> None:
    """Shows the receipt of a sound FILE that wavegan has written, or the facts of a MODEL.

    Of a run it also shows how it goes, by its log: step, speed, alarms, figures, machine, and how to go on. Of a FOLDER
    of runs (runs if none is named) it shows a line for each: step, newest evaluation, and whether it runs.

    \b
    Examples:
      wavegan info generated/drums/clip-000003.wav
      wavegan info runs/drums_modern --json
    """
    from wavegan.commands import info as commands

    facts = commands.info(target)
    print_result(facts, as_json, _text(facts))


def _text(facts: dict[str, Any]) -> str:
    """Returns facts as lines for people, without a latent's numbers."""
    if "runs" in facts:
        return _table([_run_line(run) for run in facts["runs"]])
    shown = {name: value for name, value in facts.items() if name not in (*UNREADABLE, "status")}
    blocks = [_lines(shown), _lines(_status_lines(facts["status"])) if "status" in facts else ""]
    return "\n\n".join(filter(None, blocks))


def _run_line(run: dict[str, Any]) -> tuple[str, ...]:
    """Returns a run's path, step, newest evaluation and state."""
    from wavegan.evaluation.metrics import HEADLINE

    status = run["status"]
    if not status:
        return run["path"], "", "", "no log"
    total = f" of {status['steps']:,}" if status["steps"] else ""
    judged = status["evaluation"] or {}
    figure = f"{HEADLINE} {judged[HEADLINE]:.2f} at step {judged['step']:,}" if HEADLINE in judged else ""
    return run["path"], f"step {status['step']:,}{total}", figure, status["state"]


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _lines(values: dict[str, Any]) -> str:
    shown = {name: value for name, value in values.items() if value not in ((), [], None, "")}
    width = max(map(len, shown))
    return "\n".join(f"{name:<{width}}  {_plain(value)}" for name, value in shown.items())


def _status_lines(status: dict[str, Any]) -> dict[str, str]:
    """Returns the state of a run as texts by title."""
    from wavegan.training.monitor import clock, main_statistics

    where, speed, left = status["where"], status["steps_per_second"], status["seconds_left"]
    total = f" of {status['steps']:,}" if status["steps"] else ""
    alarms = f"{status['alarms']} alarms, {status['rollbacks']} rollbacks; the newest at step "
    judged = status["evaluation"] or {}
    return {
        "run": status["state"],
        "reached": f"step {status['step']:,}{total} in {clock(status['seconds'])}",
        "speed": "" if speed is None else f"{speed:.3g} steps/s" + (f", {clock(left)} left" if left else ""),
        "health": f"{alarms}{status['newest_alarm_step']:,}: {status['newest_alarm']}"
        if status["newest_alarm"]
        else "no alarm",
        "figures": "  ".join(f"{name} {value:.4g}" for name, value in main_statistics(status["figures"]).items()),
        "evaluated": "  ".join(
            f"{name} {value:,}" if name == "step" else f"{name} {value:.4g}" for name, value in judged.items()
        ),
        "where": "{device} of {host}, process {process}; processes: {processes}, threads: {threads}, {precision}; "
        "started {time}".format(**where)
        if where
        else "not in its log; an earlier version wrote it",
        "last line": f"{status['last_written']}, {clock(status['seconds_since_written'])} ago",
        "to go on": status["go_on"],
    }


def _plain(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{name}:{part:.6g}" for name, part in value.items())
        case list() | tuple():
            return ", ".join(map(str, value))
        case int() if not isinstance(value, bool):
            return f"{value:,}"
        case _:
            return str(value)
