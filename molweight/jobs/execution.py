"""Runs one after the other, or several at a time in processes of their own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import torch

from molweight.jobs.job import Job, Outcome, attempt, died
from molweight.utils.machine import cores
from molweight.utils.signals import Interrupted, interruptible, stop_if_asked
from molweight.utils.terminal import log_to_stderr

POLL = 0.5  # seconds between two looks for a signal, while processes work
_kept = contextlib.ExitStack()  # a worker process answers signals in this way until it ends

PERHAPS = (
    "a process ended without a word, perhaps for lack of memory; "
    "the same command with fewer jobs= continues this run"
)

AnyJob = TypeVar("AnyJob", bound=Job)
Begin = Callable[[AnyJob], None]
Record = Callable[[AnyJob, Outcome], None]


def execute(
    runs: Sequence[AnyJob],
    *,
    jobs: int = 1,
    begin: Begin[AnyJob],
    record: Record[AnyJob],
    progress: bool = False,
) -> None:
    """Run all, and record each as soon as it ends; a failing one does not stop the others.

    Args:
        runs: in the order in which they start.
        jobs: processes; 1 runs here.
        begin: called when a run starts.
        record: called when a run has ended, in any order.
        progress: show the bars of a run that runs here.

    Raises:
        Interrupted: by a signal; what had finished is recorded, the rest can be continued.
    """
    with interruptible():
        if jobs == 1:
            for run in runs:
                begin(run)
                _note(run, attempt(run, progress=progress), record)
                stop_if_asked()
            return
        left = list(runs)
        while left:
            left = _in_processes(left, jobs, begin, record)


def _note(run: AnyJob, outcome: Outcome, record: Record[AnyJob]) -> None:
    if outcome.interrupted:
        raise Interrupted(outcome.exit_code - 128)
    record(run, outcome)


def _in_processes(
    runs: list[AnyJob], jobs: int, begin: Begin[AnyJob], record: Record[AnyJob]
) -> list[AnyJob]:
    """Run in fresh processes; the runs that are left if one of the processes died.

    No run waits inside the pool, so that a signal finds all that have not started still here.
    """
    queue, running = list(runs), dict[Future[Outcome], AnyJob]()
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
                record(run, died(run, PERHAPS))
            return queue
        except Interrupted:
            _stop(set(multiprocessing.active_children()) - others, running, record)
            raise
    return []


def _stop(
    children: set[multiprocessing.process.BaseProcess],
    running: dict[Future[Outcome], AnyJob],
    record: Record[AnyJob],
) -> None:
    """Ask every process to save and stop, once; a second signal from the user asks them to leave at once."""
    for _ in range(2):
        for child in children:
            child.terminate()
        with contextlib.suppress(Interrupted):
            wait(running)
            break
    for future, run in running.items():
        if future.done() and future.exception() is None and not future.result().interrupted:
            record(run, future.result())


def prepare(threads: int) -> None:
    """Set up a worker process: its share of the cores, its warnings, and signals from its parent only.

    A terminal sends Ctrl-C to a whole process group; in a group of its own the worker gets one request, from
    its parent, and so saves before it stops.
    """
    torch.set_num_threads(threads)
    log_to_stderr()
    if hasattr(os, "setpgrp"):  # not on Windows
        os.setpgrp()
    _kept.enter_context(interruptible())
