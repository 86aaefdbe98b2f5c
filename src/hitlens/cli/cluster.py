"""The options that say where work is done, the same for every command that has them."""

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


def check_workers(cluster: str, workers: int | None) -> None:
    """Refuse a number of workers without a cluster.

    Raises:
        ConfigError: there is one.
    """
    from hitlens.errors import ConfigError

    if workers is not None and not cluster:
        raise ConfigError("--workers N is used only with --cluster WHERE; --cluster local is this machine.")
