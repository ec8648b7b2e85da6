"""``report.html``: made of a run's files, whole in one file, and nothing in it runs."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import shutil
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from html_pages import Page, shown_by_a_browser
from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles
from smallest import SMALLEST, run_smallest, save_labelled

from molweight import load_config, run_experiment
from molweight.__main__ import main
from molweight.errors import DataError
from molweight.reporting import page, plots, run_files
from molweight.reporting.examples import COUNT, errors, examples, plain_drawing
from molweight.reporting.page import render, save_page
from molweight.training.calibration import calibration_error, reliability, scaled


def finish(folder, *options):
    return run_smallest(folder, "finetune.epochs=2", *options)


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("page") / "run")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Two yes/no targets, one with gaps, a row that is no molecule, no pretraining."""
    folder = tmp_path_factory.mktemp("labelled")
    save_labelled(folder / "mine.csv", "<b>polar</b>", "<script>alert(1)</script>")
    options = (f"dataset={folder / 'mine.csv'}", "method=direct", "split=random", "split.seed=0")
    return finish(folder / "run", *options)


@pytest.fixture(scope="module")
def shown(regression):
    """The page of the regression: explaining its molecules takes seconds."""
    return render(regression)


@pytest.fixture(scope="module")
def shown_labelled(labelled):
    return render(labelled)


@pytest.mark.parametrize("kind", ["shown", "shown_labelled"])
def test_the_page_needs_nothing_else_and_runs_nothing(kind, request):
    page = Page(request.getfixturevalue(kind))
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    assert all(one["src"].startswith("data:image/svg+xml;base64,") for one in page.all("img"))
    assert all(one["alt"] for one in page.all("img"))
    assert not [a for _, attributes in page.tags for a in attributes if a.startswith("on") or a == "href"]
    for one in page.all("img"):
        picture = base64.b64decode(one["src"].partition(",")[2])
        assert b"<svg" in picture and b"<script" not in picture


def test_the_page_says_what_the_report_says(regression, shown):
    report, page = json.loads((regression / "report.json").read_text()), Page(shown)
    assert f"{report['test']:.3f}" in page.text and "in pIC50" in page.text and "run me" in page.text
    for name, weight in report["weights"].items():
        assert name in page.text and f"{weight:.3f}" in page.text
    low, high = map(float, re.search(r"interval ([\d.]+) to ([\d.]+)", page.text).groups())
    assert low < report["test"] < high
    assert report["split"]["hash"][:12] in page.text and "learn:" in page.text
    titles = [attributes["alt"] for attributes in page.all("img")][:5]
    assert titles[0].startswith("A line for the weight") and titles[4].startswith("Predicted against true")


def test_the_data_are_described(regression, shown):
    """Rows that are none or twice, and scaffolds, counted here in the files that the run has left."""
    report, page = json.loads((regression / "report.json").read_text()), Page(shown)
    smiles = [line.split()[0] for line in (regression / "training.smi").read_text().splitlines()]
    smiles += pd.read_csv(regression / "predictions.csv").smiles.tolist()
    sizes = Counter(MurckoScaffoldSmiles(one, includeChirality=True) for one in smiles)
    sets, largest = report["scaffolds"]["sets"], report["scaffolds"]["largest"]
    assert (sets, largest) == (len(sizes), max(sizes.values())) and len(smiles) == report["n_rows"]
    words = "1,017 rows, 0 invalid, 0 duplicates (0 with other labels), "
    words += f"{sets} scaffold sets (the largest of {largest})"
    assert words in page.text
    assert all(words in (regression / name).read_text() for name in ("MODEL_CARD.md", "report.md"))
    assert "rdkit: 200 molecules (0 of them in the test part)" in page.text


def test_few_updates_say_nothing_of_the_weights(shown):
    assert "After 4 updates nothing can be said: it takes 10" in Page(shown).text


def test_a_report_of_before_scaffolds_were_counted_has_a_page(labelled, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "explaining", lambda folder: None)
    report = json.loads((labelled / "report.json").read_text())
    del report["scaffolds"]
    assert "scaffold sets" not in render(spoiled(labelled, tmp_path, "report.json", json.dumps(report)))


def test_the_same_run_has_the_same_page(regression, shown):
    assert render(regression) == shown


def test_what_strangers_write_is_text(shown_labelled):
    text = shown_labelled
    assert "&lt;b&gt;polar&lt;/b&gt;" in text and "<b>polar" not in text
    assert "&lt;script&gt;alert(1)" in text and "<script" not in text


def test_a_classification_shows_curves_and_calibration(shown_labelled):
    page = Page(shown_labelled)
    alts = " ".join(one["alt"] for one in page.all("img"))
    assert "ROC curves" in alts and "Precision-recall" in alts and "ten bins" in alts
    assert "temperature-scaled" in page.text and "Learned weights" not in page.text
    assert "A line for the weight" not in alts


def test_targets_of_different_scale_come_first_and_their_score_says_what_it_is(tmp_path):
    frame = pd.DataFrame({"smiles": ["C" * length for length in range(1, 61)]})
    frame["logS"], frame["energy"] = -np.sqrt(frame.index), -31_000.5 + 700 * frame.index
    options = ("dataset=csv", "method=direct", "split=random", "split.seed=0")
    config = load_config(*SMALLEST, *options, "finetune.epochs=2", f"run_dir={tmp_path / 'run'}")
    text = run_experiment(config, table=frame, page=False).markdown()
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["score"] == "mean of normalised RMSE" and report["metric"] == "rmse"
    for part in ("valid", "test"):
        errors = [
            report[f"{part}_per_task"][name] / scale for name, scale in report["scale_per_task"].items()
        ]
        assert report[part] == pytest.approx(np.mean(errors))
    assert report["valid"] == min(entry["valid"] for entry in report["finetune"]["history"])
    low, high = page.test_interval(run_files.read_run(tmp_path / "run"), "rmse")
    assert low < report["test"] < high < 10
    assert text.startswith(f"# csv: test mean of normalised RMSE {report['test']:.3f}\n\n## Targets")
    found = Page(render(tmp_path / "run")).text
    assert found.index("logS") < found.index("method")
    assert "test mean of normalised RMSE" in " ".join(found.split()) and "their units differ" in found


def test_weights_that_never_move_are_not_drawn(tmp_path):
    page = Page(render(finish(tmp_path / "run", "method=equal")))
    assert not [one for one in page.all("img") if one["alt"].startswith("A line for the weight")]
    assert "0.500" in page.text


def test_a_run_without_a_network_has_a_page(labelled, tmp_path):
    options = (f"dataset={labelled.parent / 'mine.csv'}", "split=random", "split.seed=0")
    page = Page(render(finish(tmp_path / "run", *options, "method=ecfp_rf")))
    assert "ecfp_rf" in page.text and len(page.all("img")) > 2


def test_a_run_without_a_test_part_has_a_page_that_says_so(tmp_path):
    fractions = "split.fractions=[0.9,0.1,0]"
    folder = finish(tmp_path / "run", "split=random", "split.seed=0", fractions, "method=direct")
    report, page = json.loads((folder / "report.json").read_text()), Page(render(folder))
    assert report["test"] is None and report["test_evaluations"] == 0
    assert f"{report['valid']:.3f} validation RMSE" in " ".join(page.text.split())
    assert "No part was held back" in page.text and "Worst predicted" not in page.text
    assert (folder / "report.md").read_text().splitlines()[0].endswith("pIC50, not tested")


def test_molecules_are_explained_where_captum_is_there(regression, shown, monkeypatch):
    assert "Red atoms raise" in Page(shown).text
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "captum" else find(name, *more)
    )
    plain = Page(render(regression))
    assert "Red atoms raise" not in plain.text and len(plain.all("img")) == 17


# The command


def test_the_command_writes_pages(regression, labelled, shown, capsys):
    assert main(["report", str(regression), str(labelled)]) == 0
    assert capsys.readouterr().out.split() == [str(regression / "report.html"), str(labelled / "report.html")]
    assert (regression / "report.html").read_text() == shown


def test_a_run_from_python_has_its_page(tmp_path, caplog):
    options = (*SMALLEST, "method=direct", "finetune.epochs=1")
    run_experiment(load_config(*options, f"run_dir={tmp_path / 'run'}"))
    assert "report.html" not in caplog.text
    assert Page((tmp_path / "run/report.html").read_text()).all("h1")


def test_a_run_whose_page_cannot_be_written_is_finished(tmp_path, caplog, monkeypatch):
    def full(path, text):
        raise DataError(f"could not write {path}: No space left on device")

    monkeypatch.setattr(page, "write_text", full)
    folder = tmp_path / "run"
    options = (*SMALLEST, "method=direct", "finetune.epochs=1")
    report = run_experiment(load_config(*options, f"run_dir={folder}"))
    assert f"no report.html: could not write {folder / 'report.html'}" in caplog.text
    assert json.loads((folder / "report.json").read_text())["test"] == report.test
    assert json.loads((folder / "status.json").read_text())["state"] == "ok"


def spoiled(folder, tmp_path, name, content):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("checkpoint"))
    (copy / name).write_text(content)
    return copy


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("report.json", "{", r"report\.json cannot be read"),
        ("report.json", "{}", "does not hold the report of this version"),
        ("report.json", "[]", "does not hold the report of this version"),
        ("steps.jsonl", "x\n", r"steps\.jsonl cannot be read"),
        ("steps.jsonl", "{}\n", "does not hold the report of this version"),
        ("predictions.csv", "", r"predictions\.csv cannot be read"),
        ("predictions.csv", "a,b\n1,2\n", "does not hold the report of this version"),
        ("model.json", "x", r"model\.json cannot be read"),
    ],
)
def test_a_damaged_file_is_named(regression, tmp_path, name, content, words):
    with pytest.raises(DataError, match=words):
        save_page(spoiled(regression, tmp_path, name, content))


def test_no_content_of_a_report_is_a_traceback(labelled, tmp_path, monkeypatch):
    """Every key of ``report.json`` with values that nobody expects: a page, or a sentence."""
    monkeypatch.setattr(plots, "encoded", lambda figure, kind: b"")
    monkeypatch.setattr(page, "explaining", lambda folder: None)
    monkeypatch.setattr(page, "RESAMPLES", 20)
    report = json.loads((labelled / "report.json").read_text())
    folder, sentences = spoiled(labelled, tmp_path, "report.json", "{}"), 0
    for key in report:
        for value in (None, [], {"a": []}, "x", -1, float("inf")):
            (folder / "report.json").write_text(json.dumps(report | {key: value}))
            try:
                save_page(folder)
            except DataError as error:
                sentences += 1
                assert "does not hold the report" in str(error)
    assert sentences > 50


@pytest.mark.parametrize("temperature", ["x", [1.0], [1.0, 0.0], {}, [None, None]])
def test_no_temperature_of_a_model_card_is_a_traceback(labelled, tmp_path, temperature):
    card = json.loads((labelled / "model.json").read_text()) | {"temperature": temperature}
    with pytest.raises(DataError):
        save_page(spoiled(labelled, tmp_path, "model.json", json.dumps(card)))


def test_a_folder_without_a_run_is_told(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 5
    assert "holds no finished run" in capsys.readouterr().err


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it(shown_labelled, tmp_path, width):
    shown_by_a_browser(shown_labelled, tmp_path, width, pictures=6)


# The numbers in it


def test_the_worst_and_the_best_are_those():
    truth = np.linspace(0, 1, 20)
    offsets = np.arange(20)[::-1] / 10
    test = pd.DataFrame({"row": range(1, 21), "smiles": "CCO", "y": truth + offsets, "y_true": truth})
    best, worst = examples(test, ["smiles"], ["y"], "regression", plain_drawing)
    assert [one.row for one in best] == list(range(20, 20 - COUNT, -1))
    assert [one.row for one in worst] == list(range(1, COUNT + 1))
    assert worst[0].data.startswith("data:image/svg") and worst[0].values == [("y", 1.9, 0.0)]


def test_few_samples_are_not_in_both():
    test = pd.DataFrame({"row": [1, 2, 3], "smiles": "C", "y": [1.0, 2.0, 3.0], "y_true": [1.0, 2.5, np.nan]})
    best, worst = examples(test, ["smiles"], ["y"], "regression", plain_drawing)
    assert [one.row for one in best] == [1] and [one.row for one in worst] == [2]


def test_errors_are_in_spreads_or_cross_entropy():
    truth, guess = np.array([[0.0], [4.0], [np.nan]]), np.array([[1.0], [4.0], [7.0]])
    np.testing.assert_allclose(errors(truth, guess, "regression")[:, 0], [0.5, 0.0, np.nan])
    labels, chance = np.array([[1.0], [0.0], [np.nan]]), np.array([[0.25], [0.25], [0.5]])
    found = errors(labels, chance, "classification")[:, 0]
    np.testing.assert_allclose(found, [np.log(4), np.log(4 / 3), np.nan])


def test_the_calibration_error_of_a_made_up_case():
    truth, chance = np.array([1.0, 0.0, 1.0, 1.0]), np.array([0.55, 0.52, 0.97, 1.0])
    assert reliability(truth, chance) == [(0.535, 0.5, 2), (0.985, 1.0, 2)]
    assert calibration_error(truth, chance) == pytest.approx((2 * 0.035 + 2 * 0.015) / 4)


def test_scaling_divides_the_logit():
    np.testing.assert_allclose(scaled(np.array([0.8, 0.5]), 2.0), [2 / 3, 0.5])
    np.testing.assert_allclose(scaled(np.array([0.3, 0.9]), 1.0), [0.3, 0.9])
