"""Predicting beside the bare model, and memory over many rows.

    python -m benchmarks.prediction [--rounds 5] [--rows 100000] [--output benchmarks/prediction.md]

Speed: the pictures of the offline data set are drawn first. Then a loop over the model alone (pictures in
memory, nothing but batches) and the whole way from drawn pictures to a CSV file (unpacking, the model, rows,
numbers as text) take turns in one process; the ratio is the median of those within a round. What two drawing
processes deliver stands beside it: it is what limits a run from SMILES. Exit code 1 if the whole way has less
than 0.9 of the model's own speed.

Memory: `python -m molweight predict` on files of a tenth and of all the rows, each in a process of its own;
the slope is the difference of their peaks over the difference of their rows.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import torch

from molweight.data.builtin import read_chembl2321810
from molweight.data.standardise import AS_GIVEN
from molweight.images.drawing import RenderResult
from molweight.images.drawing_processes import draw_all
from molweight.inference import pipeline
from molweight.inference.model import TrainedModel
from molweight.inference.pipeline import empty_table
from molweight.inference.prediction import Ensemble
from molweight.inference.writers import Output
from molweight.models.resnet import ResNet18
from molweight.models.task_model import PictureModel
from molweight.training.task import Task
from molweight.utils.machine import cores, versions

LEAST = 0.9  # of the model's own speed
NETWORKS = {"tiny": (16, 64, 4), "resnet18": (64, 224, 1)}
"""Width, side of the pictures in px, passes over the molecules in a turn."""

# The command with its own peak of memory, in bytes, as the last line of its standard error.
MEASURED = """
import resource, sys
from molweight.__main__ import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, file=sys.stderr)
sys.exit(code)
"""


def make_model(width: int, size: int) -> TrainedModel:
    """A model with random weights: they take as long as others."""
    torch.manual_seed(0)
    module = PictureModel(ResNet18(width=width), outputs=1, dropout=0.0, seed=0).eval()
    task = Task(kind="regression", metric="rmse", names=("y",), mean=torch.zeros(1), std=torch.ones(1))
    return TrainedModel(
        path=Path("random"),
        module=module,
        task=task,
        image_size=size,
        standardise=AS_GIVEN,
        units=None,
        temperature=None,
    )


def model_alone(model: TrainedModel, drawn: list[RenderResult], passes: int) -> float:
    """Seconds of a loop over the model."""
    pictures = pipeline.pictures_of(drawn, model.image_size)
    batches = pictures.split(max(1, pipeline.PIXELS // model.image_size**2))
    start = time.perf_counter()
    for batch in itertools.chain.from_iterable(itertools.repeat(batches, passes)):
        model.outputs(batch)
    return time.perf_counter() - start


def whole_way(
    model: TrainedModel, smiles: list[str], drawn: list[RenderResult], passes: int, folder: Path
) -> float:
    """Seconds from drawn pictures to a file."""

    def stand_in(texts: Iterator[str], *_: object, **__: object) -> Iterator[RenderResult]:
        return (one for one, _ in zip(itertools.cycle(drawn), texts, strict=False))

    start = time.perf_counter()
    ensemble = Ensemble([model])
    with (
        mock.patch.object(pipeline, "draw_all", stand_in),
        Output(folder / "out.csv", kind="csv", empty=empty_table(ensemble.columns), about={}) as output,
    ):
        for table in ensemble.tables(smiles * passes, workers=2):
            output.write(table)
    return time.perf_counter() - start


def speed(name: str, smiles: list[str], rounds: int, folder: Path) -> dict[str, object]:
    """Molecules a second, alone, on the whole way and while drawing."""
    width, size, passes = NETWORKS[name]
    chosen = smiles if size < 100 else smiles[:200]
    model = make_model(width, size)
    start = time.perf_counter()
    drawn = list(draw_all(chosen, size, canonicalise=True, workers=2))
    drawing = len(chosen) / (time.perf_counter() - start)
    alone, whole = [], []
    for _ in range(rounds + 1):  # the first one warms up
        alone.append(model_alone(model, drawn, passes))
        whole.append(whole_way(model, chosen, drawn, passes, folder))
    pairs = list(zip(alone[1:], whole[1:], strict=True))
    ratios = [a / w for a, w in pairs]
    count = len(chosen) * passes
    return {
        "name": f"{name}, {size} px",
        "alone": count / statistics.median(a for a, _ in pairs),
        "whole": count / statistics.median(w for _, w in pairs),
        "ratio": statistics.median(ratios),
        "spread": (min(ratios), max(ratios)),
        "drawing": drawing,
    }


def peak(smiles: list[str], rows: int, run_dir: Path, folder: Path) -> tuple[int, float]:
    """Bytes at the peak, and seconds, of the command on so many rows."""
    source = folder / f"{rows}.csv"
    with source.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["smiles"])
        writer.writerows([one] for one in itertools.islice(itertools.cycle(smiles), rows))
    command = [sys.executable, "-c", MEASURED, "predict", run_dir, "-i", source, "-o", folder / "out.csv"]
    start = time.perf_counter()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1]), time.perf_counter() - start


def save_model(model: TrainedModel, folder: Path) -> None:
    """A run's folder, as far as predictions need one."""
    from molweight.images.transforms import MEAN, STD
    from molweight.utils.tensor_files import save_tensors

    folder.mkdir()
    save_tensors(model.module, folder / "model.safetensors")
    card = {
        "schema": 1,
        "width": NETWORKS["tiny"][0],
        "image_size": model.image_size,
        "normalisation": {"mean": list(MEAN), "std": list(STD)},
        "standardise": {},
        **model.task.metadata(),
    }
    (folder / "model.json").write_text(json.dumps(card))


def page(speeds: list[dict[str, object]], peaks: dict[int, tuple[int, float]], command: str) -> str:
    """The results as Markdown."""
    lines = [
        "# Predicting",
        "",
        f"Written by `{command}` on {cores()} cores, torch {versions()['torch']}.",
        "",
        "Molecules a second: the model alone in a loop, and the whole way from drawn pictures to a CSV",
        "file. The ratio is the median of those within a round (smallest to largest). *Drawing* is what two",
        "processes deliver, which is what limits a run from SMILES.",
        "",
        "| network | model alone | whole way | whole way / model | drawing |",
        "|---|---|---|---|---|",
    ]
    for one in speeds:
        low, high = one["spread"]  # type: ignore[misc]
        lines.append(
            f"| {one['name']} | {one['alone']:,.0f} | {one['whole']:,.0f} | {one['ratio']:.2f} "
            f"({low:.2f} to {high:.2f}) | {one['drawing']:,.0f} |"
        )
    met = all(one["ratio"] >= LEAST for one in speeds)  # type: ignore[operator]
    lines += ["", f"The goal is at least {LEAST}: {'met' if met else 'not met'}.", "", "## Memory", ""]
    lines += ["| rows | peak MB | seconds |", "|---|---|---|"]
    lines += [f"| {rows:,} | {size / 1e6:,.0f} | {took:.0f} |" for rows, (size, took) in peaks.items()]
    few, many = min(peaks), max(peaks)
    slope = (peaks[many][0] - peaks[few][0]) / (many - few)
    lines += ["", f"{slope:,.0f} bytes a row more: {slope:,.1f} MB for a million rows.", ""]
    return "\n".join(lines)


def main() -> int:
    """Measure, write and judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/prediction.md"))
    options = parser.parse_args()
    smiles = [str(one) for one in read_chembl2321810("Act")["smiles"]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speeds = [speed(network, smiles, options.rounds, folder) for network in NETWORKS]
        run_dir = folder / "run"
        save_model(make_model(*NETWORKS["tiny"][:2]), run_dir)
        counts = (options.rows // 10, options.rows)
        peaks = {rows: peak(smiles, rows, run_dir, folder) for rows in counts}
    command = f"python -m benchmarks.prediction --rounds {options.rounds} --rows {options.rows}"
    text = page(speeds, peaks, command)
    options.output.write_text(text)
    print(text)
    return 0 if all(one["ratio"] >= LEAST for one in speeds) else 1  # type: ignore[operator]


if __name__ == "__main__":
    sys.exit(main())
