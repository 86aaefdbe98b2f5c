"""Maps of the score: which settings are axes, what the cells hold, how many panels are drawn."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from hitlens.report.tune_maps import Layout, cells, layout, score_maps
from hitlens.report.tune_trials import reached, short_names, worst_of_last
from hitlens.tune.results import Parameter, TrialResult, TuneResults


def score(trial: TrialResult) -> float | None:
    return reached(trial, "score")


def place_of(found: TuneResults) -> Layout:
    place = layout(found)
    assert place is not None
    return place


def grid_over(found: TuneResults, *choices: tuple[int, ...]) -> TuneResults:
    """A search over every combination, its trials those of the grid over and over."""
    paths = [f"model.p{number}" for number in range(len(choices))]
    template = found.trials[0]
    trials = tuple(
        replace(template, number=n, values=dict(zip(paths, values, strict=True)))
        for n, values in enumerate(itertools.product(*choices))
    )
    return replace(found, parameters=tuple(map(Parameter, paths, choices)), trials=trials)


def test_the_grid_of_the_seed_has_two_maps(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    place = place_of(found)
    names = short_names(found.parameters)
    assert (names[place.x.path], names[place.y.path]) == ("dropout", "dropout_final")
    assert place.titles == [("64",), ("128",)]
    held = cells(found, place, score)
    assert held.values.shape == (2, 3, 3)
    assert (held.counts == 1).all()
    for trial in found.trials[:18]:
        dropout, final, features = trial.values.values()
        where = (features == 128, (0.4, 0.5, 0.6).index(final), (0.4, 0.5, 0.6).index(dropout))
        assert held.values[tuple(map(int, where))] == trial.objectives["score"]


def test_the_numbers_stand_in_the_cells(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    place = place_of(found)
    rows = [("accuracy", cells(found, place, score)), ("lowest", cells(found, place, worst_of_last))]
    figure = score_maps(found, place, rows, True)
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["last_features 64", "last_features 128"] * 2
    assert {axes.get_xlabel() for axes in panels} == {"dropout"}
    assert {axes.get_ylabel() for axes in panels} == {"dropout_final"}
    written = sorted(text.get_text() for axes in panels[:2] for text in axes.texts)
    assert written == sorted(f"{trial.objectives['score']:.4f}" for trial in found.trials[:18])
    # The best cell is framed, in one panel of each quantity.
    assert [len(axes.patches) for axes in panels].count(1) == 2
    bars = [
        axes for axes in figure.axes if not axes.get_title() and axes.get_ylabel() in ("accuracy", "lowest")
    ]
    assert len(bars) == 2


def test_cells_average_over_what_is_not_shown(searches: dict[str, TuneResults]) -> None:
    found = searches["tpe"]
    place = place_of(found)
    names = short_names(found.parameters)
    assert [names[p.path] for p in place.averaged] == ["learning_rate", "weight_decay"]
    held = cells(found, place, score)
    assert held.counts.sum() == 29
    assert np.isnan(held.values[held.counts == 0]).all()
    assert set(held.states[held.counts == 0].tolist()) == {"", "pruned", "failed"}
    total = sum(score(trial) or 0 for trial in found.trials if trial.state == "finished")
    assert (held.values * held.counts)[held.counts > 0].sum() == pytest.approx(total)


def test_few_panels_are_drawn_and_more_are_averaged(searches: dict[str, TuneResults]) -> None:
    few = place_of(grid_over(searches["grid"], (1, 2, 3, 4), (1, 2, 3), (1, 2, 3), (1, 2)))
    assert len(few.titles) == 6
    assert few.averaged == ()
    many = grid_over(searches["grid"], (1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4), (1, 2))
    place = place_of(many)
    assert [parameter.path for parameter in place.panels] == ["model.p2"]
    assert [parameter.path for parameter in place.averaged] == ["model.p3"]
    assert (cells(many, place, score).counts == 2).all()
    figure = score_maps(many, place, [("accuracy", cells(many, place, score))], True)
    assert len([axes for axes in figure.axes if axes.get_title()]) == 4


def test_one_panel_of_each_quantity_stands_beside_the_other(searches: dict[str, TuneResults]) -> None:
    found = grid_over(searches["grid"], (1, 2, 3), (1, 2))
    place = place_of(found)
    rows = [("accuracy", cells(found, place, score)), ("lowest", cells(found, place, worst_of_last))]
    figure = score_maps(found, place, rows, True)
    assert len(figure.axes) == 4
    assert (place.x.path, place.y.path) == ("model.p0", "model.p1")


@pytest.mark.parametrize("name", ["single", "two_objectives"])
def test_there_is_no_map_without_two_settings_of_few_values(
    searches: dict[str, TuneResults], name: str
) -> None:
    assert layout(searches[name]) is None
