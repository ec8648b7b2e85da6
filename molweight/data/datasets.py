"""A labelled data set: canonical molecules, their labels, and an account of every row that was read.

Letters in shapes: n usable molecules, t targets.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from molweight.data.builtin import chembl2321810_files, read_chembl2321810
from molweight.data.locate import locate
from molweight.data.readers import Source, title
from molweight.data.results import RenderResult
from molweight.data.rows import (
    NO_LABEL,
    Duplicate,
    Excluded,
    canonical_rows,
    find_duplicates,
    leave_out,
    save_rows,
)
from molweight.data.specs import DatasetSpec
from molweight.data.standardise import AS_GIVEN, Standardisation
from molweight.data.table import LabelledTable, read_table
from molweight.errors import ConfigError, DataError
from molweight.utils.files import sha256_file

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MoleculeDataset:
    """Molecules with labels, in the order of the file; duplicates stay, unusable rows are listed apart."""

    name: str
    smiles: list[str]
    """[n] canonical."""
    rows: np.ndarray
    """[n] int64, the 0-based data row of each molecule."""
    inputs: list[str]
    """[n] as spelled in the file."""
    targets: np.ndarray
    """[n, t] float64, NaN = missing; 0 and 1 for classification, ``units`` for regression."""
    target_names: list[str]
    """[t]"""
    task_type: str
    """``classification`` or ``regression``."""
    metric: str
    """``roc_auc``, ``rmse`` or ``mae``."""
    units: str | None
    smiles_column: str = "smiles"
    """The name of the column in the table."""
    classes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By target, what 0 and 1 stand for where the table has other words for them."""
    notes: tuple[str, ...] = ()
    """What was guessed when the table was read, a short sentence each."""
    sha256: str
    """Of the bytes that were read; of several files, of their bytes one after the other; of a data frame, of
    the columns that were read, as CSV."""
    path: Path | None
    """None: it came from a data frame."""
    n_rows: int
    """All data rows: usable ones and excluded ones."""
    excluded: list[Excluded]
    """Rows that are no molecule, that cannot be drawn, or that have no label (reason ``no label``)."""
    duplicates: list[Duplicate]

    def __len__(self) -> int:
        return len(self.smiles)

    @property
    def n_invalid(self) -> int:
        """Rows that are not used, whatever the reason."""
        return len(self.excluded)

    @property
    def n_unlabelled(self) -> int:
        """Rows among the excluded ones that are a molecule without any label."""
        return sum(item.reason == NO_LABEL for item in self.excluded)

    @property
    def n_duplicates(self) -> int:
        """Rows whose molecule stood in an earlier row."""
        return len(self.duplicates)

    @property
    def n_conflicting(self) -> int:
        """Duplicates with a label that contradicts an earlier row."""
        return sum(item.conflicting for item in self.duplicates)

    def without(self, failed: Mapping[int, RenderResult]) -> MoleculeDataset:
        """The data set without the molecules at some positions; they join the excluded ones.

        Raises:
            DataError: nothing is left.
        """
        if not failed:
            return self
        kept, gone = leave_out(failed, self.rows, self.inputs, what=self.name)
        smiles, rows, targets = [self.smiles[i] for i in kept], self.rows[kept], self.targets[kept]
        return replace(
            self,
            smiles=smiles,
            rows=rows,
            inputs=[self.inputs[i] for i in kept],
            targets=targets,
            excluded=sorted([*self.excluded, *gone], key=lambda item: item.row),
            duplicates=find_duplicates(smiles, rows, targets),
        )

    def save_excluded(self, path: Path) -> None:
        """Write the excluded rows and the duplicates; see :func:`molweight.data.rows.save_rows`."""
        spelled = dict(zip(self.rows.tolist(), self.inputs, strict=True))
        records = [(item.row, item.input, item.status, item.reason) for item in self.excluded]
        for twin in self.duplicates:
            labels = ", with another label than before" if twin.conflicting else ""
            reason = f"same molecule as row {twin.first_row + 1}{labels}; kept"
            records.append((twin.row, spelled[twin.row], "duplicate", reason))
        save_rows(path, records)


def load_dataset(
    card: DatasetSpec,
    *,
    source: Source | None = None,
    folder: Path | None = None,
    standardise: Standardisation = AS_GIVEN,
) -> MoleculeDataset:
    """The molecules and labels that a card describes.

    Args:
        card: see :class:`DatasetSpec`.
        source: read instead of the card's files, such as a data frame; the card says which columns count.
        folder: searched for the card's files instead of ``$MOLWEIGHT_DATASETS`` and ``./datasets``.
        standardise: done to every molecule before duplicates are looked for.

    Raises:
        ConfigError: the card contradicts itself or the labels.
        DataError: no file, an unreadable file, or nothing to learn from.
    """
    read, files = _read(card, source, folder)
    table, task_type = read.frame, read.task_type
    origin = title(files[0] if source is None else source)
    names = [str(name) for name in table.columns[1:]]
    labels = table.iloc[:, 1:].to_numpy(dtype=np.float64)
    if card.threshold is not None:
        labels = np.where(np.isnan(labels), np.nan, (labels >= card.threshold).astype(np.float64))
        task_type = "classification"
    metric = card.metric_for(task_type)

    inputs: list[str] = table.iloc[:, 0].tolist()
    molecules = canonical_rows(inputs, name=card.name, standardise=standardise)
    invalid = [item for item in molecules if isinstance(item, Excluded)]
    _check_mostly_valid(origin, invalid, len(inputs))
    bare = {int(row) for row in np.flatnonzero(np.isnan(labels).all(axis=1))}
    unlabelled = [
        Excluded(row, inputs[row], NO_LABEL) for row in sorted(bare) if isinstance(molecules[row], str)
    ]
    usable = [(row, item) for row, item in enumerate(molecules) if isinstance(item, str) and row not in bare]
    if not usable:
        raise DataError(f"{origin}: none of the {len(inputs)} rows is a molecule with a label")

    rows = np.array([row for row, _ in usable], dtype=np.int64)
    smiles = [item for _, item in usable]
    targets = labels[rows]
    _check_learnable(origin, names, targets, task_type)
    return MoleculeDataset(
        name=card.name,
        smiles=smiles,
        rows=rows,
        inputs=[inputs[row] for row in rows],
        targets=targets,
        target_names=names,
        task_type=task_type,
        metric=metric,
        units=card.units,
        smiles_column=read.smiles_column,
        classes=read.classes,
        notes=read.notes if card.path or not card.files or read.classes else (),  # a card leaves no guess
        sha256=sha256_file(*files) if files else hashlib.sha256(table.to_csv().encode()).hexdigest(),
        path=files[0] if files else None,
        n_rows=len(inputs),
        excluded=sorted([*invalid, *unlabelled], key=lambda item: item.row),
        duplicates=find_duplicates(smiles, rows, targets),
    )


def _read(
    card: DatasetSpec, source: Source | None, folder: Path | None
) -> tuple[LabelledTable, tuple[Path, ...]]:
    """The table of a card and the files that it came from."""
    if source is None and card.builtin is not None and card.path is None:
        if card.targets is None or len(card.targets) != 1:
            raise ConfigError(f"dataset={card.name} has one target: do not change dataset.targets")
        return read_chembl2321810(card.targets[0]), chembl2321810_files()
    origin = locate(card, folder=folder) if source is None else source
    table = read_table(
        origin,
        smiles_column=card.smiles_column,
        targets=card.targets,
        smiles_aliases=card.smiles_aliases,
        aliases=card.aliases,
        ignore=card.ignore,
        task_type=card.task_type if card.threshold is None else "regression",
        missing_values=card.missing_values,
    )
    return table, (Path(origin),) if isinstance(origin, str | Path) else ()


def _check_mostly_valid(origin: str, invalid: Sequence[Excluded], n_rows: int) -> None:
    """Refuse a table of which more than half is no molecule: then it is the column that is wrong."""
    if 2 * len(invalid) > n_rows:
        shown = "; ".join(f"row {item.row + 1} {item.input!r} ({item.reason})" for item in invalid[:3])
        raise DataError(
            f"{origin}: {len(invalid)} of {n_rows} rows are not valid SMILES, e.g. {shown}. "
            "Is dataset.smiles_column the right column?"
        )


def _check_learnable(origin: str, names: Sequence[str], targets: np.ndarray, task_type: str) -> None:
    """Refuse labels that are all the same; a constant target among others is only reported."""
    constant = []
    for name, column in zip(names, targets.T, strict=True):
        values = np.unique(column[~np.isnan(column)])
        if len(values) == 1:
            constant.append(f"target {name!r} has only the value {values[0]:g}")
        elif len(values) == 0:
            constant.append(f"target {name!r} has no label")
    if len(constant) == len(names):
        need = "both 0 and 1" if task_type == "classification" else "at least two values"
        more = f" (and {len(constant) - 1} more targets alike)" if len(constant) > 1 else ""
        raise DataError(f"{origin}: {constant[0]}{more}: nothing to learn; a target needs {need}")
    for item in constant:
        log.warning("%s: %s", origin, item)
