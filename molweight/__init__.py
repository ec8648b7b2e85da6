"""Learned task-adaptive pretraining for molecule images.

    from molweight import load_config, predict, run_experiment
    report = run_experiment(load_config("dataset=my.csv", "run_dir=runs/mine"))
    table = predict("runs/mine", ["CCO", "c1ccccc1O"])

:mod:`molweight.tapweight` learns the weights of any losses for any encoder, without molecules.

Importing the package loads neither torch nor RDKit; the first use of a name does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molweight import tapweight
    from molweight.config.image_run import load_config, with_objectives
    from molweight.data.deepchem_data import from_deepchem, to_deepchem
    from molweight.estimators import MolWeightClassifier, MolWeightRegressor
    from molweight.images.drawing import draw_pictures
    from molweight.inference.embedding import embed
    from molweight.inference.explanation import explain
    from molweight.inference.exporting import export
    from molweight.inference.model import load_model
    from molweight.inference.prediction import predict
    from molweight.reporting.report import Report
    from molweight.runs.experiment import run_experiment

__all__ = [
    "MolWeightClassifier",
    "MolWeightRegressor",
    "Report",
    "draw_pictures",
    "embed",
    "explain",
    "export",
    "from_deepchem",
    "load_config",
    "load_model",
    "predict",
    "run_experiment",
    "tapweight",
    "to_deepchem",
    "with_objectives",
]

_HOMES = {
    "MolWeightClassifier": "estimators",
    "MolWeightRegressor": "estimators",
    "Report": "reporting.report",
    "draw_pictures": "images.drawing",
    "embed": "inference.embedding",
    "explain": "inference.explanation",
    "export": "inference.exporting",
    "from_deepchem": "data.deepchem_data",
    "load_config": "config.image_run",
    "load_model": "inference.model",
    "predict": "inference.prediction",
    "run_experiment": "runs.experiment",
    "to_deepchem": "data.deepchem_data",
    "with_objectives": "config.image_run",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("molweight")
    if name == "tapweight":
        return importlib.import_module("molweight.tapweight")
    if name not in _HOMES:
        raise AttributeError(f"module 'molweight' has no attribute {name!r}")
    return getattr(importlib.import_module(f"molweight.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__", *(name for name in globals() if name.startswith("__"))})
