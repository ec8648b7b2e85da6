"""One file from one address: resumed where it stopped, verified before it gets its name."""

from __future__ import annotations

import logging
import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from molweight.errors import DataError, option
from molweight.utils.files import sha256_file

if TYPE_CHECKING:
    import requests

CHUNK = 1 << 16  # bytes per read: a stalled line loses little
CAUSES = {  # part of a connection error's text, and what it means
    "timed out": "the server did not answer in time",
    "Failed to resolve": "the server's name cannot be resolved; is there a network?",
    "Connection refused": "connection refused",
    "CERTIFICATE_VERIFY_FAILED": "no secure connection: the server's certificate cannot be verified",
}


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
    import pooch
    import requests
    import urllib3

    hint = f"put the file at {destination} or pass {option('dataset.path', '<file>')}"
    part = destination.with_name(destination.name + ".part")
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        pooch.retrieve(
            url,
            f"sha256:{sha256.lower()}",
            fname=destination.name,
            path=destination.parent,
            downloader=partial(_fetch, part=part, progress=progress, timeout=timeout),
        )
    except (requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema) as error:
        raise DataError(
            f"{url!r} is not an http or https address, or leads to one that is not ({error})",
            hint=f"correct dataset.url or pass {option('dataset.path', '<file>')}",
        ) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        cause = next((words for text, words in CAUSES.items() if text in str(error)), str(error))
        raise DataError(f"could not fetch {url} ({cause}): {hint}") from error
    except OSError as error:
        if destination.is_file() and sha256_file(destination) == sha256.lower():
            return destination  # another process fetched the same file and was first
        raise DataError(
            f"cannot write {part} while fetching {url}: {error.strerror or error}; free or choose space"
        ) from error
    except ValueError as error:
        raise DataError(f"{url} does not have the expected SHA-256: {error} Run again, or {hint}") from error
    return destination


def _fetch(url: str, output_file: str, _: object, *, part: Path, progress: bool, timeout: float) -> None:
    """Bring ``part`` to its full length from what it holds already, and rename it to ``output_file``.

    It is pooch's ``downloader``, which by itself starts anew each time.
    """
    import requests

    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        if not (response.status_code == 416 and have):  # 416: the part is as long as the file, or longer
            if not response.ok:
                raise requests.RequestException(f"it answered {response.status_code} {response.reason}")
            _append(response, part, have, progress=progress)
    part.replace(output_file)


def _append(response: requests.Response, part: Path, have: int, *, progress: bool) -> None:
    """Write the body behind the ``have`` bytes of ``part``, or over them if the server sends all bytes."""
    import requests

    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    start = int(match.group(1)) if match else 0
    if start not in (0, have):
        raise requests.RequestException(f"it answered with bytes from {start} instead of {have}")
    length = response.headers.get("Content-Length")
    total = start + int(length) if length is not None else None
    response.raw.enforce_content_length = False  # checked below, with a sentence of ours
    bar = tqdm(
        desc=part.stem,
        initial=start,
        total=total,
        unit="B",
        unit_scale=True,
        disable=None if progress else True,  # None: hidden unless standard error is a terminal
        leave=False,
    )
    with part.open("ab" if start else "wb") as file, bar:
        for chunk in response.raw.stream(CHUNK, decode_content=False):  # the bytes as the server has them
            file.write(chunk)
            bar.update(len(chunk))
        file.flush()
        os.fsync(file.fileno())
    size = part.stat().st_size
    if total is not None and size != total:
        raise requests.RequestException(
            f"it closed the connection after {size} of {total} bytes; run again to continue"
        )
