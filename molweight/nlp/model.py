"""The task model of text."""

from __future__ import annotations

from torch import Tensor

from molweight.tapweight.typing import Batch
from molweight.training.models import TaskModel


class TextModel(TaskModel):
    """``model(batch)``: tokens under ``ids``, ``mask`` and perhaps ``types`` [b, l] to outputs [b, t]."""

    def embed(self, batch: Batch) -> Tensor:
        """The pooled states of the sentences, [b, d]."""
        pooled: Tensor = self.backbone.pooled(self.backbone(batch), batch["mask"])
        return pooled
