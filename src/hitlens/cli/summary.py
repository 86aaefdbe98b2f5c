"""``hitlens summary``: the layers of a network."""

from __future__ import annotations

from typing import Annotated

import typer


def summary(
    source: Annotated[str, typer.Argument(help="Model file, run folder, or recipe by name or file.")],
) -> None:
    """Print the layers of a network: what each puts out and how many parameters it has."""
    from rich.console import Console
    from rich.table import Table

    from hitlens.workflow.summaries import summarise_layers

    layers = summarise_layers(source)
    table = Table("layer", "type", "output shape")
    for name in ("parameters", "trainable"):
        table.add_column(name, justify="right")
    for row in layers.rows:
        shape = "-" if row.output_shape is None else str(row.output_shape)
        table.add_row(row.name, row.kind, shape, f"{row.n_parameters:,}", f"{row.n_trainable:,}")
    Console().print(table)
    n_fixed = layers.n_parameters - layers.n_trainable
    typer.echo(
        f"Total parameters: {layers.n_parameters:,}; trainable: {layers.n_trainable:,}; not trainable "
        f"(running statistics): {n_fixed:,}. Shapes are of one event, channels first."
    )
