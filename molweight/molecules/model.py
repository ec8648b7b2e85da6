"""The task model: a backbone, dropout, and one linear output a target."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from molweight.molecules.backbone import ResNet18
from molweight.tapweight.typing import Batch


class TaskModel(nn.Module):
    """``model(batch)``: pictures under ``pixels`` [b, 3, H, W] to outputs [b, t].

    Args:
        backbone: copied, so that training leaves the original alone.
        outputs: t.
        dropout: before the head, [0, 1).
        seed: of the head's weights.
    """

    def __init__(self, backbone: ResNet18, *, outputs: int, dropout: float, seed: int) -> None:
        super().__init__()
        self.backbone = deepcopy(backbone)
        self.dropout = nn.Dropout(dropout)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Linear(backbone.dim, outputs)
        nn.init.zeros_(self.head.bias)

    def forward(self, batch: Batch) -> Tensor:
        """Logits or standardised values, [b, t]."""
        outputs: Tensor = self.head(self.dropout(self.backbone(batch["pixels"])))
        return outputs
