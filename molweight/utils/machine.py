"""What this process may use of the machine, and which versions of what are on it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PACKAGES = (
    *("molweight", "torch", "torchvision", "rdkit", "transformers", "tokenizers"),
    *("numpy", "scikit-learn", "pandas", "betty-ml"),
)

_granted: int | None = None  # cores that a run keeps to; no context variable, which threads would not see


def cores() -> int:
    """Cores that this process may use: containers and batch systems restrict them."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS or Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def granted_cores() -> int:
    """Cores for work that is shared out among processes or threads: all, or those of :func:`at_most`."""
    return cores() if _granted is None else min(_granted, cores())


@contextmanager
def at_most(count: int | None) -> Iterator[None]:
    """Keep such work inside to a number of cores; None leaves it as it is."""
    global _granted
    before = _granted
    _granted = before if count is None else count
    try:
        yield
    finally:
        _granted = before


def processor() -> str:
    """What the processor calls itself; its machine type where it says nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()  # Linux
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def version_line() -> str:
    """The version of this package, and of what it stands on."""
    others = versions()
    ours = others.pop("molweight", "of a checkout that is not installed")
    return f"molweight {ours} ({', '.join(f'{name} {version}' for name, version in others.items())})"


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            installed[package] = importlib.metadata.version(package)
    return installed
