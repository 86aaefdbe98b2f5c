from __future__ import annotations

import gzip
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitlens.errors import FileFormatError, NotFoundError
from hitlens.io.text import (
    MAX_LINE_BYTES,
    Problem,
    Rows,
    TableFormat,
    count_fields,
    format_rows,
    is_gzipped,
    open_for_text,
    read_rows,
    whole_lines,
)

TABLE = TableFormat(n_counts=2, n_values=2)


def put(folder: Path, content: bytes, name: str = "a.txt") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read(path: Path, block: int = 1000, skipped: list[str] | None = None) -> Rows:
    parts = list(read_rows(path, TABLE, block, skipped))
    return Rows(
        np.concatenate([part.counts for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.lines for part in parts]),
        np.concatenate([part.positions for part in parts]),
    )


@pytest.mark.parametrize(
    "content",
    [
        b"1 2 0.5 -100\n65535 0 1e-3 +2.5E2\n",
        b"1 2 0.5 -100\n65535 0 1e-3 +2.5E2",
        b"1 2 0.5 -100\r\n65535 0 1e-3 +2.5E2\r\n",
        b"\n  1 2\t0.5   -100  \n\n \r\n65535 0 .001 250.\n\n",
        b"01 00002 0000.5 -100\n65535 0 0.001 250\n",
        b"1.0 2. 5e-1 -1.00e+02\n6.5535e+04 0.0e+00 0.001 2.5e2\n",
        b"\xef\xbb\xbf1 2 0.5 -100\n65535 0 0.001 250\n",
        "\ufeff# run 7, \u00b5s\n1 2 0.5 -100\n  # middle\n+65535 -0 0.001 250 # end\n#".encode(),
    ],
    ids=[
        *("plain", "no last newline", "CRLF", "blanks", "zeros in front"),
        *("numpy.savetxt", "byte-order mark", "comments"),
    ],
)
@pytest.mark.parametrize("gzipped", [False, True])
def test_what_is_read(tmp_path: Path, content: bytes, gzipped: bool) -> None:
    rows = read(put(tmp_path, gzip.compress(content) if gzipped else content))
    assert rows.counts.tolist() == [[1, 2], [65535, 0]]
    assert rows.values.tolist() == [[0.5, -100.0], [0.001, 250.0]]
    assert rows.positions.tolist() == [0, 1]
    told = [line.removeprefix(b"\xef\xbb\xbf").split(b"#")[0].strip() for line in content.split(b"\n")]
    lines = [i + 1 for i, line in enumerate(told) if line]
    assert rows.lines.tolist() == lines


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.floats(allow_nan=False, allow_infinity=False).map(repr),
            st.decimals(allow_nan=False, allow_infinity=False).map(str),
            st.from_regex(r"[+-]?[0-9]{1,25}(\.[0-9]{0,25})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
        ).filter(lambda text: math.isfinite(float(text))),
        min_size=2,
        max_size=2,
    )
)
def test_numbers_are_pythons_to_the_last_bit(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = read(put(Path(folder), f"1 2 {texts[0]} {texts[1]}\n".encode()))
    assert rows.values.tolist() == [[float(texts[0]), float(texts[1])]]


BAD = {
    b"1 2 3": (4, "must have 4 fields. Got 3"),
    b"1 2 3 4 5": (5, "must have 4 fields. Got 5"),
    b"-1 2 3 4": (1, "whole number from 0 to 65535. Got '-1'"),
    b"1 2.5 3 4": (2, "whole number from 0 to 65535. Got '2.5'"),
    b"1 65536 3 4": (2, "Got '65536'"),
    b"1 99999999999999999999 3 4": (2, "whole number"),
    b"nan 2 3 4": (1, "whole number"),
    b"1 2 nan 4": (3, "finite number. Got 'nan'"),
    b"1 2 3 inf": (4, "finite number. Got 'inf'"),
    b"1 2 3 1e999": (4, "finite number"),
    b"1 2 3 x": (4, "finite number. Got 'x'"),
    b"1 2 1_0 4": (3, "finite number"),
    b"1 2 1e 4": (3, "finite number"),
    b"1 2 - 4": (3, "finite number"),
    b"1 2 1.2.3 4": (3, "finite number"),
    b"1 2 \x00 4": (3, "not text: byte 0x00"),
    b"1 2 3 \xff": (4, "not text: byte 0xff"),
    b"\x89PNG": (1, "not text: byte 0x89"),
}


@pytest.mark.parametrize("line", BAD, ids=repr)
def test_a_bad_line_is_refused_where_it_is(tmp_path: Path, line: bytes) -> None:
    column, words = BAD[line]
    path = put(tmp_path, b"1 2 3 4\n\n" + line + b"\n1 2 3 4\n")
    with pytest.raises(FileFormatError) as caught:
        read(path)
    assert (caught.value.path, caught.value.line, caught.value.column) == (path, 3, column)
    assert words in str(caught.value)
    assert f"{path}, line 3, column {column}: " in str(caught.value)


@pytest.mark.parametrize("line", BAD, ids=repr)
def test_a_bad_line_is_skipped_and_listed(tmp_path: Path, line: bytes) -> None:
    path = put(tmp_path, b"1 2 3 4\n" + line + b"\n5 6 7 8\n" + line)
    skipped: list[str] = []
    rows = read(path, skipped=skipped)
    assert rows.counts.tolist() == [[1, 2], [5, 6]]
    assert rows.positions.tolist() == [0, 2]
    assert rows.lines.tolist() == [1, 3]
    assert [message.split(",")[1] for message in skipped] == [" line 2", " line 4"]


def test_a_check_finds_lines(tmp_path: Path) -> None:
    def check(rows: Rows) -> list[Problem]:
        return [Problem(row, 1, "is odd") for row in np.flatnonzero(rows.counts[:, 0] % 2).tolist()]

    table = TableFormat(2, 2, check=check)
    path = put(tmp_path, b"2 0 0 0\n3 0 0 0\n\n4 0 0 0\n5 0 0 0\n")
    with pytest.raises(FileFormatError, match="line 2, column 1: is odd"):
        list(read_rows(path, table, 10))
    skipped: list[str] = []
    blocks = list(read_rows(path, table, 1, skipped))
    assert [block.counts[0, 0] for block in blocks] == [2, 4]
    assert [block.positions[0] for block in blocks] == [0, 2]
    assert skipped == [f"{path}, line 2, column 1: is odd", f"{path}, line 5, column 1: is odd"]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"  \r\n"])
def test_an_empty_file(tmp_path: Path, content: bytes) -> None:
    for skipped in (None, list[str]()):
        with pytest.raises(FileFormatError, match="line 1: the file is empty"):
            read(put(tmp_path, content), skipped=skipped)


def test_no_usable_line(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="none of its 2 lines holds a usable event"):
        read(put(tmp_path, b"1 2 3\n4\n"), skipped=[])


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="No file"):
        read(tmp_path / "missing.txt")


def test_a_line_that_never_ends(tmp_path: Path) -> None:
    path = put(tmp_path, b"1 2 3 4\n" + b"7" * (2 * MAX_LINE_BYTES))
    with pytest.raises(FileFormatError, match="line 2: this is not text"):
        list(whole_lines(path, 2**18))


@pytest.mark.parametrize("block_bytes", [1, 2, 3, 7, 64, 10_000])
def test_lines_stay_whole_whatever_the_block(tmp_path: Path, block_bytes: int) -> None:
    content = b"".join(b"%d 2 3 4\n" % i for i in range(300)) + b"5 6 7 8"
    for name, data in (("a.txt", content), ("a.gz", gzip.compress(content))):
        blocks = list(whole_lines(put(tmp_path, data, name), max(block_bytes, 8)))
        assert b"".join(blocks) == content + b"\n"
        assert all(block.endswith(b"\n") for block in blocks)


def test_blocks_of_rows(tmp_path: Path) -> None:
    path = put(tmp_path, b"".join(b"%d 2 3 4\n" % i for i in range(25)))
    assert [len(rows.lines) for rows in read_rows(path, TABLE, 10)] == [10, 10, 5]
    assert read(path, 7).counts[:, 0].tolist() == list(range(25))


def test_gzip_of_several_members(tmp_path: Path) -> None:
    content = gzip.compress(b"1 2 3 4\n") + gzip.compress(b"5 6 7 8\n") + bytes(100)
    assert read(put(tmp_path, content)).counts.tolist() == [[1, 2], [5, 6]]


def test_gzip_cut_short_or_damaged(tmp_path: Path) -> None:
    content = gzip.compress(b"".join(b"%d 2 3 4\n" % (i * 7919 % 65536) for i in range(20_000)))
    for length in (5, len(content) // 2, len(content) - 4):
        for skipped in (None, list[str]()):
            with pytest.raises(FileFormatError, match=r"a\.txt\.gz: the gzipped file is cut short"):
                read(put(tmp_path, content[:length], "a.txt.gz"), skipped=skipped)
    broken = bytearray(content)
    broken[len(content) // 2] ^= 0xFF
    with pytest.raises(FileFormatError):
        read(put(tmp_path, bytes(broken), "a.txt.gz"))


def test_formatting() -> None:
    counts = np.array([[0, 65535, 10], [7, 100, 9]], np.uint16)
    values = np.array([[0.94251444, -100.0], [9.67989e-05, 0.0]])
    assert format_rows(counts, values) == b"0 65535 10 0.942514 -100\n7 100 9 9.67989e-05 0\n"
    assert format_rows(counts[:0], values[:0]) == b""


def test_gzip_bytes_depend_on_content_alone(tmp_path: Path) -> None:
    for name in ("one.gz", "two.gz"):
        with open_for_text(tmp_path / name, gzipped=True) as file:
            file.write(b"1 2 3 4\n")
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()
    assert gzip.decompress((tmp_path / "one.gz").read_bytes()) == b"1 2 3 4\n"
    assert is_gzipped(tmp_path / "one.gz")
    with open_for_text(tmp_path / "plain", gzipped=False) as file:
        file.write(b"x")
    assert not is_gzipped(tmp_path / "plain")


def test_counting_fields(tmp_path: Path) -> None:
    assert count_fields(put(tmp_path, b"\n 1 2  3\n4\n")) == 3
    assert count_fields(put(tmp_path, gzip.compress(b"1 2\n"))) == 2
    assert count_fields(put(tmp_path, "\ufeff# \u00b5s 3 4\n1 2 # 5\n".encode())) == 2
    assert count_fields(put(tmp_path, b"")) is None
    assert count_fields(put(tmp_path, b"\x89HDF")) is None
    assert count_fields(put(tmp_path, gzip.compress(b"1 2\n" * 99)[:15])) is None
