"""A file of records, found by key: mapped into memory, never changed, checked when read.

A segment is: magic, CRC-32 of the index, number of rows, bytes of all values; then the index, column by
column: keys [n] of 16 bytes, offsets of the values [n + 1] uint64, CRC-32 of every value [n] uint32, status
[n] uint8; then the values.

Letters: n rows.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from molweight.errors import DataError

MAGIC = b"MWCACHE2"
HEAD = struct.Struct("<8s3Q")
KEY = 16  # bytes: among 10^9 molecules, two have the same key with a probability of 10^-21
STATUSES = ("ok", "invalid", "unsupported")


class DamagedCacheError(DataError):
    """A file of the cache does not hold what was written into it."""


class Record(NamedTuple):
    """What became of one text.

    Args:
        status: ``ok``, or why there is no value: ``invalid``, ``unsupported``.
        value: such as a compressed picture; the reason as UTF-8 where the status is not ``ok``.
    """

    status: str
    value: bytes


class Segment:
    """A segment, open for reading; any number of processes and threads may read it at once.

    Args:
        path: of the file.

    Raises:
        OSError: it cannot be opened.
        DamagedCacheError: it is cut short, or its index is not what was written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self.inode = os.fstat(file.fileno()).st_ino
            try:
                content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            except ValueError as error:  # an empty file
                raise DamagedCacheError(f"{path} is cut short") from error
        if len(content) < HEAD.size:
            raise DamagedCacheError(f"{path} is cut short")
        magic, crc, rows, size = HEAD.unpack(content[: HEAD.size])
        ends = HEAD.size + np.cumsum([0, KEY * rows, 8 * (rows + 1), 4 * rows, rows])
        if magic != MAGIC or len(content) != int(ends[-1]) + size:
            raise DamagedCacheError(f"{path} is cut short, or not a file of the cache")
        if zlib.crc32(content[HEAD.size : int(ends[-1])]) != crc:
            raise DamagedCacheError(f"{path} is damaged: the checksum of its index differs")
        self.keys = np.frombuffer(content, f"S{KEY}", rows, int(ends[0]))
        self.offsets = np.frombuffer(content, "<u8", rows + 1, int(ends[1]))
        self.checksums = np.frombuffer(content, "<u4", rows, int(ends[2]))
        self.status = np.frombuffer(content, np.uint8, rows, int(ends[3]))
        self.values = content[int(ends[-1]) :]

    def value(self, row: int) -> memoryview:
        """The bytes of a row.

        Raises:
            DamagedCacheError: they are not those that were written.
        """
        value = self.values[int(self.offsets[row]) : int(self.offsets[row + 1])]
        if zlib.crc32(value) != self.checksums[row]:
            raise DamagedCacheError(f"{self.path}, row {row}, is damaged: its checksum differs")
        return value

    def is_current(self) -> bool:
        """Whether the path still leads to this file, and not to one that has replaced it."""
        try:
            return self.path.stat().st_ino == self.inode
        except OSError:
            return False


def segment_bytes(keys: np.ndarray, records: Sequence[Record]) -> bytes:
    """The content of a segment: keys [n] of 16 bytes, and their records."""
    values = [record.value for record in records]
    index = b"".join(
        [
            keys.tobytes(),
            np.cumsum([0, *map(len, values)], dtype="<u8").tobytes(),
            np.array([zlib.crc32(value) for value in values], dtype="<u4").tobytes(),
            bytes(STATUSES.index(record.status) for record in records),
        ]
    )
    head = HEAD.pack(MAGIC, zlib.crc32(index), len(records), sum(map(len, values)))
    return head + index + b"".join(values)
