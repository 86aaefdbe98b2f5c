"""A wrong description gets one error that names the key, its line and the nearest right name."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from hitlens.datasets.regions import Region
from hitlens.detectors import read_detector
from hitlens.errors import ConfigError

#: What is written in place of what, and what must be said, in the description of npz files with counts.
WRONG = {
    "unknown key": (
        "title:",
        "titel:",
        "toy.yaml, line 3: titel: 'titel' is not a key here. Did you mean 'title'",
    ),
    "unknown key of a view": (
        "unit: photons, dtype: uint8}\ntruth",
        "units: photons}\ntruth",
        "line 6: views[y].units: 'units' is not a key here. Did you mean 'unit'?",
    ),
    "unknown key of an image": (
        "counts: x_n",
        "count: x_n",
        "line 29: files[counts].images.x.count: 'count' is not a key here. Did you mean 'counts'?",
    ),
    "unknown key of an effect": (
        "offset: 5",
        "ofset: 5",
        "symmetries[flip_x].truth.entry_px.ofset: 'ofset' is not a key here. Did you mean 'offset'?",
    ),
    "key given twice": (
        "title:",
        "name:",
        "line 3: 'name' is given twice",
    ),
    "key missing": (
        "title: Two views of a bar of light\n",
        "",
        "title: this key is missing",
    ),
    "wrong type of a value": (
        "shape: [6, 5]",
        "shape: [6, five]",
        "line 5: views[x].shape[1]: Input should be a valid integer",
    ),
    "a word that YAML reads as no": (
        "class_names: [pion, muon]",
        "class_names: [no, yes]",
        "Put it in quotes if it is a word",
    ),
    "unknown type": (
        "dtype: uint8}\n  - {name: y",
        "dtype: uint9}\n  - {name: y",
        "line 5: views[x].dtype: Input should be 'uint8', 'uint16'",
    ),
    "unknown kind of file": (
        "kind: npz",
        "kind: fits",
        "line 27: files[counts].kind: Input should be 'hdf5', 'npz', 'root',",
    ),
    "two views of one name": (
        "name: y, shape",
        "name: x, shape",
        "line 6: views[x].name: two views are called 'x'",
    ),
    "two columns of one name": (
        "name: energy_gev,",
        "name: is_muon,",
        "two truth are called 'is_muon'",
    ),
    "a view with too few axes": (
        "axes: [layer, y_strip]",
        "axes: [layer]",
        "line 6: views[y].axes: must have one entry for each of the 2 axes. Got 1",
    ),
    "a view with a pitch of nothing": (
        "pitch_mm: [10, 4], unit: photons, dtype: uint8}\ntruth",
        "pitch_mm: [10, 0], unit: photons}\ntruth",
        "views[y].pitch_mm: must be lengths above 0, mm; leave it out",
    ),
    "a view with too few pitches": (
        "pitch_mm: [10, 4], unit: photons, dtype: uint8}\ntruth",
        "pitch_mm: [10], unit: photons}\ntruth",
        "views[y].pitch_mm: must have one entry",
    ),
    "a view of four axes": (
        "shape: [6, 4]",
        "shape: [1, 1, 6, 4]",
        "views[y].shape: must be two or three numbers",
    ),
    "two axes of one name": (
        "axes: [layer, y_strip]",
        "axes: [layer, layer]",
        "views[y].axes: two axes of a view have one name",
    ),
    "a view that is no word": (
        "name: y, shape",
        "name: side view, shape",
        "a view's name must be one word",
    ),
    "a symmetry of an unknown axis": (
        "flips: [y_strip]",
        "flips: [ystrip]",
        "line 14: symmetries[flip_y].flips[0]: no view has an axis 'ystrip'. Did you mean 'y_strip'?",
    ),
    "a symmetry that does nothing": (
        "{name: flip_y, flips: [y_strip]}",
        "{name: flip_y}",
        "symmetries[flip_y]: changes nothing",
    ),
    "a transposition of an oblong view": (
        "flips: [y_strip]",
        "transpose: true",
        "symmetries[flip_y].transpose: needs square images; view 'x' is [6, 5]",
    ),
    "a symmetry of an unknown column": (
        "truth: {entry_px: {source",
        "truth: {entri_px: {source",
        "symmetries[flip_x].truth.entri_px: there is no truth column 'entri_px'. Did you mean 'entry_px'?",
    ),
    "a symmetry from an unknown column": (
        "source: entry_px",
        "source: entry",
        "truth.entry_px.source: there is no truth column 'entry'. Did you mean 'entry_px'?",
    ),
    "a symmetry without its effect": (
        ", truth: {entry_px: {source: entry_px, scale: -1, offset: 5}}",
        "",
        "line 13: symmetries[flip_x].truth: symmetry 'flip_x' flips 'x_strip' but leaves "
        "the position 'entry_px' where it was. Add entry_px: {source: entry_px, scale: "
        "-1, offset: 5}.",
    ),
    "a length without its axis": (
        ", axis: x_strip}",
        "}",
        "line 10: truth[entry_px].axis: a task predicts 'entry_px' in px, and there are "
        "symmetries: say along which axis it is a position (layer, x_strip, y_strip), or "
        "'none'",
    ),
    "a position along an unknown axis": (
        "axis: x_strip}",
        "axis: x_stripe}",
        "truth[entry_px].axis: no view has an axis 'x_stripe'. Did you mean 'x_strip'?",
    ),
    "a task with an unknown column": (
        "columns: [energy_gev]",
        "columns: [energy_mev]",
        "line 17: tasks[energy].columns[0]: there is no truth column 'energy_mev'. Did "
        "you mean 'energy_gev'?",
    ),
    "a task with an unknown target": (
        "target: is_muon = 1",
        "target: is_mion = 1",
        "line 16: tasks[particle].target: there is no truth column 'is_mion'. Did you mean 'is_muon'?",
    ),
    "a target that is no SQL": (
        "target: is_muon = 1",
        "target: is_muon ==== 1",
        "tasks[particle].target: 'is_muon ==== 1' cannot be read as SQL",
    ),
    "a task with an unknown head": (
        "heads: [particle, energy, entry]",
        "heads: [partcle, energy]",
        "tasks[joint].heads[0]: there is no task 'partcle'. Did you mean 'particle'?",
    ),
    "a task with too many units": (
        "units: [GeV]}",
        "units: [GeV, GeV]}",
        "tasks[energy].units: must be one a column: 1. Got 2",
    ),
    "a task that lacks a part": (
        ", units: [px]",
        "",
        "tasks[entry]: a regression task must give units",
    ),
    "a derived column of an unknown one": (
        "expression: 2 * energy_gev",
        "expression: 2 * energy",
        "line 11: truth[double_gev].expression: there is no truth column 'energy'. Did "
        "you mean 'energy_gev'?",
    ),
    "a slice in an unknown column": (
        "expression: seen_hits",
        "expression: hits",
        "slices[hits].expression: there is no truth column 'hits'. Did you mean 'seen_hits'?",
    ),
    "a slice without range": (
        "edges: [0, 1, 2]",
        "edges: [0, 2, 1]",
        "slices[energy].edges: must ascend, two at least",
    ),
    "a slice with too few labels": (
        "edges: [0, 1, 2]",
        "edges: [0, 1, 2], labels: [low]",
        "slices[energy].labels: must be one a bin: 2. Got 1",
    ),
    "a law of an unknown column": (
        "kind: uniform, expression: energy_gev",
        "kind: uniform, expression: energie_gev",
        "laws[energies].expression: there is no truth column 'energie_gev'. Did you mean 'energy_gev'?",
    ),
    "files without a view": (
        "      y: {pixels",
        "      z: {pixels",
        "files[counts].images.z: there is no view 'z'",
    ),
    "files that lack a view": (
        "      y: {pixels: {layer: y_layer, y_strip: y_strip}, value: y_adc, counts: y_n}",
        "",
        "files[counts].images: view 'y' is missing",
    ),
    "hits without an axis": (
        "{layer: x_layer, x_strip: x_strip}",
        "{layer: x_layer}",
        "files[counts].images.x.pixels: axis 'x_strip' is missing",
    ),
    "hits along an unknown axis": (
        "{layer: x_layer, x_strip: x_strip}",
        "{layer: x_layer, strip: x_strip}",
        "images.x.pixels.strip: there is no axis of the view 'strip'. Did you mean 'x_strip'?",
    ),
    "images of two styles": (
        "{pixels: {layer: x_layer, x_strip: x_strip}, value",
        "{dense: x, pixels: {layer: x_layer}, value",
        "images.x: give either 'dense' (images in full) or 'pixels'",
    ),
    "images in full with hits' keys": (
        "{pixels: {layer: x_layer, x_strip: x_strip}, value: x_adc, counts: x_n}",
        "{dense: x, value: x_adc}",
        "'value' has no meaning for dense images",
    ),
    "images in an order of other axes": (
        "{pixels: {layer: x_layer, x_strip: x_strip}, value: x_adc, counts: x_n}",
        "{dense: x, axes: [layer, y_strip]}",
        "images.x.axes: must be the axes of the view, ['layer', 'x_strip']",
    ),
    "two ways to tell the event": (
        "counts: x_n",
        "counts: x_n, event: e",
        "give 'event' or 'counts', not both",
    ),
    "a key of events without their numbers": (
        "counts: x_n",
        "event_key: e",
        "'event_key' needs 'event'",
    ),
    "a name with spaces": (
        "name: toy\n",
        "name: my toy\n",
        "line 2: name: String should match pattern",
    ),
    "a column that is taken": (
        "{name: is_muon, meaning: 1 for a muon}",
        "{name: event, meaning: 1 for a muon}",
        "truth[event].role: without a key, 'event' says where an event stands in its file",
    ),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_one_error_names_the_key(case: str, toy_yaml: Callable[..., str]) -> None:
    old, new, said = WRONG[case]
    text = toy_yaml("npz", "counts")
    assert old in text
    with pytest.raises(ConfigError) as raised:
        read_detector(text.replace(old, new, 1), "toy.yaml")
    assert said in str(raised.value)
    assert str(raised.value).startswith("toy.yaml")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("    truth: {energi_gev: E}\n", "line 31: files[counts].truth.energi_gev: there is no truth column"),
        (
            "    truth: {double_gev: E}\n",
            "files[counts].truth.double_gev: there is no truth column 'double_gev'",
        ),
        (
            "    optional: [entry]\n",
            "files[counts].optional[0]: there is no truth column 'entry'. Did you mean 'entry_px'",
        ),
    ],
)
def test_truth_of_files_must_be_described(extra: str, said: str, toy_yaml: Callable[..., str]) -> None:
    with pytest.raises(ConfigError) as raised:
        read_detector(toy_yaml("npz", "counts", extra), "toy.yaml")
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: [1", "toy.yaml, line 2: this is not valid YAML: expected"),
        ("a: 1\n\tb: 2", "toy.yaml, line 2: this is not valid YAML: found character"),
        ("a: *hits", "toy.yaml, line 1: this is not valid YAML: found undefined alias"),
        ("- 1\n- 2\n", "toy.yaml must describe a detector by keys. Got list."),
        ("just a word", "toy.yaml must describe a detector by keys. Got str."),
        ("", "toy.yaml must describe a detector by keys. Got NoneType."),
        ("name: a\ntitle: b\ntasks: []\nviews: x", "line 4: views: Input should be a list. Got 'x'."),
    ],
)
def test_what_is_no_mapping_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_detector(text, "toy.yaml")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_view_needs_no_pitch(toy_yaml: Callable[..., str]) -> None:
    text = toy_yaml("npz", "dense")
    without = re.sub(r"pitch_mm: \[[^]]*\], ", "", text)
    assert without != text
    detector = read_detector(without, "toy.yaml")
    assert {view.pitch_mm for view in detector.views} == {()}
    region = Region(crop=(detector.views[0].shape[0], detector.views[0].shape[1]), pool=(1, 1))
    assert region.view(detector.views[0]).pitch_mm == ()


@pytest.mark.parametrize(
    ("side", "refused"),
    [
        ("target: entry_px > 2", True),
        ("target: is_muon = 1, selection: half_px < 1", True),
        ("target: is_muon = 1, selection: energy_gev < 1", False),
    ],
)
def test_a_flip_moves_positions_that_classes_are_made_of(
    side: str, refused: bool, toy_yaml: Callable[..., str]
) -> None:
    """Also where no task predicts them, and through a derived column."""
    half = "  - {name: half_px, meaning: h, unit: px, axis: x_strip, expression: entry_px / 2}"
    text = toy_yaml("npz", "counts").replace("symmetries:", f"{half}\nsymmetries:")
    old = "kind: regression, meaning: entry, columns: [entry_px], units: [px]"
    assert old in text
    stated = text.replace(old, f"kind: binary, meaning: s, class_names: [a, b], {side}")
    assert read_detector(stated, "toy.yaml").symmetries[0].truth["entry_px"].offset == 5
    silent = stated.replace(", truth: {entry_px: {source: entry_px, scale: -1, offset: 5}}", "")
    if not refused:
        assert not read_detector(silent, "toy.yaml").symmetries[0].truth
        return
    with pytest.raises(ConfigError, match="'flip_x' flips 'x_strip' but leaves the position 'entry_px'"):
        read_detector(silent, "toy.yaml")
