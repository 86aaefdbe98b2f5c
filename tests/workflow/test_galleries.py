"""Any selection of events, as a page or a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from hitlens.errors import ConfigError, DataError, SelectionError
from hitlens.events import Events
from hitlens.workflow import galleries
from hitlens.workflow.galleries import gallery


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list:
    """Galleries that were drawn."""
    seen = []

    def draw(found, view):
        seen.append(found)
        from hitlens.report.event_display import draw_gallery

        return draw_gallery(found, view)

    monkeypatch.setattr(galleries, "draw_gallery", draw)
    return seen


@pytest.mark.parametrize("suffix", [".html", ".png", ".svg"])
def test_every_kind_of_file(make_run, tmp_path: Path, suffix: str) -> None:
    path = gallery(make_run("multiplicity", 60), tmp_path / f"out{suffix}", n=3)
    if suffix == ".png":
        assert np.asarray(Image.open(path)).std() > 10
    else:
        assert ("data:image/png" if suffix == ".html" else "<svg") in path.read_text(encoding="utf-8")


def test_a_selection_is_most_wrong_first(make_run, tmp_path: Path, shown: list) -> None:
    where = "score_multiplicity < .9 AND true_multiplicity = 'double'"
    gallery(make_run("multiplicity", 300), tmp_path / "out.png", select=where, n=5)
    (found,) = shown
    scores = [float(text.split("score ")[1].split("\n")[0]) for text in found.captions]
    assert len(scores) == 5
    assert scores == sorted(scores)
    assert found.title == where
    assert found.caption.startswith("5 of ")
    assert found.caption.endswith("most wrong first.")
    assert (found.true_points[:, 1, 0] > 0).all()


def test_another_order_can_be_asked_for(make_run, tmp_path: Path, shown: list) -> None:
    gallery(make_run("joint", 90), tmp_path / "out.svg", order="0 - true_energy_1_mev", n=4)
    energies = [
        float(text.split("true energy ")[1].split(",")[0].split(" ")[0]) for text in shown[0].captions
    ]
    assert energies == sorted(energies, reverse=True)


def test_images_belong_to_their_events(make_run, tmp_path: Path, shown: list) -> None:
    gallery(
        make_run("single_energy", 200),
        tmp_path / "out.svg",
        select="true_energy_1_mev > .5 AND true_n_electrons = 1",
        n=4,
    )
    (found,) = shown
    for image, point in zip(found.images["anode"], found.true_points, strict=True):
        at = np.unravel_index(image.argmax(), image.shape)
        assert np.abs(np.add(at, 0.5) - point[0]).max() < 1.0


def test_a_predictions_file_needs_the_events(make_run, tmp_path: Path) -> None:
    folder = make_run("multiplicity", 60)
    with pytest.raises(ConfigError, match="--data"):
        gallery(folder / "predictions.parquet", tmp_path / "out.png")
    files = [tmp_path / "made.h5"]
    assert gallery(folder / "predictions.parquet", tmp_path / "out.svg", files=files, n=2).is_file()


def test_what_cannot_be_shown_says_why(make_run, make_cebr, tmp_path: Path) -> None:
    folder = make_run("multiplicity", 60)
    with pytest.raises(ConfigError, match=r"\.html"):
        gallery(folder, tmp_path / "out.pdf")
    with pytest.raises(SelectionError, match="No event of 60"):
        gallery(folder, tmp_path / "out.png", select="score_multiplicity > 2")
    with pytest.raises(SelectionError, match="score_multiplicity"):
        gallery(folder, tmp_path / "out.png", select="score > .5")
    from hitlens.io.native_writer import NativeWriter

    with NativeWriter(tmp_path / "short.h5", "cebr") as writer:
        writer.write(make_cebr(5))
    with pytest.raises(DataError, match="not in the event files"):
        gallery(folder, tmp_path / "out.png", files=[tmp_path / "short.h5"])
    assert not (tmp_path / "out.png").exists()


def test_events_of_two_views_have_galleries_of_every_class(two_views, make_two_view_predictions) -> None:
    predictions, events = make_two_view_predictions(400)
    found = {one.name: one for one in galleries.run_galleries(predictions, events, two_views, 0.5)}
    classes = [
        f"gallery_flavour_{name}_{kind}"
        for name in ("numu", "nue", "nc_other")
        for kind in ("mistakes", "best")
    ]
    assert set(classes) <= set(found)
    assert {"gallery_numu_cc_false_negatives", "gallery_nu_energy_largest_errors"} <= set(found)
    mistakes = found["gallery_flavour_nue_mistakes"]
    wrong = predictions.table.filter((pl.col("true_flavour") == "nue") & (pl.col("pred_flavour") != "nue"))
    assert mistakes.caption.startswith(f"{len(mistakes.captions)} of {len(wrong)} events, surest first")
    surest = wrong.select(pl.max_horizontal("^score_flavour_.*$")).to_series().sort(descending=True)
    shown = [float(text.split("score ")[1].split(" ")[0]) for text in mistakes.captions]
    np.testing.assert_allclose(shown, surest[: len(shown)], rtol=0.01)
    assert all("(true nue)" in text for text in mistakes.captions)
    assert all(set(one.images) == {"x", "y"} for one in found.values())
    # Four heads: two events a gallery; only these are dense.
    assert {len(image) for one in found.values() for image in one.images.values()} <= {1, 2}


def test_images_of_all_views_belong_to_their_events(two_views, make_two_view_predictions) -> None:
    predictions, events = make_two_view_predictions(200)
    found = galleries.run_galleries(predictions, events, two_views, 0.5, n=3)
    worst = next(one for one in found if one.name == "gallery_nu_energy_largest_errors")
    table = predictions.table
    error = ((table["nu_energy_pred_nuenergy"] - table["true_nuenergy"]) ** 2).arg_sort(descending=True)[:3]
    for view in two_views.views:
        expected = events.select(error.to_numpy()).dense(view.name, view.shape)
        np.testing.assert_array_equal(worst.images[view.name], expected)


def test_events_are_found_by_file_and_key_and_by_key_where_files_were_renamed(
    two_views, make_two_view_predictions
) -> None:
    predictions, events = make_two_view_predictions(60)
    # The same key in two files: only the file tells them apart.
    keys = events.truth.with_columns(evt=pl.int_range(60) // 2)
    twins = Events(events.images, keys, "two_views")
    table = predictions.table.with_columns(evt=pl.int_range(60) // 2)
    assert galleries._positions(table, twins, two_views).tolist() == list(range(60))
    moved = Events(events.images, events.truth.with_columns(file=pl.lit("elsewhere.h5")), "two_views")
    assert galleries._positions(predictions.table, moved, two_views).tolist() == list(range(60))
