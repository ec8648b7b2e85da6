"""Jobs in other processes: of this machine, or of submitit, there or on Slurm.

A folder that all can read says what they are asked: the file ``stop`` to save and stop, ``leave`` to stop at
once.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch

from molweight.runs.job import Job, JobResult, attempt, crashed
from molweight.utils.signals import Interrupted, interruptible
from molweight.utils.terminal import log_to_stderr

POLL = 0.5  # seconds between two looks for a file
STOP, LEAVE = "stop", "leave"


@dataclass(frozen=True)
class Work:
    """Runs a job in another process.

    Args:
        folder: whose files ask it to stop.
        threads: its share of this machine; None: on a cluster it has all that it was given.
    """

    folder: Path
    threads: int | None

    def __call__(self, job: Job) -> JobResult:
        """Run it, unless the jobs are asked to stop."""
        if (self.folder / STOP).exists():
            return JobResult(state="pending")
        log_to_stderr()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
            if hasattr(os, "setpgrp"):  # not on Windows
                os.setpgrp()  # the terminal's Ctrl-C is for the queue, which asks with a file
        result = JobResult(state="interrupted", exit_code=128 + signal.SIGTERM)
        with contextlib.suppress(Interrupted), interruptible(), stopped_by(self.folder):
            result = attempt(job)
        return result

    def checkpoint(self, job: Job) -> object:
        """What submitit submits again when the time of a job is over."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, job)


@contextlib.contextmanager
def stopped_by(folder: Path) -> Iterator[None]:
    """Inside, this process gets a SIGTERM for each file that asks: that reaches jobs on any machine."""
    over = threading.Event()

    def watch() -> None:
        for name in (STOP, LEAVE):
            while not (folder / name).exists():
                if over.wait(POLL):
                    return
            signal.raise_signal(signal.SIGTERM)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def local_tasks(
    jobs: Sequence[Job], workers: int, threads: int
) -> Iterator[tuple[Path, list[Future[JobResult]]]]:
    """Run jobs in processes, which load torch once; one that dies costs its own job.

    Args:
        jobs: in the order in which they start.
        workers: processes.
        threads: of each.
    """
    context = multiprocessing.get_context("spawn")  # a fork would copy the locks of torch's threads
    idle = SimpleQueue[ProcessPoolExecutor]()
    for _ in range(workers):
        idle.put(ProcessPoolExecutor(1, mp_context=context))

    def run(job: Job) -> JobResult:
        pool = idle.get()
        try:
            return pool.submit(work, job).result()
        except BrokenProcessPool:
            pool = ProcessPoolExecutor(1, mp_context=context)
            return crashed(
                job,
                "its process ended without a word, perhaps for lack of memory; the same command with fewer "
                "jobs at a time continues this run",
            )
        finally:
            idle.put(pool)

    with tempfile.TemporaryDirectory() as name:
        work = Work(Path(name), threads)
        with ThreadPoolExecutor(workers) as executor:
            yield work.folder, [executor.submit(run, job) for job in jobs]
        for _ in range(workers):
            idle.get().shutdown()


@dataclass(frozen=True)
class SubmititTask:
    """A job of submitit, with the methods of a ``Future`` that the queue needs.

    Args:
        job: that was submitted.
        handle: submitit's.
        logs: folder that holds them.
    """

    job: Job
    handle: Any
    logs: Path

    def running(self) -> bool:
        """Whether its log exists: the system opens it when the job starts."""
        return bool(self.handle.paths.stdout.exists()) and not self.done()

    def done(self) -> bool:
        """Whether it has ended."""
        return bool(self.handle.done())

    def result(self) -> JobResult:
        """How it ended; nothing is left of a process that was killed but its log."""
        if self.handle.exception() is None:
            result: JobResult = self.handle.result()
            return result
        return crashed(
            self.job,
            "its process ended without a word, perhaps for lack of memory or time; its logs are in "
            f"launcher/{self.logs.name}; the same command continues this run",
        )

    def cancel(self) -> bool:
        """Whether it had not started, and will not."""
        if self.running() or self.done():
            return False
        self.handle.cancel(check=False)
        return True


def submit(jobs: Sequence[Job], system: str, settings: dict[str, Any], work: Work) -> list[SubmititTask]:
    """Submit jobs in one array.

    Args:
        jobs: one or more.
        system: ``local`` or ``slurm``.
        settings: of submitit's executor by name; None leaves its default.
        work: what each job does.
    """
    import submitit

    first = {f"{system}_{key}": settings.pop(key) for key in ("max_num_timeout",) if key in settings}
    executor = submitit.AutoExecutor(
        folder=settings.pop("submitit_folder") or work.folder / "%j", cluster=system, **first
    )
    common = submitit.AutoExecutor._typed_parameters()
    executor.update_parameters(
        **{key if key in common else f"{system}_{key}": value for key, value in settings.items()}
    )
    with without_interrupts(), contextlib.redirect_stderr(io.StringIO()):  # an exception says it again
        handles = executor.map_array(work, jobs)
    return [SubmititTask(job, handle, work.folder) for job, handle in zip(jobs, handles, strict=True)]


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """Processes that start inside ignore Ctrl-C: submitit's would kill their job before it has saved."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python allows handlers in the main thread only
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
