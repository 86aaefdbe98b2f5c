"""Writing in one piece: a file or folder has its name only when it is whole."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from hitlens.errors import DataError, OutputError


class Closable(Protocol):
    """What an open file has."""

    def close(self) -> None:
        """Close it."""
        ...


File = TypeVar("File", bound=Closable)


#: This machine, as it is written into names.
_HOST = re.sub(r"[^A-Za-z0-9.]", "_", platform.node())[:40]

#: Temporary names: what is written, the machine and the process; version 0.1.0 named no machine.
_TEMPORARY = re.compile(
    r"\.(?P<of>.+)\.(?:(?:partial|parts)-(?:(?P<host>[A-Za-z0-9._]*)-)?(?P<pid>\d+)|(?:partial|parts)-\w+)"
)

_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded|os error (28|122)\b")

#: Seconds after which what a process of another machine has left is taken to be abandoned.
_A_DAY = 86_400
_A_MINUTE = 60


def temporary_name(path: Path, kind: str = "partial") -> Path:
    """Return the name beside ``path`` under which it is written until it is whole.

    Args:
        path: final name.
        kind: "partial", or "parts" for a folder of things that it is made of.

    Examples:
        >>> temporary_name(Path("data/events.h5")).name.startswith(".events.h5.partial-")
        True
    """
    return path.with_name(f".{path.name}.{kind}-{_HOST}-{os.getpid()}")


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside ``path`` for what it is made of; it is gone at the end, whatever happens."""
    folder = temporary_name(path.absolute(), "parts")
    with _plain_errors(path, folder):
        try:
            remove(folder)
            folder.mkdir(parents=True)
            yield folder
        finally:
            remove(folder)


def is_temporary(name: str, of: str = "") -> bool:
    """Whether a name is one of `temporary_name`.

    Args:
        name: of a file or folder.
        of: name of what is written; anything where left out.

    Examples:
        >>> is_temporary(".a.h5.partial-host-12"), is_temporary(".a.h5.partial-12"), is_temporary("a.h5")
        (True, True, False)
    """
    match = _TEMPORARY.fullmatch(name)
    return match is not None and match["of"] == (of or match["of"])


def is_abandoned(path: Path) -> bool:
    """Whether a file or folder of a temporary name is of a process that is no more."""
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        return False
    if match["pid"] is None:  # a drawn name, of version 0.1.0 or of a file that lives for a moment
        return _age(path) > _A_MINUTE
    if match["host"] in (None, _HOST) and sys.platform != "win32":
        return not _is_alive(int(match["pid"]))
    return _age(path) > _A_DAY


def remove_leftovers(output: Path) -> None:
    """Remove what commands that died have left of an output: beside it, and in it where it is a folder.

    Args:
        output: file or folder.
    """
    inside = _entries(output)
    left = [path for path in _entries(output.parent) if is_temporary(path.name, output.name)]
    left += [*inside, *(path for folder in inside for path in _entries(folder))]
    for path in left:
        if is_temporary(path.name) and is_abandoned(path):
            with suppress(OSError):  # another command of a folder beside may be faster
                remove(path)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # no folder, or none that may be read
        return []


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


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
    partial = temporary_name(path)
    with _plain_errors(path, partial):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            remove(partial)
            partial.touch()
            mode = stat.S_IMODE(partial.stat().st_mode)
            partial.unlink()
            yield partial
            if partial.is_file() and stat.S_IMODE(partial.stat().st_mode) != mode:
                partial.chmod(mode)  # some libraries write for the owner alone
            partial.replace(path)
        except BaseException:
            with suppress(OSError):
                remove(partial)
            raise


@contextmanager
def _plain_errors(path: Path, partial: Path) -> Iterator[None]:
    """Say in a sentence that something cannot be written; other errors stay what they are.

    Raises:
        OutputError: there is no room, or nothing may be written there.
    """
    try:
        yield
    except Exception as error:
        if has_no_room(error):
            raise OutputError(
                f"{path} cannot be written: no space is left in {path.parent}. Nothing of it is kept; make "
                "room, and repeat the command."
            ) from error
        if isinstance(error, OSError) and isinstance(error.filename, str):
            named = Path(error.filename)
            if named in (path, *path.parents) or partial in (named, *named.parents):
                raise OutputError(
                    f"{path} cannot be written: {error.strerror}. Choose another place."
                ) from error
        raise


def has_no_room(error: BaseException) -> bool:
    """Whether an error, or what led to it, is that of a full disk or an exhausted quota.

    Examples:
        >>> has_no_room(OSError(errno.ENOSPC, "No space left on device")), has_no_room(ValueError("no"))
        (True, False)
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        # Libraries in Rust and C++ pass on its text alone.
        if _NO_ROOM.search(str(cause)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


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
    partial = temporary_name(folder.absolute())
    with _plain_errors(folder, partial):
        try:
            remove(partial)
            partial.mkdir(parents=True)
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
