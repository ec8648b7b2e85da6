"""``leaderboard.html``: the summary on one page that needs nothing else, in the style of a run's report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from molweight.leaderboard.pictures import learned_figure, plot_scores, ranks_figure
from molweight.leaderboard.single_objective_anova import anova_section
from molweight.leaderboard.tables import (
    Summary,
    counted,
    dataset_section,
    failed_section,
    introduction,
    over_datasets,
    overview,
    plus_minus,
    provenance_section,
    weights_section,
)
from molweight.reporting.embedded import Picture, picture, picture_of
from molweight.utils.files import write_text
from molweight.utils.pages import from_markdown, render_page

WIDTH, LINE = 5.4, 0.24  # of the picture of a data set, and of a method in it, inches


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page.

    Args:
        title: above it.
        text: HTML.
        pictures: above the text.
        narrow: two stand side by side where there is room, and a click shows the text.
    """

    title: str
    text: Any
    pictures: list[Picture] = field(default_factory=list)
    narrow: bool = False


def save_page(summary: Summary, path: Path) -> None:
    """Write the page.

    Args:
        summary: of :func:`molweight.leaderboard.summary.summarise`.
        path: where to; replaced in one step.

    Raises:
        DataError: the file cannot be written.
    """
    best, score = headline(summary)
    text = render_page(
        "molweight.leaderboard",
        "leaderboard.html",
        best=best,
        score=score,
        counts=counts(summary),
        introduction=from_markdown("\n".join(introduction(summary))),
        groups=[(kind, list(some)) for kind, some in groupby(sections(summary), key=attrgetter("narrow"))],
    )
    write_text(path, text)


def headline(summary: Summary) -> tuple[str, str]:
    """The method to name first, and why; empty where there is no score at all."""
    ranks, datasets = summary["ranks"], summary["datasets"]
    if not ranks["skipped"]:
        best, *others = ranks["methods"]
        close = sum(one["rank"] - best["rank"] <= ranks["critical_difference"] for one in others)
        told = f"; {close} of {counted(len(others), 'other')} cannot be told from it" if close else ""
        count = len(ranks["datasets"])
        return best["method"], f"has the best average rank, {best['rank']:.2f}, on {count} data sets{told}"
    if not datasets:
        return "", ""
    best, label = datasets[0]["methods"][0], datasets[0]["label"]
    return best["method"], f"is best on {datasets[0]['dataset']}: test {label} {plus_minus(best['test'])}"


def counts(summary: Summary) -> str:
    """How much was run."""
    runs = sum(entry["test"]["n"] for one in summary["datasets"] for entry in one["methods"])
    said = [counted(len(summary["methods"]), "method"), counted(len(summary["datasets"]), "data set")]
    return f"{', '.join(said)}, {counted(runs, 'run')} with a score"


def sections(summary: Summary) -> list[Section]:
    """What stands below the headline."""
    found = [made(overview(summary))]
    for dataset in summary["datasets"]:
        size = (WIDTH, 0.7 + LINE * len(dataset["methods"]))
        shown = picture(
            "",
            f"Test {dataset['label']} of every method on {dataset['dataset']}, best first",
            partial(plot_scores, dataset, summary["reference"]),
            size,
            caption="Dots are seeds, the large one is their mean, the line is CI.",
        )
        found.append(made(dataset_section(dataset, summary["reference"]), [shown], narrow=True))
    ranks, learned = summary["ranks"], summary["learned"]
    drawn = (
        []
        if ranks["skipped"]
        else [picture_of(ranks_figure(ranks), "", "Average ranks, and which do not differ")]
    )
    found.append(made(over_datasets(summary), drawn))
    found.append(made(anova_section(summary["corners"])))
    drawn = [] if learned is None else [picture_of(learned_figure(learned), "", "The weights of every seed")]
    found.append(made(weights_section(summary), drawn))
    found += [made(failed_section(summary)), made(provenance_section(summary))]
    return [one for one in found if one.text or one.pictures]


def made(lines: Sequence[str], pictures: Sequence[Picture] = (), *, narrow: bool = False) -> Section:
    """A section of the Markdown page as one of this page, which has pictures of its own."""
    title = next((line.removeprefix("## ") for line in lines if line.startswith("## ")), "Weights")
    kept = [line for line in lines if not line.startswith(("## ", "!["))]
    text = from_markdown("\n".join(kept)) if any(kept) else ""
    return Section(title=title, text=text, pictures=list(pictures), narrow=narrow)
