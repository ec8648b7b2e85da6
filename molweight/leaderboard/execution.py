"""Runs one after the other, or several at a time in processes of their own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import torch

from molweight.errors import MolweightError
from molweight.experiment import run_experiment
from molweight.leaderboard.plan import Run
from molweight.leaderboard.rows import Row, failed_row, finished_row
from molweight.machine import cores
from molweight.run_directory import RunDirectory
from molweight.signals import Interrupted, interruptible, stop_if_asked

POLL = 0.5  # seconds between two looks for a signal, while processes work
_kept = contextlib.ExitStack()  # a worker process answers signals in this way until it ends


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended; it passes between processes, which :class:`Interrupted` cannot.

    Args:
        row: of the table; None if the run was interrupted.
        exit_code: 0 ok, else as the run alone would have ended.
    """

    row: Row | None
    exit_code: int


Begin = Callable[[Run], None]
Record = Callable[[Run, Outcome], None]


def execute(runs: Sequence[Run], *, jobs: int, begin: Begin, record: Record) -> None:
    """Run all, and record each as soon as it ends; a failing one does not stop the others.

    Args:
        runs: in the order in which they start.
        jobs: processes; 1 runs here.
        begin: called when a run starts.
        record: called when a run has ended, in any order.

    Raises:
        Interrupted: by a signal; what had finished is recorded, the rest can be continued.
    """
    with interruptible():
        if jobs == 1:
            for run in runs:
                begin(run)
                _note(run, attempt(run), record)
                stop_if_asked()
            return
        left = list(runs)
        while left:
            left = _in_processes(left, jobs, begin, record)


def attempt(run: Run) -> Outcome:
    """One run, whatever happens in it."""
    try:
        run_experiment(run.config, command=run.command)
        shutil.rmtree(RunDirectory(run.config.run_dir).checkpoints, ignore_errors=True)  # up to a gigabyte
        return Outcome(row=finished_row(run), exit_code=0)
    except Interrupted as stop:
        return Outcome(row=None, exit_code=stop.exit_code)
    except KeyboardInterrupt:
        return Outcome(row=None, exit_code=128 + signal.SIGINT)
    except MolweightError as error:
        return Outcome(row=failed_row(run, str(error)), exit_code=error.exit_code)
    except Exception as error:  # a bug of one method must not cost the results of the others
        return Outcome(row=failed_row(run, f"{type(error).__name__}: {error}"), exit_code=1)


def _note(run: Run, outcome: Outcome, record: Record) -> None:
    if outcome.row is None:
        raise Interrupted(outcome.exit_code - 128)
    record(run, outcome)


def _in_processes(runs: list[Run], jobs: int, begin: Begin, record: Record) -> list[Run]:
    """Run in fresh processes; the runs that are left if one of the processes died.

    No run waits inside the pool, so that a signal finds all that have not started still here.
    """
    queue, running = list(runs), dict[Future[Outcome], Run]()
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),  # a fork would copy the locks of torch's threads
        initializer=prepare,
        initargs=(max(1, cores() // jobs),),
    ) as pool:
        try:
            while queue or running:
                while queue and len(running) < jobs:
                    begin(queue[0])
                    running[pool.submit(attempt, queue[0])] = queue[0]
                    queue.pop(0)
                done, _ = wait(running, timeout=POLL, return_when=FIRST_COMPLETED)
                stop_if_asked()
                for future in done:
                    _note(running[future], future.result(), record)
                    del running[future]
        except BrokenProcessPool:
            for run in running.values():
                record(run, _died(run))
            return queue
        except Interrupted:
            _stop(set(multiprocessing.active_children()) - others, running, record)
            raise
    return []


def _died(run: Run) -> Outcome:
    sentence = (
        "a process ended without a word, perhaps for lack of memory; "
        "the same command with fewer jobs= continues this run"
    )
    return Outcome(row=failed_row(run, sentence), exit_code=1)


def _stop(
    children: set[multiprocessing.process.BaseProcess], running: dict[Future[Outcome], Run], record: Record
) -> None:
    """Ask every process to save and stop, once; a second signal from the user asks them to leave at once."""
    for _ in range(2):
        for child in children:
            child.terminate()
        with contextlib.suppress(Interrupted):
            wait(running)
            break
    for future, run in running.items():
        if future.done() and future.exception() is None and future.result().row is not None:
            record(run, future.result())


def prepare(threads: int) -> None:
    """Set up a worker process: its share of the cores, and signals from its parent only.

    A terminal sends Ctrl-C to a whole process group; in a group of its own the worker gets one request, from
    its parent, and so saves before it stops.
    """
    torch.set_num_threads(threads)
    if hasattr(os, "setpgrp"):  # not on Windows
        os.setpgrp()
    _kept.enter_context(interruptible())
