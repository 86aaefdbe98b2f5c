"""Small JSON documents beside results, from which commands go on; read with the guard of every file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hitlens.errors import FileFormatError
from hitlens.io.guard import damage_as_format_error


def read_record(path: Path, advice: str) -> dict[str, Any]:
    """Return the record that a JSON file holds.

    Args:
        path: the file.
        advice: what to do where it is damaged.

    Raises:
        FileFormatError: the file cannot be read, or holds no record.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "begun.json"
        >>> _ = path.write_text('{"n_resumed": 1}')
        >>> read_record(path, "Start over.")
        {'n_resumed': 1}
    """
    with damage_as_format_error(path, advice=advice):
        content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise FileFormatError(f"it holds no record but a {type(content).__name__}. {advice}", path=path)
    return content
