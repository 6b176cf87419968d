"""Writes trained models for use elsewhere, and reads them again."""

from pathlib import Path


def template(name: str) -> str:
    """Returns the text of a script that goes into exported folders as it is."""
    return Path(__file__).with_name(f"{name}.txt").read_text(encoding="utf-8")
