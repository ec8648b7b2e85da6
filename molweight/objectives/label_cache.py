"""Labels that take long to compute, kept in the cache and checked whenever they are read again."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from molweight.data.locate import cache_folder
from molweight.utils.files import write_bytes

logger = logging.getLogger(__name__)

Labels = np.ndarray[Any, np.dtype[np.int64]]
DIGEST = hashlib.sha256().digest_size  # bytes at the start of a file: the SHA-256 of the rest


def kept_labels(made_from: Mapping[str, Any], compute: Callable[[], Labels]) -> Labels:
    """Labels [n] from the cache's folder ``labels``, or computed and put there.

    Args:
        made_from: everything that decides them, as JSON can say it.
        compute: makes them.

    Raises:
        DataError: the cache cannot be written.
    """
    name = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:32]
    path = cache_folder() / "labels" / f"{name}.npy.sum"
    labels = read(path)
    if labels is None:
        labels = compute()
        buffer = io.BytesIO()
        np.save(buffer, labels, allow_pickle=False)
        content = buffer.getvalue()
        write_bytes(path, hashlib.sha256(content).digest() + content)
    return labels


def read(path: Path) -> Labels | None:
    """What a file holds; None where there is none or it is damaged, which a warning says."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    try:
        if hashlib.sha256(content[DIGEST:]).digest() != content[:DIGEST]:
            raise ValueError
        labels: Labels = np.load(io.BytesIO(content[DIGEST:]), allow_pickle=False)
    except ValueError:
        logger.warning("%s is damaged; its labels are computed again", path)
        return None
    return labels
