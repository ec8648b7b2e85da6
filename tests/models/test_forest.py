"""The fingerprint baseline: against scikit-learn and RDKit called by hand, on real labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from sklearn.ensemble import RandomForestRegressor

from molweight.data.fingerprints import ecfp_array
from molweight.models import forest as module
from molweight.models.forest import Forest


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TREES", 30)


@pytest.fixture(scope="module")
def esol(moleculenet: Path) -> pd.DataFrame:
    return pd.read_csv(moleculenet / "esol.csv").sample(300, random_state=0)


def test_fingerprints_are_ecfp4() -> None:
    smiles = ["CC(=O)Oc1ccccc1C(=O)O", "C"]
    found = ecfp_array(smiles)
    assert found.shape == (2, 2048) and set(np.unique(found)) == {0, 1}
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    for row, one in zip(found, smiles, strict=True):
        assert np.flatnonzero(row).tolist() == list(
            generator.GetFingerprint(Chem.MolFromSmiles(one)).GetOnBits()
        )
    assert ecfp_array([]).shape == (0, 2048)


def test_regression_is_the_forest_of_scikit_learn(esol: pd.DataFrame) -> None:
    smiles, y = esol["smiles"].tolist(), esol["logSolubility"].to_numpy()
    found = Forest(smiles[:200], y[:200, None], kind="regression", seed=3).predict(smiles[200:])
    expected = RandomForestRegressor(n_estimators=30, random_state=3).fit(ecfp_array(smiles[:200]), y[:200])
    np.testing.assert_allclose(found[:, 0], expected.predict(ecfp_array(smiles[200:])), rtol=1e-6)
    assert np.sqrt(np.mean((found[:, 0] - y[200:]) ** 2)) < 0.9 * y[200:].std()


def test_missing_labels_and_targets_with_one_class(esol: pd.DataFrame) -> None:
    smiles = esol["smiles"].tolist()[:120]
    soluble = (esol["logSolubility"].to_numpy()[:120] > -3).astype(float)
    partly = soluble.copy()
    partly[1::2] = np.nan
    targets = np.stack([partly, np.ones(120), np.full(120, np.nan)], axis=1)
    found = Forest(smiles, targets, kind="classification", seed=0).predict(smiles)
    assert found.shape == (120, 3) and found.dtype == np.float64
    assert ((found >= 0) & (found <= 1)).all()
    assert (found[:, 1] == 1).all() and (found[:, 2] == 0).all()
    alone = Forest(smiles[::2], soluble[::2, None], kind="classification", seed=0).predict(smiles)
    np.testing.assert_array_equal(found[:, 0], alone[:, 0])


def test_the_seed_decides(esol: pd.DataFrame) -> None:
    smiles, y = esol["smiles"].tolist()[:80], esol["logSolubility"].to_numpy()[:80, None]
    one, same, other = (Forest(smiles, y, kind="regression", seed=s).predict(smiles) for s in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
