"""Checkpoints that can be trusted: safetensors and JSON, verified on reading; the last two stay.

A checkpoint is a pair ``step-<n>.safetensors`` and ``step-<n>.json``. The JSON file is written last and
carries the other's SHA-256 and its own, so a pair that was cut short or has a flipped bit is recognised and
the one before it is used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from molweight.errors import DataError
from molweight.tapweight.typing import StateDict
from molweight.utils.files import read_json, sha256_file, write_bytes, write_json
from molweight.utils.tensor_files import plain

logger = logging.getLogger(__name__)

KEEP = 2  # pairs: the newest, and one to fall back on
SCHEMA = 1
DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError)  # of reading a pair


def save_checkpoint(folder: Path, step: int, state: StateDict) -> None:
    """Write the state after ``step`` steps, read it back, and drop all but the newest pairs.

    Args:
        folder: of the checkpoints.
        step: names the pair; larger is newer.
        state: nested dictionaries and lists of tensors and plain values.

    Raises:
        DataError: it cannot be written, or the disk gives back something else; older pairs are left alone.
    """
    tensors: dict[str, Tensor] = {}
    tree = _encode(state, tensors)
    data = folder / f"step-{step:08d}.safetensors"
    encoded = save(tensors)
    content = {
        "schema": SCHEMA,
        "step": step,
        "sha256": hashlib.sha256(encoded).hexdigest(),
        "state": tree,
    }
    file = data.with_suffix(".json")
    write_bytes(data, encoded)
    write_json(file, {**content, "digest": _digest(content)})
    try:
        _verified(file)
    except DAMAGE as error:
        file.unlink(missing_ok=True)
        data.unlink(missing_ok=True)
        raise DataError(
            f"the checkpoint {file.stem} was written to {folder} and read back damaged: the disk or its "
            "connection is failing; the checkpoint before it is kept, continue on another disk"
        ) from error
    for old in sorted(folder.glob("step-*.json"))[:-KEEP]:
        old.unlink()
    for tensors_file in folder.glob("step-*.safetensors"):
        if not tensors_file.with_suffix(".json").exists():  # its pair is gone, or was never completed
            tensors_file.unlink()


def load_checkpoint(folder: Path) -> tuple[int, StateDict] | None:
    """The newest checkpoint that is whole: its step and state; None where there is none.

    Raises:
        DataError: there are checkpoints but each of them is damaged.
    """
    files = sorted(folder.glob("step-*.json"), reverse=True)
    for file in files:
        try:
            content = _verified(file)
            state = _decode(content["state"], load(file.with_suffix(".safetensors").read_bytes()))
            if not isinstance(state, dict):
                raise ValueError("unknown layout")
            return int(content["step"]), state
        except DAMAGE as error:
            logger.warning("checkpoint %s is damaged (%s); trying the one before it", file.stem, error)
    if files:
        raise DataError(f"every checkpoint in {folder} is damaged; delete the folder to start over")
    return None


def _verified(file: Path) -> StateDict:
    """The content of a pair's JSON file, if the bytes of both files are those that were meant."""
    content = read_json(file)
    if not isinstance(content, dict) or content.pop("digest", None) != _digest(content):
        raise ValueError("checksum mismatch")
    if content["schema"] != SCHEMA:
        raise ValueError(f"schema {content['schema']}, expected {SCHEMA}")
    data = file.with_suffix(".safetensors")
    if not data.is_file() or sha256_file(data) != content["sha256"]:  # a pipe may never end
        raise ValueError("checksum mismatch")
    return content


def _digest(content: StateDict) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _encode(value: object, tensors: dict[str, Tensor]) -> object:
    """JSON for a value, its tensors moved into ``tensors``; keys of dictionaries keep their type."""
    if isinstance(value, Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = plain(value)
        return {"tensor": name}
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str | int):
                raise TypeError(f"a checkpoint cannot hold a dictionary with the key {key!r}")
        return {"items": [[key, _encode(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_encode(item, tensors) for item in value]}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}  # JSON has no NaN and no infinity
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def _decode(tree: Any, tensors: dict[str, Tensor]) -> Any:
    (tag, content), *rest = tree.items()
    if rest or tag not in ("tensor", "items", "list", "value", "float"):
        raise ValueError("unknown layout")
    if tag == "tensor":
        return tensors[content]
    if tag == "items":
        return {key: _decode(item, tensors) for key, item in content}
    if tag == "list":
        return [_decode(item, tensors) for item in content]
    return float(content) if tag == "float" else content
