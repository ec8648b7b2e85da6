"""Workers: threads that end with their block whatever happens, and keep out of the model's way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from molweight.errors import ConfigError
from molweight.training import workers as module
from molweight.training.workers import DeviceTransfer, Workers, choose_workers
from molweight.utils.machine import cores
from molweight.utils.signals import Interrupted, interruptible

PATIENCE = 60  # seconds, for an interpreter that imports torch on a busy machine


@pytest.fixture(autouse=True)
def no_thread_is_left():
    """Every test ends with the threads and the thread number that it began with."""
    before, number = set(threading.enumerate()), torch.get_num_threads()
    yield
    assert set(threading.enumerate()) == before
    assert torch.get_num_threads() == number


def own():
    return [thread for thread in threading.enumerate() if thread.name.startswith("molweight-batches")]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_threads_live_as_long_as_the_block(count):
    with Workers(count) as workers:
        assert len(own()) == count and workers.ahead == (count + 1 if count else 0)
    assert own() == [] and workers.ahead == 0


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_threads_end_when_the_block_is_left_by_an_error(error):
    started, release = threading.Event(), threading.Event()

    def slow():
        started.set()
        release.wait(PATIENCE)
        return {}

    with pytest.raises(error), Workers(1) as workers:
        under_way, waiting = workers.submit(slow), workers.submit(slow)
        started.wait(PATIENCE)
        release.set()
        started.clear()
        raise error
    assert under_way.done() and waiting.done()
    assert own() == []


def test_what_has_not_begun_is_cancelled():
    started, release, done = threading.Event(), threading.Event(), []

    def slow():
        started.set()
        release.wait(PATIENCE)
        done.append(1)
        return {}

    with Workers(1) as workers:
        futures = [workers.submit(slow) for _ in range(5)]
        started.wait(PATIENCE)
        threading.Timer(0.1, release.set).start()
    assert done == [1] and all(future.cancelled() for future in futures[1:])
    while threading.active_count() > 1 and any(isinstance(t, threading.Timer) for t in threading.enumerate()):
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_while_waiting_for_a_batch_leaves_at_once(number):
    release = threading.Event()
    with pytest.raises(Interrupted) as caught, interruptible(), Workers(1) as workers:
        future = workers.submit(lambda: {"never": release.wait(PATIENCE)})
        os.kill(os.getpid(), number)
        threading.Timer(0.2, os.kill, (os.getpid(), number)).start()
        try:
            future.result()
        finally:
            release.set()
    assert caught.value.exit_code == 128 + number


def test_a_start_that_is_cut_short_leaves_no_thread(monkeypatch):
    class Interrupting(threading.Barrier):
        def wait(self, timeout=None):
            if threading.current_thread() is threading.main_thread():
                raise KeyboardInterrupt
            return super().wait(timeout)

    monkeypatch.setattr(module.threading, "Barrier", Interrupting)
    with pytest.raises(KeyboardInterrupt), Workers(3):
        pytest.fail("not reached")


def test_workers_run_torch_on_one_thread_and_the_caller_keeps_its_own():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with Workers(2) as workers:
            inside = [workers.submit(lambda: {"n": torch.tensor(torch.get_num_threads())}) for _ in range(8)]
            assert {int(future.result()["n"]) for future in inside} == {1}
            assert torch.get_num_threads() == 3
            later = []
            thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
            thread.start()
            thread.join()
            assert later == [3], "threads that start later are not held to one"
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("ending", ["", "raise SystemExit(3)", "raise ValueError", "os.kill(os.getpid(), 2)"])
def test_an_interpreter_ends_though_a_block_was_never_left(ending):
    """As in a notebook or after an error in a debugger; a batch is under way and others wait."""
    program = f"""
import os, signal, time, torch
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
from molweight.training.streams import Stream
from molweight.training.workers import Workers
def fetch(positions, draws):
    time.sleep(0.05)
    return {{"x": draws.uniform("x")}}
workers = Workers(2).__enter__()
stream = Stream(fetch, torch.arange(100), batch_size=5, seed=0, name="train", workers=workers)
stream.next()
print("read", flush=True)
{ending}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "read\n"
    expected = {"": 0, "raise SystemExit(3)": 3, "raise ValueError": 1}.get(ending, -signal.SIGINT)
    assert done.returncode == expected, done.stderr


def test_the_number_is_chosen_from_what_the_model_leaves_free(monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda:1")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    for machine, on_cpu, on_gpu in ((1, 1, 1), (2, 1, 1), (4, 2, 3), (5, 3, 4), (64, 4, 4)):
        monkeypatch.setattr(module, "cores", lambda machine=machine: machine)
        assert choose_workers(None, cpu) == on_cpu
        assert choose_workers(None, gpu) == on_gpu
        assert choose_workers(0, cpu) == 0 and choose_workers(9, gpu) == 9
    monkeypatch.undo()
    assert 1 <= cores() <= os.cpu_count()


def test_fewer_than_none_are_refused():
    with pytest.raises(ConfigError, match="must be >= 0, got -1"):
        Workers(-1)


class Doubled:
    """A last step that notes the devices it was asked for."""

    def __init__(self):
        self.devices = []

    def __call__(self, batch):
        self.devices += [value.device.type for value in batch.values()]
        return {name: value * 2 for name, value in batch.items()}


def test_on_another_device_a_batch_is_finished_after_the_transfer():
    finish = Doubled()
    transfer = DeviceTransfer(device=torch.device("meta"), finish=finish)
    prepared = transfer.prepare({"x": torch.ones(2)})
    assert torch.equal(prepared["x"], torch.ones(2)) and finish.devices == []
    assert transfer.to_device(prepared)["x"].device.type == "meta" and finish.devices == ["meta"]


def test_a_nested_batch_moves_with_all_its_tensors():
    transfer = DeviceTransfer(device=torch.device("meta"), finish=lambda batch: batch)
    moved = transfer.to_device(transfer.prepare({"views": {"plain": torch.ones(2)}, "y": torch.ones(2)}))
    assert moved["views"]["plain"].device.type == moved["y"].device.type == "meta"


def test_on_a_cpu_a_batch_is_finished_once_and_passed_on():
    transfer = DeviceTransfer(device=torch.device("cpu"), finish=Doubled())
    assert torch.equal(transfer.to_device(transfer.prepare({"x": torch.ones(2)}))["x"], 2 * torch.ones(2))


def test_for_cuda_batches_are_pinned_and_sent_without_waiting(monkeypatch):
    """The calls that a CUDA machine would see; there is none here to make them."""
    calls = []

    def to(tensor, device, *, non_blocking):
        calls.append((device.type, non_blocking))
        return tensor

    def pin_memory(tensor):
        calls.append("pinned")
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin_memory)
    monkeypatch.setattr(torch.Tensor, "to", to)
    transfer = DeviceTransfer(device=torch.device("cuda"), finish=Doubled())
    prepared = transfer.prepare({"x": torch.ones(2)})
    assert calls == ["pinned"]
    assert torch.equal(transfer.to_device(prepared)["x"], 2 * torch.ones(2))
    assert calls == ["pinned", ("cuda", True)]


def test_labels_stay_where_float64_is_known():
    """MPS does not know it; there is none here, and nothing is sent to it."""
    batch = {"targets": torch.ones(2, 1, dtype=torch.float64)}
    there = DeviceTransfer(device=torch.device("mps"), finish=lambda batch: batch)
    assert there.to_device(there.prepare(batch))["targets"] is batch["targets"]
