"""Writes the card of a model: what it makes, what it learned from, its figures, its limits."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from wavegan.evaluation.metrics import METRICS
from wavegan.evaluation.pages.html_page import rounded

TEMPLATE = Path(__file__).with_name("card.md.j2")
OPTIONAL = ("licence", "files", "seconds_of_sound", "seconds", "figures", "command", "about", "limits")


def card_text(config: Mapping[str, Any], place: str, samples: Sequence[str] = ()) -> str:
    """Returns the card as Markdown with the metadata of a hub's page.

    config: the plain values of an exported folder. place: the MODEL in the examples. samples: names of sound files.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["rounded"] = lambda value: rounded(value, value)
    environment.filters["quoted"] = shlex.quote
    recipe = config["recipe"]
    data, training = recipe["data"], recipe["training"]
    values = dict.fromkeys(OPTIONAL) | dict(config)
    return environment.get_template(TEMPLATE.name).render(
        values,
        place=place,
        samples=samples,
        metrics=METRICS,
        labels=config["label_names"] if recipe["generator"].get("labels") else (),
        clip_samples=data["clip_samples"],
        channels=data["channels"],
        sample_rate=data["sample_rate"],
        sources=[*data["source"], *(data["source_b"] or ())],
        batch_size=training["batch_size"],
        seed=training["seed"],
        start=training.get("start_from"),
        unbounded=recipe["generator"].get("unbounded"),
        draws_pitches=recipe["generator"].get("drawn_pitch"),
    )


def figures_of(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the figures that a card shows of an evaluation as JSON: each with its interval and that of real clips."""
    generated, real = evaluation["metrics"], evaluation["reference"]
    return {
        "metrics": {
            name: {key: score[key] for key in ("value", "low", "high", "n")} | {"real": real[name]["value"]}
            for name, score in generated.items()
            if score["value"] is not None and real[name]["value"] is not None
        },
        "labels_obeyed": evaluation["labels_obeyed"],
        "held_out": evaluation["facts"].get("held out", ""),
    }
