"""The cache on disk: every record is whole or absent, whatever happens while it is filled or read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from disks import fill, make_read_only, make_room

from molweight.data import cache as module
from molweight.data.cache import CachedRecords, text_keys
from molweight.data.segments import STATUSES, Record, Segment
from molweight.errors import DataError

ROOT = Path(__file__).parents[2]
TEXTS = [f"text {index}" for index in range(26)] + ["bad one", "text 3"]
RECIPE = {"size": 32}
# Another process that fills a cache, slowly enough to be killed in the middle.
BUILDER = """
import sys, time
from pathlib import Path
from molweight.data import cache
from molweight.data.segments import Record
cache.ROWS = 5
def compute(texts):
    for text in texts:
        yield Record("invalid", b"it is bad") if "bad" in text else Record("ok", text.encode() * 40)
    print(len(texts), flush=True)
    time.sleep(float(sys.argv[3]))
texts = Path(sys.argv[1]).read_text().split("\\n")
cache.CachedRecords(texts, Path(sys.argv[2]), {"size": 32}, compute, what="values")
"""


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 5)


class Computer:
    """Makes records, and counts the texts of every call."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def __call__(self, texts: Sequence[str]) -> Iterator[Record]:
        self.counts.append(len(texts))
        for text in texts:
            yield Record("invalid", b"it is bad") if "bad" in text else Record("ok", text.encode() * 40)


def open_cache(folder: Path, texts: Sequence[str] = TEXTS, computer: Any = None) -> CachedRecords:
    return CachedRecords(texts, folder, RECIPE, computer or Computer(), what="values")


def check(records: CachedRecords, texts: Sequence[str] = TEXTS) -> None:
    """Every record is that of its text, in any order."""
    expected = [b"it is bad" if "bad" in text else text.encode() * 40 for text in texts]
    assert [STATUSES[status] for status in records.status] == [
        "invalid" if "bad" in text else "ok" for text in texts
    ]
    order = np.random.default_rng(0).permutation(len(texts))
    assert [bytes(value) for value in records.values(order)] == [expected[index] for index in order]


def files(folder: Path) -> list[Path]:
    """Of the cache; nothing else may lie there."""
    assert all(path.suffix == ".records" for path in folder.iterdir())
    return sorted(folder.iterdir())


def count_rows(folder: Path) -> int:
    return sum(len(Segment(path).keys) for path in files(folder))


def damage(path: Path, at: int) -> None:
    """Turn one bit of a file, which stays the same file."""
    with path.open("r+b") as file:
        file.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 4]))


def test_a_cache_holds_every_record(tmp_path: Path) -> None:
    check(open_cache(tmp_path))
    assert count_rows(tmp_path) == 27, "a text that is there twice is computed once"


def test_records_are_computed_once_and_shared_by_all_lists(tmp_path: Path) -> None:
    computer = Computer()
    open_cache(tmp_path, computer=computer)
    assert sum(computer.counts) == 27 and max(computer.counts) == 5
    computer.counts.clear()
    check(open_cache(tmp_path, computer=computer))
    check(open_cache(tmp_path, TEXTS[20:3:-2], computer), TEXTS[20:3:-2])
    assert computer.counts == []
    others = ["new", *TEXTS[::3], "bad and new"]
    check(open_cache(tmp_path, others, computer), others)
    assert computer.counts == [2], "only what is missing"


def test_many_texts_are_found_by_their_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 1_000)
    texts = [f"C{index}" for index in range(3_000)]
    assert any(key.endswith(b"\0") for key in text_keys(texts, RECIPE).view("V16").tolist())
    for _ in range(2):
        check(open_cache(tmp_path, texts), texts)
    assert len(files(tmp_path)) == 3


def test_no_texts_no_files(tmp_path: Path) -> None:
    open_cache(tmp_path / "cache")
    for folder in (tmp_path / "cache", tmp_path / "none"):
        records = open_cache(folder, [])
        assert list(records.values(np.arange(0))) == [] and len(records.status) == 0
    assert not (tmp_path / "none").exists()


def test_a_key_changes_with_the_text_and_the_recipe() -> None:
    keys = [
        *text_keys(["C", "CC", "", "C\0", "\ud800"], {"size": 32}),
        *text_keys(["C"], {"size": 33}),
        *text_keys(["C"], {"size": 32, "rdkit": "2025.09.1"}),
    ]
    assert len(set(keys)) == 7
    assert text_keys(["C"], {"a": 1, "b": 2}) == text_keys(["C"], {"b": 2, "a": 1})


def test_a_cache_of_very_many_texts_has_few_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SEGMENTS", 3)
    check(open_cache(tmp_path))
    assert len(files(tmp_path)) == 3


def test_a_damaged_record_is_computed_again_and_never_returned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_cache(tmp_path)
    computer = Computer()
    records = open_cache(tmp_path, computer=computer)
    damage(files(tmp_path)[2], -20)
    check(records)
    assert len(computer.counts) == 1 and computer.counts[0] <= 5
    assert "is damaged: its checksum differs; the values in it are computed again" in caplog.text
    caplog.clear()
    (aside,) = tmp_path.glob("*.damaged")
    aside.unlink()
    check(open_cache(tmp_path, computer=computer))
    assert len(computer.counts) == 1 and caplog.text == "" and count_rows(tmp_path) == 27


@pytest.mark.parametrize("what", ["head", "index", "cut", "empty", "gone"])
def test_a_segment_that_is_not_whole_is_written_again(
    what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_cache(tmp_path)
    path = files(tmp_path)[1]
    lost = len(Segment(path).keys)
    if what == "gone":
        path.unlink()
    elif what in ("cut", "empty"):
        path.write_bytes(path.read_bytes()[:-7] if what == "cut" else b"")
    else:
        damage(path, 3 if what == "head" else 50)
    computer = Computer()
    check(open_cache(tmp_path, computer=computer))
    assert computer.counts == [lost], "only what was lost is computed"
    assert ("the values in it are computed again" in caplog.text) == (what != "gone")
    assert len(list(tmp_path.glob("*.damaged"))) == (what != "gone")


def test_threads_that_meet_damage_replace_it_once(tmp_path: Path) -> None:
    computer = Computer()
    records = open_cache(tmp_path, computer=computer)
    computer.counts.clear()
    damage(files(tmp_path)[0], -20)
    errors: list[BaseException] = []

    def read() -> None:
        try:
            check(records)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and len(computer.counts) == 1


def test_a_replacement_that_failed_is_made_at_the_next_read(tmp_path: Path) -> None:
    honest, broken = Computer(), []

    def compute(texts: Sequence[str]) -> Iterator[Record]:
        if broken:
            raise DataError("no space left")
        return honest(texts)

    records = open_cache(tmp_path, computer=compute)
    damage(records._segments[0].path, -20)  # not the last one
    broken.append(1)
    for _ in range(2):
        with pytest.raises(DataError, match="no space left"):
            check(records)
    broken.clear()
    check(records)
    assert len(list(tmp_path.glob("*.damaged"))) == 1, "whole segments stay"


def test_a_segment_that_another_process_has_replaced_stays(tmp_path: Path) -> None:
    computer = Computer()
    first = open_cache(tmp_path, computer=computer)
    second = open_cache(tmp_path, computer=computer)
    damage(files(tmp_path)[0], -20)
    check(first)
    computer.counts.clear()
    check(second)
    assert computer.counts == [] and len(list(tmp_path.glob("*.damaged"))) == 1


def start_builder(folder: Path, pause: float) -> subprocess.Popen[str]:
    source = folder.parent / "texts"
    source.write_text("\n".join(TEXTS))
    command = [sys.executable, "-c", BUILDER, str(source), str(folder), str(pause)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def kill_after(builder: subprocess.Popen[str], segments: int) -> None:
    assert builder.stdout is not None
    for _ in range(segments):
        assert int(builder.stdout.readline()) > 0
    time.sleep(0.1)  # the next one is being computed or written
    builder.send_signal(signal.SIGKILL)
    builder.communicate()
    assert builder.returncode == -signal.SIGKILL


def test_a_killed_builder_is_continued(tmp_path: Path) -> None:
    kill_after(start_builder(tmp_path / "cache", 0.2), 3)
    assert len(list((tmp_path / "cache").glob("*.records"))) >= 2
    computer = Computer()
    check(open_cache(tmp_path / "cache", computer=computer))
    assert sum(computer.counts) <= 27 - 2 * 4, "finished segments are used"


def test_two_builders_one_killed_leave_a_whole_cache(tmp_path: Path) -> None:
    first, second = (start_builder(tmp_path / "cache", 0.3) for _ in range(2))
    kill_after(first, 2)
    second.communicate(timeout=120)
    assert second.returncode == 0
    computer = Computer()
    check(open_cache(tmp_path / "cache", computer=computer))
    assert computer.counts == []


def test_builders_at_the_same_time_share_the_work(tmp_path: Path) -> None:
    builders = [start_builder(tmp_path / "cache", pause) for pause in (0.0, 0.2, 0.2)]
    printed = [builder.communicate(timeout=120)[0] for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0, 0]
    assert 27 <= sum(map(int, "".join(printed).split())) < 3 * 27
    computer = Computer()
    check(open_cache(tmp_path / "cache", computer=computer))
    assert computer.counts == [] and files(tmp_path / "cache")


def test_what_another_builder_has_written_meanwhile_is_not_computed(tmp_path: Path) -> None:
    computer = Computer()

    def compute(texts: Sequence[str]) -> Iterator[Record]:
        if not computer.counts:
            open_cache(tmp_path)
        return computer(texts)

    check(open_cache(tmp_path, computer=compute))
    assert len(computer.counts) == 1, "the part that it was at"


# What a builder asks of the file system; between any two of these calls another process may do its work.
CALLS = ("mkdir", "open", "fsync", "chmod", "replace", "scandir")


@pytest.mark.parametrize("others", ["fill the cache", "remove its files", "damage its files"])
def test_others_may_come_at_any_moment(others: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = TEXTS[20:28]
    moments: list[str] = []
    untouched = {name: getattr(os, name) for name in CALLS}

    def come(folder: Path) -> None:
        if others == "fill the cache":
            open_cache(folder, few)
        elif others == "remove its files":
            for path in folder.glob("*.records"):
                path.unlink()
        else:
            for path in folder.glob("*.records"):
                damage(path, -20)

    def come_at(moment: int | None, folder: Path) -> None:
        """From now on, others come before call number ``moment``."""
        moments.clear()
        for name in CALLS:

            def call(*args: Any, name: str = name, **options: Any) -> Any:
                moments.append(name)
                if len(moments) - 1 == moment:
                    with monkeypatch.context() as patch:
                        for other, function in untouched.items():
                            patch.setattr(os, other, function)
                        come(folder)
                return untouched[name](*args, **options)

            monkeypatch.setattr(os, name, call)

    def leave() -> None:
        for name, function in untouched.items():
            monkeypatch.setattr(os, name, function)

    come_at(None, tmp_path / "alone")
    open_cache(tmp_path / "alone", few)
    leave()
    total = len(moments)
    assert total > 12 and {"mkdir", "open", "fsync", "chmod", "replace"} <= set(moments)
    for moment in range(total):
        folder = tmp_path / str(moment)
        come_at(moment, folder)
        records = open_cache(folder, few)
        leave()
        check(records, few)


def test_a_folder_that_vanishes_is_made_again(tmp_path: Path) -> None:
    honest, folder = Computer(), tmp_path / "cache"

    def compute(texts: Sequence[str]) -> Iterator[Record]:
        yield from honest(texts)
        if len(honest.counts) == 3:  # somebody tidies up
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()

    check(open_cache(folder, computer=compute))


def test_what_is_removed_again_and_again_is_an_error(tmp_path: Path) -> None:
    honest = module.write_bytes
    with pytest.MonkeyPatch.context() as patch, pytest.raises(DataError, match="3 attempts: something keeps"):
        patch.setattr(module, "write_bytes", lambda path, content: honest(path, content[:-1]))
        open_cache(tmp_path)


def test_an_interrupt_keeps_finished_segments(tmp_path: Path) -> None:
    honest = Computer()

    def compute(texts: Sequence[str]) -> Iterator[Record]:
        if len(honest.counts) == 3:
            raise KeyboardInterrupt
        return honest(texts)

    with pytest.raises(KeyboardInterrupt):
        open_cache(tmp_path, computer=compute)
    kept = count_rows(tmp_path)
    assert kept == sum(honest.counts) and len(files(tmp_path)) == 3
    computer = Computer()
    check(open_cache(tmp_path, computer=computer))
    assert sum(computer.counts) == 27 - kept


def test_a_full_disk_keeps_finished_segments(small_disk: Path) -> None:
    honest, folder = Computer(), small_disk / "pictures"

    def compute(texts: Sequence[str]) -> Iterator[Record]:
        yield from honest(texts)
        if len(honest.counts) == 3:
            fill(small_disk)

    with pytest.raises(DataError, match=r"could not write .*pictures") as error:
        open_cache(folder, computer=compute)
    assert error.value.exit_code == 5
    make_room(small_disk)
    computer = Computer()
    check(open_cache(folder, computer=computer))
    assert sum(computer.counts) == 27 - sum(honest.counts[:2]) and count_rows(folder) == 27


def test_a_read_only_disk_is_read_and_not_written(small_disk: Path) -> None:
    folder = small_disk / "cache"
    open_cache(folder)
    make_read_only(small_disk)
    computer = Computer()
    check(open_cache(folder, computer=computer))
    with pytest.raises(DataError, match=r"cannot write values into .*Read-only .*MOLWEIGHT_CACHE"):
        open_cache(folder, [*TEXTS, "new"], computer)
    assert computer.counts == [], "it is said before any work"


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write values into .*MOLWEIGHT_CACHE"):
        open_cache(tmp_path / "file")


def test_a_file_that_cannot_be_opened_is_an_error_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_cache(tmp_path)

    def too_many(path: Path) -> Segment:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(module, "Segment", too_many)
    with pytest.raises(DataError, match=r"\.records cannot be read: Too many open files"):
        open_cache(tmp_path)
    assert count_rows(tmp_path) == 27


def test_what_was_abandoned_is_removed_after_a_week(tmp_path: Path) -> None:
    for name in (".a.records.x1", "b.records.damaged", ".c.records.x2", "d.txt"):
        (tmp_path / name).write_text("")
        age = 0 if "x2" in name else 8 * 86_400
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    open_cache(tmp_path)
    left = {path.name for path in tmp_path.iterdir() if path.suffix != ".records"}
    assert left == {".c.records.x2", "d.txt"}


def test_a_bar_on_a_terminal_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    CachedRecords(TEXTS, tmp_path / "a", RECIPE, Computer(), what="values", bar="make values")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    CachedRecords(TEXTS, tmp_path / "b", RECIPE, Computer(), what="values", bar="make values")
    assert "make values" in capsys.readouterr().err
