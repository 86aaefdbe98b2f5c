from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from hitlens.detector import Description, Detector
from hitlens.detectors import DETECTORS, get_detector
from hitlens.detectors.cebr.response import SimulationConfig
from hitlens.errors import ConfigError, NotFoundError
from hitlens.io.native import open_native
from hitlens.workflow.data import read_events
from hitlens.workflow.simulation import (
    compare_simulation,
    describe_settings,
    get_simulator,
    simulate,
    simulate_to_file,
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
