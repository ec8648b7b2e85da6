"""Molecules that come with RDKit: a labelled series for a first run without any download."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
from rdkit import RDConfig

from molweight.data.label_cells import number
from molweight.data.readers import open_table
from molweight.data.table import LabelledTable
from molweight.errors import DataError, option


def chembl2321810_files() -> tuple[Path, Path]:
    """RDKit's structures and activities of ChEMBL document CHEMBL2321810, in this order."""
    folder = Path(RDConfig.RDContribDir) / "FreeWilson" / "data"
    return folder / "CHEMBL2321810.smi", folder / "CHEMBL2321810_act.csv"


def read_chembl2321810(target: str) -> LabelledTable:
    """Structures joined to activities (pIC50) by name, in the form of ``read_table``.

    A name that only one of the two files knows keeps its row: without an activity the label is missing,
    without a structure the SMILES is empty. So nothing is lost without being counted.

    Args:
        target: name of the label column.

    Raises:
        DataError: RDKit came without the files, or a name occurs twice.
    """
    structures, activities = chembl2321810_files()
    if not (structures.is_file() and activities.is_file()):
        raise DataError(
            f"this RDKit came without {structures} and {activities.name}",
            hint=f"install rdkit from PyPI, or choose another {option('dataset')}",
        )
    smiles = _by_name(structures, name=1, value=0)
    values = _by_name(activities, name=0, value=1)
    names = [*smiles, *(name for name in values if name not in smiles)]
    frame = pd.DataFrame(
        {
            "smiles": pd.Series([smiles.get(name, "") for name in names], dtype=object),
            target: [number(values[name]) if name in values else math.nan for name in names],
        }
    )
    return LabelledTable(frame=frame, task_type="regression")


def _by_name(path: Path, *, name: int, value: int) -> dict[str, str]:
    """Column ``value`` of a table by column ``name``."""
    result: dict[str, str] = {}
    for line, cells in open_table(path).complete_rows():
        key = str(cells[name])
        if key in result:
            raise DataError(f"{path}, line {line}: name {key!r} occurs twice; install RDKit afresh")
        result[key] = str(cells[value])
    return result
