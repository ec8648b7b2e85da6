"""A finished run's model as one file for other programs: ONNX, or torch.export's.

Both take the pictures as they are drawn, [b, 3, S, S] uint8, and return what ``predict`` writes:
probabilities after temperature scaling, or values in the units of the labels, [b, t] float64.
"""

from __future__ import annotations

import importlib
import json
import tempfile
import warnings
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from molweight.errors import ConfigError, DataError
from molweight.images.drawing import draw_pictures
from molweight.images.transforms import normalised
from molweight.inference.model import TrainedModel, load_model
from molweight.utils.files import write_bytes

TOLERANCE = 1e-4  # largest difference from predict's probabilities, or from its values in standard deviations
ENDINGS = (".onnx", ".pt2")
SAMPLES = (
    *("CCO", "c1ccccc1O", "CC(=O)Oc1ccccc1C(=O)O", "Cn1cnc2c1c(=O)n(C)c(=O)n2C", "C1CCCCC1", "[Na+].[Cl-]"),
    *("CC(C)Cc1ccc(cc1)C(C)C(=O)O", "OC(=O)CC(O)(CC(O)=O)C(O)=O"),
)


class ExportModule(nn.Module):
    """Pictures in, predictions out: nothing is left to do for who calls it.

    Args:
        model: moved to the CPU and copied.
    """

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        self.module = deepcopy(model.module).cpu().to(memory_format=torch.contiguous_format)
        self.module.backbone.memory_format = torch.contiguous_format
        scale = model.task.std if model.temperature is None else 1 / model.temperature
        self.classification = model.temperature is not None
        self.register_buffer("scale", scale.clone())
        self.register_buffer(
            "shift", torch.zeros_like(scale) if self.classification else model.task.mean.clone()
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """[b, 3, S, S] uint8 -> [b, t] float64; the network itself computes in float32."""
        outputs = self.module({"pixels": normalised(pictures)}).double() * self.scale + self.shift
        predictions: Tensor = outputs.sigmoid() if self.classification else outputs
        return predictions


def export(run_dir: str | Path, destination: str | Path) -> float:
    """Write the model of a run as one file, after comparing what it says with what the model says.

    Args:
        run_dir: of a finished run on molecules.
        destination: a new ``.onnx`` file (read by onnxruntime and others), or ``.pt2``
            (``torch.export.load``). Its input is called ``pictures``, its output ``predictions``; what they
            are stands in the file's metadata, under ``molweight``.

    Returns:
        The largest difference between the two on some molecules: of probabilities, or of values in standard
        deviations of the training labels.

    Raises:
        ConfigError: another ending.
        DataError: the folder holds no model, a package is missing, the file cannot be written, or the two
            differ by more than :data:`TOLERANCE`; then no file is left.
    """
    destination = Path(destination)
    if destination.suffix not in ENDINGS:
        raise ConfigError(f"{destination}: the name of the file must end with {' or '.join(ENDINGS)}")
    if destination.suffix == ".onnx":
        for package in ("onnxscript", "onnxruntime"):
            needed(package)
    model = load_model(run_dir)
    module, samples = ExportModule(model).eval(), sample_pictures(model)
    outputs = model.outputs(samples)
    expected = model.values(outputs) if model.temperature is None else model.calibrated(outputs)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters, on their own insides
        path = Path(folder) / f"model{destination.suffix}"
        save = save_onnx if destination.suffix == ".onnx" else save_exported
        exported = save(module, samples, json.dumps(about(model)), path)
        content = path.read_bytes()
    difference = float(
        ((exported - expected) / (model.task.std if model.temperature is None else 1)).abs().max()
    )
    if not difference <= TOLERANCE:
        raise DataError(
            f"{destination} was not written: its predictions would differ by {difference:.2g}, more than "
            f"{TOLERANCE:g}; other versions of the exporter may do better: pip install -U 'molweight[export]'"
        )
    write_bytes(destination, content)
    return difference


def about(model: TrainedModel) -> dict[str, object]:
    """What somebody must know who has the file alone."""
    return {
        "targets": list(model.task.names),
        "kind": model.task.kind,
        "units": model.units,
        "pictures": [3, model.image_size, model.image_size],
        "drawn by": "molweight.draw_pictures",
        "standardise": asdict(model.standardise),
    }


def save_onnx(module: ExportModule, samples: Tensor, metadata: str, path: Path) -> Tensor:
    """Write ONNX; what onnxruntime makes of the samples, [b, t]."""
    program = torch.onnx.export(
        module,
        (samples,),
        input_names=["pictures"],
        output_names=["predictions"],
        dynamic_shapes=({0: torch.export.Dim("rows")},),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props["molweight"] = metadata
    program.save(path, external_data=False)
    session = needed("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    (predictions,) = session.run(["predictions"], {"pictures": samples.numpy()})
    return torch.from_numpy(predictions)


def save_exported(module: ExportModule, samples: Tensor, metadata: str, path: Path) -> Tensor:
    """Write torch.export's file; what it makes of the samples when loaded, [b, t]."""
    program = torch.export.export(module, (samples,), dynamic_shapes=({0: torch.export.Dim("rows")},))
    torch.export.save(program, path, extra_files={"molweight": metadata})
    with torch.inference_mode():
        predictions: Tensor = torch.export.load(path).module()(samples)
    return predictions


def sample_pictures(model: TrainedModel) -> Tensor:
    """Some well-known molecules as the model sees them, [8, 3, S, S] uint8."""
    return torch.from_numpy(draw_pictures(SAMPLES, **model.picture_config._asdict()))


def needed(package: str) -> ModuleType:
    """A package of the extra ``export``.

    Raises:
        DataError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise DataError(f"ONNX needs {package}: pip install 'molweight[export]'") from error
