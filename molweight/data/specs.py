"""What is known about a data set or a corpus before its file is opened: the schema of their YAML files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from molweight.errors import ConfigError, option, unknown
from molweight.training.metrics import metrics_for

TASK_TYPES = ("classification", "regression")
BUILTINS = ("chembl2321810",)


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A labelled data set: where its file may be, which columns count, and where it comes from.

    ``configs/dataset/<name>.yaml`` holds one each, with these fields as its keys.
    """

    name: str
    description: str = ""
    """One sentence."""
    task_type: str | None = None
    """``classification``, ``regression``, or None: classification if no target has more than two values."""
    metric: str | None = None
    """``roc_auc`` or ``average_precision``; ``rmse``, ``mae`` or ``pearson_spearman``, the mean of both
    correlations; None: the first of the task type."""
    path: str | None = None
    """The user's file; it wins over every other place."""
    files: Sequence[str] = ()
    """File names to look for, in this order."""
    smiles_column: str | None = None
    """Column of the SMILES; None takes the one column called smiles, canonical_smiles or mol, whatever the
    capitals."""
    smiles_aliases: Sequence[str] = ()
    """What other distributions call the SMILES column."""
    targets: Sequence[str] | None = None
    """Columns with labels; None takes every column that can hold labels and is no identifier."""
    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Name of a target to the names that other distributions give it."""
    ignore: Sequence[str] = ()
    """Columns that are never targets unless ``targets`` names them: identifiers, descriptors."""
    missing_values: Sequence[str] | None = None
    """Texts or numbers that stand for a missing label, besides empty cells, NA, nan, null and none. None
    refuses numbers that look like one, such as -1 beside 0 and 1, or a -999 far from all others."""
    units: str | None = None
    """Unit that all targets share, such as ``log mol/L``; errors are then reported and averaged in it."""
    url: str | None = None
    """Where the file can be downloaded."""
    sha256: str | None = None
    """Of the file at ``url``; without it nothing is downloaded."""
    licence: str = "see source"
    """Of the data, for the report."""
    source: str = ""
    """Who made the data, for the report."""
    threshold: float | None = None
    """Labels become 1.0 where they are at least this, else 0.0."""
    builtin: str | None = None
    """Read from RDKit's own files instead of ``files``."""

    def __post_init__(self) -> None:
        for name in ("files", "smiles_aliases", "ignore", "targets", "missing_values"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _names(f"dataset.{name}", getattr(self, name)))
        if self.targets is not None and (not self.targets or len(set(self.targets)) < len(self.targets)):
            raise ConfigError(
                f"dataset.targets must name at least one column, none twice, got {list(self.targets)}; "
                f"use {option('dataset.targets', 'null')} for every column that is not the SMILES column"
            )
        if self.smiles_column is not None:
            object.__setattr__(self, "smiles_column", str(self.smiles_column))  # Hydra reads 0 as a number
        aliases = {str(key): _names(f"dataset.aliases.{key}", value) for key, value in self.aliases.items()}
        object.__setattr__(self, "aliases", aliases)
        self._check_choices()

    def _check_choices(self) -> None:
        """Raise :class:`ConfigError` if an option has an unknown value or contradicts another one."""
        if self.task_type is not None and self.task_type not in TASK_TYPES:
            raise ConfigError(unknown("dataset.task_type", self.task_type, TASK_TYPES))
        if self.metric is not None:
            known = [name for task_type in TASK_TYPES for name in metrics_for(task_type)]
            if self.metric not in known:
                raise ConfigError(unknown("dataset.metric", self.metric, known))
            if self.task_type is not None:
                self.metric_for(self.task_type)
        if self.builtin is not None and self.builtin not in BUILTINS:
            raise ConfigError(unknown("dataset.builtin", self.builtin, BUILTINS))
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", str(self.sha256)):
            raise ConfigError(f"dataset.sha256 must be 64 hexadecimal digits, got {self.sha256!r}")
        if self.threshold is not None and self.task_type == "regression":
            hint = f"set {option('dataset.task_type', 'classification')}"
            raise ConfigError("dataset.threshold makes 0/1 labels", hint=hint)

    def metric_for(self, task_type: str) -> str:
        """The metric of the data once the task type is known.

        Raises:
            ConfigError: ``metric`` does not belong to ``task_type``.
        """
        if self.metric is None:
            return metrics_for(task_type)[0]
        if self.metric not in metrics_for(task_type):
            raise ConfigError(
                f"{self.metric} is not for {task_type} (data set {self.name!r})",
                option="dataset.metric",
                hint=f"use {' or '.join(metrics_for(task_type))}, or null",
            )
        return self.metric


@dataclass(frozen=True, kw_only=True)
class CorpusSpec:
    """Unlabelled molecules for pretraining.

    ``configs/corpus/<name>.yaml`` holds one each.
    """

    name: str
    """``nci``, ``pains``, ``rdkit``, ``task``, ``zinc250k`` or ``file``."""
    path: str | None = None
    """Only for ``file``: any table or SMILES list."""
    limit: int | None = None
    """Number of molecules (> 0), drawn without replacement with a fixed seed; None takes all."""
    smiles_column: str | None = None
    """Column of the SMILES, only for ``file``; None looks for the usual names."""
    exclude: Sequence[str] = ()
    """Names of data sets whose molecules are left out."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "exclude", _names("corpus.exclude", self.exclude))
        if self.limit is not None and (isinstance(self.limit, bool) or int(self.limit) < 1):
            raise ConfigError(f"corpus.limit must be a number of molecules > 0 or null, got {self.limit}")
        if self.name != "file" and self.path is not None:
            raise ConfigError(
                f"corpus.path is read by {option('corpus', 'file')} only, not by "
                f"{option('corpus', self.name)}: "
                f"pass {option('corpus', 'file')} {option('corpus.path', self.path)}"
            )
        if self.name == "file" and self.path is None:
            raise ConfigError(
                f"{option('corpus', 'file')} needs {option('corpus.path', '<a table or a list of SMILES>')}"
            )


def _names(option: str, value: object) -> tuple[str, ...]:
    """A tuple of column or file names; numbers become text, because Hydra reads ``[1]`` as a number.

    Raises:
        ConfigError: ``value`` is one string instead of a list.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigError(f"{option} must be a list, got {value!r}: write {option}=[{value}]")
    return tuple(str(item) for item in value)
