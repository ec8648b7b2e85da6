"""Cluster labels of large corpora are computed once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from molweight.objectives import clusters, corpus
from molweight.objectives.clusters import Clusters
from molweight.objectives.corpus import UnlabelledMolecules
from molweight.objectives.label_cache import cached_labels

SMILES = ["CCO", "CCN", "c1ccccc1", "CCCC", "CC(=O)O", "CCCl", "c1ccncc1", "COC", "CCS", "CC=O", "CC#N"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOLWEIGHT_CACHE", str(tmp_path))
    monkeypatch.setattr(clusters, "MANY", 10)
    return tmp_path / "labels"


@pytest.fixture
def fingerprinted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Molecules whose fingerprints were computed."""
    found: list[str] = []
    compute = corpus._maccs_keys

    def noted(smiles: str) -> list[int]:
        found.append(smiles)
        return compute(smiles)

    monkeypatch.setattr(corpus, "_maccs_keys", noted)
    return found


def labels(*, k: int = 2, seed: int = 0, smiles: list[str] = SMILES) -> torch.Tensor:
    return Clusters(k=k).label(UnlabelledMolecules(smiles), seed)


def test_the_second_time_nothing_is_computed(cache: Path, fingerprinted: list[str]) -> None:
    first = labels()
    fingerprinted.clear()
    assert torch.equal(labels(), first) and first.dtype == torch.int64 and fingerprinted == []
    assert len(list(cache.iterdir())) == 1


def test_other_molecules_numbers_and_seeds_have_their_own(cache: Path) -> None:
    more = [*SMILES, "CCF", "CCBr", "CCI", "CCP", "CC=C"]
    for options in ({}, {"k": 3, "smiles": more}, {"seed": 1}, {"smiles": SMILES[::-1]}):
        labels(**options)  # type: ignore[arg-type]
    assert len(list(cache.iterdir())) == 4


def test_few_molecules_are_not_worth_a_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = labels()
    monkeypatch.setattr(clusters, "MANY", 11)
    (next(cache.iterdir())).unlink()
    assert torch.equal(labels(), kept) and list(cache.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 20, 33, -1])
def test_a_damaged_file_is_made_again(keep: int, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = labels()
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:keep])
    assert torch.equal(labels(), first) and "the labels in it are computed again" in caplog.text
    caplog.clear()
    assert torch.equal(labels(), first) and caplog.text == ""


def test_a_changed_label_is_noticed(cache: Path) -> None:
    found = cached_labels({"a": 1}, lambda: np.arange(5))
    (file,) = cache.iterdir()
    content = bytearray(file.read_bytes())
    content[-8] ^= 1
    file.write_bytes(bytes(content))
    computed = []

    def compute() -> np.ndarray:
        computed.append(1)
        return np.arange(5)

    for _ in range(2):
        assert np.array_equal(cached_labels({"a": 1}, compute), found) and computed == [1]
