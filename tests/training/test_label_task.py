"""Tasks with one label out of several, and GLUE's metrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk

from molweight.errors import ConfigError
from molweight.training.label_task import LabelTask
from molweight.training.metrics import METRICS, score
from molweight.training.task import Task

LABELS = ("no", "perhaps", "yes")


def task(metric="accuracy", labels=LABELS):
    return LabelTask(metric=metric, name="label", labels=labels)


def test_loss_in_closed_form():
    outputs = torch.tensor([[0.0, math.log(2), 0.0], [0.0, 0.0, math.log(6)]])
    loss = task().loss(outputs, {"targets": torch.tensor([[1.0], [0.0]])})
    assert loss.item() == pytest.approx((math.log(2) + math.log(8)) / 2)  # 2/4, and 1/8


def test_predictions_are_probabilities_and_the_largest_counts():
    outputs = torch.tensor([[0.0, math.log(2), 0.0], [9.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
    chances = task().predict(outputs)
    assert chances[0].tolist() == pytest.approx([0.25, 0.5, 0.25])
    truth = torch.tensor([[1.0], [2.0], [2.0]])
    found = task().score(chances, truth)
    assert found.value == pytest.approx(2 / 3) and found.per_task == {"label": pytest.approx(2 / 3)}
    columns = task().columns(task().predicted(outputs, truth))
    assert columns["label"].tolist() == [1, 0, 2] and columns["label_true"].tolist() == [1, 2, 2]
    assert columns["probability of perhaps"].tolist() == pytest.approx(chances[:, 1].tolist())
    assert task().metadata() == {
        "task_type": "multiclass",
        "metric": "accuracy",
        "targets": ["label"],
        "labels": list(LABELS),
    }


@pytest.mark.parametrize("seed", range(3))
def test_glue_metrics_are_those_of_scikit_learn_and_scipy(seed):
    generator = np.random.default_rng(seed)
    truth, guess = generator.integers(0, 2, (2, 60)).astype(float)
    parts = score("f1_accuracy", torch.tensor(guess)[:, None], torch.tensor(truth)[:, None], ["label"])
    f1, accuracy = sk.f1_score(truth, guess), sk.accuracy_score(truth, guess)
    assert parts.per_task == {"F1": pytest.approx(f1), "accuracy": pytest.approx(accuracy)}
    assert parts.value == pytest.approx((f1 + accuracy) / 2)
    assert METRICS["f1_accuracy"].compute(truth, guess) == pytest.approx(parts.value)
    assert METRICS["matthews"].compute(truth, guess) == pytest.approx(np.corrcoef(truth, guess)[0, 1])

    truth, guess = generator.normal(size=(2, 60))
    parts = score("pearson_spearman", torch.tensor(guess)[:, None], torch.tensor(truth)[:, None], ["score"])
    pearson = np.corrcoef(truth, guess)[0, 1]
    spearman = np.corrcoef(stats.rankdata(truth), stats.rankdata(guess))[0, 1]
    assert parts.per_task == {"Pearson": pytest.approx(pearson), "Spearman": pytest.approx(spearman)}
    assert parts.value == pytest.approx((pearson + spearman) / 2)


def test_a_constant_guess_says_nothing():
    truth, same = np.array([0.0, 1.0, 1.0]), np.ones(3)
    assert METRICS["matthews"].compute(truth, same) == 0
    assert METRICS["pearson_spearman"].compute(truth, same) == 0
    assert METRICS["f1_accuracy"].compute(truth, np.zeros(3)) == pytest.approx((0 + 1 / 3) / 2)
    outputs = torch.zeros(4, 3)
    assert task().constant(outputs) and not task().constant(torch.eye(3))


def test_several_targets_keep_their_names():
    truth, guess = torch.rand(9, 2), torch.rand(9, 2)
    assert set(score("pearson_spearman", guess, truth, ["a", "b"]).per_task) == {"a", "b"}


def test_similarity_is_a_column_and_never_broadcast():
    """[b, 1] against [b] would compare everything with everything."""
    plain = Task.fit(
        kind="regression", metric="pearson_spearman", names=("score",), train=torch.tensor([[1.0], [3.0]])
    )
    outputs, targets = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [2.0]])
    assert plain.loss(outputs, {"targets": targets}).item() == pytest.approx(0.5)
    with pytest.raises(AssertionError, match="outputs"):
        plain.loss(outputs, {"targets": targets[:, 0]})
    with pytest.raises(AssertionError):
        task().loss(torch.zeros(2, 3), {"targets": torch.zeros(2)})


def test_better():
    assert task().better(0.6, 0.5) and not task().better(0.5, 0.6)
    assert task().better(0.1, math.nan) and not task().better(math.nan, 0.1)


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match="metric of a task with labels 'rmse'"):
        task("rmse")
    with pytest.raises(ConfigError, match="two labels or more"):
        task(labels=("only",))
