"""The task model of pictures."""

from __future__ import annotations

from torch import Tensor

from molweight.tapweight.typing import Batch
from molweight.training.models import TaskModel


class PictureModel(TaskModel):
    """``model(batch)``: pictures under ``pixels`` [b, 3, H, W] to outputs [b, t]."""

    def embed(self, batch: Batch) -> Tensor:
        """The embeddings of the pictures, [b, d]."""
        embeddings: Tensor = self.backbone(batch["pixels"])
        return embeddings
