"""The error tree of hitlens; every error a user can meet is one of these.

::

    HitlensError
    ├── DataError               the content of a file or of events cannot be used
    │   ├── FileFormatError     a file is malformed, truncated, foreign or newer than this version
    │   ├── LeakageError        the same event stands in more than one split
    │   └── SelectionError      an expression or a column name does not fit the truth table
    ├── ConfigError             a setting is unknown, out of range or contradicts another
    ├── NotFoundError           a detector, task, model, recipe or file that does not exist
    ├── ModelFileError          a model file is not one of ours, is damaged, or does not fit the events
    ├── RunError                a run folder is unfinished, finished, or not a run
    │   └── InterruptedRunError Ctrl-C ended a training that must be gone on with
    ├── OutputError             what was made cannot be written: no room, no permission
    └── FetchError              a download failed or its content is not what was recorded

Messages say what was wrong, where, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path


class HitlensError(Exception):
    """Base of every error raised on purpose; the command line prints it without a traceback."""


class DataError(HitlensError, ValueError):
    """The content of a file or of events cannot be used."""


class FileFormatError(DataError):
    """A file is malformed; carries where.

    Attributes:
        problem: what is wrong, and what to do.
        path: the file.
        line: line number, counted from 1, or None where lines have no meaning.
        column: field number on that line, counted from 1, or None.
    """

    def __init__(
        self, problem: str, *, path: Path | str, line: int | None = None, column: int | None = None
    ) -> None:
        self.problem = problem
        self.path = Path(path)
        self.line = line
        self.column = column
        place = str(path)
        if line is not None:
            place += f", line {line}"
        if column is not None:
            place += f", column {column}"
        super().__init__(f"{place}: {problem}")

    def __reduce__(self) -> tuple[object, ...]:
        """Let it come back from a process that reads for another one."""
        again = partial(FileFormatError, path=self.path, line=self.line, column=self.column)
        return again, (self.problem,)


class LeakageError(DataError):
    """The same event stands in more than one split."""


class SelectionError(DataError):
    """An expression or a column name does not fit the truth table."""


class ConfigError(HitlensError, ValueError):
    """A setting is unknown, out of range or contradicts another."""


class NotFoundError(HitlensError, LookupError):
    """A detector, task, model, recipe or file that does not exist."""


class ModelFileError(HitlensError):
    """A model file is not one of ours, is damaged, or does not fit the events."""


class RunError(HitlensError):
    """A run folder is unfinished, finished, or not a run."""


class InterruptedRunError(RunError):
    """Ctrl-C ended a training that must be gone on with."""


class OutputError(HitlensError):
    """What was made cannot be written: there is no room, or no permission."""


class FetchError(HitlensError):
    """A download failed or its content is not what was recorded."""


@contextmanager
def foreign_errors_as(make: Callable[[str], HitlensError]) -> Iterator[None]:
    """Turn whatever a library raises inside into one error of ours; the guard at every door of the package.

    Errors of ours, warnings and Ctrl-C pass. A panic of a library in Rust, which Python does not count among
    the exceptions, does not.

    Args:
        make: makes the error from the reason in words.

    Raises:
        HitlensError: what ``make`` returned.

    Examples:
        >>> with foreign_errors_as(lambda reason: ConfigError(f"run.yaml: {reason}.")):
        ...     {}["epochs"]
        Traceback (most recent call last):
        hitlens.errors.ConfigError: run.yaml: KeyError: epochs.
    """
    try:
        yield
    except (HitlensError, Warning):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__module__ != "pyo3_runtime":
            raise
        raise make(reason_of(error)) from error


_QUOTES = "'\""


def reason_of(error: BaseException) -> str:
    r"""Return what a library's error says, in one line.

    Examples:
        >>> reason_of(OSError("cannot read\nat all")), reason_of(MemoryError())
        ('cannot read', 'MemoryError')
    """
    name = type(error).__name__
    lines = [line for line in str(error).splitlines() if line.strip()]
    if not lines:
        return name
    words = lines[0].strip().rstrip(".")
    return f"{name}: {words.strip(_QUOTES)}" if isinstance(error, LookupError) else words


def choose_from(name: str, choices: Iterable[str]) -> str:
    """Say which names exist, the nearest first; the second half of a "no such X" message.

    Args:
        name: what was asked for.
        choices: what there is.

    Examples:
        >>> choose_from("multiplicty", ["joint", "multiplicity"])
        "Did you mean 'multiplicity'? There are: joint, multiplicity."
        >>> choose_from("zzz", ["joint", "multiplicity"])
        'There are: joint, multiplicity.'
    """
    known = sorted(choices)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    return f"{hint}There are: {', '.join(known) or 'none'}."
