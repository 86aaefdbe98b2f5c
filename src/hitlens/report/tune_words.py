"""What a search found, in sentences: what was tried, what was chosen, how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hitlens.evaluate.study import VariantHead, primary_metrics
from hitlens.report.labels import metric_text, metric_title
from hitlens.report.tune_seeds import is_repeated, scatter_of_seeds, seed_difference
from hitlens.report.tune_trials import (
    by_number,
    finished,
    fixed,
    of_stage,
    range_text,
    ranked,
    reached,
    score_decimals,
    settings_text,
    short_names,
    worst_of_last,
)
from hitlens.tune.results import Objective, TrialResult, TuneResults

_METHODS = {
    "grid": "a grid of every combination of",
    "random": "with settings drawn at random:",
    "tpe": "with settings proposed from the trials before (TPE):",
}

#: Trainings closer than this many standard deviations of their difference are not told apart.
_APART = 2.0


def summary(found: TuneResults) -> list[str]:
    """Return what a search found, one paragraph each: what was tried, the best, the chosen, how sure."""
    paragraphs = [
        [what_was_tried(found), what_they_were_judged_by(found)],
        [what_was_best(found), how_many_are_alike(found)],
        [what_was_chosen(found), *means_over_seeds(found)],
        [what_longer_training_gave(found)],
    ]
    return [text for parts in paragraphs if (text := " ".join(filter(None, parts)))]


def what_was_tried(found: TuneResults) -> str:
    """Return how many trials of what there were and what became of them."""
    trials = of_stage(found, "search")
    names = short_names(found.parameters)
    searched = [f"{names[one.path]} ({range_text(one)})" for one in found.parameters]
    method = _METHODS.get(found.method, found.method)
    seconds = f" All trainings together took {duration_text(found.seconds)}." if found.seconds > 0 else ""
    return f"{_plural(len(trials), 'trial')}, {method} {_listed(searched)}. {_states(trials)}{seconds}"


def _states(trials: Sequence[TrialResult]) -> str:
    counts = {state: sum(t.state == state for t in trials) for state in ("finished", "pruned", "failed")}
    if counts["finished"] == len(trials):
        text = "All finished" if len(trials) > 1 else "It finished" if trials else "None was begun"
    else:
        pruned = "was ended early" if counts["pruned"] == 1 else "were ended early"
        words = {"finished": "finished", "pruned": f"{pruned} because others were better", "failed": "failed"}
        text = _listed([f"{n:,} {words[state]}" for state, n in counts.items() if n or state == "finished"])
    n_resumed = sum(trial.n_resumed > 0 for trial in trials)
    whose = "its" if n_resumed == 1 else "their"
    resumed = f"; {n_resumed:,} went on after {whose} process had died" if n_resumed else ""
    return f"{text}{resumed}."


def duration_text(seconds: float) -> str:
    """Return a time as a reader takes it in.

    Examples:
        >>> duration_text(59.4), duration_text(1234.0), duration_text(9876.0)
        ('59 s', '21 min', '2.7 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def what_they_were_judged_by(found: TuneResults) -> str:
    """Return the objectives and the events on which they are measured."""
    described = [f"{one.label} ({better(one)})" for one in found.objectives]
    n_events = found.n_events_by_split.get("validation", 0)
    front = (
        " Of several objectives no trial need be the best in all: "
        f"{_plural(len(found.best), 'trial')} {'is' if len(found.best) == 1 else 'are'} beaten by no other "
        "one in "
        "all of them at once."
        if len(found.objectives) > 1 and found.best
        else ""
    )
    return f"Judged by {_listed(described)}, on {n_events:,} validation events.{front}"


def better(objective: Objective) -> str:
    """Return which way is better, in words."""
    return "higher is better" if objective.higher_is_better else "lower is better"


def what_was_best(found: TuneResults) -> str:
    """Return the trial with the best score in the search."""
    objective, done = found.objectives[0], ranked(finished(found), found.objectives[0])
    if not done:
        return "No trial finished, so there is nothing to choose from."
    best, n = done[0], score_decimals(found)
    value = _with_unit(fixed(reached(best, objective.name), n), objective)
    text = f"Best {objective.label}: trial {best.number} ({settings_text(found, best)}) with {value}"
    worst = worst_of_last(best)
    if worst is not None and best.run is not None and best.run.stability.n_epochs > 1:
        extreme = "lowest" if found.higher_is_better else "highest"
        text += f", the {extreme} of its last {best.run.stability.n_epochs} epochs {fixed(worst, n)}"
    return f"{text}."


def how_many_are_alike(found: TuneResults) -> str:
    """Return how many trials are inside the interval of the best one's first number; "" where unknown."""
    done = ranked(finished(found), found.objectives[0])
    if len(done) < 2 or done[0].run is None or len(done[0].run.heads) != 1:
        return ""
    head = done[0].run.heads[0]
    position = primary_metrics(head)[0]
    if head.metrics[position].interval is None:
        return ""
    inside = sum(_inside(trial, head, position) for trial in done[1:])
    verb = "has its value" if inside == 1 else "have theirs"
    return (
        f"Its {metric_title(head.metrics[position])} is {metric_text(head.metrics[position])}; {inside:,} of "
        "the "
        f"{len(done) - 1:,} other finished trials {verb} inside these brackets, the luck of which events "
        "there are."
    )


def _inside(trial: TrialResult, head: VariantHead, position: int) -> bool:
    interval = head.metrics[position].interval
    mine = next((one for one in trial.run.heads if one.task == head.task), None) if trial.run else None
    other = mine.metrics[position].interval if mine is not None else None
    return interval is not None and other is not None and interval.contains(other.value)


def what_was_chosen(found: TuneResults) -> str:
    """Return which settings were chosen and why."""
    chosen = by_number(found).get(-1 if found.chosen is None else found.chosen)
    if chosen is None:
        return "No settings were chosen yet." if finished(found) else ""
    reason = f" {found.reason}" if found.reason else ""
    return f"Chosen: trial {chosen.number} ({settings_text(found, chosen)}).{reason}"


def means_over_seeds(found: TuneResults) -> list[str]:
    """Return the means over seeds, and which trials differ by no more than the luck of the seeds."""
    if not finished(found):
        return []
    if not is_repeated(found):
        return [
            "Nothing was repeated with another seed: how much of the differences between the trials is the "
            "luck of one training is not known, and the best of many is partly the luckiest."
        ]
    objective, n = found.objectives[0], score_decimals(found)
    means = [
        f"trial {one.trial}: {fixed(one.mean, n)} \N{PLUS-MINUS SIGN} {fixed(one.spread, n)}"
        for one in found.finalists
    ]
    n_seeds = max(len(one.trials) for one in found.finalists)
    text = (
        f"Mean \N{PLUS-MINUS SIGN} standard deviation of the {objective.label} over "
        f"{_plural(n_seeds, 'seed')}: "
        f"{_listed(means)}; the first seed is the one that made them finalists, so the means are a little "
        "too good."
    )
    return [text, *_told_apart(found), *_scatter(found)]


def _told_apart(found: TuneResults) -> list[str]:
    alike: list[str] = []
    apart: list[str] = []
    unknown: list[str] = []
    for one in found.finalists[1:]:
        interval = seed_difference(found, one)
        group = unknown if interval is None else alike if interval.contains(0) else apart
        group.append(f"{one.trial}")
    level = f"{100 * found.level:g} %"
    texts = []
    if alike:
        texts.append(
            f"The chosen one and {_trials(alike)} differ by no more than the luck of their seeds ({level}): "
            "in this "
            "score they are alike."
        )
    if apart:
        texts.append(f"From {_trials(apart)} it differs by more than the luck of the seeds ({level}).")
    if unknown:
        texts.append(f"With so few seeds there is no telling it from {_trials(unknown)}.")
    return texts


def _scatter(found: TuneResults) -> list[str]:
    """Return how close to the best a single training may be by luck, and how many are."""
    scatter, done = scatter_of_seeds(found), ranked(finished(found), found.objectives[0])
    if not scatter or len(done) < 2:
        return []
    name = found.objectives[0].name
    near = _APART * math.sqrt(2) * scatter
    best = reached(done[0], name) or 0.0
    n_near = sum(abs(best - (reached(trial, name) or 0.0)) <= near for trial in done[1:])
    return [
        f"One training scatters by {scatter:.2g} from seed to seed, so two trials closer than about "
        f"{near:.2g} are not told apart by one training each: {n_near:,} of the {len(done) - 1:,} "
        "others are "
        "that close to the best."
    ]


def what_longer_training_gave(found: TuneResults) -> str:
    """Return what training the chosen settings longer gave; "" where that was not done."""
    trials = by_number(found)
    longer = trials.get(-1 if found.longer is None else found.longer)
    chosen = trials.get(-1 if found.chosen is None else found.chosen)
    if longer is None or chosen is None:
        return ""
    objective, n = found.objectives[0], score_decimals(found)
    after, before = reached(longer, objective.name), reached(chosen, objective.name)
    if longer.state == "failed" or after is None:
        return f"Training the chosen settings longer failed: {longer.error or 'no reason recorded'}"
    epochs = f"{_plural(n_epochs(longer), 'epoch')} instead of {n_epochs(chosen):,}"
    text = (
        f"Trained for {epochs}, the chosen settings reach "
        f"{_with_unit(fixed(after, n), objective)} against {fixed(before, n)}"
    )
    scatter = scatter_of_seeds(found)
    if scatter and found.finalists:
        mean = found.finalists[0].mean
        gain = (after - mean) * (1 if objective.higher_is_better else -1)
        beyond = "more than" if abs(gain) > _APART * scatter else "within"
        text += (
            f"; that is {fixed(abs(gain), n)} {'better' if gain > 0 else 'worse'} than the mean over the "
            "seeds, "
            f"{beyond} twice the scatter of one training"
        )
    return f"{text}."


def n_epochs(trial: TrialResult) -> int:
    """Return how many epochs a trial was trained."""
    return 0 if trial.run is None else len(trial.run.history.get("val_metric", ()))


def reading_note(found: TuneResults) -> str:
    """Return that the test split was not read, and what the numbers of the best are worth."""
    n = sum(trial.state == "finished" for trial in found.trials)
    of_many = f": the best of {n:,} trainings looks better there than it is" if n > 1 else ""
    return (
        "The test split was not read. Every number here is from the validation split, on which the epochs "
        "and the "
        f"settings were chosen{of_many}. Evaluate the one you keep on the test split, once, in the folder of "
        "this "
        "page:"
    )


def evaluate_command(found: TuneResults) -> str:
    """Return how to evaluate what is kept: the longer training, else the chosen trial."""
    trials = by_number(found)
    for number in (found.longer, found.chosen):
        kept = None if number is None else trials.get(number)
        if kept is not None and kept.state == "finished":
            return f"hitlens evaluate {kept.folder}"
    return "hitlens evaluate FOLDER"


def _with_unit(text: str, objective: Objective) -> str:
    return f"{text} {objective.unit}" if objective.unit else text


def _trials(numbers: Sequence[str]) -> str:
    return f"trial {numbers[0]}" if len(numbers) == 1 else f"trials {_listed(numbers)}"


def _listed(parts: Sequence[str]) -> str:
    """Join parts with commas and a last "and"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def _plural(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
