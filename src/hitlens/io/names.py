"""Names of files as people give them: home folder and variables expanded, endings in any case."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from hitlens.errors import DataError


def expanded(name: str | Path) -> Path:
    """Return a path with ``~`` and ``$VARIABLES`` replaced, unless there is a file of just that name.

    A shell replaces them in most places; not behind ``--output=``, in quotes, nor in a recipe.

    Args:
        name: of a file or folder, there or not.

    Examples:
        >>> expanded("~/runs") == Path.home() / "runs"
        True
        >>> str(expanded("runs/a*b.h5"))
        'runs/a*b.h5'
    """
    path = Path(name)
    if not {"~", "$"} & set(str(path)) or os.path.lexists(path):
        return path
    return Path(os.path.expandvars(path.expanduser() if path.parts[0] == "~" else path))


def has_ending(path: Path, endings: str | Iterable[str]) -> bool:
    """Tell whether a name ends in one of some endings, in capital letters or small ones.

    Examples:
        >>> has_ending(Path("RUN7.H5"), (".h5", ".hdf5")), has_ending(Path("run.h5.txt"), ".h5")
        (True, False)
    """
    wanted = (endings,) if isinstance(endings, str) else endings
    return path.name.lower().endswith(tuple(ending.lower() for ending in wanted))


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file whose name comes from another file; it never leaves the folder.

    Args:
        folder: where it belongs.
        name: a plain name.

    Raises:
        DataError: the name leads elsewhere, or is a link that does.

    Examples:
        >>> inside(Path("run/figures"), "/etc/passwd")
        Traceback (most recent call last):
        hitlens.errors.DataError: run/figures: '/etc/passwd' is no plain file name. Names in a run stay in it.
    """
    plain = name not in ("", ".", "..") and not {"/", "\\", "\0", ":"} & set(name)
    path = folder / name if plain else folder
    if not plain or (path.is_symlink() and not path.resolve().is_relative_to(folder.resolve())):
        raise DataError(f"{folder}: '{name}' is no plain file name. Names in a run stay in it.")
    return path
