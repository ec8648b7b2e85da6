"""How long the model waits for its batches: level-1 steps without and with workers that prepare them ahead.

    python -m benchmarks.loader [--rounds 7] [--steps 8] [--output benchmarks/loader.md]

The default network (a quarter-width ResNet-18, 64 px) with the seven objectives over three views of molecules
that RDKit ships. Every variant has models of its own from equal starts and sees the same batches; all take
turns in one process, so that a busy machine slows all of them, and the time ratio is the median of the ratios
within a round. Waiting is the time inside `batches.next()`. A turn's first steps are not counted, because
what was prepared during the others' turns feeds them. Exit code 1 if the model waits for more than 5 % of a
step with the number of workers that a run would choose here.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from copy import copy, deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import torch

from molweight.config.image_run import load_config
from molweight.methods.tapweight import wire
from molweight.objectives.setup import ImageData
from molweight.tapweight.levels import Pretraining
from molweight.training.workers import Workers, choose_workers, cores

MOST_WAITING = 0.05  # of a step
OPTIONS = ("backbone=tiny", "objectives=imagemol", "corpus=rdkit", "dataset=chembl2321810", "device=cpu")


@dataclass
class Variant:
    """Level-1 steps with a number of workers, and what was measured of them, by round."""

    level: Pretraining
    waiting: list[float] = field(default_factory=list)  # of a step's time, [0, 1]
    waited: list[float] = field(default_factory=list)  # seconds a step
    seconds: list[float] = field(default_factory=list)  # a step

    def turn(self, fed: int, steps: int) -> None:
        """Steps that batches from an idle time feed, then those that count."""
        for _ in range(fed):
            self.step()
        pairs = [self.step() for _ in range(steps)]
        waited, seconds = (sum(column) for column in zip(*pairs, strict=True))
        self.waiting.append(waited / seconds)
        self.waited.append(waited / steps)
        self.seconds.append(seconds / steps)

    def step(self) -> tuple[float, float]:
        """Seconds of one step that were spent waiting, and all of its seconds."""
        start = time.perf_counter()
        batch = self.level.next_batch()
        drawn = time.perf_counter()
        torch.autograd.backward(self.level.loss(batch), inputs=self.level.parameters)
        self.level.optimizer_step()
        self.level.zero_grad()
        return drawn - start, time.perf_counter() - start


def measure(counts: tuple[int, ...], rounds: int, steps: int) -> dict[int, Variant]:
    """Interleaved turns of each number of workers."""
    config = load_config(*OPTIONS)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        setup = ImageData(config.samples, run_dir=Path(folder), device=torch.device("cpu"))
        variants = {}
        for count in counts:
            workers = running.enter_context(Workers(count))
            torch.manual_seed(0)
            fresh = copy(setup)
            fresh.pretraining = deepcopy(setup.pretraining)
            levels = wire(fresh, config, workers)
            levels.pretrain.module.train()
            variants[count] = Variant(levels.pretrain)
        fed = max(counts) + 2  # more than any stream keeps ready, and the same for all
        for turn in range(rounds + 1):
            shift = turn % len(counts)  # no variant always runs after the same one
            for count in counts[shift:] + counts[:shift]:
                variants[count].turn(fed, steps)
            if turn == 0:  # it warms up
                for one in variants.values():
                    one.waiting, one.waited, one.seconds = [], [], []
                continue
            print(
                f"round {turn}/{rounds}:",
                ", ".join(
                    f"{count} workers {one.seconds[-1] * 1e3:.0f} ms, {one.waiting[-1]:.1%} waiting"
                    for count, one in variants.items()
                ),
                flush=True,
            )
        losses = {one.level.value for one in variants.values()}
        assert len(losses) == 1, "the number of workers must not change a loss"
    return variants


def main() -> int:
    """Measure, print and write the table; 1 if the model waits too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=8, help="counted in each turn")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    chosen = choose_workers(None, torch.device("cpu"))
    found = measure(tuple(sorted({0, 1, 2, chosen})), options.rounds, options.steps)
    rows = []
    for count, one in found.items():
        ratios = sorted(a / b for a, b in zip(one.seconds, found[0].seconds, strict=True))
        rows.append(
            f"| {count}{' (chosen)' if count == chosen else ''} | {statistics.median(one.seconds) * 1e3:.0f} "
            f"| {statistics.median(one.waited) * 1e3:.1f} "
            f"| {statistics.median(one.waiting):.1%} ({min(one.waiting):.1%} to {max(one.waiting):.1%}) "
            f"| {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |"
        )
    waiting = statistics.median(found[chosen].waiting)
    good = waiting <= MOST_WAITING
    size = found[0].level.batches.batch_size  # type: ignore[attr-defined]
    table = [
        "# Waiting for batches",
        "",
        f"Written by `python -m benchmarks.loader --rounds {options.rounds} --steps {options.steps}` on "
        f"{torch.get_num_threads()} CPU threads, {cores()} cores, torch {torch.__version__.split('+')[0]}.",
        "",
        f"Level-1 steps of a quarter-width ResNet-18 at 64 px, seven objectives over three views, {size}",
        "pictures in a batch. The variants take turns; the figures are medians over rounds (smallest to",
        "largest), the ratio is the median of those within a round.",
        "",
        "| workers | ms a step | ms waiting | of the step | time / none |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"The model waits for {waiting:.1%} of a step with the number that a run chooses here; the goal is "
        f"at most {MOST_WAITING:.0%}: {'met' if good else 'missed'}.",
        "",
    ]
    options.output.write_text("\n".join(table))
    print("\n".join(table))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
