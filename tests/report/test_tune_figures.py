"""Figures of a whole search: its course, importances, fronts, seeds."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from hitlens.report.tune_figures import (
    finalist_seeds,
    importance_bars,
    pareto_front,
    pareto_panels,
    search_course,
    setting_scatter,
)
from hitlens.report.tune_trials import finished, reached
from hitlens.tune.results import TuneResults


def legend(figure: Figure) -> list[str]:
    (axes, *_) = figure.axes
    found = axes.get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


def test_the_course_shows_every_trial_and_the_best_so_far(searches: dict[str, TuneResults]) -> None:
    found = searches["tpe"]
    figure = search_course(found)
    (axes,) = figure.axes
    assert legend(figure) == ["finished", "pruned", "failed", "best so far"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("trial", "validation accuracy")
    (best,) = [line for line in axes.lines if line.get_label() == "best so far"]
    values = np.asarray(best.get_ydata(), dtype=float)
    assert (np.diff(values) >= 0).all()
    assert values[-1] == max(reached(trial, "score") or 0 for trial in finished(found))
    drawn = sum(len(np.asarray(line.get_xdata())) for line in axes.lines if line is not best)
    assert drawn == 40


def test_less_is_better_goes_down(searches: dict[str, TuneResults]) -> None:
    (axes,) = search_course(searches["two_objectives"]).axes
    (best,) = [line for line in axes.lines if line.get_label() == "best so far"]
    assert (np.diff(np.asarray(best.get_ydata(), dtype=float)) <= 0).all()


def test_importances_are_bars_in_order(searches: dict[str, TuneResults]) -> None:
    (axes,) = importance_bars(searches["grid"]).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["dropout_final", "last_features", "dropout"]
    assert [text.get_text() for text in axes.texts] == ["0.08", "0.21", "0.71"]
    figure = importance_bars(searches["two_objectives"])
    assert legend(figure) == ["validation loss", "time to predict an event", "parameters"]
    assert len(figure.axes[0].patches) == 2 * 3


def test_each_setting_has_a_panel(searches: dict[str, TuneResults]) -> None:
    figure = setting_scatter(searches["tpe"])
    panels = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_xlabel() for axes in panels] == [
        "learning_rate",
        "weight_decay",
        "n_blocks",
        "optimizer",
        "scaling",
    ]
    assert panels[0].get_xscale() == "log"
    assert [label.get_text() for label in panels[3].get_xticklabels()] == ["adam", "adamw"]


def test_pairs_of_objectives_have_a_panel_each(searches: dict[str, TuneResults]) -> None:
    found = searches["two_objectives"]
    figure = pareto_panels(found)
    assert len(figure.axes) == 3
    first = figure.axes[0]
    assert first.get_xlabel() == "time to predict an event [µs]\n(lower is better)"
    assert first.get_ylabel() == "validation loss\n(lower is better)"
    assert {text.get_text() for text in first.texts} == {str(number) for number in found.best}
    beaten, best, _ = first.lines
    assert len(np.asarray(best.get_xdata())) == len(found.best)
    assert len(np.asarray(beaten.get_xdata())) == 24 - len(found.best)


@pytest.mark.parametrize("higher", [(True, True), (False, True), (False, False)])
def test_the_front_is_what_no_point_beats(higher: tuple[bool, bool]) -> None:
    points = np.random.default_rng(2).normal(size=(60, 2))
    front = pareto_front(points, higher)
    signs = np.where(higher, 1, -1)
    for one in points:
        beaten = any((point * signs > one * signs).all() for point in points)
        assert (one.tolist() in front.tolist()) == (not beaten)
    assert (np.diff(front[:, 0]) > 0).all()


def test_each_seed_of_a_finalist_is_a_point(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    (axes,) = finalist_seeds(found).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0].startswith(f"{found.chosen}: dropout ")
    circles = [line for line in axes.lines if line.get_marker() == "o"]
    assert [len(np.asarray(line.get_xdata())) for line in circles] == [1, 2] * 3
    means = [line for line in axes.lines if line.get_marker() == "D"]
    drawn = [float(np.asarray(line.get_xdata())[0]) for line in means]
    assert drawn == [one.mean for one in found.finalists]
    assert axes.get_xlabel() == "validation accuracy"
