"""The task loss under missing labels, in closed form; predictions in the user's units."""

from __future__ import annotations

import math

import pytest
import torch

from molweight.errors import ConfigError
from molweight.training.task import Task

NAN = math.nan
LABELS = torch.tensor([[1.0, NAN], [0.0, 1.0], [NAN, NAN], [1.0, 0.0]])
OUTPUTS = torch.tensor([[0.3, 9.0], [-1.2, 0.5], [7.0, -8.0], [2.0, -0.4]])


def task(kind, names=("a", "b"), metric=None, train=None):
    train = torch.zeros(2, len(names)) if train is None else train
    return Task.fit(kind=kind, metric=metric, names=names, train=train)


def known_pairs():
    """(output, label) of every known label, as plain numbers."""
    pairs = zip(OUTPUTS.flatten().tolist(), LABELS.flatten().tolist(), strict=True)
    return [(z, y) for z, y in pairs if y == y]


def test_classification_loss_is_the_mean_cross_entropy_of_known_labels():
    each = [math.log1p(math.exp(-z if y else z)) for z, y in known_pairs()]
    found = task("classification").loss(OUTPUTS, {"targets": LABELS})
    assert found.item() == pytest.approx(sum(each) / 5, rel=1e-6)


def test_regression_loss_is_the_mean_squared_error_in_units_of_the_spread():
    train = torch.tensor([[1.0, 10.0], [3.0, NAN], [5.0, 30.0]])
    fitted = task("regression", train=train)
    mean, std = (3.0, 20.0), (2.0, math.sqrt(200))
    each = [
        (OUTPUTS[i, j].item() - (LABELS[i, j].item() - mean[j]) / std[j]) ** 2
        for i in range(4)
        for j in range(2)
        if LABELS[i, j] == LABELS[i, j]
    ]
    assert len(each) == 5
    assert fitted.loss(OUTPUTS, {"targets": LABELS}).item() == pytest.approx(sum(each) / 5, rel=1e-6)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_missing_labels_have_no_gradient_and_the_known_ones_do(kind):
    outputs = OUTPUTS.clone().requires_grad_()
    task(kind).loss(outputs, {"targets": LABELS}).backward()
    assert outputs.grad.isfinite().all()
    assert torch.equal(outputs.grad != 0, ~LABELS.isnan())


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_what_stands_under_a_missing_label_does_not_matter(kind):
    other = torch.where(LABELS.isnan(), OUTPUTS * -100, OUTPUTS)
    losses = [task(kind).loss(outputs, {"targets": LABELS}) for outputs in (OUTPUTS, other)]
    assert torch.equal(*losses)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_batch_without_labels_gives_zero_and_no_gradient(kind):
    outputs = OUTPUTS.clone().requires_grad_()
    loss = task(kind).loss(outputs, {"targets": torch.full_like(LABELS, NAN)})
    loss.backward()
    assert loss.item() == 0 and torch.equal(outputs.grad, torch.zeros_like(outputs))


def test_shapes_must_agree_instead_of_broadcasting():
    with pytest.raises(AssertionError, match="outputs"):
        task("regression", names=("a",)).loss(torch.zeros(4), {"targets": torch.zeros(4, 1)})


def test_standardisation_is_undone_by_predict():
    train = torch.tensor([[-3.0, 1e4], [5.0, 3e4], [NAN, 2e4]])
    fitted = task("regression", train=train)
    labels = torch.tensor([[0.5, -7.0], [1.0, 12345.0]], dtype=torch.float64)
    torch.testing.assert_close(fitted.predict(fitted.standardised(labels)), labels)
    standard = fitted.standardised(train)[:, 1]
    assert standard.mean().item() == pytest.approx(0, abs=1e-6) and standard.std().item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("column", "mean", "std"),
    [([NAN, NAN], 0, 1), ([4.0, NAN], 4, 1), ([4.0, 4.0], 4, 1), ([0.1] * 7, 0.1, 1)],
    ids=["unlabelled", "one label", "constant", "constant but for rounding"],
)
def test_a_column_without_spread_is_left_in_its_units(column, mean, std):
    fitted = task("regression", names=("a",), train=torch.tensor(column, dtype=torch.float64)[:, None])
    assert (fitted.mean.item(), fitted.std.item()) == (pytest.approx(mean, rel=1e-15), std)


def test_classification_labels_are_never_standardised():
    fitted = task("classification", train=torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    assert fitted.mean.tolist() == [0, 0] and fitted.std.tolist() == [1, 1]
    torch.testing.assert_close(
        fitted.predict(torch.tensor([[0.0, math.log(3)]])).float(), torch.tensor([[0.5, 0.75]])
    )


def test_the_usual_metric_of_each_kind():
    assert task("classification").metric == "roc_auc" and task("classification").better(0.7, 0.6)
    assert task("regression").metric == "rmse" and task("regression").better(0.6, 0.7)
    assert task("regression", metric="mae").metric == "mae"


@pytest.mark.parametrize(
    ("kind", "metric", "words"),
    [
        ("regression", "roc_auc", "'roc_auc' is for classification; a regression task can use rmse, mae"),
        ("classification", "rmse", "'rmse' is for regression; a classification task can use roc_auc, aver"),
        ("regression", "rsme", "unknown metric 'rsme'. Did you mean 'rmse'"),
        ("regresion", None, "unknown task type 'regresion'. Did you mean 'regression'"),
    ],
)
def test_a_metric_of_another_kind_is_refused(kind, metric, words):
    with pytest.raises(ConfigError, match=words):
        task(kind, metric=metric)


@pytest.mark.parametrize(("kind", "larger_wins"), [("classification", True), ("regression", False)])
def test_better(kind, larger_wins):
    better = task(kind).better
    assert better(0.9, 0.8) is larger_wins and better(0.8, 0.9) is not larger_wins
    assert not better(0.8, 0.8)
    assert better(0.8, NAN) and not better(NAN, 0.8) and not better(NAN, NAN)


# Several targets

SCALES = torch.tensor([[1.0, 1e4, 5.0], [3.0, 3e4, 5.0], [5.0, 2e4, 5.0]], dtype=torch.float64)


def test_errors_of_targets_in_different_units_are_divided_by_their_spread():
    fitted = task("regression", names=("a", "b", "constant"), train=SCALES)
    truth = torch.zeros(4, 3, dtype=torch.float64)
    found = fitted.score(torch.tensor([[1.0, 5e3, 1e9]]).expand(4, 3), truth)
    assert found.per_task == {"a": 1.0, "b": 5e3, "constant": 1e9}, "each in its units"
    assert found.value == pytest.approx((1 / 2 + 5e3 / 1e4) / 2), "one without a spread has no scale"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("regression", {"units": "a.u."}),
        ("regression", {"metric": "pearson_spearman"}),
        ("classification", {}),
    ],
    ids=["one unit", "no unit", "classes"],
)
def test_targets_of_one_unit_or_none_have_a_plain_mean(kind, options):
    train = (SCALES > 2).double() if kind == "classification" else SCALES
    fitted = Task.fit(kind=kind, names=("a", "b", "c"), train=train, **{"metric": None} | options)
    assert fitted.scale is None
    truth = torch.tensor([[0.0, 1, 0], [1.0, 0, 1], [1.0, 1, 1]], dtype=torch.float64)
    found = fitted.score(truth + torch.tensor([0.1, 0.2, 0.6]), truth)
    assert found.value == pytest.approx(sum(found.per_task.values()) / 3)


def test_one_target_is_scored_in_its_units():
    assert task("regression", names=("a",), train=SCALES[:, 1:2]).scale is None


def test_labels_far_from_zero_keep_their_spread_until_they_are_standardised():
    """In float32 these energies are three different numbers."""
    train = -40478.95 + 0.016 * torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    fitted = task("regression", names=("a",), train=train)
    z = (train - train.mean()) / train.std()
    assert fitted.std.item() == pytest.approx(train.std().item(), rel=1e-9)
    loss = fitted.loss(torch.zeros(9, 1), {"targets": train})
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(z.square().mean().item(), rel=1e-6)
    assert fitted.predict(z.float()).flatten().tolist() == pytest.approx(train.flatten().tolist(), abs=1e-8)
