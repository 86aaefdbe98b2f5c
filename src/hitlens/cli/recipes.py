"""``hitlens recipes``: the shipped settings, by name or in full."""

from __future__ import annotations

from typing import Annotated

import typer


def recipes(
    name: Annotated[
        str, typer.Argument(help="Show this recipe with every setting; all names where left out.")
    ] = "",
) -> None:
    """List the shipped recipes, or show one with every setting."""
    from hitlens.config import dump_config, list_recipes, load_config

    if name:
        typer.echo(dump_config(load_config(name)), nl=False)
    else:
        typer.echo("\n".join(list_recipes()))
