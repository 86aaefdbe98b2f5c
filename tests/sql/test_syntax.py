"""SQL that can and cannot be read: where, why, and within which limits."""

from __future__ import annotations

import pytest

from hitlens.errors import SelectionError
from hitlens.sql import columns_of, parse
from hitlens.sql.syntax import MAX_DEPTH, MAX_TOKENS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("q >", "a value is missing at the end"),
        ("", "a value is missing at the end"),
        ("(q > 2", r"'\)' is missing before the end"),
        ("q > 2)", r"'\)' \(character 6\) was not expected"),
        ("q = 'mu", r"not closed \(character 5\)"),
        ("q < r < 3", "join them with AND"),
        ("q; DROP", r"';' is no part of SQL \(character 2\)"),
        ("SELECT q", "'q' .character 8. was not expected"),
        ("generate_series(1, 9)", "no function GENERATE_SERIES"),
        ("SUM(q) > 2", "no function SUM"),
        ("SQRT(q, 2)", "SQRT takes 1 value, not 2"),
        ("CAST(q AS BLOB)", "no type BLOB"),
        ("q NOT 3", "IN, BETWEEN or LIKE is missing"),
        ("q IS 3", "IS must be followed by"),
        ("CASE q END", "'WHEN' is missing"),
        ("CASE WHEN q THEN 1", "'END' is missing"),
        ("a.b > 2", r"'\.' is no part of SQL"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(text: str, words: str) -> None:
    with pytest.raises(SelectionError, match=words):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 2_000 + "q" + ")" * 2_000,
        "NOT " * 2_000 + "q",
        "-" * 2_000 + "q",
        "CASE WHEN " * 500,
        "ABS(" * 500 + "q" + ")" * 500,
    ],
)
def test_nesting_is_limited(text: str) -> None:
    with pytest.raises(SelectionError, match=f"deeper than {MAX_DEPTH} levels"):
        parse(text)


def test_length_is_limited() -> None:
    with pytest.raises(SelectionError, match=f"longer than {MAX_TOKENS:,} words"):
        parse("q > 1 AND " * 100_000 + "TRUE")


def test_columns_of_quoted_names_and_functions() -> None:
    assert columns_of('"train.epochs" = 3 AND GREATEST(a, `b c`) > count') == {
        "train.epochs",
        "a",
        "b c",
        "count",
    }
    assert columns_of("CASE a WHEN 1 THEN b ELSE c END IN (d, 2)") == {"a", "b", "c", "d"}
    assert columns_of("NULL IS NULL") == frozenset()
