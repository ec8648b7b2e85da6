"""Metrics against their definitions and scikit-learn, and where they do not exist."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from molweight.data.specs import DatasetSpec
from molweight.training.metrics import (
    METRICS,
    correlation,
    from_sklearn,
    mean_of,
    metrics_for,
    ratio,
    score,
    score_label,
)

NAN = math.nan


def by_hand(metric, truth, predicted):
    """Each metric from its definition, over pairs."""
    pairs = list(zip(truth, predicted, strict=True))
    if metric == "rmse":
        return math.sqrt(sum((t - p) ** 2 for t, p in pairs) / len(pairs))
    if metric == "mae":
        return sum(abs(t - p) for t, p in pairs) / len(pairs)
    if metric == "roc_auc":  # probability that a positive is ranked above a negative, ties half
        positive, negative = ([p for t, p in pairs if t == c] for c in (1, 0))
        wins = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
        return sum(wins) / len(wins)
    ranked = [t for t, _ in sorted(pairs, key=lambda pair: -pair[1])]  # no ties below
    return sum(sum(ranked[: i + 1]) / (i + 1) for i, t in enumerate(ranked) if t) / sum(ranked)


SKLEARN = {
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "rmse": lambda t, p: sk.mean_squared_error(t, p) ** 0.5,
    "mae": sk.mean_absolute_error,
}


@pytest.mark.parametrize("metric", ["average_precision", "mae", "rmse", "roc_auc"])
def test_every_metric_is_its_definition_over_the_known_labels(metric):
    rng = np.random.default_rng(5)
    predictions = rng.permutation(60).reshape(30, 2) / 60
    truth = rng.standard_normal((30, 2))
    if METRICS[metric].kind == "classification":
        truth = (truth > 0).astype(float)
    truth[rng.random((30, 2)) < 0.3] = NAN
    found = score(metric, torch.tensor(predictions), torch.tensor(truth), ("a", "b"))
    for j, name in enumerate(("a", "b")):
        known = ~np.isnan(truth[:, j])
        assert 5 < known.sum() < 30
        t, p = truth[known, j], predictions[known, j]
        assert found.per_task[name] == pytest.approx(by_hand(metric, t.tolist(), p.tolist()), rel=1e-12)
        assert found.per_task[name] == pytest.approx(SKLEARN[metric](t, p), rel=1e-12)
    assert found.value == pytest.approx(sum(found.per_task.values()) / 2, rel=1e-12)
    assert found.undefined == ()


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision"])
def test_targets_of_one_class_are_nan_and_left_out_of_the_mean(metric):
    truth = torch.tensor([[1.0, 1.0, 0.0, NAN, 1.0], [0.0, 1.0, 0.0, NAN, NAN]])
    predictions = torch.tensor([[0.9] * 5, [0.1] * 5])
    found = score(metric, predictions, truth, tuple("abcde"))
    assert found.per_task["a"] == 1 and found.value == 1
    assert found.undefined == ("b", "c", "d", "e")


def test_no_target_is_defined():
    found = score("roc_auc", torch.rand(3, 1), torch.ones(3, 1), ("a",))
    assert math.isnan(found.value) and found.undefined == ("a",)


@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_one_label_defines_an_error_and_none_does_not(metric):
    truth = torch.tensor([[2.0, NAN], [NAN, NAN]])
    found = score(metric, torch.tensor([[5.0, 0.0], [100.0, 0.0]]), truth, ("a", "b"))
    assert found.per_task["a"] == 3 and found.value == 3 and found.undefined == ("b",)


def test_names_must_match_the_targets():
    with pytest.raises(ValueError, match="zip"):
        score("mae", torch.zeros(2, 2), torch.zeros(2, 2), ("a",))


EXAMPLES = {  # labels, predictions from the best to the worst
    "classification": ([0.0, 0, 1, 1], [[0.1, 0.2, 0.8, 0.9], [0.1, 0.8, 0.2, 0.9], [0.9, 0.8, 0.2, 0.1]]),
    "regression": ([1.0, 2, 3, 4], [[1.0, 2, 3, 4], [1.0, 2, 4, 2.9], [4.0, 3, 2, 1]]),
    "multiclass": ([0.0, 0, 1, 1], [[0.0, 0, 1, 1], [0.0, 1, 1, 1], [1.0, 1, 0, 0]]),
}


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_prefers_better_predictions_and_says_where_it_is_undefined(name):
    metric = METRICS[name]
    labels, predictions = EXAMPLES[metric.kind]
    y_true = np.array(labels)
    values = [metric(y_true, np.array(one)) for one in predictions]
    assert metric.better(values[0], values[1]) and metric.better(values[1], values[2])
    assert not metric.better(values[1], values[1]) and not metric.better(NAN, values[2])
    assert metric.better(values[2], NAN)
    assert values[0] == pytest.approx(1.0 if metric.higher_is_better else 0.0)
    assert math.isnan(metric(y_true[:0], y_true[:0]))
    assert math.isnan(metric(np.ones(4), np.array(predictions[1]))) == metric.needs_both_classes
    assert not metric.parts or values[1] == pytest.approx(
        np.mean([part(y_true, np.array(predictions[1])) for part in metric.parts.values()])
    )


def test_directions():
    better_when_larger = {name for name, metric in METRICS.items() if metric.higher_is_better}
    assert set(METRICS) - better_when_larger == {"rmse", "mae"}


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.kind != "multiclass"])
def test_every_metric_but_those_of_labels_can_be_asked_for_by_a_data_set(name):
    assert DatasetSpec(name="mine", metric=name).metric_for(METRICS[name].kind) == name


def test_defaults():
    assert DatasetSpec(name="mine").metric_for("classification") == "roc_auc"
    assert DatasetSpec(name="mine").metric_for("regression") == "rmse"


def test_targets_with_a_scale_are_divided_before_their_mean():
    truth = torch.tensor([[1.0, 100.0, 5.0], [3.0, 300.0, 7.0]])
    found = score("mae", truth + torch.tensor([1.0, 20.0, 9.0]), truth, "abc", torch.tensor([2.0, 10.0, NAN]))
    assert found.per_task == {"a": 1.0, "b": 20.0, "c": 9.0}, "in their own units"
    assert found.value == pytest.approx((0.5 + 2.0) / 2) and found.metric == "mae"


def test_every_target_needs_a_scale():
    with pytest.raises(ValueError, match="zip"):
        score("mae", torch.zeros(2, 2), torch.zeros(2, 2), "ab", torch.ones(3))


def test_one_target_is_told_by_part_and_several_by_name():
    predictions, truth = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([[1.0], [2.0], [3.0]])
    alone = score("pearson_spearman", predictions, truth, ["a"])
    assert alone.per_task == {"Pearson": pytest.approx(3 / (28 / 3) ** 0.5), "Spearman": pytest.approx(1)}
    assert alone.value == pytest.approx(sum(alone.per_task.values()) / 2)
    both = score("pearson_spearman", predictions.expand(-1, 2), truth.expand(-1, 2), ["a", "b"])
    assert both.per_task == {"a": pytest.approx(alone.value), "b": pytest.approx(alone.value)}


def test_without_a_label_every_part_is_undefined():
    found = score("pearson_spearman", torch.ones(3, 1), torch.full((3, 1), NAN), ["a"])
    assert found.undefined == ("Pearson", "Spearman") and math.isnan(found.value)


def test_a_function_of_scikit_learn_gets_labels_then_predictions_and_its_options():
    y_true, predicted = np.array([0.0, 1, 1, 1]), np.array([0.0, 1, 0, 0])
    assert from_sklearn("precision_score")(y_true, predicted) == 1.0
    assert from_sklearn("recall_score")(y_true, predicted) == pytest.approx(1 / 3)
    assert from_sklearn("fbeta_score", beta=2.0)(y_true, predicted) == pytest.approx(5 / (4 * 3 + 1))


@pytest.mark.parametrize("name", ["pearsonr", "spearmanr"])
def test_a_correlation_is_zero_where_one_side_is_constant(name):
    varied, flat = np.array([1.0, 2.0, 2.0]), np.ones(3)
    assert correlation(name)(varied, flat) == correlation(name)(flat, varied) == 0.0
    assert correlation(name)(varied, 1 - varied) == pytest.approx(-1.0), "two values are enough"


def test_a_mean_of_metrics_keeps_its_parts():
    parts = {"low": lambda y, p: float(y[0] - p[0]), "high": lambda y, p: float(y[1] - p[1])}
    metric = mean_of("regression", "mean of low and high", **parts)
    assert metric(np.array([3.0, 9.0]), np.array([1.0, 2.0])) == 4.5
    assert (metric.kind, metric.label) == ("regression", "mean of low and high")
    assert dict(metric.parts) == parts and list(metric.parts) == ["low", "high"]


def test_a_ratio_over_nothing_is_undefined():
    np.testing.assert_array_equal(ratio(np.array([1.0, 1, 0]), np.array([2.0, 0, 0.5])), [0.5, NAN, 0])


@pytest.mark.parametrize("labels", [[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]])
def test_areas_need_exactly_two_classes(labels):
    assert math.isnan(METRICS["roc_auc"](np.array(labels), np.array([0.1, 0.2, 0.3])))


def test_labels_say_what_is_normalised():
    assert score_label("rmse", normalised=False) == "RMSE"
    assert score_label("rmse", normalised=True) == "mean of normalised RMSE"


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("regression", ["rmse", "mae", "pearson_spearman"]),
        ("multiclass", ["accuracy", "f1_accuracy", "matthews"]),
    ],
)
def test_metrics_of_a_kind_begin_with_its_default(kind, names):
    assert metrics_for(kind) == names
