"""The picture of the weights: a line and a label for every objective, none on top of another."""

from __future__ import annotations

import itertools

import pytest
from matplotlib.figure import Figure

from molweight.reporting.plots import plot_weights, save_weights_plot


def records(*weights):
    names = [f"objective_{i}" for i in range(len(weights[0]))]
    return [{"step": i + 1, "weights": dict(zip(names, row, strict=True))} for i, row in enumerate(weights)]


@pytest.mark.parametrize("last", [(0.25, 0.25, 0.25, 0.25), (0.97, 0.01, 0.01, 0.01), (0.4, 0.3, 0.2, 0.1)])
def test_labels_never_overlap(last):
    axes = Figure(figsize=(8.5, 4.5)).subplots()
    plot_weights(records((0.3, 0.3, 0.2, 0.2), last), axes)
    labels = {text.get_text(): text.xyann[1] for text in axes.texts}
    assert set(labels) == {*(f"objective_{i}  {w:.2f}" for i, w in enumerate(last)), "equal  0.25"}
    gap = 0.05 * axes.get_ylim()[1]
    assert all(abs(a - b) > gap for a, b in itertools.combinations(labels.values(), 2))


def test_lines_start_equal_and_end_where_the_records_do():
    axes = Figure().subplots()
    plot_weights(records((0.6, 0.4), (0.7, 0.3)), axes)
    lines = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert [list(line.get_ydata()) for line in lines] == [[0.5, 0.6, 0.7], [0.5, 0.4, 0.3]]
    assert axes.get_xlim() == (0, 2)


def test_file_is_a_picture(tmp_path):
    save_weights_plot(records((0.6, 0.4)), tmp_path / "w.png", title="t")
    assert (tmp_path / "w.png").read_bytes().startswith(b"\x89PNG")
