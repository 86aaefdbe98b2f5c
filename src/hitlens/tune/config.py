"""Settings of a search: where it looks, how, and what is done with the best."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hitlens.tune.results import ObjectiveName
from hitlens.tune.space import Range, read_space


class SearchConfig(BaseModel):
    """How settings are searched.

    Attributes:
        space: by dotted path of a setting, a list of choices or a range ``{low, high, log, step}``.
        method: "grid" tries every point in order, "random" draws them, "tpe" draws where good ones were found
            (tree-structured Parzen estimator).
        trials: how many are trained; 0 for all points of a grid.
        objectives: what trials are judged by, the first one first: "score" the monitored validation score,
            "stability" its spread over the last five epochs, "latency" the time to predict an event,
            "parameters" the weights of the network.
        pruner: ends trials early whose score falls behind: "median" of the others' at the same epoch,
            "halving" keeps the better third at epochs 1, 3, 9, ..., "hyperband" does so from several starts.
        startup: trials before "tpe" learns from them and before "median" ends any.
        together: most trials that one process trains at once, where a short measurement finds that faster;
            what they reach is then that of each trial alone but for rounding. 1, or 0, for one after the
            other.
        seed: of the draws.
        storage: SQL database of the trials, for example ``sqlite:///search.db``; a file in the folder of the
            search where left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: dict[str, Any]
    method: Literal["grid", "random", "tpe"] = "tpe"
    trials: int = Field(0, ge=0)
    objectives: tuple[ObjectiveName, ...] = ("score",)
    pruner: Literal["none", "median", "halving", "hyperband"] = "none"
    startup: int = Field(10, ge=1)
    together: int = Field(1, ge=0)
    seed: int = Field(1, ge=0)
    storage: str = ""

    @field_validator("space", mode="before")
    @classmethod
    def _read(cls, content: Any) -> Any:
        return read_space(content)

    @model_validator(mode="after")
    def _fits_together(self) -> SearchConfig:
        if not self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise ValueError(
                f"search.objectives must name one or more, each once. Got {list(self.objectives)}."
            )
        if self.pruner != "none" and self.objectives != ("score",):
            raise ValueError(
                f"search.pruner '{self.pruner}' compares trials by their score while they run, so it needs "
                "objectives: [score] alone. Take pruner: none, or that objective."
            )
        if self.method == "grid":
            for path, entry in self.space.items():
                if isinstance(entry, Range) and entry.step is None:
                    raise ValueError(f"search.space: a grid needs a step for the range of '{path}'.")
        self._check_trials()
        return self

    @property
    def at_once(self) -> int:
        """Most trials that one process trains at once."""
        return max(1, self.together)

    def _check_trials(self) -> None:
        sizes = [len(one.points()) if isinstance(one, Range) else len(one) for one in self.space.values()]
        n_points = 1
        for size in sizes:
            n_points *= size  # 0 where a range has no step
        if self.method != "grid" and not self.trials:
            raise ValueError(f"search.trials: say how many trials '{self.method}' shall train.")
        if self.method == "grid" and self.trials not in (0, n_points):
            raise ValueError(
                f"search.trials: the grid has {n_points} points, each is trained once. Got {self.trials}. "
                "Leave it out, or take method: random."
            )
        if n_points and self.trials > n_points:
            raise ValueError(
                f"search.trials: the space has {n_points} points only. Got {self.trials}. Take method: grid."
            )


class FinalistsConfig(BaseModel):
    """The best few, trained with further seeds before one is chosen.

    Attributes:
        count: how many; 0 chooses the best trial as it is.
        seeds: further seeds of the training, beside that of base.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(0, ge=0)
    seeds: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> FinalistsConfig:
        if bool(self.count) != bool(self.seeds):
            raise ValueError(
                "finalists needs both count and seeds, or none. "
                f"Got count {self.count}, seeds {list(self.seeds)}."
            )
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"finalists.seeds has a seed twice. Got {list(self.seeds)}.")
        return self


class LongerConfig(BaseModel):
    """The chosen settings, trained longer.

    Attributes:
        epochs: of that training; 0 leaves it out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(0, ge=0)
