"""``leaderboard.html``: ``leaderboard.md`` on one page, with a picture of each data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from molweight.leaderboard.tables import dataset_title, markdown
from molweight.reporting.leaderboard_json import DatasetEntry, Summary
from molweight.reporting.plots import Picture, figure_of, learned_figure, picture, plot_scores, ranks_figure
from molweight.utils.files import write_text
from molweight.utils.formats import counted, plus_minus
from molweight.utils.pages import from_markdown, render_page

if TYPE_CHECKING:
    from markupsafe import Markup

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
    text: Markup
    pictures: Sequence[Picture]
    narrow: bool


def save_page(summary: Summary, path: Path) -> None:
    """Write the page.

    Args:
        summary: of :func:`molweight.leaderboard.summary.summarise`.
        path: where to; replaced in one step.

    Raises:
        DataError: the file cannot be written.
    """
    introduction, *parts = markdown(summary).removeprefix("# Leaderboard\n").split("\n## ")
    best, reason = headline(summary)
    sections = as_sections(parts, summary)
    text = render_page(
        "molweight.leaderboard",
        "leaderboard.html",
        best=best,
        reason=reason,
        counts=counts(summary),
        introduction=from_markdown(introduction),
        groups=[(narrow, list(group)) for narrow, group in groupby(sections, key=attrgetter("narrow"))],
    )
    write_text(path, text)


def headline(summary: Summary) -> tuple[str, str]:
    """The method to name first, and why; empty where there is no score at all."""
    ranks, datasets = summary["ranks"], summary["datasets"]
    if ranks["critical_difference"] is not None:
        best, *others = ranks["methods"]
        close = sum(entry["rank"] - best["rank"] <= ranks["critical_difference"] for entry in others)
        told = f"; {close} of {counted(len(others), 'other')} cannot be told from it" if close else ""
        count = len(ranks["datasets"])
        return best["method"], f"has the best average rank, {best['rank']:.2f}, on {count} data sets{told}"
    if not datasets:
        return "", ""
    name, label, first = datasets[0]["dataset"], datasets[0]["label"], datasets[0]["methods"][0]
    score = plus_minus(first["test"]["mean"], first["test"]["sd"])
    return first["method"], f"is best on {name}: test {label} {score}"


def counts(summary: Summary) -> str:
    """How much was run."""
    runs = sum(entry["test"]["n"] for dataset in summary["datasets"] for entry in dataset["methods"])
    methods, datasets = len(summary["methods"]), len(summary["datasets"])
    return (
        f"{counted(methods, 'method')}, {counted(datasets, 'data set')}, {counted(runs, 'run')} with a score"
    )


def as_sections(parts: Sequence[str], summary: Summary) -> list[Section]:
    """Sections of the Markdown page as those of this page, which has pictures of its own."""
    drawn = pictures_by_title(summary)
    narrow = {dataset_title(dataset) for dataset in summary["datasets"]}
    sections = []
    for part in parts:
        title, _, text = part.partition("\n")
        lines = [line for line in text.splitlines() if not line.startswith("![")]
        sections.append(
            Section(
                title=title,
                text=from_markdown("\n".join(lines)),
                pictures=drawn.get(title, []),
                narrow=title in narrow,
            )
        )
    return sections


def pictures_by_title(summary: Summary) -> Mapping[str, Sequence[Picture]]:
    """The pictures of each section."""
    ranks, learned = summary["ranks"], summary["learned"]
    pictures = {
        dataset_title(dataset): [scores_picture(dataset, summary["reference"])]
        for dataset in summary["datasets"]
    }
    if not ranks["skipped"]:
        alt = "Average ranks, and which do not differ"
        pictures["Over all data sets"] = [picture(ranks_figure(ranks), alt)]
    if learned is not None:
        title = "Do seeds agree on the weights?" if summary["agreement"] else "Weights"
        pictures[title] = [picture(learned_figure(learned), "The weights of every seed")]
    return pictures


def scores_picture(dataset: DatasetEntry, reference: str | None) -> Picture:
    """The scores of every method on one data set."""
    draw = partial(plot_scores, dataset, reference)
    alt = f"Test {dataset['label']} of every method on {dataset['dataset']}, best first"
    caption = "Dots are seeds, the large one is their mean, the line is CI."
    return picture(figure_of(draw, (WIDTH, 0.7 + LINE * len(dataset["methods"]))), alt, caption=caption)
