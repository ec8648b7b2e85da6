"""Did the weights separate from noise? A test on the hypergradients of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from molweight.methods.run_directory import Step

LEVEL = 0.05  # of the test, over all objectives together
FEWEST = 10  # updates: with fewer no result could reach the level for many objectives


@dataclass(frozen=True, kw_only=True)
class WeightSignificance:
    """Which way an objective's weight was pushed, and whether that could be noise.

    Args:
        direction: ``up`` or ``down``.
        p: of a two-sided Wilcoxon signed-rank test that its hypergradients lie around zero, after
            Holm's correction for the number of objectives.
    """

    direction: str
    p: float

    @property
    def clear(self) -> bool:
        """Whether the push is unlikely to be noise."""
        return self.p < LEVEL


def weight_significance(records: Sequence[Step]) -> dict[str, WeightSignificance]:
    """Test every objective's hypergradients over the updates of a run.

    Each update draws fresh batches, so their noise is independent; its tails are heavy, so ranks are
    used. What they share, a push up or down, is the signal.

    Args:
        records: lines of ``steps.jsonl``; empty where no weights were learned. Those of the burn-in, which
            have no hypergradient, are passed over.

    Returns:
        By objective; empty with fewer than ten updates, or where no hypergradient was computed.
    """
    from scipy.stats import wilcoxon

    updates = [record["hypergradient"] for record in records if record["hypergradient"]]
    if len(updates) < FEWEST:
        return {}
    names = list(updates[0])
    values = np.array([[update[name] for name in names] for update in updates])  # [n, k]
    if not values.any():
        return {}
    raw = np.array([wilcoxon(column).pvalue if column.any() else 1.0 for column in values.T])
    order = np.argsort(raw)
    stepped = raw[order] * np.arange(len(raw), 0, -1)
    holm = np.empty_like(raw)
    holm[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    down = np.median(values, axis=0) > 0  # descent moves against the gradient
    return {
        name: WeightSignificance(direction="down" if falls else "up", p=float(p))
        for name, falls, p in zip(names, down, holm, strict=True)
    }


def as_dict(by_objective: dict[str, WeightSignificance]) -> dict[str, dict[str, Any]]:
    """For ``report.json``."""
    return {name: asdict(result) for name, result in by_objective.items()}


def sentence(separation: dict[str, dict[str, Any]], updates: int) -> str:
    """What the test says, in words; empty where there was nothing to test after enough updates.

    Args:
        separation: from :func:`as_dict`.
        updates: of the weights.
    """
    if not separation:
        few = (
            f"After {updates} updates nothing can be said: it takes {FEWEST} to tell the weights from noise."
        )
        return few if updates < FEWEST else ""
    test = (
        f"Wilcoxon signed-rank test over {updates} updates, Holm-corrected for {len(separation)} objectives"
    )
    clear = {name: result for name, result in separation.items() if WeightSignificance(**result).clear}
    if not clear:
        smallest = min(result["p"] for result in separation.values())
        return (
            "**The weights did not separate from noise**: no objective was pushed consistently up or down "
            f"(smallest p = {smallest:.2g}; {test}). Their differences mean nothing; a longer run, larger "
            "batches or `learn.accumulate` may tell more."
        )
    said = [
        f"{words} {', '.join(names)}"
        for direction, words in (("up", "raised"), ("down", "lowered"))
        if (names := [name for name, result in clear.items() if result["direction"] == direction])
    ]
    rest = [name for name in separation if name not in clear]
    others = f" The weight of {', '.join(rest)} did not separate from noise." if rest else ""
    return f"The hypergradients consistently {' and '.join(said)} (p < {LEVEL}; {test}).{others}"
