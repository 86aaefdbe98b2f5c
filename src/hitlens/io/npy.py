"""NumPy files read a stretch of rows at a time; not mapped, so that one cut short meanwhile is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitlens.errors import FileFormatError


class NpyRows:
    """The array of a ``.npy`` file, of which rows are read when they are asked for.

    Args:
        path: the file.

    Attributes:
        shape: of the array.
        dtype: of its values.

    Raises:
        ValueError: the file is no array of NumPy, or holds objects.
        OSError: it cannot be read.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "images.npy"
        >>> np.save(path, np.arange(6).reshape(3, 2))
        >>> rows = NpyRows(path)
        >>> len(rows), rows[1:].tolist()
        (3, [[2, 3], [4, 5]])
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                read = np.lib.format.read_array_header_2_0
            self.shape, by_column, self.dtype = read(file)
            self._first_byte = file.tell()
        if self.dtype.hasobject:
            raise ValueError("it holds Python objects")
        # Arrays kept column by column, which few are, have no stretch of rows in the file.
        self._whole: NDArray[Any] | None = np.load(path, allow_pickle=False) if by_column else None
        needed = self._first_byte + int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize
        if path.stat().st_size < needed:
            raise ValueError(f"it ends after {path.stat().st_size:,} of {needed:,} bytes")

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """Return contiguous rows.

        Raises:
            FileFormatError: the file has become shorter.
        """
        if self._whole is not None:
            return self._whole[rows]
        start, stop, _ = rows.indices(len(self))
        shape = (max(0, stop - start), *self.shape[1:])
        n_a_row = int(np.prod(self.shape[1:]))
        skipped = self._first_byte + start * n_a_row * self.dtype.itemsize
        values = np.fromfile(self.path, self.dtype, int(np.prod(shape)), offset=skipped)
        if len(values) != int(np.prod(shape)):
            raise FileFormatError("the file became shorter while it was read. Read it again.", path=self.path)
        return values.reshape(shape)
