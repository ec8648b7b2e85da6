"""The typed report: what it shows, and that files of every version are read."""

from __future__ import annotations

import importlib
import json
import math
from dataclasses import fields

import pytest
from reports import CONTENT

from molweight import Report
from molweight.errors import DataError
from molweight.utils.files import write_json

LATER = ("modality", "score", "scale_per_task", "seconds_reused", "n_unlabelled", "scaffolds", "classes")
LATER += ("read_as", "machine")
"""Keys that the first files of version 0.1 did not have."""

MOLECULES_ONLY = ("n_unlabelled", "scaffolds", "classes", "read_as")
TEXT = {key: value for key, value in CONTENT.items() if key not in MOLECULES_ONLY} | {
    "modality": "text",
    "corpus": {"name": "task", "sentences": 80, "sha256": "14" * 32, "in_test": 0},
    "n_shortened": 3,
}


def test_a_report_is_shown_as_a_table():
    assert repr(Report.from_json(CONTENT)).splitlines() == [
        "data                          esol",
        "method                   tapweight",
        "test RMSE                    0.586",
        "validation RMSE                  –",
        "weight of clusters_1000      0.800",
        "weight of jigsaw             0.200",
    ]
    plain = repr(Report.from_json(CONTENT | {"weights": {}, "dataset": "\x1b[2J.csv"}))
    assert "weight" not in plain.replace("tapweight", "") and "\\x1b[2J.csv" in plain


def test_the_file_is_the_same_after_reading_and_writing(tmp_path):
    write_json(tmp_path / "before.json", CONTENT)
    write_json(tmp_path / "after.json", Report.from_json(CONTENT).to_json())
    assert (tmp_path / "after.json").read_bytes() == (tmp_path / "before.json").read_bytes()
    report = Report.from_json(CONTENT)
    assert list(report.content) == list(CONTENT) and math.isnan(report.content["valid"])
    assert set(TEXT) == set(Report.from_json(TEXT).to_json()), "each modality has its own keys"
    assert set(Report.from_json(TEXT).to_json()["corpus"]) == set(TEXT["corpus"])
    assert {field.name for field in fields(Report)} == {*CONTENT, *TEXT}


def test_reports_of_version_0_1_are_readable():
    first = {key: value for key, value in CONTENT.items() if key not in LATER}
    report = Report.from_json(first)
    assert report.label == "RMSE" and report.test == 0.5861 and report.headline == "test RMSE 0.586"
    text = report.markdown()
    assert text.startswith("# esol: test RMSE 0.586 log mol/L\n") and "scaffold sets" not in text
    assert "1,128 rows, 0 invalid, 11 duplicates (2 with other labels)" in report.model_card("runs/esol")


def test_keys_of_a_later_version_are_passed_over():
    assert Report.from_json(CONTENT | {"later": 1}) == Report.from_json(json.loads(json.dumps(CONTENT)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "dataset is missing"),
        ([], "the content should be an object"),
        (CONTENT | {"test": "best"}, "test should be a number"),
        (CONTENT | {"n_rows": True}, "n_rows should be a whole number"),
        (CONTENT | {"weights": {"jigsaw": [1]}}, r"weights\['jigsaw'\] should be a number"),
        (CONTENT | {"split": {}}, "split.kind is missing"),
        (CONTENT | {"finetune": {"history": []}}, "finetune.best_epoch is missing"),
        (CONTENT | {"command": None}, "command should be a text"),
        (CONTENT | {"metric": "luck"}, "metric 'luck'"),
        (CONTENT | {"test": 10**400}, "too large"),
    ],
)
def test_a_report_that_is_none_of_ours_is_refused(content, words):
    with pytest.raises(DataError, match=words):
        Report.from_json(content)


def test_no_name_breaks_a_table_or_begins_a_section():
    evil = "a|b\n\n## c"
    names = dict.fromkeys(("dataset", "method", "score", "units", "backbone"), evil)
    report = Report.from_json(CONTENT | names | {"weights": {evil: 1.0}, "valid_per_task": {evil: 1.0}})
    for text in (report.markdown(), report.model_card("x")):
        assert "\n## c" not in text and "a\\|b" in text
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert len(rows) > 8 and all(line.endswith("|") for line in rows)


@pytest.mark.parametrize(
    ("old", "name"),
    [
        ("molweight.reporting.content", "Report"),
        ("molweight.reporting.figures", "plot_weights"),
        ("molweight.leaderboard.pictures", "plot_scores"),
    ],
)
def test_old_names_of_modules_say_the_new_one(old, name):
    with pytest.warns(FutureWarning, match=f"{old} is molweight.reporting"):
        assert hasattr(importlib.import_module(old), name)
