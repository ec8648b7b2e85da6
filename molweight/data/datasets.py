"""A labelled data set: canonical molecules, their labels, and an account of every row that was read.

Letters in shapes: n usable molecules, t targets.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from molweight.data.builtin import chembl2321810_files, read_chembl2321810
from molweight.data.locate import locate
from molweight.data.readers import Source, title
from molweight.data.rows import (
    NO_LABEL,
    Duplicate,
    Excluded,
    MoleculeRows,
    canonical_rows,
    find_duplicates,
)
from molweight.data.specs import DatasetSpec
from molweight.data.standardise import AS_GIVEN, Standardisation
from molweight.data.table import LabelledTable, read_table
from molweight.errors import ConfigError, DataError
from molweight.utils.files import sha256_file

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MoleculeDataset(MoleculeRows):
    """Molecules with labels, in the order of the file; duplicates stay, unusable rows are listed apart.

    Excluded are rows that are no molecule, that cannot be drawn, or that have no label (reason ``no label``).
    """

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
    duplicates: list[Duplicate]

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

    @property
    def counts(self) -> dict[str, int]:
        """What became of the rows, as ``report.json`` names it.

        ``n_invalid`` are all rows that are not used, ``n_unlabelled`` those of them that are a molecule.
        """
        names = ("n_rows", "n_invalid", "n_unlabelled", "n_duplicates", "n_conflicting")
        return {name: getattr(self, name) for name in names}

    @property
    def spellings(self) -> Sequence[str]:
        """[n] as spelled in the file."""
        return self.inputs

    def subset(self, indices: np.ndarray) -> Self:
        """Some of the molecules; among them duplicates are found anew."""
        rest = super().subset(indices)
        targets = self.targets[indices]
        return replace(
            rest,
            inputs=[self.inputs[i] for i in indices],
            targets=targets,
            duplicates=find_duplicates(rest.smiles, rest.rows, targets),
        )

    def _remarkable_rows(self) -> list[tuple[int, str, str, str]]:
        records = super()._remarkable_rows()
        spelled = dict(zip(self.rows.tolist(), self.inputs, strict=True))
        for twin in self.duplicates:
            labels = ", with another label than before" if twin.conflicting else ""
            reason = f"same molecule as row {twin.first_row + 1}{labels}; kept"
            records.append((twin.row, spelled[twin.row], "duplicate", reason))
        return records


def load_dataset(
    spec: DatasetSpec,
    *,
    source: Source | None = None,
    folder: Path | None = None,
    standardise: Standardisation = AS_GIVEN,
) -> MoleculeDataset:
    """The molecules and labels that a specification describes.

    Args:
        spec: see :class:`DatasetSpec`.
        source: read instead of its files, such as a data frame; ``spec`` says which columns count.
        folder: searched for its files instead of ``$MOLWEIGHT_DATASETS`` and ``./datasets``.
        standardise: done to every molecule before duplicates are looked for.

    Raises:
        ConfigError: ``spec`` contradicts itself or the labels.
        DataError: no file, an unreadable file, or nothing to learn from.
    """
    table, files = _read(spec, source, folder)
    origin = title(files[0] if source is None else source)
    labels, task_type = _labels(table, spec.threshold)
    metric = spec.metric_for(task_type)

    inputs: list[str] = table.frame.iloc[:, 0].tolist()
    read = list(canonical_rows(enumerate(inputs), name=spec.name, standardise=standardise))
    invalid = [molecule for _, _, molecule in read if isinstance(molecule, Excluded)]
    _check_mostly_valid(origin, invalid, len(inputs))
    molecules = {row: molecule for row, _, molecule in read if isinstance(molecule, str)}
    labelled = ~np.isnan(labels).all(axis=1)
    usable = {row: molecule for row, molecule in molecules.items() if labelled[row]}
    unlabelled = [Excluded(row, inputs[row], NO_LABEL) for row in molecules if row not in usable]
    if not usable:
        raise DataError(f"{origin}: none of the {len(inputs)} rows is a molecule with a label")

    rows, smiles = np.array(list(usable), dtype=np.int64), list(usable.values())
    targets = labels[rows]
    names = [str(name) for name in table.frame.columns[1:]]
    _check_learnable(origin, names, targets, task_type)
    return MoleculeDataset(
        name=spec.name,
        smiles=smiles,
        rows=rows,
        inputs=[inputs[row] for row in usable],
        targets=targets,
        target_names=names,
        task_type=task_type,
        metric=metric,
        units=spec.units,
        smiles_column=table.smiles_column,
        classes=table.classes,
        notes=table.notes if spec.path or not spec.files or table.classes else (),  # else nothing was guessed
        sha256=sha256_file(*files) if files else hashlib.sha256(table.frame.to_csv().encode()).hexdigest(),
        path=files[0] if files else None,
        n_rows=len(inputs),
        excluded=sorted([*invalid, *unlabelled], key=lambda item: item.row),
        duplicates=find_duplicates(smiles, rows, targets),
    )


def _labels(table: LabelledTable, threshold: float | None) -> tuple[np.ndarray, str]:
    """Labels [rows, t] float64, NaN = missing, and the task type; above a threshold they are class 1."""
    labels = table.frame.iloc[:, 1:].to_numpy(dtype=np.float64)
    if threshold is None:
        return labels, table.task_type
    return np.where(np.isnan(labels), np.nan, (labels >= threshold).astype(np.float64)), "classification"


def _read(
    spec: DatasetSpec, source: Source | None, folder: Path | None
) -> tuple[LabelledTable, tuple[Path, ...]]:
    """The table of a data set and the files that it came from."""
    if source is None and spec.builtin is not None and spec.path is None:
        if spec.targets is None or len(spec.targets) != 1:
            hint = "do not change dataset.targets"
            raise ConfigError(f"{spec.name} has one target", option="dataset", hint=hint)
        return read_chembl2321810(spec.targets[0]), chembl2321810_files()
    origin = locate(spec, folder=folder) if source is None else source
    table = read_table(
        origin,
        smiles_column=spec.smiles_column,
        targets=spec.targets,
        smiles_aliases=spec.smiles_aliases,
        aliases=spec.aliases,
        ignore=spec.ignore,
        task_type=spec.task_type if spec.threshold is None else "regression",
        missing_values=spec.missing_values,
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
