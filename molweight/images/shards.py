"""A file of pictures, mapped into memory and checked when read.

A shard is: magic, SHA-256 of all that follows, three counts (rows, bytes of frames, bytes of text); offsets
[n + 1] uint64; CRC-32 [n] uint32 and status [n] uint8 of every frame; the frames (zstd, one a picture);
SMILES and reasons as zstd-compressed JSON.

Letters: n rows, S the picture's side in px.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import zstandard

from molweight.data.results import RenderResult
from molweight.errors import DataError
from molweight.images.drawing import decompress

MAGIC = b"MWPICT01"
HEAD = struct.Struct("<8s32s3Q")
STATUSES = ("ok", "invalid", "unsupported")


class DamagedStoreError(DataError):
    """A store does not hold what was written into it."""


class Shard:
    """A file of pictures, mapped into memory and read where it is asked for.

    Args:
        path: of the file.
        thorough: read and check all of it, not only the head and the sizes.

    Raises:
        DamagedStoreError: the file is missing, cut short, or not what was written.
    """

    def __init__(self, path: Path, *, thorough: bool) -> None:
        self.path = path
        try:
            self.content = np.memmap(path, dtype=np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise DamagedStoreError(f"{path} cannot be read: {error}") from error
        if len(self.content) < HEAD.size:
            raise DamagedStoreError(f"{path} is cut short")
        magic, digest, rows, frames, text = HEAD.unpack(bytes(self.content[: HEAD.size]))
        start = HEAD.size + 8 * (rows + 1) + 4 * rows + rows
        if magic != MAGIC or len(self.content) != start + frames + text:
            raise DamagedStoreError(f"{path} is cut short, or not a file of pictures")
        if thorough and hashlib.sha256(self.content[HEAD.size :].data).digest() != digest:
            raise DamagedStoreError(f"{path} is damaged: its checksum differs")
        self.rows, self.frames, self.text = rows, self.content[start : start + frames], start + frames
        at = HEAD.size
        self.offsets = self.content[at : at + 8 * (rows + 1)].view("<u8")
        self.crc = self.content[at + 8 * (rows + 1) : at + 8 * (rows + 1) + 4 * rows].view("<u4")
        self.status = self.content[start - rows : start]

    def read(self, row: int, out: np.ndarray) -> None:
        """The picture of a row into ``out`` [3, S, S] uint8.

        Raises:
            DamagedStoreError: the bytes are not those that were written.
            DataError: the row has no picture.
        """
        if self.status[row] != 0:
            if self.status[row] >= len(STATUSES):
                raise DamagedStoreError(f"{self.path}, picture {row}, is damaged: no such status")
            raise DataError(f"row {row} of {self.path} has no picture: {self.texts()[row].reason}")
        frame = self.frames[int(self.offsets[row]) : int(self.offsets[row + 1])]
        if zlib.crc32(frame.data) != self.crc[row]:
            raise DamagedStoreError(f"{self.path}, picture {row}, is damaged: its checksum differs")
        try:
            decompress(frame.data, out)
        except DataError as error:
            raise DamagedStoreError(f"{self.path}, picture {row}: {error}") from error

    def texts(self) -> list[RenderResult]:
        """Status, reason and SMILES of all rows, without the pictures."""
        try:
            pairs = json.loads(zstandard.decompress(bytes(self.content[self.text :])))
            return [
                RenderResult(STATUSES[status], reason, smiles)
                for status, (reason, smiles) in zip(self.status.tolist(), pairs, strict=True)
            ]
        except (zstandard.ZstdError, ValueError, IndexError) as error:
            raise DamagedStoreError(f"{self.path}: its text is damaged: {error}") from error


def shard_bytes(rows: Sequence[RenderResult]) -> bytes:
    """A shard's file content."""
    offsets = np.zeros(len(rows) + 1, dtype="<u8")
    offsets[1:] = np.cumsum([len(row.frame) for row in rows])
    body = b"".join(
        [
            offsets.tobytes(),
            np.array([zlib.crc32(row.frame) for row in rows], dtype="<u4").tobytes(),
            bytes(STATUSES.index(row.status) for row in rows),
            *(row.frame for row in rows),
            text := zstandard.compress(json.dumps([(row.reason, row.smiles) for row in rows]).encode()),
        ]
    )
    digest = hashlib.sha256(body).digest()
    return HEAD.pack(MAGIC, digest, len(rows), int(offsets[-1]), len(text)) + body
