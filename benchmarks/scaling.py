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

import torch
import torch.distributed as dist

from molweight.config import load_config
from molweight.stages.three_levels import wire
from molweight.tapweight.batch_norm import share_statistics
from molweight.tapweight.engines import make_solver
from molweight.tapweight.processes import mean, world_size
from molweight.training.distributed import leader_first, own_seed, processes

OPTIONS = ("backbone=tiny", "device=cpu", "corpus.limit=6000", "learn.burn_in=0", "workers=0", "run_dir=x")
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


def work(rounds: int) -> None:
    """What each process does: outer steps, then messages of two sizes; the one that leads prints."""
    torch.set_num_threads(1)
    with processes("cpu"), tempfile.TemporaryDirectory() as folder:
        config = load_config(*OPTIONS)
        with leader_first(CPU):
            setup = config.samples.prepare(
                run_dir=Path(folder), device=CPU, labelled=None, unlabelled=None, progress=False
            )
        if world_size() > 1:
            share_statistics(setup.pretraining)
        torch.manual_seed(own_seed(0))
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
            "small": statistics.median(timed(lambda: mean((torch.zeros(8),))) / 2 for _ in range(200)),
            "large": statistics.median(timed(lambda: mean((torch.zeros(2_000_000),))) for _ in range(20)),
        }
        if "RANK" not in os.environ or os.environ["RANK"] == "0":
            print(json.dumps(found))


def timed(job: Callable[[], object]) -> float:
    """Seconds of a job."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def launched(count: int, rounds: int) -> dict[str, float]:
    """What ``count`` processes find."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    started = []
    for rank in range(count):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "OMP_NUM_THREADS": "1"}
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        command = [sys.executable, "-m", "benchmarks.scaling", "--work", "--rounds", str(rounds)]
        started.append(
            subprocess.Popen(
                command, env={**os.environ, **place, **address}, stdout=subprocess.PIPE, text=True
            )
        )
    said = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit("a process has failed")
    found: dict[str, float] = json.loads(said[0].splitlines()[-1])
    return found


def predicted(machine: Machine, messages: float) -> tuple[float, float]:
    """Seconds of a level-1 step, and the share of it in which the processes exchange."""
    computing = BATCH / machine.processes / machine.images
    # levels 1 and 2: each process sends what it does not keep of the gradients, and the sums
    sent = 2 * 2 * 4 * PARAMETERS * (machine.processes - 1) / machine.processes
    exchanging = messages * machine.latency + sent / machine.bandwidth
    return computing + exchanging, exchanging / (computing + exchanging)


def report(one: list[float], two: list[float], found: dict[str, float], rounds: int) -> list[str]:
    """The page."""
    latency = found["small"]
    byte = max(found["large"] - 2 * latency, 0.0) / (4 * 2_000_000)  # a half there, a half back
    exchange = found["messages"] * latency + found["bytes"] * byte
    alone, together = statistics.median(one), statistics.median(two)
    ratios = sorted(a / b for a, b in zip(one, two, strict=True))
    lines = [
        "# One process against several",
        "",
        f"Written by `python -m benchmarks.scaling --rounds {rounds}`: `backbone=tiny`, batches of 128 and",
        "64, seven objectives, `hypergradient=diagonal`, BatchNorm over the whole batch, one thread each,",
        f"gloo; level-1 steps with their shares of levels 2 and 3. torch {torch.__version__.split('+')[0]}.",
        "",
        "| | |",
        "|---|---|",
        f"| one process, s a level-1 step | {alone:.3f} |",
        f"| two processes, same whole batches | {together:.3f} |",
        f"| faster by (median and range of {rounds} rounds) | {statistics.median(ratios):.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f}) |",
        f"| messages and MB, a level-1 step | {found['messages']:.0f}, {found['bytes'] / 1e6:.1f} |",
        f"| latency of a message, ms; MB a second | {1e3 * latency:.2f}, {1e-6 / max(byte, 1e-12):.0f} |",
        f"| exchanging by these, s (the model says {alone / 2 + exchange:.3f} in all) | {exchange:.3f} |",
        "",
        "What two processes lose beside the exchange is BatchNorm, which is fused where there is one process",
        "and written in tensor operations where it needs second derivatives through a message.",
        "",
        "## Elsewhere, by the model",
        "",
        f"{MOLECULES:,} molecules, batches of {BATCH}, ResNet-18 at 224 px ({PARAMETERS / 1e6:.1f} million",
        f"parameters), {found['messages']:.0f} messages a level-1 step. **Assumed, not measured:** images",
        "a second and process, latency of a message, bandwidth.",
        "",
        "| machine | images/s a process | latency, μs | GB/s | level-1 step, s | exchanging | an epoch, h |",
        "|---|---|---|---|---|---|---|",
    ]
    for machine in (GPUS, NODES):
        step, share = predicted(machine, found["messages"])
        hours = step * MOLECULES / BATCH / 3600
        speed = f"{machine.images:.0f} | {1e6 * machine.latency:.0f} | {machine.bandwidth / 1e9:.0f}"
        lines.append(f"| {machine.name} | {speed} | {step:.2f} | {share:.0%} | {hours:.1f} |")
    return [*lines, ""]


def main() -> None:
    """Measure, print and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("scaling.md"))
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(1)
        return
    one, two = [], []
    for _ in range(options.rounds):
        one += launched(1, 1)["steps"]
        found = launched(2, 1)
        two += found["steps"]
    page = report(one, two, found, options.rounds)
    options.output.write_text("\n".join(page))
    print("\n".join(page))


if __name__ == "__main__":
    main()
