"""Settings from YAML and ``key=value``: what every stage's frozen configuration is read with."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from hitlens.errors import ConfigError, NotFoundError, choose_from, foreign_errors_as

#: Most characters, levels and values of a YAML text.
_LONGEST_YAML, _DEEPEST_YAML, _MOST_YAML_VALUES = 1 << 20, 40, 200_000

Settings = TypeVar("Settings", bound=BaseModel)


def load_settings(model: type[Settings], path: Path | None, overrides: Iterable[str] = ()) -> Settings:
    """Return the settings of one stage: defaults, changed by a YAML file and by ``key=value``.

    Args:
        model: the stage's settings.
        path: a YAML file that states what differs from the defaults, or None.
        overrides: settings to change, each ``key=value``; dots lead into sections.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: the YAML cannot be read, or a key or value is wrong.

    Examples:
        >>> class Cut(BaseModel):
        ...     low: float = 0.0
        >>> load_settings(Cut, None, ["low=0.5"])
        Cut(low=0.5)
    """
    content: dict[str, Any] = {}
    source = "settings"
    if path is not None:
        if not path.is_file():
            raise NotFoundError(f"No settings file {path}. Give the path of a YAML file.")
        source = str(path)
        content = read_yaml(text_of_file(path), source)
    for override in overrides:
        key, value = read_override(override)
        content = merged(content, {key: value})
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise explain(error, model, source) from None


def text_of_file(path: Path) -> str:
    """Return the text of a YAML file: UTF-8, or UTF-16 with its byte-order mark.

    Raises:
        ConfigError: it is in another encoding; names the line.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "mine.yaml"
        >>> _ = path.write_bytes(codecs.BOM_UTF8 + b"title: mine")
        >>> text_of_file(path)
        'title: mine'
    """
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}, line {line}: this is no UTF-8 text (byte {content[error.start]:#x}). "
            "Save the file as UTF-8."
        ) from None
    return text.replace("\r\n", "\n")


def read_yaml(text: str, source: str) -> dict[str, Any]:
    """Return the mapping that a YAML text holds.

    Args:
        text: the YAML.
        source: name of the file, for messages.

    Raises:
        ConfigError: it is not YAML, or not a mapping.

    Examples:
        >>> read_yaml("train: {epochs: 5}", "mine.yaml")
        {'train': {'epochs': 5}}
    """
    try:
        _, content = composed_yaml(text, source)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{source} must hold settings by name. Got {type(content).__name__}.")
    return content


def composed_yaml(text: str, source: str) -> tuple[Any, Any]:
    r"""Return the nodes of a YAML text, and what it holds: the one door by which YAML comes in.

    Tags make no objects. What aliases stand for counts each time, so that a short text cannot hold much.

    Args:
        text: the YAML.
        source: name of the file, for messages.

    Raises:
        yaml.YAMLError: it is not YAML.
        ConfigError: it is too long, too deep, holds too much, or itself.

    Examples:
        >>> composed_yaml("a: &x [1, 2]\nb: *x", "a.yaml")[1]
        {'a': [1, 2], 'b': [1, 2]}
    """
    if len(text) > _LONGEST_YAML:
        raise ConfigError(
            f"{source} has {len(text):,} characters. YAML of at most {_LONGEST_YAML:,} is read."
        )
    problem: yaml.YAMLError
    with foreign_errors_as(lambda reason: ConfigError(f"{source} cannot be read as YAML: {reason}.")):
        try:
            loader = yaml.SafeLoader(text)
            node = loader.get_single_node()
            if node is not None:
                _check_size(node, source, {}, ())
                _refuse_given_twice(node, source)
            if node is None:
                return None, None
            content = loader.construct_document(node)
            # Constructing writes what '<<' brings into the nodes, where it looks like keys given twice.
            return yaml.compose(text, Loader=yaml.SafeLoader), content
        except yaml.YAMLError as error:
            problem = error
    raise problem


def _refuse_given_twice(node: yaml.Node, source: str) -> None:
    inner: list[yaml.Node] = node.value if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and names.count(key.value) > 1:
                line = [one for one, _ in node.value if one.value == key.value][1].start_mark.line + 1
                raise ConfigError(f"{source}, line {line}: '{key.value}' is given twice. Leave one out.")
        inner = [value for _, value in node.value]
    for one in inner:
        _refuse_given_twice(one, source)


def _check_size(node: yaml.Node, source: str, sizes: dict[int, int], above: tuple[int, ...]) -> int:
    """Return how many values a node stands for, those of aliases counted each time."""
    if id(node) in above:
        raise ConfigError(f"{source}: line {node.start_mark.line + 1} holds itself by an alias.")
    if len(above) > _DEEPEST_YAML:
        raise ConfigError(f"{source}: line {node.start_mark.line + 1} is deeper than {_DEEPEST_YAML} levels.")
    if id(node) not in sizes:
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inner = [one for pair in node.value for one in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = node.value
        here = (*above, id(node))
        sizes[id(node)] = 1 + sum(_check_size(one, source, sizes, here) for one in inner)
        if sizes[id(node)] > _MOST_YAML_VALUES:
            raise ConfigError(
                f"{source}: line {node.start_mark.line + 1} stands for more than {_MOST_YAML_VALUES:,} "
                "values, by aliases. Write out what is meant."
            )
    return sizes[id(node)]


def read_override(text: str) -> tuple[str, Any]:
    """Return key and value of a ``key=value`` text; the value is read as YAML.

    Raises:
        ConfigError: there is no ``=``.

    Examples:
        >>> read_override("train.rate=1e-3")
        ('train.rate', 0.001)
        >>> read_override("dead_pixels=[[3, 13]]")
        ('dead_pixels', [[3, 13]])
    """
    key, separator, value_text = text.partition("=")
    if not separator:
        raise ConfigError(f"A setting must be given as key=value, for example train.epochs=5. Got '{text}'.")
    try:
        _, value = composed_yaml(value_text, f"The value of {key}")
    except yaml.YAMLError:
        return key, value_text
    try:  # YAML 1.1 reads 1e-3 as a text
        return key, float(value) if isinstance(value, str) else value
    except ValueError:
        return key, value


def merged(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return content with dotted keys set; the input is left alone.

    Examples:
        >>> merged({"a": {"b": 1, "c": 2}}, {"a.b": 5})
        {'a': {'b': 5, 'c': 2}}
    """
    result = dict(content)
    for dotted, value in changes.items():
        first, _, rest = dotted.partition(".")
        inner = result.get(first)
        result[first] = merged(inner if isinstance(inner, Mapping) else {}, {rest: value}) if rest else value
    return result


def flattened(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted key, the inverse of `merged`.

    Args:
        content: settings by name.
        prefix: put before every key.

    Examples:
        >>> flattened({"a": {"b": 5}, "c": [1]})
        {'a.b': 5, 'c': [1]}
    """
    found: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            found |= flattened(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def explain(error: ValidationError, root: type[BaseModel], source: str) -> ConfigError:
    """Turn the first complaint into one sentence naming the key and, if unknown, the nearest right one.

    Args:
        error: what pydantic found.
        root: the settings that were validated.
        source: name of the file, for the message.
    """
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    key = ".".join(place)
    if first["type"] == "value_error":  # raised by a validator of ours, whose message is complete
        reason = first["msg"].removeprefix("Value error, ")
        return ConfigError(f"{source}: {key + ': ' if key else ''}{reason}")
    if first["type"] != "extra_forbidden":
        got = "" if first["type"] == "missing" else f" Got {first['input']!r}."
        return ConfigError(f"{source}: {key}: {first['msg']}.{got}")
    fields = root.model_fields
    for part in place[:-1]:
        annotation = fields[part].annotation if part in fields else None
        fields = (
            annotation.model_fields
            if isinstance(annotation, type) and issubclass(annotation, BaseModel)
            else {}
        )
    return ConfigError(f"{source}: '{key}' is not a setting. {choose_from(place[-1], fields)}")
