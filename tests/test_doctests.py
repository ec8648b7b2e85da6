"""The examples in the docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "molweight"
LINE = re.compile(r"^ *>>> ", re.MULTILINE)
COUNTS = {file: len(LINE.findall(file.read_text(encoding="utf-8"))) for file in PACKAGE.rglob("*.py")}
FILES = sorted(file for file, count in COUNTS.items() if count)
FEWEST = 60  # lines with a prompt in the whole package


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_examples_give_what_they_say(file):
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    name = ".".join(part for part in parts if part != "__init__")
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert results.attempted == COUNTS[file] and results.failed == 0


def test_there_are_examples():
    assert sum(COUNTS.values()) >= FEWEST
