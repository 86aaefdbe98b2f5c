"""Public files by name: downloaded once, kept, their content recorded in a lock file and checked after."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pooch

from hitlens.errors import FetchError
from hitlens.io.atomic import remove_leftovers, temporary_folder, written_whole
from hitlens.io.download import DownloadSettings, Progress, download, exclusive, forget_part, without_secrets

log = logging.getLogger(__name__)

#: Name of the lock file in the folder of the files it describes.
LOCK_NAME = "fetch.lock.json"
_LOCK_VERSION = 1

FetchStatus = Literal["downloaded", "cached", "repaired", "recorded", "accepted"]


@dataclass(frozen=True)
class LockEntry:
    """What is recorded of a file at its first download.

    Attributes:
        url: where it came from.
        sha256: checksum of its content, hexadecimal.
        n_bytes: its size, bytes.
        recorded: when, ISO 8601 in UTC.
    """

    url: str
    sha256: str
    n_bytes: int
    recorded: str


@dataclass(frozen=True)
class FetchedFile:
    """A file that is there and has the recorded content.

    Attributes:
        status: "downloaded" for the first time; "cached": was there and is unchanged; "repaired": was there
            or recorded, but lost or damaged, and was downloaded again; "recorded": was there without a
            record; "accepted": new content taken in place of the recorded one.
        resumed: whether bytes of an earlier, broken-off call were used.
    """

    name: str
    path: Path
    sha256: str
    n_bytes: int
    status: FetchStatus
    resumed: bool = False


def cache_folder() -> Path:
    """Return the folder for downloads: ``HITLENS_DATA``, or the user's cache folder where it is not set."""
    chosen = os.environ.get("HITLENS_DATA", "").strip()
    return Path(chosen).expanduser() if chosen else Path(pooch.os_cache("hitlens"))


def fetch_file(
    name: str,
    url: str,
    folder: Path,
    *,
    accept: bool = False,
    lock: Path | None = None,
    settings: DownloadSettings | None = None,
    progress: Progress | None = None,
) -> FetchedFile:
    """Return a file of the cache, downloaded first where it is missing or damaged.

    The content is compared with the lock file every time; at the first download it is recorded there.
    Calls for different names may run in parallel threads or processes.

    Args:
        name: name of the file in the folder.
        url: where to download it from.
        folder: where it is kept.
        accept: download again and record the new content in place of the old.
        lock: the lock file; `LOCK_NAME` in the folder when not given.
        settings: how patient to be.
        progress: told after every chunk.

    Raises:
        FetchError: the download failed, or its content is not what was recorded; a file that was there stays.
    """
    if Path(name).name != name or name in ("", ".", ".."):
        raise FetchError(f"A file to fetch must have a plain name without folders. Got {name!r}.")
    folder.mkdir(parents=True, exist_ok=True)
    lock = lock or folder / LOCK_NAME
    path, known = folder / name, read_lock(lock).get(name)
    if path.exists() and not accept:
        sha256 = pooch.file_hash(str(path))
        if known is None:
            log.warning("%s was there without a record of its content; recording it as it is", path)
            return _finish(path, url, lock, sha256, "recorded")
        if sha256 == known.sha256:
            return FetchedFile(name, path, sha256, path.stat().st_size, "cached")
        log.warning("%s does not have the content recorded in %s; downloading it again", path, lock)
    expected = None if known is None or accept else known
    status: FetchStatus = "downloaded" if known is None else "accepted" if accept else "repaired"
    return _download_checked(path, url, lock, expected, status, settings, progress)


def _download_checked(
    path: Path,
    url: str,
    lock: Path,
    expected: LockEntry | None,
    status: FetchStatus,
    settings: DownloadSettings | None,
    progress: Progress | None,
) -> FetchedFile:
    part = path.with_name(path.name + ".part")
    resumed = False

    def resume(address: str, output_file: str, _pooch: object) -> None:
        nonlocal resumed
        resumed = download(
            address,
            Path(output_file),
            part,
            settings=settings,
            progress=progress,
            is_checked=expected is not None,
        )
        _check_plausible(Path(output_file), path.name, address)

    remove_leftovers(path)
    with temporary_folder(path) as staging:
        registry = {path.name: expected and f"sha256:{expected.sha256}"}
        shelf = pooch.create(path=staging, base_url="", registry=registry, urls={path.name: url})
        try:
            try:
                fetched = Path(shelf.fetch(path.name, downloader=resume))
            except ValueError:
                if not resumed:
                    raise
                # Parts of two versions may have been joined; from the beginning it is one.
                log.warning(
                    "%s: the resumed download has other content than recorded; starting over",
                    without_secrets(url),
                )
                forget_part(part)
                fetched = Path(shelf.fetch(path.name, downloader=resume))
            sha256 = pooch.file_hash(str(fetched))
            return _finish(path, url, lock, sha256, status, fetched, resumed)
        except ValueError as error:
            raise FetchError(without_secrets(_mismatch(path, url, lock, expected, error))) from None


def _finish(
    path: Path,
    url: str,
    lock: Path,
    sha256: str,
    status: FetchStatus,
    fetched: Path | None = None,
    resumed: bool = False,
) -> FetchedFile:
    """Record the content first and give the file its name afterwards: no file is ever there unrecorded."""
    n_bytes = (fetched or path).stat().st_size
    if status != "repaired":
        _record(
            lock,
            path.name,
            LockEntry(without_secrets(url), sha256, n_bytes, datetime.now(UTC).isoformat("T", "seconds")),
        )
    if fetched is not None:
        fetched.replace(path)
    return FetchedFile(path.name, path, sha256, n_bytes, status, resumed)


def _check_plausible(path: Path, name: str, url: str) -> None:
    """Refuse what is plainly something else, which matters most at the first download."""
    with path.open("rb") as file:
        start = file.read(64)
    problem = ""
    if not start:
        problem = "an empty file"
    elif start.startswith(b"version https://git-lfs"):
        problem = "a Git LFS pointer in place of the file"
    elif name.endswith(".gz") and not start.startswith(b"\x1f\x8b"):
        problem = f"a file that is not gzip although it is to be called {name}"
    if problem:
        raise FetchError(
            f"{without_secrets(url)} gave {problem}. Pass the address of the file itself with --url."
        )


def _mismatch(path: Path, url: str, lock: Path, expected: LockEntry | None, error: Exception) -> str:
    if expected is None:
        return f"Could not fetch {url}: {error}"
    kept = f" The file {path} was left as it is." if path.exists() else ""
    return (
        f"{url} does not have the content recorded in {lock}: expected sha256 {expected.sha256} "
        f"({expected.n_bytes:,} bytes, recorded {expected.recorded} from {expected.url}).{kept} "
        "Try another address with --url; if the new content is right, accept it with --accept."
    )


def read_lock(lock: Path) -> dict[str, LockEntry]:
    """Return what a lock file records, by file name; nothing where there is no lock file.

    Raises:
        FetchError: the file is damaged or of a newer version.
    """
    try:
        content: Any = json.loads(lock.read_text(encoding="utf-8"))
        version = content["version"]
        if version != _LOCK_VERSION:
            raise FetchError(
                f"The lock file {lock} has version {version}; this hitlens reads {_LOCK_VERSION}. "
                "Update hitlens."
            )
        return {name: LockEntry(**entry) for name, entry in content["files"].items()}
    except FileNotFoundError:
        return {}
    except FetchError:
        raise
    except Exception as error:  # whatever a damaged one leads to
        raise FetchError(
            f"The lock file {lock} cannot be read ({error}). Restore it from a copy, or remove it to record "
            "the files anew as they are."
        ) from None


def _record(lock: Path, name: str, entry: LockEntry) -> None:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(lock.parent), written_whole(lock) as temporary:
        files = {**read_lock(lock), name: entry}
        content = {"version": _LOCK_VERSION, "files": {key: asdict(files[key]) for key in sorted(files)}}
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
