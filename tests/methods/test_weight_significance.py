"""The test that tells learned weights from noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control, wilcoxon

from molweight.methods.weight_significance import WeightSignificance, as_dict, sentence, weight_significance

NAMES = ("a", "b", "c")


def records(values):
    return [{"hypergradient": dict(zip(NAMES, row, strict=True))} for row in values.tolist()]


def noise(count, seed):
    return np.random.default_rng(seed).standard_t(2, size=(count, 3))  # heavy tails


def test_pure_noise_is_called_noise():
    called = sum(
        any(one.clear for one in weight_significance(records(noise(50, seed))).values())
        for seed in range(200)
    )
    assert called <= 20, "5 % of 200 runs, by chance"
    words = sentence(as_dict(weight_significance(records(noise(50, 0)))), 50)
    assert words.startswith("**The weights did not separate from noise**") and "50 updates" in words


def test_a_push_is_seen_and_its_direction_is_that_of_descent():
    values = noise(50, 1)
    values[:, 0] += 2.0
    values[:, 1] -= 2.0
    found = weight_significance(records(values))
    assert found["a"].direction == "down" and found["b"].direction == "up"
    assert found["a"].clear and found["b"].clear and not found["c"].clear
    words = sentence(as_dict(found), 50)
    assert "raised b and lowered a" in words and "weight of c did not separate" in words


def test_p_values_are_those_of_holm():
    values = noise(40, 2) + np.array([0.6, 0.3, 0.0])
    raw = np.array([wilcoxon(column).pvalue for column in values.T])
    found = np.array([one.p for one in weight_significance(records(values)).values()])
    order = np.argsort(raw)
    expected, largest = np.empty(3), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, (3 - rank) * raw[index])
        expected[index] = min(largest, 1.0)
    np.testing.assert_allclose(found, expected)
    assert (found >= false_discovery_control(raw) - 1e-12).all(), "Holm is stricter than Benjamini-Hochberg"


@pytest.mark.parametrize("values", [noise(9, 0), np.zeros((50, 3))], ids=["too few", "equal weights"])
def test_nothing_is_said_where_nothing_can_be_known(values):
    assert weight_significance(records(values)) == {} and sentence({}, 50) == ""


def test_too_few_updates_are_a_sentence():
    assert "After 9 updates nothing can be said" in sentence({}, 9)


def test_ten_updates_are_enough_to_say_something():
    assert set(weight_significance(records(noise(10, 0)))) == set(NAMES)
    assert weight_significance(records(noise(9, 0))) == {} and sentence({}, 10) == ""


def test_an_objective_that_was_never_pushed_has_a_p_value_of_one():
    values = noise(50, 1)
    values[:, 1] = 0.0
    assert weight_significance(records(values))["b"] == WeightSignificance(direction="up", p=1.0)


def test_no_p_value_is_above_one():
    balanced = np.arange(1.0, 41.0)[:, None] * np.array([[1.0], [-1.0], [-1.0], [1.0]] * 10)
    found = weight_significance(records(np.repeat(balanced, 3, axis=1)))
    assert [result.p for result in found.values()] == [1.0] * 3


def test_the_size_of_hypergradients_does_not_matter():
    values = noise(50, 1) + np.array([2.0, -2.0, 0.5])
    assert weight_significance(records(1e-3 * values)) == weight_significance(records(values))


@pytest.mark.parametrize(
    ("results", "words"),
    [
        (
            {"a": ("up", 0.01), "b": ("up", 0.02), "c": ("down", 0.03)},
            "The hypergradients consistently raised a, b and lowered c (p < 0.05; Wilcoxon signed-rank test "
            "over 50 updates, Holm-corrected for 3 objectives).",
        ),
        (
            {"a": ("up", 0.01), "b": ("up", 0.05), "c": ("down", 0.3)},
            "The hypergradients consistently raised a (p < 0.05; Wilcoxon signed-rank test over 50 updates, "
            "Holm-corrected for 3 objectives). The weight of b, c did not separate from noise.",
        ),
        (
            {"a": ("up", 0.0512), "b": ("down", 0.3)},
            "**The weights did not separate from noise**: no objective was pushed consistently up or down "
            "(smallest p = 0.051; Wilcoxon signed-rank test over 50 updates, Holm-corrected for 2 "
            "objectives). Their differences mean nothing; a longer run, larger batches or `learn.accumulate` "
            "may tell more.",
        ),
    ],
    ids=["all are clear", "one is clear, one is just not", "none is clear"],
)
def test_results_in_words(results, words):
    separation = {name: {"direction": direction, "p": p} for name, (direction, p) in results.items()}
    assert sentence(separation, 50) == words


def test_steps_of_the_burn_in_are_passed_over():
    pushed = records(noise(50, 1) + np.array([2.0, -2.0, 0.0]))
    assert weight_significance([{"hypergradient": {}}] * 20 + pushed) == weight_significance(pushed)
    assert weight_significance([{"hypergradient": {}}] * 50) == {}
