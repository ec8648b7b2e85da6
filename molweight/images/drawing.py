"""One string to one compressed picture, or to the reason why there is none. S is the picture's side in px."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np
import zstandard

from molweight.data.results import RenderResult
from molweight.data.smiles import InvalidSmilesError
from molweight.data.standardise import AS_GIVEN, Standardisation, standard_smiles
from molweight.errors import DataError
from molweight.images.render import render

LEVEL = 3  # of zstd: half a PNG's size, read back twelve times as fast; benchmarks/images.md

_local = threading.local()


def draw(
    text: str, size: int, *, canonicalise: bool, standardise: Standardisation = AS_GIVEN
) -> RenderResult:
    """One string to one picture, in this process and without a time limit.

    Args:
        text: a SMILES string, or not.
        size: side of the picture, px.
        canonicalise: draw RDKit's canonical spelling; otherwise the string is drawn as it is spelled.
        standardise: done to the molecule before it is spelled canonically.
    """
    try:
        smiles = standard_smiles(text, standardise) if canonicalise else text
        pixels = np.ascontiguousarray(render(smiles, size).transpose(2, 0, 1))
    except InvalidSmilesError as error:
        return RenderResult(error.status, str(error))
    return RenderResult("ok", "", smiles, compress(pixels))


def draw_pictures(smiles: Iterable[str], size: int, *, standardise: Standardisation = AS_GIVEN) -> np.ndarray:
    """The pictures that a model sees, for programs that run an exported one.

    Args:
        smiles: n molecules, spelled in any way.
        size: S, side of the pictures, px, of the model.
        standardise: of the model.

    Returns:
        [n, 3, S, S] uint8, RGB.

    Raises:
        ConfigError: ``size`` is out of range.
        DataError: a string has no picture; naming it and why.
    """
    pictures = []
    for text in smiles:
        drawn = draw(text, size, canonicalise=True, standardise=standardise)
        if drawn.status != "ok":
            raise DataError(f"{text!r} has no picture: {drawn.reason}")
        pictures.append(np.empty((3, size, size), dtype=np.uint8))
        decompress(drawn.frame, pictures[-1])
    return np.stack(pictures) if pictures else np.empty((0, 3, size, size), dtype=np.uint8)


def compress(pixels: np.ndarray) -> bytes:
    """A picture [3, S, S] uint8 as one zstd frame; colour planes one after the other compress best."""
    return zstandard.ZstdCompressor(level=LEVEL).compress(pixels.tobytes())


def decompress(frame: bytes | memoryview, out: np.ndarray) -> None:
    """A zstd frame back into a picture [3, S, S] uint8, contiguous.

    Raises:
        DataError: the frame is damaged, or holds a picture of another size.
    """
    target = out.reshape(-1).data  # straight into place, without a copy
    try:
        expected = zstandard.get_frame_parameters(frame).content_size
        if expected != out.nbytes:
            raise DataError(f"a damaged picture: {expected} bytes, expected {out.nbytes}")
        with _decompressor().stream_reader(frame) as reader:
            done = 0
            while count := reader.readinto(target[done:]):
                done += count
    except zstandard.ZstdError as error:
        raise DataError(f"a damaged picture: {error}") from error
    if done != out.nbytes:
        raise DataError(f"a damaged picture: {done} bytes, expected {out.nbytes}")


def _decompressor() -> zstandard.ZstdDecompressor:
    """One for each thread: it is not made anew for every picture, and threads cannot share it."""
    if not hasattr(_local, "decompressor"):
        _local.decompressor = zstandard.ZstdDecompressor()
    decompressor: zstandard.ZstdDecompressor = _local.decompressor
    return decompressor
