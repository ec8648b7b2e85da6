"""Signals: the first one asks and saves, the second one leaves, and the handlers come back."""

from __future__ import annotations

import os
import signal
import threading
from types import SimpleNamespace

import pytest
import torch

from molweight.methods import steps
from molweight.methods.run_directory import RunDirectory
from molweight.tapweight.solver import StepRecord
from molweight.utils.signals import WATCHED, Interrupted, interruptible, stop_if_asked

CODES = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)]


def send(number):
    os.kill(os.getpid(), number)
    signal.getsignal(number)  # the handler runs between two instructions of the main thread


@pytest.fixture(autouse=True)
def handlers_are_restored():
    """Every test leaves the handlers and the list of requests as it found them."""
    before = [signal.getsignal(number) for number in WATCHED]
    yield
    assert [signal.getsignal(number) for number in WATCHED] == before
    stop_if_asked(lambda: pytest.fail("a request was left behind"))


@pytest.mark.parametrize(("number", "code"), CODES)
def test_the_first_signal_finishes_the_step_and_saves(number, code):
    done = []
    with pytest.raises(Interrupted, match=signal.Signals(number).name) as caught, interruptible():
        stop_if_asked(lambda: done.append("too early"))
        send(number)
        done.append("rest of the step")
        stop_if_asked(lambda: done.append("saved"))
        done.append("too late")
    assert done == ["rest of the step", "saved"]
    assert caught.value.exit_code == code


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_second_signal_leaves_at_once(number, code):
    done = []
    with pytest.raises(Interrupted) as caught, interruptible():
        send(signal.SIGINT)
        done.append("asked")
        send(number)
        done.append("too late")
    assert done == ["asked"] and caught.value.exit_code == code


def test_a_request_that_no_step_has_seen_is_kept_until_the_end():
    with pytest.raises(Interrupted) as caught, interruptible():
        send(signal.SIGTERM)
    assert caught.value.exit_code == 143


def test_nothing_happens_without_a_signal():
    with interruptible():
        stop_if_asked(lambda: pytest.fail("nobody asked"))


def test_an_error_inside_passes_and_the_request_is_forgotten():
    with pytest.raises(ZeroDivisionError), interruptible():
        send(signal.SIGTERM)
        raise ZeroDivisionError


def test_a_save_that_fails_is_not_hidden():
    def save():
        raise OSError("full")

    with pytest.raises(OSError, match="full"), interruptible():
        send(signal.SIGTERM)
        stop_if_asked(save)


def test_other_threads_may_run_without_handlers():
    seen = []

    def work():
        with interruptible():
            seen.append([signal.getsignal(number) for number in WATCHED])

    before = [signal.getsignal(number) for number in WATCHED]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


class Counter:
    """A trainer that counts, and is sent a signal in one of its steps."""

    device, trained, count = torch.device("cpu"), (), 0

    def __init__(self, asked):
        self.asked = asked

    def step(self):
        self.count += 1
        if self.count == self.asked:
            send(signal.SIGTERM)
        found = dict.fromkeys(StepRecord.__dataclass_fields__)
        return StepRecord(**found | {"step": self.count, "weights": {"a": 1.0}, "losses": {"a": 0.5}})

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


@pytest.mark.parametrize(("asked", "saved"), [(4, [2, 4]), (3, [2, 3])])
def test_a_signal_at_a_checkpoint_saves_once(asked, saved, tmp_path, monkeypatch):
    written, honest = [], steps.save_checkpoint
    monkeypatch.setattr(steps, "save_checkpoint", lambda *a, **k: written.append(a[1]) or honest(*a, **k))
    config = SimpleNamespace(learn=SimpleNamespace(checkpoint_every=2))
    directory, trainer = RunDirectory(tmp_path), Counter(asked)
    with pytest.raises(Interrupted), interruptible():
        steps.run_steps(trainer, config, directory, steps=6, what="", progress=False)
    assert written == saved and trainer.count == asked
    again = Counter(0)
    steps.run_steps(again, config, directory, steps=6, what="", progress=False)
    assert written == [*saved, *(step for step in (4, 6) if step > asked)] and again.count == 6
    assert [record["step"] for record in directory.records()] == list(range(1, 7))
