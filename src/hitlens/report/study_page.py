"""Study results -> one HTML page: the question, the answer with its intervals, how each variant trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hitlens.evaluate.results import SliceResult
from hitlens.evaluate.study import StudyResults, VariantResult, is_uneven, primary_metrics
from hitlens.report import study_figures
from hitlens.report.drawn import DrawnFigure, as_drawn
from hitlens.report.labels import metric_label, metric_text, metric_title, monitor_label
from hitlens.report.render import render
from hitlens.report.seed_spread import SHOWN, is_of_seeds, spread_sentences, spread_table
from hitlens.report.slice_figures import Panel, slice_panels
from hitlens.report.tables import Cell, Table, overall_metrics, provenance_table, table, verdict

#: Metrics drawn against a quantity: of these groups the first of which there are any.
_SLICED = (
    ("signal_efficiency", "background_rejection"),
    ("accuracy",),
    ("relative_resolution", "relative_bias"),
    ("resolution", "bias"),
)

#: Digits of a hash that tell weights apart.
_N_DIGITS = 8

_MINUS = "\N{MINUS SIGN}"


def render_study(study: StudyResults) -> str:
    """Return the page of a study.

    Args:
        study: its results.
    """
    metric_name, higher = monitor_label(study.monitor), study.higher_is_better
    heads, of_seeds = range(len(study.variants[0].heads)), is_of_seeds(study.variants)
    return render(
        "study.html",
        title=study.title,
        question=study.question,
        subtitle=_subtitle(study),
        answers=[text for head in heads for text in (answers, spread_sentences)[of_seeds](study, head)],
        spread_tables=[spread_table(study, head) for head in heads] if of_seeds else [],
        of_seeds=of_seeds,
        answer_tables=[answer_table(study, head) for head in heads],
        level=f"{100 * study.level:g} %",
        n_bootstrap=study.n_bootstrap,
        weights=weights_sentence(study.variants),
        warning=reading_warning(study),
        notes=[text for head in heads for text in constant_notes(study, head)],
        slices=slice_figures(study),
        split=study.split,
        training_table=training_table(study.variants, metric_name, higher),
        training=training_figures(study.variants, metric_name, higher),
        inputs=input_figures(study),
        differences=settings_table(study.variants),
        provenance=provenance_table(_provenance(study)),
        settings=study.settings,
    )


def _subtitle(study: StudyResults) -> str:
    counts = study.n_events_by_split
    shown = {one.n_train for one in study.variants} - {0} or {counts.get("train", 0)}
    events = (
        f"the same {shown.pop():,} events"
        if len(shown) == 1
        else f"{min(shown):,} to {max(shown):,} events of one training split"
    )
    return (
        f"{len(study.variants)} variants of {study.detector} / {study.task}, trained on {events} and "
        f"compared on the same {counts.get(study.split, 0):,} events of the {study.split} split, at their "
        "natural prevalence."
    )


def reading_warning(study: StudyResults) -> str:
    """Return what a reader must know of the split the variants were compared on.

    Args:
        study: its results.
    """
    if study.split != "test":
        return (
            "No number here is from the test split: choosing on it is not allowed, because the number of the "
            "chosen variant would be too good. Evaluate the run you keep once: hitlens evaluate RUN. On the "
            "validation split each variant's best epoch was chosen, so these values are a little better than "
            "on new events."
        )
    listed = ", ".join(f"{one.when[:16].replace('T', ' ')} (by {one.by})" for one in study.readings)
    again = (
        f" It was read {len(study.readings)} times: {listed}."
        if len(study.readings) > 1
        else f" Read {listed}."
    )
    return (
        "These numbers are from the test split, for a question of physics. To keep the variant that is best "
        f"here and quote its number would be choosing on the test split: that number is too good.{again}"
    )


def constant_notes(study: StudyResults, head: int) -> list[str]:
    """Return what accuracy is worth where one class has most of the events, one sentence or none.

    Args:
        study: its results.
        head: position of the head.
    """
    one = study.variants[0].heads[head]
    constants = {m.name: m for m in study.constants.get(one.task, ()) if not m.column}
    if not is_uneven(one) or "accuracy" not in constants or "balanced_accuracy" not in constants:
        return []
    name = one.class_names[one.class_counts.index(max(one.class_counts))]
    return [
        f"{one.task}: {max(one.class_counts):,} of {sum(one.class_counts):,} events are {name}. Calling all "
        f"of them so, without a look at the images, has accuracy {metric_text(constants['accuracy'])} and "
        f"balanced accuracy {metric_text(constants['balanced_accuracy'])}: judge by balanced accuracy, AUC, "
        "efficiency and purity."
    ]


def answers(study: StudyResults, head: int) -> list[str]:
    """Return what the study says of one head, one sentence a variant that is set beside the first.

    Args:
        study: its results.
        head: position of the head.
    """
    first = study.variants[0]
    return [
        _answer(study, head, variant, position)
        for variant in study.variants[1:]
        for position in primary_metrics(first.heads[head])
    ]


def _answer(study: StudyResults, head: int, variant: VariantResult, position: int) -> str:
    first, mine = study.variants[0], variant.heads[head]
    difference = mine.differences[position]
    values = (
        f"{metric_title(difference)} {metric_text(mine.metrics[position])} against "
        f"{metric_text(first.heads[head].metrics[position])}, difference {metric_text(difference)}"
    )
    about = f"{mine.task}: " if len(first.heads) > 1 else ""
    word = {"good": "is better than", "bad": "is worse than"}.get(verdict(difference))
    if word:
        return f"{about}{variant.name} {word} {first.name}: {values}."
    return f"{about}{variant.name} and {first.name} do not differ beyond the interval: {values}."


def answer_table(study: StudyResults, head: int) -> Table:
    """Return the numbers of one head: each metric of each variant, and its difference to the first.

    Args:
        study: its results.
        head: position of the head.
    """
    first = study.variants[0]
    task = first.heads[head].task
    rows: list[list[str | Cell]] = []
    for position in sorted(overall_metrics(first.heads[head], SHOWN)):
        for number, variant in enumerate(study.variants):
            mine = variant.heads[head]
            label = metric_title(mine.metrics[position]) if number == 0 else ""
            difference: str | Cell = ""
            if mine.differences:
                one = mine.differences[position]
                difference = Cell(metric_text(one), verdict(one))
            rows.append([label, variant.name, metric_text(mine.metrics[position]), difference])
        constant = study.constants.get(task, ())
        if constant:
            rows.append(["", "constant answer", metric_text(constant[position]), ""])
    caption = f"{task}: {first.heads[head].n_events:,} events of the {study.split} split"
    columns = ["metric", "variant", "value", f"variant {_MINUS} {first.name}, same resampled events"]
    return table(caption, columns, rows, numeric=2)


def training_table(variants: Sequence[VariantResult], metric_name: str, higher_is_better: bool) -> Table:
    """Return how each variant trained: best epoch, the swing of the last ones, time and size.

    Args:
        variants: with their histories.
        metric_name: what the monitored score is, in words.
        higher_is_better: of that score.
    """
    n_last = max(variant.stability.n_epochs for variant in variants)
    extreme = "lowest" if higher_is_better else "highest"
    rows = []
    for one in variants:
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
    if is_of_seeds(variants):
        return "Each variant began with initial weights of its own, drawn from its seed."
    if not shared:
        return "The variants' networks differ, so each began with initial weights of its own."
    return f"The same initial weights had {'; '.join(shared)}. Other networks began with their own."


def settings_table(variants: tuple[VariantResult, ...]) -> Table:
    """Return the settings in which the variants differ, one column a variant."""
    keys = list(dict.fromkeys(key for variant in variants for key in variant.settings))
    rows = [[key, *(variant.settings.get(key, "") for variant in variants)] for key in keys]
    columns = ["setting", *(variant.name for variant in variants)]
    return table("All other settings are the same", columns, rows, numeric=99)


def training_figures(
    variants: Sequence[VariantResult], metric_name: str, higher_is_better: bool
) -> tuple[DrawnFigure, ...]:
    """Draw the monitored score and the losses of all variants.

    Args:
        variants: with their histories.
        metric_name: what the monitored score is, in words.
        higher_is_better: of that score.
    """
    swings = "; ".join(
        f"{one.name} best {one.history['val_metric'][one.best_epoch]} in epoch {one.best_epoch + 1}"
        for one in variants
    )
    metric = as_drawn(
        "metric",
        study_figures.metric_curves(variants, metric_name, higher_is_better),
        f"Validation {metric_name} against the epoch; circles mark the epochs whose weights were kept. "
        "Right: the better half of all epochs, enlarged.",
        f"Validation {metric_name} of every variant against the epoch: {swings}.",
        wide=True,
    )
    last = "; ".join(
        f"{one.name} {one.history['train_loss'][-1]} in training, {one.history['val_loss'][-1]} in validation"
        for one in variants
    )
    losses = as_drawn(
        "losses",
        study_figures.loss_curves(variants),
        "Loss on the training split, with dropout and augmentation, and on the validation split without.",
        f"Losses of every variant against the epoch; in the last epoch {last}.",
        wide=True,
    )
    return metric, losses


def slice_figures(study: StudyResults) -> tuple[DrawnFigure, ...]:
    """Draw the variants against the quantities asked for, all of them in each panel.

    Args:
        study: its results.
    """
    found = []
    for number, head in enumerate(study.variants[0].heads):
        lines = [
            replace(one, method=variant.name, method_label=variant.name)
            for variant in study.variants
            for one in variant.heads[number].slices
        ]
        for variable in dict.fromkeys(one.variable for one in lines):
            panels = _panels([one for one in lines if one.variable == variable])
            if panels:
                found.append(_slice_figure(head.task, variable, panels))
    return tuple(found)


def _panels(lines: list[SliceResult]) -> list[Panel]:
    groups: dict[tuple[str, str], list[SliceResult]] = {}
    for one in lines:
        groups.setdefault((one.metric, one.column), []).append(one)
    named = {metric for metric, _ in groups}
    for wanted in _SLICED:
        if set(wanted) & named:
            return [Panel(tuple(group)) for key, group in groups.items() if key[0] in wanted]
    return []


def _slice_figure(task: str, variable: str, panels: list[Panel]) -> DrawnFigure:
    first = panels[0].slices[0]
    values = "; ".join(
        f"{metric_label(one.metric)} of {one.method_label} "
        + ", ".join("none" if value is None else f"{value.value:.3g}" for value in one.values)
        for panel in panels
        for one in panel.slices
    )
    return as_drawn(
        f"{task}_against_{variable}",
        slice_panels(panels),
        f"{task} against {first.label}: all variants, each with its intervals; below, the number of events.",
        f"{task} against {first.label}, by bin: {values}.",
        wide=len(panels) > 1,
    )


def input_figures(study: StudyResults) -> tuple[DrawnFigure, ...]:
    """Draw what the networks are given, none where the study does not know it."""
    panels = study_figures.input_panels(study.variants)
    if not panels:
        return ()
    ranges = "; ".join(f"{title} from {one.edges[0]:g} to {one.edges[-1]:g}" for title, one in panels)
    return (
        as_drawn(
            "inputs",
            study_figures.input_histograms(panels),
            "Scaled pixels of the training events, as the network sees them, before augmentation; the count "
            "is logarithmic, and a bin without pixels is at the bottom.",
            f"Histograms of the scaled input pixels: {ranges}.",
            wide=True,
        ),
    )


def _provenance(study: StudyResults) -> Mapping[str, object]:
    counts = {f"{name} events": f"{n:,}" for name, n in study.n_events_by_split.items()}
    return {"split hash": study.split_hash, **counts, **study.machine}
