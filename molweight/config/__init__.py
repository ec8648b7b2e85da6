"""How a command line becomes a run: composed from YAML files, checked, and typed.

``composition`` asks Hydra, ``schema`` and ``components`` turn mappings into dataclasses and classes of this
package, ``run_config`` puts them together for any ``modality`` (:mod:`molweight.methods.configs` has their
types), ``image_run`` is the one of molecules.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molweight.config.image_run import load_config, with_objectives

__all__ = ["load_config", "with_objectives"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'molweight.config' has no attribute {name!r}")
    return getattr(importlib.import_module("molweight.config.image_run"), name)
