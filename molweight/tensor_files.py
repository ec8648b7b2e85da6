"""A module's tensors as a safetensors file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from molweight.errors import DataError
from molweight.files import write_bytes


def save_tensors(module: nn.Module, path: Path) -> None:
    """Write a module's parameters and buffers, in one step."""
    tensors = {name: plain(tensor) for name, tensor in module.state_dict().items()}
    write_bytes(path, save(tensors, metadata={"format": "pt"}))  # without it transformers reads no file


def read_tensors(path: Path, module: nn.Module, what: str) -> dict[str, Tensor]:
    """The tensors of a file that must hold every one of a module's and no other.

    Args:
        path: of a safetensors file.
        module: that they are for; not changed.
        what: messages call the module.

    Raises:
        DataError: it cannot be read; naming what is missing, left over or of another shape.
    """
    try:
        tensors = load(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise DataError(f"{path} is not a safetensors file: {error}") from error
    expected = module.state_dict()
    problems = [f"missing {name}" for name in expected if name not in tensors]
    problems += [f"unknown {name}" for name in tensors if name not in expected]
    problems += [
        f"{name} is {list(tensors[name].shape)}, expected {list(value.shape)}"
        for name, value in expected.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    if problems:
        shown = "; ".join(problems[:3])
        raise DataError(f"{path} does not hold {what} ({len(problems)} differences: {shown})")
    return tensors


def load_tensors(module: nn.Module, path: Path) -> None:
    """Fill a module with what :func:`save_tensors` has written of one like it."""
    module.load_state_dict(load(path.read_bytes()))


def plain(tensor: Tensor) -> Tensor:
    """A copy in row-major order on the CPU."""
    return tensor.detach().cpu().contiguous(memory_format=torch.contiguous_format).clone()
