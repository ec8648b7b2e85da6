"""Splits: parity with ImageMol's and DeepChem's rules, and what no split may ever do."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import re
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

from molweight.data.smiles import InvalidSmilesError, canonical
from molweight.data.splits import files as split_files
from molweight.data.splits import rules as split_rules
from molweight.data.splits import splits as module
from molweight.data.splits.kinds import check_arguments
from molweight.data.splits.splits import Splits, carve_meta, split
from molweight.errors import ConfigError, DataError

SEEDED = ("scaffold_balanced", "random_scaffold", "random", "stratified")
KINDS = ("scaffold", "scaffold_achiral", *SEEDED)
CHIRAL = {"scaffold": True, "random_scaffold": True, "scaffold_achiral": False, "scaffold_balanced": False}
PARITY = ("bace", "bbbp", "esol", "tox21")
PARTS = ("train", "valid", "test")
TOY = ["C" * (i + 1) for i in range(10)]
RINGS = ("C1CC1", "C1CCC1", "C1CCCC1", "c1ccccc1", "c1ccncc1")


@cache
def load(path: Path) -> tuple[list[str], list[str], list[int], np.ndarray]:
    """Raw and canonical SMILES, row numbers and first target of the valid rows."""
    raw, found, rows, target = [], [], [], []
    with path.open() as file:
        records = list(csv.reader(file))[1:]
    for row, record in enumerate(records):
        try:
            found.append(canonical(record[0]))
        except InvalidSmilesError:
            continue
        raw.append(record[0])
        rows.append(row)
        target.append(float(record[1] or "nan"))
    return raw, found, rows, np.array(target)


remembered = cache(module.scaffold)


@cache
def murcko(smiles: str, chirality: bool) -> str:
    return MurckoScaffoldSmiles(smiles=smiles, includeChirality=chirality)


@pytest.fixture(scope="module")
def bace(moleculenet: Path) -> tuple[list[str], np.ndarray]:
    _, smiles, _, target = load(moleculenet / "bace.csv")
    return smiles, target


@pytest.fixture(scope="module")
def bbbp(moleculenet: Path) -> tuple[list[str], np.ndarray]:
    """The set with the most repeated molecules."""
    _, smiles, _, target = load(moleculenet / "bbbp.csv")
    assert len(smiles) - len(set(smiles)) == 64
    return smiles, target


@pytest.fixture(scope="module")
def deepchem_split() -> Callable[[list[str]], tuple[list[int], list[int], list[int]]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deepchem announces every optional dependency
        import deepchem

    def run(smiles: list[str]) -> tuple[list[int], list[int], list[int]]:
        dataset = deepchem.data.NumpyDataset(np.zeros(len(smiles)), ids=np.array(smiles, dtype=object))
        return deepchem.splits.ScaffoldSplitter().split(dataset)  # type: ignore[no-any-return]

    return run


@pytest.fixture(autouse=True)
def _remember_scaffolds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's own scaffolds, each computed once for all tests of this file."""
    monkeypatch.setattr(module, "scaffold", remembered)


def make(kind: str, smiles: Sequence[str], target: np.ndarray | None, seed: int = 0) -> Splits:
    return split(smiles, target, kind=kind, seed=seed if kind in SEEDED else None)


def parts(splits: Splits) -> list[list[int]]:
    return [part.tolist() for part in (splits.train, splits.valid, splits.test)]


# ---------------------------------------------------------------- parity


@pytest.mark.parametrize("name", PARITY)
def test_scaffold_achiral_is_deepchems(name: str, moleculenet: Path, deepchem_split: Callable) -> None:
    _, smiles, *_ = load(moleculenet / f"{name}.csv")
    expected = [list(part) for part in deepchem_split(smiles)]
    assert parts(split(smiles, None, kind="scaffold_achiral")) == expected


def imagemol(smiles: Sequence[str]) -> list[set[int]]:
    """ImageMol, utils/splitter.py: sets by falling size, later first, poured into 80 %, 90 %, the rest."""
    members: dict[str, list[int]] = {}
    for i, one in enumerate(smiles):
        members.setdefault(murcko(one, True), []).append(i)
    queue = sorted(members.values(), key=lambda m: (-len(m), -m[0]))
    n, poured = len(smiles), [set(), set(), set()]
    for group in queue:
        if len(poured[0]) + len(group) <= 0.8 * n:
            poured[0].update(group)
        elif len(poured[0]) + len(poured[1]) + len(group) <= (0.8 + 0.1) * n:
            poured[1].update(group)
        else:
            poured[2].update(group)
    return poured


@pytest.mark.parametrize("name", PARITY)
def test_scaffold_is_imagemols(name: str, moleculenet: Path) -> None:
    _, smiles, *_ = load(moleculenet / f"{name}.csv")
    assert [set(part) for part in parts(split(smiles, None, kind="scaffold"))] == imagemol(smiles)


@pytest.mark.parametrize(("name", "moved"), [("bace", 0), ("bbbp", 2), ("esol", 0), ("tox21", 0)])
def test_scaffold_of_raw_smiles(name: str, moved: int, moleculenet: Path) -> None:
    """ImageMol reads raw SMILES; some keep double-bond stereo in the scaffold that canonical ones lose.

    That moves two molecules of BBBP from train to valid and two back; every test part is the same.
    """
    raw, smiles, *_ = load(moleculenet / f"{name}.csv")
    expected = imagemol(raw)
    assert [set(part) for part in parts(split(raw, None, kind="scaffold"))] == expected
    ours = [set(part) for part in parts(split(smiles, None, kind="scaffold"))]
    assert [len(a - b) for a, b in zip(ours, expected, strict=True)] == [moved, moved, 0]


@pytest.mark.parametrize("seed", [0, 42])
def test_random_scaffold_is_imagemols(bace: tuple[list[str], np.ndarray], seed: int) -> None:
    smiles = bace[0]
    members: dict[str, list[int]] = {}
    for i, one in enumerate(smiles):
        members.setdefault(murcko(one, True), []).append(i)
    queue = np.random.RandomState(seed).permutation(np.array(list(members.values()), dtype=object))
    room = {"valid": int(0.1 * len(smiles)), "test": int(0.1 * len(smiles)), "train": len(smiles)}
    expected: dict[str, list[int]] = {"train": [], "valid": [], "test": []}
    for group in queue:
        part = next(name for name, most in room.items() if len(expected[name]) + len(group) <= most)
        expected[part] += group
    assert parts(split(smiles, None, kind="random_scaffold", seed=seed)) == list(expected.values())


def test_facts_about_chirality(bace: tuple[list[str], np.ndarray]) -> None:
    """Pinned: with chirality BACE's valid part has 151 molecules, 86 % positive, and train has 40 %."""
    smiles, target = bace
    chiral, achiral = (split(smiles, None, kind=kind) for kind in ("scaffold", "scaffold_achiral"))
    assert chiral.sizes() == {"train": 1210, "valid": 151, "test": 152, "meta": 0}
    assert round(target[chiral.valid].mean(), 2) == 0.86
    assert round(target[chiral.train].mean(), 2) == 0.40
    assert len(set(chiral.test) & set(achiral.test)) == 123


# ---------------------------------------------------------------- rules in closed form


def test_largest_first_closed_form() -> None:
    groups = [[0], [1, 2, 3], [4, 5], [6, 7], [8], [9]]
    train, valid, test = split_rules.largest_first(groups, (0.7, 0.2, 0.1))
    assert (train, valid, test) == ([1, 2, 3, 6, 7, 4, 5], [9, 8], [0])


def test_largest_first_lets_a_small_set_into_train_late() -> None:
    groups = [[0, 1, 2], [3, 4, 5], [6, 7], [8], [9]]
    train, valid, test = split_rules.largest_first(groups, (0.5, 0.3, 0.2))
    assert (train, valid, test) == ([3, 4, 5, 6, 7], [0, 1, 2], [9, 8])


@pytest.mark.parametrize("seed", range(5))
def test_big_sets_go_to_train(seed: int) -> None:
    groups = [*[[i] for i in range(10)], [10, 11, 12], [13, 14, 15, 16], [17, 18, 19]]
    train, valid, test = split_rules.big_first(groups, (0.6, 0.2, 0.2), seed)  # half a part: 2
    assert set(range(10, 20)) == set(train[:10])
    assert (len(train), len(valid), len(test)) == (12, 4, 4)


def test_a_set_of_half_a_part_is_not_big() -> None:
    groups = [*[[i] for i in range(18)], [18, 19]]  # half a part: 2
    dealt = [split_rules.big_first(groups, (0.6, 0.2, 0.2), seed) for seed in range(6)]
    assert all(sorted(i for part in three for i in part) == list(range(20)) for three in dealt)
    assert not all(train[:2] == [18, 19] for train, _, _ in dealt), "it is dealt among the small ones"


@pytest.mark.parametrize("fractions", [(0.5, 0.35, 0.15), (0.5, 0.15, 0.35), (0.85, 0.15, 0.0)])
def test_the_smaller_part_that_is_wanted_decides_what_is_big(fractions: tuple[float, float, float]) -> None:
    groups = [*[[i] for i in range(18)], [18, 19]]  # half of the smaller part: 1.5
    for seed in range(6):
        assert split_rules.big_first(groups, fractions, seed)[0][:2] == [18, 19]


def test_random_sizes_are_exact() -> None:
    smiles = ["C" * (i + 1) for i in range(100)]
    for fractions, sizes in [((0.8, 0.1, 0.1), [80, 10, 10]), ((0.5, 0.3, 0.2), [50, 30, 20])]:
        splits = split(smiles, None, kind="random", seed=3, fractions=fractions)
        assert [len(part) for part in parts(splits)] == sizes


@pytest.mark.parametrize("seed", range(3))
def test_stratified_keeps_the_share_of_a_rare_class(seed: int) -> None:
    """A class of 40 among 1000: 32, 4, 4. Dealing is off by less than two per stratum and part."""
    target = np.zeros((1000, 2))
    target[::25, 0] = 1
    target[7::100, 0] = np.nan
    splits = split(["C" * (i + 1) for i in range(1000)], target, kind="stratified", seed=seed)
    for part, fraction in zip(parts(splits), (0.8, 0.1, 0.1), strict=True):
        assert abs(len(part) - 1000 * fraction) < 2
        assert abs(np.nansum(target[part, 0]) - 40 * fraction) < 2
        assert abs(np.isnan(target[part, 0]).sum() - 10 * fraction) < 2


def test_stratified_spreads_a_real_target_over_deciles() -> None:
    target = np.random.default_rng(0).standard_normal(500) ** 3
    splits = split(["C" * (i + 1) for i in range(500)], target, kind="stratified", seed=1)
    decile = np.argsort(np.argsort(target)) // 50
    for part, fraction in zip(parts(splits), (0.8, 0.1, 0.1), strict=True):
        counts = np.bincount(decile[part], minlength=10)
        assert (np.abs(counts - 50 * fraction) <= 2).all(), counts


def test_strata_closed_form() -> None:
    np.testing.assert_array_equal(split_rules.strata(np.array([1, 0, np.nan, 0])), [1, 0, -1, 0])
    np.testing.assert_array_equal(split_rules.strata(np.array([np.nan, np.nan])), [-1, -1])
    np.testing.assert_array_equal(split_rules.strata(np.arange(20.0)), np.arange(20) // 2)
    edges = split_rules.strata(np.arange(11.0))  # the deciles are 1 to 9: each begins a stratum
    np.testing.assert_array_equal(edges, [*range(10), 9])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("groups", "target", "expected"),
    [
        # each stratum holds one group, so the order is known: without a label, class 0, class 1
        ([[0], [1, 2], [3]], [1, np.nan, 0, np.nan], [[3], [1, 2], [0]]),
        ([[0], [1, 2], [3]], [1, 0, 1, np.nan], [[3], [1, 2], [0]]),
        ([[0, 1], [2], [3]], [1, 0, np.nan, 0], [[2], [3], [0, 1]]),
    ],
)
def test_a_group_is_in_the_stratum_of_its_first_label(
    groups: list[list[int]], target: list[float], expected: list[list[int]], seed: int
) -> None:
    third = (1 / 3, 1 / 3, 1 / 3)
    assert list(split_rules.stratified(groups, np.array(target), third, seed)) == expected


def test_strata_are_dealt_to_the_part_that_lags_furthest() -> None:
    """By hand: 3/5, 1/5 and 1/5 of the molecules dealt so far, less what each part has."""
    groups, target = [[i] for i in range(5)], np.arange(5) + 0.5
    assert split_rules.stratified(groups, target, (0.6, 0.2, 0.2), 0) == ([0, 2, 4], [1], [3])


# ---------------------------------------------------------------- properties of every kind


@pytest.mark.parametrize("name", ["bace", "bbbp", "esol"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_molecule_once_and_no_group_crosses(kind: str, name: str, moleculenet: Path) -> None:
    _, smiles, _, target = load(moleculenet / f"{name}.csv")
    splits = make(kind, smiles, target)
    assert sorted(i for part in parts(splits) for i in part) == list(range(len(smiles)))
    assert all(part.dtype == np.int64 for part in splits.parts().values())
    assert_apart(splits, smiles, kind)
    for part, fraction in zip(parts(splits), (0.8, 0.1, 0.1), strict=True):
        assert abs(len(part) / len(smiles) - fraction) < 0.02


def assert_apart(splits: Splits, smiles: Sequence[str], kind: str) -> None:
    """No molecule and, for scaffold kinds, no scaffold is in two parts."""
    keys: list[Callable[[str], str]] = [str]
    if kind in CHIRAL:
        keys.append(lambda one: murcko(one, CHIRAL[kind]))
    for key in keys:
        seen = [{key(smiles[i]) for i in part} for part in splits.parts().values()]
        assert sum(len(part) for part in seen) == len(set().union(*seen))


@pytest.mark.parametrize("kind", SEEDED)
def test_seed_decides(kind: str, bace: tuple[list[str], np.ndarray]) -> None:
    smiles, target = bace
    one, again, other = (make(kind, smiles, target, seed) for seed in (5, 5, 6))
    assert parts(one) == parts(again)
    assert one.hash(smiles) == again.hash(smiles) != other.hash(smiles)
    assert (one.seed, one.kind) == (5, kind)


@pytest.mark.parametrize("kind", SEEDED)
def test_global_generators_are_left_alone(kind: str, bace: tuple[list[str], np.ndarray]) -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    make(kind, bace[0][:200], bace[1][:200])
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# ---------------------------------------------------------------- hash


def toy(train: Sequence[int], valid: Sequence[int], test: Sequence[int], meta: Sequence[int] = ()) -> Splits:
    arrays = [np.array(part, dtype=np.int64) for part in (train, valid, test, meta)]
    return Splits("random", 0, (0.8, 0.1, 0.1), *arrays)


def test_hash_ignores_order_kind_and_seed() -> None:
    smiles = ["C", "CC", "CCC", "CCCC"]
    one = toy([0, 1], [2], [3])
    same = Splits("scaffold", None, (0.5, 0.25, 0.25), np.array([1, 2]), np.array([0]), np.array([3]))
    assert one.hash(smiles) == same.hash(["CCC", "CC", "C", "CCCC"])
    assert re.fullmatch("[0-9a-f]{64}", one.hash(smiles))


@pytest.mark.parametrize(
    "other", [toy([0, 2], [1], [3]), toy([0, 1], [3], [2]), toy([0], [2], [3], [1]), toy([0, 1], [2], [])]
)
def test_hash_sees_every_move(other: Splits) -> None:
    smiles = ["C", "CC", "CCC", "CCCC"]
    assert other.hash(smiles) != toy([0, 1], [2], [3]).hash(smiles)


def test_hash_is_that_of_the_sorted_lines() -> None:
    lines = "meta\tC\ntest\tCCCC\ntrain\tC\ntrain\tCC\nvalid\tCCC\n"
    smiles = ["CC", "C", "CCC", "CCCC", "C"]
    assert toy([0, 1], [2], [3], [4]).hash(smiles) == hashlib.sha256(lines.encode()).hexdigest()


def test_hash_sees_another_molecule() -> None:
    splits = toy([0], [1], [2])
    assert splits.hash(["C", "CC", "CCC"]) != splits.hash(["C", "CC", "CCO"])


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("kind", ["scaffold", "random"])
def test_save_and_read_back(
    kind: str, moleculenet: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="molweight")
    _, smiles, _, target = load(moleculenet / "bbbp.csv")
    rows = [3 * i + 2 for i in range(len(smiles))]  # as if two rows of three could not be used
    path = tmp_path / "splits.json"
    saved = carve_meta(make(kind, smiles, target), smiles, fraction=0.2, seed=1)
    saved.save(path, smiles, rows)
    content = json.loads(path.read_text())
    assert list(content) == [
        *("schema", "kind", "seed", "fractions", "hash", "sizes"),
        *("train", "valid", "test", "meta"),
    ]
    assert content["schema"] == 1 and content["sizes"] == saved.sizes()
    assert content["test"] == [rows[i] for i in saved.test]

    assert (content["kind"], content["seed"]) == (saved.kind, saved.seed)
    assert content["fractions"] == list(saved.fractions)
    as_file = split(smiles, None, kind="file", path=path, rows=rows)
    for part, members in as_file.parts().items():
        np.testing.assert_array_equal(members, saved.parts()[part])
    assert as_file.hash(smiles) == saved.hash(smiles) == content["hash"]
    assert as_file.kind == "file" and as_file.seed is None
    sizes = saved.sizes()
    assert as_file.fractions[0] == pytest.approx((sizes["train"] + sizes["meta"]) / len(smiles))
    assert carve_meta(as_file, smiles, fraction=0.5, seed=9) is as_file, "a file keeps its own meta part"
    assert caplog.messages == [f"the split brings its own meta part of {sizes['meta']} molecules"]


def test_a_file_for_other_molecules_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "splits.json"
    make("random", TOY, None).save(path, TOY, range(10))
    other = [*TOY[:-1], "CCO"]
    split(TOY, None, kind="file", path=path)
    assert not caplog.records
    split(other, None, kind="file", path=path)
    said = f"{path} was saved for other molecules, or by another RDKit: its hash differs"
    assert caplog.messages == [said]


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    "content",
    [
        [{"train": [0, 1, 2, 3, 4, 6], "val": [5, 7], "test": [8, 9]}],
        [{"train": "0-4,6", "val": "5,7", "test": "8-9"}],
    ],
)
def test_chemprop_file(content: object, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    splits = split(TOY, None, kind="file", path=write(tmp_path / "s.json", content))
    assert parts(splits) == [[0, 1, 2, 3, 4, 6], [5, 7], [8, 9]]
    assert splits.fractions == pytest.approx((0.6, 0.2, 0.2))
    assert splits.meta.dtype == np.int64 and not caplog.records


def test_a_file_of_ours_may_leave_out_its_meta_part_and_its_hash(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = {"schema": 1, "train": list(range(8)), "valid": [8], "test": [9]}
    splits = split(TOY, None, kind="file", path=write(tmp_path / "s.json", content))
    assert parts(splits) == [list(range(8)), [8], [9]] and not len(splits.meta) and not caplog.records


def test_chemprop_replicates_are_announced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = {"train": "0-7", "val": "8", "test": "9"}
    path = write(tmp_path / "s.json", [one, {"train": "2-9", "val": "0", "test": "1"}])
    assert parts(split(TOY, None, kind="file", path=path))[2] == [9]
    assert caplog.messages == [f"{path} holds 2 replicates: the first is used"]


def test_rows_of_a_file_are_rows_not_positions(tmp_path: Path) -> None:
    """Rows 1 and 4 could not be used; row 5 is the last one and could not either."""
    path = write(tmp_path / "s.json", [{"train": "0-2", "val": [3], "test": [4, 5, 6]}])
    smiles, rows = ["C", "CC", "CCC", "CCCC"], [0, 2, 3, 5]
    assert parts(split(smiles, None, kind="file", path=path, rows=rows, n_rows=7)) == [[0, 1], [2], [3]]
    with pytest.raises(DataError, match=r"rows that the data does not have \(0 to 5\): 6"):
        split(smiles, None, kind="file", path=path, rows=rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"train": "0-7", "val": [8], "test": [9, 12, 10]}], r"does not have \(0 to 9\): 10, 12"),
        ([{"train": [-1, *range(8)], "val": [8], "test": [9]}], r"does not have \(0 to 9\): -1"),
        (
            [{"train": "0-7", "val": [7, 8], "test": [9, 0]}],
            r"more than once: 0, 7 \(row 0 in train and test",
        ),
        ([{"train": "0-7,3", "val": [8], "test": [9]}], r"more than once: 3 \(row 3 in train and train"),
        (
            [{"train": "0-5", "val": [8], "test": [9]}],
            r"does not place 2 of 10 molecules: rows 6, 7\. Was it",
        ),
        ([{"train": "0-8", "val": [], "test": [9]}], r"part empty \(train 9, valid 0, test 1\); use another"),
        ([{"train": "0-x", "val": [8], "test": [9]}], r'train: expected rows such as "0,2-5", found \'0-x\''),
        ([{"train": [0, 1.5], "val": [8], "test": [9]}], "train: expected row numbers, found 1.5"),
        ([{"train": [0, True], "val": [8], "test": [9]}], "train: expected row numbers, found True"),
        ([{"train": None, "val": [8], "test": [9]}], "train: expected a list of row numbers, found None"),
        ([{"train": [0], "test": [9]}], "neither ours"),
        ({"train": [0], "valid": [8], "test": [9]}, "neither ours"),
        ([], "neither ours"),
        ({"schema": 2, "train": [], "valid": [], "test": []}, "has schema 2, this version reads 1"),
    ],
)
def test_bad_file(content: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as caught:
        split(TOY, None, kind="file", path=write(tmp_path / "s.json", content))
    assert str(tmp_path / "s.json") in str(caught.value) or "part empty" in message


def test_without_molecules_every_row_is_unknown(tmp_path: Path) -> None:
    listed = {"train": [0], "valid": [], "test": [], "meta": []}
    with pytest.raises(DataError, match=r"does not have \(0 to -1\): 0$"):
        split_files.positions(listed, [], [], n_rows=None, path=tmp_path)


def test_errors_name_ten_rows_in_order() -> None:
    assert split_files.some(range(10, 0, -1)) == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
    assert split_files.some(range(11, 0, -1)) == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …"


def test_file_missing_or_not_json(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"could not read the split file .*no\.json: No such file"):
        split(TOY, None, kind="file", path=tmp_path / "no.json")
    (tmp_path / "s.json").write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        split(TOY, None, kind="file", path=tmp_path / "s.json")


def test_file_with_a_molecule_in_two_parts(tmp_path: Path) -> None:
    path = write(tmp_path / "s.json", [{"train": [10, 20], "val": [30], "test": [40]}])
    with pytest.raises(DataError, match="one molecule, CCO, into two parts: row 10 into train, row 40 into"):
        split(["CCO", "C", "CC", "CCO"], None, kind="file", path=path, rows=[10, 20, 30, 40])


# ---------------------------------------------------------------- meta


@pytest.mark.parametrize("kind", KINDS)
def test_carve_meta(kind: str, bbbp: tuple[list[str], np.ndarray]) -> None:
    smiles, target = bbbp
    before = make(kind, smiles, target)
    train = before.train.copy()
    after = carve_meta(before, smiles, fraction=0.2, seed=3)
    np.testing.assert_array_equal(before.train, train, err_msg="the input must not change")
    assert sorted([*after.train, *after.meta]) == sorted(train)
    assert after.valid is before.valid and after.test is before.test
    assert_apart(after, smiles, kind)
    assert 0.18 < len(after.meta) / len(train) <= 0.2
    again, other = (carve_meta(before, smiles, fraction=0.2, seed=seed) for seed in (3, 4))
    assert after.hash(smiles) == again.hash(smiles) != other.hash(smiles)
    assert after.hash(smiles) != before.hash(smiles)


def test_carve_meta_skips_groups_that_overshoot(bace: tuple[list[str], np.ndarray]) -> None:
    """Train is benzene with side chains (6) and one pyridine: the pyridine is the only group that fits."""
    smiles = ["C" * i + "c1ccccc1" for i in range(6)] + ["c1ccncc1", "C1CC1", "C1CCC1"]
    splits = Splits("scaffold", None, (0.8, 0.1, 0.1), np.arange(7), np.array([7]), np.array([8]))
    for seed in range(4):
        assert carve_meta(splits, smiles, fraction=0.5, seed=seed).meta.tolist() == [6]
    with pytest.raises(DataError, match=r"no group of train \(7 molecules in 2 groups\).*meta part of 0\.1;"):
        carve_meta(splits, smiles, fraction=0.1, seed=0)


def test_a_meta_part_is_filled_to_the_last_molecule() -> None:
    smiles = ["C" * (i + 1) for i in range(12)]
    splits = toy(range(10), [10], [11])
    for seed in range(4):
        sizes = carve_meta(splits, smiles, fraction=0.2, seed=seed).sizes()
        assert sizes == {"train": 8, "valid": 1, "test": 1, "meta": 2}


def test_every_generator_takes_the_largest_seed() -> None:
    for kind in SEEDED:
        fractions = (0.6, 0.2, 0.2)
        smiles, target = ["C" * i + ring for i in range(4) for ring in RINGS], np.arange(20.0)
        found = split(smiles, target, kind=kind, seed=2**32 - 1, fractions=fractions)
        assert all(found.sizes()[part] for part in PARTS)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_carve_meta_fraction(fraction: float) -> None:
    with pytest.raises(ConfigError, match="must lie between 0 and 1"):
        carve_meta(make("random", TOY, None), TOY, fraction=fraction, seed=0)


def test_carve_meta_seed() -> None:
    with pytest.raises(ConfigError, match="a seed must be an integer"):
        carve_meta(make("random", TOY, None), TOY, fraction=0.5, seed=-1)


# ---------------------------------------------------------------- arguments


def test_unknown_kind() -> None:
    message = "unknown split 'scafold'. Did you mean 'scaffold'? Known: file, random, random_scaffold, "
    with pytest.raises(ConfigError, match=re.escape(message)):
        split(TOY, None, kind="scafold")


@pytest.mark.parametrize("kind", ["scaffold", "scaffold_achiral", "file"])
def test_a_deterministic_kind_takes_no_seed(kind: str) -> None:
    message = f"split {kind!r} is deterministic and takes no seed, found 0; splits with a seed: "
    with pytest.raises(ConfigError, match=re.escape(message + ", ".join(SEEDED))):
        split(TOY, None, kind=kind, seed=0)


@pytest.mark.parametrize("kind", SEEDED)
def test_a_seeded_kind_needs_a_seed(kind: str) -> None:
    with pytest.raises(ConfigError, match=f"split '{kind}' needs a seed"):
        split(TOY, np.zeros(10), kind=kind)
    for seed in (-1, 2**32, 1.0, True):
        with pytest.raises(ConfigError, match=rf"integer in 0\.\.4294967295, found {re.escape(repr(seed))}"):
            split(TOY, np.zeros(10), kind=kind, seed=seed)


def test_a_splitter_of_another_library_may_take_a_seed_and_no_path(tmp_path: Path) -> None:
    for seed in (None, 0, 2**32 - 1):
        check_arguments("deepchem:AnySplitter", seed, None)
    with pytest.raises(ConfigError, match="a seed must be an integer"):
        check_arguments("deepchem:AnySplitter", -1, None)
    with pytest.raises(ConfigError, match="split 'deepchem:AnySplitter' takes no path, found"):
        check_arguments("deepchem:AnySplitter", None, tmp_path)


def test_path_belongs_to_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="split 'file' needs the path of a split file"):
        split(TOY, None, kind="file")
    with pytest.raises(ConfigError, match="split 'random' takes no path"):
        split(TOY, None, kind="random", seed=0, path=tmp_path / "s.json")


@pytest.mark.parametrize(
    "fractions",
    [
        (0.8, 0.1),
        (0.8, 0.0, 0.2),
        (0.0, 0.5, 0.5),
        (0.9, 0.2, -0.1),
        (0.8, 0.1, 0.2),
        "abc",
        (float("nan"),) * 3,
    ],
)
def test_fractions(fractions: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match="three positive numbers with sum 1"):
        split(TOY, None, kind="random", seed=0, fractions=fractions)


@pytest.mark.parametrize("kind", ["random", "stratified", "scaffold", "scaffold_balanced", "random_scaffold"])
@pytest.mark.parametrize("fractions", [(0.8, 0.2, 0.0), (0.67, 0.33, 0.0)])
def test_a_test_part_can_be_left_out(
    bace: tuple[list[str], np.ndarray], kind: str, fractions: tuple[float, float, float]
) -> None:
    smiles, target = bace
    found = split(smiles, target, kind=kind, seed=0 if kind in SEEDED else None, fractions=fractions)
    sizes = found.sizes()
    assert found.test.dtype == np.int64 and sizes["test"] == 0
    assert sizes["valid"] == pytest.approx(fractions[1] * len(smiles), rel=0.1)


def test_stratified_needs_targets() -> None:
    with pytest.raises(ConfigError, match="split 'stratified' needs targets"):
        split(TOY, None, kind="stratified", seed=0)
    with pytest.raises(ConfigError, match="one row of targets for each of 10 molecules: 9"):
        split(TOY, np.zeros(9), kind="stratified", seed=0)


def test_an_empty_part_is_an_error() -> None:
    """Acyclic molecules share the empty scaffold: one set, too large for train and valid."""
    with pytest.raises(
        DataError, match=r"^split 'scaffold' leaves a part empty \(train 0, valid 0, test 10\); use another"
    ):
        split(TOY, None, kind="scaffold")
    with pytest.raises(DataError, match="leaves a part empty"):
        split([], None, kind="random", seed=0)
    with pytest.raises(DataError, match=r"leaves a part empty \(train 4, valid 1, test 0\)"):
        split(RINGS, None, kind="random_scaffold", seed=0, fractions=(0.7, 0.2, 0.1))
