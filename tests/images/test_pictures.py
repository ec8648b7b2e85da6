"""``pictures[positions]``: the same in memory, from the cache, and drawn one by one."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from molweight.data.results import RenderResult
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


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What drawing processes draw from now on; every list of molecules is worth the cache."""
    honest, texts = module.draw_all, []

    def draw_all(some: Sequence[str], *args: Any, **options: Any) -> Iterator[RenderResult]:
        texts.extend(some)
        return honest(some, *args, **options)

    monkeypatch.setattr(module, "draw_all", draw_all)
    monkeypatch.setattr(module, "MANY", 0)
    return texts


def check(pictures: Pictures, smiles: Sequence[str]) -> None:
    """Every picture is that of its molecule."""
    for picture, text in zip(pictures[torch.arange(len(smiles))], smiles, strict=True):
        assert torch.equal(picture.permute(1, 2, 0), torch.tensor(render(text, pictures.size)))


@pytest.mark.parametrize("way", ["here", "processes", "cache, in memory", "cache, on disk"])
def test_pictures_are_the_single_pictures(
    way: str, smiles: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = smiles[:20] if way == "here" else smiles
    if way.startswith("cache"):
        monkeypatch.setattr(module, "MANY", 10)
    memory = 0 if way == "cache, on disk" else 1 << 30
    pictures = Pictures(some, SIZE, folder=tmp_path, memory=memory)
    assert len(pictures) == len(some)
    assert (pictures.all is None) == (way == "cache, on disk")
    assert bool(list(tmp_path.iterdir())) == way.startswith("cache")
    positions = torch.randperm(len(some), generator=torch.Generator().manual_seed(0))[:13]
    found = pictures[positions]
    assert found.dtype == torch.uint8 and found.shape == (13, 3, SIZE, SIZE)
    for picture, position in zip(found, positions.tolist(), strict=True):
        assert torch.equal(picture.permute(1, 2, 0), torch.tensor(render(some[position], SIZE)))


def test_pictures_are_kept_in_the_cache_folder(
    smiles: list[str], tmp_path: Path, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOLWEIGHT_CACHE", str(tmp_path))
    check(Pictures(smiles[:12], SIZE), smiles[:12])
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"] and len(drawn) == 12
    check(Pictures(smiles[:12], SIZE), smiles[:12])
    assert len(drawn) == 12


def test_data_sets_that_share_molecules_share_their_pictures(
    smiles: list[str], tmp_path: Path, drawn: list[str]
) -> None:
    Pictures([*smiles[:9], ""], SIZE, folder=tmp_path, memory=0)
    drawn.clear()
    other = ["", *smiles[12:4:-1]]
    pictures = Pictures(other, SIZE, folder=tmp_path, memory=0)
    assert set(drawn) == set(smiles[9:13]) and len(drawn) == 4, "molecules without a picture are known, too"
    assert pictures.failed[0].status == "invalid" and "no atoms" in pictures.failed[0].reason
    check(pictures, other[1:])


def test_other_sizes_and_versions_have_their_own_pictures(
    smiles: list[str], tmp_path: Path, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Pictures(smiles[:3], SIZE, folder=tmp_path)
    check(Pictures(smiles[:3], SIZE + 1, folder=tmp_path), smiles[:3])
    with monkeypatch.context() as patch:
        patch.setattr(module, "DRAWING", 0)
        Pictures(smiles[:3], SIZE, folder=tmp_path)
    monkeypatch.setattr(module.rdkit, "__version__", "2000.01.1")
    Pictures(smiles[:3], SIZE, folder=tmp_path)
    assert len(drawn) == 4 * 3
    names = {path.name for path in tmp_path.iterdir()}
    assert {f"{SIZE}px-rdkit-2000-01-1"} < names and len(names) == 3


def test_threads_that_read_damaged_pictures_get_those_that_were_written(
    smiles: list[str], tmp_path: Path, drawn: list[str]
) -> None:
    pictures = Pictures(smiles[:20], SIZE, folder=tmp_path, memory=0, workers=1)
    everything = torch.arange(20)
    expected = pictures[everything]
    drawn.clear()
    (path,) = tmp_path.rglob("*.records")
    with path.open("r+b") as file:  # the end of the last picture
        file.seek(-2, os.SEEK_END)
        file.write(b"??")
    results: list[torch.Tensor] = []
    threads = [threading.Thread(target=lambda: results.append(pictures[everything])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and all(torch.equal(result, expected) for result in results)
    assert len(drawn) == 20, "the segment is drawn again, once"


def test_pictures_of_version_0_1_stay_and_are_named(
    smiles: list[str], tmp_path: Path, drawn: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    old = tmp_path / ("0" * 32)
    old.mkdir()
    (old / "manifest.json").write_text("{}")
    with caplog.at_level("INFO"):
        check(Pictures(smiles[:3], SIZE, folder=tmp_path), smiles[:3])
    assert f"{old} was made by version 0.1 and is not read any more: it can be deleted" in caplog.text
    assert (old / "manifest.json").read_text() == "{}"


@pytest.mark.parametrize("way", ["here", "processes", "cache, in memory", "cache, on disk"])
def test_molecules_without_a_picture_are_left_out_and_named(
    way: str, smiles: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way.startswith("cache"):
        monkeypatch.setattr(module, "MANY", 10)
    some = smiles[:20] if way == "here" else smiles
    bad = {0: ("", "no atoms"), 9: ("C(C)(C)(C)(C)C", "not a SMILES"), len(some) + 2: ("xyz", "not a SMILES")}
    mixed = list(some)
    for place, (text, _) in bad.items():
        mixed.insert(place, text)
    memory = 0 if way == "cache, on disk" else 1 << 30
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
