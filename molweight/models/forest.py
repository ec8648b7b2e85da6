"""The baseline without a network: extended-connectivity fingerprints and a random forest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from molweight.data.fingerprints import ecfp_array
from molweight.tapweight.typing import Batch
from molweight.training.setup import Predictor
from molweight.training.task import Predicted
from molweight.utils.machine import granted_cores

TREES = 500
DECIMALS = 12  # of a probability; what is behind them is rounding


class Forest:
    """One random forest a target, on the molecules whose label is known.

    A target with one class, or without any label, is predicted by its mean.

    Args:
        smiles: of the training molecules, [n].
        targets: their labels, [n, t], NaN where missing.
        kind: probabilities of class 1, or values.
        seed: of the trees.
    """

    def __init__(
        self,
        smiles: Sequence[str],
        targets: np.ndarray,
        *,
        kind: Literal["classification", "regression"],
        seed: int,
    ) -> None:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        chosen = RandomForestClassifier if kind == "classification" else RandomForestRegressor
        features = ecfp_array(smiles)
        self.models: list[Any] = []  # a forest, or a constant
        for labels in targets.T:
            known = ~np.isnan(labels)
            if len(np.unique(labels[known])) < 2:
                self.models.append(float(labels[known].mean()) if known.any() else 0.0)
                continue
            forest = chosen(n_estimators=TREES, random_state=seed, n_jobs=granted_cores())
            fitted = forest.fit(features[known], labels[known])
            self.models.append(fitted.set_params(n_jobs=1))  # threads would add the trees in any order

    def predict(self, smiles: Sequence[str]) -> np.ndarray:
        """Probabilities in [0, 1] or values, [n, t] float64."""
        features = ecfp_array(smiles)
        columns = []
        for model in self.models:
            if isinstance(model, float):
                columns.append(np.full(len(features), model))
            elif hasattr(model, "predict_proba"):
                # Equal shares of trees that were added in another order stay equal, as ranking metrics ask.
                columns.append(model.predict_proba(features)[:, 1].round(DECIMALS))
            else:
                columns.append(model.predict(features))
        return np.stack(columns, axis=1).astype(np.float64)


def forest_predictor(
    smiles: Sequence[str],
    targets: Tensor,
    positions: Tensor,
    *,
    kind: Literal["classification", "regression"],
    seed: int,
) -> Predictor:
    """A forest on some molecules of a data set, as the stages call a model.

    Args:
        smiles: of the data set, [n].
        targets: its labels, [n, t], NaN where missing.
        positions: of the training molecules, [m].
        kind: of the targets.
        seed: of the trees.

    Returns:
        See :data:`molweight.training.setup.Predictor`.
    """
    known = [smiles[i] for i in positions.tolist()]
    forest = Forest(known, targets[positions].numpy(), kind=kind, seed=seed)

    def predict(positions: Tensor, batches: Iterator[Batch]) -> Predicted:
        labels = torch.cat([batch["targets"].cpu() for batch in batches])
        values = torch.from_numpy(forest.predict([smiles[i] for i in positions.tolist()]))
        return Predicted(values=values, y_true=labels)

    return predict
