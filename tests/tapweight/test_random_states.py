"""Random numbers go on where their state was taken."""

from __future__ import annotations

import torch

from molweight.tapweight.random_states import random_states, set_random_states

CPU = torch.device("cpu")


def test_numbers_are_drawn_again_from_a_state():
    torch.manual_seed(3)
    state = random_states(CPU)
    numbers = torch.rand(4)
    set_random_states(state, CPU)
    assert torch.equal(torch.rand(4), numbers)


def test_each_process_takes_its_own_state(monkeypatch):
    """Two processes, as one sees them: the states are gathered, and its own is the one of its rank."""
    module = "molweight.tapweight.random_states"
    monkeypatch.setattr(f"{module}.world_size", lambda: 2)
    monkeypatch.setattr(f"{module}.rank", lambda: 1)
    other = torch.Generator().manual_seed(9).get_state()
    monkeypatch.setattr(f"{module}.all_gather", lambda state: torch.stack([other, state]))
    torch.manual_seed(3)
    states = random_states(CPU)
    assert len(states) == 2 and torch.equal(states[0], other)
    numbers = torch.rand(4)
    set_random_states(states, CPU)
    assert torch.equal(torch.rand(4), numbers)
    assert states[0].storage_offset() == states[1].storage_offset() == 0


def test_the_generator_is_that_of_the_device(monkeypatch):
    """What a GPU is asked, with a generator of the CPU in its place."""
    device, generator = torch.device("cuda", 1), torch.Generator().manual_seed(5)
    generators = {device: generator}
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: generators[device].get_state())
    monkeypatch.setattr(
        torch.cuda, "set_rng_state", lambda state, device: generators[device].set_state(state)
    )
    state, of_the_cpu = random_states(device), torch.get_rng_state()
    assert torch.equal(state, generator.get_state()) and not torch.equal(state, of_the_cpu)
    numbers = torch.rand(4, generator=generator)
    set_random_states(state, device)
    assert torch.equal(torch.rand(4, generator=generator), numbers)
    assert torch.equal(torch.get_rng_state(), of_the_cpu)
