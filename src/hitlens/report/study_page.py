"""Study results -> one HTML page: the question, the answer with its intervals, how each variant trained."""

from __future__ import annotations

from collections.abc import Mapping

from hitlens.evaluate.results import MetricResult
from hitlens.evaluate.study import StudyResults, VariantHead, VariantResult, primary_metric
from hitlens.report import study_figures
from hitlens.report.drawn import DrawnFigure
from hitlens.report.embed import figure_to_bytes
from hitlens.report.labels import column_label, metric_label, metric_text
from hitlens.report.render import render
from hitlens.report.tables import Cell, Table, provenance_table, table, verdict

#: Metrics of a head that its answer table shows; the rest is in study.json and in each run's report.
_SHOWN = ("accuracy", "auc", "mcc", "rmse", "mae", "r2")

#: Digits of a hash that tell weights apart.
_N_DIGITS = 8

_MINUS = "\N{MINUS SIGN}"


def render_study(study: StudyResults) -> str:
    """Return the page of a study.

    Args:
        study: its results.
    """
    metric_name = study.monitor.removeprefix("val_").replace("_", " ")
    return render(
        "study.html",
        title=study.title,
        question=study.question,
        subtitle=_subtitle(study),
        answers=[text for head in range(len(study.variants[0].heads)) for text in answers(study, head)],
        answer_tables=[answer_table(study, head) for head in range(len(study.variants[0].heads))],
        level=f"{100 * study.level:g} %",
        n_bootstrap=study.n_bootstrap,
        weights=weights_sentence(study.variants),
        training_table=training_table(study, metric_name),
        training=training_figures(study, metric_name),
        inputs=input_figures(study),
        differences=settings_table(study.variants),
        provenance=provenance_table(_provenance(study)),
        settings=study.settings,
    )


def _subtitle(study: StudyResults) -> str:
    counts = study.n_events_by_split
    return (
        f"{len(study.variants)} variants of {study.detector} / {study.task}, trained on the same "
        f"{counts.get('train', 0):,} events and compared on the same {counts.get('validation', 0):,} events "
        "of the validation split."
    )


def answers(study: StudyResults, head: int) -> list[str]:
    """Return what the study says of one head, one sentence a variant that is set beside the first.

    Args:
        study: its results.
        head: position of the head.
    """
    first = study.variants[0]
    found = []
    for variant in study.variants[1:]:
        mine = variant.heads[head]
        position = primary_metric(mine)
        difference = mine.differences[position]
        values = (
            f"{_metric_label(difference)} {metric_text(mine.metrics[position])} against "
            f"{metric_text(first.heads[head].metrics[position])}, difference {metric_text(difference)}"
        )
        about = f"{mine.task}: " if len(first.heads) > 1 else ""
        word = {"good": "is better than", "bad": "is worse than"}.get(verdict(difference))
        if word:
            found.append(f"{about}{variant.name} {word} {first.name}: {values}.")
        else:
            pair = f"{variant.name} and {first.name}"
            found.append(f"{about}{pair} do not differ beyond the interval: {values}.")
    return found


def answer_table(study: StudyResults, head: int) -> Table:
    """Return the numbers of one head: each metric of each variant, and its difference to the first.

    Args:
        study: its results.
        head: position of the head.
    """
    first = study.variants[0]
    task = first.heads[head].task
    rows: list[list[str | Cell]] = []
    for position in _positions(first.heads[head]):
        for number, variant in enumerate(study.variants):
            mine = variant.heads[head]
            label = _metric_label(mine.metrics[position]) if number == 0 else ""
            difference: str | Cell = ""
            if mine.differences:
                one = mine.differences[position]
                difference = Cell(metric_text(one), verdict(one))
            rows.append([label, variant.name, metric_text(mine.metrics[position]), difference])
        constant = study.constants.get(task, ())
        if constant:
            rows.append(["", "constant answer", metric_text(constant[position]), ""])
    caption = f"{task}: {first.heads[head].n_events:,} events of the validation split"
    columns = ["metric", "variant", "value", f"variant {_MINUS} {first.name}, same resampled events"]
    return table(caption, columns, rows, numeric=2)


def _positions(head: VariantHead) -> list[int]:
    """Return the metrics to show: of components with one unit only those of all of them together."""
    together = [metric.column for metric in head.metrics if ", " in metric.column]
    pooled = {name for column in together for name in column.split(", ")}
    return [
        position
        for position, metric in enumerate(head.metrics)
        if metric.name in _SHOWN and metric.column not in pooled
    ]


def _metric_label(metric: MetricResult) -> str:
    about = f" of {column_label(metric.column)}" if metric.column else ""
    return f"{metric_label(metric.name)}{about}"


def training_table(study: StudyResults, metric_name: str) -> Table:
    """Return how each variant trained: best epoch, the swing of the last ones, time and size.

    Args:
        study: its results.
        metric_name: what the monitored score is, in words.
    """
    n_last = max(variant.stability.n_epochs for variant in study.variants)
    extreme = "lowest" if study.higher_is_better else "highest"
    rows = []
    for one in study.variants:
        best = one.history["val_metric"][one.best_epoch]
        swing = one.stability
        rows.append(
            [
                one.name,
                f"{one.best_epoch + 1} of {len(one.history['val_metric'])}",
                "undefined" if best is None else f"{best:.5g}",
                f"{swing.worst:.5g}",
                f"{swing.below_best:.3g}",
                f"{swing.spread:.3g}",
                f"{one.seconds:,.0f} s",
                f"{one.n_parameters:,}",
                one.initial_weights[:_N_DIGITS],
            ]
        )
    last = f"last {n_last}" if n_last > 1 else "last"
    columns = ["variant", "best epoch", metric_name, f"{extreme} of {last}", "off the best by"]
    columns += ["spread", "time", "parameters", "first weights"]
    caption = f"Validation {metric_name} at the best epoch and over the {last} epochs, and what it cost"
    return table(caption, columns, rows)


def weights_sentence(variants: tuple[VariantResult, ...]) -> str:
    """Return which variants began with the same weights, one sentence."""
    groups: dict[str, list[str]] = {}
    for variant in variants:
        groups.setdefault(variant.initial_weights, []).append(variant.name)
    if len(groups) == 1:
        return "All variants began with the same initial weights."
    shared = [" and ".join(names) for names in groups.values() if len(names) > 1]
    if not shared:
        return "The variants' networks differ, so each began with initial weights of its own."
    return f"The same initial weights had {'; '.join(shared)}. Other networks began with their own."


def settings_table(variants: tuple[VariantResult, ...]) -> Table:
    """Return the settings in which the variants differ, one column a variant."""
    keys = list(dict.fromkeys(key for variant in variants for key in variant.settings))
    rows = [[key, *(variant.settings.get(key, "") for variant in variants)] for key in keys]
    columns = ["setting", *(variant.name for variant in variants)]
    return table("All other settings are the same", columns, rows, numeric=99)


def training_figures(study: StudyResults, metric_name: str) -> tuple[DrawnFigure, ...]:
    """Draw the monitored score and the losses of all variants.

    Args:
        study: its results.
        metric_name: what the monitored score is, in words.
    """
    swings = "; ".join(
        f"{one.name} best {one.history['val_metric'][one.best_epoch]} in epoch {one.best_epoch + 1}"
        for one in study.variants
    )
    metric = DrawnFigure(
        "metric",
        figure_to_bytes(study_figures.metric_curves(study, metric_name)),
        "svg",
        f"Validation {metric_name} against the epoch; circles mark the epochs whose weights were kept. "
        "Right: the better half of all epochs, enlarged.",
        f"Validation {metric_name} of every variant against the epoch: {swings}.",
        wide=True,
    )
    last = "; ".join(
        f"{one.name} {one.history['train_loss'][-1]} in training, {one.history['val_loss'][-1]} in validation"
        for one in study.variants
    )
    losses = DrawnFigure(
        "losses",
        figure_to_bytes(study_figures.loss_curves(study)),
        "svg",
        "Loss on the training split, with dropout and augmentation, and on the validation split without.",
        f"Losses of every variant against the epoch; in the last epoch {last}.",
        wide=True,
    )
    return metric, losses


def input_figures(study: StudyResults) -> tuple[DrawnFigure, ...]:
    """Draw what the networks are given, none where the study does not know it."""
    panels = study_figures.input_panels(study.variants)
    if not panels:
        return ()
    ranges = "; ".join(f"{title} from {one.edges[0]:g} to {one.edges[-1]:g}" for title, one in panels)
    return (
        DrawnFigure(
            "inputs",
            figure_to_bytes(study_figures.input_histograms(panels)),
            "svg",
            "Scaled pixels of the training events, as the network sees them, before augmentation; the count "
            "is logarithmic, and a bin without pixels is at the bottom.",
            f"Histograms of the scaled input pixels: {ranges}.",
            wide=True,
        ),
    )


def _provenance(study: StudyResults) -> Mapping[str, object]:
    counts = {f"{name} events": f"{n:,}" for name, n in study.n_events_by_split.items()}
    return {"split hash": study.split_hash, **counts, **study.machine}
