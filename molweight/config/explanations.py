"""What is written about an option where it is defined: in a docstring, or beside its value in YAML."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator

import yaml


def field_texts(cls: type) -> dict[str, str]:
    """The explanation of each field or argument of a class, from ``Args:`` and from strings below fields."""
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        if base.__module__.startswith("molweight."):
            texts |= arguments_of(base.__dict__.get("__doc__") or "") | strings_below_fields(base)
    return texts


def arguments_of(docstring: str) -> dict[str, str]:
    """The entries of the section ``Args:``; one for several names counts for each."""
    section = re.search(r"^Args:\n((?:    .*\n?|\n)*)", inspect.cleandoc(docstring), flags=re.M)
    entries = (
        re.findall(r"^(\w[\w, ]*): (.*(?:\n +.*)*)", textwrap.dedent(section.group(1)), flags=re.M)
        if section
        else []
    )
    return {name: sentence(text) for names, text in entries for name in names.split(", ")}


def strings_below_fields(cls: type) -> dict[str, str]:
    """The strings that stand below the annotated fields of a class."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    texts = {}
    for field, below in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
        ):
            texts[field.target.id] = sentence(str(ast.literal_eval(below.value)))
    return texts


def summary(cls: type) -> str:
    """The first sentence of a class's docstring."""
    return one_line(inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0])


def head_comment(text: str) -> str:
    """The comment at the top of a YAML file."""
    lines = re.match(r"(?:#.*\n)*", text)
    assert lines is not None
    return one_line(
        " ".join(line.lstrip("# ") for line in lines.group().splitlines() if "@package" not in line)
    )


def yaml_comments(text: str) -> dict[str, str]:
    """Dotted keys of a YAML file to the comments beside them, or on lines of their own above them."""
    lines, node = text.splitlines(), yaml.compose(text)
    return {path: comment for path, comment in _comments(lines, node, "") if comment}


def _comments(lines: list[str], node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        path = f"{prefix}{key.value}"
        on_lines_below = value.style == "|" if isinstance(value, yaml.ScalarNode) else not value.flow_style
        end = key.end_mark if on_lines_below else value.end_mark
        yield (
            path,
            one_line(" ".join([*_above(lines, key.start_mark.line), *_beside(lines, end.line, end.column)])),
        )
        yield from _comments(lines, value, f"{path}.")


def _beside(lines: list[str], line: int, column: int) -> Iterator[str]:
    """A comment behind a value, and its further lines, which begin in the same column."""
    found = re.match(r":?\s*(#.*)", lines[line][column:])
    if found is None:
        return
    yield found.group(1).lstrip("# ")
    column += found.start(1)
    for further in lines[line + 1 :]:
        if further[:column].strip() or not further[column:].startswith("#"):
            return
        yield further[column:].lstrip("# ")


def _above(lines: list[str], line: int) -> list[str]:
    """The lines of comment right above a key, in its column; those at the top are about the file."""
    column = len(lines[line]) - len(lines[line].lstrip())
    start = line
    while start and lines[start - 1].startswith(" " * column + "#"):
        start -= 1
    return [one.lstrip("# ") for one in lines[start:line]] if start else []


def sentence(text: str) -> str:
    """The text of a field, which begins with a capital."""
    text = one_line(text)
    return text[:1].upper() + text[1:]


def one_line(text: str) -> str:
    """Text of a docstring or comment as Markdown, without line breaks."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"``\1``", " ".join(text.split()))
    text = re.sub(r"(?<![`\w])None\b(?!`)", "`null`", text.replace("``", "`"))
    return text if not text or text.endswith((".", "?")) else f"{text}."
