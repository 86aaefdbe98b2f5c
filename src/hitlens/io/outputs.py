"""Outputs that could not be written are refused before the work for them begins."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Literal

from hitlens.errors import ConfigError

#: What a reason of the operating system asks for.
_REMEDIES = {
    errno.EACCES: "Ask for the right to write there, or choose another place.",
    errno.EPERM: "Ask for the right to write there, or choose another place.",
    errno.EROFS: "Choose another place.",
    errno.ENOSPC: "Make room, or choose another place.",
    errno.EDQUOT: "Make room, or choose another place.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.EMFILE: "Allow more open files: ulimit -n 1024.",
}


def check_output(path: Path, kind: Literal["file", "folder", "either"] = "file") -> None:
    """Refuse an output that could not be written; nothing is left behind.

    Args:
        path: what is to be written; it may be there already.
        kind: what it will be.

    Raises:
        ConfigError: The name is no text, there is a folder where a file shall be or the other way round, or
            its folder cannot be written to.

    Examples:
        >>> check_output(Path("no such folder") / "events.h5")
        >>> check_output(Path("/"))
        Traceback (most recent call last):
        hitlens.errors.ConfigError: '/' is a folder. Give the name of a file to write.
    """
    check_name(path)
    try:
        if kind == "file" and path.is_dir():
            raise ConfigError(f"'{path}' is a folder. Give the name of a file to write.")
        if kind == "folder" and path.exists() and not path.is_dir():
            raise ConfigError(f"'{path}' is a file. Give the name of a folder to write to.")
        folder = _nearest_folder(path if path.is_dir() else path.absolute().parent)
        _try_to_write(folder, path.name)
    except OSError as error:
        raise cannot_write(path, error) from None


def check_name(path: Path) -> None:
    r"""Refuse a name that is no text: in the letters of another system, which tables of events cannot hold.

    Raises:
        ConfigError: such a name.

    Examples:
        >>> check_name(Path(os.fsdecode(b"caf\xe9.h5")))
        Traceback (most recent call last):
        hitlens.errors.ConfigError: The name 'caf\xe9.h5' is not written in UTF-8. Rename it.
    """
    raw = os.fsencode(path)
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        shown = raw.decode("utf-8", errors="backslashreplace")
        raise ConfigError(f"The name '{shown}' is not written in UTF-8. Rename it.") from None


def cannot_write(path: Path | str, error: OSError) -> ConfigError:
    """Return the error for what the operating system refused to write.

    Args:
        path: what was to be written.
        error: the reason.
    """
    number = error.errno or 0
    reason = os.strerror(number) if number else str(error)
    remedy = _REMEDIES.get(number, "Choose another place.")
    return ConfigError(f"'{path}' cannot be written ({reason}). {remedy}")


def _nearest_folder(folder: Path) -> Path:
    """Return the folder, or the nearest above it that is there."""
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise ConfigError(f"'{folder}' is a file, so nothing can be written below it. Choose another place.")
    return folder


def _try_to_write(folder: Path, name: str) -> None:
    # The rights alone do not tell: a file system may be mounted for reading only, or be full.
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{name}.partial-") as file:
        file.write(b"\0" * 4096)
        file.flush()
