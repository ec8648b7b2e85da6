"""The pictures of a list of molecules, as ``pictures[positions]``: in memory, or from a store on disk.

Letters: n molecules, b positions, S the picture's side in px.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from molweight.data.locate import cache_folder
from molweight.data.results import RenderResult
from molweight.images.drawing import decompress, draw
from molweight.images.drawing_processes import CHUNK, draw_all
from molweight.images.render import check_size
from molweight.images.shards import DamagedStoreError
from molweight.images.store import PictureStore, Recipe, build_store, quarantine

MANY = 2_000  # molecules, some seconds of drawing; fewer are not worth a store
MEMORY = 1 << 30  # bytes of pictures that are held in memory; more are read from the store
AT_ONCE = 256  # pictures decoded at a time


class Pictures:
    """``pictures[positions]`` is a tensor [b, 3, S, S] uint8, RGB; any number of threads may ask.

    Positions count the molecules that have a picture: those of ``smiles`` without the ``failed`` ones.

    Args:
        smiles: [n] canonical SMILES.
        size: S, 16 to 2048 px.
        folder: of the stores; None takes ``pictures`` in the cache folder.
        workers: processes that draw; None = one for each core.
        memory: bytes up to which all pictures are held in memory.
        progress: show bars on a terminal.

    Raises:
        ConfigError: ``size`` or ``workers`` is out of range.
        DataError: the store cannot be written.
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
        self.recipe = Recipe(size=size, canonicalise=False)
        self.folder = folder or cache_folder() / "pictures"
        self.workers, self.progress = workers, progress
        self.lock = threading.Lock()
        self.all: Tensor | None = None
        self.store: PictureStore | None = None
        self.failed = {}
        if len(smiles) <= MANY:
            pictures = self._draw()
            self.kept = self._others()
            self.all = torch.from_numpy(pictures[self.kept] if self.failed else pictures)
            return
        self.store = self._open()
        if self.store.manifest["ok"] < len(self.store):
            self.failed = {row: one for row, one in enumerate(self.store.rows()) if one.status != "ok"}
        self.kept = self._others()
        if len(self) * 3 * size * size <= memory:
            pictures = np.empty((len(self), 3, size, size), dtype=np.uint8)
            for part in np.split(np.arange(len(self)), range(AT_ONCE, len(self), AT_ONCE)):
                pictures[part] = self._read(self.kept[part])
            self.all = torch.from_numpy(pictures)

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, positions: Tensor) -> Tensor:
        if self.all is not None:
            return self.all[positions]
        return torch.from_numpy(self._read(self.kept[positions.numpy()]))

    def _others(self) -> np.ndarray:
        """Positions in ``smiles`` of the molecules that have a picture."""
        return np.setdiff1d(np.arange(len(self.smiles)), list(self.failed))

    def _draw(self) -> np.ndarray:
        """All pictures [n, 3, S, S], without a store; rubbish where a molecule has failed."""
        pictures = np.empty((len(self.smiles), 3, self.size, self.size), dtype=np.uint8)
        drawn: Iterable[RenderResult]
        if len(self.smiles) <= CHUNK and self.workers is None:
            drawn = (draw(one, self.size, canonicalise=False) for one in self.smiles)
        else:
            drawn = draw_all(self.smiles, self.size, canonicalise=False, workers=self.workers)
        silent = None if self.progress else True  # None: shown on a terminal only
        bar = tqdm(
            drawn, total=len(self.smiles), desc="draw pictures", unit="mol", disable=silent, leave=False
        )
        for row, one in enumerate(bar):
            if one.status == "ok":
                decompress(one.frame, pictures[row])
            else:
                self.failed[row] = one
        return pictures

    def _open(self) -> PictureStore:
        """The store, built if it is not there."""
        return build_store(
            self.smiles, self.recipe, self.folder, workers=self.workers, progress=self.progress
        )

    def _read(self, rows: np.ndarray) -> np.ndarray:
        """Pictures [b, 3, S, S] of rows [b] of the store; a damaged one is rebuilt and read again."""
        store = self.store
        assert store is not None
        try:
            return store.read(rows)
        except DamagedStoreError:
            with self.lock:
                if self.store is store:  # no other thread has mended it
                    quarantine(store.folder)
                    self.store = self._open()
                mended = self.store
            assert mended is not None
            return mended.read(rows)
