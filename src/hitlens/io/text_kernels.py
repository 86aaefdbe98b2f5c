"""Compiled loops over bytes for `text`: reading and writing lines of counts followed by numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

_F = TypeVar("_F", bound=Callable[..., Any])

compiled = cast(Callable[[_F], _F], numba.njit(cache=True, nogil=True))
#: For functions called by compiled ones, which hold their code.
compiled_inside = cast(Callable[[_F], _F], numba.njit(nogil=True))

_SPACE, _TAB, _RETURN, _NEWLINE = 32, 9, 13, 10
_DOT, _PLUS, _MINUS, _E_LOWER, _E_UPPER = 46, 43, 45, 101, 69
_MAX_COUNT, _MAX_COUNT_DIGITS = 65535, 5
#: A product or quotient of two doubles is correctly rounded when both are exact: integers up to 2^53 and
#: powers of ten up to 10^22. Anything else is left to Python's float().
_MAX_MANTISSA, _MAX_DIGITS, _MAX_POWER = 2**53, 18, 22
_POWERS = 10.0 ** np.arange(_MAX_POWER + 1)
# Unsigned positions and digits spare the test for a negative index and half of the test for a digit.
_ONE, _ZERO, _NINE, _TEN = np.uintp(1), np.uint32(48), np.uint32(9), np.uint32(10)


@compiled_inside
def _skip_blanks(text: NDArray[np.uint8], at: np.uintp) -> np.uintp:
    while text[at] == _SPACE or text[at] == _TAB or text[at] == _RETURN:
        at += _ONE
    return at


@compiled_inside
def _parse_count(text: NDArray[np.uint8], at: np.uintp) -> tuple[Any, np.uintp, Any]:
    # Returns the count, where the next field begins, and whether it is a count.
    start = at
    value = np.uint32(0)
    digit = np.uint32(text[at]) - _ZERO
    while digit <= _NINE:
        value = value * _TEN + digit
        at += _ONE
        digit = np.uint32(text[at]) - _ZERO
    n_digits = at - start
    is_good = 0 < n_digits <= _MAX_COUNT_DIGITS and value <= _MAX_COUNT and text[at] <= _SPACE
    while (
        text[at] == _SPACE or text[at] == _TAB or text[at] == _RETURN
    ):  # a call to _skip_blanks costs 4 times
        at += _ONE
    return value, at, is_good


@compiled_inside
def _parse_mantissa(text: NDArray[np.uint8], at: np.uintp) -> tuple[Any, int, np.uintp, Any]:
    # Returns the digits as one integer, the power of ten it lacks, where it ends, whether it is exact.
    mantissa, power, n_digits, after_dot = np.uint64(0), 0, 0, 0
    while True:
        digit = np.uint32(text[at]) - _ZERO
        if digit <= _NINE:
            mantissa = mantissa * np.uint64(10) + np.uint64(digit)
            n_digits += 1
            power -= after_dot
        elif text[at] == _DOT and after_dot == 0:
            after_dot = 1
        else:
            return mantissa, power, at, 0 < n_digits <= _MAX_DIGITS and mantissa <= _MAX_MANTISSA
        at += _ONE


@compiled_inside
def _parse_exponent(text: NDArray[np.uint8], at: np.uintp) -> tuple[int, np.uintp, bool]:
    # Returns the exponent, 0 without one, where it ends, and whether it is well formed.
    if text[at] != _E_LOWER and text[at] != _E_UPPER:
        return 0, at, True
    at += _ONE
    sign = -1 if text[at] == _MINUS else 1
    if text[at] == _MINUS or text[at] == _PLUS:
        at += _ONE
    exponent: Any = 0
    n_digits = 0
    digit = np.uint32(text[at]) - _ZERO
    while digit <= _NINE and n_digits < _MAX_COUNT_DIGITS:
        exponent = exponent * 10 + np.int64(digit)
        n_digits += 1
        at += _ONE
        digit = np.uint32(text[at]) - _ZERO
    return sign * exponent, at, n_digits > 0


@compiled_inside
def _parse_number(text: NDArray[np.uint8], at: np.uintp) -> tuple[float, np.uintp, bool]:
    # Returns the number, where the next field begins, and whether it was read exactly.
    sign = -1.0 if text[at] == _MINUS else 1.0
    if text[at] == _MINUS or text[at] == _PLUS:
        at += _ONE
    mantissa, power, at, is_exact = _parse_mantissa(text, at)
    exponent, at, is_exponent = _parse_exponent(text, at)
    power += exponent
    if not (is_exact and is_exponent) or text[at] > _SPACE or abs(power) > _MAX_POWER:
        return 0.0, at, False
    scaled = mantissa / _POWERS[-power] if power < 0 else mantissa * _POWERS[power]
    return sign * scaled, _skip_blanks(text, at), True


@compiled
def parse_lines(
    text: NDArray[np.uint8],
    at: int,
    counts: NDArray[np.uint16],
    values: NDArray[Any],
    lines: NDArray[np.int64],
    row: int,
    line: int,
) -> tuple[int, int, int, bool]:
    """Parse lines until the arrays are full, the text ends, or a line is not understood.

    Args:
        text: whole lines, shape (byte,); the last byte is a newline.
        at: byte to start from, the beginning of a line.
        counts: filled with the first fields of each line, shape (row, counts a line).
        values: filled with the fields that follow, shape (row, values a line).
        lines: filled with the number of each row's line, shape (row,).
        row: first row to fill.
        line: number of the first line.

    Returns:
        row, at and line where it stopped, and whether all before it was understood; if not, ``at`` is
        the beginning of the line that was not.
    """
    n_rows, n_counts, n_values = len(lines), counts.shape[1], values.shape[1]
    byte, end = np.uintp(at), np.uintp(len(text))
    while byte < end and row < n_rows:
        start = byte
        byte = _skip_blanks(text, byte)
        if text[byte] == _NEWLINE:
            byte += _ONE
            line += 1
            continue
        for k in range(n_counts):
            counts[row, k], byte, is_good = _parse_count(text, byte)
            if not is_good:
                return row, int(start), line, False
        for k in range(n_values):
            values[row, k], byte, is_good = _parse_number(text, byte)
            if not is_good:
                return row, int(start), line, False
        if text[byte] != _NEWLINE:
            return row, int(start), line, False
        lines[row] = line
        byte += _ONE
        row += 1
        line += 1
    return row, int(byte), line, True


@compiled
def format_lines(counts: NDArray[np.uint16], tails: NDArray[np.uint8], out: NDArray[np.uint8]) -> int:
    """Write one line a row: the counts, each followed by a space, then the row's line of ``tails``.

    Args:
        counts: shape (row, counts a line).
        tails: the ends of the lines, each with its newline, shape (byte,).
        out: room for the text: six bytes a count and all of ``tails``.

    Returns:
        Bytes written.
    """
    digits = np.empty(5, np.uint8)
    at, tail = 0, 0
    for row in range(counts.shape[0]):
        for k in range(counts.shape[1]):
            rest, n = np.int64(counts[row, k]), 0
            while n == 0 or rest > 0:
                digits[n] = 48 + rest % 10
                rest //= 10
                n += 1
            for i in range(n - 1, -1, -1):
                out[at] = digits[i]
                at += 1
            out[at] = _SPACE
            at += 1
        while tails[tail] != _NEWLINE:
            out[at] = tails[tail]
            at += 1
            tail += 1
        out[at] = _NEWLINE
        at += 1
        tail += 1
    return at
