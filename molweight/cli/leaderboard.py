"""``python -m molweight leaderboard [OPTION=VALUE …]``: words to calls, results to lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from molweight.errors import ConfigError
from molweight.leaderboard.plan import OWN
from molweight.leaderboard.runs import Leaderboard, leaderboard, leaderboard_tables
from molweight.runs.job_queue import Say
from molweight.utils.formats import bracket, counted, plus_minus
from molweight.utils.terminal import columns

DATA = {"datasets": "molecules", "tasks": "text"}
"""Options that name what is learned, to its modality."""
OF_TABLES = ("out", "reference", "resamples")
"""Options that have a say where nothing is run."""


def run_command(tokens: Sequence[str], *, tables_only: bool, announce: Say) -> Leaderboard:
    """What the command does with its ``OPTION=VALUE`` words, and with folders.

    Raises:
        ConfigError, DataError, Interrupted: as :func:`molweight.leaderboard.leaderboard`.
    """
    if tables_only:
        return make_tables(tokens)
    chosen, options = split_tokens(tokens)
    data = [name for name in DATA if name in chosen]
    if not data:
        raise ConfigError(
            "which data sets? Give datasets=esol,bbbp (python -m molweight datasets list knows more names), "
            "or tasks=rte,mrpc for text"
        )
    if len(data) > 1:
        raise ConfigError("datasets= are molecules and tasks= are text: a leaderboard has one of them")
    return leaderboard(
        parse_names(chosen.pop(data[0])),
        modality=DATA[data[0]],
        options=options,
        progress=True,
        announce=announce,
        **{name: parse(name, text) for name, text in chosen.items()},
    )


def make_tables(tokens: Sequence[str]) -> Leaderboard:
    """The tables of a leaderboard's folder, of a sweep, or of folders of runs.

    Raises:
        ConfigError: a word has no effect, or it is not clear where the tables go.
    """
    folders = [token for token in tokens if "=" not in token or Path(token).is_dir()]
    chosen, options = split_tokens(token for token in tokens if token not in folders)
    if needless := [*options, *(name for name in chosen if name not in OF_TABLES)]:
        raise ConfigError(
            f"--tables-only runs nothing, so {needless[0]} has no effect; it takes folders of runs, "
            f"{', '.join(f'{name}=' for name in OF_TABLES)}"
        )
    if "out" not in chosen and folders:
        if len(folders) > 1 or Path(folders[0], "report.json").exists():
            raise ConfigError("tables of runs need a place of their own: give out=")
        chosen["out"] = folders[0]
    return leaderboard_tables(runs=folders, **{name: parse(name, text) for name, text in chosen.items()})


def parse(name: str, text: str) -> Any:
    """The value of one of the leaderboard's own options."""
    if name in ("jobs", "resamples"):
        return parse_count(name, text)
    return {"methods": parse_names, "seeds": parse_seeds}.get(name, str)(text)


def shown(board: Leaderboard) -> str:
    """The closing lines: every data set's methods, best first, and where to look."""
    lines = [""]
    for dataset in board.summary["datasets"]:
        rows = [(f"{dataset['dataset']}: test {dataset['label']}", "", "seeds", "95 % interval")]
        rows += [
            (
                f"  {entry['method']}",
                plus_minus(entry["test"]["mean"], entry["test"]["sd"]),
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
    chosen: dict[str, str] = {}
    options = []
    for token in tokens:
        key, sign, value = token.partition("=")
        if key not in OWN:
            options.append(token)
        elif key in chosen:
            raise ConfigError(f"{key}= is given twice; separate several values with commas")
        elif not sign or not value:
            raise ConfigError(f"{key} needs a value: {key}=…")
        else:
            chosen[key] = value
    return chosen, options


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
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise ConfigError(f"seeds must look like 0,1,2 or 0-4, got {part!r}")
        seeds += range(int(match[1]), int(match[2] or match[1]) + 1)
    return seeds


def parse_count(key: str, text: str) -> int:
    """A whole number.

    Raises:
        ConfigError: something else.
    """
    if not text.isdecimal():
        raise ConfigError(f"{key} must be a whole number, got {text!r}")
    return int(text)
