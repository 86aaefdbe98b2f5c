"""The data report of samples whose flaws are known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from hitlens.datasets.duplicates import find_duplicates
from hitlens.datasets.inspection import inspect_events
from hitlens.detector import ReadReport
from hitlens.detectors import get_detector
from hitlens.errors import DataError
from hitlens.events import Events

CEBR = get_detector("cebr")


def blocks(events, size):
    return (events.select(slice(start, start + size)) for start in range(0, len(events), size))


def with_images(events, change):
    images = events.images["anode"].copy()
    change(images)
    return Events({"anode": images}, events.truth, "cebr")


def test_a_faithful_sample_gets_no_warning(make_cebr):
    report = inspect_events(blocks(make_cebr(3000), 700), CEBR, sources=["a.txt"])
    assert report.warnings == ()
    assert (report.n_events, report.n_blank, report.n_image_copies, report.n_key_copies) == (3000, 0, 0, 0)
    assert report.sources == ("a.txt",)
    assert {law.verdict for law in report.laws} == {"agrees"}
    assert report.missing_columns == ()


def test_block_size_does_not_matter(make_cebr):
    events = make_cebr(500)
    one, many = inspect_events([events], CEBR), inspect_events(blocks(events, 33), CEBR)
    assert [law.p_value for law in one.laws] == [law.p_value for law in many.laws]
    assert one.balances == many.balances
    np.testing.assert_allclose(one.views[0].mean_image, many.views[0].mean_image)
    assert [(c.name, c.minimum, c.maximum, c.n_known) for c in one.columns] == [
        (c.name, c.minimum, c.maximum, c.n_known) for c in many.columns
    ]


def test_sparse_and_dense_give_the_same(make_cebr):
    events = make_cebr(200)
    flat = Events({"anode": sparse.csr_array(events.images["anode"].reshape(200, -1))}, events.truth, "cebr")
    dense, thin = inspect_events([events], CEBR), inspect_events([flat], CEBR)
    np.testing.assert_allclose(dense.views[0].mean_image, thin.views[0].mean_image)
    assert dense.sum_spectra["all"].counts.tolist() == thin.sum_spectra["all"].counts.tolist()
    assert dense.views[0].orientations == thin.views[0].orientations


def test_counts_balance_and_spectra(make_cebr):
    events = make_cebr(400)
    report = inspect_events(blocks(events, 100), CEBR)
    n_double = int((events.truth["n_electrons"] == 2).sum())
    (balance,) = report.balances
    assert (balance.task, balance.classes) == ("multiplicity", ("single", "double"))
    assert balance.counts == (400 - n_double, n_double)
    assert balance.fractions[1].contains(n_double / 400)
    counted = {name: histogram.n_values for name, histogram in report.sum_spectra.items()}
    assert counted == {"all": 400, "single": 400 - n_double, "double": n_double}


def test_columns_in_the_order_of_the_description(make_cebr):
    report = inspect_events([make_cebr(100)], CEBR)
    columns = {column.name: column for column in report.columns}
    assert list(columns) == [column.name for column in CEBR.truth]
    assert columns["file"].n_distinct == 1
    assert columns["energy_1_mev"].unit == "MeV"
    assert columns["x_2_px"].n_missing == report.balances[0].counts[0]
    assert columns["energy_2_mev"].minimum == 0.0
    assert columns["n_electrons"].histogram is None
    assert columns["x_1_px"].histogram.n_values == 100


def test_duplicates_across_blocks_with_their_keys(make_cebr):
    def spoil(images):
        images[90] = images[10]
        images[50] = images[10]
        images[20] = images[21] = images[22] = 0

    report = inspect_events(blocks(with_images(make_cebr(100), spoil), 30), CEBR)
    (group,) = report.image_duplicates
    assert group.positions == (10, 50, 90)
    assert group.labels == ("made.txt 10", "made.txt 50", "made.txt 90")
    assert (report.n_image_copies, report.n_blank) == (2, 3)
    assert any("repeat the image" in warning for warning in report.warnings)
    assert any("Blank events" in warning for warning in report.warnings)


def test_repeated_keys_are_found(make_cebr):
    events = make_cebr(60)
    truth = events.truth.with_columns(event=pl.col("event") % 50)
    report = inspect_events(blocks(Events(events.images, truth, "cebr"), 25), CEBR)
    assert len(report.key_duplicates) == report.n_key_copies == 10
    assert report.key_duplicates[0].positions == (0, 50)


def test_dead_hot_and_turned(make_cebr):
    events = make_cebr(2000)
    images = np.ascontiguousarray(events.images["anode"].transpose(0, 2, 1))
    images[:, [0, 15]] = 0
    images[:, 3, 13] = 0
    images[:, 9, 4] *= 5
    report = inspect_events(blocks(Events({"anode": images}, events.truth, "cebr"), 512), CEBR)
    (view,) = report.views
    assert (len(view.dead), view.n_silent) == (33, 33)
    assert [pixel.index for pixel in view.hot] == [(9, 4)]
    text = "\n".join(report.warnings)
    for part in ("33 dead pixels", "1 hot pixel.", "turned by 'transpose'"):
        assert part in text


def test_truth_that_breaks_its_laws(make_cebr):
    events = make_cebr(2000)
    truth = events.truth.with_columns(energy_1_mev=pl.col("energy_1_mev") * 1.2)
    report = inspect_events([Events(events.images, truth, "cebr")], CEBR)
    broken = {law.name for law in report.laws if law.verdict == "differs"}
    assert "energy of electron 1 is uniform" in broken
    assert any(warning.startswith("Values outside the limits") for warning in report.warnings)


def test_experiment_without_truth(make_cebr):
    events = make_cebr(50)
    truth = events.truth.select("file", "event").with_columns(descriptor=pl.lit(2, pl.Int64))
    report = inspect_events([Events(events.images, truth, "cebr")], CEBR)
    assert report.balances == ()
    assert report.missing_columns == tuple(c.name for c in CEBR.truth if c.role == "truth")
    assert {law.verdict for law in report.laws} == {"not checked"}
    assert report.columns[-1].role == "extra"
    assert report.warnings == ()


def test_blocks_with_and_without_truth(make_cebr):
    events = make_cebr(50)
    bare = Events(events.images, events.truth.select("file", "event"), "cebr")
    report = inspect_events([bare, events], CEBR)
    assert report.balances[0].n_unknown == 50
    assert {c.name: c.n_missing for c in report.columns}["x_1_px"] == 50


def test_no_events_at_all():
    report = inspect_events([], CEBR)
    assert report.n_events == 0
    assert report.views == ()
    assert "There are no events." in report.warnings


def test_one_empty_block(make_cebr):
    report = inspect_events([make_cebr(3).select([])], CEBR)
    assert report.n_events == 0


def test_skipped_events_are_listed(make_cebr):
    skipped = ReadReport([])

    def reading():
        yield make_cebr(10)
        skipped.skipped.append("a.txt, line 3: 7 fields")

    report = inspect_events(reading(), CEBR, read_report=skipped)
    assert report.skipped == ("a.txt, line 3: 7 fields",)
    assert "skipped: 1" in report.warnings[0]


def test_events_of_another_detector_are_refused(make_cebr):
    events = make_cebr(3)
    with pytest.raises(DataError, match="events of 'nova'"):
        inspect_events([Events(events.images, events.truth, "nova")], CEBR)


def test_a_view_nobody_described_is_reported_as_it_is(make_cebr):
    events = make_cebr(20)
    traces = np.random.default_rng(1).normal(0, 13, (20, 1, 200)).astype(np.float32)
    report = inspect_events([Events({"trace": traces}, events.truth, "cebr")], CEBR)
    (view,) = report.views
    assert view.view.shape == (1, 200)
    assert view.minimum == pytest.approx(traces.min())
    assert (view.dead, view.hot, view.orientations) == ((), (), ())
    flat = sparse.csr_array(traces.reshape(20, -1))
    with pytest.raises(DataError, match=r"View 'trace' is not one of 'cebr'"):
        inspect_events([Events({"trace": flat}, events.truth, "cebr")], CEBR)


def test_what_the_reader_found_odd_is_said(make_cebr):
    said = ReadReport([], [f"a{n}.h5: 3 events have interaction code 17." for n in range(7)])
    report = inspect_events([make_cebr(20)], CEBR, read_report=said)
    assert "The reader says: a0.h5: 3 events have interaction code 17." in report.warnings
    assert any("2 more things" in warning for warning in report.warnings)


def test_sparse_views_are_never_made_dense(two_views, make_two_views, monkeypatch):
    events = make_two_views(120)
    images = {name: view.tolil() for name, view in events.images.items()}
    for view in images.values():
        view[7] = view[3]
    copies = {name: sparse.csr_array(view) for name, view in images.items()}

    def refuse(*arguments, **options):
        raise AssertionError("a sparse view was made dense")

    for name in ("toarray", "todense", "argmax"):
        monkeypatch.setattr(sparse.csr_array, name, refuse)
    report = inspect_events(blocks(Events(copies, events.truth, "two_views"), 50), two_views)
    assert [group.positions for group in report.image_duplicates] == [(3, 7)]
    assert [view.n_hit_events for view in report.views] == [120, 120]
    assert find_duplicates(Events(copies, events.truth, "two_views")) == [(3, 7)]


def test_equal_images_with_other_classes_are_counted(make_cebr):
    events = make_cebr(100)
    singles, doubles = (np.flatnonzero(events.truth["n_electrons"].to_numpy() == n) for n in (1, 2))

    def spoil(images):
        images[doubles[0]] = images[singles[1]] = images[singles[0]]  # of both classes
        images[singles[3]] = images[singles[2]]  # of one

    report = inspect_events(blocks(with_images(events, spoil), 30), CEBR)
    assert (report.n_image_copies, report.n_other_class) == (3, 3)
    assert "Events whose image also stands with another class: 3." in report.warnings
