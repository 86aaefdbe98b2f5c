"""A toy detector of two views, its events in every kind of file a description can map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

Columns = dict[str, Any]

#: What a toy event is: a bar of light in two views; wide bars are called muons.
HEAD = """
name: toy
title: Two views of a bar of light
views:
  - {name: x, shape: [6, 5], axes: [layer, x_strip], pitch_mm: [10, 4], unit: photons, dtype: uint8}
  - {name: y, shape: [6, 4], axes: [layer, y_strip], pitch_mm: [10, 4], unit: photons, dtype: uint8}
truth:
  - {name: is_muon, meaning: 1 for a muon}
  - {name: energy_gev, meaning: energy of the particle, unit: GeV}
  - {name: entry_px, meaning: where it enters, unit: px, axis: x_strip}
  - {name: double_gev, meaning: twice the energy, unit: GeV, expression: 2 * energy_gev}
symmetries:
  - {name: flip_x, flips: [x_strip], truth: {entry_px: {source: entry_px, scale: -1, offset: 5}}}
  - {name: flip_y, flips: [y_strip]}
tasks:
  - {name: particle, kind: binary, meaning: muon or pion, target: is_muon = 1, class_names: [pion, muon]}
  - {name: energy, kind: regression, meaning: energy, columns: [energy_gev], units: [GeV]}
  - {name: entry, kind: regression, meaning: entry, columns: [entry_px], units: [px]}
  - {name: joint, kind: joint, meaning: all of it, heads: [particle, energy, entry]}
slices:
  - {name: energy, label: energy, expression: energy_gev, unit: GeV, edges: [0, 1, 2]}
  - {name: hits, label: hits, expression: seen_hits, edges: [0, 5, 100]}
laws:
  - {name: energies, kind: uniform, expression: energy_gev, low: 0, high: 2}
files:
"""

#: How each kind of file maps onto it, by kind and style.
FILES = {
    ("hdf5", "dense"): "images: {x: {dense: images/x}, y: {dense: images/y}}",
    (
        "hdf5",
        "one",
    ): """images:
      x: {dense: both, index: 0}
      y: {dense: other, index: 1, axes: [y_strip, layer, view]}""",
    ("hdf5", "event"): """images:
      x: &hits
        pixels: {layer: hits/layer, x_strip: hits/strip}
        value: hits/adc
        event: hits/event
        where: {hits/view: 0}
      y: {<<: *hits, pixels: {layer: hits/layer, y_strip: hits/strip}, where: {hits/view: 1}}""",
    ("hdf5", "event_key"): """images:
      x: {pixels: {pixel: x/pixel}, value: x/adc, event: x/id, event_key: id}
      y: {pixels: {pixel: y/pixel}, value: y/adc, event: y/id, event_key: id}""",
    ("hdf5", "lists"): """images:
      x: {pixels: {layer: x_layer, x_strip: x_strip}, value: x_adc, sparse: false}
      y: {pixels: {layer: y_layer, y_strip: y_strip}, value: y_adc, sparse: false}""",
    ("npz", "dense"): "images: {x: {dense: x, sparse: true}, y: {dense: y, sparse: true}}",
    ("npz", "counts"): """images:
      x: {pixels: {layer: x_layer, x_strip: x_strip}, value: x_adc, counts: x_n}
      y: {pixels: {layer: y_layer, y_strip: y_strip}, value: y_adc, counts: y_n}""",
    ("root", "dense"): "images: {x: {dense: x}, y: {dense: y}}",
    ("root", "lists"): """images:
      x: {pixels: {layer: x_layer, x_strip: x_strip}, value: x_adc}
      y: {pixels: {layer: y_layer, y_strip: y_strip}, value: y_adc}""",
    ("root", "event"): """tree: events
    images:
      x: &hits
        pixels: {layer: hits/layer, x_strip: hits/strip}
        value: hits/adc
        event: hits/event
        where: {hits/view: 0}
      y: {<<: *hits, pixels: {layer: hits/layer, y_strip: hits/strip}, where: {hits/view: 1}}""",
    ("parquet", "dense"): "images: {x: {dense: x}, y: {dense: y}}",
    ("parquet", "lists"): """images:
      x: {pixels: {layer: x_layer, x_strip: x_strip}, value: x_adc}
      y: {pixels: {layer: y_layer, y_strip: y_strip}, value: y_adc}""",
}
SUFFIX = {"hdf5": ".h5", "npz": ".npz", "root": ".root", "parquet": ".parquet"}


class Toy:
    """Toy events: dense images and truth, and how to write them."""

    def __init__(self, n_events: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.truth = {
            "is_muon": rng.integers(0, 2, n_events).astype(np.int16),
            "energy_gev": rng.uniform(0, 2, n_events).astype(np.float32),
            "entry_px": rng.uniform(1, 4, n_events),
        }
        self.images = {}
        for name, n_strips in (("x", 5), ("y", 4)):
            strip = np.arange(n_strips) + 0.5
            width = np.where(self.truth["is_muon"] == 1, 1.6, 0.6)[:, None]
            bar = np.abs(strip - self.truth["entry_px"][:, None]) < width
            light = rng.poisson(
                60 * self.truth["energy_gev"][:, None, None] * bar[:, None], (n_events, 6, n_strips)
            )
            self.images[name] = light.clip(0, 255).astype(np.uint8)
        self.images["x"][1], self.images["y"][1] = 0, 0  # an event without a hit

    def hits(self, view: str) -> dict[str, NDArray[np.int64]]:
        event, layer, strip = np.nonzero(self.images[view])
        adc = self.images[view][event, layer, strip].astype(np.int64)
        pixel = layer * self.images[view].shape[2] + strip
        return {"event": event, "layer": layer, "strip": strip, "adc": adc, "pixel": pixel}

    def both(self) -> dict[str, NDArray[np.int64]]:
        found = [{**self.hits(view), "view": None} for view in ("x", "y")]
        for number, one in enumerate(found):
            one["view"] = np.full(len(one["event"]), number)
        joined = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
        order = np.argsort(joined["event"], kind="stable")
        return {name: values[order] for name, values in joined.items()}

    def lists(self, view: str) -> dict[str, list[NDArray[np.int64]]]:
        hits = self.hits(view)
        ends = np.searchsorted(hits["event"], np.arange(1, len(self.images[view])))
        names = {"layer": "layer", f"{view}_strip": "strip", "adc": "adc"}
        rename = {"layer": f"{view}_layer", f"{view}_strip": f"{view}_strip", "adc": f"{view}_adc"}
        return {rename[new]: np.split(hits[old], ends) for new, old in names.items()}

    def write(self, path: Path, kind: str, style: str, *, with_truth: bool = True) -> None:
        truth = dict(self.truth) if with_truth else {}
        WRITERS[kind](self, path, style, truth)


def write_hdf5(toy: Toy, path: Path, style: str, truth: Columns) -> None:
    import h5py

    columns: Columns = {name: values[:, None] for name, values in truth.items()}
    if style == "dense":
        columns |= {"images/x": toy.images["x"], "images/y": toy.images["y"].reshape(-1, 24)}
    elif style == "one":
        columns["both"] = np.stack([toy.images["x"], 0 * toy.images["x"]], axis=1)
        columns["other"] = np.stack([toy.images["y"], toy.images["y"]], axis=-1).transpose(0, 2, 1, 3)
    elif style == "event":
        hits = toy.both()
        columns["hits"] = np.rec.fromarrays(list(hits.values()), names=list(hits))
    elif style == "event_key":
        columns |= shuffled(toy)
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file[name] = values
        if style == "lists":
            for view in ("x", "y"):
                for name, rows in toy.lists(view).items():
                    node = file.create_dataset(name, len(rows), dtype=h5py.vlen_dtype(np.int32))
                    for number, row in enumerate(rows):
                        node[number] = row


def shuffled(toy: Toy) -> Columns:
    """Hits of each view in no order, their events named by a number that says nothing of the place."""
    rng = np.random.default_rng(3)
    columns: Columns = {"id": rng.permutation(len(toy.images["x"])) + 1000}
    for view in ("x", "y"):
        hits = toy.hits(view)
        order = rng.permutation(len(hits["event"]))
        columns[f"{view}/id"] = columns["id"][hits["event"]][order]
        columns |= {f"{view}/{name}": hits[name][order] for name in ("pixel", "adc")}
    return columns


def write_npz(toy: Toy, path: Path, style: str, truth: Columns) -> None:
    columns: Columns = dict(truth)
    for view in ("x", "y"):
        if style == "dense":
            columns[view] = toy.images[view].astype(np.float32)
        else:
            rows = toy.lists(view)
            columns[f"{view}_n"] = np.array([len(row) for row in next(iter(rows.values()))])
            columns |= {name: np.concatenate(row) for name, row in rows.items()}
    np.savez(path, **columns)


def write_root(toy: Toy, path: Path, style: str, truth: Columns) -> None:
    import awkward as ak
    import uproot

    columns: Columns = dict(truth)
    for view in ("x", "y"):
        if style == "dense":
            columns[view] = toy.images[view]
        elif style == "lists":
            columns |= {
                name: ak.Array([row.tolist() for row in rows]) for name, rows in toy.lists(view).items()
            }
    with uproot.recreate(path) as file:
        if style == "event" and not columns:
            columns["nothing"] = np.zeros(len(toy.images["x"]))
        file.mktree("events", {name: array_type(values) for name, values in columns.items()})
        file["events"].extend(columns)
        if style == "event":
            hits = {name: values.astype(np.int32) for name, values in toy.both().items()}
            file.mktree("hits", dict.fromkeys(hits, np.int32))
            file["hits"].extend(hits)


def array_type(values: Any) -> Any:
    import awkward as ak

    if isinstance(values, ak.Array):
        return "var * int64"
    return np.dtype((values.dtype, values.shape[1:])) if values.ndim > 1 else values.dtype


def write_parquet(toy: Toy, path: Path, style: str, truth: Columns) -> None:
    series = [pl.Series(name, values) for name, values in truth.items()]
    for view in ("x", "y"):
        if style == "dense":
            series.append(pl.Series(view, toy.images[view].reshape(len(toy.images[view]), -1).tolist()))
        else:
            series += [pl.Series(name, rows) for name, rows in toy.lists(view).items()]
    pl.DataFrame(series).write_parquet(path)


WRITERS = {"hdf5": write_hdf5, "npz": write_npz, "root": write_root, "parquet": write_parquet}


def description(kind: str, style: str, extra: str = "") -> str:
    return f"{HEAD}  - name: {style}\n    kind: {kind}\n    {FILES[kind, style]}\n{extra}"


@pytest.fixture(scope="session")
def make_toy() -> Callable[..., Toy]:
    """Make toy events: ``make_toy(n_events, seed)``."""
    return lambda n_events=40, seed=1: Toy(n_events, seed)


@pytest.fixture(scope="session")
def toy_yaml() -> Callable[..., str]:
    """Return the description of the toy in files of a kind and style: ``toy_yaml(kind, style)``."""
    return description


@pytest.fixture(params=list(FILES), ids="-".join)
def kind_and_style(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Every way in which a description maps onto files."""
    return request.param


@pytest.fixture
def toy_file(tmp_path: Path) -> Callable[..., Path]:
    """Write toy events to a file: ``toy_file(toy, kind, style)``."""

    def write(toy: Toy, kind: str, style: str, *, with_truth: bool = True, name: str = "toy") -> Path:
        path = tmp_path / f"{name}{SUFFIX[kind]}"
        toy.write(path, kind, style, with_truth=with_truth)
        return path

    return write
