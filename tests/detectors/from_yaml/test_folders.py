"""Folders of pictures and tables with a column a pixel become the events they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from hitlens.detectors import read_detector
from hitlens.errors import ConfigError
from hitlens.events import Events
from hitlens.workflow.data import read_events

N = 12
VIEW = "{name: %s, shape: [3, 4], axes: [row, col], pitch_mm: [1, 1], unit: counts, dtype: %s}"
PIXELS = np.random.default_rng(1).integers(0, 65536, (N, 3, 4)).astype(np.uint16)
COLOURS = np.random.default_rng(2).integers(0, 256, (N, 3, 4, 3)).astype(np.uint8)


def read(path: Path, files: str, views: str = "x", dtype: str = "uint16") -> Events:
    described = ", ".join(VIEW % (name, dtype) for name in views)
    text = f"""
name: camera
title: Camera
views: [{described}]
truth:
  - {{name: label, meaning: class}}
tasks:
  - {{name: any, kind: binary, meaning: any, target: label = 1, class_names: [a, b]}}
files:
  - {files}
"""
    return read_events(path, read_detector(text, "camera.yaml"))


def test_pictures_by_class(tmp_path: Path) -> None:
    for number, image in enumerate(PIXELS):
        folder = tmp_path / ("pion", "muon")[number % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    events = read(tmp_path, "{name: f, kind: images, images: {x: {dense: image}}, truth: {label: folder}}")
    assert events.truth["label"].to_list() == ["muon"] * 6 + ["pion"] * 6
    np.testing.assert_array_equal(events.dense("x", (3, 4)), np.concatenate([PIXELS[1::2], PIXELS[::2]]))


@pytest.mark.parametrize("frames", [False, True])
def test_a_view_a_channel(frames: bool, tmp_path: Path) -> None:
    for number, image in enumerate(COLOURS):
        path = tmp_path / f"{number}.tif"
        if frames:
            first, *others = [Image.fromarray(channel) for channel in image.transpose(2, 0, 1)]
            first.save(path, save_all=True, append_images=others)
        else:
            Image.fromarray(image).save(path)
    table = pl.DataFrame({"shot": [f"{number}.tif" for number in range(N)], "label": np.arange(N) % 2})
    table.write_csv(tmp_path / "truth.tsv", separator="\t")
    axes = "" if frames else ", axes: [row, col, view]"
    sources = ", ".join(
        f"{name}: {{dense: shot, index: {index}{axes}}}" for name, index in (("r", 0), ("b", 2))
    )
    events = read(
        tmp_path, f"{{name: f, kind: images, table: truth.tsv, images: {{{sources}}}}}", "rb", "uint8"
    )
    assert events.truth["label"].to_list() == [0, 1] * 6
    for name, channel in (("r", 0), ("b", 2)):
        np.testing.assert_array_equal(events.dense(name, (3, 4)), COLOURS[..., channel])


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_a_column_a_pixel(ending: str, tmp_path: Path) -> None:
    flat: dict[str, Any] = {f"px{number}": PIXELS.reshape(N, -1)[:, number] for number in range(12)}
    table = pl.DataFrame({"label": np.arange(N) % 2} | dict(sorted(flat.items())))  # px10 before px2
    path = tmp_path / f"flat.{ending}"
    if ending == "parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path, separator="\t" if ending == "tsv" else ",")
    kind = "parquet" if ending == "parquet" else "csv"
    events = read(path, f"{{name: f, kind: {kind}, images: {{x: {{dense: 'px#'}}}}}}")
    np.testing.assert_array_equal(events.dense("x", (3, 4)), PIXELS)
    table.drop("px7").write_parquet(tmp_path / "short.parquet")
    with pytest.raises(ConfigError, match=r"images of shape \(11,\), not \(3, 4\)"):
        read(tmp_path / "short.parquet", "{name: f, kind: parquet, images: {x: {dense: 'px#'}}}")


def test_text_is_no_image(tmp_path: Path) -> None:
    pl.DataFrame({"label": [0, 1], "a": ["x", "y"]}).write_csv(tmp_path / "a.csv")
    with pytest.raises(ConfigError, match=r"column 'a' of .* holds <U1, not numbers"):
        read(tmp_path / "a.csv", "{name: f, kind: csv, images: {x: {dense: a}}}")


def test_a_folder_of_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", PIXELS)
    np.save(tmp_path / "labels.npy", np.arange(N) % 2)
    events = read(tmp_path, "{name: f, kind: npy, images: {x: {dense: images}}, truth: {label: labels}}")
    np.testing.assert_array_equal(events.dense("x", (3, 4)), PIXELS)
    assert events.truth["label"].sum() == N // 2


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        ([2**53 + 1, None, -(2**63)], pl.Int64),
        ([2**64 - 1, None, 2**63], pl.UInt64),
        ([True, None, False], pl.Boolean),
    ],
)
def test_missing_whole_numbers_leave_the_others_exact(
    labels: list[Any], dtype: Any, ending: str, tmp_path: Path
) -> None:
    flat = {f"px{number}": PIXELS.reshape(N, -1)[:3, number] for number in range(12)}
    table = pl.DataFrame({"label": pl.Series(labels, dtype=dtype)} | flat)
    path = tmp_path / f"flat.{ending}"
    if ending == "csv":
        table.write_csv(path)
    else:
        table.write_parquet(path)
    events = read(path, f"{{name: f, kind: {ending}, images: {{x: {{dense: 'px#'}}}}}}")
    assert events.truth["label"].to_list() == labels
    assert events.truth.schema["label"] == dtype
