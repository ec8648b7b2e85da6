"""A run's folder: who may write into it, how far it got, and what it has recorded."""

from __future__ import annotations

import contextlib
import difflib
import json
import logging
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from molweight.distributed.collectives import is_main_process, world_size
from molweight.errors import ConfigError, DataError, MolweightError
from molweight.utils.files import read_json, read_text, write_json, write_text

logger = logging.getLogger(__name__)

Step = dict[str, Any]
"""A line of ``steps.jsonl``: :class:`molweight.tapweight.solver.StepRecord`, maybe of another version."""

LOCK = ".lock"
"""File that the process of a run holds."""


class RunDirectory:
    """One run's files.

    Args:
        path: of the folder; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoint"
        self.steps = path / "steps.jsonl"
        self.crash_log = path / "crash.log"

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder against other processes; the system lets go of it whenever this one ends.

        Of the processes of one run, the one that leads holds it, and alone writes.

        Raises:
            ConfigError: another process holds it.
            DataError: it cannot be written.
        """
        if not is_main_process():
            yield
            return
        self._check_folder()
        lock = self.path / LOCK
        before = lock.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            held = FileLock(lock, timeout=0)
            held.acquire()
        except NotImplementedError:
            logger.warning("%s is on a disk without locks: nothing keeps other processes out", self.path)
        except Timeout as error:
            raise ConfigError(
                f"another process is running in {self.path}: wait for it, or choose another run_dir="
            ) from error
        except OSError as error:
            raise DataError(f"could not write {self.path}: {error.strerror or error}") from error
        try:
            yield
        finally:
            held.release()
            if not before and not (self.path / "status.json").exists():  # the folder was not ours to claim
                lock.unlink(missing_ok=True)

    def open(self, text: str, digest: str) -> None:
        """Claim the folder for a configuration: a new run, or the rest of the same one.

        Args:
            text: the configuration as YAML.
            digest: of everything in it that decides the result.

        Raises:
            ConfigError: the folder holds a finished run, or one of another configuration.
            DataError: it cannot be written.
        """
        previous = self.previous()
        if previous is not None:
            if previous.get("state") == "ok":
                raise ConfigError(
                    f"{self.path} holds a finished run; choose another run_dir=, or delete that folder"
                )
            if previous.get("config_hash") != digest:
                raise ConfigError(
                    f"{self.path} holds a run of another configuration:\n{self._difference(text)}\n"
                    "repeat its options to continue it, or choose another run_dir="
                )
            if (count := previous.get("processes", 1)) != world_size():
                raise ConfigError(
                    f"{self.path} holds a run of {count} process(es), and this one has {world_size()}, which "
                    "would change random numbers and sums: continue it with as many (torchrun "
                    f"--nproc_per_node {count}), or choose another run_dir="
                )
            if previous.get("state") == "running":
                logger.warning("%s; the run goes on from its last checkpoint", self.death())
        self._digest = digest
        write_text(self.path / "config.yaml", text)
        self.status("running")

    def status(self, state: str, **more: object) -> None:
        """Write ``status.json``: the state, and which process says so."""
        if not is_main_process():
            return
        content = {"state": state, "config_hash": self._digest, "time": datetime.now(UTC).isoformat()}
        known = {k: v for k, v in more.items() if v is not None}
        known |= {"host": platform.node(), "pid": os.getpid()}
        if world_size() > 1:
            known["processes"] = world_size()
        write_json(self.path / "status.json", content | known)

    def close(self, reason: str) -> None:
        """Correct the status of a run whose process was killed, which could not do it itself.

        Args:
            reason: what is known about it, as a sentence.
        """
        if not (self.path / "status.json").exists():
            return  # it had not come so far
        with contextlib.suppress(MolweightError), self.alone():  # else somebody runs in it and keeps it right
            previous = self.previous()
            if previous is not None and previous.get("state") == "running":
                self._digest = str(previous.get("config_hash", ""))
                self.status("interrupted", error=reason)

    def death(self) -> str:
        """How the last process ended, which could not say so itself: killed, or by a crash in native code.

        The log of a crash is moved aside, so that it is not told of a later process again.
        """
        try:
            trace = read_text(self.crash_log)
        except (OSError, ValueError):
            trace = ""
        crashes = [line for line in trace.splitlines() if line.startswith("Fatal ")]
        if not crashes:
            return f"the last process in {self.path} died without a word, as if killed or out of memory"
        log = self.crash_log.with_name("crash.previous.log")
        with contextlib.suppress(OSError):  # a disk that cannot be written is reported by what must be
            self.crash_log.replace(log)
        return f"the last process in {self.path} crashed ({crashes[-1]}; see {log})"

    def verify_data_fingerprint(self, sums: Mapping[str, str | None], *, read_as: Sequence[str] = ()) -> None:
        """Note what the run's data are, or insist that they are still those that it began with.

        Args:
            sums: what each is, to its SHA-256; None where there is none.
            read_as: what was guessed when they were read.

        Raises:
            DataError: they have changed since the run was interrupted.
        """
        path = self.path / "data.json"
        if path.exists():
            try:
                before = dict(read_json(path))
            except (OSError, ValueError, TypeError) as error:
                raise DataError(f"{path} cannot be read ({error}); choose another run_dir=") from error
            changed = [name for name, value in sums.items() if before.get(name) != value]
            if changed:
                raise DataError(
                    f"{self.path} holds a run that began with other data ({' and '.join(changed)}): bring "
                    "them back to continue it, or choose another run_dir="
                )
        if is_main_process():
            write_json(path, {**sums, "read_as": list(read_as)})

    def append_record(self, record: Mapping[str, object]) -> None:
        """Add a line to ``steps.jsonl``."""
        if not is_main_process():
            return
        try:
            with self.steps.open("a") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise DataError(f"could not write {self.steps}: {error.strerror or error}") from error

    def sync_records(self) -> None:
        """Bring the lines to the disk, before a checkpoint that counts on them."""
        try:
            with self.steps.open("a") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise DataError(f"could not write {self.steps}: {error.strerror or error}") from error

    def keep_records(self, count: int) -> None:
        """Drop all but the first ``count`` lines, those that a checkpoint covers.

        Raises:
            DataError: there are fewer, or they cannot be read.
        """
        if not is_main_process():
            return
        lines = self._lines() if self.steps.exists() else []
        if len(lines) < count:
            raise DataError(
                f"{self.steps} has {len(lines)} of the {count} steps that its checkpoint knows; delete "
                f"{self.checkpoints} to start over"
            )
        write_text(self.steps, "".join(line + "\n" for line in lines[:count]))

    def records(self) -> list[Step]:
        """The lines of ``steps.jsonl``.

        Raises:
            DataError: they cannot be read.
        """
        try:
            return [dict(json.loads(line)) for line in self._lines()]
        except (ValueError, TypeError, RecursionError) as error:
            raise DataError(f"{self.steps} cannot be read ({error}); choose another run_dir=") from error

    def _lines(self) -> list[str]:
        try:
            return read_text(self.steps).splitlines()
        except (OSError, ValueError) as error:
            raise DataError(f"{self.steps} cannot be read ({error}); choose another run_dir=") from error

    def previous(self) -> dict[str, object] | None:
        """The status of the run that the folder holds, or None where there is none.

        Raises:
            ConfigError: it holds something else.
            DataError: the status cannot be read.
        """
        status = self.path / "status.json"
        self._check_folder()
        if not status.exists():
            if self.path.is_dir() and any(path.name != LOCK for path in self.path.iterdir()):
                raise ConfigError(f"{self.path} is not empty and holds no run; choose another run_dir=")
            return None
        try:
            content = read_json(status)
        except (OSError, ValueError) as error:
            raise DataError(f"{status} cannot be read ({error}); choose another run_dir=") from error
        if not isinstance(content, dict):
            raise DataError(f"{status} cannot be read (no state in it); choose another run_dir=")
        return content

    def _check_folder(self) -> None:
        """Refuse a file."""
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"run_dir {self.path} is a file, not a folder")

    def _difference(self, text: str) -> str:
        saved = self.path / "config.yaml"
        try:
            old = yaml.safe_load(read_text(saved))
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            return f"(its {saved.name} cannot be read: {error.__class__.__name__})"
        old_text = yaml.safe_dump(old, sort_keys=False, allow_unicode=True)
        lines = difflib.unified_diff(
            old_text.splitlines(), text.splitlines(), "there", "asked for", n=0, lineterm=""
        )
        return "\n".join(line for line in lines if not line.startswith(("@@", "-run_dir", "+run_dir")))
