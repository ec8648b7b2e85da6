"""From a table to one SMILES string and one row of numbers per molecule, or a sentence that says why not."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from rdkit import Chem

from molweight.data.columns import find_smiles_column, label_columns, listed
from molweight.data.label_cells import LabelCells, LabelColumn
from molweight.data.labels import LabelReader, Target, UnusableColumn
from molweight.data.readers import Source, open_table
from molweight.data.sdf import UNREADABLE
from molweight.data.smiles import InvalidSmilesError, smiles_of
from molweight.data.table_rows import Cell, Rows
from molweight.errors import DataError, option

REMEMBERED = 10_000  # spellings of labels; a table of zeros and ones needs two


@dataclass(frozen=True, kw_only=True)
class LabelledTable:
    """The molecules and labels of a table, and how it was read.

    Args:
        frame: column ``smiles`` (text as it stands in the table), then one float64 column per target, under
            the target's own name, NaN where the label is missing. One row per data row, in file order; the
            index ``line`` is the line of the file (Parquet, SDF: the record).
        task_type: ``classification`` or ``regression``.
        smiles_column: the name of the column in the table.
        classes: by target, what 0 and 1 stand for where the table has other words for them.
        notes: what was guessed, a short sentence each.
    """

    frame: pd.DataFrame
    task_type: str
    smiles_column: str = "smiles"
    classes: dict[str, tuple[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_table(
    source: Source,
    *,
    smiles_column: str | None = None,
    targets: Sequence[str] | None = None,
    smiles_aliases: Sequence[str] = (),
    aliases: Mapping[str, Sequence[str]] | None = None,
    ignore: Sequence[str] = (),
    task_type: str | None = None,
    missing_values: Sequence[str] | None = None,
) -> LabelledTable:
    """The SMILES strings and labels of a molecule table.

    Args:
        source: see :func:`molweight.data.readers.open_table`; a cell with an RDKit molecule counts as its
            SMILES. Memory holds what is returned, never the file.
        smiles_column: name of the column with SMILES; without an exact match case is ignored, then
            ``smiles_aliases`` are tried. None takes the one column with a usual name.
        targets: names of the label columns; None takes every column that can hold labels, and is neither
            ignored nor an identifier; an empty list reads the molecules alone.
        smiles_aliases: other names for the SMILES column.
        aliases: target name to its other names.
        ignore: columns that are not targets when ``targets`` is None.
        task_type: ``classification`` insists on two classes, ``regression`` on numbers; None tells from the
            labels: two different values, whatever they are, are classes.
        missing_values: texts or numbers that stand for a missing label, besides the usual ones; an empty
            list accepts numbers such as -999 as they are.

    Raises:
        DataError: see the message; it names file, column and row.
    """
    table = open_table(source)
    option = "dataset.smiles_column"
    smiles_at = find_smiles_column(table, named=smiles_column, option=option, aliases=smiles_aliases)
    columns = label_columns(table, smiles_at, targets=targets, aliases=aliases or {}, ignore=ignore)
    lines, smiles, cells = _collect(
        table.complete_rows(), smiles_at, columns, LabelCells(missing_values or ())
    )
    if not smiles:
        raise DataError(f"{table.title} has a header but no rows: expected one molecule per row")
    strict, chosen = missing_values is None, targets is not None
    reader = LabelReader(
        table=table.title, lines=lines, task_type=task_type, refuse_stand_ins=strict, chosen=chosen
    )
    labels, unused, mixed = _targets(reader, cells)
    if targets is None:
        unused |= {name: "dataset.ignore" for name in table.names if name in ignore}
    kinds = {target.kind for target in labels.values()}
    kind = task_type or ("regression" if "regression" in kinds else "classification")
    notes = [
        *table.notes,
        *([f"SMILES in {table.names[smiles_at]!r}"] if smiles_column is None else []),
        *([f"target{'s' if len(labels) > 1 else ''} {listed(labels, most=5)}"] if targets is None else []),
        *([f"not used {_with_reasons(unused, ', ')}"] if unused else []),
        *([kind + (f", also of {listed(mixed)}" if mixed else "")] if labels and task_type is None else []),
    ]
    classes = {name: target.classes for name, target in labels.items() if target.classes is not None}
    notes += [f"in {name!r} 0 is {no!r} and 1 is {yes!r}" for name, (no, yes) in classes.items()]
    return LabelledTable(
        frame=_frame(smiles, lines, labels),
        task_type=kind,
        smiles_column=table.names[smiles_at],
        classes=classes,
        notes=tuple(notes),
    )


def smiles_column(source: Source, name: str | None) -> Iterator[str]:
    """The SMILES strings of a table, as they pass by: nothing is held in memory.

    Args:
        source: see :func:`molweight.data.readers.open_table`.
        name: of the column; without an exact match case is ignored. None takes the one column with a usual
            name.

    Raises:
        DataError: see the message; at the first string, or where the file is damaged.
    """
    table = open_table(source)
    at = find_smiles_column(table, named=name, option="corpus.smiles_column")
    return (smiles_in(cells[at]) for _, cells in table.complete_rows())


def _collect(
    rows: Rows, smiles_at: int, columns: Mapping[str, int], label_cells: LabelCells
) -> tuple[np.ndarray, list[str], list[LabelColumn]]:
    """Lines [n], SMILES and the cells of the columns of all rows; equal cells are parsed once."""
    lines, smiles = array("q"), list[str]()
    labels = [(at, LabelColumn(name)) for name, at in columns.items()]
    known: dict[str, float] = {}
    for line, cells in rows:
        lines.append(line)
        smiles.append(smiles_in(cells[smiles_at]))
        for at, column in labels:
            cell = cells[at]
            value = known.get(cell) if isinstance(cell, str) else None
            if value is None:
                try:
                    value = label_cells.value(cell)
                except ValueError:
                    column.add_word(line, cell)
                    continue
                if isinstance(cell, str) and len(known) < REMEMBERED:
                    known[cell] = value
            column.numbers.append(value)
    return np.array(lines), smiles, [column for _, column in labels]


def _targets(
    reader: LabelReader, columns: Sequence[LabelColumn]
) -> tuple[dict[str, Target], dict[str, str], list[str]]:
    """The labels of every column that has some, why the others are not used, classes taken for quantities.

    A run learns one kind: beside quantities, two classes are learned as numbers.

    Raises:
        DataError: there is nothing to learn from.
    """
    labels: dict[str, Target] = {}
    unused: dict[str, str] = {}
    for column in columns:
        try:
            labels[column.name] = reader.target(column)
        except UnusableColumn as reason:
            unused[column.name] = str(reason)
    if columns and not labels:
        raise DataError(
            f"{reader.table} has no column that is certain to hold labels: {_with_reasons(unused, '; ')}. "
            f"Name one with {option('dataset.targets', f'[{next(iter(unused))}]')}"
        )
    if columns and all(np.isnan(target.values).all() for target in labels.values()):
        raise DataError(
            f"{reader.table}: every label in {listed(labels)} is missing, so there is nothing to learn; "
            "check dataset.targets"
        )
    if {"classification", "regression"} <= {target.kind for target in labels.values()}:
        classes = [name for name, target in labels.items() if target.kind == "classification"]
        labels, unused, _ = _targets(replace(reader, task_type="regression"), columns)
        return labels, unused, [name for name in classes if name in labels]
    return labels, unused, []


def _with_reasons(unused: Mapping[str, str], separator: str) -> str:
    """Columns that are not used, each with the reason."""
    return separator.join(f"{name!r} ({reason})" for name, reason in unused.items())


def _frame(smiles: list[str], lines: np.ndarray, labels: Mapping[str, Target]) -> pd.DataFrame:
    """The table that :class:`LabelledTable` describes."""
    values = [target.values for target in labels.values()]
    stacked = np.stack(values, axis=1) if values else np.empty((len(lines), 0))
    frame = pd.DataFrame(stacked, columns=pd.Index(list(labels)), index=pd.Index(lines, name="line"))
    frame.insert(0, "smiles", pd.Series(smiles, index=frame.index, dtype=object), allow_duplicates=True)
    return frame


def smiles_in(cell: Cell) -> str:
    """The SMILES in a cell; what is neither text nor a molecule is none.

    >>> smiles_in("CCO"), smiles_in(Chem.MolFromSmiles("OCC")), smiles_in(1.5)
    ('CCO', 'CCO', '')
    """
    if isinstance(cell, Chem.Mol):
        try:
            return smiles_of(cell)
        except InvalidSmilesError:
            return UNREADABLE
    return cell if isinstance(cell, str) else ""
