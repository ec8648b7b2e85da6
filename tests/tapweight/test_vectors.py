"""Arithmetic on directions that are kept as several tensors."""

from __future__ import annotations

import pytest
import torch

from molweight.tapweight.proximal import SmoothL1, SquaredL2, make_proximal
from molweight.tapweight.vectors import axpy, dot, norm, scaled, times

X = (torch.tensor([1.0, 2.0]), torch.tensor([[3.0]]))
Y = (torch.tensor([4.0, -1.0]), torch.tensor([[2.0]]))

TEXT = make_proximal("l1_encoder", gamma=1.0, reduction="sum", beta=1.0).of(["embeddings.a", "encoder.b"])


def test_vectors_in_parts_are_those_of_one_piece():
    assert dot(X, Y).item() == 8.0 and norm(X).item() == pytest.approx(14**0.5)
    assert [x.tolist() for x in axpy(2.0, X, Y)] == [[6.0, 3.0], [[8.0]]]
    assert [x.tolist() for x in scaled(-2.0, X)] == [[-2.0, -4.0], [[-6.0]]]
    assert [x.tolist() for x in times(X, Y)] == [[4.0, -2.0], [[6.0]]]


@pytest.mark.parametrize(
    "combined",
    [
        dot,
        lambda x, y: axpy(1.0, x, y),
        times,
        SquaredL2(),
        TEXT,
        lambda x, y: TEXT.cross(x, x, y),
        lambda x, y: SmoothL1().cross(x, y, y),
    ],
    ids=["dot", "axpy", "times", "squared_l2", "l1_encoder", "l1_encoder_cross", "smooth_l1_cross"],
)
def test_a_missing_part_is_an_error(combined):
    with pytest.raises(ValueError, match="zip"):
        combined(X, Y[:1])
