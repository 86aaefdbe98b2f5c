"""Network architectures, one file each, and the one-file trained model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from torch import nn

from hitlens.detector import View
from hitlens.errors import ConfigError, NotFoundError, choose_from
from hitlens.models.dense import Dense, DenseConfig, Logistic, LogisticConfig
from hitlens.models.plain_cnn import PlainCnn, PlainCnnConfig
from hitlens.models.residual_cnn import ResidualCnn, ResidualCnnConfig
from hitlens.models.two_branch_cnn import TwoBranchCnn, TwoBranchCnnConfig

__all__ = [
    "MODELS",
    "Architecture",
    "Dense",
    "DenseConfig",
    "Logistic",
    "LogisticConfig",
    "PlainCnn",
    "PlainCnnConfig",
    "ResidualCnn",
    "ResidualCnnConfig",
    "TwoBranchCnn",
    "TwoBranchCnnConfig",
    "build_network",
    "check_settings",
]


@dataclass(frozen=True)
class Architecture:
    """A network class with the class of its settings.

    Attributes:
        n_axes: how many axes the views may have: 2 for flat ones, 3 for volumes.
    """

    network: type[nn.Module]
    config: type[BaseModel]
    n_axes: tuple[int, ...] = (2,)


#: Every architecture, by name.
MODELS = {
    "residual_cnn": Architecture(ResidualCnn, ResidualCnnConfig, n_axes=(2, 3)),
    "two_branch_cnn": Architecture(TwoBranchCnn, TwoBranchCnnConfig),
    "plain_cnn": Architecture(PlainCnn, PlainCnnConfig),
    "dense": Architecture(Dense, DenseConfig, n_axes=(2, 3)),
    "logistic": Architecture(Logistic, LogisticConfig, n_axes=(2, 3)),
}


def build_network(
    name: str, settings: dict[str, Any], views: tuple[View, ...], n_channels: int, n_outputs: int
) -> nn.Module:
    """Return a new network with random weights.

    Args:
        name: a key of `MODELS`.
        settings: the architecture's own settings; defaults for those not given.
        views: geometry of the views.
        n_channels: input channels of each view.
        n_outputs: numbers to put out.

    Raises:
        NotFoundError: no architecture has that name.
        ConfigError: an unknown or impossible setting, or a view that this network does not take.
    """
    config = check_settings(name, settings)
    architecture = MODELS[name]
    for view in views:
        n_axes = len(view.shape)
        if n_axes not in architecture.n_axes:
            fit = ", ".join(one for one, other in MODELS.items() if n_axes in other.n_axes)
            raise ConfigError(
                f"model.name: {name} takes no view of {n_axes} axes; '{view.name}' has shape {view.shape}. "
                f"These do: {fit}."
            )
    return architecture.network(views, n_channels, n_outputs, config)


def check_settings(name: str, settings: Mapping[str, Any]) -> BaseModel:
    """Return the settings of an architecture, validated.

    Args:
        name: a key of `MODELS`.
        settings: the architecture's own; defaults for those not given.

    Raises:
        NotFoundError: no architecture has that name.
        ConfigError: an unknown or impossible setting.

    Examples:
        >>> check_settings("logistic", {})
        LogisticConfig()
    """
    if name not in MODELS:
        raise NotFoundError(f"No model is called '{name}'. {choose_from(name, MODELS)}")
    architecture = MODELS[name]
    try:
        return architecture.config(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in ("model.settings", *first["loc"]))
        fields = choose_from(str(first["loc"][0]) if first["loc"] else "", architecture.config.model_fields)
        raise ConfigError(f"{place} of {name}: {first['msg']}. {fields}") from None
