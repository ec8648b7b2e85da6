"""A transformers encoder as a backbone: token ids [b, l] to hidden states [b, l, d]."""

from __future__ import annotations

import sys
from typing import Any, Literal

from torch import Tensor, nn

from molweight.tapweight.typing import Batch


class TextEncoder(nn.Module):
    """An encoder of transformers without its pooler.

    Its tensors are named as in a model of transformers with a head, so that their file is one that
    ``AutoModel.from_pretrained`` reads.

    Args:
        model: the encoder.
        pooling: the states that stand for a sentence: that of its first token, or their mean.
    """

    def __init__(self, model: Any, *, pooling: Literal["first", "mean"] = "first") -> None:
        super().__init__()
        if getattr(model, "pooler", None) is not None:
            model.pooler = None  # it is trained by no objective here
        self.prefix: str = model.base_model_prefix or "model"
        self.add_module(self.prefix, model)
        self.pooling = pooling
        self.dim: int = model.config.hidden_size

    @property
    def model(self) -> Any:
        """The encoder."""
        return getattr(self, self.prefix)

    def forward(self, batch: Batch) -> Tensor:
        """Hidden states, [b, l, d].

        Args:
            batch: with ``ids`` and ``mask`` [b, l] int64, and ``types`` where the encoder has token types.
        """
        inputs = {"input_ids": batch["ids"], "attention_mask": batch["mask"]}
        if "types" in batch:
            inputs["token_type_ids"] = batch["types"]
        states: Tensor = self.model(**inputs).last_hidden_state
        return states

    def pooled(self, states: Tensor, mask: Tensor) -> Tensor:
        """What stands for each sentence, [b, d].

        Args:
            states: [b, l, d].
            mask: [b, l], 1 where there is a token.
        """
        if self.pooling == "first":
            return states[:, 0]
        weights = mask.to(states.dtype).unsqueeze(-1)
        return (states * weights).sum(dim=1) / weights.sum(dim=1)

    @property
    def embeddings(self) -> Tensor:
        """The token embeddings, [v, d]."""
        weight: Tensor = self.model.get_input_embeddings().weight
        return weight

    @property
    def longest(self) -> int:
        """Tokens that its positions reach; RoBERTa's begin behind the one of padding."""
        reach = getattr(self.model.config, "max_position_embeddings", None) or sys.maxsize
        for name, part in self.model.named_modules():
            if name.endswith("position_embeddings") and getattr(part, "padding_idx", None) is not None:
                return int(reach - part.padding_idx - 1)
        return int(reach)
