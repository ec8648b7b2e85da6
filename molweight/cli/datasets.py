"""``python -m molweight datasets list|show|fetch|verify``: what is known, what is here, what is in it."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from molweight.cli.dataset_account import read_account
from molweight.config.composition import is_file_name, options
from molweight.config.named_specs import dataset_spec
from molweight.data.checksums import DIFFERS, difference, fetch, verify
from molweight.data.locate import dataset_folders, find
from molweight.data.specs import DatasetSpec
from molweight.errors import ConfigError, DataError, MolweightError
from molweight.utils.files import finite
from molweight.utils.terminal import columns, printable

USER_TABLE = "csv"  # the name of the specification of a table of the user
LISTED = (
    *("name", "description", "task_type", "metric", "units", "targets", "builtin", "file"),
    *("url", "sha256", "licence", "source"),
)
"""What ``list --json`` says of a data set."""
Result = str | MolweightError  # text for standard output, or what went wrong with one of several data sets


def action_results(arguments: argparse.Namespace) -> Iterator[Result]:
    """What ``list``, ``show``, ``fetch`` or ``verify`` has to say, piece by piece.

    Raises:
        ConfigError: unknown data set, options that contradict each other.
        DataError: a file is missing or damaged.
    """
    if arguments.action == "list":
        yield list_specs(as_json=arguments.json)
    elif arguments.action == "show":
        yield show(arguments)
    elif arguments.action == "fetch":
        yield from fetch_all(chosen(arguments), sha256=arguments.sha256)
    else:
        yield from verify_all(chosen(arguments))


def chosen(arguments: argparse.Namespace) -> list[DatasetSpec]:
    """The specifications that are named, each once, or every one that has a file of its own."""
    if arguments.all == bool(arguments.names):
        raise ConfigError(f"datasets {arguments.action} takes either names of data sets or --all")
    known = [name for name in sorted(options("dataset")) if name != USER_TABLE]
    names = known if arguments.all else arguments.names
    dataset_folders()  # a folder that does not exist is said once, not for every data set
    return [dataset_spec(name) for name in dict.fromkeys(names)]


def list_specs(*, as_json: bool) -> str:
    """Every data set and where its file is; no data is read."""
    specs = [dataset_spec(name) for name in sorted(options("dataset"))]
    paths = {spec.name: find(spec) if spec.files else None for spec in specs}
    if as_json:
        return _json([_listed(spec, paths[spec.name]) for spec in specs])
    folders = _folders(paths.values())
    rows: list[Sequence[object]] = [("name", "task", "targets", "metric", "file")]
    for spec in specs:
        task = spec.task_type or "by the labels"
        targets = "all" if spec.targets is None else len(spec.targets)
        rows.append((spec.name, task, targets, _metric(spec) or "", _place(spec, paths[spec.name], folders)))
    return "\n".join([*columns(rows, align="<<><<"), *_legend(folders)])


def _listed(spec: DatasetSpec, path: Path | None) -> dict[str, object]:
    """One data set for machines."""
    computed = {
        "metric": _metric(spec),
        "builtin": spec.builtin is not None,
        "file": None if path is None else str(path.absolute()),
    }
    return {name: computed.get(name, getattr(spec, name, None)) for name in LISTED}


def _metric(spec: DatasetSpec) -> str | None:
    """The metric as far as the specification alone decides it."""
    return spec.metric or (spec.metric_for(spec.task_type) if spec.task_type else None)


def _folders(paths: Iterable[Path | None]) -> list[Path]:
    """The folders of files, each once."""
    return list(dict.fromkeys(path.parent.absolute() for path in paths if path is not None))


def _legend(folders: Sequence[Path]) -> list[str]:
    """Lines that say where the files of a table are; a path stays whole, however long."""
    if len(folders) < 2:
        return [line for folder in folders for line in ("", f"Files are in {printable(folder)}")]
    numbered = (f"  [{number}] {printable(folder)}" for number, folder in enumerate(folders, start=1))
    return ["", "Files are in", *numbered]


def _place(spec: DatasetSpec, path: Path | None, folders: Sequence[Path]) -> str:
    """The file's name, with the number of its folder where there are several, or how to come by it."""
    if spec.builtin is not None:
        return "comes with RDKit"
    if path is not None:
        number = f" [{folders.index(path.parent.absolute()) + 1}]" if len(folders) > 1 else ""
        return f"{path.name}{number}"
    return f"not here: fetch {spec.name}" if spec.files else "your own: show FILE"


def show(arguments: argparse.Namespace) -> str:
    """The account of one data set, or of the user's own table.

    Raises:
        ConfigError: unknown name or option.
        DataError: not here, unreadable, or nothing to learn from.
    """
    try:
        spec = shown_spec(arguments)
        if spec.path is None and spec.builtin is None and find(spec) is None:
            raise DataError(
                f"data set {spec.name!r} is not here: run `python -m molweight datasets fetch {spec.name}`, "
                "or pass --path=<file>"
            )
        account = read_account(spec)
    except MolweightError as error:
        raise type(error)(renamed_options(str(error))) from error
    return _json(account.content()) if arguments.json else account.text(every_target=arguments.all)


def shown_spec(arguments: argparse.Namespace) -> DatasetSpec:
    """The specification of a name or a file, with the user's options."""
    name, path = arguments.name, arguments.path
    if name not in options("dataset") and is_file_name(name):
        if path is not None:
            raise ConfigError(f"{name!r} is a file already: leave out --path={path}")
        name, path = USER_TABLE, name
    given = {
        "path": path,
        "smiles_column": arguments.smiles_column,
        "targets": arguments.targets,
        "task_type": arguments.task_type,
        "missing_values": arguments.missing_values,
    }
    return replace(dataset_spec(name), **{key: value for key, value in given.items() if value is not None})


def renamed_options(sentence: str) -> str:
    """A sentence about a run's options, in their names here: ``--path``, not ``dataset.path``."""

    def renamed(match: re.Match[str]) -> str:
        name, items = match.groups()
        values = "" if items is None else " " + items.replace(",", " ")
        return f"--{name.replace('_', '-')}{values.rstrip()}"

    names = "path|smiles_column|targets|task_type|missing_values"
    return re.sub(rf"\bdataset\.({names})\b(?:=\[(.*?)\])?", renamed, sentence)


def fetch_all(specs: Sequence[DatasetSpec], *, sha256: str | None) -> Iterator[Result]:
    """Bring data sets here, one after the other; one that cannot be fetched does not stop the next."""
    if sha256 is not None:
        if len(specs) != 1:
            raise ConfigError(f"--sha256 is of one file: name one data set, not {len(specs)}")
        specs = [replace(specs[0], sha256=sha256)]
    for spec in specs:
        try:
            path, fetched = fetch(spec)
        except MolweightError as error:
            yield type(error)(str(error).replace("dataset.sha256=", "--sha256="))
        else:
            yield f"{spec.name}: {'fetched' if fetched else 'already here'}, {printable(path.absolute())}"


def verify_all(specs: Sequence[DatasetSpec]) -> Iterator[Result]:
    """A table of checksums, then a sentence for each file that differs or cannot be read."""
    wrong: list[MolweightError] = []
    states: list[tuple[DatasetSpec, str, Path | None]] = []
    for spec in specs:
        try:
            checked = verify(spec)
        except DataError as error:
            states.append((spec, "unreadable", None))
            wrong.append(error)
            continue
        states.append((spec, checked.state, checked.path))
        if checked.state == DIFFERS:
            wrong.append(DataError(difference(spec, checked)))
    folders = _folders(path for spec, _, path in states if spec.builtin is None)
    rows = [
        (spec.name, state, "" if path is None and spec.builtin is None else _place(spec, path, folders))
        for spec, state, path in states
    ]
    yield "\n".join([*columns(rows, align="<<<"), *_legend(folders)])
    yield from wrong


def _json(content: object) -> str:
    """JSON in ASCII, so that nothing in it moves a cursor; NaN becomes null."""
    return json.dumps(finite(content), indent=2, allow_nan=False)
