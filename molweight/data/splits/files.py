"""Splits on disk: our own JSON and chemprop's ``splits.json``, as rows of the original file.

A row is a 0-based data row of the file that the molecules came from, the header not counted. A position is
an index into the list of molecules that could be used, so ``rows[position]`` is a row.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from molweight.errors import DataError
from molweight.utils.files import read_json

logger = logging.getLogger(__name__)

SCHEMA = 1  # version of our JSON; a reader refuses a newer one
PARTS = ("train", "valid", "test", "meta")
CHEMPROP = {"train": "train", "valid": "val", "test": "test"}  # our name: theirs
SHOWN = 10  # row numbers named in an error

RowsByPart = dict[str, list[int]]
"""Rows of the original file by name of the part, one of :data:`PARTS`."""


def read_split_file(path: Path) -> tuple[RowsByPart, str | None]:
    """The rows of each part in a split file, whichever format it has, and the hash of its molecules if any.

    Our format is a dictionary with ``schema``; chemprop's is a list whose first element is
    ``{"train": …, "val": …, "test": …}`` (chemprop, data/splitting.py), each a list of rows or a string such
    as ``"0,2-5"``, ends included. Further elements are chemprop's replicates; only the first is
    read, and a warning says so.

    Raises:
        DataError: no such file, no JSON, neither format, or something that is not a row number.
    """
    try:
        content = read_json(path)
    except OSError as error:
        raise DataError(f"could not read the split file {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"the split file {path} is not JSON: {error}") from error
    digest = None
    if isinstance(content, dict) and {"schema", *PARTS[:3]} <= content.keys():
        if content["schema"] != SCHEMA:
            raise DataError(
                f"the split file {path} has schema {content['schema']!r}, this version reads {SCHEMA}"
            )
        listed, digest = {part: content.get(part, []) for part in PARTS}, content.get("hash")
    elif _is_chemprop(content):
        listed = {part: content[0][theirs] for part, theirs in CHEMPROP.items()} | {"meta": []}
        if len(content) > 1:
            logger.warning("%s holds %d replicates: the first is used", path, len(content))
    else:
        raise DataError(
            f"the split file {path} is neither ours (a dictionary with schema, train, valid, test) "
            'nor chemprop\'s (a list that starts with {"train": …, "val": …, "test": …})'
        )
    return {part: row_numbers(rows, path, part) for part, rows in listed.items()}, digest


def row_numbers(listed: object, path: Path, part: str) -> list[int]:
    """The rows of one part, from a list of numbers or from a string such as ``"0,2-5"``.

    Raises:
        DataError: anything else.
    """
    if isinstance(listed, str):
        try:
            return [row for item in listed.split(",") for row in _range(item)]
        except ValueError as error:
            raise DataError(f'{path}, {part}: expected rows such as "0,2-5", found {listed!r}') from error
    if isinstance(listed, list):
        strange = [row for row in listed if type(row) is not int]  # a bool is not a row
        if not strange:
            return listed
        raise DataError(f"{path}, {part}: expected row numbers, found {strange[0]!r}")
    raise DataError(f"{path}, {part}: expected a list of row numbers, found {listed!r}")


def positions(
    listed: RowsByPart,
    smiles: Sequence[str],
    rows: Sequence[int],
    *,
    n_rows: int | None,
    path: Path,
) -> dict[str, np.ndarray]:
    """Positions of the molecules of each part.

    Args:
        listed: rows of each part.
        smiles: canonical SMILES, one for each position.
        rows: the row of each position.
        n_rows: rows in the original file, usable or not; None = up to the last usable one.
        path: the file, for messages.

    Raises:
        DataError: a row that the original file does not have or that is listed twice, a molecule whose
            repeated rows are in two parts, or molecules that the file does not mention.
    """
    _check_rows(listed, max(rows, default=-1) + 1 if n_rows is None else n_rows, path)
    position = {row: index for index, row in enumerate(rows)}
    placed = {part: [position[row] for row in listed[part] if row in position] for part in PARTS}
    missing = set(range(len(smiles))).difference(*placed.values())
    if missing:
        raise DataError(
            f"{path} does not place {len(missing)} of {len(smiles)} molecules: "
            f"rows {some([rows[index] for index in missing])}. Was it made for another file?"
        )
    first: dict[str, tuple[str, int]] = {}  # SMILES: the part and the row where it is first seen
    for part, members in placed.items():
        for index in members:
            other, row = first.setdefault(smiles[index], (part, rows[index]))
            if other != part:
                raise DataError(
                    f"{path} puts one molecule, {smiles[index]}, into two parts: "
                    f"row {row} into {other}, row {rows[index]} into {part}"
                )
    return {part: np.asarray(members, dtype=np.int64) for part, members in placed.items()}


def some(rows: Sequence[int]) -> str:
    """The first few rows in increasing order, for a message."""
    shown = ", ".join(str(row) for row in sorted(rows)[:SHOWN])
    return shown + (", …" if len(rows) > SHOWN else "")


def _check_rows(listed: RowsByPart, n_rows: int, path: Path) -> None:
    """Raise :class:`DataError` for rows that do not exist or are listed more than once."""
    unknown = [row for part in PARTS for row in listed[part] if not 0 <= row < n_rows]
    if unknown:
        raise DataError(f"{path} names rows that the data does not have (0 to {n_rows - 1}): {some(unknown)}")
    parts_of: dict[int, list[str]] = {}
    for part in PARTS:
        for row in listed[part]:
            parts_of.setdefault(row, []).append(part)
    twice = sorted(row for row, parts in parts_of.items() if len(parts) > 1)
    if twice:
        parts = " and ".join(parts_of[twice[0]])
        raise DataError(f"{path} lists rows more than once: {some(twice)} (row {twice[0]} in {parts})")


def _is_chemprop(content: object) -> bool:
    """Whether JSON content looks like chemprop's split file."""
    return (
        isinstance(content, list)
        and bool(content)
        and isinstance(content[0], dict)
        and set(CHEMPROP.values()) <= content[0].keys()
    )


def _range(item: str) -> range:
    """``"3"`` is row 3, ``"2-5"`` is rows 2, 3, 4, 5."""
    first, dash, last = item.partition("-")
    return range(int(first), int(last if dash else first) + 1)
