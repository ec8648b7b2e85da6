"""Files as tables: what has one reading is read, whatever its name says; the rest is refused or noted."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from frames import read_table
from rdkit import Chem

from molweight.data.corpora import load_corpus
from molweight.data.readers import Source, open_table
from molweight.data.specs import CorpusSpec
from molweight.data.table_rows import MOST_NOTES, MalformedRow
from molweight.errors import DataError
from molweight.inference.requests import requests


def write(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def opened(source: Source, kind: str | None = None) -> tuple[list[str], list[object], list[str]]:
    """Names, cells and notes of a whole table."""
    table = open_table(source, kind=kind)
    return table.names, [cells for _, cells in table.rows], table.notes


def queries(source: Source, **options: str) -> list[str]:
    """What predict is asked for, reasons in the place of rows that cannot be told apart."""
    return [one.reason if isinstance(one, MalformedRow) else one for one in requests(source, **options)]


def pipe(monkeypatch: pytest.MonkeyPatch, text: str | bytes) -> str:
    content = text if isinstance(text, bytes) else text.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))
    return "-"


# Quotes


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('smiles,y,name\nCCO,1.5,ethanol\nCCN,2.5,"open\nCCC,3.5,propane\nCC,4.5,butane\n', 3),
        ('smiles,y\n"CC\nO",1\nCC,"2\n\nC,3', 4),
        ('smiles,y\r\n"CC\r\nO",1\r\nCC,"2""\r\n', 4),
        ('smiles,y\r"C,2",3\rC,1\r"CC,"",2', 4),
        ('smiles,"y\nC,1\n', 1),
        ('smiles,y\n"a\nb","c\nd', 3),
        ('smiles\n"C', 2),
        ('smiles,y\nC,"1\n' + "CC,2\n" * 40_000, 2),  # longer than a cell may be
    ],
)
def test_a_quote_that_is_never_closed_is_an_error_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    for name, content in (("t.csv", text), ("t.tsv", text.replace(",", "\t"))):
        path = write(tmp_path, content, name)
        for read in (queries, lambda path: read_table(path, targets=())):
            with pytest.raises(DataError, match=rf"t\..sv, line {line}: .*never closed"):
                read(path)


def test_text_after_a_quoted_cell_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, 'smiles,y,name\nC,1,"a\nCC,2,"b"\n')
    with pytest.raises(
        DataError, match='line 2: the quote that opens here closes in line 3 before other text; write ""'
    ):
        read_table(path)
    with pytest.raises(DataError, match="line 2: white space before a quote"):
        read_table(write(tmp_path, 'smiles,y\n "C",1\n'))


def test_a_cell_of_many_lines_is_a_warning_with_its_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = 'smiles,y,name\nCCO,1,x\nCCN,2,"one\nCCC,3,two"\nC,4,"a\nb"\nCC,5,"1\n2\n3"\n'
    _, rows, notes = opened(write(tmp_path, text))
    assert len(rows) == 4
    swallowed = "a quoted cell goes on to line 4; if rows of their own stand in it, its quote is not closed"
    assert notes == [f"line 3: {swallowed}", f"line 7: {swallowed.replace('line 4', 'line 9')}"]
    assert f"t.csv: line 3: {swallowed}" in caplog.text
    caplog.clear()
    opened(write(tmp_path, text.replace(",", ";")))  # which is read twice
    assert caplog.text.count("line 3: a quoted cell") == 1
    many = "smiles,y,name\n" + 'CCO,1,"a\nb\nc"\n' * 50
    assert len(opened(write(tmp_path, many))[2]) == MOST_NOTES + 1


def test_a_cell_that_is_too_long_names_its_line(tmp_path: Path) -> None:
    for cell in ("C" * 200_000, '"' + "C" * 200_000 + '"'):
        path = write(tmp_path, f"smiles,y\nC,1\n{cell},2\nCC,3\n")
        with pytest.raises(DataError, match=r"line 3: a cell that begins here does not end .* limit"):
            queries(path)


# Header and blank lines


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.smi"])
def test_a_molecule_is_no_header(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, "\nCCO\nCCN\n", name)
    assert queries(path) == list(read_table(path, targets=())["smiles"]) == ["", "CCO", "CCN"]
    assert ("no header: its first row, 'CCO', is a molecule" in caplog.text) == (name != "t.smi")
    assert queries(write(tmp_path, "structure\nCCO\n")) == ["CCO"]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_several_columns_without_a_header_are_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, "CCO,1.5\nCCN,2.5\n".replace(",", "," if name == "t.csv" else "\t"), name)
    for read in (queries, read_table):
        with pytest.raises(
            DataError, match="'CCO' is a molecule: if the first row is no header, add one above it"
        ):
            read(path)
    frame = pd.read_csv(write(tmp_path, "CCO,1.5\nCCN,2.5\n"))
    with pytest.raises(DataError, match="'CCO' is a molecule: if the first row is no header"):
        read_table(frame)
    with pytest.raises(DataError, match=r"one column, whose name 'CCO' is a molecule: .* header=None"):
        queries(frame[["CCO"]])


def test_columns_may_be_called_like_molecules(tmp_path: Path) -> None:
    path = write(tmp_path, "C,N,smiles,CNS\nC,1,CCO,0\n")
    assert list(read_table(path, targets=["CNS", "N"]).columns) == ["smiles", "CNS", "N"]
    path = write(tmp_path, "drug,CNS\nCCO,0\n")
    assert list(read_table(path, smiles_column="drug")["CNS"]) == [0]


SIX = ["CCO", "", "CCN", "bad", " ", "C"]


@pytest.mark.parametrize("name", ["t.smi", "t.txt", "t.csv", "t.tsv", "-"])
@pytest.mark.parametrize("header", ["", "smiles\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_six_lines_are_six_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, header: str, end: str
) -> None:
    text = (header + "\n".join(SIX)).replace("\n", end)
    for last in ("", end):
        source = pipe(monkeypatch, text + last) if name == "-" else write(tmp_path, text + last, name)
        assert [one.strip() for one in queries(source)] == [one.strip() for one in SIX]


def test_a_blank_line_at_the_end_is_a_row_of_a_list(tmp_path: Path) -> None:
    """Only what ends the last line is none."""
    for name in ("t.smi", "t.csv"):
        assert queries(write(tmp_path, "smiles\nCCO\n\n", name)) == ["CCO", ""]


def test_a_blank_line_of_several_columns_is_no_row_and_said(tmp_path: Path) -> None:
    _, rows, notes = opened(write(tmp_path, "smiles,y\nCCO,1\n \nCCN,2\n\nC,3\n\n"))
    assert rows == [["CCO", "1"], ["CCN", "2"], ["C", "3"]]
    assert notes == ["line 3: blank lines are no rows of a table with several columns"]
    assert opened(write(tmp_path, "smiles,y\nCCO,1\n\n\n"))[2] == []  # at the end nobody misses them
    _, rows, notes = opened(write(tmp_path, ",\nsmiles,y\nCCO,1\n"))
    assert rows == [["CCO", "1"]] and notes == [
        "the header is line 2; the cells of the lines before it are empty"
    ]


def test_blank_lines_of_a_corpus_are_excluded_rows(tmp_path: Path) -> None:
    path = write(tmp_path, "CCO\n\nCCN\n", "t.smi")
    corpus = load_corpus(CorpusSpec(name="file", path=str(path)), task_smiles=())
    assert corpus.n_rows == 3 and corpus.rows.tolist() == [0, 2]
    assert [(item.row, item.status, item.reason) for item in corpus.excluded] == [(1, "invalid", "empty")]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("\nid,smiles\n1,CCO\n", ["CCO"]),
        ("id,smiles\r1,CCO\r2,CCN\r", ["CCO", "CCN"]),
        ("smiles;id\nCCO;1\n", ["CCO"]),
        ("CCO,1\nCCN,2\n", ["CCO,1", "CCN,2"]),  # no molecules, row by row
    ],
)
def test_the_format_of_a_pipe_is_seen(monkeypatch: pytest.MonkeyPatch, text: str, rows: list[str]) -> None:
    assert queries(pipe(monkeypatch, text)) == rows


# SD files


def record(smiles: str, items: str) -> str:
    return Chem.MolToMolBlock(Chem.MolFromSmiles(smiles)) + items + "$$$$\n"


@pytest.mark.parametrize("value", [">10000", "<5", ">= 3", "≤2"])
def test_a_censored_value_is_the_same_error_everywhere(tmp_path: Path, value: str) -> None:
    text = record("CCO", f">  <IC50>\n{value}\n\n") + record("CCN", ">  <IC50>\n5\n\n")
    sdf, table = write(tmp_path, text, "t.sdf"), write(tmp_path, f"smiles,IC50\nCCO,{value}\nCCN,5\n")
    assert opened(sdf)[:2] == (["smiles", "IC50"], [["CCO", value], ["CCN", "5"]])
    cure = (
        "write the limit alone in such cells, or leave them empty, or leave the column out of dataset.targets"
    )
    for path in (sdf, table):
        with pytest.raises(DataError, match=rf"'{value}' is not a number; it is a limit .*: {cure}"):
            read_table(path, targets=["IC50"])


def test_what_an_sd_file_leaves_open_is_noted_with_its_record(tmp_path: Path) -> None:
    items = "> <a>\n1\n> <b>\n2\n\n> <y> (>5)\n1\n\nstray\n\n> <y>\n2\n\n> DT12\nx\n\n"
    names, rows, notes = opened(write(tmp_path, record("C", "") + record("CC", items), "t.sdf"))
    assert names == ["smiles", "a", "y"] and rows[1] == ["CC", "1\n> <b>\n2", "2"]
    assert notes == [
        "record 2: '> <b>' is read as a line of the value of 'a': no blank line stands before it",
        "record 2: '> <y> (>5)' is read as the property 'y'",
        "record 2: 'stray' belongs to no property",
        "record 2: property 'y' has two values, '1' and '2'; the last one counts",
        "record 2: '> DT12' names no property",
    ]


def test_two_structures_in_a_record_are_no_row(tmp_path: Path) -> None:
    text = record("CCO", "> <y>\n1.5\n\n").replace("$$$$\n", "") + record("C", "> <y>\n2\n\n")
    path = write(tmp_path, text + record("CC", "> <y>\n3\n\n"), "t.sdf")
    assert queries(path) == ["two structures in one record", "CC"]
    with pytest.raises(DataError, match=r"line 1: two structures in one record; put a line \$\$\$\$ between"):
        read_table(path)


def test_a_name_may_hold_the_end_mark(tmp_path: Path) -> None:
    block = Chem.MolToMolBlock(Chem.MolFromSmiles("CCO"))
    path = write(tmp_path, f"FROM  END{block}> <y>\n1\n\n$$$$\n", "t.sdf")
    assert opened(path)[1] == [["CCO", "1"]]


# What a file is, whatever its name says


@pytest.mark.parametrize("name", ["t.csv", "t.smi", "t.sdf", "t.CSV.GZ"])
def test_a_gzip_is_unpacked_under_any_name(tmp_path: Path, name: str) -> None:
    text = record("CCO", "") if name == "t.sdf" else "smiles\nCCO\n"
    names, rows, notes = opened(write(tmp_path, gzip.compress(text.encode()), name))
    assert names[0] == "smiles" and rows[0][0] == "CCO"  # type: ignore[index]
    assert notes == (["it is packed with gzip, though its name does not say so"] if "GZ" not in name else [])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"PK\x03\x04\x14\x00\x06\x00",
            "a zip archive or an Excel workbook, no text: unpack it, or save its",
        ),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook, no text: save its sheet as CSV"),
        (bz2.compress(b"smiles\nC\n"), "packed with bzip2, no text: unpack it"),
        (lzma.compress(b"smiles\nC\n"), "packed with xz, no text: unpack it"),
        (b"\x28\xb5\x2f\xfd\x20", "packed with zstd, no text: unpack it"),
        (b"PAR1\x15\x04\x15", "a Parquet file, no text: give it a name that ends in .parquet"),
    ],
)
def test_what_is_no_text_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, words: str
) -> None:
    for source in (*(write(tmp_path, content, name) for name in ("t.csv", "t.smi", "t.sdf")), "-"):
        with pytest.raises(DataError, match=f"is {words}"):
            queries(pipe(monkeypatch, content) if source == "-" else source)


def test_a_packed_pipe_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="standard input is packed with gzip: unpack it"):
        queries(pipe(monkeypatch, gzip.compress(b"CCO\n")))


def test_what_is_no_utf8_names_its_line_in_every_kind_of_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for end in (b"\n", b"\r", b"\r\n"):
        content = b"smiles,name" + end + "C,é".encode() + end + b"CC,\xe9" + end
        for source in (write(tmp_path, content), "-"):
            with pytest.raises(DataError, match="line 3: not UTF-8"):
                queries(pipe(monkeypatch, content) if source == "-" else source)


# Separators and decimal commas


@pytest.mark.parametrize(
    ("name", "delimiter", "word"),
    [
        ("t.csv", ";", "semicolons"),
        ("t.csv", "\t", "tabs"),
        ("t.tsv", ",", "commas"),
        ("t.tsv", ";", "semicolons"),
    ],
)
def test_another_separator_is_read_and_said(tmp_path: Path, name: str, delimiter: str, word: str) -> None:
    text = 'smiles,y,name\nCCO,1.5,"a, b; c\td"\nCCN,-0.25,\n'.replace('"a, b; c\td"', "@").replace(
        ",", delimiter
    )
    path = write(tmp_path, text.replace("@", '"a, b; c\td"'), name)
    names, rows, notes = opened(path)
    assert names == ["smiles", "y", "name"] and rows[0] == ["CCO", "1.5", "a, b; c\td"]
    assert notes == [f"its cells are separated by {word}"]
    assert list(read_table(path, targets=["y"])["y"]) == [1.5, -0.25]


def test_a_separator_in_two_ways_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="seem to be separated by semicolons or tabs, but that is not certain"
    ):
        open_table(write(tmp_path, "smiles;y\tz\nC;1\t2\n"))
    with pytest.raises(DataError, match="seem to be separated by semicolons, but"):
        open_table(write(tmp_path, "smiles;y\nC\nCC\nC;1\n"))
    assert opened(write(tmp_path, "smiles; canonical\nC\nCC\n"))[:2] == (
        ["smiles; canonical"],
        [["C"], ["CC"]],
    )


@pytest.mark.parametrize(("name", "delimiter"), [("t.csv", ";"), ("t.csv", "\t"), ("t.tsv", "\t")])
def test_decimal_commas_are_read_where_they_have_one_meaning(
    tmp_path: Path, name: str, delimiter: str
) -> None:
    text = ";;;\nsmiles;y2;n;id\nCCO;1,5;3;1,2-a\nCCN;-2,125;;2,3\nC;NA;4;x\nCC;,5e-1;5;3\n"
    path = write(tmp_path, text.replace(";", delimiter), name)
    assert opened(path)[2][-1] == "decimal commas in 'y2'"
    table = read_table(path, targets=["y2", "n"])
    assert table["y2"].tolist()[:2] == [1.5, -2.125] and table["y2"].iloc[3] == 0.05
    assert opened(path)[1][0][3] == "1,2-a"  # type: ignore[index]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("1,234;2 3,456;4", "'1,234' is unclear, its comma may stand before decimals or between thousands"),
        (
            "1,5;1.234 2,5;5.678",
            "'1.234' is unclear, its point may stand before decimals or between thousands",
        ),
        ("1,5;1 2.5;2", "'1,5' is unclear, the column has numbers with commas and with points"),
        ("1.234;1 2.345;2", "'1.234' is unclear, its point may stand before decimals or between thousands"),
        ("1.234,5;1 2,5;2", r"'1.234,5' is not a number; write decimals with a point and thousands without"),
    ],
)
def test_a_number_with_two_readings_is_refused(tmp_path: Path, cells: str, reason: str) -> None:
    rows = "\n".join(f"CCO;{row}" for row in cells.split())
    path = write(tmp_path, f"smiles;y;z\n{rows}\n")
    with pytest.raises(DataError, match=reason):
        read_table(path)
    assert queries(path) == ["CCO", "CCO"]  # which needs no numbers


def test_points_of_a_semicolon_file_are_points(tmp_path: Path) -> None:
    path = write(tmp_path, "smiles;y;z\nCCO;1.234;0.5\nCCN;2.345;1.5\n")
    assert read_table(path)["y"].tolist() == [1.234, 2.345]
    with pytest.raises(DataError, match="'1,5' is not a number; write decimals with a point"):
        read_table(write(tmp_path, 'smiles,y\nC,"1,5"\n'))


# Parquet files and data frames


def both(tmp_path: Path, frame: pd.DataFrame) -> Sequence[Source]:
    frame.to_parquet(tmp_path / "t.parquet")
    return frame, tmp_path / "t.parquet"


def test_decimals_are_numbers_and_bytes_are_text(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "smiles": [b"CCO", b"\xff", b"C"],
            "y": [Decimal("1.50"), None, Decimal("-0.1")],
            "z": [b"2", b"", b"NA"],
        }
    )
    for source in both(tmp_path, frame):
        table = read_table(source)
        assert table["smiles"].tolist() == ["CCO", r"\xff", "C"] == queries(source)
        assert table["y"].tolist()[::2] == [1.5, -0.1] and table["y"].isna().tolist() == [False, True, False]
        assert table["z"].iloc[0] == 2
    assert queries([b"CCO", "C"]) == ["CCO", "C"]  # type: ignore[list-item]
    with pytest.raises(DataError, match="is not a number"):
        read_table(pd.DataFrame({"smiles": ["C"], "y": [Decimal("sNaN")]}))


@pytest.mark.parametrize("name", ["smiles", "SMILES", None, "structure"])
def test_an_index_that_holds_the_smiles_is_a_column(tmp_path: Path, name: str | None) -> None:
    frame = pd.DataFrame({"y": [1.0, 2.0, 3.0]}, index=pd.Index(["CCO", "bad", "C"], name=name))
    for source in both(tmp_path, frame):
        table = read_table(source, smiles_column=name or "smiles")
        assert table["smiles"].tolist() == ["CCO", "bad", "C"] and table["y"].tolist() == [1, 2, 3]
        assert open_table(source).notes == ["the SMILES are those of its index"]
        assert queries(source, smiles_column=name or "smiles") == ["CCO", "bad", "C"]


def test_a_level_of_an_index_may_hold_the_smiles(tmp_path: Path) -> None:
    index = pd.MultiIndex.from_tuples([("a", "CCO"), ("b", "CCN")], names=["id", "smiles"])
    for source in both(tmp_path, pd.DataFrame({"y": [1.0, 2.0]}, index=index)):
        assert sorted(open_table(source).names) == ["smiles", "y"] and queries(source) == ["CCO", "CCN"]


def test_a_column_of_smiles_goes_before_an_index(tmp_path: Path) -> None:
    for name, column in (("smiles", "mol"), ("other", "smiles"), (None, "smiles")):
        frame = pd.DataFrame({column: ["CCO", "CCN"], "y": [1.0, 2.0]}, index=pd.Index(["C", "N"], name=name))
        for source in both(tmp_path, frame):
            assert open_table(source).names == [column, "y"] and open_table(source).notes == []
