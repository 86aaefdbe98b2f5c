"""Files in and out: the native events file, text tables of numbers, and writing in one piece."""

__all__ = [
    "atomic",
    "columns",
    "download",
    "event_keys",
    "fetch",
    "guard",
    "hdf5",
    "hdf5_heap",
    "image_folders",
    "names",
    "native",
    "native_checksum",
    "native_format",
    "native_writer",
    "npz",
    "pixels",
    "text",
    "text_kernels",
]
