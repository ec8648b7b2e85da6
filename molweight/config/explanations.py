"""What is written about an option where it is defined: in a docstring, or below a field."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap


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


def sentence(text: str) -> str:
    """The text of a field, which begins with a capital."""
    text = one_line(text)
    return text[:1].upper() + text[1:]


def one_line(text: str) -> str:
    """Text of a docstring or comment as Markdown, without line breaks."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"``\1``", " ".join(text.split()))
    text = re.sub(r"(?<![`\w])None\b(?!`)", "`null`", text.replace("``", "`"))
    return text if not text or text.endswith((".", "?")) else f"{text}."
