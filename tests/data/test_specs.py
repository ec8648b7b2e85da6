"""The cards in ``configs/``: complete, consistent, and true for the real files."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from molweight.data.datasets import load_dataset
from molweight.data.specs import CorpusSpec, DatasetSpec
from molweight.data.table import read_table
from molweight.errors import ConfigError
from molweight.utils.files import sha256_file

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

# Data rows and targets of the files in the moleculenet folder, counted by its README.
SIZES = {
    "bace": (1513, 1), "bbbp": (2039, 1), "esol": (1128, 1), "freesolv": (642, 1), "sider": (1427, 27),
    "tox21": (7831, 12), "hiv": (41127, 1), "qm7": (6830, 1), "qm8": (21786, 12), "muv": (93127, 17),
    "toxcast": (8615, 617),
}  # fmt: skip
ABSENT = {"clintox", "lipo", "qm9"}
OTHERS = {"chembl2321810", "chembl2321810_active", "csv"}
LONG = {"hiv", "muv", "qm8"}  # parsing them takes long


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def keys(group: str, name: str) -> dict[str, Any]:
    content = yaml.safe_load((CONFIGS / group / f"{name}.yaml").read_text())
    assert isinstance(content, dict)
    return content


def card(name: str) -> DatasetSpec:
    return DatasetSpec(**keys("dataset", name))


def test_every_set_has_a_card() -> None:
    assert set(names("dataset")) == set(SIZES) | ABSENT | OTHERS


@pytest.mark.parametrize("name", names("dataset"))
def test_dataset_specs_have_known_keys_in_order_and_no_default(name: str) -> None:
    content = keys("dataset", name)
    assert list(content) == [field.name for field in fields(DatasetSpec) if field.name in content]
    for field in fields(DatasetSpec):
        if field.name in content:
            assert content[field.name] != field.default, "the dataclass says so already"
    built = DatasetSpec(**content)
    assert built.name == name
    assert built.description.endswith((".", "?"))
    assert built.path is None
    for target in built.aliases:
        assert built.targets is not None
        assert target in built.targets
    if built.url is not None and built.sha256 is not None:
        assert built.url.rsplit("/", 1)[-1] in built.files  # a download is found again in the cache
    assert (built.sha256 is None) == (name in ABSENT | OTHERS)


@pytest.mark.parametrize("name", names("corpus"))
def test_corpus_cards(name: str) -> None:
    content = keys("corpus", name)
    assert set(content) <= {field.name for field in fields(CorpusSpec)}
    if name == "file":
        content["path"] = "mine.smi"
    assert CorpusSpec(**content).name == name


@pytest.mark.parametrize("name", names("split"))
def test_split_cards(name: str) -> None:
    content = keys("split", name)
    assert list(content) == ["kind", "seed", "fractions", "path"]
    assert content["kind"].partition(":")[0] == name
    assert content["fractions"] == [0.8, 0.1, 0.1]
    assert content["path"] is None
    assert (content["seed"] is None) == (name in {"scaffold", "scaffold_achiral", "file"})


@pytest.mark.parametrize("name", sorted(set(SIZES) - LONG))
def test_real_sets_load(name: str, moleculenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLWEIGHT_DATASETS", str(moleculenet))
    known = card(name)
    data = load_dataset(known)
    assert (data.n_rows, len(data.target_names)) == SIZES[name]
    assert data.n_rows == len(data) + data.n_invalid
    assert data.sha256 == known.sha256
    assert data.task_type == known.task_type
    assert np.isfinite(data.targets).any(axis=1).all()
    assert data.path.parent == moleculenet


@pytest.mark.parametrize("name", sorted(LONG))
def test_long_sets_are_read(name: str, moleculenet: Path) -> None:
    known = card(name)
    path = next(moleculenet / file for file in known.files if (moleculenet / file).is_file())
    table = read_table(path, targets=known.targets, task_type=known.task_type).frame
    assert (len(table), table.shape[1] - 1) == SIZES[name]
    assert sha256_file(path) == known.sha256


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LONG))
def test_long_sets_load(name: str, moleculenet: Path) -> None:
    data = load_dataset(card(name), folder=moleculenet)
    assert (data.n_rows, len(data.target_names)) == SIZES[name]
    assert data.n_rows == len(data) + data.n_invalid


def test_bbbp_has_known_duplicates(moleculenet: Path) -> None:
    assert load_dataset(card("bbbp"), folder=moleculenet).n_duplicates == 64


def test_offline_classification_cuts_the_activities() -> None:
    values, classes = load_dataset(card("chembl2321810")), load_dataset(card("chembl2321810_active"))
    np.testing.assert_array_equal(classes.targets[:, 0], values.targets[:, 0] >= np.float32(6.5))
    assert classes.targets.sum() == 492  # so says the card's description
    assert (classes.task_type, classes.metric, classes.target_names) == (
        "classification",
        "roc_auc",
        ["active"],
    )


@pytest.mark.parametrize("name", [*sorted(ABSENT), "sider", "freesolv"])
def test_files_in_the_form_of_deepchem_load(name: str, tmp_path: Path) -> None:
    known = card(name)
    assert known.targets is not None
    columns = [known.aliases.get(target, [target])[0] for target in known.targets]
    header = ",".join(f'"{column}"' for column in [*known.ignore, *columns, "smiles"])
    rows = [
        ",".join([*("x" for _ in known.ignore), *(str(i % 2) for _ in columns), "C" * (i + 1)])
        for i in range(4)
    ]
    (tmp_path / known.files[-1]).write_text("\n".join([header, *rows]))
    if known.files[-1].endswith(".gz"):
        (tmp_path / known.files[-1]).rename(tmp_path / known.files[0])
    data = load_dataset(known, folder=tmp_path)
    assert data.target_names == list(known.targets)
    assert data.smiles == ["C", "CC", "CCC", "CCCC"]
    np.testing.assert_array_equal(data.targets[:, 0], [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"task_type": "clasification"}, "Did you mean 'classification'"),
        ({"metric": "auc"}, "Did you mean 'roc_auc'"),
        ({"task_type": "regression", "metric": "roc_auc"}, "use rmse or mae or pearson_spearman, or null"),
        ({"targets": "y"}, r"write dataset\.targets=\[y\]"),
        ({"targets": []}, "at least one column"),
        ({"targets": ["y", "y"]}, "none twice"),
        ({"sha256": "abc"}, "64 hexadecimal digits"),
        ({"builtin": "iris"}, "unknown dataset.builtin"),
        ({"threshold": 1.0, "task_type": "regression"}, "task_type=classification"),
    ],
)
def test_contradictions_are_named(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        DatasetSpec(name="x", **options)
    assert caught.value.exit_code == 2


def test_csv_takes_any_table_and_no_row_index(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(",SMILES,name,y\n0,C,methane,1\n1,CC,ethane,2.5\n")
    data = load_dataset(DatasetSpec(**{**keys("dataset", "csv"), "path": str(path)}))
    assert (data.target_names, data.task_type, data.units) == (["y"], "regression", None)


def test_numbers_are_accepted_as_column_names() -> None:
    assert DatasetSpec(name="x", targets=[1], smiles_column=0).targets == ("1",)  # type: ignore


def test_unknown_keyword() -> None:
    with pytest.raises(TypeError, match="smile_column"):
        DatasetSpec(name="x", smile_column="s")  # type: ignore[call-arg]
