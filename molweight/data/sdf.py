"""SD files: a structure and its properties for every record, split as the CTfile formats define it.

A data item is a header line, ``> <NAME>``, the lines of its value, and a blank line; so a line of a value may
begin with ``>`` as well, as ``>10000`` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from rdkit import Chem, rdBase

from molweight.data.smiles import InvalidSmilesError, smiles_of
from molweight.data.table_rows import AllRows, Cell, MalformedRow, Notes, Table, empty
from molweight.data.text_files import check_is_text, text_lines

UNREADABLE = "<unreadable structure>"  # stands in for a molblock that RDKit refuses; it is no SMILES either
END = "M  END"
SHOWN = 60  # characters of a line in a message
HEADER = re.compile(r"\s*>[^<]*<(?P<name>.+?)>(?=[\s(]|[^>]*$)(?P<rest>.*)")  # a name may hold a ">" itself

Properties = dict[str, str]


def read_sdf(path: Path) -> Table:
    """The records of an SD file: ``smiles`` from the structure, other columns from the properties.

    It is read twice: the names of the properties stand in the records.
    """
    notes = Notes(path)
    check_is_text(path, notes)
    names: dict[str, None] = {}
    for number, record in enumerate(_records(path), start=1):
        properties, sentences = _properties(_parts(record)[1])
        names |= dict.fromkeys(properties)
        for sentence in sentences:
            notes.add(f"record {number}: {sentence}")
    columns = [name for name in names if name != "smiles"]  # the structure is the authority

    def rows() -> AllRows:
        for number, record in enumerate(_records(path), start=1):
            yield number, _cells(record, columns)

    return Table(["smiles", *columns], rows(), notes)


def _records(path: Path) -> Iterator[list[str]]:
    """The lines of every record, without their ends."""
    lines: list[str] = []
    some = False
    for line in text_lines(path):
        if not line.startswith("$$$$"):
            lines.append(line.rstrip("\r\n"))
            continue
        some = True
        yield lines
        lines = []
    if any(line.strip() for line in lines):  # the last mark may be missing
        yield lines
    elif not some:
        raise empty(path)


def _cells(record: list[str], columns: list[str]) -> list[Cell] | MalformedRow:
    """A cell per column, after that of the structure."""
    structure, data = _parts(record)
    if any(line.startswith(END) for line in data):
        return MalformedRow("two structures in one record", "\n".join(record), "put a line $$$$ between them")
    properties, _ = _properties(data)
    return [_smiles(structure), *(properties.get(name, "") for name in columns)]


def _parts(record: list[str]) -> tuple[list[str], list[str]]:
    """The lines of the structure, and those of the properties: they survive a structure that is refused."""
    for end, line in enumerate(record, start=1):
        if line.startswith(END):
            return record[:end], record[end:]
    end = next((at for at, line in enumerate(record) if HEADER.match(line)), len(record))
    return record[:end], record[end:]


def _properties(data: list[str]) -> tuple[Properties, list[str]]:
    """Names and values, and what is remarkable about them."""
    properties: Properties = {}
    sentences: list[str] = []
    lines = iter(data)
    for line in lines:
        if not line.strip():
            continue
        value: list[str] = []
        header = HEADER.match(line)
        if header is None and not line.lstrip().startswith(">"):
            sentences.append(f"{_shown(line)} belongs to no property")
            continue
        for text in lines:
            if not text:
                break
            value.append(text)
        name, content = header["name"].strip() if header else "", "\n".join(value).strip()
        if header is None or not name:
            sentences.append(f"{_shown(line)} names no property")
            continue
        sentences += _two_readings(line, header, value)
        if properties.get(name, content) != content:
            values = f"{_shown(properties[name])} and {_shown(content)}"
            sentences.append(f"property {name!r} has two values, {values}; the last one counts")
        properties[name] = content
    return properties, sentences


def _two_readings(line: str, header: re.Match[str], value: list[str]) -> Iterator[str]:
    """What of a data item could be meant otherwise."""
    if ">" in header["rest"]:
        yield f"{_shown(line)} is read as the property {_shown(header['name'])}"
    for text in value:
        if ">" in text and HEADER.match(text):
            name = _shown(header["name"])
            yield f"{_shown(text)} is read as a line of the value of {name}: no blank line stands before it"


def _shown(text: str) -> str:
    return repr(text.strip()[:SHOWN])


def _smiles(structure: list[str]) -> str:
    """The SMILES of the lines of a structure."""
    with rdBase.BlockLogs():
        mol = Chem.MolFromMolBlock("\n".join(structure) + "\n")
    try:
        return UNREADABLE if mol is None else smiles_of(mol)
    except InvalidSmilesError:
        return UNREADABLE
