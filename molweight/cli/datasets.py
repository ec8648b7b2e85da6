"""``python -m molweight datasets list|show|fetch|verify``: what is known, what is here, what is in it."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from molweight.cli.dataset_account import account
from molweight.config.composition import is_file_name, options
from molweight.config.named_cards import dataset_card
from molweight.data.checksums import DIFFERS, difference, fetch, verify
from molweight.data.locate import dataset_folders, find
from molweight.data.specs import METRICS, DatasetSpec
from molweight.errors import ConfigError, DataError, MolweightError
from molweight.utils.files import finite
from molweight.utils.terminal import columns, printable

OWN = "csv"  # the card of the user's own table
Answer = str | MolweightError  # text for standard output, or what went wrong with one of several data sets


def answers(arguments: argparse.Namespace) -> Iterator[Answer]:
    """What a command has to say, piece by piece.

    Raises:
        ConfigError: unknown data set, options that contradict each other.
        DataError: a file is missing or damaged.
    """
    if arguments.action == "list":
        yield list_cards(as_json=arguments.json)
    elif arguments.action == "show":
        yield show(arguments)
    elif arguments.action == "fetch":
        yield from fetch_all(chosen(arguments), sha256=arguments.sha256)
    else:
        yield from verify_all(chosen(arguments))


def chosen(arguments: argparse.Namespace) -> list[DatasetSpec]:
    """The cards that are named, each once, or every one that has a file of its own."""
    if arguments.all == bool(arguments.names):
        raise ConfigError(f"datasets {arguments.action} takes either names of data sets or --all")
    names = [name for name in sorted(options("dataset")) if name != OWN] if arguments.all else arguments.names
    dataset_folders()  # a folder that does not exist is said once, not for every data set
    return [dataset_card(name) for name in dict.fromkeys(names)]


def list_cards(*, as_json: bool) -> str:
    """Every card and where its file is; no data is read."""
    cards = [dataset_card(name) for name in sorted(options("dataset"))]
    places = {card.name: find(card) if card.files else None for card in cards}
    if as_json:
        return _json([_listed(card, places[card.name]) for card in cards])
    folders = _folders(places.values())
    rows: list[Sequence[object]] = [("name", "task", "targets", "metric", "file")]
    for card in cards:
        task = card.task_type or "by the labels"
        targets = "all" if card.targets is None else len(card.targets)
        rows.append((card.name, task, targets, _metric(card) or "", _place(card, places[card.name], folders)))
    return "\n".join([*columns(rows, align="<<><<"), *_legend(folders)])


def _listed(card: DatasetSpec, path: Path | None) -> dict[str, Any]:
    """One card for machines."""
    return {
        "name": card.name,
        "description": card.description,
        "task_type": card.task_type,
        "metric": _metric(card),
        "units": card.units,
        "targets": card.targets,
        "builtin": card.builtin is not None,
        "file": None if path is None else str(path.absolute()),
        "url": card.url,
        "sha256": card.sha256,
        "licence": card.licence,
        "source": card.source,
    }


def _metric(card: DatasetSpec) -> str | None:
    """The metric as far as the card alone decides it."""
    return card.metric or (METRICS[card.task_type][0] if card.task_type else None)


def _folders(paths: Iterable[Path | None]) -> list[Path]:
    """The folders of files, each once."""
    return list(dict.fromkeys(path.parent.absolute() for path in paths if path is not None))


def _legend(folders: Sequence[Path]) -> list[str]:
    """Lines that say where the files of a table are; a path stays whole, however long."""
    if len(folders) < 2:
        return [line for folder in folders for line in ("", f"Files are in {printable(folder)}")]
    numbered = (f"  [{number}] {printable(folder)}" for number, folder in enumerate(folders, start=1))
    return ["", "Files are in", *numbered]


def _place(card: DatasetSpec, path: Path | None, folders: Sequence[Path]) -> str:
    """The file's name, with the number of its folder where there are several, or how to come by it."""
    if card.builtin is not None:
        return "comes with RDKit"
    if path is not None:
        number = f" [{folders.index(path.parent.absolute()) + 1}]" if len(folders) > 1 else ""
        return f"{path.name}{number}"
    return f"not here: fetch {card.name}" if card.files else "your own: show FILE"


def show(arguments: argparse.Namespace) -> str:
    """The account of one data set, or of the user's own table.

    Raises:
        ConfigError: unknown name or option.
        DataError: not here, unreadable, or nothing to learn from.
    """
    try:
        card = shown_card(arguments)
        if card.path is None and card.builtin is None and find(card) is None:
            raise DataError(
                f"data set {card.name!r} is not here: run `python -m molweight datasets fetch {card.name}`, "
                "or pass --path=<file>"
            )
        found = account(card)
    except MolweightError as error:
        raise type(error)(own_options(str(error))) from error
    return _json(found.content()) if arguments.json else found.text(every_target=arguments.all)


def shown_card(arguments: argparse.Namespace) -> DatasetSpec:
    """The card of a name or a file, with the user's options."""
    name, path = arguments.name, arguments.path
    if name not in options("dataset") and is_file_name(name):
        if path is not None:
            raise ConfigError(f"{name!r} is a file already: leave out --path={path}")
        name, path = OWN, name
    given = {
        "path": path,
        "smiles_column": arguments.smiles_column,
        "targets": arguments.targets,
        "task_type": arguments.task_type,
        "missing_values": arguments.missing_values,
    }
    return replace(dataset_card(name), **{key: value for key, value in given.items() if value is not None})


def own_options(sentence: str) -> str:
    """A sentence about a run's options, in their names here: ``--path``, not ``dataset.path``."""

    def renamed(found: re.Match[str]) -> str:
        name, items = found.groups()
        values = "" if items is None else " " + items.replace(",", " ")
        return f"--{name.replace('_', '-')}{values.rstrip()}"

    names = "path|smiles_column|targets|task_type|missing_values"
    return re.sub(rf"\bdataset\.({names})\b(?:=\[(.*?)\])?", renamed, sentence)


def fetch_all(cards: Sequence[DatasetSpec], *, sha256: str | None) -> Iterator[Answer]:
    """Bring data sets here, one after the other; one that cannot be fetched does not stop the next."""
    if sha256 is not None:
        if len(cards) != 1:
            raise ConfigError(f"--sha256 is of one file: name one data set, not {len(cards)}")
        cards = [replace(cards[0], sha256=sha256)]
    for card in cards:
        try:
            path, fetched = fetch(card)
        except MolweightError as error:
            yield type(error)(str(error).replace("dataset.sha256=", "--sha256="))
        else:
            yield f"{card.name}: {'fetched' if fetched else 'already here'}, {printable(path.absolute())}"


def verify_all(cards: Sequence[DatasetSpec]) -> Iterator[Answer]:
    """A table of checksums, then a sentence for each file that differs or cannot be read."""
    wrong: list[MolweightError] = []
    states: list[tuple[DatasetSpec, str, Path | None]] = []
    for card in cards:
        try:
            found = verify(card)
        except DataError as error:
            states.append((card, "unreadable", None))
            wrong.append(error)
            continue
        states.append((card, found.state, found.path))
        if found.state == DIFFERS:
            wrong.append(DataError(difference(card, found)))
    folders = _folders(path for card, _, path in states if card.builtin is None)
    rows = []
    for card, state, path in states:
        here = path is not None or card.builtin is not None
        rows.append((card.name, state, _place(card, path, folders) if here else ""))
    yield "\n".join([*columns(rows, align="<<<"), *_legend(folders)])
    yield from wrong


def _json(content: Any) -> str:
    """JSON in ASCII, so that nothing in it moves a cursor; NaN becomes null."""
    return json.dumps(finite(content), indent=2, allow_nan=False)
