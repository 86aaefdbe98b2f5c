"""The functions SQL expressions may call; each gives nothing where a value it needs is missing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import polars as pl

Kind = Literal["number", "text", "condition", "any"]


@dataclass(frozen=True)
class Function:
    """A function of SQL expressions.

    Attributes:
        apply: the arguments as polars expressions -> the result.
        kind: what the arguments must be; "any" leaves it to the function.
        least: fewest arguments.
        most: most arguments.
        constant: whether all arguments but the first must be written out, not columns.
    """

    apply: Callable[..., pl.Expr]
    kind: Kind = "number"
    least: int = 1
    most: int = 1
    constant: bool = False

    @property
    def takes(self) -> str:
        """How many arguments it takes, in words."""
        if self.most >= _MANY:
            return f"{self.least} or more values"
        if self.least == self.most:
            return f"{self.least} value{'' if self.least == 1 else 's'}"
        return f"{self.least} to {self.most} values"


#: Arguments of a function that takes any number of them.
_MANY = 100


def _greatest(*values: pl.Expr) -> pl.Expr:
    return _all_known(pl.max_horizontal(*values), values)


def _least(*values: pl.Expr) -> pl.Expr:
    return _all_known(pl.min_horizontal(*values), values)


def _all_known(result: pl.Expr, values: tuple[pl.Expr, ...]) -> pl.Expr:
    return pl.when(pl.all_horizontal(*(value.is_not_null() for value in values))).then(result)


def _log(value: pl.Expr, base: pl.Expr | None = None) -> pl.Expr:
    return value.log() if base is None else value.log() / base.log()


def _round(value: pl.Expr, digits: int = 0) -> pl.Expr:
    return value.round(digits)


def _substring(text: pl.Expr, start: int, length: int | None = None) -> pl.Expr:
    return text.str.slice(start - 1, length)


def _power(value: pl.Expr, exponent: pl.Expr) -> pl.Expr:
    return value.cast(pl.Float64) ** exponent.cast(pl.Float64)


#: By name; CASE, CAST and TRY_CAST are part of the language itself.
FUNCTIONS: dict[str, Function] = {
    "ABS": Function(lambda x: x.abs()),
    "SIGN": Function(lambda x: x.sign()),
    "CEIL": Function(lambda x: x.ceil()),
    "CEILING": Function(lambda x: x.ceil()),
    "FLOOR": Function(lambda x: x.floor()),
    "ROUND": Function(_round, least=1, most=2, constant=True),
    "MOD": Function(lambda x, y: x % y, least=2, most=2),
    "SQRT": Function(lambda x: x.sqrt()),
    "CBRT": Function(lambda x: x.cbrt()),
    "EXP": Function(lambda x: x.exp()),
    "LN": Function(_log),
    "LOG": Function(_log, least=1, most=2),
    "LOG2": Function(lambda x: x.log(2.0)),
    "LOG10": Function(lambda x: x.log10()),
    "LOG1P": Function(lambda x: x.log1p()),
    "POW": Function(_power, least=2, most=2),
    "POWER": Function(_power, least=2, most=2),
    "PI": Function(lambda: pl.lit(math.pi), least=0, most=0),
    "SIN": Function(lambda x: x.sin()),
    "COS": Function(lambda x: x.cos()),
    "TAN": Function(lambda x: x.tan()),
    "ASIN": Function(lambda x: x.arcsin()),
    "ACOS": Function(lambda x: x.arccos()),
    "ATAN": Function(lambda x: x.arctan()),
    "ATAN2": Function(lambda y, x: pl.arctan2(y, x), least=2, most=2),
    "SINH": Function(lambda x: x.sinh()),
    "COSH": Function(lambda x: x.cosh()),
    "TANH": Function(lambda x: x.tanh()),
    "DEGREES": Function(lambda x: x.degrees()),
    "RADIANS": Function(lambda x: x.radians()),
    "GREATEST": Function(_greatest, kind="any", most=_MANY),
    "LEAST": Function(_least, kind="any", most=_MANY),
    "COALESCE": Function(lambda *values: pl.coalesce(*values), kind="any", most=_MANY),
    "IFNULL": Function(lambda x, y: pl.coalesce(x, y), kind="any", least=2, most=2),
    "NULLIF": Function(lambda x, y: pl.when(x.ne_missing(y)).then(x), kind="any", least=2, most=2),
    "LENGTH": Function(lambda x: x.str.len_chars().cast(pl.Int64), kind="text"),
    "LOWER": Function(lambda x: x.str.to_lowercase(), kind="text"),
    "UPPER": Function(lambda x: x.str.to_uppercase(), kind="text"),
    "TRIM": Function(lambda x: x.str.strip_chars(), kind="text"),
    "STARTS_WITH": Function(lambda x, y: x.str.starts_with(y), kind="text", least=2, most=2),
    "ENDS_WITH": Function(lambda x, y: x.str.ends_with(y), kind="text", least=2, most=2),
    "SUBSTR": Function(_substring, kind="any", least=2, most=3, constant=True),
    "CONCAT": Function(lambda *values: pl.concat_str(*values), kind="text", most=_MANY),
    "REGEXP_LIKE": Function(
        lambda x, pattern: x.str.contains(pattern), kind="text", least=2, most=2, constant=True
    ),
}


def like_pattern(pattern: str, *, any_case: bool) -> str:
    """Return the regular expression of a LIKE pattern.

    Examples:
        >>> like_pattern("run_%", any_case=False)
        '(?s)^run..*$'
    """
    parts = [{"%": ".*", "_": "."}.get(sign) or _escaped(sign) for sign in pattern]
    return f"(?s{'i' if any_case else ''})^{''.join(parts)}$"


def _escaped(sign: str) -> str:
    return f"\\{sign}" if sign in r".+*?()|[]{}^$\\/-#&~" else sign
