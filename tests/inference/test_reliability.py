"""Conformal intervals and sets, and nearness to the training molecules."""

from __future__ import annotations

import json
import math
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
from crepes import ConformalClassifier, ConformalRegressor
from rdkit import Chem, DataStructs
from rdkit.Chem import AllChem
from smallest import run_labelled, run_smallest

from molweight import predict
from molweight.__main__ import main
from molweight.data.fingerprints import Neighbours
from molweight.errors import ConfigError, DataError
from molweight.inference.predictions_file import read_table
from molweight.reporting.page import render
from molweight.training.conformal import class_sets, covered, intervals

QUICK = ("method=direct", "finetune.epochs=1")


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    return run_smallest(tmp_path_factory.mktemp("regression") / "run", *QUICK)


@pytest.fixture(scope="module")
def other_seed(tmp_path_factory):
    return run_smallest(tmp_path_factory.mktemp("other") / "run", *QUICK, "seed=1")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return run_labelled(tmp_path_factory.mktemp("labelled"), *QUICK)


def copied(run_dir, folder):
    shutil.copytree(run_dir, folder)
    return folder


# The arithmetic


@pytest.mark.parametrize("confidence", [0.55, 0.8, 0.93])
def test_the_width_is_an_order_statistic_of_the_residuals(confidence):
    random = np.random.default_rng(0)
    predicted, truth = random.normal(size=60), random.normal(size=60)
    truth[:7] = np.nan
    found = intervals(predicted, truth, np.array([1.0, -3.0]), confidence)
    residuals = np.sort(np.abs(truth - predicted)[7:])
    half = residuals[math.ceil(54 * confidence) - 1]  # Vovk et al. 2005: of n + 1
    np.testing.assert_allclose(found, [[1 - half, 1 + half], [-3 - half, -3 + half]])


def test_too_few_samples_promise_nothing():
    nothing = intervals(np.zeros(4), np.ones(4), np.zeros(1), 0.9)
    assert nothing.tolist() == [[-np.inf, np.inf]]
    assert intervals(np.zeros(4), np.full(4, np.nan), np.zeros(1), 0.9).tolist() == [[-np.inf, np.inf]]
    assert class_sets(np.full(4, 0.5), np.array([0, 0, 1, np.nan]), np.array([0.1]), 0.9).tolist() == [[1, 1]]


def test_a_class_is_in_the_set_if_enough_of_its_samples_are_as_strange():
    random = np.random.default_rng(1)
    predicted, truth = random.random(80), (random.random(80) < 0.2).astype(float)
    new = np.array([0.01, 0.3, 0.6, 0.99])
    found = class_sets(predicted, truth, new, 0.83)
    for label in (0, 1):
        own = predicted[truth == label]
        for place, probability in enumerate(new):
            stranger = (own <= probability) if label else (own >= probability)
            p_value = (stranger.sum() + 1) / (len(own) + 1)
            assert found[place, label] == (p_value > 0.17)
    assert found.sum() not in (0, 8)


@pytest.mark.parametrize("classification", [False, True])
def test_new_samples_are_covered_as_promised(classification):
    """Over many draws of both parts; the error of the mean is below 0.01."""
    random, shares = np.random.default_rng(2), []
    for _ in range(60):
        signal = random.normal(size=400)
        if classification:
            truth = (random.random(400) < 1 / (1 + np.exp(-2 * signal))).astype(float)
        else:
            truth = signal + random.standard_t(3, size=400)
        predicted = 1 / (1 + np.exp(-signal)) if classification else signal
        method = class_sets if classification else intervals
        found = method(predicted[:200], truth[:200], predicted[200:], 0.8)
        shares.append(covered(truth[200:], found, classification=classification)[0])
    assert 0.79 < np.mean(shares) < 0.83


def test_what_is_covered_is_counted():
    truth = np.array([0.0, 1.0, np.nan, 4.0])
    ends = np.array([[-1.0, 0.5], [2.0, 3.0], [0.0, 9.0], [4.0, 6.0]])
    assert covered(truth, ends, classification=False) == (pytest.approx(2 / 3), pytest.approx(4.5 / 3))
    sets = np.array([[1, 0], [1, 0], [1, 1], [0, 1]])
    share, size = covered(np.array([0.0, 1.0, np.nan, 1.0]), sets, classification=True)
    assert (share, size) == (pytest.approx(2 / 3), pytest.approx(1.0))
    assert np.isnan(covered(np.array([np.nan]), ends[:1], classification=False)).all()


# Predictions


def test_intervals_are_those_of_the_validation_part(regression):
    scored = pd.read_csv(regression / "predictions.csv")
    valid, test = scored[scored.part == "valid"], scored[scored.part == "test"]
    table = predict(regression, test.smiles, confidence=0.9)
    assert list(table.columns) == ["input", "status", "reason", "Act", "Act_low", "Act_high"]
    residuals = np.sort(np.abs(valid.Act - valid.Act_true))
    half = residuals[math.ceil((len(valid) + 1) * 0.9) - 1]
    np.testing.assert_allclose(table.Act_high - table.Act, half, rtol=1e-5)
    np.testing.assert_allclose(table.Act - table.Act_low, half, rtol=1e-5)


def test_rows_without_a_molecule_have_no_interval(regression):
    table = predict(regression, ["CCO", "C1CC"], confidence=0.8, similarity=True)
    assert table.loc[2, ["Act", "Act_low", "Act_high", "similarity"]].isna().all()
    assert table.loc[1, ["Act", "Act_low", "Act_high", "similarity"]].notna().all()


def test_sets_of_classes(labelled):
    table = predict(labelled, ["CCO", "CCCCF"], confidence=0.7)
    names = [f"{target}{ending}" for target in ("=polar", "long") for ending in ("_may_be_0", "_may_be_1")]
    assert [name for name in table.columns if "may_be" in name] == names
    scored = read_table(labelled / "predictions.csv")
    valid = scored[scored.part == "valid"]
    for target in ("=polar", "long"):
        expected = class_sets(
            valid[target].to_numpy(),
            valid[f"{target}_true"].to_numpy(),
            table[f"{target}_uncalibrated"].to_numpy(),
            0.7,
        )
        found = table[[f"{target}_may_be_0", f"{target}_may_be_1"]].to_numpy()
        np.testing.assert_array_equal(found, expected)


def test_several_models_have_one_interval_around_their_mean(regression, other_seed):
    alone = predict(regression, ["CCO"], confidence=0.9)
    both = predict([regression, other_seed], ["CCO"], confidence=0.9)
    assert list(both.columns)[3:] == ["Act", "Act_std", "Act_low", "Act_high"]
    parts = [
        pd.read_csv(one / "predictions.csv").query("part == 'valid'") for one in (regression, other_seed)
    ]
    residuals = np.sort(np.abs((parts[0].Act + parts[1].Act) / 2 - parts[0].Act_true))
    half = residuals[math.ceil((len(residuals) + 1) * 0.9) - 1]
    np.testing.assert_allclose(both.Act_high - both.Act, half, rtol=1e-5)
    assert not np.isclose(alone.Act_high - alone.Act, half, rtol=1e-3).any()


@pytest.mark.parametrize("column", ["row", "Act_true"])
def test_models_of_different_splits_or_labels_have_none(regression, tmp_path, column):
    copy = copied(regression, tmp_path / "copy")
    table = pd.read_csv(copy / "predictions.csv")
    table[column] += 1
    table.to_csv(copy / "predictions.csv", index=False)
    with pytest.raises(ConfigError, match="validated on different molecules"):
        predict([regression, copy], ["CCO"], confidence=0.9)


@pytest.mark.parametrize(
    "confidence, words",
    [(1.0, "between 0 and 1"), (-1, "between 0 and 1"), (0.999, "they can promise 0.99 at")],
)
def test_what_cannot_be_promised_is_said(regression, confidence, words):
    with pytest.raises(ConfigError, match=words):
        predict(regression, ["CCO"], confidence=confidence)


def test_spoiled_predictions_are_said(regression, tmp_path, capsys):
    copy = copied(regression, tmp_path / "copy")
    for content in ("", "row,part\n1,valid\n", "row,part,Act,Act_true\n1,valid,x,2\n", None):
        if content is None:
            (copy / "predictions.csv").unlink()
        else:
            (copy / "predictions.csv").write_text(content)
        assert main(["predict", str(copy), "CCO", "--confidence", "0.9"]) == 5
        assert "intervals need " in capsys.readouterr().err
    assert main(["predict", str(copy), "CCO"]) == 0


@pytest.mark.parametrize("count", [1, 8, 9, 19, 40, 99])
@pytest.mark.parametrize("confidence", [0.5, 0.83, 0.97])
def test_intervals_and_sets_are_those_of_crepes(count, confidence):
    generator = np.random.default_rng(count)
    predicted, truth, new = generator.normal(size=(3, count))
    regressor = ConformalRegressor().fit(truth - predicted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are too few
        expected = regressor.predict_int(new, confidence=confidence)
    np.testing.assert_allclose(intervals(predicted, truth, new, confidence), expected)
    shares, classes = 1 / (1 + np.exp(-predicted)), (truth > 0).astype(float)
    found = class_sets(shares, classes, 1 / (1 + np.exp(-new)), confidence)
    for label in set(classes):
        scores = [abs(label - part) for part in (shares[classes == label], 1 / (1 + np.exp(-new)))]
        classifier = ConformalClassifier().fit(scores[0])
        sets = classifier.predict_set(scores[1][:, None], confidence=confidence, smoothing=False)
        np.testing.assert_array_equal(found[:, int(label)], sets[:, 0])


def test_nine_errors_promise_ninety_percent():
    """(1 - 0.9) * 10 is a little less than 1 in binary numbers, and exactly 1 in the theorem."""
    errors = np.arange(1.0, 10.0)
    assert intervals(np.zeros(9), errors, np.zeros(1), 0.9).tolist() == [[-9.0, 9.0]]
    assert np.isinf(intervals(np.zeros(9), errors, np.zeros(1), 0.91)).all()


# Nearness


def test_similarity_is_rdkits_to_the_nearest(regression):
    lines = (regression / "training.smi").read_text().splitlines()
    training = [line.split()[0] for line in lines]
    queries = [
        "CCO",
        "OC(=O)c1ccccc1",
        training[5],
        Chem.MolToSmiles(Chem.MolFromSmiles(training[9]), doRandom=True),
    ]
    table = predict(regression, queries, similarity=True)
    bits = [AllChem.GetMorganFingerprintAsBitVect(Chem.MolFromSmiles(one), 2, 2048) for one in training]
    for text, found in zip(queries, table.similarity, strict=True):
        own = AllChem.GetMorganFingerprintAsBitVect(Chem.MolFromSmiles(text), 2, 2048)
        assert found == pytest.approx(max(DataStructs.TanimotoSimilarity(own, one) for one in bits))
    assert table.similarity.iloc[2] == table.similarity.iloc[3] == 1.0
    assert 0 < table.similarity.iloc[0] < 0.5


def test_training_molecules_are_those_of_the_split(regression):
    splits = json.loads((regression / "splits.json").read_text())
    rows = [int(line.split()[1]) for line in (regression / "training.smi").read_text().splitlines()]
    assert rows == [row + 1 for row in splits["train"]] and len(rows) == splits["sizes"]["train"]
    scored = pd.read_csv(regression / "predictions.csv")
    assert not set(rows) & set(scored.row)


def test_several_models_share_their_training_molecules(regression, tmp_path):
    copy = copied(regression, tmp_path / "copy")
    (copy / "training.smi").write_text("OCC 1\n")
    assert predict(copy, ["CCO"], similarity=True).similarity.tolist() == [1.0]
    assert predict([regression, copy], ["CCO"], similarity=True).similarity.tolist() == [1.0]
    assert predict(regression, ["CCO"], similarity=True).similarity.iloc[0] < 1


@pytest.mark.parametrize(
    "content, words",
    [(None, "earlier versions have none"), ("", "is empty"), ("CCO 1\nC1CC 2\n", "line 2: no molecule")],
)
def test_spoiled_training_molecules_are_said(regression, tmp_path, content, words):
    copy = copied(regression, tmp_path / "copy")
    if content is None:
        (copy / "training.smi").unlink()
    else:
        (copy / "training.smi").write_text(content)
    with pytest.raises(DataError, match=words):
        predict(copy, ["CCO"], similarity=True)


def test_nobody_is_nobodys_neighbour():
    assert Neighbours(["CCO"]).similarity([]).shape == (0,)


# The page


def test_the_page_says_what_intervals_are_worth(regression, labelled):
    scored = pd.read_csv(regression / "predictions.csv")
    test = scored[scored.part == "test"]
    table = predict(regression, test.smiles, confidence=0.9)
    inside = ((table.Act_low <= test.Act_true) & (test.Act_true <= table.Act_high)).mean()
    assert f"hold {inside:.0%} of those of the test part" in render(regression)
    page = render(labelled)
    assert "Conformal sets that should hold the class of 90%" in page and "inside 90%" in page
