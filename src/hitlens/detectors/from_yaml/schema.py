"""What a detector's YAML file may say, key by key."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from hitlens.detector import (
    Description,
    Download,
    PublishedResult,
    SliceVariable,
    Symmetry,
    Task,
    TruthColumn,
    TruthLaw,
    View,
)

Kind = Literal["hdf5", "npz", "root", "parquet", "csv", "images", "npy"]

#: One name, or a list of them.
Names = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda given: ([given] if given else []) if isinstance(given, str) else given),
]


class DescribedColumn(TruthColumn):
    """One column of the truth table.

    Attributes:
        name: what tasks, slices and selections call it.
        meaning: one line for pages and tables.
        unit: for example GeV, cm or px; empty for counts and classes.
        role: "key" columns together name an event, "truth" columns say what happened. The file an event came
            from is known without being described.
        expression: SQL over other truth columns; such a column is computed when events are read.
        codes: what each value of a column of codes stands for, ``[[0, numu], [1, nue]]``; other values are
            counted as unknown.
        symbol: short name of the quantity in the caption of an event, for example E.
        axis: the axis of a view along which the column is a position, or none. Must be given for lengths (px,
            mm, cm, m) that a task predicts where there are symmetries: a flip of that axis must move them.
    """

    axis: str = ""


class ImageSource(Description):
    """Where a file holds the images of one view: in full, or as a list of hit pixels.

    Attributes:
        dense: column of images in full, shape (event, row, col) or (event, row*col); with ``index``
            (event, view, row, col) or (event, view*row*col). Where each pixel has a column of its own, their
            name with # in place of the number, row by row.
        index: which view it is, from 0, where one column holds several.
        axes: order of the axes in the file, where it differs from the view's.
        pixels: for a list of hits, the column of each axis of the view; or under ``pixel`` the column of
            positions in the image, row by row from 0.
        value: column of pixel values; a hit counts 1 where there is none.
        event: column that says which event a hit is of, or several that do together, ``[run, event]``.
            Without ``event`` or ``counts`` the columns of hits hold a list in each row, one row an event.
        event_key: column, one row an event, that holds the same numbers or text as ``event``, or several;
            ``event`` counts from 0 where there is none. No two events may have one key.
        counts: column, one row an event, of the number of hits; the hits then follow one another.
        where: only hits with these values in these columns, where one list holds the hits of several views.
        sparse: keep the images sparse in memory; lists of hits are unless this is false, images in full are
            where it is true.
    """

    dense: str = ""
    index: int | None = Field(None, ge=0)
    axes: tuple[str, ...] = ()
    pixels: dict[str, str] = Field({})
    value: str = ""
    event: Names = ()
    event_key: Names = ()
    counts: str = ""
    where: dict[str, int] = Field({})
    sparse: bool | None = None

    @model_validator(mode="after")
    def _is_one_style(self) -> ImageSource:
        if bool(self.dense) == bool(self.pixels):
            raise ValueError("give either 'dense' (images in full) or 'pixels' (a list of hits)")
        of_lists = ("value", "event", "event_key", "counts", "where")
        foreign = of_lists if self.dense else ("axes",)
        for name in foreign:
            if getattr(self, name):
                raise ValueError(
                    f"'{name}' has no meaning for {'dense images' if self.dense else 'a list of hits'}"
                )
        if self.index is not None and not self.dense:
            raise ValueError(
                "'index' has no meaning for a list of hits; 'where' chooses the hits of one view"
            )
        if self.event and self.counts:
            raise ValueError("give 'event' or 'counts', not both: either says which event a hit is of")
        if self.event_key and not self.event:
            raise ValueError("'event_key' needs 'event'")
        if self.event_key and len(self.event_key) != len(self.event):
            numbers = f"{len(self.event)} and {len(self.event_key)}"
            raise ValueError(f"'event' and 'event_key' must name equally many columns, not {numbers}")
        if len(self.event) > 1 and not self.event_key:
            raise ValueError("'event' of several columns needs 'event_key', the same columns of the events")
        return self


class FileDescription(Description):
    """A kind of file the detector's events come in, and which of its columns is what.

    Attributes:
        name: what ``--layout`` takes.
        kind: hdf5, npz, root, parquet or csv (text with names in the first line; commas, semicolons or tabs);
            or a folder: images (one .png, .tif or .npy an event) or npy (an array a column).
        meaning: one line for the help.
        suffixes: endings of the names of such files; the usual ones of the kind where empty.
        parts: name of numbered files that together are one sample, with # in place of the number, for example
            ``run#.root``. They are read by number, and a folder stands for those it holds.
        tree: ROOT: the tree whose branches go by their names alone; those of others are ``tree/branch``.
        table: images: the table in the folder that has one row an event and names the pictures; without one,
            all pictures are events, with the columns image, name, folder and number.
        images: by view, where its images are.
        truth: column of the file by truth column, or ``column[i]`` for one of several numbers in each row; a
            truth column that is not named has its own name there.
        optional: truth columns that may be missing from such a file.
    """

    name: str
    kind: Kind
    meaning: str = ""
    suffixes: tuple[str, ...] = ()
    parts: str = ""
    tree: str = ""
    table: str = ""
    images: dict[str, ImageSource]
    truth: dict[str, str] = Field({})
    optional: tuple[str, ...] = ()


class DetectorDescription(Description):
    """A detector described by one YAML file.

    Attributes:
        name: one word; events, models and predictions carry it.
        title: what the instrument is, for pages.
        views: the images of an event.
        truth: what is known of an event.
        symmetries: what may be done to an image without changing the physics.
        tasks: what can be learnt.
        slices: quantities against which results are shown.
        laws: what the truth of a faithful sample follows, checked by ``hitlens inspect``.
        published: numbers from the literature, shown beside ours.
        downloads: public files, for ``hitlens fetch``.
        files: kinds of files, and which of their columns is what.
    """

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    title: str
    views: tuple[View, ...] = Field(min_length=1)
    truth: tuple[DescribedColumn, ...] = ()
    symmetries: tuple[Symmetry, ...] = ()
    tasks: tuple[Task, ...] = Field(min_length=1)
    slices: tuple[SliceVariable, ...] = ()
    laws: tuple[TruthLaw, ...] = ()
    published: tuple[PublishedResult, ...] = ()
    downloads: tuple[Download, ...] = ()
    files: tuple[FileDescription, ...] = ()
