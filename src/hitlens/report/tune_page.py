"""Search results -> one HTML page: what was chosen and how sure that is, then every trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hitlens.detector import Detector
from hitlens.report import tune_figures, tune_maps, tune_panels
from hitlens.report.drawn import DrawnFigure, as_drawn
from hitlens.report.labels import file_name, monitor_label
from hitlens.report.render import render
from hitlens.report.study_page import training_figures, training_table
from hitlens.report.style import SIZE
from hitlens.report.tables import Table, provenance_table
from hitlens.report.tune_parallel import parallel_coordinates
from hitlens.report.tune_seeds import is_repeated, seed_scores
from hitlens.report.tune_tables import (
    failed_table,
    finalist_table,
    head_table,
    heads,
    lone_head,
    score_is_metric,
    searched_table,
    trial_tables,
    worst_label,
)
from hitlens.report.tune_trials import (
    bare_settings,
    by_number,
    decimals,
    finished,
    fixed,
    objective_label,
    of_stage,
    reached,
    short_names,
    worst_of_last,
)
from hitlens.report.tune_words import evaluate_command, reading_note, summary
from hitlens.tune.results import TrialResult, TuneResults

#: Trials below which a picture of the whole search shows nothing.
_LEAST = 2


def render_tuning(found: TuneResults, detector: Detector) -> str:
    """Return the page of a search.

    Args:
        found: its results.
        detector: its description.
    """
    trials = of_stage(found, "search")
    repeats = [trial for trial in found.trials if trial.stage != "search"]
    several = heads(found) if lone_head(found) is None else {}
    return render(
        "tune.html",
        title=found.title,
        question=found.question,
        subtitle=f"{detector.title}: {detector.task(found.task).meaning}",
        summary=summary(found),
        warning=reading_note(found),
        command=evaluate_command(found),
        finalists=finalist_table(found) if is_repeated(found) else None,
        repeats=trial_tables(found, repeats, "The repeats and the longer training") if repeats else [],
        finalist_figures=finalist_figures(found),
        longer=longer_training(found),
        trial_tables=trial_tables(found, trials, _trials_caption(found)),
        head_tables=[(name, head_table(found, head, trials)) for name, head in several.items()],
        failed=failed_table(found),
        searched=searched_table(found),
        maps=map_figures(found),
        overview=overview_figures(found),
        confusion=confusion_figures(found),
        histories=history_figures(found),
        missing=what_is_missing(found),
        score_apart=found.monitor != "val_loss" and not score_is_metric(found),
        level=f"{100 * found.level:g} %",
        n_bootstrap=found.n_bootstrap,
        provenance=provenance_table(_provenance(found)),
        settings=found.settings,
    )


def _trials_caption(found: TuneResults) -> str:
    caption = f"Every trial of the search, the best {found.objectives[0].label} first"
    if score_is_metric(found):
        caption += f"; the score is the {monitor_label(found.monitor)}"
    return caption if lone_head(found) is None else f"{caption}; values above their intervals"


def map_figures(found: TuneResults) -> tuple[DrawnFigure, ...]:
    """Draw the score and the worst of the last epochs over two settings; none where that cannot be."""
    place = tune_maps.layout(found)
    if place is None:
        return ()
    objective = found.objectives[0]
    quantities: list[tuple[str, tune_maps.Quantity]] = [
        (objective_label(objective), lambda trial: reached(trial, objective.name)),
        (worst_label(found), worst_of_last),
    ]
    rows = [(label, tune_maps.cells(found, place, quantity)) for label, quantity in quantities]
    names = short_names(found.parameters)
    x, y = names[place.x.path], names[place.y.path]
    of_panels = " and ".join(names[parameter.path] for parameter in place.panels)
    most = int(rows[0][1].counts.max(initial=0))
    caption = (
        f"{objective_label(objective)} (first) and {worst_label(found)} over {x} and {y}"
        + (f", one panel for each {of_panels}" if place.panels else "")
        + ". Brighter is better; the frame marks the best cell."
    )
    caption = caption[0].upper() + caption[1:]
    if most > 1:
        over = " and ".join(names[parameter.path] for parameter in place.averaged)
        caption += " A cell is the mean of its finished trials (how many, in brackets)"
        caption += f", averaged over {over}." if over else "."
    figure = tune_maps.score_maps(found, place, rows, objective.higher_is_better)
    alt = f"Maps over {x} and {y}: " + "; ".join(
        f"{label} from {_ends(mine.values[mine.counts > 0].tolist())}" for label, mine in rows
    )
    return (as_drawn("maps", figure, caption, f"{alt}.", wide=len(rows) * len(place.titles) > 1),)


def _ends(values: Sequence[float]) -> str:
    n = decimals(values)
    return f"{fixed(min(values), n)} to {fixed(max(values), n)}" if values else "nothing"


def overview_figures(found: TuneResults) -> tuple[DrawnFigure, ...]:
    """Draw the course of the search, what mattered, and what is traded for what, as far as that can be."""
    done = finished(found)
    if len(done) < _LEAST:
        return ()
    figures = [_course_figure(found, done), _parallel_figure(found, done), _settings_figure(found, done)]
    if any(found.importances.values()):
        figures.append(_importance_figure(found))
    if len(found.objectives) > 1:
        figures.append(_pareto_figure(found))
    return tuple(figures)


def _score_ends(found: TuneResults, done: Sequence[TrialResult]) -> str:
    name = found.objectives[0].name
    return _ends([score for trial in done if (score := reached(trial, name)) is not None])


def _course_figure(found: TuneResults, done: Sequence[TrialResult]) -> DrawnFigure:
    label = objective_label(found.objectives[0])
    return as_drawn(
        "course",
        tune_figures.search_course(found),
        f"{label[0].upper()}{label[1:]} of each trial in the order they were begun, and the best so far. "
        "Arrows at the edge lie beyond it.",
        f"{label} of {len(done)} finished trials, from {_score_ends(found, done)}.",
        wide=True,
    )


def _parallel_figure(found: TuneResults, done: Sequence[TrialResult]) -> DrawnFigure:
    marked = "the best" if found.chosen is None else "the chosen one"
    marked += ", with a dark rim those no other one beats" if len(found.best) > 1 else ""
    return as_drawn(
        "parallel",
        parallel_coordinates(found),
        "Every finished trial is a line through its settings to what it reached: brighter is better, red "
        f"{marked}. "
        "Lines of one value are spread around it in the order of their score; objectives are better higher "
        "up.",
        f"Parallel coordinates of {len(done)} trials over "
        f"{', '.join(short_names(found.parameters).values())}; {objective_label(found.objectives[0])} from "
        f"{_score_ends(found, done)}.",
        wide=True,
    )


def _settings_figure(found: TuneResults, done: Sequence[TrialResult]) -> DrawnFigure:
    label = objective_label(found.objectives[0])
    is_choice = any(parameter.choices for parameter in found.parameters)
    medians = " Bars are the medians of a choice." if is_choice else ""
    return as_drawn(
        "settings",
        tune_figures.setting_scatter(found),
        f"{label[0].upper()}{label[1:]} of the finished trials against each setting, the other settings "
        "being "
        f"whatever they were; red is the best.{medians} Trials far worse than the others lie beyond the "
        "axis.",
        f"{label} against {', '.join(short_names(found.parameters).values())}, {len(done)} trials each.",
        wide=len(found.parameters) > 1,
    )


def _importance_figure(found: TuneResults) -> DrawnFigure:
    names = short_names(found.parameters)
    words = "; ".join(
        f"{one.label}: "
        + ", ".join(f"{names[path]} {share:.2f}" for path, share in found.importances[one.name].items())
        for one in found.objectives
        if found.importances.get(one.name)
    )
    return as_drawn(
        "importances",
        tune_figures.importance_bars(found),
        "How much of the scatter between the trials each setting explains, alone and with the others. What "
        "is "
        "within the luck of the seeds is explained by chance.",
        f"Share of the variance each setting explains. {words}.",
    )


def _pareto_figure(found: TuneResults) -> DrawnFigure:
    front = ", ".join(map(str, found.best))
    return as_drawn(
        "pareto",
        tune_figures.pareto_panels(found),
        "Finished trials in each pair of objectives. Numbered diamonds are the trials no other one beats in "
        "all "
        "objectives; the dashed line joins the best of the two axes alone.",
        f"Objectives against each other: {', '.join(map(objective_label, found.objectives))}. No trial beats "
        f"trials {front} in all of them.",
        wide=True,
    )


def confusion_figures(found: TuneResults) -> tuple[DrawnFigure, ...]:
    """Draw the confusion matrices of the trials, one figure a head that classifies."""
    figures = []
    for name, head in heads(found).items():
        trials = [trial for trial in of_stage(found, "search") if trial.confusion.get(name)]
        if not trials:
            continue
        few = tune_panels.best_few(found, trials)
        classes = head.class_names or tuple(map(str, range(len(few[0].confusion[name]))))
        figures.append(
            as_drawn(
                file_name(name, "confusion"),
                tune_panels.confusion_panels(found, name, few, classes),
                f"{name}: validation events by true (row) and predicted (column) class, with their share of "
                "the "
                f"true class. {_panels_caption(found)}{_best_only(trials)}",
                f"Confusion matrices of {name}. "
                + "; ".join(f"trial {trial.number}: {trial.confusion[name]}" for trial in few)
                + ".",
                wide=tune_panels.page_width(len(few)) > SIZE[0],
            )
        )
    return tuple(figures)


def _panels_caption(found: TuneResults) -> str:
    trials = of_stage(found, "search")
    if not trials or not bare_settings(found, trials[0]):
        return "One panel a trial, with its number."
    names = " / ".join(short_names(found.parameters).values())
    return f"One panel a trial: its number, then {names}."


def _best_only(trials: Sequence[TrialResult]) -> str:
    n = len(trials)
    return (
        f" Of {n:,} trials the best {tune_panels.MOST_PANELS} are shown."
        if n > tune_panels.MOST_PANELS
        else ""
    )


def history_figures(found: TuneResults) -> tuple[DrawnFigure, ...]:
    """Draw how each trial trained, none where no trial has a history."""
    trials = [
        trial for trial in of_stage(found, "search") if trial.run and trial.run.history.get("val_metric")
    ]
    if not trials:
        return ()
    few = tune_panels.best_few(found, trials)
    metric = monitor_label(found.monitor)
    shown = "Losses" if found.monitor == "val_loss" else f"Validation {metric}, and below it the losses,"
    pruned = " Grey is what a pruned trial was spared." if any(t.state == "pruned" for t in few) else ""
    words = "; ".join(
        f"trial {trial.number} best in epoch {trial.run.best_epoch + 1} of "
        f"{len(trial.run.history['val_metric'])}"
        for trial in few
        if trial.run is not None
    )
    return (
        as_drawn(
            "histories",
            tune_panels.history_panels(found, few),
            f"{shown} against the epoch, on the same axes for all. {_panels_caption(found)} Second line: "
            f"{objective_label(found.objectives[0])}. Circles mark the best epoch; curves far below the "
            "others "
            f"leave the panel.{pruned}{_best_only(trials)}",
            f"Training histories: {words}.",
            wide=tune_panels.page_width(len(few)) > SIZE[0],
        ),
    )


def finalist_figures(found: TuneResults) -> tuple[DrawnFigure, ...]:
    """Draw the scores of each seed of each finalist, none where nothing was repeated."""
    if not is_repeated(found):
        return ()
    label = objective_label(found.objectives[0])
    scores = {one.trial: seed_scores(found, one) for one in found.finalists}
    n = decimals([value for mine in scores.values() for value in mine])
    words = "; ".join(f"trial {k}: {', '.join(fixed(v, n) for v in mine)}" for k, mine in scores.items())
    return (
        as_drawn(
            "finalists",
            tune_figures.finalist_seeds(found),
            f"{label[0].upper()}{label[1:]} of each seed (circles; open, that of the search), with mean and "
            "standard deviation "
            "(diamonds); "
            "the chosen settings on top.",
            f"{label} by finalist and seed. {words}.",
            wide=True,
        ),
    )


def longer_training(found: TuneResults) -> tuple[Table, tuple[DrawnFigure, ...]] | None:
    """Return the longer training beside the original one; None where there is none."""
    trials = by_number(found)
    if found.chosen is None or found.longer is None:
        return None
    pair = [trials[number].run for number in (found.chosen, found.longer) if number in trials]
    runs = [
        replace(run, name=f"{name}, {len(run.history['val_metric'])} epochs")
        for run, name in zip(pair, ("in the search", "longer"), strict=False)
        if run is not None and run.history.get("val_metric")
    ]
    if len(runs) < _LEAST:
        return None
    metric, higher = monitor_label(found.monitor), found.higher_is_better
    return training_table(runs, metric, higher), training_figures(runs, metric, higher)


def what_is_missing(found: TuneResults) -> list[str]:
    """Return what this page does not show of this search, and why, in sentences."""
    n = len(finished(found))
    conditions: list[tuple[Callable[[], bool], str]] = [
        (
            lambda: n < _LEAST,
            "The course of the search, parallel coordinates and the score against each setting need two "
            "finished "
            f"trials; there {'is' if n == 1 else 'are'} {n}.",
        ),
        (
            lambda: tune_maps.layout(found) is None,
            "A map of the score needs two settings that take few values, and a finished trial.",
        ),
        (
            lambda: not any(found.importances.values()),
            "Too few trials finished to say which setting matters.",
        ),
        (lambda: len(found.objectives) < _LEAST, "With one objective there is no front of compromises."),
        (lambda: not is_repeated(found), "No trial was repeated with other seeds."),
        (lambda: found.longer is None, "The chosen settings were not trained longer."),
    ]
    return [text for is_missing, text in conditions if is_missing()]


def _provenance(found: TuneResults) -> Mapping[str, object]:
    counts = {f"{name} events": f"{n:,}" for name, n in found.n_events_by_split.items()}
    search = {
        "method": found.method,
        "pruner": found.pruner,
        "training time, all together": f"{found.seconds:,.0f} s",
        "split hash": found.split_hash,
    }
    return {**search, **counts, **found.machine}
