"""Reference pages made from the code itself, so that they cannot disagree with it; called by conf.py."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import hitlens

#: Order of the packages in the API reference: the way events take, then what is around it.
PACKAGES = (
    "workflow",
    "config",
    "events",
    "detector",
    "detectors",
    "io",
    "simulate",
    "datasets",
    "models",
    "train",
    "evaluate",
    "metrics",
    "tune",
    "report",
    "settings",
    "sql",
    "errors",
)


def write_pages(folder: Path) -> None:
    """Write all generated pages; a page that did not change is not touched, so that Sphinx skips it."""
    commands = {"__main__", "cli"}  # command_line.md
    modules = {module.name for module in pkgutil.iter_modules(hitlens.__path__)}
    undocumented = modules - {*commands, *PACKAGES}
    if undocumented:
        raise SystemExit(f"docs/generate.py: PACKAGES lacks {', '.join(sorted(undocumented))}")
    pages = {
        "command_line.md": command_line_page(),
        "recipe_keys.md": recipe_keys_page(),
        "detector_keys.md": detector_keys_page(),
        "api/index.md": api_index(),
        **{f"api/{name}.md": api_page(name) for name in PACKAGES},
    }
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for stale in set(folder.rglob("*.md")) - {folder / name for name in pages}:
        stale.unlink()


def modules_of(name: str) -> list[str]:
    """Return the full names of a package of hitlens and of the modules below it."""
    root = importlib.import_module(f"hitlens.{name}")
    if not hasattr(root, "__path__"):
        return [root.__name__]
    inner = sorted(
        module.name
        for module in pkgutil.walk_packages(root.__path__, root.__name__ + ".")
        if not module.name.rpartition(".")[2].startswith("_")
    )
    return [root.__name__, *inner]


def api_index() -> str:
    """Return the first page of the API reference."""
    entries = "\n".join(PACKAGES)
    return f"# API\n\nEach page is one package.\n\n```{{toctree}}\n:maxdepth: 2\n\n{entries}\n```\n"


def api_page(name: str) -> str:
    """Return the page of one package: every module with its public members."""
    parts = [f"# hitlens.{name}\n"]
    for module in modules_of(name):
        if module != f"hitlens.{name}":
            parts.append(f"## {module}\n")
        parts.append(f"```{{eval-rst}}\n.. automodule:: {module}\n   :ignore-module-all:\n```\n")
    return "\n".join(parts)


def command_line_page() -> str:
    """Return every command with its arguments and options."""
    import typer

    from hitlens.cli import app

    group = typer.main.get_command(app)
    parts = [_command("hitlens", group)]
    parts += [_command(f"hitlens {name}", command) for name, command in group.commands.items()]
    return "\n".join(parts)


def _command(name: str, command: Any) -> str:
    lines = [f"## {name}\n", _plain(command.help or ""), ""]
    rows = []
    for parameter in command.params:
        if parameter.name in ("install_completion", "show_completion", "help"):
            continue
        names = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
        if parameter.param_type_name == "argument":
            names = f"`{(parameter.metavar or parameter.name).upper()}`"
        meaning = _plain(getattr(parameter, "help", None) or "")
        default = parameter.default
        shown = "" if default in (None, False, ()) or callable(default) else f"`{default}`"
        shown = "required" if parameter.required else shown
        rows.append(f"| {names} | {meaning} | {shown} |")
    if rows:
        lines += ["| | meaning | default |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return text fit for a table cell; of a docstring, what stands before its sections."""
    before = re.split(r"\n\s*(?:Args|Raises|Returns|Examples):", text)[0]
    return re.sub(r"\s+", " ", before).strip().replace("|", "\\|").replace("<", "&lt;")


def recipe_keys_page() -> str:
    """Return every key a recipe may have, section by section, with its meaning and default."""
    from hitlens.config import RunConfig
    from hitlens.models import MODELS
    from hitlens.tune.config import FinalistsConfig, LongerConfig, SearchConfig

    parts = [*_section("", RunConfig)]
    of_a_search = {"search": SearchConfig, "finalists": FinalistsConfig, "longer": LongerConfig}
    for section, model in of_a_search.items():
        parts += _section(f"{section}.", model, f"`{section}` of a search")
    for name, architecture in MODELS.items():
        title = f"`model.settings` of `{name}`"
        summary = (architecture.network.__module__, architecture.network.__doc__)
        parts += _section("model.settings.", architecture.config, title, _summary(*summary))
    return "\n".join(parts)


def detector_keys_page() -> str:
    """Return every key the YAML description of a detector may have, with its meaning and default."""
    from hitlens.detectors.from_yaml.schema import DetectorDescription

    return "\n".join(_section("", DetectorDescription))


def _summary(module: str, text: str | None) -> str:
    """Return the first paragraph of a network's file and of its class."""
    about = inspect.cleandoc(importlib.import_module(module).__doc__ or "").split("\n\n")[0]
    return _plain(f"{about} {inspect.cleandoc(text or '').split('Args:')[0]}")


def _section(prefix: str, model: Any, title: str = "", summary: str = "") -> Iterator[str]:
    meanings = _attributes(model)
    rows, inner = [], []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if inspect.isclass(kind) and hasattr(kind, "model_fields"):
            inner.append((f"{prefix}{name}.", kind))
            continue
        several = _model_inside(kind)
        if several is not None:
            inner.append((f"{prefix}{name}{'.*' if get_origin(kind) is dict else '[]'}.", several))
        shown = (
            "required" if field.is_required() else f"`{_yaml(field.get_default(call_default_factory=True))}`"
        )
        rows.append(f"| `{prefix}{name}` | {meanings.get(name, '')} | {shown} |")
    title = title or (f"`{prefix.rstrip('.')}`" if prefix else "Top level")
    summary = summary or _plain((model.__doc__ or "").split("Attributes:")[0])
    yield f"## {title}\n\n{summary}\n"
    if rows:
        yield "\n".join(["| key | meaning | default |", "|---|---|---|", *rows, ""])
    for inner_prefix, inner_model in inner:
        yield from _section(inner_prefix, inner_model)


def _model_inside(kind: Any) -> Any:
    """Return the model of which a tuple or dict holds any number; None for all else."""
    found = [one for one in get_args(kind) if inspect.isclass(one) and hasattr(one, "model_fields")]
    return found[0] if found else None


def _yaml(value: Any) -> str:
    """Return a default as it would stand in a recipe."""
    return json.dumps(value, default=list)


def _attributes(model: Any) -> dict[str, str]:
    """Return the meanings in the Attributes section of a model's docstring."""
    _, _, section = inspect.cleandoc(model.__doc__ or "").partition("Attributes:\n")
    section = re.split(r"\n(?=\S)", section)[0]
    found = re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", section, re.MULTILINE)
    return {name: _plain(text) for name, text in found}


if __name__ == "__main__":
    write_pages(Path(__file__).parent / "reference" / "generated")
    print(f"reference pages for hitlens {hitlens.__version__}")
