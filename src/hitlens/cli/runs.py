"""``hitlens runs``: every run below some folders, chosen from, in order."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import polars as pl

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
_HEADINGS = {
    "best_epoch": ("best", "epoch"),
    "worst_of_last": ("worst of", "last 5"),
    "seconds": ("", "time"),
}
_GAP = "  "
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
    from hitlens.io.names import expanded, has_ending
    from hitlens.workflow.listing import check_columns, choose_runs, dotted_names, find_runs

    path = expanded(output) if has_ending(Path(output), _ENDINGS) else None
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
        if path.suffix.lower() == ".parquet":
            table.write_parquet(partial)
        else:
            partial.write_text(_as_text(table, path.suffix[1:].lower()), encoding="utf-8")


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

    same: dict[str, str] = {}
    if mentioned is not None:
        same = _told_once(table)
        table = table.with_columns(pl.Series("evaluated", _headlines(table), dtype=pl.String))
        first = dict.fromkeys((*_SHOWN[:2], *mentioned, *_SHOWN[2:]))
        table = table.select(name for name in first if name not in same)
        table = table.select(name for name in table.columns if table[name].null_count() < max(1, len(table)))
    columns = {name: _aligned(name, table[name]) for name in table.columns}
    in_a_pipe = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    room = 10_000 if in_a_pipe else shutil.get_terminal_size().columns
    left_out = set() if mentioned is None else _too_wide(columns, room)
    number = f"{len(table):,} runs" if len(table) == n_found else f"{len(table):,} of {n_found:,} runs"
    title = ", ".join([number, *(f"{name} {text}" for name, text in same.items() if text)])
    kept = [column for name, column in columns.items() if name not in left_out]
    # Written by hand: rich takes longer for 500 rows than all the rest.
    lines = [_GAP.join(cells).rstrip() for cells in zip(*kept, strict=True)]
    typer.echo("\n".join([title, *(lines if lines[0] else lines[1:])]))
    if left_out:
        names = ", ".join(name for name in columns if name in left_out)
        typer.echo(f"Not shown: {names}. --columns chooses; -o csv has all.")


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


def _aligned(name: str, values: pl.Series) -> list[str]:
    """The lines of one column, all of one width: two of heading, a rule, one a run."""
    heading = _HEADINGS.get(name, ("", name))
    texts = [*heading, *(_text(name, value) for value in values)]
    width = max(map(len, texts))
    texts = [text.rjust(width) if values.dtype.is_numeric() else text.ljust(width) for text in texts]
    return [*texts[:2], "\N{BOX DRAWINGS LIGHT HORIZONTAL}" * width, *texts[2:]]


def _too_wide(columns: dict[str, list[str]], room: int) -> set[str]:
    """Columns for which there is no room, the least telling ones; never the first."""
    left_out = set()
    for number, (name, lines) in enumerate(columns.items()):
        if len(lines[0]) > room and number:
            left_out.add(name)
        else:
            room -= len(lines[0]) + len(_GAP)
    return left_out


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
