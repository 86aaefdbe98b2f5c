"""Templates to one self-contained page, written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from hitlens.io.atomic import written_whole


def render(template: str, /, **context: Any) -> str:
    """Fill a template of this package; text is escaped, an unknown variable is an error.

    Args:
        template: file name in ``hitlens/report/templates``, for example "report.html".
        context: the template's variables.

    Examples:
        >>> page = render("base.html", title="Muons & <more>")
        >>> "<title>Muons &amp; &lt;more&gt;</title>" in page
        True
    """
    environment = Environment(
        loader=PackageLoader("hitlens.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**context)


def write_whole(path: Path | str, content: str | bytes) -> Path:
    """Write a file through a temporary name beside it, so that a reader never meets half of it.

    Args:
        path: where to write; an existing file is replaced, missing folders are made.
        content: text (written as UTF-8) or bytes.

    Returns:
        The path.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_whole(Path(folder) / "page.html", "<p>").read_text()
        '<p>'
    """
    path = Path(path)
    with written_whole(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
