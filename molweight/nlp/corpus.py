"""Unlabelled text: the sentences of the task's own training part, or the lines of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from molweight.errors import ConfigError, DataError, option


@dataclass(frozen=True, kw_only=True)
class TextCorpusSpec:
    """Where unlabelled text comes from.

    Args:
        name: ``task`` or ``file``.
        path: a text file, one sentence a line, for ``file``.
        limit: number of sentences, >= 10, the first ones; None takes all.
    """

    name: str
    path: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 10:
            raise ConfigError(f"corpus.limit must be >= 10 or null, got {self.limit}")


@dataclass(frozen=True, kw_only=True)
class TextCorpus:
    """Sentences, each once.

    Args:
        name: for people.
        sentences: not empty.
    """

    name: str
    sentences: list[str]

    @property
    def sha256(self) -> str:
        """Of the sentences, one a line."""
        return hashlib.sha256("\n".join(self.sentences).encode()).hexdigest()


def load_text(spec: TextCorpusSpec, task: Sequence[str], given: Sequence[str] | None = None) -> TextCorpus:
    """The corpus of a specification.

    Args:
        spec: where it comes from.
        task: sentences of the task that may be used: those of train and meta.
        given: sentences to use instead.

    Raises:
        ConfigError: a file is needed and none is named.
        DataError: the file cannot be read, or too little is left.
    """
    name = spec.name
    if given is not None:
        name, lines = "given", list(given)
    elif spec.name == "task":
        lines = list(task)
    elif spec.path is None:
        raise ConfigError(
            f"{option('corpus', 'file')} needs {option('corpus.path', 'FILE.txt')}, one sentence a line"
        )
    else:
        path = Path(spec.path).expanduser()
        name = path.name
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"corpus: {path} cannot be read as UTF-8 text: {error}") from error
    sentences = list(dict.fromkeys(line.strip() for line in lines if line.strip()))[: spec.limit]
    if len(sentences) < 2:
        raise DataError(f"corpus {name} has {len(sentences)} distinct sentences; at least 2 are needed")
    return TextCorpus(name=name, sentences=sentences)
