"""The last stage before the test: the adapted backbone, or a baseline, becomes the final model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from molweight.molecules.forest import Forest
from molweight.recipes import RunConfig
from molweight.tapweight.typing import Batch
from molweight.training.finetune import Finetuned, evaluate, finetune
from molweight.training.setup import Setup
from molweight.training.streams import Stream
from molweight.training.workers import Workers, choose_workers

Predictor = Callable[[Tensor, Iterator[Batch]], tuple[Tensor, Tensor]]
"""``(positions [n], their batches) -> predictions [n, t] in the user's units, labels [n, t]``"""


@dataclass(frozen=True, kw_only=True)
class Final:
    """A model that is ready for the test.

    Args:
        predict: see :data:`Predictor`.
        module: the network; None for a baseline without one.
        tuned: how finetuning went; None without a network.
    """

    predict: Predictor
    module: nn.Module | None = None
    tuned: Finetuned | None = None


def retrain(setup: Setup, config: RunConfig, *, progress: bool) -> Final:
    """Finetune a task model around the adapted backbone; the part ``meta`` joins train again.

    Everything random is derived from the seed, so a run that is continued finds the same model.
    """
    positions = torch.cat([setup.train.positions, setup.meta.positions])
    if config.method.name == "ecfp_rf":
        return random_forest(setup, positions, seed=config.seed)
    torch.manual_seed(config.seed)  # dropout
    model = setup.make_model(setup.pretraining.backbone, config.seed)
    recipe = config.finetune
    with Workers(choose_workers(config.workers, setup.handover.device)) as workers:
        stream = Stream(
            setup.fetch_labelled,
            positions,
            batch_size=recipe.batch_size,
            seed=config.seed,
            name="retrain",
            workers=workers,
            handover=setup.handover,
        )
        tuned = finetune(
            model,
            setup.task,
            stream,
            setup.valid.evaluation,
            recipe,
            steps_per_epoch=stream.per_epoch,
            progress=progress,
        )

    def predict(positions: Tensor, batches: Iterator[Batch]) -> tuple[Tensor, Tensor]:
        outputs, labels = evaluate(model, batches)
        return setup.task.predict(outputs), labels

    return Final(predict=predict, module=model, tuned=tuned)


def random_forest(setup: Setup, positions: Tensor, *, seed: int) -> Final:
    """The fingerprint baseline, on the same molecules."""
    smiles = setup.describe["smiles"]
    known = [batch["targets"] for part in (setup.train, setup.meta) for batch in part.evaluation()]
    forest = Forest(
        [smiles[i] for i in positions.tolist()],
        torch.cat(known).cpu().numpy(),
        kind=setup.task.kind,
        seed=seed,
    )

    def predict(positions: Tensor, batches: Iterator[Batch]) -> tuple[Tensor, Tensor]:
        labels = torch.cat([batch["targets"].cpu() for batch in batches])
        return torch.from_numpy(forest.predict([smiles[i] for i in positions.tolist()])), labels

    return Final(predict=predict)
