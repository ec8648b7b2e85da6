"""Pictures on disk: whole or absent, whatever happens while they are built or read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from disks import fill, make_room

from molweight.data.smiles import canonical
from molweight.errors import DataError
from molweight.images import pictures as pictures_module
from molweight.images import store as module
from molweight.images.drawing import draw
from molweight.images.pictures import Pictures
from molweight.images.render import render
from molweight.images.shards import HEAD, DamagedStoreError, Shard
from molweight.images.store import PictureStore, Recipe, build_store

SIZE = 32
RAW = Recipe(size=SIZE, canonicalise=True)
ROOT = Path(__file__).parents[2]
# Another process that builds a store, slowly enough to be killed in the middle.
BUILDER = """
import sys, time
from pathlib import Path
from molweight.images import store
store.ROWS = 5
honest = store.draw_all
def draw_all(*args, **options):
    yield from honest(*args, **options)
    print("shard", flush=True)
    time.sleep(float(sys.argv[3]))
store.draw_all = draw_all
texts = Path(sys.argv[1]).read_text().split("\\n")
store.build_store(texts, store.Recipe(size=32, canonicalise=True), Path(sys.argv[2]), workers=1)
"""


@pytest.fixture(scope="module")
def texts(moleculenet: Path) -> list[str]:
    """28 rows of BBBP, one of which is no molecule, and one that is too large."""
    raw = pd.read_csv(moleculenet / "bbbp.csv")["smiles"]
    found: list[str] = raw.iloc[:: len(raw) // 26].head(26).tolist()
    return [*found[:10], "C(C)(C)(C)(C)C", *found[10:20], "C" * 600, *found[20:]]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 5)


def build(texts: Sequence[str], root: Path, recipe: Recipe = RAW) -> PictureStore:
    return build_store(texts, recipe, root, workers=1)


def drawn_again(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the rows that are drawn from now on, shard by shard."""
    honest, counts = module.draw_all, []

    def draw_all(chunk: list[str], *args: Any, **options: Any) -> Any:
        counts.append(len(chunk))
        return honest(chunk, *args, **options)

    monkeypatch.setattr(module, "draw_all", draw_all)
    return counts


def check(store: PictureStore, texts: Sequence[str]) -> None:
    """Every row is what its string says, drawn here and now."""
    rows = list(store.rows())
    assert len(store) == len(rows) == len(texts)
    good = [i for i, row in enumerate(rows) if row.status == "ok"]
    assert {rows[i].status for i in range(len(rows)) if i not in good} <= {"invalid", "unsupported"}
    order = np.random.default_rng(0).permutation(good)
    for position, picture in zip(order, store.read(order), strict=True):
        assert rows[position].smiles == canonical(texts[position])
        expected = render(canonical(texts[position]), SIZE).transpose(2, 0, 1)
        np.testing.assert_array_equal(picture, expected)


def damage(path: Path, at: float) -> None:
    """Turn one bit of a file, a fraction of the way through; the file may be linked elsewhere."""
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 4
    path.write_bytes(content)


def test_a_store_holds_every_row_in_order(texts: list[str], tmp_path: Path) -> None:
    store = build(texts, tmp_path)
    check(store, texts)
    assert store.manifest["ok"] == 26 and store.manifest["rows"] == 28
    assert [(i, r.status, r.reason) for i, r in enumerate(store.rows()) if r.status != "ok"] == [
        (10, "invalid", "Explicit valence for atom # 0 C, 5, is greater than permitted"),
        (21, "unsupported", "600 heavy atoms, at most 500 are drawn"),
    ]
    with pytest.raises(DataError, match="has no picture: Explicit valence"):
        store.read(np.array([10]))
    assert [path.name for path in tmp_path.iterdir()] == [RAW.digest(texts)]


def test_a_store_is_built_once(texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = drawn_again(monkeypatch)
    build(texts, tmp_path)
    assert counts == [5, 5, 5, 5, 5, 3]
    build(texts, tmp_path)
    assert len(counts) == 6
    check(build([*texts[:15], "CCO", "CCN"], tmp_path), [*texts[:15], "CCO", "CCN"])
    assert counts[6:] == [2], "the common beginning is taken over"


def test_the_name_changes_with_whatever_the_pictures_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    name = RAW.digest(["C", "CC"])
    others = [
        RAW.digest(["CC", "C"]),
        RAW.digest(["CCC"]),
        RAW.digest(["C", "CC", ""]),
        Recipe(size=33, canonicalise=True).digest(["C", "CC"]),
        Recipe(size=SIZE, canonicalise=False).digest(["C", "CC"]),
    ]
    monkeypatch.setattr(module.rdkit, "__version__", "2000.01.1")
    others.append(RAW.digest(["C", "CC"]))
    assert len({name, *others}) == 7


@pytest.mark.parametrize("at", [0.01, 0.3, 0.5, 0.99])
def test_damage_is_found(texts: list[str], tmp_path: Path, at: float) -> None:
    store = build(texts, tmp_path)
    shard = store.folder / store.manifest["shards"][1]["name"]
    damage(shard, at)
    with pytest.raises(DamagedStoreError):
        PictureStore(store.folder, thorough=True)


def test_a_damaged_picture_is_never_returned(texts: list[str], tmp_path: Path) -> None:
    store = build(texts, tmp_path)
    shard = store.shards[1]
    start = first_frame(shard)
    content = bytearray(shard.path.read_bytes())
    content[start + int(shard.offsets[2]) + 20] ^= 1
    shard.path.write_bytes(content)
    fresh = PictureStore(store.folder)
    with pytest.raises(DamagedStoreError, match=r"picture 2, is damaged: its checksum differs"):
        fresh.read(np.array([5 + 2]))
    fresh.read(np.array([5, 6, 8, 9]))


def first_frame(shard: Shard) -> int:
    return HEAD.size + 8 * (shard.rows + 1) + 5 * shard.rows


@pytest.mark.parametrize("what", ["manifest", "shard", "cut shard"])
def test_a_store_that_is_not_whole_is_built_again(
    what: str, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = build(texts, tmp_path)
    shard = store.folder / store.manifest["shards"][2]["name"]
    if what == "manifest":
        (store.folder / "manifest.json").write_text("{")
    elif what == "shard":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(DamagedStoreError):
        PictureStore(store.folder)
    counts = drawn_again(monkeypatch)
    check(build(texts, tmp_path), texts)
    assert counts == ([] if what == "manifest" else [5]), "only what was lost is drawn"
    assert [path.name for path in tmp_path.iterdir()] == [RAW.digest(texts)]


def test_pictures_mend_a_store_that_is_damaged_while_it_is_read(
    texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures_module, "MANY", 0)
    smiles = [canonical(text) for text in (*texts[:10], *texts[11:21])]
    pictures = Pictures(smiles, SIZE, folder=tmp_path, memory=0, workers=1)
    other = build(texts, tmp_path)
    everything = torch.arange(len(smiles))
    expected = pictures[everything]
    assert pictures.store is not None
    shard = pictures.store.shards[3]
    damage(shard.path, (first_frame(shard) + 30) / shard.path.stat().st_size)
    before = other.folder.stat().st_mtime_ns
    counts = drawn_again(monkeypatch)
    found: dict[int, torch.Tensor] = {}
    threads = [
        threading.Thread(target=lambda i=i: found.update({i: pictures[everything]}))  # type: ignore[misc]
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[i], expected) for i in range(4))
    assert counts == [5] and other.folder.stat().st_mtime_ns == before


def start_builder(texts: Sequence[str], folder: Path, pause: float) -> subprocess.Popen[str]:
    source = folder.parent / "texts"
    source.write_text("\n".join(texts))
    command = [sys.executable, "-c", BUILDER, str(source), str(folder), str(pause)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def kill_after(builder: subprocess.Popen[str], shards: int) -> None:
    assert builder.stdout is not None
    assert [builder.stdout.readline() for _ in range(shards)] == ["shard\n"] * shards
    time.sleep(0.3)  # the next one is being drawn or written
    builder.send_signal(signal.SIGKILL)
    builder.communicate()
    assert builder.returncode == -signal.SIGKILL


def test_a_killed_builder_is_continued(
    texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "stores"
    kill_after(start_builder(texts, root, 0.2), 3)
    assert not (root / RAW.digest(texts)).exists() and len(list(root.iterdir())) == 1
    counts = drawn_again(monkeypatch)
    check(build(texts, root), texts)
    assert sum(counts) <= 28 - 2 * 5, "finished shards are taken over"
    assert [path.name for path in root.iterdir()] == [RAW.digest(texts)]


def test_two_builders_one_killed_leave_one_whole_store(texts: list[str], tmp_path: Path) -> None:
    root = tmp_path / "stores"
    first, second = (start_builder(texts, root, 0.3) for _ in range(2))
    kill_after(first, 2)
    second.communicate(timeout=120)
    assert second.returncode == 0
    assert [path.name for path in root.iterdir()] == [RAW.digest(texts)]
    check(PictureStore(root / RAW.digest(texts), thorough=True), texts)


def test_two_builders_end_with_one_store(texts: list[str], tmp_path: Path) -> None:
    root = tmp_path / "stores"
    builders = [start_builder(texts, root, pause) for pause in (0.0, 0.2)]
    for builder in builders:
        builder.communicate(timeout=120)
    assert [builder.returncode for builder in builders] == [0, 0]
    assert [path.name for path in root.iterdir()] == [RAW.digest(texts)]
    check(PictureStore(root / RAW.digest(texts), thorough=True), texts)


# What a builder asks of the file system; between any two of these calls another process may do its work.
CALLS = ("mkdir", "open", "fsync", "chmod", "replace", "link", "rename", "scandir")


def test_another_builder_may_be_done_at_any_moment(
    texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = texts[8:14]
    monkeypatch.setattr(  # here, not in processes, which take a third of a second each to start
        module,
        "draw_all",
        lambda chunk, size, *, canonicalise, **_: [
            draw(one, size, canonicalise=canonicalise) for one in chunk
        ],
    )
    moments: list[str] = []
    untouched = {name: getattr(os, name) for name in CALLS}

    def come_at(moment: int | None, root: Path) -> None:
        """From now on, another builder publishes before call number ``moment``, and tidies up."""
        moments.clear()
        for name in CALLS:

            def call(*args: Any, name: str = name, **options: Any) -> Any:
                moments.append(name)
                if len(moments) - 1 == moment:
                    with monkeypatch.context() as others:
                        for other, function in untouched.items():
                            others.setattr(os, other, function)
                        build(few, root)
                return untouched[name](*args, **options)

            monkeypatch.setattr(os, name, call)

    def leave() -> None:
        for name, function in untouched.items():
            monkeypatch.setattr(os, name, function)

    come_at(None, tmp_path / "alone")
    build(few, tmp_path / "alone")
    leave()
    total = len(moments)
    assert total > 15 and {"mkdir", "open", "fsync", "chmod", "replace", "rename"} <= set(moments)
    for moment in range(total):
        root = tmp_path / str(moment)
        come_at(moment, root)
        store = build(few, root)
        leave()
        check(store, few)
        assert [path.name for path in root.iterdir()] == [RAW.digest(few)], moments[moment]


def test_a_store_that_appears_meanwhile_is_taken_not_set_aside(
    texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, honest = [], PictureStore.__init__

    def open_late(store: PictureStore, folder: Path, **options: Any) -> None:
        opened.append(folder)
        if len(opened) == 1:  # absent when it was looked for; then another builder publishes it
            build(texts, tmp_path)
            raise DamagedStoreError("absent")
        honest(store, folder, **options)

    monkeypatch.setattr(PictureStore, "__init__", open_late)
    aside: list[Path] = []
    monkeypatch.setattr(module, "quarantine", aside.append)
    check(build(texts, tmp_path), texts)
    assert aside == [] and [path.name for path in tmp_path.iterdir()] == [RAW.digest(texts)]


def test_a_builder_whose_folder_vanishes_starts_again(
    texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, calls = module.draw_all, []

    def draw_all(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:  # somebody tidies up the cache
            for path in tmp_path.glob("*/*"):
                path.unlink()
        return honest(*args, **options)

    monkeypatch.setattr(module, "draw_all", draw_all)
    check(build(texts, tmp_path), texts)


def test_an_interrupt_keeps_finished_shards(
    texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, calls = module.draw_all, []

    def draw_all(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return honest(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, "draw_all", draw_all)
        with pytest.raises(KeyboardInterrupt):
            build(texts, tmp_path)
    counts = drawn_again(monkeypatch)
    check(build(texts, tmp_path), texts)
    assert sum(counts) == 28 - 15


def test_a_full_disk_keeps_finished_shards(
    texts: list[str], small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, calls = module.draw_all, []

    def draw_all(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            fill(small_disk)
        return honest(*args, **options)

    root = small_disk / "pictures"
    with (
        monkeypatch.context() as patch,
        pytest.raises(DataError, match=r"could not write .*pictures") as error,
    ):
        patch.setattr(module, "draw_all", draw_all)
        build(texts, root)
    assert error.value.exit_code == 5
    make_room(small_disk)
    counts = drawn_again(monkeypatch)
    check(build(texts, root), texts)
    assert sum(counts) == 28 - 10 and [path.name for path in root.iterdir()] == [RAW.digest(texts)]


def test_a_folder_that_cannot_be_written_is_an_error(texts: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write pictures into .*MOLWEIGHT_CACHE"):
        build(texts, tmp_path / "file")
