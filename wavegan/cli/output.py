"""Formats results as text or JSON and prints them on stdout."""

import json
from typing import Any

import click

from wavegan.cli.console import end_progress_line, printable

Scores = dict[str, dict[str, dict[str, Any]]]

PARTS = {
    "data": "data",
    "generator_forward": "generator forward",
    "discriminator_update": "discriminator update",
    "generator_update": "generator update",
    "optimizer": "optimiser",
    "ema": "EMA",
    "averaging": "averaging, waiting",  # of several processes
    "other": "other",
}


def print_result(values: dict[str, Any], as_json: bool, text: str) -> None:
    """Prints one JSON object, or text for people, on stdout."""
    end_progress_line()
    click.echo(printable(json.dumps(values, ensure_ascii=False) if as_json else text))


def print_files(result: Any, as_json: bool, **more: Any) -> None:
    """Prints the paths of the sound files that a command wrote, one a line; in JSON also their folder and rate."""
    files = [str(path) for path in result.files]
    values = {"out": str(result.out), "files": files, "sample_rate": result.sample_rate, **more}
    print_result(values, as_json, "\n".join(files))


def scores(by_set: Scores) -> str:
    """Returns a table of metrics by set of clips: a line for each metric, with value and interval."""
    metrics = {metric: None for set_scores in by_set.values() for metric in set_scores}
    lines = [["", *by_set]]
    lines += [[metric] + [_score(set_scores.get(metric)) for set_scores in by_set.values()] for metric in metrics]
    counts = {score["n"] for set_scores in by_set.values() for score in set_scores.values()}
    return _aligned(lines) + f"\nclips of each set: {', '.join(f'{count:,}' for count in sorted(counts))}"


def comparison(result: Any) -> str:
    """Returns the result of `wavegan compare` as text."""
    first = next(iter(result.scores))
    tables = "\n\n".join(
        f"{name} minus {first}\n{_aligned([[metric, _score(score)] for metric, score in differences.items()])}"
        for name, differences in result.differences.items()
    )
    return f"{scores(result.scores)}\n\n{tables}"


def listening(scored: dict[str, Any]) -> str:
    """Returns the verdicts of listeners as text, one sentence for each pair."""
    return "\n".join(scored["verdicts"])


def classifier(result: Any) -> str:
    """Returns how well a classifier does, and the path of its file, as text."""
    lines = [f"{result.accuracy} that it has not learned from ({result.split})"]
    if result.test:
        lines.append(f"{result.test} of the other source")
    return "\n".join([*lines, str(result.path)])


def _score(score: dict[str, Any] | None) -> str:
    if score is None or score["value"] is None:
        return "-"
    from wavegan.evaluation.pages.html_page import rounded  # html_page imports heavy libraries

    value, low, high = (rounded(score[part], score["value"]) for part in ("value", "low", "high"))
    return f"{value} [{low}, {high}]".replace("\N{MINUS SIGN}", "-")


def _aligned(lines: list[list[str]]) -> str:
    """Returns lines of cells as columns; the first is aligned to the left, the others to the right."""
    lines = [[" ".join(printable(cell).split()) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(pairs))
        for line in lines
        if (pairs := list(zip(line, widths, strict=True)))
    )


def benchmark(figures: dict[str, Any]) -> str:
    """Returns the result of `wavegan bench` as text."""
    several = f", in each of {figures['processes']} processes" if figures["processes"] > 1 else ""
    head = (
        f"{figures['recipe']}: {figures['discriminator_steps']} + 1 updates, {figures['batch_size']} clips of "
        f"{figures['clip_samples']:,} samples, d = {figures['dim']}, {figures['precision']} on {figures['device']}, "
        f"threads: {figures['threads']}{several}"
    )
    blocks = [[head], _parts(figures), _whole(figures), _beside(figures), [figures["verdict"]]]
    return "\n\n".join("\n".join(block) for block in blocks)


def _parts(figures: dict[str, Any]) -> list[str]:
    parts, flops = figures["parts"], {**figures["part_flops"], "total": figures["flops"]}
    whole = parts["total"]
    if not parts["generator_forward"]:  # the discriminator update contains it
        flops["discriminator_update"] += flops.pop("generator_forward")
    rows = [f"{'part':<22}{'ms':>12}{'share':>9}{'GFLOP/s':>10}"]
    for key, name in [*PARTS.items(), ("total", "step, taken apart")]:
        if key not in parts:
            continue
        seconds = parts[key]
        rate = f"{flops[key] / seconds / 1e9:>10,.0f}" if key in flops and seconds > 0 else f"{'-':>10}"
        is_none = seconds == 0 or (key == "data" and figures["data"] is None)
        time = f"{'-':>12}{'-':>9}" if is_none else f"{seconds * 1e3:>12,.2f}{seconds / whole:>9.1%}"
        rows.append(f"{name:<22}{time}{rate}")
    return rows


def _whole(figures: dict[str, Any]) -> list[str]:
    def row(name: str, seconds: float, note: str) -> str:
        return f"{name:<22}{seconds * 1e3:>12,.2f} ms  {note}"

    def spread(key: str, repeats: str) -> str:
        low, high = (seconds * 1e3 for seconds in figures[f"{key}_quartiles"])
        return f"quartiles {low:,.2f} to {high:,.2f} of {figures[repeats]}"

    has_plain = figures["plain_step_seconds"] is not None
    rows = [row("step", figures["step_seconds"], spread("step_seconds", "step_repeats"))]
    if has_plain:
        note = spread("plain_step_seconds", "plain_step_repeats")
        precision = "TF32" if figures["device"].startswith("cuda") else "fp32"  # as `bench.baseline_timing` allows
        rows.append(row(f"plain step, {precision}", figures["plain_step_seconds"], note))
    rows.append(row("floor", figures["floor_seconds"], _floor(figures)))
    if has_plain:
        rows.append(f"{'speed-up':<22}{figures['speedup']:>12.2f} times  the plain step")
    memory = f"{'peak memory':<22}{figures['peak_memory_bytes'] / 1e6:>12,.1f} MB"
    if has_plain:
        memory += f"  of the plain step's {figures['plain_peak_memory_bytes'] / 1e6:,.1f} MB"
    return [
        *rows,
        f"{'over the floor':<22}{figures['step_over_floor']:>12.2f} times",
        f"{'achieved':<22}{figures['flops_per_second'] / 1e9:>12,.0f} GFLOP/s",
        memory,
    ]


def _floor(figures: dict[str, Any]) -> str:
    return (
        f"{figures['flops'] / 1e9:,.1f} GFLOP at {figures['matrix_flops_per_second'] / 1e9:,.0f} GFLOP/s, "
        f"{figures['optimizer_bytes'] / 1e9:,.2f} GB at {figures['memory_bytes_per_second'] / 1e9:,.1f} GB/s"
    )


def _beside(figures: dict[str, Any]) -> list[str]:
    rows = []
    for key, seconds in figures["generation"].items():
        clips = int(key.removeprefix("batch_"))
        kinds = [f"{kind} {value * 1e3:,.2f}" for kind, value in seconds.items() if kind != "speedup"]
        name = f"generating {clips}"
        gain = f"{seconds['speedup']:>12.2f} times  the plain one; " if "speedup" in seconds else f"{'':>12}  "
        rows.append(f"{name:<22}{gain}ms: {', '.join(kinds)}")
    data = figures["data"]
    if data:
        rows.append(
            f"{'data':<22}{data['ratio']:>12,.1f} times  what the step consumes: "
            f"{data['clips_per_second']:,.0f} clips/s for {data['consumed_clips_per_second']:,.0f}"
        )
    return rows
