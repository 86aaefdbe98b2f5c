"""The one way hitlens compiles a numeric loop: numba, in float64, without the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function of numbers and arrays with numba, keeping its type for type checkers.

    The machine code is cached on disk, releases the interpreter lock, so that threads run it side by side,
    and follows NumPy's rules for division by zero. Fused multiply-add is allowed, nothing else that
    changes the order of floating-point operations: the same numbers come out whatever the number of threads.

    Examples:
        >>> @compiled
        ... def total(values):
        ...     result = 0.0
        ...     for value in values:
        ...         result += value
        ...     return result
        >>> import numpy as np
        >>> total(np.arange(4.0))
        6.0
    """
    # Functions typed into an interpreter or a doctest have no file to cache beside.
    cache = "<" not in function.__code__.co_filename
    return cast(F, numba.njit(cache=cache, nogil=True, error_model="numpy", fastmath={"contract"})(function))
