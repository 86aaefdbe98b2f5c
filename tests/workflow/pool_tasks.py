"""Functions that workers of the tests run; a module of its own, so that they can import it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from hitlens.errors import FileFormatError


def describe(seconds: float) -> dict[str, Any]:
    time.sleep(seconds)
    return {"pid": os.getpid(), "folder": str(Path.cwd()), "threads": os.environ.get("OMP_NUM_THREADS")}


def double(number: int) -> int:
    return 2 * number


def slowly(number: int) -> int:
    time.sleep(0.1)
    return number


def count(folder: Path) -> int:
    """Leave a file for each time it was called."""
    number = len(list(folder.iterdir()))
    (folder / str(number)).touch()
    return number


def die_once(mark: Path) -> str:
    """Kill the process the first time."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def die(name: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def complain(path: str) -> None:
    raise FileFormatError("this is nothing.", path=path, line=7)


def wait_long(mark: Path) -> None:
    mark.touch()
    time.sleep(300)
