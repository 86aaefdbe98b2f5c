"""Nothing outside a file is read unasked, and what was never written is not zero."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hitlens.errors import ConfigError, FileFormatError, HitlensError
from hitlens.io.columns import open_columns
from hitlens.io.hdf5 import Hdf5Tree, allows_external, open_hdf5

SECRET = np.arange(6 * 4, dtype=np.uint16).reshape(6, 2, 2)


def link(folder: Path) -> None:
    with h5py.File(folder / "master.h5", "w") as file:
        file["images"] = h5py.ExternalLink("store.h5", "/deep/images")


def link_to_group(folder: Path) -> None:
    with h5py.File(folder / "master.h5", "w") as file:
        file["deep"] = h5py.ExternalLink("store.h5", "/deep")
        file["images"] = h5py.SoftLink("/deep/images")


def storage(folder: Path) -> None:
    (folder / "secret.bin").write_bytes(SECRET.tobytes())
    with h5py.File(folder / "master.h5", "w") as file:
        place = [(str(folder / "secret.bin"), 0, SECRET.nbytes)]
        file.create_dataset("images", SECRET.shape, SECRET.dtype, external=place)


def virtual(folder: Path) -> None:
    layout = h5py.VirtualLayout(SECRET.shape, SECRET.dtype)
    layout[:] = h5py.VirtualSource(folder / "store.h5", "deep/images", SECRET.shape)
    with h5py.File(folder / "master.h5", "w") as file:
        file.create_virtual_dataset("images", layout, fillvalue=0)


WAYS_OUT = [link, link_to_group, storage, virtual]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "store.h5", "w") as file:
        file["deep/images"] = SECRET
    return tmp_path


def read(path: Path, name: str = "images", *, external: bool = False) -> Any:
    with open_columns(path, "hdf5", external=external) as columns:
        return columns.read(name, 0, columns.length(name))


@pytest.mark.parametrize("way", WAYS_OUT)
def test_another_file_is_read_only_when_it_is_allowed(way: Callable[[Path], None], folder: Path) -> None:
    way(folder)
    with pytest.raises((HitlensError, KeyError)) as refused:
        read(folder / "master.h5")
    if way is not link_to_group:
        assert "external=allow" in str(refused.value)
    assert np.array_equal(read(folder / "master.h5", external=True), SECRET)


def test_a_virtual_source_that_is_gone_is_not_zeros(folder: Path) -> None:
    virtual(folder)
    (folder / "store.h5").unlink()
    with pytest.raises(FileFormatError, match=r"its source 'deep/images' in '.*store.h5' is gone"):
        read(folder / "master.h5", external=True)


def test_a_virtual_dataset_with_holes_is_refused(folder: Path) -> None:
    layout = h5py.VirtualLayout((7, 2, 2), SECRET.dtype)
    layout[:6] = h5py.VirtualSource(folder / "store.h5", "deep/images", SECRET.shape)
    with h5py.File(folder / "master.h5", "w") as file:
        file.create_virtual_dataset("images", layout)
    with pytest.raises(FileFormatError, match="4 values of 'images' were never written"):
        read(folder / "master.h5", external=True)


@pytest.mark.parametrize("chunks", [None, (2, 2, 2)])
def test_holes_are_refused(chunks: tuple[int, ...] | None, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        images = file.create_dataset("images", (6, 2, 2), np.uint16, chunks=chunks, fillvalue=3)
        if chunks:
            images[:4] = 1
    with pytest.raises(FileFormatError, match="'images' were never written, and would be read as if"):
        read(tmp_path / "a.h5")


def test_a_shape_that_the_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        big = file.create_dataset("images", (4, 1 << 27), np.uint8, chunks=(4, 1 << 27), compression="gzip")
        big.id.write_direct_chunk((0, 0), b"x" * 2000)
    with pytest.raises(FileFormatError, match="says it holds 536,870,912 bytes, but only 2,000 are stored"):
        read(tmp_path / "a.h5")


def test_soft_links_are_followed_and_circles_end(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw/images"] = SECRET
        file["images"] = h5py.SoftLink("raw/images")
        file["again"] = h5py.SoftLink("/images")
        file["first"], file["second"] = h5py.SoftLink("/second"), h5py.SoftLink("/first")
        file["gone"] = h5py.SoftLink("/nothing")
        file["raw/above"] = file["/"]
        file["raw/self"] = h5py.SoftLink("/raw")
    with open_columns(tmp_path / "a.h5") as columns:
        assert columns.names == ("again", "images", "raw/images")
        assert np.array_equal(columns.read("again", 0, 6), SECRET)
    with open_hdf5(tmp_path / "a.h5") as file, pytest.raises(FileFormatError, match="leads in a circle"):
        Hdf5Tree(file, tmp_path / "a.h5").node("first")


def test_a_hard_link_counts_under_both_names(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = SECRET
        file["raw/images"] = file["images"]
    with open_columns(tmp_path / "a.h5") as columns:
        assert columns.names == ("images", "raw/images")


def test_too_many_names_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file
        for _ in range(40):  # 2^40 paths to one dataset
            group["right"] = group.create_group("left")
            group = group["left"]
        group["images"] = SECRET
    with pytest.raises(FileFormatError, match="too many names"), open_columns(tmp_path / "a.h5"):
        pass


def test_the_option_says_allow_or_refuse() -> None:
    with pytest.raises(ConfigError, match=r"must be 'allow' or 'refuse'. Got 'yes'"):
        allows_external({"external": "yes"})
