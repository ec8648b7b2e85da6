"""The pictures of a list of molecules, as ``pictures[positions]``: in memory, or from the cache on disk.

The cache is keyed by molecule. All corpora and data sets share it, so that a molecule is drawn once.

Letters: n molecules, b positions, S the picture's side in px.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import rdkit
import torch
from torch import Tensor
from tqdm import tqdm

from molweight.data.cache import CachedRecords
from molweight.data.locate import cache_folder
from molweight.data.results import RenderResult
from molweight.data.segments import STATUSES, Record
from molweight.images.drawing import decompress, draw
from molweight.images.drawing_processes import CHUNK, draw_all
from molweight.images.render import check_size

logger = logging.getLogger(__name__)

MANY = 2_000  # molecules, some seconds of drawing; fewer are not worth the cache
MEMORY = 1 << 30  # bytes of pictures that are held in memory; more are read from the cache
DRAWING = 1  # version of how a SMILES becomes a picture; a change draws everything again
BAR = "draw pictures"

Values = Callable[[np.ndarray], Iterable[bytes | memoryview]]  # rows [b] to compressed pictures


class Pictures:
    """``pictures[positions]`` is a tensor [b, 3, S, S] uint8, RGB; any number of threads may ask.

    Positions count the molecules that have a picture: those of ``smiles`` without the ``failed`` ones.

    Args:
        smiles: [n] canonical SMILES, drawn as they are spelled.
        size: S, 16 to 2048 px.
        folder: of all pictures; None takes ``pictures`` in the cache folder.
        workers: processes that draw; None = one for each core.
        memory: bytes up to which all pictures are held in memory.
        progress: show bars on a terminal.

    Raises:
        ConfigError: ``size`` or ``workers`` is out of range.
        DataError: the cache cannot be read or written.
    """

    failed: dict[int, RenderResult]
    """Position in ``smiles`` to why that molecule has no picture: too slow, or the end of its process."""

    def __init__(
        self,
        smiles: Sequence[str],
        size: int,
        *,
        folder: Path | None = None,
        workers: int | None = None,
        memory: int = MEMORY,
        progress: bool = False,
    ) -> None:
        check_size(size)
        self.smiles, self.size = smiles, size
        self.workers, self.progress = workers, progress
        if len(smiles) <= MANY:
            results = self._draw_with_bar()
            self.failed = {row: result for row, result in enumerate(results) if result.status != "ok"}
            self.values: Values = lambda rows: (results[row].frame for row in rows.tolist())
        else:
            records = self._open(folder or cache_folder() / "pictures")
            bad = np.flatnonzero(records.status)
            self.failed = {
                row: RenderResult(STATUSES[records.status[row]], bytes(reason).decode())
                for row, reason in zip(bad.tolist(), records.values(bad), strict=True)
            }
            self.values = records.values
        self.drawable = np.setdiff1d(np.arange(len(smiles)), list(self.failed))  # positions in `smiles`
        self.all: Tensor | None = None
        if len(smiles) <= MANY or len(self) * 3 * size * size <= memory:
            self.all = self._decompressed(self.drawable)
            del self.values

    def __len__(self) -> int:
        return len(self.drawable)

    def __getitem__(self, positions: Tensor) -> Tensor:
        if self.all is not None:
            return self.all[positions]
        return self._decompressed(self.drawable[positions.numpy()])

    def _decompressed(self, rows: np.ndarray) -> Tensor:
        """Pictures [b, 3, S, S] of rows [b] of ``smiles``."""
        pictures = np.empty((len(rows), 3, self.size, self.size), dtype=np.uint8)
        for picture, frame in zip(pictures, self.values(rows), strict=True):
            decompress(frame, picture)
        return torch.from_numpy(pictures)

    def _draw(self, smiles: Sequence[str]) -> Iterator[RenderResult]:
        return draw_all(smiles, self.size, canonicalise=False, workers=self.workers)

    def _draw_with_bar(self) -> list[RenderResult]:
        """All pictures, drawn here or, if they are more than a few, by processes."""
        here = len(self.smiles) <= CHUNK and self.workers is None
        drawn = (draw(text, self.size, canonicalise=False) for text in self.smiles)
        silent = None if self.progress else True  # None: shown on a terminal only
        source = drawn if here else self._draw(self.smiles)
        return [*tqdm(source, total=len(self.smiles), desc=BAR, unit="mol", disable=silent, leave=False)]

    def _open(self, folder: Path) -> CachedRecords:
        """The compressed pictures on disk; those that are missing are drawn."""

        def draw_records(smiles: Sequence[str]) -> Iterator[Record]:
            for result in self._draw(smiles):
                yield Record(result.status, result.frame or result.reason.encode())

        if old := next(folder.glob("*/manifest.json"), None):
            logger.info("%s was made by version 0.1 and is not read any more: it can be deleted", old.parent)
        version = rdkit.__version__.replace(".", "-")  # version 0.1 tidies up old folders that have a dot
        return CachedRecords(
            self.smiles,
            folder / f"{self.size}px-rdkit-{version}",
            {"values": "pictures", "size": self.size, "rdkit": rdkit.__version__, "drawing": DRAWING},
            draw_records,
            what="pictures",
            bar=BAR if self.progress else None,
        )
