"""Tasks of GLUE from their TSV files, every row checked."""

from __future__ import annotations

import math
import os
from pathlib import Path

from molweight.errors import DataError
from molweight.nlp.hub import download
from molweight.nlp.task import FOLDERS, Sentences, TaskSpec, cure
from molweight.utils.files import sha256_file

IN_CHECKOUT = Path("datasets") / "glue"


def find_files(spec: TaskSpec) -> tuple[Path, Path] | None:
    """The files of train and test part where they are on this machine; None where they are not.

    Looked for in ``task.path``, then ``$MOLWEIGHT_GLUE``, then ``datasets/glue``.

    Raises:
        DataError: the folder is there, or was asked for, and lacks one of them.
    """
    folders = [Path(spec.path).expanduser()] if spec.path else [IN_CHECKOUT / spec.folder]
    if not spec.path and (above := os.environ.get(FOLDERS)):
        folders.insert(0, Path(above).expanduser() / spec.folder)
    for folder in folders:
        files = folder / spec.train, folder / spec.test
        missing = [file for file in files if not file.is_file()]
        if not missing:
            return files
        if spec.path or folder.is_dir():
            raise DataError(f"task {spec.name}: there is no file {missing[0]}; {cure(spec)}")
    return None


def read_task(spec: TaskSpec) -> tuple[Sentences, Sentences, str]:
    """Train part, test part, and the SHA-256 of what they were read from.

    Raises:
        DataError: the files are missing, or a row of them is malformed.
    """
    files = find_files(spec)
    if files is None:
        return download(spec)
    train, test = (read_tsv(file, spec) for file in files)
    return train, test, sha256_file(*files)


def read_tsv(path: Path, spec: TaskSpec) -> Sentences:
    """One of a task's files; quotes are ordinary characters in them.

    Raises:
        DataError: naming file, line, what was expected and what was found.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}") from error
    header = list(spec.columns or lines.pop(0).rstrip("\r").split("\t"))
    if lacking := [name for name in (*spec.sentences, spec.label) if name not in header]:
        raise DataError(f"{path} has no column {lacking[0]!r}; its columns are {', '.join(header)}")
    columns = [header.index(name) for name in (*spec.sentences, spec.label)]
    first, second, targets, rows = [], [], [], []
    for number, line in enumerate(lines, start=1 if spec.columns else 2):
        if not line.strip():
            continue
        fields = line.rstrip("\r").split("\t")
        if len(fields) != len(header):
            raise DataError(
                f"{path}, line {number}: {len(fields)} columns instead of {len(header)}; remove or mend it"
            )
        *texts, label = (fields[i] for i in columns)
        targets.append(to_target(label, spec, f"{path}, line {number}"))
        first.append(texts[0].strip())
        second.append(texts[-1].strip())
        rows.append(number)
        if spec.limit is not None and len(rows) == spec.limit:
            break
    if len(rows) < 2:
        raise DataError(f"{path} has {len(rows)} rows; at least 2 are needed")
    pairs = len(spec.sentences) == 2
    return Sentences(first=first, second=second if pairs else None, targets=targets, rows=rows)


def to_target(text: str, spec: TaskSpec, where: str) -> float:
    """The index of a label, or a number.

    Raises:
        DataError: it is neither.
    """
    if spec.labels is not None:
        if text not in spec.labels:
            raise DataError(f"{where}: the label {text!r} is none of {', '.join(spec.labels)}")
        return float(list(spec.labels).index(text))
    assert spec.range is not None
    low, high = spec.range
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise DataError(f"{where}: {text!r} is no number between {low:g} and {high:g}")
    return value
