"""Streams over loaders: their order, their devices, and what is said of a batch."""

from __future__ import annotations

from collections import namedtuple

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from molweight.errors import ConfigError, DataError
from molweight.tapweight.loaders import EndlessBatches, describe, endless_batches, to_device

CPU, META = torch.device("cpu"), torch.device("meta")
Pair = namedtuple("Pair", "inputs targets")


class Counting(IterableDataset):
    """Three batches that are read one after the other."""

    def __iter__(self):
        return iter(torch.arange(3))


@pytest.mark.parametrize("loader", [list(range(3)), (0, 1, 2), range(3), Counting(), DataLoader(range(3))])
def test_batches_come_in_order_over_and_over(loader):
    stream = EndlessBatches("numbers", loader, CPU)
    assert stream.first == 0
    assert [int(stream.next()) for _ in range(8)] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert stream.first == 0


def test_none_is_a_batch():
    stream = EndlessBatches("numbers", [None, 1], CPU)
    assert [stream.next() for _ in range(4)] == [None, 1, None, 1]


def test_batches_go_to_the_device():
    stream = EndlessBatches("numbers", [torch.zeros(2)], META)
    assert [batch.device.type for batch in (stream.first, stream.next(), stream.next())] == ["meta"] * 3


@pytest.mark.parametrize(
    "loader", ["batches", {"x": [1]}, torch.zeros(3), TensorDataset(torch.zeros(3)), 3], ids=type
)
def test_samples_are_no_batches(loader):
    with pytest.raises(ConfigError, match=f"numbers must yield batches, got {type(loader).__name__}"):
        EndlessBatches("numbers", loader, CPU)


def test_what_ends_is_refused_with_the_number_of_its_batches():
    with pytest.raises(DataError, match="numbers yields no batch"):
        EndlessBatches("numbers", [], CPU)
    stream = EndlessBatches("numbers", iter([7, 8]), CPU)
    assert [stream.next(), stream.next()] == [7, 8]
    with pytest.raises(DataError, match="numbers gave 2 batches once and none again"):
        stream.next()


def test_a_position_cannot_be_saved():
    stream = EndlessBatches("numbers", [1], CPU)
    with pytest.raises(NotImplementedError):
        stream.state_dict()
    with pytest.raises(NotImplementedError):
        stream.load_state_dict({})


def test_the_three_streams_have_the_names_of_the_arguments():
    streams = endless_batches([torch.zeros(1)], [torch.ones(1)], [torch.ones(2)], device=META)
    assert [stream.name for stream in streams] == [
        "pretraining_batches",
        "train_batches",
        "validation_batches",
    ]
    assert [tuple(stream.first.shape) for stream in streams] == [(1,), (1,), (2,)]
    assert {stream.device for stream in streams} == {META}
    same = [torch.zeros(1)]
    with pytest.raises(ConfigError, match="are the same object"):
        endless_batches([torch.zeros(1)], same, same, device=CPU)


def test_tensors_move_wherever_they_are_and_the_rest_stays():
    x = torch.zeros(2)
    moved = to_device({"pair": Pair(x, [x, "name"]), "tuple": (x, 3), "list": [x], "none": None}, META)
    assert isinstance(moved["pair"], Pair) and isinstance(moved["tuple"], tuple)
    assert isinstance(moved["list"], list) and isinstance(moved["pair"].targets, list)
    tensors = [moved["pair"].inputs, moved["pair"].targets[0], moved["tuple"][0], moved["list"][0]]
    assert {tensor.device for tensor in tensors} == {META}
    assert (moved["pair"].targets[1], moved["tuple"][1], moved["none"]) == ("name", 3, None)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.zeros(8, 3), "Tensor [8, 3]"),
        (torch.zeros(()), "Tensor []"),
        ({"x": torch.zeros(8), "y": 3}, "{x: Tensor [8], y: int}"),
        ((torch.zeros(1), "a name"), "(Tensor [1], str)"),
        ([None, [1.0]], "(NoneType, (float))"),
        ([0] * 8, "(" + ", ".join(["int"] * 8) + ")"),
        ([0] * 9, "list"),
        ((0,) * 9, "tuple"),
    ],
)
def test_what_a_batch_holds_in_a_few_words(value, words):
    assert describe(value) == words
