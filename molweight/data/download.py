"""One file from one address: resumed where it stopped, verified before it gets its name."""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from molweight.errors import DataError
from molweight.utils.files import sha256_file

CHUNK = 1 << 16  # bytes per read: a stalled line loses little


class _HttpOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirections to http and https alone."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(
    url: str, destination: Path, *, sha256: str, progress: bool = False, timeout: float = 30.0
) -> Path:
    """Fetch a file; ``destination`` appears only when the SHA-256 of all its bytes is right.

    Bytes go to ``<destination>.part``; a part left by an interrupted download is continued if the server
    can (``Range``), else it is fetched afresh.

    Args:
        url: an http or https address.
        destination: where the file ends up; if it is there with the right checksum, nothing is done.
        sha256: 64 hexadecimal digits.
        progress: show a bar in bytes, on a terminal only.
        timeout: longest silence of the server (s).

    Raises:
        DataError: no connection, an error status, an incomplete body, a full disk, or a wrong checksum
            (the part is deleted then).
    """
    _check_scheme(url)
    if destination.is_file() and sha256_file(destination) == sha256.lower():
        return destination
    part = destination.with_name(destination.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        have = part.stat().st_size if part.exists() else 0
    except OSError as error:
        raise _disk_error(url, part, error) from error
    _fetch(url, destination, part, have, progress=progress, timeout=timeout)
    try:
        found = sha256_file(part)
        if found == sha256.lower():
            part.replace(destination)
            return destination
        part.unlink()
    except OSError as error:
        if destination.is_file() and sha256_file(destination) == sha256.lower():
            return destination  # another process fetched the same file and was first
        raise _disk_error(url, part, error) from error
    raise DataError(
        f"{url} has SHA-256 {found}, expected {sha256.lower()}; what was fetched is deleted. "
        f"Run again, or {_cure(destination)}"
    )


def _fetch(url: str, destination: Path, part: Path, have: int, *, progress: bool, timeout: float) -> None:
    """Bring ``part`` to its full length, starting from the ``have`` bytes that it holds."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    opener = urllib.request.build_opener(_HttpOnly)
    try:
        with opener.open(request, timeout=timeout) as response:
            start = _start(response)
            if start not in (0, have):
                raise DataError(
                    f"{url} answered with bytes from {start} instead of {have}: {_cure(destination)}"
                )
            length = response.headers.get("Content-Length")
            total = start + int(length) if length is not None else None
            _copy(url, response, part, start, total, progress=progress)
        size = part.stat().st_size
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not have:  # 416: the part is as long as the file, or longer
            raise DataError(f"{url} answered {error.code} {error.reason}: {_cure(destination)}") from error
        return
    except DataError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DataError(f"could not fetch {url} ({_cause(error)}): {_cure(destination)}") from error
    if total is not None and size != total:
        raise DataError(
            f"{url} closed the connection after {size} of {total} bytes; run again to continue, "
            f"or {_cure(destination)}"
        )


def _start(response: Any) -> int:
    """Position in the file of the first byte of a response: 0 unless the server honoured ``Range``."""
    if response.status != http.client.PARTIAL_CONTENT:
        return 0
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match.group(1)) if match else -1


def _copy(url: str, response: Any, part: Path, start: int, total: int | None, *, progress: bool) -> None:
    """Append the body to ``part`` after its first ``start`` bytes, and sync it to the disk."""
    hidden = None if progress else True  # None: hidden unless standard error is a terminal
    try:
        file = part.open("ab" if start else "wb")
    except OSError as error:
        raise _disk_error(url, part, error) from error
    bar = tqdm(
        desc=part.stem, initial=start, total=total, unit="B", unit_scale=True, disable=hidden, leave=False
    )
    with file, bar:
        while chunk := response.read(CHUNK):
            try:
                file.write(chunk)
            except OSError as error:
                raise _disk_error(url, part, error) from error
            bar.update(len(chunk))
        try:
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            raise _disk_error(url, part, error) from error


def _check_scheme(url: str) -> None:
    """Refuse addresses such as ``file:`` and ``ftp:``."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DataError(
            f"{url!r} is not an http or https address: correct dataset.url or pass dataset.path=<file>"
        )


def _cause(error: BaseException) -> str:
    """A connection error in words."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, socket.gaierror):
        return "the server's name cannot be resolved; is there a network?"
    if isinstance(reason, ConnectionRefusedError):
        return "connection refused"
    if isinstance(reason, TimeoutError):
        return "the server did not answer in time"
    if isinstance(reason, ssl.SSLError):
        return f"no secure connection: {reason.reason}"
    return str(reason) or type(reason).__name__


def _cure(destination: Path) -> str:
    """What the user can do without this download."""
    return f"put the file at {destination} or pass dataset.path=<file>"


def _disk_error(url: str, path: Path, error: OSError) -> DataError:
    """The sentence for a file that cannot be written."""
    return DataError(
        f"cannot write {path} while fetching {url}: {error.strerror or error}; free or choose space"
    )
