"""Public files of a detector, by name, into the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from hitlens.detector import Download
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, NotFoundError, choose_from
from hitlens.io.download import DownloadSettings
from hitlens.io.fetch import FetchedFile, cache_folder, fetch_file

#: Called with the name of a file, the bytes on disk so far and the bytes of the whole (None where unknown).
FileProgress = Callable[[str, int, int | None], None]


def list_downloads(detector: str, names: Sequence[str] = ()) -> tuple[Download, ...]:
    """Return the public files of a detector, all or the named ones.

    Raises:
        NotFoundError: no such detector, no such file, or the detector has no public files.

    Examples:
        >>> [file.name for file in list_downloads("cebr")]
        ['CeBr200k_Mix.txt.gz']
    """
    known = {download.name: download for download in get_detector(detector).downloads}
    if not known:
        raise NotFoundError(f"Detector '{detector}' has no public files to fetch.")
    for name in names:
        if name not in known:
            raise NotFoundError(
                f"Detector '{detector}' has no public file called '{name}'. {choose_from(name, known)}"
            )
    return tuple(known[name] for name in names) if names else tuple(known.values())


def fetch(
    detector: str,
    names: Sequence[str] = (),
    *,
    url: str | None = None,
    accept: bool = False,
    folder: Path | None = None,
    lock: Path | None = None,
    settings: DownloadSettings | None = None,
    progress: FileProgress | None = None,
) -> list[FetchedFile]:
    """Return the public files of a detector, downloaded where they are missing.

    Args:
        detector: name of the detector.
        names: which of its files; all when empty.
        url: address in place of the described one; for one file only.
        accept: download again and record the new content in place of the recorded one.
        folder: where the files are kept; a folder named like the detector in `cache_folder` when not given.
        lock: lock file with the checksums; beside the files when not given.
        settings: how patient to be.
        progress: told after every chunk.

    Raises:
        NotFoundError: no such detector or file.
        ConfigError: one address for several files.
        FetchError: a download failed or its content is not what was recorded.
    """
    wanted = list_downloads(detector, names)
    if url is not None and len(wanted) != 1:
        raise ConfigError(
            f"An address of your own (--url) is for one file. Name one: {', '.join(w.name for w in wanted)}."
        )
    folder = folder or cache_folder() / get_detector(detector).name
    return [
        fetch_file(
            file.name,
            url or file.url,
            folder,
            accept=accept,
            lock=lock,
            settings=settings,
            progress=partial(progress, file.name) if progress else None,
        )
        for file in wanted
    ]
