"""Writing in one piece: a file or folder has its name only when it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from hitlens.errors import DataError


class Closable(Protocol):
    """What an open file has."""

    def close(self) -> None:
        """Close it."""
        ...


File = TypeVar("File", bound=Closable)


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


class PendingFile(Generic[File]):
    """A file that a writer fills block by block, and that has its name only if the writer is left well.

    Args:
        path: final name; a file that exists is replaced.
        opener: opens the file at the temporary name it is given.
        writer: name of the class that uses this, for messages.

    Attributes:
        n_events: events written so far; the writer counts them.
    """

    def __init__(self, path: Path | str, opener: Callable[[Path], File], writer: str) -> None:
        self.path = Path(path)
        self.n_events = 0
        self._opener = opener
        self._writer = writer
        self._stack = ExitStack()
        self._file: File | None = None

    def open(self) -> File:
        """Open the file under its temporary name."""
        partial = self._stack.enter_context(written_whole(self.path))
        self._file = self._stack.enter_context(closing(self._opener(partial)))
        return self._file

    @property
    def file(self) -> File:
        """The open file.

        Raises:
            DataError: it is not open.
        """
        if self._file is None:
            raise DataError(f"A {self._writer} must be used in a 'with' block.")
        return self._file

    def close(self, *exc: Any) -> None:
        """Close the file and give it its name; remove it after an exception.

        Args:
            exc: what ``__exit__`` was given.

        Raises:
            DataError: no events were written.
        """
        self._file = None
        if exc[0] is not None or self.n_events:
            self._stack.__exit__(*exc)
            return
        problem = DataError(f"Nothing to write to '{self.path}': there were no events.")
        self._stack.__exit__(DataError, problem, None)
        raise problem


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
