"""Many runs side by side: data sets, methods and seeds, with tables, tests and ranks.

    from molweight.leaderboard import leaderboard
    board = leaderboard(["esol", "bbbp"], methods=["equal", "tapweight"], seeds=[0, 1, 2])

It reads top down: ``runs`` (what is run, kept and announced), ``plan`` (which runs), ``execution`` (one
after the other or in processes), ``rows`` (``leaderboard.csv``), ``summary`` (numbers from the rows, through
``statistics`` and ``bootstrap``), ``tables`` and ``pictures``.
"""

from __future__ import annotations

from molweight.leaderboard.runs import Leaderboard, leaderboard, leaderboard_tables

__all__ = ["Leaderboard", "leaderboard", "leaderboard_tables"]
