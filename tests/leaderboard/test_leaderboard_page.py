"""``leaderboard.html``: the tables and pictures of the summary, whole in one file, and nothing in it runs."""

from __future__ import annotations

import base64
import json
import re
from copy import deepcopy

import pytest
from html_pages import Page, shown_by_a_browser
from matplotlib.figure import Figure

from molweight.leaderboard.page import save_page
from molweight.leaderboard.rows import COLUMNS
from molweight.leaderboard.runs import Leaderboard
from molweight.leaderboard.summary import summarise
from molweight.leaderboard.tables import markdown
from molweight.reporting.plots import plot_scores

OBJECTIVES = ("jigsaw", "contrast")


def row(dataset, method, seed, **changes):
    better = 0.05 * (method == "tapweight")
    learns = method == "tapweight"
    values = {
        **dict.fromkeys(COLUMNS),
        **{"dataset": dataset, "method": method, "seed": seed, "state": "ok", "metric": "rmse"},
        **{"test": 1.0 - better + 0.01 * seed, "valid": 0.9, "split": "scaffold", "split_hash": "a" * 64},
        **{"n_train": 80, "n_test": 10, "protocol": "paper", "seconds": 12.0, "images": 1000},
        **{"parameters": 5000, "data_sha256": "b" * 64, "corpus": "rdkit", "versions": '{"torch": "2.14"}'},
        **{"weights": json.dumps(dict(zip(OBJECTIVES, (0.6, 0.4), strict=True)) if learns else {})},
        **{"config_hash": "c", "run": f"runs/{dataset}/{method}/{seed}", "command": "x"},
    }
    return values | changes


@pytest.fixture
def rows():
    return [
        row(d, m, s) for d in ("esol", "lipo") for m in ("direct", "equal", "tapweight") for s in (0, 1, 2)
    ]


def page_of(rows, folder, reference="tapweight"):
    summary = summarise(rows, folder, reference=reference, resamples=100)
    save_page(summary, folder / "leaderboard.html")
    return summary, Page((folder / "leaderboard.html").read_text())


def test_the_page_says_what_the_tables_say(rows, tmp_path):
    summary, page = page_of(rows, tmp_path)
    words = re.sub(r"\s+", " ", page.text)
    assert "tapweight has the best average rank, 1.00, on 2 data sets; 2 of 2 others cannot be told" in words
    assert "3 methods, 2 data sets, 18 runs with a score" in words
    text = markdown(summary)
    for cell in re.findall(r"\| ([^|\n]+) (?=\|)", text):
        if not set(cell) <= set("-| "):
            assert re.sub(r"\s+", " ", re.sub(r"[*\\]", "", cell)).strip() in words, cell
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert all(heading in words for heading in headings)


def test_the_page_needs_nothing_else_and_runs_nothing(rows, tmp_path):
    _, page = page_of(rows, tmp_path)
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    pictures = page.all("img")
    assert len(pictures) == 4, "two data sets, ranks, weights"
    for picture in pictures:
        assert picture["src"].startswith("data:image/svg+xml;base64,") and picture["alt"]
        assert b"<svg" in base64.b64decode(picture["src"].partition(",")[2])


def test_what_strangers_write_is_text(rows, tmp_path):
    evil = "<script>alert(1)</script>[x](javascript:alert(1))"
    rows += [row(evil, "equal", seed) for seed in (0, 1)]
    rows += [row("esol", "bad", 0, state="failed", test=None, error=evil)]
    _, page = page_of(rows, tmp_path)
    assert page.all("script") == [] and "<script>alert(1)</script>" in page.text
    assert not [a for a in page.all("a") if a.get("href", "").startswith("javascript")]


def test_a_notebook_shows_the_tables(rows, tmp_path):
    summary = summarise(rows, tmp_path, reference="tapweight", resamples=100)
    (tmp_path / "x.md").write_text(f"{markdown(summary)}\n![ranks](ranks.png)\n")
    board = Leaderboard(rows=rows, summary=summary, page=tmp_path / "x.html", markdown=tmp_path / "x.md")
    page = Page(board._repr_html_())
    assert "tapweight" in page.text and len(page.all("table")) > 2
    assert page.all("img") == page.all("h1") == page.all("h2") == []


def test_one_data_set_has_no_ranks(rows, tmp_path):
    _, page = page_of([r for r in rows if r["dataset"] == "esol"], tmp_path)
    words = re.sub(r"\s+", " ", page.text)
    assert "tapweight is best on esol: test RMSE 0.960 ± 0.010" in words
    assert len(page.all("img")) == 2


def test_without_any_score_there_is_a_page(rows, tmp_path):
    failed = [row("esol", "equal", 0, state="failed", test=None, error="no space left")]
    _, page = page_of(failed, tmp_path, reference=None)
    assert "no space left" in page.text and page.all("img") == []


def test_seeds_with_other_objectives_have_no_picture_of_weights(tmp_path):
    weights = [json.dumps({"jigsaw": 0.6, name: 0.4}) for name in ("contrast", "rationality")]
    rows = [row("esol", "tapweight", seed, weights=text) for seed, text in enumerate(weights)]
    summary, page = page_of(rows, tmp_path)
    assert summary["learned"] is None and len(page.all("img")) == 1


def test_the_same_runs_have_the_same_page(rows, tmp_path):
    page_of(deepcopy(rows), tmp_path)
    first = (tmp_path / "leaderboard.html").read_bytes()
    page_of(rows, tmp_path)
    assert (tmp_path / "leaderboard.html").read_bytes() == first


def test_scores_are_drawn_where_they_are(rows, tmp_path):
    summary, _ = page_of(rows, tmp_path)
    entries = summary["datasets"][0]["methods"]
    entries[0]["interval"] = (0.9, 1.1)
    axes = plot_scores(summary["datasets"][0], "tapweight", Figure().subplots())
    assert [label.get_text() for label in axes.get_yticklabels()] == [entry["method"] for entry in entries]
    dots = [group.get_offsets().tolist() for group in axes.collections]
    assert dots[0] == [[score, 0] for score in entries[0]["scores"]]
    assert dots[1] == [[entries[0]["test"]["mean"], 0]]
    assert axes.lines[0].get_xdata().tolist() == [0.9, 1.1] and axes.yaxis_inverted()


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it(rows, tmp_path, width):
    page_of(rows, tmp_path)
    shown_by_a_browser((tmp_path / "leaderboard.html").read_text(), tmp_path, width, pictures=4)
