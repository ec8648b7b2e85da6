"""Data sets: which file is read, what becomes of every row, and what cannot be learned from."""

from __future__ import annotations

import csv
import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import platformdirs
import pytest

from molweight.data import builtin, locate
from molweight.data.datasets import MoleculeDataset, load_dataset
from molweight.data.readers import open_table
from molweight.data.results import RenderResult
from molweight.data.specs import DatasetSpec
from molweight.errors import ConfigError, DataError


def records(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def load(folder: Path, text: str, **card: object) -> MoleculeDataset:
    path = folder / "mine.csv"
    path.write_text(text)
    return load_dataset(DatasetSpec(**{"name": "mine", "path": str(path), **card}))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data sets of the machine: an empty cache, an empty working folder."""
    for name in ("MOLWEIGHT_DATASETS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MOLWEIGHT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


# Row 1 and 4 are ethanol with different labels in b, row 3 and 6 are no molecules, row 5 has no label.
MIXED = """smiles,a,b
OCC,0,1
c1ccccc1,1,
C1CC,0,0
CCO,,0
CCN,,
,1,1
C(C)O,0,1
"""


def test_every_row_is_accounted_for(tmp_path: Path) -> None:
    data = load(tmp_path, MIXED)
    assert data.smiles == ["CCO", "c1ccccc1", "CCO", "CCO"]
    assert data.inputs == ["OCC", "c1ccccc1", "CCO", "C(C)O"]
    np.testing.assert_array_equal(data.rows, [0, 1, 3, 6])
    np.testing.assert_array_equal(data.targets, [[0, 1], [1, np.nan], [np.nan, 0], [0, 1]])
    assert (data.rows.dtype, data.targets.dtype) == (np.int64, np.float64)
    assert data.n_rows == 7 == len(data) + data.n_invalid
    assert [(item.row, item.input) for item in data.excluded] == [(2, "C1CC"), (4, "CCN"), (5, "")]
    assert [data.excluded[1].reason, data.excluded[2].reason] == ["no label", "empty"]
    assert data.n_unlabelled == 1
    assert (data.task_type, data.metric, data.target_names) == ("classification", "roc_auc", ["a", "b"])
    assert data.sha256 == hashlib.sha256(MIXED.encode()).hexdigest()


def test_duplicates_stay_and_conflicts_are_found(tmp_path: Path) -> None:
    data = load(tmp_path, MIXED)
    assert [(item.row, item.first_row, item.smiles, item.conflicting) for item in data.duplicates] == [
        (3, 0, "CCO", True),  # b: 1 and 0; a is missing once and contradicts nothing
        (6, 0, "CCO", True),  # b: as in the first row, but not as in row 4
    ]
    assert (data.n_duplicates, data.n_conflicting) == (2, 2)


def test_a_conflict_with_a_later_row_than_the_first_is_found(tmp_path: Path) -> None:
    data = load(tmp_path, "smiles,a,b\nC,1,\nC,,0\nC,,1\nCC,0,1\n")
    assert [item.conflicting for item in data.duplicates] == [False, True]


def test_a_bad_smiles_in_row_7_is_named(tmp_path: Path) -> None:
    rows = [f"{'C' * n},{n % 2}" for n in range(1, 7)] + ["c1ccc,1"]
    data = load(tmp_path, "smiles,y\n" + "\n".join(rows))
    data.save_excluded(tmp_path / "excluded.csv")
    (record,) = records(tmp_path / "excluded.csv")[1:]
    assert record[:3] == ["7", "c1ccc", "invalid"]
    assert record[3]


def test_save_excluded_lists_duplicates_in_row_order(tmp_path: Path) -> None:
    load(tmp_path, MIXED).save_excluded(tmp_path / "out.csv")
    lines = records(tmp_path / "out.csv")
    assert lines[0] == ["row", "input", "status", "reason"]
    assert [(line[0], line[2]) for line in lines[1:]] == [
        ("3", "invalid"),
        ("4", "duplicate"),
        ("5", "invalid"),
        ("6", "invalid"),
        ("7", "duplicate"),
    ]
    assert lines[2][3] == "same molecule as row 1, with another label than before; kept"
    load(tmp_path, "smiles,y\nC,1\nCC,0\nC,1\n").save_excluded(tmp_path / "out.csv")
    assert records(tmp_path / "out.csv")[1][3] == "same molecule as row 1; kept"


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t"])
def test_save_excluded_disarms_formulas(tmp_path: Path, first: str) -> None:
    data = load(tmp_path, f'smiles,y\nC,1\nCC,0\n"{first}cmd()",1\n')
    data.save_excluded(tmp_path / "out.csv")
    (record,) = records(tmp_path / "out.csv")[1:]
    assert record[1] == f"'{first}cmd()"
    assert data.excluded[0].input == f"{first}cmd()"


def test_save_excluded_writes_the_header_when_all_rows_are_good(tmp_path: Path) -> None:
    load(tmp_path, "smiles,y\nC,1\nCC,0\n").save_excluded(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "row,input,status,reason\n"


@pytest.mark.parametrize(
    ("labels", "card", "expected"),
    [
        ("0 1", {}, ("classification", "roc_auc")),
        ("0 1", {"task_type": "regression"}, ("regression", "rmse")),
        ("0 2", {}, ("regression", "rmse")),
        ("0.5 1", {"metric": "mae"}, ("regression", "mae")),
    ],
)
def test_task_type_is_inferred_and_overridable(
    tmp_path: Path, labels: str, card: dict[str, str], expected: tuple[str, str]
) -> None:
    one, two = labels.split()
    data = load(tmp_path, f"smiles,y\nC,{one}\nCC,{two}\nCCC,\n", **card)
    assert (data.task_type, data.metric) == expected


def test_threshold_keeps_missing_labels_missing(tmp_path: Path) -> None:
    data = load(tmp_path, "smiles,a,b\nC,6.5,\nCC,6.4,7\nCCC,,1\n", threshold=6.5, task_type="classification")
    np.testing.assert_array_equal(data.targets, [[1, np.nan], [0, 1], [np.nan, 0]])


def test_classification_with_other_values_names_the_cell(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2 \(line 3\): '3' is neither 0 nor 1"):
        load(tmp_path, "smiles,y\nC,0\nCC,3\n", task_type="classification")


def test_metric_of_the_other_task_type(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.metric=mae is not for classification"):
        load(tmp_path, "smiles,y\nC,0\nCC,1\n", metric="mae")


def test_one_class_only_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"target 'y' has only the value 1: nothing to learn; .*both 0 and 1"):
        load(tmp_path, "smiles,y\nC,1\nCC,1\nCCC,\n")


def test_one_class_in_one_of_two_targets_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        data = load(tmp_path, "smiles,a,b\nC,1,1\nCC,1,0\n")
    assert data.target_names == ["a", "b"]
    assert "target 'a' has only the value 1" in caplog.text


def test_the_wrong_smiles_column_is_suspected(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, "smiles,y\naspirin,1\nC,0\nbogus,1\nnothing,0\nzilch,1\n")
    text = str(caught.value)
    assert "4 of 5 rows are not valid SMILES" in text
    assert "row 1 'aspirin'" in text
    assert "row 4 'nothing'" in text
    assert "row 5" not in text
    assert "dataset.smiles_column" in text


def test_no_usable_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of the 2 rows is a molecule with a label"):
        load(tmp_path, "smiles,y\nnot,1\nC,\n")


SOLUBILITY = "measured log solubility in mols per litre"


@pytest.mark.parametrize(
    ("deepchem", "ours", "card"),
    [
        (
            f"Compound ID,{SOLUBILITY},smiles\nx,{{1}},{{0}}",
            "smiles,logSolubility",
            {"targets": ["logSolubility"], "aliases": {"logSolubility": [SOLUBILITY]}},
        ),
        (
            "mol,CID,Class,pIC50\n{0},x,{1},7",
            "smiles,Class",
            {"targets": ["Class"], "smiles_aliases": ["mol"], "ignore": ["CID", "pIC50"]},
        ),
    ],
)
def test_aliases_give_the_same_data(
    tmp_path: Path, deepchem: str, ours: str, card: dict[str, object]
) -> None:
    molecules = [("OCC", 0), ("c1ccccc1", 1), ("C[C@H](N)C(=O)O", 1)]
    head, row = deepchem.split("\n")
    theirs = load(tmp_path, "\n".join([head, *(row.format(*m) for m in molecules)]), **card)
    plain = load(tmp_path, "\n".join([ours, *(f"{s},{y}" for s, y in molecules)]), **card)
    assert theirs.smiles == plain.smiles
    assert theirs.target_names == plain.target_names
    np.testing.assert_array_equal(theirs.targets, plain.targets)


def test_builtin_series_is_complete() -> None:
    card = DatasetSpec(name="chembl2321810", targets=["Act"], builtin="chembl2321810", units="pIC50")
    data = load_dataset(card)
    assert (data.n_rows, len(data), data.n_invalid) == (1017, 1017, 0)
    assert (data.task_type, data.metric, data.units) == ("regression", "rmse", "pIC50")
    assert data.targets[0, 0] == 5.48  # first line of RDKit's CHEMBL2321810_act.csv
    assert 4 < data.targets.min() < data.targets.max() < 10


def test_builtin_join_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi, act = tmp_path / "a.smi", tmp_path / "a_act.csv"
    smi.write_text("C one\nCC two\nCCC lonely\n")
    act.write_text("Name,Act\ntwo,6\none,5\nabsent,7\n")
    monkeypatch.setattr("molweight.data.datasets.chembl2321810_files", lambda: (smi, act))
    monkeypatch.setattr(builtin, "chembl2321810_files", lambda: (smi, act))
    data = load_dataset(DatasetSpec(name="c", targets=["y"], builtin="chembl2321810"))
    assert data.smiles == ["C", "CC"]
    assert data.targets.tolist() == [[5], [6]]
    assert [(item.row, item.reason) for item in data.excluded] == [(2, "no label"), (3, "empty")]
    assert data.sha256 == hashlib.sha256(smi.read_bytes() + act.read_bytes()).hexdigest()
    act.write_text("Name,Act\none,6\none,5\n")
    with pytest.raises(DataError, match="name 'one' occurs twice"):
        load_dataset(DatasetSpec(name="c", targets=["y"], builtin="chembl2321810"))


def place(folder: Path, name: str = "x.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"smiles,y\nC,1\n{'C' * (2 + len(folder.parts))},0\n")
    return folder / name


def test_places_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = DatasetSpec(name="x", files=["x.csv", "x.tsv"])
    found = [place(tmp_path / "cache" / "datasets")]
    assert locate.locate(card) == found[-1]
    found.append(place(Path("datasets") / "x"))
    assert locate.locate(card) == found[-1]
    found.append(place(Path("datasets")))
    assert locate.locate(card) == found[-1]
    monkeypatch.setenv("MOLWEIGHT_DATASETS", str(tmp_path / "env"))
    found.append(place(tmp_path / "env" / "x"))
    assert locate.locate(card) == found[-1]
    found.append(place(tmp_path / "argument"))
    assert locate.locate(card, folder=tmp_path / "argument") == found[-1]
    found.append(place(tmp_path / "mine"))
    with_path = DatasetSpec(name="x", files=["x.csv"], path=str(found[-1]))
    assert load_dataset(with_path, folder=tmp_path / "argument").path == found[-1]


def test_a_named_folder_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = DatasetSpec(name="x", files=["x.csv"])
    with pytest.raises(DataError, match="is not a folder"):
        load_dataset(card, folder=tmp_path / "absent")
    monkeypatch.setenv("MOLWEIGHT_DATASETS", str(tmp_path / "absent"))
    with pytest.raises(DataError, match=r"\$MOLWEIGHT_DATASETS is .*absent"):
        load_dataset(card)


def test_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert locate.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("MOLWEIGHT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert locate.cache_folder() == tmp_path / "xdg" / "molweight"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    earlier = tmp_path / "home" / ".cache" / "molweight"
    assert locate.cache_folder() == earlier
    system = tmp_path / "Library" / "Caches" / "molweight"  # as on macOS
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: system)
    assert locate.cache_folder() == system
    earlier.mkdir(parents=True)
    assert locate.cache_folder() == earlier


def test_a_card_with_checksum_is_downloaded_into_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fetch(url: str, destination: Path, *, sha256: str, progress: bool) -> Path:
        calls.append((url, destination, sha256))
        return place(destination.parent)

    monkeypatch.setattr(locate, "download", fetch)
    card = DatasetSpec(name="x", files=["x.csv"], url="https://example.invalid/data/x.csv", sha256="a" * 64)
    assert len(load_dataset(card)) == 2
    assert calls == [(card.url, tmp_path / "cache" / "datasets" / "x.csv", "a" * 64)]
    load_dataset(card)
    assert len(calls) == 1


def test_a_card_without_checksum_is_never_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "download", lambda *_, **__: pytest.fail("must not download"))
    card = DatasetSpec(name="x", files=["x.csv"], url="https://example.invalid/x.csv")
    with pytest.raises(DataError) as caught:
        load_dataset(card)
    assert caught.value.exit_code == 5
    text = str(caught.value)
    for part in (card.url, str(Path("datasets/x.csv").absolute()), "dataset.path=", "dataset.sha256="):
        assert part is not None
        assert part in text


def test_missing_path_and_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.path=absent\.csv is not a file"):
        load_dataset(DatasetSpec(name="x", path="absent.csv"))
    with pytest.raises(ConfigError, match=r"dataset=csv needs a file: pass dataset\.path="):
        load_dataset(DatasetSpec(name="csv"))


@pytest.mark.parametrize("smiles", ["C/C=C/C", "[Na+].[Cl-]", "C[C@H](N)C(=O)O"])
def test_a_molecule_in_the_place_of_a_file_gets_a_way(smiles: str) -> None:
    with pytest.raises(DataError, match=r"is not a file: .*predict RUN_DIR 'CCO'"):
        load_dataset(DatasetSpec(name="mine", path=smiles))
    with pytest.raises(DataError, match=r"does not exist: .*predict RUN_DIR 'CCO'"):
        open_table(smiles)


def test_a_file_that_is_not_there_is_no_molecule(tmp_path: Path) -> None:
    for place in ("absent.csv", str(tmp_path / "x.smi"), "my molecules", "data/new"):
        with pytest.raises(DataError) as error:
            open_table(place)
        assert "predict RUN_DIR" not in str(error.value)


def test_a_label_may_contradict_any_earlier_row(tmp_path: Path) -> None:
    """0, 1, 0: the third row agrees with the first, but not with the second."""
    data = load(tmp_path, "smiles,a,b\nCCO,0,1\nOCC,1,\nC(O)C,0,1\nCCN,1,0\nNCC,,0\n")
    assert [(twin.row, twin.conflicting) for twin in data.duplicates] == [(1, True), (2, True), (4, False)]


def test_a_molecule_that_is_too_large_is_listed_as_unsupported(tmp_path: Path) -> None:
    data = load(tmp_path, f"smiles,y\nC,1\nCC,0\n{'C' * 501},1\nC(,1\n")
    data.save_excluded(tmp_path / "out.csv")
    lines = records(tmp_path / "out.csv")[1:]
    assert [(line[0], line[2]) for line in lines] == [("3", "unsupported"), ("4", "invalid")]
    assert lines[0][3] == "501 heavy atoms, at most 500 are drawn"


def test_a_data_frame_gives_the_data_set_of_its_file(tmp_path: Path) -> None:
    expected = load(tmp_path, MIXED)
    frame = pd.read_csv(tmp_path / "mine.csv")
    card = DatasetSpec(name="mine")
    found = load_dataset(card, source=frame)
    assert (found.smiles, found.excluded, found.duplicates) == (
        expected.smiles,
        [replace(item, input="") if item.row == 5 else item for item in expected.excluded],
        expected.duplicates,
    )
    np.testing.assert_array_equal(found.targets, expected.targets)
    assert found.path is None and found.sha256 == load_dataset(card, source=frame.copy()).sha256
    frame.loc[0, "a"] = 1
    assert load_dataset(card, source=frame).sha256 != found.sha256
    with pytest.raises(DataError, match="the data frame: 2 of 3 rows are not valid SMILES"):
        load_dataset(card, source=pd.DataFrame({"smiles": ["x", "y", "C"], "y": [0, 1, 0]}))


def test_molecules_that_cannot_be_drawn_join_the_excluded(tmp_path: Path) -> None:
    data = load(tmp_path, MIXED)
    slow = RenderResult("unsupported", "took longer than 20 s to draw")
    left = data.without({0: slow, 2: slow})
    assert left.smiles == ["c1ccccc1", "CCO"] and left.inputs == ["c1ccccc1", "C(C)O"]
    np.testing.assert_array_equal(left.rows, [1, 6])
    np.testing.assert_array_equal(left.targets, data.targets[[1, 3]])
    assert [(item.row, item.status) for item in left.excluded] == [
        *((0, "unsupported"), (2, "invalid"), (3, "unsupported"), (4, "invalid"), (5, "invalid")),
    ]
    assert data.n_duplicates == 2 and left.n_duplicates == 0
    assert len(left) + left.n_invalid == left.n_rows == data.n_rows
    left.save_excluded(tmp_path / "out.csv")
    assert records(tmp_path / "out.csv")[1] == ["1", "OCC", "unsupported", "took longer than 20 s to draw"]
    assert data.without({}) is data
    with pytest.raises(DataError, match="none of 4 molecules can be drawn"):
        data.without(dict.fromkeys(range(4), slow))
