"""Plain functions that chain the stages: what the command line and a notebook call.

The only place where names of detectors, tasks, models and recipes become objects.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hitlens.config import load_config
    from hitlens.workflow.crossvalidation import cross_validate
    from hitlens.workflow.data import convert, iterate_events, open_writer, read_events
    from hitlens.workflow.evaluation import evaluate_run
    from hitlens.workflow.fetching import fetch
    from hitlens.workflow.inspection import inspect_files
    from hitlens.workflow.listing import list_runs
    from hitlens.workflow.prediction import open_model, predict_events
    from hitlens.workflow.prediction_files import predict_files, predict_to_file
    from hitlens.workflow.simulation import simulate, simulate_to_file, simulate_to_files
    from hitlens.workflow.studies import train_study
    from hitlens.workflow.summaries import summarise_layers
    from hitlens.workflow.training import train
    from hitlens.workflow.tuning import tune

__all__ = [
    "convert",
    "cross_validate",
    "evaluate_run",
    "fetch",
    "inspect_files",
    "iterate_events",
    "list_runs",
    "load_config",
    "open_model",
    "open_writer",
    "predict_events",
    "predict_files",
    "predict_to_file",
    "read_events",
    "simulate",
    "simulate_to_file",
    "simulate_to_files",
    "summarise_layers",
    "train",
    "train_study",
    "tune",
]

#: Where each function lives; imported at first use, so that reading a file needs no torch.
_HOMES = {
    "convert": "hitlens.workflow.data",
    "cross_validate": "hitlens.workflow.crossvalidation",
    "evaluate_run": "hitlens.workflow.evaluation",
    "fetch": "hitlens.workflow.fetching",
    "inspect_files": "hitlens.workflow.inspection",
    "iterate_events": "hitlens.workflow.data",
    "list_runs": "hitlens.workflow.listing",
    "load_config": "hitlens.config",
    "open_model": "hitlens.workflow.prediction",
    "open_writer": "hitlens.workflow.data",
    "predict_events": "hitlens.workflow.prediction",
    "predict_files": "hitlens.workflow.prediction_files",
    "predict_to_file": "hitlens.workflow.prediction_files",
    "read_events": "hitlens.workflow.data",
    "simulate": "hitlens.workflow.simulation",
    "simulate_to_file": "hitlens.workflow.simulation",
    "simulate_to_files": "hitlens.workflow.simulation",
    "summarise_layers": "hitlens.workflow.summaries",
    "train": "hitlens.workflow.training",
    "train_study": "hitlens.workflow.studies",
    "tune": "hitlens.workflow.tuning",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hitlens.workflow' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
