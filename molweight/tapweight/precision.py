"""In which numbers levels 1 and 2 compute losses; parameters, updates and hypergradients are float32."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from molweight.errors import ConfigError, unknown
from molweight.tapweight.typing import Batch, StateDict

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class Precision:
    """Autocast for the loss of a level, and for float16 a scaled loss, so that small gradients survive.

    Args:
        name: of :data:`PRECISIONS`.
        device: its type, ``cpu`` or ``cuda``.
    """

    name: str = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.name not in PRECISIONS:
            raise ConfigError(unknown("precision", self.name, PRECISIONS))
        half = self.name == "float16"
        self.scaler = torch.amp.GradScaler(self.device) if half else None

    def __call__(self, module: nn.Module, batch: Batch) -> Tensor:
        """``module(batch)``, computed in this precision and handed on as float32 where that is not whole."""
        dtype = PRECISIONS[self.name]
        if dtype is None:
            output: Tensor = module(batch)
            return output
        with torch.autocast(self.device, dtype):
            output = module(batch)
        return output.float()

    @property
    def scales(self) -> bool:
        """Whether losses are scaled."""
        return self.scaler is not None

    def scaled(self, loss: Tensor) -> Tensor:
        """The loss to differentiate."""
        if self.scaler is None:
            return loss
        scaled: Tensor = self.scaler.scale(loss)
        return scaled

    def unscale(self, optimizer: Optimizer) -> None:
        """Bring the optimiser's gradients back to the size of the loss."""
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)

    def step(self, optimizer: Optimizer) -> bool:
        """Update, and whether it was made: with float16 an overflow lowers the scale instead."""
        if self.scaler is None:
            optimizer.step()
            return True
        before = self.scaler.get_scale()
        self.scaler.step(optimizer)
        self.scaler.update()
        return bool(self.scaler.get_scale() >= before)

    def state_dict(self) -> StateDict:
        """The scale; empty where there is none."""
        return {} if self.scaler is None else self.scaler.state_dict()

    def load_state_dict(self, state: StateDict) -> None:
        """Continue with a saved scale."""
        if self.scaler is not None:
            self.scaler.load_state_dict(state)
