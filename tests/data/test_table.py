"""Tables in, numbers out; everything that can be wrong with a table is named."""

from __future__ import annotations

import gzip
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from frames import read_table
from rdkit import Chem

from molweight.data.label_cells import number
from molweight.data.table import smiles_column
from molweight.errors import DataError


def write(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def message(path: Path, **options: object) -> str:
    """The sentence with which a table is refused."""
    with pytest.raises(DataError) as caught:
        read_table(path, **options)  # type: ignore[arg-type]
    assert caught.value.exit_code == 5
    text = str(caught.value)
    assert str(path) in text
    return text


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "t.tsv.gz"])
def test_delimited_text_keeps_order_values_and_lines(tmp_path: Path, name: str) -> None:
    text = 'smiles,a,b\nCCO,1,2.5\n\nc1ccccc1,,-1e-3\n"C,\nX", 0 ,NA\n'
    if "tsv" in name:
        text = text.replace('"C,\nX"', '"C;\nX"').replace(",", "\t")
    content = text.encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    table = read_table(path)
    assert list(table.columns) == ["smiles", "a", "b"]
    assert list(table["smiles"])[:2] == ["CCO", "c1ccccc1"]
    np.testing.assert_array_equal(table[["a", "b"]], [[1, 2.5], [np.nan, -1e-3], [0, np.nan]])
    assert list(table.index) == [2, 4, 6]  # the blank line and the cell of two lines are counted


@pytest.mark.parametrize(
    "cell", ["", " ", "nan", "NaN", "NA", "N/A", "null", "None", "<NA>", None, pd.NA, np.nan]
)
def test_spellings_of_missing(cell: object) -> None:
    assert np.isnan(number(cell))


@pytest.mark.parametrize(
    "cell", ["inf", "-Infinity", "1e999", "1e39", "1_000", "abc", "1,5", "0x10", "-nan", "True"]
)
def test_what_is_not_a_number(cell: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        number(cell)


def test_text_in_a_numeric_column_names_row_line_and_cure(tmp_path: Path) -> None:
    rows = ["C,1"] * 6 + ["CC,abc"]
    text = message(write(tmp_path, "smiles,y\n" + "\n".join(rows) + "\n"))
    assert (
        "column 'y', row 7 (line 8): 'abc' is not a number; leave the cell empty for a missing label" in text
    )


def test_inf_is_not_a_label(tmp_path: Path) -> None:
    assert "'inf' is not a number" in message(write(tmp_path, "smiles,y\nC,1\nCC,inf\n"))


def test_classification_takes_zero_and_one_only(tmp_path: Path) -> None:
    path = write(tmp_path, "smiles,y\nC,1.0\nCC,\nCCC,2\n")
    assert "row 3 (line 4): '2' is neither 0 nor 1" in message(path, task_type="classification")
    assert read_table(path)["y"].iloc[2] == 2


def test_wrong_column_lists_columns_and_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path, "Drug,smile,activity\nx,C,1\n")
    text = message(path)
    assert "no column 'smiles' (dataset.smiles_column). Did you mean 'smile'?" in text
    assert "'Drug', 'smile', 'activity'" in text
    text = message(path, smiles_column="smile", targets=["activty"])
    assert "no column 'activty' (dataset.targets). Did you mean 'activity'?" in text


def test_another_delimiter_is_recognised(tmp_path: Path) -> None:
    assert "separated by '|'" in message(write(tmp_path, "smiles|y\nC|1\n"))
    assert list(read_table(write(tmp_path, "smiles;y\nC;1\n"))["y"]) == [1]


def test_names_are_found_by_case_and_by_alias(tmp_path: Path) -> None:
    path = write(tmp_path, "SMILES,exp,other\nC,1,x\n")
    assert list(read_table(path, targets=["lipo"], aliases={"lipo": ["exp"]}).columns) == ["smiles", "lipo"]
    path = write(tmp_path, "mol,smiles ,y\nC,CC,1\n")
    table = read_table(path, smiles_column="smiles", smiles_aliases=["mol"], targets=["y"])
    assert table["smiles"].iloc[0] == "CC"


def test_all_columns_but_the_ignored_ones_are_targets(tmp_path: Path) -> None:
    path = write(tmp_path, "id,smiles,b,a\nx,C,1,2\n")
    assert list(read_table(path, ignore=["id"]).columns) == ["smiles", "b", "a"]
    assert "leave the column out of dataset.targets" in message(path, targets=["id", "a"])
    assert "no column with labels" in message(path, ignore=["id", "a", "b"])


def test_no_targets_reads_molecules_alone(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, "id,smiles\nx,C\n"), targets=()).shape == (1, 1)


def test_duplicate_column_names(tmp_path: Path) -> None:
    path = write(tmp_path, "smiles,y,y,z\nC,1,2,3\n")
    assert "more than one column 'y'" in message(path)
    assert list(read_table(path, targets=["z"])["z"]) == [3]  # the others are not read


def test_all_labels_missing(tmp_path: Path) -> None:
    assert "every label in 'y' is missing" in message(write(tmp_path, "smiles,y\nC,\nCC,nan\n"))


@pytest.mark.parametrize("text", ["", "\n \n", "\ufeff"])
def test_empty_file(tmp_path: Path, text: str) -> None:
    assert "is empty" in message(write(tmp_path, text))


def test_header_without_rows(tmp_path: Path) -> None:
    assert "no rows" in message(write(tmp_path, "smiles,y\n"))


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "\ufeffsmiles,y\r\nC,1\r\nCC,2\r\n"))
    assert list(table["smiles"]) == ["C", "CC"]


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_of_other_systems(tmp_path: Path, end: str) -> None:
    blocks = [Chem.MolToMolBlock(Chem.MolFromSmiles(s)) + "> <y>\n1.5\n\n$$$$\n" for s in ("CCO", "C")]
    contents = {"t.csv": "smiles,y\nCCO,1.5\nC,1.5\n", "t.smi": "CCO a\nC b\n", "t.sdf": "".join(blocks)}
    for name, text in contents.items():
        table = read_table(write(tmp_path, text.replace("\n", end), name), targets=())
        assert list(table["smiles"]) == ["CCO", "C"], name


def test_undecodable_text_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"smiles,y\nC,1\nC\xff,2\n")
    assert "line 3: not UTF-8" in message(path)
    path.write_bytes(b"smiles,y\n" + b"C,1\n" * 10_000 + b"C\xff,2\n")  # far behind what is read at once
    assert "line 10002: not UTF-8" in message(path)


def test_damaged_gzip(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"smiles,y\n" + b"C,1\n" * 100)[:-12])
    assert "not a complete gzip file" in message(path)
    path.write_bytes(b"smiles,y\nC,1\n")
    assert "not a complete gzip file" in message(path)


def test_shifted_row_is_refused(tmp_path: Path) -> None:
    assert "line 3: 3 cells where the header names 2" in message(write(tmp_path, "smiles,y\nC,1\nC,1,2\n"))


def test_missing_file_folder_and_unknown_type(tmp_path: Path) -> None:
    assert "does not exist" in message(tmp_path / "absent.csv")
    assert "is a folder" in message(tmp_path)
    assert "unknown file type '.xlsx'" in message(write(tmp_path, "x", "t.xlsx"))


@pytest.mark.parametrize("name", ["t.smi", "t.txt"])
@pytest.mark.parametrize("header", ["", "smiles name\n"])
def test_smiles_list(tmp_path: Path, name: str, header: str) -> None:
    path = write(tmp_path, header + "CCO ethanol 95 %\n\nC\tmethane\nCC\n", name)
    assert list(read_table(path, targets=())["smiles"]) == ["CCO", "", "C", "CC"]


def test_sdf(tmp_path: Path) -> None:
    blocks = [Chem.MolToMolBlock(Chem.MolFromSmiles(s)) for s in ("CCO", "C[C@H](N)C(=O)O")]
    text = f"{blocks[0]}> <y>\n1.5\n\n> <name>\nethanol\n\n$$$$\n"
    text += "broken\n\n\nnothing here\nM  END\n>  <y>  (2)\n2\n\n$$$$\n"
    text += f"{blocks[1]}> <z>\n3\n\n$$$$\n"
    table = read_table(write(tmp_path, text, "t.sdf"), targets=["y", "z"])
    assert table["smiles"].iloc[0] == "CCO"
    assert "unreadable" in table["smiles"].iloc[1]
    np.testing.assert_array_equal(table[["y", "z"]], [[1.5, np.nan], [2, np.nan], [np.nan, 3]])


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    assert "pip install pyarrow" in message(write(tmp_path, "x", "t.parquet"))


def test_parquet_cells_are_typed(tmp_path: Path) -> None:
    frame = pd.DataFrame({"smiles": ["C", None, "CC"], "y": [1.5, None, 2], "z": [True, False, None]})
    frame.to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert list(table["smiles"]) == ["C", "", "CC"]
    np.testing.assert_array_equal(table[["y", "z"]], [[1.5, 1], [np.nan, 0], [2, np.nan]])
    frame["y"] = [1.0, np.inf, 2.0]
    frame.to_parquet(tmp_path / "t.parquet")
    assert "row 2 (line 2): inf is not a number" in message(tmp_path / "t.parquet")
    frame["y"] = [[1], [2], [3]]
    frame.to_parquet(tmp_path / "t.parquet")
    assert "[1] is not a number" in message(tmp_path / "t.parquet")


@pytest.mark.parametrize("index", [None, "molecule"])
def test_an_index_is_no_column(tmp_path: Path, index: str | None) -> None:
    frame = pd.DataFrame({"smiles": ["C", "CC"], "y": [1.0, 2.0]}, index=pd.Index(["a", "b"], name=index))
    frame.to_parquet(tmp_path / "t.parquet")
    for source in (frame, tmp_path / "t.parquet"):
        assert list(read_table(source).columns) == ["smiles", "y"]


def test_a_data_frame_is_a_table() -> None:
    frame = pd.DataFrame(
        {"Molecule": ["OCC", None, Chem.MolFromSmiles("C1=CC=CC=C1")], "y": [1, np.nan, "3"]}
    )
    table = read_table(frame, smiles_column="molecule")
    assert list(table["smiles"]) == ["OCC", "", "c1ccccc1"]
    np.testing.assert_array_equal(table["y"], [1, np.nan, 3])
    assert list(table.index) == [1, 2, 3]
    with pytest.raises(DataError, match=r"the data frame has no column 'smiles' .* Columns: 'Molecule', 'y'"):
        read_table(frame)
    frame.loc[1, "y"] = "high"
    with pytest.raises(DataError, match=r"the data frame: column 'y', row 2 \(line 2\): 'high'"):
        read_table(frame, smiles_column="Molecule")


def test_a_list_is_a_table_of_molecules() -> None:
    assert list(read_table(["C", "CC"], targets=())["smiles"]) == ["C", "CC"]
    assert list(smiles_column(["C", "CC"], "smiles")) == ["C", "CC"]
    with pytest.raises(DataError, match="the list of molecules has no column 'y'"):
        read_table(["C"], targets=["y"])


def sdf(count: int) -> str:
    """Records of ethane with a property."""
    block = Chem.MolToMolBlock(Chem.MolFromSmiles("CC"))
    return "".join(f"{block}> <y>\n{i}\n\n$$$$\n" for i in range(count))


@pytest.mark.parametrize("name", ["t.csv", "t.tsv.gz", "t.smi", "t.sdf", "t.parquet"])
def test_a_file_passes_by_without_being_in_memory(tmp_path: Path, name: str) -> None:
    notes = "x" * 20_000  # a column that nobody asked for
    path = tmp_path / name
    if name == "t.parquet":
        frame = pd.DataFrame({"smiles": ["CC"] * 2_000, "notes": [f"{i} {notes}" for i in range(2_000)]})
        frame.to_parquet(path, row_group_size=50, use_dictionary=False, compression=None)
        del frame
    elif name == "t.sdf":
        path.write_text(sdf(40_000))
    else:
        separator = {"csv": ",", "tsv": "\t", "smi": " "}[name.split(".")[1]]
        text = f"smiles{separator}notes\n" + f"CC{separator}{notes}\n" * 2_000
        path.write_bytes(gzip.compress(text.encode(), 1) if name.endswith(".gz") else text.encode())
        del text
    tracemalloc.start()
    strings = sum(len(smiles) for smiles in smiles_column(path, "smiles"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert strings == (80_000 if name == "t.sdf" else 4_000)
    assert peak < 4e6, "of 7 to 40 MB"
