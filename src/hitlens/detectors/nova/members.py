"""Members of the public HDF5 files: what they are called, their types, and the truth columns they become."""

from __future__ import annotations

from dataclasses import dataclass

#: Photon-count images of both views, one row an event: (view, plane, cell) in C order.
PIXELS, TRUTH_GROUP = "cvnmap", "neutrino"
#: Pixels of one view and of an event.
N_PIXELS, N_VALUES = 8000, 16000
VIEW_NAMES = ("x", "y")


@dataclass(frozen=True)
class Member:
    """One column of the files.

    Attributes:
        name: its name in the group of the file.
        column: its name in the truth table.
        dtype: its type in the file.
        any_integer: whether other integer types are read too; what the experiment wrote is not known.
        is_key: whether it is a part of the event key, 64 bits wide in the truth table.
    """

    name: str
    column: str
    dtype: str
    any_integer: bool = False
    is_key: bool = False


#: Every member of the group, all of shape (event, 1), in the order of the truth table.
MEMBERS = (
    *(Member(name, name, "uint32", any_integer=True, is_key=True) for name in ("run", "subrun", "evt")),
    Member("subevt", "subevt", "uint16", is_key=True),
    Member("cycle", "cycle", "int32", is_key=True),
    *(Member(name, name, "uint32") for name in ("interaction", "finalstate", "finalstateprong")),
    *(Member(name, name, "float32") for name in ("nuenergy", "lepenergy")),
    *(Member(name, name, "float64") for name in ("vtxx", "vtxy", "vtxz")),
    *(Member(name, name, "uint32") for name in ("parent", "particles")),
    Member("rec.training.trainingdata_idx", "trainingdata_idx", "uint32"),
)
