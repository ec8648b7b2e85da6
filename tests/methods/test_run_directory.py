"""A run's folder: claimed by one configuration, continued by the same one only, never overwritten."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from contextlib import contextmanager

import pytest

from molweight.errors import ConfigError, DataError
from molweight.methods.run_directory import RunDirectory

TEXT = "seed: 0\nlearn:\n  steps: 3\nrun_dir: a\n"


def status(path):
    return json.loads((path / "status.json").read_text())


def opened(path, text=TEXT, digest="abc"):
    run = RunDirectory(path)
    run.open(text, digest)
    return run


@pytest.mark.parametrize("exists", [False, True])
def test_a_new_or_empty_folder_is_claimed(tmp_path, exists):
    path = tmp_path / "x" / "run"
    if exists:
        path.mkdir(parents=True)
    opened(path)
    assert status(path)["state"] == "running" and status(path)["config_hash"] == "abc"
    assert (path / "config.yaml").read_text() == TEXT


@pytest.mark.parametrize("state", ["running", "interrupted", "failed"])
def test_the_same_configuration_continues(tmp_path, state):
    run = opened(tmp_path / "run")
    run.append_record({"step": 1})
    run.status(state, error="why", engine=None)
    assert status(run.path)["error"] == "why" and "engine" not in status(run.path)
    again = opened(run.path, text=TEXT.replace("run_dir: a", "run_dir: b"))
    assert again.records() == [{"step": 1}]
    assert status(run.path)["state"] == "running" and "error" not in status(run.path)


def test_another_configuration_is_refused_and_the_difference_shown(tmp_path):
    run = opened(tmp_path / "run")
    before = {file.name: file.read_bytes() for file in run.path.iterdir()}
    other = TEXT.replace("steps: 3", "steps: 4").replace("run_dir: a", "run_dir: b")
    with pytest.raises(ConfigError, match="another configuration") as caught:
        opened(run.path, text=other, digest="def")
    sentence = str(caught.value)
    assert "-  steps: 3" in sentence and "+  steps: 4" in sentence
    assert "seed" not in sentence and "run_dir: " not in sentence
    assert caught.value.exit_code == 2
    assert {file.name: file.read_bytes() for file in run.path.iterdir()} == before


def test_a_finished_run_is_refused_even_by_itself(tmp_path):
    run = opened(tmp_path / "run")
    run.status("ok")
    with pytest.raises(ConfigError, match="holds a finished run; choose another run_dir="):
        opened(run.path)
    assert status(run.path)["state"] == "ok"


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty and holds no run"):
        opened(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_refused(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(ConfigError, match="is a file, not a folder"):
        opened(tmp_path / "run")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff", b"[]", b"3"])
def test_a_damaged_status_is_refused(tmp_path, content):
    run = opened(tmp_path / "run")
    (run.path / "status.json").write_bytes(content)
    with pytest.raises(DataError, match=r"status\.json cannot be read") as caught:
        opened(run.path)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("content", [None, b"", b"{a: [", b"\xff"])
def test_the_difference_survives_a_damaged_configuration(tmp_path, content):
    run = opened(tmp_path / "run")
    saved = run.path / "config.yaml"
    saved.unlink() if content is None else saved.write_bytes(content)
    with pytest.raises(ConfigError, match="another configuration"):
        opened(run.path, digest="def")


def test_records_are_appended_and_those_after_a_checkpoint_dropped(tmp_path):
    run = opened(tmp_path / "run")
    for step in range(5):
        run.append_record({"step": step})
    with run.steps.open("a") as file:
        file.write('{"step": 5, "wei')  # cut short by a power failure
    run.keep_records(3)
    assert run.records() == [{"step": n} for n in range(3)]
    run.append_record({"step": 3})
    assert run.records()[-1] == {"step": 3}


def test_keeping_records_of_a_new_run_makes_an_empty_file(tmp_path):
    run = opened(tmp_path / "run")
    run.keep_records(0)
    assert run.records() == []


def test_a_record_that_cannot_be_written_is_a_sentence(tmp_path):
    run = opened(tmp_path / "run")
    run.steps.mkdir()
    with pytest.raises(DataError, match=r"could not write .*steps\.jsonl"):
        run.append_record({"step": 0})


def test_a_run_goes_on_with_its_own_data_only(tmp_path):
    run = opened(tmp_path / "run")
    run.verify_data_fingerprint({"labelled": "a", "corpus": "b", "backbone.init": None})
    opened(run.path).verify_data_fingerprint({"labelled": "a", "corpus": "b", "backbone.init": None})
    with pytest.raises(DataError, match=r"other data \(backbone\.init\)"):
        opened(run.path).verify_data_fingerprint({"labelled": "a", "corpus": "b", "backbone.init": "d"})
    with pytest.raises(DataError, match=r"began with other data \(corpus\): bring them back") as caught:
        opened(run.path).verify_data_fingerprint({"labelled": "a", "corpus": "c"})
    assert caught.value.exit_code == 5
    (run.path / "data.json").write_text("{")
    with pytest.raises(DataError, match=r"data\.json cannot be read"):
        run.verify_data_fingerprint({"labelled": "a", "corpus": "b"})


# One process at a time

HOLDING = """
import sys, time
from pathlib import Path
from molweight.methods.run_directory import RunDirectory
with RunDirectory(Path(sys.argv[1])).alone():
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def alone(path):
    directory = RunDirectory(path)
    with directory.alone():
        yield directory


def test_a_second_process_is_refused_and_the_folder_is_free_when_the_first_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLDING, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match="another process is running in"), alone(tmp_path / "run"):
            pytest.fail("two processes hold one folder")
        first.kill()
        first.wait()
    with alone(tmp_path / "run") as directory:
        directory.open("a: 1\n", "x")


def test_the_status_of_a_killed_run_is_corrected_and_that_of_a_living_one_is_not(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.open("a: 1\n", "x")
    with run.alone():
        RunDirectory(tmp_path / "run").close("its process was killed")
        assert run.previous()["state"] == "running"
    RunDirectory(tmp_path / "run").close("its process was killed")
    status = run.previous()
    assert status.pop("time") and status == {
        "host": platform.node(),
        "pid": os.getpid(),
        "state": "interrupted",
        "config_hash": "x",
        "error": "its process was killed",
    }
    run.open("a: 1\n", "x")
    run.status("failed", error="a reason of its own")
    RunDirectory(tmp_path / "run").close("its process was killed")
    assert run.previous()["error"] == "a reason of its own"


def test_a_folder_of_other_things_is_left_as_it_is(tmp_path):
    (tmp_path / "thesis.docx").touch()
    with pytest.raises(ConfigError, match="not empty and holds no run"), alone(tmp_path) as directory:
        directory.open("a: 1\n", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_a_file_cannot_be_held(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(ConfigError, match="is a file"), alone(tmp_path / "run"):
        pytest.fail("a file was held")


def test_a_disk_without_locks_is_warned_of(tmp_path, monkeypatch, caplog):
    def acquire(self):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr("filelock.FileLock.acquire", acquire)
    with alone(tmp_path / "run") as directory:
        directory.open("a: 1\n", "x")
    assert "a disk without locks" in caplog.text and status(tmp_path / "run")["state"] == "running"


def test_a_crash_is_told_once_and_a_later_kill_is_none(tmp_path, caplog):
    run = opened(tmp_path / "run")
    run.crash_log.write_text("Fatal Python error: Aborted\n\nThread 0x1 (most recent call first):\n")
    opened(run.path)
    assert "crashed (Fatal Python error: Aborted; see" in caplog.messages[-1]
    assert "Aborted" in (run.path / "crash.previous.log").read_text()
    opened(run.path)
    assert "died without a word" in caplog.messages[-1]
