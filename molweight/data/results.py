"""What became of one string on its way to a molecule and its picture."""

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
