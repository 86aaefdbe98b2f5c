"""The settings a search goes through: read from YAML, checked before anything is trained."""

from __future__ import annotations

import difflib
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from hitlens.errors import ConfigError, choose_from
from hitlens.tune.results import Parameter, Value

#: Sections a search may not touch, and why.
_FIXED = {
    "title": "it is a name",
    "detector": "trials must share their events",
    "task": "trials must share their events",
    "data": "trials must share their events",
    "split": "trials must share their events",
    "evaluate": "it does not change what is trained",
    "track": "it does not change what is trained",
    "train.seed": "the best settings are repeated with the seeds of finalists.seeds",
    "train.monitor": "it is what trials are compared by",
}


class Range(BaseModel):
    """Values between two ends.

    Attributes:
        low: smallest value; a whole number for settings that are.
        high: largest value.
        log: spread them evenly in the logarithm.
        step: between values; any value in between where it is left out. A grid needs one.

    Examples:
        >>> Range(low=0.2, high=0.6, step=0.2).points()
        (0.2, 0.4, 0.6)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Range:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError(f"low and high must be numbers. Got {self.low} and {self.high}.")
        if self.low >= self.high:
            raise ValueError(f"low must be below high. Got low {self.low}, high {self.high}.")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range must begin above 0. Got low {self.low}.")
        if self.step is not None:
            self._check_step(self.step)
        return self

    def _check_step(self, step: float) -> None:
        if self.log:
            raise ValueError("a logarithmic range has no step. Leave out one of log and step.")
        if step <= 0:
            raise ValueError(f"step must be above 0. Got {step}.")
        n_steps = (self.high - self.low) / step
        if abs(n_steps - round(n_steps)) > 1e-6:
            raise ValueError(
                f"step {step} does not lead from {self.low} to {self.high}. Give a step that divides "
                f"{self.high - self.low:g}."
            )

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers."""
        return all(isinstance(one, int) for one in (self.low, self.high, self.step or 1))

    def points(self) -> tuple[int | float, ...]:
        """Return its values one by one; none where it has no step."""
        if self.step is None:
            return ()
        n_steps = round((self.high - self.low) / self.step)
        values = (self.low + number * self.step for number in range(n_steps + 1))
        return tuple(int(one) if self.is_whole else round(float(one), 12) for one in values)


#: By dotted path of the setting, its choices or its range.
Space = dict[str, tuple[Value, ...] | Range]


def read_space(content: Any) -> Space:
    """Return a search space from what its YAML holds.

    Args:
        content: by path, a list of choices or ``{low, high, log, step}``.

    Raises:
        ValueError: it is empty or contradicts itself; the message is complete.

    Examples:
        >>> read_space({"model.settings.last_features": [64, 128]})
        {'model.settings.last_features': (64, 128)}
    """
    if not isinstance(content, Mapping) or not content:
        raise ValueError(
            "there is nothing to search. Give settings with their values, for example "
            "model.settings.dropout: [0.4, 0.5]."
        )
    space: Space = {str(path): _read_entry(str(path), entry) for path, entry in content.items()}
    for path in space:
        for other in space:
            if path.startswith(f"{other}."):
                raise ValueError(f"'{path}' is part of '{other}', so both cannot be searched. Leave out one.")
    return space


def _read_entry(path: str, entry: Any) -> tuple[Value, ...] | Range:
    if isinstance(entry, Range):
        return entry
    if isinstance(entry, Mapping):
        unknown = [str(key) for key in entry if key not in Range.model_fields]
        if unknown:
            raise ValueError(
                f"'{path}': a range has no '{unknown[0]}'. {choose_from(unknown[0], Range.model_fields)}"
            )
        for needed in ("low", "high"):
            if needed not in entry:
                raise ValueError(f"'{path}': a range needs low and high. Got {dict(entry)}.")
        return _read_range(path, entry)
    if not isinstance(entry, (list, tuple)):
        raise ValueError(f"'{path}' needs a list of choices or a range {{low, high}}. Got {entry!r}.")
    choices = tuple(_read_choice(path, one) for one in entry)
    if len(choices) < 2:
        raise ValueError(
            f"'{path}' has {'one choice' if choices else 'no choice'}. Give two or more, or set it in base."
        )
    seen: set[str] = set()
    for one in choices:
        text = encoded(one)
        if text in seen:
            raise ValueError(f"'{path}' has the choice {one!r} twice. Leave out one.")
        seen.add(text)
    return choices


def _read_range(path: str, entry: Mapping[str, Any]) -> Range:
    numbers = {key: entry[key] for key in ("low", "high", "step") if entry.get(key) is not None}
    read: dict[str, Any] = {}
    for key, value in numbers.items():
        number = _number(value)
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise ValueError(f"'{path}': {key} must be a number. Got {value!r}.")
        read[key] = number
    try:
        return Range(**read, log=entry.get("log", False))
    except ValidationError as error:
        raise ValueError(f"'{path}': {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def _read_choice(path: str, choice: Any) -> Value:
    if isinstance(choice, (list, tuple)):
        parts = tuple(_number(one) for one in choice)
        if not any(isinstance(one, (list, tuple, dict)) or one is None for one in parts):
            return parts
    elif choice is None or isinstance(choice, (bool, int, float, str)):
        value: Value = _number(choice)
        return value
    raise ValueError(
        f"'{path}': a choice must be a number, a text, true, false, null or a list of these. Got {choice!r}."
    )


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as a text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def encoded(value: Value) -> str:
    """Return a choice as text that tells true from 1 and 1 from 1.0.

    Examples:
        >>> encoded((32, 64)), encoded(True), encoded("adam")
        ('[32, 64]', 'true', '"adam"')
    """
    return json.dumps(value)


def decoded(text: str) -> Value:
    """Return the choice `encoded` wrote."""
    value = json.loads(text)
    return tuple(value) if isinstance(value, list) else value


def known_settings(root: type[BaseModel], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return every setting of a run by dotted path, with what kind of value it takes.

    Args:
        root: of all settings.
        settings: the network's own, by path below ``model.settings``.

    Examples:
        >>> list(known_settings(Range, {"dropout": float}))
        ['low', 'high', 'log', 'step', 'model.settings.dropout']
    """
    found: dict[str, Any] = {}
    for name, field in root.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= {f"{name}.{path}": inner for path, inner in known_settings(kind, {}).items()}
        else:
            found[name] = kind
    if settings:
        found.pop("model.settings", None)
        found |= {f"model.settings.{name}": kind for name, kind in settings.items()}
    return found


def parameters_of(space: Space, known: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Return what is searched, every path checked against the settings there are.

    Args:
        space: the search space.
        known: kind of value by path, from `known_settings`.

    Raises:
        ConfigError: a path is no setting, or one a search may not touch; the message names the nearest.
    """
    found = []
    for path, entry in space.items():
        _check_path(path, known)
        kind = known.get(path)
        if isinstance(entry, Range):
            found.append(_range_parameter(path, entry, kind))
        else:
            found.append(Parameter(path, choices=entry))
    return tuple(found)


def _range_parameter(path: str, entry: Range, kind: Any) -> Parameter:
    kinds = set(get_args(kind)) or {kind}
    whole = entry.is_whole and float not in kinds
    if not whole and int in kinds and float not in kinds:
        raise ConfigError(
            f"search.space: {path} takes whole numbers; its range {entry.low} to {entry.high} has others."
        )
    points = tuple(one if whole else float(one) for one in entry.points())
    return Parameter(path, points, entry.low, entry.high, entry.log, whole, entry.step)


def _check_path(path: str, known: Mapping[str, Any]) -> None:
    for fixed, why in _FIXED.items():
        if path == fixed or path.startswith(f"{fixed}."):
            raise ConfigError(f"search.space: '{path}' cannot be searched: {why}. Set it in base.")
    if path in known:
        return
    section = next((name for name in known if path.startswith(f"{name}.")), "")
    if section and _takes_names(known[section]):
        return
    searchable = [name for name in known if not any(f"{name}.".startswith(f"{one}.") for one in _FIXED)]
    raise ConfigError(f"search.space: '{path}' is not a setting. {_nearest(path, searchable)}")


def _takes_names(kind: Any) -> bool:
    """Whether a setting is a mapping, by head or by view."""
    return get_origin(kind) is dict or any(get_origin(one) is dict for one in get_args(kind))


def _nearest(path: str, known: list[str]) -> str:
    """Say the nearest right path: by its last part first, for sections are what is forgotten."""
    last = path.rpartition(".")[2]
    by_last = {name.rpartition(".")[2]: name for name in known}
    whole = difflib.get_close_matches(path, known, n=1, cutoff=0.8)
    part = difflib.get_close_matches(last, by_last, n=1, cutoff=0.75)
    near = whole or [by_last[one] for one in part] or difflib.get_close_matches(path, known, n=1)
    if near:
        return f"Did you mean '{near[0]}'?"
    return choose_from(path, known)


def n_points(parameters: tuple[Parameter, ...]) -> int | None:
    """Return how many points a space has; None where a range has no step.

    Examples:
        >>> n_points((Parameter("a", (1, 2)), Parameter("b", (1, 2, 3))))
        6
    """
    if not all(one.choices for one in parameters):
        return None
    return math.prod(len(one.choices) for one in parameters)


def grid_points(parameters: tuple[Parameter, ...]) -> Iterator[dict[str, Value]]:
    """Yield every point of a space, the last setting changing fastest.

    Examples:
        >>> list(grid_points((Parameter("a", (1, 2)), Parameter("b", ("x", "y")))))[1]
        {'a': 1, 'b': 'y'}
    """
    paths = [one.path for one in parameters]
    for values in itertools.product(*(one.choices for one in parameters)):
        yield dict(zip(paths, values, strict=True))


def probes(parameters: tuple[Parameter, ...]) -> Iterator[dict[str, Value]]:
    """Yield points that together have every choice and both ends of every range, one setting moved at a time.

    Examples:
        >>> list(probes((Parameter("a", (1, 2)), Parameter("b", low=0.5, high=0.9))))
        [{'a': 1, 'b': 0.5}, {'a': 2, 'b': 0.5}, {'a': 1, 'b': 0.9}]
    """
    values = {one.path: one.choices or _ends(one) for one in parameters}
    first = {path: some[0] for path, some in values.items()}
    yield first
    for path, some in values.items():
        for value in some[1:]:
            yield first | {path: value}


def _ends(parameter: Parameter) -> tuple[Value, ...]:
    ends = (parameter.low, parameter.high)
    return tuple(int(one) if parameter.whole else one for one in ends if one is not None)
