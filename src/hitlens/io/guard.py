"""The guard at the door of every file: what libraries say of a damaged one becomes one sentence of ours."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hitlens.errors import FileFormatError, HitlensError, foreign_errors_as, reason_of

#: Reasons of the operating system that are not in the file.
_NOT_DAMAGE = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EMFILE, errno.ENFILE),
        *(errno.EAGAIN, errno.ESTALE, errno.ENAMETOOLONG, errno.ELOOP),
    }
)


@contextmanager
def damage_as_format_error(
    path: Path, problem: str = "the file is damaged", advice: str = "Copy, fetch or make it again."
) -> Iterator[None]:
    """Turn what a library says of a damaged file into one error that names the file.

    Args:
        path: the file.
        problem: what is said of it, before the library's reason.
        advice: what to do.

    Raises:
        FileFormatError: something went wrong inside.

    Examples:
        >>> with damage_as_format_error(Path("events.npz")):
        ...     raise EOFError("no data left")
        Traceback (most recent call last):
        hitlens.errors.FileFormatError: events.npz: the file is damaged (no data left). Copy, ...
    """

    def told(reason: str) -> HitlensError:
        return FileFormatError(f"{problem} ({reason}). {advice}", path=path)

    with foreign_errors_as(told):
        try:
            yield
        except OSError as error:
            if "unable to lock file" in str(error):
                raise FileFormatError(
                    "another program has it open for writing, which locks it. Close it there, or wait. On a "
                    "file system without locks, set HDF5_USE_FILE_LOCKING=FALSE.",
                    path=path,
                ) from error
            if error.errno not in _NOT_DAMAGE:
                raise
            raise FileFormatError(f"it cannot be read ({reason_of(error)}).", path=path) from error
