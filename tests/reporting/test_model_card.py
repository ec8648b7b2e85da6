"""``MODEL_CARD.md`` says what the report says, of molecules and of text, tested or not."""

from __future__ import annotations

import json

import yaml
from smallest import run_labelled, run_smallest

QUICK = ("method=direct", "finetune.epochs=1")


def card_and_report(folder):
    return (folder / "MODEL_CARD.md").read_text(), json.loads((folder / "report.json").read_text())


def test_the_card_of_a_regression(tmp_path):
    text, report = card_and_report(run_smallest(tmp_path / "run"))
    front = yaml.safe_load(text.split("---")[1])
    assert front == {"library_name": "molweight", "tags": ["molecules", "regression"]}
    assert f"| test | RMSE | {report['test']:.3f} |" in text
    assert f"| validation | RMSE | {report['valid']:.3f} |" in text
    assert "regression of `Act` in pIC50" in text and "200 molecules of `rdkit`" in text
    assert f"predict {tmp_path / 'run'} -i" in text and "run me" in text
    assert "chose the epoch and the weights of the objectives" in text
    assert report["split"]["hash"][:12] in text and report["versions"]["torch"] in text


def test_the_card_of_a_classification_without_pretraining(tmp_path):
    text, _ = card_and_report(run_labelled(tmp_path, *QUICK))
    assert "classification of `=polar`, `long`" in text and "| unlabelled data | none |" in text
    assert "The validation part chose the epoch." in text


def test_a_model_that_was_not_tested_says_so(tmp_path):
    fractions = ("split=random", "split.seed=0", "split.fractions=[0.9,0.1,0]")
    text, _ = card_and_report(run_smallest(tmp_path / "run", *QUICK, *fractions))
    assert "not tested" in text and "| test |" not in text and "Nothing was held back" in text


def test_a_run_without_a_network_has_none(tmp_path):
    assert not (run_labelled(tmp_path, "method=ecfp_rf") / "MODEL_CARD.md").exists()
