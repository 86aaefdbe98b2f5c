"""Names of the public files: which are numbered, in what order, and what a folder stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from hitlens.detector import Layout
from hitlens.detectors.nova.files import LAYOUTS

PUBLIC: Layout = next(layout for layout in LAYOUTS if layout.name == "nova")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("neutrino1.h5", 1),
        ("neutrino200.h5", 200),
        ("neutrino007.h5", 7),
        ("neutrino.h5", None),
        ("neutrino1.hdf5", None),
        ("neutrino1-copy.h5", None),
        ("myneutrino1.h5", None),
        ("neutrino1xh5", None),
        ("neutrino-1.h5", None),
    ],
)
def test_number_in_a_name(name: str, number: int | None) -> None:
    assert PUBLIC.part_number(Path("somewhere") / name) == number


def test_name_of_a_number() -> None:
    assert PUBLIC.part_name(12) == "neutrino12.h5"
    assert PUBLIC.part_number(Path(PUBLIC.part_name(12))) == 12


def test_a_folder_s_files_in_order_of_numbers(tmp_path: Path) -> None:
    for name in ("neutrino10.h5", "neutrino9.h5", "neutrino2.h5", "neutrino2.h5.part", "other.h5"):
        (tmp_path / name).touch()
    assert [path.name for path in PUBLIC.parts_in(tmp_path)] == [
        "neutrino2.h5",
        "neutrino9.h5",
        "neutrino10.h5",
    ]
    assert PUBLIC.recognises(tmp_path)
    assert PUBLIC.parts_in(tmp_path / "neutrino2.h5") == []


def test_a_layout_without_numbers_has_no_parts(tmp_path: Path) -> None:
    from hitlens.detectors.cebr.files import LAYOUTS as CEBR

    assert all(layout.part_number(tmp_path / "neutrino1.h5") is None for layout in CEBR)
    assert all(layout.parts_in(tmp_path) == [] for layout in CEBR)


def test_an_empty_folder_is_none_of_ours(tmp_path: Path) -> None:
    assert not PUBLIC.recognises(tmp_path)
    assert not PUBLIC.recognises(tmp_path / "missing")
