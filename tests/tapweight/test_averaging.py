"""The running average and its signal-to-noise ratio, against plain sums."""

from __future__ import annotations

import math

import pytest
import torch

from molweight.errors import ConfigError
from molweight.tapweight.averaging import NORM_DECAY, Averaging, AveragingConfig


def series(count, k=3, signal=0.0, seed=0):
    g = torch.Generator().manual_seed(seed)
    return signal + torch.randn(count, k, generator=g, dtype=torch.float64)


def test_the_average_is_the_exponentially_weighted_mean():
    values, decay = series(12), 0.8
    averaging = Averaging(3, AveragingConfig(decay=decay, limit=None, normalise=False))
    for n, value in enumerate(values, start=1):
        found = averaging.add(value)
        weights = torch.tensor([decay ** (n - 1 - i) for i in range(n)], dtype=torch.float64)
        weights /= weights.sum()
        mean = weights @ values[:n]
        torch.testing.assert_close(found, mean)
        if n > 1:
            share = weights.square().sum()
            variance = (weights @ (values[:n] - mean).square()).sum() / (1 - share)
            assert averaging.snr == pytest.approx(math.sqrt(mean.square().sum() / (variance * share)))
        else:
            assert averaging.snr is None


def test_without_decay_every_hypergradient_passes_as_it_is():
    averaging = Averaging(3)
    for value in series(5):
        assert torch.equal(averaging.add(value), value)
        assert averaging.snr is None


def test_without_a_recipe_an_outlier_passes_too():
    averaging = Averaging(1)
    assert [averaging.add(torch.tensor([length])).item() for length in (1.0, 1e6)] == [1.0, 1e6]


def test_a_hypergradient_of_another_size_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        Averaging(3).add(torch.ones(2))


def test_noise_has_a_ratio_of_one_and_signal_more():
    def mean_square(signal):
        found = []
        for seed in range(300):
            averaging = Averaging(3, AveragingConfig(decay=0.9, limit=None, normalise=False))
            for value in series(60, signal=signal, seed=seed):
                averaging.add(value)
            found.append(averaging.snr**2)
        return sum(found) / len(found)

    assert 0.9 < mean_square(0.0) < 1.3
    assert mean_square(1.0) > 10, "19 effective samples of a signal as large as the noise"


def test_an_outlier_counts_no_more_than_the_limit():
    averaging = Averaging(2, AveragingConfig(decay=0.9, limit=2.0, normalise=False))
    unit = torch.tensor([1.0, 0.0], dtype=torch.float64)
    for _ in range(10):
        averaging.add(unit)
    found = averaging.add(torch.tensor([0.0, 1e6], dtype=torch.float64))
    share = 0.1 / (1 - 0.9**11)
    torch.testing.assert_close(found, torch.tensor([1 - share, 2 * share], dtype=torch.float64))


def test_the_limit_is_in_means_of_lengths_that_were_limited_themselves():
    averaging = Averaging(1, AveragingConfig(decay=0.0, limit=2.0, normalise=False))
    lengths = [averaging.add(torch.tensor([x], dtype=torch.float64)).item() for x in (1.0, 1e6, 1e6)]
    mean = (NORM_DECAY * 1 + 2) / (NORM_DECAY + 1)  # of 1 and 2, the later one with more weight
    assert lengths == pytest.approx([1, 2, 2 * mean])


def test_normalised_averages_do_not_depend_on_scale():
    recipe = AveragingConfig(decay=0.9, limit=3.0)
    one, thousand = Averaging(3, recipe), Averaging(3, recipe)
    for value in series(20, signal=0.5):
        torch.testing.assert_close(one.add(value), thousand.add(1000 * value))
    assert one.snr == pytest.approx(thousand.snr)


def test_normalised_averages_return_to_unit_length_after_a_loud_start():
    direction = torch.tensor([3.0, -4.0], dtype=torch.float64) / 5
    averaging = Averaging(2, AveragingConfig(decay=0.9, limit=None))
    for step in range(200):
        found = averaging.add((1.0 if step < 10 else 1e-3) * direction)
    torch.testing.assert_close(found, direction, rtol=1e-3, atol=0)


def test_a_hypergradient_of_zero_stays_zero():
    averaging = Averaging(2, AveragingConfig())
    assert averaging.add(torch.zeros(2)).tolist() == [0.0, 0.0]
    assert averaging.add(torch.tensor([3.0, 4.0])).isfinite().all()


def test_saved_sums_continue():
    recipe = AveragingConfig(decay=0.7, limit=1.5)
    whole, first, second = Averaging(3, recipe), Averaging(3, recipe), Averaging(3, recipe)
    values = series(9)
    expected = [whole.add(v) for v in values]
    for v in values[:4]:
        first.add(v)
    second.load_state_dict(first.state_dict())
    assert all(torch.equal(second.add(v), e) for v, e in zip(values[4:], expected[4:], strict=True))
    assert second.snr == whole.snr


@pytest.mark.parametrize("wrong", [{"decay": 1.0}, {"decay": -0.1}, {"limit": 0.0}])
def test_bad_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match="averaging"):
        AveragingConfig(**wrong)


def test_settings_at_the_edge_are_taken():
    AveragingConfig(decay=0.0, limit=0.5)
    AveragingConfig(decay=0.999, limit=None)
