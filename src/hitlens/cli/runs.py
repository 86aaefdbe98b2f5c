"""``hitlens runs``: every run below some folders, chosen from, in order."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

#: Columns of the table, those first that stay longest where the terminal is narrow.
_SHOWN = (
    *(
        "run",
        "score",
        "status",
        "epochs",
        "task",
        "evaluated",
        "started",
        "worst_of_last",
        "best_epoch",
        "seconds",
    ),
    *("parameters", "model", "monitor", "detector", "n_train", "seed"),
)
_ENDINGS = (".csv", ".json", ".parquet")


def runs(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Where to look; 'runs' where left out.", show_default=False)
    ] = None,
    condition: Annotated[
        str, typer.Option("--filter", help='SQL condition: "score > 0.97 AND train.epochs = 30".')
    ] = "",
    sort: Annotated[
        list[str] | None, typer.Option(help="Column to sort by, -COLUMN for highest first; repeatable.")
    ] = None,
    columns: Annotated[
        str, typer.Option(help="Columns to show, by commas; settings too: run,score,train.learning_rate.")
    ] = "",
    limit: Annotated[int, typer.Option(min=0, help="Show at most so many; 0 for all.")] = 0,
    output: Annotated[
        str, typer.Option("--output", "-o", help="table, csv or json; or a .csv, .json or .parquet file.")
    ] = "table",
) -> None:
    """List the runs below some folders: what was trained, how, and how well."""
    from hitlens.errors import ConfigError, choose_from
    from hitlens.workflow.listing import check_columns, choose_runs, dotted_names, find_runs

    path = Path(output) if output.endswith(_ENDINGS) else None
    if path is None and output not in ("table", "csv", "json"):
        choices = ["table", "csv", "json", *(f"FILE{ending}" for ending in _ENDINGS)]
        raise ConfigError(f"--output cannot be '{output}'. {choose_from(output, choices)}")
    wanted = [name.strip() for name in columns.split(",") if name.strip()]
    found = find_runs(folders or [Path("runs")], dotted_names(condition, *(sort or []), *wanted))
    check_columns(wanted, found.table)
    table = choose_runs(found.table, condition, sort or [], limit)
    for folder, reason in found.damaged.items():
        typer.secho(f"Not read: {folder}: {reason}", fg=typer.colors.YELLOW, err=True)
    if wanted:
        table = table.select(wanted)
    if path is not None:
        _write(table, path)
        typer.echo(f"{len(table):,} runs: {path}")
    elif output == "table":
        _show(table, len(found.table), mentioned=None if wanted else dotted_names(condition, *(sort or [])))
    else:
        typer.echo(_as_text(table, output), nl=False)


def _write(table: pl.DataFrame, path: Path) -> None:
    from hitlens.io.atomic import written_whole

    with written_whole(path) as partial:
        if path.suffix == ".parquet":
            table.write_parquet(partial)
        else:
            partial.write_text(_as_text(table, path.suffix[1:]), encoding="utf-8")


def _as_text(table: pl.DataFrame, kind: str) -> str:
    import json

    if kind == "csv":
        return table.write_csv(datetime_format="%Y-%m-%dT%H:%M:%SZ")
    rows = (row | ({"started": _iso(row["started"])} if "started" in row else {}) for row in table.to_dicts())
    return "[" + ",\n".join(json.dumps(row) for row in rows) + "]\n"


def _iso(when: Any) -> str | None:
    return None if when is None else str(when.isoformat(timespec="seconds"))


def _show(table: pl.DataFrame, n_found: int, *, mentioned: list[str] | None) -> None:
    """Print the runs; a narrow terminal leaves out the less telling columns, unless the columns were chosen.

    Args:
        table: the runs.
        n_found: how many there are before a condition.
        mentioned: columns to show first because a condition or an order names them; None where the columns
            of the table were chosen.
    """
    import polars as pl
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    in_a_pipe = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    console = Console(width=1000 if in_a_pipe else None)
    same: dict[str, str] = {}
    if mentioned is not None:
        same = _told_once(table)
        table = table.with_columns(pl.Series("evaluated", _headlines(table), dtype=pl.String))
        table = table.select(n for n in (*_SHOWN[:2], *mentioned, *_SHOWN[2:]) if n not in same)
        table = table.select(name for name in table.columns if table[name].null_count() < max(1, len(table)))
    cells = {name: [_text(name, value) for value in table[name]] for name in table.columns}
    left_out = [] if mentioned is None else _too_wide(cells, console)
    number = f"{len(table):,} runs" if len(table) == n_found else f"{len(table):,} of {n_found:,} runs"
    title = ", ".join([number, *(f"{_heading(name)} {text}" for name, text in same.items() if text)])
    shown = Table(title=escape(title), title_justify="left")
    kept = [name for name in cells if name not in left_out]
    for name in kept:
        numeric = table[name].dtype.is_numeric()
        shown.add_column(escape(_heading(name)), justify="right" if numeric else "left", overflow="fold")
    for row in zip(*(cells[name] for name in kept), strict=True):
        shown.add_row(*map(escape, row))
    console.print(shown)
    if left_out:
        console.print(escape(f"Not shown: {', '.join(left_out)}. --columns chooses; -o csv has all."))


def _told_once(table: pl.DataFrame) -> dict[str, str]:
    """What is the same for all of several runs, by column; it is told in the title."""
    names = ("detector", "task", "model", "monitor")
    return {n: table[n][0] or "" for n in names if len(table) > 1 and table[n].n_unique() == 1}


def _headlines(table: pl.DataFrame) -> list[str | None]:
    """The first accuracy or rms error of each run's evaluation, with its name; None without one."""
    names = [name for name in table.columns if {"accuracy", "rmse"} & set(name.split(".")[1:])]
    rows = table.select(names).iter_rows() if names else [()] * len(table)
    found = ([(n, v) for n, v in zip(names, row, strict=True) if v is not None] for row in rows)
    return [f"{one[0][0]} {one[0][1]:.4g}" if one else None for one in found]


def _too_wide(cells: dict[str, list[str]], console: Console) -> list[str]:
    """Columns for which there is no room, the least telling ones."""
    from rich.cells import cell_len

    room = console.width - 1
    left_out: list[str] = []
    for name, texts in cells.items():
        width = 3 + max(map(cell_len, (*texts, *_heading(name).splitlines())))
        if room < width and name != "run":
            left_out.append(name)
        else:
            room -= width
    return left_out


def _heading(name: str) -> str:
    return {"seconds": "time", "best_epoch": "best\nepoch", "worst_of_last": "worst of\nlast 5"}.get(
        name, name
    )


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "started":
        return f"{value:%Y-%m-%d %H:%M}"
    if name == "seconds":
        minutes, seconds = divmod(round(value), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
