"""Text files as lines: unpacked, decoded, or a sentence that says what the file is instead."""

from __future__ import annotations

import gzip
import io
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from molweight.data.table_rows import Notes
from molweight.errors import DataError

STDIN = Path("-")
GZIP = b"\x1f\x8b"
NO_TEXT = (  # how a file begins, what it is then, and what to do
    (rb"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or save its sheet as CSV"),
    (rb"\xd0\xcf\x11\xe0", "an Excel workbook", "save its sheet as CSV"),
    (rb"PAR1[\x00-\x08\x0e-\x1f]", "a Parquet file", "give it a name that ends in .parquet"),
    (rb"BZh[1-9]", "packed with bzip2", "unpack it, or pack it with gzip"),
    (rb"\xfd7zXZ", "packed with xz", "unpack it, or pack it with gzip"),
    (rb"\x28\xb5\x2f\xfd", "packed with zstd", "unpack it, or pack it with gzip"),
)


def check_is_text(path: Path, notes: Notes) -> None:
    """Look at the first bytes of a file that should hold text, perhaps packed with gzip, which is noted.

    Raises:
        DataError: it is packed in another way, or no text at all.
    """
    start = _start(path)
    for pattern, what, hint in NO_TEXT:
        if re.match(pattern, start):
            raise DataError(f"{path} is {what}, no text: {hint}")
    if start.startswith(GZIP) and path == STDIN:
        raise DataError("standard input is packed with gzip: unpack it, gunzip -c FILE.gz | …")
    if start.startswith(GZIP) and not path.name.lower().endswith(".gz"):
        notes.add("it is packed with gzip, though its name does not say so")


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a text file with their ends: unpacked if it is a gzip, without a byte-order mark.

    Raises:
        DataError: unreadable, damaged, or not UTF-8.
    """
    escaped = "surrogateescape"
    with _reading(path) as file, io.TextIOWrapper(file, "utf-8-sig", escaped, newline="") as text:
        for number, line in enumerate(text, start=1):
            if not line.isascii() and re.search("[\udc80-\udcff]", line):  # escapes of what is no UTF-8
                raise DataError(f"{path}, line {number}: not UTF-8 text; save the file with UTF-8 encoding")
            yield line


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked; whatever goes wrong inside with the file becomes a sentence."""
    try:
        if path == STDIN:
            yield sys.stdin.buffer
            return
        packed = path.name.lower().endswith(".gz") or _start(path).startswith(GZIP)
        with gzip.open(path) if packed else path.open("rb") as file:
            yield cast(BinaryIO, file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is not a complete gzip file ({error}): fetch it again") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _start(path: Path) -> bytes:
    """The first bytes of a file; none where it cannot be read, which is said by whoever reads it."""
    if path == STDIN:
        return cast(BufferedReader, sys.stdin.buffer).peek(8)[:8]
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError:
        return b""
