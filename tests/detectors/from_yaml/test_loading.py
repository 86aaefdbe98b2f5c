"""From a YAML file to a detector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hitlens.detectors import get_detector, is_description, load_detector, read_detector
from hitlens.errors import ConfigError, NotFoundError


def test_a_detector_is_named_by_its_file(toy_yaml: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "toy.yml"
    path.write_text(toy_yaml("npz", "dense"))
    detector = get_detector(str(path))
    assert detector == load_detector(path).model_copy(update={"layouts": detector.layouts})
    assert detector.name == "toy"
    assert detector.yaml == path.read_text()
    assert get_detector(detector) is detector
    assert detector.task("entry").columns == ("entry_px",)
    assert detector.symmetries[0].truth["entry_px"].offset == 5
    assert detector.unit("energy_gev") == "GeV"


def test_an_event_has_a_file_and_a_place_in_it(toy_yaml: Callable[..., str]) -> None:
    detector = read_detector(toy_yaml("npz", "dense"), "toy.yaml")
    assert detector.key == detector.labels == ("file", "event")
    assert [column.name for column in detector.truth][:3] == ["file", "event", "is_muon"]


def test_a_layout_says_what_it_reads(toy_yaml: Callable[..., str]) -> None:
    layout = read_detector(toy_yaml("root", "lists"), "toy.yaml").layouts[0]
    assert (layout.name, layout.suffixes, layout.open_writer) == ("lists", (".root",), None)
    assert layout.meaning == "root files as toy.yaml describes them"


def test_a_missing_file_is_named() -> None:
    with pytest.raises(NotFoundError, match=r"No file 'no_such.yaml' to describe a detector"):
        get_detector("no_such.yaml")


def test_a_name_that_is_taken_is_refused(toy_yaml: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(toy_yaml("npz", "dense").replace("name: toy", "name: nova"))
    with pytest.raises(ConfigError, match=r"toy.yaml: name: 'nova' is a detector of hitlens"):
        get_detector(str(path))


def test_an_unknown_name_says_that_yaml_is_possible() -> None:
    with pytest.raises(NotFoundError, match="by the path of the YAML file"):
        get_detector("my_detector")
    assert not is_description("my_detector")
