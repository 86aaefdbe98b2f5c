"""Where in a YAML file something stands, so that an error can name the key and its line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from hitlens.errors import ConfigError, choose_from
from hitlens.settings import composed_yaml

#: Keys and positions in lists that lead to a value.
Place = Sequence[str | int]


class Places:
    r"""The keys of one YAML text.

    Args:
        text: the YAML, a mapping.
        source: name of the file, for messages.

    Raises:
        ConfigError: the text is no YAML or no mapping, or a key is given twice.

    Examples:
        >>> places = Places("name: strips\nviews:\n- name: x\n  shape: [8, 0]\n", "strips.yaml")
        >>> places.error(("views", 0, "shape", 1), "must be above 0")
        ConfigError('strips.yaml, line 4: views[x].shape[1]: must be above 0')
    """

    def __init__(self, text: str, source: str) -> None:
        self.text = text
        self.source = source
        try:
            self._root, content = composed_yaml(text, source)
        except yaml.YAMLError as error:
            raise _not_yaml(error, source) from None
        if not isinstance(content, dict):
            raise ConfigError(f"{source} must describe a detector by keys. Got {type(content).__name__}.")
        self.content: dict[str, Any] = content

    def error(self, place: Place, problem: str) -> ConfigError:
        """Return an error that names the file, the line and the key, then the problem."""
        return ConfigError(f"{self.where(place)}: {problem}")

    def where(self, place: Place) -> str:
        """Return file, line and key, for example ``strips.yaml, line 4: views[x].shape``."""
        node, line, words = self._root, 1, ""
        for step in place:
            found = _inner(node, step)
            if isinstance(step, int):
                words += f"[{_name_of(found, step)}]"
            else:
                words += f".{step}" if words else step
            if found is None:
                node = None
                continue
            node = found
            line = node.start_mark.line + 1
        return f"{self.source}, line {line}: {words}" if words else self.source

    def explain(self, error: ValidationError, model: type[BaseModel]) -> ConfigError:
        """Turn the first complaint of pydantic into one sentence naming the key and the nearest right one.

        Args:
            error: what pydantic found.
            model: what was validated.
        """
        # A key that is misspelt is also missing: the former says what to do.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        place = first["loc"]
        if first["type"] == "extra_forbidden":
            known = _fields_at(model, place[:-1])
            nearest = choose_from(str(place[-1]), known)
            return self.error(place, f"'{place[-1]}' is not a key here. {nearest}")
        if first["type"] == "missing":
            return self.error(place, f"this key is missing. {_need(model, place)}")
        if first["type"] == "value_error":  # raised by a validator of ours, whose message is complete
            return self.error(place, first["msg"].removeprefix("Value error, ") + ".")
        hint = ""
        if first["type"] == "string_type" and isinstance(first["input"], (bool, int, float)):
            hint = f' Put it in quotes if it is a word: "{str(first["input"]).lower()}".'
        return self.error(place, f"{_in_yaml_words(first['msg'])}. Got {first['input']!r}.{hint}")


def _not_yaml(error: yaml.YAMLError, source: str) -> ConfigError:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    line = f", line {mark.line + 1}" if mark else ""
    return ConfigError(f"{source}{line}: this is not valid YAML: {problem or error}.")


def _in_yaml_words(message: str) -> str:
    """Return what pydantic says of Python's types in terms of the file."""
    message = message.replace("a valid tuple", "a list")
    return re.sub(r"a valid dictionary( or instance of \w+)?", "keys with values", message)


def _inner(node: Any, step: str | int) -> Any:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step]
    if not isinstance(node, yaml.MappingNode):
        return None
    for key, value in node.value:
        if key.value == str(step):
            # A block below its key: the key's line is the one to look at.
            value.start_mark = key.start_mark
            return value
    merged = next((value for key, value in node.value if key.value == "<<"), None)
    return _inner(merged, step)


def _name_of(node: Any, position: int) -> str:
    name = _inner(node, "name") if isinstance(node, yaml.MappingNode) else None
    return name.value if isinstance(name, yaml.ScalarNode) else str(position)


def _fields_at(model: type[BaseModel], place: Place) -> tuple[str, ...]:
    """Return the keys that are known at a place."""
    found: Any = model
    inside = False  # whether the step is a key or position in a dict or tuple of models
    for step in place:
        if inside:
            inside = False
            continue
        fields = getattr(found, "model_fields", {})
        if step not in fields:
            return ()
        annotation = fields[step].annotation
        found = _model_in(annotation)
        inside = found is not annotation
    return tuple(getattr(found, "model_fields", ()))


def _model_in(annotation: Any) -> Any:
    """Return the model in ``tuple[Model, ...]`` or ``dict[str, Model]``, else the annotation itself."""
    inner = [one for one in get_args(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
    return inner[0] if inner else annotation


def _need(model: type[BaseModel], place: Place) -> str:
    fields = _fields_at(model, place[:-1])
    return f"There are: {', '.join(fields)}." if fields else ""
