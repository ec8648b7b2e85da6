"""A task of GLUE (Wang et al. 2019): how its files are laid out, and what was read from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from molweight.errors import ConfigError

FOLDERS = "MOLWEIGHT_GLUE"
"""Environment variable: folder of the tasks' folders."""


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """One task, and how its files are laid out.

    Args:
        name: for people.
        folder: folder of its files, as GLUE's archives call it.
        train, test: TSV files; GLUE's dev part is the test part here, its own test labels are not public.
        columns: names, where the files have no header.
        sentences: columns of one sentence, or of a pair.
        label: column of the label.
        labels: all labels, in the order of the model's outputs; None for numbers.
        range: smallest and largest label, where labels are numbers.
        metric: name of the score, one of :data:`molweight.training.metrics.METRICS`.
        hub: configuration of the data set ``nyu-mll/glue``.
        path: folder of the files, instead of the places where they are looked for.
        limit: number of rows of each part, >= 10, the first ones; None takes all.
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
        targets: indices of the labels, or numbers.
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


def cure(spec: TaskSpec) -> str:
    """Where a task's files belong."""
    return (
        f"put {spec.train} and {spec.test} of GLUE's {spec.folder} there, name their folder with task.path=, "
        f"or the folder above {spec.folder} with ${FOLDERS}; or pip install datasets and be online"
    )
