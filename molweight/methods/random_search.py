"""``method=random_search``: several weightings, the best on validation."""

from __future__ import annotations

import logging
import math
import shutil
from dataclasses import asdict, dataclass

import numpy as np
import torch

from molweight.distributed.collectives import is_main_process
from molweight.distributed.launch import barrier, rank_seed
from molweight.errors import DataError
from molweight.methods.base import Final, Learned, Method, RunConfig
from molweight.methods.continued_pretraining import continue_pretraining
from molweight.methods.run_directory import RunDirectory
from molweight.tapweight.balancing import Fixed
from molweight.training.setup import DataModule
from molweight.utils.files import read_json, write_json
from molweight.utils.seeds import derived_seed
from molweight.utils.tensor_files import load_tensors, save_tensors

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One weighting.

    Args:
        number: from 0.
        weights: by objective.
        valid: validation score of the model finetuned after it.
        images: pretraining samples seen.
        seconds_reused: of pretraining that another run has done.
    """

    number: int
    weights: dict[str, float]
    valid: float
    images: int
    seconds_reused: float = 0.0


class RandomSearch(Method):
    """Several random weightings are tried; the best on validation is taken."""

    name = "random_search"

    def pretrain(
        self, setup: DataModule, config: RunConfig, directory: RunDirectory, *, progress: bool
    ) -> Learned:
        """Pretrain under several weightings from the same start, and keep the backbone that validates best.

        The first trial has equal weights, the others are drawn uniformly from the simplex. Each trial ends
        with the finetuning that the final model gets, and is scored by it; the winner's model is the final
        one. A trial is a folder of its own in ``search/``; finished ones are not repeated.
        """
        start = {name: value.clone() for name, value in setup.pretraining.state_dict().items()}
        trials: list[Trial] = []
        best, final = 0, None
        count = config.search.trials
        for number, weights in enumerate(weightings(len(setup.objectives), count, config.seed)):
            folder = RunDirectory(directory.path / "search" / str(number))
            setup.pretraining.load_state_dict(start)
            trial, tuned = self.attempt(setup, config, folder, number, weights, progress=progress)
            trials.append(trial)
            logger.info("trial %d of %d: validation %.3f", number + 1, count, trial.valid)
            if number == 0 or setup.task.better(trial.valid, trials[best].valid):
                best, final = number, tuned
        winner = RunDirectory(directory.path / "search" / str(best))
        if is_main_process():
            shutil.copyfile(winner.steps, directory.steps)
        load_tensors(setup.pretraining.backbone, winner.path / "backbone.safetensors")
        return Learned(
            weights=trials[best].weights,
            engine="native",
            images=sum(trial.images for trial in trials),
            seconds_reused=sum(trial.seconds_reused for trial in trials),
            final=final,
        )

    def attempt(
        self,
        setup: DataModule,
        config: RunConfig,
        folder: RunDirectory,
        number: int,
        weights: list[float],
        *,
        progress: bool,
    ) -> tuple[Trial, Final | None]:
        """Pretrain, finetune and score one weighting, or read what it gave before, then without the model."""
        result = folder.path / "trial.json"
        if result.exists():
            try:
                content = read_json(result)
                score = math.nan if content["valid"] is None else float(content["valid"])  # JSON has no NaN
                return Trial(**content | {"valid": score}), None
            except (OSError, ValueError, TypeError, LookupError) as error:
                raise DataError(
                    f"{result} cannot be read ({error}); delete it to repeat that trial"
                ) from error
        torch.manual_seed(rank_seed(config.seed))
        balance, steps = Fixed(weights), config.search.steps(config.learn.steps)
        learned = continue_pretraining(setup, config, folder, balance, steps=steps, progress=progress)
        if is_main_process():
            save_tensors(setup.pretraining.backbone, folder.path / "backbone.safetensors")
        final = self.finetune(setup, config, progress=progress)
        assert final.tuned is not None
        trial = Trial(
            number=number,
            weights=learned.weights,
            valid=final.tuned.valid,
            images=learned.images,
            seconds_reused=learned.seconds_reused,
        )
        if is_main_process():
            write_json(result, asdict(trial))
            shutil.rmtree(folder.checkpoints, ignore_errors=True)
        barrier(setup.transfer.device)
        return trial, final


def weightings(count: int, trials: int, seed: int) -> list[list[float]]:
    """The weights [trials, k] to try: equal ones, then draws from the flat Dirichlet distribution."""
    generator = np.random.default_rng(derived_seed(seed, "random_search"))
    drawn = generator.dirichlet(np.ones(count), size=trials - 1).tolist()
    return [[1 / count] * count, *drawn]
