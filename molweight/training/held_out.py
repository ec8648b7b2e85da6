"""The test part behind a lock: it opens once, after the last decision."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from molweight.tapweight.typing import Batch
from molweight.training.finetune import Evaluation


class TestPartTouchedError(RuntimeError):
    """The test part was read too early or twice: a bug of ours, never the user's."""

    __test__ = False  # not a test, whatever its name looks like


class HeldOut:
    """A part that can be evaluated exactly once, and only after :meth:`unlock`.

    Args:
        batches: passes over the part.
        positions: of its samples.
    """

    def __init__(self, batches: Evaluation, positions: Tensor) -> None:
        self._batches = batches
        self._positions = positions
        self._unlocked = False
        self.evaluations = 0

    def __len__(self) -> int:
        return len(self._positions)

    def unlock(self) -> None:
        """Declare that no decision remains to be made."""
        self._unlocked = True

    def read(self) -> tuple[Tensor, Iterator[Batch]]:
        """Positions and batches of the part.

        Raises:
            TestPartTouchedError: before :meth:`unlock`, or a second time.
        """
        if not self._unlocked:
            raise TestPartTouchedError("the test part was read before the last decision was made")
        if self.evaluations:
            raise TestPartTouchedError("the test part was read twice")
        self.evaluations += 1
        return self._positions, self._batches()
