"""Every figure has labelled axes with units, draws without warnings, and shows the numbers it is given."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from hitlens.evaluate.results import Curve, Histogram, Map, SliceResult, TaskResult
from hitlens.metrics.interval import Interval
from hitlens.report import figures
from hitlens.report.slice_figures import metric_slices

BACKGROUND, SIGNAL = "background_efficiency", "signal_efficiency"
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
DRAWN = {
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
