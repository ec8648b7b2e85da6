"""The last stage before the test: the adapted backbone, or a baseline, becomes the final model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from molweight.distributed.launch import rank_seed, stop_together
from molweight.methods.configs import RunConfig
from molweight.methods.fixed_weights import NO_NETWORK
from molweight.tapweight.typing import Batch
from molweight.training.finetune import Finetuned, evaluate, finetune
from molweight.training.setup import Predictor, Setup
from molweight.training.streams import Stream
from molweight.training.task import Predicted
from molweight.training.workers import Workers, choose_workers


@dataclass(frozen=True, kw_only=True)
class Final:
    """A model that is ready for the test.

    Args:
        predict: see :data:`molweight.training.setup.Predictor`.
        module: the network; None for a baseline without one.
        tuned: how finetuning went; None without a network.
    """

    predict: Predictor
    module: nn.Module | None = None
    tuned: Finetuned | None = None


def retrain(setup: Setup, config: RunConfig, *, progress: bool) -> Final:
    """Finetune a task model around the adapted backbone; the part ``meta`` joins train again.

    Everything random is derived from the seed, so a run that is continued finds the same model. A signal
    ends it after a step; it begins anew when the run is continued.
    """
    positions = torch.cat([setup.train.positions, setup.meta.positions])
    if config.method.name in NO_NETWORK:
        return Final(predict=setup.baselines[config.method.name](positions, config.seed))
    torch.manual_seed(rank_seed(config.seed))  # dropout
    model = setup.make_model(setup.pretraining.backbone, config.seed)
    recipe = config.finetune
    with Workers(choose_workers(config.workers, setup.transfer.device)) as workers:
        stream = Stream(
            setup.fetch_labelled,
            positions,
            batch_size=recipe.batch_size,
            seed=config.seed,
            name="retrain",
            workers=workers,
            transfer=setup.transfer,
        )
        tuned = finetune(
            model,
            setup.task,
            stream,
            setup.valid.evaluation,
            recipe,
            steps_per_epoch=stream.per_epoch,
            progress=progress,
            between=partial(stop_together, device=setup.transfer.device),
        )

    def predict(positions: Tensor, batches: Iterator[Batch]) -> Predicted:
        return setup.task.predicted(*evaluate(model, batches))

    return Final(predict=predict, module=model, tuned=tuned)
