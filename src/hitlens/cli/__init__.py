"""The command line: one short file a command; each parses, calls the workflow, and prints."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated

import typer

from hitlens import __version__
from hitlens.cli.convert import convert
from hitlens.cli.crossvalidate import crossvalidate
from hitlens.cli.evaluate import evaluate
from hitlens.cli.fetch import fetch
from hitlens.cli.gallery import gallery
from hitlens.cli.inspect import inspect
from hitlens.cli.predict import predict
from hitlens.cli.recipes import recipes
from hitlens.cli.report import report
from hitlens.cli.runs import runs
from hitlens.cli.simulate import simulate
from hitlens.cli.train import train
from hitlens.cli.tune import tune
from hitlens.errors import HitlensError
from hitlens.io.names import expanded

__all__ = ["app", "main"]

app = typer.Typer(
    name="hitlens",
    help="Detector images into physics: numbers with error bars, baselines and guards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

COMMANDS = (
    *(simulate, fetch, convert, inspect, recipes),
    *(train, tune, crossvalidate, predict, evaluate, report, gallery, runs),
)


def _with_expanded_names(command: Callable[..., None]) -> Callable[..., None]:
    """Let ``~`` and ``$VARIABLES`` stand in names of files where no shell replaces them."""

    def named(value: object) -> object:
        if isinstance(value, list):
            return [named(one) for one in value]
        return expanded(value) if isinstance(value, Path) else value

    @wraps(command)
    def run(**given: object) -> None:
        command(**{name: named(value) for name, value in given.items()})

    return run


for command in COMMANDS:
    app.command(command.__name__)(_with_expanded_names(command))


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"hitlens {__version__}")
        raise typer.Exit


@app.callback()
def common_options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more; twice for all.")] = 0,
) -> None:
    """Set up logging; the only place that does."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")


def main() -> None:
    """Run a command; an error made by the user is one red message and exit status 2."""
    try:
        app()
    except HitlensError as error:
        typer.secho(f"Error: {error}", fg=typer.colors.RED, err=True)
        sys.exit(2)
    except BrokenPipeError:  # nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno is None:
            raise
        names = " and ".join(f"'{name}'" for name in (error.filename, error.filename2) if name)
        where = f" ({names})" if names else ""
        text = f"Error: the system refused to go on: {os.strerror(error.errno)}{where}."
        typer.secho(text, fg=typer.colors.RED, err=True)
        sys.exit(2)
