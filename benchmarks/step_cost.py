"""What level 3 costs: seconds, passes and memory of one level-1 step, beside plain training.

    python -m benchmarks.step_cost [--rounds 4] [--output benchmarks/step_cost.md]
    python -m benchmarks.step_cost --text [--rounds 4] [--output benchmarks/step_cost_text.md]

ResNet-18 on 64 px pictures of real molecules (RDKit's NCI file), the paper's five objectives; or, with
``--text``, MiniLM on sentences of GLUE's RTE ($MOLWEIGHT_GLUE), the three objectives of text. Plain is
weighted pretraining and finetuning without level 3; the rest is molweight's presets on both engines, Betty's
own `darts` on the same levels, and for text recomputed activations. All variants take turns in one process,
so that a busy or throttled machine slows all of them; the ratio is the median of the ratios within a round.
Memory is that of a process of its own for each.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.stock_betty import advance, stock_engine
from molweight.config.image_run import load_config
from molweight.methods.base import RunConfig
from molweight.methods.tapweight import wire
from molweight.tapweight.directional import ForwardMode
from molweight.tapweight.engines import make_solver
from molweight.tapweight.functional import stateless_call
from molweight.tapweight.levels import ThreeLevels
from molweight.training.setup import Setup

PRESETS = ("paper", "diagonal", "accurate")
RECOMPUTED = "accurate, recomputed"
VARIANTS = {
    False: ("plain", *PRESETS, "accurate, betty", "betty darts"),
    True: ("plain", *PRESETS, "accurate, betty", "plain, recomputed", RECOMPUTED),
}
TEXT = (
    *("task=rte", "task.limit=400", "backbone=minilm", "tokens.longest=64", "tokens.unlabelled=32"),
    *("device=cpu", "learn.batch_size.pretrain=16", "learn.batch_size.finetune=16"),
    "learn.batch_size.weights=16",
)
COMMON = (
    *("backbone=resnet18", "backbone.image_size=64", "backbone.init=random", "objectives=tapweight"),
    *(
        "corpus=nci",
        "corpus.limit=1100",
        "objectives.clusters_fine.k=200",
        "objectives.clusters_medium.k=100",
    ),
    *("objectives.clusters_coarse.k=50", "dataset=chembl2321810", "device=cpu"),
    *("learn.batch_size.pretrain=64", "learn.batch_size.finetune=32", "learn.batch_size.weights=64"),
)
EVERY = 10  # level-1 steps for each update of the weights, in every variant
ABOUT = (
    "ResNet-18, 64 px, the paper's five objectives over three views, batches 64 (pretrain), 32",
    f"(finetune) and 64 (validation), one update of the weights every {EVERY} level-1 steps.",
)
ABOUT_TEXT = (
    "MiniLM (six layers of 384), the three objectives of text (four passes), batches of 16 at every level,",
    f"at most 32 and 64 tokens, one update of the weights every {EVERY} level-1 steps. Recomputed: with",
    "backbone.checkpointing=true.",
)
COUNTS = (2, 5, 10, 20)  # objectives, in the second table


@dataclass
class EvalLoaders:
    """Counts forwards and backwards of the backbones."""

    forwards: int = 0
    backwards: int = 0

    def watch(self, levels: ThreeLevels) -> None:
        """Hook both backbones; a pass over several views counts once for each."""
        for level in (levels.pretrain, levels.finetune):
            backbone: Any = level.module.backbone
            backbone.register_forward_hook(self.forward)

    def forward(self, module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        self.forwards += 1
        if output.requires_grad:
            output.register_hook(self.backward)

    def backward(self, gradient: torch.Tensor) -> None:
        self.backwards += 1


def configuration(preset: str, text: bool, recomputed: bool) -> RunConfig:
    options = (f"hypergradient={preset}", f"learn.unroll.every={EVERY}", "run_dir=x")
    if text:
        from molweight.nlp import load_config as load_text_config

        return load_text_config(*TEXT, f"backbone.checkpointing={str(recomputed).lower()}", *options)
    return load_config(*COMMON, *options)


@functools.cache
def prepared(text: bool, recomputed: bool) -> Setup:
    """Pictures or sentences, targets and models, made once."""
    samples = configuration("paper", text, recomputed).samples
    with tempfile.TemporaryDirectory() as folder:
        return samples.prepare(
            run_dir=Path(folder),
            device=torch.device("cpu"),
            labelled=None,
            unlabelled=None,
            progress=False,
        )


def variant(name: str, text: bool) -> tuple[Callable[[], None], ThreeLevels]:
    """One update of the weights with all its lower-level steps, as a function, from equal starts."""
    preset = name.split(",")[0] if name.split(",")[0] in PRESETS else "paper"
    recomputed = name.endswith("recomputed")
    config, setup = configuration(preset, text, recomputed), prepared(text, recomputed)
    torch.manual_seed(0)
    fresh = copy(setup)
    fresh.pretraining = deepcopy(setup.pretraining)
    levels = wire(fresh, config)
    for level in (levels.pretrain, levels.finetune):
        level.module.train()
    unroll = config.learn.unroll
    if name == "betty darts":
        engine = stock_engine(levels, unroll=unroll)
        return lambda: advance(engine, unroll), levels
    solver = make_solver(
        "betty" if name.endswith("betty") else "native",
        levels,
        config.hypergradient,
        unroll=unroll,
        averaging=config.learn.averaging,
    )
    return solver.run_lower_levels if name.startswith("plain") else solver.advance, levels


def time_all(names: tuple[str, ...], rounds: int, text: bool) -> dict[str, dict[str, Any]]:
    """Interleaved timings and passes, per level-1 step."""
    steps, passes, found = {}, {}, {name: {"seconds": []} for name in names}
    for name in names:
        steps[name], levels = variant(name, text)
        passes[name] = EvalLoaders()
        passes[name].watch(levels)
        steps[name]()  # warm up
    for turn in range(rounds):
        shift = turn % len(names)  # no variant always runs after the same one
        for name in names[shift:] + names[:shift]:
            passes[name].forwards = passes[name].backwards = 0
            start = time.perf_counter()
            steps[name]()
            found[name]["seconds"].append((time.perf_counter() - start) / EVERY)
            found[name]["forwards"] = passes[name].forwards / EVERY
            found[name]["backwards"] = passes[name].backwards / EVERY
        print(
            f"round {turn + 1}/{rounds}:",
            ", ".join(f"{name} {found[name]['seconds'][-1]:.3f} s" for name in names),
            flush=True,
        )
    return found


def peak_memory(name: str, text: bool) -> float:
    """MB that one update, with its lower-level steps, adds to what a process holds before its first step."""
    program = f"from benchmarks.step_cost import print_memory; print_memory({name!r}, {text})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def print_memory(name: str, text: bool) -> None:
    step, _ = variant(name, text)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the preparation
    before = memory("VmRSS")
    step()
    print(memory("VmHWM") - before)


def memory(field: str) -> float:
    """MB, from Linux's account of this process."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1024


def directional_cost(rounds: int) -> list[tuple[int, float, float]]:
    """(K, seconds of the K exact derivatives, ratio to K = 5), encoder shared."""
    _, levels = variant("plain", False)
    batch = levels.pretrain.next_batch()
    backbone, view = levels.pretrain.module.backbone, batch["views"]["plain"]
    seconds: dict[int, list[float]] = {k: [] for k in COUNTS}
    problems = {}
    for k in COUNTS:
        module = ManyHeads(backbone, k)
        labels = {"pixels": view, "labels": torch.arange(len(view)) % 100}
        point = tuple(p.detach() for p in module.parameters())
        problems[k] = (module, labels, point, tuple(torch.randn_like(p) for p in point))
    for turn in range(rounds + 1):
        for k, (module, labels, point, direction) in problems.items():
            start = time.perf_counter()
            ForwardMode()(lambda p, m=module, b=labels: stateless_call(m, b, p), point, direction)
            if turn:  # the first round warms up
                seconds[k].append(time.perf_counter() - start)
    base = seconds[5]
    return [
        (k, statistics.median(s), statistics.median(a / b for a, b in zip(s, base, strict=True)))
        for k, s in seconds.items()
    ]


class ManyHeads(nn.Module):
    """K classification heads of 100 classes on one encoder: losses [k]."""

    def __init__(self, backbone: nn.Module, count: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleList(nn.Linear(backbone.dim, 100) for _ in range(count))  # type: ignore[arg-type]

    def forward(self, batch: Any) -> torch.Tensor:
        h = self.backbone(batch["pixels"])
        return torch.stack([nn.functional.cross_entropy(head(h), batch["labels"]) for head in self.heads])


def main() -> None:
    """Measure, print and write both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--text", action="store_true", help="MiniLM on sentences instead of pictures")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    text, names = options.text, VARIANTS[options.text]
    output = options.output or Path(__file__).with_name(f"step_cost{'_text' if text else ''}.md")
    found = time_all(names, options.rounds, text)
    peaks = {name: peak_memory(name, text) for name in names}
    plain = found["plain"]["seconds"]
    rows = []
    for name in names:
        ratios = sorted(a / b for a, b in zip(found[name]["seconds"], plain, strict=True))
        rows.append(
            f"| {name} | {statistics.median(found[name]['seconds']):.3f} | {found[name]['forwards']:.1f} "
            f"| {found[name]['backwards']:.1f} | {peaks[name]:.0f} | {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}) | {peaks[name] / peaks['plain']:.2f} |"
        )
    native, betty = found["accurate"]["seconds"], found["accurate, betty"]["seconds"]
    engines = statistics.median(b / n for b, n in zip(betty, native, strict=True))
    table = [
        "# The cost of level 3",
        "",
        f"Written by `python -m benchmarks.step_cost{' --text' if text else ''} --rounds {options.rounds}` "
        f"on {torch.get_num_threads()} CPU threads, torch {torch.__version__.split('+')[0]}.",
        "",
        *(ABOUT_TEXT if text else ABOUT),
        "All figures are per level-1 step, the update included; the ratio to plain is the median over",
        "interleaved rounds (smallest to largest). A pass is one through a backbone, over one view,",
        "whatever its batch; memory is what training adds to the process.",
        "",
        "| variant | seconds | forwards | backwards | peak MB | time / plain | memory / plain |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"Betty's engine with our products takes {engines:.3f} times as long as the native loop.",
        "",
    ]
    if not text:
        table += directional_table(options.rounds)
    output.write_text("\n".join(table))
    print("\n".join(table))


def directional_table(rounds: int) -> list[str]:
    """The second table."""
    return [
        "## Exact directional derivatives of K losses",
        "",
        "One forward-mode pass of K heads of 100 classes on one shared encoder.",
        "",
        "| K | seconds | time / K = 5 |",
        "|---|---|---|",
        *(f"| {k} | {s:.3f} | {ratio:.2f} |" for k, s, ratio in directional_cost(rounds)),
        "",
    ]


if __name__ == "__main__":
    main()
