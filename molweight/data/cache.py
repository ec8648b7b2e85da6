"""Values that take long to compute, kept on disk by key: a picture of a molecule, the clusters of a corpus.

A cache is a folder of segments. A segment is written under a temporary name, synced and renamed, and never
changed afterwards; so there are no locks, a killed process leaves whole segments, and network disks need
nothing but an atomic rename. Processes that fill a cache at the same time take its parts in different orders,
and look for the segments of the others before each part.

Letters: n texts, u of them different, b texts asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from molweight.data.segments import KEY, DamagedCacheError, Record, Segment, segment_bytes
from molweight.errors import DataError
from molweight.utils.files import write_bytes

logger = logging.getLogger(__name__)

ROWS = 4_096  # of a segment: some seconds of drawing, which is what a kill can lose
MOST_SEGMENTS = 200  # written at once, because each is an open file: a process may have 1,024 of them
ATTEMPTS = 3  # at filling a cache that others remove
ABANDONED = 7 * 86_400  # seconds after which what a killed or damaged write has left is removed
SUFFIX = ".records"
SEGMENT_SHIFT, ROW_MASK = 32, (1 << 32) - 1  # a location is one integer, so that threads read it whole

Compute = Callable[[Sequence[str]], Iterable[Record]]


class CachedRecords:
    """The records of n texts; those that are not on disk are computed and put there.

    Any number of threads may read at once. A damaged record is computed again, with a warning.

    Args:
        texts: [n], such as canonical SMILES.
        folder: of the cache; other lists of texts share it.
        recipe: all else that a value depends on, such as settings and versions, as JSON can say it.
        compute: a record for each text, in order, as they are finished.
        what: the values, in messages.
        bar: label of a bar on a terminal; None = no bar.

    Raises:
        DataError: the folder cannot be read or written.

    >>> def lengths(texts):
    ...     return [Record("ok", b"%d" % len(text)) for text in texts]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     records = CachedRecords(["CCO", "C"], Path(folder), {}, lengths, what="lengths")
    ...     [bytes(value) for value in records.values(np.arange(2))]
    [b'3', b'1']
    """

    status: np.ndarray
    """[n] uint8, positions in :data:`~molweight.data.segments.STATUSES`."""

    def __init__(
        self,
        texts: Sequence[str],
        folder: Path,
        recipe: Mapping[str, object],
        compute: Compute,
        *,
        what: str,
        bar: str | None = None,
    ) -> None:
        self.texts, self.folder, self.compute = texts, folder, compute
        self.what, self.bar = what, bar
        self._lock = threading.Lock()
        keys = text_keys(texts, recipe)
        self._keys, self._first, self._unique = np.unique(keys, return_index=True, return_inverse=True)
        self._location = np.full(len(self._keys), -1, dtype=np.int64)  # [u], -1 = not on disk
        self._status = np.zeros(len(self._keys), dtype=np.uint8)
        self._segments: list[Segment] = []
        self._seen: set[str] = set()  # names of files
        if len(keys):
            self._fill()
        self.status = self._status[self._unique]

    def values(self, indices: np.ndarray) -> Iterator[memoryview]:
        """The values of texts [b], or the reasons why there are none."""
        positions = self._unique[indices]
        for position, location in zip(positions.tolist(), self._location[positions].tolist(), strict=True):
            try:
                yield self._value(location)
            except DamagedCacheError as error:
                with self._lock:
                    if self._location[position] == location:  # no other thread has replaced it
                        if location >= 0:
                            self._forget(location >> SEGMENT_SHIFT, error)
                        self._fill()
                yield self._value(int(self._location[position]))

    def _value(self, location: int) -> memoryview:
        """The value at a location; those of a segment that is being replaced are as damaged as the others."""
        if location < 0:
            raise DamagedCacheError("another thread replaces the segment")
        return self._segments[location >> SEGMENT_SHIFT].value(location & ROW_MASK)

    def _forget(self, number: int, error: DamagedCacheError) -> None:
        """Make the texts of a damaged segment missing ones."""
        segment = self._segments[number]
        if segment.is_current():
            self._quarantine(segment.path, error)
        else:  # another process has replaced it
            self._seen.discard(segment.path.name)
        self._location[self._location >> SEGMENT_SHIFT == number] = -1

    def _fill(self) -> None:
        """Find every text on disk, after computing those that are missing."""
        self._open_new_segments()
        attempts = 0
        while len(missing := np.flatnonzero(self._location < 0)):
            if attempts == ATTEMPTS:
                raise DataError(
                    f"could not keep {self.what} in {self.folder} in {ATTEMPTS} attempts: "
                    "something keeps damaging it"
                )
            self._compute(missing)
            attempts += 1

    def _open_new_segments(self) -> None:
        """See what other processes, or this one, have written."""
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            if path.name in self._seen:
                continue
            self._seen.add(path.name)
            try:
                self._add(Segment(path))
            except FileNotFoundError:  # another process has found it damaged
                self._seen.discard(path.name)
            except DamagedCacheError as error:
                self._quarantine(path, error)
            except OSError as error:
                raise DataError(f"{path} cannot be read: {error.strerror or error}") from error

    def _add(self, segment: Segment) -> None:
        """Note where the texts are that a segment holds."""
        at = np.minimum(np.searchsorted(self._keys, segment.keys), len(self._keys) - 1)
        rows = np.flatnonzero((self._keys[at] == segment.keys) & (self._location[at] < 0))
        if len(rows):
            self._status[at[rows]] = segment.status[rows]
            self._segments.append(segment)
            self._location[at[rows]] = (len(self._segments) - 1 << SEGMENT_SHIFT) + rows

    def _compute(self, missing: np.ndarray) -> None:
        """Write the records of missing texts, a segment at a time."""
        self._prepare_folder()
        parts = np.array_split(missing, max(1, min(MOST_SEGMENTS, -(-len(missing) // ROWS))))
        silent = None if self.bar else True  # None: shown on a terminal only
        with tqdm(total=len(missing), desc=self.bar, unit="mol", disable=silent, leave=False) as bar:
            for part in sorted(parts, key=lambda _: os.urandom(8)):  # not in the order of other processes
                rest = part[self._location[part] < 0]  # others may have computed some meanwhile
                bar.update(len(part) - len(rest))
                if not len(rest):
                    continue
                records = []
                for record in self.compute([self.texts[index] for index in self._first[rest].tolist()]):
                    records.append(record)
                    bar.update()
                keys = self._keys[rest]
                name = hashlib.blake2b(keys.tobytes(), digest_size=KEY).hexdigest()
                write_bytes(self.folder / f"{name}{SUFFIX}", segment_bytes(keys, records))
                self._open_new_segments()

    def _prepare_folder(self) -> None:
        """Create it, see that it can be written before any work, and remove what was abandoned there."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()
        except OSError as error:
            raise DataError(
                f"cannot write {self.what} into {self.folder}: {error.strerror or error}; set "
                "MOLWEIGHT_CACHE to a folder with space"
            ) from error
        for pattern in (".*", "*.damaged"):
            for path in self.folder.glob(pattern):
                with contextlib.suppress(OSError):
                    if time.time() - path.stat().st_mtime > ABANDONED:
                        path.unlink()

    def _quarantine(self, path: Path, error: DamagedCacheError) -> None:
        """Make way for a segment that replaces a damaged one."""
        logger.warning("%s; the %s in it are computed again", error, self.what)
        with contextlib.suppress(OSError):  # a folder that cannot be written is an error when it is filled
            path.rename(path.with_name(f"{path.name}.damaged"))
            self._seen.discard(path.name)


def text_keys(texts: Iterable[str], recipe: Mapping[str, object]) -> np.ndarray:
    """[n] keys of 16 bytes that change with the text and with the recipe."""
    start = hashlib.blake2b(json.dumps(recipe, sort_keys=True).encode() + b"\0", digest_size=KEY)
    keys = bytearray()
    for text in texts:
        digest = start.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        keys += digest.digest()
    return np.frombuffer(bytes(keys), dtype=f"S{KEY}")
