"""Many runs side by side: data sets, methods and seeds, with tables, tests and ranks.

    from molweight.leaderboard import leaderboard
    board = leaderboard(["esol", "bbbp"], methods=["equal", "tapweight"], seeds=[0, 1, 2])

It reads top down: ``runs`` (what is run and kept), ``plan`` (which runs; ``molweight.runs.job_queue`` runs
them), ``rows`` (``leaderboard.csv``), ``predictions`` (``predictions.npz``), ``summary`` (numbers from both,
through ``statistics`` and ``training.bootstrap``), ``tables`` (``leaderboard.md``) and ``page``.

Importing the package loads nothing of it, so that ``python -m molweight --help`` answers at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molweight.leaderboard.runs import Leaderboard, leaderboard, leaderboard_tables

__all__ = ["Leaderboard", "leaderboard", "leaderboard_tables"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'molweight.leaderboard' has no attribute {name!r}")
    return getattr(importlib.import_module("molweight.leaderboard.runs"), name)
