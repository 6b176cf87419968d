"""Results as text or JSON on stdout."""

import json
from typing import Any

import click

from wavegan.cli.console import end_progress_line

Scores = dict[str, dict[str, dict[str, Any]]]

PARTS = {
    "data": "data",
    "generator_forward": "generator forward",
    "discriminator_update": "discriminator update",
    "generator_update": "generator update",
    "optimizer": "optimiser",
    "ema": "EMA",
    "other": "other",
}


def print_result(values: dict[str, Any], as_json: bool, text: str) -> None:
    """Prints one JSON object, or text for people, on stdout."""
    end_progress_line()
    click.echo(json.dumps(values, ensure_ascii=False) if as_json else text)


def scores(found: Scores) -> str:
    """Metrics by set of clips: a line for each metric, value and interval."""
    metrics = {metric: None for one in found.values() for metric in one}
    lines = [["", *found]]
    lines += [[metric] + [_score(one.get(metric)) for one in found.values()] for metric in metrics]
    counts = {score["n"] for one in found.values() for score in one.values()}
    return _aligned(lines) + f"\nclips of each set: {', '.join(f'{count:,}' for count in sorted(counts))}"


def comparison(result: Any) -> str:
    """What `wavegan compare` has found."""
    first = next(iter(result.scores))
    differences = "\n\n".join(
        f"{name} less {first}\n{_aligned([[metric, _score(score)] for metric, score in one.items()])}"
        for name, one in result.differences.items()
    )
    return f"{scores(result.scores)}\n\n{differences}"


def listening(found: dict[str, Any]) -> str:
    """What listeners have answered."""
    return "\n".join(found["verdicts"])


def classifier(result: Any) -> str:
    """How well a classifier does, and where it lies."""
    lines = [f"{result.accuracy} that it has not learned from ({result.split})"]
    if result.test:
        lines.append(f"{result.test} of the other source")
    return "\n".join([*lines, str(result.path)])


def _score(score: dict[str, Any] | None) -> str:
    if score is None:
        return "-"
    from wavegan.evaluation.pages.html_page import rounded  # it brings heavy libraries

    value, low, high = (rounded(score[part], score["value"]) for part in ("value", "low", "high"))
    return f"{value} [{low}, {high}]".replace("\N{MINUS SIGN}", "-")


def _aligned(lines: list[list[str]]) -> str:
    """Lines of cells as columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(pairs))
        for line in lines
        if (pairs := list(zip(line, widths, strict=True)))
    )


def benchmark(found: dict[str, Any]) -> str:
    """What `wavegan bench` has found."""
    head = (
        f"{found['recipe']}: {found['discriminator_steps']} + 1 updates, {found['batch_size']} clips of "
        f"{found['clip_samples']:,} samples, d = {found['dim']}, {found['precision']} on {found['device']}, "
        f"threads: {found['threads']}"
    )
    blocks = [[head], _parts(found), _whole(found), _beside(found), [found["verdict"]]]
    return "\n\n".join("\n".join(block) for block in blocks)


def _parts(found: dict[str, Any]) -> list[str]:
    parts, whole, flops = found["parts"], found["parts"]["total"], {**found["part_flops"], "total": found["flops"]}
    if not parts["generator_forward"]:  # the discriminator update holds it
        flops["discriminator_update"] += flops.pop("generator_forward")
    rows = [f"{'part':<22}{'ms':>12}{'share':>9}{'GFLOP/s':>10}"]
    for key, name in [*PARTS.items(), ("total", "step, taken apart")]:
        seconds = parts[key]
        rate = f"{flops[key] / seconds / 1e9:>10,.0f}" if key in flops and seconds > 0 else f"{'-':>10}"
        is_none = seconds == 0 or (key == "data" and found["data"] is None)
        time = f"{'-':>12}{'-':>9}" if is_none else f"{seconds * 1e3:>12,.2f}{seconds / whole:>9.1%}"
        rows.append(f"{name:<22}{time}{rate}")
    return rows


def _whole(found: dict[str, Any]) -> list[str]:
    def row(name: str, seconds: float, note: str) -> str:
        return f"{name:<22}{seconds * 1e3:>12,.2f} ms  {note}"

    def spread(key: str, repeats: str) -> str:
        low, high = (one * 1e3 for one in found[f"{key}_quartiles"])
        return f"quartiles {low:,.2f} to {high:,.2f} of {found[repeats]}"

    has_plain = found["plain_step_seconds"] is not None
    rows = [row("step", found["step_seconds"], spread("step_seconds", "step_repeats"))]
    if has_plain:
        note = spread("plain_step_seconds", "plain_step_repeats")
        rows.append(row("plain step, fp32", found["plain_step_seconds"], note))
    rows.append(row("floor", found["floor_seconds"], _floor(found)))
    if has_plain:
        rows.append(f"{'speed-up':<22}{found['speedup']:>12.2f} times  the plain step")
    memory = f"{'peak memory':<22}{found['peak_memory_bytes'] / 1e6:>12,.1f} MB"
    if has_plain:
        memory += f"  of the plain step's {found['plain_peak_memory_bytes'] / 1e6:,.1f} MB"
    return [
        *rows,
        f"{'over the floor':<22}{found['step_over_floor']:>12.2f} times",
        f"{'achieved':<22}{found['flops_per_second'] / 1e9:>12,.0f} GFLOP/s",
        memory,
    ]


def _floor(found: dict[str, Any]) -> str:
    return (
        f"{found['flops'] / 1e9:,.1f} GFLOP at {found['matrix_flops_per_second'] / 1e9:,.0f} GFLOP/s, "
        f"{found['optimizer_bytes'] / 1e9:,.2f} GB at {found['memory_bytes_per_second'] / 1e9:,.1f} GB/s"
    )


def _beside(found: dict[str, Any]) -> list[str]:
    rows = []
    for key, seconds in found["generation"].items():
        clips = int(key.removeprefix("batch_"))
        kinds = [f"{kind} {one * 1e3:,.2f}" for kind, one in seconds.items() if kind != "speedup"]
        name = f"generating {clips}"
        gain = f"{seconds['speedup']:>12.2f} times  the plain one; " if "speedup" in seconds else f"{'':>12}  "
        rows.append(f"{name:<22}{gain}ms: {', '.join(kinds)}")
    data = found["data"]
    if data:
        rows.append(
            f"{'data':<22}{data['ratio']:>12,.1f} times  what the step consumes: "
            f"{data['clips_per_second']:,.0f} clips/s for {data['consumed_clips_per_second']:,.0f}"
        )
    return rows
