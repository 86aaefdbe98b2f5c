"""The option that says where work is done, the same for every command that has it."""

from __future__ import annotations

from typing import Annotated

import typer

CLUSTER = Annotated[
    str,
    typer.Option(
        "--cluster",
        metavar="WHERE",
        help="Work in many processes: local, tcp://host:port of a dask scheduler, or package.module.function "
        "that returns a dask cluster. Files must be on disks that all workers share.",
    ),
]
WORKERS = Annotated[
    int | None,
    typer.Option("--workers", help="With --cluster: its workers; local takes one a core by default."),
]
