"""Text tables: one event a line, first whole counts, then numbers; plain or gzipped, in blocks.

A compiled parser reads every line it understands; a line it does not is read again in Python, which either
gives the values (a number with more digits than a quick conversion gets right) or says what is wrong with it.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from hitlens.errors import FileFormatError, NotFoundError
from hitlens.io.text_kernels import format_lines, parse_lines

#: Bytes read at once.
BLOCK_BYTES = 2**20
#: A longer line is not a line of text.
MAX_LINE_BYTES = 2**20
#: Compression of gzipped text: level 5 takes twice the time for a file 3 % smaller, 6 seven times for 7 %.
GZIP_LEVEL = 4

_GZIP_SIGNATURE = b"\x1f\x8b"
_MAX_COUNT = 65535
#: Some editors begin UTF-8 text with it.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_COMMENT = b"#"
_TEXT_BYTES = frozenset(b"\t\r\n") | frozenset(range(32, 127))


@dataclass(frozen=True)
class Rows:
    """Some lines of a table.

    Attributes:
        counts: the first fields of each line, shape (row, field).
        values: the fields after them, shape (row, field).
        lines: number of each row's line, counted from 1.
        positions: position of each row in the file, counted from 0; blank lines do not count.
    """

    counts: NDArray[np.uint16]
    values: NDArray[Any]
    lines: NDArray[np.int64]
    positions: NDArray[np.int64]


@dataclass(frozen=True)
class Problem:
    """What is wrong with a row.

    Attributes:
        row: index of the row in its block.
        column: number of the field, counted from 1.
        words: what is wrong and what it must be.
    """

    row: int
    column: int
    words: str


@dataclass(frozen=True)
class TableFormat:
    """What a line must hold.

    Attributes:
        n_counts: whole numbers from 0 to 65,535 at the beginning.
        n_values: finite numbers after them.
        dtype: precision of the numbers.
        check: finds the rows that are well formed but make no sense.
    """

    n_counts: int
    n_values: int
    dtype: type[np.floating[Any]] = np.float64
    check: Callable[[Rows], list[Problem]] | None = None

    @property
    def n_fields(self) -> int:
        """Fields a line."""
        return self.n_counts + self.n_values


def read_rows(path: Path, table: TableFormat, block: int, skipped: list[str] | None = None) -> Iterator[Rows]:
    """Yield the rows of a text table, ``block`` at a time.

    Args:
        path: plain or gzipped text; blank lines, what follows a ``#`` and a byte-order mark are passed over,
            a missing last newline and CRLF are taken. Counts may be written as 12.0 or 1.2e+01.
        table: what a line must hold.
        block: rows a block.
        skipped: None refuses a file with a bad line; a list receives one message a bad line instead.

    Raises:
        NotFoundError: there is no such file.
        FileFormatError: a line is malformed, the file holds no event, is not text or is cut short.
    """
    reader = _TableReader(path, table, block, skipped)
    n_good = 0
    for rows in reader.blocks():
        n_good += len(rows.lines)
        if len(rows.lines):
            yield rows
    if not n_good and reader.n_bad:
        raise FileFormatError(f"none of its {reader.n_bad} lines holds a usable event.", path=path)
    if not n_good:
        raise FileFormatError("the file is empty: it holds no event.", path=path, line=1)


def count_fields(path: Path) -> int | None:
    """Return the number of fields on the first line with any, or None where the file is not text.

    Args:
        path: plain or gzipped text.
    """
    try:
        with _open(path) as file:
            head = file.read(2**16)
    except (OSError, EOFError, zlib.error):
        return None
    lines = [_without_comment(line) for line in head.removeprefix(BYTE_ORDER_MARK).split(b"\n")]
    if not set().union(*lines) <= _TEXT_BYTES:
        return None
    first = next((line for line in lines if line.strip()), b"")
    return len(first.split()) or None


def is_gzipped(path: Path) -> bool:
    """Tell by the first bytes whether a file is gzipped.

    Raises:
        NotFoundError: there is no such file.
    """
    if not path.is_file():
        raise NotFoundError(f"No file '{path}'. Check the name.")
    with path.open("rb") as file:
        return file.read(2) == _GZIP_SIGNATURE


def format_rows(counts: NDArray[np.uint16], values: NDArray[np.float64]) -> bytes:
    r"""Return text lines of the counts, then the values with six significant digits.

    Args:
        counts: shape (row, counts a line).
        values: shape (row, values a line).

    Examples:
        >>> format_rows(np.array([[3, 0]], np.uint16), np.array([[0.5, -100]]))
        b'3 0 0.5 -100\n'
    """
    line = " ".join(["%.6g"] * values.shape[1]) + "\n"
    tails = np.frombuffer(((line * len(values)) % tuple(values.ravel().tolist())).encode(), np.uint8)
    out = np.empty(counts.size * 6 + len(tails), np.uint8)
    return out[: format_lines(np.ascontiguousarray(counts), tails, out)].tobytes()


def open_for_text(path: Path, *, gzipped: bool) -> IO[bytes]:
    """Open a file to write text bytes to; a gzipped one has neither name nor time inside."""
    if not gzipped:
        return path.open("wb")
    return cast(IO[bytes], _PlainHeaderGzip(path))


class _PlainHeaderGzip(gzip.GzipFile):
    """A gzip file whose bytes depend on its content alone."""

    def __init__(self, path: Path) -> None:
        self._raw = path.open("wb")
        super().__init__("", "wb", GZIP_LEVEL, self._raw, mtime=0)

    def close(self) -> None:
        super().close()
        self._raw.close()


class _TableReader:
    """Fills blocks of rows from the lines of one file."""

    def __init__(self, path: Path, table: TableFormat, block: int, skipped: list[str] | None) -> None:
        self._path, self._table, self._block, self._skipped = path, table, block, skipped
        self._line = 1
        self._n_rows = 0
        self.n_bad = 0
        self._new_block()

    def _new_block(self) -> None:
        n, table = self._block, self._table
        self._counts = np.empty((n, table.n_counts), np.uint16)
        self._values = np.empty((n, table.n_values), table.dtype)
        self._lines = np.empty(n, np.int64)
        self._positions = np.empty(n, np.int64)
        self._row = 0

    def blocks(self) -> Iterator[Rows]:
        for text in whole_lines(self._path):
            data = np.frombuffer(text, np.uint8)
            at = 0
            while at < len(data):
                at = self._parse(text, data, at)
                if self._row == self._block:
                    yield self._finished()
        if self._row:
            yield self._finished()

    def _parse(self, text: bytes, data: NDArray[np.uint8], at: int) -> int:
        first = self._row
        self._row, at, self._line, is_good = parse_lines(
            data, at, self._counts, self._values, self._lines, first, self._line
        )
        self._number(first)
        if is_good:
            return at
        end = text.index(b"\n", at)
        self._read_slowly(text[at:end])
        self._line += 1
        return end + 1

    def _number(self, first: int) -> None:
        n_new = self._row - first
        self._positions[first : self._row] = np.arange(self._n_rows, self._n_rows + n_new)
        self._n_rows += n_new

    def _read_slowly(self, line: bytes) -> None:
        line = _without_comment(line)
        if not line.strip():
            return
        try:
            fields = _split(line, self._table.n_fields)
            counts = [_count(field, i + 1) for i, field in enumerate(fields[: self._table.n_counts])]
            values = [_value(f, i + 1) for i, f in enumerate(fields) if i >= self._table.n_counts]
        except _BadLineError as bad:
            self._refuse(self._line, bad.column, bad.words)
            self._n_rows += 1
            return
        self._counts[self._row], self._values[self._row] = counts, values
        self._lines[self._row] = self._line
        self._row += 1
        self._number(self._row - 1)

    def _refuse(self, line: int, column: int | None, words: str) -> None:
        error = FileFormatError(words, path=self._path, line=line, column=column)
        if self._skipped is None:
            raise error
        self._skipped.append(str(error))
        self.n_bad += 1

    def _finished(self) -> Rows:
        n = self._row
        rows = Rows(self._counts[:n], self._values[:n], self._lines[:n], self._positions[:n])
        self._new_block()
        problems = self._table.check(rows) if self._table.check else []
        if not problems:
            return rows
        for problem in sorted(problems, key=lambda p: (p.row, p.column)):
            self._refuse(int(rows.lines[problem.row]), problem.column, problem.words)
        keep = np.ones(n, np.bool_)
        keep[[problem.row for problem in problems]] = False
        return Rows(rows.counts[keep], rows.values[keep], rows.lines[keep], rows.positions[keep])


class _BadLineError(Exception):
    def __init__(self, words: str, column: int | None) -> None:
        super().__init__(words)
        self.words, self.column = words, column


def _split(line: bytes, n_fields: int) -> list[str]:
    strange = next((byte for byte in line if byte not in _TEXT_BYTES), None)
    if strange is not None:
        column = len(line[: line.index(strange) + 1].split())
        raise _BadLineError(f"this is not text: byte 0x{strange:02x}.", column)
    fields = line.decode("ascii").split()
    if len(fields) != n_fields:
        column = min(len(fields), n_fields) + 1
        raise _BadLineError(f"an event must have {n_fields} fields. Got {len(fields)}.", column)
    return fields


def _without_comment(line: bytes) -> bytes:
    return line.split(_COMMENT, 1)[0]


def _count(field: str, column: int) -> int:
    number = _number(field)
    if not (number.is_integer() and 0 <= number <= _MAX_COUNT):
        raise _BadLineError(f"a pixel must be a whole number from 0 to {_MAX_COUNT}. Got '{field}'.", column)
    return int(number)


def _number(field: str) -> float:
    """Return the number a field holds, NaN where it holds none."""
    try:
        return float(field.replace("_", "x"))
    except ValueError:
        return math.nan


def _value(field: str, column: int) -> float:
    value = _number(field)
    if not math.isfinite(value):
        raise _BadLineError(f"the value must be a finite number. Got '{field}'.", column)
    return value


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if is_gzipped(path) else path.open("rb")


def whole_lines(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield the text of a file in blocks of whole lines; the next block is read, or inflated, meanwhile.

    Args:
        path: plain or gzipped text.
        block_bytes: bytes read at once.

    Raises:
        NotFoundError: there is no such file.
        FileFormatError: a gzipped file is damaged or cut short, or a line is too long for text.
    """
    chunks = _inflated(path, block_bytes) if is_gzipped(path) else _plain(path, block_bytes)
    rest, n_lines, is_first = b"", 0, True
    for chunk in _ahead(chunks):
        if is_first:
            chunk, is_first = chunk.removeprefix(BYTE_ORDER_MARK), False
        end = chunk.rfind(b"\n") + 1
        if end:
            text = rest + chunk[:end]
            rest = chunk[end:]
            n_lines += text.count(b"\n")
            yield text
        else:
            rest += chunk
        if len(rest) > MAX_LINE_BYTES:
            raise FileFormatError(
                f"this is not text: a line of more than {MAX_LINE_BYTES} bytes.",
                path=path,
                line=n_lines + 1,
            )
    if rest:
        yield rest + b"\n"


def _plain(path: Path, block_bytes: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(block_bytes):
            yield chunk


def _inflated(path: Path, block_bytes: int) -> Iterator[bytes]:
    # zlib itself: the gzip module's buffering costs a fifth of the time.
    with path.open("rb") as file:
        member, is_whole = zlib.decompressobj(31), True
        while chunk := file.read(block_bytes // 8):
            while chunk:
                try:
                    text = member.decompress(chunk, block_bytes)
                except zlib.error as error:
                    raise FileFormatError(
                        f"the gzipped file is damaged ({error}). Copy or fetch it again.", path=path
                    ) from error
                if text:
                    yield text
                is_whole = member.eof
                chunk = member.unused_data.lstrip(b"\0") if is_whole else member.unconsumed_tail
                if is_whole:
                    member = zlib.decompressobj(31)
        if rest := member.flush():
            yield rest
        if not (is_whole or member.eof):
            raise FileFormatError("the gzipped file is cut short. Copy or fetch it again.", path=path)


def _ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    # Reading and inflating release the interpreter: they run beside the parser.
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, chunks, b"")
        while chunk := coming.result():
            coming = pool.submit(next, chunks, b"")
            yield chunk
