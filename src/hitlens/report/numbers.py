"""Numbers as a table shows them; needs no figures, so that the command line starts fast."""

from __future__ import annotations


def number(value: float | None) -> str:
    """Return a number for a table: whole ones with thousands, others with 5 digits; a dash for none.

    Examples:
        >>> number(12697.0), number(0.6666667), number(None), number(float("nan")), number(1.5e-7)
        ('12,697', '0.66667', '-', '-', '1.5e-07')
    """
    if value is None or value != value:
        return "-"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if 1e4 <= abs(value) < 1e15 else f"{value:.5g}"
