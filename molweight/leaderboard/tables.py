"""``leaderboard.md``: the summary as a page for people, and what its template cannot say itself."""

from __future__ import annotations

import math

from molweight.leaderboard.statistics import LEVEL
from molweight.reporting.leaderboard_json import DatasetEntry, MethodCost, Summary
from molweight.training.bootstrap import COVERAGE
from molweight.utils.formats import line
from molweight.utils.pages import render_markdown


def markdown(summary: Summary) -> str:
    """The page, from :func:`molweight.leaderboard.summary.summarise`."""
    return render_markdown(
        "molweight.leaderboard",
        "leaderboard.md",
        summary=summary,
        methods=by_rank(summary),
        uneven=[dataset["dataset"] for dataset in summary["datasets"] if has_uneven_seeds(dataset)],
        title=dataset_title,
        interval_groups=interval_groups,
        level=LEVEL,
        interval_coverage=COVERAGE,
    )


def by_rank(summary: Summary) -> list[MethodCost]:
    """Methods by their average rank, as far as they have one."""
    rank = {entry["method"]: entry["rank"] for entry in summary["ranks"]["methods"]}
    return sorted(summary["methods"], key=lambda entry: rank.get(entry["method"], math.inf))


def has_uneven_seeds(dataset: DatasetEntry) -> bool:
    """Whether methods were run with different seeds."""
    return len({tuple(sorted(entry["seeds"])) for entry in dataset["methods"]}) > 1


def dataset_title(dataset: DatasetEntry) -> str:
    """The heading of a data set's section, on one line."""
    direction = "higher" if dataset["higher_is_better"] else "lower"
    return line(f"{dataset['dataset']}: {dataset['label']}, {direction} is better")


def interval_groups(dataset: DatasetEntry) -> list[tuple[str, list[str]]]:
    """Seeds that are in the interval, and the methods of which that is; only where they are fewer than all.

    Where every method lacks some, the largest group comes last, as "all others" or "every method".
    """
    short = [entry for entry in dataset["methods"] if len(entry["interval_seeds"]) < len(entry["seeds"])]
    groups: dict[str, list[str]] = {}
    for entry in short:
        seeds = ", ".join(str(seed) for seed in entry["interval_seeds"]) or "none"
        groups.setdefault(seeds, []).append(entry["method"])
    if short and len(short) == len(dataset["methods"]):  # a long list of names says less than who is left
        most = max(groups, key=lambda seeds: len(groups[seeds]))
        del groups[most]
        groups[most] = ["all others" if groups else "every method"]
    return list(groups.items())
