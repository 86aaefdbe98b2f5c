"""Events: detector images by view beside a table of truth, the type every stage starts from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from hitlens.errors import DataError, SelectionError, choose_from
from hitlens.sql import evaluate, plain_truth

#: One view of all events: dense (event, row, col) or sparse (event, row*col).
Images = NDArray[Any] | sparse.csr_array[Any, tuple[int, int]]

#: Whole numbers up to this one are real numbers of 64 bits too, without loss.
_EXACT = 2**53


#: Set on a sparse view that was looked at, so that each is looked at once.
_CHECKED = "hitlens_checked"


class EventSource(Protocol):
    """Events in memory or in their files: the truth is at hand, images are when they are selected."""

    @property
    def truth(self) -> pl.DataFrame:
        """One row an event."""
        ...

    @property
    def detector(self) -> str:
        """Name of the detector description these events belong to."""
        ...

    def __len__(self) -> int: ...

    def select(self, which: NDArray[Any] | slice | Sequence[int]) -> Events:
        """Return the events at these positions, in this order."""
        ...

    def blocks(self, n: int) -> Iterator[Events]:
        """Yield all events in order, at most n at a time."""
        ...


@dataclass(frozen=True, eq=False)
class Events:
    """Images of one detector, by view, with one truth row an event.

    Attributes:
        images: view name to pixel values, dense of shape (event, row, col) or a
            `scipy.sparse.csr_array` of shape (event, row*col) in row-major pixel order.
        truth: one row an event: the event key, and whatever is known of the event: numbers, texts, true or
            false; what is missing (null, NaN, blank text) is null.
        detector: name of the detector description these events belong to.

    Raises:
        DataError: the views and the truth table have different lengths, a view has a wrong number of axes, or
            a truth column is of another type.

    Examples:
        >>> events = Events({"anode": np.zeros((3, 2, 2))}, pl.DataFrame({"event": [7, 8, 9]}), "demo")
        >>> len(events), len(events.filter("event > 7"))
        (3, 2)
    """

    images: Mapping[str, Images]
    truth: pl.DataFrame
    detector: str

    def __post_init__(self) -> None:
        images = dict(self.images)
        object.__setattr__(self, "truth", plain_truth(self.truth))
        for view, array in self.images.items():
            if array.shape[0] != len(self.truth):
                raise DataError(
                    f"View '{view}' must have one image a truth row. "
                    f"Got {array.shape[0]} images and {len(self.truth)} rows."
                )
            if not sparse.issparse(array) and array.ndim < 3:
                raise DataError(
                    f"A dense view must have shape (event, row, col). View '{view}' has shape {array.shape}."
                )
            if not isinstance(array, np.ndarray):
                images[view] = checked_sparse(view, array)
        object.__setattr__(self, "images", MappingProxyType(images))

    def __len__(self) -> int:
        return len(self.truth)

    def select(self, which: NDArray[Any] | slice | Sequence[int]) -> Events:
        """Return the events at these positions, in this order.

        Args:
            which: integer positions, a boolean mask of shape (event,), or a slice.
        """
        if not isinstance(which, slice):
            # An empty list is an array of floats to NumPy, which selects nothing.
            which = np.asarray(which) if len(which) else np.zeros(0, dtype=np.int64)
        rows = np.arange(len(self))[which]
        return Events(
            {view: array[rows] for view, array in self.images.items()}, self.truth[rows], self.detector
        )

    def blocks(self, n: int) -> Iterator[Events]:
        """Yield all events in order, at most n at a time; images are shared, not copied.

        Args:
            n: events a block.
        """
        for start in range(0, len(self), n):
            part = slice(start, start + n)
            yield Events({view: a[part] for view, a in self.images.items()}, self.truth[part], self.detector)

    def filter(self, expression: str, *, setting: str = "") -> Events:
        """Return the events for which a SQL expression over the truth columns holds, in order.

        Args:
            expression: for example ``"energy_1_mev > 0.5 AND n_electrons = 1"``; a missing value satisfies
                nothing.
            setting: where it comes from, for the error.

        Raises:
            SelectionError: the expression cannot be read, names an unknown column or is not true/false.
        """
        return self.select(evaluate_condition(self.truth, expression, setting=setting))

    def dense(self, view: str, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
        """Return one view as a dense array of shape (event, row, col).

        Args:
            view: name of the view.
            shape: (row, col) of one image; needed for a sparse view, which does not know it.

        Raises:
            SelectionError: there is no such view.
            DataError: a sparse view without a shape.
        """
        if view not in self.images:
            raise SelectionError(f"No view '{view}' in these events. {choose_from(view, self.images)}")
        array = self.images[view]
        if isinstance(array, np.ndarray):
            return array
        if shape is None:
            raise DataError(f"View '{view}' is sparse: pass the shape of one image to make it dense.")
        return array.toarray().reshape(-1, *shape)


def checked_sparse(view: str, array: Any) -> sparse.csr_array[Any, tuple[int, int]]:
    """Return a sparse view that compiled code may follow: parts that fit, pixels ascending, each there once.

    Args:
        view: its name, for messages.
        array: a sparse matrix of shape (event, row*col); one whose pixels do not ascend is copied.

    Raises:
        DataError: the events do not follow each other, or a hit lies outside the image or on another hit.

    Examples:
        >>> hits = sparse.csr_array((np.ones(2), np.array([3, 4]), np.array([0, 1, 2])), shape=(2, 4))
        >>> checked_sparse("x", hits)
        Traceback (most recent call last):
        hitlens.errors.DataError: View 'x': a hit of event 1 is at pixel 4 of 4. Pixels count from 0.
    """
    matrix: sparse.csr_array[Any, tuple[int, int]] = (
        array if isinstance(array, sparse.csr_array) else sparse.csr_array(array)
    )
    if getattr(matrix, _CHECKED, False):  # the very same matrix in an earlier block or selection
        return matrix
    _check_parts(view, matrix.data, matrix.indices, matrix.indptr, matrix.shape)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sort_indices()
        if not matrix.has_canonical_format:
            raise DataError(
                f"View '{view}': a pixel of an event stands twice among its hits. Add such hits up first, "
                "with sum_duplicates() of a matrix whose type holds the sums."
            )
    setattr(matrix, _CHECKED, True)
    return matrix


def _check_parts(
    view: str, data: NDArray[Any], indices: NDArray[Any], indptr: NDArray[Any], shape: tuple[int, ...]
) -> None:
    good_ends = len(indptr) == shape[0] + 1 and indptr[0] == 0 and indptr[-1] == len(indices)
    if not good_ends or len(data) != len(indices):
        raise DataError(
            f"View '{view}': a sparse view of {shape[0]} events must have {shape[0] + 1} ends of events, "
            f"from 0 to the number of hits. Got {len(indptr)} ends, {len(indices)} places and {len(data)} "
            "values."
        )
    if (np.diff(indptr) < 0).any():
        event = int(np.argmax(np.diff(indptr) < 0))
        raise DataError(f"View '{view}': the hits of event {event} end before they begin.")
    if len(indices) and (indices.min() < 0 or indices.max() >= shape[1]):
        at = int(np.argmax((indices < 0) | (indices >= shape[1])))
        event = int(np.searchsorted(indptr, at, side="right")) - 1
        raise DataError(
            f"View '{view}': a hit of event {event} is at pixel {indices[at]} of {shape[1]}. "
            "Pixels count from 0."
        )


def concat(parts: Sequence[Events]) -> Events:
    """Join events of one detector, in order.

    Raises:
        DataError: nothing to join, or the parts differ in detector or views.

    Examples:
        >>> one = Events({"anode": np.zeros((2, 2, 2))}, pl.DataFrame({"event": [0, 1]}), "demo")
        >>> len(concat([one, one]))
        4
    """
    if not parts:
        raise DataError("concat needs at least one Events. Got an empty sequence.")
    first = parts[0]
    for part in parts[1:]:
        if part.detector != first.detector or set(part.images) != set(first.images):
            raise DataError(
                "Only events of one detector with the same views can be joined. "
                f"Got {first.detector} {sorted(first.images)} and {part.detector} {sorted(part.images)}."
            )
    images = {view: join_images([part.images[view] for part in parts]) for view in first.images}
    return Events(images, join_truth([part.truth for part in parts]), first.detector)


def join_truth(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Join truth tables, in order; a column takes the type that holds the values of all, 64 bits at most.

    Raises:
        DataError: no type does, for example negative numbers beside those of 64 bits without sign.

    Examples:
        >>> signed, unsigned = (pl.DataFrame({"id": pl.Series([1], dtype=t)}) for t in (pl.Int64, pl.UInt64))
        >>> join_truth([signed, unsigned])["id"].dtype
        Int64
    """
    joined = pl.concat(tables, how="diagonal_relaxed")
    for name, dtype in joined.schema.items():
        whole = [table[name] for table in tables if name in table.columns and table[name].dtype.is_integer()]
        if dtype.is_float() and not all(column.is_between(-_EXACT, _EXACT).all() for column in whole):
            raise DataError(
                f"Truth column '{name}' holds whole numbers in one file and real numbers in another, which "
                "do not hold its largest ones. Write it alike in all files."
            )
    return plain_truth(joined)


def join_images(arrays: Sequence[Images]) -> Images:
    """Join the images of one view, in order; sparse as soon as one part is."""
    if len(arrays) == 1:
        return arrays[0]
    dense = [array for array in arrays if isinstance(array, np.ndarray)]
    return np.concatenate(dense) if len(dense) == len(arrays) else _stack_sparse(arrays)


def _stack_sparse(arrays: Sequence[Images]) -> sparse.csr_array[Any, tuple[int, int]]:
    flat = [a.reshape(len(a), -1) if isinstance(a, np.ndarray) else a for a in arrays]
    return sparse.csr_array(sparse.vstack([sparse.csr_array(a) for a in flat]))


def evaluate_expression(truth: pl.DataFrame, expression: str, *, setting: str = "") -> pl.Series:
    """Return the value of a SQL expression over the truth columns, one a row; null where it is missing.

    Args:
        truth: one row an event.
        expression: see `hitlens.sql`.
        setting: where the expression comes from, for the error; for example "data.selection".

    Raises:
        SelectionError: the expression cannot be read or names a column that is not there.

    Examples:
        >>> evaluate_expression(pl.DataFrame({"a": [1, 2]}), "a * 2").to_list()
        [2, 4]
    """
    try:
        return evaluate(truth, expression)
    except SelectionError as error:
        raise SelectionError(f"{setting}: {error}" if setting else str(error)) from None


def evaluate_columns(truth: pl.DataFrame, expressions: Mapping[str, str]) -> pl.DataFrame:
    """Return the truth with columns added that SQL expressions over its columns give, all at once.

    Args:
        truth: one row an event.
        expressions: by name of the new column.

    Raises:
        SelectionError: as `evaluate_expression`.

    Examples:
        >>> evaluate_columns(pl.DataFrame({"a": [1, 2]}), {"b": "a * 2", "c": "a > 1"}).row(1)
        (2, 4, True)
    """
    return truth.with_columns(
        evaluate_expression(truth, text, setting=f"truth column '{name}'").alias(name)
        for name, text in expressions.items()
    )


def evaluate_condition(truth: pl.DataFrame, expression: str, *, setting: str = "") -> NDArray[np.bool_]:
    """Return a mask of shape (event,): where a SQL condition over the truth columns holds; missing is false.

    Raises:
        SelectionError: as `evaluate_expression`, or the expression is not true/false.

    Examples:
        >>> evaluate_condition(pl.DataFrame({"a": [1, None, 3]}), "a > 2").tolist()
        [False, False, True]
    """
    values = evaluate_expression(truth, expression, setting=setting)
    if values.dtype == pl.Null:
        return np.zeros(len(truth), dtype=np.bool_)
    if values.dtype != pl.Boolean:
        prefix = f"{setting}: " if setting else ""
        raise SelectionError(
            f"{prefix}'{expression}' must be a condition (true or false). It gives {values.dtype}."
        )
    return values.fill_null(False).to_numpy()
