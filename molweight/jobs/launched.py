"""A job of a Hydra launcher, in another process or on another machine.

The jobs and the command that waits for them share a folder: ``jobs.json`` says what to run, ``stop`` asks
all to save and stop, and each job leaves ``<number>/began.json`` (in which process) and
``<number>/ended.json`` (its outcome).
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from molweight.errors import MolweightError
from molweight.utils.files import write_json
from molweight.utils.signals import Interrupted, interruptible

JOBS, STOP, ERROR, BEGAN, ENDED = "jobs.json", "stop", "error.json", "began.json", "ended.json"
POLL = 0.5  # seconds between two looks for a file


def main() -> None:
    """Start a launcher with the options in ``sys.argv``, the first of which is the folder.

    An exception of the launcher itself is kept in ``error.json``.
    """
    folder = Path(sys.argv.pop(1))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # an exception rather than a printed text and exit code 1
    threading.Thread(target=stop_with_parent, args=(folder / STOP,), daemon=True).start()
    try:
        hydra.main(version_base="1.3", config_path=None)(job)()
    except Exception as error:
        write_json(folder / ERROR, {"error": f"{type(error).__name__}: {error}"})
        traceback.print_exc()
        sys.exit(1)


def stop_with_parent(stop: Path) -> None:
    """Ask the jobs to stop when the process at the other end of stdin is gone, however it ended."""
    os.read(0, 1)
    stop.touch()


def job(config: DictConfig) -> None:
    """Run number ``config.number`` of ``jobs.json``, unless the jobs are asked to stop."""
    folder = Path(HydraConfig.get().sweep.dir)
    if (folder / STOP).exists():
        return
    own = folder / str(config.number)
    write_json(own / BEGAN, {"host": platform.node(), "process": os.getpid()})
    with contextlib.suppress(Interrupted), interruptible(), stopped_by(folder / STOP):
        write_json(own / ENDED, ending(folder, config.number))


def ending(folder: Path, number: int) -> dict[str, Any]:
    """Run one, and how it ended: the fields of an :class:`molweight.jobs.job.Outcome`."""
    try:
        import torch  # slow to import, and no business of the launcher

        from molweight.config.modality import find_modality
        from molweight.config.run_config import compose_run
        from molweight.jobs.job import Job, attempt

        jobs = json.loads((folder / JOBS).read_text(encoding="utf-8"))
        if jobs["threads"] is not None:
            torch.set_num_threads(jobs["threads"])
        content = jobs["jobs"][number]
        config = compose_run(find_modality(jobs["modality"]), *content["overrides"])
        made = Job(**{**content, "overrides": tuple(content["overrides"]), "config": config})
    except Exception as error:  # the run was fine where it was planned: the machines differ
        code = error.exit_code if isinstance(error, MolweightError) else 1
        return {"exit_code": code, "error": f"{type(error).__name__}: {error}"}
    outcome = attempt(made)
    return {"exit_code": outcome.exit_code, "error": outcome.error}


@contextlib.contextmanager
def stopped_by(path: Path) -> Iterator[None]:
    """Inside, this process gets a SIGTERM when the file appears: that reaches jobs on any machine."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL):
            if path.exists():
                signal.raise_signal(signal.SIGTERM)
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
