"""What a trained model is for: predictions for new molecules, and embeddings.

    from molweight.inference import load_model, predict
    table = predict(["runs/mine"], ["CCO", "c1ccccc1O"])

``metadata`` (``model.json``), ``model`` (a folder becomes a model that is ready), ``requests`` (molecules
from files, pipes and lists), ``pipeline`` (draw, run, one row a molecule), ``prediction``, ``reliability``
(intervals, nearness to the training molecules), ``embedding`` and ``explanation`` (what is computed),
``writers`` (CSV, JSON lines, Parquet, NumPy), ``gallery`` and ``atom_pictures`` (explanations to look at),
``exporting`` (the model for other programs).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molweight.inference.embedding import embed
    from molweight.inference.explanation import explain
    from molweight.inference.exporting import export
    from molweight.inference.model import TrainedModel, load_model
    from molweight.inference.prediction import predict

__all__ = ["TrainedModel", "embed", "explain", "export", "load_model", "predict"]
MODULES = {
    "TrainedModel": "model",
    "embed": "embedding",
    "explain": "explanation",
    "export": "exporting",
    "load_model": "model",
    "predict": "prediction",
}


def __getattr__(name: str) -> object:
    if name not in MODULES:
        raise AttributeError(f"module 'molweight.inference' has no attribute {name!r}")
    return getattr(importlib.import_module(f"molweight.inference.{MODULES[name]}"), name)
