"""Runs that are killed without warning, at any moment, and continued: the same bits as without.

A process comes from a server that has the package loaded; what its folder holds says which stage it is in.
"""

from __future__ import annotations

import faulthandler
import itertools
import json
import multiprocessing
import random
import resource
import signal
import sys
import time

import pytest
from smallest import SMALLEST

from molweight import load_config, run_experiment
from molweight.errors import ConfigError, DataError
from molweight.tapweight.solver import Solver

# What a folder holds from the beginning of each stage on.
STAGES = {
    "prepare": "status.json",
    "learn": "steps.jsonl",
    "finetune": "backbone.safetensors",
    "test": "model.safetensors",
}
OPTIONS = (*SMALLEST, "learn.steps=12", "learn.checkpoint_every=3", "finetune.epochs=6", "threads=1")
UNLIKE = ("seconds", "seconds_by_stage", "command", "config_hash", "seconds_reused")
LONGEST = 120.0  # seconds that a run may take


def work(folder, solver):
    """A run, from the beginning or from where it was killed; in a process of its own."""
    run_experiment(
        load_config(*OPTIONS, f"solver={solver}", f"run_dir={folder}"), command="run me", page=False
    )


@pytest.fixture(scope="module")
def processes():
    """Starts processes that need not import anything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["molweight.runs.experiment", "molweight.config", "test_killed"])
    return context


def work_on_a_full_disk(folder, solver):
    """The same where no file grows beyond 150 kB: what comes before the first checkpoint fits."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error of write, as a full disk gives
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        work(folder, solver)
    except DataError as error:
        sys.exit(5 if "could not write" in str(error) else 1)


def work_beside_another(folder, solver):
    """The same where another process holds the folder."""
    try:
        work(folder, solver)
    except ConfigError as error:
        sys.exit(2 if "another process is running" in str(error) else 1)


def work_until_a_crash(folder, solver):
    """The same until native code reads where it may not, in the eighth step."""
    step, count = Solver.step, itertools.count(1)

    def crashing(self, *args, **kwargs):
        if next(count) == 8:
            faulthandler._sigsegv()
        return step(self, *args, **kwargs)

    Solver.step = crashing
    work(folder, solver)


def start(processes, folder, solver, work=work):
    process = processes.Process(target=work, args=(folder, solver), daemon=True)
    process.start()
    return process


def finished(processes, folder, solver):
    process = start(processes, folder, solver)
    process.join(LONGEST)
    assert process.exitcode == 0
    return folder


def moments(processes, folder, solver):
    """When each stage began, in seconds, and when the run ended; of a run without a fault."""
    begin, found = time.monotonic(), {}
    process = start(processes, folder, solver)
    while process.is_alive():
        for stage, name in STAGES.items():
            if stage not in found and (folder / name).exists():
                found[stage] = time.monotonic() - begin
        time.sleep(0.002)
    assert process.exitcode == 0
    return [*(found[stage] for stage in STAGES), time.monotonic() - begin]


def kill(processes, folder, solver, stage, delay):
    """Kill a run a while after a stage has begun; whether there was something left to do."""
    process, begin = start(processes, folder, solver), time.monotonic()
    while process.is_alive() and not (folder / STAGES[stage]).exists():
        assert time.monotonic() - begin < LONGEST
        time.sleep(0.001)
    time.sleep(delay)
    process.kill()
    process.join(LONGEST)
    ended = json.loads((folder / "status.json").read_text())["state"] == "ok"
    return process.exitcode == -signal.SIGKILL and not ended


def result(folder):
    """Everything that a run has computed, without its times."""
    lines = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    report = json.loads((folder / "report.json").read_text())
    files = ("model.safetensors", "backbone.safetensors", "predictions.csv", "model.json", "splits.json")
    return (
        [{key: value for key, value in line.items() if key != "seconds"} for line in lines],
        {key: value for key, value in report.items() if key not in UNLIKE},
        [(folder / name).read_bytes() for name in files],
    )


@pytest.fixture(scope="module")
def whole(processes, tmp_path_factory):
    """A folder of the native engine to which nothing has happened, and when its stages began."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    begun = moments(processes, folder, "native")
    return folder, begun


def killed_everywhere(processes, folder, solver, times, left_alone, stages=tuple(STAGES)):
    """Kill runs so many times in each stage, continue each, and compare it with one that was left alone."""
    generator = random.Random(0)
    expected, begun = result(left_alone[0]), left_alone[1]
    lengths = [end - start for start, end in itertools.pairwise(begun)]
    for stage, length in zip(STAGES, lengths, strict=True):
        done = 0 if stage in stages else times
        for attempt in range(10 * (times - done)):
            run = folder / f"{stage}-{attempt}"
            if not kill(processes, run, solver, stage, generator.uniform(0, 0.9 * length)):
                continue  # the run was faster
            assert result(finished(processes, run, solver)) == expected, f"killed in {run.name}"
            done += 1
            if done == times:
                break
        assert done == times, f"no run was killed in the stage {stage}"


@pytest.mark.timeout(600)
def test_a_run_that_is_killed_gives_the_same_bits(processes, whole, tmp_path):
    killed_everywhere(processes, tmp_path, "native", 1, whole, stages=("learn", "finetune"))


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["native", "betty"])
def test_twenty_kills_leave_no_trace(processes, tmp_path, solver):
    begun = moments(processes, tmp_path / "whole", solver)
    killed_everywhere(processes, tmp_path, solver, 5, (tmp_path / "whole", begun))


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_arrives(processes, whole, tmp_path):
    generator, stages = random.Random(1), list(STAGES)
    for stage in (*stages[:2], *stages[:2], *stages[1:3]):
        kill(processes, tmp_path / "run", "native", stage, generator.uniform(0, 0.3))
    assert result(finished(processes, tmp_path / "run", "native")) == result(whole[0])


def test_a_crash_of_native_code_is_told_and_the_run_goes_on(processes, whole, tmp_path, caplog):
    run = tmp_path / "run"
    process = start(processes, run, "native", work=work_until_a_crash)
    process.join(LONGEST)
    assert process.exitcode == -signal.SIGSEGV
    trace = (run / "crash.log").read_text()
    assert "Segmentation fault" in trace and "tapweight.py" in trace
    caplog.set_level("WARNING")
    work(run, "native")
    fault = "Fatal Python error: Segmentation fault"
    said = f"the last process in {run} crashed ({fault}; see {run}/crash.previous.log)"
    assert [said in record.getMessage() for record in caplog.records] == [True]
    assert result(run) == result(whole[0])
    assert not (whole[0] / "crash.log").exists(), "an empty one is removed"


def test_a_full_disk_loses_nothing(processes, whole, tmp_path):
    process = start(processes, tmp_path / "run", "native", work=work_on_a_full_disk)
    process.join(LONGEST)
    assert process.exitcode == 5, "a sentence, not a traceback"
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "failed" and "checkpoint/step-" in status["error"]
    assert result(finished(processes, tmp_path / "run", "native")) == result(whole[0])


def test_a_second_process_on_a_run_leaves_and_the_first_is_not_disturbed(processes, whole, tmp_path):
    first, begin = start(processes, tmp_path / "run", "native"), time.monotonic()
    while not (tmp_path / "run" / "steps.jsonl").exists():
        assert first.is_alive() and time.monotonic() - begin < LONGEST
        time.sleep(0.001)
    others = [start(processes, tmp_path / "run", "native", work=work_beside_another) for _ in range(2)]
    for other in others:
        other.join(LONGEST)
    assert [other.exitcode for other in others] == [2, 2] and first.is_alive()
    first.join(LONGEST)
    assert first.exitcode == 0 and result(tmp_path / "run") == result(whole[0])
