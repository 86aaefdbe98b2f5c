"""Names of metrics and quantities in words, for axes, tables and alternative texts."""

from __future__ import annotations

import re

from hitlens.evaluate.results import MetricResult
from hitlens.metrics.interval import Interval

#: Metric name in words.
METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "mcc": "MCC",
    "auc": "AUC",
    "average_precision": "average precision",
    "signal_efficiency": "signal efficiency",
    "background_rejection": "background rejection",
    "purity": "purity",
    "efficiency": "efficiency",
    "bias": "bias",
    "rmse": "rmse",
    "mae": "mae",
    "r2": "R²",
    "resolution": "resolution",
    "relative_bias": "relative bias",
    "relative_sd": "relative rms",
    "relative_resolution": "relative resolution",
}

#: What a metric means, one line.
MEANINGS = {
    "accuracy": "events given the right class",
    "balanced_accuracy": "mean over the classes of their fraction found",
    "f1": "harmonic mean of purity and signal efficiency",
    "mcc": "Matthews correlation coefficient of truth and prediction",
    "auc": "probability that a signal event scores above a background event",
    "average_precision": "mean purity over the signal events, each at the cut that just finds it",
    "signal_efficiency": "signal events called signal (recall)",
    "background_rejection": "background events not called signal",
    "purity": "signal among the events called signal (precision)",
    "bias": "mean of predicted minus true",
    "rmse": "root of the mean squared error",
    "mae": "mean absolute error",
    "r2": "fraction of the truth's variance that is predicted",
    "resolution": "half width of the central 68 % of predicted minus true",
    "relative_bias": "mean of predicted minus true over true",
    "relative_sd": "standard deviation of predicted minus true over true",
    "relative_resolution": "half width of the central 68 % of predicted minus true over true",
}

#: Method name in words.
METHODS = {"model": "model", "constant": "constant answer"}

_UNITS = ("mev", "gev", "px", "mm", "cm", "ns")


def metric_label(name: str) -> str:
    """Return a metric's name in words.

    Examples:
        >>> metric_label("r2"), metric_label("signal_efficiency")
        ('R²', 'signal efficiency')
    """
    return METRICS.get(name, name.replace("_", " "))


def metric_title(metric: MetricResult) -> str:
    """Return a metric's name in words, with the quantity it is about.

    Examples:
        >>> metric_title(MetricResult("rmse", None, "x_px, y_px")), metric_title(MetricResult("mcc", None))
        ('rmse of x and y', 'MCC')
    """
    about = f" of {column_label(metric.column)}" if metric.column else ""
    return f"{metric_label(metric.name)}{about}"


def monitor_label(monitor: str) -> str:
    """Return what a monitored score is, in words.

    Examples:
        >>> monitor_label("val_balanced_accuracy")
        'balanced accuracy'
    """
    return monitor.removeprefix("val_").replace("_", " ")


def method_label(name: str) -> str:
    """Return a method's name in words.

    Examples:
        >>> method_label("likelihood_fit")
        'likelihood fit'
    """
    return METHODS.get(name, name.replace("_", " "))


def column_label(column: str) -> str:
    """Return a truth column's name in words, without its unit and member number.

    Examples:
        >>> column_label("x_1_px, y_1_px"), column_label("energy_1_mev, energy_2_mev"), column_label("n_hits")
        ('x and y', 'energy', 'n hits')
    """
    words = []
    for name in column.split(", "):
        parts = [part for part in name.split("_") if not part.isdigit()]
        if len(parts) > 1 and parts[-1] in _UNITS:
            parts = parts[:-1]
        words.append(" ".join(parts))
    return " and ".join(dict.fromkeys(words))


def with_unit(text: str, unit: str) -> str:
    """Return a label with its unit in brackets, where it has one.

    Examples:
        >>> with_unit("energy", "MeV"), with_unit("accuracy", "")
        ('energy [MeV]', 'accuracy')
    """
    return f"{text} [{unit}]" if unit else text


def axis_label(axis: str) -> str:
    """Return the label of an axis of an image; one named by a letter is a coordinate in pixels.

    Examples:
        >>> axis_label("x"), axis_label("plane"), axis_label("x_cell")
        ('x [px]', 'plane', 'x cell')
    """
    return with_unit(axis, "px") if len(axis) == 1 else axis.replace("_", " ")


def file_name(*parts: str) -> str:
    """Return a name for a file from names of heads, classes and metrics.

    Examples:
        >>> file_name("flavour", "numu CC", "against", "nu_energy")
        'flavour_numu_cc_against_nu_energy'
    """
    return "_".join(filter(None, (re.sub(r"[^a-z0-9]+", "_", part.lower()).strip("_") for part in parts)))


def interval_text(interval: Interval | None) -> str:
    """Return a value with its interval, a dash where there is none.

    Examples:
        >>> interval_text(Interval(0.98662, 0.9855, 0.9877)), interval_text(None)
        ('0.9866 [0.9855, 0.9877]', '-')
    """
    return "-" if interval is None else str(interval)


def metric_text(metric: MetricResult) -> str:
    """Return a metric's value with interval and unit; a dash, and why, where it is not defined.

    Examples:
        >>> metric_text(MetricResult("auc", None, reason="no events"))
        '- (no events)'
    """
    if metric.interval is None:
        return f"- ({metric.reason})" if metric.reason else "-"
    return interval_text(metric.interval) + (f" {metric.unit}" if metric.unit else "")


def split_words(split: str) -> str:
    """Return which events a split is, in words.

    Examples:
        >>> split_words("test"), split_words("none")
        ('the test split', 'events that had no part in the training')
    """
    return "events that had no part in the training" if split == "none" else f"the {split} split"
