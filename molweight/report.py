"""What a run found: ``report.json``, a Markdown table, and the predictions behind the scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor, nn

from molweight.files import write_text
from molweight.machine import versions
from molweight.recipes import RunConfig
from molweight.separation import sentence
from molweight.stages.steps import Learned
from molweight.training.finetune import Finetuned
from molweight.training.metrics import METRICS, Score
from molweight.training.setup import Setup

SCHEMA = 1
SAMPLES = {"molecules": ("molecules", "images"), "text": ("sentences", "sentences")}
"""What a modality's corpus holds, and what its pretraining sees."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A run's result.

    Args:
        content: of ``report.json``.
    """

    content: dict[str, Any]

    @property
    def test(self) -> float:
        """The test metric."""
        return float(self.content["test"])

    @property
    def weights(self) -> dict[str, float]:
        """The learned weights by objective."""
        return dict(self.content["weights"])

    def markdown(self) -> str:
        """The report as a page for people."""
        return markdown(self.content)


def build_report(
    config: RunConfig,
    setup: Setup,
    learned: Learned,
    tuned: Finetuned | None,
    *,
    valid: Score,
    test: Score,
    seconds: dict[str, float],
    command: str,
) -> Report:
    """Collect what DESIGN calls the report; NaN becomes ``null`` when it is written."""
    facts = dict(setup.facts)
    return Report(
        content={
            "schema": SCHEMA,
            "modality": config.modality,
            **{
                key: facts.pop(key)
                for key in ("dataset", "data_sha256", "n_rows", "n_invalid", "n_duplicates")
            },
            "task_type": setup.task.kind,
            "metric": setup.task.metric,
            "method": str(config.method),
            "seed": config.seed,
            "protocol": config.protocol,
            "split": facts.pop("split"),
            "valid": valid.value,
            "test": test.value,
            "valid_per_task": valid.per_task,
            "test_per_task": test.per_task,
            "test_undefined": len(test.undefined),
            "test_evaluations": setup.test.evaluations,
            "weights": learned.weights,
            "separation": learned.separation,
            "updates": updates(config),
            "engine": learned.engine,
            "hypergradient": config.hypergradient_name if config.method.learns else None,
            "finetune": None if tuned is None else finetuning(tuned),
            "parameters": 0 if tuned is None else count(setup.pretraining.backbone),
            "images": learned.images,
            "seconds": sum(seconds.values()),
            "seconds_by_stage": seconds,
            "seconds_reused": learned.seconds_reused,
            **facts,
            "versions": versions(),
            "config_hash": config.hash,
            "command": command,
        }
    )


def updates(config: RunConfig) -> int:
    """How often the weights were updated, or would have been by a method that learns them."""
    if not config.method.pretrains:
        return 0
    return config.learn.steps - (config.learn.held if config.method.learns else 0)


def count(module: nn.Module) -> int:
    """The number of its parameters."""
    return sum(p.numel() for p in module.parameters())


def finetuning(tuned: Finetuned) -> dict[str, Any]:
    """How the final training went."""
    return {
        "best_epoch": tuned.best_epoch,
        "epochs": len(tuned.history),
        "selected_by": tuned.selected_by,
        "constant_predictions": tuned.constant,
        "history": tuned.history,
    }


def save_predictions(path: Path, setup: Setup, parts: dict[str, tuple[Tensor, Tensor, Tensor]]) -> None:
    """Write validation and test rows with their predictions and true values.

    Columns: those of ``setup.describe``, ``part``, then for each target its prediction and ``<target>_true``,
    and what else the task has to say.
    """
    frames = []
    for part, (positions, predicted, truth) in parts.items():
        columns: dict[str, Any] = {
            name: [values[i] for i in positions.tolist()] for name, values in setup.describe.items()
        }
        columns["part"] = part
        frames.append(pd.DataFrame(columns | setup.task.columns(predicted, truth)))
    write_text(path, pd.concat(frames).to_csv(index=False, float_format="%.6g"))


def markdown(content: dict[str, Any]) -> str:
    """A page of tables from ``report.json``'s content."""
    label = METRICS[content["metric"]].label
    split, corpus = content["split"], content["corpus"]
    samples, seen = SAMPLES[content.get("modality", "molecules")]
    sizes = ", ".join(f"{name} {size}" for name, size in split["sizes"].items() if size)
    units = f" {content['units']}" if content["units"] and content["task_type"] == "regression" else ""
    lines = [
        f"# {content['dataset']}: test {label} {number(content['test'])}{units}",
        "",
        *table(
            ("", ""),
            [
                (f"test {label}", number(content["test"])),
                (f"validation {label}", number(content["valid"])),
                (
                    "method",
                    method_line(content),
                ),
                (
                    "protocol",
                    f"{content['protocol']}; the test part was read {content['test_evaluations']} time(s)",
                ),
                ("split", f"{split['kind']} ({sizes}), hash {split['hash'][:12]}"),
                ("data", data_line(content)),
                ("corpus", f"{corpus['name']}: {corpus[samples]} {samples} ({corpus['in_test']} tested on)"),
                ("backbone", backbone_line(content)),
                ("seed", str(content["seed"])),
                ("time", f"{content['seconds']:.0f} s, {content['images']:,} pretraining {seen}"),
            ],
        ),
    ]
    if content["weights"]:
        ranked = sorted(content["weights"].items(), key=lambda item: -item[1])
        title = "Learned weights" if content["hypergradient"] else "Weights, on average"
        lines += [
            "",
            f"## {title}",
            "",
            *table(("objective", "weight"), [(n, f"{w:.3f}") for n, w in ranked]),
        ]
    if words := sentence(content["separation"], content["updates"]):
        lines += ["", words]
    if len(content["test_per_task"]) > 1:
        rows = [
            (name, number(content["valid_per_task"][name]), number(value))
            for name, value in content["test_per_task"].items()
        ]
        parts = METRICS[content["metric"]].parts
        heads = (
            ("metric", "validation", "test") if parts else ("target", f"validation {label}", f"test {label}")
        )
        lines += ["", "## Metrics" if parts else "## Targets", "", *table(heads, rows)]
        if content["test_undefined"]:
            lines += ["", f"– : {label} does not exist, because the part holds one class only or no label."]
    lines += ["", "## Reproduce", "", "```", content["command"], "```", ""]
    return "\n".join(lines)


def data_line(content: dict[str, Any]) -> str:
    """Rows, and those that are odd."""
    line = f"{content['n_rows']} rows, {content['n_invalid']} invalid, {content['n_duplicates']} duplicates"
    if content["n_conflicting"] is not None:
        line += f" ({content['n_conflicting']} with other labels)"
    if content.get("n_shortened"):
        line += f", {content['n_shortened']} shortened"
    return line


def backbone_line(content: dict[str, Any]) -> str:
    """The network and the weights it began with, if there was one."""
    if not content["parameters"]:
        return "none"
    return f"{content['backbone']}, from {content['backbone_init']}, {content['parameters']:,} parameters"


def method_line(content: dict[str, Any]) -> str:
    """The method and, where weights are learned, how."""
    if content["hypergradient"] is None:
        return str(content["method"])
    return f"{content['method']}, hypergradient {content['hypergradient']}, {content['engine']}"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """A Markdown table; vertical bars inside cells are escaped."""
    safe = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in safe),
    ]


def number(value: float | None) -> str:
    """Three digits, or a dash where there is no value."""
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"
