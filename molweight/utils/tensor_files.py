"""A module's tensors as a safetensors file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from molweight.errors import DataError
from molweight.utils.files import read_bytes, write_bytes

HEADER = 100_000_000  # bytes; the most that safetensors reads


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
        DataError: it cannot be read; naming what is missing, left over, or of another shape or type.
    """
    expected = module.state_dict()
    most = HEADER + sum(value.numel() * value.element_size() for value in expected.values())
    try:
        tensors = load(read_bytes(path, most=most))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, ValueError) as error:
        raise DataError(f"{path} is not a safetensors file of {what}: {error}") from error
    problems = [f"missing {name}" for name in expected if name not in tensors]
    problems += [f"unknown {name}" for name in tensors if name not in expected]
    pairs = [(name, tensors[name], value) for name, value in expected.items() if name in tensors]
    problems += [
        f"{name} is {list(x.shape)}, expected {list(y.shape)}" for name, x, y in pairs if x.shape != y.shape
    ]
    problems += [f"{name} is {x.dtype}, expected {y.dtype}" for name, x, y in pairs if x.dtype != y.dtype]
    if problems:
        shown = "; ".join(problems[:3])
        raise DataError(f"{path} does not hold {what} ({len(problems)} differences: {shown})")
    return tensors


def load_tensors(module: nn.Module, path: Path) -> None:
    """Fill a module with what :func:`save_tensors` has written of one like it.

    Raises:
        DataError: as of :func:`read_tensors`.
    """
    module.load_state_dict(read_tensors(path, module, "this module"))


def plain(tensor: Tensor) -> Tensor:
    """A copy in row-major order on the CPU."""
    return tensor.detach().cpu().contiguous(memory_format=torch.contiguous_format).clone()
