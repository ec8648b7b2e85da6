"""``pictures[positions]``: the same in memory, from a store, and drawn one by one."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from molweight.data.smiles import canonical
from molweight.errors import ConfigError
from molweight.images import pictures as module
from molweight.images.pictures import Pictures
from molweight.images.render import render

SIZE = 48


@pytest.fixture(scope="module")
def smiles(moleculenet: Path) -> list[str]:
    """70 canonical SMILES of SIDER."""
    return [canonical(one) for one in pd.read_csv(moleculenet / "sider.csv")["smiles"].head(70)]


@pytest.mark.parametrize("way", ["here", "processes", "store, in memory", "store, on disk"])
def test_pictures_are_the_single_pictures(
    way: str, smiles: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = smiles[:20] if way == "here" else smiles
    if way.startswith("store"):
        monkeypatch.setattr(module, "MANY", 10)
        monkeypatch.setattr(module, "AT_ONCE", 16)
    memory = 0 if way == "store, on disk" else 1 << 30
    pictures = Pictures(some, SIZE, folder=tmp_path, memory=memory)
    assert len(pictures) == len(some)
    assert (pictures.all is None) == (way == "store, on disk")
    assert bool(list(tmp_path.iterdir())) == way.startswith("store")
    positions = torch.randperm(len(some), generator=torch.Generator().manual_seed(0))[:13]
    found = pictures[positions]
    assert found.dtype == torch.uint8 and found.shape == (13, 3, SIZE, SIZE)
    for picture, position in zip(found, positions.tolist(), strict=True):
        assert torch.equal(picture.permute(1, 2, 0), torch.tensor(render(some[position], SIZE)))


def test_stores_are_kept_in_the_cache(
    smiles: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MANY", 10)
    monkeypatch.setenv("MOLWEIGHT_CACHE", str(tmp_path))
    Pictures(smiles[:12], SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


@pytest.mark.parametrize("way", ["here", "processes", "store, in memory", "store, on disk"])
def test_molecules_without_a_picture_are_left_out_and_named(
    way: str, smiles: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way.startswith("store"):
        monkeypatch.setattr(module, "MANY", 10)
        monkeypatch.setattr(module, "AT_ONCE", 16)
    some = smiles[:20] if way == "here" else smiles
    bad = {0: ("", "no atoms"), 9: ("C(C)(C)(C)(C)C", "not a SMILES"), len(some) + 2: ("xyz", "not a SMILES")}
    mixed = list(some)
    for place, (text, _) in bad.items():
        mixed.insert(place, text)
    memory = 0 if way == "store, on disk" else 1 << 30
    pictures = Pictures(mixed, SIZE, folder=tmp_path, memory=memory)
    assert sorted(pictures.failed) == sorted(bad)
    for place, (_, reason) in bad.items():
        assert reason in pictures.failed[place].reason and pictures.failed[place].status == "invalid"
    assert len(pictures) == len(some)
    everything = torch.arange(len(some))
    assert torch.equal(pictures[everything], Pictures(some, SIZE, folder=tmp_path)[everything])


def test_no_molecules_no_pictures(tmp_path: Path) -> None:
    pictures = Pictures([], SIZE, folder=tmp_path)
    assert pictures[torch.arange(0)].shape == (0, 3, SIZE, SIZE)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="the picture size must lie in"):
        Pictures(["C"], 8)
    with pytest.raises(ConfigError, match="workers must be at least 1, found 0"):
        Pictures(["C"], SIZE, workers=0)


@pytest.mark.parametrize("many", [0, 100])
def test_a_bar_on_a_terminal_only(
    many: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "MANY", many)
    Pictures(["C", "CC"], SIZE, folder=tmp_path / "a", progress=True)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    Pictures(["C", "CC"], SIZE, folder=tmp_path / "b", progress=True)
    assert "draw pictures" in capsys.readouterr().err
    Pictures(["C", "CC"], SIZE, folder=tmp_path / "c", progress=False)
    assert capsys.readouterr().err == ""
