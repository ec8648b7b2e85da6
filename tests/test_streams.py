"""Shuffled epochs: each sample at most once, the same for the same key, resumable at any batch."""

from __future__ import annotations

import pytest
import torch

from molweight.errors import DataError
from molweight.training.streams import Stream, derived_generator


def fetch(positions, generator):
    """The positions and a number that augmentation would draw."""
    return {"positions": positions, "drawn": torch.rand(3, generator=generator)}


def stream(n=10, batch_size=3, seed=0, name="train", first=100):
    return Stream(fetch, torch.arange(first, first + n), batch_size=batch_size, seed=seed, name=name)


def read(source, count):
    return [source.next() for _ in range(count)]


def equal(a, b):
    return all(
        torch.equal(x["positions"], y["positions"]) and torch.equal(x["drawn"], y["drawn"])
        for x, y in zip(a, b, strict=True)
    )


def test_an_epoch_covers_each_sample_at_most_once_and_leaves_the_rest_out():
    source = stream()
    epochs = [torch.cat([b["positions"] for b in read(source, 3)]).tolist() for _ in range(20)]
    assert all(len(set(epoch)) == 9 and set(epoch) <= set(range(100, 110)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 20, "epochs are shuffled anew"
    assert set().union(*epochs) == set(range(100, 110)), "nothing is left out for ever"


def test_equal_keys_give_equal_streams_and_others_do_not():
    assert equal(read(stream(), 8), read(stream(), 8))
    assert not equal(read(stream(), 8), read(stream(seed=1), 8))
    assert not equal(read(stream(), 8), read(stream(name="meta"), 8))


def test_two_streams_do_not_disturb_each_other_or_the_global_generator():
    alone = read(stream(), 6)
    a, b = stream(), stream(name="meta")
    torch.manual_seed(0)
    before = torch.get_rng_state()
    mixed = []
    for _ in range(6):
        mixed.append(a.next())
        read(b, 2)
    assert equal(alone, mixed)
    assert torch.equal(before, torch.get_rng_state())


def test_every_batch_is_augmented_anew():
    drawn = {tuple(batch["drawn"].tolist()) for batch in read(stream(), 12)}
    assert len(drawn) == 12


@pytest.mark.parametrize("read_before", [0, 1, 3, 4, 7])
def test_a_saved_position_continues_with_the_same_batches(read_before):
    original = stream()
    read(original, read_before)
    saved = original.state_dict()
    resumed = stream()
    read(resumed, 5)  # its own past must not matter
    resumed.load_state_dict(saved)
    assert equal(read(original, 7), read(resumed, 7))


def test_a_small_set_gives_batches_of_its_own_size():
    source = stream(n=4, batch_size=64)
    for _ in range(3):
        assert sorted(source.next()["positions"].tolist()) == [100, 101, 102, 103]


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_samples_are_refused(n):
    with pytest.raises(DataError, match=f"the meta part has {n} usable molecules; at least 2") as caught:
        stream(n=n, name="meta")
    assert caught.value.exit_code == 5


def test_generators_depend_on_every_part_of_the_key():
    keys = [(0, "a", 1), (0, "a", 2), (0, "b", 1), (1, "a", 1), (0, "a"), (0, "a", 1, 0)]
    seeds = {derived_generator(*key).initial_seed() for key in keys}
    assert len(seeds) == len(keys)
    assert derived_generator(*keys[0]).initial_seed() in seeds
