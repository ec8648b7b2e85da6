"""What checkpoints cost: seconds to write, read back and load one, beside the steps between two of them.

    python -m benchmarks.checkpoint [--rounds 5] [--output benchmarks/checkpoint.md]

The networks at their usual sizes on molecules that RDKit ships, default objectives and interval
(learn.checkpoint_every). Steps and checkpoints take turns in one process; the share is that of a whole run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from molweight.config.image_run import load_config
from molweight.methods.tapweight import wire
from molweight.tapweight.engines import make_solver
from molweight.training.checkpoint import load_checkpoint, save_checkpoint

NETWORKS = {
    "tiny": ("backbone=tiny",),
    "resnet18, 64 px": ("backbone=resnet18", "backbone.init=random", "backbone.image_size=64"),
}
AIM = 0.02  # of the run


def measure(options: tuple[str, ...], rounds: int) -> tuple[float, float, float, float, int]:
    """Seconds of an outer step, of saving and of loading, MB of a checkpoint, steps between two."""
    config = load_config(*options, "run_dir=x", "device=cpu", "corpus.limit=6000")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        setup = config.samples.prepare(
            run_dir=place, device=torch.device("cpu"), labelled=None, unlabelled=None, progress=False
        )
        learn = config.learn
        solver = make_solver(
            "native",
            wire(setup, config),
            config.hypergradient,
            unroll=learn.unroll,
            averaging=learn.averaging,
        )
        steps, saves, loads = [], [], []
        solver.step()  # warm up
        for turn in range(rounds):
            for times, job in (
                (steps, solver.step),
                (saves, lambda turn=turn: save_checkpoint(place / "checkpoint", turn, solver.state_dict())),
                (loads, lambda: load_checkpoint(place / "checkpoint")),
            ):
                start = time.perf_counter()
                job()
                times.append(time.perf_counter() - start)
        size = max(path.stat().st_size for path in (place / "checkpoint").iterdir()) / 1e6
    middle = (statistics.median(times) for times in (steps, saves, loads))
    return (*middle, size, config.learn.checkpoint_every)


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("checkpoint.md"))
    options = parser.parse_args()
    rows = []
    for name, words in NETWORKS.items():
        step, save, load, size, every = measure(words, options.rounds)
        rows.append(
            f"| {name} | {step:.2f} | {every} | {size:.0f} | {save:.2f} | {load:.2f} "
            f"| {100 * save / (every * step):.2f} % |"
        )
        print(rows[-1], flush=True)
    table = [
        "# What checkpoints cost",
        "",
        f"Written by `python -m benchmarks.checkpoint --rounds {options.rounds}` on "
        f"{torch.get_num_threads()} CPU threads, torch {torch.__version__.split('+')[0]}. Medians; saving "
        f"includes waiting for the disk and reading back. The aim is {AIM:.0%} of the learning stage.",
        "",
        "| network | outer step, s | steps between two | MB | saving, s | loading, s | share |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
    ]
    options.output.write_text("\n".join(table))
    print("\n".join(table))


if __name__ == "__main__":
    main()
