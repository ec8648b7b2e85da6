"""The critical-difference picture: average ranks on a line, and bars over methods that do not differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from molweight.errors import DataError
from molweight.files import write_bytes
from molweight.leaderboard.statistics import cliques

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, GREY, BAR = "#222222", "#999999", "#D55E00"
STEP = 0.45  # between two lines of text, in units of the y axis
GAP = 0.28  # between two bars


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


def save_ranks(ranks: dict[str, Any], path: Path) -> None:
    """Write the picture as a PNG file; where there are no ranks, remove one that an earlier call left.

    Raises:
        DataError: the file cannot be written or removed.
    """
    if ranks["skipped"]:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(f"could not remove {path}: {error.strerror or error}") from error
        return
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = (len(ranks["methods"]) + 1) // 2
    figure = Figure(figsize=(8.5, 1.9 + 0.32 * lines))  # names outside the axes widen the file
    FigureCanvasAgg(figure)
    axes = plot_ranks(ranks, figure.add_axes((0.2, 0.05, 0.6, 0.9)))
    title = f"Average rank over {len(ranks['datasets'])} data sets, 1 is best"
    axes.text(1, 1.32, title, ha="left", va="bottom", fontsize=11, color=INK)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, bbox_inches="tight")
    write_bytes(path, buffer.getvalue())
