"""What is known about molecules, for those who carry it without RDKit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RenderResult:
    """What became of one string.

    Args:
        status: ``ok``, ``invalid`` (not a molecule) or ``unsupported`` (too large, too slow, a crash).
        reason: why there is no picture; empty when there is one.
        smiles: what was drawn; empty without a picture.
        frame: the picture [3, S, S] uint8 as one zstd frame; empty without a picture.
    """

    status: str
    reason: str = ""
    smiles: str = ""
    frame: bytes = b""


@dataclass(frozen=True, kw_only=True)
class ScaffoldSets:
    """The groups that ``split=scaffold`` keeps together."""

    sets: int
    """Acyclic molecules are one of them."""
    largest: int
    """Molecules in the largest set."""
    largest_scaffold: str
    """SMILES with chirality; ``""`` if the largest set is the acyclic one."""
    acyclic: int
    """Molecules without any ring."""
