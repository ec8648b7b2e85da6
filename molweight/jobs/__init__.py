"""Several runs at once, for whoever plans them: a leaderboard, or a sweep.

``job`` is one of them and how it ended; ``finished`` tells which need not run again; ``execution`` runs them
one after the other or in processes, ``launchers`` and ``launching`` through a launcher of Hydra, and
``launched`` is what that starts.

Importing the package loads no torch, so that a launcher, which trains nothing, starts at once.
"""
