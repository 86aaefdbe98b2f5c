"""Predictions survive every file format with keys, order, types and description."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitlens.detector import Task
from hitlens.detectors.cebr import DETECTOR
from hitlens.errors import DataError, FileFormatError, NotFoundError, SelectionError
from hitlens.evaluate import predictions as module
from hitlens.evaluate.predictions import (
    FORMATS,
    Predictions,
    read_predictions,
    truth_column,
    write_predictions,
)

TASK = DETECTOR.task("multiplicity")


def make(n: int = 5) -> Predictions:
    rows = range(n)
    table = pl.DataFrame(
        {
            "file": [f"Mix_é{i % 2}.txt" for i in rows],
            "event": [100 - i for i in rows],
            "split": [("test", "validation", "train", "none")[i % 4] for i in rows],
            "true_n_electrons": [None if i == 3 else 1 + i % 2 for i in rows],
            "true_energy_1_mev": [0.1 * i for i in rows],
            "true_x_2_px": [float("nan") if i % 2 == 0 else 1 / 3 for i in rows],
            "score_multiplicity": [i / 10 for i in rows],
            "pred_multiplicity": ["single" if i < 3 else "double" for i in rows],
            "true_multiplicity": [None if i == 3 else ("single", "double")[i % 2] for i in rows],
        },
        schema_overrides={"true_n_electrons": pl.UInt8, "score_multiplicity": pl.Float32},
    ).cast(
        {"file": pl.String, "event": pl.Int64, "split": pl.String, "true_energy_1_mev": pl.Float64}
        | {"true_x_2_px": pl.Float64, "pred_multiplicity": pl.String, "true_multiplicity": pl.String}
    )
    return Predictions(table, TASK, (TASK,), "cebr", {"model": "abc"})


def written(name: str) -> list[str]:
    """Files of predictions: those in CSV have their description beside them."""
    return [name, f"{name}.json"] if name.lower().endswith(".csv") else [name]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("n", [5, 1, 0])
def test_a_file_gives_back_what_was_written(tmp_path: Path, suffix: str, n: int) -> None:
    wanted = make(n)
    got = read_predictions(write_predictions(wanted, tmp_path / f"out{suffix}"))
    assert got.table.schema == wanted.table.schema
    assert got.table.equals(wanted.table)
    assert got.task == wanted.task
    assert got.heads == wanted.heads
    assert (got.detector, got.metadata) == ("cebr", {"model": "abc"})
    assert {p.name for p in tmp_path.iterdir()} == set(written(f"out{suffix}"))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, width=32)), max_size=8)
)
@pytest.mark.parametrize("suffix", FORMATS)
def test_keys_and_scores_are_exact(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, rows: list[tuple[int, float]]
) -> None:
    table = pl.DataFrame(
        {
            "event": [event for event, _ in rows],
            "split": ["none"] * len(rows),
            "score_multiplicity": [score for _, score in rows],
            "pred_multiplicity": ["single"] * len(rows),
        },
        schema={
            "event": pl.Int64,
            "split": pl.String,
            "score_multiplicity": pl.Float32,
            "pred_multiplicity": pl.String,
        },
    )
    path = tmp_path_factory.mktemp("files") / f"out{suffix}"
    write_predictions(Predictions(table, TASK, (TASK,), "cebr"), path)
    assert read_predictions(path).table.equals(table)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    path = write_predictions(make(), tmp_path / f"out{suffix}")
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(FileFormatError, match=r"out.*not a predictions file"):
        read_predictions(path)


def test_a_newer_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_predictions(make(), tmp_path / "out.parquet")
    monkeypatch.setattr(module, "FORMAT_VERSION", 0)
    with pytest.raises(FileFormatError, match="newer"):
        read_predictions(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_predictions(make(), tmp_path / "out.csv")

    def breaks(table: pl.DataFrame, header: str, path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setitem(FORMATS, ".csv", (breaks, FORMATS[".csv"][1]))
    with pytest.raises(OSError, match="disk full"):
        write_predictions(make(2), path)
    assert len(read_predictions(path)) == 5
    assert {file.name for file in tmp_path.iterdir()} == {"out.csv", "out.csv.json"}


def test_a_csv_file_begins_with_the_names_of_its_columns(tmp_path: Path) -> None:
    predictions = make()
    path = write_predictions(predictions, tmp_path / "out.csv")
    table = pl.read_csv(path)
    assert table.columns == predictions.table.columns
    assert len(table) == len(predictions)
    assert read_predictions(path).task == predictions.task
    (tmp_path / "out.csv.json").unlink()
    with pytest.raises(
        FileFormatError, match=r"out\.csv\.json, which says what its columns are, is not beside"
    ):
        read_predictions(path)


def test_a_csv_file_of_version_0_1_0_is_still_read(tmp_path: Path) -> None:
    path = write_predictions(make(), tmp_path / "out.csv")
    description = tmp_path / "out.csv.json"
    path.write_bytes(b"# " + description.read_bytes() + b"\n" + path.read_bytes())
    description.unlink()
    assert read_predictions(path).table.equals(make().table)


@pytest.mark.parametrize("n_lines", [2, 4])
def test_a_csv_file_that_lost_rows_is_refused(tmp_path: Path, n_lines: int) -> None:
    path = write_predictions(make(), tmp_path / "out.csv")
    path.write_text("\n".join(path.read_text().splitlines()[:n_lines]) + "\n")
    with pytest.raises(FileFormatError, match=rf"{n_lines - 1} rows instead of 5"):
        read_predictions(path)


def test_unknown_endings_and_missing_files_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"\.parquet"):
        write_predictions(make(), tmp_path / "out.xlsx")
    with pytest.raises(NotFoundError, match="hitlens predict"):
        read_predictions(tmp_path / "none.parquet")


def test_missing_columns_are_named() -> None:
    with pytest.raises(DataError, match="pred_multiplicity"):
        Predictions(make().table.drop("pred_multiplicity"), TASK, (TASK,), "cebr")


def test_selections() -> None:
    predictions = make()
    assert predictions.split("test").table["event"].to_list() == [100, 96]
    assert len(predictions.filter("score_multiplicity < .2 AND true_multiplicity = 'double'")) == 1
    with pytest.raises(SelectionError, match="score_multiplicity"):
        predictions.filter("score_multiplicit < .2")
    with pytest.raises(NotFoundError, match="multiplicity"):
        predictions.head("energy")


def test_truth_has_the_detectors_names_again() -> None:
    truth = make().truth()
    assert truth.columns == ["file", "event", "n_electrons", "energy_1_mev", "x_2_px"]


def test_joint_heads_have_their_own_columns() -> None:
    joint = DETECTOR.task("joint")
    heads = DETECTOR.heads(joint)
    columns = {"event": [1], "split": ["none"], "score_multiplicity": [0.5], "pred_multiplicity": ["single"]}
    values = [f"{h.name}_pred_{c}" for h in heads[1:] for c in h.target_columns]
    table = pl.DataFrame({**columns, **{name: [0.0] for name in values}})
    predictions = Predictions(table, joint, heads, "cebr")
    assert predictions.output_columns(heads[1]) == (
        "single_pred_energy_1_mev",
        "single_pred_x_1_px",
        "single_pred_y_1_px",
    )


@pytest.mark.parametrize("suffix", FORMATS)
def test_categories_and_empty_columns_become_text(tmp_path: Path, suffix: str) -> None:
    table = make().table.with_columns(pl.col("file").cast(pl.Categorical), true_multiplicity=pl.lit(None))
    got = read_predictions(write_predictions(make().with_table(table), tmp_path / f"out{suffix}")).table
    assert got["file"].to_list() == make().table["file"].to_list()
    assert got["true_multiplicity"].to_list() == [None] * 5
    with pytest.raises(DataError, match="List"):
        write_predictions(make().with_table(table.with_columns(hits=pl.lit([1]))), tmp_path / f"out{suffix}")


def test_truth_keeps_what_a_head_of_the_same_name_would_hide() -> None:
    """A class called like a truth column keeps its codes; totals over the images are no truth of a task."""
    kind = Task(
        name="flavour", kind="multiclass", meaning="", target="flavour", class_names=("numu", "nue", "nc")
    )
    value = Task(name="energy", kind="regression", meaning="", columns=("energy",), units=("GeV",))
    joint = Task(name="joint", kind="joint", meaning="", heads=("flavour", "energy"))
    columns = {truth_column([kind, value], name): [2.0] for name in ("flavour", "energy")}
    assert list(columns) == ["true_flavour_code", "true_energy"]
    scores = {f"score_flavour_{name}": [0.3] for name in kind.class_names}
    named = {"event": [1], "split": ["test"], "seen_hits": [12], "seen_charge": [40.0]}
    outputs = {"pred_flavour": ["nc"], "true_flavour": ["nc"], "energy_pred_energy": [2.5]}
    table = pl.DataFrame(named | columns | scores | outputs)
    truth = Predictions(table, joint, (kind, value), "demo").truth()
    assert truth.columns == ["event", "seen_hits", "seen_charge", "flavour", "energy"]
    assert truth.row(0) == (1, 12, 40.0, 2.0, 2.0)


def test_a_selection_may_name_truth_columns_as_the_detector_does() -> None:
    predictions = make()
    plain = predictions.filter("n_electrons = 2 AND score_multiplicity < 0.2").table
    assert plain["event"].to_list() == [99]
    assert plain.equals(predictions.filter("true_n_electrons = 2 AND score_multiplicity < 0.2").table)
    assert plain.columns == predictions.table.columns


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", ["run[1]", "a*b", "x?", "sp ace#", "a::b"])
def test_a_name_is_no_pattern(tmp_path: Path, suffix: str, name: str) -> None:
    write_predictions(make(2), tmp_path / f"run1{suffix}")
    got = read_predictions(write_predictions(make(5), tmp_path / f"{name}{suffix.upper()}"))
    assert got.table.equals(make(5).table)
    names = [*written(f"run1{suffix}"), *written(f"{name}{suffix.upper()}")]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)


def test_parts_are_joined_by_their_names(tmp_path: Path) -> None:
    parts = [tmp_path / f"part[{i}].parquet" for i in (1, 2)]
    for part in (*parts, tmp_path / "part1.parquet"):
        make(3).table.write_parquet(part)
    joined = module.join_predictions(parts, make(0), tmp_path / "a*.parquet")
    assert len(read_predictions(joined)) == 6


@pytest.mark.parametrize("ending", [".parquet", ".h5", ".csv", ".root"])
def test_no_flipped_bit_goes_unnoticed(ending: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    task = Task(name="charge", kind="regression", meaning="charge", columns=("q",), units=("e",))
    table = pl.DataFrame(
        {
            "file": ["a.h5", "b.h5"] * 20,
            "event": np.arange(40),
            "split": ["test"] * 39 + ["train"],
            "pred_q": np.where(rng.random(40) < 0.1, np.nan, rng.random(40)).astype(np.float32),
            "true_n": pl.Series([None, *range(39)], dtype=pl.Int32),
        }
    )
    path = write_predictions(
        Predictions(table, task, (task,), "demo", {"model": "ab12"}), tmp_path / f"p{ending}"
    )
    content, whole = path.read_bytes(), read_predictions(path)
    refused = 0
    for bit in rng.integers(8 * len(content), size=80).tolist():
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            again = read_predictions(path)
        except FileFormatError:
            refused += 1
            continue
        assert again.table.equals(whole.table)
        assert (again.task, again.heads, again.detector, again.metadata) == (
            *(whole.task, whole.heads, whole.detector, whole.metadata),
        )
    assert refused > 5


def test_files_of_version_1_are_read_without_a_checksum(tmp_path: Path) -> None:
    task = Task(name="charge", kind="regression", meaning="charge", columns=("q",), units=("e",))
    table = pl.DataFrame({"event": [4], "split": ["test"], "pred_q": [1.5]})
    path = write_predictions(Predictions(table, task, (task,), "demo"), tmp_path / "p.csv")
    header = json.loads(module.description_path(path).read_text())
    del header["sha256"]
    path.write_text(f"# {json.dumps({**header, 'version': 1})}\n{path.read_text()}")
    assert read_predictions(path).table["pred_q"].to_list() == [1.5]
    path.write_text(path.read_text().replace("1.5", "7.5").replace('"version": 1', '"version": 2'))
    with pytest.raises(FileFormatError, match="damaged"):
        read_predictions(path)
