"""One run on several processes, as ``torchrun`` starts them: who leads, who waits, and that all agree."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from molweight.distributed.collectives import differ, from_all, is_main_process, rank, world_size
from molweight.distributed.devices import choose_device
from molweight.errors import ConfigError, DataError, MolweightError, option
from molweight.utils import signals
from molweight.utils.seeds import derived_seed

logger = logging.getLogger(__name__)

PATIENCE = timedelta(days=1)  # the first process may draw millions of pictures while the others wait
FAILED = 1  # exit code of a process that stops because the one that leads has


class LeaderFailedError(MolweightError):
    """The process that leads has stopped, and has said why.

    Args:
        exit_code: its own.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__("the process that leads has stopped")
        self.exit_code = exit_code


def asked_for() -> int:
    """How many processes the launcher has started for this run."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def launched_rank() -> int:
    """This process's number among those of the launcher, before and after they have joined."""
    return int(os.environ["RANK"]) if asked_for() > 1 else 0


@contextmanager
def processes(device: str) -> Iterator[torch.device]:
    """Join the processes that ``torchrun`` has started, if it has; the device of this one.

    Alone, and under ``torchrun --nproc_per_node 1``, nothing is joined and nothing communicates.

    Args:
        device: as in the configuration; ``auto`` and ``cuda`` give every process a GPU of its own.

    Raises:
        ConfigError: the device cannot be shared out, or this torch cannot communicate.
    """
    if asked_for() == 1 or dist.is_initialized():
        yield rank_device(device)
        return
    if not dist.is_available():
        raise ConfigError("this build of torch has no torch.distributed: run without torchrun")
    chosen = rank_device(device)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield chosen
    finally:
        with suppress(RuntimeError):  # the others may be gone
            dist.destroy_process_group()


def rank_device(name: str) -> torch.device:
    """The device of this process.

    Raises:
        ConfigError: one GPU is named for several processes, or there are fewer GPUs than processes.
    """
    chosen = choose_device(name)
    if asked_for() == 1 or chosen.type == "cpu":
        return chosen
    if chosen.type != "cuda" or ":" in name:
        raise ConfigError(
            f"{name} cannot serve {asked_for()} processes",
            option="device",
            hint=f"use {option('device', 'cuda')} or {option('device', 'cpu')}",
        )
    local_rank, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local_rank >= gpus:
        raise ConfigError(
            f"{asked_for()} processes were started and this machine has {gpus} GPUs",
            hint=f"start fewer processes, or use {option('device', 'cpu')}",
        )
    return torch.device("cuda", local_rank)


def broadcast(value: str) -> str:
    """A text of the process that leads."""
    box = [value]
    if world_size() > 1:
        dist.broadcast_object_list(box, src=0)
    return box[0]


@contextmanager
def main_process_first(device: torch.device) -> Iterator[None]:
    """The body in the process that leads, then in the others; where it fails there, they stop too.

    Raises:
        LeaderFailedError: in the others.
    """
    if world_size() == 1:
        yield
        return
    if not is_main_process():
        if code := from_all(0, device)[0]:
            raise LeaderFailedError(code)
        yield
        return
    code = 0
    try:
        yield
    except BaseException as error:
        code = getattr(error, "exit_code", FAILED)
        raise
    finally:
        from_all(code, device)


def barrier(device: torch.device) -> None:
    """Go on when every process has come here."""
    if world_size() > 1:
        from_all(0, device)


def stop_together(save: Callable[[], None] | None = None, *, device: torch.device) -> None:
    """Between two steps: if any process was asked to stop, all save and stop after the same step."""
    if world_size() > 1:
        signals.request(max(from_all(signals.requested(), device)))
    signals.stop_if_asked(save)


@contextmanager
def rank_dir(shared: Path) -> Iterator[Path]:
    """The folder to write into: the run's for the process that leads, one to throw away for the others."""
    if is_main_process():
        yield shared
        return
    with tempfile.TemporaryDirectory(prefix="molweight-") as folder:
        yield Path(folder)


def rank_seed(seed: int) -> int:
    """Of dropout, which every process draws for its own samples; the run's seed where there is one."""
    return seed if is_main_process() else derived_seed(seed, "process", rank()) >> 1


def require_same(module: nn.Module, what: str) -> None:
    """Insist that every process holds the same parameters and statistics.

    Raises:
        DataError: they do not, so going on would train several models.
    """
    state = module.state_dict().values()
    if differ(tuple(value for value in state if isinstance(value, torch.Tensor))):  # and not an optimiser's
        raise DataError(
            f"the processes of this run do not agree on {what}: they need the same files, the same packages "
            "and one kind of processor"
        )
