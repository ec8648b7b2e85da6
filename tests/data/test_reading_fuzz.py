"""Odd files, read beside pandas and RDKit: the same rows, or an error or a warning of ours."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pandas as pd
import pytest
from frames import read_table
from rdkit import Chem, rdBase

from molweight.data.readers import open_table
from molweight.data.table_rows import MOST_NOTES, MalformedRow
from molweight.errors import DataError

COUNTS = [300, pytest.param(20_000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]  # files
WIDE = 40  # columns, more than any file has
CELLS = (
    *("CCO", "c1ccccc1O", "[Na+].[Cl-]", "1.5", "-3", "", "", " ", "NA", "é", "it's", "a b", " x", "x "),
    *("C" * 40, "#", "\\", "'", "a\\", "\t", ",", ";", "|", "2,4-D", "a;b"),
)
QUOTED = ('"CCO"', '"a,b"', '"a;b"', '"a\tb"', '"a""b"', '""', '""""', '" x"', '"line\nbreak"', '"\r\n"')
STRAY = ('"', '"open', 'close"', 'a"b', '"a"b', '"a" ', ' "a"', ' "a,b"', '"a""', '"""a"', "''")
ENDS = ("\n", "\r\n", "\r")


def delimited_file(generator: random.Random) -> tuple[str, str, int]:
    """A table as text, its separator and the number of its columns."""
    columns = generator.choice((1, 2, 3, 3, 4))
    separator = generator.choice(",,;\t" if columns > 1 else ",\t")
    ends = generator.choice([(end,) for end in ENDS] + [ENDS])
    stray, odd = generator.choice((0, 0, 0.03, 0.2)), generator.choice((0, 0.1))
    lines = [separator.join(("smiles", "y", "name", "id")[:columns])]
    for _ in range(generator.randint(1, 8)):
        width = columns + (generator.choice((-1, 1)) if generator.random() < odd else 0)
        pools = generator.choices((CELLS, QUOTED, STRAY), (0.8, 0.2, stray), k=width)
        lines.append(separator.join(generator.choice(pool) for pool in pools))
    for _ in range(generator.choice((0, 0, 1, 3))):
        lines.insert(generator.randrange(len(lines) + 1), generator.choice(("", "", " ", "\t ")))
    text = "".join(line + generator.choice(ends) for line in lines)
    text = text if generator.random() < 0.7 else text.rstrip("\r\n")
    return ("\ufeff" if generator.random() < 0.2 else "") + text, separator, columns


def rows_of_pandas(path: Path, separator: str, columns: int) -> list[list[str]]:
    """Header and rows; of one column every line is one, of several a blank line is none."""
    table = pd.read_csv(
        path,
        sep=separator,
        header=None,
        names=range(WIDE),
        index_col=False,
        dtype=str,
        keep_default_na=False,
        skip_blank_lines=columns > 1,
        encoding="utf-8-sig",
    ).fillna("")
    rows = [[cell.strip() for cell in row] for row in table.itertuples(index=False)]
    while rows and not any(rows[0]):  # the header is the first line with text
        rows.pop(0)
    return rows


@pytest.mark.parametrize("count", COUNTS)
def test_delimited_text_is_what_pandas_reads(count: int, tmp_path: Path) -> None:
    generator, read, rows = random.Random(0), 0, 0
    for number in range(count):
        text, separator, columns = delimited_file(generator)
        path = tmp_path / ("t.tsv" if separator == "\t" else "t.csv")
        text = text.replace(f"\r{separator}", f"\r\n{separator}")  # pandas drops an empty cell after \\r
        path.write_bytes(text.encode())
        try:
            table = open_table(path)
            ours = list(table.rows)
        except DataError as error:
            assert str(error).startswith(f"{path}"), (number, text)
            continue
        if len(table.names) == 1 < columns:  # no row had more cells; the column is not found
            assert "smiles" not in table.names, (number, text)
            continue
        header, *theirs = rows_of_pandas(path, separator, columns)
        assert header[:columns] == table.names and len(ours) == len(theirs), (number, text)
        for (_, cells), row in zip(ours, theirs, strict=True):
            if not isinstance(cells, MalformedRow):
                found = [str(cell).strip() for cell in cells]
                assert found == row[:columns] and not any(row[columns:]), (number, text)
                rows += 1
        read += 1
    assert read > count / 2 and rows > count  # most of them are no errors


def written(value: float, digits: int, comma: bool, grouped: bool) -> str:
    """A number as people write it."""
    text = f"{value:,.{digits}f}" if grouped else f"{value:.{digits}f}"
    return text.translate(str.maketrans(",.", ".,")) if comma else text


@pytest.mark.parametrize("count", COUNTS)
def test_a_number_is_what_was_meant_or_an_error(count: int, tmp_path: Path) -> None:
    """Decimal commas and points, with and without marks between thousands."""
    generator, read, path = random.Random(1), 0, tmp_path / "t.csv"
    for number in range(count):
        comma = generator.random() < 0.7
        styles = [(generator.randrange(4), comma, generator.random() < 0.3) for _ in range(2)]
        scales = [10 ** generator.uniform(-1, 5) for _ in styles]
        values = [
            [generator.uniform(-1, 1) * scale for scale in scales] for _ in range(generator.randint(2, 6))
        ]
        cells = [[written(value, *style) for value, style in zip(row, styles, strict=True)] for row in values]
        path.write_text(
            "".join(f"{';'.join(row)}\n" for row in (["smiles", "y", "z"], *(["C", *r] for r in cells)))
        )
        try:
            table = read_table(path, targets=["y", "z"], task_type="regression", missing_values=[])
        except DataError as error:
            assert "not a number" in str(error) or "is unclear" in str(error)
            continue
        meant = [[round(v, style[0]) for v, style in zip(row, styles, strict=True)] for row in values]
        assert table[["y", "z"]].to_numpy().tolist() == meant, (number, cells)
        read += 1
    assert read > count / 4


STRUCTURES = ("CCO", "c1ccccc1O", "C[C@H](N)C(=O)O", "F/C=C/F", "[Na+].[Cl-]")
TITLES = ("", "ethanol", "> <y>", "FROM  END", "M  EN")
HEADERS = (
    *("> <y>", ">  <y>", "><y>", "> <y> (3)", ">  25 <y>  FROM ARCHIVES", " > <y>", "> DT12 <y>", "> <z>"),
    *("> <a b>", "> <a<b>", "> <=5>", "> < z >", "> <(y)>", "> <logP  >", "> <a>b>", "> >3 <y>", "> <y>x"),
)
ODD_HEADERS = ("> DT12", ">10000", "> <>", "> < >", "y", "> <y> (>5)", "> <a> b>")
VALUES = (
    *("1.5", "", ">10000", "<5", "a\nb", " ", "\t", "a\n \nb", "> 5 mg", "$$$", "é", "a\\n", ">", "M  EN"),
    *("0", "-3e-2", "<1>", "5 < x > 3", " indented", "trailing  "),
)
ODD_VALUES = ("a\n\nb", "> <z>\n2", "1\n>  <y>\n2", "\n>10000", "a$$$$", "\n\n2")


def structure_file(generator: random.Random) -> str:
    """An SD file as text."""
    text, odd = "", generator.choice((0, 0, 0.15))
    for _ in range(generator.randint(1, 4)):
        mol = Chem.MolFromSmiles(generator.choice(STRUCTURES))
        block = Chem.MolToMolBlock(mol, forceV3000=generator.random() < 0.2)
        text += generator.choice(TITLES) + "\n" + block.partition("\n")[2]
        for _ in range(generator.randint(0, 4)):
            header = generator.choice(ODD_HEADERS if generator.random() < odd else HEADERS)
            value = generator.choice(ODD_VALUES if generator.random() < odd else VALUES)
            text += f"{header}\n{value}\n" + "\n" * generator.choice((1, 1, 1, 2))
            text = text[:-1] if generator.random() < odd else text  # no blank line
        text += generator.choice(("$$$$\n", "$$$$\n", "$$$$ next\n"))
    text = text.removesuffix("$$$$\n") + "\n" if generator.random() < 0.2 else text
    text += "\n" * generator.choice((0, 0, 2))
    return text.replace("\n", "\r\n") if generator.random() < 0.3 else text


def by_rdkit(text: str) -> list[tuple[str, dict[str, str]] | None]:
    """Structure and properties of every record; a blank line stands before each end, else RDKit reads on."""
    records = re.split(r"(?m)^\$\$\$\$.*\n?", text)
    records = records if records[-1].strip() else records[:-1]
    found: list[tuple[str, dict[str, str]] | None] = []
    for record in records:
        supplier = Chem.SDMolSupplier()
        supplier.SetData(f"{record}\n\n$$$$\n")
        with rdBase.BlockLogs():
            mol = next(supplier)
        if mol is None:
            found.append(None)
            continue
        properties = {name.strip(): mol.GetProp(name).strip() for name in mol.GetPropNames()}
        found.append((Chem.MolToSmiles(mol), properties))
    return found


@pytest.mark.parametrize("count", COUNTS)
def test_structures_and_properties_are_what_rdkit_reads(count: int, tmp_path: Path) -> None:
    generator, path, same, asides = random.Random(2), tmp_path / "t.sdf", 0, 0
    for number in range(count):
        text = structure_file(generator)
        path.write_bytes(text.encode())
        table, theirs = open_table(path), by_rdkit(text)
        ours = list(table.rows)
        assert len(ours) == len(theirs), (number, text)
        for (record, cells), expected in zip(ours, theirs, strict=True):
            if not isinstance(cells, MalformedRow) and expected is not None:
                properties = dict(zip(table.names[1:], cells[1:], strict=True))
                there = {name: value for name, value in properties.items() if value or name in expected[1]}
                if cells[0] == expected[0] and there == expected[1]:
                    same += 1
                    continue
            notes = [note for note in table.notes if note.startswith(f"record {record}: ")]
            reported = notes or len(table.notes) > MOST_NOTES
            assert isinstance(cells, MalformedRow) or reported, (number, record, text, cells, expected)
            asides += 1
    assert same > count and 0 < asides < same / 4
