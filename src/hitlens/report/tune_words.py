"""What a search found, in sentences: what was tried, what was chosen, how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hitlens.evaluate.study import VariantHead, primary_metrics
from hitlens.report.labels import metric_text, metric_title
from hitlens.report.tune_tables import seed_difference, seed_scores
from hitlens.report.tune_trials import (
    by_number,
    decimals,
    finished,
    fixed,
    of_stage,
    ranked,
    reached,
    settings_text,
    short_names,
    value_text,
    worst_of_last,
)
from hitlens.tune.results import Objective, TrialResult, TuneResults

_METHODS = {
    "grid": "a grid of every combination",
    "random": "settings drawn at random",
    "tpe": "settings proposed from the trials before (TPE)",
}


def what_was_tried(found: TuneResults) -> str:
    """Return how many trials of what there were and what became of them."""
    trials = of_stage(found, "search")
    names = short_names(found.parameters)
    searched = []
    for one in found.parameters:
        values = ", ".join(map(value_text, one.choices))
        ends = f"{value_text(one.low)} to {value_text(one.high)}" + (", logarithmic" if one.log else "")
        searched.append(f"{names[one.path]} ({values or ends})")
    states = _states(trials)
    method = _METHODS.get(found.method, found.method)
    return f"{_plural(len(trials), 'trial')}, {method}: {_listed(searched)}. {states}"


def _states(trials: Sequence[TrialResult]) -> str:
    counts = {state: sum(t.state == state for t in trials) for state in ("finished", "pruned", "failed")}
    words = {"finished": "finished", "pruned": "were ended early (pruned)", "failed": "failed"}
    if counts["finished"] == len(trials):
        text = "All finished" if len(trials) > 1 else "It finished" if trials else "None was begun"
    else:
        words["pruned"] = "was ended early (pruned)" if counts["pruned"] == 1 else words["pruned"]
        parts = [f"{n:,} {words[state]}" for state, n in counts.items() if n or state == "finished"]
        text = _listed(parts)
    n_resumed = sum(trial.n_resumed > 0 for trial in trials)
    resumed = (
        f"; {n_resumed:,} went on after {'its' if n_resumed == 1 else 'their'} process had died"
        if n_resumed
        else ""
    )
    return f"{text}{resumed}."


def what_they_were_judged_by(found: TuneResults) -> str:
    """Return the objectives and the events on which they are measured."""
    described = [f"{one.label} ({_better(one)})" for one in found.objectives]
    n_events = found.n_events_by_split.get("validation", 0)
    together = (
        " With several objectives there is no single best trial, but a front of trials that none other beats "
        f"in all of them: {_plural(len(found.best), 'trial')}."
        if len(found.objectives) > 1
        else ""
    )
    return f"Judged by {_listed(described)}, on {n_events:,} validation events.{together}"


def _better(objective: Objective) -> str:
    return "higher is better" if objective.higher_is_better else "lower is better"


def what_was_best(found: TuneResults) -> list[str]:
    """Return the best trial, and how many others it cannot be told from on these events."""
    objective, done = found.objectives[0], ranked(finished(found), found.objectives[0])
    if not done:
        return ["No trial finished, so there is nothing to choose from: read why they failed below."]
    best = done[0]
    n = decimals(reached(trial, objective.name) for trial in done)
    value = with_unit_after(fixed(reached(best, objective.name), n), objective.unit)
    text = (
        f"Best in the search: trial {best.number} ({settings_text(found, best)}), {objective.label} {value}"
    )
    worst = worst_of_last(best)
    if worst is not None and best.run is not None and best.run.stability.n_epochs > 1:
        extreme = "lowest" if found.higher_is_better else "highest"
        text += f", {extreme} of its last {best.run.stability.n_epochs} epochs {fixed(worst, n)}"
    texts = [f"{text}."]
    alike = _alike(done)
    return texts + ([alike] if alike else [])


def _alike(done: Sequence[TrialResult]) -> str:
    """Return how many trials are inside the interval of the best one's first number; "" where unknown."""
    best = done[0]
    if best.run is None or not best.run.heads or len(done) < 2:
        return ""
    head = best.run.heads[0]
    position = primary_metrics(head)[0]
    interval = head.metrics[position].interval
    if interval is None:
        return ""
    inside = sum(_inside(trial, head, position) for trial in done[1:])
    about = f"{head.task}, " if len(best.run.heads) > 1 else ""
    verb = "has its" if inside == 1 else "have their"
    return (
        f"Its {about}{metric_title(head.metrics[position])} is {metric_text(head.metrics[position])}; {inside:,} of "
        f"the {len(done) - 1:,} other finished trials {verb} value inside these brackets, which stand for the "
        "luck of which events there are."
    )


def _inside(trial: TrialResult, head: VariantHead, position: int) -> bool:
    interval = head.metrics[position].interval
    mine = next((one for one in trial.run.heads if one.task == head.task), None) if trial.run else None
    other = mine.metrics[position].interval if mine is not None else None
    return interval is not None and other is not None and interval.contains(other.value)


def what_was_chosen(found: TuneResults) -> list[str]:
    """Return which settings were chosen and why, how sure that is, and what longer training gave."""
    trials = by_number(found)
    if found.chosen is None or found.chosen not in trials:
        return ["No settings were chosen yet."] if finished(found) else []
    chosen = trials[found.chosen]
    reason = f" {found.reason}" if found.reason else ""
    texts = [f"Chosen: trial {chosen.number} ({settings_text(found, chosen)}).{reason}"]
    return [*texts, *how_sure(found), *_longer(found, chosen)]


def how_sure(found: TuneResults) -> list[str]:
    """Return the means over seeds, and which finalists differ by no more than the luck of the seeds."""
    objective = found.objectives[0]
    if not found.finalists:
        return [
            "Nothing was repeated with another seed: how much of the differences between the trials is the luck "
            "of one training is not known, and the best of many trials is partly the luckiest."
        ]
    scores = [seed_scores(found, one) for one in found.finalists]
    n = decimals([value for mine in scores for value in mine])
    means = [
        f"trial {one.trial} {fixed(one.mean, n)} \N{PLUS-MINUS SIGN} {fixed(one.spread, n)}"
        f" ({_plural(len(mine), 'seed')})"
        for one, mine in zip(found.finalists, scores, strict=True)
    ]
    texts = [
        f"Over seeds, mean \N{PLUS-MINUS SIGN} standard deviation of the {objective.label}: {_listed(means)}. "
        "The first seed of each is the one that made it a finalist, so these means are a little too good."
    ]
    return texts + _within_noise(found)


def _within_noise(found: TuneResults) -> list[str]:
    alike, apart, unknown = [], [], []
    for one in found.finalists[1:]:
        interval = seed_difference(found, one)
        group = unknown if interval is None else alike if interval.contains(0) else apart
        group.append(f"{one.trial}")
    level = f"{100 * found.level:g} %"
    texts = []
    if alike:
        texts.append(
            f"The chosen one and {_trials(alike)} differ by no more than the luck of their seeds ({level}): "
            "in this score they are alike, and the cheapest of them will do."
        )
    if apart:
        texts.append(
            f"From {_trials(apart)} the chosen one differs by more than the luck of the seeds ({level})."
        )
    if unknown:
        texts.append(f"With one seed there is no telling the chosen one from {_trials(unknown)}.")
    return texts


def _trials(numbers: Sequence[str]) -> str:
    return f"trial {numbers[0]}" if len(numbers) == 1 else f"trials {_listed(numbers)}"


def _longer(found: TuneResults, chosen: TrialResult) -> list[str]:
    longer = by_number(found).get(-1 if found.longer is None else found.longer)
    if longer is None or longer.run is None:
        return []
    objective = found.objectives[0]
    after, before = reached(longer, objective.name), reached(chosen, objective.name)
    n = decimals(reached(trial, objective.name) for trial in found.trials)
    n_epochs = len(longer.run.history.get("val_metric", ()))
    was = len(chosen.run.history.get("val_metric", ())) if chosen.run is not None else 0
    text = (
        f"Trained for {_plural(n_epochs, 'epoch')} instead of {was:,} it reaches {objective.label} "
        f"{fixed(after, n)} against {fixed(before, n)}"
    )
    if found.finalists and after is not None and found.finalists[0].spread > 0:
        mean, spread = found.finalists[0].mean, found.finalists[0].spread
        gain = (after - mean) * (1 if objective.higher_is_better else -1)
        size = "more" if abs(gain) > 2 * spread else "no more"
        word = "better" if gain > 0 else "worse"
        text += (
            f", {fixed(abs(gain), n)} {word} than the mean over its seeds: {size} than twice their standard "
            "deviation"
        )
    return [f"{text}."]


def how_to_evaluate(found: TuneResults) -> str:
    """Return that the test split was not read, and how to evaluate what was chosen."""
    trials = by_number(found)
    kept = trials.get(found.longer if found.longer is not None else found.chosen or 0)
    n = len([trial for trial in found.trials if trial.state == "finished"])
    folder = kept.folder if kept is not None and found.chosen is not None else "RUN"
    return (
        "The test split was not read. Every number here is from the validation split, on which the epochs and "
        f"the settings were chosen: the best of {_plural(n, 'training')} looks better there than it is. "
        f"Evaluate the one you keep, once, in the folder of this page: hitlens evaluate {folder}"
    )


def scatter_of_seeds(found: TuneResults) -> float | None:
    """Return the standard deviation of a single training over seeds, pooled over the finalists."""
    scores = [seed_scores(found, one) for one in found.finalists]
    variances = [(np.var(mine, ddof=1), len(mine) - 1) for mine in scores if len(mine) > 1]
    if not variances:
        return None
    return float(np.sqrt(sum(v * n for v, n in variances) / sum(n for _, n in variances)))


def with_unit_after(text: str, unit: str) -> str:
    """Return a number with its unit behind it, where it has one."""
    return f"{text} {unit}" if unit else text


def _listed(parts: Sequence[str]) -> str:
    """Join parts with commas and a last "and"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def _plural(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
