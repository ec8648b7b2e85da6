"""The task model: an encoder, a pooled sentence, dropout and a linear head."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from molweight.nlp.encoder import TextEncoder
from molweight.tapweight.typing import Batch


class TextTaskModel(nn.Module):
    """``model(batch)``: token ids under ``ids``, ``mask``, ``types`` [b, l] to outputs [b, c].

    Args:
        backbone: copied, so that training leaves the original alone.
        outputs: c.
        dropout: before the head, [0, 1).
        seed: of the head's weights.
    """

    def __init__(self, backbone: TextEncoder, *, outputs: int, dropout: float, seed: int) -> None:
        super().__init__()
        self.backbone = deepcopy(backbone)
        self.dropout = nn.Dropout(dropout)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Linear(backbone.dim, outputs)
        nn.init.zeros_(self.head.bias)

    def forward(self, batch: Batch) -> Tensor:
        """Logits or standardised values, [b, c]."""
        pooled = self.backbone.pooled(self.backbone(batch), batch["mask"])
        outputs: Tensor = self.head(self.dropout(pooled))
        return outputs
