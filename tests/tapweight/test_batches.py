"""Batches within batches."""

from __future__ import annotations

import torch

from molweight.tapweight.batches import inner, map_tensors, nest


def test_a_function_reaches_every_tensor_and_the_batch_stays_as_it_was():
    batch = nest({"y": torch.ones(2), "views": {"plain": torch.ones(3), "deep": {"x": torch.ones(4)}}})
    doubled = map_tensors(lambda x: 2 * x, batch)
    expected = {
        "y": torch.full((2,), 2.0),
        "views": {"plain": torch.full((3,), 2.0), "deep": {"x": torch.full((4,), 2.0)}},
    }
    torch.testing.assert_close(doubled, expected, rtol=0, atol=0)
    assert torch.equal(inner(inner(batch, "views"), "deep")["x"], torch.ones(4))
