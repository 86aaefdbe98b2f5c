"""The layers of a model, of a run's network or of the one a recipe describes."""

from __future__ import annotations

from pathlib import Path

import torch

from hitlens.config import RunConfig, load_config
from hitlens.datasets.regions import shown_detector
from hitlens.detector import View
from hitlens.detectors import get_detector
from hitlens.models import build_network
from hitlens.models.layers import LayerTable, layer_table
from hitlens.workflow import runs
from hitlens.workflow.prediction import open_model
from hitlens.workflow.run_events import read_run_config


def summarise_layers(source: str | Path) -> LayerTable:
    """Return the layers of a network.

    Args:
        source: a model file, a run folder, or a recipe by name or file; of a study or a search the network
            that its runs share.

    Raises:
        ModelFileError: the model is damaged, foreign or from a newer version.
        NotFoundError: no such model, run or recipe.

    Examples:
        >>> table = summarise_layers("cebr/seed_grid_plain")
        >>> table.n_parameters, table.n_trainable
        (326081, 325249)
    """
    path = Path(source)
    if path.suffix == ".safetensors" or (path / runs.MODEL).is_file():
        model = open_model(path)
        preprocessing = model.card.preprocessing
        views = shown_detector(model.detector, preprocessing.regions).views
        return layer_table(model.network, _no_light(views, preprocessing.n_channels))
    recipe = read_run_config(path) if path.is_dir() else load_config(source)
    config = recipe if isinstance(recipe, RunConfig) else recipe.base
    detector = get_detector(config.detector)
    heads = detector.heads(detector.task(config.task))
    views = shown_detector(detector, config.model.regions).views
    n_channels = len(config.model.scaling)
    network = build_network(
        config.model.name, config.model.settings, views, n_channels, sum(head.n_outputs for head in heads)
    )
    return layer_table(network, _no_light(views, n_channels))


def _no_light(views: tuple[View, ...], n_channels: int) -> dict[str, torch.Tensor]:
    """Return network input of one empty event, by view."""
    return {view.name: torch.zeros(1, n_channels, *view.shape) for view in views}
