"""Which columns of a table hold the SMILES and the labels: one rule for every command."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from molweight.data.smiles import is_molecule
from molweight.data.table_rows import SMILES_HEADERS, Table
from molweight.errors import DataError

SMILES_NAMES = {*SMILES_HEADERS, "mol"}
"""Names of a SMILES column that needs no naming, whatever their capitals."""

IDENTIFIER = re.compile(
    r"(.*[\s_.\-])?(?:id|ids|idx|index|row|cid|sid)|unnamed: [\d.]+|#|", re.IGNORECASE | re.DOTALL
)
CAMEL_CASE_IDENTIFIER = re.compile(r".*[a-z]I[Dd]", re.DOTALL)  # CompoundID, moleculeId


def find_smiles_column(
    table: Table,
    *,
    named: str | None,
    option: str,
    preferred: Iterable[str] = (),
    aliases: Sequence[str] = (),
) -> int:
    """Position of the column with SMILES.

    Args:
        table: of which the names of the columns are looked at.
        named: what the user calls the column, or None.
        option: that names it.
        preferred: names to take exactly as they are if nothing is named: what models were trained on.
        aliases: with a named column: what else it may be called; else further names that need no naming.

    Raises:
        DataError: there is none; or several, and nothing says which.
    """
    names = table.names
    if named is not None:
        return find_column(table, [named, *aliases], option)
    candidates = [i for i, name in enumerate(names) if name in set(preferred)]
    if not candidates:
        known = {name.lower() for name in (*SMILES_NAMES, *aliases)}
        candidates = [i for i, name in enumerate(names) if name.lower() in known]
    if not candidates:
        return find_column(table, ["smiles"], option)  # for its sentence
    if len(candidates) > 1:
        each = [names[i] for i in candidates]
        raise DataError(
            f"{table.title} has {len(each)} columns that may hold the SMILES, {listed(each)}: say which, for "
            f"example {option}={each[0]}"
        )
    return candidates[0]


def find_column(table: Table, wanted: Sequence[str], option: str) -> int:
    """Position of the first of ``wanted`` that is a column: exact spellings first, then ignoring case.

    Raises:
        DataError: there is none; the sentence names the nearest. Or two have its name.
    """
    names = table.names
    lowered = [name.lower() for name in names]
    for name in wanted:
        if name in names:
            check_unique(table, [names.index(name)])
            return names.index(name)
    for name in wanted:
        if lowered.count(name.lower()) == 1:
            return lowered.index(name.lower())
    close = difflib.get_close_matches(wanted[0].lower(), lowered, n=1, cutoff=0.5)
    hint = f" Did you mean {names[lowered.index(close[0])]!r}?" if close else ""
    separator = next((s for s in (";", "\t", "|") if len(names) == 1 and s in names[0]), None)
    if not close and (molecule := next(filter(is_molecule, names), None)):
        hint = f" {molecule!r} is a molecule: if the first row is no header, add one above it."
    if separator:
        hint = f" The cells seem to be separated by {separator!r}: save it with commas, or with tabs as .tsv."
    raise DataError(f"{table.title} has no column {wanted[0]!r} ({option}).{hint} Columns: {listed(names)}.")


def label_columns(
    table: Table,
    smiles_at: int,
    *,
    targets: Sequence[str] | None,
    aliases: Mapping[str, Sequence[str]],
    ignore: Sequence[str],
) -> dict[str, int]:
    """The columns of the targets, or, where none are given, every column that may be one.

    Args:
        table: as of :func:`find_smiles_column`.
        smiles_at: position of the column with SMILES.
        targets: names, or None.
        aliases: target name to its other names.
        ignore: columns that are never targets unless ``targets`` names them.

    Raises:
        DataError: a target is no column; there is no column besides the SMILES; a name occurs twice.
    """
    names = table.names
    if targets is None:
        columns = {i: names[i] for i in range(len(names)) if i != smiles_at and names[i] not in ignore}
        if not columns:
            raise DataError(
                f"{table.title} has no column with labels besides the SMILES. Columns: {listed(names)}."
            )
        check_unique(table, columns)
    else:
        columns = {}
        for name in targets:
            at = find_column(table, [name, *aliases.get(name, ())], "dataset.targets")
            if at in columns:
                raise DataError(
                    f"{table.title}: the targets {columns[at]!r} and {name!r} are the same column"
                )
            columns[at] = name
    return {name: at for at, name in columns.items()}


def is_identifier_name(name: str) -> bool:
    """Whether columns of this name number their rows: ``ID``, ``Compound ID``, ``Unnamed: 0``, ``index``."""
    name = name.strip()
    return bool(IDENTIFIER.fullmatch(name) or CAMEL_CASE_IDENTIFIER.fullmatch(name))


def check_unique(table: Table, used: Iterable[int]) -> None:
    """Refuse a used column whose name another column has too: nobody could say which one is meant.

    Raises:
        DataError: naming all of them.
    """
    counts = Counter(table.names)
    twice = sorted({name for name in (table.names[i] for i in used) if counts[name] > 1})
    if twice:
        raise DataError(
            f"{table.title} has more than one column {listed(twice)}: give every column its own name"
        )


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names for a message, shortened when a table is very wide."""
    quoted = [repr(name) for name in names]
    rest = f" and {len(quoted) - most} more" if len(quoted) > most else ""
    return ", ".join(quoted[:most]) + rest
