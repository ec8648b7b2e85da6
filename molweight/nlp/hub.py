"""Tasks of GLUE through the library ``datasets``, where it is installed and the hub can be reached."""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from molweight.errors import DataError
from molweight.nlp.task import Sentences, TaskSpec, cure

REPOSITORY = "nyu-mll/glue"
COLUMNS = {  # of the hub's tables, in the order of ours
    "cola": ("sentence",),
    "sst2": ("sentence",),
    "qnli": ("question", "sentence"),
    "qqp": ("question1", "question2"),
    "mnli": ("premise", "hypothesis"),
}
PAIR = ("sentence1", "sentence2")
TEST = {"mnli": "validation_matched"}
POSITIVE = ("acceptable", "positive", "equivalent", "duplicate")  # labels that GLUE's files call 1


def download(spec: TaskSpec) -> tuple[Sentences, Sentences, str]:
    """Train part, test part, and a SHA-256 of their rows.

    Raises:
        DataError: the library is missing, or the hub does not answer.
    """
    datasets = library()
    if datasets is None:
        raise DataError(f"task {spec.name}: its files are not on this machine; {cure(spec)}")
    try:
        parts = [
            datasets.load_dataset(REPOSITORY, spec.hub, split=split)
            for split in ("train", TEST.get(spec.hub, "validation"))
        ]
    except Exception as error:  # the library raises whatever its transports do
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"task {spec.name} could not be loaded from the hub ({first}); {cure(spec)}"
        ) from error
    train, test = (to_sentences(part, spec) for part in parts)
    rows = [[part.first, part.second, part.targets] for part in (train, test)]
    return train, test, hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def library() -> ModuleType | None:
    """``datasets``, or None where it is not installed; a folder of that name, as in a checkout, is not it."""
    try:
        module = importlib.import_module("datasets")
    except ImportError:
        return None
    return module if hasattr(module, "load_dataset") else None


def to_sentences(table: Any, spec: TaskSpec) -> Sentences:
    """A table of the hub, whose labels are indices into its own list of names."""
    columns = COLUMNS.get(spec.hub, PAIR)
    rows = list(itertools.islice(table, spec.limit))
    targets = [float(row["label"]) for row in rows]
    if spec.labels is not None:
        indices = [spec.labels.index(to_label(name, spec.labels)) for name in table.features["label"].names]
        targets = [float(indices[int(label)]) for label in targets]
    return Sentences(
        first=[row[columns[0]].strip() for row in rows],
        second=[row[columns[1]].strip() for row in rows] if len(columns) == 2 else None,
        targets=targets,
        rows=[int(row["idx"]) + 1 for row in rows],
    )


def to_label(name: str, labels: Sequence[str]) -> str:
    """GLUE's files number some labels that the hub names, the second of the two being the positive one."""
    return name if name in labels else labels[1 if name in POSITIVE else 0]
