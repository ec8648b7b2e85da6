"""``report.md``: a page of tables from the content of ``report.json``, and what tables are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from molweight.methods.weight_significance import sentence
from molweight.training.metrics import METRICS

SAMPLES = {"molecules": ("molecules", "images"), "text": ("sentences", "sentences")}
"""What a modality's corpus holds, and what its pretraining sees."""
NORMALISING = (
    "The score is the mean over the targets of their errors, each divided by the standard deviation of its "
    "training labels: their units differ. Predicting the mean has a normalised RMSE of about 1."
)


def markdown(content: dict[str, Any]) -> str:
    """A page of tables from ``report.json``'s content."""
    label = label_of(content)
    split, corpus = content["split"], content["corpus"]
    samples, seen = SAMPLES[content.get("modality", "molecules")]
    sizes = ", ".join(f"{name} {size}" for name, size in split["sizes"].items() if size)
    units = f" {content['units']}" if content["units"] and content["task_type"] == "regression" else ""
    targets = targets_section(content)
    lines = [
        f"# {content['dataset']}: {headline(content, units)}",
        "",
        *([*targets, "", NORMALISING, ""] if content.get("scale_per_task") else []),
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
                *read_as(content),
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
    if words := meaning(content):
        lines += ["", words]
    if targets and not content.get("scale_per_task"):
        lines += ["", *targets]
    lines += ["", "## Reproduce", "", "```", content["command"], "```", ""]
    return "\n".join(lines)


def targets_section(content: dict[str, Any]) -> list[str]:
    """The metric of every target, or its parts; empty where there is one."""
    if len(content["test_per_task"]) < 2:
        return []
    rows = [
        (name, number(content["valid_per_task"][name]), number(value))
        for name, value in content["test_per_task"].items()
    ]
    label, parts = METRICS[content["metric"]].label, METRICS[content["metric"]].parts
    heads = ("metric", "validation", "test") if parts else ("target", f"validation {label}", f"test {label}")
    lines = ["## Metrics" if parts else "## Targets", "", *table(heads, rows)]
    if content["test_undefined"]:
        lines += ["", f"– : {label} does not exist, because the part holds one class only or no label."]
    return lines


def label_of(content: dict[str, Any]) -> str:
    """What the score of a run is; earlier versions took the mean over targets in whatever units they had."""
    return str(content.get("score") or METRICS[content["metric"]].label)


def meaning(content: dict[str, Any]) -> str:
    """What learned weights mean, in a sentence; empty for weights that were not learned."""
    learned = content["separation"] or content["hypergradient"]
    return sentence(content["separation"], content["updates"]) if learned else ""


def headline(content: dict[str, Any], units: str = "") -> str:
    """The score to name first: that of the test part, if there is one."""
    label = label_of(content)
    if not content["split"]["sizes"]["test"]:
        return f"validation {label} {number(content['valid'])}{units}, not tested"
    return f"test {label} {number(content['test'])}{units}"


def data_line(content: dict[str, Any]) -> str:
    """Rows, and those that are odd."""
    line = f"{content['n_rows']:,} rows, {content['n_invalid']:,} invalid"
    line += f", {content['n_duplicates']:,} duplicates"
    if content["n_conflicting"] is not None:
        line += f" ({content['n_conflicting']:,} with other labels)"
    if sets := content.get("scaffolds"):
        line += f", {sets['sets']:,} scaffold sets (the largest of {sets['largest']:,})"
    if content.get("n_shortened"):
        line += f", {content['n_shortened']:,} shortened"
    return line


def read_as(content: dict[str, Any]) -> list[tuple[str, str]]:
    """A row on what was guessed about the table, if anything was."""
    guesses = content.get("read_as")
    return [("read as", "; ".join(guesses))] if guesses else []


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
