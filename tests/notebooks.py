"""The notebooks of the documentation, and their cells."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
ALONE = "quickstart"  # run by Sphinx whatever the mode, as its metadata ask for


def code_cells(notebook):
    """The cells of a notebook that are run."""
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
