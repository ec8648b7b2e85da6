"""What a report shows in a Python session."""

from __future__ import annotations

import pytest

from molweight import Report

CONTENT = {
    "dataset": "esol",
    "method": "tapweight",
    "metric": "rmse",
    "scale_per_task": None,
    "test": 0.5861,
    "valid": None,
    "weights": {"jigsaw": 0.2, "clusters_1000": 0.8},
    "versions": {"torch": "2.10"},
}


def test_a_report_is_shown_as_a_table():
    assert repr(Report(content=CONTENT)).splitlines() == [
        "data                          esol",
        "method                   tapweight",
        "test RMSE                    0.586",
        "validation RMSE                  –",
        "weight of clusters_1000      0.800",
        "weight of jigsaw             0.200",
    ]
    plain = repr(Report(content=CONTENT | {"weights": {}, "dataset": "\x1b[2J.csv"}))
    assert "weight" not in plain.replace("tapweight", "") and "\\x1b[2J.csv" in plain


@pytest.mark.parametrize("content", [{}, {"dataset": "esol"}, CONTENT | {"test": "best"}])
def test_a_report_that_is_none_of_ours_is_shown_too(content):
    assert repr(Report(content=content)) == f"Report of {len(content)} entries"
