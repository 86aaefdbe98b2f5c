"""Sphinx settings; `make docs` builds with warnings as errors."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from generate import write_pages  # the folder of this file must be on the path first

import hitlens

project = "hitlens"
author = "The hitlens developers"
copyright = f"2026, {author}"
version = release = hitlens.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
source_suffix = {".md": "markdown"}
# These are included by pages that introduce them.
exclude_patterns = [
    "_build",
    "reference/generated/command_line.md",
    "reference/generated/recipe_keys.md",
    "reference/generated/detector_keys.md",
]
html_theme = "furo"
html_title = f"hitlens {release}"
html_static_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True, "exclude-members": "model_config"}
autodoc_preserve_defaults = True
smartquotes = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# Names without a role in docstrings are code, as in Markdown.
default_role = "code"


def read_as_markdown(app: Any, what: str, name: str, thing: object, options: Any, lines: list[str]) -> None:
    """Turn fenced blocks of docstrings into literal blocks; take |x| and name_ for what they look like."""
    inside = False
    changed: list[str] = []
    for line in lines:
        if re.match(r"\s*```", line):
            inside = not inside
            changed += ["", "::", ""] if inside else [""]
        elif inside or line.lstrip().startswith((">>>", "...")):
            changed.append(f"    {line}" if inside else line)
        else:
            parts = line.split("`")
            parts[::2] = [re.sub(r"\|(?=[\w(])|(?<=\w)_(?=\W|$)", r"\\\g<0>", part) for part in parts[::2]]
            changed.append("`".join(parts))
    lines[:] = changed


def setup(app: Any) -> None:
    write_pages(Path(__file__).parent / "reference" / "generated")
    app.connect("autodoc-process-docstring", read_as_markdown)
