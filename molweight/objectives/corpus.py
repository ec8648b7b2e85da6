"""Unlabelled molecules as the objectives see them: SMILES, and fingerprints computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdMolDescriptors
from tqdm import tqdm


class UnlabelledMolecules:
    """A corpus.

    Args:
        smiles: canonical, n of them.
        progress: show a bar while fingerprints are computed.
    """

    def __init__(self, smiles: Sequence[str], *, progress: bool = False) -> None:
        self.smiles = list(smiles)
        self.progress = progress
        self._maccs: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.smiles)

    @property
    def sha256(self) -> str:
        """Of the SMILES, in their order."""
        return hashlib.sha256("\n".join(self.smiles).encode()).hexdigest()

    def maccs(self) -> NDArray[np.float32]:
        """MACCS keys, [n, 167], 0 or 1; computed at the first call and shared by all clusterings."""
        if self._maccs is None:
            bar = tqdm(self.smiles, desc="MACCS keys", unit="mol", disable=None if self.progress else True)
            with rdBase.BlockLogs():
                self._maccs = np.array([_maccs_keys(smiles) for smiles in bar], dtype=np.float32)
        return self._maccs


def _maccs_keys(smiles: str) -> list[int]:
    keys: list[int] = rdMolDescriptors.GetMACCSKeysFingerprint(Chem.MolFromSmiles(smiles)).ToList()
    return keys
