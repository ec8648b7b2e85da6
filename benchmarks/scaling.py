"""One process against two on this machine, and what that says of eight GPUs and ten million molecules.

    python -m benchmarks.scaling [--rounds 3] [--output benchmarks/scaling.md]

Every process has one torch thread, batches are the same whole ones, and both take turns, so that a busy
machine slows both. Messages and bytes are counted; the price of a message and of a byte is that of gloo over
the loopback address, taken from tensors of two sizes. The model is

    seconds of a level-1 step = computing / processes + messages * latency + bytes * (seconds a byte)

and is compared with the measurement before it is used for other machines, whose numbers are assumptions.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from molweight.config.image_run import load_config
from molweight.distributed.batch_norm import share_statistics
from molweight.distributed.collectives import all_reduce_mean, world_size
from molweight.distributed.launch import main_process_first, processes, rank_seed
from molweight.methods.tapweight import wire
from molweight.tapweight.engines import make_solver

OPTIONS = ("device=cpu", "corpus.limit=6000", "learn.burn_in=0", "workers=0", "run_dir=x")
NETWORKS = {
    "tiny": ("backbone=tiny",),
    "resnet18, 64 px": (
        *("backbone=resnet18", "backbone.init=random", "backbone.image_size=64"),
        "learn.unroll.every=2",  # a tenth of the time; level 3 weighs five times as much
    ),
}
CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Assumptions about a machine that is not here."""

    name: str
    processes: int
    images: float  # a second and process, level 1 with all views, forwards and backwards
    latency: float  # s, of a message among all processes
    bandwidth: float  # bytes a second between two of them


GPUS = Machine(name="eight A100 with NVLink", processes=8, images=900, latency=40e-6, bandwidth=100e9)
NODES = Machine(
    name="eight A100 in eight machines, 10 Gbit/s", processes=8, images=900, latency=150e-6, bandwidth=1e9
)
MOLECULES, BATCH, PARAMETERS = 10_000_000, 1536, 11.2e6  # ImageMol's corpus, TapWeight's batch, ResNet-18


class Counter:
    """Counts messages and the bytes that a process sends in them."""

    def __init__(self) -> None:
        self.messages, self.bytes = 0, 0.0

    def __enter__(self) -> Counter:
        self.kept = dist.all_gather, dist.all_to_all_single
        dist.all_gather = self.counted(dist.all_gather, lambda out, x: (world_size() - 1) * size(x))
        dist.all_to_all_single = self.counted(
            dist.all_to_all_single, lambda out, x: (world_size() - 1) / world_size() * size(x)
        )
        return self

    def __exit__(self, *error: object) -> None:
        dist.all_gather, dist.all_to_all_single = self.kept

    def counted(self, call: Callable[..., None], sent: Callable[..., float]) -> Callable[..., None]:
        """The call, counted."""

        def counting(*tensors: torch.Tensor) -> None:
            self.messages += 1
            self.bytes += sent(*tensors)
            call(*tensors)

        return counting


def size(x: torch.Tensor) -> int:
    """Bytes of a tensor."""
    return x.numel() * x.element_size()


def work(network: str, rounds: int) -> None:
    """What each process does: outer steps, then messages of two sizes; the one that leads prints."""
    torch.set_num_threads(1)
    with processes("cpu"), tempfile.TemporaryDirectory() as folder:
        config = load_config(*OPTIONS, *NETWORKS[network])
        with main_process_first(CPU):
            setup = config.samples.prepare(
                run_dir=Path(folder), device=CPU, labelled=None, unlabelled=None, progress=False
            )
        if world_size() > 1:
            share_statistics(setup.pretraining)
        torch.manual_seed(rank_seed(0))
        learn = config.learn
        levels = wire(setup, config)
        solver = make_solver(
            "native", levels, config.hypergradient, unroll=learn.unroll, averaging=learn.averaging
        )
        with Counter() as sent:
            solver.step()
        steps = [timed(solver.step) / learn.unroll.every for _ in range(rounds)]
        found = {
            "steps": steps,
            "messages": sent.messages / learn.unroll.every,
            "bytes": sent.bytes / learn.unroll.every,
            "parameters": sum(p.numel() for p in levels.pretrain.parameters),
            "small": statistics.median(
                timed(lambda: all_reduce_mean((torch.zeros(8),))) / 2 for _ in range(200)
            ),
            "large": statistics.median(
                timed(lambda: all_reduce_mean((torch.zeros(2_000_000),))) for _ in range(20)
            ),
        }
        if "RANK" not in os.environ or os.environ["RANK"] == "0":
            print(json.dumps(found))


def timed(job: Callable[[], object]) -> float:
    """Seconds of a job."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def launched(count: int, network: str) -> dict[str, Any]:
    """What ``count`` processes find."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    started = []
    for rank in range(count):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "OMP_NUM_THREADS": "1"}
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        command = [sys.executable, "-m", "benchmarks.scaling", "--work", network]
        started.append(
            subprocess.Popen(
                command, env={**os.environ, **place, **address}, stdout=subprocess.PIPE, text=True
            )
        )
    said = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit("a process has failed")
    found: dict[str, Any] = json.loads(said[0].splitlines()[-1])
    return found


def predicted(machine: Machine, messages: float) -> tuple[float, float]:
    """Seconds of a level-1 step, and the share of it in which the processes exchange."""
    computing = BATCH / machine.processes / machine.images
    # levels 1 and 2: each process sends what it does not keep of the gradients, and the sums
    sent = 2 * 2 * 4 * PARAMETERS * (machine.processes - 1) / machine.processes
    exchanging = messages * machine.latency + sent / machine.bandwidth
    return computing + exchanging, exchanging / (computing + exchanging)


def rows(found: dict[str, dict[str, Any]]) -> list[str]:
    """A line of the page for each network."""
    lines = []
    for name, values in found.items():
        one, two = values["one"], values["two"]
        latency, messages, sent = (float(values[key]) for key in ("small", "messages", "bytes"))
        byte = max(float(values["large"]) - 2 * latency, 0.0) / (4 * 2_000_000)
        exchange = messages * latency + sent * byte
        alone, together = statistics.median(one), statistics.median(two)
        ratios = sorted(a / b for a, b in zip(one, two, strict=True))
        lines.append(
            f"| {name} | {alone:.2f} | {together:.2f} | {statistics.median(ratios):.2f} ({ratios[0]:.2f} to "
            f"{ratios[-1]:.2f}) | {messages:.0f} | {sent / 1e6:.0f} | {1e3 * latency:.2f} "
            f"| {alone / 2 + exchange:.2f} |"
        )
    return lines


def report(found: dict[str, dict[str, Any]], rounds: int) -> list[str]:
    """The page."""
    messages = max(float(values["messages"]) for values in found.values())
    lines = [
        "# One process against several",
        "",
        f"Written by `python -m benchmarks.scaling --rounds {rounds}`: batches of 128 and 64, seven",
        "objectives, `hypergradient=diagonal`, BatchNorm over the whole batch, one torch thread a process,",
        "gloo on the loopback address; seconds of a level-1 step with its share of levels 2 and 3, medians",
        "and the range of the ratios.",
        f"torch {torch.__version__.split('+')[0]}.",
        "",
        "| network | one process | two | faster by | messages | MB | ms a message | two, by the model |",
        "|---|---|---|---|---|---|---|---|",
        *rows(found),
        "",
        "Messages and MB are of a step. The model takes the latency of a message between two processes that",
        "do nothing else. While they compute, one waits for the other at every BatchNorm and has to wake,",
        "so messages cost more: a small network on CPUs gains nothing from a second process.",
        "",
        "## Elsewhere, by the model",
        "",
        f"{MOLECULES:,} molecules, batches of {BATCH}, ResNet-18 at 224 px ({PARAMETERS / 1e6:.1f} million",
        f"parameters), {messages:.0f} messages a level-1 step. **Assumed, not measured:** images a",
        "second and process, latency of a message, bandwidth.",
        "",
        "| machine | images/s a process | latency, μs | GB/s | level-1 step, s | exchanging | an epoch, h |",
        "|---|---|---|---|---|---|---|",
    ]
    for machine in (GPUS, NODES):
        step, share = predicted(machine, messages)
        hours = step * MOLECULES / BATCH / 3600
        speed = f"{machine.images:.0f} | {1e6 * machine.latency:.0f} | {machine.bandwidth / 1e9:.0f}"
        lines.append(f"| {machine.name} | {speed} | {step:.2f} | {share:.0%} | {hours:.1f} |")
    return [*lines, ""]


def main() -> None:
    """Measure, print and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("scaling.md"))
    parser.add_argument("--work", choices=NETWORKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, 1)
        return
    found: dict[str, dict[str, Any]] = {name: {"one": [], "two": []} for name in NETWORKS}
    for _ in range(options.rounds):
        for name, values in found.items():
            values["one"] += launched(1, name)["steps"]
            together = launched(2, name)
            values["two"] += together["steps"]
            values |= together
    page = report(found, options.rounds)
    options.output.write_text("\n".join(page))
    print("\n".join(page))


if __name__ == "__main__":
    main()
