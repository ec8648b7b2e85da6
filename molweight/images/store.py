"""Pictures on disk: built once, checked when read, shared by every run that draws the same molecules.

A store is a folder of shards and a manifest. It is named after everything that its pictures depend on: the
strings in their order, the picture's side, how strings are spelled, RDKit's version. A builder works in a
private folder beside it, a shard at a time, and renames the folder when the manifest is written; so a store
is whole or absent, without any lock. A builder that was killed leaves finished shards, which the next one
takes over. Shards are named after their content, so that two stores with a common beginning share the work.

Letters: n rows, b rows asked for, S the picture's side in px.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import rdkit
from tqdm import tqdm

from molweight.data.results import RenderResult
from molweight.errors import DataError
from molweight.images.drawing_processes import SECONDS, draw_all
from molweight.images.shards import STATUSES, DamagedStoreError, Shard, shard_bytes
from molweight.utils.files import write_bytes, write_json

FORMAT = 1  # of shards and manifest
ROWS = 4_096  # in a shard: some seconds of drawing, which is what a kill can lose
ATTEMPTS = 3  # at building a store that others remove
ABANDONED = 7 * 86_400  # seconds after which another builder's private folder is rubbish


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a store is built from, besides the strings.

    Args:
        size: side of the pictures, px.
        canonicalise: draw the canonical spelling of the strings; otherwise they are drawn as spelled.
    """

    size: int
    canonicalise: bool

    def digest(self, texts: Iterable[str]) -> str:
        """32 hexadecimal digits that change with anything that a picture or its place depends on."""
        head = [FORMAT, self.size, self.canonicalise, rdkit.__version__]
        digest = hashlib.sha256(json.dumps(head).encode())
        for text in texts:
            content = str(text).encode("utf-8", "surrogatepass")
            digest.update(struct.pack("<Q", len(content)))
            digest.update(content)
        return digest.hexdigest()[:32]


class PictureStore:
    """A published store, read-only; any number of processes and threads may read it at once.

    Args:
        folder: of the store.
        thorough: check every byte at once; otherwise each picture is checked when it is read.

    Raises:
        DamagedStoreError: it is not whole.
    """

    def __init__(self, folder: Path, *, thorough: bool = False) -> None:
        self.folder = folder
        try:
            self.manifest = json.loads((folder / "manifest.json").read_text())
            names = [shard["name"] for shard in self.manifest["shards"]]
            self.size, rows = int(self.manifest["size"]), [s["rows"] for s in self.manifest["shards"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedStoreError(f"{folder} has no readable manifest: {error}") from error
        self.shards = [Shard(folder / name, thorough=thorough) for name in names]
        if [shard.rows for shard in self.shards] != rows:
            raise DamagedStoreError(f"{folder}: its shards are not those of its manifest")
        self.starts = np.cumsum([0, *rows])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def read(self, positions: np.ndarray) -> np.ndarray:
        """Pictures [b, 3, S, S] uint8 of rows [b].

        Raises:
            DamagedStoreError: a record is not what was written.
            DataError: a row has no picture.
        """
        out = np.empty((len(positions), 3, self.size, self.size), dtype=np.uint8)
        places = np.searchsorted(self.starts, positions, side="right") - 1
        for index, (place, position) in enumerate(zip(places.tolist(), positions.tolist(), strict=True)):
            self.shards[place].read(position - int(self.starts[place]), out[index])
        return out

    def rows(self) -> Iterator[RenderResult]:
        """What became of every row, in order, without the pictures."""
        for shard in self.shards:
            yield from shard.texts()


def build_store(
    texts: Iterable[str],
    recipe: Recipe,
    root: Path,
    *,
    workers: int | None = None,
    seconds: float = SECONDS,
    progress: bool = False,
) -> PictureStore:
    """The store of these strings: opened if it is there, else built; continues what a killed builder began.

    Args:
        texts: can be iterated twice: once for the name, once for the pictures. Read as a stream.
        recipe: see :class:`Recipe`.
        root: folder of all stores.
        workers: see :func:`draw_all`.
        seconds: that one molecule may take.
        progress: show a bar.

    Raises:
        DataError: the folder cannot be written.
    """
    name = recipe.digest(texts)
    folder = root / name
    for _ in range(ATTEMPTS):
        seen = folder.is_dir()
        try:
            return PictureStore(folder)
        except DamagedStoreError:
            if seen:  # one that came meanwhile may be whole
                quarantine(folder)
        private = _private(root, name)
        try:
            manifest = _fill(private, folder, texts, recipe, workers, seconds, progress)
            if manifest is not None:
                write_json(private / "manifest.json", {"format": FORMAT, "name": name} | manifest)
                PictureStore(private)  # whole?
                _publish(private, folder)
        except (DamagedStoreError, FileNotFoundError):  # somebody has tidied up behind us
            pass
        except DataError as error:
            if not isinstance(error.__cause__, FileNotFoundError):  # the same, while we were writing
                raise
        finally:  # shards stay for the next builder when we are interrupted
            if folder.is_dir() or not any(private.glob("*.pictures")):
                shutil.rmtree(private, ignore_errors=True)
    raise DataError(f"could not build {folder} in {ATTEMPTS} attempts: something keeps damaging it")


def _private(root: Path, name: str) -> Path:
    """A folder of our own beside the store."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=root, prefix=f"{name}."))
    except OSError as error:
        raise DataError(
            f"cannot write pictures into {root}: {error.strerror or error}; set MOLWEIGHT_CACHE to a folder "
            "with space"
        ) from error


def _fill(
    private: Path,
    folder: Path,
    texts: Iterable[str],
    recipe: Recipe,
    workers: int | None,
    seconds: float,
    progress: bool,
) -> dict[str, Any] | None:
    """Write every shard, or take it over from whoever has it.

    Returns:
        The manifest's content, or None when somebody else has published the store meanwhile.
    """
    shards: list[dict[str, Any]] = []
    counts = dict.fromkeys(STATUSES, 0)
    source = iter(texts)
    total = len(texts) if isinstance(texts, Sized) else None
    silent = None if progress else True  # None: shown on a terminal only
    with tqdm(total=total, desc="draw pictures", unit="mol", disable=silent, leave=False) as bar:
        while chunk := list(islice(source, ROWS)):
            if (folder / "manifest.json").exists():
                return None
            name = f"{recipe.digest(chunk)}.pictures"
            path = private / name
            if not path.exists() and not _reuse(name, path):
                drawn = []
                for one in draw_all(
                    chunk, recipe.size, canonicalise=recipe.canonicalise, workers=workers, seconds=seconds
                ):
                    drawn.append(one)
                    bar.update()
                write_bytes(path, shard_bytes(drawn))
            else:
                bar.update(len(chunk))
            shard = Shard(path, thorough=False)
            values, numbers = np.unique(shard.status, return_counts=True)
            for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
                counts[STATUSES[value]] += number
            shards.append({"name": name, "rows": shard.rows})
    return {
        "size": recipe.size,
        "canonicalise": recipe.canonicalise,
        "rdkit": rdkit.__version__,
        "rows": sum(shard["rows"] for shard in shards),
        **counts,
        "shards": shards,
    }


def _reuse(name: str, path: Path) -> bool:
    """Link or copy a finished shard of any store or builder, if one is whole."""
    for found in path.parent.parent.glob(f"*/{name}"):
        try:
            Shard(found, thorough=True)
            try:
                os.link(found, path)
            except OSError:  # no links on this file system
                write_bytes(path, found.read_bytes())
            return True
        except OSError:  # damaged, or gone
            continue
    return False


def _publish(private: Path, folder: Path) -> None:
    """Rename the private folder. Where a store stands already, it stays, unless it is damaged."""
    try:
        private.rename(folder)
    except OSError:
        try:
            PictureStore(folder)
            return
        except DamagedStoreError:
            quarantine(folder)
        private.rename(folder)
    _clean(folder)


def quarantine(folder: Path) -> None:
    """Make way for a new store; the damaged one keeps its whole shards for the next builder."""
    with contextlib.suppress(OSError):
        (folder / "manifest.json").unlink()
    with contextlib.suppress(OSError):
        folder.rename(folder.with_name(f"{folder.name}.damaged-{time.time_ns()}"))


def _clean(folder: Path) -> None:
    """Remove what other builders of this store left, and what anybody left long ago."""
    for other in folder.parent.glob("*.*"):
        with contextlib.suppress(OSError):
            if other.name.startswith(f"{folder.name}.") or time.time() - other.stat().st_mtime > ABANDONED:
                shutil.rmtree(other, ignore_errors=True)
