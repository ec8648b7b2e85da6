"""A module's tensors as a safetensors file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from molweight.files import write_bytes


def save_tensors(module: nn.Module, path: Path) -> None:
    """Write a module's parameters and buffers, in one step."""
    tensors = {name: plain(tensor) for name, tensor in module.state_dict().items()}
    write_bytes(path, save(tensors, metadata={"format": "pt"}))  # without it transformers reads no file


def load_tensors(module: nn.Module, path: Path) -> None:
    """Fill a module with what :func:`save_tensors` has written of one like it."""
    module.load_state_dict(load(path.read_bytes()))


def plain(tensor: Tensor) -> Tensor:
    """A copy in row-major order on the CPU."""
    return tensor.detach().cpu().contiguous(memory_format=torch.contiguous_format).clone()
