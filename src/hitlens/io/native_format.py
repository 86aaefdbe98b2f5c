"""What the native events file looks like: versioned HDF5, chunked, compressed, with units and provenance.

```
/                      attributes: format, format_version, detector, n_events, structure_sha256
/images/<view>         dense: (event, row, col)
/images/<view>/        sparse: data, indices, indptr of a CSR matrix (event, row*col); attribute n_pixels
/truth/<column>        one value an event; attributes unit, meaning; text as codes into /dictionary/<column>
/dictionary/<column>   the distinct texts of a column, in order of appearance
/valid/<column>        false where a value is missing; only for columns where one is, and not for those of
                       real numbers, where NaN is missing
/provenance            JSON text: where the events come from
```

The filter is Blosc2 (byte shuffle, LZ4): of the filters of hdf5plugin it reads photon counts back the
fastest, at a size 5 % above the smallest LZ4 setting. Equal content gives equal bytes, whatever the blocks
it was written in: no times are stored, and only whole batches go to the file.

Damage does not go unnoticed: each chunk carries a checksum (HDF5's Fletcher32), so do HDF5's own metadata (of
version 1.10 on), and `structure_sha256` is that of names, types, shapes, attributes and texts.

History of the format:
    1: first version.
    2: checksums.
"""

from __future__ import annotations

from dataclasses import dataclass

FORMAT = "hitlens events"
VERSION = 2

#: Events written to the file at once; also the length of a truth chunk.
BATCH = 16384
#: Upper limit of a chunk of images, bytes.
CHUNK_BYTES = 2**21
#: Length of a chunk of a sparse view's data and indices.
SPARSE_CHUNK = 2**18


@dataclass(frozen=True)
class ColumnInfo:
    """Meaning of one truth column, as stored in the file.

    Attributes:
        unit: physical unit, empty where there is none.
        meaning: one line of words.
    """

    unit: str = ""
    meaning: str = ""
