"""Errors that end a run with a sentence and an exit code.

Exit codes: 0 ok, 1 bug, 2 usage or configuration, 4 diverged, 5 data, cache or I/O, 130/143 interrupted
and resumable.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable

NO_SMILES = (
    "SMILES strings are never passed here: to learn from molecules, put them into a file, dataset=FILE or "
    "corpus=FILE; to predict them, python -m molweight predict RUN_DIR 'CCO'"
)
"""For who gives a molecule where a name or a file is expected."""


Spelling = Callable[[str, str], str]
"""``(option, value) -> how a user writes it``; the value may be empty."""

OPEN, CLOSE = "\x0e", "\x0f"  # around an option; nobody types these
OPTION = re.compile(f"{OPEN}([^{OPEN}{CLOSE}=]*)=([^{OPEN}{CLOSE}]*){CLOSE}")


def assignment(option: str, value: str) -> str:
    """An option as runs take it, on a command line and in ``load_config``.

    >>> assignment("device", "cpu")
    'device=cpu'
    """
    return f"{option}={value}"


def option(name: str, value: str = "") -> str:
    """An option in a sentence or a hint, spelled when the error is shown.

    >>> print(ConfigError("tpu is not here", hint=f"use {option('device', 'cpu')}"))
    tpu is not here: use device=cpu
    """
    return f"{OPEN}{name}={value}{CLOSE}"


class MolweightError(Exception):
    """Base of every error caused by the user's input or machine, never by a bug of ours.

    Only a command knows how its options are written. So code below the command line names them, and they
    are spelled when the error is shown, by ``str`` as runs take them.

    Args:
        sentence: what was expected, and what was found; begins with the value of ``option``, where given.
        option: the option that is to blame, such as ``corpus.path``.
        hint: what to do. Options in it, or in the sentence, are made by :func:`option`.

    >>> hint = f"{option('device', 'cpu')} always can"
    >>> error = MolweightError("tpu cannot be used here", option="device", hint=hint)
    >>> print(error)
    device=tpu cannot be used here: device=cpu always can
    >>> error.told(lambda option, value: f"--{option} {value}")
    '--device tpu cannot be used here: --device cpu always can'
    """

    exit_code = 1

    def __init__(self, sentence: str = "", *, option: str | None = None, hint: str | None = None) -> None:
        super().__init__(sentence)
        self.option, self.hint = option, hint

    def told(self, spell: Spelling) -> str:
        """The sentence and the hint, with options spelled in a way."""
        sentence = str(self.args[0]) if self.args else ""
        if self.option is not None:
            sentence = spell(self.option, sentence)
        if self.hint is not None:
            sentence = f"{sentence}: {self.hint}"
        return OPTION.sub(lambda match: spell(match[1], match[2]), sentence)

    def __str__(self) -> str:
        return self.told(assignment)


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
