"""Extended-connectivity fingerprints, and how close a molecule is to the nearest of many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rdkit import Chem, DataStructs, rdBase
from rdkit.Chem import rdFingerprintGenerator
from rdkit.DataStructs import ExplicitBitVect

RADIUS, BITS = 2, 2048  # ECFP4 (Rogers and Hahn 2010), folded


def ecfp(smiles: Sequence[str]) -> list[ExplicitBitVect]:
    """Morgan fingerprints of radius 2 and 2048 bits.

    Args:
        smiles: valid.
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
    with rdBase.BlockLogs():
        return [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in smiles]


def ecfp_array(smiles: Sequence[str]) -> np.ndarray:
    """The same as zeros and ones, [n, 2048] uint8.

    >>> ecfp_array(["CCO", "c1ccccc1"]).sum(axis=1).tolist()
    [6, 3]
    """
    bits = np.zeros((len(smiles), BITS), dtype=np.uint8)
    for row, fingerprint in zip(bits, ecfp(smiles), strict=True):
        DataStructs.ConvertToNumpyArray(fingerprint, row)
    return bits


class Neighbours:
    """Molecules that others are compared with.

    Args:
        smiles: valid, at least one.
    """

    def __init__(self, smiles: Sequence[str]) -> None:
        self.fingerprints = ecfp(smiles)

    def similarity(self, smiles: Sequence[str]) -> np.ndarray:
        """Tanimoto similarity of each molecule to the nearest, [n] in [0, 1].

        >>> Neighbours(["CCO", "CCCO"]).similarity(["CCO", "CCN"]).round(2).tolist()
        [1.0, 0.33]
        """
        nearest = (max(DataStructs.BulkTanimotoSimilarity(bits, self.fingerprints)) for bits in ecfp(smiles))
        return np.fromiter(nearest, dtype=np.float64, count=len(smiles))
