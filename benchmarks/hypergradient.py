"""How well each estimator points: its cosine to the exact hypergradient of a small problem.

    python -m benchmarks.hypergradient [--seeds 8] [--output benchmarks/hypergradient.md]

Ends with one line on the default preset; the exit code is 1 when it misses the floor.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

from benchmarks.unrolled import SETTINGS, Setting, problem, truth
from molweight.tapweight.horizon import TrainingHorizon
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.inverse import ConjugateGradient
from molweight.tapweight.products import CentralDifference

DEFAULT = "accurate"
NAMES = ("paper", "forward", "accurate", "cg 5, 3.0 on both", "horizon", "horizon on both")


def estimators(setting: Setting) -> dict[str, Hypergradient]:
    """The presets, and what may become one; a horizon is that of the setting's training."""
    strong = ConjugateGradient(iterations=5, damping=3.0)
    horizon = TrainingHorizon(lr=setting.rate, steps=setting.steps, momentum=setting.momentum, iterations=5)
    chosen = (
        Hypergradient(directional=CentralDifference()),
        Hypergradient(),
        Hypergradient(finetune=ConjugateGradient(iterations=5, damping=0.3)),
        Hypergradient(finetune=strong, pretrain=strong),
        Hypergradient(finetune=horizon),
        Hypergradient(finetune=horizon, pretrain=horizon),
    )
    return dict(zip(NAMES, chosen, strict=True))


def cosines(setting: Setting, seed: int) -> dict[str, float]:
    """The cosine of every estimator to the truth."""
    levels = problem(setting, seed)
    exact = truth(levels, setting)
    found = {}
    for name, estimator in estimators(setting).items():
        loss = levels.weights.loss(levels.weights.batches.next())
        found[name] = torch.cosine_similarity(estimator(levels, loss), exact, dim=0).item()
    return found


def main() -> int:
    """Measure, write the table, judge the default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    start, rows = time.time(), []
    for setting in SETTINGS:
        runs = [cosines(setting, seed) for seed in range(options.seeds)]
        cells = [
            f"{statistics.median(r[name] for r in runs):.2f} ({min(r[name] for r in runs):.2f})"
            for name in NAMES
        ]
        rows.append((str(setting), cells, [run[DEFAULT] for run in runs]))
        print(f"{setting!s:55s}", *cells, sep="  ", flush=True)
    write(options.output, rows, options.seeds)
    worst = min(statistics.median(values) for _, _, values in rows)
    lowest = min(min(values) for _, _, values in rows)
    print(
        f"default preset '{DEFAULT}': smallest median cosine {worst:.3f}, minimum {lowest:.3f} "
        f"({len(SETTINGS)} settings, {options.seeds} seeds, {time.time() - start:.0f} s)"
    )
    return 0 if worst >= 0.95 and lowest >= 0.5 else 1


def write(path: Path, rows: list[tuple[str, list[str], list[float]]], seeds: int) -> None:
    """The table in Markdown."""
    lines = [
        "# Cosine to the exact hypergradient",
        "",
        f"Written by `python -m benchmarks.hypergradient --seeds {seeds}`; median over seeds (smallest).",
        "The truth is autograd through 50 + 50 SGD steps (`benchmarks/unrolled.py`).",
        "",
        "| setting | " + " | ".join(NAMES) + " |",
        "|---" * (len(NAMES) + 1) + "|",
        *(f"| {name} | " + " | ".join(cells) + " |" for name, cells, _ in rows),
        "",
    ]
    path.write_text("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
