"""Files that are either complete or absent: written to a temporary name, synced, renamed."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from molweight.errors import DataError

CHUNK = 1 << 20  # bytes read at a time when hashing: large enough to be disk-bound
MOST_TEXT = 1 << 28  # bytes of a text that is read at once; the splits of ten million molecules take half


def write_bytes(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` in one step; a reader sees the old file or the new one.

    Raises:
        DataError: the folder cannot be written or the disk is full; ``path`` is left as it was.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp makes private files; artefacts are for sharing
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"could not write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """Replace ``path`` by UTF-8 text in one step."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: object) -> None:
    """Replace ``path`` by indented JSON in one step; NaN is written as ``null``, never as ``NaN``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_json(Path(folder) / "score.json", {"test": 0.5, "valid": float("nan")})
    ...     read_json(Path(folder) / "score.json")
    {'test': 0.5, 'valid': None}
    """
    write_text(path, json.dumps(finite(content), indent=2, allow_nan=False) + "\n")


def read_bytes(path: Path, *, most: int) -> bytes:
    """The content of a file, whoever has written it, unless it is larger than it can be.

    Raises:
        OSError: it cannot be read.
        ValueError: no regular file, or larger.
    """
    if path.exists() and not path.is_file():  # a pipe or a device may never end
        raise ValueError("not a regular file")
    if path.stat().st_size > most:
        raise ValueError(f"more than {most:,} bytes")
    return path.read_bytes()


def read_text(path: Path) -> str:
    """A UTF-8 text, whoever has written it.

    Raises:
        OSError: it cannot be read.
        ValueError: not UTF-8, no regular file, or larger than any of ours.
    """
    return read_bytes(path, most=MOST_TEXT).decode("utf-8")


def read_json(path: Path) -> Any:
    """The content of a JSON file, whoever has written it.

    Raises:
        OSError: it cannot be read.
        ValueError: as of :func:`read_text`; it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(read_text(path))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def finite(content: object) -> Any:
    """A copy of nested lists and dictionaries with every NaN and infinity replaced by ``None``.

    >>> finite({"auc": float("nan"), "sizes": (8, 1)})
    {'auc': None, 'sizes': [8, 1]}
    """
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    if isinstance(content, float) and not (float("-inf") < content < float("inf")):
        return None
    return content


def sha256_file(*paths: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal; of several files, of their bytes one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
