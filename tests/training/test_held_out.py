"""The test part: closed before the last decision, open once."""

from __future__ import annotations

import pytest
import torch

from molweight.training.held_out import HeldOut, TestPartTouchedError


def held_out():
    passes = []

    def batches():
        passes.append(1)
        return iter([{"targets": torch.ones(2, 1)}])

    return HeldOut(batches, torch.tensor([4, 7])), passes


def test_locked():
    part, passes = held_out()
    with pytest.raises(TestPartTouchedError, match="before the last decision"):
        part.read()
    assert (part.evaluations, passes) == (0, [])
    assert len(part) == 2, "its size is no secret"


def test_unlocked_it_is_read_once():
    part, passes = held_out()
    part.unlock()
    positions, batches = part.read()
    assert positions.tolist() == [4, 7] and len(list(batches)) == 1
    part.unlock()
    with pytest.raises(TestPartTouchedError, match="twice"):
        part.read()
    assert (part.evaluations, len(passes)) == (1, 1)
