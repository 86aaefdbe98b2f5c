from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from hitlens.detector import Description, Detector
from hitlens.detectors import DETECTORS, get_detector
from hitlens.detectors.cebr.response import SimulationConfig
from hitlens.errors import ConfigError, NotFoundError
from hitlens.io.native import is_native, open_native
from hitlens.workflow.data import read_events
from hitlens.workflow.simulation import (
    SIMULATION_RECORD,
    compare_simulation,
    describe_settings,
    get_simulator,
    numbered_layout,
    simulate,
    simulate_output,
    simulate_to_file,
    simulate_to_files,
)


def test_settings_from_file_model_and_text_agree(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("sample: {single_fraction: 1.0}\nnuisance:\n  width_scale: 1.2\n")
    model = SimulationConfig.model_validate(yaml.safe_load(path.read_text()))
    texts = ["sample.single_fraction=1.0", "nuisance.width_scale=1.2"]
    first, *others = (
        simulate("cebr", 50, 2, config=path),
        simulate("cebr", 50, 2, config=model),
        simulate("cebr", 50, 2, settings=texts),
    )
    for other in others:
        np.testing.assert_array_equal(first.dense("anode"), other.dense("anode"))
    assert (first.truth["n_electrons"] == 1).all()


def test_text_changes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("sample: {single_fraction: 1.0}")
    events = simulate("cebr", 20, config=path, settings=["sample.single_fraction=0"])
    assert (events.truth["n_electrons"] == 2).all()


@pytest.mark.parametrize("name", ["a.h5", "a.txt", "a.txt.gz"])
def test_file_holds_the_same_events(tmp_path: Path, name: str) -> None:
    made = simulate_to_file(tmp_path / name, "cebr", 300, seed=4, workers=2)
    assert (made.n_events, made.path) == (300, tmp_path / name)
    assert made.events_per_second > 0
    back, events = read_events(made.path), simulate("cebr", 300, seed=4)
    np.testing.assert_array_equal(back.dense("anode"), events.dense("anode"))
    np.testing.assert_allclose(
        back.truth["energy_1_mev"].to_numpy(), events.truth["energy_1_mev"].to_numpy(), rtol=1e-5
    )
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.h5", "a.txt", "a.txt.gz"])
def test_files_are_the_same_whatever_the_number_of_workers(tmp_path: Path, name: str) -> None:
    paths = [tmp_path / str(workers) / name for workers in (1, 3)]
    for workers, path in zip((1, 3), paths, strict=True):
        path.parent.mkdir()
        simulate_to_file(path, "cebr", 9000, workers=workers)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_native_file_says_how_it_was_made(tmp_path: Path) -> None:
    simulate_to_file(tmp_path / "a.h5", "cebr", 10, seed=9, settings=["nuisance.width_scale=1.1"])
    with open_native(tmp_path / "a.h5") as file:
        assert file.provenance["seed"] == 9
        assert file.provenance["settings"]["nuisance"]["width_scale"] == 1.1


def test_progress_counts_all_events() -> None:
    seen: list[int] = []
    simulate("cebr", 5000, progress=seen.append)
    assert sum(seen) == 5000
    assert len(seen) > 1


def test_an_existing_file_stays_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="--force"):
        simulate_to_file(path, "cebr", 5)
    assert path.read_text() == "mine"
    simulate_to_file(path, "cebr", 5, force=True)
    assert len(path.read_text().splitlines()) == 5


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="65535"):
        simulate_to_file(tmp_path / "a.h5", "cebr", 9000, settings=["nuisance.light_yield_scale=40"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_events": 0}, "n_events must be at least 1"),
        ({"n_events": -3}, "n_events must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"settings": ["nuisance.widht_scale=1"]}, "Did you mean 'width_scale'"),
        ({"settings": ["width_scale"]}, "key=value"),
        ({"settings": ["nuisance.width_scale=wide"]}, "nuisance.width_scale"),
        ({"config": Description()}, "SimulationConfig"),
        ({"config": SimulationConfig.model_validate({}), "settings": ["a=1"]}, "not in both"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        simulate(**({"detector": "cebr", "n_events": 5} | arguments))  # type: ignore[arg-type]


def test_unknown_suffix_and_missing_settings_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.h5"):
        simulate_to_file(tmp_path / "a.root", "cebr", 5)
    with pytest.raises(NotFoundError, match=r"none\.yaml"):
        simulate("cebr", 5, config=tmp_path / "none.yaml")


def test_detector_without_a_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = Detector(name="bare", title="", views=get_detector("cebr").views, truth=(), tasks=())
    monkeypatch.setitem(DETECTORS, "bare", bare)
    with pytest.raises(NotFoundError, match="no simulator"):
        get_simulator("bare")


def test_described_settings_make_the_same_events(tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(describe_settings("cebr", settings=["electron.yield_spread=0.05"]))
    np.testing.assert_array_equal(
        simulate("cebr", 30, config=path).dense("anode"),
        simulate("cebr", 30, settings=["electron.yield_spread=0.05"]).dense("anode"),
    )


def test_comparison_page(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    comparison = compare_simulation(page, "cebr", 4000)
    assert comparison.n_events == 4000
    assert "mean image, corner" in page.read_text()
    with pytest.raises(ConfigError, match="--force"):
        compare_simulation(page, "cebr", 4000)


def test_numbered_files_hold_the_sample(tmp_path: Path) -> None:
    folder = tmp_path / "DIR"
    seen: list[int] = []
    made = simulate_to_files(folder, "nova", 11, 3, seed=4, workers=2, progress=seen.append)
    assert [(file.path.name, file.n_events) for file in made] == [
        ("neutrino1.h5", 4),
        ("neutrino2.h5", 4),
        ("neutrino3.h5", 3),
    ]
    assert sum(seen) == 11
    together, events = read_events(folder), simulate("nova", 11, seed=4)
    assert together.truth.drop("file").equals(events.truth.drop("file"))
    for view in ("x", "y"):
        assert (together.images[view] != events.images[view]).nnz == 0
    key = list(get_detector("nova").key)
    assert not together.truth.select(key).is_duplicated().any()
    record = json.loads((folder / SIMULATION_RECORD).read_text())
    assert (record["seed"], record["n_events"], record["n_files"]) == (4, 11, 3)
    assert "nuisance" in record["settings"]
    assert [path.name for path in tmp_path.iterdir()] == ["DIR"]


def test_an_event_key_is_unique_over_blocks() -> None:
    """More events than the simulator makes at once."""
    truth = simulate("nova", 1100, seed=2).truth
    assert not truth.select(get_detector("nova").key).is_duplicated().any()


def test_numbered_files_are_the_same_whatever_the_number_of_workers(tmp_path: Path) -> None:
    for workers in (1, 3):
        simulate_to_files(tmp_path / str(workers), "nova", 1100, 2, workers=workers)
    for name in ("neutrino1.h5", "neutrino2.h5", SIMULATION_RECORD):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


def test_numbered_files_that_exist_are_replaced_as_a_whole(tmp_path: Path) -> None:
    simulate_to_files(tmp_path, "nova", 6, 3)
    (tmp_path / "notes.txt").write_text("mine")
    before = (tmp_path / "neutrino1.h5").read_bytes()
    with pytest.raises(ConfigError, match=r"holds 3 files such as neutrino1\.h5.*--force"):
        simulate_to_files(tmp_path, "nova", 4, 2, seed=5)
    assert (tmp_path / "neutrino1.h5").read_bytes() == before
    simulate_to_files(tmp_path, "nova", 4, 2, seed=5, force=True)
    names = ["neutrino1.h5", "neutrino2.h5", "notes.txt", SIMULATION_RECORD]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert read_events(tmp_path).truth["run"].unique().to_list() == [10_005]


def test_numbered_files_come_all_or_none(tmp_path: Path) -> None:
    simulate_to_files(tmp_path / "there", "nova", 4, 2)
    before = (tmp_path / "there" / "neutrino1.h5").read_bytes()

    def stop(n_events: int) -> None:
        raise KeyboardInterrupt

    for name in ("new", "there"):
        with pytest.raises(KeyboardInterrupt):
            simulate_to_files(tmp_path / name, "nova", 1200, 2, seed=5, progress=stop, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there" / "neutrino1.h5").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "n_files", "written"),
    [
        ("a.h5", None, ["a.h5"]),
        ("neutrino5.h5", None, ["neutrino5.h5"]),
        ("folder", None, ["folder/neutrino1.h5"]),
        ("folder.v2", 2, ["folder.v2/neutrino1.h5", "folder.v2/neutrino2.h5"]),
    ],
)
def test_one_file_or_a_folder(name: str, n_files: int | None, written: list[str], tmp_path: Path) -> None:
    made = simulate_output(tmp_path / name, "nova", 4, n_files=n_files)
    assert [str(file.path.relative_to(tmp_path)) for file in made] == written
    assert is_native(made[0].path) == (name == "a.h5")
    assert len(read_events(tmp_path / name)) == 4


@pytest.mark.parametrize(
    ("name", "detector", "n_files", "message"),
    [
        ("a.h5", "nova", 2, "name of one file; 2 files need the name of a folder"),
        ("a", "cebr", 2, "'cebr' has no layout of numbered files"),
        ("a", "nova", 5, "from 1 to that of the events. Got 5"),
        ("there", "nova", 2, "is a file"),
    ],
)
def test_numbered_files_that_cannot_be(
    name: str, detector: str, n_files: int, message: str, tmp_path: Path
) -> None:
    (tmp_path / "there").write_text("")
    with pytest.raises(ConfigError, match=message):
        simulate_output(tmp_path / name, detector, 4, n_files=n_files)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_folder_name_stays_arrays_for_a_detector_without_numbered_files(tmp_path: Path) -> None:
    (made,) = simulate_output(tmp_path / "arrays", "cebr", 4)
    assert (made.path / "images.npy").is_file()
    with pytest.raises(ConfigError, match="numbered files"):
        numbered_layout("cebr")
