"""Draws: SplitMix64 at the sample's index, whatever else is in the batch."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
import torch

from molweight.training.draws import GOLDEN, Draws, mixed
from molweight.utils.seeds import derived_generator

# https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64, seed 1234567
PUBLISHED = [
    *(6457827717110365317, 3203168211198807973, 9817491932198370423),
    *(4593380528125082431, 16408922859458223821),
]
WRAP = 2**64


def splitmix64(seed, count):
    """The published algorithm (Vigna, splitmix64.c), one number after the other, on Python's integers."""
    numbers = []
    for _ in range(count):
        seed = (seed + 0x9E3779B97F4A7C15) % WRAP
        z = seed
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WRAP
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WRAP
        numbers.append(z ^ (z >> 31))
    return numbers


def test_mixed_gives_the_published_numbers():
    assert splitmix64(1234567, 5) == PUBLISHED
    assert mixed(np.uint64(1234567) + np.arange(1, 6, dtype=np.uint64) * GOLDEN).tolist() == PUBLISHED


def test_a_sample_has_the_number_of_its_index():
    seed = int.from_bytes(hashlib.sha256(b"7/train/3/flip").digest()[:8], "little")
    expected = [(number >> 11) / 2**53 for number in splitmix64(seed, 50)]
    samples = torch.tensor([49, 0, 7, 7, 31])
    drawn = Draws(7, "train", 3, samples=samples).uniform("flip")
    assert drawn.dtype == torch.float64
    assert drawn.tolist() == [expected[i] for i in samples]


def test_the_batch_does_not_matter():
    samples = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
    whole = Draws(0, samples=samples).uniform("x")
    parts = [Draws(0, samples=part).uniform("x") for part in samples.split([1, 6, 493, 500])]
    assert torch.equal(torch.cat(parts), whole)
    order = torch.argsort(samples)
    assert torch.equal(Draws(0, samples=torch.arange(1000)).uniform("x"), whole[order])


def test_no_draw_depends_on_those_before_it():
    draws = Draws(0, samples=torch.arange(5))
    first = draws.uniform("x")
    draws.uniform("y"), draws.of("view").uniform("x")
    assert torch.equal(draws.uniform("x"), first)


def test_numbers_are_uniform_and_unrelated():
    """Mean, variance and correlations with neighbours, other names, keys and epochs, to four sigma."""
    n = 20_000
    draws = Draws(0, "train", 0, samples=torch.arange(n))
    x = draws.uniform("x")
    assert x.min() >= 0 and x.max() < 1
    assert abs(x.mean() - 1 / 2) < 4 * math.sqrt(1 / 12 / n)
    assert abs(x.var() - 1 / 12) < 4 * math.sqrt(1 / 180 / n)
    others = [
        draws.uniform("y"),
        draws.of("x").uniform("x"),
        Draws(0, "train", 1, samples=draws.samples).uniform("x"),
        Draws(1, "train", 0, samples=draws.samples).uniform("x"),
        Draws(0, "meta", 0, samples=draws.samples).uniform("x"),
        *(x.roll(shift) for shift in (1, 2, 3, 64)),
    ]
    for other in others:
        assert abs(torch.corrcoef(torch.stack([x, other]))[0, 1]) < 4 / math.sqrt(n)


@pytest.mark.parametrize("below", [1, 2, 49, 101])
def test_integers_take_every_value_equally_often(below):
    n = 20_000
    drawn = Draws(0, samples=torch.arange(n)).integers("x", below)
    counts = drawn.bincount()
    assert len(counts) == below, "none beyond"
    expected = n / below
    assert (counts - expected).abs().max() <= 5 * math.sqrt(expected * (1 - 1 / below))


def test_generators_depend_on_every_part_of_the_key():
    keys = [(0, "a", 1), (0, "a", 2), (0, "b", 1), (1, "a", 1), (0, "a"), (0, "a", 1, 0)]
    seeds = {derived_generator(*key).initial_seed() for key in keys}
    assert len(seeds) == len(keys)
    assert derived_generator(*keys[0]).initial_seed() in seeds
