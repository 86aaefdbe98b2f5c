"""Every figure has labelled axes with units, draws without warnings, and shows the numbers it is given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from hitlens.evaluate.results import BestCut, Curve, Histogram, Map, SliceResult, TaskResult
from hitlens.metrics.interval import Interval
from hitlens.report import figures
from hitlens.report.slice_figures import metric_slices

BACKGROUND, SIGNAL = "background_efficiency", "signal_efficiency"
_ENDS = {"low": (0.0, 0.5), "high": (0.3, 1.0), "n_events": (9.0, 3.0)}
CALIBRATION = Curve(
    "calibration double", {"mean_probability": (0.1, 0.8), "signal_fraction": (0.2, 0.7)} | _ENDS
)
CURVES = (
    Curve(
        "roc model",
        {"background_efficiency": (0.0, 0.001, 0.5, 1.0), "signal_efficiency": (0.0, 0.9, 1.0, 1.0)},
    ),
    Curve("roc fit", {"background_efficiency": (0.0, 0.0, 1.0), "signal_efficiency": (0.0, 0.8, 1.0)}),
    Curve(
        "cuts",
        dict.fromkeys(
            ("cut", "signal_efficiency", "purity", "background_rejection"), (0.1, 0.5, 0.8, 0.9, 0.95)
        ),
    ),
)
TASK = TaskResult(
    "multiplicity", "binary", "one or two", 10, {}, ("single", "double"), (5, 5), 0.5,
    confusion=((4, 1), (0, 5)), curves=CURVES,
)  # fmt: skip


def slices(metric: str = "accuracy", *, zero: bool = False, unit: str = "") -> list[SliceResult]:
    values = (Interval(0.0 if zero else 0.5, 0.0, 0.6), None, Interval(1.0, 0.9, 1.0))
    return [
        SliceResult(
            "separation_px", "separation", "px", method, metric, "x_px" if unit else "", unit,
            (0.0, 1.0, 2.0, 4.0), (5, 0, 9), values, method,
        )
        for method in ("model", "constant", "likelihood_fit")
    ]  # fmt: skip


def history(n: int) -> pl.DataFrame:
    epochs = np.arange(n)
    return pl.DataFrame(
        {"epoch": epochs, "train_loss": 0.5**epochs, "val_loss": 0.6**epochs}
        | {"val_metric": 1 - 0.5**epochs, "lr": 0.1 / (1 + epochs), "seconds": 1.0 + epochs}
    )


HISTOGRAM = Histogram("score", "score of class double", (0.0, 0.5, 1.0), {"single": (5, 0), "double": (1, 4)})
RESIDUALS = Histogram("residual energy_mev", "predicted - true [MeV]", (-1.0, 0.0, 1.0), {"model": (3, 4)})
MATRIX = Map("energy_gev", "GeV", (1.0, 2.0, 20.0), (1.0, 2.0, 20.0), ((3, 1), (0, 8)), 0)
CALIBRATED = replace(TASK, curves=(*CURVES, CALIBRATION))
CHOSEN = replace(
    TASK,
    best_cut=BestCut(0.63, 50, Interval(0.9, 0.8, 1), Interval(0.8, 0.7, 0.9), Interval(1, 0.9, 1), 2.5),
    curves=tuple(
        replace(c, data={**c.data, "figure_of_merit": (1.0, 2.0, 2.5, 2.0, 0.5)}) if c.name == "cuts" else c
        for c in CURVES
    ),
)
MANY = replace(TASK, kind="multiclass", class_names=("a", "b", "c", "d"), cut=None)
SCORES = tuple(
    Histogram(f"score {n}", f"score of class {n}", (0.0, 0.5, 1.0), {m: (5, k) for k, m in enumerate("abcd")})
    for n in "abcd"
)
DRAWN = {
    "best cut": lambda: figures.cut_scan(CHOSEN),
    "calibration": lambda: figures.calibration(CALIBRATED),
    "migration": lambda: figures.migration(MATRIX),
    "logarithmic map": lambda: figures.truth_against_prediction(MATRIX),
    "width": lambda: figures.residuals(RESIDUALS, "energy", "0.2 MeV"),
    "training": lambda: figures.training_curves(history(5), "accuracy"),
    "one epoch": lambda: figures.training_curves(history(1), "accuracy"),
    "score": lambda: figures.score_histogram(TASK, HISTOGRAM),
    "roc": lambda: figures.roc(TASK),
    "confusion": lambda: figures.confusion(TASK),
    "cuts": lambda: figures.cut_scan(TASK),
    "slices": lambda: metric_slices(slices("signal_efficiency")),
    "misclassified": lambda: metric_slices(slices(), logarithmic=True, complement="fraction wrong"),
    "resolution": lambda: metric_slices(slices("resolution", unit="px"), logarithmic=True),
    "bias": lambda: metric_slices(slices("bias", unit="px", zero=True)),
    "map": lambda: figures.truth_against_prediction(
        Map("energy_mev", "MeV", (0.0, 1.0, 2.0), (0.0, 1.0, 2.0), ((3, 0), (1, 2)), 0)
    ),
    "empty map": lambda: figures.truth_against_prediction(
        Map("energy_mev", "MeV", (0.0, 1.0), (0.0, 1.0), ((0,),), 3)
    ),
    "residuals": lambda: figures.residuals(RESIDUALS, "energy"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_axes_are_labelled_and_nothing_sticks_out(name: str) -> None:
    figure: Figure = DRAWN[name]()
    figure.draw_without_rendering()
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert all(labels), labels
    assert any(axes.get_xlabel() for axes in figure.axes)
    width, height = figure.get_size_inches() * figure.dpi
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box is not None
        assert box.x0 > -2
        assert box.y0 > -2
        assert box.x1 < width + 2
        assert box.y1 < height + 2


def test_calibration_is_drawn_with_its_intervals_beside_the_diagonal() -> None:
    axes = DRAWN["calibration"]().axes[0]
    (curve,) = axes.containers
    np.testing.assert_allclose(curve.lines[0].get_xydata(), [(0.1, 0.2), (0.8, 0.7)])
    bars = curve.lines[2][0].get_segments()
    np.testing.assert_allclose([bar[:, 1] for bar in bars], [[0, 0.3], [0.5, 1.0]])


def test_the_cut_chosen_on_validation_is_marked_with_its_figure_of_merit() -> None:
    _, right = DRAWN["best cut"]().axes
    marks = [line for line in right.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(marks[0].get_xydata(), [(0.63, 2.5)])
    assert right.get_ylabel() == "s / √(s + b)"
    unmarked = DRAWN["cuts"]().axes[1]
    assert not [line for line in unmarked.lines if line.get_marker() == "o"]


def test_a_migration_matrix_shows_percent_of_the_true_bin() -> None:
    axes = DRAWN["migration"]().axes[0]
    shown = {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}
    assert shown == {(0, 0): "75", (0, 1): "25", (1, 1): "100"}
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "20"]
    assert axes.get_xlabel() == "true energy [GeV]"


def test_maps_of_growing_bins_have_logarithmic_axes() -> None:
    assert DRAWN["logarithmic map"]().axes[0].get_xscale() == "log"
    assert DRAWN["map"]().axes[0].get_xscale() == "linear"


def test_the_width_of_residuals_is_a_tenth_of_what_is_drawn() -> None:
    axes = DRAWN["width"]().axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["model", "± 0.2 MeV"]
    band = axes.patches[-1].get_bbox()
    assert (round(band.x0, 6), round(band.x1, 6)) == (-0.2, 0.2)


def test_the_scores_of_many_classes_stand_side_by_side() -> None:
    figure = figures.score_panels(MANY, SCORES)
    figure.draw_without_rendering()
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_xlabel() for axes in shown] == [f"score of class {n}" for n in "abcd"]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [f"true {n}" for n in "abcd"]


def test_units_are_on_the_axes() -> None:
    figure = DRAWN["resolution"]()
    assert figure.axes[0].get_ylabel() == "resolution of x [px]"
    assert figure.axes[1].get_xlabel() == "separation [px]"
    assert DRAWN["residuals"]().axes[0].get_xlabel() == "predicted \N{MINUS SIGN} true energy [MeV]"
    assert DRAWN["map"]().axes[0].get_ylabel() == "predicted energy [MeV]"


def test_slices_show_every_method_in_one_plot() -> None:
    axes = DRAWN["slices"]().axes[0]
    assert [t.get_text() for t in axes.get_legend().get_texts()].count("model") == 1
    assert {t.get_text() for t in axes.get_legend().get_texts()} == {
        "model",
        "constant answer",
        "likelihood fit",
    }
    model = axes.containers[0]
    np.testing.assert_allclose(model.lines[0].get_ydata(), [0.5, 1.0])
    bars = model.lines[2][0].get_segments()
    np.testing.assert_allclose([bar[:, 1] for bar in bars], [[0.0, 0.6], [0.9, 1.0]])
    x = [container.lines[0].get_xdata()[0] for container in axes.containers]
    assert 0 < x[0] < 0.5 < x[1] < 1


def test_fractions_have_no_ticks_above_one() -> None:
    figure = DRAWN["slices"]()
    figure.draw_without_rendering()
    assert max(figure.axes[0].get_yticks()) <= 1.0001


def test_zero_on_a_logarithmic_axis_is_an_upper_limit() -> None:
    axes = DRAWN["misclassified"]().axes[0]
    limits = [line for line in axes.lines if line.get_marker() == "v"]
    np.testing.assert_allclose(limits[0].get_ydata(), [0.1])
    assert (np.asarray(axes.containers[0].lines[0].get_ydata()) > 0).all()


def test_only_bins_with_events_are_shown() -> None:
    one = slices("signal_efficiency")[0]
    edges, counts = (0.0, 1.0, 2.0, 4.0, 9.0), (0, 5, 9, 0)
    values = (None, *one.values[::2], None)
    trimmed = SliceResult(**{**one.__dict__, "edges": edges, "n_events": counts, "values": values})
    assert metric_slices([trimmed]).axes[1].get_xlim() == (1.0, 4.0)


def test_drawing_changes_nothing_global() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    for draw in DRAWN.values():
        draw()
    assert dict(mpl.rcParams) == before
