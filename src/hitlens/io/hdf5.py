"""The door to HDF5 files: links are walked here alone, and nothing outside the file is read unasked.

A file can name other files in three ways: by an external link, by external storage of a dataset, and by the
sources of a virtual dataset. Each would show any file of this machine as pixels, so that they are refused
unless the user allows them. Soft links stay inside the file and are followed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (its filters decompress what h5py reads)
from h5py import h5d, h5l, h5z

from hitlens.errors import ConfigError, FileFormatError
from hitlens.io.guard import damage_as_format_error
from hitlens.io.hdf5_heap import check_heaps

#: Option of every layout kept in HDF5, with its meaning.
EXTERNAL_OPTION = "external"
EXTERNAL_MEANING = "'allow' reads other files that an HDF5 file names by links or as storage; else refused"

#: Most steps from link to link, and from group to group.
_DEEPEST = 32
#: Most names of datasets in one file.
_MOST_NAMES = 100_000
#: Deflate makes at most 1 byte of 1032; a chunk of equal bytes shrinks further with other filters.
_HIGHEST_RATIO = 1_100
_FREE_CHUNK_BYTES = 1 << 22
#: Longest chunk that is read at all.
_LARGEST_CHUNK_BYTES = 1 << 30


def allows_external(options: Mapping[str, str]) -> bool:
    """Return whether options of a reader allow other files to be read.

    Raises:
        ConfigError: the option says anything but "allow" or "refuse".

    Examples:
        >>> allows_external({}), allows_external({"external": "allow"})
        (False, True)
    """
    value = options.get(EXTERNAL_OPTION, "refuse")
    if value not in ("allow", "refuse"):
        raise ConfigError(f"Option {EXTERNAL_OPTION} must be 'allow' or 'refuse'. Got '{value}'.")
    return value == "allow"


def hdf5_file(path: Path) -> h5py.File:
    """Return a HDF5 file open for reading, what the library cannot be trusted with looked at before.

    Raises:
        FileFormatError: it is damaged where HDF5 would not come back from.
        OSError: it cannot be opened.
    """
    check_heaps(path)
    return h5py.File(path, "r")


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a HDF5 file for reading, in a ``with`` block.

    Raises:
        FileFormatError: it cannot be opened.
    """
    with damage_as_format_error(path, "the file is damaged or cut short", "Copy or fetch it again."):
        file = hdf5_file(path)
    try:
        yield file
    finally:
        file.close()


@dataclass(frozen=True)
class Hdf5Tree:
    """The named things of an open file, as far as they lie inside it.

    Attributes:
        file: the open file.
        path: its name.
        external: whether other files may be read.
    """

    file: h5py.File
    path: Path
    external: bool = False

    def node(self, name: str) -> Any:
        """Return the group or dataset of that name; soft links on the way are followed.

        Raises:
            KeyError: there is none.
            FileFormatError: a link on the way leads to another file, or in a circle.
        """
        return self._descend(self.file, name, 0)

    def has(self, name: str) -> bool:
        """Tell whether there is a group or dataset of that name inside the file."""
        try:
            self.node(name)
        except (KeyError, FileFormatError):
            return False
        return True

    def dataset(self, name: str) -> h5py.Dataset:
        """Return the dataset of that name, whole and inside the file; see `check_dataset`.

        Raises:
            KeyError: there is none.
            FileFormatError: it is a group, lies in another file, or has holes.
        """
        node = self.node(name)
        if not isinstance(node, h5py.Dataset):
            raise FileFormatError(f"'{name}' must be an array. Found a group.", path=self.path)
        self.check_dataset(node, name)
        return node

    def datasets(self) -> Iterator[tuple[str, h5py.Dataset | None]]:
        """Yield name and dataset of all that can be reached, in order; None for a link to another file.

        Links that lead nowhere are left out.

        Raises:
            FileFormatError: there are too many.
        """
        waiting: list[tuple[str, Any, tuple[int, ...]]] = [("", self.file, ())]
        n_names = 0
        while waiting:
            name, group, above = waiting.pop()
            here = (*above, h5py.h5o.get_info(group.id).addr)
            inner = []
            for step in sorted(group):
                n_names += 1
                if n_names > _MOST_NAMES or len(here) > _DEEPEST:
                    raise FileFormatError("the file has too many names, or groups in groups.", path=self.path)
                full, node = f"{name}/{step}".lstrip("/"), self._child_or_none(group, step)
                if isinstance(node, h5py.Dataset) or (node is None and _is_external(group, step)):
                    yield full, node
                elif isinstance(node, h5py.Group) and h5py.h5o.get_info(node.id).addr not in here:
                    inner.append((full, node, here))
            waiting += reversed(inner)

    def check_dataset(self, dataset: h5py.Dataset, name: str) -> None:
        """Refuse a dataset whose values lie in another file, were never written, or cannot be in this one.

        Raises:
            FileFormatError: which of these.
        """
        plist = dataset.id.get_create_plist()
        layout = plist.get_layout()
        if not self.external and (plist.get_external_count() or layout == h5d.VIRTUAL):
            kind = "a virtual dataset" if layout == h5d.VIRTUAL else "kept outside the file"
            raise FileFormatError(f"'{name}' is {kind}, {_not_allowed('other files')}", path=self.path)
        if layout == h5d.VIRTUAL:
            self._check_sources(dataset, name)
        elif not plist.get_external_count() and dataset.shape is not None and dataset.size:
            self._check_storage(dataset, plist, name)

    def _check_storage(self, dataset: h5py.Dataset, plist: Any, name: str) -> None:
        stored, size = int(dataset.id.get_storage_size()), dataset.size * dataset.dtype.itemsize
        if stored > Path(dataset.file.filename).stat().st_size:
            raise FileFormatError(
                f"the file is damaged ('{name}' is larger than the file). Copy, fetch or make it again.",
                path=self.path,
            )
        if plist.get_layout() != h5d.CHUNKED:
            if stored < size:
                raise FileFormatError(_hole(name, "the values of"), path=self.path)
            return
        chunk_bytes = math.prod(dataset.chunks) * dataset.dtype.itemsize
        n_chunks = math.prod(-(-n // chunk) for n, chunk in zip(dataset.shape, dataset.chunks, strict=True))
        n_written = int(dataset.id.get_num_chunks())
        if n_written < n_chunks:
            raise FileFormatError(
                _hole(name, f"{n_chunks - n_written:,} of {n_chunks:,} chunks of"), path=self.path
            )
        ratio = _HIGHEST_RATIO if plist.get_nfilters() else 1
        if (
            chunk_bytes > _LARGEST_CHUNK_BYTES
            or n_chunks * max(0, chunk_bytes - _FREE_CHUNK_BYTES) > stored * ratio
        ):
            raise FileFormatError(
                f"the file is damaged or hostile: '{name}' says it holds {size:,} bytes, but only {stored:,} "
                "are stored. Copy, fetch or make it again.",
                path=self.path,
            )

    def _check_sources(self, dataset: h5py.Dataset, name: str) -> None:
        n_mapped = 0
        for source in dataset.virtual_sources():
            inside = source.file_name == "."
            target = self.path if inside else self.path.parent / source.file_name
            good = inside
            if not inside and target.is_file():
                with open_hdf5(target) as other:
                    good = isinstance(other.get(source.dset_name), h5py.Dataset)
            if not good:
                raise FileFormatError(
                    f"'{name}' is a virtual dataset, and its source '{source.dset_name}' in "
                    f"'{source.file_name}' is gone. Put the file back.",
                    path=self.path,
                )
            n_mapped += int(source.vspace.get_select_npoints())
        if n_mapped < dataset.size:
            raise FileFormatError(_hole(name, f"{dataset.size - n_mapped:,} values of"), path=self.path)

    def _child_or_none(self, group: h5py.Group, step: str) -> Any:
        try:
            return self._child(group, step, 0)
        except (KeyError, FileFormatError):
            return None

    def _descend(self, group: Any, name: str, n_links: int) -> Any:
        node = self.file if name.startswith("/") else group
        for step in name.split("/"):
            if step in ("", "."):
                continue
            if not isinstance(node, h5py.Group):
                raise KeyError(name)
            node = self._child(node, step, n_links)
        return node

    def _child(self, group: h5py.Group, step: str, n_links: int) -> Any:
        links, encoded = group.id.links, step.encode()
        if not links.exists(encoded):
            raise KeyError(step)
        kind = links.get_info(encoded).type
        if kind == h5l.TYPE_HARD or (kind == h5l.TYPE_EXTERNAL and self.external):
            return group[step]
        if kind == h5l.TYPE_EXTERNAL:
            target = links.get_val(encoded)[0].decode("utf-8", "replace")
            raise FileFormatError(
                f"'{step}' is a link to another file, '{target}', {_not_allowed('it')}", path=self.path
            )
        if kind != h5l.TYPE_SOFT:
            raise FileFormatError(f"'{step}' is a link of a kind that is not read.", path=self.path)
        if n_links >= _DEEPEST:
            raise FileFormatError(f"'{step}' is a link that leads in a circle.", path=self.path)
        return self._descend(group, links.get_val(encoded).decode("utf-8", "replace"), n_links + 1)


def has_checksums(dataset: h5py.Dataset) -> bool:
    """Tell whether a dataset's chunks carry checksums, which HDF5 verifies on reading."""
    plist = dataset.id.get_create_plist()
    return any(plist.get_filter(n)[0] == h5z.FILTER_FLETCHER32 for n in range(plist.get_nfilters()))


def _is_external(group: h5py.Group, step: str) -> bool:
    return bool(group.id.links.get_info(step.encode()).type == h5l.TYPE_EXTERNAL)


def _hole(name: str, what: str) -> str:
    return (
        f"{what} '{name}' were never written, and would be read as if they were its fill value. "
        "Make the file again, with all values written."
    )


def _not_allowed(what: str) -> str:
    return (
        f"and {what} must not be read unasked. If you trust the file, allow it with option "
        f"{EXTERNAL_OPTION}=allow; else copy the data into one file."
    )
