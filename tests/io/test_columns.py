"""Columns of four kinds of files: names, lengths, ranges of rows, and what damage is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest

from hitlens.errors import ConfigError, FileFormatError, NotFoundError
from hitlens.io.columns import KINDS, Lists, MissingColumns, has_signature, kind_of, open_columns
from hitlens.io.guard import damage_as_format_error

N = 7


@pytest.fixture(params=["h5", "npz", "root", "parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file with numbers, text, and lists or images where the kind has them."""
    path = tmp_path / f"made.{request.param}"
    columns: dict[str, Any] = {"n": np.arange(N, dtype=np.int16), "f": np.linspace(0, 1, N)}
    if request.param == "npz":
        np.savez(path, **columns, text=np.array(list("abcdefg")), image=np.arange(N * 6).reshape(N, 2, 3))
    elif request.param == "h5":
        write_hdf5(path, columns)
    elif request.param == "root":
        write_root(path, columns)
    else:
        lists = [list(range(n)) for n in range(N)]
        table = pl.DataFrame({**columns, "text": list("abcdefg"), "list": lists})
        table.with_columns(image=pl.Series(np.arange(N * 6).reshape(N, 6))).write_parquet(path)
    return path


def write_hdf5(path: Path, columns: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file[name] = values.astype(values.dtype.newbyteorder(">"))
        file.create_dataset("text", data=list("abcdefg"), dtype=h5py.string_dtype())
        file["image"] = np.arange(N * 6).reshape(N, 2, 3)
        file["group/table"] = np.rec.fromarrays([np.arange(N), np.arange(N) / 2], names=["a", "b"])
        file["scalar"] = 3
        node = file.create_dataset("list", N, dtype=h5py.vlen_dtype(np.int32))
        for n in range(N):
            node[n] = np.arange(n)


def write_root(path: Path, columns: dict[str, Any]) -> None:
    import awkward as ak
    import uproot

    made = {"list": ak.Array([list(range(n)) for n in range(N)]), "text": ak.Array(list("abcdefg"))}
    with uproot.recreate(path) as file:
        file.mktree("t", {"n": np.int16, "f": np.float64, "image": np.dtype((np.int64, (2, 3)))})
        file["t"].extend(columns | {"image": np.arange(N * 6).reshape(N, 2, 3)})
        file.mktree("deep/u", {"list": "var * int64", "text": "string"})
        file["deep/u"].extend(made)


def tree_of(path: Path) -> str:
    return "t" if path.suffix == ".root" else ""


def test_rows_are_read_by_range(path: Path) -> None:
    with open_columns(path, tree=tree_of(path)) as columns:
        assert columns.length("n") == N
        values = columns.read("n", 2, 5)
        assert isinstance(values, np.ndarray)
        assert values.tolist() == [2, 3, 4]
        assert values.dtype == np.dtype("=i2")
        assert columns.read("f", 6, 7).tolist() == [1.0]


def test_images_keep_their_numbers(path: Path) -> None:
    with open_columns(path, tree=tree_of(path)) as columns:
        values = columns.read("image", 1, 3)
        assert isinstance(values, np.ndarray)
        assert values.reshape(2, 6).tolist() == [list(range(6, 12)), list(range(12, 18))]


def test_text_and_lists(path: Path) -> None:
    deep = "deep/u/" if path.suffix == ".root" else ""
    with open_columns(path, tree=tree_of(path)) as columns:
        text = columns.read(f"{deep}text", 1, 3)
        assert isinstance(text, np.ndarray)
        assert text.tolist() == ["b", "c"]
        if path.suffix == ".npz":
            return
        lists = columns.read(f"{deep}list", 0, 4)
        assert isinstance(lists, Lists)
        assert lists.counts.tolist() == [0, 1, 2, 3]
        assert lists.values.tolist() == [0, 0, 1, 0, 1, 2]
        assert len(lists) == 4


def test_names_of_hdf5_are_paths_and_fields(tmp_path: Path) -> None:
    path = tmp_path / "made.hdf5"
    write_hdf5(path, {"n": np.arange(N)})
    with open_columns(path) as columns:
        assert set(columns.names) == {"n", "text", "image", "group/table/a", "group/table/b", "list"}
        assert columns.read("group/table/b", 2, 4).tolist() == [1.0, 1.5]


def test_branches_of_the_only_tree_go_by_their_names(tmp_path: Path) -> None:
    import uproot

    path = tmp_path / "made.root"
    with uproot.recreate(path) as file:
        file["events"] = {"a": np.arange(3)}
    with open_columns(path) as columns:
        assert columns.names == ("a",)
    with pytest.raises(NotFoundError, match=r"no tree 'event'. Did you mean 'events'"):
        open_columns(path, tree="event")
    write_root(path, {"n": np.arange(N, dtype=np.int16), "f": np.zeros(N)})
    with open_columns(path) as columns:
        assert {"t/n", "deep/u/text"} <= set(columns.names)


def test_empty_lists_only(tmp_path: Path) -> None:
    path = tmp_path / "made.h5"
    with h5py.File(path, "w") as file:
        rows = file.create_dataset("list", 3, dtype=h5py.vlen_dtype(np.int32))
        for n in range(3):
            rows[n] = np.zeros(0, np.int32)
    with open_columns(path) as columns:
        lists = columns.read("list", 0, 3)
        assert isinstance(lists, Lists)
        assert lists.counts.tolist() == [0, 0, 0]


def test_a_name_without_a_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not say what kind of file it is"):
        open_columns(tmp_path / "made.dat")
    assert kind_of(Path("a.PARQUET")) == "parquet"
    assert set(KINDS.values()) == {"hdf5", "npz", "root", "parquet", "csv"}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="No file"):
        open_columns(tmp_path / "made.npz")


def test_a_foreign_file_is_refused(path: Path) -> None:
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(FileFormatError, match="by its first bytes"):
        open_columns(path)
    assert not has_signature(path, "npz")


def test_a_file_cut_short_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])
    with (
        pytest.raises(FileFormatError, match="the file is damaged"),
        open_columns(path) as columns,
    ):
        columns.read("f", 0, N)


@pytest.mark.parametrize(
    "name", ["run[1]", "a*b", "x?", "sp ace", "h#x", "p%20x", "-dash", "é", "a:b", "a::b", "{1,2}"]
)
def test_a_name_is_no_pattern(name: str, path: Path) -> None:
    odd = path.with_name(name + path.suffix.upper())
    for other in ("run1", "axb", "xx"):  # what the patterns would match
        path.with_name(other + path.suffix.upper()).write_bytes(b"")
    path.rename(odd)
    with open_columns(odd) as columns:
        name = next(name for name in columns.names if name.split("/")[-1] == "n")
        read = columns.read(name, 0, N)
    assert isinstance(read, np.ndarray) and read.tolist() == list(range(N))


def test_a_folder_is_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "energy=5"
    folder.mkdir()
    pl.DataFrame({"n": [1, 2]}).write_parquet(folder / "a.parquet")
    with open_columns(folder / "a.parquet") as columns:
        assert columns.names == ("n",)


def test_compounds_inside_compounds(tmp_path: Path) -> None:
    inner = np.dtype([("label", "i4"), ("at", [("x", "f4")])])
    rows = np.zeros(3, np.dtype([("image", "u2", (2, 2)), ("truth", inner), ("kind", "S4")]))
    rows["truth"]["label"], rows["truth"]["at"]["x"], rows["kind"] = [1, 2, 3], [0.5, 1.5, 2.5], b"\xb5"
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["events"] = rows
    with open_columns(tmp_path / "a.h5") as columns:
        names = ("image", "truth/label", "truth/at/x", "kind")
        assert columns.names == tuple(f"events/{name}" for name in names)
        assert np.asarray(columns.read("events/truth/label", 1, 3)).tolist() == [2, 3]
        assert np.asarray(columns.read("events/truth/at/x", 0, 2)).tolist() == [0.5, 1.5]
        assert np.asarray(columns.read("events/kind", 0, 1)).tolist() == ["\u00b5"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
@pytest.mark.parametrize("fixed", [True, False])
def test_text_in_any_encoding(encoding: str, fixed: bool, tmp_path: Path) -> None:
    texts = ["bruit\u00e9", "", "signal"]
    encoded = [text.encode(encoding) for text in texts]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = np.array(encoded) if fixed else np.array(encoded, dtype=object)
        file.create_dataset("kind", data=data, dtype=None if fixed else h5py.string_dtype())
    with open_columns(tmp_path / "a.h5") as columns:
        assert np.asarray(columns.read("kind", 0, 3)).tolist() == texts


@pytest.mark.parametrize("size", [512, 4096])
def test_a_block_before_the_file(size: int, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=size) as file:
        file["n"] = np.arange(3)
    with (tmp_path / "a.h5").open("r+b") as raw:
        raw.write(b"# my notes")
    with open_columns(tmp_path / "a.h5") as columns:
        assert np.asarray(columns.read("n", 0, 3)).tolist() == [0, 1, 2]


def test_a_locked_file_is_not_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    message = "Unable to synchronously open file (unable to lock file, errno = 11)"
    with (
        pytest.raises(FileFormatError, match="another program has it open for writing") as raised,
        damage_as_format_error(tmp_path / "a.h5"),
    ):
        raise BlockingIOError(11, message)
    assert "damaged" not in str(raised.value)


IMAGES = np.arange(24).reshape(4, 2, 3)


@pytest.mark.parametrize(
    "kind",
    [
        *(pl.List(pl.List(pl.UInt16)), pl.Array(pl.UInt16, (2, 3)), pl.List(pl.Array(pl.Float64, 3))),
        pl.Array(pl.List(pl.Int8), 2),
    ],
)
def test_images_as_lists_of_lists(kind: Any, tmp_path: Path) -> None:
    pl.DataFrame({"image": pl.Series(IMAGES.tolist(), dtype=kind)}).write_parquet(tmp_path / "a.parquet")
    with open_columns(tmp_path / "a.parquet") as columns:
        np.testing.assert_array_equal(np.stack(list(columns.read("image", 1, 4))), IMAGES[1:])  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [[[[1, 2], [3]]], [[[1, 2]], [[1, 2], [3, 4]]]])
def test_ragged_images_are_refused(rows: Any, tmp_path: Path) -> None:
    pl.DataFrame({"image": rows}).write_parquet(tmp_path / "a.parquet")
    with (
        open_columns(tmp_path / "a.parquet") as columns,
        pytest.raises(FileFormatError, match=r"column 'image' has (lists|images) of 1 and of 2"),
    ):
        columns.read("image", 0, len(rows))


def test_fields_of_records(tmp_path: Path) -> None:
    hits = [[{"row": 1, "col": 2}, {"row": 3, "col": 4}], [], [{"row": 5, "col": 6}]]
    truth = [{"label": 1}, {"label": 0}, {"label": 1}]
    pl.DataFrame({"hit": hits, "truth": truth}).write_parquet(tmp_path / "a.parquet")
    with open_columns(tmp_path / "a.parquet") as columns:
        assert columns.names == ("hit.row", "hit.col", "truth.label")
        found = columns.read("hit.col", 0, 3)
        assert isinstance(found, Lists)
        assert (found.values.tolist(), found.counts.tolist()) == ([2, 4, 6], [2, 0, 1])
        assert np.asarray(columns.read("truth.label", 1, 3)).tolist() == [0, 1]


@pytest.mark.parametrize(
    "text",
    [
        b"n,x,kind\n1,0.5,a\n2,1e-1,b c\n",
        b"\xef\xbb\xbfn\tx\tkind\r\n1\t0.5\ta\r\n2\t.1\tb c\r\n",
        b"# made by hand\nn;x;kind\n1;0,5;a\n# here\n2;0,1;b c\n",
        b'"n","x","kind"\n1,0.5,"a"\n2,0.1,"b c"',
    ],
)
def test_text_tables(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "run[1].CSV").write_bytes(text)
    with open_columns(tmp_path / "run[1].CSV") as columns:
        assert columns.names == ("n", "x", "kind")
        read = [np.asarray(columns.read(name, 0, 2)).tolist() for name in columns.names]
    assert read == [[1, 2], [0.5, 0.1], ["a", "b c"]]


@pytest.mark.parametrize("word", ["", "NA", "nan", "NaN", "N/A", "None", "NULL", "<NA>"])
def test_words_for_missing_values_in_text_tables(word: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"n,x,kind\n1,0.5,mu\n{word},{word},{word}\n")
    with open_columns(tmp_path / "a.csv") as columns:
        assert isinstance(columns, MissingColumns)
        read = [columns.whole_or_missing(name, 0, 2) for name in ("n", "x", "kind")]
    assert [series.to_list() for series in read if series is not None] == [
        [1, None],
        [0.5, None],
        ["mu", None],
    ]


def test_whole_numbers_beyond_64_bits_in_text_are_no_damage(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"n,id\n1,{2**64}\n2,5\n")
    with pytest.raises(
        FileFormatError, match=r"a.csv: of the whole numbers in 'id', 64 bits do not hold all"
    ):
        open_columns(tmp_path / "a.csv")


def test_python_objects_in_npz_are_no_damage(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", label=np.array([1, None, 0], dtype=object))
    with open_columns(tmp_path / "a.npz") as columns, pytest.raises(FileFormatError) as refusal:
        columns.read("label", 0, 3)
    assert "'label' holds Python objects" in str(refusal.value)
    assert "damaged" not in str(refusal.value)


@pytest.mark.parametrize("text", [b"", b"a,b\n1,2,3\n", b"a\n\xff\xfe\n", b"a\0b\n"])
def test_text_that_is_no_table_is_refused(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    with pytest.raises(FileFormatError):
        open_columns(tmp_path / "a.csv")


@pytest.mark.parametrize("kind", ["h5", "csv", "parquet"])
def test_a_file_that_must_not_be_read_is_not_damaged(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    path = tmp_path / f"a.{kind}"
    path.touch()
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FileFormatError, match=r"cannot be read .*Permission denied") as raised:
        open_columns(path)
    assert "damaged" not in str(raised.value)
