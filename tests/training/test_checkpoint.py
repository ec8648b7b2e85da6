"""Checkpoints: what goes in comes out, and damage leads to the one before."""

from __future__ import annotations

import hashlib
import json
import math

import pytest
import torch
from torch import nn

from molweight.errors import DataError
from molweight.training import checkpoint
from molweight.training.checkpoint import load_checkpoint, save_checkpoint


def same(a, b) -> bool:
    """Equal values of equal types, NaN equal to NaN; a tuple may come back as a list."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


def round_trip(folder, state):
    save_checkpoint(folder, 1, state)
    step, found = load_checkpoint(folder)
    assert step == 1
    return found


def trained(make_optimizer) -> dict:
    """The state of an optimiser after two steps."""
    layer = nn.Linear(3, 2)
    optimizer = make_optimizer(layer.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        layer(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()
    return optimizer.state_dict()


def test_same_can_tell_apart():
    assert same({"a": [math.nan, (1,)]}, {"a": [math.nan, [1]]})
    assert not same({1: 0}, {"1": 0})
    assert not same(True, 1) and not same(torch.ones(2), torch.ones(2, dtype=torch.float64))


def test_plain_values_and_keys_keep_their_types(tmp_path):
    state = {
        "none": None,
        "flags": [True, False, 1, 0],
        "numbers": {0: 0.1, -1: 1e-300, 2: math.inf, 3: -math.inf, 4: math.nan},
        "nested": {"a": {"b": [{}, [], (), "", "tensor", {"tensor": "t0"}]}},
        "text": "é\n\"'\\",
        "large": 2**63,
    }
    assert same(state, round_trip(tmp_path, state))


@pytest.mark.parametrize(
    "make_optimizer",
    [
        lambda p: torch.optim.Adam(p, lr=1e-2),
        lambda p: torch.optim.AdamW(p, lr=1e-2, amsgrad=True),
        lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9),
        lambda p: torch.optim.SGD(p, lr=1e-2),
    ],
    ids=["adam", "amsgrad", "momentum", "sgd"],
)
def test_optimisers_continue_where_they_were(tmp_path, make_optimizer):
    before = trained(make_optimizer)
    found = round_trip(tmp_path, {"optimizer": before})["optimizer"]
    assert same(before["state"], found["state"])
    continued = make_optimizer(nn.Linear(3, 2).parameters())
    continued.load_state_dict(found)
    assert same(continued.state_dict()["state"], before["state"])


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([1.5, -2.25, math.nan, math.inf]).nan_to_num(7).bfloat16(),
        torch.arange(256).to(torch.uint8),
        torch.tensor([2**62 + 1, -(2**63)]),
        torch.tensor([True, False]),
        torch.tensor(3.0, dtype=torch.float64),
        torch.empty(0, 4),
        torch.arange(6.0).reshape(2, 3).T,
        torch.arange(10.0)[::3],
        torch.ones(1).expand(4),
        torch.arange(48.0).reshape(2, 3, 2, 4).to(memory_format=torch.channels_last),
    ],
    ids=[
        "bf16",
        "uint8",
        "int64",
        "bool",
        "scalar",
        "empty",
        "transposed",
        "strided",
        "expanded",
        "channels_last",
    ],
)
def test_tensors_of_every_kind(tmp_path, tensor):
    assert same({"x": tensor}, round_trip(tmp_path, {"x": tensor}))


def test_tensors_that_share_memory_come_back_equal_and_apart(tmp_path):
    base = torch.arange(4.0)
    found = round_trip(tmp_path, {"a": base, "b": base, "view": base[1:]})
    assert same({"a": base, "b": base, "view": base[1:]}, found)
    found["a"] += 1
    assert torch.equal(found["b"], base)


def test_a_parameter_is_saved_without_its_graph(tmp_path):
    found = round_trip(tmp_path, {"p": nn.Parameter(torch.ones(2))})["p"]
    assert not found.requires_grad


def test_saving_leaves_the_state_alone(tmp_path):
    state = {"x": torch.arange(6.0).reshape(2, 3).T}
    save_checkpoint(tmp_path, 1, state)
    assert state["x"].stride() == (1, 3) and torch.equal(state["x"], torch.arange(6.0).reshape(2, 3).T)


def cut(file):
    file.write_bytes(file.read_bytes()[:-7])


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def edit(file):
    """Change a number so that the file is still well-formed."""
    content = file.read_bytes()
    changed = content.replace(b'"value": 22', b'"value": 23') if file.suffix == ".json" else content + b" "
    assert changed != content
    file.write_bytes(changed)


DAMAGE = {
    "cut": cut,
    "flipped": flip,
    "edited": edit,
    "emptied": lambda file: file.write_bytes(b""),
    "not text": lambda file: file.write_bytes(b"\xff\xfe"),
    "another layout": lambda file: file.write_text("[1, 2]"),
}


def two(folder):
    for step, n in ((10, 11), (20, 22)):
        save_checkpoint(folder, step, {"n": n, "x": torch.full((5,), float(n))})


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("damage", sorted(DAMAGE))
def test_a_damaged_pair_is_named_and_the_one_before_it_is_used(tmp_path, caplog, damage, suffix):
    two(tmp_path)
    DAMAGE[damage](tmp_path / f"step-00000020{suffix}")
    step, state = load_checkpoint(tmp_path)
    assert step == 10 and state["n"] == 11 and torch.equal(state["x"], torch.full((5,), 11.0))
    assert "step-00000020 is damaged" in caplog.text


def test_a_pair_without_its_tensors_is_damaged(tmp_path, caplog):
    two(tmp_path)
    (tmp_path / "step-00000020.safetensors").unlink()
    assert load_checkpoint(tmp_path)[0] == 10
    assert "damaged" in caplog.text


def test_a_whole_pair_loads_without_a_word(tmp_path, caplog):
    two(tmp_path)
    assert load_checkpoint(tmp_path)[0] == 20
    assert caplog.text == ""


def test_nothing_saved_and_everything_damaged_differ(tmp_path):
    assert load_checkpoint(tmp_path) is None
    assert load_checkpoint(tmp_path / "missing") is None
    two(tmp_path)
    for file in tmp_path.glob("*.json"):
        flip(file)
    with pytest.raises(DataError, match=r"every checkpoint in .* is damaged") as caught:
        load_checkpoint(tmp_path)
    assert caught.value.exit_code == 5


def test_a_later_schema_is_refused(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("molweight.training.checkpoint.SCHEMA", 2)
    save_checkpoint(tmp_path, 1, {})
    monkeypatch.undo()
    with pytest.raises(DataError):
        load_checkpoint(tmp_path)
    assert "schema 2, expected 1" in caplog.text


def test_two_pairs_are_kept(tmp_path):
    for step in (9, 10, 11, 100):
        save_checkpoint(tmp_path, step, {"step": step})
        (tmp_path / "other.txt").touch()
    found = sorted(path.name for path in tmp_path.iterdir())
    pairs = [f"step-{n:08d}{suffix}" for n in (11, 100) for suffix in (".json", ".safetensors")]
    assert found == sorted(["other.txt", *pairs])


def test_a_pair_of_an_older_version_is_read(tmp_path):
    """Its JSON file had a validation loss too, under the same digest."""
    save_checkpoint(tmp_path, 4, {"x": torch.ones(3)})
    file = tmp_path / "step-00000004.json"
    content = json.loads(file.read_text()) | {"loss": 0.5}
    del content["digest"]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    file.write_text(json.dumps({**content, "digest": digest}))
    assert load_checkpoint(tmp_path)[0] == 4


def test_tensors_without_their_json_are_cleared_by_the_next_save(tmp_path):
    (tmp_path / "step-00000005.safetensors").write_bytes(b"cut short")
    assert load_checkpoint(tmp_path) is None
    save_checkpoint(tmp_path, 6, {})
    assert not (tmp_path / "step-00000005.safetensors").exists()


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), 1j, b"bytes", torch.float32], ids=lambda value: type(value).__name__
)
def test_other_types_are_refused_and_nothing_is_written(tmp_path, value):
    with pytest.raises(TypeError, match="a checkpoint cannot hold a"):
        save_checkpoint(tmp_path, 1, {"x": torch.ones(1), "bad": [value]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", [(1, 2), None, 1.5])
def test_other_keys_are_refused(tmp_path, key):
    with pytest.raises(TypeError, match="key"):
        save_checkpoint(tmp_path, 1, {key: 0})


def test_the_json_has_no_nan(tmp_path):
    save_checkpoint(tmp_path, 1, {"x": math.nan})

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    json.loads((tmp_path / "step-00000001.json").read_text(), parse_constant=refuse)


def test_a_flipped_bit_in_a_number_of_a_tensor_is_noticed(tmp_path, caplog):
    two(tmp_path)
    file = tmp_path / "step-00000020.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1  # safetensors itself would load this
    file.write_bytes(content)
    assert load_checkpoint(tmp_path)[0] == 10
    assert "checksum mismatch" in caplog.text


def test_what_the_disk_gives_back_wrong_is_noticed_and_the_pair_before_it_stays(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 1, {"x": torch.ones(3)})
    real = checkpoint.write_bytes

    def failing(path, content):
        real(path, content[:-1] + bytes([content[-1] ^ 1]))

    monkeypatch.setattr(checkpoint, "write_bytes", failing)
    with pytest.raises(DataError, match="read back damaged"):
        save_checkpoint(tmp_path, 2, {"x": torch.zeros(3)})
    step, state = load_checkpoint(tmp_path)
    assert step == 1 and torch.equal(state["x"], torch.ones(3))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".safetensors"]
