"""Many strings to many pictures, by processes that may hang or crash without taking anything with them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice

from molweight.data.results import RenderResult
from molweight.data.standardise import AS_GIVEN, Standardisation
from molweight.errors import ConfigError, DataError
from molweight.images.drawing import draw
from molweight.images.render import check_size
from molweight.utils.machine import granted_cores

CHUNK = 64  # molecules sent to a process at a time: a tenth of a second or more
SECONDS = 20.0  # for one molecule
STARTING = 120.0  # seconds for a process to import RDKit, from a slow disk on a busy machine
RESTARTS = 2  # of a process that a signal ended before it was ready
READY = b"ready\n"
# A drawing process is a plain child, not one of multiprocessing's: those import the caller's __main__ again
# (torch and all, or a script without a main guard), and a fork of a process with torch's threads may hang.
CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from molweight.images.drawing_processes import serve
serve(**json.loads(sys.argv[2]))
"""


def draw_all(
    texts: Iterable[str],
    size: int,
    *,
    canonicalise: bool,
    workers: int | None = None,
    seconds: float = SECONDS,
    standardise: Standardisation = AS_GIVEN,
) -> Iterator[RenderResult]:
    """One :class:`RenderResult` for every string, in their order, as they are finished.

    Memory does not grow with the number of strings. A molecule that takes too long, or that ends its
    process, is ``unsupported``; the process is replaced.

    Args:
        texts: read as needed.
        size: side of the pictures, 16 to 2048 px.
        canonicalise: see :func:`draw`.
        workers: processes that draw; None = one for each core that the run may use.
        seconds: that one molecule may take, > 0.
        standardise: see :func:`draw`.

    Raises:
        ConfigError: ``size``, ``workers`` or ``seconds`` is out of range.
        DataError: a drawing process cannot even start.
    """
    check_size(size)
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be at least 1, found {workers}")
    if not seconds > 0:
        raise ConfigError(f"the time limit must be > 0 s, found {seconds}")
    return _draw_all(
        iter(texts), workers or granted_cores(), _DrawingTask(size, canonicalise, seconds, standardise)
    )


def serve(size: int, canonicalise: bool, seconds: float, standardise: dict[str, bool]) -> None:
    """Draw what stdin asks for until it ends: the body of a drawing process.

    The first line that it writes says that it is ready. A request is a line of JSON, a list of strings. The
    answer is, for every string, a line of JSON ``[status, reason, smiles, bytes]`` and then so many bytes.
    Where nobody reads any more, because the caller was killed, it ends without a word.
    """
    steps, out = Standardisation(**standardise), sys.stdout.buffer
    try:
        out.write(READY)
        out.flush()
        for text in (text for line in sys.stdin for text in json.loads(line)):
            _die_after(2 * seconds + 1)  # nobody is left to stop it when the caller was killed
            drawn = draw(text, size, canonicalise=canonicalise, standardise=steps)
            _die_after(0)
            head = json.dumps([drawn.status, drawn.reason, drawn.smiles, len(drawn.frame)])
            out.write(head.encode() + b"\n" + drawn.frame)
            out.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing left to flush at exit


def _die_after(seconds: float) -> None:
    """Let the system end this process after a while; 0 takes it back. It works inside C++ as well."""
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.setitimer(signal.ITIMER_REAL, seconds)


@dataclass(frozen=True, slots=True)
class _DrawingTask:
    """What a drawing process does with a string."""

    size: int
    canonicalise: bool
    seconds: float
    standardise: Standardisation


def _draw_all(texts: Iterator[str], workers: int, task: _DrawingTask) -> Iterator[RenderResult]:
    """Hand chunks to the processes, a few ahead, and collect the answers in order."""
    waiting: deque[Future[list[RenderResult]]] = deque()
    with _Processes(workers, task) as processes, ThreadPoolExecutor(workers) as pool:
        try:
            while chunk := list(islice(texts, CHUNK)):
                waiting.append(pool.submit(processes.draw, chunk))
                if len(waiting) > 2 * workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:  # an interrupt, or nobody wants the rest
            processes.close()
            pool.shutdown(wait=True, cancel_futures=True)


class _Processes:
    """Drawing processes, and a thread that ends those that take too long."""

    def __init__(self, count: int, task: _DrawingTask) -> None:
        self.all = [_Process(task) for _ in range(count)]
        self.free: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        for process in self.all:
            self.free.put(process)
        self.closed = threading.Event()
        self.watch = threading.Thread(target=self._watch, name="drawing-watch", daemon=True)

    def __enter__(self) -> _Processes:
        self.watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self.watch.join()
        for process in self.all:  # their threads have ended: the pool is left first
            process.reap()

    def close(self) -> None:
        """End all processes; they have nothing to save."""
        self.closed.set()
        for process in self.all:
            process.close()

    def draw(self, texts: Sequence[str]) -> list[RenderResult]:
        """What became of every string."""
        process = self.free.get()
        try:
            return process.draw(texts)
        finally:
            self.free.put(process)

    def _watch(self) -> None:
        while not self.closed.wait(0.1):
            for process in self.all:
                process.end_if_late()


class _Process:
    """One drawing process, replaced when it ends.

    A molecule is to blame when the process has ended twice at it: the first time somebody else, such as a
    system short of memory, may have killed it.
    """

    def __init__(self, task: _DrawingTask) -> None:
        self.task = task
        self.child: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()
        self.deadline: float | None = None
        self.late = False
        self.closed = False

    def draw(self, texts: Sequence[str]) -> list[RenderResult]:
        """What became of every string; one that ends the process is ``unsupported``."""
        results: list[RenderResult] = []
        ended_at = -1  # the molecule at which the last process ended
        while len(results) < len(texts):
            rest = texts[len(results) :]
            self._start()
            self._send(rest)
            for _ in rest:
                answer = self._receive()
                if answer is None:
                    lost, again = self._lost(), self.late or ended_at == len(results)
                    ended_at = len(results)
                    if again:
                        results.append(lost)
                    break
                results.append(answer)
        return results

    def end_if_late(self) -> None:
        """Kill the child if its molecule has had its time."""
        with self.lock:
            if self.child is not None and self.deadline is not None and time.monotonic() > self.deadline:
                self.late, self.deadline = True, None
                self.child.kill()

    def close(self) -> None:
        """Kill the child for good."""
        with self.lock:
            self.closed = True
            if self.child is not None:
                self.child.kill()

    def reap(self) -> int:
        """Wait for a child that is ending; its exit code."""
        with self.lock:
            child, self.child, self.deadline = self.child, None, None
        if child is None:
            return 0
        assert child.stdin is not None and child.stdout is not None
        code = child.wait()
        with contextlib.suppress(BrokenPipeError):  # a request that it never read
            child.stdin.close()
        child.stdout.close()
        return code

    def _start(self, again: int = RESTARTS) -> None:
        """Have a child that is ready; one that somebody kills before that is replaced, some times."""
        with self.lock:
            if self.closed:
                raise DataError("drawing was stopped")
            if self.child is not None:
                return
            path = json.dumps([str(entry) for entry in sys.path])
            self.child = subprocess.Popen(
                [sys.executable, "-c", CHILD, path, json.dumps(asdict(self.task))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for this process, which then ends its children
            )
            child, self.late, self.deadline = self.child, False, time.monotonic() + STARTING
        assert child.stdout is not None
        if child.stdout.readline() == READY:
            return
        code = self.reap()
        if self.closed:
            raise DataError("drawing was stopped")
        if code < 0 and not self.late and again:
            self._start(again - 1)
            return
        what = f"was not ready after {STARTING:g} s" if self.late else f"ended with code {code} at its start"
        raise DataError(
            f"a drawing process {what}; does "
            f"`{sys.executable} -c 'import molweight.images.drawing_processes'` work?"
        )

    def _send(self, texts: Sequence[str]) -> None:
        assert self.child is not None and self.child.stdin is not None
        self._set_deadline()
        with contextlib.suppress(BrokenPipeError):  # the child is gone: no answer will say so
            self.child.stdin.write(json.dumps(list(texts)).encode() + b"\n")
            self.child.stdin.flush()

    def _receive(self) -> RenderResult | None:
        """The next answer, or None when the child is gone."""
        assert self.child is not None and self.child.stdout is not None
        line = self.child.stdout.readline()
        if not line.endswith(b"\n"):
            return None
        status, reason, smiles, length = json.loads(line)
        frame = self.child.stdout.read(length)
        if len(frame) != length:
            return None
        self._set_deadline()
        return RenderResult(status, reason, smiles, frame)

    def _set_deadline(self) -> None:
        with self.lock:
            self.deadline = time.monotonic() + self.task.seconds

    def _lost(self) -> RenderResult:
        """The child is gone, and its molecule is to blame, unless it was told to end."""
        code = self.reap()
        if self.closed:
            raise DataError("drawing was stopped")
        if self.late:
            return RenderResult("unsupported", f"took longer than {self.task.seconds:g} s to draw")
        return RenderResult("unsupported", f"ended the process that drew it (code {code})")
