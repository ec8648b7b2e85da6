"""The account of one data set: where it is from, what became of its rows, how its labels are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from molweight.cli.label_tables import extremes, overview, table
from molweight.data.checksums import DIFFERS, OK, compare, data_files
from molweight.data.datasets import MoleculeDataset, load_dataset
from molweight.data.results import ScaffoldSets
from molweight.data.rows import NO_LABEL, Excluded
from molweight.data.specs import DatasetSpec
from molweight.data.summary import Labels, label_summary, scaffold_sets
from molweight.utils.terminal import columns, described, printable, shortened

MANY = 20  # targets that still fit on a screen beside the rest
FEW = 5  # rows or targets shown as examples
SMILES = 70  # characters of a row that is no molecule


@dataclass(frozen=True, kw_only=True)
class Account:
    """A data set that was read, and what was counted in it."""

    spec: DatasetSpec
    data: MoleculeDataset
    files: tuple[Path, ...]
    labels: Labels
    """[t]"""
    scaffolds: ScaffoldSets

    @property
    def checksum(self) -> str:
        """``ok``, ``differs`` or ``no checksum known``."""
        return compare(self.data.sha256, self.spec.sha256)

    @property
    def not_molecules(self) -> list[Excluded]:
        """The rows that are no molecule, in the order of the file."""
        return [item for item in self.data.excluded if item.reason != NO_LABEL]

    def content(self) -> dict[str, object]:
        """Everything for machines; rows count from 1."""
        data, spec = self.data, self.spec
        return {
            "name": data.name,
            "description": spec.description,
            "source": spec.source,
            "licence": spec.licence,
            "url": spec.url,
            "files": [str(path.absolute()) for path in self.files],
            "sha256": data.sha256,
            "sha256_of_card": spec.sha256,
            "checksum": self.checksum,
            "task_type": data.task_type,
            "metric": data.metric,
            "units": data.units,
            "classes": data.classes,
            "read_as": list(data.notes),
            "n_molecules": len(data),
            **data.counts,
            "not_molecules": [asdict(item) | {"row": item.row + 1} for item in self.not_molecules],
            "scaffolds": asdict(self.scaffolds),
            "targets": [asdict(item) for item in self.labels],
        }

    def text(self, *, every_target: bool) -> str:
        """A page of 80 columns; of more than 20 targets the most extreme ones unless ``every_target``."""
        blocks = [_heading(self), _origin(self), _counts(self), _examples(self.not_molecules)]
        if every_target or len(self.labels) <= MANY:
            blocks.append(table(self.labels))
        else:
            blocks += [overview(self.labels), *extremes(self.labels, few=FEW), ["All targets: --all"]]
        return "\n\n".join("\n".join(block) for block in blocks if block)


def read_account(spec: DatasetSpec) -> Account:
    """Read a data set and count what is in it; nothing is downloaded if its file is here.

    Raises:
        ConfigError: ``spec`` contradicts itself or the labels.
        DataError: no file, an unreadable file, or nothing to learn from.
    """
    data = load_dataset(spec)
    return Account(
        spec=spec,
        data=data,
        files=data_files(spec),
        labels=label_summary(data),
        scaffolds=scaffold_sets(data.smiles),
    )


def _heading(account: Account) -> list[str]:
    """Name and description; the file's name for the user's own table."""
    if not account.spec.files and account.spec.builtin is None:
        assert account.data.path is not None  # a specification's data come from files
        return [printable(account.data.path.name)]
    return described(f"{account.spec.name}: ", account.spec.description, indent=len(account.spec.name) + 2)


def _origin(account: Account) -> list[str]:
    """Source, licence, task, files and checksum; paths stay on one line, so that they can be copied."""
    spec, data = account.spec, account.data
    known = spec.files or spec.builtin is not None
    count = len(data.target_names)
    units = f" in {data.units}" if data.units else ""
    verdict = {OK: ["as its card pins it"], DIFFERS: ["not the one that its card pins:", str(spec.sha256)]}
    both = ["of both files, one after the other"] if len(account.files) > 1 else []
    return [
        *(described("source", spec.source, indent=9) if known else ()),
        *(described("licence", spec.licence, indent=9) if known else ()),
        *described(
            "task",
            f"{data.task_type}, {count:,} target{'s' if count > 1 else ''}{units}, scored by {data.metric}",
            indent=9,
        ),
        *(described("read as", "; ".join(data.notes), indent=9) if data.notes else ()),
        *(f"file     {printable(path)}" for path in account.files),
        f"SHA-256  {data.sha256}",
        *(f"         {line}" for line in [*both, *verdict.get(account.checksum, [account.checksum])]),
    ]


def _counts(account: Account) -> list[str]:
    """What became of the rows, and into how many scaffold sets the molecules fall."""
    data, sets = account.data, account.scaffolds
    largest = shortened(sets.largest_scaffold, 40) or "acyclic molecules"
    return columns(
        [
            ("rows", data.n_rows, ""),
            ("  not a molecule", len(account.not_molecules), ""),
            ("  without label", data.n_unlabelled, ""),
            ("  used", len(data), ""),
            ("duplicates", data.n_duplicates, "used rows whose molecule stood in an earlier one"),
            ("  conflicting", data.n_conflicting, "of them with another label than before"),
            ("scaffold sets", sets.sets, "chirality kept; acyclic molecules form one set"),
            ("  largest", sets.largest, largest),
            ("acyclic molecules", sets.acyclic, ""),
        ],
        align="<><",
    )


def _examples(invalid: Sequence[Excluded]) -> list[str]:
    """The first rows that are no molecule, each with its reason."""
    if not invalid:
        return []
    first = f"the first {FEW} of {len(invalid):,}" if len(invalid) > FEW else "all of them"
    lines = [f"rows that are not a molecule ({first})"]
    for item in invalid[:FEW]:
        lines += described(f"  row {item.row + 1}: ", item.reason, indent=len(f"  row {item.row + 1}: "))
        lines.append(f"    '{shortened(item.input, SMILES)}'")
    return lines
