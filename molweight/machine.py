"""What this process may use of the machine, and which versions of what are on it."""

from __future__ import annotations

import importlib.metadata
import os
import platform

PACKAGES = (
    *("molweight", "torch", "torchvision", "rdkit", "transformers", "tokenizers"),
    *("numpy", "scikit-learn", "pandas", "betty-ml"),
)


def cores() -> int:
    """Cores that this process may use: containers and batch systems restrict them."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS or Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
