"""HDF5 files that are written: a full disk is an error here, where HDF5 itself would crash."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py


class Hdf5Output:
    """A new HDF5 file; `check` and `close` raise what went wrong on the disk.

    After a write that failed HDF5 crashes as soon as it closes the file. So it never learns of one: what
    cannot be written is held in memory until the file is closed, which is soon.

    Args:
        path: of the file.
        libver: oldest and newest version of the format, as h5py takes them.

    Attributes:
        file: the open file.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.h5"
        >>> output = Hdf5Output(path)
        >>> output.file["n"] = 3
        >>> output.close()
        >>> with h5py.File(path) as file:
        ...     int(file["n"][()])
        3
    """

    def __init__(self, path: Path, libver: tuple[str, str] | None = None) -> None:
        self._disk = _Disk(path)
        self.file = h5py.File(self._disk, "w", libver=libver)

    def check(self) -> None:
        """See whether all was written so far.

        Raises:
            OSError: it was not.
        """
        if self._disk.error is not None:
            raise self._disk.error

    def close(self) -> None:
        """Close the file.

        Raises:
            OSError: not all was written.
        """
        try:
            self.file.close()
        finally:
            self._disk.close()
        self.check()


class _Disk:
    """A file as h5py takes one, which keeps what cannot be written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self._at = 0
        self._held: list[tuple[int, bytes]] = []
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        end = max([os.fstat(self._file.fileno()).st_size, *(start + len(data) for start, data in self._held)])
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: end}[whence]
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def write(self, data: Any) -> int:
        """Write at the position, on the disk as long as that works."""
        view = memoryview(data).cast("B")
        if self.error is None:
            try:
                self._file.seek(self._at)
                done = 0
                while done < len(view):
                    done += self._file.write(view[done:])
            except OSError as error:
                self.error = error
        if self.error is not None:
            self._held.append((self._at, bytes(view)))
        self._at += len(view)
        return len(view)

    def read(self, size: int) -> bytes:
        """Read from the position on; h5py takes what has this for a file, and uses `readinto`."""
        data = bytearray(size)
        return bytes(data[: self.readinto(data)])

    def readinto(self, buffer: Any) -> int:
        """Read from the position on, what is held included."""
        view = memoryview(buffer).cast("B")
        self._file.seek(self._at)
        n_read = self._file.readinto(view) or 0
        view[n_read:] = bytes(len(view) - n_read)  # HDF5 takes what lies beyond the end for zeros
        for start, data in self._held:
            first, stop = max(start, self._at), min(start + len(data), self._at + len(view))
            if first < stop:
                view[first - self._at : stop - self._at] = data[first - start : stop - start]
                n_read = max(n_read, stop - self._at)
        self._at += n_read
        return n_read

    def truncate(self, size: int | None = None) -> int:
        """Set the length, as long as writing works."""
        size = self._at if size is None else size
        if self.error is None:
            try:
                self._file.truncate(size)
            except OSError as error:
                self.error = error
        return size

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Close the file; some file systems say only now that there is no room."""
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error
