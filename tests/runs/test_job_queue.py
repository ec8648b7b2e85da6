"""The queue: what it says, and what becomes of jobs that die, are stopped, or wait when a signal comes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from concurrent.futures import Future

import pytest
from reports import CONTENT

from molweight.config.image_run import MODALITY
from molweight.errors import DataError
from molweight.leaderboard.plan import plan
from molweight.reporting.report import Report
from molweight.runs import job_queue, workers
from molweight.runs.job import JobResult, read_result
from molweight.runs.job_queue import Progress, run_queue
from molweight.runs.launchers import Launcher
from molweight.runs.workers import LEAVE, STOP, Work, stopped_by
from molweight.utils.signals import Interrupted, interruptible, stop_if_asked

OK = JobResult(
    state="ok", report=Report.from_json(CONTENT | {"test": 1.0, "test_evaluations": 0, "seconds": 0.0})
)


@pytest.fixture
def jobs(tmp_path):
    return plan(MODALITY, ["esol"], ["equal"], [0, 1, 2, 3], out=tmp_path)


def outcome(jobs, launcher, tmp_path):
    """What was recorded and said, and the signal that ended the queue."""
    recorded, said, raised = {}, [], None

    def record(job, result):
        recorded[job.seed] = result

    try:
        run_queue(jobs, launcher=launcher, out=tmp_path, record=record, say=said.append)
    except Interrupted as error:
        raised = error
    return recorded, said, raised


def processes(count):
    return Launcher(name="joblib", option=f"jobs={count}", settings={"n_jobs": count})


def signal_once(condition, number=signal.SIGTERM):
    """Send this process a signal as soon as something has happened."""

    def ask():
        while not condition():
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread


class Dying(Work):
    """The first run's process ends without a word."""

    def __call__(self, job):
        if job.seed == 0:
            folder = job.config.run_dir
            folder.mkdir(parents=True)
            (folder / "status.json").write_text('{"state": "running", "config_hash": "a"}')
            os._exit(1)
        return OK


class Waiting(Work):
    """A run that stops only when it is asked to, and saves before it does."""

    def __call__(self, job):
        workers.attempt = self.wait
        return super().__call__(job)

    def wait(self, job):
        folder = job.config.run_dir.parent
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"began{job.seed}").touch()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.02)
            try:
                stop_if_asked(lambda: (folder / f"saved{job.seed}").touch())
            except Interrupted as stop:
                return JobResult(state="interrupted", exit_code=stop.exit_code)
        return JobResult(state="failed", error="nobody asked it to stop")


def test_a_process_that_dies_costs_its_own_run(monkeypatch, tmp_path, jobs):
    """Its ``status.json`` no longer says that it runs, and another process takes what waits."""
    monkeypatch.setattr(workers, "Work", Dying)
    recorded, said, raised = outcome(jobs[:3], processes(1), tmp_path)
    assert raised is None and [recorded[seed].state for seed in range(3)] == ["crashed", "ok", "ok"]
    assert recorded[0].exit_code == 1 and "ended without a word" in recorded[0].error
    status = json.loads((jobs[0].config.run_dir / "status.json").read_text())
    assert (status["state"], status["error"]) == ("interrupted", recorded[0].error)
    assert status["config_hash"] == "a"
    assert said[0] == "3 jobs handed to jobs=1" and said[-1].endswith("ok: test RMSE 1.000, 0 s [3 of 3]")


def test_a_signal_lets_a_process_save_and_starts_nothing_more(monkeypatch, tmp_path, jobs):
    monkeypatch.setattr(workers, "Work", Waiting)
    folder = jobs[0].config.run_dir.parent
    thread = signal_once((folder / "began0").exists)
    recorded, said, raised = outcome(jobs, processes(1), tmp_path)
    thread.join(60)
    assert raised.exit_code == 143 and recorded == {} and len(said) == 2
    assert {path.name for path in folder.iterdir()} == {"began0", "saved0"}
    assert [read_result(job).state for job in jobs[1:]] == ["pending"] * 3


class Pretended:
    """A launcher whose tasks a test ends by hand.

    Args:
        play: called with the folder and the tasks in a thread of its own.
    """

    name, option = "pretended", "launcher=pretended"

    def __init__(self, play):
        self.play = play

    @contextlib.contextmanager
    def submit(self, jobs, out):
        tasks = [Future() for _ in jobs]
        thread = threading.Thread(target=self.play, args=(out, tasks), daemon=True)
        thread.start()
        yield out, tasks
        thread.join(60)


def begin(*tasks):
    for task in tasks:
        task.set_running_or_notify_cancel()


def test_a_job_that_somebody_else_stops_is_told_and_the_others_go_on(monkeypatch, tmp_path, jobs):
    monkeypatch.setattr(job_queue, "POLL", 0.02)

    def play(folder, tasks):
        begin(*tasks)
        tasks[0].set_result(JobResult(state="interrupted", exit_code=143))
        for task in tasks[1:]:
            task.set_result(OK)

    recorded, _, raised = outcome(jobs, Pretended(play), tmp_path)
    assert raised is None and [recorded[seed].state for seed in range(4)] == ["interrupted", *["ok"] * 3]
    assert recorded[0].exit_code == 143 and "stopped by a signal" in recorded[0].error


def test_a_signal_lets_jobs_save_keeps_what_is_done_and_starts_nothing_more(monkeypatch, tmp_path, jobs):
    monkeypatch.setattr(job_queue, "POLL", 0.02)

    def play(folder, tasks):
        begin(*tasks[:3])
        tasks[0].set_result(OK)
        while not (folder / STOP).exists():
            time.sleep(0.01)
        tasks[1].set_result(JobResult(state="interrupted", exit_code=143))
        tasks[2].set_result(OK)
        assert tasks[3].cancel()

    told = []
    monkeypatch.setattr(Progress, "end", lambda self, job, result: told.append(job.seed))
    thread = signal_once(lambda: told == [0])
    _, said, raised = outcome(jobs, Pretended(play), tmp_path)
    thread.join(60)
    assert raised.exit_code == 143 and told == [0, 2]
    assert sum("begins in" in line for line in said) == 3 and not (tmp_path / LEAVE).exists()


def test_a_second_signal_asks_to_leave_at_once(monkeypatch, tmp_path, jobs):
    monkeypatch.setattr(job_queue, "POLL", 0.02)

    def play(folder, tasks):
        begin(*tasks)
        for name in (STOP, LEAVE):
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)
            while not (folder / name).exists():
                time.sleep(0.01)

    recorded, _, raised = outcome(jobs, Pretended(play), tmp_path)
    assert raised.exit_code == 130 and recorded == {}


def test_a_table_that_cannot_be_written_stops_the_jobs(monkeypatch, tmp_path, jobs):
    monkeypatch.setattr(job_queue, "POLL", 0.02)

    def play(folder, tasks):
        begin(*tasks)
        tasks[0].set_result(OK)
        while not (folder / STOP).exists():
            time.sleep(0.01)
        for task in tasks[1:]:
            task.set_result(JobResult(state="interrupted", exit_code=143))

    def record(job, result):
        raise DataError("the disk is full")

    with pytest.raises(DataError, match="the disk is full"):
        run_queue(jobs, launcher=Pretended(play), out=tmp_path, record=record, say=lambda line: None)


def test_what_is_left_is_estimated_from_what_has_ended(monkeypatch, jobs):
    clock, said = [0.0], []
    monkeypatch.setattr(job_queue.time, "monotonic", lambda: clock[0])
    told = Progress(total=4, say=said.append, record=lambda job, result: None)
    told.start(jobs[0])
    told.start(jobs[1])
    clock[0] = 600.0
    told.end(jobs[0], OK)
    assert said[-1].endswith("[1 of 4, about 15 min left]"), "three more, two at a time, 10 min each"
    told.start(jobs[2])
    told.end(jobs[1], JobResult(state="failed", error="why"))
    assert said[-1] == "esol equal seed 1: failed: why [2 of 4, about 10 min left]"


def test_the_file_that_stops_a_job_lets_it_save(tmp_path):
    saved = []
    with pytest.raises(Interrupted), interruptible(), stopped_by(tmp_path):
        (tmp_path / STOP).touch()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            stop_if_asked(lambda: saved.append(True))
            time.sleep(0.02)
    assert saved == [True]
