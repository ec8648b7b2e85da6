"""ImageMol's ``ImageMol.pth.tar`` into our safetensors, and back."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import torch
from torch import Tensor

from molweight.errors import DataError, option
from molweight.models.resnet import ResNet18
from molweight.utils.files import write_bytes
from molweight.utils.tensor_files import plain, read_tensors, save_tensors

# ImageMol, model/model.py: embedding_layer = Sequential(*list(resnet18.children())[:-1])
POSITIONS = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
PREFIX = "embedding_layer."
ARCHITECTURE = "ResNet18"  # ImageMol, finetune.py: printed as it loads


def convert_imagemol(source: Path, destination: Path) -> dict[str, int]:
    """Write the backbone of an ImageMol checkpoint; its pretraining heads are left behind.

    Args:
        source: a file of the layout ``{"arch": …, "state_dict": {"embedding_layer.…": …}}``.
        destination: a new ``.safetensors`` file.

    Returns:
        Counts of ``tensors`` written and ``heads`` left behind.

    Raises:
        DataError: not such a file, or a tensor is missing or of another shape.
    """
    state = read_state(source)
    renamed = {}
    for name, tensor in state.items():
        if name.removeprefix("module.").startswith(PREFIX):
            position, _, rest = name.removeprefix("module.").removeprefix(PREFIX).partition(".")
            if position in POSITIONS:
                renamed[f"{POSITIONS[position]}.{rest}"] = tensor
    backbone = ResNet18()
    expected = backbone.state_dict()
    wrong = [n for n, t in expected.items() if n not in renamed or renamed[n].shape != t.shape]
    if wrong or len(renamed) != len(expected):
        raise DataError(
            f"{source} does not hold ImageMol's ResNet-18: {len(wrong)} of {len(expected)} tensors are "
            f"missing or of another shape (first: {wrong[0] if wrong else 'extra tensors'})"
        )
    backbone.load_state_dict(renamed)
    save_tensors(backbone, destination)
    return {"tensors": len(renamed), "heads": len(state) - len(renamed)}


def convert_to_imagemol(source: Path, destination: Path) -> int:
    """Write a backbone of full width as a checkpoint that ImageMol's ``finetune.py --resume`` reads.

    It takes the first 120 tensors by their order, whatever their names; the names are those of its own
    checkpoints as well, so that :func:`convert_imagemol` gives the same backbone back.

    Args:
        source: a ``.safetensors`` file, or the folder of a run, whose adapted backbone is taken.
        destination: a new ``.pth.tar`` file.

    Returns:
        The number of tensors written.

    Raises:
        DataError: not such a file, or a backbone of another width.
    """
    if source.is_dir():
        source = source / "backbone.safetensors"
    backbone = ResNet18()
    try:
        backbone.load_state_dict(read_tensors(source, backbone, "ImageMol's ResNet-18"))
    except DataError as error:
        raise DataError(
            f"{error}; ImageMol knows the backbone of full width only ({option('backbone', 'resnet18')})"
        ) from error
    positions = {name: position for position, name in POSITIONS.items()}
    state = {}
    for name, tensor in backbone.state_dict().items():
        layer, _, rest = name.partition(".")
        state[f"{PREFIX}{positions[layer]}.{rest}"] = plain(tensor)
    content = io.BytesIO()
    torch.save({"arch": ARCHITECTURE, "state_dict": state}, content)
    write_bytes(destination, content.getvalue())
    return len(state)


def read_state(source: Path) -> dict[str, Tensor]:
    """The ``state_dict`` of a checkpoint, read without running anything that it contains.

    Raises:
        DataError: missing, not a checkpoint, or more than tensors in it.
    """
    if not source.is_file():
        raise DataError(f"there is no file {source}")
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{source} is not a checkpoint that can be read safely: {first}") from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise DataError(
            f"{source} has no 'state_dict' of tensors; expected ImageMol's ImageMol.pth.tar layout"
        )
    return state
