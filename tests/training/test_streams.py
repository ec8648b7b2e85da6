"""Shuffled epochs: each sample at most once, the same for the same key, resumable at any batch."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from molweight.errors import DataError
from molweight.training.streams import Stream
from molweight.training.workers import DeviceTransfer, Workers

PATIENCE = 30  # seconds until a test that waits for a thread fails


def fetch(positions, draws):
    """The positions and a number that augmentation would draw."""
    return {"positions": positions, "drawn": draws.uniform("x")}


def stream(n=10, batch_size=3, seed=0, name="train", first=100, fetch=fetch, **options):
    positions = torch.arange(first, first + n)
    return Stream(fetch, positions, batch_size=batch_size, seed=seed, name=name, **options)


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
    with pytest.raises(DataError, match=f"the meta part has {n} usable samples; at least 2") as caught:
        stream(n=n, name="meta")
    assert caught.value.exit_code == 5


def test_a_samples_numbers_do_not_depend_on_the_batch_size():
    """In one epoch; the permutation, too, is the same."""
    few, many = read(stream(batch_size=5), 2), read(stream(batch_size=2), 5)
    for name in ("positions", "drawn"):
        assert torch.equal(torch.cat([b[name] for b in few]), torch.cat([b[name] for b in many]))


def irregular(positions, draws):
    """Batches that are ready in another order than they were asked for."""
    time.sleep(0.01 * (int(positions[0]) % 3))
    return fetch(positions, draws)


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize(("n", "batch_size"), [(10, 3), (4, 64)], ids=["long epochs", "one batch an epoch"])
def test_workers_change_nothing(count, n, batch_size):
    expected = read(stream(n, batch_size), 14)
    with Workers(count) as workers:
        assert equal(read(stream(n, batch_size, fetch=irregular, workers=workers), 14), expected)


@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_position_in_the_middle_is_that_of_what_was_read(before, after):
    expected = read(stream(), 12)
    with Workers(before) as workers:
        original = stream(workers=workers)
        for number in range(5):
            assert original.state_dict() == {"epoch": number // 3, "index": number % 3}
            original.next()
        saved = original.state_dict()
    with Workers(after) as workers:
        resumed = stream(fetch=irregular, workers=workers)
        read(resumed, 2)  # what was prepared for its own past must not matter
        resumed.load_state_dict(saved)
        assert resumed.state_dict() == saved
        assert equal(read(resumed, 7), expected[5:])


def test_a_position_saved_at_an_epochs_end_by_an_earlier_version_is_understood():
    resumed = stream()
    resumed.load_state_dict({"epoch": 0, "index": 3})
    assert equal(read(resumed, 4), read(stream(), 7)[3:])


def test_batches_are_prepared_before_they_are_asked_for_and_not_without_bound():
    asked, third = [], threading.Event()

    def noted(positions, draws):
        asked.append(threading.current_thread())
        if len(asked) == 3:
            third.set()
        return fetch(positions, draws)

    with Workers(1) as workers:
        source = stream(fetch=noted, workers=workers)
        source.next()
        assert third.wait(PATIENCE), "two more are prepared while the first is in use"
        time.sleep(0.1)
        assert len(asked) == 1 + workers.ahead == 3
        assert threading.current_thread() not in asked


def test_several_workers_prepare_at_once():
    both = threading.Barrier(2)

    def meeting(positions, draws):
        both.wait(PATIENCE)  # breaks, and fails the test, unless a second one comes
        return fetch(positions, draws)

    with Workers(2) as workers:
        read(stream(fetch=meeting, workers=workers), 3)
        both.abort()


class OddMoleculeError(Exception):
    """An error with more than a message."""

    def __init__(self, position):
        super().__init__(position, "cannot be drawn")
        self.position = position


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_error_is_raised_as_it_is_where_its_batch_is_due(count):
    expected = read(stream(), 6)
    bad, broken = int(expected[4]["positions"][1]), [True]

    def failing(positions, draws):
        if bad in positions and draws.key[2] == 1 and broken[0]:  # in epoch 1: batch 4
            raise OddMoleculeError(bad)
        return fetch(positions, draws)

    with Workers(count) as workers:
        source = stream(fetch=failing, workers=workers)
        assert equal(read(source, 4), expected[:4]), "those before it are not held up"
        for _ in range(2):
            with pytest.raises(OddMoleculeError) as caught:
                source.next()
            assert caught.value.position == bad
            assert source.state_dict() == {"epoch": 1, "index": 1}, "it was not read"
        broken[0] = False
        assert equal(read(source, 2), expected[4:]), "once mended, it goes on"


def test_a_stream_outlives_its_workers():
    with Workers(2) as workers:
        source = stream(workers=workers)
        first = read(source, 2)
    assert equal(first + read(source, 4), read(stream(), 6))


def test_streams_share_workers_without_waiting_for_each_other():
    """One that is not read keeps no thread from one that is."""
    with Workers(1) as workers:
        idle, busy = stream(name="meta", workers=workers), stream(workers=workers)
        idle.next()
        assert equal(read(busy, 8), read(stream(), 8))


def test_a_batch_is_finished_in_the_worker_for_a_cpu():
    threads = []

    def finish(batch):
        threads.append(threading.current_thread())
        return {**batch, "drawn": batch["drawn"] + 1}

    transfer = DeviceTransfer(device=torch.device("cpu"), finish=finish)
    with Workers(1) as workers:
        batch = stream(workers=workers, transfer=transfer).next()
    assert torch.equal(batch["drawn"], stream().next()["drawn"] + 1)
    assert threading.current_thread() not in threads
