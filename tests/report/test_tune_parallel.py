"""Parallel coordinates: where each trial crosses each axis."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from hitlens.report.tune_parallel import parallel_axes, parallel_coordinates
from hitlens.report.tune_trials import BEST, finished, ranked
from hitlens.tune.results import TuneResults


def test_axes_are_settings_then_objectives(searches: dict[str, TuneResults]) -> None:
    found = searches["two_objectives"]
    axes = parallel_axes(found, ranked(finished(found), found.objectives[0])[::-1])
    labels = [axis.label.replace("\n", " ") for axis in axes]
    assert labels == [
        "width",
        "learning_rate (log)",
        "time to predict an event [µs]",
        "parameters",
        "validation loss",
    ]
    for axis in axes:
        assert axis.heights.min() >= -1e-9
        assert axis.heights.max() <= 1 + 1e-9
    # Better is higher, though less loss is better; the trials come with the worst first.
    assert (np.diff(axes[-1].heights) >= 0).all()


def test_categories_have_names_and_a_logarithmic_range_is_logarithmic(
    searches: dict[str, TuneResults],
) -> None:
    found = searches["tpe"]
    done = ranked(finished(found), found.objectives[0])[::-1]
    rate, decay, blocks, optimizer, scaling, score = parallel_axes(found, done)
    assert [text for _, text in scaling.ticks] == ["[log1p]", "[log1p, shape]", "[linear]"]
    assert [text for _, text in optimizer.ticks] == ["adam", "adamw"]
    assert [text for _, text in blocks.ticks] == ["2", "3", "4", "5", "6"]
    heights = {text: height for height, text in rate.ticks}
    assert heights["0.001"] == pytest.approx(0.5)
    assert decay.ticks[-1] == (pytest.approx(1.0), "0.1")
    # The trial that never left chance is at the bottom and does not squeeze the others.
    assert score.heights[0] == 0.0
    assert np.median(score.heights) > 0.5
    for trial, height in zip(done, optimizer.heights, strict=True):
        assert (height < 0.5) == (trial.values["train.optimizer"] == "adam")


def test_the_chosen_line_is_on_top(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    (axes, _) = parallel_coordinates(found).axes
    curves = [line for line in axes.lines if len(np.asarray(line.get_xdata())) > 2]
    assert len(curves) == 18
    (chosen,) = [line for line in curves if to_hex(line.get_color()) == BEST]
    assert chosen.get_zorder() == max(line.get_zorder() for line in curves)
    assert [label.get_text() for label in axes.get_xticklabels()][:3] == [
        "dropout",
        "dropout_final",
        "last_features",
    ]
