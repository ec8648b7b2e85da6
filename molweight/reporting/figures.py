"""Pictures of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.isotonic import isotonic_regression

from molweight.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    axes.set_xlabel("outer step")
    axes.set_ylabel("weight")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#EEEEEE")
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


def save_weights_plot(records: list[dict[str, Any]], path: Path, *, title: str) -> None:
    """Write the trajectory of the weights as a PNG file.

    Args:
        records: lines of ``steps.jsonl``, at least one.
        path: of the picture.
        title: of the picture.
    """
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    plot_weights(records, figure.subplots()).set_title(title, loc="left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, bbox_inches="tight")
    write_bytes(path, buffer.getvalue())
