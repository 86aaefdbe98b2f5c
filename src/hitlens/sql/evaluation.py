"""What SQL expressions give on a table of truth, where missing is missing.

A missing value (null, NaN, blank text) satisfies nothing, whatever is asked of it but IS NULL: comparisons
and sums with it are missing, AND and OR follow Kleene's logic, and CASE is missing from the first missing
condition on. A number that is none (0/0, the root of -1) is missing too.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import polars as pl

from hitlens.errors import SelectionError, choose_from
from hitlens.sql.functions import FUNCTIONS, Function, Kind, like_pattern
from hitlens.sql.syntax import Call, Case, Chain, Column, Literal, Node, called, parse
from hitlens.sql.values import missing_as_null, plain_truth

_INT64 = 2**63

#: What operators do to two columns of one type.
_OPERATORS: dict[str, Callable[[pl.Series, pl.Series], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "IS SAME": lambda a, b: a.eq_missing(b),
}


@dataclass(frozen=True, eq=False)
class _Value:
    """Values of a part of an expression.

    Attributes:
        series: one value a row, or a single one for all.
        literal: whether it is written out: it then takes the type of the column it meets.
    """

    series: pl.Series
    literal: bool

    @property
    def kind(self) -> Kind:
        dtype = self.series.dtype
        if dtype == pl.Null:
            return "any"
        if dtype == pl.Boolean:
            return "condition"
        return "text" if dtype == pl.String else "number"


def evaluate(truth: pl.DataFrame, text: str) -> pl.Series:
    """Return the value of an expression, one a row; null where it is missing.

    Args:
        truth: one row an event.
        text: the expression.

    Raises:
        SelectionError: it cannot be read, names a column that is not there, or joins what does not fit.

    Examples:
        >>> evaluate(pl.DataFrame({"a": [1.0, float("nan")]}), "NOT a > 2").to_list()
        [True, None]
    """
    node = parse(text)
    try:
        series = _Evaluation(truth, text).value(node).series
    except RecursionError:
        raise SelectionError(f"Expression {called(text)} is nested too deeply.") from None
    except pl.exceptions.PanicException as error:  # a BaseException: nothing else would catch it
        raise SelectionError(f"Expression {called(text)} cannot be evaluated: {_first(error)}.") from None
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, SelectionError):
            raise
        raise SelectionError(f"Expression {called(text)} cannot be evaluated: {_first(error)}.") from None
    return series if len(series) == len(truth) else series.new_from_index(0, len(truth))


def _first(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


class _Evaluation:
    def __init__(self, truth: pl.DataFrame, text: str) -> None:
        self._truth, self._text = truth, text
        self._columns: dict[str, _Value] = {}

    def value(self, node: Node) -> _Value:
        if isinstance(node, Literal):
            return _Value(_literal(node.value), literal=True)
        if isinstance(node, Column):
            return self._column(node.name)
        if isinstance(node, Case):
            return self._case(node)
        return self._chain(node) if isinstance(node, Chain) else self._call(node)

    def _error(self, problem: str) -> SelectionError:
        return SelectionError(f"Expression {called(self._text)} {problem}")

    def _column(self, name: str) -> _Value:
        if name not in self._columns:
            if name not in self._truth.columns:
                raise self._error(f"names an unknown column. {choose_from(name, self._truth.columns)}")
            series = plain_truth(self._truth.select(name))[name]
            self._columns[name] = _Value(series.alias("value"), literal=False)
        return self._columns[name]

    def _needed(self, node: Node, kind: Kind, what: str) -> _Value:
        value = self.value(node)
        if value.kind == kind or value.kind == "any":
            return value
        if kind == "number" and value.kind == "condition":
            return _Value(value.series.cast(pl.Int64), value.literal)
        words = {"number": "a number", "text": "a text", "condition": "a condition (true or false)"}
        raise self._error(f"needs {words[kind]} {what}, not {words[value.kind]}.")

    def _case(self, node: Case) -> _Value:
        conditions = [self._needed(when, "condition", "behind WHEN") for when, _ in node.branches]
        nodes = [*(then for _, then in node.branches), node.otherwise]
        values = self._alike([self.value(part) for part in nodes], "CASE")
        *rows, result = _broadcast([*conditions, *values])
        n = len(node.branches)
        for when, then in zip(rows[n - 1 :: -1], rows[: -n - 1 : -1], strict=True):
            holds = pl.lit(when.cast(pl.Boolean))
            either = pl.when(holds).then(pl.lit(then)).when(~holds).then(pl.lit(result))
            result = pl.select(either.alias("value"))["value"]
        return _Value(result, literal=False)

    def _computed(self, expression: pl.Expr) -> pl.Series:
        return missing_as_null(pl.select(expression.alias("value"))["value"])

    def _alike(self, values: Sequence[_Value], what: str) -> list[_Value]:
        kinds = {value.kind for value in values} - {"any"}
        if kinds == {"condition", "number"}:
            kinds = {"number"}
            values = [
                _Value(v.series.cast(pl.Int64), v.literal) if v.kind == "condition" else v for v in values
            ]
        if len(kinds) > 1:
            raise self._error(f"mixes {' and '.join(sorted(kinds))} in {what}.")
        if kinds == {"number"}:
            return _one_type(values)
        dtype = pl.String if kinds == {"text"} else pl.Boolean
        return [_Value(value.series.cast(dtype), value.literal) for value in values]

    def _chain(self, node: Chain) -> _Value:
        sign = node.rest[0][0]
        if sign in ("AND", "OR"):
            return self._logic(sign, [node.first, *(value for _, value in node.rest)])
        if sign == "||":
            parts = [
                self._needed(part, "text", "beside ||") for part in (node.first, *(v for _, v in node.rest))
            ]
            return self._applied(FUNCTIONS["CONCAT"], parts)
        left = self._needed(node.first, "number", f"beside {sign}")
        for sign, other in node.rest:
            left = self._arithmetic(sign, left, self._needed(other, "number", f"beside {sign}"))
        return left

    def _logic(self, sign: str, nodes: Sequence[Node]) -> _Value:
        result = self._needed(nodes[0], "condition", f"beside {sign}").series.cast(pl.Boolean)
        for node in nodes[1:]:
            other = self._needed(node, "condition", f"beside {sign}").series.cast(pl.Boolean)
            result = result & other if sign == "AND" else result | other  # Kleene's: null & False is False
        return _Value(result, literal=False)

    def _arithmetic(self, sign: str, left: _Value, right: _Value) -> _Value:
        literal = left.literal and right.literal
        if sign in ("&", "|"):
            a, b = (_bits(value.series) for value in (left, right))
            return _Value(a & b if sign == "&" else a | b, literal)
        a, b = (value.series for value in _one_type([left, right]))
        if a.dtype.is_integer() and sign != "/":
            a, b = _whole(a, b, sign)
        if sign == "/":
            a, b = (s if s.dtype.is_float() else s.cast(pl.Float64) for s in (a, b))
        return _Value(missing_as_null(_narrowed(_OPERATORS[sign](a, b))), literal)

    def _call(self, node: Call) -> _Value:
        if node.name in FUNCTIONS:
            return self._function(node)
        if node.name in _OPERATORS:
            return self._compared(node)
        if node.name in ("CAST", "TRY_CAST"):
            return self._cast(node)
        if node.name in ("LIKE", "ILIKE"):
            return self._like(node)
        if node.name == "IN":
            return self._among(node)
        if node.name == "NEGATE":
            return self._arithmetic(
                "-", _Value(_literal(0), literal=True), self._needed(node.arguments[0], "number", "behind -")
            )
        if node.name == "IS NULL":
            return _Value(self.value(node.arguments[0]).series.is_null(), literal=False)
        series = self._needed(node.arguments[0], "condition", f"beside {node.name}").series.cast(pl.Boolean)
        if node.name == "NOT":
            return _Value(~series, literal=False)
        return _Value(series.eq_missing(pl.Series([node.name == "IS TRUE"])), literal=False)

    def _compared(self, node: Call) -> _Value:
        left, right = self._alike([self.value(part) for part in node.arguments], f"'{node.name}'")
        return _Value(_OPERATORS[node.name](left.series, right.series), literal=False)

    def _among(self, node: Call) -> _Value:
        first, *others = self._alike([self.value(part) for part in node.arguments], "IN")
        written = pl.concat([value.series for value in others if value.literal] or [first.series.clear()])
        result = first.series.is_in(written.drop_nulls().to_list())
        for value in others:
            if not value.literal or value.series[0] is None:
                result = result | (first.series == value.series)
        return _Value(result, literal=False)

    def _cast(self, node: Call) -> _Value:
        value, kind = self.value(node.arguments[0]), str(node.arguments[1].value)  # type: ignore[union-attr]
        dtype = {
            "integer": pl.Int64(),
            "number": pl.Float64(),
            "text": pl.String(),
            "condition": pl.Boolean(),
        }[kind]
        series = value.series.cast(dtype, strict=node.name == "CAST")
        return _Value(missing_as_null(series), literal=False)

    def _like(self, node: Call) -> _Value:
        value = self._needed(node.arguments[0], "text", f"before {node.name}")
        pattern = self._constant(node.arguments[1], node.name)
        if not isinstance(pattern, str):
            raise self._error(f"needs a text behind {node.name}.")
        regex = like_pattern(pattern, any_case=node.name == "ILIKE")
        return _Value(value.series.cast(pl.String).str.contains(regex), literal=False)

    def _function(self, node: Call) -> _Value:
        function = FUNCTIONS[node.name]
        nodes = node.arguments[:1] if function.constant else node.arguments
        if function.kind == "any" and not function.constant:
            values = self._alike([self.value(part) for part in nodes], node.name)
        else:
            kind = "text" if function.kind == "any" else function.kind
            values = [self._needed(part, kind, f"in {node.name}") for part in nodes]
            values = _one_type(values) if kind == "number" and values else values
        constants = [self._constant(part, node.name) for part in node.arguments[len(nodes) :]]
        return self._applied(function, values, constants)

    def _constant(self, node: Node, name: str) -> Any:
        value = self.value(node)
        if not value.literal or value.series[0] is None:
            raise self._error(f"needs a written-out value in {name}.")
        return value.series[0]

    def _applied(self, function: Function, values: Sequence[_Value], constants: Sequence[Any] = ()) -> _Value:
        arguments = [pl.lit(series) for series in _broadcast(values)]
        return _Value(_narrowed(self._computed(function.apply(*arguments, *constants))), literal=False)


def _literal(value: float | str | bool | None) -> pl.Series:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _INT64:
        return pl.Series("value", [value], dtype=pl.Int128 if abs(value) < 2**100 else pl.Float64)
    return pl.Series("value", [value])


def _one_type(values: Sequence[_Value]) -> list[_Value]:
    """Give numbers that meet one type; a number that is written out takes that of the columns."""
    types = [v.series.dtype for v in values if not v.literal and v.kind == "number"]
    written = [v.series.dtype for v in values if v.literal and v.kind == "number"]
    if not any(one.is_float() for one in types):
        types += written
    dtype: Any = pl.Int64
    if any(one.is_float() for one in types):
        dtype = pl.Float32 if all(one == pl.Float32 for one in types) else pl.Float64
    elif any(one in (pl.UInt64, pl.Int128, pl.UInt128) for one in types):
        dtype = pl.Int128
    return [_Value(v.series.cast(dtype), v.literal) for v in values]


def _broadcast(values: Sequence[_Value]) -> list[pl.Series]:
    """Return the values with single ones repeated where others have one a row."""
    n = next((len(value.series) for value in values if len(value.series) != 1), 1)
    return [v.series if len(v.series) == n else v.series.new_from_index(0, n) for v in values]


def _bits(series: pl.Series) -> pl.Series:
    if series.dtype.is_float():
        raise ValueError("& and | need whole numbers")
    return series.cast(pl.Int64)


def _whole(a: pl.Series, b: pl.Series, sign: str) -> tuple[pl.Series, pl.Series]:
    """Return whole numbers of a type in which the result cannot run over."""
    (a_low, a_high), (b_low, b_high) = _limits(a), _limits(b)
    a_most, b_most = max(abs(a_low), abs(a_high)), max(abs(b_low), abs(b_high))
    largest = a_most * b_most if sign == "*" else a_most + b_most
    dtype: Any = pl.Int64 if largest < _INT64 else pl.Int128 if largest < 2**127 else pl.Float64
    return a.cast(dtype), b.cast(dtype)


def _limits(series: pl.Series) -> tuple[int, int]:
    return cast(int, series.min() or 0), cast(int, series.max() or 0)


def _narrowed(series: pl.Series) -> pl.Series:
    """Return whole numbers of 128 bits in the type that holds them: 64 bits, or else real numbers."""
    if series.dtype != pl.Int128:
        return series
    low, high = _limits(series)
    if low >= -_INT64 and high < _INT64:
        return series.cast(pl.Int64)
    return series.cast(pl.UInt64 if low >= 0 and high < 2 * _INT64 else pl.Float64)
