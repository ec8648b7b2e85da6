"""Stopping on request: the first signal finishes the step and saves, a second one leaves at once.

And what a crash in native code leaves behind.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

WATCHED = (
    signal.SIGINT,
    signal.SIGTERM,
    *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else []),  # schedulers warn with it; Windows has none
)

TOGETHER = 2.0
"""Seconds in which signals under torchrun are one request: it repeats what the terminal has sent already."""

_pending: list[int] = []  # the signal that asked to stop, while a run is in progress


class Interrupted(Exception):  # noqa: N818 - not an error
    """A run stopped because a signal asked for it; it can be continued.

    Args:
        number: of the signal; the exit code is 128 more.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn signals into requests inside; put the previous handlers back on leaving."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python allows handlers in the main thread only
        return

    first = 0.0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if _pending and not ("TORCHELASTIC_RUN_ID" in os.environ and time.monotonic() - first < TOGETHER):
            raise Interrupted(number)
        if not _pending:
            first = time.monotonic()
            request(number)

    previous = {number: signal.signal(number, ask) for number in WATCHED}
    try:
        yield
        stop_if_asked()
    finally:
        _pending.clear()
        for number, handler in previous.items():
            signal.signal(number, handler)


def requested() -> int:
    """The signal that has asked to stop, or 0."""
    return _pending[0] if _pending else 0


def request(number: int) -> None:
    """Ask to stop, as a signal does; 0 asks nothing."""
    if number and not _pending:
        _pending.append(number)


def stop_if_asked(save: Callable[[], None] | None = None) -> None:
    """Between two steps: if a signal came, save and raise :class:`Interrupted`."""
    if _pending:
        if save is not None:
            save()
        raise Interrupted(_pending[0])


@contextmanager
def crash_log(path: Path) -> Iterator[None]:
    """Where the Python stack goes if native code crashes inside; a file that stays empty is removed.

    Nothing changes where something else, such as pytest or ``python -X faulthandler``, receives it already.
    """
    with ExitStack() as stack:
        if not faulthandler.is_enabled():
            with suppress(OSError):  # a full disk is reported by what must be written
                file = stack.enter_context(path.open("a"))
                faulthandler.enable(file)
                stack.callback(faulthandler.disable)
        yield
    with suppress(OSError):
        if path.stat().st_size == 0:
            path.unlink()
