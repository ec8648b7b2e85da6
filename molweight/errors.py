"""Errors that end a run with a sentence and an exit code.

Exit codes: 0 ok, 1 bug, 2 usage or configuration, 4 diverged, 5 data, cache or I/O, 130/143 interrupted
and resumable.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

NO_SMILES = (
    "SMILES strings are never passed here: to learn from molecules, put them into a file, dataset=FILE or "
    "corpus=FILE; to predict them, python -m molweight predict RUN_DIR 'CCO'"
)
"""For who gives a molecule where a name or a file is expected."""


class MolweightError(Exception):
    """Base of every error caused by the user's input or machine, never by a bug of ours."""

    exit_code = 1


class ConfigError(MolweightError, ValueError):
    """An option is unknown, misspelt, of the wrong type, or contradicts another one."""

    exit_code = 2


class DivergedError(MolweightError, ArithmeticError):
    """A loss or a hypergradient stopped being finite; no update was applied."""

    exit_code = 4


class DataError(MolweightError, OSError):
    """A file is missing, unreadable, damaged, or holds nothing that can be learned from."""

    exit_code = 5


class ProcessLostError(MolweightError, ConnectionError):
    """Another process of a run on several is gone."""

    exit_code = 5


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """The sentence for an unknown name: what was found, the nearest known name, all known names.

    Args:
        what: the kind of thing, e.g. ``"split"``.
        name: what the user wrote.
        known: the names that would have been accepted.

    >>> unknown("split", "scafold", ["scaffold", "random"])
    "unknown split 'scafold'. Did you mean 'scaffold'? Known: random, scaffold."
    """
    names = sorted(known)
    spelled = {each.lower(): each for each in names}
    close = difflib.get_close_matches(str(name).lower(), spelled, n=1, cutoff=0.5)
    hint = f" Did you mean {spelled[close[0]]!r}?" if close else ""
    return f"unknown {what} {str(name)!r}.{hint} Known: {', '.join(names)}."
