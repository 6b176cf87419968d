"""Defines `wavegan recipes`, which lists, shows and copies the shipped recipes."""

from dataclasses import asdict
from pathlib import Path

import click

from wavegan.cli.options import PATH, json_option
from wavegan.cli.output import print_result
from wavegan.errors import UserError


@click.command(short_help="List the shipped recipes; show one, or copy it to edit.")
@click.argument("file", required=False, type=PATH)
@click.option("--show", metavar="NAME", help="Print the recipe NAME.")
@click.option("--copy", metavar="NAME", help="Write a copy of the recipe NAME to FILE; NAME.yaml if not given.")
@click.option("--force", is_flag=True, help="Write over an existing file.")
@json_option
def recipes(file: Path | None, show: str | None, copy: str | None, force: bool, as_json: bool) -> None:
    """Lists the recipes that wavegan train knows by name: what each trains, and for which hardware it is sized.

    \b
    Examples:
      wavegan recipes --show drums_modern
      wavegan recipes --copy drums_modern my.yaml
    """
    from wavegan.commands import recipes as commands

    if show and copy:
        raise UserError("--show and --copy are both given", "only one of them can be done at a time", "leave one out")
    if file and not copy:
        raise UserError(f"FILE is {file}", "only --copy writes one", f"write --copy NAME {file}")
    if copy:
        path = commands.copy_recipe(copy, file, force=force)
        print_result({"file": str(path)}, as_json, str(path))
    elif show:
        text = commands.text_of(show)
        print_result({"name": show, "text": text}, as_json, text.rstrip("\n"))
    else:
        listed = commands.shipped_recipes()
        width = max(len(recipe.name) for recipe in listed)
        lines = [f"{recipe.name:<{width}}  {recipe.trains} ({recipe.sized_for})" for recipe in listed]
        print_result({"recipes": [asdict(recipe) for recipe in listed]}, as_json, "\n".join(lines))
