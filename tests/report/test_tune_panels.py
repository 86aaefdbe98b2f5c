"""One small panel a trial: histories and confusion matrices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes

from hitlens.report.tune_panels import best_few, confusion_panels, history_panels
from hitlens.report.tune_trials import of_stage
from hitlens.tune.results import TuneResults


def lines(axes: Axes) -> list[np.ndarray]:
    return [np.asarray(line.get_ydata(), dtype=float) for line in axes.lines]


def test_each_trial_has_a_metric_above_its_losses(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    trials = of_stage(found, "search")
    figure = history_panels(found, trials)
    assert len(figure.axes) == 2 * 18
    upper, lower = figure.axes[::2], figure.axes[1::2]
    assert len({axes.get_ylim() for axes in upper}) == 1
    assert len({axes.get_ylim() for axes in lower}) == 1
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    for trial, above, below in zip(trials, upper, lower, strict=True):
        assert trial.run is not None
        history, best = trial.run.history, trial.run.best_epoch
        assert lines(above)[0].tolist() == list(history["val_metric"])
        assert lines(below)[0].tolist() == list(history["train_loss"])
        assert above.lines[-1].get_xdata() == [best + 1]
        assert above.get_title().startswith(f"{trial.number}: ")
        assert f"{trial.objectives['score']:.4f}" in above.get_title()
    assert upper[0].get_ylabel() == "validation\naccuracy"
    assert lower[0].get_ylabel() == "loss"
    assert [axes.get_xlabel() for axes in lower].count("epoch") == 6
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "validation accuracy",
        "training loss",
        "validation loss",
        "best epoch",
    ]


def test_where_the_loss_is_monitored_it_is_drawn_once(searches: dict[str, TuneResults]) -> None:
    found = searches["two_objectives"]
    figure = history_panels(found, found.trials)
    assert len(figure.axes) == 24
    assert figure.axes[0].get_ylabel() == "loss"


def test_a_pruned_trial_ends_where_it_was_stopped(searches: dict[str, TuneResults]) -> None:
    found = searches["tpe"]
    pruned = next(trial for trial in found.trials if trial.state == "pruned")
    whole = next(trial for trial in found.trials if trial.state == "finished")
    figure = history_panels(found, [pruned, whole])
    first, _, second, _ = figure.axes
    assert pruned.run is not None
    n_epochs = len(pruned.run.history["val_metric"])
    assert len(lines(first)[0]) == n_epochs < len(lines(second)[0])
    (band,) = first.patches
    assert band.get_extents().transformed(first.transData.inverted()).x0 == n_epochs + 0.5
    assert "pruned" in first.get_title()
    assert not second.patches


def test_a_trial_below_the_axis_is_said_to_be(searches: dict[str, TuneResults]) -> None:
    found = searches["tpe"]
    figure = history_panels(found, of_stage(found, "search")[:6])
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes[::2]] == [[]] * 5 + [
        ["beyond the axis"]
    ]


def test_of_many_the_best_are_taken_in_their_order(searches: dict[str, TuneResults]) -> None:
    found = searches["tpe"]
    few = best_few(found, found.trials)
    assert len(few) == 36
    assert [trial.number for trial in few] == sorted(trial.number for trial in few)
    left_out = {trial.number for trial in found.trials} - {trial.number for trial in few}
    assert {found.trials[number].state for number in left_out} == {"failed", "pruned"}


def test_confusion_matrices_hold_counts_and_shares(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    trials = of_stage(found, "search")[:7]
    figure = confusion_panels(found, "multiplicity", trials, ("single", "double"))
    panels = figure.axes[:7]
    counts = trials[0].confusion["multiplicity"]
    first = [text.get_text() for text in panels[0].texts]
    assert first[0] == f"{counts[0][0]:,}\n{100 * counts[0][0] / sum(counts[0]):.2f} %"
    assert [axes.get_title() for axes in panels][6].startswith("6: ")
    assert not figure.axes[8].axison


def test_many_classes_are_coloured_and_not_written(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    names = tuple(f"class {number}" for number in range(7))
    many = replace(found.trials[0], confusion={"kind": ((1,) * 7,) * 7})
    figure = confusion_panels(found, "kind", [many], names)
    assert not figure.axes[0].texts
    three = replace(found.trials[0], confusion={"kind": ((8, 1, 1),) * 3})
    figure = confusion_panels(found, "kind", [three], names[:3])
    assert [text.get_text() for text in figure.axes[0].texts] == ["80.0", "10.0", "10.0"] * 3
