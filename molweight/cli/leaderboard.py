"""``python -m molweight leaderboard [OPTION=VALUE …]``: words to calls, results to lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from molweight.errors import ConfigError
from molweight.leaderboard.plan import OWN
from molweight.leaderboard.runs import Leaderboard, leaderboard, leaderboard_tables
from molweight.leaderboard.tables import bracket, counted, plus_minus
from molweight.runs.queue import Say
from molweight.utils.terminal import columns

DATA = {"datasets": "molecules", "tasks": "text"}
"""Options that name what is learned, to its modality."""


def run_command(tokens: Sequence[str], *, tables_only: bool, announce: Say) -> Leaderboard:
    """What the command does with its ``OPTION=VALUE`` words.

    Raises:
        ConfigError, DataError, Interrupted: as :func:`molweight.leaderboard.leaderboard`.
    """
    own, options = split_tokens(tokens)
    shared: dict[str, Any] = {"out": Path(own.get("out", "results")), "reference": own.get("reference")}
    if "resamples" in own:
        shared["resamples"] = parse_count("resamples", own["resamples"])
    if tables_only:
        if needless := [
            *options,
            *(name for name in (*DATA, "methods", "seeds", "jobs", "launcher") if name in own),
        ]:
            raise ConfigError(
                f"--tables-only runs nothing, so {needless[0]} has no effect; "
                "it takes out=, reference= and resamples="
            )
        return leaderboard_tables(**shared)
    data = [name for name in DATA if name in own]
    if not data:
        raise ConfigError(
            "which data sets? Give datasets=esol,bbbp (python -m molweight datasets list knows more names), "
            "or tasks=rte,mrpc for text"
        )
    if len(data) > 1:
        raise ConfigError("datasets= are molecules and tasks= are text: a leaderboard has one of them")
    if "methods" in own:
        shared["methods"] = parse_names(own["methods"])
    if "seeds" in own:
        shared["seeds"] = parse_seeds(own["seeds"])
    if "jobs" in own:
        shared["jobs"] = parse_count("jobs", own["jobs"])
    if "launcher" in own:
        shared["launcher"] = own["launcher"]
    return leaderboard(
        parse_names(own[data[0]]),
        modality=DATA[data[0]],
        options=options,
        progress=True,
        announce=announce,
        **shared,
    )


def shown(board: Leaderboard) -> str:
    """The closing lines: every data set's methods, best first, and where to look."""
    lines = [""]
    for dataset in board.summary["datasets"]:
        rows = [(f"{dataset['dataset']}: test {dataset['label']}", "", "seeds", "95 % interval")]
        rows += [
            (
                f"  {entry['method']}",
                plus_minus(entry["test"]),
                str(entry["test"]["n"]),
                bracket(entry["interval"]),
            )
            for entry in dataset["methods"]
        ]
        lines += columns(rows, align="<>><")
    if failed := len(board.summary["failed"]):
        lines.append(f"{counted(failed, 'run')} failed; the same command tries again")
    return "\n".join([*lines, f"page: {board.page}"])


def split_tokens(tokens: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """``OPTION=VALUE`` tokens: the leaderboard's own by name, and those of every run.

    Raises:
        ConfigError: one is given twice, or has no value.
    """
    own: dict[str, str] = {}
    options = []
    for token in tokens:
        key, sign, value = token.partition("=")
        if key not in OWN:
            options.append(token)
        elif key in own:
            raise ConfigError(f"{key}= is given twice; separate several values with commas")
        elif not sign or not value:
            raise ConfigError(f"{key} needs a value: {key}=…")
        else:
            own[key] = value
    return own, options


def parse_names(text: str) -> list[str]:
    """``esol,bbbp`` as a list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def parse_seeds(text: str) -> list[int]:
    """``0,1,2`` or ``0-4`` or both, such as ``0-2,7``, as a list.

    Raises:
        ConfigError: something else.
    """
    seeds: list[int] = []
    for part in parse_names(text):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if found is None or int(found[2] or found[1]) < int(found[1]):
            raise ConfigError(f"seeds must look like 0,1,2 or 0-4, got {part!r}")
        seeds += range(int(found[1]), int(found[2] or found[1]) + 1)
    return seeds


def parse_count(key: str, text: str) -> int:
    """A whole number.

    Raises:
        ConfigError: something else.
    """
    if not text.isdecimal():
        raise ConfigError(f"{key} must be a whole number, got {text!r}")
    return int(text)
