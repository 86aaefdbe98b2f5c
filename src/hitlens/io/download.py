"""Downloading one address into one partial file that a later attempt goes on from."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import requests
import urllib3

from hitlens.errors import FetchError
from hitlens.io.ownership import locked

log = logging.getLogger(__name__)

#: Called with the bytes on disk so far and the bytes of the whole file (None where the server does not say).
Progress = Callable[[int, int | None], None]

_LONGEST_WAIT_S = 30.0
#: Names of what an address keeps secret; longer values of other names are taken to be secret as well.
_SECRET = re.compile(r"token|key|sig|secret|pass|pwd|auth|cred|jwt|session|code", re.IGNORECASE)
_SHORTEST_SECRET = 16
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_CANNOT_BE_ASKED = (
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
)


@dataclass(frozen=True)
class DownloadSettings:
    """How patient a download is.

    Attributes:
        attempts: failures in a row, without a byte gained in between, before it gives up.
        wait_s: pause after the first failure, s; doubled after each further one, at most 30 s.
        timeout_s: longest silence of the server, s.
        chunk_bytes: bytes read at a time.
    """

    attempts: int = 5
    wait_s: float = 1.0
    timeout_s: float = 30.0
    chunk_bytes: int = 1 << 16


class _BrokenOff(Exception):
    """The transfer stopped early or the server asked to come back later."""


@dataclass(frozen=True)
class _Origin:
    """What a partial file is a part of; kept beside it so that two versions are never glued together."""

    url: str
    validator: str = ""
    n_bytes: int | None = None
    ends_by_mark: bool = False

    def save(self, part: Path) -> None:
        _origin_path(part).write_text(json.dumps(vars(self)), encoding="utf-8")

    @staticmethod
    def load(part: Path) -> _Origin | None:
        try:
            return _Origin(**json.loads(_origin_path(part).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


def _ends_for_certain(part: Path) -> bool:
    """Tell whether a file that came to its end is whole by what the server said of it."""
    origin = _Origin.load(part)
    return origin is not None and (origin.n_bytes is not None or origin.ends_by_mark)


def without_secrets(text: str) -> str:
    """Return an address, or a text with addresses in it, without passwords and tokens.

    Examples:
        >>> without_secrets("https://me:secret@host.org/a.h5?token=abc&version=2")
        'https://host.org/a.h5?token=...&version=2'
    """
    text = re.sub(r"//[^/?#\s'\"]*@", "//", text)
    return re.sub(r"([?&;#][^=&;#\s]*=)([^&;#\s'\")]+)", _shortened, text)


def _shortened(match: re.Match[str]) -> str:
    harmless = len(match[2]) < _SHORTEST_SECRET and not _SECRET.search(match[1])
    return match[0] if harmless else f"{match[1]}..."


def _origin_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def forget_part(part: Path) -> None:
    """Remove a partial file and what is known of its origin."""
    part.unlink(missing_ok=True)
    _origin_path(part).unlink(missing_ok=True)


def download(
    url: str,
    destination: Path,
    part: Path,
    *,
    settings: DownloadSettings | None = None,
    progress: Progress | None = None,
    is_checked: bool = False,
) -> bool:
    """Download an address by way of a partial file, which stays for the next attempt on failure.

    Args:
        url: http or https address.
        destination: name of the finished file; nothing is written there before the last byte has come.
        part: the partial file, on the same file system; what it holds of this address is not asked for again.
        settings: how patient to be.
        progress: told after every chunk.
        is_checked: whether the content is compared with a checksum afterwards; else the server must say how
            long it is, or mark its end.

    Returns:
        Whether bytes of an earlier call were used.

    Raises:
        FetchError: the server refuses, has no such file, or broke off too often; or another process is
            downloading the same file.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as target:
        _claim(target, part)
        try:
            resumed = _persist(url, target, part, settings or DownloadSettings(), progress)
            if not is_checked and not _ends_for_certain(part):
                raise FetchError(
                    f"{url} did not say how long the file is, and ended the connection: whether it is whole "
                    "cannot be told. Download it in another way and put it into the folder of HITLENS_DATA."
                )
        except FetchError as error:
            if not target.tell():
                forget_part(part)
            raise FetchError(without_secrets(str(error))) from None
        except BaseException:
            if not target.tell():
                forget_part(part)
            raise
    part.replace(destination)
    forget_part(part)
    return resumed


def _persist(
    url: str, target: IO[bytes], part: Path, settings: DownloadSettings, progress: Progress | None
) -> bool:
    """Ask again after each failure that may pass; return whether bytes of an earlier call were used."""
    failures, resumed = 0, target.tell() > 0
    while True:
        before = target.tell()
        try:
            return _go_on(url, target, part, settings, progress) and resumed
        except _CANNOT_BE_ASKED as error:
            raise FetchError(f"{url!r} is not an address that can be fetched: {error}.") from None
        except (_BrokenOff, urllib3.exceptions.HTTPError, requests.RequestException, OSError) as error:
            failures = 1 if target.tell() > before else failures + 1
            problem = without_secrets(_problem(url, error, settings))
            if failures >= settings.attempts:
                kept = f" {target.tell():,} bytes are kept: the same command goes on from there."
                raise FetchError(
                    f"Could not fetch {url} in {settings.attempts} attempts: {problem}"
                    + (kept if target.tell() else "")
                ) from error
            wait_s = min(settings.wait_s * 2 ** (failures - 1), _LONGEST_WAIT_S)
            log.warning("%s Trying again in %g s.", problem, wait_s)
            time.sleep(wait_s)
        resumed = resumed and target.tell() > 0


def _go_on(
    url: str, target: IO[bytes], part: Path, settings: DownloadSettings, progress: Progress | None
) -> bool:
    """Make one request for what is missing; return whether it continued what was there."""
    origin = _Origin.load(part)
    if origin is None or origin.url != without_secrets(url):
        _empty(target)
        origin = _Origin(without_secrets(url))
    start = target.seek(0, os.SEEK_END)
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if origin.validator:
            headers["If-Range"] = origin.validator
    with requests.get(url, headers=headers, stream=True, timeout=settings.timeout_s) as response:
        if response.status_code == 416 and start and origin.n_bytes == start:
            return True
        _check_answer(url, response)
        continued, n_bytes = _where_it_starts(response, start, origin, target)
        marked = bool(getattr(response.raw, "chunked", False))
        _Origin(without_secrets(url), _validator(response), n_bytes, marked).save(part)
        if not continued:
            _empty(target)
        _copy_body(response, target, n_bytes, settings, progress)
    return continued


def _empty(target: IO[bytes]) -> None:
    target.seek(0)
    target.truncate()


def _copy_body(
    response: requests.Response,
    target: IO[bytes],
    n_bytes: int | None,
    settings: DownloadSettings,
    progress: Progress | None,
) -> None:
    # The raw bytes: requests would inflate a .gz that the server labels as encoded.
    try:
        for chunk in response.raw.stream(settings.chunk_bytes, decode_content=False):
            target.write(chunk)
            if progress:
                progress(target.tell(), n_bytes)
    finally:
        target.flush()
    if n_bytes is not None and target.tell() != n_bytes:
        raise _BrokenOff(f"got {target.tell():,} of {n_bytes:,} bytes")


def _check_answer(url: str, response: requests.Response) -> None:
    status = response.status_code
    if status in (404, 410):
        raise FetchError(
            f"There is no file at {url} (HTTP {status}). Look for where it has moved and pass that address "
            "with --url."
        )
    if status in _TRY_AGAIN:
        raise _BrokenOff(f"HTTP {status} {response.reason}")
    if status not in (200, 206, 416):
        raise FetchError(
            f"The server refused {url}: HTTP {status} {response.reason}. If the address needs a login, "
            "download the file in a browser and put it into the folder of HITLENS_DATA."
        )
    if response.headers.get("Content-Type", "").startswith("text/html") and status != 416:
        raise FetchError(
            f"{url} gave a web page in place of a file. Pass the address of the file itself with --url; "
            "on a guest network, log in first."
        )


def _where_it_starts(
    response: requests.Response, start: int, origin: _Origin, target: IO[bytes]
) -> tuple[bool, int | None]:
    """Return whether the answer goes on from ``start``, and the size of the whole file."""
    if response.status_code == 200:
        length = response.headers.get("Content-Length")
        return False, int(length) if length else None
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    n_bytes = int(match[2]) if match and match[2] != "*" else None
    changed = origin.n_bytes is not None and n_bytes is not None and n_bytes != origin.n_bytes
    if match is None or int(match[1]) != start or changed:
        _empty(target)
        raise _BrokenOff("the server's file does not continue the partial one; starting over")
    return True, n_bytes


def _validator(response: requests.Response) -> str:
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")


def _claim(target: IO[bytes], part: Path) -> None:
    """Make sure that no other process writes the same partial file."""
    if not locked(target.fileno(), wait=False):
        raise FetchError(f"Another process is downloading into {part}. Wait for it, or end it and try again.")


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Let one thread or process at a time into the block, by a lock on a folder; no effect on Windows."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        locked(descriptor)
        yield
    finally:
        os.close(descriptor)


def _problem(url: str, error: BaseException, settings: DownloadSettings) -> str:
    """Say in one sentence what went wrong, and what to look at."""
    host = urllib3.util.parse_url(url).netloc or url
    causes = tuple(_causes(error))
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return f"{host} refused the connection. Is the address right, and the server running?"
    if any(isinstance(cause, socket.gaierror | urllib3.exceptions.NameResolutionError) for cause in causes):
        return f"The host {host} was not found. Is this machine on the network, and the address right?"
    if any(isinstance(cause, TimeoutError | requests.Timeout) for cause in causes):
        return f"{host} did not answer within {settings.timeout_s:g} s."
    return f"{str(error).rstrip('.')}."


def _causes(error: object) -> Iterator[BaseException]:
    """Walk down to what the operating system said; requests and urllib3 wrap it in several layers."""
    todo: list[Any] = [error]
    seen: set[int] = set()
    while todo:
        cause = todo.pop()
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            todo += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
