"""One owner at a time: who works on an output, by a lock that ends with its process.

The lock is the operating system's (``flock``), which Linux carries to NFS servers too; a file that merely
exists means nothing. On Windows, and on file systems that know no locks, nobody is kept out.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import platform
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from hitlens.errors import OutputError, RunError
from hitlens.io.atomic import remove_leftovers

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

#: Name of the lock within a folder.
LOCK = ".lock"

#: Characters of a command that are kept for the message.
_COMMAND_LENGTH = 300


def locked(descriptor: int, *, wait: bool = True) -> bool:
    """Lock an open file until it is closed or the process ends; return whether that was possible.

    Args:
        descriptor: of a file, open for writing, or of a folder.
        wait: until another process gives it back; else the answer is False at once.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN) and not wait:
            return False
        log.debug("no file lock: %s", error)
    return True


@contextmanager
def owned(output: Path, *, is_folder: bool) -> Iterator[None]:
    """Own an output while a command works on it, and remove what commands that died have left of it.

    A folder is made where it is missing, and removed again where nothing came into it.

    Args:
        output: file, or folder.
        is_folder: whether it is a folder for many things, which has the lock inside; else the lock lies
            beside it.

    Raises:
        RunError: another process works on it; the message says which, or it is a file and must be a folder.
        OutputError: nothing can be written there.

    Examples:
        >>> import tempfile
        >>> output = Path(tempfile.mkdtemp()) / "events.h5"
        >>> with owned(output, is_folder=False):
        ...     [path.name for path in output.parent.iterdir()]
        ['.events.h5.lock']
        >>> list(output.parent.iterdir())
        []
    """
    output = Path(output).absolute()
    if is_folder and output.exists() and not output.is_dir():
        raise RunError(f"{output} is a file. Choose another name for the folder.")
    folder = output if is_folder else output.parent
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    path = output / LOCK if is_folder else output.with_name(f".{output.name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = None if fcntl is None else _acquired(path, output)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror}. Choose another place.") from None
    try:
        remove_leftovers(output)
        yield
    finally:
        if descriptor is not None:
            path.unlink(missing_ok=True)  # while it is held: who opens it now finds that it is gone
            os.close(descriptor)
        with suppress(OSError):  # there is something in it
            for empty in missing:
                empty.rmdir()


def owning_folder(function: F) -> F:
    """Let a function own the folder it is given first, as `owned`, while it works."""

    @wraps(function)
    def owning(folder: Path, *args: Any, **kwargs: Any) -> Any:
        with owned(folder, is_folder=True):
            return function(folder, *args, **kwargs)

    return cast(F, owning)


def _acquired(path: Path, output: Path) -> int:
    """Return the descriptor of the lock, with this process written into it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not locked(descriptor, wait=False):
                raise RunError(
                    f"{output} is in use: {_holder(descriptor)}. Wait until it is done, or end it."
                )
            if _is_there(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, json.dumps(_this_process()).encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its owner has just removed it


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _this_process() -> dict[str, str | int]:
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return {
        "host": platform.node(),
        "pid": os.getpid(),
        "command": re.sub(r"//[^/@\s]*@", "//", command)[:_COMMAND_LENGTH],  # no passwords
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 10_000, 0))
        return (
            f"process {holder['pid']} on {holder['host']} works on it since {holder['since']} "
            f"({holder['command']})"
        )
    except (OSError, ValueError, TypeError, KeyError):
        return "another process has just begun to work on it"
