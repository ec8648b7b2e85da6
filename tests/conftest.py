"""Where the real data sets live, and a run without network or plots on a screen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_folder(name: str) -> Path:
    """A folder of real data beside the checkout; a missing one fails in CI and skips elsewhere."""
    folder = SHARED / name
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{folder} is missing: CI must run every test")
        pytest.skip(f"needs the data sets in {folder}")
    return folder


@pytest.fixture(scope="session")
def moleculenet() -> Path:
    """Folder of MoleculeNet CSV files, in the form ``smiles,<targets>``."""
    return shared_folder("moleculenet")
