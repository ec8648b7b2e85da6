"""The leaderboard's pictures: average ranks, joined where methods do not differ, scores, learned weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from molweight.errors import DataError
from molweight.leaderboard.statistics import cliques
from molweight.reporting.figures import COLOURS, encoded
from molweight.utils.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, BAR = "#222222", "#999999", "#D55E00"
STEP = 0.45  # between two lines of text, in units of the y axis
GAP = 0.28  # between two bars
COLUMNS = 3  # of data sets in the picture of their weights


def plot_ranks(ranks: dict[str, Any], axes: Axes) -> Axes:
    """Draw methods at their average ranks, best on the left, in the way of Demsar (JMLR 7, 2006), figure 1.

    Args:
        ranks: ``methods`` with ``method`` and ``rank``, ascending, two or more; ``critical_difference``.
        axes: to draw on; emptied of its frame.
    """
    methods, difference = ranks["methods"], ranks["critical_difference"]
    average = np.array([one["rank"] for one in methods])
    count = len(methods)
    bars = cliques(average, difference)
    axes.plot([1, count], [0, 0], color=INK, linewidth=1.2, solid_capstyle="butt")
    for tick in range(1, count + 1):
        axes.plot([tick, tick], [0, 0.12], color=INK, linewidth=1.2)
        axes.text(tick, 0.2, str(tick), ha="center", va="bottom", fontsize=9, color=INK)
    _draw_difference(axes, difference)
    for i, (first, last) in enumerate(bars):
        y, margin = -GAP * (i + 1), 0.012 * (count - 1)
        ends = [average[first] - margin, average[last] + margin]
        axes.plot(ends, [y, y], color=BAR, linewidth=4, solid_capstyle="round", gid="clique")
    _draw_names(axes, methods, top=-GAP * (len(bars) + 1) - 0.25)
    axes.set_axis_off()
    return axes


def _draw_difference(axes: Axes, difference: float) -> None:
    """A ruler as long as the critical difference."""
    y, end = 0.75, 1 + difference
    for x, height in (([1, end], [y, y]), ([1, 1], [y - 0.08, y + 0.08]), ([end, end], [y - 0.08, y + 0.08])):
        axes.plot(x, height, color=INK, linewidth=1.2, solid_capstyle="butt")
    label = f"critical difference {difference:.2f}"
    axes.text(1, y + 0.12, label, ha="left", va="bottom", fontsize=9, color=INK)


def _draw_names(axes: Axes, methods: list[dict[str, Any]], *, top: float) -> None:
    """Names beside the line, the better half left and the worse half right, joined to their ranks."""
    count = len(methods)
    margin, half = 0.12 * (count - 1), (count + 1) // 2
    for i, one in enumerate(methods):
        left = i < half
        y = top - STEP * (i if left else count - 1 - i)
        x, away = (1 - margin, -1) if left else (count + margin, 1)
        axes.plot([one["rank"], one["rank"], x], [0, y, y], color=GREY, linewidth=0.9, zorder=0)
        text = f"{one['method']}  {one['rank']:.2f}" if left else f"{one['rank']:.2f}  {one['method']}"
        side = "right" if left else "left"
        axes.text(x + away * 0.012 * (count - 1), y, text, ha=side, va="center", fontsize=10, color=INK)


def plot_learned(one: dict[str, Any], objectives: Sequence[str], axes: Axes) -> Axes:
    """Draw the weights that every seed learned on one data set: a dot a seed, a bar at their mean.

    Args:
        one: ``dataset`` and ``weights``, a mapping of objective to weight for each seed.
        objectives: from top to bottom.
        axes: to draw on.
    """
    axes.axvline(1 / len(objectives), color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    for i, name in enumerate(objectives):
        values = [weights[name] for weights in one["weights"]]
        colour = COLOURS[i % len(COLOURS)]
        mean = float(np.mean(values))
        axes.barh(i, mean, height=0.62, color=colour, alpha=0.25, linewidth=0)
        axes.scatter(values, [i] * len(values), s=22, color=colour, alpha=0.85, linewidths=0, zorder=3)
    axes.set_yticks(range(len(objectives)), objectives)
    axes.set_ylim(len(objectives) - 0.5, -0.5)
    axes.set_title(one["dataset"], loc="left", fontsize=10, color=INK)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return axes


def learned_figure(learned: dict[str, Any]) -> Figure:
    """:func:`plot_learned` of every data set.

    Args:
        learned: of the summary.
    """
    from matplotlib.figure import Figure

    datasets, names = learned["datasets"], learned["objectives"]
    columns = min(COLUMNS, len(datasets))
    lines = -(-len(datasets) // columns)
    size = (1.6 + 2.5 * columns, 0.6 + lines * (0.7 + 0.24 * len(names)))  # inches
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for one, axes in zip(datasets, grid, strict=False):
        plot_learned(one, names, axes)
    largest = max(weight for one in datasets for weights in one["weights"] for weight in weights.values())
    grid[0].set_xlim(0, 1.05 * largest)  # of all: they share their axis
    for axes in grid[len(datasets) :]:
        axes.set_axis_off()
    for axes in grid[max(0, len(datasets) - columns) : len(datasets)]:  # the lowest of their columns
        axes.tick_params(labelbottom=True)
    figure.suptitle(
        f"Weights that {learned['method']} learned: a dot for each seed, bars at the mean, dashed: equal",
        fontsize=10,
        color=INK,
        x=0.01,
        ha="left",
    )
    return figure


def ranks_figure(ranks: dict[str, Any]) -> Figure:
    """:func:`plot_ranks` with its title.

    Args:
        ranks: of the summary, not skipped.
    """
    from matplotlib.figure import Figure

    lines = (len(ranks["methods"]) + 1) // 2
    figure = Figure(figsize=(8.5, 1.9 + 0.32 * lines))  # names outside the axes widen the file
    axes = plot_ranks(ranks, figure.add_axes((0.2, 0.05, 0.6, 0.9)))
    title = f"Average rank over {len(ranks['datasets'])} data sets, 1 is best"
    axes.text(1, 1.32, title, ha="left", va="bottom", fontsize=11, color=INK)
    return figure


def plot_scores(dataset: dict[str, Any], reference: str | None, axes: Axes) -> Axes:
    """Draw every method's test scores: dots are seeds, the large one their mean, the line the interval.

    Args:
        dataset: of the summary.
        reference: method that is drawn in another colour.
        axes: to draw on.
    """
    entries = dataset["methods"]
    for i, entry in enumerate(entries):
        colour = BAR if entry["method"] == reference else COLOURS[0]
        if entry["interval"] is not None and not np.isnan(entry["interval"][0]):
            ends = entry["interval"]
            axes.plot(ends, [i, i], color=colour, alpha=0.35, linewidth=3, solid_capstyle="round")
        axes.scatter(entry["scores"], [i] * len(entry["scores"]), s=9, color=colour, alpha=0.55, linewidths=0)
        axes.scatter([entry["test"]["mean"]], [i], s=34, color=colour, zorder=3)
    axes.set_yticks(range(len(entries)), [entry["method"] for entry in entries])
    axes.set_ylim(len(entries) - 0.5, -0.5)
    axes.set_xlabel(f"test {dataset['label']}")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#EEEEEE")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return axes


def remove(path: Path) -> None:
    """Delete a picture that an earlier call left.

    Raises:
        DataError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"could not remove {path}: {error.strerror or error}") from error


def save_picture(figure: Figure | None, path: Path) -> None:
    """Write a PNG file, as wide as what is on it; without a figure, remove one that has become wrong.

    Raises:
        DataError: the file cannot be written or removed.
    """
    if figure is None:
        return remove(path)
    write_bytes(path, encoded(figure, kind="png"))
