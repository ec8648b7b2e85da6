"""The estimators behave as scikit-learn's do, with SMILES where those have numbers."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from smallest import SMALLEST, run_smallest

from molweight import MolWeightClassifier, MolWeightRegressor, predict
from molweight.__main__ import main
from molweight.config.named_specs import dataset_spec
from molweight.data.datasets import load_dataset
from molweight.errors import ConfigError, DataError
from molweight.estimator_inputs import seed_of

QUICK = {"method": "direct", "steps": 2, "epochs": 2, "objectives": "smoke", "options": list(SMALLEST)}


@pytest.fixture(scope="module")
def series():
    """The series that RDKit ships: SMILES and activities, under an index of its own."""
    data = load_dataset(dataset_spec("chembl2321810"))
    index = [f"m{row}" for row in range(len(data.smiles))]
    return pd.Series(data.smiles, index=index)[:240], pd.Series(data.targets[:, 0], index=index)[:240]


@pytest.fixture(scope="module")
def regressor(series):
    return MolWeightRegressor(**QUICK).fit(*series)


@pytest.fixture(scope="module")
def classifier(series):
    smiles, y = series
    return MolWeightClassifier(**QUICK).fit(smiles, np.where(y > y.median(), "active", "weak"))


def test_predictions_are_those_of_the_run(regressor, series, tmp_path):
    smiles, y = series
    found = regressor.predict(smiles)
    assert found.shape == (240,) and np.ptp(found) > 0
    assert regressor.score(smiles, y) == pytest.approx(r2_score(y, found))
    regressor.save(tmp_path / "saved")
    np.testing.assert_allclose(predict(tmp_path / "saved", list(smiles))["y0"], found, rtol=1e-6)
    assert main(["predict", str(tmp_path / "saved"), "CCO"]) == 0


def test_nothing_is_held_back_but_the_validation_part(regressor):
    sizes = regressor.report_.content["split"]["sizes"]
    assert sizes == {"train": 216, "valid": 24, "test": 0, "meta": 0}
    assert regressor.report_.content["test_evaluations"] == 0
    assert regressor.validation_score_ > 0 and regressor.weights_ == {}
    assert "not tested" in regressor.report_.markdown()


def test_weights_are_learned(series):
    fitted = MolWeightRegressor(**QUICK | {"method": "tapweight"}).fit(*series)
    assert set(fitted.weights_) == {"clusters_10", "jigsaw"}
    assert sum(fitted.weights_.values()) == pytest.approx(1)


def test_classes_have_their_names(classifier, series):
    smiles, _ = series
    chance = classifier.predict_proba(smiles)
    assert classifier.classes_.tolist() == ["active", "weak"]
    assert chance.shape == (240, 2) and np.allclose(chance.sum(1), 1)
    expected = np.where(chance[:, 1] >= 0.5, "weak", "active")
    assert (classifier.predict(smiles) == expected).all()
    assert classifier.score(smiles, expected) == 1


def test_several_targets_have_columns(series):
    smiles, y = series
    labels = pd.DataFrame(
        {"high": (y > y.median()).astype(float), "low = bad": (y < y.quantile(0.4)).astype(float)}
    )
    labels.iloc[:20, 0] = np.nan
    fitted = MolWeightClassifier(**QUICK).fit(smiles, labels)
    assert fitted.predict_proba(smiles[:9]).shape == fitted.predict(smiles[:9]).shape == (9, 2)
    table = fitted.predict_table(smiles[:9])
    assert list(table.columns[3:]) == ["high", "high_uncalibrated", "low = bad", "low = bad_uncalibrated"]
    values = MolWeightRegressor(**QUICK).fit(list(smiles), np.stack([y, -y], axis=1))
    assert values.predict(smiles[:9]).shape == (9, 2)


def test_bad_molecules_cost_their_rows_only(regressor):
    asked = pd.Series(["CCO", "C1CC", None], index=["a", "b", "c"])
    table = regressor.predict_table(asked)
    assert table.index.tolist() == ["a", "b", "c"] and list(table.columns[3:]) == ["y"]
    assert table.status.tolist() == ["ok", "invalid", "invalid"] and table.y.isna().tolist() == [
        False,
        True,
        True,
    ]
    for ask in (regressor.predict, regressor.embed):
        with pytest.raises(DataError, match=r"2 of 3 molecules .* position 1: 'C1CC'"):
            ask(asked)


def test_molecules_that_cannot_be_read_are_left_out_of_fit(series):
    smiles, y = series
    fitted = MolWeightRegressor(**QUICK).fit([*smiles, "C1CC"], [*y, 7.0])
    assert fitted.report_.content["n_invalid"] == 1


@pytest.mark.parametrize(
    "shape",
    [
        list,
        lambda s: s.to_numpy(),
        lambda s: s.to_numpy()[:, None],
        lambda s: s.to_frame("anything"),
        lambda s: pd.DataFrame({"other": 1, "SMILES": s}),
    ],
)
def test_molecules_come_in_any_shape(regressor, series, shape):
    smiles = series[0][:5]
    np.testing.assert_array_equal(regressor.predict(shape(smiles)), regressor.predict(smiles))


def test_embeddings(regressor, series):
    found = regressor.embed(series[0][:5])
    assert found.shape == (5, 32) and np.ptp(found) > 0


# scikit-learn


def test_parameters_are_cloned():
    made = MolWeightRegressor("equal", steps=7, options=["seed=3"], run_dir="x")
    copy = clone(made)
    assert copy is not made and copy.get_params() == made.get_params()
    assert copy.set_params(steps=9).steps == 9 and made.steps == 7
    assert is_regressor(made) and is_classifier(MolWeightClassifier())
    assert "MolWeightRegressor" in made._repr_html_()


def test_a_generator_gives_each_fit_a_seed(series, tmp_path):
    expected = [seed_of(state) for state in [np.random.RandomState(0)] * 2]
    assert len(set(expected)) == 2, "it moves on"
    made = MolWeightRegressor(**QUICK, random_state=np.random.RandomState(0))
    assert clone(made).random_state is not made.random_state is made.get_params()["random_state"]
    fitted = made.fit(*series)
    assert fitted.seed_ == fitted.report_.content["seed"] == expected[0]
    fitted.save(tmp_path)
    assert MolWeightRegressor.load(tmp_path).random_state == expected[0]


def test_a_random_state_is_what_scikit_learn_takes():
    assert seed_of(7) == seed_of(np.int64(7)) == 7
    draws = [seed_of(state) for state in (None, None, *map(np.random.default_rng, (0, 1)))]
    assert len(set(draws)) == 4 and all(0 <= seed < 2**32 for seed in draws)
    assert seed_of(np.random.default_rng(0)) == draws[2]
    for wrong in (-1, 2**32, 1.5, "0", True, np.random):
        with pytest.raises(
            ConfigError, match=r"random_state must be a whole number between 0 and 4294967295"
        ):
            MolWeightRegressor(**QUICK, random_state=wrong).fit(["C", "CC"], [0, 1])


def test_nothing_is_predicted_before_fit():
    with pytest.raises(NotFittedError):
        MolWeightRegressor().predict(["CCO"])


def test_a_grid_is_searched(series):
    search = GridSearchCV(MolWeightRegressor(**QUICK), {"epochs": [1, 2]}, cv=2, error_score="raise")
    search.fit(*series)
    assert search.best_params_["epochs"] in (1, 2)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(series[0][:3]).shape == (3,)


def test_in_a_pipeline(series):
    frame = series[0].to_frame("mol")
    pipeline = make_pipeline(FunctionTransformer(lambda table: table["mol"]), MolWeightRegressor(**QUICK))
    scores = cross_val_score(pipeline, frame, series[1], cv=2, error_score="raise")
    assert len(scores) == 2 and np.isfinite(scores).all()


def test_embeddings_feed_other_models(regressor, series):
    smiles, y = series
    pipeline = make_pipeline(FunctionTransformer(regressor.embed), RandomForestRegressor(20, random_state=0))
    assert pipeline.fit(smiles, y).score(smiles, y) > 0.5


def test_the_same_seed_gives_the_same_model(regressor, series):
    again = clone(regressor).fit(*series)
    np.testing.assert_array_equal(again.predict(series[0]), regressor.predict(series[0]))


# Kept


@pytest.mark.parametrize("kind", ["regressor", "classifier"])
def test_what_is_saved_comes_back(kind, request, series, tmp_path):
    fitted, smiles = request.getfixturevalue(kind), series[0][:20]
    fitted.save(tmp_path / "saved")
    for again in (type(fitted).load(tmp_path / "saved"), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(again.predict(smiles), fitted.predict(smiles))
        assert again.get_params() == fitted.get_params() and again.weights_ == fitted.weights_
        assert clone(again).get_params() == fitted.get_params()
    assert not [path for path in (tmp_path / "saved").iterdir() if path.suffix in (".pkl", ".pt", ".joblib")]


def test_any_run_is_an_estimator(tmp_path):
    folder = run_smallest(tmp_path / "run", "method=direct", "finetune.epochs=1")
    loaded = MolWeightRegressor.load(folder)
    np.testing.assert_allclose(loaded.predict(["CCO"]), predict(folder, ["CCO"])["Act"])
    with pytest.raises(DataError, match="MolWeightClassifier is for a classification"):
        MolWeightClassifier.load(folder)


def test_spoiled_parameters_are_said(regressor, tmp_path):
    regressor.save(tmp_path)
    for text in (
        "x",
        "[]",
        '{"parameters": {"nonsense": 1}}',
        '{"parameters": 1}',
        '{"target_names": ["a", "b"]}',
    ):
        (tmp_path / "estimator.json").write_text(text)
        with pytest.raises(DataError, match=r"estimator\.json cannot be read"):
            MolWeightRegressor.load(tmp_path)


def test_a_model_that_was_passed_on_alone_is_an_estimator(regressor, classifier, series, tmp_path):
    for name in ("model.json", "model.safetensors"):
        (tmp_path / name).write_bytes(regressor.files_[name])
    loaded = MolWeightRegressor.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict(series[0][:3]), regressor.predict(series[0][:3]))
    assert loaded.weights_ == {} and np.isnan(loaded.validation_score_)
    for text in ("x", "[]", '{"weights": 1}', '{"valid": []}'):
        (tmp_path / "report.json").write_text(text)
        with pytest.raises(DataError, match=r"report\.json cannot be read"):
            MolWeightRegressor.load(tmp_path)
    classifier.save(tmp_path / "classes")
    (tmp_path / "classes" / "estimator.json").write_text('{"classes": [1, 2, 3]}')
    with pytest.raises(DataError, match="expected two classes"):
        MolWeightClassifier.load(tmp_path / "classes")


def test_a_validation_part_without_a_score_is_no_error(series):
    """All of one class, so that ROC-AUC does not exist there."""
    smiles = series[0][:40]
    options = [*QUICK["options"], "split.seed=3"]
    probe = MolWeightClassifier(**QUICK | {"options": options}).fit(smiles, np.arange(40) % 2)
    valid = pd.read_csv(io.BytesIO(probe.files_["predictions.csv"])).query("part == 'valid'").row - 1
    y = (np.arange(40) % 2).astype(float)
    y[valid] = 1.0
    fitted = MolWeightClassifier(**QUICK | {"options": options}).fit(smiles, y)
    assert np.isnan(fitted.validation_score_) and np.isfinite(fitted.predict_proba(smiles)).all()


def test_a_repeated_index_does_not_hide_which_molecule_is_bad(regressor):
    with pytest.raises(DataError, match=r"position 1: 'C1CC'"):
        regressor.predict(pd.Series(["CCO", "C1CC", "CC"], index=["a", "a", "a"]))


def test_a_run_is_kept_where_it_is_asked_for(series, tmp_path):
    smiles, y = series
    fitted = MolWeightRegressor(**QUICK, run_dir=tmp_path / "my run").fit(smiles, y)
    assert {"report.json", "report.html"} <= {path.name for path in (tmp_path / "my run").iterdir()}
    again = MolWeightRegressor.load(tmp_path / "my run")
    np.testing.assert_array_equal(again.predict(smiles), fitted.predict(smiles))
    with pytest.raises(ConfigError, match="holds a finished run"):
        fitted.fit(smiles, y)


# Refused


@pytest.mark.parametrize(
    "arguments, X, y, error, words",
    [
        ({"method": "ecfp_rf"}, ["CCO"] * 20, np.arange(20), ConfigError, "leaves no network"),
        ({"method": "tapwieght"}, ["CCO"] * 20, np.arange(20), ConfigError, "Did you mean 'tapweight'"),
        ({"validation_fraction": 0}, ["CCO"] * 20, np.arange(20), ConfigError, "validation_fraction must"),
        ({}, ["CCO"], [1.0, 2.0], DataError, "1 molecules and y 2 rows"),
        ({}, [1, 2], [1.0, 2.0], DataError, "found 1 at position 0"),
        ({}, [["CCO", "C"]], [1.0], DataError, "shape"),
        ({}, pd.DataFrame({"a": ["C"], "b": ["C"]}), [1.0], DataError, "one called 'smiles'"),
        ({}, ["CCO"], ["high"], DataError, "y must be numbers"),
        ({}, ["CCO"], ["True"], DataError, r"'True'.* are for MolWeightClassifier, y \[n\]"),
        ({}, ["CCO"], np.zeros((1, 1, 1)), DataError, r"\[n\] or \[n, t\]"),
    ],
)
def test_wrong_arguments_are_said(arguments, X, y, error, words):
    with pytest.raises(error, match=words):
        MolWeightRegressor(**arguments).fit(X, y)


@pytest.mark.parametrize(
    "y, words", [([0, 1, 2], "found 3"), ([1, 1, 1], "found 1"), ([[0.5], [1], [0]], "0 and 1")]
)
def test_wrong_classes_are_said(y, words):
    with pytest.raises(DataError, match=words):
        MolWeightClassifier().fit(["C", "CC", "CCC"], y)
