"""The command line: one short file a command; each parses, calls the workflow, and prints."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, NoReturn

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
from hitlens.cli.rollback import rollback
from hitlens.cli.runs import runs
from hitlens.cli.simulate import simulate
from hitlens.cli.summary import summary
from hitlens.cli.train import train
from hitlens.cli.tune import tune
from hitlens.errors import ConfigError, HitlensError, InterruptedRunError, OutputError, reason_of
from hitlens.io.names import expanded

__all__ = ["app", "main"]

#: Bytes below which PyTorch and polars do not even start.
_LEAST_ADDRESS_SPACE = 1_900_000_000

app = typer.Typer(
    name="hitlens",
    help="Detector images into physics: numbers with error bars, baselines and guards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

COMMANDS = (
    *(simulate, fetch, convert, inspect, recipes, summary),
    *(train, tune, crossvalidate, rollback, predict, evaluate, report, gallery, runs),
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
    _check_address_space()
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")


def _check_address_space() -> None:
    """Refuse a limit under which a library would end the process in the middle of the work."""
    if importlib.util.find_spec("resource") is None:  # on Windows
        return
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < _LEAST_ADDRESS_SPACE:
        raise ConfigError(
            f"The address space is limited to {limit / 1e9:.1f} GB (ulimit -v), too little for the numerical "
            "libraries. Lift the limit: ulimit -v unlimited."
        )


def main() -> None:
    """Run a command; an error is one red message and an exit status.

    2 where the user can mend it, 130 after Ctrl-C, 1 where nothing can be written or hitlens is at fault.
    """
    try:
        app()
    except HitlensError as error:
        _end(str(error), 130 if isinstance(error, InterruptedRunError) else 1 if _is_of_disk(error) else 2)
    except BrokenPipeError:  # nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if _is_of_disk(error):
            _end("No space is left on the disk. Make room, and repeat the command.", 1)
        if isinstance(error, OSError) and error.errno is not None:
            names = " and ".join(f"'{name}'" for name in (error.filename, error.filename2) if name)
            where = f" ({names})" if names else ""
            _end(f"the system refused to go on: {os.strerror(error.errno)}{where}.", 2)
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            raise
        _end(f"{type(error).__name__}: {reason_of(error)}. With -vv before the command it shows where.", 1)


def _is_of_disk(error: Exception) -> bool:
    from hitlens.io.atomic import has_no_room

    return isinstance(error, OutputError) or has_no_room(error)


def _end(message: str, status: int) -> NoReturn:
    typer.secho(f"Error: {message}", fg=typer.colors.RED, err=True)
    sys.exit(status)
