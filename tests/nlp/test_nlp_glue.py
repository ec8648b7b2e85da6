"""GLUE's files: every task, and every way in which a row can be wrong."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pandas as pd
import pytest

from molweight.errors import ConfigError, DataError
from molweight.nlp import hub, load_config
from molweight.nlp.corpus import TextCorpusSpec, load_text
from molweight.nlp.glue import read_task, read_tsv
from molweight.nlp.parts import CarveConfig, carve

TASKS = {  # classes
    "cola": 2,
    "sst2": 2,
    "mrpc": 2,
    "qqp": 2,
    "stsb": None,
    "mnli": 3,
    "qnli": 2,
    "rte": 2,
}


def card_of(name, *options):
    return load_config(f"task={name}", "run_dir=x", *options).samples.task


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_what_pandas_reads(name, glue, monkeypatch):
    monkeypatch.setenv("MOLWEIGHT_GLUE", str(glue))
    card = card_of(name)
    train, test, sha256 = read_task(card)
    assert len(sha256) == 64
    for part, file in ((train, card.train), (test, card.test)):
        table = pd.read_csv(
            glue / card.folder / file,
            sep="\t",
            quoting=csv.QUOTE_NONE,
            encoding="utf-8-sig",
            dtype=str,
            keep_default_na=False,
            header=None if card.columns else 0,
            names=card.columns,
        )
        assert part.first == table[card.sentences[0]].str.strip().tolist()
        if len(card.sentences) == 2:
            assert part.second == table[card.sentences[1]].str.strip().tolist()
        else:
            assert part.second is None
        if card.labels is None:
            assert part.targets == pytest.approx(table[card.label].astype(float).tolist())
        else:
            assert [card.labels[int(t)] for t in part.targets] == table[card.label].tolist()
    if TASKS[name]:
        assert len(set(train.targets)) == len(set(test.targets)) == len(card.labels) == TASKS[name]


def test_a_limit_takes_the_first_rows(glue):
    train, test, _ = read_task(card_of("rte", f"task.path={glue / 'RTE'}", "task.limit=12"))
    assert len(train) == len(test) == 12 and train.rows == list(range(2, 14))


GOOD = """index\tsentence1\tsentence2\tlabel
0\tA dog.\tAn animal.\tentailment
1\tA "cat\tA dog.\tnot_entailment
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.replace("\tA dog.\tnot", "\tnot"), "line 3: 3 columns instead of 4"),
        (
            lambda t: t.replace("\tnot_ent", "\tnope_ent"),
            "the label 'nope_entailment' is none of not",
        ),
        (lambda t: t.replace("sentence2", "premise"), "has no column 'sentence2'; its columns are index"),
        (lambda t: t.split("1\tA")[0], "has 1 rows; at least 2"),
        (lambda t: t.encode("utf-16"), "cannot be read as UTF-8 text"),
    ],
)
def test_wrong_rows_are_named(change, words, tmp_path):
    (tmp_path / "t.tsv").write_text(GOOD)
    assert read_tsv(tmp_path / "t.tsv", card_of("rte")).first[1] == 'A "cat'
    wrong = change(GOOD)
    (tmp_path / "t.tsv").write_bytes(wrong if isinstance(wrong, bytes) else wrong.encode())
    with pytest.raises(DataError, match=words):
        read_tsv(tmp_path / "t.tsv", card_of("rte"))


def test_a_quote_that_is_never_closed_swallows_nothing(tmp_path):
    """Quotes are ordinary characters in GLUE's files, so every line is a row."""
    lines = [f"{i}\t{text}\tAn animal.\tentailment" for i, text in enumerate(('"A dog.', 'A "cat', "A cow"))]
    (tmp_path / "t.tsv").write_text("\n".join(["index\tsentence1\tsentence2\tlabel", *lines]))
    task = read_tsv(tmp_path / "t.tsv", card_of("rte"))
    assert task.first == ['"A dog.', 'A "cat', "A cow"] and task.rows == [2, 3, 4]
    (tmp_path / "t.tsv").write_text((tmp_path / "t.tsv").read_text().replace('"A dog', '"A\ndog'))
    with pytest.raises(DataError, match="line 2: 2 columns instead of 4"):
        read_tsv(tmp_path / "t.tsv", card_of("rte"))


@pytest.mark.parametrize("score", ["5.1", "-1", "nan", "much"])
def test_numbers_outside_the_scale_are_named(score, tmp_path):
    (tmp_path / "t.tsv").write_text(f"sentence1\tsentence2\tscore\na\tb\t5.0\nc\td\t{score}\n")
    with pytest.raises(DataError, match=r"line 3: .* is no number between 0 and 5"):
        read_tsv(tmp_path / "t.tsv", card_of("stsb"))


def test_places_are_looked_through_in_turn(glue, tmp_path, monkeypatch):
    """$MOLWEIGHT_GLUE without the task's folder is no reason not to look into the checkout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOLWEIGHT_GLUE", str(tmp_path / "elsewhere"))
    shutil.copytree(glue / "RTE", tmp_path / "datasets" / "glue" / "RTE")
    in_checkout = read_task(card_of("rte"))
    monkeypatch.setenv("MOLWEIGHT_GLUE", str(glue))
    assert read_task(card_of("rte")) == in_checkout
    assert read_task(card_of("rte", f"task.path={glue / 'RTE'}")) == in_checkout


def test_missing_files_say_where_they_belong(tmp_path, monkeypatch):
    monkeypatch.delenv("MOLWEIGHT_GLUE", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "library", lambda: None)
    cure = r"put train\.tsv and dev\.tsv of GLUE's RTE there, .*task\.path=.*\$MOLWEIGHT_GLUE"
    with pytest.raises(DataError, match=f"task rte: its files are not on this machine; {cure}"):
        read_task(card_of("rte"))
    with pytest.raises(DataError, match=f"there is no file .*train.tsv; {cure}"):
        read_task(card_of("rte", f"task.path={tmp_path}"))
    (tmp_path / "RTE").mkdir()
    monkeypatch.setenv("MOLWEIGHT_GLUE", str(tmp_path))
    with pytest.raises(DataError, match="there is no file"):
        read_task(card_of("rte"))


class Table(list):
    """Rows as the library ``datasets`` gives them."""

    def __init__(self, rows, names):
        super().__init__(rows)
        label = type("Label", (), {"names": names})
        self.features = {"label": label}


class Library:
    """As much of ``datasets`` as is called."""

    def __init__(self, tables):
        self.tables, self.asked = tables, []

    def load_dataset(self, repository, name, *, split):
        self.asked.append((repository, name, split))
        if isinstance(self.tables, Exception):
            raise self.tables
        return self.tables


def test_the_hub_is_asked_where_no_file_is(tmp_path, monkeypatch):
    monkeypatch.delenv("MOLWEIGHT_GLUE", raising=False)
    monkeypatch.chdir(tmp_path)
    rows = [{"premise": "p ", "hypothesis": "h", "label": 2, "idx": 7}] * 3
    library = Library(Table(rows, ["entailment", "neutral", "contradiction"]))
    monkeypatch.setattr(hub, "library", lambda: library)
    train, test, sha256 = read_task(card_of("mnli"))
    assert library.asked == [
        ("nyu-mll/glue", "mnli", "train"),
        ("nyu-mll/glue", "mnli", "validation_matched"),
    ]
    assert train.first == ["p"] * 3 and test.second == ["h"] * 3 and len(sha256) == 64
    assert train.targets == [0.0] * 3  # contradiction is the first of ours
    rows = [{"sentence": "s", "label": label, "idx": 0} for label in (0, 1)]
    library.tables = Table(rows, ["unacceptable", "acceptable"])
    assert read_task(card_of("cola"))[0].targets == [0.0, 1.0]
    library.tables = ConnectionError("no route\nmore")
    with pytest.raises(DataError, match=r"task rte could not be loaded from the hub \(no route\); put"):
        read_task(card_of("rte"))


def test_a_folder_called_datasets_is_not_the_library(tmp_path, monkeypatch):
    (tmp_path / "datasets").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert hub.library() is None or hasattr(hub.library(), "load_dataset")


def test_parts_cover_everything_once_and_the_seed_decides_meta_alone():
    recipe = CarveConfig(valid=0.2, seed=0)
    one = carve(100, 30, recipe, meta=0.25, seed=1)
    two = carve(100, 30, recipe, meta=0.25, seed=2)
    assert one.sizes() == {"train": 60, "meta": 20, "valid": 20, "test": 30}
    everything = np.concatenate([one.train, one.meta, one.valid, one.test])
    assert sorted(everything.tolist()) == list(range(130))
    assert one.test.tolist() == list(range(100, 130))
    assert one.valid.tolist() == two.valid.tolist() and one.meta.tolist() != two.meta.tolist()
    other = carve(100, 30, CarveConfig(valid=0.2, seed=1), meta=None, seed=1)
    assert other.valid.tolist() != one.valid.tolist() and len(other.meta) == 0
    assert one.hash("data") != two.hash("data") and one.hash("data") != one.hash("other data")


def test_unlabelled_text(tmp_path):
    card = TextCorpusSpec(name="file", path=str(tmp_path / "my.txt"))
    (tmp_path / "my.txt").write_text(" One line.\n\nAnother.\nOne line.\n")
    corpus = load_text(card, ["from the task"])
    assert corpus.sentences == ["One line.", "Another."] and corpus.name == "my.txt"
    assert load_text(TextCorpusSpec(name="task"), ["a", "b", "a"]).sentences == ["a", "b"]
    assert load_text(card, [], ["x", "y"]).name == "given"
    with pytest.raises(ConfigError, match=r"corpus=file needs corpus\.path"):
        load_text(TextCorpusSpec(name="file"), [])
    with pytest.raises(DataError, match="cannot be read"):
        load_text(TextCorpusSpec(name="file", path=str(tmp_path / "none.txt")), [])
    with pytest.raises(DataError, match="corpus task has 1 distinct sentences"):
        load_text(TextCorpusSpec(name="task"), ["a", "a"])
