"""Writing in one piece: a file or folder has its name only when it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def temporary_name(path: Path) -> Path:
    """Return the name beside ``path`` under which it is written until it is whole.

    Examples:
        >>> temporary_name(Path("data/events.h5")).name.startswith(".events.h5.partial-")
        True
    """
    return path.with_name(f".{path.name}.partial-{os.getpid()}")


def remove(path: Path) -> None:
    """Remove a file or a folder, or nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def written_whole(path: Path | str) -> Iterator[Path]:
    """Give a temporary name to write under; rename at the end, remove after an exception.

    Args:
        path: final name of the file; one that exists is replaced.

    Examples:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with written_whole(target) as name:
        ...     _ = name.write_text("all of it")
        ...     target.exists()
        False
        >>> target.read_text()
        'all of it'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = temporary_name(path)
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        remove(partial)
        raise
