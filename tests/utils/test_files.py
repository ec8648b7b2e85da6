"""Files are complete or absent, JSON is JSON, errors are sentences."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os

import pytest

from molweight.errors import DataError, unknown
from molweight.utils.files import finite, sha256_file, write_bytes, write_json, write_text


def failing(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace", "tempfile.mkstemp"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    monkeypatch.setattr(call, failing)
    with pytest.raises(DataError, match=r"could not write .*a\.txt: No space left on device") as caught:
        write_text(path, "new")
    monkeypatch.undo()
    assert caught.value.exit_code == 5
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_the_old_file_stays_until_the_new_one_is_synced(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    seen, sync = [], os.fsync

    def watched(descriptor):
        seen.append(path.read_text())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    write_text(path, "new")
    assert seen == ["old"] and path.read_text() == "new"


def test_an_interrupt_leaves_no_temporary_file(tmp_path, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "a.txt", "new")
    assert list(tmp_path.iterdir()) == []


def test_folders_are_made_and_files_can_be_shared(tmp_path):
    path = tmp_path / "x" / "y" / "a.bin"
    write_bytes(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_in_place_of_the_folder_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="could not write"):
        write_text(tmp_path / "file" / "a.txt", "new")


def test_text_is_utf8(tmp_path):
    write_text(tmp_path / "a.txt", "é ─ 分子")
    assert (tmp_path / "a.txt").read_bytes() == "é ─ 分子".encode()


def test_nan_is_null_and_the_input_is_not_changed(tmp_path):
    content = {"a": math.nan, "b": [math.inf, -math.inf, 1.5], "c": {"d": (math.nan, None, True, "NaN")}}
    write_json(tmp_path / "a.json", content)
    found = json.loads((tmp_path / "a.json").read_text())
    assert found == {"a": None, "b": [None, None, 1.5], "c": {"d": [None, None, True, "NaN"]}}
    assert math.isnan(content["a"])
    assert finite(0.0) == 0.0


def test_what_json_cannot_hold_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", [1])
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", [object()])
    assert json.loads((tmp_path / "a.json").read_text()) == [1]


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1])
def test_sha256_of_files_smaller_and_larger_than_a_chunk(tmp_path, size):
    content = bytes(i % 251 for i in range(size))
    (tmp_path / "a").write_bytes(content)
    assert sha256_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_unknown_names_the_nearest_and_lists_all():
    assert unknown("split", "scafold", ("random", "scaffold")) == (
        "unknown split 'scafold'. Did you mean 'scaffold'? Known: random, scaffold."
    )
    assert unknown("split", "zzz", ("scaffold", "random")) == "unknown split 'zzz'. Known: random, scaffold."
    assert unknown("seed", None, ["a"]) == "unknown seed 'None'. Known: a."
