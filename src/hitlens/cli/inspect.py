"""`hitlens inspect`: what a physicist should know of files before training on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from hitlens.datasets.inspection import DataReport
    from hitlens.datasets.truth_columns import ColumnReport
    from hitlens.datasets.view_statistics import ViewReport

#: Pixels and groups of duplicates listed at most; the counts are always whole.
N_LISTED = 10


def inspect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Event files of one detector.")],
    detector: Annotated[
        str | None, typer.Option(help="Name of the detector, or its YAML file; recognised when not given.")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="File layout; recognised when not given.")] = None,
    on_bad_event: Annotated[
        Literal["raise", "skip"], typer.Option(help="Stop at a bad event, or skip it, count it and list it.")
    ] = "raise",
    axes: Annotated[
        Literal["xy", "yx"] | None, typer.Option(help="Order of the image axes in NumPy arrays.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the report with figures as one page here.")
    ] = None,
) -> None:
    """Report counts, class balance, ranges, duplicates, odd pixels and truth laws of event files."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    from hitlens.workflow.inspection import inspect_files

    columns = (SpinnerColumn(), TextColumn("events"), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("events", total=None)
        report = inspect_files(
            files,
            detector=detector,
            layout=layout,
            on_bad_event=on_bad_event,
            options={"axes": axes} if axes else None,
            html=html,
            progress=lambda n_events: bar.advance(task, n_events),
        )
    console = Console()
    events = "event" if report.n_events == 1 else "events"
    console.print(f"[bold]{report.title}[/bold]: {report.n_events:,} {events}", highlight=False)
    for table in tables(report):
        console.print()
        console.print(table)
    if report.warnings:
        console.print("\n[bold yellow]Deserves a look[/bold yellow]")
        for warning in report.warnings:
            console.print(f"  - {escape(warning)}", highlight=False)
    else:
        console.print("\n[green]Nothing unusual was found.[/green]")
    if html is not None:
        console.print(f"\nPage: {html}", highlight=False, soft_wrap=True)


def tables(report: DataReport) -> list[Table]:
    """Return the report as tables for the terminal."""
    found = [_counts(report)]
    found += [_view(view) for view in report.views]
    found.append(_columns(report))
    found += [_codes(column) for column in report.columns if any(one.meaning for one in column.counts)]
    if any(law.verdict != "not checked" for law in report.laws):
        found.append(_laws(report))
    if report.image_duplicates or report.key_duplicates:
        found.append(_duplicates(report))
    return found


def _counts(report: DataReport) -> Table:
    table = _table("Counts", "", ">events", ">fraction [95 %]")
    table.add_row("all", f"{report.n_events:,}", "")
    table.add_row("blank", f"{report.n_blank:,}", "")
    table.add_row("repeat an image", f"{report.n_image_copies:,}", "")
    table.add_row("repeat a key", f"{report.n_key_copies:,}", "")
    table.add_row("skipped", f"{len(report.skipped):,}", "")
    for balance in report.balances:
        for name, count, fraction in zip(balance.classes, balance.counts, balance.fractions, strict=True):
            table.add_row(f"{balance.task}: {name}", f"{count:,}", str(fraction))
        if balance.n_unknown:
            table.add_row(f"{balance.task}: not known", f"{balance.n_unknown:,}", "")
    return table


def _view(view: ViewReport) -> Table:
    from hitlens.report.numbers import number

    table = _table(f"Images, view {view.view.name}", "", "value")
    low, high, mean = number(view.minimum), number(view.maximum), number(view.mean)
    table.add_row(f"pixel values ({view.view.unit})", f"{low} to {high}, mean {mean}")
    table.add_row("zero pixel values", f"{view.zero_fraction:.1%}")
    table.add_row("silent pixels", str(view.n_silent))
    for name, pixels in (("dead", view.dead), ("hot", view.hot)) if view.is_described else ():
        listed = " ".join(f"({', '.join(map(str, pixel.index))})" for pixel in pixels[:N_LISTED])
        more = " ..." if len(pixels) > N_LISTED else ""
        table.add_row(f"{name} pixels", f"{len(pixels)}  {listed}{more}".rstrip())
    table.add_row("saturated values", f"{view.n_saturated:,}")
    table.add_row("negative or not finite", f"{view.n_negative + view.n_not_finite:,}")
    if view.orientations:
        first = view.orientations[0]
        table.add_row(
            "brightest pixel holds a true position",
            f"{first.fraction:.1%} of {first.n_events:,} events (other orientations up to "
            f"{max((o.fraction for o in view.orientations[1:]), default=0.0):.1%})",
        )
    return table


def _columns(report: DataReport) -> Table:
    from hitlens.report.numbers import number

    table = _table("Truth", "column", ">known", ">missing", ">lowest", ">highest", ">mean", "unit")
    for column in report.columns:
        ends = (number(column.minimum), number(column.maximum), number(column.mean))
        if column.role == "key":
            ends = (*ends[:2], "")
        if column.n_distinct is not None:
            ends = (f"{column.n_distinct:,} different", "", "")
        table.add_row(column.name, f"{column.n_known:,}", f"{column.n_missing:,}", *ends, column.unit)
    if report.missing_columns:
        table.caption = f"Not in these files: {', '.join(report.missing_columns)}"
    return table


def _codes(column: ColumnReport) -> Table:
    table = _table(f"Values of {column.name}", "value", "meaning", ">events")
    often = sorted(column.counts, key=lambda one: -one.n_events)
    shown = set(often if len(often) <= 2 * N_LISTED else often[:N_LISTED]) | set(column.unknown_codes)
    for one in column.counts:
        if one in shown:
            table.add_row(one.value, one.meaning or "[red]not described[/red]", f"{one.n_events:,}")
    if len(shown) < len(often):
        table.caption = f"and {len(often) - len(shown)} that are rarer"
    return table


def _laws(report: DataReport) -> Table:
    table = _table("Truth laws", "law", ">events", ">found", ">p-value", "verdict")
    for law in report.laws:
        if law.verdict == "not checked":
            continue
        found = str(law.interval) if law.interval is not None else f"KS distance {law.statistic:.4f}"
        colour = "red" if law.verdict == "differs" else "green"
        verdict = f"[{colour}]{law.verdict}[/{colour}]"
        table.add_row(law.name, f"{law.n_events:,}", found, f"{law.p_value:.2g}", verdict)
    return table


def _duplicates(report: DataReport) -> Table:
    from rich.markup import escape

    table = _table("Duplicates", "same", ">events", "which (file and event)")
    for what, groups in (("image", report.image_duplicates), ("key", report.key_duplicates)):
        for group in groups[:N_LISTED]:
            more = " ..." if len(group.labels) > N_LISTED else ""
            table.add_row(what, str(len(group.positions)), escape("; ".join(group.labels[:N_LISTED])) + more)
        if len(groups) > N_LISTED:
            table.add_row(what, "", f"and {len(groups) - N_LISTED:,} more groups")
    return table


def _table(title: str, *columns: str) -> Table:
    """Return an empty table; a column whose name begins with > is set to the right."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return table
