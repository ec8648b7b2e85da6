"""The same optimiser on text: masked words, contrast and sentence order, tasks of GLUE, any encoder.

    from molweight.nlp import load_config
    from molweight import run_experiment
    report = run_experiment(load_config("task=mrpc", "backbone=minilm"))

Importing the package loads neither torch nor transformers; the first use of a name does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molweight.nlp.config import load_config

__all__ = ["load_config"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'molweight.nlp' has no attribute {name!r}")
    return getattr(importlib.import_module("molweight.nlp.config"), name)
