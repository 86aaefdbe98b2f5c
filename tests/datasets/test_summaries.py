"""Summary numbers against a plain loop over the pixels of each image."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from hitlens.datasets.summaries import SEEN, count_seen, summarise, summary_names
from hitlens.detector import Detector, View
from hitlens.errors import DataError
from hitlens.events import Events


def demo(*shapes: tuple[int, ...]) -> Detector:
    views = tuple(
        View(
            name=f"v{number}",
            shape=shape,
            axes=("plane", "cell", "depth")[: len(shape)],
            pitch_mm=(1.0,) * len(shape),
            unit="counts",
        )
        for number, shape in enumerate(shapes)
    )
    return Detector(name="demo", title="", views=views, truth=(), tasks=())


def make(detector: Detector, n_events: int, seed: int = 1, density: float = 0.1) -> Events:
    rng = np.random.default_rng(seed)
    images = {}
    for view in detector.views:
        values = rng.integers(1, 255, (n_events, *view.shape))
        images[view.name] = np.where(rng.random(values.shape) < density, values, 0).astype(np.uint8)
    return Events(images, pl.DataFrame({"event": np.arange(n_events)}), detector.name)


def flat(events: Events) -> Events:
    """The same events with sparse views."""
    images = {name: sparse.csr_array(array.reshape(len(array), -1)) for name, array in events.images.items()}
    return Events(images, events.truth, events.detector)


def longest(rows: list[int]) -> tuple[int, list[int]]:
    """Longest run of ascending rows with gaps of at most one, and its rows."""
    best: list[int] = []
    run: list[int] = []
    for row in rows:
        run = [*run, row] if run and row - run[-1] <= 2 else [row]
        if run[-1] - run[0] > (best[-1] - best[0] if best else -1):
            best = run
    return (best[-1] - best[0] + 1 if best else 0), best


def reference(image: np.ndarray) -> dict[str, float]:
    """The numbers of one view of one event, step by step."""
    at, values = np.argwhere(image), image[image != 0].astype(float)
    by_row = image.reshape(len(image), -1).sum(1).astype(float)
    hits = (image.reshape(len(image), -1) != 0).sum(1)
    rows = np.flatnonzero(hits).tolist()
    charge = values.sum()
    found = {"hits": len(values), "charge": charge, "occupied_rows": len(rows)}
    found["longest_track"], run = longest(rows)
    found["longest_thin_track"] = longest([row for row in rows if hits[row] <= 2])[0]
    if not rows:
        return found
    found |= {"mean_charge": values.mean(), "max_charge": values.max(), "hits_per_row": hits[rows].mean()}
    found["track_charge"] = by_row[run].sum() / found["longest_track"]
    middle, third = np.arange(len(image)) + 0.5 - rows[0], (rows[-1] - rows[0] + 1) / 3
    found["early_charge"] = by_row[middle < third].sum() / charge
    found["late_charge"] = by_row[middle > 2 * third].sum() / charge
    found |= {"densest_row": by_row.max() / charge, "densest_pixel": values.max() / charge}
    for axis, name in enumerate(("plane", "cell", "depth")[: image.ndim]):
        where = at[:, axis]
        mean = np.average(where, weights=values)
        found |= {f"{name}_first": where.min(), f"{name}_last": where.max()}
        found[f"{name}_extent"] = np.ptp(where) + 1
        found |= {
            f"{name}_mean": mean,
            f"{name}_rms": np.sqrt(np.average((where - mean) ** 2, weights=values)),
        }
    return found


@pytest.mark.parametrize("shapes", [((12, 9), (7, 5)), ((6, 4, 5),)])
@pytest.mark.parametrize("density", [0.02, 0.3])
def test_every_number_agrees_with_a_loop_over_pixels(shapes: tuple, density: float) -> None:
    detector = demo(*shapes)
    events = make(detector, 40, density=density)
    found = summarise(events, detector)
    assert found.columns == [name for view in detector.views for name in summary_names(view)] + list(SEEN)
    for view in detector.views:
        for number, image in enumerate(events.images[view.name]):
            expected = reference(image)
            for name in summary_names(view):
                value = expected.get(name.removeprefix(f"{view.name}_"), np.nan)
                assert found[name][number] == pytest.approx(value, rel=1e-5, nan_ok=True), (number, name)


def test_dense_and_sparse_images_and_explicit_zeros_give_the_same() -> None:
    detector = demo((12, 9), (7, 5))
    events = make(detector, 30)
    sparsely = flat(events)
    assert summarise(events, detector).equals(summarise(sparsely, detector))
    assert count_seen(events).equals(count_seen(sparsely))
    view = sparse.csr_array(events.images["v0"].reshape(30, -1))
    coords = np.r_[view.tocoo().row, 3], np.r_[view.tocoo().col, 0]
    explicit = sparse.csr_array((np.r_[view.data, 0], coords), shape=view.shape)
    images = {"v0": explicit, "v1": sparsely.images["v1"]}
    assert summarise(Events(images, events.truth, "demo"), detector).equals(summarise(events, detector))


def test_the_order_of_events_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = demo((12, 9), (7, 5))
    events = flat(make(detector, 50))
    order = np.random.default_rng(3).permutation(50)
    found = summarise(events, detector)
    assert summarise(events.select(order), detector).equals(found[order])
    monkeypatch.setattr("hitlens.datasets.summaries._BLOCK", 7)
    assert summarise(events, detector).equals(found)
    assert count_seen(events)["seen_hits"].to_list() == found["seen_hits"].to_list()


def test_a_blank_image_has_counts_but_no_means() -> None:
    detector = demo((4, 4), (4, 4))
    events = Events(
        {"v0": np.zeros((1, 4, 4)), "v1": np.ones((1, 4, 4))}, pl.DataFrame({"event": [0]}), "demo"
    )
    found = summarise(events, detector).row(0, named=True)
    assert found["v0_hits"] == found["v0_longest_track"] == found["v0_occupied_rows"] == 0
    assert np.isnan(found["v0_mean_charge"])
    assert np.isnan(found["v0_cell_rms"])
    assert found["seen_hits"] == found["seen_charge"] == 16


def test_a_track_goes_over_one_empty_row_but_not_over_two() -> None:
    image = np.zeros((1, 12, 3))
    image[0, [0, 2, 4, 7, 8, 9], 1] = [1, 1, 1, 5, 5, 5]
    detector = demo((12, 3))
    found = summarise(Events({"v0": image}, pl.DataFrame({"event": [0]}), "demo"), detector)
    assert found["v0_longest_track"][0] == 5
    assert found["v0_track_charge"][0] == pytest.approx(3 / 5)


def test_no_events_have_a_summary_too() -> None:
    detector = demo((4, 4))
    empty = Events({"v0": np.zeros((0, 4, 4))}, pl.DataFrame({"event": []}), "demo")
    assert summarise(empty, detector).shape == (0, len(summary_names(detector.views[0])) + 2)
    assert count_seen(empty).shape == (0, 2)


def test_images_of_another_shape_are_refused() -> None:
    events = make(demo((4, 4)), 3)
    with pytest.raises(DataError, match=r"must have shape \(5, 4\)"):
        summarise(events, demo((5, 4)))
    with pytest.raises(DataError, match="'v1' is missing"):
        summarise(events, demo((4, 4), (4, 4)))
