"""Tasks of GLUE (Wang et al. 2019) from their TSV files: sentences and labels, every row checked."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from molweight.errors import ConfigError, DataError
from molweight.files import sha256_file

FOLDERS = "MOLWEIGHT_GLUE"
"""Environment variable: folder of the tasks' folders."""
IN_CHECKOUT = Path("datasets") / "glue"


@dataclass(frozen=True, kw_only=True)
class TaskCard:
    """One task, and how its files are laid out.

    Args:
        name: for people.
        folder: of its files, as GLUE's archives call it.
        train, test: TSV files; GLUE's dev part is the test part here, its own test labels are not public.
        columns: names, where the files have no header.
        sentences: columns of one sentence, or of a pair.
        label: column of the label.
        labels: all there are, in the order of the model's outputs; None for numbers.
        range: of the numbers, both ends included.
        metric: of :data:`molweight.training.metrics.METRICS`.
        hub: configuration of the data set ``nyu-mll/glue``.
        path: folder of the files, instead of the places where they are looked for.
        limit: the first rows of each part, >= 10; None takes all.
    """

    name: str
    folder: str
    train: str
    test: str
    sentences: Sequence[str]
    label: str
    metric: str
    hub: str
    columns: Sequence[str] | None = None
    labels: Sequence[str] | None = None
    range: Sequence[float] | None = None
    path: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if len(self.sentences) not in (1, 2):
            raise ConfigError(f"task.sentences must name one or two columns, got {list(self.sentences)}")
        if (self.labels is None) == (self.range is None):
            raise ConfigError(f"task {self.name} needs either labels, or a range of numbers")
        if self.limit is not None and self.limit < 10:
            raise ConfigError(f"task.limit must be >= 10 or null, got {self.limit}")


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """Rows of a part, or of several.

    Args:
        first: sentences.
        second: those beside them; None where a row has one sentence.
        targets: places of the labels, or numbers.
        rows: line of each in its file, from 1.
    """

    first: list[str]
    second: list[str] | None
    targets: list[float]
    rows: list[int]

    def __len__(self) -> int:
        return len(self.first)

    def __add__(self, other: Sentences) -> Sentences:
        assert (self.second is None) == (other.second is None)
        return Sentences(
            first=self.first + other.first,
            second=None if self.second is None else self.second + (other.second or []),
            targets=self.targets + other.targets,
            rows=self.rows + other.rows,
        )


def find_files(card: TaskCard) -> tuple[Path, Path] | None:
    """The files of train and test part where they are on this machine; None where they are not.

    Looked for in ``task.path``, then ``$MOLWEIGHT_GLUE``, then ``datasets/glue``.

    Raises:
        DataError: a folder that was asked for lacks one of them.
    """
    asked = card.path or os.environ.get(FOLDERS)
    folders = [Path(card.path).expanduser()] if card.path else []
    if not folders and asked:
        folders = [Path(asked).expanduser() / card.folder]
    folders = folders or [IN_CHECKOUT / card.folder]
    for folder in folders:
        files = folder / card.train, folder / card.test
        missing = [file for file in files if not file.is_file()]
        if not missing:
            return files
        if card.path or (asked and folder.is_dir()):
            raise DataError(f"task {card.name}: there is no file {missing[0]}; {cure(card)}")
    return None


def cure(card: TaskCard) -> str:
    """Where a task's files belong."""
    return (
        f"put {card.train} and {card.test} of GLUE's {card.folder} there, name their folder with task.path=, "
        f"or the folder above {card.folder} with ${FOLDERS}; or pip install datasets and be online"
    )


def read_task(card: TaskCard) -> tuple[Sentences, Sentences, str]:
    """Train part, test part, and the SHA-256 of what they were read from.

    Raises:
        DataError: the files are missing, or a row of them is malformed.
    """
    files = find_files(card)
    if files is None:
        from molweight.nlp.hub import download

        return download(card)
    train, test = (read_tsv(file, card) for file in files)
    return train, test, sha256_file(*files)


def read_tsv(path: Path, card: TaskCard) -> Sentences:
    """One of a task's files; quotes are ordinary characters in them.

    Raises:
        DataError: naming file, line, what was expected and what was found.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}") from error
    header = list(card.columns) if card.columns else lines[0].rstrip("\r").split("\t")
    start = 0 if card.columns else 1
    if lacking := [name for name in (*card.sentences, card.label) if name not in header]:
        raise DataError(f"{path} has no column {lacking[0]!r}; its columns are {', '.join(header)}")
    places = [header.index(name) for name in card.sentences]
    first, second, targets, rows = [], [], [], []
    for number, line in enumerate(lines[start:], start=start + 1):
        if not line.strip():
            continue
        fields = line.rstrip("\r").split("\t")
        if len(fields) != len(header):
            raise DataError(
                f"{path}, line {number}: {len(fields)} columns instead of {len(header)}; remove or mend it"
            )
        targets.append(to_target(fields[header.index(card.label)], card, f"{path}, line {number}"))
        first.append(fields[places[0]].strip())
        second.append(fields[places[-1]].strip())
        rows.append(number)
        if card.limit is not None and len(rows) == card.limit:
            break
    if len(rows) < 2:
        raise DataError(f"{path} has {len(rows)} rows; at least 2 are needed")
    return Sentences(first=first, second=second if len(places) == 2 else None, targets=targets, rows=rows)


def to_target(text: str, card: TaskCard, where: str) -> float:
    """The place of a label, or a number.

    Raises:
        DataError: it is neither.
    """
    if card.labels is not None:
        if text not in card.labels:
            raise DataError(f"{where}: the label {text!r} is none of {', '.join(card.labels)}")
        return float(list(card.labels).index(text))
    assert card.range is not None
    low, high = card.range
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise DataError(f"{where}: {text!r} is no number between {low:g} and {high:g}")
    return value
