"""The `partition_*.p` pickles beside the original events, read as data: no code in them is ever run.

A pickle is a program for a small stack machine. This module follows such a program itself and knows only the
steps that make numbers, texts, lists, tuples and dictionaries. A pickle with any other step, such as one that
looks up a function or calls it, is refused before the step is taken.
"""

from __future__ import annotations

import pickletools
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hitlens.errors import FileFormatError, reason_of
from hitlens.io.guard import damage_as_format_error

#: Steps that put their argument on the stack.
_PUSH = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    }
)
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_IGNORED = frozenset({"PROTO", "FRAME"})

#: Place on the stack of the last step that marked one.
_MARK = object()

#: Largest partition read; the published ones have some kilobytes.
_MAX_BYTES = 1 << 24


def read_partition(path: Path) -> dict[int, tuple[int, ...]]:
    """Return the labels of events by event number.

    Args:
        path: a pickle of {number: labels}, or of (numbers, {number: labels}).

    Returns:
        For each event the labels: antineutrino, flavour, interaction, protons, charged pions, neutral pions,
        neutrons. Counts are cut off at 3.

    Raises:
        FileFormatError: it holds anything but numbers, texts, lists and dictionaries, or no labels.
    """
    with damage_as_format_error(path):
        return _labels_of(read_plain_pickle(path), path)


def _labels_of(content: Any, path: Path) -> dict[int, tuple[int, ...]]:
    if isinstance(content, tuple) and len(content) == 2:
        content = content[1]
    if not isinstance(content, dict):
        raise FileFormatError(
            f"a partition must hold labels by event number. Got {type(content).__name__}.", path=path
        )
    found = {}
    for key, labels in content.items():
        number = int(key) if isinstance(key, int) or (isinstance(key, str) and key.isdigit()) else -1
        good = isinstance(labels, (list, tuple)) and len(labels) >= 7
        if number < 0 or not good or not all(isinstance(label, (int, float)) for label in labels):
            raise FileFormatError(
                "a partition must hold 7 whole numbers by event number. "
                f"Event {reprlib.repr(key)} has {reprlib.repr(labels)}.",
                path=path,
            )
        found[number] = tuple(int(label) for label in labels)
    return found


def read_plain_pickle(path: Path) -> Any:
    """Return the content of a pickle made of numbers, texts, lists, tuples and dictionaries alone.

    Raises:
        FileFormatError: it is not a pickle, or holds anything else.

    Examples:
        >>> import pickle, tempfile
        >>> path = Path(tempfile.mkdtemp()) / "partition.p"
        >>> _ = path.write_bytes(pickle.dumps({"0": [0, 1]}))
        >>> read_plain_pickle(path)
        {'0': [0, 1]}
        >>> _ = path.write_bytes(pickle.dumps(Path.cwd))
        >>> read_plain_pickle(path)
        Traceback (most recent call last):
        hitlens.errors.FileFormatError: ...: this pickle holds code ...
    """
    if path.stat().st_size > _MAX_BYTES:
        raise FileFormatError(f"a partition must be smaller than {_MAX_BYTES:,} bytes.", path=path)
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(path.read_bytes()):
            if opcode.name == "STOP":
                return machine.stack.pop()
            if not machine.step(opcode.name, argument):
                what = "" if argument is None else f" {reprlib.repr(argument)}"
                raise FileFormatError(
                    f"this pickle holds code or objects (step {opcode.name}{what}), which are never loaded. "
                    "A partition is made of dictionaries, lists, texts and numbers alone; get it from "
                    "another source.",
                    path=path,
                )
    except FileFormatError:
        raise
    except Exception as error:  # whatever the steps of a damaged one lead to
        raise FileFormatError(f"this is not a whole pickle ({reason_of(error)}).", path=path) from error
    raise FileFormatError("this pickle ends too early.", path=path)


class _Machine:
    """The stack and the memory of a pickle, with the harmless steps."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._memory: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> bool:
        """Take one step; return whether it is known to be harmless."""
        if name in _IGNORED:
            return True
        if name in _PUSH:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memory[int(argument)] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self._memory[int(argument)])
        elif name in self._BUILD:
            self._BUILD[name](self)
        else:
            return False
        return True

    def _take(self) -> list[Any]:
        """Remove and return what was put on the stack since the last mark."""
        at = len(self.stack) - 1
        while at >= 0 and self.stack[at] is not _MARK:
            at -= 1
        if at < 0:
            raise ValueError("it goes back to a mark that was never set")
        taken = self.stack[at + 1 :]
        del self.stack[at:]
        return taken

    def _take_last(self, n: int) -> list[Any]:
        if len(self.stack) < n:
            raise ValueError("it takes more than there is")
        taken = self.stack[len(self.stack) - n :]
        del self.stack[len(self.stack) - n :]
        return taken

    def _append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise TypeError("it appends to what is no list")
        target.extend(items)

    def _set(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise TypeError("it sets an entry of what is no dictionary")
        target.update(zip(items[::2], items[1::2], strict=True))

    def _memorise(self) -> None:
        self._memory[len(self._memory)] = self.stack[-1]

    def _dict(self) -> None:
        items = self._take()
        self.stack.append(dict(zip(items[::2], items[1::2], strict=True)))

    _BUILD: dict[str, Callable[[_Machine], None]] = {  # noqa: RUF012 - a table of the class, never changed
        "MARK": lambda self: self.stack.append(_MARK),
        "POP": lambda self: self._take_last(1).clear(),
        "MEMOIZE": lambda self: self._memorise(),
        "LIST": lambda self: self.stack.append(self._take()),
        "TUPLE": lambda self: self.stack.append(tuple(self._take())),
        "TUPLE1": lambda self: self.stack.append(tuple(self._take_last(1))),
        "TUPLE2": lambda self: self.stack.append(tuple(self._take_last(2))),
        "TUPLE3": lambda self: self.stack.append(tuple(self._take_last(3))),
        "DICT": lambda self: self._dict(),
        "APPEND": lambda self: self._append(self._take_last(1)),
        "APPENDS": lambda self: self._append(self._take()),
        "SETITEM": lambda self: self._set(self._take_last(2)),
        "SETITEMS": lambda self: self._set(self._take()),
    }
