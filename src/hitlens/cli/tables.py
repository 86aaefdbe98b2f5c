"""Tables of a report, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from hitlens.report.tables import Table


def terminal_table(table: Table) -> RichTable:
    """Return a table of a report as one the terminal shows.

    Args:
        table: of `hitlens.report.tables`.
    """
    from rich.markup import escape
    from rich.table import Table as RichTable

    shown = RichTable(title=escape(table.caption), title_justify="left")
    for number, name in enumerate(table.columns):
        shown.add_column(escape(name), justify="right" if number >= table.numeric else "left")
    for row in table.rows:
        shown.add_row(*(escape(cell.text) for cell in row))
    return shown
