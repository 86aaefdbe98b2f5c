"""Writing in one piece: a file or folder has its name only when it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
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


@contextmanager
def files_written_whole(folder: Path | str, outdated: Iterable[Path] = ()) -> Iterator[Path]:
    """Give a temporary folder to write files in; they come into the folder at the end, all or none.

    Args:
        folder: where the files belong; made where it is missing, else its other files stay.
        outdated: files to remove when the new ones are whole.

    Examples:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "parts"
        >>> with files_written_whole(target) as name:
        ...     _ = (name / "1.txt").write_text("one")
        ...     target.exists()
        False
        >>> [path.name for path in target.iterdir()]
        ['1.txt']
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = temporary_name(folder.absolute())
    remove(partial)
    partial.mkdir()
    try:
        yield partial
        for path in outdated:
            remove(path)
        if folder.exists():
            for path in partial.iterdir():
                path.replace(folder / path.name)
        else:
            partial.replace(folder)
    finally:
        remove(partial)
