"""Results on disk: one JSON document with a version, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from hitlens.errors import FileFormatError, NotFoundError, foreign_errors_as
from hitlens.io.atomic import written_whole

Result = TypeVar("Result")


def write_document(value: Result, adapter: TypeAdapter[Result], version: int, path: Path) -> Path:
    """Write a result, whole or not at all; numbers that are not finite are an error.

    Args:
        value: what to write.
        adapter: of its type.
        version: of the format.
        path: the file; one that exists is replaced.

    Returns:
        The path.
    """
    content = {"version": version, **adapter.dump_python(value, mode="json")}
    text = json.dumps(content, allow_nan=False, indent=1)
    with written_whole(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return path


def read_document(
    adapter: TypeAdapter[Result], version: int, path: Path, *, what: str, made_by: str
) -> Result:
    """Read what `write_document` wrote.

    Args:
        adapter: of the result's type.
        version: the only one that is read.
        path: the file.
        what: it holds, for messages: "a study".
        made_by: who writes it, for messages.

    Raises:
        NotFoundError: no such file.
        FileFormatError: the file is damaged or of another version.
    """
    if not path.is_file():
        raise NotFoundError(f"No {what.removeprefix('a ')} '{path}'. {made_by} writes it.")
    with foreign_errors_as(
        lambda reason: FileFormatError(f"does not hold {what} of hitlens ({reason}).", path=path)
    ):
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content.pop("version")
        if found == version:
            return adapter.validate_python(content)
    raise FileFormatError(
        f"has version {found}; this hitlens reads {version}. Install a newer hitlens.", path=path
    )
