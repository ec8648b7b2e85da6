"""The page of all options: ``python docs/options_page.py > docs/options.md``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import yaml
from hydra.utils import get_class

import molweight.tapweight.horizon  # noqa: F401 - one of the inverses that are listed
from molweight.config.composition import config_dir
from molweight.config.explanations import field_texts, summary
from molweight.config.modality import HOMES, find_modality
from molweight.config.options import Option, Section, code, kind, sections
from molweight.config.run_config import PARTS
from molweight.training.optimisers import OptimiserConfig

INTRODUCTION = """\
# Options

Every option of `python -m molweight.run`, and of `python -m molweight.nlp.run` for [text](nlp.md). This page
is generated from the code and the configuration files by `docs/options_page.py`.

An option is `name=value`: `python -m molweight.run dataset=my.csv learn.steps=200 'dataset.targets=[logD]'`.

- `--help` lists all options, and `--cfg job` prints the values of a command; both have the explanations of
  this page, and run nothing. An unknown name is an error that suggests the nearest one.
- `null` means no value. A list is `[a,b]`; put quotes around the whole option, so that the shell does not
  read the brackets.
- A value with spaces or special characters needs two pairs of quotes: `"dataset.path='my file.csv'"`.
- `dataset=my.csv`, `corpus=library.smi` and `split=my_split.json` name a file.
- The defaults below are those of `dataset=csv`. Where text has another default, it follows the first one.

Other commands: [predict, embed, explain, export](predict.md), [leaderboard](leaderboard.md),
[sweeps](howto.md#many-runs-of-one-command).
"""
OBJECTIVES = """\
### Objectives

`objectives.clusters_fine.k=500` sets an option of an objective in a preset, `~objectives.rationality` removes
one, and `+objective@objectives.mine=mine` adds `configs/objective/mine.yaml`.

"""
PARTS_OF_A_HYPERGRADIENT = """\
### Parts of a hypergradient

`hypergradient.hessian.radius=0.001` sets an option of a part. To replace a part, write a preset in
`configs/hypergradient` with its class as `_target_`.

"""


def page() -> str:
    """The whole page, in Markdown; what text shares with molecules stands once."""
    molecules, text = (sections(find_modality(name)) for name in HOMES)
    of_text = {one.name: one for one in text}
    blocks, options = [INTRODUCTION], list[Option]()
    for section in molecules:
        other = of_text.get(section.name)
        if other is not None and same(section, other):
            section = with_defaults(section, of_text.pop(section.name))
        options += section.options
        blocks.append(rendered(section))
        if section.name == "objectives":
            blocks.append(OBJECTIVES + parts(objective_classes("objective")))
        if section.name == "hypergradient":
            blocks.append(PARTS_OF_A_HYPERGRADIENT + parts(hypergradient_classes()))
    blocks.append(optimisers(options))
    for section in of_text.values():
        blocks.append(rendered(section, " (text)"))
        if section.name == "objectives":
            blocks.append(parts(objective_classes("nlp/objective")))
    return "\n".join(blocks)


def same(section: Section, other: Section) -> bool:
    """Whether two commands mean the same by a section."""
    return section == other or not {one.owner for one in section.options}.isdisjoint(
        one.owner for one in other.options
    )


def with_defaults(section: Section, other: Section) -> Section:
    """A section of both commands, with the defaults for text where they differ."""
    defaults = {one.name: one.default for one in other.options}
    options = [
        one
        if defaults.get(one.name, one.default) == one.default
        else replace(one, default=f"{one.default}; text: {defaults[one.name]}")
        for one in section.options
    ]
    return replace(section, options=options)


def rendered(section: Section, samples: str = "") -> str:
    """A section with its names and its options."""
    blocks = [f"## {f'`{section.name}`' if section.name else 'A run'}{samples}\n"]
    if section.text:
        blocks.append(f"{section.text}\n")
    if section.names:
        head = "name" if section.name == "experiment" else "name (default first)"
        names = [[f"`{section.name}={name}`", text] for name, text in section.names.items()]
        blocks.append(table([head, "what it is"], names))
    options = [one for one in section.options if one.owner is not OptimiserConfig]
    if options:
        rows = [[f"`{one.name}`", one.default, explained(one.text, one.values)] for one in options]
        blocks.append(table(["option", "default", "what it is and what it takes"], rows))
    return "\n".join(blocks)


def optimisers(options: Iterable[Option]) -> str:
    """The options that all optimisers have, with a column of defaults for each."""
    places: dict[str, list[Option]] = {}
    for one in options:
        if one.owner is OptimiserConfig:
            places.setdefault(one.name.rpartition(".")[0], []).append(one)
    rows = []
    for first, *others in zip(*places.values(), strict=True):
        defaults = [one.default for one in (first, *others)]
        text = explained(first.text, first.values)
        rows.append([f"`{first.name.rpartition('.')[2]}`", *defaults, text])
    head = ["option", *(f"`{place}.…`" for place in places), "what it is and what it takes"]
    return f"## Optimisers\n\n{summary(OptimiserConfig)}\n\n{table(head, rows)}"


def parts(classes: Iterable[tuple[str, type]]) -> str:
    """The options of classes that a configuration names; those of a base class stand there alone."""
    rows, seen = [], set()
    for name, cls in classes:
        texts = field_texts(cls)
        rows.append([f"`{name}`", "", summary(cls)])
        for key, one in inspect.signature(cls, eval_str=True).parameters.items():
            shown = any((base, key, texts.get(key)) in seen for base in cls.__mro__)
            if one.kind is one.KEYWORD_ONLY and not shown:
                seen.add((cls, key, texts.get(key)))
                default = "" if one.default is one.empty else code(one.default)
                text = explained(texts.get(key, ""), kind(one.annotation))
                rows.append([f"`{name}`: `{key}`", default, text])
    return table(["part", "default", "what it is and what it takes"], rows)


def objective_classes(group: str) -> Iterator[tuple[str, type]]:
    """The classes in a group of objectives, each under the name of the first file that names it."""
    seen: set[type] = set()
    for file in sorted((config_dir() / group).glob("*.yaml")):
        cls = get_class(yaml.safe_load(file.read_text(encoding="utf-8"))["_target_"])
        if cls not in seen:
            yield file.stem, cls
        seen.add(cls)


def hypergradient_classes() -> Iterator[tuple[str, type]]:
    """The classes that the parts of a hypergradient may be."""
    for kinds, _ in dict.fromkeys(PARTS.values()):
        for cls in kinds:
            subclasses: list[type] = cls.__subclasses__()
            for one in (cls, *sorted(subclasses, key=str)):
                if one.__module__.startswith("molweight."):
                    yield one.__name__, one


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    cells = [[linked(cell).replace("|", "\\|") for cell in row] for row in rows]
    lines = [f"| {' | '.join(line)} |\n" for line in (head, *cells)]
    return "".join([lines[0], f"|{'---|' * len(head)}\n", *lines[1:]])


def explained(text: str, values: str) -> str:
    """An explanation, and what values an option takes; without the explanation, nothing."""
    return f"{text} *({values})*" if text else ""


def linked(text: str) -> str:
    """Names of pages as links."""
    text = re.sub(r"\bdocs/(\w+)\.md", r"[docs/\1.md](\1.md)", text)
    return re.sub(r"(?<!/)\bbenchmarks/(\w+)\.md", r"[benchmarks/\1.md](../benchmarks/\1.md)", text)


if __name__ == "__main__":
    print(page(), end="")
