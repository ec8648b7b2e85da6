"""Every picture of runs and leaderboards, in one style.

A ``plot_…`` draws on axes that it is given, and returns them. Letters: n samples, c labels.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression
from sklearn.metrics import precision_recall_curve, roc_curve

from molweight.errors import DataError
from molweight.methods.run_directory import Step
from molweight.reporting.leaderboard_json import (
    DatasetEntry,
    DatasetWeights,
    LearnedWeights,
    MethodRank,
    Ranks,
)
from molweight.training.calibration import reliability
from molweight.utils.files import write_bytes
from molweight.utils.pages import svg_address

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Draw = Callable[["Axes"], object]

# Okabe and Ito's palette, told apart by colour-blind readers too
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B4B8A", "#7F7F7F")
INK, GREY, GRID = "#222222", "#999999", "#EEEEEE"
REFERENCE: dict[str, Any] = {"color": GREY, "linewidth": 1, "linestyle": (0, (4, 3))}  # lines to compare with
INCH = 96  # px of a page
COLUMNS = 3  # of data sets in the picture of their weights
NAME_STEP, BAR_STEP = 0.45, 0.28  # between two names, and two bars, below average ranks


def plain(axes: Axes, x: str, y: str) -> Axes:
    """Name both axes and leave out what says nothing."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GRID)
    axes.set_axisbelow(True)
    return axes


# Of a run


def plot_weights(records: Sequence[Step], axes: Axes) -> Axes:
    """Draw the weight of every objective over the outer steps, labelled at its right end.

    Args:
        records: lines of ``steps.jsonl``.
        axes: to draw on.
    """
    names = list(records[0]["weights"])
    steps = [0, *(record["step"] for record in records)]
    uniform = 1 / len(names)
    axes.axhline(uniform, **REFERENCE)
    ends = [(uniform, "equal", "#777777")]
    for i, name in enumerate(names):
        values, colour = (
            [uniform, *(record["weights"][name] for record in records)],
            COLOURS[i % len(COLOURS)],
        )
        axes.plot(steps, values, color=colour, linewidth=2, solid_capstyle="round")
        ends.append((values[-1], name, colour))
    _label_ends(axes, steps[-1], ends)
    axes.set_xlim(0, steps[-1])
    axes.set_ylim(bottom=0)
    return plain(axes, "outer step", "weight")


def plot_losses(records: Sequence[Step], axes: Axes) -> Axes:
    """Draw every objective's loss over the outer steps, as a share of its first value.

    Args:
        records: lines of ``steps.jsonl``.
        axes: to draw on.
    """
    first = records[0]["losses"]
    steps, ends = [record["step"] for record in records], []
    for i, name in enumerate(first):
        values = [record["losses"][name] / first[name] if first[name] else 1.0 for record in records]
        axes.plot(steps, values, color=COLOURS[i % len(COLOURS)], linewidth=1.5)
        ends.append((values[-1], name, COLOURS[i % len(COLOURS)]))
    axes.set_ylim(bottom=0)
    _label_ends(axes, steps[-1], ends)
    axes.set_xlim(0, steps[-1])
    return plain(axes, "outer step", "loss / first loss")


def _label_ends(axes: Axes, x: float, ends: list[tuple[float, str, str]]) -> None:
    """Names and values at the ends of the lines, moved apart where they would overlap."""
    top = max(axes.get_ylim()[1], max(value for value, _, _ in ends) * 1.08)
    axes.set_ylim(0, top)
    gap = 0.055 * top  # the height of a label at this size
    # Least squares under "at least a gap apart" is isotonic regression of what is left without the gaps.
    offsets = gap * np.arange(len(ends))
    values = np.array([value for value, _, _ in sorted(ends)])
    heights = offsets + isotonic_regression(values - offsets, y_min=0, y_max=top - offsets[-1])
    for (value, name, colour), y in zip(sorted(ends), heights.tolist(), strict=True):
        axes.annotate(
            f"{name}  {value:.2f}",
            xy=(x, value),
            xytext=(x * 1.03, y),
            color=colour,
            va="center",
            fontsize=9,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0},
        )


def plot_epochs(
    history: Sequence[Mapping[str, Any]], lines: Mapping[str, str], label: str, best: int, axes: Axes
) -> Axes:
    """Draw values of finetuning over its epochs, with a mark at the one that was kept.

    Args:
        history: of ``finetune`` in ``report.json``.
        lines: keys of its entries to the names of their lines.
        label: of what is drawn.
        best: the epoch that was kept.
        axes: to draw on.
    """
    epochs = [entry["epoch"] for entry in history]
    axes.axvline(best, **REFERENCE)
    for colour, (key, name) in zip(COLOURS, lines.items(), strict=False):
        values = [np.nan if entry[key] is None else entry[key] for entry in history]
        axes.plot(epochs, values, color=colour, label=name, marker=".")
    if len(lines) > 1:
        axes.legend(frameon=False)
    axes.locator_params(axis="x", integer=True)
    return plain(axes, "epoch", label)


def plot_parity(y_true: Array, predicted: Array, axes: Axes) -> Axes:
    """Draw predicted [n] against true values [n] of one target, with the line on which they are equal.

    Args:
        y_true: NaN where missing.
        predicted: in the same units.
        axes: to draw on.
    """
    known = ~np.isnan(y_true)
    both = np.concatenate([y_true[known], predicted[known]])
    low, high = (both.min(), both.max()) if len(both) else (0.0, 1.0)
    margin = 0.05 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, **REFERENCE)
    axes.scatter(y_true[known], predicted[known], s=14, color=COLOURS[0], alpha=0.55, linewidths=0)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    return plain(axes, "true", "predicted")


def plot_roc(targets: Mapping[str, tuple[Array, Array]], axes: Axes) -> Axes:
    """Draw the ROC curve of every target with both classes.

    Args:
        targets: name to truth [n] (NaN where missing) and probability [n].
        axes: to draw on.
    """
    axes.plot([0, 1], [0, 1], **REFERENCE)
    curves = {name: roc_curve(*pair)[:2] for name, pair in _with_both_classes(targets).items()}
    return _plot_curves(curves, "false positive rate", "true positive rate", axes)


def plot_precision_recall(targets: Mapping[str, tuple[Array, Array]], axes: Axes) -> Axes:
    """Draw precision over recall of every target with both classes; arguments as of :func:`plot_roc`."""
    curves = {
        name: precision_recall_curve(*pair)[1::-1] for name, pair in _with_both_classes(targets).items()
    }
    return _plot_curves(curves, "recall", "precision", axes)


def _with_both_classes(targets: Mapping[str, tuple[Array, Array]]) -> dict[str, tuple[Array, Array]]:
    """Known labels and their probabilities of the targets whose labels are not all the same."""
    known = {name: ~np.isnan(y_true) for name, (y_true, _) in targets.items()}
    pairs = {name: (y_true[known[name]], guess[known[name]]) for name, (y_true, guess) in targets.items()}
    return {name: pair for name, pair in pairs.items() if len(np.unique(pair[0])) == 2}


def _plot_curves(curves: Mapping[str, tuple[Array, Array]], x: str, y: str, axes: Axes) -> Axes:
    """Draw curves in the unit square, each in a colour where there are few."""
    few = len(curves) <= len(COLOURS)
    for i, (name, points) in enumerate(curves.items()):
        if few:
            axes.plot(*points, color=COLOURS[i], linewidth=1.5, label=name)
        else:
            axes.plot(*points, color=COLOURS[0], linewidth=0.8, alpha=0.3)
    if few and len(curves) > 1:
        axes.legend(frameon=False, fontsize=8)
    axes.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
    return plain(axes, x, y)


def plot_reliability(y_true: Array, kinds: Mapping[str, Array], axes: Axes, *, bins: int = 10) -> Axes:
    """Draw the share of positives against the mean probability in bins of equal width.

    Args:
        y_true: [n] 0 or 1.
        kinds: label to probabilities [n].
        axes: to draw on.
        bins: how many.
    """
    axes.plot([0, 1], [0, 1], **REFERENCE)
    for colour, (label, probability) in zip(COLOURS, kinds.items(), strict=False):
        points = np.array(reliability(y_true, probability, bins))
        axes.plot(points[:, 0], points[:, 1], color=colour, marker="o", markersize=4, label=label)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    return plain(axes, "mean probability", "share of positives")


def plot_confusion(counts: Array, labels: Sequence[str], axes: Axes) -> Axes:
    """Draw how often each label was predicted for each true one.

    Args:
        counts: [c, c], true labels down.
        labels: c names.
        axes: to draw on.
    """
    axes.imshow(counts, cmap="Blues", vmin=0)
    for (row, column), value in np.ndenumerate(counts):
        colour = "white" if value > counts.max() / 2 else "black"
        axes.text(column, row, f"{int(value):,}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(labels)), labels=list(labels), rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels=list(labels))
    axes.set(xlabel="predicted", ylabel="true")
    return axes


# Of a leaderboard


def plot_scores(dataset: DatasetEntry, reference: str | None, axes: Axes) -> Axes:
    """Draw every method's test scores: dots are seeds, the large one their mean, the line the interval.

    Args:
        dataset: of ``leaderboard.json``.
        reference: method that is drawn in another colour.
        axes: to draw on.
    """
    entries = dataset["methods"]
    for i, entry in enumerate(entries):
        colour = COLOURS[1] if entry["method"] == reference else COLOURS[0]
        ends = entry["interval"]
        if ends is not None and not np.isnan(ends[0]):
            axes.plot(ends, [i, i], color=colour, alpha=0.35, linewidth=3, solid_capstyle="round")
        axes.scatter(entry["scores"], [i] * len(entry["scores"]), s=9, color=colour, alpha=0.55, linewidths=0)
        axes.scatter([entry["test"]["mean"]], [i], s=34, color=colour, zorder=3)
    plain(_named_lines(axes, [entry["method"] for entry in entries]), f"test {dataset['label']}", "")
    axes.grid(visible=False, axis="y")
    return axes


def plot_learned(learned: DatasetWeights, objectives: Sequence[str], axes: Axes) -> Axes:
    """Draw the weights that every seed learned on one data set: a dot a seed, a bar at their mean.

    Args:
        learned: ``dataset`` and ``weights``, a mapping of objective to weight for each seed.
        objectives: from top to bottom.
        axes: to draw on.
    """
    axes.axvline(1 / len(objectives), zorder=0, **REFERENCE)
    for i, name in enumerate(objectives):
        values, colour = [weights[name] for weights in learned["weights"]], COLOURS[i % len(COLOURS)]
        axes.barh(i, float(np.mean(values)), height=0.62, color=colour, alpha=0.25, linewidth=0)
        axes.scatter(values, [i] * len(values), s=22, color=colour, alpha=0.85, linewidths=0, zorder=3)
    axes.set_title(learned["dataset"], loc="left", fontsize=10, color=INK)
    return _named_lines(axes, objectives)


def _named_lines(axes: Axes, names: Sequence[str]) -> Axes:
    """A name at every whole number of the y axis, from top to bottom, and no frame but below."""
    axes.set_yticks(range(len(names)), list(names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return axes


def plot_ranks(ranks: Ranks, axes: Axes) -> Axes:
    """Draw methods at their average ranks, best on the left, in the way of Demsar (JMLR 7, 2006), figure 1.

    Args:
        ranks: ``methods`` with ``method`` and ``rank``, ascending, two or more; ``critical_difference``.
        axes: to draw on; emptied of its frame.
    """
    methods, difference = ranks["methods"], float(ranks["critical_difference"] or 0.0)
    average = np.array([entry["rank"] for entry in methods])
    draw = partial(axes.plot, color=INK, linewidth=1.2)
    draw([1, len(methods)], [0, 0], solid_capstyle="butt")
    for tick in range(1, len(methods) + 1):
        draw([tick, tick], [0, 0.12])
        axes.text(tick, 0.2, str(tick), ha="center", va="bottom", fontsize=9, color=INK)
    end, y = 1 + difference, 0.75  # a ruler as long as the critical difference
    for x, height in (([1, end], [y, y]), ([1, 1], [y - 0.08, y + 0.08]), ([end, end], [y - 0.08, y + 0.08])):
        draw(x, height, solid_capstyle="butt")
    label = f"critical difference {difference:.2f}"
    axes.text(1, y + 0.12, label, ha="left", va="bottom", fontsize=9, color=INK)
    bars = cliques(average, difference)
    for i, (first, last) in enumerate(bars):
        y, margin = -BAR_STEP * (i + 1), 0.012 * (len(methods) - 1)
        ends = [average[first] - margin, average[last] + margin]
        axes.plot(ends, [y, y], color=COLOURS[1], linewidth=4, solid_capstyle="round", gid="clique")
    _draw_names(axes, methods, top=-BAR_STEP * (len(bars) + 1) - 0.25)
    axes.set_axis_off()
    return axes


def _draw_names(axes: Axes, methods: Sequence[MethodRank], *, top: float) -> None:
    """Names beside the line, the better half left and the worse half right, joined to their ranks."""
    count = len(methods)
    margin, half = 0.12 * (count - 1), (count + 1) // 2
    for i, entry in enumerate(methods):
        left = i < half
        y = top - NAME_STEP * (i if left else count - 1 - i)
        x, away = (1 - margin, -1) if left else (count + margin, 1)
        axes.plot([entry["rank"], entry["rank"], x], [0, y, y], color=GREY, linewidth=0.9, zorder=0)
        text = (
            f"{entry['method']}  {entry['rank']:.2f}" if left else f"{entry['rank']:.2f}  {entry['method']}"
        )
        side = "right" if left else "left"
        axes.text(x + away * 0.012 * (count - 1), y, text, ha=side, va="center", fontsize=10, color=INK)


def cliques(average: Array, difference: float) -> list[tuple[int, int]]:
    """Largest groups of methods whose average ranks differ by less than the critical difference.

    Args:
        average: ranks, ascending.
        difference: of :func:`molweight.leaderboard.statistics.critical_difference`.

    Returns:
        First and last index of each group of two or more; none lies inside another.
    """
    groups: list[tuple[int, int]] = []
    for first in range(len(average)):
        last = max(i for i in range(first, len(average)) if average[i] - average[first] < difference)
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return groups


def ranks_figure(ranks: Ranks) -> Figure:
    """:func:`plot_ranks` with its title.

    Args:
        ranks: of ``leaderboard.json``, not skipped.
    """
    from matplotlib.figure import Figure

    lines = (len(ranks["methods"]) + 1) // 2
    figure = Figure(figsize=(8.5, 1.9 + 0.32 * lines))  # names outside the axes widen the file
    axes = plot_ranks(ranks, figure.add_axes((0.2, 0.05, 0.6, 0.9)))
    title = f"Average rank over {len(ranks['datasets'])} data sets, 1 is best"
    axes.text(1, 1.32, title, ha="left", va="bottom", fontsize=11, color=INK)
    return figure


def learned_figure(learned: LearnedWeights) -> Figure:
    """:func:`plot_learned` of every data set.

    Args:
        learned: of ``leaderboard.json``.
    """
    from matplotlib.figure import Figure

    datasets, names = learned["datasets"], learned["objectives"]
    columns = min(COLUMNS, len(datasets))
    lines = -(-len(datasets) // columns)
    size = (1.6 + 2.5 * columns, 0.6 + lines * (0.7 + 0.24 * len(names)))  # inches
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for dataset, axes in zip(datasets, grid, strict=False):
        plot_learned(dataset, names, axes)
    largest = max(weight for entry in datasets for weights in entry["weights"] for weight in weights.values())
    grid[0].set_xlim(0, 1.05 * largest)  # of all: they share their axis
    for axes in grid[len(datasets) :]:
        axes.set_axis_off()
    for axes in grid[max(0, len(datasets) - columns) : len(datasets)]:  # the lowest of their columns
        axes.tick_params(labelbottom=True)
    title = f"Weights that {learned['method']} learned: a dot for each seed, bars at the mean, dashed: equal"
    figure.suptitle(title, fontsize=10, color=INK, x=0.01, ha="left")
    return figure


# As files and inside pages


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure inside a page.

    Args:
        alt: what it shows, for those who cannot see it.
        data: an address that holds the picture itself.
        width: px.
        title: above it.
        caption: below it.
    """

    alt: str
    data: str
    width: int
    title: str = ""
    caption: str = ""


def picture(figure: Figure, alt: str, title: str = "", caption: str = "") -> Picture:
    """A figure as large as its letters are meant."""
    width = int(figure.get_size_inches()[0] * INCH)
    data = svg_address(encoded(figure, kind="svg"))
    return Picture(title=title, alt=alt, data=data, width=width, caption=caption)


def figure_of(draw: Draw, size: tuple[float, float]) -> Figure:
    """A figure of one pair of axes.

    Args:
        draw: on the axes.
        size: in inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    draw(figure.subplots())
    return figure


def encoded(figure: Figure, *, kind: str) -> bytes:
    """A figure as ``svg`` or ``png``, as large as what is on it; the same bytes for the same figure."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with mpl.rc_context({"svg.hashsalt": "molweight", "svg.fonttype": "path"}):
        FigureCanvasAgg(figure)
        buffer, metadata = io.BytesIO(), {"Date": None} if kind == "svg" else None
        figure.savefig(buffer, format=kind, dpi=150, bbox_inches="tight", metadata=metadata)
    return buffer.getvalue()


def save_picture(figure: Figure | None, path: Path) -> None:
    """Write a PNG file, as wide as what is on it; without a figure, remove one that has become wrong.

    Raises:
        DataError: the file cannot be written or removed.
    """
    if figure is not None:
        return write_bytes(path, encoded(figure, kind="png"))
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"could not remove {path}: {error.strerror or error}") from error


def save_weights_plot(records: Sequence[Step], path: Path, *, title: str) -> None:
    """Write the trajectory of the weights as a PNG file.

    Args:
        records: lines of ``steps.jsonl``, at least one.
        path: of the picture.
        title: of the picture.
    """
    figure = figure_of(lambda axes: plot_weights(records, axes).set_title(title, loc="left"), (8.5, 4.5))
    save_picture(figure, path)
