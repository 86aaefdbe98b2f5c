"""Sphinx settings; `make docs` builds with warnings as errors."""

from __future__ import annotations

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
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"hitlens {release}"
html_static_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
# Pydantic and torch bring long inherited signatures that say nothing of the class.
autodoc_class_signature = "separated"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# Names without a role in docstrings are code, as in Markdown.
default_role = "code"
