"""Where the real data sets live, and a run without plots on a screen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from disks import mounted

from molweight.utils.machine import cores

os.environ.setdefault("MPLBACKEND", "Agg")
if "PYTEST_XDIST_WORKER" in os.environ:  # its share of the cores; torch is not loaded yet
    share = cores() // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is imported

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_folder(name: str) -> Path:
    """A folder of real data; a missing one fails in CI and skips elsewhere."""
    folder = Path(os.environ.get("MOLWEIGHT_TEST_DATA", BESIDE)) / name
    if not folder.is_dir():
        sentence = f"needs the data sets in {folder}; MOLWEIGHT_TEST_DATA names the folder above"
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    return folder


@pytest.fixture(scope="session")
def moleculenet() -> Path:
    """Folder of MoleculeNet CSV files, in the form ``smiles,<targets>``."""
    return shared_folder("moleculenet")


@pytest.fixture(scope="session")
def glue() -> Path:
    """Folder of GLUE's tasks, each with its TSV files."""
    return shared_folder("glue")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Downloads and pictures of the tests, away from the user's."""
    os.environ["MOLWEIGHT_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Folder of a disk of 12 MB, for tests that fill it."""
    with mounted(tmp_path / "disk") as folder:
        yield folder
