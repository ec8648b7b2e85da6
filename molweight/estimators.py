"""The whole run as scikit-learn estimators: SMILES in, predictions out.

    from molweight import MolWeightRegressor
    model = MolWeightRegressor(steps=40).fit(smiles, y)
    model.predict(["CCO"])

``fit`` holds a validation part back, on which the weights are learned and the epoch is chosen, and no test
part: testing is the caller's, such as ``cross_val_score``'s.

Letters: n molecules, t targets, d the length of an embedding.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from molweight.config.composition import quoted
from molweight.config.image_run import load_config
from molweight.errors import ConfigError, DataError
from molweight.estimator_inputs import (
    SMILES,
    RandomState,
    as_smiles,
    complete,
    seed_of,
    targets_of,
    two_classes_of,
    with_index,
)
from molweight.inference.embedding import embedding_columns, embeddings
from molweight.inference.model import TrainedModel, load_model
from molweight.inference.pipeline import Batch, concatenated, predict_batches
from molweight.inference.prediction import Ensemble
from molweight.inference.requests import requests
from molweight.methods.registry import parse_method
from molweight.reporting.report import Report
from molweight.runs.experiment import run_experiment
from molweight.utils.files import read_json, write_bytes, write_json
from molweight.utils.output_columns import UNCALIBRATED, check_target_names

RUN_FILES = (
    *("model.json", "model.safetensors", "report.json", "predictions.csv"),
    *("training.smi", "config.yaml", "MODEL_CARD.md"),
)
"""Files of a run that a saved estimator consists of, besides its own."""
STATE_FILE = "estimator.json"
SCHEMA = 1
JsonObject = dict[str, Any]


class MolWeightEstimator(BaseEstimator):  # type: ignore[misc]
    """What regressors and classifiers share.

    Args:
        method: how objectives are weighed: ``tapweight`` learns it; ``equal``, ``direct``, …
        backbone: ``tiny``, or ``resnet18`` with ``backbone_init``.
        backbone_init: ``random``, shipped weights, or a safetensors file; None: what comes with the backbone.
        objectives: ``imagemol``, ``tapweight``, ``tapt_min``, …
        corpus: unlabelled molecules: ``rdkit``, ``nci``, ``task``, … or a file.
        steps: outer steps of continued pretraining.
        epochs: of the final finetuning, at most.
        validation_fraction: of the molecules of ``fit``, (0, 1).
        split: how they are chosen: ``random``, ``stratified``, ``scaffold``, ``scaffold_balanced``, …
        random_state: seed of everything, a whole number; or a ``np.random.RandomState`` or ``Generator`` that
            each ``fit`` draws one from, or None for one from the system. After ``fit`` it is ``seed_``.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``.
        run_dir: new folder in which the run is kept, and continued if it was cut short; None keeps none.
        options: further options of ``python -m molweight.run``, such as ``["standardise.uncharge=true"]``.
        verbose: show progress.
    """

    kind = ""

    def __init__(
        self,
        method: str = "tapweight",
        *,
        backbone: str = "tiny",
        backbone_init: str | None = None,
        objectives: str = "imagemol",
        corpus: str = "rdkit",
        steps: int = 100,
        epochs: int = 60,
        validation_fraction: float = 0.1,
        split: str = "random",
        random_state: RandomState = 0,
        device: str = "auto",
        run_dir: str | Path | None = None,
        options: Sequence[str] = (),
        verbose: bool = False,
    ) -> None:
        self.method = method
        self.backbone = backbone
        self.backbone_init = backbone_init
        self.objectives = objectives
        self.corpus = corpus
        self.steps = steps
        self.epochs = epochs
        self.validation_fraction = validation_fraction
        self.split = split
        self.random_state = random_state
        self.device = device
        self.run_dir = run_dir
        self.options = options
        self.verbose = verbose

    def _fit(self, X: object, labels: np.ndarray, names: list[str] | None) -> None:
        """Run, and set what ends with an underscore.

        Args:
            X: molecules.
            labels: [n, t], NaN where missing.
            names: of the targets; None if there is one, without a second axis.
        """
        smiles = as_smiles(X)
        if len(smiles) != len(labels):
            raise DataError(f"X has {len(smiles)} molecules and y {len(labels)} rows: they must be as many")
        check_target_names(names or [])
        columns = [f"y{j}" for j in range(labels.shape[1])]
        frame = pd.DataFrame(labels, columns=columns)
        frame.insert(0, SMILES, smiles)
        self.seed_ = seed_of(self.random_state)
        with self._folder() as folder:
            config = load_config(*self._overrides(columns), f"run_dir={quoted(str(folder))}")
            run_experiment(config, table=frame, progress=self.verbose, page=self.run_dir is not None)
            self._read(folder)
        self.target_names_ = names
        self.n_features_in_ = 1

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """Where the run goes."""
        if self.run_dir is not None:
            yield Path(self.run_dir)
            return
        with tempfile.TemporaryDirectory(prefix="molweight-") as folder:
            yield Path(folder) / "run"

    def _overrides(self, columns: Sequence[str]) -> list[str]:
        """The options of the run."""
        valid = self.validation_fraction
        if not 0 < valid < 1:
            raise ConfigError(f"validation_fraction must lie between 0 and 1, got {valid}")
        if not parse_method(self.method).needs_network:
            raise ConfigError(f"method={self.method!r} leaves no network; scikit-learn has it as it is")
        seeded = self.split not in ("scaffold", "scaffold_achiral")
        return [
            *("dataset=csv", f"dataset.smiles_column={SMILES}", f"dataset.targets=[{','.join(columns)}]"),
            *(f"dataset.task_type={self.kind}", f"method={self.method}", f"backbone={self.backbone}"),
            *([] if self.backbone_init is None else [f"backbone.init={quoted(self.backbone_init)}"]),
            *(f"objectives={self.objectives}", f"corpus={self.corpus}", f"seed={self.seed_}"),
            *(f"split={self.split}", f"split.fractions=[{1 - valid},{valid},0]"),
            *([f"split.seed={self.seed_}"] if seeded else []),
            *(f"learn.steps={self.steps}", f"finetune.epochs={self.epochs}", f"device={self.device}"),
            *self.options,
        ]

    def _read(self, folder: Path) -> None:
        """Take over what a run has left; its report may be missing, as where a model was passed on alone."""
        self.model_: TrainedModel = load_model(folder)
        self.files_ = {name: (folder / name).read_bytes() for name in RUN_FILES if (folder / name).is_file()}
        try:
            content = self.files_.get("report.json")
            self.report_ = None if content is None else Report.from_json(json.loads(content))
        except (ValueError, RecursionError, DataError) as error:
            raise DataError(f"{folder / 'report.json'} cannot be read ({error})") from error
        self.weights_ = {} if self.report_ is None else dict(self.report_.weights)
        self.validation_score_ = math.nan if self.report_ is None else self.report_.valid

    def _values(self, X: object) -> np.ndarray:
        """Calibrated probabilities, or values, [n, t].

        Raises:
            DataError: naming molecules without a prediction.
        """
        return complete(self._table(X), self.model_.task.names)

    def _table(self, X: object) -> pd.DataFrame:
        """Predictions of the run's targets."""
        check_is_fitted(self, "model_")
        ensemble = Ensemble([self.model_])
        smiles = as_smiles(X)
        return concatenated(ensemble.tables(requests(smiles)), ensemble.columns, with_index(X, smiles))

    def _in_shape_of_y(self, values: np.ndarray) -> np.ndarray:
        """Values [n, t] as [n] where ``y`` was [n]."""
        return values[:, 0] if self.target_names_ is None else values

    def predict_table(self, X: object) -> pd.DataFrame:
        """Predictions with a row for every molecule, whatever it is.

        Args:
            X: as of ``fit``.

        Returns:
            As of :func:`molweight.predict`, under the index of ``X`` if it has one. Targets have the names of
            the columns of ``y``, or ``y`` if there is one.
        """
        table = self._table(X)
        renamed = zip(self.model_.task.names, self.target_names_ or ["y"], strict=True)
        names = {f"{a}{ending}": f"{b}{ending}" for a, b in renamed for ending in ("", UNCALIBRATED)}
        return table.rename(columns=names)

    def embed(self, X: object) -> np.ndarray:
        """What the finetuned backbone makes of molecules, [n, d].

        Raises:
            DataError: naming molecules that cannot be drawn.
        """
        check_is_fitted(self, "model_")
        columns = embedding_columns(self.model_)
        tables = embeddings(self.model_, requests(as_smiles(X)))
        return complete(concatenated(tables, columns, None), columns)

    def save(self, folder: str | Path) -> None:
        """Write the fitted model as safetensors and JSON, for ``load`` and ``python -m molweight predict``.

        Raises:
            DataError: the folder cannot be written.
        """
        check_is_fitted(self, "model_")
        folder = Path(folder)
        for name, content in self.files_.items():
            write_bytes(folder / name, content)
        parameters = {name: plain(value) for name, value in self.get_params().items()}
        if not isinstance(parameters["random_state"], int | None):  # a generator, which has moved on since
            parameters["random_state"] = getattr(self, "seed_", None)
        state = {"schema": SCHEMA, "kind": self.kind, "parameters": parameters, **self._state()}
        write_json(folder / STATE_FILE, state)

    def _state(self) -> JsonObject:
        """What there is to save besides the run and the parameters."""
        return {"target_names": self.target_names_}

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """A fitted model from what :meth:`save` wrote, or from the folder of any finished run.

        Raises:
            DataError: there is no such model, or it is damaged or of the other kind.
        """
        folder = Path(folder)
        model = load_model(folder)
        if model.task.kind != cls.kind:
            raise DataError(f"{folder} holds a {model.task.kind}; {cls.__name__} is for a {cls.kind}")
        path = folder / STATE_FILE
        try:
            state = read_json(path) if path.is_file() else {}
            estimator = cls(**state.get("parameters", {}))
            estimator._read(folder)
            estimator._set_state(state)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f"{path} cannot be read ({error})") from error
        return estimator

    def _set_state(self, state: JsonObject) -> None:
        """Restore what :meth:`_state` has saved, or what stands for it in other runs.

        Raises:
            ValueError: it does not fit the model.
        """
        names = list(self.model_.task.names)
        saved = state.get("target_names", names if len(names) > 1 else None)
        if len(saved or [""]) != len(names):
            raise ValueError(f"{len(saved or [''])} names for {len(names)} targets")
        self.target_names_ = saved
        self.n_features_in_ = 1

    def __sklearn_tags__(self) -> object:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.target_tags.multi_output = True
        return tags


class MolWeightRegressor(RegressorMixin, MolWeightEstimator):  # type: ignore[misc]
    """Numbers from pictures of molecules; arguments as of :class:`MolWeightEstimator`.

    After ``fit``: ``weights_`` of the objectives, ``validation_score_``, ``report_``, ``model_``.
    """

    kind = "regression"

    def fit(self, X: object, y: object) -> Self:
        """Adapt the backbone, and finetune it.

        Args:
            X: n SMILES: a list, a series, an array, or a data frame with one column or one called ``smiles``.
                Those that cannot be read or drawn are left out (``report_.content["n_invalid"]``).
            y: [n] or [n, t] numbers, NaN where missing.

        Raises:
            MolweightError: what is wrong with the options or the data.
        """
        labels, names = targets_of(y)
        self._fit(X, labels, names)
        return self

    def predict(self, X: object) -> np.ndarray:
        """Values in the units of ``y``, [n] or [n, t].

        Raises:
            DataError: naming molecules without a prediction; :meth:`predict_table` keeps every row.
        """
        return self._in_shape_of_y(self._values(X))


class MolWeightClassifier(ClassifierMixin, MolWeightEstimator):  # type: ignore[misc]
    """Two classes, or several yes/no targets; arguments as of :class:`MolWeightEstimator`.

    After ``fit``: ``classes_``, ``weights_`` of the objectives, ``validation_score_``, ``report_``,
    ``model_``.
    """

    kind = "classification"

    def fit(self, X: object, y: object) -> Self:
        """Adapt the backbone, and finetune it.

        Args:
            X: as of :meth:`MolWeightRegressor.fit`.
            y: [n] labels of two classes, or [n, t] of 0 and 1, NaN where missing.

        Raises:
            DataError: more or fewer than two classes.
            MolweightError: what else is wrong with the options or the data.
        """
        if np.asarray(y).ndim == 1:
            names = None
            targets, self.classes_ = two_classes_of(y)
        else:
            targets, names = targets_of(y)
            if not np.isin(targets[~np.isnan(targets)], (0.0, 1.0)).all():
                raise DataError("y [n, t] must hold 0 and 1, and NaN where a label is missing")
            self.classes_ = np.array([0, 1])
        self._fit(X, targets, names)
        return self

    def predict_proba(self, X: object) -> np.ndarray:
        """Calibrated probabilities: of both classes, [n, 2]; of several targets, that of 1, [n, t].

        Raises:
            DataError: as of :meth:`predict`.
        """
        values = self._values(X)
        return values if self.target_names_ is not None else np.concatenate([1 - values, values], axis=1)

    def decision_function(self, X: object) -> np.ndarray:
        """Calibrated logits, [n] or [n, t]: they rank molecules whose probability is 1, too.

        Raises:
            DataError: as of :meth:`predict`.
        """
        check_is_fitted(self, "model_")
        model, columns = self.model_, list(self.model_.task.names)

        def compute(batch: Batch) -> np.ndarray:
            return model.logits(model.outputs(batch.pictures[model.picture_config])).numpy()

        tables = predict_batches(requests(as_smiles(X)), [model.picture_config], columns, compute)
        return self._in_shape_of_y(complete(concatenated(tables, columns, None), columns))

    def predict(self, X: object) -> np.ndarray:
        """The more probable classes, [n] or [n, t].

        Raises:
            DataError: naming molecules without a prediction; :meth:`predict_table` keeps every row.
        """
        return self._in_shape_of_y(self.classes_[(self._values(X) >= 0.5).astype(int)])

    def _state(self) -> JsonObject:
        return {**super()._state(), "classes": self.classes_.tolist()}

    def _set_state(self, state: JsonObject) -> None:
        super()._set_state(state)
        self.classes_ = np.array(state.get("classes", [0, 1]))
        if self.classes_.shape != (2,):
            raise ValueError(f"expected two classes, found {self.classes_.tolist()}")


def plain(value: object) -> object:
    """A parameter as JSON holds it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    return list(value) if isinstance(value, tuple) else value
