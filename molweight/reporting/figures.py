"""Pictures of a run. Every ``plot_…`` draws on axes that it is given, and returns them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.isotonic import isotonic_regression
from sklearn.metrics import precision_recall_curve, roc_curve

from molweight.training.calibration import reliability
from molweight.utils.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray[Any, np.dtype[np.float64]]

# Okabe and Ito's palette, told apart by colour-blind readers too
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B4B8A", "#7F7F7F")


def plot_weights(records: list[dict[str, Any]], axes: Axes) -> Axes:
    """Draw the weight of every objective over the outer steps, labelled at its right end.

    Args:
        records: lines of ``steps.jsonl``.
        axes: to draw on.
    """
    names = list(records[0]["weights"])
    steps = [0, *(record["step"] for record in records)]
    uniform = 1 / len(names)
    axes.axhline(uniform, color="#999999", linewidth=1, linestyle=(0, (4, 3)))
    ends = [(uniform, "equal", "#777777")]
    for i, name in enumerate(names):
        values = [uniform, *(record["weights"][name] for record in records)]
        axes.plot(steps, values, color=COLOURS[i % len(COLOURS)], linewidth=2, solid_capstyle="round")
        ends.append((values[-1], name, COLOURS[i % len(COLOURS)]))
    _label_ends(axes, steps[-1], ends)
    axes.set_xlim(0, steps[-1])
    axes.set_ylim(bottom=0)
    return plain(axes, "outer step", "weight")


def plain(axes: Axes, x: str, y: str) -> Axes:
    """Name both axes and leave out what says nothing."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#EEEEEE")
    axes.set_axisbelow(True)
    return axes


def _label_ends(axes: Axes, x: float, ends: list[tuple[float, str, str]]) -> None:
    """Names and values at the ends of the lines, moved apart where they would overlap."""
    top = max(axes.get_ylim()[1], max(value for value, _, _ in ends) * 1.08)
    axes.set_ylim(0, top)
    gap = 0.055 * top  # the height of a label at this size
    # Least squares under "at least a gap apart" is isotonic regression of what is left without the gaps.
    offsets = gap * np.arange(len(ends))
    values = np.array([value for value, _, _ in sorted(ends)])
    positions = offsets + isotonic_regression(values - offsets, y_min=0, y_max=top - offsets[-1])
    for (value, name, colour), y in zip(sorted(ends), positions.tolist(), strict=True):
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


def plot_losses(records: list[dict[str, Any]], axes: Axes) -> Axes:
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


def plot_epochs(
    history: list[dict[str, Any]], lines: Mapping[str, str], label: str, best: int, axes: Axes
) -> Axes:
    """Draw values of finetuning over its epochs, with a mark at the one that was kept.

    Args:
        history: of ``finetune`` in ``report.json``.
        lines: keys of its entries to the names of their lines.
        label: of what is drawn.
        best: the epoch that was kept.
        axes: to draw on.
    """
    epochs = [one["epoch"] for one in history]
    axes.axvline(best, color="#999999", linewidth=1, linestyle=(0, (4, 3)))
    for colour, (key, name) in zip(COLOURS, lines.items(), strict=False):
        values = [np.nan if one[key] is None else one[key] for one in history]
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
    axes.plot(limits, limits, color="#999999", linewidth=1, linestyle=(0, (4, 3)))
    axes.scatter(y_true[known], predicted[known], s=14, color=COLOURS[0], alpha=0.55, linewidths=0)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    return plain(axes, "true", "predicted")


def plot_roc(targets: Mapping[str, tuple[Array, Array]], axes: Axes) -> Axes:
    """Draw the ROC curve of every target with both classes.

    Args:
        targets: name to truth [n] (NaN where missing) and probability [n].
        axes: to draw on.
    """
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=(0, (4, 3)))
    curves = {name: roc_curve(*pair)[:2] for name, pair in with_both_classes(targets).items()}
    return plot_curves(curves, "false positive rate", "true positive rate", axes)


def plot_precision_recall(targets: Mapping[str, tuple[Array, Array]], axes: Axes) -> Axes:
    """Draw precision over recall of every target with both classes; arguments as of :func:`plot_roc`."""
    curves = {name: precision_recall_curve(*pair)[1::-1] for name, pair in with_both_classes(targets).items()}
    return plot_curves(curves, "recall", "precision", axes)


def with_both_classes(targets: Mapping[str, tuple[Array, Array]]) -> dict[str, tuple[Array, Array]]:
    """Known labels and their probabilities of the targets whose labels are not all the same."""
    known = {name: ~np.isnan(y_true) for name, (y_true, _) in targets.items()}
    pairs = {name: (y_true[known[name]], guess[known[name]]) for name, (y_true, guess) in targets.items()}
    return {name: pair for name, pair in pairs.items() if len(np.unique(pair[0])) == 2}


def plot_curves(curves: Mapping[str, tuple[Array, Array]], x: str, y: str, axes: Axes) -> Axes:
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
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=(0, (4, 3)))
    for colour, (label, probability) in zip(COLOURS, kinds.items(), strict=False):
        points = np.array(reliability(y_true, probability, bins))
        axes.plot(points[:, 0], points[:, 1], color=colour, marker="o", markersize=4, label=label)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    return plain(axes, "mean probability", "share of positives")


def plot_confusion(counts: Array, labels: Sequence[str], axes: Axes) -> Axes:
    """Draw how often each label [c] was predicted for each true one, counts [c, c], truth down."""
    axes.imshow(counts, cmap="Blues", vmin=0)
    for (row, column), value in np.ndenumerate(counts):
        dark = value > counts.max() / 2
        axes.text(
            column, row, f"{int(value):,}", ha="center", va="center", color="white" if dark else "black"
        )
    axes.set_xticks(range(len(labels)), labels=list(labels), rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels=list(labels))
    axes.set(xlabel="predicted", ylabel="true")
    return axes


def drawn(draw: Callable[[Axes], object], *, size: tuple[float, float], kind: str = "svg") -> bytes:
    """A picture without a screen; the same bytes for the same picture.

    Args:
        draw: on axes.
        size: in inches.
        kind: ``svg`` or ``png``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    draw(figure.subplots())
    return encoded(figure, kind=kind)


def encoded(figure: Figure, *, kind: str) -> bytes:
    """A figure as ``svg`` or ``png``, as large as what is on it; the same bytes for the same figure."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with mpl.rc_context({"svg.hashsalt": "molweight", "svg.fonttype": "path"}):
        FigureCanvasAgg(figure)
        buffer, metadata = io.BytesIO(), {"Date": None} if kind == "svg" else None
        figure.savefig(buffer, format=kind, dpi=150, bbox_inches="tight", metadata=metadata)
    return buffer.getvalue()


def save_weights_plot(records: list[dict[str, Any]], path: Path, *, title: str) -> None:
    """Write the trajectory of the weights as a PNG file.

    Args:
        records: lines of ``steps.jsonl``, at least one.
        path: of the picture.
        title: of the picture.
    """
    write_bytes(
        path,
        drawn(
            lambda axes: plot_weights(records, axes).set_title(title, loc="left"), size=(8.5, 4.5), kind="png"
        ),
    )
