"""What CONTRIBUTING.md and the Dockerfile name exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_files_and_targets_that_contributors_are_told_of_exist():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"(?<![\w/])(?:configs|datasets|molweight|tests)/[\w/.]*\w(?:/|\b)(?!<)", page)
    assert len(named) > 12 and [name for name in named if not (ROOT / name).exists()] == []
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert {*re.findall(r"`?make ([a-z-]+)\b", page)} <= {*targets}
    assert len(page.splitlines()) < 80, "one page"


def test_the_walk_to_the_hypergradient_has_six_files_by_either_engine():
    page = (ROOT / "README.md").read_text()
    walk = re.search(r"^Read the code in this order: (.*?)\n\n", page, re.MULTILINE | re.DOTALL)[1]
    files = re.findall(r"`([\w/]+\.py)`", walk)
    assert [name for name in files if not (ROOT / "molweight" / name).exists()] == []
    native = [name for name in files if name != "tapweight/betty_solver.py"]
    assert len(native) <= 6 and native[-1] == "tapweight/hypergradient.py" and len(files) == len(native) + 1


def test_the_container_sets_up_by_the_makefile_and_starts_the_main_job():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    (setup,) = [line.removeprefix("RUN ").split() for line in lines if line.startswith("RUN make")]
    shown = subprocess.run([*setup, "-n", "-B"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "pip install" in shown and lines[-1] == 'CMD ["make", "run"]'
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".venv", "runs", ".git"} <= {*ignored}, "a copied .venv would pass for one that is set up"
