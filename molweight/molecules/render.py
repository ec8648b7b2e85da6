"""Molecules as pictures, drawn in this process or in several that import nothing but RDKit and Pillow.

Letters: n molecules, S the picture's side in px.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from rdkit import Chem, rdBase
from rdkit.Chem.Draw import rdMolDraw2D
from tqdm import tqdm

from molweight.errors import ConfigError, DataError
from molweight.molecules.smiles import InvalidSmilesError

if TYPE_CHECKING:
    import torch

SMALLEST, LARGEST = 16, 2048  # px; below, a molecule is a smudge; above, one picture takes 12 MB
MANY = 2_000  # molecules, some five seconds of drawing; fewer are not worth starting processes
CHUNK = 64  # molecules sent to a process at a time: a tenth of a second or more, 10 MB at 224 px
# A drawing process is a plain child, not one of multiprocessing's: those import the caller's __main__ again
# (torch and all, or a script without a main guard), and a fork of a process with torch's threads may hang.
CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from molweight.molecules.render import serve
serve(int(sys.argv[2]))
"""


def render(smiles: str, size: int) -> np.ndarray:
    """The picture of a molecule on white, pixel by pixel the one that ImageMol draws.

    ImageMol draws with ``Draw.MolsToGridImage([mol], molsPerRow=1, subImgSize=(S, S))``. The picture depends
    on how the SMILES is spelled: pass the canonical one.

    Args:
        smiles: a valid SMILES.
        size: side of the picture, 16 to 2048 px.

    Returns:
        [S, S, 3] uint8, RGB.

    Raises:
        ConfigError: ``size`` is out of range.
        InvalidSmilesError: RDKit cannot read or draw the molecule.
    """
    _check_size(size)
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
        if mol is None or mol.GetNumAtoms() == 0:
            raise InvalidSmilesError("not a SMILES string" if mol is None else "no atoms")
        drawing = rdMolDraw2D.MolDraw2DCairo(size, size)
        try:
            drawing.DrawMolecule(mol)
        except (RuntimeError, ValueError) as error:  # what RDKit's C++ exceptions become
            raise InvalidSmilesError(f"cannot be drawn: {error}") from error
        drawing.FinishDrawing()
    return np.asarray(Image.open(io.BytesIO(drawing.GetDrawingText())).convert("RGB"))


def render_all(
    smiles: Sequence[str], size: int, *, workers: int | None = None, progress: bool = False
) -> torch.Tensor:
    """The pictures of molecules, in the order of the molecules.

    Args:
        smiles: [n] canonical SMILES.
        size: side of the pictures, 16 to 2048 px.
        workers: processes that draw; 1 = this one; None = one for each core from 2,000 molecules on.
        progress: show a bar, if stderr is a terminal.

    Returns:
        [n, 3, S, S] uint8, RGB.

    Raises:
        ConfigError: ``size`` or ``workers`` is out of range.
        DataError: a molecule cannot be drawn (the message names row and SMILES), or a process died.
    """
    import torch  # here, because the drawing processes import this module

    _check_size(size)
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be at least 1, found {workers}")
    if workers is None:
        workers = _cores() if len(smiles) > MANY else 1
    pictures = np.empty((len(smiles), 3, size, size), dtype=np.uint8)
    bar = tqdm(total=len(smiles), desc="render", disable=not (progress and sys.stderr.isatty()))
    with bar:
        if workers == 1:
            for row, one in enumerate(smiles):
                pictures[row] = _drawn(one, row, size)
                bar.update()
        else:
            _draw_in_processes(smiles, pictures, workers, bar.update)
    return torch.from_numpy(pictures)


def serve(size: int) -> None:
    """Draw what stdin asks for until it ends: the body of a drawing process.

    A request is a line of JSON, a list of SMILES. The answer is a line of JSON, ``null`` or
    ``[index, reason]`` for the first SMILES that failed, and after ``null`` the pictures as
    [n, 3, S, S] bytes.
    """
    for line in sys.stdin:
        pictures = []
        failure = None
        for index, one in enumerate(json.loads(line)):
            try:
                pictures.append(render(one, size).transpose(2, 0, 1).tobytes())
            except InvalidSmilesError as error:
                failure = [index, str(error)]
                break
        sys.stdout.buffer.write(json.dumps(failure).encode() + b"\n")
        if failure is None:
            sys.stdout.buffer.write(b"".join(pictures))
        sys.stdout.buffer.flush()


def _draw_in_processes(
    smiles: Sequence[str], pictures: np.ndarray, workers: int, advance: Callable[[int], object]
) -> None:
    """Fill ``pictures`` [n, 3, S, S]; a thread for each process hands out chunks and collects pixels."""
    size = pictures.shape[-1]
    lock, stop = threading.Lock(), threading.Event()
    chunks = iter(range(0, len(smiles), CHUNK))

    def starts() -> Iterator[int]:
        while not stop.is_set():
            with lock:
                start = next(chunks, None)
            if start is None:
                return
            yield start

    def draw_share() -> None:
        command = [sys.executable, "-c", CHILD, json.dumps([str(path) for path in sys.path]), str(size)]
        try:
            with subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for this process, which then ends its children
            ) as child:
                assert child.stdin is not None, "opened with pipes"
                try:
                    for start in starts():
                        _request(child, smiles[start : start + CHUNK], pictures[start : start + CHUNK], start)
                        with lock:
                            advance(len(pictures[start : start + CHUNK]))
                finally:
                    child.kill()  # it has nothing to save, and may be drawing for nobody
                    with contextlib.suppress(BrokenPipeError):  # a request that a dead child never read
                        child.stdin.close()
        finally:
            stop.set()  # no chunk is left, or this thread failed

    with ThreadPoolExecutor(workers) as pool:
        shares = [pool.submit(draw_share) for _ in range(min(workers, -(-len(smiles) // CHUNK)))]
        try:
            for share in shares:
                share.result()
        finally:
            stop.set()  # an interrupt: the other threads end after the chunk in hand


def _request(child: subprocess.Popen[bytes], smiles: Sequence[str], out: np.ndarray, start: int) -> None:
    """Let a drawing process draw one chunk into ``out`` [b, 3, S, S].

    Raises:
        DataError: a molecule cannot be drawn, or the process died.
    """
    assert child.stdin is not None and child.stdout is not None, "opened with pipes"
    try:
        child.stdin.write(json.dumps(list(smiles)).encode() + b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        pass  # the process is gone: the read below is empty and says so
    answer = child.stdout.readline()
    failure = json.loads(answer) if answer.endswith(b"\n") else None
    if failure is not None:
        index, reason = failure
        raise DataError(_undrawable(smiles[index], start + index, reason))
    pixels = child.stdout.read(out.nbytes) if answer else b""
    if len(pixels) != out.nbytes:
        raise DataError(
            f"a drawing process ended with code {child.wait()} at rows {start} to {start + len(smiles) - 1}; "
            "out of memory? Try again with workers=1"
        )
    out[...] = np.frombuffer(pixels, dtype=np.uint8).reshape(out.shape)


def _drawn(smiles: str, row: int, size: int) -> np.ndarray:
    """The picture [3, S, S] of one row."""
    try:
        return render(smiles, size).transpose(2, 0, 1)
    except InvalidSmilesError as error:
        raise DataError(_undrawable(smiles, row, str(error))) from error


def _undrawable(smiles: str, row: int, reason: str) -> str:
    """The sentence for a molecule that has no picture."""
    return f"row {row}: cannot draw {smiles!r}: {reason}"


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux: containers and batch systems restrict it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_size(size: int) -> None:
    """Raise :class:`ConfigError` unless a picture of this side makes sense."""
    if type(size) is not int or not SMALLEST <= size <= LARGEST:
        raise ConfigError(f"the picture size must lie in {SMALLEST}..{LARGEST} px, found {size!r}")
