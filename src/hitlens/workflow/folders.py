"""Folders of runs, studies, cross-validations and searches: which a command may touch, and go on with."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pydantic import BaseModel

from hitlens.errors import ConfigError, RunError
from hitlens.io.atomic import is_abandoned, is_temporary, remove
from hitlens.io.outputs import check_output
from hitlens.io.ownership import LOCK
from hitlens.settings import flattened


def check_folder(
    folder: Path,
    what: str,
    marker: str,
    *,
    resume: bool,
    force: bool,
    status: str = "",
    harmless: Collection[str] = (),
) -> None:
    """Refuse a folder that must not be touched; nothing is changed.

    Args:
        folder: where results shall go.
        what: it is to hold, for example "study".
        marker: name of a file that every such folder holds.
        resume: it must hold one, which is gone on with.
        force: what it holds will be thrown away.
        status: of what it holds, for the message; one that is "finished" is not gone on with.
        harmless: names of files that may lie there before anything has begun.

    Raises:
        RunError: it holds one and neither was asked for, there is none to resume, or it holds something else.
        ConfigError: both were asked for.

    Examples:
        >>> check_folder(Path("no such folder"), "study", "study.yaml", resume=True, force=False)
        Traceback (most recent call last):
            ...
        hitlens.errors.RunError: no such folder holds no study to resume. Leave out --resume to start one.
    """
    if resume and force:
        raise ConfigError(f"--resume continues a {what} and --force throws it away. Give one of them.")
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file. Choose another name for the folder of the {what}.")
    check_output(folder, "folder")
    holds = (folder / marker).is_file()
    if resume:
        if not holds:
            raise RunError(f"{folder} holds no {what} to resume. Leave out --resume to start one.")
        return
    others = [path.name for path in folder.iterdir()] if folder.exists() else []
    if not holds and any(not is_temporary(name) for name in set(others) - {LOCK, *harmless}):
        raise RunError(f"{folder} is not empty and not a {what} of hitlens. Choose another folder.")
    if holds and not force:
        described = f"{what} ({status})" if status else what
        go_on = "" if status == "finished" else "--resume to continue it, "
        raise RunError(f"{folder} holds a {described}. Use {go_on}--force to start over, or another folder.")


def clear_folder(folder: Path) -> None:
    """Remove all that a folder holds, but for its lock and what other processes are writing."""
    for path in folder.iterdir() if folder.exists() else ():
        if path.name != LOCK and (is_abandoned(path) or not is_temporary(path.name)):
            remove(path)


def check_same_settings(
    folder: Path, what: str, begun: BaseModel, now: BaseModel, free: tuple[str, ...] = ()
) -> None:
    """Refuse to go on with other settings than those something began with.

    Args:
        folder: that is gone on with.
        what: it holds.
        begun: the settings it began with.
        now: those it is to go on with.
        free: what dotted names of settings begin with that may change.

    Raises:
        ConfigError: naming the first setting that differs, and both values.
    """
    before, after = (flattened(one.model_dump(mode="json")) for one in (begun, now))
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key) and not key.startswith(free):
            old, new = (one.get(key, "nothing") for one in (before, after))
            raise ConfigError(
                f"The {what} in {folder} began with {key} = {old}, so it cannot go on with {new}. Give the "
                f"settings it began with, or start a new {what}."
            )
