"""Public files of a detector, by name or number, into the cache; several at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Event

from hitlens.detector import Download
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, FetchError, NotFoundError, choose_from
from hitlens.io.download import DownloadSettings, Progress
from hitlens.io.fetch import FetchedFile, cache_folder, fetch_file
from hitlens.io.outputs import check_output

#: Called with the name of a file, the bytes on disk so far and the bytes of the whole (None where unknown).
FileProgress = Callable[[str, int, int | None], None]
#: Files downloaded at a time.
PARALLEL = 4
#: Failed files named in a message; the others are counted.
_N_NAMED = 3


class _Stopped(Exception):
    """Another thread was told to end."""


def list_downloads(
    detector: str, names: Sequence[str] = (), numbers: Sequence[int] = ()
) -> tuple[Download, ...]:
    """Return public files of a detector: those of the names and numbers, all where neither is given.

    Args:
        detector: name of the detector.
        names: which files, by name.
        numbers: which files of a numbered series.

    Raises:
        NotFoundError: no such detector, no such file, or the detector has no public files.
        ConfigError: neither names nor numbers, where the files are a numbered series, which is large.

    Examples:
        >>> [file.name for file in list_downloads("cebr")]
        ['CeBr200k_Mix.txt.gz']
        >>> [file.name for file in list_downloads("nova", numbers=[1, 10])]
        ['neutrino1.h5', 'neutrino10.h5']
    """
    known = {download.name: download for download in get_detector(detector).downloads}
    if not known:
        raise NotFoundError(f"Detector '{detector}' has no public files to fetch.")
    for name in names:
        if name not in known:
            raise NotFoundError(
                f"Detector '{detector}' has no public file called '{name}'. {choose_from(name, known)}"
            )
    series = {file.number: file for file in known.values() if file.number is not None}
    for number in numbers:
        if number not in series:
            there = f"They are {min(series)} to {max(series)}." if series else "Its files have no numbers."
            raise NotFoundError(f"Detector '{detector}' has no public file number {number}. {there}")
    chosen = dict.fromkeys([*names, *(series[number].name for number in numbers)])
    if not chosen and series:
        raise ConfigError(
            f"Detector '{detector}' has {len(series)} public files. Say which: --files 1-25, for example, or "
            f"--files {min(series)}-{max(series)} for all."
        )
    return tuple(known[name] for name in chosen or known)


def read_numbers(text: str) -> list[int]:
    """Return the numbers that a list of numbers and ranges means, each once, in the order given.

    Raises:
        ConfigError: the text is something else.

    Examples:
        >>> read_numbers("1-3,10, 2")
        [1, 2, 3, 10]
    """
    found: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})(?:\s*-\s*(\d{1,6}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise ConfigError(f"Files are numbers and ranges such as 1-25 or 1,3,7-9. Got '{text}'.")
        found |= dict.fromkeys(range(first, last + 1))
    return list(found)


def fetch(
    detector: str,
    names: Sequence[str] = (),
    *,
    numbers: Sequence[int] = (),
    url: str | None = None,
    accept: bool = False,
    folder: Path | None = None,
    lock: Path | None = None,
    parallel: int = PARALLEL,
    settings: DownloadSettings | None = None,
    progress: FileProgress | None = None,
    finished: Callable[[FetchedFile], None] | None = None,
) -> list[FetchedFile]:
    """Return public files of a detector, downloaded where they are missing.

    A file that fails does not keep the others from coming; what came of it stays for the next call.

    Args:
        detector: name of the detector.
        names: which of its files; all when neither names nor numbers are given.
        numbers: which files of a numbered series.
        url: address in place of the described one; for one file only.
        accept: download again and record the new content in place of the recorded one.
        folder: where the files are kept; a folder named like the detector in `cache_folder` when not given.
        lock: lock file with the checksums; beside the files when not given.
        parallel: files downloaded at a time.
        settings: how patient to be.
        progress: told after every chunk, by the thread that reads the file.
        finished: told of each file that is there, in the order they come.

    Raises:
        NotFoundError: no such detector or file.
        ConfigError: one address for several files, no choice of files of a series, or no file at a time.
        FetchError: a download failed or its content is not what was recorded.
    """
    wanted = list_downloads(detector, names, numbers)
    if url is not None and len(wanted) != 1:
        raise ConfigError(
            f"An address of your own (--url) is for one file. Name one: {', '.join(w.name for w in wanted)}."
        )
    if parallel < 1:
        raise ConfigError(f"At least one file must be downloaded at a time. Got {parallel}.")
    folder = folder or cache_folder() / detector
    check_output(folder, "folder")
    stop = Event()

    def get(file: Download) -> FetchedFile:
        return fetch_file(
            file.name,
            url or file.url,
            folder,
            accept=accept,
            lock=lock,
            settings=settings,
            progress=_stoppable(file.name, progress, stop),
        )

    with ThreadPoolExecutor(min(parallel, len(wanted))) as pool:
        running = {file.name: pool.submit(get, file) for file in wanted}
        try:
            _wait(running, finished)
        except BaseException:  # what is being read ends at its next chunk, which is kept
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [running[file.name].result() for file in wanted]


def _stoppable(name: str, progress: FileProgress | None, stop: Event) -> Progress:
    def show(n_bytes: int, n_total: int | None) -> None:
        if stop.is_set():
            raise _Stopped
        if progress is not None:
            progress(name, n_bytes, n_total)

    return show


def _wait(running: dict[str, Future[FetchedFile]], finished: Callable[[FetchedFile], None] | None) -> None:
    """Wait for all files; tell of each that is there, and raise one error for those that are not."""
    failed: list[FetchError] = []
    for future in as_completed(running.values()):
        error = future.exception()
        if isinstance(error, FetchError):
            failed.append(error)
        elif error is not None:
            raise error
        elif finished is not None:
            finished(future.result())
    if len(failed) == 1 and len(running) == 1:
        raise failed[0]
    if failed:
        listed = "\n".join(f"  {error}" for error in failed[:_N_NAMED])
        more = f"\n  and {len(failed) - _N_NAMED:,} more" if len(failed) > _N_NAMED else ""
        raise FetchError(
            f"{len(failed)} of {len(running)} files could not be fetched; the others are there.\n"
            f"{listed}{more}"
        )
